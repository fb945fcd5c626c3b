# SPDX-License-Identifier: Apache-2.0
"""Residuals of a frame as planes, against those of its blocks one by one."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.conditional.restoration import what_was_coded
from nvcodec.models.conditional.threads import INLINE
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.kernels.residual import SAMPLES, add_inter_residuals, synthesise, synthesise_large
from nvcodec.models.kernels.syntax import WHOLE
from nvcodec.models.quality import CHROMA_SCALES

ROWS, COLUMNS, CHROMA = 5, 4, 3


def random_frame(seed: int, intra: bool) -> tuple[Blocks, np.ndarray, np.ndarray]:
    """Decisions, symbols and steps."""
    random, blocks = np.random.default_rng(seed), Blocks(ROWS, COLUMNS)
    blocks.pred[:] = 0 if intra else random.integers(1, 4, blocks.pred.shape)
    blocks.coded[:] = random.random(blocks.coded.shape) < 0.7
    blocks.fine[:] = random.random(blocks.fine.shape) < 0.5
    blocks.tiny[:] = (random.random(blocks.tiny.shape) < 0.5) & blocks.fine.repeat(2, 0).repeat(2, 1).astype(bool)
    blocks.modes[:] = random.integers(0, 35, blocks.modes.shape) if intra else 1
    blocks.large[:2, 2:], blocks.coded[:2, 2:], blocks.fine[:2, 2:], blocks.tiny[:4, 4:] = WHOLE, 1, 0, 0
    blocks.finer[:] = random.integers(0, 9, blocks.finer.shape)
    symbols = random.integers(-3, 4, (ROWS, COLUMNS, SAMPLES)) * (random.random((ROWS, COLUMNS, SAMPLES)) < 0.1)
    return blocks, symbols.astype(np.int16), random.integers(40, 200, (ROWS, COLUMNS)).astype(np.int32)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("intra", [True, False])
def test_they_are_the_blocks_residuals(weights: Weights, seed: int, intra: bool) -> None:
    blocks, symbols, steps = random_frame(seed, intra)
    coded = what_was_coded(blocks, symbols, steps, CHROMA, weights.bases, INLINE)
    y, u, v = (np.zeros_like(plane) for plane in coded.planes)
    scale, pictures = CHROMA_SCALES[CHROMA], weights.bases.pictures
    for r, c in np.argwhere(blocks.coded):
        if blocks.large[r, c] == WHOLE:
            if r % 2 == 0 and c % 2 == 0:
                unit = np.zeros((3, 32, 32), np.int32)
                mode = blocks.modes[4 * r, 4 * c]
                synthesise_large(symbols[r, c], steps[r, c], scale, not intra, mode, pictures, unit)
                y[16 * r : 16 * r + 32, 16 * c : 16 * c + 32] = unit[0]
                u[8 * r : 8 * r + 16, 8 * c : 8 * c + 16] = unit[1, :16, :16]
                v[8 * r : 8 * r + 16, 8 * c : 8 * c + 16] = unit[2, :16, :16]
            continue
        out, tiny = np.zeros(SAMPLES, np.int32), blocks.tiny[2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
        modes = blocks.modes[4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
        synthesise(symbols[r, c], steps[r, c], scale, not intra, blocks.fine[r, c], tiny, modes, pictures, out)
        y[16 * r : 16 * r + 16, 16 * c : 16 * c + 16] = out[:256].reshape(16, 16)
        u[8 * r : 8 * r + 8, 8 * c : 8 * c + 8] = out[256:320].reshape(8, 8)
        v[8 * r : 8 * r + 8, 8 * c : 8 * c + 8] = out[320:].reshape(8, 8)
    assert np.abs(y).max() > 50
    assert all(np.array_equal(a, b) for a, b in zip(coded.planes, (y, u, v), strict=True))
    assert coded.planes[0].dtype == np.int16
    assert np.array_equal(coded.finer, blocks.finer)
    assert np.array_equal(coded.pred, blocks.pred)


def test_they_are_what_is_added_to_predictions(weights: Weights) -> None:
    blocks, symbols, steps = random_frame(7, False)
    symbols = np.sign(symbols).astype(np.int16)
    coded = what_was_coded(blocks, symbols, steps, CHROMA, weights.bases, INLINE)
    planes = tuple(np.full(plane.shape, 512, np.uint16) for plane in coded.planes)
    add_inter_residuals(
        *planes, blocks.pred, blocks.coded, blocks.fine, blocks.tiny, blocks.large, symbols, steps,
        CHROMA_SCALES[CHROMA], weights.bases.pictures, 0, ROWS,
    )  # fmt: skip
    for plane, residual in zip(planes, coded.planes, strict=True):
        assert np.array_equal(plane, (residual.astype(int) + 512).clip(0, 1023))
