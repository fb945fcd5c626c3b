# SPDX-License-Identifier: Apache-2.0
"""Qualities that are asked for, levels that frames have, and the steps, prices and weights that belong to them."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.conditional.shot import CHROMA_AT_FIRST
from nvcodec.models.quality import (
    CHROMA_SCALES,
    LEVELS,
    LOWEST,
    QUALITIES,
    STEPS,
    bit_price,
    quality_of,
    quantisation_step,
)


def test_steps_fall_evenly_from_level_to_level() -> None:
    """By 22^(1/63), from 88 at the lowest quality to 4 at the best, in sixteenths; below and beyond it goes on."""
    assert len(STEPS) == LEVELS
    assert STEPS.tolist() == [round(1408 * 22 ** (-(level - LOWEST) / 63)) for level in range(LEVELS)]
    assert (np.diff(STEPS) < 0).all()
    for quality in range(QUALITIES):
        assert STEPS[LOWEST + quality] / 16 == pytest.approx(quantisation_step(quality), abs=1 / 32)


def test_levels_of_qualities_come_back() -> None:
    assert [quality_of(LOWEST + quality) for quality in range(QUALITIES)] == list(range(QUALITIES))
    assert {quality_of(level) for level in range(LOWEST)} == {0}
    assert {quality_of(level) for level in range(LOWEST + QUALITIES, LEVELS)} == {QUALITIES - 1}


def test_bits_are_worth_less_at_finer_levels() -> None:
    """Never more than theory says of high rates, 0.1155 squared steps."""
    prices = [bit_price(level) for level in range(LEVELS)]
    assert prices == sorted(prices, reverse=True)
    assert 0.05 < prices[-1] < prices[0] < 0.1155
    assert prices[0] == prices[LOWEST] > prices[LOWEST + 1]
    assert prices[-1] == prices[LOWEST + QUALITIES - 1] < prices[LOWEST + QUALITIES - 2]


def test_scales_of_chroma_are_near_to_each_other_and_fit_four_bits() -> None:
    """From one to the next the size of a frame changes by less than a quality step makes it rise."""
    assert CHROMA_SCALES.tolist() == [round(576 * (171 / 576) ** (n / 15)) for n in range(16)]
    assert CHROMA_SCALES[CHROMA_AT_FIRST] == 256  # of what transforms were learned with
