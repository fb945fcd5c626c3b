# SPDX-License-Identifier: Apache-2.0
"""Residuals of blocks: sums of basis pictures, in integers, and for the encoder the way back.

A 16x16 block has 384 samples: 256 luma, 64 U, 64 V, each row by row. It is coded as a whole (coarse: 384
coefficients) or by its 8x8 quarters (fine: 96 each; coefficient k of quarter q is number 4 k + q). A quarter is in turn
transformed as a whole, or (tiny) as four 4x4 luma blocks of 16 coefficients and one block of 4x4 U and V of 32: its
coefficient 6 k + s is number k of luma block s, 6 k + 4 + j number 2 k + j of chroma. Basis pictures are int16 in
units of 2^-14, steps are in sixteenths of a sample value.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, place, scratch, zeroed
from nvcodec.models.depth import LARGEST, STEP_BITS
from nvcodec.models.kernels.syntax import ENERGIES, WHOLE
from nvcodec.vectors import above, bit_count, load, lowest_bit, magnitude, spread, store, sum_of

SAMPLES, FINE_SAMPLES = 384, 96
LUMA_SAMPLES = 256
TINY, TINY_CHROMA = 16, 32
BASIS_BITS = 14
SCALE_BITS = 8  # of what chroma is multiplied with
COSINE_BITS = 10
_FIRST_BITS = 8  # that sums over columns lose, then those over rows
_SECOND_BITS = 2 * COSINE_BITS - _FIRST_BITS + STEP_BITS
MAX_COEFFICIENT = 1 << 17  # in sixteenths of a sample value
# class of basis of each intra mode: 1 without direction, 2 to 6 upright from left to right, 7 to 11 the same lying
_UPRIGHT = [2] * 4 + [3] * 3 + [4] * 3 + [5] * 3 + [6] * 4  # modes 18 to 34
CLASS_OF_MODE = np.array([1, 1, *(n + 5 for n in _UPRIGHT[:0:-1]), *_UPRIGHT], np.int64)


@compiled
def _add_picture(out, row, value, quarter):
    """Add a basis picture (96,) of a quarter."""
    top, left = quarter >> 1, quarter & 1
    for i in range(8):
        at = (8 * top + i) * 16 + 8 * left
        for j in range(8):
            out[at + j] += value * row[8 * i + j]
    for plane in range(2):
        for i in range(4):
            at = 256 + 64 * plane + (4 * top + i) * 8 + 4 * left
            base = 64 + 16 * plane + 4 * i
            for j in range(4):
                out[at + j] += value * row[base + j]


@compiled
def _add_tiny(out, n, value, quarter, tiny, chroma):
    """Add a basis picture of coefficient n of a quarter with the tiny transform."""
    top, left = quarter >> 1, quarter & 1
    k, part = n // 6, n % 6
    if part < 4:
        row = tiny[k]
        for i in range(4):
            at = (8 * top + 4 * (part >> 1) + i) * 16 + 8 * left + 4 * (part & 1)
            for j in range(4):
                out[at + j] += value * row[4 * i + j]
        return
    row = chroma[2 * k + part - 4]
    for plane in range(2):
        for i in range(4):
            at = 256 + 64 * plane + (4 * top + i) * 8 + 4 * left
            for j in range(4):
                out[at + j] += value * row[16 * plane + 4 * i + j]


@compiled
def transform_class(inter, mode):
    """Which basis the residual of a square uses: see `CLASS_OF_MODE`; 0 in inter blocks."""
    return 0 if inter else CLASS_OF_MODE[mode]


@compiled
def synthesise(symbols, step, scale, inter, fine, tiny, modes, bases, out):
    """Residual (384,) int32 of one block: symbols (384,) int16, step in sixteenths, scale: of chroma, 256ths, inter,
    fine: 0 or 1, tiny: (2, 2) of its quarters, modes: (4, 4) of its squares; bases: int16 arrays (see `BlockBases`)."""
    for n in range(SAMPLES):
        out[n] = 0
    for n in range(SAMPLES):
        if symbols[n]:
            value = np.int32(min(max(symbols[n] * step, -MAX_COEFFICIENT), MAX_COEFFICIENT))
            if not fine:
                row = bases[0][transform_class(inter, modes[0, 0]), n]
                for i in range(SAMPLES):
                    out[i] += value * row[i]
                continue
            i, j = n & 2, 2 * (n & 1)
            first = transform_class(inter, modes[i, j])
            if tiny[i >> 1, j >> 1]:
                part = (n >> 2) % 6
                which = transform_class(inter, modes[i + (part >> 1), j + (part & 1)]) if part < 4 else first
                _add_tiny(out, n >> 2, value, n & 3, bases[2][which], bases[3][first])
            else:
                _add_picture(out, bases[1][first, n >> 2], value, n & 3)
    for i in range(LUMA_SAMPLES):
        out[i] = (out[i] + (1 << (BASIS_BITS + STEP_BITS - 1))) >> (BASIS_BITS + STEP_BITS)
    half = np.int64(1 << (BASIS_BITS + SCALE_BITS + STEP_BITS - 1))
    for i in range(LUMA_SAMPLES, SAMPLES):
        out[i] = (np.int64(out[i]) * scale + half) >> (BASIS_BITS + SCALE_BITS + STEP_BITS)


def _cosines(n):
    """(n/2, n) int32 the lower half of the orthonormal cosines of n samples, in units of 2^-COSINE_BITS."""
    k, x = np.arange(n // 2)[:, None], np.arange(n)[None]
    cosines = np.sqrt(2 / n) * np.cos(np.pi * (2 * x + 1) * k / (2 * n)) * np.where(k == 0, np.sqrt(0.5), 1)
    return np.round(cosines * (1 << COSINE_BITS)).astype(np.int32)


# of the luma and chroma of a unit of 2 x 2 blocks: what the large transform keeps of it. (No entry is nearer to a half
# than 9e-4: rounding is the same everywhere.)
LARGE_COSINES, LARGE_CHROMA_COSINES = _cosines(32), _cosines(16)


@compiled
def _from_cosines(values, size, cosines, out):
    """Samples (size, size) from their lowest cosines, (size/2)^2 in sixteenths, row by row."""
    between, half = scratch((32, 16), np.int32), size // 2
    for i in range(size):
        for j in range(half):
            between[i, j] = 1 << (_FIRST_BITS - 1)
    for k in range(half):
        any_value = False
        for j in range(half):
            if values[half * k + j]:
                any_value = True
        if any_value:
            for i in range(size):
                for j in range(half):
                    between[i, j] += cosines[k, i] * values[half * k + j]
    for i in range(size):
        for j in range(size):
            out[i, j] = 1 << (_SECOND_BITS - 1)
        for k in range(half):
            value = between[i, k] >> _FIRST_BITS
            if value:
                for j in range(size):
                    out[i, j] += value * cosines[k, j]
        for j in range(size):
            out[i, j] >>= _SECOND_BITS


@compiled
def synthesise_large(symbols, step, scale, inter, mode, bases, out):
    """Residual of a unit of 2 x 2 blocks: out (3, 32, 32) int32, of U and V (16, 16) of it; symbols (384,) int16."""
    values = zeroed(SAMPLES, np.int32)
    which = transform_class(inter, mode)
    for n in range(SAMPLES):
        if symbols[n]:
            value = np.int32(min(max(symbols[n] * step, -MAX_COEFFICIENT), MAX_COEFFICIENT))
            row = bases[4][which, n]
            for i in range(SAMPLES):
                values[i] += value * row[i]
    for i in range(LUMA_SAMPLES):
        values[i] = (values[i] + (1 << (BASIS_BITS - 1))) >> BASIS_BITS
    half = np.int64(1 << (BASIS_BITS + SCALE_BITS - 1))
    for i in range(LUMA_SAMPLES, SAMPLES):
        values[i] = (np.int64(values[i]) * scale + half) >> (BASIS_BITS + SCALE_BITS)
    _from_cosines(values[:256], 32, LARGE_COSINES, out[0])
    _from_cosines(values[256:320], 16, LARGE_CHROMA_COSINES, out[1])
    _from_cosines(values[320:], 16, LARGE_CHROMA_COSINES, out[2])


@compiled
def add_square(plane, top, left, size, residual):
    """Add a residual to a square of a plane."""
    low, high = np.int32(0), np.int32(LARGEST)
    for i in range(size):
        for j in range(size):
            r, c = place(top + i), place(left + j)
            plane[r, c] = min(max(np.int32(np.int32(plane[r, c]) + residual[i, j]), low), high)


@compiled
def add_unit(y, u, v, r, c, residual):
    """Add the residual (3, 32, 32) of a unit whose first block is (r, c)."""
    add_square(y, 16 * r, 16 * c, 32, residual[0])
    add_square(u, 8 * r, 8 * c, 16, residual[1])
    add_square(v, 8 * r, 8 * c, 16, residual[2])


@compiled
def add_block(y, u, v, r, c, residual):
    """Add a residual to the prediction in the planes, block (r, c)."""
    low, high = np.int32(0), np.int32(LARGEST)
    for n in range(3):
        size, first = (16, 0) if n == 0 else (8, 192 + 64 * n)
        plane = y if n == 0 else u if n == 1 else v
        for i in range(size):
            for j in range(size):
                row, column = place(size * r + i), place(size * c + j)
                sample = np.int32(np.int32(plane[row, column]) + residual[place(first + size * i + j)])
                plane[row, column] = min(max(sample, low), high)


@compiled
def add_inter_residuals(y, u, v, pred, coded, fine, tiny, large, symbols, steps, scale, bases, begin, end):
    """Add what was coded to the inter blocks of block rows begin..end-1 (begin is even) of a predicted frame; steps:
    (R, C) int32 sixteenths; scale: of chroma."""
    residual, none = scratch(SAMPLES, np.int32), zeroed((4, 4), np.uint8)
    unit = scratch((3, 32, 32), np.int32)
    for r in range(begin, end):
        for c in range(pred.shape[1]):
            if not pred[r, c] or not coded[r, c]:
                continue
            if large[r, c] == WHOLE:
                if r % 2 == 0 and c % 2 == 0:
                    synthesise_large(symbols[r, c], steps[r, c], scale, True, 0, bases, unit)
                    add_unit(y, u, v, r, c, unit)
            else:
                quarters = tiny[2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
                synthesise(symbols[r, c], steps[r, c], scale, True, fine[r, c], quarters, none, bases, residual)
                add_block(y, u, v, r, c, residual)


@compiled
def gather_residuals(y, u, v, py, pu, pv, blocks, out):
    """(N, 384) float32 differences of picture and prediction in the listed blocks (N, 2), in sample order."""
    for n in range(len(blocks)):
        r, c = blocks[n, 0], blocks[n, 1]
        for i in range(16):
            for j in range(16):
                out[n, 16 * i + j] = np.float32(y[16 * r + i, 16 * c + j]) - np.float32(py[16 * r + i, 16 * c + j])
        for i in range(8):
            for j in range(8):
                at = 8 * i + j
                out[n, 256 + at] = np.float32(u[8 * r + i, 8 * c + j]) - np.float32(pu[8 * r + i, 8 * c + j])
                out[n, 320 + at] = np.float32(v[8 * r + i, 8 * c + j]) - np.float32(pv[8 * r + i, 8 * c + j])


RATE_CLASSES = ENERGIES  # of blocks, by how many of their symbols are not zero
GROUP, MOST_GROUPS = 16, 24  # coefficients that are looked at together
MOST_ATTEMPTS = 3  # at the symbols of a block
# bits of a magnitude beyond those of 2
MORE_BITS = (2 * np.log2(np.maximum(np.arange(2048) - 1, 1))).astype(np.float32)


@compiled
def rate_class(count):
    """Class of a block with so many non-zero symbols."""
    if count < 3:
        return 0 if count < 2 else 1
    if count < 33:
        return 2 if count < 5 else 3 if count < 9 else 4 if count < 17 else 5
    return 6 if count < 65 else 7 if count < 113 else 8 if count < 177 else 9


@compiled(fastmath=True)
def squares(coefficients):
    """Summed up; encoder only: the last bits may differ from processor to processor."""
    summed = np.float32(0)
    for k in range(len(coefficients)):
        summed += coefficients[k] * coefficients[k]
    return summed


@compiled
def quantise(coefficients, rates, price, symbols):
    """Rate-distortion choice of the symbols of one block; returns its cost: error and price of bits, squared steps.

    coefficients: (n,) float32 in steps, n a multiple of 16 up to 384; rates: (RATE_CLASSES, n + 1, 3) bits of 0, +-1
    and, for more, of the first beyond, and last of n zeros; price: squared steps that a bit is worth; symbols: (n,)
    int16 result.
    """
    some, count, errors = scratch(MOST_GROUPS, np.uint64), np.int64(0), spread(np.float32(0), GROUP)
    groups = len(coefficients) // GROUP
    for n in range(groups):
        sizes = magnitude(load(coefficients, GROUP * n, GROUP))
        some[n] = above(sizes, np.float32(0.4))
        count += bit_count(above(sizes, np.float32(0.6)))
        errors = errors + sizes * sizes
        store(symbols, GROUP * n, spread(np.int16(0), GROUP))
    which, error, cost = rate_class(count), sum_of(errors), np.float32(0)
    for _ in range(MOST_ATTEMPTS):
        cost, count = error + price * rates[which, len(coefficients), 0], np.int64(0)
        for n in range(groups):
            left = some[n]
            while left:
                k = place(GROUP * n + lowest_bit(left))
                left &= left - np.uint64(1)
                value = abs(coefficients[k])
                nothing = value * value + price * rates[which, k, 0]
                best, least, near = 0, nothing, int(value + np.float32(0.5))
                for q in range(max(1, near - 1), near + 1):
                    bits = rates[which, k, min(q, 2)]
                    if q > 2:
                        bits += MORE_BITS[min(q, len(MORE_BITS) - 1)]
                    q_cost = (value - q) * (value - q) + price * bits
                    if q_cost < least:
                        best, least = q, q_cost
                symbols[k] = best if coefficients[k] > 0 else -best
                if best:
                    cost += least - nothing
                    count += 1
        found = rate_class(count)
        if found == which:
            break
        which = found  # once more, with the rates of what was found
    return cost


@compiled
def non_zero(symbols):
    """How many are not zero."""
    count = np.int64(0)
    for k in range(len(symbols)):
        if symbols[k]:
            count += 1
    return count


@compiled
def reckoned_bits(symbols, rates):
    """Bits of the symbols of one block by rates as in `quantise`."""
    which = rate_class(non_zero(symbols))
    bits = rates[which, len(symbols), 0]
    for k in range(len(symbols)):
        q = abs(np.int64(symbols[k]))
        if q:
            bits += rates[which, k, min(q, 2)] - rates[which, k, 0]
            if q > 2:
                bits += MORE_BITS[min(q, len(MORE_BITS) - 1)]
    return bits


@compiled
def any_symbol(symbols):
    """Whether any is not zero."""
    for k in range(len(symbols)):
        if symbols[k]:
            return 1
    return 0


@compiled
def energies(coded, large, symbols, out):
    """Class of each coded block by how many of its symbols are not zero, 0 elsewhere: (R, C) uint8."""
    for r in range(coded.shape[0]):
        for c in range(coded.shape[1]):
            out[r, c] = 0
            if coded[r, c]:
                out[r, c] = rate_class(non_zero(symbols[r, c]))
                if large[r, c] == WHOLE:
                    out[r, c] = out[r & ~1, c & ~1]
