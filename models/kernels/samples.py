# SPDX-License-Identifier: Apache-2.0
"""What is done with each sample of planes: rounded to what goes out, compared."""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled
from nvcodec.models.depth import EXTRA_BITS


def narrow(plane: np.ndarray) -> np.ndarray:
    """A plane outside, uint8, of one inside, (H, W) uint16, rounded."""
    out = np.empty(plane.shape, np.uint8)
    _narrow(plane, out)
    return out


@compiled
def _narrow(plane, out):
    half, bits, largest = np.uint16(1 << (EXTRA_BITS - 1)), np.uint16(EXTRA_BITS), np.uint16(255)
    for i in range(plane.shape[0]):
        for j in range(plane.shape[1]):
            out[i, j] = np.uint8(min(np.uint16(np.uint16(plane[i, j] + half) >> bits), largest))


def apart_from_means(plane: np.ndarray) -> float:
    """Sum of the absolute differences of the samples (H, W) int32 of all whole 4x4 squares to the means of these."""
    return _apart_from_means(plane) / 16


@compiled
def _apart_from_means(plane):
    total = np.int64(0)
    for i in range(0, plane.shape[0] - 3, 4):
        for j in range(0, plane.shape[1] - 3, 4):
            square = np.int32(0)
            for k in range(4):
                for n in range(4):
                    square += plane[i + k, j + n]
            for k in range(4):
                for n in range(4):
                    total += abs(np.int32(16 * plane[i + k, j + n] - square))
    return total


def mean_squared_error(a: np.ndarray, b: np.ndarray) -> float:
    """Of two planes (H, W), uint16 with values as inside."""
    return _squared_error(a, b) / a.size


@compiled
def _squared_error(a, b):
    total = np.int64(0)
    for i in range(a.shape[0]):
        row = np.int64(0)
        for j in range(a.shape[1]):
            difference = np.int32(np.int32(a[i, j]) - np.int32(b[i, j]))
            row += np.int32(difference * difference)
        total += row
    return total
