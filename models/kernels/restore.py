# SPDX-License-Identifier: Apache-2.0
"""Restoration in the loop: after deblocking each sample may be moved towards what learned filters make of its
neighbours, which later frames are then predicted from.

As in the adaptive loop filter of H.266 (8.8.5) a filter is chosen for each 4x4 square by how strong its texture is and
in which direction it runs, works on clipped differences to the neighbours, and is switched for squares of 32x32. Unlike
there filters are part of the model: three banks for each range of quality levels, so that a stream says only which bank
(`code_blocks` does), and chroma looks at luma, too.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, place, scratch
from nvcodec.models.depth import EXTRA_BITS, STEP_SCALE
from nvcodec.models.kernels.compensation import PAD
from nvcodec.models.kernels.filters import (
    ACROSS,
    CHROMA,
    CHROMA_TAPS,
    LUMA,
    LUMA_TAPS,
    chroma_errors,
    filter_chroma,
    filter_luma,
    luma_errors,
)

UNIT = 32  # luma samples of a side of what is switched as one
SQUARES = UNIT // 4
BANKS, RANGES = 3, 4  # banks to choose from, in ranges of quality levels
WAYS = 1 + BANKS  # to leave a unit, with that of no filter
NETWORK = BANKS + 1  # in place of a bank: what the network makes of a unit
ACTIVITIES, DIRECTIONS = 5, 9
CLASSES = ACTIVITIES * DIRECTIONS
LUMA_FEATURES, CHROMA_FEATURES = LUMA_TAPS + 1, CHROMA_TAPS + 1  # and the error, in training
# bounds of activity, in 64ths of the quantisation step
ACTIVITY_BOUNDS = np.array([2, 5, 11, 24], np.int64)


CLIP_PART = 4 * STEP_SCALE  # a quarter of a step


@compiled
def clip_of(step):
    """Bound of the differences that filters see; step: sixteenths."""
    return max(2 << EXTRA_BITS, step // CLIP_PART)


@compiled
def classify(y, step, asked, begin, end, out):
    """Class of each 4x4 square of block rows begin..end-1, out (4R, 4C) uint8; squares of units that are not ``asked``
    for (units down, units across; bool) stay as they are. y: luma with borders; step: sixteenths.
    """
    # sums over cells of 2x2 of second differences: vertical, horizontal, two diagonals, [row, kind, cell]; of the rows
    # that eight squares side by side need, and one cell beyond each side
    sums = scratch((4, 4, 18), np.int32)
    for row in range(4 * begin, 4 * end):
        for first in range(0, out.shape[1], SQUARES):
            if not asked[row // SQUARES, first // SQUARES]:
                continue
            squares = min(SQUARES, out.shape[1] - first)
            for line in range(4):
                top = PAD + 4 * row - 2 + 2 * line
                for cell in range(2 * squares + 2):
                    left = PAD + 4 * first - 2 + 2 * cell
                    v = h = d = e = 0
                    for k in range(2):
                        i, j = top + k, left + k
                        twice = 2 * np.int32(y[i, j])
                        v += abs(twice - y[i - 1, j] - y[i + 1, j])
                        h += abs(twice - y[i, j - 1] - y[i, j + 1])
                        d += abs(twice - y[i - 1, j - 1] - y[i + 1, j + 1])
                        e += abs(twice - y[i - 1, j + 1] - y[i + 1, j - 1])
                    sums[line, 0, cell], sums[line, 1, cell], sums[line, 2, cell], sums[line, 3, cell] = v, h, d, e
            for n in range(squares):
                v = h = d = e = np.int64(0)
                for line in range(4):
                    for cell in range(2 * n, 2 * n + 4):
                        v += sums[line, 0, cell]
                        h += sums[line, 1, cell]
                        d += sums[line, 2, cell]
                        e += sums[line, 3, cell]
                out[row, first + n] = _class_of(v, h, d, e, step)


@compiled
def _class_of(v, h, d, e, step):
    """Class of a square by its second differences: vertical, horizontal, of two diagonals."""
    more, less = (v, h) if v > h else (h, v)
    more_slanted, less_slanted = (d, e) if d > e else (e, d)
    direction = 0
    if more * less_slanted > more_slanted * less:
        if 2 * more > 4 * less:
            direction = (1 if v > h else 3) + (1 if 2 * more > 9 * less else 0)
    elif 2 * more_slanted > 4 * less_slanted:
        direction = (5 if d > e else 7) + (1 if 2 * more_slanted > 9 * less_slanted else 0)
    # 32 samples, two differences each
    activity, strength = 0, STEP_SCALE * (v + h)
    while activity < ACTIVITIES - 1 and strength >= ACTIVITY_BOUNDS[activity] * step:
        activity += 1
    return activity * DIRECTIONS + direction


@compiled
def restore(y, u, v, classes, banks, luma_taps, chroma_taps, clip, begin, end, out_y, out_u, out_v):
    """Filter units of rows begin..end-1 of units: y, u, v to out_*, planes with borders.

    banks: (units down, units across) uint8, 0 and NETWORK leave a unit of out_* as it is; luma_taps: (BANKS, CLASSES,
    LUMA_TAPS), chroma_taps: (BANKS, 2, CLASSES, CHROMA_TAPS) int16.
    """
    height, width = y.shape[0] - 2 * PAD, y.shape[1] - 2 * PAD
    for r in range(begin, end):
        for c in range(banks.shape[1]):
            bank = np.int64(banks[r, c]) - 1
            if bank < 0 or bank >= BANKS:
                continue
            top, left = UNIT * r, UNIT * c
            down, across = min(UNIT, height - top), min(UNIT, width - left)
            filter_luma(y, classes, luma_taps[bank], clip, top, left, down, across, out_y)
            top, left, down, across = top // 2, left // 2, down // 2, across // 2
            filter_chroma(u, v, y, classes, chroma_taps[bank], clip, top, left, down, across, out_u, out_v)


@compiled
def trial_errors(
    picture_y, picture_u, picture_v, y, u, v, classes, luma_taps, chroma_taps, clip, weight, asked, begin, end, errors,
):  # fmt: skip
    """Squared errors of units of rows begin..end-1 of units by bank: errors (units down, units across, 1 + BANKS).
    None are looked at, and all are 0, in units that are not ``asked`` for (units down, units across).

    Every other row of 4x4 squares is looked at and stands for the one below, too. picture_*: without borders; weight:
    of chroma's squared errors; the rest as in `restore`.
    """
    total, chroma = scratch(WAYS, np.int64), scratch(WAYS, np.int64)
    for r in range(begin, end):
        for c in range(errors.shape[1]):
            for bank in range(1 + BANKS):
                total[bank] = chroma[bank] = 0
            left = UNIT * c
            across = min(UNIT, picture_y.shape[1] - left)
            for top in range(UNIT * r, min(UNIT * (r + 1), picture_y.shape[0]), 8) if asked[r, c] else range(0):
                luma_errors(picture_y, y, classes, luma_taps, clip, top, left, across, total)
                chroma_errors(
                    picture_u, picture_v, u, v, y, classes, chroma_taps, clip, top // 2, left // 2, across // 2, chroma
                )
            for bank in range(1 + BANKS):
                errors[r, c, bank] = 2 * (total[bank] + weight * chroma[bank])


@compiled
def errors_left(picture_y, picture_u, picture_v, y, u, v, weight, asked, begin, end, which, errors):
    """As `trial_errors`, of planes that are restored already, into errors[:, :, which]."""
    for r in range(begin, end):
        for c in range(errors.shape[1]):
            left, total, chroma = UNIT * c, np.int64(0), np.int64(0)
            across = min(UNIT, picture_y.shape[1] - left)
            for top in range(UNIT * r, min(UNIT * (r + 1), picture_y.shape[0]), 8) if asked[r, c] else range(0):
                total += _squared_error(picture_y, y, PAD, top, left, 4, across)
                row, half = top // 2, across // 2
                chroma += _squared_error(picture_u, u, PAD // 2, row, left // 2, 2, half)
                chroma += _squared_error(picture_v, v, PAD // 2, row, left // 2, 2, half)
            errors[r, c, which] = 2 * (total + weight * chroma)


@compiled
def _squared_error(picture, plane, pad, top, left, height, width):
    """Squared error of a rectangle of a plane with borders of ``pad``."""
    total = np.int32(0)
    for i in range(height):
        for j in range(width):
            d = np.int32(picture[place(top + i), place(left + j)]) - np.int32(
                plane[place(pad + top + i), place(pad + left + j)]
            )
            total += np.int32(d * d)
    return total


@compiled
def squared_errors(picture, plane, pad, unit, out):
    """Add the squared errors of a plane (with borders of ``pad``) in each unit to out."""
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            top, left = unit * r, unit * c
            height, width = min(unit, picture.shape[0] - top), min(unit, picture.shape[1] - left)
            out[r, c] += _squared_error(picture, plane, pad, top, left, height, width)


@compiled
def gather(picture_y, picture_u, picture_v, y, u, v, classes, clip, row, column, height, width, luma, chroma):
    """Add one unit to sums for least squares, for training: luma (CLASSES, LUMA_TAPS + 1, LUMA_TAPS + 1) and chroma
    (2, CLASSES, CHROMA_TAPS + 1, CHROMA_TAPS + 1) float64, products of features with each other and, last, the error.
    """
    x = scratch(LUMA_FEATURES, np.float64)
    for i in range(row, row + height):
        for j in range(column, column + width):
            r, c = PAD + i, PAD + j
            centre = np.int32(y[r, c])
            for k in range(LUMA_TAPS):
                dy, dx = LUMA[k]
                a, b = np.int32(y[r - dy, c - dx]) - centre, np.int32(y[r + dy, c + dx]) - centre
                x[k] = min(max(a, -clip), clip) + min(max(b, -clip), clip)
            x[LUMA_TAPS] = np.int32(picture_y[i, j]) - centre
            sums = luma[classes[i >> 2, j >> 2]]
            for k in range(LUMA_TAPS + 1):
                for n in range(k, LUMA_TAPS + 1):
                    sums[k, n] += x[k] * x[n]
    x = scratch(CHROMA_FEATURES, np.float64)
    for part in range(2):
        plane, picture = (u, picture_u) if part == 0 else (v, picture_v)
        for i in range(row // 2, (row + height) // 2):
            for j in range(column // 2, (column + width) // 2):
                r, c = PAD // 2 + i, PAD // 2 + j
                centre = np.int32(plane[r, c])
                for k in range(len(CHROMA)):
                    dy, dx = CHROMA[k]
                    a, b = np.int32(plane[r - dy, c - dx]) - centre, np.int32(plane[r + dy, c + dx]) - centre
                    x[k] = min(max(a, -clip), clip) + min(max(b, -clip), clip)
                here = np.int32(y[PAD + 2 * i, PAD + 2 * j])
                for k in range(len(ACROSS)):
                    d = np.int32(y[PAD + 2 * i + ACROSS[k, 0], PAD + 2 * j + ACROSS[k, 1]]) - here
                    x[len(CHROMA) + k] = min(max(d, -clip), clip)
                x[CHROMA_TAPS] = np.int32(picture[i, j]) - centre
                sums = chroma[part, classes[i >> 1, j >> 1]]
                for k in range(CHROMA_TAPS + 1):
                    for n in range(k, CHROMA_TAPS + 1):
                        sums[k, n] += x[k] * x[n]
