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
    candidates,
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
    random_candidate,
    random_last,
    random_scale,
    read,
    same,
    whole_squares,
    write,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nvcodec.entropy import binary
from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.conditional.frame_coder import MAX_SCALE, stretch
from nvcodec.models.kernels import syntax
from nvcodec.models.kernels.compensation import BOTH, FIRST, SECOND
from nvcodec.models.kernels.decisions import (
    CONTEXTS,
    FILTERED,
    FROM_LUMA,
    IS_BOTH,
    IS_FINER,
    IS_LARGE,
    IS_NETWORK,
    IS_QUAD,
    IS_QUAD_CODED,
    LEVEL_BANDS,
    MERGED,
    QUAD_CODED,
    QUAD_INDEX,
)
from nvcodec.models.kernels.decisions import NETWORK as NETWORK_CONTEXT
from nvcodec.models.kernels.motion import FOUR_PARTS, MAX_VECTOR, MERGE, ONE_PART, TWO_COLUMNS, TWO_ROWS
from nvcodec.models.kernels.residual import RATE_CLASSES
from nvcodec.models.kernels.restore import BANKS, NETWORK
from nvcodec.models.kernels.syntax import (
    ALONE,
    MAX_FINER,
    SHARED,
    WHOLE,
    begins_quad,
    begins_unit,
    block_at,
    block_of_row,
    code_banks,
    code_finer,
    corner_of,
    likely_modes,
    settle_finer,
)

# --- order


SHAPES = [(rows, columns) for rows in range(1, 10) for columns in range(1, 10)] + [(11, 14), (14, 11), (2, 23), (16, 8)]


def order_in(rows: int, columns: int) -> list[tuple[int, int]]:
    """As the codec has it."""
    return [tuple(int(n) for n in block_at(n, rows, columns)) for n in range(rows * columns)]


@pytest.mark.parametrize("size", [4, 2])
def test_blocks_follow_each_other_in_quads_and_units(size: int) -> None:
    """Each once, and those of a quad, or unit, one after the other; quads, and units within them, from left to right
    and from top to bottom."""
    for rows, columns in SHAPES:
        order = order_in(rows, columns)
        assert sorted(order) == [(r, c) for r in range(rows) for c in range(columns)]
        assert order == order_of(rows, columns)
        squares = [(r // size, c // size) for r, c in order]
        begun = list(dict.fromkeys(squares))
        assert squares == [square for square in begun for _ in range(squares.count(square))]
        assert begun == sorted(begun, key=lambda square: (square[0] * size // 4, square[1] * size // 4, square))


def test_a_row_of_quads_is_in_the_same_order() -> None:
    """What an encoder works at by itself: blocks beyond the edge left out."""
    for rows, columns in SHAPES:
        order = [
            place
            for quad_row in range(-(-rows // 4))
            for number in range(16 * -(-columns // 4))
            if (place := tuple(map(int, block_of_row(number, quad_row)))) < (rows, 0) and place[1] < columns
        ]
        assert order == order_in(rows, columns)


def test_whole_units_and_quads_begin_somewhere() -> None:
    for rows, columns in SHAPES:
        blocks = [(r, c) for r in range(rows) for c in range(columns)]
        units = {(2 * r, 2 * c) for r in range(rows // 2) for c in range(columns // 2)}
        quads = {(4 * r, 4 * c) for r in range(rows // 4) for c in range(columns // 4)}
        assert {place for place in blocks if begins_unit(*place, rows, columns)} == units
        assert {place for place in blocks if begins_quad(*place, rows, columns)} == quads


def test_corners_are_coded_before_those_that_look_at_them() -> None:
    """Above and to the right of a block, or of the unit, where that begins with it: told wherever the order has it
    earlier, and nowhere else."""
    told = 0
    for rows, columns in SHAPES:
        when = {place: n for n, place in enumerate(order_in(rows, columns))}
        for (r, c), now in when.items():
            right = c + 1 if r % 2 or c % 2 else c + 2
            known = when.get((r - 1, right), now) < now
            assert corner_of(r, c, rows, columns) == (right if known else -1), (rows, columns, r, c)
            told += known
    assert told > 1000


# --- decisions to bytes and back


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 6), st.lists(st.integers(0, 2), max_size=4),
    st.sampled_from([2, 40, MAX_VECTOR]),
)  # fmt: skip
@example(0, 1, 1, [2, 2, 1], MAX_VECTOR)
@example(1, 4, 5, [2, 2, 2, 2], MAX_VECTOR)
@example(2, 8, 9, [1, 2, 0, 1], 40)
@example(3, 9, 8, [2, 1, 2, 2], 2)
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
    for _ in range(40):
        blocks = random_blocks(random, 4, 5, frame, 40)
        for (r, c), shape in np.ndenumerate(blocks.shapes):
            for number, (i, j, _, _) in enumerate(parts_of(int(shape))):
                part = int(blocks.parts[2 * r + i, 2 * c + j])
                seen.add((int(shape), number, part > 0))
                inside += number > 0 and part > 0 and shape != ONE_PART
    several = {(s, n, m) for s in (TWO_ROWS, TWO_COLUMNS, FOUR_PARTS) for n in range(len(parts_of(s))) for m in (0, 1)}
    assert seen == several | {(ONE_PART, 0, False)}
    assert inside


@pytest.mark.parametrize("references", [1, 2])
def test_round_trips_see_every_kind_of_quad_and_of_link(references: int) -> None:
    """Quads without latents and with some, in units as a whole and in blocks alone; squares of all sizes with chroma
    from luma and without."""
    random, quads, links = np.random.default_rng(references), set(), set()
    for _ in range(40):
        frame = Frame(references, random_last(random, 9, 8), random_scale(random, references))
        blocks = random_blocks(random, 9, 8, frame, 40)
        check_bounds(blocks, frame)
        for r, c in whole_squares(9, 8, 4):
            if blocks.quad[r, c]:
                quad = np.s_[r : r + 4, c : c + 4]
                quads |= set(zip(blocks.coded[quad].ravel(), blocks.large[quad].ravel(), strict=True))
                quads.add(bool(blocks.coded[quad].any()))
        for (i, j), link in np.ndenumerate(blocks.from_luma):
            if blocks.pred[i // 2, j // 2] == 0:
                whole, is_fine = blocks.large[i // 2, j // 2] == WHOLE, bool(blocks.fine[i // 2, j // 2])
                size = 3 if whole else 2 if not is_fine else int(blocks.tiny[i, j])
                links.add((size, int(link)))
        wanted = copy_of(blocks)
        found = read(write(blocks, frame, new_decisions()), 9, 8, frame, new_decisions())
        assert same(found, wanted)
    assert quads == {False, True, (0, SHARED), (1, SHARED), (1, WHOLE)}
    assert links == {(size, link) for size in range(4) for link in range(2)}


@pytest.mark.parametrize("size", [1, 2, 4])
def test_each_of_nine_candidates_comes_back(size: int) -> None:
    """Of a block, of a unit and of a quad whose neighbours all moved in other ways."""
    random = np.random.default_rng(size)
    frame = Frame(2, random_last(random, 8, 8), np.array([200, -300]))
    frame.last.kinds[:] = BOTH
    for which in range(MERGE):
        blocks = Blocks(8, 8)
        blocks.kinds[:], blocks.pred[:] = BOTH, BOTH
        vectors = random.integers(-99, 99, (2, 8, 8, 2)).repeat(2, 1).repeat(2, 2)
        blocks.vectors[:] = vectors
        place = 8, 8, 2 * size, 2 * size
        found = candidates(blocks, *place, frame)
        assert len(found) == len(set(found)) == MERGE
        move(blocks, *place, found[which])
        square = np.s_[4 : 4 + size, 4 : 4 + size]
        blocks.merged[square], blocks.pred[square] = 1 + which, found[which][0]
        blocks.large[square], blocks.quad[square] = SHARED if size > 1 else ALONE, size == 4
        wanted = copy_of(blocks)
        again = read(write(blocks, frame, new_decisions()), 8, 8, frame, new_decisions(), which)
        assert same(again, wanted)
        assert again.merged[4, 4] == 1 + which


def taught_by(blocks: Blocks, frame: Frame) -> set[int]:
    """The contexts that were asked when a frame was written."""
    decisions = new_decisions()
    before = decisions[1].copy()
    write(blocks, frame, decisions)
    return {int(n) for n in np.flatnonzero((decisions[1] != before).any(1)) if n < CONTEXTS}


def test_a_quad_without_latents_is_one_candidate_and_two_decisions() -> None:
    """With some, units say it each in contexts of their own; blocks beside whole quads know of none, nor do frames of
    intra blocks."""
    of_quads = {*range(IS_QUAD, QUAD_CODED)}
    frame = Frame(1, random_last(np.random.default_rng(0), 4, 4), np.array([256, 0]))
    blocks = Blocks(4, 4)
    kind, *vectors = candidates(blocks, 0, 0, 8, 8, frame)[1]
    blocks.quad[:], blocks.merged[:], blocks.large[:], blocks.pred[:] = 1, 2, SHARED, kind
    move(blocks, 0, 0, 8, 8, (kind, *vectors))
    assert taught_by(blocks, frame) == {IS_QUAD, QUAD_INDEX, QUAD_INDEX + 1, IS_QUAD_CODED}
    blocks.coded[2, 3] = 1
    taught = taught_by(blocks, frame)
    assert {IS_QUAD, QUAD_INDEX, IS_QUAD_CODED} <= taught
    assert taught & {*range(QUAD_CODED, CONTEXTS)}
    assert not taught & {*range(MERGED, IS_BOTH), *range(IS_LARGE, MERGED)}
    for rows, columns, references in ((3, 9, 1), (9, 3, 1), (4, 4, 0)):
        frame = Frame(references, Blocks(rows, columns), np.array([256, 0]))
        assert not taught_by(Blocks(rows, columns), frame) & (of_quads | {*range(QUAD_CODED, CONTEXTS)})


@pytest.mark.parametrize("link", [0, 1])
def test_the_same_answer_everywhere_costs_next_to_nothing(link: int) -> None:
    """Whether chroma comes from luma; not so if it is tossed up for each block."""
    nbytes = []
    for share in (link, 0.5):
        random, decisions, sizes = np.random.default_rng(2), new_decisions(inter=False, distances=()), []
        for _ in range(8):
            blocks, frame = Blocks(12, 14), first_frame(12, 14)
            blocks.from_luma[:] = (random.random((12, 14)) < share).repeat(2, 0).repeat(2, 1)
            sizes.append(len(write(blocks, frame, decisions)))
        nbytes.append(sizes[-1])
    assert nbytes[0] < 8
    assert 16 < nbytes[1] < 26  # a bit for each of 168 blocks


@pytest.mark.parametrize(("large", "quad"), [(ALONE, 0), (SHARED, 0), (SHARED, 1)])
def test_a_still_frame_costs_next_to_nothing(large: int, quad: int) -> None:
    rows, columns = 20, 30
    decisions, last = new_decisions(), Blocks(rows, columns)
    nbytes = []
    for _ in range(6):
        blocks, frame = Blocks(rows, columns), Frame(1, last, np.array([256, 0]))
        blocks.pred[:], blocks.kinds[:], blocks.merged[:], blocks.large[:] = FIRST, FIRST, 1, large
        blocks.quad[:, : columns // 4 * 4] = quad
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


def test_quads_save_what_their_units_would_repeat() -> None:
    """The same motion, said once for sixteen blocks or four times."""
    nbytes = []
    for quad in (1, 0):
        random, decisions, total = np.random.default_rng(6), new_decisions(), 0
        for _ in range(4):
            frame, blocks = Frame(2, random_last(random, 12, 16), np.array([100, 100])), Blocks(12, 16)
            for r, c in whole_squares(12, 16, 4):
                number, motion = random_candidate(random, blocks, (2 * r, 2 * c, 8, 8), frame)
                for k in range(4):
                    i, j = r + 2 * (k >> 1), c + 2 * (k & 1)
                    if not quad:
                        found = candidates(blocks, 2 * i, 2 * j, 4, 4, frame)
                        number = found.index(motion) if motion in found else -1
                    blocks.merged[i : i + 2, j : j + 2], blocks.pred[i : i + 2, j : j + 2] = number + 1, motion[0]
                    move(blocks, 2 * i, 2 * j, 4, 4, motion)
            blocks.quad[:], blocks.large[:] = quad, SHARED
            check_bounds(blocks, frame)
            wanted = copy_of(blocks)
            total += len(write(blocks, frame, decisions))
            assert same(blocks, wanted)
        nbytes.append(total)
    assert nbytes[0] < 0.7 * nbytes[1]


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
        any_finer = wanted.any()
        written, found = wanted.copy(), random.integers(-128, 128, shape).astype(np.int8)
        payload = code_levels(None, coded, written, here)
        code_levels(payload, coded, found, there)
        assert np.array_equal(found, written)
        assert know_the_same(here, there)
        settle_finer(coded, wanted)
        assert np.array_equal(found, wanted)  # as the encoder itself takes them
        for (r, c), level in np.ndenumerate(found):
            if coded[2 * r : 2 * r + 2, 2 * c : 2 * c + 2].any() and any_finer:
                assert level == wanted[r, c]
            else:
                assert level == (0 if not any_finer else found[r, c - 1] if c else found[r - 1, c] if r else 0)


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
    nothing, of_network, of_banks = decisions[1].copy(), range(NETWORK_CONTEXT, FROM_LUMA), range(FILTERED, IS_FINER)
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
    rows, columns = int(random.integers(1, 8)), int(random.integers(1, 10))
    frame = Frame(references, random_last(random, rows, columns), random_scale(random, references))
    decisions = confused(random)
    blocks = read(payload, rows, columns, frame, decisions, seed)
    check_bounds(blocks, frame)
    assert np.abs(blocks.vectors).max() <= MAX_VECTOR
    check_knowledge(decisions)
    # what was read is canonical: written again it is read again
    copy = read(write(blocks, frame, new_decisions()), rows, columns, frame, new_decisions())
    assert same(copy, blocks)


def test_any_bytes_give_every_kind_of_block() -> None:
    """The test above would be worth little if none of its bytes led there."""
    shapes, merged, found, quads, links = set(), 0, set(), set(), set()
    for seed in range(60):
        random = np.random.default_rng(seed)
        frame = Frame(2, random_last(random, 4, 8), random_scale(random, 2))
        blocks = read(random.bytes(400), 4, 8, frame, confused(random), seed)
        shapes |= set(blocks.shapes.ravel().tolist())
        found |= set(blocks.energy.ravel().tolist())
        merged += int((blocks.parts > 0).sum())
        quads |= {(int(blocks.quad[0, c]), bool(blocks.coded[:, c : c + 4].any())) for c in (0, 4)}
        links |= set(blocks.from_luma[(blocks.pred == 0).repeat(2, 0).repeat(2, 1)].tolist())
    assert shapes == {ONE_PART, TWO_ROWS, TWO_COLUMNS, FOUR_PARTS}
    assert found == set(range(ENERGIES))  # of 16 that four bits may say: those beyond are the last
    assert merged
    assert quads >= {(0, True), (1, False), (1, True)}
    assert links == {0, 1}


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
