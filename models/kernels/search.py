# SPDX-License-Identifier: Apache-2.0
"""The encoder's motion search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nvcodec.compiled import compiled, place, scratch, zeroed
from nvcodec.models.kernels.compensation import FIRST, PAD, luma_block
from nvcodec.models.kernels.motion import MAX_VECTOR
from nvcodec.models.kernels.prediction_costs import mix
from nvcodec.models.kernels.rough_cost import hadamard_cost
from nvcodec.vectors import above, as_int32, least, load, lowest_bit, most, spread, sum_of

COARSE_RANGE = 10  # samples at a quarter of the resolution
REACH, ABREAST, ACROSS = COARSE_RANGE + 1, 8, 24  # windows on one side; looked at at once; in a row, a multiple of that
FAR = 1 << 29
COARSE_ENOUGH = 2.0  # price of a step of vectors: what differs less is not searched
GOOD_ENOUGH = 10.0  # bits: a prediction that costs less is not searched further


def quarter_size(plane: np.ndarray, pad: int) -> np.ndarray:
    """A plane (padded by ``pad``) at a quarter of its size, without border, int32 sums of 16 samples / 16."""
    out = np.empty(((plane.shape[0] - 2 * pad) // 4, (plane.shape[1] - 2 * pad) // 4), np.int32)
    _shrink(plane, pad, out)
    return out


@compiled
def _shrink(plane, pad, out):
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            total = 8
            for i in range(4):
                for j in range(4):
                    total += plane[place(pad + 4 * r + i), place(pad + 4 * c + j)]
            out[r, c] = total >> 4


def coarse_search(
    current: np.ndarray,
    reference: np.ndarray,
    price: float,
    begin: int,
    end: int,
    out: np.ndarray,
    sums: np.ndarray | None = None,
) -> int:
    """Vector (quarter pixels, out (R, C, 2)) of each 16x16 block of rows begin..end-1 at a quarter of the resolution:
    the best of every other position for the 8x8 windows around it, then of those around that; returns the sum of the
    windows' absolute differences. sums: `window_sums` of the reference, if they are known."""
    sums = window_sums(reference) if sums is None else sums
    return int(_coarse_search(current, reference, sums, price, begin, end, out))


def window_sums(small: np.ndarray) -> np.ndarray:
    """Sums of the 4x4 samples of a plane (H, W) int32 from each one on, where there are as many: int32."""
    sums = np.zeros_like(small)
    _add_up(small, sums)
    return sums


@compiled
def _add_up(small, sums):
    for r in range(small.shape[0] - 3):
        for c in range(small.shape[1] - 3):
            sums[r, c] = _sum_of_16(small, r, c)


@compiled
def _quarters_apart(sums, row, column, s0, s1, s2, s3):
    """How much the quarters of an 8x8 window differ in their sums from others: its samples differ as much or more."""
    return (
        abs(sums[place(row), place(column)] - s0) + abs(sums[place(row), place(column + 4)] - s1)
        + abs(sums[place(row + 4), place(column)] - s2) + abs(sums[place(row + 4), place(column + 4)] - s3)
    )  # fmt: skip


@compiled
def _sum_of_16(plane, row, column):
    across = np.int32(0)
    for i in range(4):
        for j in range(4):
            across += plane[place(row + i), place(column + j)]
    return across


@compiled
def _coarse_search(current, reference, sums, price, begin, end, out):
    """See `coarse_search`."""
    rows, columns = current.shape
    height, width = min(8, rows), min(8, columns)
    apart, whole = np.int64(0), height == 8 and width == 8
    s0 = s1 = s2 = s3 = np.int32(0)
    steps = scratch((REACH, ACROSS), np.int32)
    for dy in range(REACH):
        for n in range(ACROSS):
            dx = n - COARSE_RANGE
            steps[dy, n] = np.int32(price * (abs(dx) + dy)) if dx % 2 == 0 and dx <= COARSE_RANGE else FAR
    for r in range(begin, end):
        for c in range(out.shape[1]):
            top, left = max(0, min(4 * r - 2, rows - 8)), max(0, min(4 * c - 2, columns - 8))
            best = _window_cost(current, reference, top, left, top, left, height, width, 1 << 30)
            by = bx = 0
            if whole:
                s0, s1 = _sum_of_16(current, top, left), _sum_of_16(current, top, left + 4)
                s2, s3 = _sum_of_16(current, top + 4, left), _sum_of_16(current, top + 4, left + 4)
            for n in range(2):  # what blocks on the left and above found, so that less is looked at to the end
                if (c if n == 0 else r - begin) == 0:
                    continue
                dy, dx = out[r - n, c - 1 + n, 1] >> 4, out[r - n, c - 1 + n, 0] >> 4
                i, j = top + dy, left + dx
                if best > price * COARSE_ENOUGH and min(i, j) >= 0 and i <= rows - height and j <= columns - width:
                    cost = np.int32(price * (abs(dx) + abs(dy)))
                    cost += _window_cost(current, reference, top, left, i, j, height, width, best - cost)
                    if cost < best:
                        best, by, bx = cost, dy, dx
            if best > price * COARSE_ENOUGH:
                inside = whole and left >= COARSE_RANGE and left - COARSE_RANGE + ACROSS + 4 <= columns
                if inside:
                    for dy in range(-COARSE_RANGE, COARSE_RANGE + 1, 2):
                        if 0 <= top + dy <= rows - 8:
                            found, dx = _best_across(
                                current, reference, sums, steps, top, left, dy, s0, s1, s2, s3, np.int32(best)
                            )
                            if found < best:
                                best, by, bx = found, dy, dx
                for stride in range(1 if inside else 2, 0, -1):
                    around, cy, cx = (COARSE_RANGE, 0, 0) if stride == 2 else (1, by, bx)
                    for dy in range(cy - around, cy + around + 1, stride):
                        for dx in range(cx - around, cx + around + 1, stride):
                            i, j = top + dy, left + dx
                            if min(i, j) < 0 or i > rows - height or j > columns - width:
                                continue
                            cost = np.int32(price * (abs(dx) + abs(dy)))
                            if whole and cost + _quarters_apart(sums, i, j, s0, s1, s2, s3) >= best:
                                continue
                            cost += _window_cost(current, reference, top, left, i, j, height, width, best - cost)
                            if cost < best:
                                best, by, bx = cost, dy, dx
            out[r, c, 0], out[r, c, 1] = 16 * bx, 16 * by
            apart += best
    return apart


@compiled
def _best_across(current, reference, sums, steps, top, left, dy, s0, s1, s2, s3, best):
    """The least cost, or ``best`` if none is below that, of every other window in a row around one at (top, left), and
    how far it is to the side. s0..s3: sums of the quarters of that; steps (REACH, ACROSS): price of vectors, FAR of
    those that are not wanted."""
    i, j, at = top + dy, left - COARSE_RANGE, 0
    for first in range(0, ACROSS, ABREAST):
        apart = load(steps, (abs(dy), first), ABREAST)
        apart = apart + _away(load(sums, (i, j + first), ABREAST), s0)
        apart = apart + _away(load(sums, (i, j + first + 4), ABREAST), s1)
        apart = apart + _away(load(sums, (i + 4, j + first), ABREAST), s2)
        apart = apart + _away(load(sums, (i + 4, j + first + 4), ABREAST), s3)
        promising = above(spread(np.int32(0), ABREAST) - apart, np.int32(-best))
        while promising:
            n = first + lowest_bit(promising)
            promising &= promising - np.uint64(1)
            cost = steps[abs(dy), n] + _absolute_8(current, top, left, reference, i, j + n)
            if cost < best:
                best, at = cost, n - COARSE_RANGE
    return best, at


@compiled
def _away(sums, other):
    """Absolute differences to a number."""
    apart = sums - other
    return most(apart, spread(np.int32(0), ABREAST) - apart)


@compiled
def _window_cost(current, reference, top, left, row, column, height, width, limit):
    """Sum of absolute differences of two windows, or of so many of their rows that it is above limit."""
    if height == 8 and width == 8:
        return _absolute_8(current, top, left, reference, row, column)
    apart = np.int32(0)
    for i in range(height):
        if apart > limit:
            break
        for j in range(width):
            a = current[place(top + i), place(left + j)]
            apart += np.int32(abs(np.int32(a - reference[place(row + i), place(column + j)])))
    return apart


# roughly the bits of a component of a vector difference, and half of those of "it is a new vector"
COMPONENT_BITS = np.array([1, *(2 * np.log2(np.arange(1, 2 * MAX_VECTOR + 1)) + 3)], np.float32)


@compiled
def vector_bits(x, y):
    """Roughly the bits of a vector difference."""
    last = len(COMPONENT_BITS) - 1
    return COMPONENT_BITS[min(abs(x), last)] + COMPONENT_BITS[min(abs(y), last)]


def _absolute(size: int) -> Callable[..., Any]:
    """Sum of absolute differences of two squares of so many rows and columns."""

    @compiled
    def cost(one, top, left, other, row, column):  # type: ignore[no-untyped-def]
        a, b = load(one, (top, left), size), load(other, (row, column), size)
        differences = most(a, b) - least(a, b)  # sums of 16 fit 16 bits
        for i in range(1, size):
            a, b = load(one, (top + i, left), size), load(other, (row + i, column), size)
            differences = differences + (most(a, b) - least(a, b))
        return sum_of(as_int32(differences))

    return cost


_absolute_16, _absolute_8 = _absolute(16), _absolute(8)


@compiled
def _whole_cost(current, reference, top, left, size, x, y):
    """Sum of absolute differences at a whole-pixel vector."""
    height, width = reference.shape
    row = min(max(top + PAD + y, 4), height - size - 5)
    column = min(max(left + PAD + x, 4), width - size - 5)
    if size == 16:
        return _absolute_16(current, top, left, reference, row, column)
    return _absolute_8(current, top, left, reference, row, column)


@compiled
def _fraction_cost(current, reference, top, left, size, x, y, prices):
    """Hadamard cost at a quarter-pixel vector."""
    block, difference = scratch((16, 16), np.int32), scratch((16, 16), np.int32)
    luma_block(reference, PAD, top, left, size, x, y, block)
    mix(current, top, left, size, block, block, FIRST, difference)
    return hadamard_cost(difference, size, prices)


@compiled
def _lowest(before, here, after):
    """Where a parabola through three costs a sample apart is lowest, in quarters, at most half a sample away."""
    bend = before + after - 2 * here
    if bend <= 0 or before <= 0:
        return 0
    return int(min(max(np.rint(2 * (before - after) / bend), -2), 2))


@compiled
def _is_known(starts, k, x, y):
    """Whether one of the first k starting vectors is the same in whole pixels."""
    known = False
    for n in range(k):
        known |= (starts[n, 0] + 2) >> 2 == x and (starts[n, 1] + 2) >> 2 == y
    return known


@compiled
def _refine(current, reference, top, left, size, starts, count, near, sad_price, price, prices, rounds, finely, out):
    """The best vector around a few starting ones; finely: or around ``near``, with fractions; out: x, y, cost
    (float64)."""
    best, bx, by, sides = 1e30, 0, 0, zeroed(4, np.float64)
    last, lx, ly = 1e30, MAX_VECTOR, MAX_VECTOR  # where it was before, far from everything at first
    for k in range(count):
        x, y = (starts[k, 0] + 2) >> 2, (starts[k, 1] + 2) >> 2
        if _is_known(starts, k, x, y):
            continue
        cost = _whole_cost(current, reference, top, left, size, x, y) + sad_price * vector_bits(
            4 * x - near[0], 4 * y - near[1]
        )
        if cost < best:
            best, bx, by = cost, x, y
    for _ in range(rounds):
        cx, cy, here = bx, by, best
        for n in range(4):
            x, y = cx + (1 if n == 0 else -1 if n == 1 else 0), cy + (1 if n == 2 else -1 if n == 3 else 0)
            if x == lx and y == ly:
                cost = last
            else:
                cost = _whole_cost(current, reference, top, left, size, x, y)
                cost += sad_price * vector_bits(4 * x - near[0], 4 * y - near[1])
            sides[n] = cost
            if cost < best:
                best, bx, by = cost, x, y
        if bx == cx and by == cy:
            break
        last, lx, ly = here, cx, cy
        for n in range(4):
            sides[n] = 0
    # where parabolas through the costs on both sides are lowest, in quarters
    dx, dy = _lowest(sides[1], best, sides[0]), _lowest(sides[3], best, sides[2])
    bx, by, best, first_stride = 4 * bx, 4 * by, 1e30, 2
    if finely:  # whole samples around ``near`` were searched already
        best = _fraction_cost(current, reference, top, left, size, np.int64(near[0]), np.int64(near[1]), prices)
        best += price * vector_bits(0, 0)
        first_stride = 1
    if not finely or max(abs(bx - near[0]), abs(by - near[1])) >= 4:
        cost = _fraction_cost(current, reference, top, left, size, bx, by, prices)
        cost += price * vector_bits(bx - near[0], by - near[1])
        if cost < best:
            best, first_stride = cost, 2
            if dx or dy:
                cost = _fraction_cost(current, reference, top, left, size, bx + dx, by + dy, prices)
                cost += price * vector_bits(bx + dx - near[0], by + dy - near[1])
                if cost < best:
                    best, bx, by = cost, bx + dx, by + dy
            if sides[0] > 0:
                first_stride = 1
        else:
            bx, by = np.int64(near[0]), np.int64(near[1])
    else:
        bx, by = np.int64(near[0]), np.int64(near[1])
    if best > price * GOOD_ENOUGH:
        for stride in range(first_stride, 0, -1):
            # the better of left and right, of up and down, and what both together give
            cx, cy, dx, dy = bx, by, 0, 0
            across = down = 1e30
            for n in range(5):
                if n < 2:
                    x, y = cx + (stride if n else -stride), cy
                elif n < 4:
                    x, y = cx, cy + (stride if n == 3 else -stride)
                else:
                    x, y = cx + dx, cy + dy
                cost = _fraction_cost(current, reference, top, left, size, x, y, prices)
                cost += price * vector_bits(x - near[0], y - near[1])
                if n < 2 and cost < across:
                    across, dx = cost, x - cx
                elif 2 <= n < 4 and cost < down:
                    down, dy = cost, y - cy
                if cost < best:
                    best, bx, by = cost, x, y
    out[0] = min(max(bx, -MAX_VECTOR), MAX_VECTOR)
    out[1] = min(max(by, -MAX_VECTOR), MAX_VECTOR)
    out[2] = best


@compiled
def search(current, reference, coarse, before, sad_price, price, prices, split_from, whole, quarters):
    """Motion of each 16x16 block, and of its quarters if it costs ``split_from`` bits and more, towards one reference.

    current: (H, W) uint16; reference: padded luma; coarse: (R, C, 2) of `coarse_search`; before: (2R, 2C, 2) an earlier
    field, to begin with; sad_price, price: absolute difference and squared steps that a bit is worth; prices:
    `price_curve`; whole: (R, C, 3) float64 x, y, cost; quarters: (2R, 2C, 3) float64.
    """
    rows, columns = coarse.shape[:2]
    starts, near, found = zeroed((7, 2), np.int32), zeroed(2, np.int32), zeroed(3, np.float64)
    for r in range(rows):
        for c in range(columns):
            for k in range(2):
                starts[1, k], starts[2, k] = coarse[r, c, k], before[2 * r, 2 * c, k]
            count = 3
            near[0] = near[1] = 0
            for n in range(3):
                nr, nc = (r, c - 1) if n == 0 else (r - 1, c) if n == 1 else (r - 1, c + 1)
                if nr >= 0 and 0 <= nc < columns:
                    starts[count, 0], starts[count, 1] = np.int32(whole[nr, nc, 0]), np.int32(whole[nr, nc, 1])
                    count += 1
            if count == 6:
                near[0] = sorted_middle(starts[3, 0], starts[4, 0], starts[5, 0])
                near[1] = sorted_middle(starts[3, 1], starts[4, 1], starts[5, 1])
            elif count > 3:
                near[0], near[1] = starts[3, 0], starts[3, 1]
            _refine(
                current, reference, 16 * r, 16 * c, 16, starts, count, near, sad_price, price, prices, 12, False, found
            )
            for k in range(3):
                whole[r, c, k] = found[k]
            if found[2] < price * split_from:
                for k in range(4):
                    i, j = 2 * r + (k >> 1), 2 * c + (k & 1)
                    quarters[i, j, 0], quarters[i, j, 1], quarters[i, j, 2] = found[0], found[1], found[2] / 4
                continue
            near[0], near[1] = np.int32(found[0]), np.int32(found[1])
            starts[count, 0], starts[count, 1] = near[0], near[1]
            for k in range(4):
                i, j = 2 * r + (k >> 1), 2 * c + (k & 1)
                _refine(
                    current, reference, 8 * i, 8 * j, 8, starts, count + 1, near, sad_price, price, prices, 2, True,
                    quarters[i, j],
                )  # fmt: skip


@compiled
def sorted_middle(a, b, c):
    """The median of three."""
    return max(min(a, b), min(max(a, b), c))


@compiled
def costs_alone(current, prices, out):
    """Roughly what each 16x16 block, out (R, C), costs without other pictures: the Hadamard cost of its difference to
    its mean, the row above or the column on the left, whichever is least. current: (H, W) uint16; prices:
    `price_curve`."""
    difference = scratch((16, 16), np.int32)
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            total = np.int32(0)
            for i in range(16):
                for j in range(16):
                    total += np.int32(current[place(16 * r + i), place(16 * c + j)])
            out[r, c] = 1e30
            for side in range(3):
                if (side == 1 and r == 0) or (side == 2 and c == 0):
                    continue
                for i in range(16):
                    for j in range(16):
                        expected = np.int32((total + 128) >> 8)
                        if side == 1:
                            expected = np.int32(current[place(16 * r - 1), place(16 * c + j)])
                        elif side == 2:
                            expected = np.int32(current[place(16 * r + i), place(16 * c - 1)])
                        difference[i, j] = np.int32(current[place(16 * r + i), place(16 * c + j)]) - expected
                out[r, c] = min(out[r, c], hadamard_cost(difference, 16, prices))
