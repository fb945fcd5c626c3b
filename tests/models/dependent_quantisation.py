# SPDX-License-Identifier: Apache-2.0
"""Dependent quantisation as ITU-T H.266 writes it (7.3.11.11), for the chains of latents of docs/conditional.md."""

from __future__ import annotations

import numpy as np

STATES = 32040  # stateTransTable: two bits for each state and parity


def half_of(step: int) -> int:
    """Half a step is 9/16 of the nominal one, sixteenths, rounded."""
    return int(np.floor(step * 9 / 16 + 0.5))


def chains(fine: bool, tiny: np.ndarray) -> list[list[int]]:
    """Numbers of a block's latents, transform by transform: one of all, four of quarters, or five of a quarter (four
    squares of luma, then chroma) where it is cut once more."""
    if not fine:
        return [list(range(384))]
    found = []
    for q in range(4):
        if not tiny[q // 2, q % 2]:
            found.append([4 * k + q for k in range(96)])
            continue
        found += [[4 * (6 * k + part) + q for k in range(16)] for part in range(4)]
        found.append([4 * (6 * k + 4 + j) + q for k in range(16) for j in range(2)])
    return found


def walk(symbols: np.ndarray) -> tuple[list[int], list[int]]:
    """Half steps and states of a chain of symbols."""
    state, found, states = 0, [], []
    for symbol in symbols.tolist():
        states.append(state)
        sign = (symbol > 0) - (symbol < 0)
        found.append(2 * symbol - (sign if state > 1 else 0))
        state = (STATES >> ((state << 2) + ((symbol & 1) << 1))) & 3
    return found, states


def multiples(symbols: np.ndarray, fine: bool, tiny: np.ndarray) -> np.ndarray:
    """(384,) int64 half steps of a block's symbols."""
    out = np.zeros(384, np.int64)
    for chain in chains(fine, tiny):
        out[chain] = walk(symbols[chain])[0]
    return out


def sources(symbols: np.ndarray, fine: bool, tiny: np.ndarray) -> np.ndarray:
    """(384,) which of the two quantisers each comes from."""
    out = np.zeros(384, np.int64)
    for chain in chains(fine, tiny):
        out[chain] = np.array(walk(symbols[chain])[1]) >> 1
    return out
