# SPDX-License-Identifier: Apache-2.0
"""Sparse transforms: orthonormal, near the cosines they come from, and with fewer coefficients where residuals have a
direction."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.training.sparse import LEAST_ENERGY, THRESHOLD, sparse_columns
from nvcodec.models.transform import dct_columns

FINE, TINY = 1, 2  # the transforms of 8x8 blocks with their chroma, and of 4x4 squares


def edges(count: int, seed: int, side: int = 4) -> np.ndarray:
    """(N, side^2) residuals in steps: edges along one direction, anywhere, and a little noise."""
    random = np.random.default_rng(seed)
    y, x = np.indices((side, side))
    places = random.uniform(0, 1.4 * (side - 1), (count, 1, 1))
    rows = random.laplace(0, 3, (count, 1, 1)) * np.tanh(2 * (0.8 * x + 0.6 * y - places))
    rows += random.normal(0, 0.15, rows.shape)
    return (rows - rows.mean((1, 2), keepdims=True)).reshape(count, side * side)


def with_chroma(luma: np.ndarray) -> np.ndarray:
    """(N, 96), of chroma nothing."""
    return np.concatenate([luma, np.zeros((len(luma), 32))], 1)


def worth_coding(rows: np.ndarray, columns: np.ndarray) -> int:
    return int((np.abs(rows @ columns) > THRESHOLD).sum())


def lost(rows: np.ndarray, columns: np.ndarray) -> float:
    """Squared steps of what is not worth coding."""
    coefficients = rows @ columns
    return float((coefficients**2)[np.abs(coefficients) <= THRESHOLD].sum())


@pytest.mark.parametrize("seed", range(3))
def test_columns_are_orthonormal_and_leave_fewer_coefficients_than_cosines(seed: int) -> None:
    """Of residuals that they were not learned from."""
    cosines = dct_columns(FINE)
    columns = sparse_columns(with_chroma(edges(12_000, seed, 8)).astype(np.float16), cosines)
    assert columns.dtype == np.float64
    assert np.abs(columns.T @ columns - np.eye(96)).max() < 1e-5
    others = with_chroma(edges(3000, 100 + seed, 8))
    assert worth_coding(others, columns) < 0.9 * worth_coding(others, cosines)
    assert lost(others, columns) < 0.9 * lost(others, cosines)
    # what there was no evidence for is as it was
    assert np.allclose(columns[:64, (cosines[64:] != 0).any(0)], 0, atol=1e-5)


@pytest.mark.parametrize("transform", [1, 2, 3])
def test_columns_of_residuals_without_pattern_stay_orthonormal(transform: int) -> None:
    cosines = dct_columns(transform)
    rows = np.random.default_rng(0).normal(0, 3, (500, len(cosines)))
    columns = sparse_columns(rows, cosines)
    assert np.abs(columns.T @ columns - np.eye(len(cosines))).max() < 1e-5


def test_a_rotation_is_found() -> None:
    """Of residuals that another orthonormal transform, not far from the cosines, makes of single coefficients."""
    random, cosines = np.random.default_rng(1), dct_columns(TINY)
    turn, _ = np.linalg.qr(np.eye(16) + 0.07 * random.normal(size=(16, 16)))
    hidden = cosines @ (turn * np.sign(np.diag(turn)))
    single = np.eye(16)[random.integers(0, 16, 20_000)] * random.choice([-3, 3], (20_000, 1))
    columns = sparse_columns(single @ hidden.T, cosines)
    assert (np.abs((columns * hidden).sum(0)) > 0.99).all()  # each near the one there
    assert (np.abs((cosines * hidden).sum(0)) < 0.97).any()


def test_little_evidence_keeps_the_cosines() -> None:
    cosines = dct_columns(TINY)
    for rows in (np.zeros((0, 16)), np.zeros((50, 16)), edges(3, 0) / 3):
        assert np.abs(sparse_columns(rows, cosines) - cosines).max() < 0.05


def test_what_says_nothing_and_what_is_no_number_does_not_matter() -> None:
    cosines, rows = dct_columns(TINY), edges(3000, 2)
    rows = rows[(rows**2).sum(1) > 2 * LEAST_ENERGY]
    faint = np.random.default_rng(3).normal(0, 0.02, (3000, 16))
    odd = np.full((3, 16), np.inf)
    odd[1, 1:], odd[2] = 0, np.nan
    with_them = np.concatenate([faint, rows, odd]).astype(np.float16)
    expected = sparse_columns(rows.astype(np.float16), cosines)
    assert np.allclose(sparse_columns(with_them, cosines), expected, atol=1e-6)
