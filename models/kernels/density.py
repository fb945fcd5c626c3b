# SPDX-License-Identifier: Apache-2.0
"""How many latents lie where in frequency, for each 8x8 quarter of a block: what squares of different transforms can
tell each other.

A coefficient of an orthonormal transform is about as large as that of another size at the same frequency. So the
magnitudes of a square are summed up in bins of frequency, 4 x 4 of luma and 2 x 2 of U and V, per coefficient of a bin;
its neighbours, whatever their transforms, and the frame coded next look there.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, zeroed
from nvcodec.models.transform import SIDES, frequency_order

BINS = 24
DENSITIES = 16  # classes of densities
COARSE, FINE, TINY, LARGE = range(4)
_MOST = 7  # of a magnitude
_PER_LATENT = np.array([4, 16, 16, 1], np.int64)  # what one adds, 64ths per coefficient of its bin
_CLASSES = np.searchsorted(
    np.array([1, 9, 17, 33, 49, 73, 97, 145, 193, 289, 385, 577, 865, 1300, 1900]), np.arange(1901), side="right"
)


def _bins() -> np.ndarray:
    """(4, 384) bin of each latent of each transform, of a tiny one as they are interleaved."""
    bins = np.zeros((4, 384), np.int64)
    for kind, transform in ((COARSE, 0), (FINE, 1), (LARGE, 4)):
        for k, (component, a, b) in enumerate(frequency_order(transform)):
            side = SIDES[transform][component] * (2 if kind == LARGE else 1)  # which keeps the lower half
            bins[kind, k] = _bin(component, a / side, b / side)
    for k, (_, a, b) in enumerate(frequency_order(2)):
        bins[TINY, 6 * k + np.arange(4)] = _bin(0, a / 4, b / 4)
    for k, (component, a, b) in enumerate(frequency_order(3)):
        bins[TINY, 6 * (k >> 1) + 4 + (k & 1)] = _bin(component, a / 4, b / 4)
    return bins


def _bin(component: int, a: float, b: float) -> int:
    """Of a component (luma, U, V) and frequencies from 0 to 1."""
    if component:
        return 12 + 4 * component + 2 * int(2 * a) + int(2 * b)
    return 4 * int(4 * a) + int(4 * b)


BIN = _bins()


def no_densities(rows: int, columns: int) -> np.ndarray:
    """(2R, 2C, BINS) int16 of R x C blocks without latents."""
    return np.zeros((2 * rows, 2 * columns, BINS), np.int16)


@compiled
def width_of(transform):
    """Of a square in quarters."""
    return 4 if transform == LARGE else 2 if transform == COARSE else 1


@compiled
def add_density(density, transform, symbols, r, c, q):
    """Note the latents of a square, quarter q of block (r, c), or the whole of it or of its unit (q is 0)."""
    sums, width = zeroed(BINS, np.int64), width_of(transform)
    for k in range(96 if width == 1 else 384):
        value = abs(np.int64(symbols[r, c, 4 * k + q if width == 1 else k]))
        if value:
            sums[BIN[transform, k]] += min(value, _MOST) * _PER_LATENT[transform]
    top, left = 2 * r + (q >> 1), 2 * c + (q & 1)
    for i in range(top, min(top + width, density.shape[0])):
        for j in range(left, min(left + width, density.shape[1])):
            for b in range(BINS):
                density[i, j, b] = sums[b]


@compiled
def classes_around(density, top, left, width, out):
    """Class of the density of each bin, (BINS,), around a square of quarters: of those on its left and above, which
    count twice, and at the corners."""
    right, last_row, last_column = left + width, density.shape[0] - 1, density.shape[1] - 1
    for b in range(BINS):
        beside = corners = np.int64(0)
        if left > 0:
            for i in range(top, top + width):
                beside += density[min(i, last_row), left - 1, b]
        if top > 0:
            for j in range(left, right):
                beside += density[top - 1, min(j, last_column), b]
            corners += density[top - 1, left - 1, b] if left > 0 else 0
            corners += density[top - 1, right, b] if right <= last_column else 0
        out[b] = _CLASSES[min(2 * beside // width + corners, 1900)]


@compiled
def classes_here(density, top, left, width, out):
    """Class of the density of each bin, (BINS,), of a square of quarters in another frame."""
    last_row, last_column = density.shape[0] - 1, density.shape[1] - 1
    for b in range(BINS):
        total = np.int64(0)
        for i in range(top, top + width):
            for j in range(left, left + width):
                total += density[min(i, last_row), min(j, last_column), b]
        out[b] = _CLASSES[min(6 * total // (width * width), 1900)]
