# SPDX-License-Identifier: Apache-2.0
"""The intra blocks of a frame, one after the other: prediction from reconstructed neighbours plus residual, and the
encoder's search for modes and symbols on the same path."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nvcodec.compiled import compiled, place, scratch, zeroed
from nvcodec.models.depth import LARGEST, STEP_SCALE
from nvcodec.models.kernels.cosines import (
    ORDERS,
    block_cosines,
    in_order,
    large_chroma_cosines,
    large_cosines,
    quarter_cosines,
)
from nvcodec.models.kernels.cross_component import predict_from_luma
from nvcodec.models.kernels.intra import MODES, border, predict, predict_luma_from, smooth, wants_smooth
from nvcodec.models.kernels.residual import (
    FINE_SAMPLES,
    LUMA_SAMPLES,
    SAMPLES,
    TINY,
    TINY_CHROMA,
    add_square,
    analyse,
    any_symbol,
    quantise,
    squares,
    synthesise,
    synthesise_large,
    transform_class,
)
from nvcodec.models.kernels.rough_cost import differences, hadamard_cost, tiny_cost
from nvcodec.models.kernels.syntax import WHOLE, begins_unit, block_at, block_of_row, likely_modes
from nvcodec.models.transform import CLASSES

FIRST_ANGLE, ALL_MODES = 2, 8  # the first mode with a direction; so many wanted, and all are looked at
# Bits as the search reckons them. The rarer a choice, the more it is to cost beyond what it takes: of many that are
# alike the one that seems best seems better than it is.
FIRST_MODE_BITS, LIKELY_MODE_BITS, MODE_BITS = np.float32(1.2), np.float32(3.2), np.float32(8.5)
# of what is said of a block, or unit (coded, which transform, energy), of a fine one, and of each of its quarters
BLOCK_BITS, FINE_BITS, TINY_BITS = np.float32(3.3), np.float32(4.5), np.float32(1.2)
FOUR_BITS = np.float32(1)  # more of a quarter in four 4x4 squares
LINK_BITS = np.float32(1.5)  # how many more it costs that chroma is predicted from luma than that it is not


@compiled
def paste(plane, top, left, size, block):
    """Copy a square block into a plane. (Loops compile many times faster than slices, here and below.)"""
    for i in range(size):
        for j in range(size):
            plane[place(top + i), place(left + j)] = block[i, j]


@compiled
def mark(squares, row, column, units, value):
    """Set a square of a map of 4x4 units."""
    for i in range(row, row + units):
        for j in range(column, column + units):
            squares[i, j] = value


@compiled
def copy(values, out):
    """Copy one row into another."""
    for i in range(len(out)):
        out[i] = values[i]


@compiled
def predict_luma(y, ready, row, column, units, mode):
    """Write the prediction of a square of 4x4 units into the luma plane."""
    size, borders, out = 4 * units, scratch((2, 129), np.int32), scratch((32, 32), np.int32)
    border(y, ready, 4, row, column, units, borders[0])
    if wants_smooth(mode, size):
        smooth(borders[0], size, borders[1])
    predict_luma_from(borders, size, mode, out)
    paste(y, 4 * row, 4 * column, size, out)


@compiled
def predict_chroma(plane, ready, row, column, units, mode):
    """Write the prediction of the chroma of a square of 4x4 luma units into a chroma plane."""
    size, samples, out = 2 * units, scratch(65, np.int32), scratch((32, 32), np.int32)
    border(plane, ready, 2, row, column, units, samples)
    predict(samples, size, mode, True, out)
    paste(plane, 2 * row, 2 * column, size, out)


@compiled
def _add_luma(y, row, column, units, residual):
    """Add the luma of a block's residual (384,) within a square of it."""
    low, high = np.int32(0), np.int32(LARGEST)
    first = 16 * (4 * row & 15) + (4 * column & 15)
    for i in range(4 * units):
        for j in range(4 * units):
            r, c = place(4 * row + i), place(4 * column + j)
            y[r, c] = min(max(np.int32(np.int32(y[r, c]) + residual[place(first + 16 * i + j)]), low), high)


@compiled
def _add_chroma(plane, row, column, units, residual, first):
    low, high = np.int32(0), np.int32(LARGEST)
    first += 8 * (2 * row & 7) + (2 * column & 7)
    for i in range(2 * units):
        for j in range(2 * units):
            r, c = place(2 * row + i), place(2 * column + j)
            plane[r, c] = min(max(np.int32(np.int32(plane[r, c]) + residual[place(first + 8 * i + j)]), low), high)


@compiled
def _predict_chroma_of(y, u, v, ready, row, column, units, mode, linked):
    """Write the prediction of the chroma of a square of 4x4 units whose luma is reconstructed; linked: from that."""
    if linked:
        predict_from_luma(y, u, v, ready, row, column, units)
    else:
        predict_chroma(u, ready, row, column, units, mode)
        predict_chroma(v, ready, row, column, units, mode)


@compiled
def rebuild_square(y, u, v, ready, row, column, units, tiny, modes, linked, coded, residual):
    """Predict a square (a whole block or a quarter), add its residual and mark it ready; linked: chroma from luma."""
    mode = modes[row, column]
    for part in range(4 if tiny else 1):
        i, j, size = (row + (part >> 1), column + (part & 1), 1) if tiny else (row, column, units)
        predict_luma(y, ready, i, j, size, modes[i, j])
        if coded:
            _add_luma(y, i, j, size, residual)
        mark(ready, i, j, size, 1)
    if tiny:
        mark(ready, row, column, units, 0)
    _predict_chroma_of(y, u, v, ready, row, column, units, mode, linked)
    if coded:
        _add_chroma(u, row, column, units, residual, 256)
        _add_chroma(v, row, column, units, residual, 320)
    mark(ready, row, column, units, 1)


def ready_map(pred: np.ndarray) -> np.ndarray:
    """Which 4x4 squares, (4R, 4C) uint8, are reconstructed before the intra blocks: those of inter blocks."""
    return (pred > 0).astype(np.uint8).repeat(4, 0).repeat(4, 1)


@compiled
def rebuild_intra(
    y, u, v, ready, pred, coded, fine, tiny, large, modes, from_luma, symbols, steps, scale, bases
):  # fmt: skip
    """Reconstruct all intra blocks of a frame in coding order, in place; ready: `ready_map`, overwritten."""
    residual, unit = scratch(SAMPLES, np.int32), scratch((3, 32, 32), np.int32)
    for number in range(pred.size):
        r, c = block_at(number, *pred.shape)
        if pred[r, c]:
            continue
        if large[r, c] == WHOLE:
            if r % 2 == 0 and c % 2 == 0:
                if coded[r, c]:
                    mode = modes[4 * r, 4 * c]
                    synthesise_large(symbols[r, c], steps[r, c], scale, False, mode, bases, unit)
                rebuild_unit(y, u, v, ready, r, c, modes, from_luma[2 * r, 2 * c], coded[r, c], unit)
            continue
        if coded[r, c]:
            quarters, squares = tiny[2 * r : 2 * r + 2, 2 * c : 2 * c + 2], modes[4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
            synthesise(symbols[r, c], steps[r, c], scale, False, fine[r, c], quarters, squares, bases, residual)
        if not fine[r, c]:
            rebuild_square(y, u, v, ready, 4 * r, 4 * c, 4, 0, modes, from_luma[2 * r, 2 * c], coded[r, c], residual)
            continue
        for q in range(4):
            i, j = 2 * r + (q >> 1), 2 * c + (q & 1)
            rebuild_square(y, u, v, ready, 2 * i, 2 * j, 2, tiny[i, j], modes, from_luma[i, j], coded[r, c], residual)


@compiled
def _predict_all(y, u, v, ready, row, column, units, mode):
    """Write the prediction of a square of 4x4 units into all planes."""
    predict_luma(y, ready, row, column, units, mode)
    predict_chroma(u, ready, row, column, units, mode)
    predict_chroma(v, ready, row, column, units, mode)


@compiled
def rebuild_unit(y, u, v, ready, r, c, modes, linked, coded, residual):
    """Predict a large unit, add its residual (3, 32, 32) and mark it ready; linked: its chroma from luma."""
    predict_luma(y, ready, 4 * r, 4 * c, 8, modes[4 * r, 4 * c])
    if coded:
        add_square(y, 16 * r, 16 * c, 32, residual[0])
    _predict_chroma_of(y, u, v, ready, 4 * r, 4 * c, 8, modes[4 * r, 4 * c], linked)
    if coded:
        add_square(u, 8 * r, 8 * c, 16, residual[1])
        add_square(v, 8 * r, 8 * c, 16, residual[2])
    mark(ready, 4 * r, 4 * c, 8, 1)


@compiled
def mode_bits(mode, likely):
    """Roughly the bits of an intra mode."""
    if mode == likely[0]:
        return FIRST_MODE_BITS
    return LIKELY_MODE_BITS if mode == likely[1] or mode == likely[2] else MODE_BITS


@compiled
def _rank_modes(source, plane, ready, row, column, units, likely, price, prices, best, costs):
    """The ``len(best)`` modes of least Hadamard cost plus price of their bits, best first, as far as they are looked
    at: every fourth angle, then those near the two best, or, where many modes are asked for, all."""
    size, top, left = 4 * units, 4 * row, 4 * column
    borders, out, difference = scratch((2, 129), np.int32), scratch((32, 32), np.int32), scratch((32, 32), np.int32)
    border(plane, ready, 4, row, column, units, borders[0])
    if units > 1:
        smooth(borders[0], size, borders[1])
    for k in range(len(costs)):
        costs[k] = 1e30
    wanted = zeroed(MODES, np.uint8)  # 1: to be looked at, 3: it has been
    for mode in range(MODES):
        if len(best) >= ALL_MODES or mode < FIRST_ANGLE or mode % 4 == FIRST_ANGLE:
            wanted[mode] = 1
    for distance in (4, 2, 1):
        if distance < 4:
            for k in range(min(2, len(best))):
                if best[k] >= FIRST_ANGLE and costs[k] < 1e30:
                    for mode in range(
                        max(best[k] - distance, FIRST_ANGLE), min(best[k] + distance, MODES - 1) + 1, distance
                    ):
                        wanted[mode] |= 1
        for mode in range(MODES):
            if wanted[mode] != 1:
                continue
            wanted[mode] = 3
            predict_luma_from(borders, size, mode, out)
            differences(source, top, left, size, out, difference)
            rough = tiny_cost(difference, prices) if units == 1 else hadamard_cost(difference, size, prices)
            cost = rough + price * mode_bits(mode, likely)
            k = len(best) - 1
            if cost >= costs[k]:
                continue
            while k > 0 and costs[k - 1] > cost:
                costs[k], best[k] = costs[k - 1], best[k - 1]
                k -= 1
            costs[k], best[k] = cost, mode


@compiled
def _difference(source, plane, top, left, size, weight, out):
    """Weighted differences of source and plane in a square, row by row (size * size,)."""
    for a in range(size):
        for b in range(size):
            row, column = place(top + a), place(left + b)
            d = np.int32(np.int32(source[row, column]) - np.int32(plane[row, column]))
            out[place(a * size + b)] = weight * np.float32(d)


@compiled
def _all_differences(source, planes, row, column, units, weight, out):
    """Weighted differences of a square of 4x4 luma units in sample order: luma, U, V."""
    size = 4 * units
    _difference(source[0], planes[0], 4 * row, 4 * column, size, np.float32(1), out)
    _chroma_differences(source, planes, row, column, units, weight, out[size * size :])


@compiled
def _chroma_differences(source, planes, row, column, units, weight, out):
    """The same of chroma alone."""
    half = 2 * units
    for p in range(1, 3):
        _difference(source[p], planes[p], 2 * row, 2 * column, half, weight, out[(p - 1) * half * half :])


class Search(NamedTuple):
    """What `encode_intra` looks at and decides by: its arguments, and ``prices`` for the step of the block at hand."""

    source: tuple[np.ndarray, ...]
    planes: tuple[np.ndarray, ...]
    ready: np.ndarray
    pred: np.ndarray
    modes: np.ndarray
    scale: int
    price: float
    bases: tuple[np.ndarray, ...]
    analysis: tuple[np.ndarray, ...]
    rates: tuple[np.ndarray, ...]
    prices: np.ndarray
    weight: float
    tried: int


@compiled
def encode_intra(
    source, planes, ready, pred, coded, fine, tiny, large, modes, from_luma, symbols, steps, scale, price, bases,
    analysis, rates, prices, weight, tried, quad_row, begin, end,
):  # fmt: skip
    """Choose modes, transforms and symbols of the intra blocks of quads begin..end-1 of a row of quads and reconstruct
    them.

    source: (y, u, v) of the picture; planes: predicted ones with inter blocks already reconstructed; ready:
    `ready_map`, overwritten; steps: (R, C) int32 sixteenths, the same within a unit; scale: of chroma's residual,
    256ths; price: squared steps of a bit; bases, analysis, rates: see `BlockBases` (rates: `summed_rates`); prices:
    `price_curve`; weight: of chroma; tried: how many modes of each size are tried in full.
    """
    block_prices = scratch(3, np.float32)
    for k in range(3):
        block_prices[k] = prices[k]
    search = Search(
        source, planes, ready, pred, modes, scale, price, bases, analysis, rates, block_prices, weight, tried
    )
    coarse_symbols, fine_symbols, unit_symbols = zeroed(384, np.int16), zeroed(384, np.int16), zeroed(384, np.int16)
    quarters, linked = zeroed((2, 2), np.uint8), zeroed((2, 2), np.uint8)
    unit_mode, unit_link, in_unit = 0, 0, False
    unit_cost = separate = np.float64(0)
    for number in range(16 * begin, 16 * end):
        r, c = block_of_row(number, quad_row)
        if r >= pred.shape[0] or c >= pred.shape[1]:
            continue
        if r % 2 == 0 and c % 2 == 0:
            in_unit = False
        if pred[r, c]:
            continue
        step = steps[r, c]
        inverse = np.float32(STEP_SCALE / step)
        block_prices[0] = inverse * np.float32(1 / 8)
        if begins_unit(r, c, *pred.shape):
            unit_cost = separate = np.float64(0)
            in_unit = not (pred[r, c + 1] or pred[r + 1, c] or pred[r + 1, c + 1])
            if in_unit:
                unit_cost, unit_mode, unit_link = _try_unit(search, 4 * r, 4 * c, step, inverse, unit_symbols)
        elif in_unit and separate >= unit_cost:
            continue
        coarse_cost, mode, link = _try_block(search, 4 * r, 4 * c, step, inverse, coarse_symbols)
        fine_cost = _try_quarters(
            search, 4 * r, 4 * c, step, inverse, np.float64(coarse_cost), fine_symbols, quarters, linked
        )
        mark(ready, 4 * r, 4 * c, 4, 0)
        fine[r, c] = 1 if fine_cost < coarse_cost else 0
        if fine[r, c]:
            copy(fine_symbols, symbols[r, c])
        else:
            copy(coarse_symbols, symbols[r, c])
            mark(modes, 4 * r, 4 * c, 4, mode)
        for q in range(4):
            i, j = q >> 1, q & 1
            tiny[2 * r + i, 2 * c + j] = quarters[i, j] if fine[r, c] else 0
            from_luma[2 * r + i, 2 * c + j] = linked[i, j] if fine[r, c] else link
        coded[r, c] = any_symbol(symbols[r, c])
        _rebuild_block(search, fine, tiny, from_luma, symbols[r, c], step, r, c)
        separate += min(fine_cost, coarse_cost)
        if in_unit and (separate >= unit_cost or (r % 2 and c % 2)):
            top, left = r & ~1, c & ~1
            if separate >= unit_cost:
                _take_unit(
                    search, coded, fine, tiny, large, from_luma, symbols, step, top, left, unit_symbols, unit_mode,
                    unit_link,
                )  # fmt: skip


@compiled
def _rebuild_block(search, fine, tiny, from_luma, symbols, step, r, c):
    """Reconstruct a block from what was chosen."""
    y, u, v = search.planes
    row, column, residual = 4 * r, 4 * c, scratch(SAMPLES, np.int32)
    quarters, squares = tiny[2 * r : 2 * r + 2, 2 * c : 2 * c + 2], search.modes[row : row + 4, column : column + 4]
    synthesise(symbols, step, search.scale, False, fine[r, c], quarters, squares, search.bases, residual)
    for q in range(4 if fine[r, c] else 1):
        i, j, units = row, column, 4
        if fine[r, c]:
            i, j, units = row + 2 * (q >> 1), column + 2 * (q & 1), 2
        small, link = tiny[i >> 1, j >> 1], from_luma[i >> 1, j >> 1]
        rebuild_square(y, u, v, search.ready, i, j, units, small, search.modes, link, 1, residual)


@compiled
def _take_unit(
    search, coded, fine, tiny, large, from_luma, symbols, step, top, left, unit_symbols, mode, link
):  # fmt: skip
    """Note that a unit is coded as a whole, and reconstruct it."""
    y, u, v = search.planes
    unit, some = scratch((3, 32, 32), np.int32), any_symbol(unit_symbols)
    mark(search.ready, 4 * top, 4 * left, 8, 0)
    for i in range(top, top + 2):
        for j in range(left, left + 2):
            for k in range(SAMPLES):
                symbols[i, j, k] = 0
    copy(unit_symbols, symbols[top, left])
    mark(coded, top, left, 2, some)
    mark(fine, top, left, 2, 0)
    mark(large, top, left, 2, WHOLE)
    mark(tiny, 2 * top, 2 * left, 4, 0)
    mark(search.modes, 4 * top, 4 * left, 8, mode)
    mark(from_luma, 2 * top, 2 * left, 4, link)
    synthesise_large(unit_symbols, step, search.scale, False, mode, search.bases, unit)
    rebuild_unit(y, u, v, search.ready, top, left, search.modes, link, some, unit)


@compiled
def _try_block(search, row, column, step, inverse, symbols):
    """Cost of a block that is transformed as a whole, squared steps, its mode, and whether its chroma is predicted from
    luma; symbols: (384,). Its samples and modes are overwritten."""
    y, u, v = search.planes
    price, rates = search.price, search.rates[0][1]
    likely, coefficients = scratch(3, np.int32), scratch(SAMPLES, np.float32)
    best, costs = zeroed(MODES, np.int64)[: search.tried], scratch(MODES, np.float64)[: search.tried]
    block, best_block, trial = (
        scratch(SAMPLES, np.float32),
        scratch(SAMPLES, np.float32),
        scratch(SAMPLES, np.int16),
    )
    likely_modes(search.modes, search.pred, row, column, likely)
    _rank_modes(search.source[0], y, search.ready, row, column, 4, likely, price, search.prices, best, costs)
    cost, mode = np.float64(1e30), np.int64(0)
    for k in range(len(best)):
        _predict_all(y, u, v, search.ready, row, column, 4, best[k])
        _all_differences(search.source, search.planes, row, column, 4, search.weight, block)
        block_cosines(block, inverse, coefficients)
        other = quantise(coefficients, rates, price, trial) + price * mode_bits(best[k], likely)
        if other < cost:
            cost, mode = other, best[k]
            copy(block, best_block)
    which = transform_class(False, mode)
    analyse(search.analysis[0][which], best_block, inverse, SAMPLES, coefficients)
    cost, link = np.float64(quantise(coefficients, rates, price, symbols)), 0
    # once more with chroma from luma
    mark(search.modes, row, column, 4, mode)
    residual, none = scratch(SAMPLES, np.int32), zeroed((2, 2), np.uint8)
    squares = search.modes[row : row + 4, column : column + 4]
    synthesise(symbols, step, search.scale, False, 0, none, squares, search.bases, residual)
    predict_luma(y, search.ready, row, column, 4, mode)
    _add_luma(y, row, column, 4, residual)
    predict_from_luma(y, u, v, search.ready, row, column, 4)
    _chroma_differences(search.source, search.planes, row, column, 4, search.weight, best_block[LUMA_SAMPLES:])
    analyse(search.analysis[0][which], best_block, inverse, SAMPLES, coefficients)
    other = quantise(coefficients, rates, price, trial) + price * LINK_BITS
    if other < cost:
        cost, link = other, 1
        copy(trial, symbols)
    return cost + price * (mode_bits(mode, likely) + BLOCK_BITS), mode, link


@compiled
def _try_quarters(search, row, column, step, inverse, limit, symbols, tiny, linked):
    """Cost of a block whose quarters are transformed each as a whole or as four 4x4 squares, or more than limit;
    symbols: (384,); tiny, linked: (2, 2), which quarters are of 4x4, and which have chroma from luma. Its samples and
    modes are overwritten."""
    y, u, v = search.planes
    part, residual = scratch(FINE_SAMPLES, np.int16), scratch(SAMPLES, np.int32)
    cost = search.price * (FINE_BITS + 4 * TINY_BITS)
    squares = search.modes[row : row + 4, column : column + 4]
    for k in range(SAMPLES):
        symbols[k] = 0
    for q in range(4):
        i, j = row + 2 * (q >> 1), column + 2 * (q & 1)
        more, small, link = _try_quarter(search, i, j, q, step, inverse, part)
        cost += more
        tiny[q >> 1, q & 1], linked[q >> 1, q & 1] = small, link
        for k in range(FINE_SAMPLES):
            symbols[4 * k + q] = part[k]
        synthesise(symbols, step, search.scale, False, 1, tiny, squares, search.bases, residual)
        rebuild_square(y, u, v, search.ready, i, j, 2, small, search.modes, link, 1, residual)
        if cost > limit:
            break
    return cost


@compiled
def _try_quarter(search, i, j, q, step, inverse, symbols):
    """Cost of quarter q of a block, whose first 4x4 square is (i, j), whether it is transformed in 4x4 squares, and
    whether its chroma is predicted from luma; symbols: (96,)."""
    y, u, v = search.planes
    price, rates = search.price, search.rates[1][1]
    likely, coefficients = scratch(3, np.int32), scratch(FINE_SAMPLES, np.float32)
    best, costs = zeroed(MODES, np.int64)[: search.tried], scratch(MODES, np.float64)[: search.tried]
    quarter, best_quarter = scratch(FINE_SAMPLES, np.float32), scratch(FINE_SAMPLES, np.float32)
    trial = scratch(FINE_SAMPLES, np.int16)
    likely_modes(search.modes, search.pred, i, j, likely)
    _rank_modes(search.source[0], y, search.ready, i, j, 2, likely, price, search.prices, best, costs)
    cost, mode = np.float64(1e30), np.int64(0)
    for k in range(len(best)):
        _predict_all(y, u, v, search.ready, i, j, 2, best[k])
        _all_differences(search.source, search.planes, i, j, 2, search.weight, quarter)
        quarter_cosines(quarter, 0, 8, 64, 4, 16, inverse, coefficients)
        other = quantise(coefficients, rates, price, trial) + price * mode_bits(best[k], likely)
        if other < cost:
            cost, mode = other, best[k]
            copy(quarter, best_quarter)
    which = transform_class(False, mode)
    analyse(search.analysis[1][which], best_quarter, inverse, FINE_SAMPLES, coefficients)
    cost, link = np.float64(quantise(coefficients, rates, price, symbols)), 0
    # once more with chroma from luma
    mark(search.modes, i, j, 2, mode)
    _add_part(search, i, j, q, 2, 0, mode, step, symbols)
    predict_from_luma(y, u, v, search.ready, i, j, 2)
    _chroma_differences(search.source, search.planes, i, j, 2, search.weight, best_quarter[64:])
    analyse(search.analysis[1][which], best_quarter, inverse, FINE_SAMPLES, coefficients)
    other = quantise(coefficients, rates, price, trial) + price * LINK_BITS
    if other < cost:
        cost, link = other, 1
        copy(trial, symbols)
    cost += price * mode_bits(mode, likely)
    other, other_link = _try_tiny(search, i, j, q, step, inverse, cost, trial)
    other += price * FOUR_BITS
    if other < cost:
        copy(trial, symbols)
        return other, 1, other_link
    mark(search.modes, i, j, 2, mode)
    return cost, 0, link


@compiled
def _add_part(search, i, j, q, units, tiny, mode, step, symbols):
    """Predict luma of a square of 4x4 units and add what symbols (96,) of quarter q, where it lies, say of it."""
    row, column, y = i & ~3, j & ~3, search.planes[0]
    spread, residual, small = zeroed(SAMPLES, np.int16), scratch(SAMPLES, np.int32), zeroed((2, 2), np.uint8)
    for k in range(FINE_SAMPLES):
        spread[4 * k + q] = symbols[k]
    small[q >> 1, q & 1] = tiny
    squares = search.modes[row : row + 4, column : column + 4]
    synthesise(spread, step, search.scale, False, 1, small, squares, search.bases, residual)
    predict_luma(y, search.ready, i, j, units, mode)
    _add_luma(y, i, j, units, residual)


@compiled
def _try_tiny(search, i, j, q, step, inverse, limit, symbols):
    """Cost of a quarter that is transformed in 4x4 squares, or at least limit, and whether its chroma is predicted from
    luma; symbols: (96,), overwritten in any case."""
    y, price, tried = search.planes[0], search.price, max(1, search.tried - 1)
    best, costs = zeroed(MODES, np.int64)[:tried], scratch(MODES, np.float64)[:tried]
    likely, luma, coefficients = scratch(3, np.int32), scratch(TINY, np.float32), scratch(TINY_CHROMA, np.float32)
    trial, found, one = scratch(TINY, np.int16), scratch(TINY, np.int16), scratch(FINE_SAMPLES, np.int16)
    cost = np.float64(0)
    for part in range(4):
        a, b = i + (part >> 1), j + (part & 1)
        likely_modes(search.modes, search.pred, a, b, likely)
        _rank_modes(search.source[0], y, search.ready, a, b, 1, likely, price, search.prices, best, costs)
        least, mode = np.float64(1e30), np.int64(0)
        for k in range(tried):
            predict_luma(y, search.ready, a, b, 1, best[k])
            _difference(search.source[0], y, 4 * a, 4 * b, 4, np.float32(1), luma)
            analyse(search.analysis[2][transform_class(False, best[k])], luma, inverse, TINY, coefficients)
            other = quantise(coefficients[:TINY], search.rates[2][1], price, trial)
            other += price * mode_bits(best[k], likely)
            if other < least:
                least, mode = other, best[k]
                copy(trial, found)
        cost += least
        search.modes[a, b] = mode
        for k in range(FINE_SAMPLES):
            one[k] = 0
        for k in range(TINY):
            symbols[6 * k + part] = one[6 * k + part] = found[k]
        _add_part(search, a, b, q, 1, 1, mode, step, one)
        search.ready[a, b] = 1
        if cost > limit:
            break
    mark(search.ready, i, j, 2, 0)
    if cost >= limit:
        return cost, 0
    more, link = _try_tiny_chroma(search, i, j, inverse, symbols)
    return cost + more, link


@compiled
def _try_tiny_chroma(search, i, j, inverse, symbols):
    """Cost of the chroma of a quarter that is transformed in 4x4 squares and whose luma is reconstructed, and whether
    it is predicted from luma; symbols: (96,), of which those of chroma are filled in."""
    y, u, v = search.planes
    price, rates = search.price, search.rates[3][1]
    mode = np.int64(search.modes[i, j])
    analysis = search.analysis[3][transform_class(False, mode)]
    chroma, coefficients = scratch(TINY_CHROMA, np.float32), scratch(TINY_CHROMA, np.float32)
    trial, found = scratch(TINY_CHROMA, np.int16), scratch(TINY_CHROMA, np.int16)
    cost, link = np.float64(0), 0
    for linked in range(2):
        _predict_chroma_of(y, u, v, search.ready, i, j, 2, mode, linked)
        _chroma_differences(search.source, search.planes, i, j, 2, search.weight, chroma)
        analyse(analysis, chroma, inverse, TINY_CHROMA, coefficients)
        other = quantise(coefficients, rates, price, trial) + (price * LINK_BITS if linked else 0)
        if not linked or other < cost:
            cost, link = other, linked
            copy(trial, found)
    for k in range(TINY_CHROMA):
        symbols[6 * (k >> 1) + 4 + (k & 1)] = found[k]
    return cost, link


@compiled
def _try_unit(search, row, column, step, inverse, symbols):
    """Cost of coding a unit of 2 x 2 blocks as a whole, squared steps, its mode, and whether its chroma is predicted
    from luma; symbols: (384,)."""
    y, u, v = search.planes
    price, rates, r, c = search.price, search.rates[4][1], row >> 2, column >> 2
    likely = scratch(3, np.int32)
    best, costs = zeroed(MODES, np.int64)[: search.tried], scratch(MODES, np.float64)[: search.tried]
    cosines, coefficients = scratch(SAMPLES, np.float32), scratch(SAMPLES, np.float32)
    best_cosines, best_lost = scratch(SAMPLES, np.float32), np.float64(0)
    likely_modes(search.modes, search.pred, row, column, likely)
    _rank_modes(search.source[0], y, search.ready, row, column, 8, likely, price, search.prices, best, costs)
    least, mode = np.float64(1e30), np.int64(0)
    for k in range(len(best)):
        _predict_all(y, u, v, search.ready, row, column, 8, best[k])
        total = unit_cosines(search.source, search.planes, r, c, search.weight, cosines)
        in_order(cosines, ORDERS[4], inverse, coefficients)
        lost = max(total - squares(cosines), np.float32(0)) * inverse * inverse + price * (
            mode_bits(best[k], likely) + BLOCK_BITS
        )
        cost = quantise(coefficients, rates, price, symbols) + lost
        if cost < least:
            least, best_lost, mode = cost, lost, best[k]
            copy(cosines, best_cosines)
    analysis = search.analysis[4][transform_class(False, mode)]
    analyse(analysis, best_cosines, inverse, SAMPLES, coefficients)
    cost = quantise(coefficients, rates, price, symbols) + best_lost
    # once more with chroma from luma
    trial, residual = scratch(SAMPLES, np.int16), scratch((3, 32, 32), np.int32)
    synthesise_large(symbols, step, search.scale, False, mode, search.bases, residual)
    _predict_all(y, u, v, search.ready, row, column, 8, mode)
    as_luma = _chroma_cosines(search, r, c, cosines)
    add_square(y, 4 * row, 4 * column, 32, residual[0])
    predict_from_luma(y, u, v, search.ready, row, column, 8)
    linked = _chroma_cosines(search, r, c, best_cosines)
    analyse(analysis, best_cosines, inverse, SAMPLES, coefficients)
    best_lost += (max(linked, np.float32(0)) - max(as_luma, np.float32(0))) * inverse * inverse + price * LINK_BITS
    other = quantise(coefficients, rates, price, trial) + best_lost
    if other < cost:
        copy(trial, symbols)
        return other, mode, 1
    return cost, mode, 0


@compiled
def _chroma_cosines(search, r, c, cosines):
    """Put the lowest cosines of what planes leave of a unit's chroma among the others (384,); returns the squared error
    that they do not hold."""
    lost = np.float32(0)
    for part in range(1, 3):
        lost += _cosines_of(search.source, search.planes, part, r, c, search.weight, cosines)
    return lost - squares(cosines[LUMA_SAMPLES:])


@compiled
def unit_cosines(source, planes, r, c, weight, out):
    """Weighted lowest cosines (384,) of what planes leave of a unit; returns the squared error of all of it."""
    total = np.float32(0)
    for part in range(3):
        total += _cosines_of(source, planes, part, r, c, weight, out)
    return total


@compiled
def _cosines_of(source, planes, part, r, c, weight, out):
    """The same of one plane."""
    samples = scratch(1024, np.float32)
    size, factor = (32, np.float32(1)) if part == 0 else (16, weight)
    top, left = (16 * r, 16 * c) if part == 0 else (8 * r, 8 * c)
    _difference(source[part], planes[part], top, left, size, factor, samples)
    if part == 0:
        large_cosines(samples, 0, 32, out, 0)
    else:
        large_chroma_cosines(samples, 0, 16, out, 192 + 64 * part)
    return squares(samples[: size * size])


@compiled
def all_unit_cosines(source, planes, units, weight, cosines):
    """`unit_cosines` (N, 384) of units (N, 2)."""
    for n in range(len(units)):
        unit_cosines(source, planes, units[n, 0], units[n, 1], weight, cosines[n])


@compiled
def collect_residuals(
    source, planes, ready, pred, coded, fine, tiny, large, modes, from_luma, symbols, steps, scale, bases, weight,
    residuals, classes,
):  # fmt: skip
    """What the transforms of all intra blocks were given, for training; returns how many there are.

    planes, ready: as `encode_intra` got them (they are filled in again); residuals: (M, 384) float32, weighted, and
    classes (M,) uint8 their class of basis (+ CLASSES x the transform), as many as there is room for.
    """
    y, u, v = planes
    residual, samples = zeroed(SAMPLES, np.int32), scratch(SAMPLES, np.float32)
    unit, saved = scratch((3, 32, 32), np.int32), 0
    for number in range(pred.size):
        r, c = block_at(number, *pred.shape)
        if pred[r, c]:
            continue
        if large[r, c] == WHOLE:
            if r % 2 == 0 and c % 2 == 0:
                mode = modes[4 * r, 4 * c]
                predict_luma(y, ready, 4 * r, 4 * c, 8, mode)
                _cosines_of(source, planes, 0, r, c, weight, samples)
                synthesise_large(symbols[r, c], steps[r, c], scale, False, mode, bases, unit)
                add_square(y, 16 * r, 16 * c, 32, unit[0])
                _predict_chroma_of(y, u, v, ready, 4 * r, 4 * c, 8, mode, from_luma[2 * r, 2 * c])
                for part in range(1, 3):
                    _cosines_of(source, planes, part, r, c, weight, samples)
                saved = _keep(residuals, classes, saved, samples, 4 * CLASSES + transform_class(False, mode))
                add_square(u, 8 * r, 8 * c, 16, unit[1])
                add_square(v, 8 * r, 8 * c, 16, unit[2])
                mark(ready, 4 * r, 4 * c, 8, 1)
            continue
        quarters, squares = tiny[2 * r : 2 * r + 2, 2 * c : 2 * c + 2], modes[4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
        synthesise(symbols[r, c], steps[r, c], scale, False, fine[r, c], quarters, squares, bases, residual)
        for q in range(4 if fine[r, c] else 1):
            i, j, units = 4 * r, 4 * c, 4
            if fine[r, c]:
                i, j, units = 4 * r + 2 * (q >> 1), 4 * c + 2 * (q & 1), 2
            small = tiny[i >> 1, j >> 1] == 1
            for part in range(4 if small else 1):
                a, b, size = (i + (part >> 1), j + (part & 1), 1) if small else (i, j, units)
                predict_luma(y, ready, a, b, size, modes[a, b])
                if small:
                    _difference(source[0], y, 4 * a, 4 * b, 4, np.float32(1), samples)
                    which = transform_class(False, modes[a, b])
                    saved = _keep(residuals, classes, saved, samples[:TINY], 2 * CLASSES + which)
                    _add_luma(y, a, b, 1, residual)
                    ready[a, b] = 1
            mark(ready, i, j, units, 0)
            if not small:
                _difference(source[0], y, 4 * i, 4 * j, 4 * units, np.float32(1), samples)
                _add_luma(y, i, j, units, residual)
            _predict_chroma_of(y, u, v, ready, i, j, units, modes[i, j], from_luma[i >> 1, j >> 1])
            which = transform_class(False, modes[i, j])
            if small:
                _chroma_differences(source, planes, i, j, units, weight, samples)
                saved = _keep(residuals, classes, saved, samples[:TINY_CHROMA], 3 * CLASSES + which)
            else:
                _chroma_differences(source, planes, i, j, units, weight, samples[16 * units * units :])
                n = SAMPLES if units == 4 else FINE_SAMPLES
                saved = _keep(residuals, classes, saved, samples[:n], (0 if units == 4 else CLASSES) + which)
            _add_chroma(u, i, j, units, residual, 256)
            _add_chroma(v, i, j, units, residual, 320)
            mark(ready, i, j, units, 1)
    return saved


@compiled
def _keep(residuals, classes, saved, samples, which):
    """Keep residuals while there is room; returns how many are kept."""
    if saved < len(classes):
        for k in range(len(samples)):
            residuals[saved, k] = samples[k]
        classes[saved] = which
        saved += 1
    return saved
