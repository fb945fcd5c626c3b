# SPDX-License-Identifier: Apache-2.0
"""Cosines in the place of learned transforms, against products with their columns."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.kernels.cosines import (
    COSINES_4,
    COSINES_8,
    COSINES_16,
    ORDERS,
    block_cosines,
    cosine_square,
    in_order,
    quarter_cosines,
)
from nvcodec.models.kernels.inter import QUARTERS
from nvcodec.models.transform import SIDES, cosine_rows, dct_columns, frequency_order

SAMPLES, QUARTER = 384, 96


def room() -> tuple[np.ndarray, np.ndarray]:
    """Full of what must not matter."""
    return np.full((16, 16), 1e9, np.float32), np.full(SAMPLES, -1e9, np.float32)


def near(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max()))


def test_tables_are_orthonormal_cosines() -> None:
    for n, (rows, columns) in ((4, COSINES_4), (8, COSINES_8), (16, COSINES_16)):
        assert rows.dtype == columns.dtype == np.float32
        assert np.allclose(rows, cosine_rows(n), atol=1e-7)
        assert np.array_equal(columns, rows.T)
        assert np.allclose(rows @ columns, np.eye(n), atol=1e-6)


def test_orders_are_those_of_frequencies() -> None:
    assert len(ORDERS) == len(SIDES)
    for transform, sides in enumerate(SIDES):
        places = [(c, a, b) for c, n in enumerate(sides) for a in range(n) for b in range(n)]
        assert [places[k] for k in ORDERS[transform]] == frequency_order(transform)


@pytest.mark.parametrize(("n", "cosines"), [(4, COSINES_4), (8, COSINES_8), (16, COSINES_16)])
def test_a_square_among_others(n: int, cosines: np.ndarray) -> None:
    """Wherever it begins and however far its rows are apart; nothing else is written."""
    random = np.random.default_rng(n)
    samples = random.normal(0, 9, SAMPLES).astype(np.float32)
    for first, stride, at in ((0, n, 0), (3, n, 100), (5, 20, 128)):
        between, out = room()
        square = np.stack([samples[first + stride * i :][:n] for i in range(n)]).astype(float)
        cosine_square(samples, first, stride, cosines, between, out, at)
        wanted = cosine_rows(n) @ square @ cosine_rows(n).T
        assert near(out[at : at + n * n], wanted.ravel())
        assert (np.delete(out, np.s_[at : at + n * n]) == -1e9).all()


@pytest.mark.parametrize("scale", [1.0, 0.37])
def test_coefficients_are_products_with_columns(scale: float) -> None:
    """Of a block, and of its quarters where they lie in it and on their own."""
    random = np.random.default_rng(1)
    for spread in (1, 60):
        samples, out = random.normal(0, spread, SAMPLES).astype(np.float32), np.zeros(SAMPLES, np.float32)
        between, some = room()
        block_cosines(samples, np.float32(scale), between, some, out)
        assert near(out, scale * (samples.astype(float) @ dct_columns(0)))
        for q in range(4):
            i, j = q >> 1, q & 1
            quarter, wanted = samples[QUARTERS[q]], scale * (samples[QUARTERS[q]].astype(float) @ dct_columns(1))
            within, alone = np.zeros(QUARTER, np.float32), np.zeros(QUARTER, np.float32)
            luma, chroma = 128 * i + 8 * j, 256 + 32 * i + 4 * j
            quarter_cosines(samples, luma, 16, chroma, 8, 64, np.float32(scale), between, some, within)
            quarter_cosines(quarter, 0, 8, 64, 4, 16, np.float32(scale), between, some, alone)
            assert near(within, wanted)
            assert near(alone, wanted)
            # chroma is left behind as it is, for the tiny transforms
            in_order(some[64:], ORDERS[3], np.float32(scale), alone)
            assert near(alone[:32], scale * (quarter[64:].astype(float) @ dct_columns(3)))
