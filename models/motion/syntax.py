# SPDX-License-Identifier: Apache-2.0
"""Syntax of a field of block vectors: from a few far apart to all of them, each a choice among its neighbours'.

The field is coded in passes over ever finer grids. Grid points 32 blocks apart come first; then, for spacing 32, 16, 8,
4, 2, the centres of the squares (known neighbours on four diagonals) and the middles of the edges (known neighbours on
four sides). So nearly every vector is predicted from all around it, a pass is one array operation, and no block waits
for the one before it.

A block's candidates are its four neighbours, the vector at its place in the last frame, and zero, ordered by how many
of them agree. The symbol is the rank of the candidate that is right, or NEW: then two differences to the neighbours'
median follow, each a magnitude class and plain bits. Integers throughout; contexts are counted agreements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from nvcodec.entropy.tables import TableSet

CANDIDATES = 6
NEW = CANDIDATES
CHOICES = CANDIDATES + 1
CLASSES = 12  # magnitude classes: bits of |difference|, 0 to 11
MAX_VECTOR = 1023
TOP_SPACING = 32
LEVELS = 5  # statistics: grid points, spacing 8 and more, 4, centres at 2, edges at 2
CHOICE_CONTEXTS = LEVELS * CANDIDATES * CANDIDATES * 2
CLASS_CONTEXTS = LEVELS * 2


class SymbolCoder(Protocol):
    """A RansWriter, a RansReader or a counter."""

    def code(self, values: np.ndarray, indices: np.ndarray, tables: TableSet) -> np.ndarray: ...


@dataclass(frozen=True)
class MotionTables:
    """``choice``: CHOICE_CONTEXTS tables of CHOICES symbols; ``classes``: CLASS_CONTEXTS tables of CLASSES symbols."""

    choice: TableSet
    classes: TableSet


@dataclass(frozen=True)
class Pass:
    """Blocks coded together: their places, and the places and presence of their four neighbours."""

    rows: np.ndarray  # (N,)
    columns: np.ndarray
    neighbour_rows: np.ndarray  # (N, 4), clipped to the field
    neighbour_columns: np.ndarray
    present: np.ndarray  # (N, 4) bool
    level: int


@lru_cache(maxsize=8)
def coding_passes(rows: int, columns: int) -> tuple[Pass, ...]:
    """The passes over a field of rows x columns blocks."""
    grid = np.meshgrid(np.arange(0, rows, TOP_SPACING), np.arange(0, columns, TOP_SPACING), indexing="ij")
    passes = [_make_pass(grid[0].ravel(), grid[1].ravel(), (), rows, columns, 0)]
    spacing = TOP_SPACING
    while spacing > 1:
        half = spacing // 2
        r, c = (a.ravel() for a in np.meshgrid(np.arange(0, rows, half), np.arange(0, columns, half), indexing="ij"))
        odd_r, odd_c = (r // half) % 2 == 1, (c // half) % 2 == 1
        coarse = 1 if spacing >= 8 else 2
        centres, edges = odd_r & odd_c, odd_r ^ odd_c
        diagonal = ((-half, -half), (-half, half), (half, -half), (half, half))
        straight = ((-half, 0), (half, 0), (0, -half), (0, half))
        passes.append(_make_pass(r[centres], c[centres], diagonal, rows, columns, 3 if spacing == 2 else coarse))
        passes.append(_make_pass(r[edges], c[edges], straight, rows, columns, 4 if spacing == 2 else coarse))
        spacing = half
    return tuple(p for p in passes if len(p.rows))


def _make_pass(r: np.ndarray, c: np.ndarray, offsets: tuple, rows: int, columns: int, level: int) -> Pass:
    shifts = np.array(offsets or ((0, 0),) * 4)
    nr, nc = r[:, None] + shifts[:, 0], c[:, None] + shifts[:, 1]
    present = (nr >= 0) & (nr < rows) & (nc >= 0) & (nc < columns) & bool(offsets)
    return Pass(r, c, nr.clip(0, rows - 1), nc.clip(0, columns - 1), present, level)


@dataclass
class Candidates:
    """Per block of a pass: ``vectors`` (N, 6, 2) best first, ``distinct`` (N,) how many of them differ, ``predictor``
    (N, 2) of a new vector, ``contexts`` (N,) of the choice, ``level`` of the pass."""

    vectors: np.ndarray
    distinct: np.ndarray
    predictor: np.ndarray
    contexts: np.ndarray
    level: int


def candidates(field: np.ndarray, before: np.ndarray, blocks: Pass) -> Candidates:
    """field: (R, C, 2) with the earlier passes filled in; before: (R, C, 2) the last frame's field."""
    count = len(blocks.rows)
    around = field[blocks.neighbour_rows, blocks.neighbour_columns]  # (N, 4, 2)
    last = before[blocks.rows, blocks.columns]
    vectors = np.zeros((count, CANDIDATES, 2), np.int32)
    vectors[:, :4], vectors[:, 4] = around, last
    present = np.ones((count, CANDIDATES), bool)
    present[:, :4] = blocks.present
    key = np.where(present, vectors[..., 0] * 8192 + vectors[..., 1], (1 << 28) + np.arange(CANDIDATES))
    equal = key[:, :, None] == key[:, None, :]
    votes = equal.sum(2)
    repeated = (equal & np.tri(CANDIDATES, k=-1, dtype=bool)).any(2) | ~present
    order = np.argsort(repeated * 100 - votes * 8 + np.arange(CANDIDATES), axis=1, kind="stable")
    vectors = np.take_along_axis(vectors, order[..., None], 1)
    distinct = CANDIDATES - repeated.sum(1)
    agreement = np.take_along_axis(votes, order[:, :1], 1)[:, 0]
    same_as_last = (vectors[:, 0] == last).all(1)
    contexts = ((blocks.level * CANDIDATES + agreement - 1) * CANDIDATES + distinct - 1) * 2 + same_as_last
    spread = np.where(blocks.present[..., None], around, last[:, None])
    ordered = np.sort(spread, axis=1)
    predictor = (ordered[:, 1] + ordered[:, 2]) // 2
    return Candidates(vectors, distinct, predictor, contexts, blocks.level)


Choose = Callable[[Pass, Candidates], np.ndarray]


def code_field(
    rows: int, columns: int, before: np.ndarray, coder: SymbolCoder, tables: MotionTables, choose: Choose | None = None
) -> np.ndarray:
    """Write or read a field of vectors: the one declaration of the syntax.

    before: (R, C, 2) int, the last frame's field (zeros after an intra frame). choose: at the encoder, picks the
    vectors (N, 2) of a pass given its candidates; None at the decoder. Returns the field (R, C, 2) int32, quarter
    pixels within +-1023.
    """
    field = np.zeros((rows, columns, 2), np.int32)
    for blocks in coding_passes(rows, columns):
        known = candidates(field, before, blocks)
        wanted = choose(blocks, known) if choose else None
        field[blocks.rows, blocks.columns] = _code_pass(known, wanted, coder, tables)
    return field


def _code_pass(known: Candidates, wanted: np.ndarray | None, coder: SymbolCoder, tables: MotionTables) -> np.ndarray:
    choice = np.zeros(len(known.contexts), np.int64)
    if wanted is not None:
        choice = choices_of(known, wanted)
    choice = coder.code(choice, known.contexts, tables.choice).clip(0, NEW)
    vectors = known.vectors[np.arange(len(choice)), np.minimum(choice, CANDIDATES - 1)]
    new = np.flatnonzero(choice == NEW)
    if len(new):
        difference = (wanted[new] - known.predictor[new]) if wanted is not None else np.zeros((len(new), 2), np.int64)
        contexts = np.tile([known.level * 2, known.level * 2 + 1], len(new))
        coded = _code_differences(difference.reshape(-1), contexts, coder, tables)
        vectors[new] = (known.predictor[new] + coded.reshape(-1, 2)).clip(-MAX_VECTOR, MAX_VECTOR)
    return vectors


def choices_of(known: Candidates, wanted: np.ndarray) -> np.ndarray:
    """(N,) rank of the first candidate equal to the wanted vector, or NEW."""
    match = (known.vectors == wanted[:, None]).all(2) & (np.arange(CANDIDATES) < known.distinct[:, None])
    return np.where(match.any(1), match.argmax(1), NEW)


def _code_differences(values: np.ndarray, contexts: np.ndarray, coder: SymbolCoder, tables: MotionTables) -> np.ndarray:
    """Class k = bits of |d|; then k plain bits: the k - 1 low bits of |d| and, on top, its sign."""
    magnitude = np.abs(values)
    k = np.where(magnitude > 0, np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int64) + 1, 0)
    low = np.where(k > 0, magnitude - (1 << np.maximum(k - 1, 0)), 0)
    rest = low + np.where(values < 0, 1 << np.maximum(k - 1, 0), 0)
    k = coder.code(k, contexts, tables.classes).clip(0, CLASSES - 1)
    plain = np.flatnonzero(k > 0)
    rest_coded = np.zeros(len(k), np.int64)
    rest_coded[plain] = _code_plain(rest[plain], k[plain], coder)
    sign_bit = 1 << np.maximum(k - 1, 0)
    negative = rest_coded >= sign_bit
    magnitude = sign_bit + rest_coded - np.where(negative, sign_bit, 0)
    return np.where(k > 0, np.where(negative, -magnitude, magnitude), 0)


def _code_plain(values: np.ndarray, widths: np.ndarray, coder: SymbolCoder) -> np.ndarray:
    """Equiprobable bits: the lowest six, then what is above them."""
    low = coder.code(values & 63, np.minimum(widths, 6) - 1, _PLAIN).clip(0, 63)
    wide = np.flatnonzero(widths > 6)
    result = low.copy()
    result[wide] |= coder.code(values[wide] >> 6, widths[wide] - 7, _PLAIN).clip(0, 63) << 6
    return result


_PLAIN = TableSet.from_pmfs([np.ones(2**width) for width in range(1, 7)], [0] * 6, [1e-9] * 6)


class MotionCounter:
    """Counts choices and classes over many fields; its tables are what ships."""

    def __init__(self) -> None:
        self.choice = np.zeros((CHOICE_CONTEXTS, CHOICES))
        self.classes = np.zeros((CLASS_CONTEXTS, CLASSES))

    def code(self, values: np.ndarray, indices: np.ndarray, tables: TableSet) -> np.ndarray:
        """Count (plain bits need no statistics)."""
        counts = {CHOICE_CONTEXTS: self.choice, CLASS_CONTEXTS: self.classes}.get(len(tables))
        if counts is not None:
            np.add.at(counts, (indices, values), 1)
        return values

    def tables(self) -> MotionTables:
        """Relative frequencies; contexts seen seldom lean on those with the same agreement and fewer details."""
        shape = (LEVELS, CANDIDATES, CANDIDATES, 2, CHOICES)
        counts = self.choice.reshape(shape)
        everything = counts.sum((0, 2, 3), keepdims=True) + 0.5
        by_level = counts.sum((2, 3), keepdims=True) + 4 * everything / everything.sum(-1, keepdims=True)
        by_distinct = counts.sum(3, keepdims=True) + 4 * by_level / by_level.sum(-1, keepdims=True)
        choice = counts + 4 * by_distinct / by_distinct.sum(-1, keepdims=True)
        distinct = np.arange(1, CANDIDATES + 1)[None, None, :, None, None]
        rank = np.arange(CHOICES)
        impossible = (rank >= distinct) & (rank != NEW)
        choice = np.where(impossible, 0, choice).reshape(CHOICE_CONTEXTS, CHOICES)
        classes = self.classes + self.classes.sum(0) * 4 / max(1, self.classes.sum()) + 0.05
        return MotionTables(_normalised(choice), _normalised(classes))


def _normalised(counts: np.ndarray) -> TableSet:
    rows = list(counts / counts.sum(1, keepdims=True))
    return TableSet.from_pmfs(rows, [0] * len(rows), [1e-9] * len(rows))
