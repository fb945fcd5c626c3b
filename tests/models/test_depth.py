# SPDX-License-Identifier: Apache-2.0
"""Samples of ten bits inside the codec, and their way there and back."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.depth import EXTRA_BITS, LARGEST, MIDDLE, STEP_BITS, STEP_SCALE, widen
from nvcodec.models.kernels.samples import narrow
from nvcodec.models.quality import LOWEST, QUALITIES, STEPS, quantisation_step


def test_what_the_constants_are() -> None:
    """The tests of this folder have numbers of their own."""
    assert (EXTRA_BITS, LARGEST, MIDDLE) == (2, 1023, 512)
    assert (STEP_BITS, STEP_SCALE) == (2, 4)


def test_steps_are_in_quarters_of_a_sample_inside() -> None:
    """Which is a quarter of one outside."""
    for quality in range(QUALITIES):
        step = STEPS[LOWEST + quality] / STEP_SCALE
        assert step == pytest.approx(4 * quantisation_step(quality), abs=1 / 8)


def test_all_samples_come_back() -> None:
    outside = np.arange(256, dtype=np.uint8).reshape(4, 64)
    inside = widen(outside)
    assert inside.dtype == np.uint16
    assert np.array_equal(inside, 4 * np.arange(256).reshape(4, 64))
    back = narrow(inside)
    assert back.dtype == np.uint8
    assert np.array_equal(back, outside)


def test_samples_are_rounded_and_clipped() -> None:
    """Halves go up; what would be 256 is 255."""
    inside = np.arange(1024, dtype=np.uint16).reshape(2, 512)
    found = narrow(inside)
    assert found.dtype == np.uint8
    assert found.ravel().tolist() == [min((n + 2) // 4, 255) for n in range(1024)]
    few = np.array([[0, 1, 2, 3], [1021, 1022, 1023, 4]], np.uint16)
    assert narrow(few).tolist() == [[0, 0, 1, 1], [255, 255, 255, 1]]
    assert np.abs(4 * found.astype(int) - inside).ravel()[:1022].max() == 2


def test_planes_stay_as_they_are_and_may_be_parts_of_others() -> None:
    outside = np.arange(256, dtype=np.uint8).reshape(16, 16)
    inside = widen(outside[2:9, ::3])
    assert np.array_equal(inside, 4 * outside[2:9, ::3].astype(int))
    assert np.array_equal(outside.ravel(), np.arange(256))
    wide = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    assert np.array_equal(narrow(wide[3:20, 5:]), narrow(wide)[3:20, 5:])
    assert np.array_equal(wide.ravel(), np.arange(1024))
