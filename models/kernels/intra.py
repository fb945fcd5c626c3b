# SPDX-License-Identifier: Apache-2.0
"""Prediction of a block from the samples around it: the 35 modes of H.265 (ITU-T H.265, 8.4.4.2).

Mode 0 is planar, 1 the mean, 2 to 34 angles. Unlike there the mean and the straight modes do not smooth their first row
and column, and chroma always follows luma.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled

PLANAR, MEAN, HORIZONTAL, VERTICAL = 0, 1, 10, 26
MODES = 35
_ANGLES = np.array(
    [
        0,
        0,
        32,
        26,
        21,
        17,
        13,
        9,
        5,
        2,
        0,
        -2,
        -5,
        -9,
        -13,
        -17,
        -21,
        -26,
        -32,
        -26,
        -21,
        -17,
        -13,
        -9,
        -5,
        -2,
        0,
        2,
        5,
        9,
        13,
        17,
        21,
        26,
        32,
    ],
    np.int32,
)
_INVERSE = np.array(
    [0] * 11 + [-4096, -1638, -910, -630, -482, -390, -315, -256, -315, -390, -482, -630, -910, -1638, -4096] + [0] * 9,
    np.int32,
)


@compiled
def border(plane, ready, unit, row, column, units, out):
    """Samples around a block: out[0] the corner, out[1 ..] those above from left to right (2 size), out[2 size + 1 ..]
    those on the left from the top (2 size).

    ready: (4R, 4C) uint8, which 4x4 luma squares are reconstructed; unit: their size in this plane, 4 or 2; row,
    column,
    units: place and size of the block in squares. What is not ready repeats its neighbour; all are 128 where nothing
    is.
    """
    n = 2 * unit * units
    top, left = unit * row, unit * column
    above = before = 0
    if row > 0:
        while above < 2 * units and column + above < ready.shape[1] and ready[row - 1, column + above]:
            above += 1
    if column > 0:
        while before < 2 * units and row + before < ready.shape[0] and ready[row + before, column - 1]:
            before += 1
    if above == 0 and before == 0:
        for i in range(2 * n + 1):
            out[i] = 128
        return
    for i in range(unit * above):
        out[1 + i] = plane[top - 1, left + i]
    for i in range(unit * before):
        out[1 + n + i] = plane[top + i, left - 1]
    if above and before:
        out[0] = plane[top - 1, left - 1]
    elif above:
        out[0] = out[1]
    else:
        out[0] = out[1 + n]
    first = out[0] if above == 0 else out[unit * above]
    for i in range(unit * above, n):
        out[1 + i] = first
    first = out[0] if before == 0 else out[n + unit * before]
    for i in range(unit * before, n):
        out[1 + n + i] = first


@compiled
def smooth(samples, size, out):
    """The border with each sample mixed with its neighbours, (1, 2, 1) / 4."""
    n = 2 * size
    out[0] = (samples[1] + 2 * samples[0] + samples[1 + n] + 2) >> 2
    for side in range(2):
        base = side * n
        before = samples[0]
        for i in range(1, n):
            out[base + i] = (before + 2 * samples[base + i] + samples[base + i + 1] + 2) >> 2
            before = samples[base + i]
        out[base + n] = samples[base + n]


@compiled
def wants_smooth(mode, size):
    """Whether a mode predicts luma from the smoothed border."""
    if mode == MEAN or size == 4:
        return False
    if mode == PLANAR:
        return True
    distance = min(abs(mode - HORIZONTAL), abs(mode - VERTICAL))
    return distance > (7 if size == 8 else 1)


@compiled
def predict(samples, size, mode, out):
    """A block (size, size) of out (int32) from its border, in one of the 35 modes."""
    n = 2 * size
    if mode == PLANAR:
        shift = 2 if size == 2 else 3 if size == 4 else 4 if size == 8 else 5
        right, bottom = samples[1 + size], samples[1 + n + size]
        for y in range(size):
            for x in range(size):
                out[y, x] = (
                    (size - 1 - x) * samples[1 + n + y]
                    + (x + 1) * right
                    + (size - 1 - y) * samples[1 + x]
                    + (y + 1) * bottom
                    + size
                ) >> shift
        return
    if mode == MEAN:
        total = size
        for i in range(size):
            total += samples[1 + i] + samples[1 + n + i]
        shift = 2 if size == 2 else 3 if size == 4 else 4 if size == 8 else 5
        for y in range(size):
            for x in range(size):
                out[y, x] = total >> shift
        return
    angle, upright = _ANGLES[mode], mode >= 18
    main, side = (0, n) if upright else (n, 0)
    line = np.empty(3 * 16 + 1, np.int32)  # line[size + i]: sample i of the main side, 0 the corner
    line[size] = samples[0]
    for i in range(1, n + 1):
        line[size + i] = samples[main + i]
    if angle < 0:
        last = (size * angle) >> 5
        inverse = _INVERSE[mode]
        for i in range(-1, last - 1, -1):
            at = (i * inverse + 128) >> 8
            line[size + i] = samples[0] if at == 0 else samples[side + at]
    for k in range(size):
        offset = (k + 1) * angle
        whole, part = offset >> 5, offset & 31
        for i in range(size):
            at = size + 1 + i + whole
            value = line[at] if part == 0 else ((32 - part) * line[at] + part * line[at + 1] + 16) >> 5
            if upright:
                out[k, i] = value
            else:
                out[i, k] = value
