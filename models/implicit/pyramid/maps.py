# SPDX-License-Identifier: Apache-2.0
"""Maps of small integers (transform sizes, prediction modes), coded from coarse to fine like fields of vectors."""

from __future__ import annotations

import numpy as np

from nvcodec.models.implicit.pyramid.adaptive import AdaptiveTables
from nvcodec.models.motion.syntax import SymbolCoder, coding_passes

VALUES = 3
_LEVELS = 3
_PAIRS = 15  # how many of four neighbours have value 1, and how many 2
_PAIR = np.array([[0, 1, 2, 3, 4], [5, 6, 7, 8, 0], [9, 10, 11, 0, 0], [12, 13, 0, 0, 0], [14, 0, 0, 0, 0]])


def map_contexts(extra: int) -> int:
    """Number of contexts of a map with ``extra`` contexts of its own."""
    return _LEVELS * _PAIRS * extra


def code_map(
    values: np.ndarray | None,
    known: np.ndarray,
    open_places: np.ndarray,
    extra: np.ndarray,
    coder: SymbolCoder,
    tables: AdaptiveTables,
) -> np.ndarray:
    """Write (values given) or read a map (R, C) of 0, 1, 2.

    known: (R, C) what stands where nothing is coded; open_places: (R, C) bool; extra: (R, C) context of each place.
    """
    rows, columns = known.shape
    result = np.where(open_places, 0, known)
    for blocks in coding_passes(rows, columns):
        here = np.flatnonzero(open_places[blocks.rows, blocks.columns])
        if not len(here):
            continue
        r, c = blocks.rows[here], blocks.columns[here]
        around = np.where(blocks.present[here], result[blocks.neighbour_rows[here], blocks.neighbour_columns[here]], 0)
        level = {0: 0, 1: 0, 2: 1, 3: 1, 4: 2}[blocks.level]
        pair = _PAIR[(around == 1).sum(1), (around == 2).sum(1)]
        contexts = (extra[r, c] * _LEVELS + level) * _PAIRS + pair
        coded = coder.code(values[r, c] if values is not None else contexts, contexts, tables).clip(0, VALUES - 1)
        result[r, c] = coded
    return result
