# SPDX-License-Identifier: Apache-2.0
"""Fitted filters: bytes read as they were written, least squares that finds the filter that was there, its price."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvcodec.errors import DamagedStreamError
from nvcodec.models.conditional.picture import KeptFrame
from nvcodec.models.conditional.restoration import Coded
from nvcodec.models.implicit.pyramid.fitting import FilterSums, fit
from nvcodec.models.implicit.pyramid.taps import (
    MAX_DIFFERENCE,
    QUANTUM,
    fitted_filters,
    no_differences,
    read_filters,
    write_filters,
)
from nvcodec.models.kernels import restore
from nvcodec.models.kernels.compensation import PAD, padded
from nvcodec.models.kernels.filters import MAX_TAP
from nvcodec.models.kernels.restore import BANKS, CLASSES, RANGES
from nvcodec.models.quality import LOWEST, QUALITIES, STEPS
from nvcodec.models.transform import Filters, no_filters

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30), share=st.sampled_from([0.001, 0.02, 0.5]), most=st.integers(1, 128))
def test_differences_are_read_as_they_were_written(seed: int, share: float, most: int) -> None:
    random = np.random.default_rng(seed)
    differences = no_differences()
    for part in differences:
        chosen = random.random(part.shape) < share
        part[chosen] = random.integers(-most, most + 1, int(chosen.sum()))
        part[random.random(RANGES) < 0.5] = 0
    data = write_filters(differences)
    assert (data == b"") == (not any(part.any() for part in differences))
    shipped, wanted = no_filters(), fitted_filters(no_filters(), differences)
    found = read_filters(data, shipped)
    assert np.array_equal(found.luma, wanted.luma)
    assert np.array_equal(found.chroma, wanted.chroma)


def test_the_longest_difference_fits() -> None:
    shipped = no_filters()
    shipped.luma[:] = -MAX_TAP
    shipped.chroma[:] = MAX_TAP
    differences = no_differences()
    for part, sign in zip(differences, (1, -1, -1), strict=True):
        part[:] = sign * MAX_DIFFERENCE
    found = read_filters(write_filters(differences), shipped)
    assert (found.luma == MAX_TAP).all()
    assert (found.chroma == -MAX_TAP).all()


def test_few_differences_cost_few_bytes() -> None:
    differences = no_differences()
    differences[0][1, 2, 7, :3] = 1, -2, 5
    assert len(write_filters(differences)) < 40


def test_taps_beyond_their_bounds_are_damage() -> None:
    differences = no_differences()
    differences[0][2, 0, 3, 4] = 200
    with pytest.raises(DamagedStreamError, match="512"):
        read_filters(write_filters(differences), no_filters())
    with pytest.raises(DamagedStreamError, match="ranges"):
        read_filters(b"\x10\0\0\0", no_filters())


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_filters_or_damage(data: bytes) -> None:
    try:
        filters = read_filters(data, no_filters())
    except DamagedStreamError:
        return
    assert np.abs(filters.luma).max() <= MAX_TAP
    assert np.abs(filters.chroma).max() <= MAX_TAP


LEVEL = LOWEST + 20
RANGE = 20 * RANGES // QUALITIES


def decoded_planes(seed: int) -> Planes:
    """Noisy planes with borders, 96x64."""
    random = np.random.default_rng(seed)
    y = random.integers(360, 640, (64, 96)).astype(np.uint16)
    u, v = (random.integers(400, 600, (32, 48)).astype(np.uint16) for _ in range(2))
    return padded(y, PAD), padded(u, PAD // 2), padded(v, PAD // 2)


def restored(planes: Planes, filters: Filters) -> Planes:
    """What the first bank makes of planes, without borders: a picture that is that filter away from them."""
    step = int(STEPS[LEVEL])
    classes = np.empty((16, 24), np.uint8)
    restore.classify(planes[0], step, np.ones((2, 3), bool), 0, 4, classes)
    out = tuple(plane.copy() for plane in planes)
    taps = filters.luma[RANGE], filters.chroma[RANGE]
    restore.restore(*planes, classes, np.ones((2, 3), np.uint8), *taps, restore.clip_of(step), 0, 2, *out)
    half = PAD // 2
    return out[0][PAD:-PAD, PAD:-PAD], out[1][half:-half, half:-half], out[2][half:-half, half:-half]


def true_filters() -> Filters:
    """One filter for all classes, in all banks."""
    filters = no_filters()
    filters.luma[:, :, :, :4] = 40, 24, -16, 8
    filters.chroma[:, :, :, :, :3] = 32, -12, 20
    return filters


def gathered(count: int, filters: Filters) -> FilterSums:
    sums = FilterSums(filters)
    for seed in range(count):
        planes = decoded_planes(seed)
        nothing = Coded(planes, np.zeros((0, 0), np.int8), np.zeros((0, 0), np.uint8))
        sums.append(KeptFrame(LEVEL, seed % 2 == 0, restored(planes, true_filters()), planes, nothing))
    return sums


def squared_error(filters: Filters) -> float:
    """Of a frame that was not fitted to."""
    planes = decoded_planes(1000)
    pair = zip(restored(planes, true_filters()), restored(planes, filters), strict=True)
    return sum(float(((a.astype(float) - b) ** 2).sum()) for a, b in pair)


def test_the_filter_that_was_there_is_found() -> None:
    shipped = no_filters()
    near = fitted_filters(true_filters(), no_differences())
    near.luma[:] = near.luma * 3 // 4 // QUANTUM * QUANTUM  # so that units take to a filter at all
    near.chroma[:] = near.chroma * 3 // 4 // QUANTUM * QUANTUM
    differences = fit(gathered(6, near), shipped, 1)
    found = fitted_filters(shipped, differences)
    busy = np.abs(found.luma[RANGE]).sum(-1) > 0
    assert busy.any()
    taps = found.luma[RANGE][busy]
    assert np.abs(taps[:, :4] - [40, 24, -16, 8]).max() <= 2 * QUANTUM
    assert all(not part[r].any() for part in differences for r in range(RANGES) if r != RANGE)


def test_fitting_to_a_few_frames_helps_with_others() -> None:
    near = fitted_filters(true_filters(), no_differences())
    near.luma[:], near.chroma[:] = near.luma // 2, near.chroma // 2
    before = squared_error(near)
    differences = fit(gathered(8, near), near, 1)
    banks = [n for n in range(BANKS) if differences[0][RANGE, n].any()]
    fitted = fitted_filters(near, differences)
    # `restored` uses the first bank: put there what was fitted, wherever units went
    fitted.luma[RANGE, 0], fitted.chroma[RANGE, 0] = fitted.luma[RANGE, banks[0]], fitted.chroma[RANGE, banks[0]]
    assert squared_error(fitted) < 0.5 * before


def test_what_is_told_often_must_be_worth_more() -> None:
    near = fitted_filters(true_filters(), no_differences())
    near.luma[:], near.chroma[:] = near.luma // 2, near.chroma // 2
    sums = gathered(3, near)
    once, often = (fit(sums, near, count) for count in (1, 200))
    told = [sum(int((part != 0).any(-1).sum()) for part in differences) for differences in (once, often)]
    assert 0 <= told[1] < told[0] <= RANGES * BANKS * CLASSES * 3
