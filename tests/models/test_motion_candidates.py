# SPDX-License-Identifier: Apache-2.0
"""What blocks and their parts may take their motion from, and what their vectors are told by."""

from __future__ import annotations

import math

import numpy as np
import pytest
from block_samples import (
    Frame,
    Motion,
    candidates,
    move,
    order_of,
    parts_of,
    random_blocks,
    random_last,
    random_scale,
    whole_squares,
)

from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.conditional.frame_coder import MAX_SCALE
from nvcodec.models.kernels.compensation import BOTH, FIRST, INTRA, SECOND
from nvcodec.models.kernels.motion import (
    FOUR_PARTS,
    MAX_VECTOR,
    MERGE,
    ONE_PART,
    PART_COUNT,
    PARTS,
    TWO_COLUMNS,
    TWO_ROWS,
    _right_is_known,
    predict_vector,
)

Place = tuple[int, int, int, int]  # row, column, height and width, in 8x8 blocks
Neighbour = tuple[int, int]


def known_before(rows: int, columns: int, place: Place) -> np.ndarray:
    """(2R, 2C) which 8x8 blocks have their motion before those of a place: those of blocks before, and of the parts
    before it of the same block."""
    vr, vc, height, width = place
    known, order = np.zeros((2 * rows, 2 * columns), bool), order_of(rows, columns)
    for r, c in order[: order.index((vr // 2, vc // 2))]:
        known[2 * r : 2 * r + 2, 2 * c : 2 * c + 2] = True
    if max(height, width) > 2:
        return known
    r, c = vr // 2 * 2, vc // 2 * 2
    (shape,) = (s for s in range(4) if parts_of(s)[0][2:] == (height, width))
    for i, j, h, w in parts_of(shape):
        if (r + i, c + j) == (vr, vc):
            break
        known[r + i : r + i + h, c + j : c + j + w] = True
    return known


def places(rows: int, columns: int) -> list[Place]:
    """Of whole quads and units, blocks, and parts of all shapes."""
    found = [(2 * r, 2 * c, 2 * size, 2 * size) for size in (4, 2) for r, c in whole_squares(rows, columns, size)]
    for r, c in order_of(rows, columns):
        found += [(2 * r + i, 2 * c + j, h, w) for s in range(4) for i, j, h, w in parts_of(s)]
    return found


def test_parts_cover_a_block_once() -> None:
    shapes = [{part[2:] for part in parts_of(s)} for s in (ONE_PART, TWO_ROWS, TWO_COLUMNS, FOUR_PARTS)]
    assert shapes == [{(2, 2)}, {(1, 2)}, {(2, 1)}, {(1, 1)}]
    for shape in range(4):
        covered = np.zeros((2, 2), int)
        for i, j, height, width in parts_of(shape):
            covered[i : i + height, j : j + width] += 1
        assert (covered == 1).all()
        assert [part[:2] for part in parts_of(shape)] == sorted(part[:2] for part in parts_of(shape))
    assert PARTS.shape == (4, PART_COUNT.max(), 4)


# --- candidates


def mean_of(a: Motion, b: Motion) -> Motion:
    """Of the vectors into each reference, rounded down; where one has none, the other's."""
    vectors: list[int] = []
    for ref in range(2):
        there = [motion[1 + 2 * ref : 3 + 2 * ref] for motion in (a, b) if motion[0] & (1 << ref)]
        vectors += [math.floor(sum(numbers) / len(there)) for numbers in zip(*there, strict=True)] or [0, 0]
    return (a[0] | b[0], *vectors)


def reference_candidates(blocks: Blocks, place: Place, last: Blocks, scale: np.ndarray) -> list[Motion]:
    """Left, above, upper right (if it is coded before), upper left, the middle of where it was in the last frame and
    what lay beyond its lower right corner, left and above at their far ends, means of the first three of those, no
    motion from the first, no motion from both; each once, nine at most."""

    def of(kind: int, vectors: list[np.ndarray]) -> Motion:
        used = [vectors[n] if kind & (1 << n) else np.zeros(2, int) for n in range(2)]
        return (kind, *(int(v) for vector in used for v in vector))

    found: list[Motion] = []
    vr, vc, height, width = place
    rows, columns = blocks.kinds.shape
    known = known_before(blocks.rows, blocks.columns, place)

    def look(nr: int, nc: int) -> None:
        if nr >= 0 and 0 <= nc < columns and known[nr, nc] and blocks.kinds[nr, nc] != INTRA:
            found.append(of(int(blocks.kinds[nr, nc]), [blocks.vectors[n, nr, nc] for n in range(2)]))

    for nr, nc in ((vr, vc - 1), (vr - 1, vc), (vr - 1, vc + width), (vr - 1, vc - 1)):
        look(nr, nc)
    for i, j in ((height // 2, width // 2), (height, width)):
        nr, nc = min(vr + i, rows - 1), min(vc + j, columns - 1)
        kind = int(last.kinds[nr, nc]) & sum(1 << n for n in range(2) if scale[n])
        if kind:
            exact = [last.vectors[n, nr, nc].astype(float) * scale[n] / 256 for n in range(2)]
            found.append(of(kind, [np.floor(v + 0.5).clip(-MAX_VECTOR, MAX_VECTOR) for v in exact]))
    look(vr + height - 1, vc - 1)
    look(vr - 1, vc + width - 1)
    found = list(dict.fromkeys(found))
    for one, other in ((0, 1), (0, 2), (1, 2)):  # a mean may be the second or third itself
        if other < len(found):
            found = list(dict.fromkeys([*found, mean_of(found[one], found[other])]))
    found += [(FIRST, 0, 0, 0, 0), (BOTH, 0, 0, 0, 0)]
    return list(dict.fromkeys(found))[:MERGE]


@pytest.mark.parametrize("seed", range(6))
def test_candidates(seed: int) -> None:
    """Of quads, units, blocks and parts, whatever lies where they are themselves."""
    random = np.random.default_rng(seed)
    rows, columns = (3, 4) if seed < 3 else (5, 6) if seed < 5 else (8, 9)
    frame = Frame(2, random_last(random, rows, columns), random_scale(random, 2))
    frame.last.vectors //= 4  # within the limit, stretched or not
    if seed % 2:
        frame.last.vectors[:] = 0
        frame.last.vectors[0] = 8
    blocks, counts = random_blocks(random, rows, columns, frame, 1 if seed % 3 == 0 else 30), set()
    for place in places(rows, columns):
        found = candidates(blocks, *place, frame)
        assert found == reference_candidates(blocks, place, frame.last, frame.scale), place
        assert 1 <= len(found) == len(set(found)) <= MERGE
        counts.add(len(found))
    assert len(counts) > 1


def test_what_is_known_on_the_right_is_coded_before() -> None:
    """Above and to the right of a quad, a unit, a block or a part: all of it and nothing else."""
    told = 0
    for rows, columns in ((1, 1), (2, 5), (3, 3), (4, 4), (5, 9), (8, 8), (9, 13)):
        for vr, vc, height, width in places(rows, columns):
            right, known = vc + width, known_before(rows, columns, (vr, vc, height, width))
            wanted = vr > 0 and right < 2 * columns and bool(known[vr - 1, right])
            assert _right_is_known(vr, vc, width, 2 * columns) == wanted, (rows, columns, vr, vc, height, width)
            told += wanted
    assert told > 500


@pytest.mark.parametrize("size", [2, 4, 8])
def test_neighbours_are_looked_at_in_turn(size: int) -> None:
    """Left and above at their beginning, upper right, upper left, the last frame's two, left and above at their end;
    then as many means as there is room for."""
    last, blocks = Blocks(8, 8), Blocks(8, 8)
    last.kinds[:], last.vectors[0] = FIRST, (500 + np.arange(256)).reshape(16, 16, 1)
    blocks.kinds[:], blocks.vectors[0] = FIRST, 7
    end = 7 + size
    for n, (r, c) in enumerate(((8, 7), (7, 8), (7, 8 + size), (7, 7), (end, 7), (7, end))):
        if c < 16:
            blocks.vectors[0, r, c] = 10 * n + 1
    middle, beyond = (500 + 17 * min(8 + n, 15) for n in (size // 2, size))
    wanted = [1, 11, 21, 31, middle, beyond, 41, 51, 6]
    if size == 8:  # nothing is on the right of these
        wanted = [1, 11, 31, middle, beyond, 41, 51, 6, 16]
    found = candidates(blocks, 8, 8, size, size, Frame(2, last, np.array([256, 256])))
    assert found == [(FIRST, n, n, 0, 0) for n in wanted]


@pytest.mark.parametrize(
    ("left", "above", "mean"),
    [
        ((FIRST, 10, -20, 0, 0), (FIRST, 4, -5, 0, 0), (FIRST, 7, -13, 0, 0)),  # rounded down
        ((FIRST, 10, 20, 0, 0), (SECOND, 0, 0, 6, -8), (BOTH, 10, 20, 6, -8)),
        ((SECOND, 0, 0, 6, -8), (FIRST, 10, 20, 0, 0), (BOTH, 10, 20, 6, -8)),
        ((BOTH, 1, 2, 3, 4), (FIRST, 5, 5, 0, 0), (BOTH, 3, 3, 3, 4)),
        ((SECOND, 0, 0, -9, 1), (BOTH, 1, 2, 3, 4), (BOTH, 1, 2, -3, 2)),
        ((BOTH, 1, 2, 3, 4), (BOTH, -2, 2, -3, -9), (BOTH, -1, 2, 0, -3)),
    ],
)
def test_means_of_candidates(left: Motion, above: Motion, mean: Motion) -> None:
    """A reference that only one of them uses has its vector, not half of it."""
    blocks, frame = Blocks(2, 2), Frame(2, Blocks(2, 2), np.zeros(2, np.int64))
    move(blocks, 2, 0, 2, 2, left)
    move(blocks, 0, 2, 2, 2, above)
    found = candidates(blocks, 2, 2, 2, 2, frame)
    assert found[:3] == [left, above, mean]
    assert mean == mean_of(left, above)
    # then those with the mean, which is the third now
    later = [mean_of(left, mean), mean_of(above, mean), (FIRST, 0, 0, 0, 0), (BOTH, 0, 0, 0, 0)]
    assert found == list(dict.fromkeys([left, above, mean, *later]))


def test_a_mean_that_is_there_already_is_not_there_twice() -> None:
    blocks, frame = Blocks(2, 2), Frame(2, Blocks(2, 2), np.zeros(2, np.int64))
    move(blocks, 2, 0, 2, 2, (FIRST, 8, 8, 0, 0))
    nothing: list[Motion] = [(FIRST, 0, 0, 0, 0), (BOTH, 0, 0, 0, 0)]
    assert candidates(blocks, 2, 2, 2, 2, frame) == [(FIRST, 8, 8, 0, 0), *nothing]  # nothing to take the mean with
    move(blocks, 0, 2, 2, 2, (FIRST, 9, 8, 0, 0))
    assert candidates(blocks, 2, 2, 2, 2, frame) == [(FIRST, 8, 8, 0, 0), (FIRST, 9, 8, 0, 0), *nothing]


def test_candidates_of_parts_are_other_parts() -> None:
    """The second part of a block may take the first one's motion, but the first not the second one's."""
    blocks, frame = Blocks(1, 1), Frame(2, Blocks(1, 1), np.zeros(2, np.int64))
    nothing: list[Motion] = [(FIRST, 0, 0, 0, 0), (BOTH, 0, 0, 0, 0)]
    for shape in (TWO_ROWS, TWO_COLUMNS, FOUR_PARTS):
        motions: list[Motion] = [(SECOND, 0, 0, 3, k) for k in range(len(parts_of(shape)))]
        for part, motion in zip(parts_of(shape), motions, strict=True):
            move(blocks, *part, motion)
        found = [candidates(blocks, *part, frame) for part in parts_of(shape)]
        assert found[0] == nothing
        assert found[1] == [motions[0], *nothing]
        if shape == FOUR_PARTS:  # above and upper right; left, above and upper left
            assert found[2] == [motions[0], motions[1], *nothing]
            assert found[3] == [motions[2], motions[1], motions[0], *nothing]


def test_vectors_do_not_grow_from_frame_to_frame() -> None:
    """Merged blocks may hand on the vectors of the last frame, stretched: without a limit 31 bits are soon full."""
    last = Blocks(1, 1)
    last.kinds[:], last.vectors[:] = BOTH, MAX_VECTOR
    for _ in range(20):
        frame = Frame(2, last, np.array([MAX_SCALE, -MAX_SCALE]))
        for place in places(1, 1):
            (kind, *vectors), *others = candidates(Blocks(1, 1), *place, frame)
            assert kind == BOTH
            assert np.abs([vectors, *(motion[1:] for motion in others)]).max() <= MAX_VECTOR
        last.vectors[:] = np.array(vectors).reshape(2, 1, 1, 2)


def test_the_last_frame_is_asked_at_the_middle_and_beyond_the_corner() -> None:
    """Of each size, where all 8x8 blocks of the last frame moved in another way."""
    last = Blocks(3, 3)
    last.kinds[:] = FIRST
    last.vectors[0] = np.moveaxis(np.indices((6, 6)), 0, -1) * 10 + 1
    frame = Frame(2, last, np.array([256, 256]))
    for place, middle, beyond in (
        ((0, 0, 4, 4), (2, 2), (4, 4)),
        ((2, 2, 2, 2), (3, 3), (4, 4)),
        ((2, 2, 1, 2), (2, 3), (3, 4)),
        ((2, 3, 2, 1), (3, 3), (4, 4)),
        ((3, 2, 1, 1), (3, 2), (4, 3)),
        ((4, 4, 2, 2), (5, 5), (5, 5)),  # in the corner of the picture there is nothing beyond
    ):
        of = [(FIRST, 10 * r + 1, 10 * c + 1, 0, 0) for r, c in dict.fromkeys((middle, beyond))]
        assert candidates(Blocks(3, 3), *place, frame)[: len(of)] == of


# --- predictors


def prediction(blocks: Blocks, ref: int, place: Place) -> list[int]:
    """Predictor x y, how far its neighbours' lie apart in x and y, how their mean differs in x and y."""
    out = np.full(6, 99, np.int32)
    vr, vc, _, width = place
    predict_vector(blocks.kinds, blocks.vectors, ref, vr, vc, width, out)
    found: list[int] = out.tolist()
    return found


def reference_prediction(blocks: Blocks, ref: int, place: Place) -> list[int]:
    """Median of left, above and upper right, or upper left where that is beyond the picture or coded later, as far as
    they use the reference; of two or one the first; nothing of none."""
    vr, vc, _, width = place
    known = known_before(blocks.rows, blocks.columns, place)
    corner = vc + width
    if corner >= 2 * blocks.columns or (vr > 0 and not known[vr - 1, corner]):
        corner = vc - 1
    found = np.array(
        [
            blocks.vectors[ref, nr, nc]
            for nr, nc in ((vr, vc - 1), (vr - 1, vc), (vr - 1, corner))
            if nr >= 0 and nc >= 0 and blocks.kinds[nr, nc] & (1 << ref)
        ],
        int,
    ).reshape(-1, 2)
    middle = np.median(found, 0) if len(found) == 3 else found[0] if len(found) else np.zeros(2)
    spread = np.ptp(found, 0) if len(found) > 1 else np.full(2, -1)
    lean = (found - middle).sum(0) if len(found) > 1 else np.zeros(2)
    return [int(n) for n in (*middle, *spread, *lean)]


@pytest.mark.parametrize("seed", range(4))
def test_predictors(seed: int) -> None:
    random = np.random.default_rng(seed)
    for rows, columns in ((3, 4), (4, 3), (5, 9), (8, 5)):
        frame = Frame(2, random_last(random, rows, columns), np.array([256, -256]))
        blocks = random_blocks(random, rows, columns, frame, 30)
        for ref in range(2):
            for place in places(rows, columns):
                assert prediction(blocks, ref, place) == reference_prediction(blocks, ref, place), place


@pytest.mark.parametrize("seed", range(4))
def test_what_is_coded_later_does_not_matter(seed: int) -> None:
    """Neither to candidates nor to predictors, of whole quads and units, of blocks and of parts."""
    random = np.random.default_rng(seed)
    rows, columns = (5, 4) if seed < 3 else (8, 9)
    frame = Frame(2, random_last(random, rows, columns), np.array([256, -256]))
    blocks = random_blocks(random, rows, columns, frame, 30)
    for place in places(rows, columns):
        known, other = known_before(rows, columns, place), Blocks(rows, columns)
        other.vectors[:] = random.integers(-999, 999, other.vectors.shape)
        other.vectors[:, known] = blocks.vectors[:, known]
        other.kinds[:] = np.where(known, blocks.kinds, random.integers(0, 4, other.kinds.shape))
        for ref in range(2):
            assert prediction(blocks, ref, place) == prediction(other, ref, place), place
        assert candidates(blocks, *place, frame) == candidates(other, *place, frame), place


def test_predictors_are_medians_of_neighbours_with_that_reference() -> None:
    blocks, block = Blocks(4, 4), (4, 4, 2, 2)
    blocks.kinds[:] = FIRST
    blocks.vectors[0, 4:6, 3], blocks.vectors[0, 3, 4:6], blocks.vectors[0, 3, 6] = (4, 40), (-8, 80), (12, 60)
    assert prediction(blocks, 0, block) == [4, 60, 20, 40, -4, 0]
    assert prediction(blocks, 1, block) == [0, 0, -1, -1, 0, 0]  # nobody uses it
    blocks.kinds[2:4, 6:] = SECOND
    assert prediction(blocks, 0, block) == [4, 40, 12, 40, -12, 40]  # two neighbours: the one on the left
    blocks.kinds[4:6, 2:4] = INTRA
    assert prediction(blocks, 0, block) == [-8, 80, -1, -1, 0, 0]
    assert prediction(blocks, 0, (0, 0, 2, 2)) == [0, 0, -1, -1, 0, 0]


def test_the_upper_left_stands_in_for_an_upper_right_that_is_not_there() -> None:
    blocks = Blocks(4, 4)
    blocks.kinds[:] = FIRST
    blocks.vectors[0, 3, 5], blocks.vectors[0, 3, 6], blocks.vectors[0, 4, 5] = (1, 1), (5, 5), (9, 9)
    # beyond the right edge of the picture
    assert prediction(blocks, 0, (4, 6, 2, 2))[:2] == [5, 5]
    # and where that is coded later, as it is for the lower blocks at the right of a unit
    blocks.vectors[:] = 0
    blocks.vectors[0, 6, 1], blocks.vectors[0, 5, 2], blocks.vectors[0, 5, 4] = (9, 9), (7, 7), (8, 8)
    assert prediction(blocks, 0, (6, 2, 2, 2))[:2] == [7, 7]
    blocks.vectors[0, 5, 4], blocks.vectors[0, 5, 1] = (0, 0), (8, 8)
    assert prediction(blocks, 0, (6, 2, 2, 2))[:2] == [8, 8]
    # and for the lower row of a block, on the right of which lies the next one
    blocks.vectors[:] = 0
    blocks.vectors[0, 5, 3], blocks.vectors[0, 4, 4:6], blocks.vectors[0, 4, 6] = (3, 3), (7, 7), (50, 50)
    blocks.vectors[0, 4, 3] = 5, 5
    assert prediction(blocks, 0, (5, 4, 1, 2))[:2] == [5, 5]
