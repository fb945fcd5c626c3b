# SPDX-License-Identifier: Apache-2.0
"""The coarse search, which passes over windows that cannot be the best, against one that looks at all of them."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.kernels.compensation import PAD, padded
from nvcodec.models.kernels.rough_cost import price_curve
from nvcodec.models.kernels.search import (
    COARSE_ENOUGH,
    COARSE_RANGE,
    coarse_search,
    quarter_size,
    search,
    window_sums,
)


def picture(seed: int, rows: int, columns: int, moved: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Smooth waves with a little noise, moved by whole samples at a quarter of the size."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns] + np.array(moved)[:, None, None]
    waves = 150 * np.sin(x / 7 + y / 11) + 200 * np.sin(y / 5 - x / 13 + 1)
    return (512 + waves + random.normal(0, 12, (rows, columns))).astype(np.int32)


@pytest.mark.parametrize("shape", [(4, 4), (9, 13), (3, 8)])
def test_window_sums(shape: tuple[int, int]) -> None:
    small = np.random.default_rng(1).integers(0, 1024, shape).astype(np.int32)
    sums = window_sums(small)
    assert sums.dtype == np.int32
    for r, c in np.ndindex(*shape):
        window = small[r : r + 4, c : c + 4]
        assert sums[r, c] == (window.sum() if window.shape == (4, 4) else 0)


def by_looking_at_all(
    current: np.ndarray, reference: np.ndarray, price: float, begin: int, end: int, out: np.ndarray
) -> int:
    """The search as it is described, without leaving anything out."""
    (rows, columns), total = current.shape, 0
    height, width = min(8, rows), min(8, columns)

    def apart(top: int, left: int, i: int, j: int) -> int:
        difference = current[top : top + height, left : left + width] - reference[i : i + height, j : j + width]
        return int(np.abs(difference).sum())

    for r in range(begin, end):
        for c in range(out.shape[1]):
            top, left = max(0, min(4 * r - 2, rows - 8)), max(0, min(4 * c - 2, columns - 8))
            best, by, bx = apart(top, left, top, left), 0, 0

            def look(dy: int, dx: int, top: int = top, left: int = left) -> None:
                nonlocal best, by, bx
                i, j = top + dy, left + dx
                if i < 0 or j < 0 or i > rows - height or j > columns - width:
                    return
                cost = int(price * (abs(dx) + abs(dy))) + apart(top, left, i, j)
                if cost < best:
                    best, by, bx = cost, dy, dx

            for near in ([(r, c - 1)] if c else []) + ([(r - 1, c)] if r > begin else []):
                if best > price * COARSE_ENOUGH:
                    look(int(out[near][1]) >> 4, int(out[near][0]) >> 4)
            if best > price * COARSE_ENOUGH:
                for stride in (2, 1):
                    around, cy, cx = (COARSE_RANGE, 0, 0) if stride == 2 else (1, by, bx)
                    for dy in range(cy - around, cy + around + 1, stride):
                        for dx in range(cx - around, cx + around + 1, stride):
                            look(dy, dx)
            out[r, c] = 16 * bx, 16 * by
            total += best
    return total


@pytest.mark.parametrize("size", [(4, 4), (8, 8), (12, 20), (28, 36), (16, 68), (8, 4)])
@pytest.mark.parametrize("price", [0.0, 3.5, 40.0])
def test_nothing_is_passed_over_that_is_better(size: tuple[int, int], price: float) -> None:
    """Of pictures that moved, of others, and of such as are smaller than a window."""
    for seed, moved in enumerate([(0, 0), (3, -5), (-8, 7), (30, 50)]):
        current, reference = picture(seed, *size), picture(seed + 9, *size, moved)
        found, wanted = (np.zeros((size[0] // 4, size[1] // 4, 2), np.int32) for _ in range(2))
        for begin, end in ((0, 1), (1, size[0] // 4)):
            total = by_looking_at_all(current, reference, price, begin, end, wanted)
            assert coarse_search(current, reference, price, begin, end, found) == total
            assert coarse_search(current, reference, price, begin, end, found, window_sums(reference)) == total
        assert np.array_equal(found, wanted)


def test_quarters_are_searched_from_so_many_bits_on() -> None:
    """Two halves that moved apart: each quarter has its own vector, or none has."""
    rows, columns = 4, 4
    large = picture(3, 16 * rows, 16 * columns + 32).astype(np.uint16)
    reference, current = large[:, 16:-16], large[:, 16:-16].copy()
    current[24:] = large[24:, 17:-15]
    small, other = (quarter_size(padded(plane, PAD), PAD) for plane in (current, reference))
    coarse, nothing = np.zeros((rows, columns, 2), np.int32), np.zeros((2 * rows, 2 * columns, 2), np.int32)
    coarse_search(small, other, 1.0, 0, rows, coarse)
    whole, quarters = np.zeros((rows, columns, 3)), np.zeros((2 * rows, 2 * columns, 3))
    plane, prices = padded(reference, PAD), price_curve(8.0, 0.1)
    for split_from, own in ((0.0, True), (np.inf, False)):
        search(current, plane, coarse, nothing, 2.0, 0.1, prices, split_from, whole, quarters)
        upper, lower = quarters[2, 2:-2, :2], quarters[3, 2:-2, :2]  # of blocks through which the border goes
        assert (upper == lower).all() != own
        if own:
            assert (upper == 0).all()
            assert (lower == (4, 0)).all()
