# SPDX-License-Identifier: Apache-2.0
"""Motion compensation against plain sums in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.kernels.compensation import (
    BOTH,
    CHROMA_TAPS,
    FIRST,
    FLOW_ROUNDS,
    INTRA,
    LUMA_TAPS,
    PAD,
    SECOND,
    compensate,
    extend_edges,
    padded,
)
from nvcodec.models.kernels.flow import SQUARE, find_flow, mean_flow, move

ROWS, COLUMNS = 3, 2
FAR = 2**31 - 1
Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


def noise(seed: int) -> Planes:
    random = np.random.default_rng(seed)
    shapes = ((16 * ROWS, 16 * COLUMNS), (8 * ROWS, 8 * COLUMNS), (8 * ROWS, 8 * COLUMNS))
    planes = [random.integers(0, 1024, shape).astype(np.uint16) for shape in shapes]
    planes[0][:4] = 1023 * (np.indices((4, 16 * COLUMNS)).sum(0) % 2)  # as far as the filters can be driven
    return planes[0], planes[1], planes[2]


def with_borders(planes: Planes) -> Planes:
    y, u, v = planes
    return padded(y, PAD), padded(u, PAD // 2), padded(v, PAD // 2)


def black_and_white(seed: int) -> Planes:
    """The least and the largest samples, in stripes of one to four or at random."""
    random, planes = np.random.default_rng(seed), []
    for shape in ((16 * ROWS, 16 * COLUMNS), (8 * ROWS, 8 * COLUMNS), (8 * ROWS, 8 * COLUMNS)):
        plane = random.integers(0, 2, shape)
        if seed % 3:
            down, across = (np.arange(side) // random.integers(1, 5) % 2 for side in shape)
            plane = np.add.outer(down, across) % 2
        planes.append((1023 * plane).astype(np.uint16))
    return planes[0], planes[1], planes[2]


FIRST_PLANES, SECOND_PLANES = noise(1), noise(2)
PAIR = FIRST_PLANES, SECOND_PLANES


def test_borders_repeat_the_edge() -> None:
    for plane, pad in zip(FIRST_PLANES, (PAD, PAD // 2, PAD // 2), strict=True):
        assert np.array_equal(padded(plane, pad), np.pad(plane, pad, mode="edge"))
    again = padded(FIRST_PLANES[0], PAD)
    again[:PAD] = 3
    extend_edges(again, PAD)
    assert np.array_equal(again, np.pad(FIRST_PLANES[0], PAD, mode="edge"))


def filtered(
    plane: np.ndarray, pad: int, top: int, left: int, size: int, vector: tuple[int, int], taps: np.ndarray
) -> np.ndarray:
    """4096 times the interpolated block, by the definition; ``plane`` without border, which goes on for ever as far as
    ``pad`` samples and then stops the block, as a whole, with half a filter to spare."""
    fractions, count = taps.shape
    height, width = plane.shape
    before = count // 2 - 1
    starts = []
    for place, moved, length in ((top, vector[1], height), (left, vector[0], width)):
        lowest, highest = count // 2 - pad, length + pad - size - count // 2 - 1
        starts.append(min(max(place + moved // fractions, lowest), highest))
    rows = np.arange(starts[0] - before, starts[0] - before + size + count - 1).clip(0, height - 1)
    columns = np.arange(starts[1] - before, starts[1] - before + size + count - 1).clip(0, width - 1)
    around = plane[rows][:, columns].astype(np.int64)
    across, down = taps[vector[0] % fractions].astype(np.int64), taps[vector[1] % fractions].astype(np.int64)
    lines = np.stack([around[:, j : j + count] @ across for j in range(size)], 1)
    return np.stack([down @ lines[i : i + count] for i in range(size)], 0)


def in_room(parts: list[np.ndarray], size: int) -> np.ndarray:
    out = np.zeros((2, 16, 16), np.int32)
    out[:, :size, :size] = parts
    return out


def moved_together(
    pair: tuple[Planes, Planes], size: int, br: int, bc: int, towards: list[np.ndarray]
) -> list[np.ndarray]:
    """Vectors of two predictions, moved by the mean of their flow while they differ less for it."""

    def flow(towards: list[np.ndarray]) -> tuple[int, np.ndarray]:
        """Differences, and the mean."""
        both = [
            filtered(planes[0], PAD, size * br, size * bc, size, tuple(towards[ref]), LUMA_TAPS)  # type: ignore[arg-type]
            for ref, planes in enumerate(pair)
        ]
        room = np.zeros((2, 4, 4), np.int32)
        apart = find_flow(*in_room(both, size), size, room)
        return int(apart), np.array([int(n) for n in mean_flow(size, room)], object)

    apart, by = flow(towards)
    for _ in range(FLOW_ROUNDS):
        moved = [towards[0] + by, towards[1] - by]
        now, more = flow(moved)
        if not by.any() or now >= apart:
            break
        towards, apart, by = moved, now, more
    return towards


def reference_prediction(
    kinds: np.ndarray, vectors: np.ndarray, midway: bool, pair: tuple[Planes, Planes]
) -> list[np.ndarray]:
    """Every 8x8 block on its own, but for those that `flow` looks at as a whole."""
    room = np.zeros((2, 4, 4), np.int32)
    out = [np.full_like(plane, 77) for plane in FIRST_PLANES]
    for r in range(2 * ROWS):
        for c in range(2 * COLUMNS):
            kind = kinds[r, c]
            if kind == INTRA:
                continue
            # the border stops a 16x16 block with one motion as a whole
            block = np.s_[r // 2 * 2 : r // 2 * 2 + 2, c // 2 * 2 : c // 2 * 2 + 2]
            whole = (kinds[block] == kind).all() and all(
                (vectors[ref][block] == vectors[ref, r, c]).all() for ref in range(2)
            )
            size, br, bc = (16, r // 2, c // 2) if whole else (8, r, c)
            towards = [np.array([int(n) for n in vectors[ref, r, c]], object) for ref in range(2)]
            moves = midway and kind == BOTH
            if moves:
                towards = moved_together(pair, size, br, bc, towards)
            for number, (pad, s, taps) in enumerate(((PAD, 1, LUMA_TAPS), *[(PAD // 2, 2, CHROMA_TAPS)] * 2)):
                n = size // s
                parts: list[np.ndarray] = []
                for ref, planes in enumerate(pair):
                    if kind & (1 << ref):
                        vector = tuple(towards[ref])
                        parts.append(filtered(planes[number], pad, n * br, n * bc, n, vector, taps))  # type: ignore[arg-type]
                if moves:
                    a, b = in_room(parts, n)
                    if number == 0:
                        find_flow(a, b, n, room)
                    move(a, b, n, SQUARE * n // size, 6 if number == 0 else 7, room)
                    parts[0] = a[:n, :n]
                total = sum(parts)
                shift = 12 if len(parts) == 1 else 13
                samples = ((total + (1 << (shift - 1))) >> shift).clip(0, 1023)  # type: ignore[operator]
                out[number][n * br : n * br + n, n * bc : n * bc + n] = samples
    return out


def prediction(
    kinds: np.ndarray, vectors: np.ndarray, midway: bool = False, pair: tuple[Planes, Planes] = PAIR
) -> list[np.ndarray]:
    first, second = (with_borders(planes) for planes in pair)
    out = [np.full_like(plane, 77) for plane in FIRST_PLANES]
    for begin, end in ((0, 1), (1, ROWS)):  # in parts, as threads do it
        compensate(first, second, kinds, vectors.astype(np.int32), midway, begin, end, *out)
    return out


def check(kinds: np.ndarray, vectors: np.ndarray, midway: bool = False, pair: tuple[Planes, Planes] = PAIR) -> None:
    """Vectors of references that are not used are set to zero, as they always are."""
    for ref in range(2):
        vectors[ref][kinds & (1 << ref) == 0] = 0
    made = prediction(kinds, vectors, midway, pair)
    for found, wanted in zip(made, reference_prediction(kinds, vectors, midway, pair), strict=True):
        assert found.dtype == np.uint16
        assert np.array_equal(found, wanted)


def filled(kind: int) -> np.ndarray:
    return np.full((2 * ROWS, 2 * COLUMNS), kind, np.uint8)


@pytest.mark.parametrize("kind", [FIRST, SECOND, BOTH])
def test_every_phase(kind: int) -> None:
    """All 64 of chroma, and with them all 16 of luma, whole pixels included."""
    for phase in range(64):
        vectors = np.zeros((2, 2 * ROWS, 2 * COLUMNS, 2), np.int64)
        vectors[0] = phase % 8 - 16, phase // 8 + 8
        vectors[1] = phase // 8, -(phase % 8)
        check(filled(kind), vectors)


@pytest.mark.parametrize("seed", range(12))
def test_mixed_blocks_split_and_whole(seed: int) -> None:
    random = np.random.default_rng(seed)
    kinds = random.integers(0, 4, (ROWS, COLUMNS)).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    if seed % 2:  # parts of a block from different references
        kinds = np.where(kinds == INTRA, kinds, random.integers(1, 4, kinds.shape).astype(np.uint8))
    vectors = random.integers(-90, 91, (2, 2 * ROWS, 2 * COLUMNS, 2))
    whole = random.integers(0, 2, (ROWS, COLUMNS)).repeat(2, 0).repeat(2, 1) > 0
    vectors[:, whole] = vectors[:, ::2, ::2].repeat(2, 1).repeat(2, 2)[:, whole]
    if seed % 4 == 1:  # of which one that is not used lies as far as one that is
        vectors[1] = vectors[0]
    check(kinds, vectors, seed % 3 == 0)
    for plane, mask in zip(prediction(kinds, vectors), (8, 4, 4), strict=True):
        assert (plane[(kinds == INTRA).repeat(mask, 0).repeat(mask, 1)] == 77).all()


@pytest.mark.parametrize("amount", [2, 12, 250])
def test_predictions_from_both_are_moved_towards_each_other_midway(amount: int) -> None:
    """And only those: references that differ a little, and such as have nothing in common."""
    random = np.random.default_rng(amount)
    kinds = random.integers(1, 4, (ROWS, COLUMNS)).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    vectors = random.integers(-amount, amount + 1, (2, 2 * ROWS, 2 * COLUMNS, 2))
    check(kinds, vectors, True)
    for moved, plain in zip(prediction(kinds, vectors, True), prediction(kinds, vectors), strict=True):
        side = moved.shape[0] // (2 * ROWS)
        both = (kinds == BOTH).repeat(side, 0).repeat(side, 1)
        assert np.array_equal(moved[~both], plain[~both])
        assert (moved != plain).any()


@pytest.mark.parametrize(("first", "second"), [(FIRST, SECOND), (SECOND, BOTH), (BOTH, FIRST)])
@pytest.mark.parametrize("size", [0, 9, 1000])
def test_parts_of_a_block_from_different_references(first: int, second: int, size: int) -> None:
    """In rows and in columns, within the picture and as far as the border lets them."""
    vectors = np.zeros((2, 2 * ROWS, 2 * COLUMNS, 2), np.int64)
    vectors[0], vectors[1] = (size, -size), (-size, size)
    for axis in range(2):
        kinds = np.where(np.indices(vectors.shape[1:3])[axis] % 2 == 0, first, second).astype(np.uint8)
        check(kinds, vectors.copy())


@pytest.mark.parametrize("size", [240, 400, 1000, 4095, 16380, FAR])
@pytest.mark.parametrize("split", [False, True])
def test_vectors_to_the_border_and_far_beyond(size: int, split: bool) -> None:
    """A block that would leave the border stops at it; nothing outside the planes is read, however long the vector."""
    random = np.random.default_rng(size)
    for kind in (FIRST, SECOND, BOTH):
        for y in (-1, 0, 1):
            for x in (-1, 0, 1):
                vectors = np.zeros((2, 2 * ROWS, 2 * COLUMNS, 2), np.int64)
                vectors[:] = x * size, y * size
                vectors[1] = -vectors[1]
                if split:
                    vectors += random.integers(-5, 6, vectors.shape)
                check(filled(kind), vectors.clip(-FAR - 1, FAR))


@pytest.mark.parametrize("midway", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_black_and_white_at_every_phase(seed: int, midway: bool) -> None:
    """What the least and the largest samples beside each other drive filters to, from references that are alike and
    from such as are each other's opposite."""
    first = black_and_white(seed)
    second = tuple(1023 - plane for plane in first) if seed % 2 else black_and_white(seed + 100)
    pair = first, (second[0], second[1], second[2])
    reached = set()
    for phase in range(16):
        vectors = np.zeros((2, 2 * ROWS, 2 * COLUMNS, 2), np.int64)
        vectors[0], vectors[1] = (phase % 4 + 8, phase // 4 - 12), (phase // 4, phase % 4)
        for kind in (FIRST, BOTH):
            if kind == BOTH or not midway:
                check(filled(kind), vectors.copy(), midway, pair)
        reached |= set(prediction(filled(BOTH), vectors, midway, pair)[0].ravel().tolist())
    assert {0, 1023} <= reached or seed % 2
    assert max(reached) <= 1023


def test_taps_are_those_of_a_filter() -> None:
    for taps in (LUMA_TAPS, CHROMA_TAPS):
        assert (taps.sum(1) == 64).all()
        half = len(taps) // 2
        for phase in range(1, len(taps)):  # the other way round for the phase on the other side
            assert (taps[phase][::-1] == taps[len(taps) - phase]).all()
        assert (taps[0] == 64 * (np.arange(taps.shape[1]) == taps.shape[1] // 2 - 1)).all()
        assert (taps[half] == taps[half][::-1]).all()
