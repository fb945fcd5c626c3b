# SPDX-License-Identifier: Apache-2.0
"""Blocks of 8 whose vector is not that of their block of 16, but one of the blocks beside it."""

from __future__ import annotations

import numpy as np

from nvcodec.models.implicit.pyramid.adaptive import AdaptiveTables
from nvcodec.models.implicit.pyramid.maps import code_map
from nvcodec.models.motion.syntax import SymbolCoder

CHOICES_8 = 4  # the block's own vector, that of the block beside, above or below, and on the diagonal


def options(field: np.ndarray) -> np.ndarray:
    """field: (R, C, 2) vectors of blocks of 16. Returns (2R, 2C, 4, 2) what each block of 8 may take."""
    rows, columns = field.shape[:2]
    row, column = np.indices((2 * rows, 2 * columns))
    up = (row // 2 + np.where(row % 2, 1, -1)).clip(0, rows - 1)
    side = (column // 2 + np.where(column % 2, 1, -1)).clip(0, columns - 1)
    row, column = row // 2, column // 2
    return np.stack([field[row, column], field[row, side], field[up, column], field[up, side]], 2)


def code_blocks(
    choices: np.ndarray | None, field: np.ndarray, coder: SymbolCoder, split: AdaptiveTables, which: AdaptiveTables
) -> np.ndarray:
    """Write (choices (2R, 2C) given) or read which vector each block of 8 takes; returns (2R, 2C, 2)."""
    rows, columns = field.shape[:2]
    offered = options(field)
    distinct = (offered[:, :, 1:] != offered[:, :, :1]).any(3)  # (2R, 2C, 3)
    edge = distinct.any(2).reshape(rows, 2, columns, 2).any((1, 3))
    four = None
    if choices is not None:
        four = choices.reshape(rows, 2, columns, 2).any((1, 3)).astype(np.int64)
    none = np.zeros((rows, columns), np.int64)
    divided = code_map(four, none, edge, none, coder, split)
    here = np.nonzero(divided.repeat(2, 0).repeat(2, 1))
    context = (distinct[here] * np.array([1, 2, 4])).sum(1)
    result = np.zeros((2 * rows, 2 * columns), np.int64)
    coded = coder.code(choices[here] if choices is not None else context, context, which)
    result[here] = coded.clip(0, CHOICES_8 - 1)
    return np.take_along_axis(offered, result[..., None, None], 2)[:, :, 0]
