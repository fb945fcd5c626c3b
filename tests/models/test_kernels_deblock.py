# SPDX-License-Identifier: Apache-2.0
"""Deblocking: steps that quantisation makes are smoothed, edges of the picture are not, against H.265's text."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.kernels.compensation import BOTH, FIRST, INTRA, SECOND
from nvcodec.models.kernels.deblock import BETA, TC, deblock, edge_strength
from nvcodec.models.kernels.syntax import ALONE, SHARED, WHOLE
from nvcodec.models.quality import LEVELS, LOWEST, QUALITIES, STEPS, deblocking_qp

Planes = list[np.ndarray]
QPS = (20, 30, 40)


def decisions(rows: int, columns: int, kind: int = INTRA, coded: int = 1, fine: int = 0) -> Blocks:
    blocks = Blocks(rows, columns)
    blocks.kinds[:], blocks.coded[:], blocks.fine[:] = kind, coded, fine
    return blocks


def mixed(rows: int, columns: int, seed: int) -> Blocks:
    """Any decisions, some blocks in parts; every other whole unit is large, one in four transformed as a whole."""
    random, blocks = np.random.default_rng(seed), Blocks(rows, columns)
    pred, blocks.coded[:] = random.integers(0, 4, (rows, columns)), random.integers(0, 2, (rows, columns))
    blocks.fine[:] = random.integers(0, 2, (rows, columns)) * (blocks.coded | (pred == 0))
    whole, parts = pred.repeat(2, 0).repeat(2, 1), random.integers(1, 4, blocks.kinds.shape)
    blocks.kinds[:] = np.where((whole > 0) & (random.random(blocks.kinds.shape) < 0.3), parts, whole)
    blocks.vectors[:] = random.integers(-4, 5, blocks.vectors.shape)
    blocks.vectors[:, :: random.integers(2, 4)] = 0
    for r in range(0, rows - 1, 2):
        for c in range(0, columns - 1, 2):
            unit, large = np.s_[r : r + 2, c : c + 2], int(random.choice([ALONE, ALONE, SHARED, WHOLE]))
            blocks.large[unit] = large
            if large:
                blocks.kinds[2 * r : 2 * r + 4, 2 * c : 2 * c + 4] = blocks.kinds[2 * r, 2 * c]
                blocks.vectors[:, 2 * r : 2 * r + 4, 2 * c : 2 * c + 4] = blocks.vectors[:, 2 * r, 2 * c][:, None, None]
            if large == WHOLE:
                blocks.coded[unit], blocks.fine[unit] = blocks.coded[r, c], 0
    return blocks


def transposed(blocks: Blocks) -> Blocks:
    out = Blocks(blocks.columns, blocks.rows)
    for name in ("kinds", "coded", "fine", "large"):
        getattr(out, name)[:] = getattr(blocks, name).T
    out.vectors[:] = blocks.vectors.transpose(0, 2, 1, 3)[..., ::-1]
    return out


def strengths(blocks: Blocks, vertical: bool) -> np.ndarray:
    out = np.full((2 * blocks.rows, 2 * blocks.columns), 9, np.uint8)
    fields = blocks.kinds, blocks.coded, blocks.fine, blocks.large, blocks.vectors
    for r, c in np.ndindex(out.shape):
        out[r, c] = edge_strength(*fields, vertical, r, c)
    return out


def filtered(planes: Planes, blocks: Blocks, qp: int) -> Planes:
    out = [plane.copy() for plane in planes]
    deblock(*out, blocks.kinds, blocks.coded, blocks.fine, blocks.large, blocks.vectors, qp)
    return out


def pictures(luma: np.ndarray, chroma: int = 512) -> Planes:
    half = (luma.shape[0] // 2, luma.shape[1] // 2)
    return [luma.astype(np.uint16), np.full(half, chroma, np.uint16), np.full(half, chroma, np.uint16)]


def rough(height: int, width: int, seed: int) -> Planes:
    """Slopes of each 8x8 block with little steps between them: every branch of the filters is taken somewhere."""
    random = np.random.default_rng(seed)
    planes = []
    for size in ((height, width), (height // 2, width // 2), (height // 2, width // 2)):
        steps = random.integers(-120, 121, ((size[0] + 7) // 8, (size[1] + 7) // 8)) * random.choice([0.1, 0.4, 1.0])
        steps = steps.repeat(8, 0).repeat(8, 1)[: size[0], : size[1]]
        slope = np.add.outer(np.arange(size[0]), np.arange(size[1])) * random.uniform(-4, 4)
        planes.append((512 + steps + slope + random.integers(-4, 5, size)).clip(0, 1023).astype(np.uint16))
    return planes


def at_the_ends(height: int, width: int, seed: int) -> Planes:
    """Of each 4x4 square all samples near the least or near the largest: with steps between them that filters take for
    edges of the picture, and such as they smooth beyond the range of samples."""
    random = np.random.default_rng(seed)
    planes = []
    for size in ((height, width), (height // 2, width // 2), (height // 2, width // 2)):
        white = random.random((size[0] // 4, size[1] // 4)) < random.choice([0.0, 0.2, 0.5, 1.0])
        white = np.where(white, 1023, 0).repeat(4, 0).repeat(4, 1)
        steps = random.integers(0, 90, (size[0] // 4, size[1] // 4)).repeat(4, 0).repeat(4, 1)
        steps = steps * (random.random(size) < 0.9) + random.integers(0, 3, size)
        planes.append(np.abs(white - steps).astype(np.uint16))
    return planes


def test_flat_pictures_stay_flat() -> None:
    for qp in QPS:
        for value in (0, 77, 1023):
            planes = pictures(np.full((32, 48), value), value)
            for before, after in zip(planes, filtered(planes, decisions(2, 3), qp), strict=True):
                assert np.array_equal(before, after)


@pytest.mark.parametrize("qp", QPS)
def test_a_small_step_is_smoothed_at_intra_edges(qp: int) -> None:
    luma = np.full((32, 48), 400)
    luma[:, 16:] += 4 * (int(TC[qp + 2]) + 1)
    after = filtered(pictures(luma), decisions(2, 3), qp)[0].astype(int)
    jumps = np.abs(np.diff(after, axis=1))
    assert jumps.max() < np.abs(np.diff(luma, axis=1)).max()
    assert (np.diff(after, axis=1) >= 0).all()  # no ringing
    assert np.array_equal(after[:, :13], luma[:, :13])  # three samples on each side at most
    assert np.array_equal(after[:, 19:], luma[:, 19:])
    assert (after == after[0]).all()


@pytest.mark.parametrize("qp", QPS)
def test_edges_of_the_picture_itself_stay_sharp(qp: int) -> None:
    luma = np.full((32, 48), 120)
    luma[:, 16:] = 920
    assert np.array_equal(filtered(pictures(luma), decisions(2, 3), qp)[0], luma)
    texture = np.random.default_rng(0).integers(0, 1024, (32, 48))  # nor is texture touched
    assert np.array_equal(filtered(pictures(texture), decisions(2, 3), qp)[0], texture)


def test_steps_inside_a_block_that_is_transformed_as_a_whole_stay() -> None:
    luma = np.full((32, 32), 400)
    luma[:, 8:16] += 16
    luma[:, 24:] += 16
    for fine in (0, 1):
        after = filtered(pictures(luma), decisions(2, 2, fine=fine), 40)[0]
        assert np.array_equal(after[:, 4:12], luma[:, 4:12]) == (not fine)
        assert not np.array_equal(after[:, 12:20], luma[:, 12:20])


@pytest.mark.parametrize("large", [ALONE, SHARED, WHOLE])
def test_steps_inside_a_unit_that_is_transformed_as_a_whole_stay(large: int) -> None:
    luma, chroma = np.full((64, 64), 400), np.full((32, 32), 400)
    luma[:, 16:32] += 16
    luma[:, 48:] += 16
    chroma[:, 8:16] += 16
    chroma[:, 24:] += 16
    blocks = decisions(4, 4)
    blocks.large[:] = large
    planes = [luma.astype(np.uint16), *(chroma.astype(np.uint16) for _ in range(2))]
    after = filtered(planes, blocks, 40)
    for before, plane in zip(planes, after, strict=True):
        n = plane.shape[1] // 4
        for edge in (1, 2, 3):  # the second is between units
            at = np.s_[:, edge * n - n // 2 : edge * n + n // 2]
            assert np.array_equal(plane[at], before[at]) == (large == WHOLE and edge != 2)


@pytest.mark.parametrize("seed", range(6))
def test_edges_of_units_are_those_of_blocks(seed: int) -> None:
    """Within units that are transformed as a whole there are none; all others stay what they are."""
    blocks = mixed(5, 6, seed)
    alone = mixed(5, 6, seed)
    alone.large[:] = ALONE
    for vertical in (True, False):
        wanted = strengths(alone, vertical)
        for (r, c), large in np.ndenumerate(blocks.large.repeat(2, 0).repeat(2, 1)):
            if large == WHOLE and (c if vertical else r) % 4:
                wanted[r, c] = 0
        assert np.array_equal(strengths(blocks, vertical), wanted)
    assert set(blocks.large.ravel().tolist()) == {ALONE, SHARED, WHOLE} or seed


def test_nothing_happens_where_nothing_was_coded() -> None:
    planes = rough(48, 48, 1)
    still = decisions(3, 3, FIRST, coded=0)
    still.vectors[0] = 5, -9
    for before, after in zip(planes, filtered(planes, still, 40), strict=True):
        assert np.array_equal(before, after)


def test_nothing_happens_at_the_finest_steps() -> None:
    planes = rough(48, 48, 2)
    for before, after in zip(planes, filtered(planes, decisions(3, 3), 15), strict=True):
        assert np.array_equal(before, after)


def test_strength_follows_the_steps() -> None:
    """QP of H.265, whose steps are 2^((QP - 4) / 6); more than 51 there is not."""
    qps = [deblocking_qp(level) for level in range(LEVELS)]
    assert [qps[LOWEST], qps[LOWEST + QUALITIES - 1]] == [43, 16]
    assert max(qps) == qps[0] == 51
    assert min(qps) >= 0
    assert all(a >= b for a, b in pairwise(qps))
    for qp, step in zip(qps, STEPS, strict=True):
        assert abs(qp - min(51, 4 + 6 * np.log2(int(step) / 16))) < 0.75


def test_strengths_of_edges() -> None:
    blocks = decisions(1, 2, FIRST, coded=0)

    def of() -> list[int]:
        result: list[int] = strengths(blocks, True)[0].tolist()
        return result

    assert of() == [0, 0, 0, 0]
    blocks.vectors[0, :, 2:] = 3, -3
    assert of() == [0, 0, 0, 0]
    blocks.vectors[0, :, 2:] = 0, -4
    assert of() == [0, 0, 1, 0]
    blocks.vectors[0, :, 3:] = 8, 0  # vectors of quarters differ inside a block
    assert of() == [0, 0, 1, 1]
    blocks.vectors[:] = 0
    blocks.vectors[1, :, 2:] = 100, 100  # of a reference that is not used
    assert of() == [0, 0, 0, 0]
    blocks.kinds[:] = BOTH
    assert of() == [0, 0, 1, 0]
    blocks.vectors[:] = 0
    blocks.kinds[:, 2:], blocks.kinds[:, :2] = SECOND, FIRST
    assert of() == [0, 0, 1, 0]
    blocks.kinds[:, 1] = SECOND  # parts of a block differ, those of two blocks do not
    assert of() == [0, 1, 0, 0]
    blocks.kinds[0, 1] = FIRST
    assert of() == [0, 0, 1, 0]
    assert strengths(blocks, True)[1].tolist() == [0, 1, 0, 0]
    assert strengths(blocks, False).tolist() == [[0, 0, 0, 0], [0, 1, 0, 0]]
    blocks.kinds[:] = FIRST
    blocks.coded[0, 0] = 1
    assert of() == [0, 0, 1, 0]
    blocks.fine[0, 0] = 1
    assert of() == [0, 1, 1, 0]
    blocks.kinds[:, :2] = INTRA
    assert of() == [0, 2, 2, 0]
    blocks.coded[0, 0] = 0
    assert of() == [0, 0, 2, 0]


@pytest.mark.parametrize("seed", range(8))
def test_strengths_turn_with_the_decisions(seed: int) -> None:
    blocks = mixed(3, 4, seed)
    assert np.array_equal(strengths(blocks, True), strengths(transposed(blocks), False).T)
    assert not strengths(blocks, True)[:, 0].any()
    assert not strengths(blocks, False)[0].any()


@pytest.mark.parametrize("qp", QPS)
def test_filters_of_both_directions_are_the_same(qp: int) -> None:
    """A picture of columns, turned to one of rows; only one direction finds anything to do in either."""
    for seed in range(10):
        line = rough(16, 64, seed)
        planes = [line[0][:1].repeat(32, 0), line[1][:1].repeat(16, 0), line[2][:1].repeat(16, 0)]
        blocks = mixed(1, 4, seed)
        tall = Blocks(2, 4)
        for name in ("coded", "fine"):
            getattr(tall, name)[:] = getattr(blocks, name)
        tall.kinds[:], tall.vectors[:] = blocks.kinds[:1], blocks.vectors[:, :1]
        tall.large[:, 2:] = WHOLE
        upright = filtered(planes, tall, qp)
        lying = filtered([np.ascontiguousarray(p.T) for p in planes], transposed(tall), qp)
        for a, b in zip(upright, lying, strict=True):
            assert np.array_equal(a, b.T)


# --- the whole filter, written out line by line


def luma_line_filter(lines: np.ndarray, beta: int, tc: int) -> np.ndarray:
    """Four lines of p3 p2 p1 p0 q0 q1 q2 q3 (8.7.2.5.3, 8.7.2.5.6, 8.7.2.5.7)."""
    p = lines[:, 3::-1].astype(int)
    q = lines[:, 4:].astype(int)
    dp, dq = np.abs(p[:, 2] - 2 * p[:, 1] + p[:, 0]), np.abs(q[:, 2] - 2 * q[:, 1] + q[:, 0])
    if dp[0] + dq[0] + dp[3] + dq[3] >= beta:
        return lines
    strong = all(
        2 * (dp[k] + dq[k]) < (beta >> 2)
        and abs(p[k, 3] - p[k, 0]) + abs(q[k, 0] - q[k, 3]) < (beta >> 3)
        and abs(p[k, 0] - q[k, 0]) < (5 * tc + 1) >> 1
        for k in (0, 3)
    )
    limit = (beta + (beta >> 1)) >> 3
    sides = (dp[0] + dp[3] < limit, dq[0] + dq[3] < limit)
    out = lines.astype(int)
    for k in range(4):
        a, b = p[k], q[k]
        if strong:
            for side, (m, n) in enumerate(((a, b), (b, a))):
                new = [
                    (m[2] + 2 * m[1] + 2 * m[0] + 2 * n[0] + n[1] + 4) >> 3,
                    (m[2] + m[1] + m[0] + n[0] + 2) >> 2,
                    (2 * m[3] + 3 * m[2] + m[1] + m[0] + n[0] + 4) >> 3,
                ]
                for i in range(3):
                    out[k, 3 - i if side == 0 else 4 + i] = np.clip(new[i], m[i] - 2 * tc, m[i] + 2 * tc)
            continue
        delta = (9 * (b[0] - a[0]) - 3 * (b[1] - a[1]) + 8) >> 4
        if abs(delta) >= 10 * tc:
            continue
        delta = int(np.clip(delta, -tc, tc))
        out[k, 3], out[k, 4] = np.clip(a[0] + delta, 0, 1023), np.clip(b[0] - delta, 0, 1023)
        for side, (m, sign) in enumerate(((a, 1), (b, -1))):
            if sides[side]:
                change = np.clip((((m[2] + m[0] + 1) >> 1) - m[1] + sign * delta) >> 1, -(tc >> 1), tc >> 1)
                out[k, 2 if side == 0 else 5] = np.clip(m[1] + change, 0, 1023)
    return out.astype(np.uint16)


def chroma_filter(lines: np.ndarray, tc: int) -> np.ndarray:
    """Lines of p1 p0 q0 q1 (8.7.2.5.8)."""
    p1, p0, q0, q1 = lines.astype(int).T
    delta = ((((q0 - p0) << 2) + p1 - q1 + 4) >> 3).clip(-tc, tc)
    return np.stack([p1, (p0 + delta).clip(0, 1023), (q0 - delta).clip(0, 1023), q1], 1).astype(np.uint16)


def reference_filter(planes: Planes, blocks: Blocks, qp: int) -> Planes:
    """Of samples of ten bits: beta and tc are four times what the tables say (8.7.2.5.3)."""
    out = [plane.copy() for plane in planes]
    for vertical in (True, False):
        of = strengths(blocks, vertical)
        if not vertical:  # turn everything and treat edges between rows as edges between columns
            of, out = of.T, [plane.T.copy() for plane in out]
        for (r, c), strength in np.ndenumerate(of):
            tc = 4 * int(TC[qp + 2 * (int(strength) - 1)]) if strength else 0
            if not tc:
                continue
            for top in (8 * r, 8 * r + 4):
                at = np.s_[top : top + 4, 8 * c - 4 : 8 * c + 4]
                out[0][at] = luma_line_filter(out[0][at], 4 * int(BETA[qp]), tc)
            if strength == 2 and c % 2 == 0:
                for plane in out[1:]:
                    at = np.s_[4 * r : 4 * r + 4, 4 * c - 2 : 4 * c + 2]
                    plane[at] = chroma_filter(plane[at], tc)
        if not vertical:
            out = [plane.T.copy() for plane in out]
    return out


@pytest.mark.parametrize("qp", [16, 22, 28, 34, 40, 51])
def test_planes_are_those_of_the_standard(qp: int) -> None:
    changed = 0
    for seed in range(6):
        planes, blocks = rough(48, 64, 100 + seed), mixed(3, 4, seed)
        found = filtered(planes, blocks, qp)
        for a, b in zip(found, reference_filter(planes, blocks, qp), strict=True):
            assert np.array_equal(a, b)
        changed += sum(int((a != b).sum()) for a, b in zip(found, planes, strict=True))
    assert changed > 100


@pytest.mark.parametrize("qp", [28, 40, 51])
def test_planes_of_the_least_and_the_largest_samples_are_those_of_the_standard(qp: int) -> None:
    """Nothing goes beyond them."""
    changed, reached = 0, set()
    for seed in range(8):
        planes, blocks = at_the_ends(48, 64, 200 + seed), mixed(3, 4, seed)
        found = filtered(planes, blocks, qp)
        for before, a, b in zip(planes, found, reference_filter(planes, blocks, qp), strict=True):
            assert a.dtype == np.uint16
            assert np.array_equal(a, b)
            reached |= set(a[a != before].tolist())
            changed += int((a != before).sum())
    assert changed > 100
    assert max(reached) <= 1023
    assert {0, 1023} & reached


@pytest.mark.parametrize("qp", QPS)
def test_steps_of_ten_times_the_limit_are_edges_of_the_picture(qp: int) -> None:
    """Of which the filter sees six sixteenths where both sides are flat; the limit is four times that of eight bits."""
    tc = 4 * int(TC[qp + 2])
    first = next(step for step in range(1024) if (6 * step + 8) // 16 >= 10 * tc)
    for step in (first - 1, first):
        luma = np.zeros((32, 48), int)
        luma[:, 16:] = step
        after = filtered(pictures(luma), decisions(2, 3), qp)[0]
        assert np.array_equal(after, luma) == (step == first)


def test_tables_are_those_of_the_standard() -> None:
    """Table 8-12, a few of its entries."""
    assert [int(BETA[q]) for q in (0, 15, 16, 28, 29, 40, 51)] == [0, 0, 6, 18, 20, 42, 64]
    assert [int(TC[q]) for q in (17, 18, 26, 27, 37, 38, 42, 53)] == [0, 1, 1, 2, 4, 5, 7, 24]
