# SPDX-License-Identifier: Apache-2.0
"""Prediction of a block from the samples around it: the 35 modes of H.265 (ITU-T H.265, 8.4.4.2).

Mode 0 is planar, 1 the mean, 2 to 34 angles, with H.266's interpolation and its mixing with the other side's samples.
Chroma always follows luma.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, place, scratch
from nvcodec.models.depth import LARGEST, MIDDLE

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


# filters of 32nds of a sample (ITU-T H.266, table 24 with 8.4.5.2.13)
_HALF = [
    (0, 64, 0, 0), (-1, 63, 2, 0), (-2, 62, 4, 0), (-2, 60, 7, -1), (-2, 58, 10, -2), (-3, 57, 12, -2),
    (-4, 56, 14, -2), (-4, 55, 15, -2), (-4, 54, 16, -2), (-5, 53, 18, -2), (-6, 52, 20, -2), (-6, 49, 24, -3),
    (-6, 46, 28, -4), (-5, 44, 29, -4), (-4, 42, 30, -4), (-4, 39, 33, -4), (-4, 36, 36, -4),
]  # fmt: skip
CUBIC = np.array([*_HALF, *(taps[::-1] for taps in _HALF[15:0:-1])], np.int32)
SMOOTHING = np.array([(16 - (k >> 1), 32 - (k >> 1), 16 + (k >> 1), k >> 1) for k in range(32)], np.int32)


@compiled
def border(plane, ready, unit, row, column, units, out):
    """Samples around a block: out[0] the corner, out[1 ..] those above from left to right (2 size), out[2 size + 1 ..]
    those on the left from the top (2 size).

    ready: (4R, 4C) uint8, which 4x4 luma squares are reconstructed; unit: their size in this plane, 4 or 2; row,
    column,
    units: place and size of the block in squares. What is not ready repeats its neighbour; all are MIDDLE where nothing
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
            out[i] = MIDDLE
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
    return distance > (7 if size == 8 else 1 if size == 16 else 0)


@compiled
def predict_luma_from(borders, size, mode, out):
    """As `predict`, from the border as it is, borders[0], or smoothed, borders[1], as the mode wants it."""
    wanted = wants_smooth(mode, size)
    straight = mode == PLANAR or mode == 2 or mode == 18 or mode == 34  # nothing to interpolate
    predict(borders[1] if wanted and straight else borders[0], size, mode, not wanted, out)


@compiled
def predict(samples, size, mode, sharp, out):
    """A block (size, size) of out (int32) from its border, in one of the 35 modes.

    sharp: angles between samples are interpolated by a cubic filter, otherwise by a smoothing one (ITU-T H.266,
    8.4.5.2.13); what is far from one side is drawn towards the samples of the other near them (8.4.5.2.15).
    """
    n = 2 * size
    log2 = _log2(size)
    if mode == PLANAR:
        right, bottom = samples[1 + size], samples[1 + n + size]
        for y in range(size):
            for x in range(size):
                out[y, x] = (
                    (size - 1 - x) * samples[1 + n + y]
                    + (x + 1) * right
                    + (size - 1 - y) * samples[1 + x]
                    + (y + 1) * bottom
                    + size
                ) >> (log2 + 1)
    elif mode == MEAN:
        total = size
        for i in range(size):
            total += samples[1 + i] + samples[1 + n + i]
        for y in range(size):
            for x in range(size):
                out[y, x] = total >> (log2 + 1)
    else:
        _predict_angle(samples, size, log2, mode, sharp, out)
        return
    if size > 2:
        scale = (2 * log2 - 2) >> 2
        for y in range(size):
            down = 32 >> ((2 * y) >> scale)
            for x in range(size):
                across = 32 >> ((2 * x) >> scale)
                mixed = across * samples[1 + n + y] + down * samples[1 + x] + (64 - across - down) * out[y, x]
                out[y, x] = (mixed + 32) >> 6


@compiled
def _predict_angle(samples, size, log2, mode, sharp, out):
    n = 2 * size
    angle, upright = _ANGLES[mode], mode >= 18
    main, side = (0, n) if upright else (n, 0)
    line = scratch(98, np.int32)  # line[size + i]: sample i of the main side, 0 the corner
    line[size] = samples[0]
    for i in range(1, n + 1):
        line[size + i] = samples[main + i]
    line[size + n + 1] = line[size + n]
    if angle < 0:
        last = (size * angle) >> 5
        inverse = _INVERSE[mode]
        for i in range(-1, last - 1, -1):
            at = min((i * inverse + 128) >> 8, size)
            line[size + i] = samples[0] if at == 0 else samples[side + at]
    turned = scratch((32, 32), np.int32)
    rows = out if upright else turned
    low, high = np.int32(0), np.int32(LARGEST)
    for k in range(size):
        offset = (k + 1) * angle
        first, part = size + (offset >> 5), offset & 31
        t0, t1, t2, t3 = CUBIC[part] if sharp else SMOOTHING[part]
        if part == 0:
            for i in range(size):
                rows[k, i] = line[place(first + 1 + i)]
            continue
        for i in range(size):
            total = np.int32(t0 * line[place(first + i)] + t1 * line[place(first + 1 + i)])
            total += np.int32(t2 * line[place(first + 2 + i)] + t3 * line[place(first + 3 + i)] + 32)
            rows[k, i] = min(max(np.int32(total >> 6), low), high)
    if angle >= 0 and size > 2:
        _draw_to_side(samples, size, log2, angle, main, side, rows)
    if not upright:
        for i in range(size):
            for k in range(size):
                out[i, k] = rows[k, i]


@compiled
def _draw_to_side(samples, size, log2, angle, main, side, rows):
    """Mix what is predicted from one side with the samples of the other near them; main, side: where the sides begin;
    rows: from the main side away."""
    inverse, scale = 0, (2 * log2 - 2) >> 2
    if angle:
        inverse = (16384 + (angle >> 1)) // angle
        scale = min(2, log2 - _log2(3 * inverse - 2) + 8)
        if scale < 0:
            return
    for i in range(min(3 << scale, size)):
        weight = 32 >> ((2 * i) >> scale)
        reach = ((i + 1) * inverse + 256) >> 9
        for k in range(size):
            if angle:
                towards = samples[side + 1 + k + reach]
            else:
                towards = samples[side + 1 + k] - samples[0] + samples[main + 1 + i]
            rows[k, i] = min(max((weight * towards + (64 - weight) * rows[k, i] + 32) >> 6, 0), LARGEST)


@compiled
def _log2(value):
    """Of a whole number, rounded down."""
    result = 0
    while value > 1:
        value >>= 1
        result += 1
    return result
