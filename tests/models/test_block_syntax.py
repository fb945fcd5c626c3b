# SPDX-License-Identifier: Apache-2.0
"""Decisions of blocks to bytes and back, and what a reader makes of bytes that nobody wrote."""

from __future__ import annotations

import numpy as np
import pytest
from block_samples import (
    ENERGIES,
    MODES,
    Decisions,
    Frame,
    check_bounds,
    check_knowledge,
    confused,
    copy_of,
    first_frame,
    know_the_same,
    move,
    new_decisions,
    next_frame,
    order_of,
    parts_of,
    random_blocks,
    random_last,
    random_scale,
    read,
    same,
    write,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nvcodec.entropy import binary
from nvcodec.models.conditional.frame_coder import MAX_SCALE, stretch
from nvcodec.models.conditional.picture import Blocks
from nvcodec.models.kernels import syntax
from nvcodec.models.kernels.compensation import BOTH, FIRST, SECOND
from nvcodec.models.kernels.decisions import CONTEXTS, FILTERED, IS_FINER, IS_NETWORK, LEVEL_BANDS
from nvcodec.models.kernels.decisions import NETWORK as NETWORK_CONTEXT
from nvcodec.models.kernels.motion import FOUR_PARTS, MAX_VECTOR, ONE_PART, TWO_COLUMNS, TWO_ROWS
from nvcodec.models.kernels.residual import RATE_CLASSES
from nvcodec.models.kernels.restore import BANKS, NETWORK
from nvcodec.models.kernels.syntax import (
    ALONE,
    MAX_FINER,
    SHARED,
    WHOLE,
    begins_unit,
    block_at,
    code_banks,
    code_finer,
    likely_modes,
)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 4), (5, 1), (2, 2), (3, 4), (4, 3), (5, 7), (6, 6)])
def test_blocks_follow_each_other_in_units(rows: int, columns: int) -> None:
    assert [block_at(n, rows, columns) for n in range(rows * columns)] == order_of(rows, columns)
    beginning = {(r, c) for r in range(rows) for c in range(columns) if begins_unit(r, c, rows, columns)}
    assert beginning == {(2 * r, 2 * c) for r in range(rows // 2) for c in range(columns // 2)}


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 5), st.lists(st.integers(0, 2), max_size=4),
    st.sampled_from([2, 40, MAX_VECTOR]),
)  # fmt: skip
@example(0, 1, 1, [2, 2, 1], MAX_VECTOR)
@example(1, 4, 5, [2, 2, 2, 2], MAX_VECTOR)
def test_round_trip(seed: int, rows: int, columns: int, counts: list[int], reach: int) -> None:
    """A few frames, each with the one before it as the field that merged blocks look at; both sides learn the same."""
    random, frame = np.random.default_rng(seed), first_frame(rows, columns)
    writing, reading = new_decisions(), new_decisions()
    for number, references in enumerate([0, *counts]):
        frame = Frame(references, frame.last, random_scale(random, references))
        blocks = random_blocks(random, rows, columns, frame, reach)
        check_bounds(blocks, frame)
        wanted = copy_of(blocks)
        band, distances = int(random.integers(LEVEL_BANDS)), tuple(int(d) for d in random.integers(1, 20, references))
        writing, reading = (next_frame(d, band, references > 0, distances) for d in (writing, reading))
        payload = write(blocks, frame, writing)
        assert same(blocks, wanted)  # canonical decisions are not changed by writing
        assert same(read(payload, rows, columns, frame, reading, seed + number), wanted)
        assert know_the_same(writing, reading)
        frame = Frame(0, blocks, frame.scale)


def test_round_trips_see_every_shape_and_kind_of_part() -> None:
    """Parts that are merged with others of the same block among them."""
    random, seen, inside = np.random.default_rng(0), set(), 0
    frame = Frame(2, random_last(random, 4, 5), random_scale(random, 2))
    for _ in range(20):
        blocks = random_blocks(random, 4, 5, frame, 40)
        for (r, c), shape in np.ndenumerate(blocks.shapes):
            for number, (i, j, _, _) in enumerate(parts_of(int(shape))):
                part = int(blocks.parts[2 * r + i, 2 * c + j])
                seen.add((int(shape), number, part > 0))
                inside += number > 0 and part > 0 and shape != ONE_PART
    several = {(s, n, m) for s in (TWO_ROWS, TWO_COLUMNS, FOUR_PARTS) for n in range(len(parts_of(s))) for m in (0, 1)}
    assert seen == several | {(ONE_PART, 0, False)}
    assert inside


@pytest.mark.parametrize("large", [ALONE, SHARED])
def test_a_still_frame_costs_next_to_nothing(large: int) -> None:
    rows, columns = 20, 30
    decisions, last = new_decisions(), Blocks(rows, columns)
    nbytes = []
    for _ in range(6):
        blocks, frame = Blocks(rows, columns), Frame(1, last, np.array([256, 0]))
        blocks.pred[:], blocks.kinds[:], blocks.merged[:], blocks.large[:] = FIRST, FIRST, 1, large
        nbytes.append(len(write(blocks, frame, decisions)))
        last = blocks
    assert nbytes[-1] < 8  # of 600 blocks


def test_units_save_what_their_blocks_would_repeat() -> None:
    """The same decisions, said once for four blocks or four times."""
    nbytes = []
    for large in (ALONE, WHOLE):
        random, decisions, total = np.random.default_rng(3), new_decisions(), 0
        for _ in range(4):
            blocks = Blocks(8, 8)
            vectors = random.integers(-40, 41, (2, 4, 4, 2)).repeat(4, 1).repeat(4, 2)
            blocks.pred[:], blocks.kinds[:], blocks.vectors[:] = BOTH, BOTH, vectors
            blocks.coded[:], blocks.large[:] = 1, large
            blocks.energy[:] = random.integers(0, ENERGIES, (4, 4)).repeat(2, 0).repeat(2, 1)
            total += len(write(blocks, Frame(2, Blocks(8, 8), np.zeros(2, np.int64)), decisions))
        nbytes.append(total)
    assert nbytes[1] < 0.7 * nbytes[0]


@pytest.mark.parametrize("shape", [ONE_PART, TWO_ROWS, TWO_COLUMNS])
def test_fewer_parts_save_what_quarters_would_repeat(shape: int) -> None:
    """The same motion, said for each part or four times."""
    nbytes = []
    for said in (shape, FOUR_PARTS):
        random, decisions, total = np.random.default_rng(4), new_decisions(), 0
        for _ in range(4):
            blocks = Blocks(8, 8)
            blocks.pred[:], blocks.shapes[:] = FIRST, said
            for r, c in order_of(8, 8):
                for i, j, height, width in parts_of(shape):
                    move(blocks, 2 * r + i, 2 * c + j, height, width, (FIRST, *random.integers(-40, 41, 2), 0, 0))
            total += len(write(blocks, Frame(1, Blocks(8, 8), np.zeros(2, np.int64)), decisions))
        nbytes.append(total)
    assert nbytes[0] < 0.75 * nbytes[1]


# --- levels of units


def code_levels(payload: bytes | None, coded: np.ndarray, finer: np.ndarray, decisions: Decisions) -> bytes:
    """Write them, or read them into ``finer``."""
    buffer = np.zeros(4096, np.uint8)
    state = binary.start_writing(buffer)
    if payload is not None:
        state, buffer = binary.start_reading(payload)
    code_finer(state, buffer, decisions, coded, finer)
    return binary.finish_writing(state, buffer) if payload is None else b""


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 7))
def test_levels_of_units_come_back(seed: int, rows: int, columns: int) -> None:
    """As far as they matter: a unit in which nothing is coded takes its neighbour's."""
    random = np.random.default_rng(seed)
    here, there = new_decisions(), new_decisions()
    for _ in range(3):
        coded = (random.random((rows, columns)) < random.random()).astype(np.uint8)
        shape = (rows + 1) // 2, (columns + 1) // 2
        wanted = random.integers(-MAX_FINER, MAX_FINER + 1, shape).astype(np.int8)
        written, found = wanted.copy(), random.integers(-128, 128, shape).astype(np.int8)
        payload = code_levels(None, coded, written, here)
        code_levels(payload, coded, found, there)
        assert np.array_equal(found, written)
        assert know_the_same(here, there)
        for (r, c), level in np.ndenumerate(found):
            if coded[2 * r : 2 * r + 2, 2 * c : 2 * c + 2].any() and wanted.any():
                assert level == wanted[r, c]
            else:
                assert level == (0 if not wanted.any() else found[r, c - 1] if c else found[r - 1, c] if r else 0)


def test_levels_that_are_all_the_frames_cost_next_to_nothing() -> None:
    decisions, coded = new_decisions(), np.ones((8, 8), np.uint8)
    assert sum(len(code_levels(None, coded, np.zeros((4, 4), np.int8), decisions)) for _ in range(20)) <= 20


@settings(max_examples=30)
@given(st.binary(max_size=60))
def test_any_bytes_are_levels_within_their_range(payload: bytes) -> None:
    coded, finer = np.ones((6, 9), np.uint8), np.zeros((3, 5), np.int8)
    code_levels(payload, coded, finer, confused(np.random.default_rng(len(payload))))
    assert np.abs(finer.astype(int)).max() <= MAX_FINER


# --- banks of filters, and the network


def code_all_banks(payload: bytes | None, blocks: Blocks, last: Blocks, decisions: Decisions) -> bytes:
    """Write those of ``blocks``, or read them into it."""
    buffer = np.zeros(4096, np.uint8)
    state = binary.start_writing(buffer)
    if payload is not None:
        state, buffer = binary.start_reading(payload)
    code_banks(state, buffer, decisions, blocks.coded, blocks.energy, last.banks, blocks.banks)
    return binary.finish_writing(state, buffer) if payload is None else b""


def with_banks(random: np.random.Generator, rows: int, columns: int) -> Blocks:
    blocks = Blocks(rows, columns)
    blocks.coded[:] = random.random((rows, columns)) < random.random()
    blocks.energy[:] = random.integers(0, ENERGIES, (rows, columns)) * blocks.coded
    blocks.banks[:] = random.integers(0, BANKS + 1, blocks.banks.shape)
    share = random.choice([0.0, random.random(), 1.0])  # of units that the network restores
    blocks.banks[random.random(blocks.banks.shape) < share] = NETWORK
    blocks.banks *= random.random(blocks.banks.shape) < random.choice([random.random(), 1.0])
    return blocks


def read_banks(payload: bytes, like: Blocks, last: Blocks, decisions: Decisions, seed: int = 0) -> np.ndarray:
    blocks = copy_of(like)
    blocks.banks[:] = np.random.default_rng(seed).integers(0, 256, blocks.banks.shape)  # whatever lay there before
    code_all_banks(payload, blocks, last, decisions)
    return blocks.banks


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 7))
def test_banks_come_back(seed: int, rows: int, columns: int) -> None:
    random, last = np.random.default_rng(seed), Blocks(rows, columns)
    writing, reading = new_decisions(), new_decisions()
    for _ in range(3):
        blocks = with_banks(random, rows, columns)
        before = blocks.banks.copy()
        payload = code_all_banks(None, blocks, last, writing)
        assert np.array_equal(blocks.banks, before)
        assert np.array_equal(read_banks(payload, blocks, last, reading, seed % 99), before)
        assert know_the_same(writing, reading)
        last = blocks


@settings(max_examples=60)
@given(st.binary(max_size=60), st.integers(0, 2**32 - 1))
@example(b"", 0)
@example(b"\0" + b"\xff" * 60, 1)
def test_any_bytes_give_banks_that_are_there(payload: bytes, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, columns = (int(n) for n in random.integers(1, 9, 2))
    blocks, last = with_banks(random, rows, columns), with_banks(random, rows, columns)
    decisions = confused(random)
    kept = decisions[0].copy()
    blocks.banks[:] = read_banks(payload, blocks, last, decisions)
    assert blocks.banks.max() <= NETWORK
    assert (decisions[0] != kept).any()
    check_knowledge(decisions)
    again = read_banks(code_all_banks(None, blocks, last, new_decisions()), blocks, last, new_decisions())
    assert np.array_equal(again, blocks.banks)


@pytest.mark.parametrize("bank", range(NETWORK + 1))
def test_the_same_bank_everywhere_costs_next_to_nothing(bank: int) -> None:
    decisions, nbytes, last = new_decisions(), [], Blocks(20, 30)
    for _ in range(6):
        blocks = Blocks(20, 30)
        blocks.coded[:], blocks.banks[:] = 1, bank
        nbytes.append(len(code_all_banks(None, blocks, last, decisions)))
        last = blocks
    assert nbytes[-1] < 8


@pytest.mark.parametrize("seed", range(3))
def test_units_of_the_network_come_back_whether_none_some_or_all_are(seed: int) -> None:
    """In frames that follow one another in any order."""
    random, last, kinds = np.random.default_rng(seed), Blocks(7, 9), set()
    writing, reading = new_decisions(), new_decisions()
    for share in random.permutation([0.0, 0.0, 0.1, 0.1, 0.5, 0.5, 0.9, 1.0, 1.0]).tolist():
        blocks = with_banks(random, 7, 9)
        blocks.banks[blocks.banks == NETWORK] = 0
        by_network = random.random(blocks.banks.shape) < share
        blocks.banks[by_network] = NETWORK
        before = blocks.banks.copy()
        payload = code_all_banks(None, blocks, last, writing)
        assert np.array_equal(blocks.banks, before)
        assert np.array_equal(read_banks(payload, blocks, last, reading, seed), before)
        assert know_the_same(writing, reading)
        kinds.add((by_network.any(), by_network.all()))
        last = blocks
    assert kinds == {(False, False), (True, False), (True, True)}


def test_frames_without_the_network_cost_one_decision_more() -> None:
    """Contexts of units are those of banks alone; units of the network teach nothing about banks."""
    random, decisions = np.random.default_rng(1), new_decisions()
    blocks, last = Blocks(8, 8), Blocks(8, 8)
    blocks.coded[:], blocks.banks[:] = 1, random.integers(0, BANKS + 1, blocks.banks.shape)
    nothing, of_network, of_banks = decisions[1].copy(), range(NETWORK_CONTEXT, CONTEXTS), range(FILTERED, IS_FINER)
    code_all_banks(None, blocks, last, decisions)
    taught = {int(n) for n in np.flatnonzero((decisions[1] != nothing).any(1)) if n < CONTEXTS}
    assert IS_NETWORK in taught
    assert taught - {IS_NETWORK} <= set(of_banks)
    assert len(taught) > 3
    blocks.banks[:], decisions = NETWORK, new_decisions()
    code_all_banks(None, blocks, last, decisions)
    taught = {int(n) for n in np.flatnonzero((decisions[1] != nothing).any(1)) if n < CONTEXTS}
    assert IS_NETWORK in taught
    assert taught - {IS_NETWORK} <= set(of_network)
    assert len(taught) > 3


def test_banks_of_the_last_frame_are_a_context() -> None:
    """Banks without order cost less once they are those of the frame before."""
    nbytes = []
    for again in (True, False):
        random, decisions, total, last = np.random.default_rng(5), new_decisions(), 0, Blocks(20, 20)
        for number in range(12):
            blocks = Blocks(20, 20)
            blocks.coded[:] = 1
            blocks.banks[:] = random.integers(0, NETWORK + 1, (10, 10))
            if again and number:
                blocks.banks[:] = last.banks
            total += len(code_all_banks(None, blocks, last, decisions))
            last = blocks
        nbytes.append(total)
    assert nbytes[0] < 0.7 * nbytes[1]


# --- bytes that nobody wrote


@settings(max_examples=150)
@given(st.binary(max_size=400), st.integers(0, 2**32 - 1), st.integers(0, 2))
@example(b"", 0, 2)
@example(b"\xff" * 400, 0, 2)
@example(b"\0\xff" * 200, 1, 2)
@example(b"\0\x7f\xff" * 200, 2, 1)
def test_any_bytes_give_decisions_in_bounds(payload: bytes, seed: int, references: int) -> None:
    random = np.random.default_rng(seed)
    rows, columns = int(random.integers(1, 6)), int(random.integers(1, 6))
    frame = Frame(references, random_last(random, rows, columns), random_scale(random, references))
    decisions = confused(random)
    blocks = read(payload, rows, columns, frame, decisions, seed)
    check_bounds(blocks, frame)
    assert np.abs(blocks.vectors).max() <= MAX_VECTOR
    check_knowledge(decisions)
    # what was read is canonical: written again it is read again
    copy = read(write(blocks, frame, new_decisions()), rows, columns, frame, new_decisions())
    assert same(copy, blocks)


def test_any_bytes_give_blocks_in_parts_and_of_any_energy() -> None:
    """The test above would be worth little if none of its bytes led there."""
    shapes, merged, found = set(), 0, set()
    for seed in range(60):
        random = np.random.default_rng(seed)
        frame = Frame(2, random_last(random, 4, 4), random_scale(random, 2))
        blocks = read(random.bytes(400), 4, 4, frame, confused(random), seed)
        shapes |= set(blocks.shapes.ravel().tolist())
        found |= set(blocks.energy.ravel().tolist())
        merged += int((blocks.parts > 0).sum())
    assert shapes == {ONE_PART, TWO_ROWS, TWO_COLUMNS, FOUR_PARTS}
    assert found == set(range(ENERGIES))  # of 16 that four bits may say: those beyond are the last
    assert merged


def test_energies_are_as_many_as_classes_of_blocks() -> None:
    assert ENERGIES == syntax.ENERGIES == RATE_CLASSES


# --- modes


@pytest.mark.parametrize("seed", range(3))
def test_likely_modes_are_three_and_follow_the_neighbours(seed: int) -> None:
    random, out = np.random.default_rng(seed), np.zeros(3, np.int32)
    for left in range(MODES):
        for above in range(MODES):
            modes, pred = np.full((8, 8), 1, np.uint8), np.zeros((2, 2), np.uint8)
            modes[4, 3], modes[3, 4] = left, above
            pred[1, 0], pred[0, 1] = random.integers(0, 2, 2) * SECOND
            likely_modes(modes, pred, 4, 4, out)
            assert len(set(out.tolist())) == 3
            assert out.min() >= 0
            assert out.max() < MODES
            for block, mode in ((pred[1, 0], left), (pred[0, 1], above)):
                assert (1 if block else mode) in out.tolist()


# --- how far the last frame's vectors are stretched


@given(
    st.lists(st.integers(-70, 70).filter(bool), min_size=1, max_size=2),
    st.lists(st.integers(-70, 70).filter(bool), max_size=2),
)
def test_stretch(distances: list[int], last: list[int]) -> None:
    scale = stretch(tuple(distances), tuple(last))
    assert scale.dtype == np.int64
    for n in range(2):
        if n >= min(len(distances), len(last)):
            assert scale[n] == 0
            continue
        exact = 256 * distances[n] / last[n]
        assert abs(scale[n] - max(-MAX_SCALE, min(MAX_SCALE, exact))) <= 0.5
        assert scale[n] == 0 or (scale[n] > 0) == (exact > 0)
