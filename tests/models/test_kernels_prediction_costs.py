# SPDX-License-Identifier: Apache-2.0
"""Costs of predictions: what is remembered is what would be reckoned anew."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.kernels.compensation import (
    BOTH,
    FIRST,
    FLOW_ROUNDS,
    PAD,
    SECOND,
    luma_block,
    luma_from_both,
    padded,
)
from nvcodec.models.kernels.prediction_costs import (
    MOTIONS,
    Memory,
    block_cost,
    forget,
    mixed_cost,
    number_in_quad,
    quarter_cost,
)
from nvcodec.models.kernels.rough_cost import hadamard_cost, price_curve

RANDOM = np.random.default_rng(5)
CURRENT = RANDOM.integers(0, 1024, (64, 64)).astype(np.uint16)
FIELDS = [
    padded(np.clip(CURRENT + RANDOM.integers(-36, 37, CURRENT.shape), 0, 1023).astype(np.uint16), PAD) for _ in "ab"
]
PRICES = price_curve(32.0, 0.08)


def new_memory(midway: bool) -> Memory:
    """Of nothing yet."""
    return Memory(
        np.zeros((16, MOTIONS), np.int64),
        np.zeros((16, MOTIONS, 4), np.float32),
        np.zeros((16, MOTIONS, 2), np.float32),
        np.zeros(16, np.int64),
        midway,
        FLOW_ROUNDS,
    )


def reckoned(row: int, column: int, size: int, kind: int, motion: np.ndarray, midway: bool) -> float:
    """Hadamard cost of a square at (row, column), in samples."""
    a, b, difference = (np.zeros((16, 16), np.int32) for _ in range(3))
    x0, y0, x1, y1 = (int(n) for n in motion)
    luma_block(FIELDS[0], PAD, row, column, size, x0, y0, a)
    luma_block(FIELDS[1], PAD, row, column, size, x1, y1, b)
    if kind == BOTH:
        if midway:
            luma_from_both(*FIELDS, row, column, size, x0, y0, x1, y1, FLOW_ROUNDS, a, b, np.zeros((2, 4, 4), np.int32))
        made = (a + b + 4096) >> 13
    else:
        made = ((a if kind == FIRST else b) + 2048) >> 12
    here = CURRENT[row : row + size, column : column + size].astype(np.int32)
    difference[:size, :size] = here - np.clip(made, 0, 1023)[:size, :size]
    return float(hadamard_cost(difference, size, PRICES))


def motions(count: int) -> np.ndarray:
    """Different ones, of any kind."""
    return np.concatenate([RANDOM.integers(-40, 41, (count, 4)), 1 + np.arange(count)[:, None] % 3], 1).astype(np.int32)


@pytest.mark.parametrize("midway", [False, True])
def test_costs_are_those_of_the_predictions_however_often_they_are_asked_for(midway: bool) -> None:
    """Blocks first, then their quarters, and the other way round; more motions than are remembered."""
    memory = new_memory(midway)
    known = motions(MOTIONS + 20)
    for r, c in ((0, 0), (1, 0), (0, 2), (3, 2)):
        forget(memory, number_in_quad(r, c))
        for n in [*range(len(known)), *range(0, len(known), 3)]:
            kind, (x0, y0, x1, y1) = np.int64(known[n, 4]), known[n, :4]
            arguments = (kind, x0, y0, x1, y1, PRICES)
            if n % 2:
                cost = block_cost(memory, CURRENT, *FIELDS, r, c, *arguments)
                if not midway:
                    assert cost == pytest.approx(
                        reckoned(16 * r, 16 * c, 16, int(kind), known[n, :4], midway), rel=1e-5
                    )
            for q in range(4) if kind != BOTH or not midway or n % 2 == 0 else ():
                vr, vc = 2 * r + (q >> 1), 2 * c + (q & 1)
                cost = quarter_cost(memory, CURRENT, *FIELDS, vr, vc, *arguments)
                assert cost == pytest.approx(reckoned(8 * vr, 8 * vc, 8, int(kind), known[n, :4], midway), rel=1e-5)
    assert memory.counts.max() > MOTIONS


def test_blocks_of_a_quad_do_not_see_each_others_costs() -> None:
    """All sixteen with the same few motions, block by block and then once more; another quad takes their places."""
    assert sorted(number_in_quad(r, c) for r in range(4) for c in range(4)) == list(range(16))
    assert all(number_in_quad(r, c) == number_in_quad(r % 4, c % 4) for r in range(12) for c in range(12))
    memory, known = new_memory(False), motions(3)
    for again in range(2):
        for r, c in np.ndindex(4, 4):
            for x0, y0, x1, y1, kind in known:
                cost = block_cost(memory, CURRENT, *FIELDS, r, c, np.int64(kind), x0, y0, x1, y1, PRICES)
                wanted = reckoned(16 * r, 16 * c, 16, int(kind), np.array([x0, y0, x1, y1]), False)
                assert cost == pytest.approx(wanted, rel=1e-5), (again, r, c)
    assert (memory.counts == 3).all()
    forget(memory, number_in_quad(6, 9))
    assert [n for n in range(16) if memory.counts[n] == 0] == [number_in_quad(2, 1)]


def test_vectors_into_what_is_not_used_do_not_matter() -> None:
    memory = new_memory(False)
    for kind, other in ((FIRST, (3, 4, 77, -9)), (SECOND, (50, 60, 5, 6))):
        costs = {
            float(block_cost(memory, CURRENT, *FIELDS, 1, 1, np.int64(kind), *(np.int32(n) for n in vector), PRICES))
            for vector in ((3, 4, 5, 6), other)
        }
        assert len(costs) == 1
    assert memory.counts[number_in_quad(1, 1)] == memory.counts.sum() == 2


def test_predictions_that_are_made_already_are_remembered_too() -> None:
    memory, a, b = new_memory(False), np.zeros((16, 16), np.int32), np.zeros((16, 16), np.int32)
    motion = (np.int32(5), np.int32(-3), np.int32(8), np.int32(2))
    luma_block(FIELDS[0], PAD, 16, 0, 16, motion[0], motion[1], a)
    luma_block(FIELDS[1], PAD, 16, 0, 16, motion[2], motion[3], b)
    cost = mixed_cost(memory, CURRENT, 1, 0, np.int64(BOTH), *motion, a, b, PRICES)
    assert cost == pytest.approx(reckoned(16, 0, 16, BOTH, np.array(motion), False), rel=1e-5)
    # from now on what the pictures are does not matter
    blank = [np.zeros_like(field) for field in FIELDS]
    assert block_cost(memory, CURRENT, *blank, 1, 0, np.int64(BOTH), *motion, PRICES) == pytest.approx(cost)
    forget(memory, number_in_quad(1, 0))
    assert block_cost(memory, CURRENT, *blank, 1, 0, np.int64(BOTH), *motion, PRICES) != pytest.approx(cost)
