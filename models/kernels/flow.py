# SPDX-License-Identifier: Apache-2.0
"""Motion that two predictions of one block still have against each other.

Where a frame lies midway between its references, what one prediction is off in one direction the other is off in the
other. The two are compared square by square, and each is moved towards the other: bidirectional optical flow, after
H.266 (8.5.6.5), but with least squares in place of signs, and for chroma, too.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, place

SQUARE = 4  # samples of luma that move together
COARSE_BITS = 10  # predictions are compared with quarters of a sample value
UNITS = 64  # of a sample: precision of motion
LIMIT = 64  # the most that is believed, in units
NOISE = np.int64(64 * 8 * 8)  # added to squared gradients of 64 samples: less contrast is not believed


@compiled
def room_for_flow():
    """Arrays that `find_flow` works in."""
    return (
        np.empty((16, 16), np.int32), np.empty((16, 16), np.int32), np.empty((16, 16), np.int32),
        np.empty((16, 16), np.int32), np.zeros((5, 8, 8), np.int32), np.zeros((4, 4, 2), np.int32),
    )  # fmt: skip


@compiled
def _slopes(values, size, across, down):
    """Differences of the samples on both sides, twice those to the one at an edge."""
    last = size - 1
    for i in range(size):
        for j in range(1, last):
            across[i, j] = values[i, place(j + 1)] - values[i, place(j - 1)]
        across[i, 0] = 2 * (values[i, 1] - values[i, 0])
        across[i, last] = 2 * (values[i, last] - values[i, last - 1])
    for i in range(1, last):
        for j in range(size):
            down[i, j] = values[place(i + 1), j] - values[place(i - 1), j]
    for j in range(size):
        down[0, j] = 2 * (values[1, j] - values[0, j])
        down[last, j] = 2 * (values[last, j] - values[last - 1, j])


@compiled
def find_flow(a, b, size, room):
    """How far two luma predictions (at 4096 times the sample) would have to move towards each other: in the last array
    of room (4, 4, 2), x and y of each square. Returns the sum of their absolute differences, in quarters of a sample
    value."""
    total, apart, across, down, sums, found = room
    difference = np.int32(0)
    low, high = np.int32(0), np.int32(255 << (12 - COARSE_BITS))  # so that sums below fit 32 bits, products 63
    for i in range(size):
        for j in range(size):
            first = min(max(a[i, j] >> COARSE_BITS, low), high)
            second = min(max(b[i, j] >> COARSE_BITS, low), high)
            total[i, j], apart[i, j] = np.int32(first + second), np.int32(second - first)
            difference += np.int32(abs(apart[i, j]))
    _slopes(total, size, across, down)
    half = size // 2
    for i in range(half):
        for j in range(half):
            xx = xy = yy = xd = yd = np.int32(0)
            for n in range(4):
                r, c = place(2 * i + (n >> 1)), place(2 * j + (n & 1))
                x, y, d = across[r, c], down[r, c], apart[r, c]
                xx += np.int32(x * x)
                xy += np.int32(x * y)
                yy += np.int32(y * y)
                xd += np.int32(x * d)
                yd += np.int32(y * d)
            sums[0, i, j], sums[1, i, j], sums[2, i, j], sums[3, i, j], sums[4, i, j] = xx, xy, yy, xd, yd
    for r in range(size // SQUARE):
        for c in range(size // SQUARE):
            xx = xy = yy = xd = yd = np.int64(0)
            for i in range(max(2 * r - 1, 0), min(2 * r + 3, half)):
                for j in range(max(2 * c - 1, 0), min(2 * c + 3, half)):
                    xx += sums[0, i, j]
                    xy += sums[1, i, j]
                    yy += sums[2, i, j]
                    xd += sums[3, i, j]
                    yd += sums[4, i, j]
            xx += NOISE
            yy += NOISE
            # 2 / UNITS of the solution's denominator, which is positive: xx yy > xy^2
            below = (xx * yy - xy * xy) // (2 * UNITS) + 1
            found[r, c, 0] = min(max((yy * xd - xy * yd) // below, -LIMIT), LIMIT)
            found[r, c, 1] = min(max((xx * yd - xy * xd) // below, -LIMIT), LIMIT)
    return difference


@compiled
def mean_flow(size, room):
    """What `find_flow` found, on average, in quarters of a sample: x and y."""
    found, n = room[5], size // SQUARE
    x = y = np.int32(0)
    for r in range(n):
        for c in range(n):
            x += found[r, c, 0]
            y += found[r, c, 1]
    unit = UNITS // 4 * n * n
    return np.int32((x + unit // 2) // unit), np.int32((y + unit // 2) // unit)


@compiled
def move(a, b, size, square, shift, room):
    """Add to a what both predictions together gain from moving by what `find_flow` found, square by square: half of the
    first-order term, since a mean of two that are moved by d from the truth has lost d^2 / 2 of its second derivative,
    and the whole term would put twice as much in its place. ``shift``: of units of motion, and 2."""
    apart, across, down, found = room[1], room[2], room[3], room[5]
    for i in range(size):
        for j in range(size):
            apart[i, j] = np.int32(a[i, j] - b[i, j])
    _slopes(apart, size, across, down)
    for r in range(size // square):
        for c in range(size // square):
            x, y = found[r, c, 0], found[r, c, 1]
            if x == 0 and y == 0:
                continue
            for i in range(square * r, square * (r + 1)):
                for j in range(square * c, square * (c + 1)):
                    a[i, j] += np.int32((np.int64(x) * across[i, j] + np.int64(y) * down[i, j]) >> shift)
