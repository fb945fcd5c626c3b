# SPDX-License-Identifier: Apache-2.0
"""Coefficients of residuals, at the encoder: products with basis pictures, which are most of what it reads.

Both are whole numbers of 16 bits here, two samples in each 32 bits: half of what floating point would have to read.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, scratch, zeroed
from nvcodec.vectors import add_products, as_float32, as_int32, load, native_lanes, shuffle, spread, store, sum_of

GROUP = 16  # coefficients that lie together
MOST, PAIRS = 384, 192  # samples, and coefficients; pairs of samples
UNIT_BITS = 14  # of basis pictures
LONGEST = 16000  # what the root of the sum of squares of samples is scaled to, at most: twice as much fits as well
_LANES = native_lanes()
_even, _odd = shuffle(*range(0, GROUP, 2)), shuffle(*range(1, GROUP, 2))
_ROUND = 1 << 16  # so that numbers to be rounded are positive
_EXPONENT = 0x7F800000  # bits of a float32


def arranged(pictures: np.ndarray) -> np.ndarray:
    """Basis pictures, whole numbers (..., n, n), [coefficient, sample], as `analyse` reads them: (..., n / GROUP,
    n / 2, GROUP) int32, two samples of a coefficient in each."""
    n = pictures.shape[-1]
    grouped = pictures.reshape(*pictures.shape[:-2], n // GROUP, GROUP, n // 2, 2).swapaxes(-3, -2)
    return np.ascontiguousarray((grouped[..., 0].astype(np.int32) & 0xFFFF) | (grouped[..., 1].astype(np.int32) << 16))


@compiled
def _scale_of(samples):
    """What samples are multiplied with to become whole numbers of 16 bits: a power of two, which rounds none."""
    total = spread(np.float32(0), GROUP)
    for i in range(0, len(samples), GROUP):
        some = load(samples, i, GROUP)
        total = total + some * some
    exponent = np.float32(LONGEST / max(np.sqrt(sum_of(total)), np.float32(1))).view(np.int32) & np.int32(_EXPONENT)
    return np.int32(exponent).view(np.float32)


@compiled
def _pair(samples, first, scale, pairs):
    """Samples from number ``first`` (a multiple of GROUP) on as whole numbers, two in each of ``pairs``, int32."""
    for i in range(first, len(samples), GROUP):
        whole = as_int32(load(samples, i, GROUP) * scale + np.float32(_ROUND + 0.5)) - _ROUND
        store(pairs, i >> 1, (_even(whole) & 0xFFFF) + (_odd(whole) << 16))


@compiled
def _multiply(analysis, pairs, first, last, start, out):
    """Products of the pairs first..last-1 with as many groups of coefficients as there are in ``out``, int32, added to
    sums ``start``."""
    groups = len(out) // GROUP
    for group in range(0, groups - 1, 2):
        for part in range(0, GROUP, _LANES):
            a, b = load(start, GROUP * group + part, _LANES), load(start, GROUP * (group + 1) + part, _LANES)
            for i in range(first, last):
                samples = spread(pairs[i], _LANES)
                a = add_products(a, load(analysis, (group, i, part), _LANES), samples)
                b = add_products(b, load(analysis, (group + 1, i, part), _LANES), samples)
            store(out, GROUP * group + part, a)
            store(out, GROUP * (group + 1) + part, b)
    if groups % 2:
        for part in range(0, GROUP, _LANES):
            a = load(start, GROUP * (groups - 1) + part, _LANES)
            for i in range(first, last):
                a = add_products(a, load(analysis, (groups - 1, i, part), _LANES), spread(pairs[i], _LANES))
            store(out, GROUP * (groups - 1) + part, a)


@compiled
def _finish(sums, factor, scale, out):
    """Coefficients from sums of products; returns the sum of their squares."""
    total, unit = spread(np.float32(0), GROUP), np.float32(factor / (scale * np.float32(1 << UNIT_BITS)))
    for k in range(0, len(sums), GROUP):
        some = as_float32(load(sums, k, GROUP)) * unit
        store(out, k, some)
        total = total + some * some
    return sum_of(total)


@compiled
def analyse(analysis, samples, factor, count, out):
    """The first ``count`` coefficients (a multiple of GROUP) of samples (n,) float32, multiplied with ``factor``: out
    (n,) float32; returns the sum of their squares. analysis: of one class, see `arranged`."""
    pairs, sums = scratch(PAIRS, np.int32), zeroed(MOST, np.int32)[:count]
    scale = _scale_of(samples)
    _pair(samples, 0, scale, pairs)
    _multiply(analysis, pairs, 0, len(samples) >> 1, sums, sums)
    return _finish(sums, factor, scale, out)


@compiled
def analyse_first(analysis, samples, luma, factor, sums, out):
    """All coefficients of samples, as `analyse` finds them; what the first ``luma`` samples add to them is kept in sums
    (n,) int32. Returns the scale that these have."""
    pairs, products = scratch(PAIRS, np.int32), scratch(MOST, np.int32)[: len(samples)]
    scale = _scale_of(samples)
    _pair(samples, 0, scale, pairs)
    for k in range(0, len(sums), GROUP):
        store(sums, k, spread(np.int32(0), GROUP))
    _multiply(analysis, pairs, 0, luma >> 1, sums, sums)
    _multiply(analysis, pairs, luma >> 1, len(samples) >> 1, sums, products)
    _finish(products, factor, scale, out)
    return scale


@compiled
def analyse_again(analysis, samples, luma, factor, scale, sums, out):
    """All coefficients of samples of which the first ``luma`` are those that `analyse_first` was given."""
    pairs, products = scratch(PAIRS, np.int32), scratch(MOST, np.int32)[: len(samples)]
    if 2 * _scale_of(samples) < scale:  # too large for it
        analyse(analysis, samples, factor, len(samples), out)
        return
    _pair(samples, luma, scale, pairs)
    _multiply(analysis, pairs, luma >> 1, len(samples) >> 1, sums, products)
    _finish(products, factor, scale, out)
