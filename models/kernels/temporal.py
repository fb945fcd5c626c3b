# SPDX-License-Identifier: Apache-2.0
"""The encoder's filter along motion: what neighbouring frames agree on is kept, noise that each has of its own is not.

A frame that many others are predicted from is worth more without its noise, which none of them repeats. As in the
temporal filter of the H.266 reference encoder (JVET-O0549) weights fall with the differences of samples and of squares;
unlike there, both as exponentials.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nvcodec.compiled import compiled, scratch
from nvcodec.vectors import as_float32, as_int32, as_uint16, load, most, spread, store, sum_of

MOST = 16  # other pictures
UNIT = 32  # luma samples of a unit
_LEAST = np.float32(0.002)  # weight of a square: what has less changes nothing that rounding leaves
_SQUARINGS = 6
_PARTS = np.float32(1 / (1 << _SQUARINGS))


def _blending(side: int) -> Callable[..., Any]:
    """`blend` in squares of one size."""
    log2 = 2 * (side.bit_length() - 1)

    @compiled
    def apart(picture, moved, n, top, left):  # type: ignore[no-untyped-def]
        """Squared error of a square."""
        total = spread(np.int32(0), side)
        for i in range(side):
            d = as_int32(load(picture, (top + i, left), side)) - as_int32(load(moved, (n, top + i, left), side))
            total = total + d * d
        return sum_of(total)

    @compiled
    def blended(picture, moved, strengths, deviation, tolerance, begin, end, out):  # type: ignore[no-untyped-def]
        weights, used = scratch(MOST, np.float32), scratch(MOST, np.int64)
        narrow = np.float32(0.5 / (deviation * deviation)) * _PARTS
        for r in range(begin, end):
            for c in range(picture.shape[1] // side):
                top, left, count = side * r, side * c, 0
                for n in range(len(moved)):
                    error = np.float32(apart(picture, moved, n, top, left)) / np.float32(1 << log2)
                    weight = strengths[n] * np.exp(-error / np.float32(tolerance))
                    if weight > _LEAST:
                        weights[count], used[count] = weight, n
                        count += 1
                for i in range(side):
                    here = as_float32(as_int32(load(picture, (top + i, left), side)))
                    total, mean = spread(np.float32(1), side), here
                    for k in range(count):
                        there = as_float32(as_int32(load(moved, (used[k], top + i, left), side)))
                        d = there - here
                        weight = most(np.float32(1) - d * d * narrow, np.float32(0))
                        for _ in range(_SQUARINGS):
                            weight = weight * weight
                        weight = weight * weights[k]
                        total = total + weight
                        mean = mean + weight * there
                    store(out, (top + i, left), as_uint16(as_int32(mean / total + np.float32(0.5))))

    return blended


_blend_8, _blend_4 = _blending(8), _blending(4)


@compiled
def blend(picture, moved, strengths, deviation, tolerance, side, begin, end, out):
    """Weighted mean of a plane and others moved onto it, in squares of rows begin..end-1 of squares.

    picture, out: (H, W) uint16; moved: (N, H, W) uint16, N up to MOST; strengths: (N,) float32 weights beside the
    picture's 1; deviation: of samples that still count (their weight is a Gaussian's, or the 64th power of a parabola
    that is next to it); tolerance: mean squared difference of a square at which its weight has fallen to 1/e; side:
    samples of a square, 8 or 4.
    """
    if side == 8:
        _blend_8(picture, moved, strengths, deviation, tolerance, begin, end, out)
    else:
        _blend_4(picture, moved, strengths, deviation, tolerance, begin, end, out)


@compiled
def unit_errors(picture, moved, out):
    """Sums of squared differences of two planes, (H, W) uint16, sides multiples of 16, in units: (ceil(H / UNIT),
    ceil(W / UNIT)) int64."""
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            out[r, c] = 0
    for i in range(picture.shape[0]):
        for j in range(0, picture.shape[1], 16):
            d = as_int32(load(picture, (i, j), 16)) - as_int32(load(moved, (i, j), 16))
            out[i // UNIT, j // UNIT] += sum_of(d * d)
