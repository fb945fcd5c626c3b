# SPDX-License-Identifier: Apache-2.0
"""Odds that are only looked at, against those that the coder codes with."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.entropy import binary
from nvcodec.entropy.mixing import MOST_INPUTS, ONE, POINTS, code_mixed, new_weights
from nvcodec.entropy.odds import bits_of, no_odds, odds_of, probability

SLOTS, ROWS = 50, 6


@pytest.mark.parametrize("inputs", [2, 5, MOST_INPUTS])
def test_they_are_those_that_bits_are_coded_with(inputs: int) -> None:
    """A bit's bits are what the coder's range loses."""
    random = np.random.default_rng(inputs)
    slots = np.stack([random.integers(1 << 10, ONE - (1 << 10), SLOTS), np.full(SLOTS, 30)], 1).astype(np.int32)
    weights = new_weights(ROWS, inputs)
    weights[:, POINTS:] = random.integers(0, 2 * ONE // inputs**0.5, (ROWS, inputs))
    weights[:, :POINTS] = np.sort(random.integers(1 << 8, ONE - (1 << 8), (ROWS, POINTS)), 1)
    odds, room, found = odds_of(slots, weights), np.zeros(MOST_INPUTS, np.float32), []
    for n in range(300):
        chosen = random.integers(0, SLOTS // 2, inputs)
        beyond, first, second, bit = SLOTS // 2 * (n % 2), n % ROWS, n % 4, int(n % 3 == 0)
        chance = probability(odds, chosen, inputs, beyond, room, first, second)
        buffer = np.zeros(64, np.uint8)
        coder = binary.start_writing(buffer)
        before = int(coder[binary.RANGE])
        code_mixed(coder, buffer, slots.copy(), chosen + beyond, inputs, weights.copy(), first, second, 100, 4, bit)
        left, shifted = int(coder[binary.RANGE]), int(coder[binary.PENDING] + coder[binary.POSITION]) - 1
        written = np.log2(before) - np.log2(left) + 8 * shifted
        found.append((bits_of(np.float32(chance if bit else 1 - chance)), written))
    mine, theirs = np.array(found).T
    assert theirs.max() > 2.5
    assert np.abs(mine - theirs).max() < 0.1
    assert mine.mean() == pytest.approx(theirs.mean(), abs=0.01)


def test_bits_of_chances() -> None:
    for chance in (0.001, 0.1, 0.5, 0.9, 0.999):
        assert bits_of(np.float32(chance)) == pytest.approx(-np.log2(chance), rel=0.2, abs=0.001)
    assert 12 < bits_of(np.float32(0)) < 14
    assert bits_of(np.float32(1)) == pytest.approx(0, abs=0.001)


def test_no_odds_are_of_no_slots() -> None:
    odds = no_odds()
    assert len(odds.stretched) == len(odds.weights) == len(odds.curves) == 0
