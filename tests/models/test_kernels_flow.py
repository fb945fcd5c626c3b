# SPDX-License-Identifier: Apache-2.0
"""Two predictions that are moved towards each other: what is found, what it gains, and its arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.kernels.flow import LIMIT, NOISE, SQUARE, UNITS, find_flow, mean_flow, move

ONE = 4096  # of a prediction at full precision


def picture(dx: float, dy: float) -> np.ndarray:
    """Waves moved by (dx, dy) samples."""
    y, x = np.mgrid[0:16, 0:16].astype(float)
    x, y = x - dx, y - dy
    return 480 + 200 * np.sin(0.5 * x + 0.3 * y) + 160 * np.sin(0.4 * y - 0.1 * x)


def precise(values: np.ndarray) -> np.ndarray:
    return np.round(values * ONE).astype(np.int32)


def new_flow() -> np.ndarray:
    """Of a block, square by square."""
    return np.zeros((2, 4, 4), np.int32)


def flow(a: np.ndarray, b: np.ndarray, size: int, found: np.ndarray) -> None:
    """Both steps."""
    find_flow(a, b, size, found)
    move(a, b, size, SQUARE, 6, found)


@pytest.mark.parametrize("motion", [(0.3, 0.0), (0.0, -0.4), (0.25, -0.25), (0.6, 0.5)])
def test_what_two_predictions_are_off_is_found_and_mended(motion: tuple[float, float]) -> None:
    a, b, found = precise(picture(*motion)), precise(picture(-motion[0], -motion[1])), new_flow()
    truth, before = picture(0, 0), (a + b) / (2 * ONE)
    flow(a, b, 16, found)
    assert np.allclose(found.mean((1, 2)) / UNITS, motion, atol=0.1)
    assert np.abs((a + b) / (2 * ONE) - truth).mean() < 0.15 * np.abs(before - truth).mean()


@pytest.mark.parametrize("size", [8, 16])
def test_the_mean_is_rounded_to_quarters_of_a_sample(size: int) -> None:
    found, n = new_flow(), size // SQUARE
    found[:] = 99  # what is not of a smaller block does not count
    for x, y, wanted in ((16, -16, (1, -1)), (7, -8, (0, 0)), (8, -9, (1, -1)), (64, -64, (4, -4))):
        found[0, :n, :n], found[1, :n, :n] = x, y
        assert mean_flow(size, found) == wanted
    found[:, :n, :n] = 0
    found[:, 0, 0] = 63, 0
    assert mean_flow(size, found) == ((63 + 8 * n * n) // (16 * n * n), 0)


def test_predictions_that_agree_stay_as_they_are() -> None:
    a, found = precise(picture(0.2, 0.1)), new_flow()
    moved = a.copy()
    flow(moved, a, 16, found)
    assert not found.any()
    assert np.array_equal(moved, a)


def test_a_difference_without_contrast_is_no_motion() -> None:
    """One prediction is brighter, and nothing in it says where it would have to move."""
    a, b, found = precise(np.full((16, 16), 360.0)), precise(np.full((16, 16), 388.0)), new_flow()
    moved = a.copy()
    flow(moved, b, 16, found)
    assert np.array_equal(moved, a)


def slopes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of an array of Python integers."""
    wide = np.pad(values, 1, mode="edge")
    across, down = wide[1:-1, 2:] - wide[1:-1, :-2], wide[2:, 1:-1] - wide[:-2, 1:-1]
    across[:, [0, -1]] *= 2
    down[[0, -1]] *= 2
    return across, down


def expected(a: np.ndarray, b: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """What `flow` says of itself, in integers of any size: motion of each square, and a."""
    a, b = (p[:size, :size].astype(object) for p in (a, b))
    first, second = (np.array([[min(max(v >> 12, 0), 1023) for v in row] for row in p], object) for p in (a, b))
    across, down = slopes(first + second)
    apart, (mix_across, mix_down) = second - first, slopes((a - b) >> 2)
    found, out = np.zeros((2, 4, 4), int), a.copy()
    for r in range(size // 4):
        for c in range(size // 4):
            window = np.s_[max(4 * r - 2, 0) : 4 * r + 6, max(4 * c - 2, 0) : 4 * c + 6]
            x, y, d = across[window], down[window], apart[window]
            xx, xy, yy = (x * x).sum() + int(NOISE), (x * y).sum(), (y * y).sum() + int(NOISE)
            xd, yd = (x * d).sum(), (y * d).sum()
            below = (xx * yy - xy * xy) // (2 * UNITS) + 1
            for n, above in enumerate((yy * xd - xy * yd, xx * yd - xy * xd)):
                found[n, r, c] = min(max(above // below, -LIMIT), LIMIT)
            here, (u, v) = np.s_[4 * r : 4 * r + 4, 4 * c : 4 * c + 4], (int(n) for n in found[:, r, c])
            out[here] += (u * mix_across[here] + v * mix_down[here]) >> 6
    return found, out


@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("kind", ["noise", "near", "extremes", "samples", "stripes"])
def test_the_arithmetic_is_that_of_integers_of_any_size(size: int, kind: str) -> None:
    random = np.random.default_rng(size)
    for n in range(4):
        a = random.integers(-1200 * ONE, 2240 * ONE, (16, 16)).astype(np.int32)
        b = random.integers(-1200 * ONE, 2240 * ONE, (16, 16)).astype(np.int32)
        if kind == "near":
            b = a + random.integers(-80 * ONE, 80 * ONE, (16, 16)).astype(np.int32)
        elif kind == "extremes":  # what interpolation can overshoot to, in stripes
            a, b = np.where(random.random((2, 16, 16)) < 0.5, np.int32(-3120 * ONE), np.int32(4160 * ONE))
        elif kind == "samples":  # the least and the largest
            a, b = np.where(random.random((2, 16, 16)) < 0.5, np.int32(0), np.int32(1023 * ONE))
        elif kind == "stripes":  # the steepest slopes everywhere, and predictions that have nothing in common
            rising = (np.indices((16, 16)).sum(0) + n) // 2 % 2
            a, b = (np.where(of, np.int32(1023 * ONE), np.int32(0)) for of in (rising, 1 - rising if n % 2 else rising))
        wanted, moved = expected(a, b, size)
        found = new_flow()
        out = a.copy()
        flow(out, b, size, found)
        assert np.array_equal(found[:, : size // 4, : size // 4], wanted[:, : size // 4, : size // 4])
        assert np.array_equal(out[:size, :size], moved.astype(np.int64))
        assert np.array_equal(out[size:], a[size:])


def test_differences_are_in_samples() -> None:
    """Summed up, of what is within their range."""
    least, most = (np.full((16, 16), value * ONE, np.int32) for value in (-300, 2000))
    for size in (8, 16):
        assert find_flow(least, most, size, new_flow()) == find_flow(most, least, size, new_flow()) == 1023 * size**2
        assert find_flow(most, most, size, new_flow()) == 0
    assert find_flow(precise(np.full((16, 16), 10.0)), precise(np.full((16, 16), 13.75)), 16, new_flow()) == 3 * 256


@pytest.mark.parametrize(("size", "square", "shift"), [(16, 4, 6), (8, 4, 6), (8, 2, 7), (4, 2, 7)])
@pytest.mark.parametrize("kind", ["overshoot", "stripes", "samples"])
def test_the_farthest_motion_of_the_largest_samples_fits(size: int, square: int, shift: int, kind: str) -> None:
    """All squares by a whole sample, in all directions: predictions as far from each other as filters can drive them,
    down to -1.04 and up to 2.04 times the largest sample."""
    random = np.random.default_rng(size)
    low, high = (0, 1023 * ONE) if kind == "samples" else (-int(1.04 * 1023 * ONE), int(2.04 * 1023 * ONE))
    for n in range(8):
        rising = (np.indices((16, 16)).sum(0) + n) // (1 + n // 4) % 2
        of = rising if kind == "stripes" else random.integers(0, 2, (16, 16))
        a, b = np.where(of, low, high).astype(np.int32), np.where(of, high, low).astype(np.int32)
        found = np.where(random.random((2, 4, 4)) < 0.5, -LIMIT, LIMIT).astype(np.int32)
        if kind == "stripes":
            found[0], found[1] = LIMIT, LIMIT if n % 2 else -LIMIT
        across, down = slopes(((a - b) >> 2)[:size, :size].astype(object))
        u, v = (found[k].repeat(square, 0).repeat(square, 1)[:size, :size].astype(object) for k in range(2))
        wanted, out = a.copy(), a.copy()
        wanted[:size, :size] = a[:size, :size].astype(object) + ((u * across + v * down) >> shift)
        move(out, b, size, square, shift, found)
        assert np.array_equal(out, wanted)


def test_chroma_moves_half_as_far() -> None:
    """Squares of 2x2 by the motion of luma's, in samples of its own."""
    found = new_flow()
    found[0], found[1] = 24, -16
    y, x = np.mgrid[0:8, 0:8]
    a, b = (400 * ONE + 64 * x).astype(np.int32), (400 * ONE - 128 * y).astype(np.int32)
    moved = np.zeros((16, 16), np.int32)
    moved[:8, :8] = a
    other = np.zeros((16, 16), np.int32)
    other[:8, :8] = b
    move(moved, other, 8, 2, 7, found)
    # half of what the slopes, 64 across and 128 down, say of 12 and -8 64ths of a sample
    assert np.array_equal(moved[:8, :8], a + (12 * 64 - 8 * 128) // 64 // 2)
