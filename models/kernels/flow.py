# SPDX-License-Identifier: Apache-2.0
"""Motion that two predictions of one block still have against each other.

Where a frame lies midway between its references, what one prediction is off in one direction the other is off in the
other. The two are compared square by square, and each is moved towards the other: bidirectional optical flow, after
H.266 (8.5.6.5), but with least squares in place of signs, and for chroma, too.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, place, scratch
from nvcodec.models.depth import LARGEST

SQUARE = 4  # samples of luma that move together
COARSE_BITS = 12  # predictions are compared in whole sample values
UNITS = 64  # of a sample: precision of motion
LIMIT = 64  # the most that is believed, in units
NOISE = np.int64(64 * 8 * 8)  # added to squared gradients of 64 samples: less contrast is not believed


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
def find_flow(a, b, size, found):
    """How far two luma predictions (at 4096 times the sample) would have to move towards each other: found (4, 4, 2),
    x and y of each square. Returns the sum of their absolute differences, in sample values."""
    total, apart = scratch((16, 16), np.int32), scratch((16, 16), np.int32)
    across, down = scratch((16, 16), np.int32), scratch((16, 16), np.int32)
    pairs, sums = scratch((5, 8, 16), np.int32), scratch((5, 16), np.int32)  # of two rows, of all rows of a window
    difference = np.int32(0)
    low, high = np.int32(0), np.int32(LARGEST)  # so that sums below fit 32 bits, products 63
    for i in range(size):
        for j in range(size):
            first = min(max(a[i, j] >> COARSE_BITS, low), high)
            second = min(max(b[i, j] >> COARSE_BITS, low), high)
            total[i, j], apart[i, j] = np.int32(first + second), np.int32(second - first)
            difference += np.int32(abs(apart[i, j]))
    _slopes(total, size, across, down)
    half = size // 2
    for i in range(half):
        for j in range(size):
            one, other = place(2 * i), place(2 * i + 1)
            x, y, d = across[one, j], down[one, j], apart[one, j]
            x2, y2, d2 = across[other, j], down[other, j], apart[other, j]
            pairs[0, i, j] = np.int32(x * x + x2 * x2)
            pairs[1, i, j] = np.int32(x * y + x2 * y2)
            pairs[2, i, j] = np.int32(y * y + y2 * y2)
            pairs[3, i, j] = np.int32(x * d + x2 * d2)
            pairs[4, i, j] = np.int32(y * d + y2 * d2)
    for r in range(size // SQUARE):
        for n in range(5):
            for j in range(size):
                sums[n, j] = np.int32(pairs[n, place(2 * r), j] + pairs[n, place(2 * r + 1), j])
            if r > 0:
                for j in range(size):
                    sums[n, j] += pairs[n, place(2 * r - 1), j]
            if 2 * r + 2 < half:
                for j in range(size):
                    sums[n, j] += pairs[n, place(2 * r + 2), j]
        for c in range(size // SQUARE):
            xx = xy = yy = xd = yd = np.int64(0)
            for j in range(max(4 * c - 2, 0), min(4 * c + 6, size)):
                at = place(j)
                xx += sums[0, at]
                xy += sums[1, at]
                yy += sums[2, at]
                xd += sums[3, at]
                yd += sums[4, at]
            xx += NOISE
            yy += NOISE
            # 2 / UNITS of the solution's denominator, which is positive: xx yy > xy^2
            below = (xx * yy - xy * xy) // (2 * UNITS) + 1
            found[r, c, 0] = min(max((yy * xd - xy * yd) // below, -LIMIT), LIMIT)
            found[r, c, 1] = min(max((xx * yd - xy * xd) // below, -LIMIT), LIMIT)
    return difference


@compiled
def mean_flow(size, found):
    """What `find_flow` found, on average, in quarters of a sample: x and y."""
    n = size // SQUARE
    x = y = np.int32(0)
    for r in range(n):
        for c in range(n):
            x += found[r, c, 0]
            y += found[r, c, 1]
    unit = UNITS // 4 * n * n
    return np.int32((x + unit // 2) // unit), np.int32((y + unit // 2) // unit)


@compiled
def move(a, b, size, square, shift, found):
    """Add to a what both predictions together gain from moving by what `find_flow` found, square by square: half of the
    first-order term, since a mean of two that are moved by d from the truth has lost d^2 / 2 of its second derivative,
    and the whole term would put twice as much in its place. ``shift``: of units of motion."""
    apart, across, down = scratch((16, 16), np.int32), scratch((16, 16), np.int32), scratch((16, 16), np.int32)
    for i in range(size):
        for j in range(size):
            apart[i, j] = np.int32((a[i, j] - b[i, j]) >> 2)
    _slopes(apart, size, across, down)
    xs, ys = scratch(16, np.int32), scratch(16, np.int32)
    for r in range(size // square):
        for j in range(size):
            xs[j], ys[j] = found[r, j // square, 0], found[r, j // square, 1]
        for i in range(square * r, square * (r + 1)):
            for j in range(size):
                # Predictions lie between -1.04 and 2.04 times 1023 << 12, so slopes of a quarter of their difference
                # are below 2^23.61, and 64 times the sum of two below 2^30.61.
                a[i, j] += np.int32(np.int32(xs[j] * across[i, j]) + np.int32(ys[j] * down[i, j])) >> shift
