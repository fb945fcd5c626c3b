# SPDX-License-Identifier: Apache-2.0
"""Cosines in the place of learned transforms, for the encoder to judge by.

They are near to what is learned, and separable: a tenth of the work.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nvcodec.compiled import compiled, place, scratch
from nvcodec.models.kernels.residual import COSINE_BITS, LARGE_CHROMA_COSINES, LARGE_COSINES
from nvcodec.models.transform import SIDES, cosine_rows, frequency_order


def _order(transform: int) -> np.ndarray:
    """Where each coefficient of a transform stands among those of its components, one component after the other."""
    sides = SIDES[transform]
    first = np.cumsum([0, *(n * n for n in sides)])
    return np.array([first[c] + a * sides[c] + b for c, a, b in frequency_order(transform)])


ORDERS = tuple(_order(transform) for transform in range(len(SIDES)))


def _cosine_square(rows: np.ndarray) -> Callable[..., None]:
    """Transform of squares by cosines, the lowest of each size, (kept, side): what is even about the middle and what is
    odd, each with half of the cosines and of the samples, downwards and then across."""
    kept, side = rows.shape
    half, half_kept = side // 2, kept // 2
    even, odd = (np.ascontiguousarray(rows[n::2, :half], np.float32) for n in range(2))
    even_across, odd_across = np.ascontiguousarray(even.T), np.ascontiguousarray(odd.T)

    @compiled(fastmath=True)
    def square(samples, first, stride, out, at):  # type: ignore[no-untyped-def]
        """Of the square whose rows of samples begin ``stride`` apart, row by row into out[at ...]."""
        sums, differences = scratch((half, side), np.float32), scratch((half, side), np.float32)
        between = scratch((kept, side), np.float32)
        for i in range(half):
            above, below = first + stride * i, first + stride * (side - 1 - i)
            for j in range(side):
                a, b = samples[place(above + j)], samples[place(below + j)]
                sums[i, j], differences[i, j] = a + b, a - b
        for k in range(half_kept):
            for j in range(side):
                same = opposite = np.float32(0)
                for i in range(half):
                    same += even[k, i] * sums[i, j]
                    opposite += odd[k, i] * differences[i, j]
                between[2 * k, j], between[2 * k + 1, j] = same, opposite
        for k in range(kept):
            row = at + kept * k
            for m in range(half_kept):
                same = opposite = np.float32(0)
                for j in range(half):
                    left, right = between[k, j], between[k, side - 1 - j]
                    same += even_across[j, m] * (left + right)
                    opposite += odd_across[j, m] * (left - right)
                out[place(row + 2 * m)], out[place(row + 2 * m + 1)] = same, opposite

    return square


cosines_16, cosines_8, cosines_4 = (_cosine_square(cosine_rows(side)) for side in (16, 8, 4))
large_cosines, large_chroma_cosines = (
    _cosine_square(rows / (1 << COSINE_BITS)) for rows in (LARGE_COSINES, LARGE_CHROMA_COSINES)
)


@compiled
def in_order(values, order, scale, out):
    """Coefficients by frequency."""
    for k in range(len(order)):
        out[k] = values[order[k]] * scale


@compiled
def block_cosines(samples, scale, out):
    """Coefficients (384,) of the samples of a block."""
    some = scratch(384, np.float32)
    cosines_16(samples, 0, 16, some, 0)
    for plane in range(2):
        cosines_8(samples, 256 + 64 * plane, 8, some, 256 + 64 * plane)
    in_order(some, ORDERS[0], scale, out)


@compiled
def quarter_cosines(samples, luma, luma_stride, chroma, chroma_stride, plane_stride, scale, out):
    """Coefficients (96,) of a quarter of a block: where its luma and chroma begin in ``samples``, and how far rows, and
    planes of chroma, are apart."""
    some = scratch(96, np.float32)
    cosines_8(samples, luma, luma_stride, some, 0)
    for plane in range(2):
        cosines_4(samples, chroma + plane_stride * plane, chroma_stride, some, 64 + 16 * plane)
    in_order(some, ORDERS[1], scale, out)
