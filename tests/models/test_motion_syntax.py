# SPDX-License-Identifier: Apache-2.0
"""Fields of block vectors come back as they were written, whatever they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nvcodec.entropy.rans import RansReader, RansWriter
from nvcodec.entropy.tables import TableSet
from nvcodec.models.implicit.pyramid.tables import Tables
from nvcodec.models.motion.syntax import (
    CHOICE_CONTEXTS,
    CHOICES,
    CLASS_CONTEXTS,
    CLASSES,
    MAX_VECTOR,
    Candidates,
    MotionCounter,
    MotionTables,
    Pass,
    code_field,
    coding_passes,
)

FLAT = MotionCounter().tables()  # of no statistics: every symbol that can occur is about as likely
KINDS = ("zero", "constant", "smooth", "patches", "noise", "limits")


def make_field(kind: str, rows: int, columns: int, seed: int) -> np.ndarray:
    """(rows, columns, 2) int32 quarter pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns]
    shape = (rows, columns, 2)
    if kind == "zero":
        field = np.zeros(shape)
    elif kind == "constant":
        field = np.broadcast_to(rng.integers(-MAX_VECTOR, MAX_VECTOR + 1, 2), shape)
    elif kind == "smooth":
        zoom = rng.normal(0, 3, (2, 2))
        field = np.stack([zoom[0, 0] * x + zoom[0, 1] * y, zoom[1, 0] * x + zoom[1, 1] * y], -1)
    elif kind == "patches":
        palette = rng.integers(-40, 41, (3, 2))
        field = palette[
            rng.integers(0, 3, (rows // 4 + 1, columns // 4 + 1)).repeat(4, 0).repeat(4, 1)[:rows, :columns]
        ]
    elif kind == "noise":
        field = rng.integers(-MAX_VECTOR, MAX_VECTOR + 1, shape)
    else:
        field = rng.choice([-MAX_VECTOR, 0, MAX_VECTOR], shape)
    return np.clip(np.rint(field), -MAX_VECTOR, MAX_VECTOR).astype(np.int32)


def write(field: np.ndarray, before: np.ndarray, tables: MotionTables) -> bytes:
    writer = RansWriter()

    def choose(blocks: Pass, known: Candidates) -> np.ndarray:
        return field[blocks.rows, blocks.columns]

    assert np.array_equal(code_field(*field.shape[:2], before, writer, tables, choose), field)
    return writer.finish()


def read(payload: bytes, before: np.ndarray, tables: MotionTables) -> np.ndarray:
    rows, columns = before.shape[:2]
    return code_field(rows, columns, before, RansReader(payload, 7 * rows * columns), tables)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 40),
    st.integers(1, 70),
    st.sampled_from(KINDS),
    st.sampled_from([*KINDS, "same"]),
    st.integers(0, 1 << 30),
)
@example(1, 1, "noise", "noise", 0)
@example(1, 1, "zero", "zero", 0)
@example(33, 33, "limits", "limits", 1)
@example(68, 120, "patches", "same", 2)
def test_round_trip(rows: int, columns: int, kind: str, kind_before: str, seed: int) -> None:
    field = make_field(kind, rows, columns, seed)
    before = field if kind_before == "same" else make_field(kind_before, rows, columns, seed + 1)
    assert np.array_equal(read(write(field, before, FLAT), before, FLAT), field)


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_with_the_tables_that_pyramids_begin_with(kind: str) -> None:
    tables = Tables().motion
    field, before = (make_field(kind, 17, 40, seed) for seed in (5, 6))
    assert np.array_equal(read(write(field, before, tables), before, tables), field)


def test_every_difference_comes_back() -> None:
    """One block on its own, predicted by its vector before: all differences there are, both ways."""
    for sign in (1, -1):
        before = np.full((1, 1, 2), -sign * MAX_VECTOR, np.int32)
        for difference in (*range(1, 70), *range(120, 2 * MAX_VECTOR, 61), 2 * MAX_VECTOR - 1, 2 * MAX_VECTOR):
            field = np.array([[[sign * (difference - MAX_VECTOR), -sign * MAX_VECTOR]]], np.int32)
            assert np.array_equal(read(write(field, before, FLAT), before, FLAT), field), difference


@given(st.integers(1, 75), st.integers(1, 75))
@settings(deadline=None, max_examples=40)
def test_each_block_is_coded_once_after_the_neighbours_it_leans_on(rows: int, columns: int) -> None:
    known = np.zeros((rows, columns), bool)
    for blocks in coding_passes(rows, columns):
        assert not known[blocks.rows, blocks.columns].any()
        assert known[blocks.neighbour_rows, blocks.neighbour_columns][blocks.present].all()
        known[blocks.rows, blocks.columns] = True
    assert known.all()


@pytest.mark.parametrize("kind", ["zero", "constant"])
def test_what_repeats_costs_next_to_nothing(kind: str) -> None:
    """Once the tables have seen as much: nothing moves; everything goes on moving as it did."""
    counter, field = MotionCounter(), make_field(kind, 34, 80, 7)
    code_field(34, 80, field, counter, FLAT, lambda blocks, known: field[blocks.rows, blocks.columns])
    assert 8 * len(write(field, field, counter.tables())) < 0.1 * 34 * 80


def test_counting_is_a_coder_too() -> None:
    """Tables counted from a field make it cheaper, and code any other."""
    counter = MotionCounter()
    fields = [make_field("patches", 20, 30, seed) for seed in range(6)]
    for field, before in zip(fields[1:], fields, strict=False):
        code_field(20, 30, before, counter, FLAT, lambda blocks, known, field=field: field[blocks.rows, blocks.columns])
    assert counter.choice.sum() == 5 * 20 * 30
    tables = counter.tables()
    assert (len(tables.choice), len(tables.classes)) == (CHOICE_CONTEXTS, CLASS_CONTEXTS)
    assert len(write(fields[1], fields[0], tables)) < len(write(fields[1], fields[0], FLAT))
    noise = make_field("noise", 20, 30, 9)
    assert np.array_equal(read(write(noise, fields[0], tables), fields[0], tables), noise)


@pytest.mark.parametrize("tables", [FLAT, Tables().motion], ids=["counted", "pyramid"])
def test_tables_have_the_shape_of_the_syntax(tables: MotionTables) -> None:
    def sizes(table_set: TableSet) -> set[int]:
        return {len(row) - 2 for row in table_set.rows}

    assert len(tables.choice) == CHOICE_CONTEXTS
    assert len(tables.classes) == CLASS_CONTEXTS
    assert sizes(tables.choice) == {CHOICES}
    assert sizes(tables.classes) == {CLASSES}
