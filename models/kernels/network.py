# SPDX-License-Identifier: Apache-2.0
"""A small convolutional network in the loop: what it makes of a deblocked frame is one more way to restore units.

It sees the frame at half its size, with six channels: luma's samples of even and odd rows and columns, U, V; each less
the mean around it and in quantisation steps, so that one network serves all levels. Beside them it sees what was coded:
the residual of the same six, by how many levels a unit is finer than its frame, and which blocks are predicted from
other frames. Layers of 3x3 with no border of their own (the frame's borders are extended), a bias for each level, a
bound above and below. What comes out is added to the samples, in steps again.

Numbers are whole. What the first layer sees, and its weights, take 16 bits, two channels in 32: samples in steps need
them. From then on they are bytes, four channels in 32 bits, of which processors multiply most at a time. Sums are less
than 2^24 (`nvcodec.models.network.check_layers` sees to it), so that they are exact in 32 bits, and in floating point,
too, where there is no compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numba import config

from nvcodec.compiled import compiled, place, scratch
from nvcodec.models.depth import LARGEST, STEP_BITS
from nvcodec.models.kernels.compensation import PAD
from nvcodec.vectors import TOGETHER, add_byte_products, add_products, least, load, most, native_lanes, spread, store

CHANNELS = 6  # of a frame: four of luma, U, V
SEEN = 2 * CHANNELS + 2  # and of its residual, how much finer units are, which blocks are inter
AROUND = 2  # samples at half size on each side of one whose mean is taken
PAIR, QUAD = 2, 4  # channels in 32 bits, of the first layer's inputs and of later ones'; the first one lowest
INPUT_BITS, VALUE_BITS, OUTPUT_BITS = 7, 5, 10  # a step is 128, then 32, then 1024
LARGEST_INPUT, LARGEST_VALUE = 1023, 255  # of what a layer sees: signed first, then from zero up
LARGEST_OUTPUT = 1 << 15
LEVEL_UNIT = 16  # of a unit that is one level finer
TAPS = 9
OUTPUTS_TOGETHER = 4  # channels that are reckoned at once
MAX_CHANNELS = 128
MAX_GROUPS = MAX_CHANNELS // OUTPUTS_TOGETHER
MAX_TAPS = MAX_CHANNELS // QUAD * TAPS * TOGETHER  # of one output channel
EXACT = 1 << 24  # of sums: whole numbers up to it have a place in 32-bit floating point
_CELLS = (2 * AROUND + 1) ** 2
_SCALE_BITS = 16


@compiled
def scale_of(step):
    """What a difference of 4 x 25 samples to their sums around is multiplied with, 2^-16ths; step: sixteenths."""
    return ((1 << (_SCALE_BITS + INPUT_BITS + STEP_BITS)) // (4 * _CELLS) + step // 2) // step


@compiled
def _pair(lower, upper):
    """Two numbers of 16 bits as one of 32."""
    return np.int32((lower & np.int32(0xFFFF)) | (upper << np.int32(16)))


def paired(channels: np.ndarray) -> np.ndarray:
    """Channels (2 N, ...) of whole numbers of 16 bits as (N, ...) int32: even ones in the lower half."""
    low, high = channels[0::2].astype(np.int32), channels[1::2].astype(np.int32)
    return (low & 0xFFFF) | (high << 16)


def unpaired(pairs: np.ndarray) -> np.ndarray:
    """What `paired` was given, as int32."""
    return np.stack([(pairs << 16) >> 16, pairs >> 16], 1).reshape(2 * len(pairs), *pairs.shape[1:])


def packed(channels: np.ndarray) -> np.ndarray:
    """Bytes of channels (QUAD * N, ...) as (N, ...) int32: the first of four lowest."""
    quads = channels.reshape(-1, QUAD, *channels.shape[1:]).astype(np.int32) & 255
    return quads[:, 0] | quads[:, 1] << 8 | quads[:, 2] << 16 | quads[:, 3] << 24


def unpacked(quads: np.ndarray, signed: bool) -> np.ndarray:
    """What `packed` was given, as int32."""
    shift = np.arange(24, -1, -8, np.int32).reshape(QUAD, *(1,) * (quads.ndim - 1))
    found = (quads[:, None].astype(np.int32) << shift) >> 24
    return (found if signed else found & 255).reshape(QUAD * len(quads), *quads.shape[1:])


@compiled
def fill_inputs(y, u, v, residual_y, residual_u, residual_v, finer, pred, step, begin, end, left, halo, sums, out):
    """What the network sees of rows begin - halo..end + halo - 1 and so many columns from left - halo on, at half size:
    out (SEEN / 2, rows, columns) int32, channels in pairs. y, u, v: planes with borders; residual_*: without borders,
    int16; finer: (units down, across) int8; pred: (R, C) uint8; step: sixteenths; sums: (3, columns + 2 AROUND) int32,
    room."""
    scale, half, columns = np.int32(scale_of(step)), np.int32(1 << (_SCALE_BITS - 1)), out.shape[2]
    first = PAD // 2 + left - halo  # the first column
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
            for part in range(2):
                even = np.int32(y[2 * i + part, 2 * at])
                odd = np.int32(y[2 * i + part, 2 * at + 1])
                out[part, n, j] = _pair(
                    _bounded(((4 * _CELLS * even - total) * scale + half) >> _SCALE_BITS),
                    _bounded(((4 * _CELLS * odd - total) * scale + half) >> _SCALE_BITS),
                )
            out[2, n, j] = _pair(
                _bounded((4 * (_CELLS * np.int32(u[i, at]) - total_u) * scale + half) >> _SCALE_BITS),
                _bounded((4 * (_CELLS * np.int32(v[i, at]) - total_v) * scale + half) >> _SCALE_BITS),
            )
        i = min(max(row, 0), residual_u.shape[0] - 1)  # what lies beyond the frame is like its border
        for j in range(columns):
            at = min(max(left + j - halo, 0), residual_u.shape[1] - 1)
            for part in range(2):
                out[CHANNELS // 2 + part, n, j] = _pair(
                    _in_steps(residual_y[2 * i + part, 2 * at], scale),
                    _in_steps(residual_y[2 * i + part, 2 * at + 1], scale),
                )
            out[CHANNELS // 2 + 2, n, j] = _pair(
                _in_steps(residual_u[i, at], scale), _in_steps(residual_v[i, at], scale)
            )
            inter = np.int32(1 << INPUT_BITS) if pred[i >> 3, at >> 3] else np.int32(0)
            out[CHANNELS, n, j] = _pair(_bounded(LEVEL_UNIT * np.int32(finer[i >> 4, at >> 4])), inter)


@compiled
def _in_steps(residual, scale):
    """A residual in steps."""
    value = np.int32(4 * _CELLS) * min(max(np.int32(residual), np.int32(-LARGEST)), np.int32(LARGEST))
    return _bounded((value * scale + np.int32(1 << (_SCALE_BITS - 1))) >> _SCALE_BITS)


@compiled
def _bounded(value):
    return np.int32(min(max(value, np.int32(-LARGEST_INPUT)), np.int32(LARGEST_INPUT)))


LANES = native_lanes()  # columns that are reckoned at once: two such pieces, of four channels, are what registers hold


@compiled
def _put(a, b, c, d, parts, low, high, groups, group, row, j, out):
    """Finish sums of four channels of a group and write them, one by one or all in one number."""
    first = OUTPUTS_TOGETHER * group
    w, x = _finish(a, parts[first], low, high), _finish(b, parts[first + 1], low, high)
    y, z = _finish(c, parts[first + 2], low, high), _finish(d, parts[first + 3], low, high)
    if len(out) == OUTPUTS_TOGETHER * groups:
        store(out, (first, row, j), w)
        store(out, (first + 1, row, j), x)
        store(out, (first + 2, row, j), y)
        store(out, (first + 3, row, j), z)
    else:
        store(out, (group, row, j), w + (x << 8) + (y << 16) + (z << 24))


@compiled
def _finish(sums, part, low, high):
    """Sums to whole numbers of a coarser unit, between bounds."""
    return least(most(sums >> part, low), high)


@compiled
def _of_pair(values, taps):
    """What two channels make, one by one."""
    low = np.int32(np.int32(values << 16) >> 16) * np.int32(np.int32(taps << 16) >> 16)
    return low + np.int32(values >> 16) * np.int32(taps >> 16)


@compiled
def _of_quad(values, taps):
    """What four channels make, one by one."""
    total = np.int32(0)
    for n in range(QUAD):
        total += np.int32((values >> 8 * n) & 255) * np.int32(np.int32(taps << (24 - 8 * n)) >> 24)
    return total


@compiled
def _add_pairs(sums, a, b, c, d, e, f, g, h):
    """As `add_byte_products`, of two channels in each number."""
    return add_products(add_products(add_products(add_products(sums, a, e), b, f), c, g), d, h)


def _convolution(add: Callable[..., Any], of_one: Callable[..., Any]) -> Callable[..., Any]:
    """`convolve_arrays` of channels that lie together in one number, and how they are multiplied."""

    @compiled
    def two(x, at, weights, places, bias, parts, low, high, row, j, next_row, k, out):  # type: ignore[no-untyped-def]
        """LANES columns of all channels, from (row, j) on, and as many from (next_row, k) on; x in one row, ``at``:
        where rows and columns begin in it."""
        apart = at[1] - at[0]
        for group in range(len(weights)):
            first = OUTPUTS_TOGETHER * group
            a0, b0 = spread(bias[first], LANES), spread(bias[first + 1], LANES)
            c0, d0 = spread(bias[first + 2], LANES), spread(bias[first + 3], LANES)
            a1, b1, c1, d1 = a0, b0, c0, d0
            for n in range(weights.shape[1]):
                p, q, r, s = _places(places, at[0], group, n)
                p0, p1 = load(x, p, LANES), load(x, p + apart, LANES)
                q0, q1 = load(x, q, LANES), load(x, q + apart, LANES)
                r0, r1 = load(x, r, LANES), load(x, r + apart, LANES)
                s0, s1 = load(x, s, LANES), load(x, s + apart, LANES)
                e, f, g, h = _spread_taps(weights, group, n, 0)
                a0, a1 = add(a0, p0, q0, r0, s0, e, f, g, h), add(a1, p1, q1, r1, s1, e, f, g, h)
                e, f, g, h = _spread_taps(weights, group, n, 1)
                b0, b1 = add(b0, p0, q0, r0, s0, e, f, g, h), add(b1, p1, q1, r1, s1, e, f, g, h)
                e, f, g, h = _spread_taps(weights, group, n, 2)
                c0, c1 = add(c0, p0, q0, r0, s0, e, f, g, h), add(c1, p1, q1, r1, s1, e, f, g, h)
                e, f, g, h = _spread_taps(weights, group, n, 3)
                d0, d1 = add(d0, p0, q0, r0, s0, e, f, g, h), add(d1, p1, q1, r1, s1, e, f, g, h)
            _put(a0, b0, c0, d0, parts, low, high, len(weights), group, row, j, out)
            _put(a1, b1, c1, d1, parts, low, high, len(weights), group, next_row, k, out)

    @compiled
    def once(x, at, weights, places, bias, parts, low, high, row, j, out):  # type: ignore[no-untyped-def]
        """The same of LANES columns, where no others are left."""
        for group in range(len(weights)):
            first = OUTPUTS_TOGETHER * group
            a, b = spread(bias[first], LANES), spread(bias[first + 1], LANES)
            c, d = spread(bias[first + 2], LANES), spread(bias[first + 3], LANES)
            for n in range(weights.shape[1]):
                p, q, r, s = _places(places, at, group, n)
                p, q, r, s = load(x, p, LANES), load(x, q, LANES), load(x, r, LANES), load(x, s, LANES)
                a = add(a, p, q, r, s, *_spread_taps(weights, group, n, 0))
                b = add(b, p, q, r, s, *_spread_taps(weights, group, n, 1))
                c = add(c, p, q, r, s, *_spread_taps(weights, group, n, 2))
                d = add(d, p, q, r, s, *_spread_taps(weights, group, n, 3))
            _put(a, b, c, d, parts, low, high, len(weights), group, row, j, out)

    @compiled
    def one(x, at, weights, places, bias, shift, low, high, k):  # type: ignore[no-untyped-def]
        """One number of channel k."""
        total, group = bias, k // OUTPUTS_TOGETHER
        for n in range(TOGETHER * weights.shape[1]):
            taps = weights[group, n // TOGETHER, TOGETHER * (k % OUTPUTS_TOGETHER) + n % TOGETHER]
            total += of_one(x[at + places[group, n]], taps)
        return np.int32(min(max(total >> shift, low), high))

    @compiled
    def convolve(x, weights, taps, bias, parts, low, high, out):  # type: ignore[no-untyped-def]
        """See `convolve_arrays`."""
        columns, whole = out.shape[2], len(out) == OUTPUTS_TOGETHER * len(weights)
        places, across = scratch((MAX_GROUPS, MAX_TAPS), np.int32), columns + 2
        for group in range(len(taps)):
            for n in range(taps.shape[1]):
                g, m = place(group), place(n)
                row = taps[g, m, 0] * (out.shape[1] + 2) + taps[g, m, 1]
                places[g, m] = np.int32(row * across + taps[g, m, 2])
        flat = x.reshape(x.size)
        if columns >= LANES:  # two pieces of rows at a time, be they of one row or of two
            of_row = (columns + LANES - 1) // LANES
            count = out.shape[1] * of_row
            for n in range(0, count - 1, 2):
                row, j = n // of_row, min(LANES * (n % of_row), columns - LANES)
                next_row, k = (n + 1) // of_row, min(LANES * ((n + 1) % of_row), columns - LANES)
                at = (row * across + j, next_row * across + k)
                two(flat, at, weights, places, bias, parts, low, high, row, j, next_row, k, out)
            if count % 2:
                row, j = out.shape[1] - 1, columns - LANES
                once(flat, row * across + j, weights, places, bias, parts, low, high, row, j, out)
            return
        for row in range(out.shape[1]):
            for k in range(OUTPUTS_TOGETHER * len(weights)):
                for j in range(columns):
                    value = one(flat, row * across + j, weights, places, bias[k], parts[k], low, high, k)
                    if whole:
                        out[k, row, j] = value
                    else:
                        others = out[k // QUAD, row, j] if k % QUAD else np.int32(0)
                        out[k // QUAD, row, j] = others + (value << 8 * (k % QUAD))

    return convolve


@compiled
def _places(places, at, group, n):
    """Where what TOGETHER weights are multiplied with is, the n-th such of a group."""
    g, m = place(group), place(TOGETHER * n)
    return (
        at + places[g, m],
        at + places[g, m + place(1)],
        at + places[g, m + place(2)],
        at + places[g, m + place(3)],
    )


@compiled
def _spread_taps(weights, group, n, k):
    """These weights of channel k of the group."""
    g, m, first = place(group), place(n), TOGETHER * k
    return (
        spread(weights[g, m, place(first)], LANES),
        spread(weights[g, m, place(first + 1)], LANES),
        spread(weights[g, m, place(first + 2)], LANES),
        spread(weights[g, m, place(first + 3)], LANES),
    )


def convolve_arrays(x, weights, taps, bias, parts, low, high, out, first=False):  # type: ignore[no-untyped-def]
    """One layer: x (inputs / QUAD, rows + 2, columns + 2) int32, four channels in each (see `packed`), to out (outputs
    / QUAD, rows, columns) in the same way, or (outputs, rows, columns), one by one.

    weights: (outputs / 4, N / 4, 16) int32, four in each, of which TOGETHER of one output lie together; taps: (outputs
    / 4, N, 3) int32, what these are for: number in x, row and column (any where weights are zero); bias: (outputs,)
    int32; parts: (outputs,) int32, bits by which sums are shifted to the right; low, high: bounds of what comes out,
    int32; first: inputs and weights are in pairs (see `paired`).
    """
    rows, columns = out.shape[1:]
    outputs = OUTPUTS_TOGETHER * len(weights)
    total = np.repeat(bias.astype(np.float32), rows * columns).reshape(outputs, rows * columns)
    channels = (unpaired(x) if first else unpacked(x, False)).astype(np.float32)
    together = PAIR if first else QUAD
    for group in range(len(weights)):
        by_output = weights[group].reshape(-1, OUTPUTS_TOGETHER, TOGETHER).swapaxes(0, 1)
        numbers = np.ascontiguousarray(by_output.reshape(OUTPUTS_TOGETHER, -1))
        some = slice(OUTPUTS_TOGETHER * group, OUTPUTS_TOGETHER * (group + 1))
        apart = (unpaired(numbers[None]) if first else unpacked(numbers[None], True)).astype(np.float32)
        for i, j in np.ndindex(3, 3):
            used = (taps[group, :, 1:] == (i, j)).all(1)
            seen = channels.reshape(-1, together, *x.shape[1:])[taps[group, used, 0]]
            moved = seen[:, :, i : i + rows, j : j + columns].swapaxes(0, 1).reshape(-1, rows * columns)
            total[some] += apart[:, :, used].swapaxes(0, 1).reshape(OUTPUTS_TOGETHER, -1) @ moved
    made = np.clip(total.astype(np.int32) >> parts[:, None], low, high).reshape(outputs, rows, columns)
    out[:] = made if len(out) == outputs else packed(made)


_of_pairs, _of_quads = _convolution(_add_pairs, _of_pair), _convolution(add_byte_products, _of_quad)


# Numba keeps what closes over compiled functions for one process only: these two are what is called from outside
@compiled
def _convolve_first(x, weights, taps, bias, parts, low, high, out):
    _of_pairs(x, weights, taps, bias, parts, low, high, out)


@compiled
def _convolve(x, weights, taps, bias, parts, low, high, out):
    _of_quads(x, weights, taps, bias, parts, low, high, out)


if config.DISABLE_JIT:  # without a compiler its loops would take minutes
    convolve_first, convolve = partial(convolve_arrays, first=True), convolve_arrays
else:
    convolve_first, convolve = _convolve_first, _convolve


@compiled
def add_outputs(change, step, begin, left, y, u, v):
    """Add what came out, (CHANNELS or more, rows, columns), to planes with borders; begin, left: the first row and
    column, at half size."""
    for row in range(change.shape[1]):
        i = PAD // 2 + begin + row
        for j in range(change.shape[2]):
            at = PAD // 2 + left + j
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
