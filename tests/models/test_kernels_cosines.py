# SPDX-License-Identifier: Apache-2.0
"""Cosines in the place of learned transforms, against products with their columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nvcodec.models.kernels.cosines import (
    ORDERS,
    block_cosines,
    cosines_4,
    cosines_8,
    cosines_16,
    in_order,
    large_chroma_cosines,
    large_cosines,
    quarter_cosines,
)
from nvcodec.models.kernels.inter import QUARTERS
from nvcodec.models.transform import SIDES, cosine_rows, dct_columns, frequency_order

SAMPLES, QUARTER = 384, 96


def near(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max()))


def test_orders_are_those_of_frequencies() -> None:
    assert len(ORDERS) == len(SIDES)
    for transform, sides in enumerate(SIDES):
        places = [(c, a, b) for c, n in enumerate(sides) for a in range(n) for b in range(n)]
        assert [places[k] for k in ORDERS[transform]] == frequency_order(transform)


@pytest.mark.parametrize(
    ("n", "kept", "transform", "nearness"),
    [
        (4, 4, cosines_4, 1e-5),
        (8, 8, cosines_8, 1e-5),
        (16, 16, cosines_16, 1e-5),
        (32, 16, large_cosines, 4e-3),  # in whole 1024ths
        (16, 8, large_chroma_cosines, 4e-3),
    ],
)
def test_a_square_among_others(n: int, kept: int, transform: Callable[..., None], nearness: float) -> None:
    """Wherever it begins and however far its rows are apart; nothing else is written."""
    random = np.random.default_rng(n)
    samples = random.normal(0, 9, 1100).astype(np.float32)
    for first, stride, at in ((0, n, 0), (3, n, 100), (5, n + 2, 128)):
        out = np.full(SAMPLES, -1e9, np.float32)
        square = np.stack([samples[first + stride * i :][:n] for i in range(n)]).astype(float)
        transform(samples, first, stride, out, at)
        wanted = (cosine_rows(n) @ square @ cosine_rows(n).T)[:kept, :kept].ravel()
        assert np.abs(out[at : at + kept * kept] - wanted).max() < nearness * np.abs(wanted).max()
        assert (np.delete(out, np.s_[at : at + kept * kept]) == -1e9).all()


@pytest.mark.parametrize("scale", [1.0, 0.37])
def test_coefficients_are_products_with_columns(scale: float) -> None:
    """Of a block, and of its quarters where they lie in it and on their own."""
    random = np.random.default_rng(1)
    for spread in (1, 60):
        samples, out = random.normal(0, spread, SAMPLES).astype(np.float32), np.zeros(SAMPLES, np.float32)
        block_cosines(samples, np.float32(scale), out)
        assert near(out, scale * (samples.astype(float) @ dct_columns(0)))
        for q in range(4):
            i, j = q >> 1, q & 1
            quarter, wanted = samples[QUARTERS[q]], scale * (samples[QUARTERS[q]].astype(float) @ dct_columns(1))
            within, alone = np.zeros(QUARTER, np.float32), np.zeros(QUARTER, np.float32)
            luma, chroma = 128 * i + 8 * j, 256 + 32 * i + 4 * j
            quarter_cosines(samples, luma, 16, chroma, 8, 64, np.float32(scale), within)
            quarter_cosines(quarter, 0, 8, 64, 4, 16, np.float32(scale), alone)
            assert near(within, wanted)
            assert near(alone, wanted)
            some = np.zeros(32, np.float32)
            for plane in range(2):
                cosines_4(samples, chroma + 64 * plane, 8, some, 16 * plane)
            in_order(some, ORDERS[3], np.float32(scale), alone)
            assert near(alone[:32], scale * (quarter[64:].astype(float) @ dct_columns(3)))
