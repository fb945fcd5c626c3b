# SPDX-License-Identifier: Apache-2.0
"""Chroma from luma: the line through what is around a square, reckoned once more in whole numbers of any size."""

from __future__ import annotations

from itertools import takewhile

import numpy as np
import pytest

from nvcodec.models.kernels.cross_component import MAX_SLOPE, NOISE, SLOPE_BITS, predict_from_luma

ROWS, COLUMNS = 16, 24  # 4x4 squares of luma
UNITS = (2, 4, 8)
ONE = 1024  # of slopes, which are by the luma of four samples together
Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


def sums_of_four(y: np.ndarray) -> np.ndarray:
    """Luma at each sample of chroma."""
    height, width = y.shape
    return y.astype(int).reshape(height // 2, 2, width // 2, 2).sum((1, 3))


def around(ready: np.ndarray, row: int, column: int, units: int) -> list[tuple[int, int]]:
    """Samples of chroma that a square looks at: above it up to the first square that is not ready, then on its left."""
    above = takewhile(lambda n: row > 0 and ready[row - 1, column + n], range(units))
    before = takewhile(lambda n: column > 0 and ready[row + n, column - 1], range(units))
    places = [(2 * row - 1, 2 * (column + n) + k) for n in above for k in range(2)]
    return places + [(2 * (row + n) + k, 2 * column - 1) for n in before for k in range(2)]


def line_of(luma: list[int], chroma: list[int]) -> tuple[int, int]:
    """Slope and offset by least squares; the less luma varies, the flatter. Grey where there is nothing."""
    n = len(luma)
    if not n:
        return 0, 512 * ONE
    product = n * sum(a * b for a, b in zip(luma, chroma, strict=True)) - sum(luma) * sum(chroma)
    spread = n * sum(a * a for a in luma) - sum(luma) ** 2 + 16 * 32 * n * n
    slope = max(-ONE, min(ONE, ONE * product // spread))
    return slope, (ONE * sum(chroma) - slope * sum(luma)) // n


def standard_chroma(
    planes: Planes | list[np.ndarray], ready: np.ndarray, row: int, column: int, units: int
) -> list[np.ndarray]:
    """Predicted squares of U and V."""
    sums, places, size = sums_of_four(planes[0]), around(ready, row, column, units), 2 * units
    found = []
    for plane in planes[1:]:
        slope, offset = line_of([int(sums[at]) for at in places], [int(plane[at]) for at in places])
        inside = sums[2 * row : 2 * row + size, 2 * column : 2 * column + size]
        found.append(((slope * inside + offset + ONE // 2) // ONE).clip(0, 1023))
    return found


def predicted(planes: Planes, ready: np.ndarray, row: int, column: int, units: int) -> list[np.ndarray]:
    """Squares of U and V as the codec predicts them; nothing else may change."""
    found, size = [plane.copy() for plane in planes], 2 * units
    predict_from_luma(*found, ready, row, column, units)
    at = np.s_[2 * row : 2 * row + size, 2 * column : 2 * column + size]
    squares = [plane[at].astype(int) for plane in found[1:]]
    for plane, before in zip(found[1:], planes[1:], strict=True):
        plane[at] = before[at]
    assert all(np.array_equal(a, b) for a, b in zip(found, planes, strict=True))
    return squares


def picture(random: np.random.Generator, kind: str) -> Planes:
    """noise: of all samples; linked: chroma follows luma, with noise; steep: much chroma and hardly any luma; flat;
    extremes: the least and the largest samples only, of chroma those of luma and the opposite."""
    height, width = 4 * ROWS, 4 * COLUMNS
    y = random.integers(0, 1024, (height, width))
    u, v = (random.integers(0, 1024, (height // 2, width // 2)) for _ in range(2))
    if kind == "linked":
        means = sums_of_four(y) / 4
        u = 0.8 * means + 120 + random.normal(0, 36, means.shape)
        v = 640 - 0.5 * means + random.normal(0, 8, means.shape)
    elif kind == "steep":
        y = 800 + random.integers(-1, 2, (height // 2, width // 2)).repeat(2, 0).repeat(2, 1) * 120
        v = np.where(sums_of_four(y) > 3200, 1023, 0)
        u = 1023 - v
    elif kind == "extremes":
        u = random.choice([0, 1023], (height // 2, width // 2))
        y, v = u.repeat(2, 0).repeat(2, 1), 1023 - u
    elif kind == "flat":
        y[:], u[:], v[:] = random.integers(0, 1024, 3)[:, None, None]
    return tuple(np.asarray(plane).round().clip(0, 1023).astype(np.uint16) for plane in (y, u, v))


def squares(units: int) -> list[tuple[int, int]]:
    """All places of a size."""
    return [(r, c) for r in range(0, ROWS, units) for c in range(0, COLUMNS, units)]


def test_what_the_constants_are() -> None:
    """The reference here has numbers of its own."""
    assert 4 << SLOPE_BITS == MAX_SLOPE == ONE
    assert NOISE == 32


@pytest.mark.parametrize("kind", ["noise", "linked", "steep", "flat", "extremes"])
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("share", [0, 0.3, 0.8, 1])
def test_lines_are_those_of_least_squares(units: int, share: float, kind: str) -> None:
    """Everywhere in a picture, whatever share of it is there already."""
    random = np.random.default_rng(int(10 * share) + 100 * units)
    planes, seen = picture(random, kind), set()
    ready = (random.random((ROWS, COLUMNS)) < share).astype(np.uint8)
    for row, column in squares(units):
        found, wanted = predicted(planes, ready, row, column, units), standard_chroma(planes, ready, row, column, units)
        assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True)), (row, column)
        seen.add(len(around(ready, row, column, units)))
    assert seen == {0} if share == 0 else max(seen) == 4 * units if share == 1 else len(seen) > 1


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize(
    ("above", "before"), [(0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0), (0, 0.5), (0.5, 0.5), (1, 0.5)]
)
def test_what_is_there_on_each_side(units: int, above: float, before: float) -> None:
    """Nothing, a side, half of one: what lies beyond a gap is not looked at, nor what a side does not have."""
    random = np.random.default_rng(units)
    planes, ready = picture(random, "linked"), np.zeros((ROWS, COLUMNS), np.uint8)
    n, m = int(above * units), int(before * units)
    ready[7, 8 : 8 + n], ready[8 : 8 + m, 7] = 1, 1
    ready[7, 8 + n + 1 :] = ready[8 + m + 1 :, 7] = 1
    ready[7, 7] = ready[7, 8 + units :] = 1  # corners, and what is above and to the right, do not count
    found, wanted = predicted(planes, ready, 8, 8, units), standard_chroma(planes, ready, 8, 8, units)
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    only = np.zeros_like(ready)
    only[7, 8 : 8 + n], only[8 : 8 + m, 7] = 1, 1
    assert all(np.array_equal(a, b) for a, b in zip(found, predicted(planes, only, 8, 8, units), strict=True))
    assert all((square == 512).all() for square in found) == (n == m == 0)


@pytest.mark.parametrize("units", UNITS)
def test_squares_at_the_edges_of_the_picture(units: int) -> None:
    """The first is grey; others know one side."""
    planes, ready = picture(np.random.default_rng(7), "linked"), np.ones((ROWS, COLUMNS), np.uint8)
    assert all((square == 512).all() for square in predicted(planes, ready, 0, 0, units))
    for row, column in ((0, 8), (8, 0), (ROWS - units, COLUMNS - units), (0, COLUMNS - units), (ROWS - units, 0)):
        found, wanted = predicted(planes, ready, row, column, units), standard_chroma(planes, ready, row, column, units)
        assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
        assert len(around(ready, row, column, units)) == 2 * units * ((row > 0) + (column > 0))


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize(("slope", "offset"), [(0.0, 360), (1.0, 0), (0.5, 400), (-1.0, 1020), (-0.3, 800), (0.9, 40)])
def test_chroma_that_is_a_line_of_luma_is_found(units: int, slope: float, offset: int) -> None:
    """Within two levels, from one side or both."""
    random = np.random.default_rng(units)
    means = np.where(np.indices((2 * ROWS, 2 * COLUMNS)).sum(0) % 2, 200, 800) + random.integers(
        -160, 161, (2 * ROWS, 2 * COLUMNS)
    )
    y = means.repeat(2, 0).repeat(2, 1)
    y[::2] += random.integers(-36, 37, y[::2].shape)
    y[1::2] -= y[::2] - means.repeat(2, 1)  # the mean of each two is as before
    chroma = (slope * means + offset).round()
    assert 0 <= y.min() <= y.max() <= 1023
    assert 0 <= chroma.min() <= chroma.max() <= 1023
    u, v = chroma.astype(np.uint16), (1023 - chroma).astype(np.uint16)
    planes = y.astype(np.uint16), u, v
    for sides in ("above", "left", "both"):
        ready = np.zeros((ROWS, COLUMNS), np.uint8)
        ready[7, 8:16] = sides != "left"
        ready[8:16, 7] = sides != "above"
        at = np.s_[16 : 16 + 2 * units, 16 : 16 + 2 * units]
        for found, wanted in zip(predicted(planes, ready, 8, 8, units), (u[at], v[at]), strict=True):
            assert np.abs(found - wanted).max() <= 2


def test_slopes_are_limited_and_luma_that_hardly_varies_says_little() -> None:
    """Noise of four levels in luma must not become 400 in chroma; where luma really varies, a slope of four may."""
    ready, made = np.ones((ROWS, COLUMNS), np.uint8), []
    checks = np.indices((2 * ROWS, 2 * COLUMNS)).sum(0) % 2
    for height, depth in ((4, 400), (8, 400), (160, 400), (120, 800)):
        y = (400 + height * checks).astype(np.uint16).repeat(2, 0).repeat(2, 1)
        u = (80 + depth * checks).astype(np.uint16)
        found, other = predicted((y, u, 1023 - u), ready, 8, 8, 4)
        made.append(int(np.ptp(found)))
        assert abs(int(np.ptp(other)) - made[-1]) <= 1
    assert made[0] < 17  # of 400: a limit of four for each level
    assert made[1] < 33
    assert 380 <= made[2] <= 400
    assert 460 <= made[3] <= 480  # four times 120 of 800


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_not_there_does_not_matter(units: int, seed: int) -> None:
    """Neither luma and chroma that are not ready, nor the chroma of the square itself; nor what is ready but not beside
    it."""
    random = np.random.default_rng(seed)
    planes = picture(random, "linked")
    ready = (random.random((ROWS, COLUMNS)) < (0.9, 0.5, 0.2)[seed]).astype(np.uint8)
    for row, column in squares(units):
        beside = np.zeros((2 * ROWS, 2 * COLUMNS), bool)
        for at in around(ready, row, column, units):
            beside[at] = True
        luma = beside.copy()
        luma[2 * row : 2 * (row + units), 2 * column : 2 * (column + units)] = True
        other = picture(random, "noise")
        for plane, mine, kept in zip(other, planes, (luma.repeat(2, 0).repeat(2, 1), beside, beside), strict=True):
            plane[kept] = mine[kept]
        found = predicted(planes, ready, row, column, units)
        assert all(
            np.array_equal(a, b) for a, b in zip(found, predicted(other, ready, row, column, units), strict=True)
        )
