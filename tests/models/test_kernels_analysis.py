# SPDX-License-Identifier: Apache-2.0
"""Coefficients of residuals: products of whole numbers that come near to what they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.kernels.analysis import GROUP, analyse, analyse_again, analyse_first, arranged

SIZES = (384, 96, 32, 16)


def orthonormal(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A matrix, in units of 2^-14 too, as `analyse` reads it."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))
    return q, arranged(np.rint(q * (1 << 14)))


def precision(samples: np.ndarray) -> float:
    """What a coefficient may be off: samples and matrices are rounded."""
    return 2e-3 * float(np.sqrt((samples.astype(np.float64) ** 2).sum())) + 1e-5


def of(analysis: np.ndarray, samples: np.ndarray, factor: float, count: int) -> tuple[np.ndarray, float]:
    out = np.full(len(samples), np.nan, np.float32)
    return out, float(analyse(analysis, samples, np.float32(factor), count, out))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("size", [0.01, 1.0, 40.0, 3000.0])
def test_coefficients_are_products_with_a_matrix(n: int, size: float) -> None:
    """As many as are asked for; and the sum of their squares."""
    matrix, analysis = orthonormal(n)
    samples = np.random.default_rng(n).normal(0, size, n).astype(np.float32)
    for count in {GROUP, n // GROUP // 2 * GROUP or GROUP, n}:
        out, energy = of(analysis, samples, 0.5, count)
        wanted = 0.5 * matrix @ samples
        assert np.abs(out[:count] - wanted[:count]).max() < precision(samples)
        assert np.isnan(out[count:]).all()
        assert energy == pytest.approx((out[:count].astype(np.float64) ** 2).sum(), rel=1e-5)


@pytest.mark.parametrize("n", SIZES)
def test_nothing_has_no_coefficients(n: int) -> None:
    _, analysis = orthonormal(n)
    out, energy = of(analysis, np.zeros(n, np.float32), 1.0, n)
    assert not out.any()
    assert energy == 0


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_samples_there_are_fit(n: int, sign: int) -> None:
    """All in one coefficient, of which the sum is the largest, and all in one sample."""
    matrix, analysis = orthonormal(n)
    for k in (0, n - 1):
        picture = (sign * 1e5 * matrix[k]).astype(np.float32)
        out, _ = of(analysis, picture, 1.0, n)
        assert np.abs(out - sign * 1e5 * np.eye(n)[k]).max() < precision(picture)
        alone = np.zeros(n, np.float32)
        alone[k] = sign * 1e5
        out, _ = of(analysis, alone, 1.0, n)
        assert np.abs(out - matrix @ alone).max() < precision(alone)


@pytest.mark.parametrize("n", [384, 96])
@pytest.mark.parametrize("times", [0.0, 0.3, 1.0, 1.9, 2.1, 50.0])
def test_what_luma_adds_is_known_when_chroma_changes(n: int, times: float) -> None:
    """Also where the new chroma is too large for what the old one was scaled with."""
    matrix, analysis = orthonormal(n, 1)
    random, luma = np.random.default_rng(5), n * 2 // 3
    samples = random.normal(0, 20, n).astype(np.float32)
    sums, out = np.full(n, 7, np.int32), np.zeros(n, np.float32)
    scale = analyse_first(analysis, samples, luma, np.float32(2), sums, out)
    assert np.array_equal(out, of(analysis, samples, 2.0, n)[0])
    kept = sums.copy()
    other = samples.copy()
    other[luma:] = times * np.sqrt(3) * random.normal(0, 20, n - luma)
    analyse_again(analysis, other, luma, np.float32(2), scale, sums, out)
    assert np.abs(out - 2 * matrix @ other).max() < 2 * precision(other)
    assert np.array_equal(sums, kept)
