# SPDX-License-Identifier: Apache-2.0
"""Syntax of quantised transform coefficients: per block how far they reach, then magnitudes diagonal by diagonal.

All blocks of one shape are coded together: every diagonal is one array operation over them, each magnitude in the
context of its lower-frequency neighbours. Signs follow as plain bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nvcodec.entropy.tables import TableSet
from nvcodec.models.implicit.pyramid.adaptive import AdaptiveTables
from nvcodec.models.motion.syntax import SymbolCoder

SHAPES = (32, 16, 8)  # sides of luma transforms; chroma has 16 and 8
INTRA, ANCHOR, BETWEEN = range(3)  # kinds of frames
KINDS = 3
MAGNITUDES = 15  # 0 to 14; larger ones escape
MAX_MAGNITUDE = 1 << 14
ACTIVITIES, DIAGONALS, REMAINDERS, PLANE_SHAPES, SIDES = 8, 7, 3, 5, 8
_ACTIVITY = np.array([0, 1, 2, 3, 4, 5, 5, 6, 6, 6] + [7] * 40)
_NEIGHBOUR_LIMIT = 4
_DIAGONAL = {
    8: (0, 1, 2, 3, 4, 6, 8),
    16: (0, 1, 2, 3, 5, 8, 12),
    32: (0, 1, 2, 4, 7, 11, 17),
}  # first diagonal of each class


def magnitude_contexts() -> int:
    """Number of contexts of a magnitude."""
    return KINDS * PLANE_SHAPES * REMAINDERS * DIAGONALS * ACTIVITIES


def extent_contexts() -> int:
    """Number of contexts of an extent."""
    return KINDS * PLANE_SHAPES * SIDES


@dataclass
class CoefficientTables:
    """``magnitudes``: magnitude_contexts() tables; ``extents``: extent_contexts() tables of 0 (empty) to 63."""

    magnitudes: AdaptiveTables
    extents: AdaptiveTables


@lru_cache(maxsize=8)
def diagonal_of(size: int) -> np.ndarray:
    """(size, size) number of the diagonal of each coefficient."""
    return np.add.outer(np.arange(size), np.arange(size))


@lru_cache(maxsize=8)
def _class_of_diagonal(size: int) -> np.ndarray:
    return np.searchsorted(_DIAGONAL[size], np.arange(2 * size - 1), side="right") - 1


def plane_shape(size: int, chroma: bool) -> int:
    """Statistics class of a transform."""
    return (3 if size == 16 else 4) if chroma else SHAPES.index(size)


def activity(padded: np.ndarray) -> np.ndarray:
    """Class of what lies at lower frequencies. padded: (N, n + 2, n + 2) magnitudes clipped to 4, two zeros before."""
    near = padded[:, 1:-1, 2:] + padded[:, 2:, 1:-1]
    far = padded[:, 1:-1, 1:-1] + padded[:, :-2, 2:] + padded[:, 2:, :-2]
    return _ACTIVITY[2 * near + far]


def all_contexts(magnitudes: np.ndarray, extents: np.ndarray, kind: int, shape: int) -> np.ndarray:
    """Context of every magnitude of (N, n, n) given extents (N,): what the encoder weighs its choices with."""
    size = magnitudes.shape[1]
    padded = np.zeros((len(magnitudes), size + 2, size + 2), np.int8)
    np.minimum(magnitudes, _NEIGHBOUR_LIMIT, out=padded[:, 2:, 2:], casting="unsafe")
    diagonal = diagonal_of(size)
    remainder = _remainder(extents[:, None, None] - 1 - diagonal)
    base = (kind * PLANE_SHAPES + shape) * REMAINDERS
    return ((base + remainder) * DIAGONALS + _class_of_diagonal(size)[diagonal]) * ACTIVITIES + activity(padded)


def _remainder(diagonals_left: np.ndarray) -> np.ndarray:
    return (diagonals_left > 0).astype(np.int64) + (diagonals_left > 2)


def code_coefficients(
    symbols: np.ndarray | None,
    count: int,
    size: int,
    kind: int,
    chroma: bool,
    sides: np.ndarray,
    coder: SymbolCoder,
    tables: CoefficientTables,
) -> np.ndarray:
    """Write (symbols (count, size, size) given) or read the blocks of one shape: the one declaration of the syntax.

    sides: (count,) context of the extents, 0 to SIDES - 1. Returns the symbols, int32.
    """
    shape = plane_shape(size, chroma)
    result = np.zeros((count, size, size), np.int32)
    if not count:
        return result
    diagonal = diagonal_of(size)
    magnitudes = np.abs(symbols) if symbols is not None else None
    extents = np.zeros(count, np.int64)
    if magnitudes is not None:
        extents = ((magnitudes > 0) * (diagonal + 1)).max((1, 2))
    contexts = (kind * PLANE_SHAPES + shape) * SIDES + sides
    extents = coder.code(extents, contexts, tables.extents).clip(0, 2 * size - 1)
    padded = np.zeros((count, size + 2, size + 2), np.int8)
    order = np.argsort(-extents, kind="stable")  # blocks still active at a diagonal come first
    reach = np.bincount(extents, minlength=2 * size)[::-1].cumsum()[::-1]
    base = (kind * PLANE_SHAPES + shape) * REMAINDERS
    for d in range(int(extents.max())):
        active = order[: reach[d + 1]][:, None]
        u = np.arange(max(0, d - size + 1), min(d, size - 1) + 1)[None]
        v = d - u
        near = padded[active, u + 1, v + 2] + padded[active, u + 2, v + 1]
        far = padded[active, u + 1, v + 1] + padded[active, u, v + 2] + padded[active, u + 2, v]
        context = (base + _remainder(extents[active] - 1 - d)) * DIAGONALS + _class_of_diagonal(size)[d]
        context = (context * ACTIVITIES + _ACTIVITY[2 * near + far]).ravel()
        values = magnitudes[active, u, v].ravel() if magnitudes is not None else context
        values = coder.code(values, context, tables.magnitudes).clip(0, MAX_MAGNITUDE)
        result[active, u, v] = values.reshape(len(active), -1)
        padded[active, u + 2, v + 2] = np.minimum(values, _NEIGHBOUR_LIMIT).reshape(len(active), -1)
    where = np.nonzero(result)
    negative = symbols[where] < 0 if symbols is not None else where[0]
    negative = coder.code(np.asarray(negative, np.int64), np.zeros(len(where[0]), np.int64), SIGNS)
    result[where] = np.where(negative > 0, -result[where], result[where])
    return result


SIGNS = TableSet.from_pmfs([np.ones(2)], [0], [1e-9])
