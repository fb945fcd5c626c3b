# SPDX-License-Identifier: Apache-2.0
"""Signs that whether magnitudes add up to an odd number tells."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvcodec.models.kernels.hiding import BOUNDS, GROUP, GROUPS, HIDDEN, LEAST, hide
from nvcodec.models.kernels.latents import COMPONENT
from nvcodec.models.kernels.residual import MORE_BITS, quantise, rate_class

SIZES = (384, 96, 32, 16)


def groups_of(symbols: np.ndarray) -> list[np.ndarray]:
    """Latents of each group of a square, views."""
    ends = [*(b for b in BOUNDS.tolist() if b < len(symbols)), len(symbols)]
    return [symbols[a:b] for a, b in itertools.pairwise(ends)]


def is_right(group: np.ndarray) -> bool:
    """Whether the hidden sign of a group is what its magnitudes say, or it has too few latents to say any."""
    some = group[group != 0].astype(int)
    return len(some) < HIDDEN or bool(some[HIDDEN - 1] < 0) == bool(np.abs(some).sum() % 2)


def cost_of(coefficients: np.ndarray, rates: np.ndarray, which: int, price: float, symbols: np.ndarray) -> float:
    """Error and price of bits of a square, less a bit for each sign that is hidden."""
    cost = 0.0
    for k, (wanted, q) in enumerate(zip(coefficients.tolist(), np.abs(symbols.astype(int)).tolist(), strict=True)):
        bits = float(rates[which, k, min(q, 2)]) + (float(MORE_BITS[q]) if q > 2 else 0.0)
        cost += (abs(wanted) - q) ** 2 + price * bits
    return cost - price * sum(int((group != 0).sum() >= HIDDEN) for group in groups_of(symbols))


def least_cost(
    coefficients: np.ndarray, rates: np.ndarray, which: int, price: float, symbols: np.ndarray, begin: int, end: int
) -> float:
    """Of all ways to make the latents begin..end-1 right by changing one of them, by one."""
    found = []
    for k in range(begin, end):
        for change in (-1, 1):
            q = abs(int(symbols[k])) + change
            if q >= 0 and (symbols[k] or abs(coefficients[k]) >= LEAST):
                other = symbols.copy()
                other[k] = -q if coefficients[k] < 0 else q
                if is_right(other[begin:end]):
                    found.append(cost_of(coefficients, rates, which, price, other))
    return min(found)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SIZES), st.sampled_from([0.4, 0.8, 2.0, 20.0]))
def test_signs_are_hidden_where_it_costs_least(seed: int, size: int, spread: float) -> None:
    random, price = np.random.default_rng(seed), 0.07
    coefficients = (random.laplace(size=size) * spread * np.exp(-np.arange(size) / size)).astype(np.float32)
    rates = np.sort(random.uniform(0.1, 9, (10, size + 1, 3)).astype(np.float32), -1)
    symbols = np.zeros(size, np.int16)
    quantise(coefficients, rates, price, symbols)
    before, which = symbols.copy(), rate_class(int((symbols != 0).sum()))
    start = cost_of(coefficients, rates, which, price, before)
    hidden = sum(int((group != 0).sum() >= HIDDEN) for group in groups_of(before))
    cost = hide(coefficients, rates, price, symbols)
    assert all(map(is_right, groups_of(symbols)))
    assert np.abs(symbols.astype(int) - before).max() <= 1
    ends, wanted = np.cumsum([0, *map(len, groups_of(before))]).tolist(), 0.0
    for begin, end in itertools.pairwise(ends):
        assert (symbols[begin:end] != before[begin:end]).sum() == (0 if is_right(before[begin:end]) else 1)
        if not is_right(before[begin:end]):
            wanted += least_cost(coefficients, rates, which, price, before, begin, end) - start
    assert cost == pytest.approx(wanted - price * hidden, abs=1e-3 + 1e-4 * spread)
    assert cost_of(coefficients, rates, which, price, symbols) - start == pytest.approx(
        wanted, abs=1e-3 + 1e-4 * spread
    )


def test_few_latents_stay_as_they_are() -> None:
    coefficients, rates = np.zeros(96, np.float32), np.ones((10, 97, 3), np.float32)
    coefficients[: HIDDEN - 1] = -1
    symbols = coefficients.astype(np.int16)
    assert hide(coefficients, rates, 0.07, symbols) == 0
    assert np.array_equal(symbols, coefficients)


def test_groups_are_what_is_hidden_in_one_by_one() -> None:
    """Those of `hide`, which is given 4x4 squares of luma, and their chroma, one after the other."""
    for transform, count in ((0, 384), (1, 96), (3, 384)):
        ends = [*BOUNDS.tolist()]
        wanted = [n for n, (a, b) in enumerate(itertools.pairwise(ends)) for _ in range(a, b)]
        assert GROUP[transform, :count].tolist() == wanted[:count]
    tiny = GROUP[2, :96]
    assert [(tiny == n).sum() for n in range(GROUPS)] == [16, 16, 16, 16, 32]
    assert (COMPONENT[2, :96][tiny < 4] == 0).all()
    assert (COMPONENT[2, :96][tiny == 4] > 0).all()
    assert GROUP.max() == GROUPS - 1
