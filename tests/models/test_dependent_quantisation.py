# SPDX-License-Identifier: Apache-2.0
"""Dependent quantisation against H.266's words, and the encoder's choice of symbols against every other choice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from dependent_quantisation import STATES, chains, half_of, multiples, sources, walk

from nvcodec.models.conditional.weights import Weights
from nvcodec.models.kernels.residual import (
    CHAINS,
    HALF_STEP,
    NEXT_STATE,
    RATE_CLASSES,
    SAMPLES,
    chain_of,
    half_step,
    multiple_of,
    quantise,
    quantisers,
    rate_class,
    trellis,
)
from nvcodec.models.quality import STEPS

PRICES = [0.0, 0.02, 0.1155, 1.0]


def squares(number: int) -> np.ndarray:
    """(2, 2) the bits of a number."""
    return np.array([[number & 1, number >> 1 & 1], [number >> 2 & 1, number >> 3 & 1]], np.uint8)


def falling_rates(random: np.random.Generator, n: int) -> np.ndarray:
    """(3, RATE_CLASSES, n, 3) bits as coefficients have them: more for larger symbols and for later ones."""
    k = np.arange(n)
    rates = np.empty((3, RATE_CLASSES, n, 3), np.float32)
    for quantiser in range(3):
        for which in range(RATE_CLASSES):
            share = (0.2 + 0.6 * random.random()) * np.exp(-k / (2 + 8 * which))
            one, more = -np.log2(share) + 1, -np.log2(share) + 2.5 + random.random()
            rates[quantiser, which] = np.stack([-np.log2(1 - share), one, more], -1)
    return rates


# --- states, chains and steps


def test_states_go_on_as_in_the_standard() -> None:
    for state in range(4):
        for parity in range(2):
            assert NEXT_STATE[state, parity] == (STATES >> ((state << 2) + (parity << 1))) & 3


def test_multiples_are_even_or_odd_by_the_state() -> None:
    for state in range(4):
        found = [multiple_of(symbol, state) for symbol in range(-300, 301)]
        assert found == sorted(set(found))
        assert found[300] == 0
        assert {m % 2 for m in found if m} == {state // 2}
        assert (found[301], found[-1]) == ((2, 600), (1, 599))[state // 2]
        assert found == [-m for m in reversed(found)]


def test_half_steps_are_nine_sixteenths() -> None:
    for step in (1, 2, 7, *STEPS.tolist()):
        assert half_step(step) == half_of(step)
        assert abs(half_step(step) - HALF_STEP * step) <= 0.5


@pytest.mark.parametrize("number", range(-1, 16))
def test_every_symbol_is_in_one_chain(number: int) -> None:
    fine, tiny = number >= 0, squares(max(number, 0))
    numbers = [chain_of(n, fine, tiny) for n in range(SAMPLES)]
    assert 0 <= min(numbers) <= max(numbers) < CHAINS
    wanted = chains(fine, tiny)
    assert len(set(numbers)) == len(wanted)
    for chain in wanted:
        assert len({numbers[n] for n in chain}) == 1
    assert sorted(n for chain in wanted for n in chain) == list(range(SAMPLES))


@pytest.mark.parametrize("number", range(-1, 16))
def test_quantisers_of_symbols(number: int) -> None:
    random, fine, tiny = np.random.default_rng(number + 1), number >= 0, squares(max(number, 0))
    for size, share in ((1, 0.5), (3, 0.1), (32767, 1.0)):
        symbols = (random.integers(-size, size + 1, SAMPLES) * (random.random(SAMPLES) < share)).astype(np.int16)
        out = np.full(SAMPLES, 9, np.uint8)
        quantisers(symbols, fine, tiny, out)
        assert np.array_equal(out, sources(symbols, fine, tiny))
        assert set(out.tolist()) == {0, 1}
        assert np.array_equal(multiples(symbols, fine, tiny) % 2, out * (symbols != 0))


# --- what the encoder chooses


def bits_of(rates: np.ndarray, symbol: int) -> float:
    """rates: (3,) bits of 0, of 1, and of more."""
    size = abs(symbol)
    return float(rates[min(size, 2)]) + (2 * np.log2(size - 1) if size > 1 else 0)


def cost_of(symbols: np.ndarray, coefficients: np.ndarray, rates: np.ndarray, price: float) -> float:
    """Squared steps of error and price of bits of a chain; rates: (3, n, 3) of its class."""
    found, states = walk(symbols)
    total = 0.0
    for k, (multiple, state) in enumerate(zip(found, states, strict=True)):
        total += (float(coefficients[k]) - multiple * HALF_STEP) ** 2
        total += price * bits_of(rates[state >> 1, k], int(symbols[k]))
    return total


def class_rates(coefficients: np.ndarray, rates: np.ndarray) -> np.ndarray:
    return rates[:, rate_class(int((np.abs(coefficients) > 0.6).sum()))].astype(np.float64)


def plain(coefficients: np.ndarray) -> np.ndarray:
    """Each symbol the one nearest to its coefficient in the quantiser that its turn has."""
    state, symbols = 0, np.zeros(len(coefficients), np.int16)
    for k, value in enumerate(coefficients.tolist()):
        odd = state >> 1
        options = [0, *(int(abs(value) / HALF_STEP + odd) // 2 + n for n in (0, 1))]
        best = min(options, key=lambda s: abs(abs(value) - (2 * s - (odd if s else 0)) * HALF_STEP))
        symbols[k] = best if value > 0 else -best
        state = (STATES >> ((state << 2) + ((best & 1) << 1))) & 3
    return symbols


def chosen(coefficients: np.ndarray, rates: np.ndarray, price: float) -> np.ndarray:
    symbols = np.full(len(coefficients), 99, np.int16)
    trellis(coefficients, rates, np.float32(price), symbols)
    return symbols


def told(coefficients: np.ndarray) -> int:
    """Coefficients up to the last that is not negligible: those after it are zero without being asked."""
    large = np.flatnonzero(np.abs(coefficients) > 0.35)
    return int(large[-1]) + 1 if len(large) else 0


def options_of(coefficient: float, state: int) -> list[tuple[int, int]]:
    """Symbols that are considered, and the state after each: in the quantiser of the state the last before the
    coefficient, the first after it (if that is no more than 1.4 half steps away), zero if that is two symbols away at
    most."""
    size, odd = abs(coefficient) / HALF_STEP, state >> 1
    low = int(size + odd) // 2
    found = {low, *([low + 1] if 2 * (low + 1) - odd - size < 1.4 - 1e-6 else []), *([0] if low <= 2 else [])}
    after = [(STATES >> ((state << 2) + ((symbol & 1) << 1))) & 3 for symbol in found]
    return [(symbol if coefficient > 0 else -symbol, to) for symbol, to in zip(found, after, strict=True)]


def neighbours(coefficients: np.ndarray, state: int = 0) -> Iterator[list[int]]:
    """All chains of symbols that are considered."""
    if not len(coefficients):
        yield []
        return
    for symbol, after in options_of(float(coefficients[0]), state):
        for rest in neighbours(coefficients[1:], after):
            yield [symbol, *rest]


def drawn(coefficients: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One of them."""
    state, symbols = 0, []
    for value in coefficients.tolist():
        options = options_of(value, state)
        symbol, state = options[int(random.integers(len(options)))]
        symbols.append(symbol)
    return np.array(symbols, np.int64)


@pytest.mark.parametrize("price", PRICES)
def test_the_trellis_never_costs_more_than_simpler_choices(weights: Weights, price: float) -> None:
    """Than the nearest in turn, than chains drawn by lot."""
    random = np.random.default_rng(5)
    better = 0
    for n, learned in (
        (16, weights.bases.rates[2][0]),
        (32, weights.bases.rates[3][1]),
        (96, weights.bases.rates[1][0]),
    ):
        for rates in (learned, falling_rates(random, n)):
            for spread in (0.3, 0.8, 3.0, 40.0):
                coefficients = (random.normal(size=n) * spread * np.exp(-np.arange(n) / n)).astype(np.float32)
                symbols, length = chosen(coefficients, rates, price), told(coefficients)
                assert not symbols[length:].any()
                assert (symbols * coefficients >= 0).all()
                known, used = coefficients[:length], class_rates(coefficients, rates)
                cost = cost_of(symbols[:length], known, used, price)
                nearest = plain(coefficients)[:length]
                others = [nearest, *(drawn(known, random) for _ in range(10))]
                costs = [cost_of(other, known, used, price) for other in others]
                assert cost <= min(costs) + 1e-4 * max(1, cost)
                better += cost < 0.999 * costs[0]
                # no further off than a quantiser's values are apart, unless bits are dear
                if price == 0.0:
                    left = np.abs(known - np.array(walk(symbols[:length])[0]) * HALF_STEP)
                    assert left.max() <= 2 * HALF_STEP
    assert better > 6


@pytest.mark.parametrize("price", PRICES)
def test_the_trellis_finds_the_best_of_all_chains(price: float) -> None:
    random = np.random.default_rng(7)
    for spread in (0.5, 1.0, 2.0, 5.0):
        for _ in range(4):
            coefficients = (random.normal(size=7) * spread).astype(np.float32)
            rates = falling_rates(random, 7)
            symbols, length = chosen(coefficients, rates, price), told(coefficients)
            known, used = coefficients[:length], class_rates(coefficients, rates)
            costs = [cost_of(np.array(other, np.int64), known, used, price) for other in neighbours(known)]
            assert len(costs) > 2 or length < 2
            assert cost_of(symbols[:length], known, used, price) == pytest.approx(min(costs, default=0), abs=1e-4)


def test_dependent_quantisers_are_nearer_than_one_alone() -> None:
    """With free bits: a quantiser of as many symbols leaves a twelfth of its squared step."""
    random = np.random.default_rng(8)
    coefficients = (random.normal(size=4000) * 20).astype(np.float32)
    symbols = chosen(coefficients, np.zeros((3, RATE_CLASSES, 4000, 3), np.float32), 0.0)
    error = float(((coefficients - np.array(walk(symbols)[0]) * HALF_STEP) ** 2).mean())
    assert error < 0.85 * (2 * HALF_STEP) ** 2 / 12


def test_small_coefficients_are_nothing() -> None:
    coefficients = np.array([0.35, -0.35, 0.1] * 5, np.float32)
    rates = np.zeros((3, RATE_CLASSES, 15, 3), np.float32)
    rates[..., 0] = 9  # zero is dear, but not asked
    assert not chosen(coefficients, rates, 1.0).any()
    coefficients[4] = 0.36
    assert not chosen(coefficients, rates, 1.0)[5:].any()
    assert chosen(coefficients, rates, 1.0)[:5].any()


def test_a_higher_price_gives_fewer_bits_and_more_error() -> None:
    random = np.random.default_rng(6)
    coefficients, rates = random.normal(size=SAMPLES).astype(np.float32), falling_rates(random, SAMPLES)
    used, length = class_rates(coefficients, rates), told(coefficients)
    bits, errors = [], []
    for price in (0.0, 0.05, 0.1155, 0.3, 1.0, 100.0):
        symbols = chosen(coefficients, rates, price)[:length]
        errors.append(cost_of(symbols, coefficients[:length], used, 0.0))
        bits.append(cost_of(symbols, coefficients[:length], used, 1.0) - errors[-1])
    assert bits == sorted(bits, reverse=True)
    assert errors == sorted(errors)
    assert bits[-1] < bits[0] / 2


# --- the estimate before it


@pytest.mark.parametrize("price", [0.01, 0.1155, 1.0])
def test_every_symbol_of_the_estimate_is_the_best_of_those_considered(weights: Weights, price: float) -> None:
    """0, the nearest magnitude and the one below it, by the rates of both quantisers together."""
    random = np.random.default_rng(5)
    tables = [weights.bases.rates[0][0], random.random((3, RATE_CLASSES, SAMPLES, 3)).astype(np.float32) * 9]
    for spread in (0.2, 0.7, 3.0, 40.0):
        for rates in tables:
            coefficients = (random.normal(size=SAMPLES) * spread).astype(np.float32)
            symbols = np.full(SAMPLES, 99, np.int16)
            cost = quantise(coefficients, rates, np.float32(price), symbols)
            used = class_rates(coefficients, rates)[2]
            total = 0.0
            for value, symbol, bits in zip(coefficients, symbols, used, strict=True):
                size = abs(float(value))
                near = int(size + 0.5)
                options = {0, *(q for q in (near - 1, near) if q > 0)} if size > 0.4 else {0}
                costs = {q: (size - q) ** 2 + price * bits_of(bits, q) for q in options}
                best = min(costs.values())
                assert costs[abs(int(symbol))] <= best + 1e-4 * max(1, best)
                assert symbol == 0 or (symbol > 0) == (value > 0)
                total += best
            assert cost == pytest.approx(total, rel=1e-3)


def test_a_higher_price_gives_fewer_symbols() -> None:
    random = np.random.default_rng(6)
    coefficients, rates = random.normal(size=SAMPLES).astype(np.float32), falling_rates(random, SAMPLES)
    rates[..., 0] = 0.5
    counts = []
    for price in (0.0, 0.05, 0.1155, 0.3, 1.0, 100.0):
        symbols = np.zeros(SAMPLES, np.int16)
        quantise(coefficients, rates, np.float32(price), symbols)
        counts.append(int(np.abs(symbols).sum()))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == np.abs(np.rint(coefficients)).sum()
    assert counts[-1] == 0
