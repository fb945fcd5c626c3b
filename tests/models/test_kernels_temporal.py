# SPDX-License-Identifier: Apache-2.0
"""Means of pictures along time against sums in NumPy, to the largest differences that samples can have."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.kernels.temporal import MOST, UNIT, blend, unit_errors

ROWS, COLUMNS = 3, 4  # squares
DEVIATION, TOLERANCE = 40.0, 900.0


def weight_of(apart: np.ndarray) -> np.ndarray:
    """Of samples that differ so much."""
    return np.maximum(1 - (apart / DEVIATION) ** 2 / 128, 0) ** 64


def test_weights_are_those_of_a_gaussian() -> None:
    apart = np.arange(1024)
    assert np.abs(weight_of(apart) - np.exp(-0.5 * (apart / DEVIATION) ** 2)).max() < 0.005


def reference(picture: np.ndarray, moved: np.ndarray, strengths: np.ndarray, side: int) -> np.ndarray:
    """Weighted by how alike squares are, and samples; not yet rounded."""
    total, weight = picture.astype(float), np.ones(picture.shape)
    for other, strength in zip(moved.astype(float), strengths, strict=True):
        apart = other - picture
        errors = (apart**2).reshape(ROWS, side, COLUMNS, side).mean((1, 3)).repeat(side, 0).repeat(side, 1)
        of_squares = strength * np.exp(-errors / TOLERANCE)
        of = np.where(of_squares > 0.002, of_squares, 0) * weight_of(apart)
        total, weight = total + of * other, weight + of
    return total / weight


def blended(picture: np.ndarray, moved: np.ndarray, strengths: np.ndarray, side: int) -> np.ndarray:
    """In two parts, as threads do it."""
    out = np.full_like(picture, 77)
    for begin, end in ((0, 1), (1, ROWS)):
        blend(picture, moved, strengths.astype(np.float32), DEVIATION, TOLERANCE, side, begin, end, out)
    return out


@pytest.mark.parametrize("side", [8, 4])
@pytest.mark.parametrize("count", [1, 3, MOST])
@pytest.mark.parametrize("kind", ["near", "noise", "extremes"])
def test_samples_are_weighted_means(side: int, count: int, kind: str) -> None:
    random, shape = np.random.default_rng(count), (side * ROWS, side * COLUMNS)
    picture, strengths = random.integers(0, 1024, shape).astype(np.uint16), random.uniform(0.1, 0.9, count)
    moved = random.integers(0, 1024, (count, *shape)).astype(np.uint16)
    if kind == "near":
        moved = (picture + random.integers(-40, 41, moved.shape)).clip(0, 1023).astype(np.uint16)
    elif kind == "extremes":
        picture, moved = (np.where(plane < 512, 0, 1023).astype(np.uint16) for plane in (picture, moved))
        moved[0] = picture  # all of one is as it is
    found = blended(picture, moved, strengths, side)
    assert found.dtype == np.uint16
    assert np.abs(found - reference(picture, moved, strengths, side)).max() < 0.5 + 1e-3
    assert (found != picture).any() == (kind == "near")


@pytest.mark.parametrize("white", [False, True])
def test_opposites_do_not_mix(white: bool) -> None:
    """Black and white, all of which are as far from each other as samples can be."""
    picture = np.full((8 * ROWS, 8 * COLUMNS), 1023 * white, np.uint16)
    moved = np.stack([1023 - picture] * MOST)
    assert np.array_equal(blended(picture, moved, np.ones(MOST), 8), picture)
    moved[3:7] = picture
    assert np.array_equal(blended(picture, moved, np.ones(MOST), 8), picture)


@pytest.mark.parametrize("shape", [(32, 64), (48, 80), (16, 16)])
@pytest.mark.parametrize("largest", [1, 1023])
def test_errors_of_units_are_summed_up(shape: tuple[int, int], largest: int) -> None:
    """Those at the right and lower edge may be parts of one."""
    random = np.random.default_rng(largest)
    picture, moved = (random.integers(0, largest + 1, shape).astype(np.uint16) for _ in range(2))
    picture[:8], moved[:8] = largest, 0
    found = np.full([-(-side // UNIT) for side in shape], 77, np.int64)
    unit_errors(picture, moved, found)
    errors = (picture.astype(np.int64) - moved) ** 2
    for r, c in np.ndindex(*found.shape):
        assert found[r, c] == errors[UNIT * r : UNIT * (r + 1), UNIT * c : UNIT * (c + 1)].sum()
    assert found[0, 0] >= 8 * 16 * largest**2
