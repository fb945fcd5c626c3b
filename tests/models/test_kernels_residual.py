# SPDX-License-Identifier: Apache-2.0
"""Residuals as sums of basis pictures, against matrix products; the encoder's way back; its choice of symbols."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.conditional.picture import QUARTERS, TINY, TINY_CHROMA
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.kernels.residual import (
    MAX_COEFFICIENT,
    RATE_CLASSES,
    add_block,
    add_inter_residuals,
    energies,
    gather_residuals,
    quantise,
    rate_class,
    synthesise,
)
from nvcodec.models.transform import CLASSES, SIDES, BlockBases, bases_of, dct_columns, integer_basis, sample_weights

SAMPLES = 384


@pytest.fixture(scope="module", params=["shipped", "cosines"])
def bases(request: pytest.FixtureRequest, weights: Weights) -> BlockBases:
    """The transforms of the model, and those that training starts with."""
    if request.param == "shipped":
        return weights.bases
    pictures = tuple(np.stack([integer_basis(dct_columns(n), n)] * CLASSES) for n in range(4))
    return bases_of(pictures, weights.bases.rates)


def coefficient_matrix(bases: BlockBases, which: int, fine: bool, tiny: np.ndarray) -> np.ndarray:
    """(384, 384) float64: sample values of each coefficient of one sixteenth, put together from the docstring."""
    scale = 1 / (1 << 14) / 16
    if not fine:
        return bases.pictures[0][which].T.astype(np.float64) * scale
    luma, chroma = np.arange(256).reshape(16, 16), np.arange(256, 384).reshape(2, 8, 8)
    out = np.zeros((SAMPLES, SAMPLES))
    for q in range(4):
        rows, columns = slice(8 * (q // 2), 8 * (q // 2) + 8), slice(8 * (q % 2), 8 * (q % 2) + 8)
        y, uv = luma[rows, columns], chroma[:, rows.start // 2 : rows.stop // 2, columns.start // 2 : columns.stop // 2]
        if not tiny[q // 2, q % 2]:
            for k in range(96):
                out[np.concatenate([y.ravel(), uv.ravel()]), 4 * k + q] = bases.pictures[1][which, k]
            continue
        for s in range(4):
            part = y[4 * (s // 2) : 4 * (s // 2) + 4, 4 * (s % 2) : 4 * (s % 2) + 4]
            for k in range(16):
                out[part.ravel(), 4 * (6 * k + s) + q] = bases.pictures[2][which, k]
        for k in range(16):
            for j in range(2):
                out[uv.ravel(), 4 * (6 * k + 4 + j) + q] = bases.pictures[3][which, 2 * k + j]
    return out * scale


def transforms() -> list[tuple[bool, np.ndarray]]:
    fine = [(True, np.array([[n & 1, n >> 1 & 1], [n >> 2 & 1, n >> 3 & 1]], np.uint8)) for n in (0, 1, 2, 4, 8, 9, 15)]
    return [(False, np.zeros((2, 2), np.uint8)), *fine]


@pytest.mark.parametrize("which", range(CLASSES))
def test_synthesis_is_a_matrix_product(bases: BlockBases, which: int) -> None:
    random, out = np.random.default_rng(which), np.zeros(SAMPLES, np.int32)
    for fine, tiny in transforms():
        matrix = coefficient_matrix(bases, which, fine, tiny)
        for step, size, share in ((64, 3, 0.1), (1024, 4, 0.02), (200, 200, 0.02), (64, 60, 1.0), (1, 32767, 0.005)):
            symbols = random.integers(-size, size + 1, SAMPLES) * (random.random(SAMPLES) < share)
            exact = matrix @ (symbols * step).clip(-MAX_COEFFICIENT, MAX_COEFFICIENT)
            synthesise(symbols.astype(np.int16), step, int(fine), tiny, bases.pictures, which, out)
            assert np.array_equal(out, np.floor(exact + 0.5)), (fine, tiny, step)


def test_coefficients_beyond_the_limit_are_the_limit(bases: BlockBases) -> None:
    found, limit = np.zeros(SAMPLES, np.int32), np.zeros(SAMPLES, np.int32)
    tiny = np.zeros((2, 2), np.uint8)
    for symbol in (-32768, 32767):
        symbols = np.zeros(SAMPLES, np.int16)
        symbols[5] = symbol
        synthesise(symbols, 1024, 0, tiny, bases.pictures, 0, found)
        symbols[5] = MAX_COEFFICIENT // 1024 * np.sign(symbol)
        synthesise(symbols, 1024, 0, tiny, bases.pictures, 0, limit)
        assert np.array_equal(found, limit)


def test_the_largest_symbols_everywhere_do_no_harm(bases: BlockBases) -> None:
    """Hostile symbols may make sums wrap; planes stay what they are and every machine gets the same."""
    random = np.random.default_rng(0)
    planes = [np.full(shape, 128, np.uint8) for shape in ((16, 16), (8, 8), (8, 8))]
    first, again = np.zeros(SAMPLES, np.int32), np.zeros(SAMPLES, np.int32)
    for fine, tiny in transforms():
        symbols = random.choice([-32768, 32767], SAMPLES).astype(np.int16)
        synthesise(symbols, 1024, int(fine), tiny, bases.pictures, 3, first)
        synthesise(symbols, 1024, int(fine), tiny, bases.pictures, 3, again)
        assert np.array_equal(first, again)
        add_block(*planes, 0, 0, first)


def test_bases_are_orthonormal_within_rounding(bases: BlockBases) -> None:
    for kind, sides in enumerate(SIDES):
        n = sum(side * side for side in sides)
        for pictures, analysis in zip(bases.pictures[kind], bases.analysis[kind], strict=True):
            columns = pictures.astype(np.float64) * sample_weights(kind) / (1 << 14)
            assert np.allclose(columns, analysis, atol=1e-6)
            # each entry is rounded to half a unit of 2^-14, chroma's weighted by 1.6; errors add up at random
            assert np.abs(columns @ columns.T - np.eye(n)).max() < 6 * 1.7 * 2**-15 * 2
            assert np.abs(columns.T @ columns - np.eye(n)).max() < 6 * 1.7 * 2**-15 * 2


@pytest.mark.parametrize("which", range(CLASSES))
def test_analysis_and_synthesis_are_each_others_inverse(bases: BlockBases, which: int) -> None:
    """What the encoder measures with its own sample numbers comes back through the decoder's, to a sample value."""
    random, out = np.random.default_rng(which), np.zeros(SAMPLES, np.int32)
    sample = random.integers(-60, 61, SAMPLES)
    weighted = (sample * sample_weights(0)).astype(np.float32)
    for fine, tiny in transforms():
        coefficients = np.zeros(SAMPLES)
        if not fine:
            coefficients = bases.analysis[0][which] @ weighted
        for q in range(4 if fine else 0):
            if not tiny[q // 2, q % 2]:
                coefficients[4 * np.arange(96) + q] = bases.analysis[1][which] @ weighted[QUARTERS[q]]
                continue
            for s in range(4):
                coefficients[4 * (6 * np.arange(16) + s) + q] = bases.analysis[2][which] @ weighted[TINY[q, s]]
            k = np.arange(32)
            coefficients[4 * (6 * (k >> 1) + 4 + (k & 1)) + q] = bases.analysis[3][which] @ weighted[TINY_CHROMA[q]]
        synthesise(np.rint(coefficients * 16).astype(np.int16), 1, int(fine), tiny, bases.pictures, which, out)
        assert np.abs(out - sample).max() <= 1


def test_residuals_are_gathered_and_added_in_the_same_order(weights: Weights) -> None:
    random = np.random.default_rng(3)
    shapes = ((48, 32), (24, 16), (24, 16))
    picture = [random.integers(0, 256, shape).astype(np.uint8) for shape in shapes]
    predicted = [random.integers(0, 256, shape).astype(np.uint8) for shape in shapes]
    blocks = np.array([(r, c) for r in range(3) for c in range(2)])
    residuals = np.zeros((6, SAMPLES), np.float32)
    gather_residuals(*picture, *predicted, blocks, residuals)
    for (r, c), residual in zip(blocks, residuals, strict=True):
        add_block(*predicted, r, c, residual.astype(np.int32))
    assert all(np.array_equal(a, b) for a, b in zip(predicted, picture, strict=True))


def test_only_coded_inter_blocks_change_and_in_the_inter_class(weights: Weights) -> None:
    random = np.random.default_rng(4)
    shapes = ((48, 48), (24, 24), (24, 24))
    planes = [random.integers(60, 190, shape).astype(np.uint8) for shape in shapes]
    pred, coded, fine = (random.integers(0, high, (3, 3)).astype(np.uint8) for high in (4, 2, 2))
    pred[0, 0], coded[0, 0], pred[1, 1], coded[1, 1] = 0, 1, 3, 1
    tiny = random.integers(0, 2, (6, 6)).astype(np.uint8)
    symbols = random.integers(-3, 4, (3, 3, SAMPLES)).astype(np.int16)
    found, wanted = [plane.copy() for plane in planes], [plane.copy() for plane in planes]
    for rows in ((0, 1), (1, 3)):
        add_inter_residuals(*found, pred, coded, fine, tiny, symbols, 100, weights.bases.pictures, *rows)
    out = np.zeros(SAMPLES, np.int32)
    for r in range(3):
        for c in range(3):
            if pred[r, c] and coded[r, c]:
                quarters = tiny[2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
                synthesise(symbols[r, c], 100, fine[r, c], quarters, weights.bases.pictures, 0, out)
                y, u, v = (part.reshape(n, n) for part, n in zip(np.split(out, [256, 320]), (16, 8, 8), strict=True))
                for plane, part, n in zip(wanted, (y, u, v), (16, 8, 8), strict=True):
                    at = np.s_[n * r : n * r + n, n * c : n * c + n]
                    plane[at] = (plane[at].astype(int) + part).clip(0, 255)
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(found, planes, strict=True))


@pytest.mark.parametrize("price", [0.01, 0.1155, 1.0])
def test_every_symbol_is_the_best_of_those_considered(weights: Weights, price: float) -> None:
    """0, the nearest magnitude and the one below it."""
    random = np.random.default_rng(5)
    tables = [weights.bases.rates[0][0], random.random((RATE_CLASSES, SAMPLES, 3)).astype(np.float32) * 9]
    for spread in (0.2, 0.7, 3.0, 40.0):
        for rates in tables:
            coefficients = (random.normal(size=SAMPLES) * spread).astype(np.float32)
            symbols = np.full(SAMPLES, 99, np.int16)
            cost = quantise(coefficients, rates, np.float32(price), symbols)
            used = rates[rate_class(int((np.abs(coefficients) > 0.6).sum()))].astype(np.float64)
            total = 0.0
            for value, symbol, (zero, one, more) in zip(coefficients, symbols, used, strict=True):
                size = abs(float(value))

                def price_of(
                    q: int, size: float = size, zero: float = zero, one: float = one, more: float = more
                ) -> float:
                    bits = zero if q == 0 else one if q == 1 else more + 2 * np.log2(q - 1)
                    return (size - q) ** 2 + price * bits

                near = int(size + 0.5)
                options = {0, *(q for q in (near - 1, near) if q > 0)}
                if size > 0.4:
                    assert abs(symbol) in options
                else:
                    options = {0}
                best = min(price_of(q) for q in options)
                assert price_of(abs(int(symbol))) <= best + 1e-4 * max(1, best)
                assert symbol == 0 or (symbol > 0) == (value > 0)
                total += best
            assert cost == pytest.approx(total, rel=1e-3)


def test_a_higher_price_gives_fewer_symbols(weights: Weights) -> None:
    coefficients = np.random.default_rng(6).normal(size=SAMPLES).astype(np.float32)
    counts = []
    for price in (0.0, 0.05, 0.1155, 0.3, 1.0, 100.0):
        symbols = np.zeros(SAMPLES, np.int16)
        quantise(coefficients, weights.bases.rates[0][0], np.float32(price), symbols)
        counts.append(int(np.abs(symbols).sum()))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == np.abs(np.rint(coefficients)).sum()


def test_energies_are_classes_of_counts() -> None:
    ends = (1, 2, 4, 8, 16, 32, 80, 384)  # the most symbols of each class
    counts = np.arange(SAMPLES + 1)
    wanted = np.searchsorted(ends, counts)
    assert [rate_class(int(n)) for n in counts] == wanted.tolist()
    assert len(ends) == RATE_CLASSES
    symbols = np.zeros((1, SAMPLES + 1, SAMPLES), np.int16)
    for n in counts:
        symbols[0, n, np.random.default_rng(n).permutation(SAMPLES)[:n]] = -7
    coded = np.ones((1, SAMPLES + 1), np.uint8)
    coded[0, ::5] = 0
    out = np.full(coded.shape, 9, np.uint8)
    energies(coded, symbols, out)
    assert np.array_equal(out[0], wanted * coded[0])
