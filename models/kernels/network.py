# SPDX-License-Identifier: Apache-2.0
"""A small convolutional network in the loop: what it makes of a deblocked frame is one more way to restore units.

It sees the frame at half its size, with six channels: luma's samples of even and odd rows and columns, U, V; each less
the mean around it and in quantisation steps, so that one network serves all levels. Layers of 3x3 with no border of
their own (the frame's borders are extended), a bias for each level, a bound above and below. What comes out is added
to the samples, in steps again.

Numbers are whole, and in 32-bit floating point, which processors multiply and add fastest: as long as no sum exceeds
2^24 (`nvcodec.models.network.check_layers` sees to it), nothing is ever rounded, in whatever order sums are made.
"""

from __future__ import annotations

import numpy as np
from numba import config

from nvcodec.compiled import compiled, place
from nvcodec.models.depth import LARGEST, STEP_BITS
from nvcodec.models.kernels.compensation import PAD
from nvcodec.vectors import floor, least, load, most, native_lanes, spread, store

CHANNELS = 6  # of a frame: four of luma, U, V
AROUND = 2  # samples at half size on each side of one whose mean is taken
INPUT_BITS = 7  # a step is 128
LARGEST_INPUT, LARGEST_VALUE = 1023, 1023  # of what a layer sees: signed first, then from zero up
LARGEST_OUTPUT = 1 << 15
OUTPUT_BITS = 10  # a step is 1024
TAPS = 9
TOGETHER = 4  # output channels that are reckoned at once
EXACT = 1 << 24  # whole numbers up to it have a place in 32-bit floating point
_CELLS = (2 * AROUND + 1) ** 2
_SCALE_BITS = 16


@compiled
def scale_of(step):
    """What a difference of 4 x 25 samples to their sums around is multiplied with, 2^-16ths; step: sixteenths."""
    return ((1 << (_SCALE_BITS + INPUT_BITS + STEP_BITS)) // (4 * _CELLS) + step // 2) // step


@compiled
def fill_inputs(y, u, v, step, begin, end, halo, sums, out):
    """What the network sees of rows begin - halo..end + halo - 1 at half size: out (CHANNELS, rows, columns + 2 halo)
    float32. y, u, v: planes with borders; step: sixteenths; sums: (3, columns + 2 halo + 2 AROUND) int32, room."""
    scale, half, columns = np.int32(scale_of(step)), np.int32(1 << (_SCALE_BITS - 1)), out.shape[2]
    first = PAD // 2 - halo  # the first column, and the first row beside ``begin``
    for row in range(begin - halo, end + halo):
        for j in range(columns + 2 * AROUND):
            total = total_u = total_v = np.int32(0)
            for i in range(PAD // 2 + row - AROUND, PAD // 2 + row + AROUND + 1):
                at = first - AROUND + j
                total += np.int32(y[2 * i, 2 * at]) + np.int32(y[2 * i, 2 * at + 1])
                total += np.int32(y[2 * i + 1, 2 * at]) + np.int32(y[2 * i + 1, 2 * at + 1])
                total_u += np.int32(u[i, at])
                total_v += np.int32(v[i, at])
            sums[0, j], sums[1, j], sums[2, j] = total, total_u, total_v
        i, n = PAD // 2 + row, row - begin + halo
        for j in range(columns):
            total = total_u = total_v = np.int32(0)
            for k in range(2 * AROUND + 1):
                total += sums[0, j + k]
                total_u += sums[1, j + k]
                total_v += sums[2, j + k]
            at = first + j
            for part in range(4):
                sample = np.int32(y[2 * i + (part >> 1), 2 * at + (part & 1)])
                out[part, n, j] = _bounded(((4 * _CELLS * sample - total) * scale + half) >> _SCALE_BITS)
            out[4, n, j] = _bounded((4 * (_CELLS * np.int32(u[i, at]) - total_u) * scale + half) >> _SCALE_BITS)
            out[5, n, j] = _bounded((4 * (_CELLS * np.int32(v[i, at]) - total_v) * scale + half) >> _SCALE_BITS)


@compiled
def _bounded(value):
    return np.float32(min(max(value, np.int32(-LARGEST_INPUT)), np.int32(LARGEST_INPUT)))


LANES = native_lanes()
ROUND = 3 * LANES  # columns that are reckoned at once: with four channels, what registers hold


@compiled
def _finish(sums, part, low, high):
    """Sums to whole numbers of a coarser unit, between bounds."""
    return least(most(floor(sums * part), low), high)


@compiled
def _convolve_part(x, weights, bias, parts, low, high, group, row, j, out):
    """ROUND columns, from j on, of a row of a group of channels."""
    first = TOGETHER * group
    a0, b0, c0, d0 = (
        spread(bias[first], LANES), spread(bias[first + 1], LANES), spread(bias[first + 2], LANES),
        spread(bias[first + 3], LANES),
    )  # fmt: skip
    a1, a2, b1, b2, c1, c2, d1, d2 = a0, a0, b0, b0, c0, c0, d0, d0
    for channel in range(len(x)):
        for k in range(TAPS):
            i, column = row + k // 3, j + k % 3
            x0 = load(x, (channel, i, column), LANES)
            x1 = load(x, (channel, i, column + LANES), LANES)
            x2 = load(x, (channel, i, column + 2 * LANES), LANES)
            a, b = weights[group, channel, 0, place(k)], weights[group, channel, 1, place(k)]
            c, d = weights[group, channel, 2, place(k)], weights[group, channel, 3, place(k)]
            a0, a1, a2 = a0 + x0 * a, a1 + x1 * a, a2 + x2 * a
            b0, b1, b2 = b0 + x0 * b, b1 + x1 * b, b2 + x2 * b
            c0, c1, c2 = c0 + x0 * c, c1 + x1 * c, c2 + x2 * c
            d0, d1, d2 = d0 + x0 * d, d1 + x1 * d, d2 + x2 * d
    k = first
    for s0, s1, s2 in ((a0, a1, a2), (b0, b1, b2), (c0, c1, c2), (d0, d1, d2)):
        store(out, (k, row, j), _finish(s0, parts[k], low, high))
        store(out, (k, row, j + LANES), _finish(s1, parts[k], low, high))
        store(out, (k, row, j + 2 * LANES), _finish(s2, parts[k], low, high))
        k += 1


@compiled
def _convolve_narrow(x, weights, bias, parts, low, high, out):
    """The same of an array of fewer than ROUND columns."""
    for k in range(len(out)):
        for row in range(out.shape[1]):
            for j in range(out.shape[2]):
                total = bias[k]
                for channel in range(len(x)):
                    for tap in range(TAPS):
                        weight = weights[k // TOGETHER, channel, k % TOGETHER, tap]
                        total += weight * x[channel, row + tap // 3, j + tap % 3]
                out[k, row, j] = min(max(np.floor(total * parts[k]), low), high)


@compiled
def _convolve(x, weights, bias, parts, low, high, out):
    """See `convolve_arrays`."""
    columns = out.shape[2]
    if columns < ROUND:
        _convolve_narrow(x, weights, bias, parts, low, high, out)
        return
    for row in range(out.shape[1]):
        for first in range(0, columns, ROUND):
            for group in range(len(weights)):
                _convolve_part(
                    x, weights, bias, parts, low, high, group, row, min(first, columns - ROUND), out
                )  # fmt: skip


def convolve_arrays(x, weights, bias, parts, low, high, out):  # type: ignore[no-untyped-def]
    """One layer: x (inputs, rows + 2, columns + 2) to out (outputs, rows, columns), float32 that hold whole numbers.

    weights: (outputs / 4, inputs, 4, TAPS), bias: (outputs,), parts: (outputs,) powers of two that sums are multiplied
    with before they are rounded down; low, high: bounds of what comes out. out has as many channels as weights.
    """
    rows, columns = out.shape[1:]
    flat = weights.swapaxes(1, 2).reshape(len(out), len(x), TAPS)
    total = np.repeat(bias, rows * columns).reshape(len(out), rows * columns)
    for k in range(TAPS):
        moved = np.ascontiguousarray(x[:, k // 3 :, k % 3 :][:, :rows, :columns]).reshape(len(x), -1)
        total += flat[:, :, k] @ moved
    out[:] = np.clip(np.floor(total * parts[:, None]), low, high).reshape(out.shape)


# without a compiler its loops would take minutes
convolve = convolve_arrays if config.DISABLE_JIT else _convolve


@compiled
def add_outputs(change, step, begin, y, u, v):
    """Add what came out, (CHANNELS or more, rows, columns), to rows of planes with borders; begin: the first of them,
    at half size."""
    for row in range(change.shape[1]):
        i = PAD // 2 + begin + row
        for j in range(change.shape[2]):
            at = PAD // 2 + j
            for part in range(4):
                y[2 * i + (part >> 1), 2 * at + (part & 1)] = _moved(
                    y[2 * i + (part >> 1), 2 * at + (part & 1)], change[part, row, j], step
                )
            u[i, at] = _moved(u[i, at], change[4, row, j], step)
            v[i, at] = _moved(v[i, at], change[5, row, j], step)


@compiled
def _moved(sample, change, step):
    """A sample moved by so many 2^-OUTPUT_BITS steps, rounded."""
    half = np.int32(1 << (OUTPUT_BITS + STEP_BITS - 1))
    value = np.int32(sample) + ((np.int32(change) * np.int32(step) + half) >> (OUTPUT_BITS + STEP_BITS))
    return np.uint16(min(max(value, np.int32(0)), np.int32(LARGEST)))


@compiled
def copy_units(banks, which, y, u, v, out_y, out_u, out_v):
    """Copy the units of one bank from planes to others, all with borders. banks: (units down, units across)."""
    height, width = y.shape[0] - 2 * PAD, y.shape[1] - 2 * PAD
    for r in range(banks.shape[0]):
        for c in range(banks.shape[1]):
            if banks[r, c] != which:
                continue
            for i in range(PAD + 32 * r, PAD + min(32 * r + 32, height)):
                for j in range(PAD + 32 * c, PAD + min(32 * c + 32, width)):
                    out_y[i, j] = y[i, j]
            for i in range(PAD // 2 + 16 * r, PAD // 2 + min(16 * r + 16, height // 2)):
                for j in range(PAD // 2 + 16 * c, PAD // 2 + min(16 * c + 16, width // 2)):
                    out_u[i, j] = u[i, j]
                    out_v[i, j] = v[i, j]
