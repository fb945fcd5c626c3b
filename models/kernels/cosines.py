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
from nvcodec.vectors import load, store


def _order(transform: int) -> np.ndarray:
    """Where each coefficient of a transform stands among those of its components, one component after the other."""
    sides = SIDES[transform]
    first = np.cumsum([0, *(n * n for n in sides)])
    return np.array([first[c] + a * sides[c] + b for c, a, b in frequency_order(transform)], np.uint16)


ORDERS = tuple(_order(transform) for transform in range(len(SIDES)))


TOGETHER = 4  # rows that are reckoned at once


def _cosine_square(rows: np.ndarray) -> Callable[..., None]:
    """Transform of squares by cosines, the lowest of each size, (kept, side): downwards and then across."""
    kept, side = rows.shape
    down, across = np.ascontiguousarray(rows, np.float32), np.ascontiguousarray(rows.T, np.float32)

    @compiled
    def square(samples, first, stride, out, at):  # type: ignore[no-untyped-def]
        """Of the square whose rows of samples begin ``stride`` apart, row by row into out[at ...]."""
        between = scratch((kept, side), np.float32)
        for k in range(0, kept, TOGETHER):
            row = load(samples, first, side)
            a, b, c, d = row * down[k, 0], row * down[k + 1, 0], row * down[k + 2, 0], row * down[k + 3, 0]
            for i in range(1, side):
                row, n = load(samples, first + stride * i, side), place(i)
                a, b = a + row * down[k, n], b + row * down[k + 1, n]
                c, d = c + row * down[k + 2, n], d + row * down[k + 3, n]
            store(between, (k, 0), a)
            store(between, (k + 1, 0), b)
            store(between, (k + 2, 0), c)
            store(between, (k + 3, 0), d)
        for k in range(0, kept, TOGETHER):
            row = load(across, (0, 0), kept)
            a, b = row * between[k, 0], row * between[k + 1, 0]
            c, d = row * between[k + 2, 0], row * between[k + 3, 0]
            for j in range(1, side):
                row, n = load(across, (j, 0), kept), place(j)
                a, b = a + row * between[k, n], b + row * between[k + 1, n]
                c, d = c + row * between[k + 2, n], d + row * between[k + 3, n]
            store(out, at + kept * k, a)
            store(out, at + kept * (k + 1), b)
            store(out, at + kept * (k + 2), c)
            store(out, at + kept * (k + 3), d)

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
