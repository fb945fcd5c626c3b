# SPDX-License-Identifier: Apache-2.0
"""Decisions of blocks to bytes and back, and what a reader makes of bytes that nobody wrote."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nvcodec.entropy import binary
from nvcodec.models.conditional.frame_coder import MAX_SCALE, stretch
from nvcodec.models.conditional.picture import Blocks
from nvcodec.models.kernels.compensation import BOTH, FIRST, INTRA, SECOND
from nvcodec.models.kernels.restore import BANKS
from nvcodec.models.kernels.syntax import (
    ALONE,
    CONTEXTS,
    MAX_FINER,
    MAX_VECTOR,
    MERGE,
    SHARED,
    WHOLE,
    begins_unit,
    code_banks,
    code_blocks,
    code_finer,
    coding_order,
    likely_modes,
    merge_candidates,
    predict_vector,
)

MODES, ENERGIES = 35, 8
FIELDS = ("pred", "merged", "coded", "fine", "tiny", "energy", "large", "modes", "vectors")
ARGUMENTS = code_blocks.py_func.__code__.co_varnames[: code_blocks.py_func.__code__.co_argcount]


@dataclass
class Frame:
    """What is known before a frame's decisions. ``scale``: int64 (2,), as `stretch` makes it."""

    references: int
    last: Blocks
    scale: np.ndarray


def code(state: np.ndarray, buffer: np.ndarray, contexts: np.ndarray, blocks: Blocks, frame: Frame) -> None:
    """`code_blocks`, arguments by name."""
    values = {"coder": state, "buffer": buffer, "contexts": contexts, "inter": frame.references > 0}
    values |= {"references": frame.references, "scale": frame.scale}
    values |= {name: getattr(blocks, name) for name in FIELDS}
    values |= {f"last_{name}": getattr(frame.last, name) for name in FIELDS}
    code_blocks(*(values[name] for name in ARGUMENTS))


def write(blocks: Blocks, frame: Frame, contexts: np.ndarray) -> bytes:
    buffer = np.zeros(4096 + 1024 * blocks.pred.size, np.uint8)
    state = binary.start_writing(buffer)
    code(state, buffer, contexts, blocks, frame)
    payload = binary.finish_writing(state, buffer)
    assert state[binary.POSITION] < len(buffer)
    return payload


def read(payload: bytes, rows: int, columns: int, frame: Frame, contexts: np.ndarray, seed: int = 0) -> Blocks:
    blocks, random = Blocks(rows, columns), np.random.default_rng(seed)
    for name in FIELDS:  # whatever lay there before must not matter
        field = getattr(blocks, name)
        limit = 2**31 if name == "vectors" else 256
        field[:] = random.integers(-limit if name == "vectors" else 0, limit, field.shape)
    state, buffer = binary.start_reading(payload)
    code(state, buffer, contexts, blocks, frame)
    return blocks


def same(a: Blocks, b: Blocks) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in FIELDS)


# --- decisions as an encoder may make them


def intra_modes(random: np.random.Generator, fine: int, tiny: np.ndarray) -> np.ndarray:
    """(4, 4) modes, one for each square that is predicted on its own."""
    modes = random.integers(0, MODES, (4, 4))
    if random.random() < 0.5:
        modes = modes % 3
    if not fine:
        modes[:] = modes[0, 0]
    for q in range(4):
        square = np.s_[2 * (q >> 1) : 2 * (q >> 1) + 2, 2 * (q & 1) : 2 * (q & 1) + 2]
        if fine and not tiny[q >> 1, q & 1]:
            modes[square] = modes[square][0, 0]
    return modes


def coded_motion(
    random: np.random.Generator, blocks: Blocks, frame: Frame, r: int, c: int, size: int, shares: np.ndarray, reach: int
) -> int:
    """Choose what a square of blocks is predicted from and fill it in: a candidate, or vectors of its own (four of them
    only in a block by itself), or nothing; returns what from."""
    unit, own = np.s_[r : r + size, c : c + size], np.s_[2 * r : 2 * (r + size), 2 * c : 2 * (c + size)]
    kind = INTRA
    if frame.references and random.random() < shares[0]:
        found = candidates(blocks, r, c, frame, size)
        usable = [k for k, candidate in enumerate(found) if frame.references > 1 or candidate[0] == FIRST]
        which = int(random.choice(usable))
        kind, *motion = found[which]
        blocks.merged[unit] = 1 + which
        for ref in range(2):
            blocks.vectors[ref][own] = motion[2 * ref : 2 * ref + 2]
    elif frame.references and random.random() < shares[1]:
        kind = int(random.integers(1, 4)) if frame.references > 1 else FIRST
        split = size == 1 and random.random() < 0.4
        for ref in range(2):
            if kind & (1 << ref):
                vector = random.integers(-reach, reach + 1, (2, 2, 2) if split else 2)
                if random.random() < 0.3:
                    vector = random.choice([-MAX_VECTOR, MAX_VECTOR], 2)
                blocks.vectors[ref][own] = vector
    blocks.pred[unit] = kind
    return kind


def coded_residual(random: np.random.Generator, blocks: Blocks, r: int, c: int, shares: np.ndarray) -> None:
    """Choose how a block by itself is transformed, and its modes."""
    own, intra = np.s_[2 * r : 2 * r + 2, 2 * c : 2 * c + 2], blocks.pred[r, c] == INTRA
    blocks.coded[r, c] = random.random() < shares[2]
    if blocks.coded[r, c]:
        blocks.energy[r, c] = random.integers(0, ENERGIES)
    if blocks.coded[r, c] or intra:
        blocks.fine[r, c] = random.random() < shares[3]
    if blocks.fine[r, c]:
        blocks.tiny[own] = random.random((2, 2)) < shares[4]
    if intra:
        modes = intra_modes(random, int(blocks.fine[r, c]), blocks.tiny[own])
        blocks.modes[4 * r : 4 * r + 4, 4 * c : 4 * c + 4] = modes


def random_blocks(random: np.random.Generator, rows: int, columns: int, frame: Frame, reach: int) -> Blocks:
    """Any decisions in canonical form: merged blocks have their candidate's motion; vectors of references that are not
    used are zero; a block is fine only if coded or intra, a quarter tiny only if its block is fine; energies of blocks
    that are not coded are 0; modes of inter blocks are MEAN; large units have one motion or mode, and intra ones, and
    some of those that are coded, one transform."""
    blocks = Blocks(rows, columns)
    shares = random.random(6)
    for r, c in order_of(rows, columns):
        if blocks.large[r, c]:
            continue  # filled in with its unit
        if r % 2 or c % 2 or r + 1 == rows or c + 1 == columns or random.random() > shares[5]:
            coded_motion(random, blocks, frame, r, c, 1, shares, reach)
            coded_residual(random, blocks, r, c, shares)
            continue
        unit = np.s_[r : r + 2, c : c + 2]
        kind, is_coded = coded_motion(random, blocks, frame, r, c, 2, shares, reach), random.random() < shares[2]
        blocks.large[unit] = WHOLE if kind == INTRA or (is_coded and random.random() < 0.5) else SHARED
        if kind == INTRA:
            blocks.modes[4 * r : 4 * r + 8, 4 * c : 4 * c + 8] = random.integers(0, random.choice([3, MODES]))
        if blocks.large[r, c] == WHOLE:
            blocks.coded[unit] = is_coded
            blocks.energy[unit] = random.integers(0, ENERGIES) if is_coded else 0
        elif is_coded:
            for k in range(4):
                coded_residual(random, blocks, r + (k >> 1), c + (k & 1), shares)
    return blocks


def order_of(rows: int, columns: int) -> list[tuple[int, int]]:
    """Units of 2 x 2 from left to right and from top to bottom, blocks in the same way within each."""
    everywhere = [(r, c) for r in range(rows) for c in range(columns)]
    return sorted(everywhere, key=lambda place: (place[0] // 2, place[1] // 2, place))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 4), (5, 1), (2, 2), (3, 4), (4, 3), (5, 7), (6, 6)])
def test_blocks_follow_each_other_in_units(rows: int, columns: int) -> None:
    assert [tuple(place) for place in coding_order(rows, columns).tolist()] == order_of(rows, columns)
    beginning = {(r, c) for r in range(rows) for c in range(columns) if begins_unit(r, c, rows, columns)}
    assert beginning == {(2 * r, 2 * c) for r in range(rows // 2) for c in range(columns // 2)}


def first_frame(rows: int, columns: int) -> Frame:
    return Frame(0, Blocks(rows, columns), np.zeros(2, np.int64))


def random_scale(random: np.random.Generator, references: int) -> np.ndarray:
    scale = random.integers(-MAX_SCALE, MAX_SCALE + 1, 2)
    scale[random.random(2) < 0.3] = 0
    scale[references:] = 0
    return scale


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 5), st.lists(st.integers(0, 2), max_size=4),
    st.sampled_from([2, 40, MAX_VECTOR]),
)  # fmt: skip
@example(0, 1, 1, [2, 2, 1], MAX_VECTOR)
@example(1, 4, 5, [2, 2, 2, 2], MAX_VECTOR)
def test_round_trip(seed: int, rows: int, columns: int, kinds: list[int], reach: int) -> None:
    """A few frames, each with the one before it as the field that merged blocks look at; contexts stay in step."""
    random, frame = np.random.default_rng(seed), first_frame(rows, columns)
    writing, reading = binary.new_contexts(CONTEXTS), binary.new_contexts(CONTEXTS)
    for number, references in enumerate([0, *kinds]):
        frame = Frame(references, frame.last, random_scale(random, references))
        blocks = random_blocks(random, rows, columns, frame, reach)
        wanted = Blocks(rows, columns)
        for name in FIELDS:
            getattr(wanted, name)[:] = getattr(blocks, name)
        payload = write(blocks, frame, writing)
        assert same(blocks, wanted)  # canonical decisions are not changed by writing
        assert same(read(payload, rows, columns, frame, reading, seed + number), wanted)
        assert np.array_equal(writing, reading)
        clipped = Blocks(rows, columns)  # what the next frame may look at: as far as vectors go
        for name in FIELDS:
            getattr(clipped, name)[:] = getattr(blocks, name)
        clipped.vectors[:] = clipped.vectors.clip(-MAX_VECTOR, MAX_VECTOR)
        frame = Frame(0, clipped, frame.scale)


@pytest.mark.parametrize("large", [ALONE, SHARED])
def test_a_still_frame_costs_next_to_nothing(large: int) -> None:
    rows, columns = 20, 30
    contexts, last = binary.new_contexts(CONTEXTS), Blocks(rows, columns)
    nbytes = []
    for _ in range(6):
        blocks, frame = Blocks(rows, columns), Frame(1, last, np.array([256, 0]))
        blocks.pred[:], blocks.merged[:], blocks.large[:] = FIRST, 1, large
        nbytes.append(len(write(blocks, frame, contexts)))
        last = blocks
    assert nbytes[-1] < 8  # of 600 blocks


def test_units_save_what_their_blocks_would_repeat() -> None:
    """The same decisions, said once for four blocks or four times."""
    nbytes = []
    for large in (ALONE, WHOLE):
        random, contexts, total = np.random.default_rng(3), binary.new_contexts(CONTEXTS), 0
        for _ in range(4):
            blocks = Blocks(8, 8)
            vectors = random.integers(-40, 41, (2, 4, 4, 2)).repeat(4, 1).repeat(4, 2)
            blocks.pred[:], blocks.coded[:], blocks.large[:], blocks.vectors[:] = BOTH, 1, large, vectors
            blocks.energy[:] = random.integers(0, ENERGIES, (4, 4)).repeat(2, 0).repeat(2, 1)
            total += len(write(blocks, Frame(2, Blocks(8, 8), np.zeros(2, np.int64)), contexts))
        nbytes.append(total)
    assert nbytes[1] < 0.7 * nbytes[0]


# --- levels of units


def code_levels(payload: bytes | None, coded: np.ndarray, finer: np.ndarray, contexts: np.ndarray) -> bytes:
    """Write them, or read them into ``finer``."""
    buffer = np.zeros(4096, np.uint8)
    state = binary.start_writing(buffer)
    if payload is not None:
        state, buffer = binary.start_reading(payload)
    code_finer(state, buffer, contexts, coded, finer)
    return binary.finish_writing(state, buffer) if payload is None else b""


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 7))
def test_levels_of_units_come_back(seed: int, rows: int, columns: int) -> None:
    """As far as they matter: a unit in which nothing is coded takes its neighbour's."""
    random = np.random.default_rng(seed)
    here, there = (binary.new_contexts(CONTEXTS) for _ in range(2))
    for _ in range(3):
        coded = (random.random((rows, columns)) < random.random()).astype(np.uint8)
        shape = (rows + 1) // 2, (columns + 1) // 2
        wanted = random.integers(-MAX_FINER, MAX_FINER + 1, shape).astype(np.int8)
        written, found = wanted.copy(), random.integers(-128, 128, shape).astype(np.int8)
        payload = code_levels(None, coded, written, here)
        code_levels(payload, coded, found, there)
        assert np.array_equal(found, written)
        assert np.array_equal(here, there)
        for (r, c), level in np.ndenumerate(found):
            if coded[2 * r : 2 * r + 2, 2 * c : 2 * c + 2].any() and wanted.any():
                assert level == wanted[r, c]
            else:
                assert level == (0 if not wanted.any() else found[r, c - 1] if c else found[r - 1, c] if r else 0)


def test_levels_that_are_all_the_frames_cost_next_to_nothing() -> None:
    contexts, coded = binary.new_contexts(CONTEXTS), np.ones((8, 8), np.uint8)
    assert sum(len(code_levels(None, coded, np.zeros((4, 4), np.int8), contexts)) for _ in range(20)) <= 20


@settings(max_examples=30)
@given(st.binary(max_size=60))
def test_any_bytes_are_levels_within_their_range(payload: bytes) -> None:
    coded, finer = np.ones((6, 9), np.uint8), np.zeros((3, 5), np.int8)
    code_levels(payload, coded, finer, binary.new_contexts(CONTEXTS))
    assert np.abs(finer.astype(int)).max() <= MAX_FINER


# --- banks of filters


def write_banks(banks: np.ndarray, coded: np.ndarray, contexts: np.ndarray) -> bytes:
    buffer = np.zeros(4096, np.uint8)
    state = binary.start_writing(buffer)
    code_banks(state, buffer, contexts, coded, banks)
    return binary.finish_writing(state, buffer)


def read_banks(payload: bytes, coded: np.ndarray, contexts: np.ndarray, seed: int = 0) -> np.ndarray:
    shape = (len(coded) + 1) // 2, (coded.shape[1] + 1) // 2
    banks = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)  # whatever lay there before
    state, buffer = binary.start_reading(payload)
    code_banks(state, buffer, contexts, coded, banks)
    return banks


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 7))
def test_banks_come_back(seed: int, rows: int, columns: int) -> None:
    random = np.random.default_rng(seed)
    writing, reading = binary.new_contexts(CONTEXTS), binary.new_contexts(CONTEXTS)
    for _ in range(3):
        coded = (random.random((rows, columns)) < random.random()).astype(np.uint8)
        banks = random.integers(0, BANKS + 1, ((rows + 1) // 2, (columns + 1) // 2)).astype(np.uint8)
        banks *= random.random(banks.shape) < random.random()
        before = banks.copy()
        payload = write_banks(banks, coded, writing)
        assert np.array_equal(banks, before)
        assert np.array_equal(read_banks(payload, coded, reading, seed % 99), banks)
        assert np.array_equal(writing, reading)


@settings(max_examples=60)
@given(st.binary(max_size=60), st.integers(0, 2**32 - 1))
@example(b"", 0)
@example(b"\0" + b"\xff" * 60, 1)
def test_any_bytes_give_banks_that_are_there(payload: bytes, seed: int) -> None:
    random = np.random.default_rng(seed)
    coded = random.integers(0, 2, random.integers(1, 9, 2)).astype(np.uint8)
    contexts = binary.new_contexts(CONTEXTS)
    contexts[:] = random.integers(0, 65536, contexts.shape)
    kept = contexts.copy()
    banks = read_banks(payload, coded, contexts)
    assert banks.max() <= BANKS
    changed = np.flatnonzero((contexts != kept).any(1))
    assert len(changed)
    again = read_banks(write_banks(banks, coded, binary.new_contexts(CONTEXTS)), coded, binary.new_contexts(CONTEXTS))
    assert np.array_equal(again, banks)


@pytest.mark.parametrize("bank", range(BANKS + 1))
def test_the_same_bank_everywhere_costs_next_to_nothing(bank: int) -> None:
    contexts, coded = binary.new_contexts(CONTEXTS), np.ones((20, 30), np.uint8)
    nbytes = [len(write_banks(np.full((10, 15), bank, np.uint8), coded, contexts)) for _ in range(6)]
    assert nbytes[-1] < 8


# --- bytes that nobody wrote


def check_bounds(blocks: Blocks, frame: Frame) -> None:
    assert blocks.pred.max() <= (BOTH if frame.references > 1 else frame.references)
    assert blocks.merged.max() <= MERGE
    for flags in (blocks.coded, blocks.fine, blocks.tiny):
        assert flags.max() <= 1
    check_units(blocks)
    assert blocks.energy.max() < ENERGIES
    assert blocks.modes.max() < MODES
    assert not blocks.energy[blocks.coded == 0].any()
    assert not blocks.fine[(blocks.coded == 0) & (blocks.pred > 0)].any()
    assert not blocks.tiny[blocks.fine.repeat(2, 0).repeat(2, 1) == 0].any()
    assert (blocks.modes[(blocks.pred > 0).repeat(4, 0).repeat(4, 1)] == 1).all()
    for ref in range(2):
        unused = (blocks.pred & (1 << ref) == 0).repeat(2, 0).repeat(2, 1)
        assert not blocks.vectors[ref][unused].any()


def check_units(blocks: Blocks) -> None:
    """What large units have in common; where there is no whole unit there is no large one."""
    rows, columns = blocks.rows, blocks.columns
    assert not blocks.large[rows & ~1 :].any()
    assert not blocks.large[:, columns & ~1 :].any()
    for r, c in np.argwhere(blocks.large[: rows & ~1, : columns & ~1] > 0):
        unit = np.s_[r & ~1 : (r & ~1) + 2, c & ~1 : (c & ~1) + 2]
        own = np.s_[unit[0].start * 2 : unit[0].stop * 2, unit[1].start * 2 : unit[1].stop * 2]
        squares = np.s_[unit[0].start * 4 : unit[0].stop * 4, unit[1].start * 4 : unit[1].stop * 4]
        same_of = [blocks.large[unit], blocks.pred[unit], blocks.merged[unit]]
        same_of += [blocks.vectors[ref][own][..., k] for ref in range(2) for k in range(2)]
        intra, whole = blocks.pred[r, c] == INTRA, blocks.large[r, c] == WHOLE
        assert blocks.large[r, c] in (SHARED, WHOLE)
        if whole:
            same_of += [blocks.coded[unit], blocks.energy[unit], blocks.modes[squares]]
            assert intra or blocks.coded[r, c]
            assert not blocks.fine[unit].any()
            assert not blocks.tiny[own].any()
        assert whole or not intra
        assert all(len(np.unique(values)) == 1 for values in same_of)


def random_last(random: np.random.Generator, rows: int, columns: int) -> Blocks:
    last = Blocks(rows, columns)
    last.pred[:] = random.integers(0, 4, last.pred.shape)
    for flags in (last.merged, last.coded):
        flags[:] = random.integers(0, 2, flags.shape)
    last.vectors[:] = random.integers(-MAX_VECTOR, MAX_VECTOR + 1, last.vectors.shape)
    return last


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
    contexts = binary.new_contexts(CONTEXTS)
    contexts[:] = random.integers(0, 65536, contexts.shape)
    blocks = read(payload, rows, columns, frame, contexts, seed)
    check_bounds(blocks, frame)
    assert np.abs(blocks.vectors).max() <= MAX_VECTOR
    assert contexts.min() >= 0
    assert contexts.max() <= 65535
    # what was read is canonical: written again it is read again
    again = binary.new_contexts(CONTEXTS)
    copy = read(write(blocks, frame, again), rows, columns, frame, binary.new_contexts(CONTEXTS))
    assert same(copy, blocks)


def test_vectors_do_not_grow_from_frame_to_frame() -> None:
    """Merged blocks may hand on the vectors of the last frame, stretched: without a limit 31 bits are soon full."""
    last = Blocks(1, 1)
    last.pred[:], last.vectors[:] = BOTH, MAX_VECTOR
    for _ in range(20):
        frame = Frame(2, last, np.array([MAX_SCALE, -MAX_SCALE]))
        (kind, *vectors), *_ = candidates(Blocks(1, 1), 0, 0, frame, 1)
        assert kind == BOTH
        assert np.abs(vectors).max() <= MAX_VECTOR
        last.vectors[:] = np.array(vectors).reshape(2, 1, 1, 2)


# --- candidates and predictors


def known_blocks(rows: int, columns: int, r: int, c: int) -> np.ndarray:
    """(R, C) which blocks are coded before one."""
    known, order = np.zeros((rows, columns), bool), order_of(rows, columns)
    for place in order[: order.index((r, c))]:
        known[place] = True
    return known


def reference_candidates(
    blocks: Blocks, r: int, c: int, last: Blocks, scale: np.ndarray, size: int
) -> list[tuple[int, ...]]:
    """Left, above, upper right (if it is coded before), upper left, the last frame's lower right corner of the square
    and the block beyond it, no motion from the first, no motion from both; each once, five at most."""

    def of(kind: int, vectors: list[np.ndarray]) -> tuple[int, ...]:
        parts = [vectors[n] if kind & (1 << n) else np.zeros(2, int) for n in range(2)]
        return (kind, *(int(v) for part in parts for v in part))

    found: list[tuple[int, ...]] = []
    known = known_blocks(blocks.rows, blocks.columns, r, c)
    above, left = 2 * r - 1, 2 * c - 1
    for br, bc, vr, vc in (
        (r, c - 1, 2 * r, left),
        (r - 1, c, above, 2 * c),
        (r - 1, c + size, above, 2 * (c + size)),
        (r - 1, c - 1, above, left),
    ):
        if br >= 0 and 0 <= bc < blocks.columns and known[br, bc] and blocks.pred[br, bc]:
            found.append(of(int(blocks.pred[br, bc]), [blocks.vectors[n, vr, vc] for n in range(2)]))
    for more in (size - 1, size):
        br, bc = min(r + more, blocks.rows - 1), min(c + more, blocks.columns - 1)
        kind = int(last.pred[br, bc]) & sum(1 << n for n in range(2) if scale[n])
        if kind:
            exact = [last.vectors[n, 2 * br, 2 * bc].astype(float) * scale[n] / 256 for n in range(2)]
            found.append(of(kind, [np.floor(v + 0.5).clip(-MAX_VECTOR, MAX_VECTOR) for v in exact]))
    found += [(FIRST, 0, 0, 0, 0), (BOTH, 0, 0, 0, 0)]
    return list(dict.fromkeys(found))[:MERGE]


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_candidates(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    rows, columns = (3, 4) if seed < 4 else (5, 6)
    frame = Frame(2, random_last(random, rows, columns), random_scale(random, 2))
    frame.last.vectors //= 4  # within the limit, stretched or not
    if seed % 2:
        frame.last.vectors[:] = 0
        frame.last.vectors[0] = 8
    blocks = random_blocks(random, rows, columns, frame, 1 if seed % 3 == 0 else 30)
    for r, c in order_of(rows, columns):
        if size == 1 or begins_unit(r, c, rows, columns):
            found = candidates(blocks, r, c, frame, size)
            assert found == reference_candidates(blocks, r, c, frame.last, frame.scale, size)
            assert 1 <= len(found) == len(set(found)) <= MERGE


def candidates(blocks: Blocks, r: int, c: int, frame: Frame, size: int) -> list[tuple[int, ...]]:
    kinds, found = np.zeros(MERGE, np.int32), np.zeros((MERGE, 4), np.int32)
    last = frame.last
    count = merge_candidates(
        blocks.pred, blocks.vectors, r, c, size, last.pred, last.vectors, frame.scale, kinds, found
    )
    return [(int(kinds[k]), *(int(v) for v in found[k])) for k in range(count)]


def predictor(blocks: Blocks, ref: int, vr: int, vc: int, size: int) -> tuple[int, int]:
    out = np.zeros(2, np.int32)
    predict_vector(blocks.pred, blocks.vectors, ref, vr, vc, size, out)
    return int(out[0]), int(out[1])


def known_quarters(rows: int, columns: int, vr: int, vc: int) -> np.ndarray:
    """(2R, 2C) which quarters' vectors are coded before that of one: those of blocks before, then row by row."""
    known = known_blocks(rows, columns, vr // 2, vc // 2).repeat(2, 0).repeat(2, 1)
    for q in range(2 * (vr % 2) + vc % 2):
        known[vr // 2 * 2 + q // 2, vc // 2 * 2 + q % 2] = True
    return known


def squares_with_vectors(rows: int, columns: int) -> list[tuple[int, int, int]]:
    """Row, column and size, in quarters, of whole units, blocks and quarters."""
    found = []
    for r, c in order_of(rows, columns):
        if begins_unit(r, c, rows, columns):
            found.append((2 * r, 2 * c, 4))
        found += [(2 * r, 2 * c, 2), *((2 * r + (q >> 1), 2 * c + (q & 1), 1) for q in range(4))]
    return found


def reference_predictor(blocks: Blocks, ref: int, vr: int, vc: int, size: int) -> tuple[int, int]:
    """Median of left, above and upper right, or upper left where that is beyond the picture or coded later, as far as
    they use the reference; of two or one the first; nothing of none."""
    known = known_quarters(blocks.rows, blocks.columns, vr, vc)
    corner = vc + size
    if corner >= 2 * blocks.columns or (vr > 0 and not known[vr - 1, corner]):
        corner = vc - 1
    found = []
    for nr, nc in ((vr, vc - 1), (vr - 1, vc), (vr - 1, corner)):
        if nr >= 0 and nc >= 0 and blocks.pred[nr // 2, nc // 2] & (1 << ref):
            found.append(blocks.vectors[ref, nr, nc])
    if len(found) == 3:
        x, y = np.median(found, 0)
    else:
        x, y = found[0] if found else (0, 0)
    return int(x), int(y)


@pytest.mark.parametrize("seed", range(4))
def test_predictors(seed: int) -> None:
    random = np.random.default_rng(seed)
    for rows, columns in ((3, 4), (4, 3), (5, 5)):
        frame = Frame(2, random_last(random, rows, columns), np.array([256, -256]))
        blocks = random_blocks(random, rows, columns, frame, 30)
        for ref in range(2):
            for at in squares_with_vectors(rows, columns):
                assert predictor(blocks, ref, *at) == reference_predictor(blocks, ref, *at), at


@pytest.mark.parametrize("seed", range(4))
def test_what_is_coded_later_does_not_matter(seed: int) -> None:
    """Neither to candidates nor to predictors, of whole units, of blocks and of quarters."""
    random = np.random.default_rng(seed)
    rows, columns = 5, 4
    frame = Frame(2, random_last(random, rows, columns), np.array([256, -256]))
    blocks = random_blocks(random, rows, columns, frame, 30)
    for vr, vc, size in squares_with_vectors(rows, columns):
        r, c = vr // 2, vc // 2
        known, other = known_quarters(rows, columns, vr, vc), Blocks(rows, columns)
        other.vectors[:] = random.integers(-999, 999, other.vectors.shape)
        other.vectors[:, known] = blocks.vectors[:, known]
        other.pred[:] = random.integers(0, 4, other.pred.shape)
        before = known_blocks(rows, columns, r, c)
        other.pred[before] = blocks.pred[before]
        other.pred[r, c] = blocks.pred[r, c]
        for ref in range(2):
            assert predictor(blocks, ref, vr, vc, size) == predictor(other, ref, vr, vc, size)
        if size > 1:
            assert candidates(blocks, r, c, frame, size // 2) == candidates(other, r, c, frame, size // 2)


def test_predictors_are_medians_of_neighbours_with_that_reference() -> None:
    blocks = Blocks(4, 4)
    blocks.pred[:] = FIRST
    blocks.vectors[0, 4:6, 3], blocks.vectors[0, 3, 4:6], blocks.vectors[0, 3, 6] = (4, 40), (-8, 80), (12, 60)
    assert predictor(blocks, 0, 4, 4, 2) == (4, 60)
    assert predictor(blocks, 1, 4, 4, 2) == (0, 0)  # nobody uses it
    blocks.pred[1, 3] = SECOND
    assert predictor(blocks, 0, 4, 4, 2) == (4, 40)  # two neighbours: the one on the left
    blocks.pred[2, 1] = INTRA
    assert predictor(blocks, 0, 4, 4, 2) == (-8, 80)
    assert predictor(blocks, 0, 0, 0, 2) == (0, 0)
    blocks.pred[:], blocks.vectors[:] = FIRST, 0
    blocks.vectors[0, 3, 5], blocks.vectors[0, 3, 6], blocks.vectors[0, 4, 5] = (1, 1), (5, 5), (9, 9)
    # beyond the right edge of the picture, the upper left takes the place of the upper right
    assert predictor(blocks, 0, 4, 6, 2) == (5, 5)
    # and where that is coded later, as it is for the lower blocks at the right of a unit
    blocks.vectors[:] = 0
    blocks.vectors[0, 6, 1], blocks.vectors[0, 5, 2], blocks.vectors[0, 5, 4] = (9, 9), (7, 7), (8, 8)
    assert predictor(blocks, 0, 6, 2, 2) == (7, 7)
    blocks.vectors[0, 5, 4], blocks.vectors[0, 5, 1] = (0, 0), (8, 8)
    assert predictor(blocks, 0, 6, 2, 2) == (8, 8)


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
