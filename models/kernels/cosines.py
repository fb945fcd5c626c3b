# SPDX-License-Identifier: Apache-2.0
"""Cosines in the place of learned transforms, for the encoder to judge by.

They are near to what is learned, and separable: a tenth of the work.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, place
from nvcodec.models.transform import SIDES, cosine_rows, frequency_order


def _pair(n: int) -> np.ndarray:
    """(2, n, n) float32 orthonormal cosines in rows, and in columns."""
    rows = cosine_rows(n)
    return np.ascontiguousarray(np.stack([rows, rows.T]), np.float32)


def _order(transform: int) -> np.ndarray:
    """Where each coefficient of a transform stands among those of its components, one component after the other."""
    sides = SIDES[transform]
    first = np.cumsum([0, *(n * n for n in sides)])
    return np.array([first[c] + a * sides[c] + b for c, a, b in frequency_order(transform)])


COSINES_16, COSINES_8, COSINES_4 = _pair(16), _pair(8), _pair(4)
ORDERS = tuple(_order(transform) for transform in range(len(SIDES)))


@compiled(fastmath=True)
def cosine_square(samples, first, stride, cosines, between, out, at):
    """Cosine transform of a square whose rows of samples begin ``stride`` apart, row by row into out[at ...]; cosines:
    (2, n, n), the second turned; between: room for (n, n)."""
    size = cosines.shape[1]
    for k in range(size):
        for j in range(size):
            between[k, j] = 0
        for i in range(size):
            factor, row = cosines[0, k, i], first + stride * i
            for j in range(size):
                between[k, j] += factor * samples[place(row + j)]
    for k in range(size):
        row = at + size * k
        for m in range(size):
            out[place(row + m)] = 0
        for j in range(size):
            value = between[k, j]
            for m in range(size):
                out[place(row + m)] += value * cosines[1, j, m]


@compiled
def in_order(values, order, scale, out):
    """Coefficients by frequency."""
    for k in range(len(order)):
        out[k] = values[order[k]] * scale


@compiled
def block_cosines(samples, scale, between, some, out):
    """Coefficients (384,) of the samples of a block; between: room for (16, 16), some: for 384."""
    cosine_square(samples, 0, 16, COSINES_16, between, some, 0)
    for plane in range(2):
        cosine_square(samples, 256 + 64 * plane, 8, COSINES_8, between, some, 256 + 64 * plane)
    in_order(some, ORDERS[0], scale, out)


@compiled
def quarter_cosines(samples, luma, luma_stride, chroma, chroma_stride, plane_stride, scale, between, some, out):
    """Coefficients (96,) of a quarter of a block: where its luma and chroma begin in ``samples``, and how far rows, and
    planes of chroma, are apart. ``some`` holds them as they are of each component."""
    cosine_square(samples, luma, luma_stride, COSINES_8, between, some, 0)
    for plane in range(2):
        cosine_square(samples, chroma + plane_stride * plane, chroma_stride, COSINES_4, between, some, 64 + 16 * plane)
    in_order(some, ORDERS[1], scale, out)
