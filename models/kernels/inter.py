# SPDX-License-Identifier: Apache-2.0
"""The encoder's choice of transforms and symbols of inter blocks, without hidden signs (see `refine`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nvcodec.compiled import compiled, scratch, zeroed
from nvcodec.models.depth import STEP_SCALE
from nvcodec.models.kernels.analysis import GROUP, analyse
from nvcodec.models.kernels.compensation import predict_block
from nvcodec.models.kernels.cosines import ORDERS, block_cosines, cosines_4, in_order, quarter_cosines
from nvcodec.models.kernels.frame_intra import unit_cosines
from nvcodec.models.kernels.motion import fill
from nvcodec.models.kernels.residual import any_symbol, quantise, squares
from nvcodec.models.kernels.syntax import SHARED, WHOLE
from nvcodec.vectors import as_float32, as_int32, load, spread, store, sum_of

# bits of what is said of a block, or unit, with latents (coded, which transform, energy), and of each quarter of a fine
# one
CODED_BITS, TINY_BITS = np.float32(3.5), np.float32(0.9)
NOTHING_BITS, MERGED_NOTHING_BITS = np.float32(1), np.float32(0.5)  # of one without
LEAST_BITS = np.float32(4)  # of a block with latents
SURELY_NOTHING_BITS = np.float32(2)  # of a prediction whose error costs no more: none is tried
ROUGHLY = np.float32(1.1)  # what is learned costs at least so much less than cosines


def _sample_numbers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which samples of a block make up its quarters (4, 96), their 4x4 luma squares (4, 4, 16) and chroma (4, 32)."""
    luma, chroma = np.arange(256).reshape(16, 16), 256 + np.arange(128).reshape(2, 8, 8)
    quarters, tiny, tiny_chroma = [], [], []
    for q in range(4):
        y = luma[8 * (q >> 1) :, 8 * (q & 1) :][:8, :8]
        uv = chroma[:, 4 * (q >> 1) :, 4 * (q & 1) :][:, :4, :4].ravel()
        quarters.append(np.concatenate([y.ravel(), uv]))
        tiny.append(np.stack([y[4 * (s >> 1) :, 4 * (s & 1) :][:4, :4].ravel() for s in range(4)]))
        tiny_chroma.append(uv)
    return np.stack(quarters), np.stack(tiny), np.stack(tiny_chroma)


QUARTERS, TINY, TINY_CHROMA = _sample_numbers()


def _less(size: int) -> Callable[..., Any]:
    """What a plane leaves of a square of another, scaled, row by row into out[at ...]; returns the sum of squares."""

    @compiled
    def less(plane, other, top, left, scale, out, at):  # type: ignore[no-untyped-def]
        errors = spread(np.float32(0), size)
        for i in range(size):
            row = as_int32(load(plane, (top + i, left), size)) - as_int32(load(other, (top + i, left), size))
            scaled = as_float32(row) * scale
            store(out, at + size * i, scaled)
            errors = errors + scaled * scaled
        return sum_of(errors)

    return less


_less_16, _less_8 = _less(16), _less(8)


@compiled
def _differences(picture, planes, r, c, inverse, weight, out):
    """What planes leave of a block of the picture, (384,) in steps, chroma weighted; returns its squared error."""
    error = _less_16(picture[0], planes[0], 16 * r, 16 * c, inverse, out, 0)
    error += _less_8(picture[1], planes[1], 8 * r, 8 * c, np.float32(inverse * weight), out, 256)
    return error + _less_8(picture[2], planes[2], 8 * r, 8 * c, np.float32(inverse * weight), out, 320)


@compiled
def _rough_costs(samples, rates, price, with_tiny, coarse_symbols, choice):
    """What a block costs with the coarse transform and with the fine ones (or more than with the coarse one), by
    cosines in their place. (What is learned is near to them, and no sum of few products.) with_tiny: tiny transforms,
    too; coarse_symbols: (384,) int16; choice: (4,) quarters that are tiny."""
    coarse, fine, part = scratch(384, np.float32), scratch(96, np.float32), scratch(96, np.int16)
    block_cosines(samples, np.float32(1), coarse)
    cost = quantise(coarse, rates[0][0], price, coarse_symbols) + price * CODED_BITS
    other = price * (CODED_BITS + 4 * TINY_BITS)
    for q in range(4):
        if other >= cost:
            break
        i, j = q >> 1, q & 1
        luma, chroma = 128 * i + 8 * j, 256 + 32 * i + 4 * j
        quarter_cosines(samples, luma, 16, chroma, 8, 64, np.float32(1), fine)
        whole = quantise(fine, rates[1][0], price, part)
        choice[q] = 0
        if with_tiny:
            tiny = _rough_tiny_cost(samples, luma, chroma, rates, price)
            if tiny < whole:
                choice[q], whole = 1, tiny
        other += whole
    return cost, other


@compiled
def _rough_tiny_cost(samples, luma, chroma, rates, price):
    """The same of the tiny transforms of a quarter whose samples begin there."""
    some, squares = scratch(32, np.float32), scratch(32, np.float32)
    symbols, total = scratch(32, np.int16), np.float32(0)
    for square in range(4):
        cosines_4(samples, luma + 64 * (square >> 1) + 4 * (square & 1), 16, some, 0)
        in_order(some, ORDERS[2], np.float32(1), squares)
        total += quantise(squares[:16], rates[2][0], price, symbols)
    for plane in range(2):
        cosines_4(samples, chroma + 64 * plane, 8, some, 16 * plane)
    in_order(some, ORDERS[3], np.float32(1), squares)
    return total + quantise(squares, rates[3][0], price, symbols)


@compiled
def _settle_coarse(samples, error, analysis, rates, price, symbols, coefficients):
    """Cost of a block with the coarse transform. symbols: (384,), by cosines; they say how many of the learned
    coefficients (384,) are reckoned, and are overwritten."""
    last = len(symbols)
    while last > 0 and symbols[last - 1] == 0:
        last -= 1
    count = min(last + (last >> 2) + 16, len(symbols)) // GROUP * GROUP
    for k in range(count, len(symbols)):
        coefficients[k] = 0
    kept = analyse(analysis, samples, np.float32(1), count, coefficients)
    return quantise(coefficients, rates, price, symbols) + max(error - kept, np.float32(0)) + price * CODED_BITS


@compiled
def _settle_fine(samples, analysis, rates, price, choice, symbols, found):
    """Cost of a block with fine transforms, or tiny ones by choice (4,); symbols, found: (384,) latents and what they
    were chosen from."""
    some, coefficients, part = scratch(96, np.float32), scratch(96, np.float32), scratch(96, np.int16)
    cost = price * (CODED_BITS + 4 * TINY_BITS)
    for q in range(4):
        if not choice[q]:
            for k in range(96):
                some[k] = samples[QUARTERS[q, k]]
            analyse(analysis[1][0], some, np.float32(1), 96, coefficients)
            cost += quantise(coefficients, rates[1][0], price, part)
            for k in range(96):
                symbols[4 * k + q], found[4 * k + q] = part[k], coefficients[k]
            continue
        for square in range(4):
            for k in range(16):
                some[k] = samples[TINY[q, square, k]]
            analyse(analysis[2][0], some[:16], np.float32(1), 16, coefficients)
            cost += quantise(coefficients[:16], rates[2][0], price, part)
            for k in range(16):
                at = 4 * (6 * k + square) + q
                symbols[at], found[at] = part[k], coefficients[k]
        for k in range(32):
            some[k] = samples[TINY_CHROMA[q, k]]
        analyse(analysis[3][0], some[:32], np.float32(1), 32, coefficients)
        cost += quantise(coefficients[:32], rates[3][0], price, part)
        for k in range(32):
            at = 4 * (6 * (k >> 1) + 4 + (k & 1)) + q
            symbols[at], found[at] = part[k], coefficients[k]
    return cost


@compiled
def _nothing_cost(error, price, merged):
    """Of a block whose prediction is left as it is; error: squared steps."""
    return error + price * (MERGED_NOTHING_BITS if merged else NOTHING_BITS)


@compiled
def settle_inter(
    picture, planes, steps, weight, analysis, rates, price, pred, merged, coded, fine, tiny, symbols, coefficients,
    costs, begin, end,
):  # fmt: skip
    """Choose transforms and symbols of the inter blocks of rows begin..end-1, or none where that is cheaper.

    picture, planes: (y, u, v) of the picture and of predictions; steps: (R, C) sixteenths; weight: of chroma; analysis,
    rates: see `BlockBases` (rates: `summed_rates`); price: squared steps of a bit; pred, merged: (R, C); coded, fine:
    (R, C), tiny: (2R, 2C) uint8 results; symbols: (R, C, 384) int16, and coefficients, float32, of coded blocks, in
    steps; costs: (R, C) float32, error and price of bits. All results but coefficients are 0 to begin with.
    """
    samples, trial, choice = scratch(384, np.float32), scratch(384, np.int16), zeroed(4, np.uint8)
    for r in range(begin, end):
        for c in range(pred.shape[1]):
            if not pred[r, c]:
                continue
            error = _differences(picture, planes, r, c, np.float32(STEP_SCALE / steps[r, c]), weight, samples)
            costs[r, c] = error
            if error <= price * LEAST_BITS:  # where even nothing costs next to nothing, nothing it is
                continue
            cost, other = _rough_costs(samples, rates, price, True, trial, choice)
            is_fine = other < cost
            if is_fine:
                cost = _settle_fine(samples, analysis, rates, price, choice, trial, coefficients[r, c])
            else:
                cost = _settle_coarse(
                    samples, error, analysis[0][0], rates[0][0], price, trial, coefficients[r, c]
                )  # fmt: skip
            costs[r, c] = _nothing_cost(error, price, merged[r, c])
            if cost >= costs[r, c] or not any_symbol(trial):
                continue
            costs[r, c], coded[r, c], fine[r, c] = cost, 1, 1 if is_fine else 0
            for q in range(4):
                tiny[2 * r + (q >> 1), 2 * c + (q & 1)] = choice[q] if is_fine else 0
            for k in range(384):
                symbols[r, c, k] = trial[k]


@compiled
def settle_units(
    picture, planes, steps, weight, analysis, rates, price, costs, large, pred, coded, fine, tiny, symbols, kept
):  # fmt: skip
    """Transform units with one motion as a whole where that is cheaper than what `settle_inter` found; large: (R, C);
    kept: its coefficients; the rest as there."""
    cosines, coefficients, trial = scratch(384, np.float32), zeroed(384, np.float32), scratch(384, np.int16)
    for r in range(0, pred.shape[0] - 1, 2):
        for c in range(0, pred.shape[1] - 1, 2):
            if large[r, c] != SHARED or not pred[r, c]:
                continue
            separate = costs[r, c] + costs[r, c + 1] + costs[r + 1, c] + costs[r + 1, c + 1]
            if separate <= price * LEAST_BITS:
                continue
            if coded[r, c] or coded[r, c + 1] or coded[r + 1, c] or coded[r + 1, c + 1]:
                separate += price
            inverse = np.float32(STEP_SCALE / steps[r, c])
            total = unit_cosines(picture, planes, r, c, weight, cosines)
            lost = max(total - squares(cosines), np.float32(0)) * inverse * inverse + price * CODED_BITS
            if lost >= separate:
                continue
            in_order(cosines, ORDERS[4], inverse, coefficients)
            if quantise(coefficients, rates[4][0], price, trial) + lost >= separate * ROUGHLY:
                continue
            analyse(analysis[4][0], cosines, inverse, 384, coefficients)
            if quantise(coefficients, rates[4][0], price, trial) + lost >= separate or not any_symbol(trial):
                continue
            fill(coded, r, c, 2, 2, 1)
            fill(fine, r, c, 2, 2, 0)
            fill(large, r, c, 2, 2, WHOLE)
            fill(tiny, 2 * r, 2 * c, 4, 4, 0)
            for i in range(r, r + 2):
                for j in range(c, c + 2):
                    for k in range(384):
                        symbols[i, j, k] = 0
            for k in range(384):
                symbols[r, c, k], kept[r, c, k] = trial[k], coefficients[k]


@compiled
def exact_cost(picture, first, second, kinds, vectors, midway, r, c, step, weight, rates, price, planes):
    """The squared error of an inter block's prediction, and what it costs with latents and cosines for its coarse and
    fine transforms: both in squared steps, chroma included, without its decisions' bits (see `cheaper`).

    picture, planes: (y, u, v) of the picture and of predictions, which are overwritten here; first, second: reference
    planes with borders; kinds, vectors: motion; step: sixteenths; weight: of chroma; rates: `BlockBases.summed_rates`.
    """
    samples, trial, choice = scratch(384, np.float32), scratch(384, np.int16), zeroed(4, np.uint8)
    predict_block(first, second, kinds, vectors, midway, r, c, planes[0], planes[1], planes[2])
    error = _differences(picture, planes, r, c, np.float32(STEP_SCALE / step), weight, samples)
    if error < price * SURELY_NOTHING_BITS:
        return error, error + price
    cost, other = _rough_costs(samples, rates, price, False, trial, choice)
    return error, min(cost, other)


@compiled
def cheaper(error, coded_cost, price, merged):
    """Of a block without latents or with them."""
    return min(_nothing_cost(error, price, merged), coded_cost)
