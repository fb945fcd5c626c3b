# SPDX-License-Identifier: Apache-2.0
"""What the latents of a square cost in the contexts that will code them, and their choice by that: encoder only.

The contexts are those of `nvcodec.models.kernels.latents`, the odds those that a video begins with. Of many
alternatives that are nearly alike the one that seems best mostly is the one whose cost is reckoned too low; so the few
that seem best by rates that know no neighbours are compared once more by these.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nvcodec.compiled import compiled, scratch, zeroed
from nvcodec.entropy.mixing import MOST_INPUTS
from nvcodec.entropy.odds import bits_of, probability
from nvcodec.models.kernels.density import BIN, BINS, classes_around, width_of
from nvcodec.models.kernels.hiding import IMPOSSIBLE
from nvcodec.models.kernels.latents import (
    BANDS,
    EXACT_CLASSES,
    INPUTS,
    LARGEST_SUM,
    SET,
    SIZE,
    class_of_mode,
    look_around,
    place_alike,
)
from nvcodec.models.kernels.residual import RATE_CLASSES, rate_class

_INTRA, _KINDS = 4, 8
_NO_PAST = 5  # class of a latent of the frame before where there is none
_MORE = np.array([0, 0, 0] + [1.2 + 2 * np.log2(m - 2) for m in range(3, 2048)], np.float32)  # of magnitudes, beyond 3
_COUNT_BITS = np.array([0, 0, 1, 2, 3, 4, 0, 0, 0, 0], np.float32)
_LEAST = np.float32(0.4)  # what is smaller becomes zero
_NEAR = np.float32(0.15)  # how far beyond a whole number the next one is looked at, too


class Frame(NamedTuple):
    """A frame as far as it is chosen: level, (R, C) uint8 of its blocks, latents (R, C, 384), and their density (see
    `nvcodec.models.kernels.density`)."""

    level: int
    coded: np.ndarray
    fine: np.ndarray
    large: np.ndarray
    symbols: np.ndarray
    density: np.ndarray


@compiled
def square_cost(
    odds, frame, own, r, c, q, transform, inter, mode, total, before, coefficients, choose, price, limit, less, more
):  # fmt: skip
    """Error and price of the bits of the latents of a square (squared steps).

    own: (384,) those of its block, in which they are chosen from coefficients (n,), or, without ``choose``, stand
    already (their error is left out then); q: its quarter; total: how many latents of the block are not zero, roughly,
    ``before`` of them in quarters before; limit: what costs more is looked at no further; less, more: (n,) float32,
    what each costs if it is one nearer to zero or further from it than chosen, as far as that was looked at.
    """
    chosen, inputs = scratch(INPUTS, np.int64), zeroed(MOST_INPUTS, np.float32)
    around_classes, quarter = zeroed(BINS, np.int64), transform == 1 or transform == 2
    kind, e = transform if inter else transform + _INTRA, np.int64(rate_class(total))
    basis = class_of_mode(inter, mode)
    i, j, part, whole = q >> 1, q & 1, q if quarter else -1, transform == 3
    left = total - before if e < EXACT_CLASSES else np.int64(-1)
    classes_around(frame.density, 2 * r + i, 2 * c + j, width_of(transform), around_classes)
    one = two = activity = np.int64(0)
    bits, error = np.float32(0), np.float32(0)
    first, row = kind * (RATE_CLASSES + BANDS) + e, kind * (RATE_CLASSES + BANDS) + RATE_CLASSES
    rows = _KINDS * (RATE_CLASSES + BANDS)
    coded, fine, large, symbols = frame.coded, frame.fine, frame.large, frame.symbols
    west_alike, west_row, west_column = place_alike(coded, fine, whole, large, r, c - 1, quarter)
    north_alike, north_row, north_column = place_alike(coded, fine, whole, large, r - 1, c, quarter)
    own_west, own_north, on = quarter and j > 0, quarter and i > 0, 1 if quarter else 0
    for k in range(96 if quarter else 384):
        n = 4 * k + q if quarter else k
        wanted = np.float32(0)
        if choose:
            wanted, less[k], more[k] = abs(coefficients[k]), IMPOSSIBLE, IMPOSSIBLE
        if left == 0:
            if not choose:
                break
            if wanted < 1:
                own[n] = 0
                error += wanted * wanted
                continue
            left = 1
        west = north = np.int64(-1)
        if own_west:
            west = abs(np.int64(own[n - 1]))
        elif west_alike:
            west = abs(np.int64(symbols[west_row, west_column, n + on]))
        if own_north:
            north = abs(np.int64(own[n - 2]))
        elif north_alike:
            north = abs(np.int64(symbols[north_row, north_column, n + 2 * on]))
        around = 8 if west < 0 and north < 0 else SIZE[min(max(west, 0) + max(north, 0), LARGEST_SUM)]
        near = around_classes[BIN[transform, k]]
        band, _, _ = look_around(
            own, part, transform, kind, basis, e, k, frame.level, left, _NO_PAST, around, near, 0, one, two, activity,
            chosen,
        )  # fmt: skip
        some = probability(odds, chosen, INPUTS, 0, inputs, first, row + band)
        value, best_bits = np.int64(0), bits_of(np.float32(1) - some)
        if not choose:
            value = abs(np.int64(own[n]))
            if value:
                best_bits = bits_of(some) + _more_bits(odds, chosen, inputs, rows, first, row + band, value)
        elif wanted > _LEAST:
            least, closest = wanted * wanted + price * best_bits, np.int64(wanted + np.float32(0.5))
            last, cost_before = least, IMPOSSIBLE  # of the magnitude before, if it was looked at
            begin, end = max(1, closest - 1), max(1, closest + 1 if wanted > closest + _NEAR else closest)
            for other in range(begin, end + 1):
                other_bits = bits_of(some) + _more_bits(odds, chosen, inputs, rows, first, row + band, other)
                difference = wanted - np.float32(other)
                cost = difference * difference + price * other_bits
                cost_before = last if other > begin or begin == 1 else IMPOSSIBLE
                if cost < least:
                    value, least, best_bits = other, cost, other_bits
                    less[k], more[k] = cost_before - cost, IMPOSSIBLE
                elif other == value + 1:
                    more[k] = cost - least
                last = cost
        bits += best_bits
        if error + price * bits > limit:
            break
        if choose:
            difference = wanted - np.float32(value)
            error += difference * difference
            own[n] = value if coefficients[k] > 0 else -value
        two, one = one, value
        activity = activity - (activity >> 3) + 16 * min(one, 3)
        if value and left > 0:
            left -= 1
    return error + price * bits


@compiled
def _more_bits(odds, chosen, inputs, rows, first, second, magnitude):
    """Of a magnitude of one or more, and of a sign."""
    bits = np.float32(1)
    for more in range(1, 3):
        chance = probability(odds, chosen, INPUTS, more * SET, inputs, more * rows + first, more * rows + second)
        if magnitude == more:
            return bits + bits_of(np.float32(1) - chance)
        bits += bits_of(chance)
    return bits + _MORE[min(magnitude, len(_MORE) - 1)]


@compiled
def count_bits(total):
    """Of how many latents are not zero, beyond their class."""
    return _COUNT_BITS[rate_class(total)]
