# SPDX-License-Identifier: Apache-2.0
"""What bits cost by the odds that an entropy coder begins with: encoder only, in floating point, nothing is learned.

`nvcodec.entropy.mixing` says how odds are mixed; here without bounds of each row, which are hardly ever reached.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nvcodec.compiled import compiled, place
from nvcodec.entropy.mixing import BETWEEN, LIMIT, MOST_INPUTS, ONE, POINTS, SQUASH, STRETCH, STRETCH_SHIFT
from nvcodec.vectors import load, sum_of

_LANES = MOST_INPUTS
_PARTS = 4096
_BITS = (-np.log2((np.arange(_PARTS + 1) + 0.5) / (_PARTS + 1))).astype(np.float32)
_SQUASHED = (SQUASH / ONE).astype(np.float32)


class Odds(NamedTuple):
    """Of each slot its probability in the logistic domain, (S,) int16, and rows of weights (W, MOST_INPUTS) and of
    curves (W, POINTS), float32."""

    stretched: np.ndarray
    weights: np.ndarray
    curves: np.ndarray


def odds_of(slots: np.ndarray, weights: np.ndarray) -> Odds:
    """From slots (S, 2) and weights (W, POINTS + inputs) int32."""
    padded = np.zeros((len(weights), _LANES), np.float32)
    padded[:, : weights.shape[1] - POINTS] = weights[:, POINTS:] / np.float32(2 * ONE)  # two rows are added up
    curves = np.ascontiguousarray(weights[:, :POINTS] / np.float32(4 * ONE), np.float32)
    return Odds(STRETCH[slots[:, 0] >> STRETCH_SHIFT].astype(np.int16), padded, curves)


def no_odds() -> Odds:
    """Of no slots."""
    return odds_of(np.zeros((0, 2), np.int32), np.zeros((0, POINTS), np.int32))


@compiled
def probability(odds, chosen, count, beyond, inputs, first, second):
    """Of a one: of the ``count`` slots chosen, each so many ``beyond``, mixed by two rows; inputs: (MOST_INPUTS,)
    float32 zeros, room."""
    stretched, weights, curves = odds.stretched, odds.weights, odds.curves
    for i in range(count):
        inputs[i] = np.float32(stretched[place(chosen[i] + beyond)])
    x = sum_of(load(inputs, 0, _LANES) * (load(weights, (first, 0), _LANES) + load(weights, (second, 0), _LANES)))
    x = min(max(x, np.float32(-LIMIT)), np.float32(LIMIT))
    at = (x + np.float32(LIMIT + 1)) * np.float32(1 / BETWEEN)
    low = np.int64(at)
    part = at - np.float32(low)
    learned = (curves[first, low] + curves[second, low]) * (np.float32(1) - part)
    learned += (curves[first, low + 1] + curves[second, low + 1]) * part
    return _SQUASHED[np.int64(x + np.float32(LIMIT))] * np.float32(0.5) + learned


@compiled
def bits_of(chance):
    """Of what has a probability."""
    return _BITS[min(max(np.int64(chance * _PARTS), 0), _PARTS)]
