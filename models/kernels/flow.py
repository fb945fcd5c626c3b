# SPDX-License-Identifier: Apache-2.0
"""Motion that two predictions of one block still have against each other.

Where a frame lies midway between its references, what one prediction is off in one direction the other is off in the
other. The two are compared square by square, and each is moved towards the other: bidirectional optical flow, after
H.266 (8.5.6.5), but with least squares in place of signs, and for chroma, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nvcodec.compiled import compiled, scratch
from nvcodec.models.depth import LARGEST
from nvcodec.vectors import (
    add_products,
    as_float64,
    as_int32,
    as_int64,
    join,
    least,
    load,
    most,
    shuffle,
    spread,
    store,
    sum_of,
)

SQUARE = 4  # samples of luma that move together
COARSE_BITS = 12  # predictions are compared in whole sample values
UNITS = 64  # of a sample: precision of motion
DENOMINATOR_BITS = 7  # 2 UNITS
LIMIT = 64  # the most that is believed, in units
NOISE = np.int64(64 * 8 * 8)  # added to squared gradients of 64 samples: less contrast is not believed


def _slope_across(size: int) -> Callable[..., Any]:
    """Differences of the samples on both sides in a row of so many, twice those to the one at an end."""
    left, right = (shuffle(*(min(max(k + n, 0), size - 1) for k in range(size))) for n in (-1, 1))
    doubled = np.array([1, *(0 for _ in range(size - 2)), 1], np.int32)

    @compiled
    def slope(row):  # type: ignore[no-untyped-def]
        return (right(row) - left(row)) << load(doubled, 0, size)

    return slope


@compiled
def _quotient(a, b):
    """a / b, rounded down, or LIMIT or -LIMIT if it is beyond: four int64, b positive and below 2^56.

    A quotient in floating point says which whole number it is near, at most one off; whole numbers say the rest.
    """
    near = most(least(as_float64(a) / as_float64(b), LIMIT + 1.0), -LIMIT - 1.0)
    whole = as_int64(near)
    rest = a - whole * b
    whole = whole + (rest >> 63) - ((b - 1 - rest) >> 63)
    return most(least(whole, LIMIT), -LIMIT)


def _flow(size: int) -> Callable[..., Any]:
    """`find_flow` of blocks of one size."""
    row_pairs, squares = size // 2, size // SQUARE
    slope_across = _slope_across(size)
    swap = shuffle(*(k ^ 1 for k in range(size)))
    # the first and the second two columns of each square, in four lanes; those of the square before, after
    front, back = (shuffle(*(SQUARE * (k % squares) + n for k in range(4))) for n in (0, 2))
    before, after = join(4, 0, 1, 2), join(*(k + 1 if k + 1 < squares else 4 for k in range(4)))

    @compiled
    def windows(pairs, n, r):  # type: ignore[no-untyped-def]
        """Sums of 8x8 samples around each square of a row of them, four int64."""
        rows = load(pairs, (n, 2 * r, 0), size) + load(pairs, (n, 2 * r + 1, 0), size)
        if r > 0:
            rows = rows + load(pairs, (n, 2 * r - 1, 0), size)
        if 2 * r + 2 < row_pairs:
            rows = rows + load(pairs, (n, 2 * r + 2, 0), size)
        columns, nothing = rows + swap(rows), spread(np.int32(0), 4)
        first, second = front(columns), back(columns)
        return as_int64((first + second) + (before(second, nothing) + after(first, nothing)))

    @compiled
    def flow(a, b, found):  # type: ignore[no-untyped-def]
        both, apart = scratch((16, 16), np.int32), scratch((16, 16), np.int32)
        pairs, nothing = scratch((5, 8, 16), np.int32), spread(np.int32(0), size)  # of two rows
        difference = nothing
        for i in range(size):
            # bounds, so that sums below fit 32 bits, products 63
            first = least(most(load(a, (i, 0), size) >> COARSE_BITS, 0), LARGEST)
            second = least(most(load(b, (i, 0), size) >> COARSE_BITS, 0), LARGEST)
            store(both, (i, 0), first + second)
            store(apart, (i, 0), second - first)
            difference = difference + (most(first, second) - least(first, second))
        for p in range(row_pairs):
            i = 2 * p
            row, next_row = load(both, (i, 0), size), load(both, (i + 1, 0), size)
            x, x2 = slope_across(row), slope_across(next_row)
            y = y2 = (next_row - row) << 1
            if p > 0:
                y = next_row - load(both, (i - 1, 0), size)
            if p + 1 < row_pairs:
                y2 = load(both, (i + 2, 0), size) - row
            d, d2 = load(apart, (i, 0), size), load(apart, (i + 1, 0), size)
            # of two rows at once: both fit 16 bits
            x, y, d = (x & 0xFFFF) + (x2 << 16), (y & 0xFFFF) + (y2 << 16), (d & 0xFFFF) + (d2 << 16)
            store(pairs, (0, p, 0), add_products(nothing, x, x))
            store(pairs, (1, p, 0), add_products(nothing, x, y))
            store(pairs, (2, p, 0), add_products(nothing, y, y))
            store(pairs, (3, p, 0), add_products(nothing, x, d))
            store(pairs, (4, p, 0), add_products(nothing, y, d))
        for r in range(squares):  # slopes are below 2^12, so sums of 64 of their products below 2^30
            xx, xy, yy = windows(pairs, 0, r) + NOISE, windows(pairs, 1, r), windows(pairs, 2, r) + NOISE
            xd, yd = windows(pairs, 3, r), windows(pairs, 4, r)
            # 2 / UNITS of the solution's denominator, which is positive: xx yy > xy^2
            below = ((xx * yy - xy * xy) >> DENOMINATOR_BITS) + 1
            store(found, (0, r, 0), as_int32(_quotient(yy * xd - xy * yd, below)))
            store(found, (1, r, 0), as_int32(_quotient(xx * yd - xy * xd, below)))
        return sum_of(difference)

    return flow


_flow_16, _flow_8 = _flow(16), _flow(8)


@compiled
def find_flow(a, b, size, found):
    """How far two luma predictions (at 4096 times the sample) would have to move towards each other: found (2, 4, 4),
    x and y of each square. Returns the sum of their absolute differences, in sample values. size: 8 or 16."""
    return _flow_16(a, b, found) if size == 16 else _flow_8(a, b, found)


@compiled
def mean_flow(size, found):
    """What `find_flow` found, on average, in quarters of a sample: x and y."""
    n = size // SQUARE
    x = y = np.int32(0)
    for r in range(n):
        for c in range(n):
            x += found[0, r, c]
            y += found[1, r, c]
    unit = UNITS // 4 * n * n
    return np.int32((x + unit // 2) // unit), np.int32((y + unit // 2) // unit)


def _move(size: int, square: int) -> Callable[..., Any]:
    """`move` of blocks and squares of one size."""
    slope_across, last = _slope_across(size), size - 1
    stretch = shuffle(*(k // square for k in range(size)))

    @compiled
    def moved(a, b, shift, found):  # type: ignore[no-untyped-def]
        apart = scratch((16, 16), np.int32)
        for i in range(size):
            store(apart, (i, 0), (load(a, (i, 0), size) - load(b, (i, 0), size)) >> 2)
        for i in range(size):
            above, below = max(i - 1, 0), min(i + 1, last)
            down = (load(apart, (below, 0), size) - load(apart, (above, 0), size)) << (2 - (below - above))
            across, r = slope_across(load(apart, (i, 0), size)), i // square
            x, y = stretch(load(found, (0, r, 0), 4)), stretch(load(found, (1, r, 0), 4))
            # Predictions lie between -1.04 and 2.04 times 1023 << 12, so slopes of a quarter of their difference
            # are below 2^23.61, and 64 times the sum of two below 2^30.61.
            more = (x * across + y * down) >> shift
            store(a, (i, 0), load(a, (i, 0), size) + more)

    return moved


_move_16, _move_8 = _move(16, SQUARE), _move(8, SQUARE)
_move_chroma_8, _move_chroma_4 = _move(8, SQUARE // 2), _move(4, SQUARE // 2)


@compiled
def move(a, b, size, square, shift, found):
    """Add to a what both predictions together gain from moving by what `find_flow` found, square by square: half of the
    first-order term, since a mean of two that are moved by d from the truth has lost d^2 / 2 of its second derivative,
    and the whole term would put twice as much in its place. ``shift``: of units of motion. size, square: of luma 16 or
    8 and 4, of chroma half of that."""
    if size == 16:
        _move_16(a, b, shift, found)
    elif size == 4:
        _move_chroma_4(a, b, shift, found)
    elif square == SQUARE:
        _move_8(a, b, shift, found)
    else:
        _move_chroma_8(a, b, shift, found)
