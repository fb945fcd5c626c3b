# SPDX-License-Identifier: Apache-2.0
"""The encoder's filter along motion: what neighbouring frames agree on is kept, noise that each has of its own is not.

A frame that many others are predicted from is worth more without its noise, which none of them repeats. As in the
temporal filter of the H.266 reference encoder (JVET-O0549) weights fall with the differences of samples and of squares;
unlike there, both as exponentials.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, place, scratch
from nvcodec.models.depth import LARGEST

MOST = 16  # other pictures
_DIFFERENCES = LARGEST + 1


@compiled(fastmath=True)
def blend(picture, moved, strengths, deviation, tolerance, side, begin, end, out):
    """Weighted mean of a plane and others moved onto it, in squares of rows begin..end-1 of squares.

    picture, out: (H, W) uint16; moved: (N, H, W) uint16, N up to MOST; strengths: (N,) float32 weights beside the
    picture's 1; deviation: of samples that still count (their weight is a Gaussian's); tolerance: mean squared
    difference of a square at which its weight has fallen to 1/e; side: samples of a square.
    """
    columns = picture.shape[1] // side
    weights = scratch(MOST, np.float32)
    by_difference = scratch(_DIFFERENCES, np.float32)
    for d in range(_DIFFERENCES):
        by_difference[d] = np.exp(np.float32(-0.5 * d * d / (deviation * deviation)))
    for r in range(begin, end):
        for c in range(columns):
            for n in range(len(moved)):
                total = np.int32(0)
                for i in range(side):
                    for j in range(side):
                        row, column = place(side * r + i), place(side * c + j)
                        d = np.int32(np.int32(picture[row, column]) - np.int32(moved[n, row, column]))
                        total += np.int32(d * d)
                weights[n] = strengths[n] * np.exp(-np.float32(total) / np.float32(side * side * tolerance))
            for i in range(side):
                for j in range(side):
                    row, column = place(side * r + i), place(side * c + j)
                    here = np.int32(picture[row, column])
                    total_weight, mean = np.float32(1), np.float32(here)
                    for n in range(len(moved)):
                        there = np.int32(moved[n, row, column])
                        weight = weights[n] * by_difference[abs(there - here)]
                        total_weight += weight
                        mean += weight * np.float32(there)
                    out[row, column] = np.uint16(mean / total_weight + np.float32(0.5))
