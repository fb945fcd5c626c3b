# SPDX-License-Identifier: Apache-2.0
"""The encoder's choice of transforms and symbols of inter blocks."""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, place
from nvcodec.models.kernels.compensation import predict_block
from nvcodec.models.kernels.cosines import block_cosines, quarter_cosines
from nvcodec.models.kernels.residual import STEP_SCALE, quantise
from nvcodec.models.kernels.syntax import WHOLE

# bits of what is said of a block, or unit, with latents (coded, which transform, energy), and of each quarter of a fine
# one
CODED_BITS, TINY_BITS = np.float32(3.5), np.float32(0.9)


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


@compiled
def _settle_block(coarse, fine, tiny, tiny_chroma, rates, price, trial, part, choice):
    """The cheapest transforms of one block; returns their cost and whether they are the fine ones.

    coarse (384,), fine (4, 96), tiny (4, 4, 16), tiny_chroma (4, 32): coefficients in steps; trial: (2, 384) int16,
    symbols of the coarse and of the fine transforms; part: (4, 96) int16, room; choice: (4,), quarters that are tiny.
    """
    cost = quantise(coarse, rates[0][0], price, trial[0]) + price * CODED_BITS
    other = price * (CODED_BITS + 4 * TINY_BITS)
    for q in range(4):
        quarter_cost, is_tiny = _settle_quarter(fine[q], tiny[q], tiny_chroma[q], rates, price, part)
        other += quarter_cost
        choice[q] = 1 if is_tiny else 0
        for k in range(96):
            trial[1, 4 * k + q] = part[choice[q], k]
    return min(cost, other), other < cost


@compiled
def _settle_quarter(fine, tiny, tiny_chroma, rates, price, part):
    """The cheaper transform of a quarter; returns its cost and whether it is the tiny one. part: (4, 96) int16, its
    first two rows the symbols of either."""
    luma, chroma = part[2, :16], part[3, :32]
    whole = quantise(fine, rates[1][0], price, part[0])
    parts = quantise(tiny_chroma, rates[3][0], price, chroma)
    for k in range(32):
        part[1, 6 * (k >> 1) + 4 + (k & 1)] = chroma[k]
    for square in range(4):
        parts += quantise(tiny[square], rates[2][0], price, luma)
        for k in range(16):
            part[1, 6 * k + square] = luma[k]
    return min(whole, parts), parts < whole


@compiled
def _nothing_cost(error, price, merged):
    """Of a block whose prediction is left as it is; error: squared steps."""
    return error + price * np.float32(0.5 if merged else 1.0)


@compiled
def _any(symbols):
    for k in range(len(symbols)):
        if symbols[k]:
            return 1
    return 0


@compiled
def settle_inter(samples, errors, rates, price, blocks, merged, coded, fine, tiny, symbols, costs):
    """Choose transforms and symbols of inter blocks, or none where that is cheaper.

    samples: weighted coefficients in steps: (N, 384) of the coarse transform, (N, 4, 96) of the fine, (N, 4, 4, 16) and
    (N, 4, 32) of the tiny one; errors: (N,) squared steps of the prediction's error; rates: see `BlockBases`; blocks:
    (N, 2); merged: (R, C); coded, fine: (R, C), tiny: (2R, 2C) uint8 results; symbols: (R, C, 384) int16; costs: (R, C)
    float32, error and price of bits.
    """
    trial, part, choice = np.zeros((2, 384), np.int16), np.zeros((4, 96), np.int16), np.zeros(4, np.uint8)
    for n in range(len(blocks)):
        r, c = blocks[n, 0], blocks[n, 1]
        cost, is_fine = _settle_block(
            samples[0][n], samples[1][n], samples[2][n], samples[3][n], rates, price, trial, part, choice
        )
        which = 1 if is_fine else 0
        nothing = _nothing_cost(errors[n], price, merged[r, c])
        is_coded = _any(trial[which]) if nothing > cost else 0
        coded[r, c] = is_coded
        costs[r, c] = cost if is_coded else nothing
        fine[r, c] = which if is_coded else 0
        for q in range(4):
            tiny[2 * r + (q >> 1), 2 * c + (q & 1)] = choice[q] if fine[r, c] else 0
        for k in range(384):
            symbols[r, c, k] = trial[which, k] if is_coded else 0


@compiled
def settle_units(
    coefficients, lost, costs, rates, price, units, large, coded, fine, tiny, symbols
):  # fmt: skip
    """Transform units with one motion as a whole where that is cheaper than what `settle_inter` found.

    coefficients: (N, 384) float32 of the large transform, in steps; lost: (N,) squared steps that it leaves out; costs:
    (R, C) of `settle_inter`; units: (N, 2) their first blocks.
    """
    trial = np.zeros(384, np.int16)
    for n in range(len(units)):
        r, c = units[n, 0], units[n, 1]
        separate, any_coded = price, 0
        for i in range(r, r + 2):
            for j in range(c, c + 2):
                separate += costs[i, j]
                any_coded |= coded[i, j]
        if not any_coded:
            separate -= price
        cost = quantise(coefficients[n], rates, price, trial) + lost[n] + price * CODED_BITS
        if cost >= separate:
            continue
        any_symbol = 0
        for k in range(384):
            if trial[k]:
                any_symbol = 1
        if not any_symbol:
            continue
        for i in range(r, r + 2):
            for j in range(c, c + 2):
                coded[i, j], fine[i, j], large[i, j] = 1, 0, WHOLE
                for k in range(384):
                    symbols[i, j, k] = 0
        for i in range(2 * r, 2 * r + 4):
            for j in range(2 * c, 2 * c + 4):
                tiny[i, j] = 0
        for k in range(384):
            symbols[r, c, k] = trial[k]


@compiled
def room_for_trial():
    """Arrays that `exact_cost` works in."""
    return (
        np.empty(384, np.float32), np.empty(384, np.float32), np.empty(96, np.float32), np.empty(384, np.float32),
        np.empty((16, 16), np.float32), np.zeros(384, np.int16), np.zeros(96, np.int16),
    )  # fmt: skip


@compiled
def exact_cost(
    picture, first, second, kinds, vectors, midway, r, c, merged, step, weight, rates, price, a, b, planes, room, moving
):  # fmt: skip
    """What an inter block costs with cosines for its coarse and fine transforms, squared steps, chroma included, but
    not its decisions' bits. (What is learned is near to them, and no sum of few products.)

    picture, planes: (y, u, v) of the picture and of predictions, which are overwritten here; first, second: reference
    planes with borders; kinds, vectors: motion; step: sixteenths; weight: of chroma; rates: see `BlockBases`; a, b:
    (16, 16) int32, room: of `room_for_trial`, and moving: of `room_for_flow`, to work in.
    """
    samples, coarse, fine, some, between, trial, part = room
    predict_block(first, second, kinds, vectors, midway, r, c, a, b, moving, planes[0], planes[1], planes[2])
    inverse, error = np.float32(STEP_SCALE / step), np.float32(0)
    for n in range(3):
        size = 16 if n == 0 else 8
        scale = inverse if n == 0 else inverse * weight
        at = 0 if n == 0 else 192 + 64 * n
        for i in range(size):
            for j in range(size):
                row, column = place(size * r + i), place(size * c + j)
                d = scale * np.float32(np.int32(picture[n][row, column]) - np.int32(planes[n][row, column]))
                samples[at + size * i + j] = d
                error += d * d
    nothing = _nothing_cost(error, price, merged)
    if nothing < price * 3:
        return nothing
    block_cosines(samples, np.float32(1), between, some, coarse)
    cost = quantise(coarse, rates[0][0], price, trial) + price * CODED_BITS
    other = price * (CODED_BITS + 4 * TINY_BITS)
    for q in range(4):
        if other >= cost:
            break
        i, j = q >> 1, q & 1
        luma, chroma = 128 * i + 8 * j, 256 + 32 * i + 4 * j
        quarter_cosines(samples, luma, 16, chroma, 8, 64, np.float32(1), between, some, fine)
        other += quantise(fine, rates[1][0], price, part)
    return min(cost, other, nothing)
