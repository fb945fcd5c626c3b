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

from nvcodec.compiled import compiled
from nvcodec.models.depth import LARGEST, STEP_BITS
from nvcodec.models.kernels.compensation import PAD

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


@compiled(fastmath={"contract"})
def _add_rows(above, here, below, weights, out_0, out_1, out_2, out_3):
    """Add what three rows of one channel make in one row of four channels; weights: (TOGETHER, TAPS)."""
    for k in range(3):
        row = above if k == 0 else here if k == 1 else below
        a0, a1, a2 = weights[0, 3 * k], weights[0, 3 * k + 1], weights[0, 3 * k + 2]
        b0, b1, b2 = weights[1, 3 * k], weights[1, 3 * k + 1], weights[1, 3 * k + 2]
        c0, c1, c2 = weights[2, 3 * k], weights[2, 3 * k + 1], weights[2, 3 * k + 2]
        d0, d1, d2 = weights[3, 3 * k], weights[3, 3 * k + 1], weights[3, 3 * k + 2]
        for j in range(len(out_0)):
            left, middle, right = row[j], row[j + 1], row[j + 2]
            out_0[j] += a0 * left + a1 * middle + a2 * right
            out_1[j] += b0 * left + b1 * middle + b2 * right
            out_2[j] += c0 * left + c1 * middle + c2 * right
            out_3[j] += d0 * left + d1 * middle + d2 * right


@compiled
def _finish_row(row, part, low, high):
    """Sums to whole numbers of a coarser unit, between bounds."""
    for j in range(len(row)):
        row[j] = min(max(np.floor(row[j] * part), low), high)


@compiled
def _convolve(x, weights, bias, parts, low, high, out):
    """See `convolve_arrays`."""
    columns = out.shape[2]
    for row in range(out.shape[1]):
        for group in range(len(weights)):
            first = TOGETHER * group
            for k in range(first, first + TOGETHER):
                for j in range(columns):
                    out[k, row, j] = bias[k]
            for channel in range(len(x)):
                _add_rows(
                    x[channel, row], x[channel, row + 1], x[channel, row + 2], weights[group, channel],
                    out[first, row], out[first + 1, row], out[first + 2, row], out[first + 3, row],
                )  # fmt: skip
            for k in range(first, first + TOGETHER):
                _finish_row(out[k, row], parts[k], low, high)


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
