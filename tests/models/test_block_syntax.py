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
from nvcodec.models.kernels.syntax import (
    CONTEXTS,
    MAX_VECTOR,
    MERGE,
    code_blocks,
    likely_modes,
    merge_candidates,
    predict_vector,
)

MODES, ENERGIES = 35, 8
FIELDS = ("pred", "merged", "coded", "fine", "tiny", "energy", "modes", "vectors")
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


def random_blocks(random: np.random.Generator, rows: int, columns: int, frame: Frame, reach: int) -> Blocks:
    """Any decisions in canonical form: merged blocks have their candidate's motion; vectors of references that are not
    used are zero; a block is fine only if coded or intra, a quarter tiny only if its block is fine; energies of blocks
    that are not coded are 0; modes of inter blocks are MEAN."""
    blocks = Blocks(rows, columns)
    kinds, found = np.zeros(MERGE, np.int32), np.zeros((MERGE, 4), np.int32)
    shares = random.random(5)
    for r in range(rows):
        for c in range(columns):
            own = np.s_[2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
            kind = INTRA
            if frame.references and random.random() < shares[0]:
                last = frame.last
                count = merge_candidates(
                    blocks.pred, blocks.vectors, r, c, last.pred, last.vectors, frame.scale, kinds, found
                )
                usable = [k for k in range(count) if frame.references > 1 or kinds[k] == FIRST]
                which = int(random.choice(usable))
                kind = int(kinds[which])
                blocks.merged[r, c] = 1 + which
                for ref in range(2):
                    blocks.vectors[ref][own] = found[which, 2 * ref : 2 * ref + 2]
            elif frame.references and random.random() < shares[1]:
                kind = int(random.integers(1, 4)) if frame.references > 1 else FIRST
                for ref in range(2):
                    if kind & (1 << ref):
                        vector = random.integers(-reach, reach + 1, 2)
                        if random.random() < 0.3:
                            vector = random.choice([-MAX_VECTOR, MAX_VECTOR], 2)
                        blocks.vectors[ref][own] = vector
                if random.random() < 0.4:
                    for ref in range(2):
                        if kind & (1 << ref):
                            blocks.vectors[ref][own] = random.integers(-reach, reach + 1, (2, 2, 2))
            blocks.pred[r, c] = kind
            blocks.coded[r, c] = random.random() < shares[2]
            if blocks.coded[r, c]:
                blocks.energy[r, c] = random.integers(0, ENERGIES)
            if blocks.coded[r, c] or kind == INTRA:
                blocks.fine[r, c] = random.random() < shares[3]
            if blocks.fine[r, c]:
                blocks.tiny[own] = random.random((2, 2)) < shares[4]
            if kind == INTRA:
                blocks.modes[4 * r : 4 * r + 4, 4 * c : 4 * c + 4] = intra_modes(
                    random, int(blocks.fine[r, c]), blocks.tiny[own]
                )
    return blocks


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


def test_a_still_frame_costs_next_to_nothing() -> None:
    rows, columns = 20, 30
    contexts, last = binary.new_contexts(CONTEXTS), Blocks(rows, columns)
    nbytes = []
    for _ in range(6):
        blocks, frame = Blocks(rows, columns), Frame(1, last, np.array([256, 0]))
        blocks.pred[:], blocks.merged[:] = FIRST, 1
        nbytes.append(len(write(blocks, frame, contexts)))
        last = blocks
    assert nbytes[-1] < 8  # of 600 blocks


# --- bytes that nobody wrote


def check_bounds(blocks: Blocks, frame: Frame) -> None:
    assert blocks.pred.max() <= (BOTH if frame.references > 1 else frame.references)
    assert blocks.merged.max() <= MERGE
    for flags in (blocks.coded, blocks.fine, blocks.tiny):
        assert flags.max() <= 1
    assert blocks.energy.max() < ENERGIES
    assert blocks.modes.max() < MODES
    assert not blocks.energy[blocks.coded == 0].any()
    assert not blocks.fine[(blocks.coded == 0) & (blocks.pred > 0)].any()
    assert not blocks.tiny[blocks.fine.repeat(2, 0).repeat(2, 1) == 0].any()
    assert (blocks.modes[(blocks.pred > 0).repeat(4, 0).repeat(4, 1)] == 1).all()
    for ref in range(2):
        unused = (blocks.pred & (1 << ref) == 0).repeat(2, 0).repeat(2, 1)
        assert not blocks.vectors[ref][unused].any()


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
    assert np.abs(blocks.vectors).max() <= 4 * MAX_VECTOR  # a candidate's vector, stretched
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
        (kind, *vectors), *_ = candidates(Blocks(1, 1), 0, 0, frame)
        assert kind == BOTH
        assert np.abs(vectors).max() <= MAX_VECTOR
        last.vectors[:] = np.array(vectors).reshape(2, 1, 1, 2)


# --- candidates and predictors


def reference_candidates(blocks: Blocks, r: int, c: int, last: Blocks, scale: np.ndarray) -> list[tuple[int, ...]]:
    """Left, above, upper right, upper left, the same block of the last frame, the one to its lower right, no motion
    from the first, no motion from both; each once, five at most."""

    def of(kind: int, vectors: list[np.ndarray]) -> tuple[int, ...]:
        parts = [vectors[n] if kind & (1 << n) else np.zeros(2, int) for n in range(2)]
        return (kind, *(int(v) for part in parts for v in part))

    found: list[tuple[int, ...]] = []
    above, left = 2 * r - 1, 2 * c - 1
    for br, bc, vr, vc in (
        (r, c - 1, 2 * r, left),
        (r - 1, c, above, 2 * c),
        (r - 1, c + 1, above, 2 * c + 2),
        (r - 1, c - 1, above, left),
    ):
        if br >= 0 and 0 <= bc < blocks.columns and blocks.pred[br, bc]:
            found.append(of(int(blocks.pred[br, bc]), [blocks.vectors[n, vr, vc] for n in range(2)]))
    for br, bc in ((r, c), (min(r + 1, blocks.rows - 1), min(c + 1, blocks.columns - 1))):
        kind = int(last.pred[br, bc]) & sum(1 << n for n in range(2) if scale[n])
        if kind:
            exact = [last.vectors[n, 2 * br, 2 * bc].astype(float) * scale[n] / 256 for n in range(2)]
            found.append(of(kind, [np.floor(v + 0.5).clip(-MAX_VECTOR, MAX_VECTOR) for v in exact]))
    found += [(FIRST, 0, 0, 0, 0), (BOTH, 0, 0, 0, 0)]
    return list(dict.fromkeys(found))[:MERGE]


@pytest.mark.parametrize("seed", range(6))
def test_candidates(seed: int) -> None:
    random = np.random.default_rng(seed)
    frame = Frame(2, random_last(random, 3, 4), random_scale(random, 2))
    frame.last.vectors //= 4  # within the limit, stretched or not
    if seed % 2:
        frame.last.vectors[:] = 0
        frame.last.vectors[0] = 8
    blocks = random_blocks(random, 3, 4, frame, 1 if seed % 3 == 0 else 30)
    for r in range(3):
        for c in range(4):
            found = candidates(blocks, r, c, frame)
            assert found == reference_candidates(blocks, r, c, frame.last, frame.scale)
            assert 1 <= len(found) == len(set(found)) <= MERGE


def candidates(blocks: Blocks, r: int, c: int, frame: Frame) -> list[tuple[int, ...]]:
    kinds, found = np.zeros(MERGE, np.int32), np.zeros((MERGE, 4), np.int32)
    last = frame.last
    count = merge_candidates(blocks.pred, blocks.vectors, r, c, last.pred, last.vectors, frame.scale, kinds, found)
    return [(int(kinds[k]), *(int(v) for v in found[k])) for k in range(count)]


def predictor(blocks: Blocks, ref: int, vr: int, vc: int, size: int) -> tuple[int, int]:
    out = np.zeros(2, np.int32)
    predict_vector(blocks.pred, blocks.vectors, ref, vr, vc, size, out)
    return int(out[0]), int(out[1])


@pytest.mark.parametrize("seed", range(4))
def test_what_is_coded_later_does_not_matter(seed: int) -> None:
    """Neither to candidates nor to predictors, of whole blocks and of quarters."""
    random = np.random.default_rng(seed)
    rows, columns = 3, 4
    frame = Frame(2, random_last(random, rows, columns), np.array([256, -256]))
    blocks = random_blocks(random, rows, columns, frame, 30)
    for r in range(rows):
        for c in range(columns):
            for size, k in ((2, 0), (1, 0), (1, 1), (1, 2), (1, 3)):
                known, other = np.zeros((2 * rows, 2 * columns), bool), Blocks(rows, columns)
                known[: 2 * r] = True
                known[2 * r : 2 * r + 2, : 2 * c] = True
                for q in range(k):
                    known[2 * r + (q >> 1), 2 * c + (q & 1)] = True
                other.vectors[:] = random.integers(-999, 999, other.vectors.shape)
                other.vectors[:, known] = blocks.vectors[:, known]
                other.pred[:] = random.integers(0, 4, other.pred.shape)
                other.pred[known[::2, ::2]] = blocks.pred[known[::2, ::2]]
                other.pred[r, c] = blocks.pred[r, c]
                for ref in range(2):
                    at = (ref, 2 * r + (k >> 1), 2 * c + (k & 1), size)
                    assert predictor(blocks, *at) == predictor(other, *at)
                if k == 0:
                    assert candidates(blocks, r, c, frame) == candidates(other, r, c, frame)


def test_predictors_are_medians_of_neighbours_with_that_reference() -> None:
    blocks = Blocks(2, 3)
    blocks.pred[:] = FIRST
    blocks.vectors[0, 2:4, 1], blocks.vectors[0, 1, 2:4], blocks.vectors[0, 1, 4] = (4, 40), (-8, 80), (12, 60)
    assert predictor(blocks, 0, 2, 2, 2) == (4, 60)
    assert predictor(blocks, 1, 2, 2, 2) == (0, 0)  # nobody uses it
    blocks.pred[0, 2] = SECOND
    assert predictor(blocks, 0, 2, 2, 2) == (4, 40)  # two neighbours: the one on the left
    blocks.pred[1, 0] = INTRA
    assert predictor(blocks, 0, 2, 2, 2) == (-8, 80)
    assert predictor(blocks, 0, 0, 0, 2) == (0, 0)
    blocks.pred[:], blocks.vectors[:] = FIRST, 0
    blocks.vectors[0, 1, 3], blocks.vectors[0, 1, 4], blocks.vectors[0, 2, 3] = (1, 1), (5, 5), (9, 9)
    # beyond the right edge of the picture, the upper left takes the place of the upper right
    assert predictor(blocks, 0, 2, 4, 2) == (5, 5)


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
