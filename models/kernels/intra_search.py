# SPDX-License-Identifier: Apache-2.0
"""The encoder's search for modes, transforms and symbols of intra blocks, one after the other, each reconstructed as a
decoder will."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nvcodec.compiled import compiled, scratch, zeroed
from nvcodec.entropy.odds import Odds
from nvcodec.models.depth import STEP_SCALE
from nvcodec.models.kernels.analysis import analyse, analyse_again, analyse_first
from nvcodec.models.kernels.cosines import ORDERS, block_cosines, in_order, quarter_cosines
from nvcodec.models.kernels.cross_component import predict_from_luma
from nvcodec.models.kernels.density import COARSE, FINE, LARGE, add_density
from nvcodec.models.kernels.density import TINY as TINY_SQUARES
from nvcodec.models.kernels.exact import Frame, count_bits, square_cost
from nvcodec.models.kernels.frame_intra import (
    add_luma,
    all_differences,
    chroma_differences,
    copy,
    cosines_of,
    mark,
    predict_all,
    predict_chroma_of,
    predict_luma,
    rebuild_square,
    rebuild_unit,
    unit_cosines,
    weighted_difference,
)
from nvcodec.models.kernels.hiding import GROUPS, hide, hide_by
from nvcodec.models.kernels.intra import MODES, border, predict_luma_from, smooth
from nvcodec.models.kernels.residual import (
    FINE_SAMPLES,
    LUMA_SAMPLES,
    SAMPLES,
    TINY,
    TINY_CHROMA,
    add_square,
    any_symbol,
    non_zero,
    quantise,
    reckoned_bits,
    squares,
    synthesise,
    synthesise_large,
    transform_class,
)
from nvcodec.models.kernels.rough_cost import differences, hadamard_cost, tiny_cost
from nvcodec.models.kernels.syntax import WHOLE, begins_unit, block_of_row, likely_modes

FIRST_ANGLE, ALL_MODES = 2, 8  # the first mode with a direction; so many wanted, and everything is looked at
# Bits as the search reckons them. The rarer a choice, the more it is to cost beyond what it takes: of many that are
# alike the one that seems best seems better than it is.
FIRST_MODE_BITS, LIKELY_MODE_BITS, MODE_BITS = np.float32(1.2), np.float32(3.2), np.float32(8.5)
# of what is said of a block, or unit (coded, which transform, energy), of a fine one, and of each of its quarters
BLOCK_BITS, FINE_BITS, QUARTER_BITS = np.float32(3.3), np.float32(4.5), np.float32(1.2)
FOUR_BITS = np.float32(1)  # more of a quarter in four 4x4 squares
LINK_BITS = np.float32(1.5)  # how many more it costs that chroma is predicted from luma than that it is not
FINAL_SHARE = 1.08  # times the least cost by rates, up to which modes are looked at once more by exact costs
UNLINKED_SHARE = 1.1  # times the least cost so far: what costs more is not tried with chroma from luma
LINKED_SHARE = 1.02  # times the cost by rates without that, up to which it is looked at once more with it


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
    share: float
    odds: Odds
    frame: Frame
    finalists: int


@compiled
def encode_intra(
    source, planes, ready, pred, coded, fine, tiny, large, modes, from_luma, symbols, steps, scale, price, bases,
    analysis, rates, prices, weight, tried, share, odds, finalists, level, density, quad_row, begin, end,
):  # fmt: skip
    """Choose modes, transforms and symbols of the intra blocks of quads begin..end-1 of a row of quads and reconstruct
    them.

    source: (y, u, v) of the picture; planes: predicted ones with inter blocks already reconstructed; ready:
    `ready_map`, overwritten; steps: (R, C) int32 sixteenths, the same within a unit; scale: of chroma's residual,
    256ths; price: squared steps of a bit; bases, analysis, rates: see `BlockBases` (rates: `summed_rates`); prices:
    `price_curve`; weight: of chroma; tried: how many modes of each size are tried in full, at
    most, and share: times the least Hadamard cost up to which they are; finalists: how many of
    these, those that seem best, by what they cost in the contexts of a keyframe (0: none; only where all blocks are
    intra and what is chosen before was chosen so); odds: see there; level: of the frame; density: `no_densities`.
    """
    block_prices = scratch(3, np.float32)
    for k in range(3):
        block_prices[k] = prices[k]
    frame = Frame(level, coded, fine, large, symbols, density)
    search = Search(
        source, planes, ready, pred, modes, scale, price, bases, analysis, rates, block_prices, weight, tried, share,
        odds, frame, finalists,
    )  # fmt: skip
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
                unit_cost, unit_mode, unit_link, _ = _try_square(
                    search, 4 * r, 4 * c, 8, step, inverse, unit_symbols, 0, unit_symbols
                )
                unit_cost += price * BLOCK_BITS
                if _is_enough(search, unit_symbols):
                    _take_unit(
                        search, coded, fine, tiny, large, from_luma, symbols, step, r, c, unit_symbols, unit_mode,
                        unit_link,
                    )  # fmt: skip
                    separate = unit_cost
                    continue
        elif in_unit and separate >= unit_cost:
            continue
        coarse_cost, mode, link, _ = _try_square(
            search, 4 * r, 4 * c, 4, step, inverse, coarse_symbols, 0, coarse_symbols
        )
        coarse_cost += price * BLOCK_BITS
        fine_cost = np.float64(coarse_cost)
        if not _is_enough(search, coarse_symbols):
            fine_cost = _try_quarters(
                search, 4 * r, 4 * c, step, inverse, fine_cost, fine_symbols, quarters, linked,
                non_zero(coarse_symbols),
            )  # fmt: skip
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
        if finalists:
            _note_densities(search.frame, tiny, r, c)
        separate += min(fine_cost, coarse_cost)
        if in_unit and (separate >= unit_cost or (r % 2 and c % 2)):
            top, left = r & ~1, c & ~1
            if separate >= unit_cost:
                _take_unit(
                    search, coded, fine, tiny, large, from_luma, symbols, step, top, left, unit_symbols, unit_mode,
                    unit_link,
                )  # fmt: skip
                if finalists:
                    add_density(density, LARGE, symbols, top, left, 0)


@compiled
def _is_enough(search, symbols):
    """Whether smaller squares are not tried: where a larger one has no latents they hardly ever cost less, so only
    where time is of no matter."""
    return search.tried < ALL_MODES and not any_symbol(symbols)


@compiled
def _note_densities(frame, tiny, r, c):
    """Of the latents of a block that is chosen."""
    if not frame.fine[r, c]:
        add_density(frame.density, COARSE, frame.symbols, r, c, 0)
        return
    for q in range(4):
        small = tiny[2 * r + (q >> 1), 2 * c + (q & 1)]
        add_density(frame.density, TINY_SQUARES if small else FINE, frame.symbols, r, c, q)


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
def _try_square(search, row, column, units, step, inverse, own, guess, symbols):
    """Cost of a square (a unit, a block or a quarter) that is transformed as a whole, squared steps; its mode; whether
    its chroma is predicted from luma; and its cost as it is reckoned by rates.

    own, guess: of a quarter, see `_exact_cost`; symbols: (384,), or (96,) of a quarter. Its samples and modes are
    overwritten.
    """
    price, trial = search.price, scratch(SAMPLES, np.int16)[: len(symbols)]
    best, costs = zeroed(MODES, np.int64)[: search.tried], scratch(MODES, np.float64)[: search.tried]
    likely, count = scratch(3, np.int32), max(1, search.finalists)
    finalists, final_costs = zeroed(MODES, np.int64)[:count], scratch(MODES, np.float64)[:count]
    for k in range(count):
        final_costs[k] = 1e30
    likely_modes(search.modes, search.pred, row, column, likely)
    luma = search.planes[0]
    _rank_modes(search.source[0], luma, search.ready, row, column, units, likely, price, search.prices, best, costs)
    promising = 1
    while promising < len(best) and costs[promising] <= search.share * costs[0]:
        promising += 1
    for k in range(promising):
        reckoned = np.float64(0)  # nothing to compare one with
        if promising > 1:
            reckoned = _reckoned_cost(search, row, column, units, inverse, best[k], trial)
        _keep_finalist(finalists, final_costs, best[k], reckoned + price * mode_bits(best[k], likely))
    cost = least = np.float64(1e30)
    mode, link = np.int64(0), 0
    for k in range(count):
        if final_costs[k] > FINAL_SHARE * final_costs[0]:
            break
        side = price * mode_bits(finalists[k], likely)
        found, other_link, reckoned = _finish_square(
            search, row, column, units, step, inverse, finalists[k], cost - side, own, guess, trial
        )
        least = min(least, reckoned + side)
        if found + side < cost:
            cost, mode, link = found + side, finalists[k], other_link
            copy(trial, symbols)
    return cost, mode, link, least


@compiled
def _keep_finalist(modes, costs, mode, cost):
    """Put a mode among the best so far, which are sorted by cost."""
    k = len(modes) - 1
    if cost >= costs[k]:
        return
    while k > 0 and costs[k - 1] > cost:
        costs[k], modes[k] = costs[k - 1], modes[k - 1]
        k -= 1
    costs[k], modes[k] = cost, mode


@compiled
def _reckoned_cost(search, row, column, units, inverse, mode, symbols):
    """Cost of a square in one mode, by cosines and rates, without what its mode costs."""
    samples, coefficients = scratch(SAMPLES, np.float32), scratch(SAMPLES, np.float32)[: len(symbols)]
    lost = np.float32(0)
    predict_all(*search.planes, search.ready, row, column, units, mode)
    if units == 8:
        total = unit_cosines(search.source, search.planes, row >> 2, column >> 2, search.weight, samples)
        in_order(samples, ORDERS[4], inverse, coefficients)
        lost = max(total - squares(samples), np.float32(0)) * inverse * inverse
    else:
        all_differences(search.source, search.planes, row, column, units, search.weight, samples)
        if units == 4:
            block_cosines(samples, inverse, coefficients)
        else:
            quarter_cosines(samples, 0, 8, 64, 4, 16, inverse, coefficients)
    rates = search.rates[_transform_of(units)][1]
    return np.float64(quantise(coefficients, rates, search.price, symbols) + lost)


@compiled
def _transform_of(units):
    """Which transform is that of a square of so many 4x4 units."""
    return 4 if units == 8 else 0 if units == 4 else 1


@compiled
def _finish_square(search, row, column, units, step, inverse, mode, limit, own, guess, symbols):
    """Cost of a square in one mode, without what that costs; whether its chroma is predicted from luma; and what it is
    reckoned at by rates. Looks no further at what costs more than limit."""
    y, u, v = search.planes
    price, transform, which = search.price, _transform_of(units), transform_class(False, mode)
    samples, coefficients = scratch(SAMPLES, np.float32), scratch(SAMPLES, np.float32)[: len(symbols)]
    trial, residual = scratch(SAMPLES, np.int16)[: len(symbols)], scratch((3, 32, 32), np.int32)
    analysis, rates, lost = search.analysis[transform][which], search.rates[transform][1], np.float64(0)
    sums, luma = scratch(SAMPLES, np.int32)[: len(symbols)], len(symbols) // 3 * 2
    predict_all(y, u, v, search.ready, row, column, units, mode)
    if units == 8:
        total = unit_cosines(search.source, search.planes, row >> 2, column >> 2, search.weight, samples)
        lost = np.float64(max(total - squares(samples), np.float32(0)) * inverse * inverse)
    else:
        all_differences(search.source, search.planes, row, column, units, search.weight, samples)
    samples = samples[: len(symbols)]
    kept = analyse_first(analysis, samples, luma, inverse, sums, coefficients)
    reckoned = cost = np.float64(quantise(coefficients, rates, price, symbols)) + lost
    if search.finalists:
        most = UNLINKED_SHARE * limit
        cost = lost + _exact_cost(
            search, row, column, units, mode, coefficients, cost - lost, most - lost, own, guess, symbols
        )
        if cost > most:
            return cost, 0, reckoned
    else:
        cost += hide(coefficients, rates, price, symbols)
    if squares(samples[luma:]) * inverse * inverse <= price * LINK_BITS:  # of chroma: there is nothing to be gained
        return cost, 0, reckoned
    # once more with chroma from luma
    mark(search.modes, row, column, units, mode)
    if units == 8:
        synthesise_large(symbols, step, search.scale, False, mode, search.bases, residual)
        as_luma = _chroma_cosines(search, row >> 2, column >> 2, samples)
        add_square(y, 4 * row, 4 * column, 32, residual[0])
        predict_from_luma(y, u, v, search.ready, row, column, units)
        linked = _chroma_cosines(search, row >> 2, column >> 2, samples)
        lost += (max(linked, np.float32(0)) - max(as_luma, np.float32(0))) * inverse * inverse
    else:
        _add_coded_luma(search, row, column, units, 0, step, symbols)
        predict_from_luma(y, u, v, search.ready, row, column, units)
        chroma_differences(search.source, search.planes, row, column, units, search.weight, samples[luma:])
    analyse_again(analysis, samples, luma, inverse, kept, sums, coefficients)
    lost += price * LINK_BITS
    other = np.float64(quantise(coefficients, rates, price, trial)) + lost
    if search.finalists and other > LINKED_SHARE * reckoned:
        return cost, 0, reckoned
    reckoned = min(reckoned, other)
    if search.finalists:
        other = lost + _exact_cost(
            search, row, column, units, mode, coefficients, other - lost, min(limit, cost) - lost, own, guess, trial
        )
    else:
        other += hide(coefficients, rates, price, trial)
    if other < cost:
        copy(trial, symbols)
        return other, 1, reckoned
    return cost, 0, reckoned


@compiled
def _exact_cost(search, row, column, units, mode, coefficients, reckoned, limit, own, guess, symbols):
    """Choose the latents of a square in the contexts that they will be coded in, signs hidden; returns their cost, or
    roughly what is more than limit; what is reckoned where all are zero.

    own: (384,) of a quarter, latents of its block's quarters before; guess: how many of the whole block's are not zero.
    """
    count = non_zero(symbols)
    if not count:
        return reckoned
    if units == 2:
        return _exact_quarter(search, row, column, FINE, mode, coefficients, limit, own, guess, symbols)
    transform, price = 3 if units == 8 else 0, search.price
    less, more = scratch(SAMPLES, np.float32), scratch(SAMPLES, np.float32)
    cost = square_cost(
        search.odds, search.frame, symbols, row >> 2, column >> 2, 0, transform, False, mode, count, 0, coefficients,
        True, price, limit, less, more,
    )  # fmt: skip
    if cost > limit:  # not all are chosen, and no signs hidden
        return np.float64(cost) + GROUPS * price
    cost += hide_by(coefficients, less, more, price, symbols)
    return np.float64(cost) + price * count_bits(count)


@compiled
def _exact_quarter(search, row, column, transform, mode, coefficients, limit, own, guess, symbols):
    """The same of a quarter; of one in 4x4 squares latents (96,) stay as they are, and the price of their bits is
    returned."""
    less, more = scratch(FINE_SAMPLES, np.float32), scratch(FINE_SAMPLES, np.float32)
    q = (row & 2) + (column >> 1 & 1)
    found, before = scratch(SAMPLES, np.int16), non_zero(own)
    total = before + non_zero(symbols) + (guess * (3 - q) >> 2)
    copy(own, found)
    for k in range(FINE_SAMPLES):
        found[4 * k + q] = symbols[k]
    cost = square_cost(
        search.odds, search.frame, found, row >> 2, column >> 2, q, transform, False, mode, total, before, coefficients,
        transform == FINE, search.price, limit, less, more,
    )  # fmt: skip
    for k in range(FINE_SAMPLES):
        symbols[k] = found[4 * k + q]
    if transform == FINE:
        if cost > limit:
            return np.float64(cost) + GROUPS * search.price
        cost += hide_by(coefficients, less, more, search.price, symbols)
    return np.float64(cost) + search.price * count_bits(total) * np.float32(0.25)


@compiled
def _try_quarters(search, row, column, step, inverse, limit, symbols, tiny, linked, guess):
    """Cost of a block whose quarters are transformed each as a whole or as four 4x4 squares, or more than limit;
    symbols: (384,); tiny, linked: (2, 2), which quarters are of 4x4, and which have chroma from luma; guess: how many
    latents are not zero. Its samples and modes are overwritten."""
    y, u, v = search.planes
    part, residual = scratch(FINE_SAMPLES, np.int16), scratch(SAMPLES, np.int32)
    cost = search.price * (FINE_BITS + 4 * QUARTER_BITS)
    squares = search.modes[row : row + 4, column : column + 4]
    for k in range(SAMPLES):
        symbols[k] = 0
    for q in range(4):
        i, j = row + 2 * (q >> 1), column + 2 * (q & 1)
        more, small, link = _try_quarter(search, i, j, step, inverse, symbols, guess, part)
        cost += more
        tiny[q >> 1, q & 1], linked[q >> 1, q & 1] = small, link
        for k in range(FINE_SAMPLES):
            symbols[4 * k + q] = part[k]
        synthesise(symbols, step, search.scale, False, 1, tiny, squares, search.bases, residual)
        rebuild_square(y, u, v, search.ready, i, j, 2, small, search.modes, link, 1, residual)
        if cost > limit:
            break
        if search.finalists:
            _note_quarter(search.frame, symbols, row >> 2, column >> 2, q, small)
    return cost


@compiled
def _note_quarter(frame, own, r, c, q, small):
    """Note the density of a quarter of a block that is not chosen yet; own: its latents (384,)."""
    copy(own, frame.symbols[r, c])
    add_density(frame.density, TINY_SQUARES if small else FINE, frame.symbols, r, c, q)


@compiled
def _try_quarter(search, row, column, step, inverse, own, guess, symbols):
    """Cost of a quarter of a block, whether it is transformed in 4x4 squares, and whether its chroma is predicted from
    luma; symbols: (96,)."""
    trial, nothing = scratch(FINE_SAMPLES, np.int16), scratch(1, np.float32)
    cost, mode, link, reckoned = _try_square(search, row, column, 2, step, inverse, own, guess, symbols)
    if _is_enough(search, symbols):
        mark(search.modes, row, column, 2, mode)
        return cost, 0, link
    limit = max(cost, reckoned)
    other, other_link = _try_tiny(search, row, column, step, inverse, limit, trial)
    if search.finalists and other < limit and any_symbol(trial):
        other -= search.price * _reckoned_tiny(trial, search.rates)
        first_mode = np.int64(search.modes[row, column])
        other += _exact_quarter(search, row, column, TINY_SQUARES, first_mode, nothing, cost - other, own, guess, trial)
    other += search.price * FOUR_BITS
    if other < cost:
        copy(trial, symbols)
        return other, 1, other_link
    mark(search.modes, row, column, 2, mode)
    return cost, 0, link


@compiled
def _reckoned_tiny(symbols, rates):
    """Bits of the latents of a quarter in 4x4 squares by rates."""
    luma, chroma, bits = scratch(TINY, np.int16), scratch(TINY_CHROMA, np.int16), np.float32(0)
    for part in range(4):
        for k in range(TINY):
            luma[k] = symbols[6 * k + part]
        bits += reckoned_bits(luma, rates[2][1])
    for k in range(TINY_CHROMA):
        chroma[k] = symbols[6 * (k >> 1) + 4 + (k & 1)]
    return bits + reckoned_bits(chroma, rates[3][1])


@compiled
def _add_coded_luma(search, row, column, units, tiny, step, symbols):
    """Predict luma of a square of 4x4 units, a block (symbols (384,)) or (within) a quarter (96,), and add what symbols
    say of it."""
    spread, residual, small = zeroed(SAMPLES, np.int16), scratch(SAMPLES, np.int32), zeroed((2, 2), np.uint8)
    q = (row & 2) + (column >> 1 & 1)
    if units == 4:
        copy(symbols, spread)
    else:
        for k in range(FINE_SAMPLES):
            spread[4 * k + q] = symbols[k]
    small[q >> 1, q & 1] = tiny
    top, left = row & ~3, column & ~3
    squares = search.modes[top : top + 4, left : left + 4]
    synthesise(spread, step, search.scale, False, units < 4, small, squares, search.bases, residual)
    predict_luma(search.planes[0], search.ready, row, column, units, search.modes[row, column])
    add_luma(search.planes[0], row, column, units, residual)


@compiled
def _try_tiny(search, i, j, step, inverse, limit, symbols):
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
            if costs[k] > search.share * costs[0]:
                break
            predict_luma(y, search.ready, a, b, 1, best[k])
            weighted_difference(search.source[0], y, 4 * a, 4 * b, 4, np.float32(1), luma)
            analyse(search.analysis[2][transform_class(False, best[k])], luma, inverse, TINY, coefficients)
            other = quantise(coefficients[:TINY], search.rates[2][1], price, trial)
            other += hide(coefficients[:TINY], search.rates[2][1], price, trial) + price * mode_bits(best[k], likely)
            if other < least:
                least, mode = other, best[k]
                copy(trial, found)
        cost += least
        search.modes[a, b] = mode
        for k in range(FINE_SAMPLES):
            one[k] = 0
        for k in range(TINY):
            symbols[6 * k + part] = one[6 * k + part] = found[k]
        _add_coded_luma(search, a, b, 1, 1, step, one)
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
        if linked and cost <= price * LINK_BITS:
            break
        predict_chroma_of(y, u, v, search.ready, i, j, 2, mode, linked)
        chroma_differences(search.source, search.planes, i, j, 2, search.weight, chroma)
        analyse(analysis, chroma, inverse, TINY_CHROMA, coefficients)
        other = quantise(coefficients, rates, price, trial) + hide(coefficients, rates, price, trial)
        other += price * LINK_BITS if linked else 0
        if not linked or other < cost:
            cost, link = other, linked
            copy(trial, found)
    for k in range(TINY_CHROMA):
        symbols[6 * (k >> 1) + 4 + (k & 1)] = found[k]
    return cost, link


@compiled
def _chroma_cosines(search, r, c, cosines):
    """Put the lowest cosines of what planes leave of a unit's chroma among the others (384,); returns the squared error
    that they do not hold."""
    lost = np.float32(0)
    for part in range(1, 3):
        lost += cosines_of(search.source, search.planes, part, r, c, search.weight, cosines)
    return lost - squares(cosines[LUMA_SAMPLES:])
