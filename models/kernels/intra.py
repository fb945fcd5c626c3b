# SPDX-License-Identifier: Apache-2.0
"""Prediction of a block from the samples around it: the 35 modes of H.265 (ITU-T H.265, 8.4.4.2).

Mode 0 is planar, 1 the mean, 2 to 34 angles, with H.266's interpolation and its mixing with the other side's samples.
Chroma always follows luma.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nvcodec.compiled import compiled, scratch
from nvcodec.models.depth import LARGEST, MIDDLE
from nvcodec.vectors import join, least, load, most, shuffle, spread, store

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
    """A block (size, size) of out (int32) from its border, in one of the 35 modes; size: 4, 8, 16 or 32.

    sharp: angles between samples are interpolated by a cubic filter, otherwise by a smoothing one (ITU-T H.266,
    8.4.5.2.13); what is far from one side is drawn towards the samples of the other near them (8.4.5.2.15).
    """
    if size == 4:
        _predict_4(samples, mode, sharp, out)
    elif size == 8:
        _predict_8(samples, mode, sharp, out)
    elif size == 16:
        _predict_16(samples, mode, sharp, out)
    else:
        _predict_32(samples, mode, sharp, out)


_NUMBERS = np.arange(32, dtype=np.int32)
_FADING = np.array([[32 >> ((2 * k) >> s) for k in range(32)] for s in range(3)], np.int32)  # weights of what is near


def _transposition(size: int) -> Callable[..., Any]:
    """Rows (in one line) as columns of out: by squares of eight, whose rows are interleaved three times; or of four."""
    low_8, high_8 = (join(*(k // 2 + 8 * (k % 2) + first for k in range(8))) for first in (0, 4))
    row_0, row_1, row_2, row_3 = (shuffle(*range(k, 16, 4)) for k in range(4))

    @compiled
    def square(rows, i, j, out):  # type: ignore[no-untyped-def]
        first = size * i + j
        a0, a1 = load(rows, first, 8), load(rows, first + size, 8)
        a2, a3 = load(rows, first + 2 * size, 8), load(rows, first + 3 * size, 8)
        a4, a5 = load(rows, first + 4 * size, 8), load(rows, first + 5 * size, 8)
        a6, a7 = load(rows, first + 6 * size, 8), load(rows, first + 7 * size, 8)
        b0, b1, b2, b3 = low_8(a0, a4), high_8(a0, a4), low_8(a1, a5), high_8(a1, a5)
        b4, b5, b6, b7 = low_8(a2, a6), high_8(a2, a6), low_8(a3, a7), high_8(a3, a7)
        a0, a1, a2, a3 = low_8(b0, b4), high_8(b0, b4), low_8(b1, b5), high_8(b1, b5)
        a4, a5, a6, a7 = low_8(b2, b6), high_8(b2, b6), low_8(b3, b7), high_8(b3, b7)
        store(out, (j, i), low_8(a0, a4))
        store(out, (j + 1, i), high_8(a0, a4))
        store(out, (j + 2, i), low_8(a1, a5))
        store(out, (j + 3, i), high_8(a1, a5))
        store(out, (j + 4, i), low_8(a2, a6))
        store(out, (j + 5, i), high_8(a2, a6))
        store(out, (j + 6, i), low_8(a3, a7))
        store(out, (j + 7, i), high_8(a3, a7))

    @compiled
    def transpose(rows, out):  # type: ignore[no-untyped-def]
        if size == 4:
            every = load(rows, 0, 16)
            store(out, (0, 0), row_0(every))
            store(out, (1, 0), row_1(every))
            store(out, (2, 0), row_2(every))
            store(out, (3, 0), row_3(every))
        else:
            for i in range(0, size, 8):
                for j in range(0, size, 8):
                    square(rows, i, j, out)

    return transpose


def _prediction(size: int) -> Callable[..., Any]:
    """`predict` of one size."""
    n, area, log2, transpose = 2 * size, size * size, size.bit_length() - 1, _transposition(size)
    scale = (2 * log2 - 2) >> 2

    @compiled
    def smooth_planes(samples, mode, out):  # type: ignore[no-untyped-def]
        """The two modes without an angle."""
        numbers, across, above = load(_NUMBERS, 0, size), load(_FADING, (scale, 0), size), load(samples, 1, size)
        right, bottom, total = samples[1 + size], samples[1 + n + size], size
        for i in range(size):
            total += samples[1 + i] + samples[1 + n + i]
        rising, mean = (numbers + 1) * right + size, spread(np.int32(total >> (log2 + 1)), size)
        for y in range(size):
            left, down, row = samples[1 + n + y], _FADING[scale, y], mean
            if mode == PLANAR:
                row = rising + (size - 1 - numbers) * left + above * (size - 1 - y) + (y + 1) * bottom
                row = row >> (log2 + 1)
            store(out, (y, 0), (across * left + above * down + (64 - down - across) * row + 32) >> 6)

    @compiled
    def angle_of(samples, mode, sharp, out):  # type: ignore[no-untyped-def]
        angle, upright = _ANGLES[mode], mode >= 18
        main, side = (0, n) if upright else (n, 0)
        line = scratch(98, np.int32)  # line[size + i]: sample i of the main side, 0 the corner
        line[size] = samples[0]
        store(line, size + 1, load(samples, main + 1, size))
        store(line, 2 * size + 1, load(samples, main + size + 1, size))
        line[size + n + 1] = line[size + n]
        if angle < 0:
            last, inverse = (size * angle) >> 5, _INVERSE[mode]
            for i in range(-1, last - 1, -1):
                at = min((i * inverse + 128) >> 8, size)
                line[size + i] = samples[0] if at == 0 else samples[side + at]
        rows = scratch(area, np.int32)
        low, high = spread(np.int32(0), size), spread(np.int32(LARGEST), size)
        for k in range(size):
            offset = (k + 1) * angle
            first, part = size + (offset >> 5), offset & 31
            row = load(line, first + 1, size)
            if part:
                t0, t1, t2, t3 = CUBIC[part] if sharp else SMOOTHING[part]
                row = load(line, first, size) * t0 + row * t1
                row = row + load(line, first + 2, size) * t2 + load(line, first + 3, size) * t3 + 32
                row = least(most(row >> 6, low), high)
            if upright:
                store(out, (k, 0), row)
            else:
                store(rows, size * k, row)
        if not upright:
            transpose(rows, out)
        if angle < 0:
            return
        inverse, reaches = 0, scale
        if angle:
            inverse = (16384 + (angle >> 1)) // angle
            reaches = min(2, log2 - _log2(3 * inverse - 2) + 8)
        if reaches < 0:
            return
        for i in range(size if upright else min(3 << reaches, size)):
            weight, towards = _FADING[reaches, i], low
            if weight:
                reach = ((i + 1) * inverse + 256) >> 9
                other = samples[main + 1 + i] - samples[0] if angle == 0 else np.int32(0)
                towards = (load(samples, side + 1 + reach, size) + other) * weight
            if upright:
                store(rows, size * i, towards)
            else:
                mixed = towards + load(out, (i, 0), size) * (64 - weight) + 32
                store(out, (i, 0), least(most(mixed >> 6, low), high))
        if not upright:
            return
        turned, rest = scratch((size, size), np.int32), 64 - load(_FADING, (reaches, 0), size)
        transpose(rows, turned)
        for k in range(size):
            mixed = load(turned, (k, 0), size) + load(out, (k, 0), size) * rest + 32
            store(out, (k, 0), least(most(mixed >> 6, low), high))

    @compiled
    def predict_one(samples, mode, sharp, out):  # type: ignore[no-untyped-def]
        if mode <= MEAN:
            smooth_planes(samples, mode, out)
        else:
            angle_of(samples, mode, sharp, out)

    return predict_one


_predict_4, _predict_8, _predict_16, _predict_32 = (_prediction(size) for size in (4, 8, 16, 32))


@compiled
def _log2(value):
    """Of a whole number, rounded down."""
    result = 0
    while value > 1:
        value >>= 1
        result += 1
    return result
