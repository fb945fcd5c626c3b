# SPDX-License-Identifier: Apache-2.0
"""Prediction of chroma from the luma of the same square, by a line through what is known around it (the cross-component
linear model of ITU-T H.266, 8.4.5.2.14; by least squares over all neighbours in place of four of them, and each sample
of chroma sees the mean of four of luma).
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, scratch
from nvcodec.models.depth import LARGEST, MIDDLE

SLOPE_BITS = 8
MAX_SLOPE = 4 << SLOPE_BITS
NOISE = 32  # of luma, squared: where it varies no more, it says little
_SUM_BITS = 2  # of four samples


@compiled
def _luma_at(y, i, j):
    """Luma at chroma sample (i, j): the sum of four samples."""
    row, column = 2 * i, 2 * j
    return (
        np.int64(y[row, column]) + np.int64(y[row, column + 1])
        + np.int64(y[row + 1, column]) + np.int64(y[row + 1, column + 1])
    )  # fmt: skip


@compiled
def predict_from_luma(y, u, v, ready, row, column, units):
    """Write the prediction of the chroma of a square of 4x4 luma units, whose luma is reconstructed, into its planes.

    ready: (4R, 4C) uint8, which 4x4 luma squares are reconstructed; row, column, units: place and size in those.
    """
    size, top, left = 2 * units, 2 * row, 2 * column
    above = before = 0
    if row > 0:
        while above < units and column + above < ready.shape[1] and ready[row - 1, column + above]:
            above += 1
    if column > 0:
        while before < units and row + before < ready.shape[0] and ready[row + before, column - 1]:
            before += 1
    above, before = 2 * above, 2 * before
    count, sum_l, sum_u, sum_v = above + before, np.int64(0), np.int64(0), np.int64(0)
    sum_ll, sum_lu, sum_lv = np.int64(0), np.int64(0), np.int64(0)
    for n in range(count):
        i, j = (top - 1, left + n) if n < above else (top + n - above, left - 1)
        luma, a, b = _luma_at(y, i, j), np.int64(u[i, j]), np.int64(v[i, j])
        sum_l += luma
        sum_u += a
        sum_v += b
        sum_ll += luma * luma
        sum_lu += luma * a
        sum_lv += luma * b
    spread = count * sum_ll - sum_l * sum_l + (NOISE << (2 * _SUM_BITS)) * count * count
    slopes, offsets, bits = scratch(2, np.int64), scratch(2, np.int64), SLOPE_BITS + _SUM_BITS
    for n in range(2):
        slopes[n], offsets[n] = 0, MIDDLE << bits
        if count:
            total, product = (sum_u, sum_lu) if n == 0 else (sum_v, sum_lv)
            slope = ((count * product - sum_l * total) << bits) // spread
            slopes[n] = min(max(slope, -MAX_SLOPE), MAX_SLOPE)
            offsets[n] = ((total << bits) - slopes[n] * sum_l) // count
        offsets[n] += 1 << (bits - 1)
    for i in range(top, top + size):
        for j in range(left, left + size):
            luma = _luma_at(y, i, j)
            u[i, j] = min(max((slopes[0] * luma + offsets[0]) >> bits, 0), LARGEST)
            v[i, j] = min(max((slopes[1] * luma + offsets[1]) >> bits, 0), LARGEST)
