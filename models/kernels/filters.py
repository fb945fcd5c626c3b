# SPDX-License-Identifier: Apache-2.0
"""The filters of restoration, a row at a time: 16 samples of luma, or 8 of each plane of chroma, in whole numbers of 16
bits, two of which are multiplied with their taps and added up at once."""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, scratch
from nvcodec.models.depth import LARGEST
from nvcodec.models.kernels.compensation import PAD
from nvcodec.vectors import (
    add_products,
    as_int16,
    as_uint16,
    in_pairs,
    join,
    least,
    load,
    most,
    shuffle,
    spread,
    store,
    sum_of,
)

TAP_BITS = 8
MAX_TAP = 1 << 9  # 256ths
# pairs of neighbours of a luma sample at opposite sides, (rows, columns) to one of them: a diamond of 7x7
LUMA = np.array(
    [(0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (0, 3), (3, 0), (1, 2), (1, -2), (2, 1), (2, -1)], np.int64
)
# the same in chroma: a diamond of 5x5, then single luma neighbours of a chroma sample's place
CHROMA = np.array([(0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0)], np.int64)
ACROSS = np.array([(-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (2, 0), (1, 0)], np.int64)
LUMA_TAPS, CHROMA_TAPS = len(LUMA), len(CHROMA) + len(ACROSS)

MOST_BANKS = 4
WAYS = 1 + MOST_BANKS
ROW, HALF = 16, 8  # samples at once, and sums in a vector
LUMA_PAIRS, CHROMA_PAIRS = (LUMA_TAPS + 1) // 2, (CHROMA_TAPS + 1) // 2
MOST_PAIRS = max(LUMA_PAIRS, CHROMA_PAIRS)
_BITS = 0xFFFF
# samples 0-3 and 8-11 of two rows in turn, 4-7 and 12-15 of them; and the sums of both in the order of samples again
_low = join(*(n for first in (0, 8) for k in range(first, first + 4) for n in (k, ROW + k)))
_high = join(*(n for first in (4, 12) for k in range(first, first + 4) for n in (k, ROW + k)))
_in_order = join(0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15)
_beside = join(*range(2 * HALF))
_first_half, _second_half = shuffle(*range(HALF)), shuffle(*range(HALF, 2 * HALF))
_every_other_twice = shuffle(*range(0, ROW, 2), *range(0, ROW, 2))


@compiled
def _row(plane, r, c):
    """Samples of one plane."""
    return as_int16(load(plane, (r, c), ROW))


@compiled
def _both_rows(u, v, r, c):
    """Samples of U and, after them, of V."""
    return as_int16(_beside(load(u, (r, c), HALF), load(v, (r, c), HALF)))


@compiled
def _luma_beside(y, r, c):
    """Every other sample of luma, twice: where those of U and V are."""
    return as_int16(_every_other_twice(load(y, (r, c), ROW)))


@compiled
def _clipped(samples, centre, clip):
    """Differences."""
    return most(least(samples - centre, clip), -clip)


@compiled
def _store_pair(first, second, k, out):
    """Two rows of what taps are multiplied with, out (pairs, 2, HALF) int32."""
    store(out, (k, 0, 0), in_pairs(_low(first, second)))
    store(out, (k, 1, 0), in_pairs(_high(first, second)))


@compiled
def _see_luma(y, r, c, clip, out):
    """Sums of clipped differences to pairs of neighbours of the samples from (r, c) on, borders counted."""
    centre = _row(y, r, c)
    for k in range(0, LUMA_TAPS, 2):
        dy, dx = LUMA[k]
        first = _clipped(_row(y, r - dy, c - dx), centre, clip) + _clipped(_row(y, r + dy, c + dx), centre, clip)
        dy, dx = LUMA[k + 1]
        second = _clipped(_row(y, r - dy, c - dx), centre, clip) + _clipped(_row(y, r + dy, c + dx), centre, clip)
        _store_pair(first, second, k >> 1, out)


@compiled
def _see_chroma(u, v, y, r, c, clip, out):
    """The same of chroma, and differences of luma at its place to single neighbours."""
    centre = _both_rows(u, v, r, c)
    for k in range(0, len(CHROMA), 2):
        dy, dx = CHROMA[k]
        first = _clipped(_both_rows(u, v, r - dy, c - dx), centre, clip)
        first = first + _clipped(_both_rows(u, v, r + dy, c + dx), centre, clip)
        dy, dx = CHROMA[k + 1]
        second = _clipped(_both_rows(u, v, r - dy, c - dx), centre, clip)
        second = second + _clipped(_both_rows(u, v, r + dy, c + dx), centre, clip)
        _store_pair(first, second, k >> 1, out)
    r, c = 2 * r, 2 * c
    here = _luma_beside(y, r, c)
    for k in range(0, len(ACROSS), 2):
        dy, dx = ACROSS[k]
        first = _clipped(_luma_beside(y, r + dy, c + dx), here, clip)
        second = first - first
        if k + 1 < len(ACROSS):
            dy, dx = ACROSS[k + 1]
            second = _clipped(_luma_beside(y, r + dy, c + dx), here, clip)
        _store_pair(first, second, (len(CHROMA) + k) >> 1, out)


@compiled
def _pair_of(taps, kind, k):
    """Two taps of a class, as they are multiplied, the second 0 beyond the last."""
    second = np.int32(taps[kind, k + 1]) if k + 1 < taps.shape[1] else np.int32(0)
    return np.int32((np.int32(taps[kind, k]) & np.int32(_BITS)) | np.int32(second << 16))


@compiled
def _luma_taps(taps, classes, row, column, out):
    """Taps of a row of four squares: out (LUMA_PAIRS, 2, HALF) int32."""
    for square in range(4):
        kind = classes[row, column + square]
        for k in range(LUMA_PAIRS):
            store(out, (k, square & 1, 4 * (square >> 1)), spread(_pair_of(taps, kind, 2 * k), 4))


@compiled
def _chroma_taps(taps, classes, row, column, out):
    """The same of U and V, taps (2, CLASSES, CHROMA_TAPS): out (CHROMA_PAIRS, 2, HALF) int32."""
    for square in range(4):
        kind = classes[row, column + square]
        for part in range(2):
            for k in range(CHROMA_PAIRS):
                at = 4 * part + 2 * (square & 1)
                store(out, (k, square >> 1, at), spread(_pair_of(taps[part], kind, 2 * k), 2))


@compiled
def _moved(centre, seen, taps, pairs):
    """Samples moved by what they see, weighed."""
    low = high = spread(np.int32(1 << (TAP_BITS - 1)), HALF)
    for k in range(pairs):
        low = add_products(low, load(seen, (k, 0, 0), HALF), load(taps, (k, 0, 0), HALF))
        high = add_products(high, load(seen, (k, 1, 0), HALF), load(taps, (k, 1, 0), HALF))
    low, high = (least(most(low >> TAP_BITS, -LARGEST), LARGEST), least(most(high >> TAP_BITS, -LARGEST), LARGEST))
    return least(most(centre + _in_order(as_int16(low), as_int16(high)), 0), LARGEST)


@compiled
def filter_luma(y, classes, taps, clip, row, column, height, width, out):
    """Filter a rectangle of luma at (row, column), its top left sample; multiples of 4 rows and of 16 columns.

    y, out: planes with borders; classes: of `restore.classify`; taps: (CLASSES, LUMA_TAPS) int16 of a bank; clip: bound
    of differences.
    """
    seen, expanded = scratch((MOST_PAIRS, 2, HALF), np.int32), scratch((MOST_PAIRS, 2, HALF), np.int32)
    for j in range(column, column + width, ROW):
        for i in range(row, row + height):
            if i % 4 == 0:
                _luma_taps(taps, classes, i >> 2, j >> 2, expanded)
            r, c = PAD + i, PAD + j
            _see_luma(y, r, c, clip, seen)
            store(out, (r, c), as_uint16(_moved(_row(y, r, c), seen, expanded, LUMA_PAIRS)))


@compiled
def filter_chroma(u, v, y, classes, taps, clip, row, column, height, width, out_u, out_v):
    """The same of both planes of chroma, in chroma samples: multiples of 2 rows and of 8 columns; taps: (2, CLASSES,
    CHROMA_TAPS)."""
    seen, expanded = scratch((MOST_PAIRS, 2, HALF), np.int32), scratch((MOST_PAIRS, 2, HALF), np.int32)
    for j in range(column, column + width, HALF):
        for i in range(row, row + height):
            if i % 2 == 0:
                _chroma_taps(taps, classes, i >> 1, j >> 1, expanded)
            r, c = PAD // 2 + i, PAD // 2 + j
            _see_chroma(u, v, y, r, c, clip, seen)
            moved = as_uint16(_moved(_both_rows(u, v, r, c), seen, expanded, CHROMA_PAIRS))
            store(out_u, (r, c), _first_half(moved))
            store(out_v, (r, c), _second_half(moved))


@compiled
def _add_error(samples, wanted, errors, bank):
    """Add squared differences to what a bank leaves, errors (banks, HALF) int32."""
    left = in_pairs(samples - wanted)
    store(errors, (bank, 0), add_products(load(errors, (bank, 0), HALF), left, left))


@compiled
def luma_errors(picture, y, classes, taps, clip, row, column, width, totals):
    """Add to totals (1 + banks,) int64 the squared errors of a row of 4x4 squares of luma, as it is and as each bank
    leaves it. picture: without borders; taps: (banks, CLASSES, LUMA_TAPS); the rest as in `filter_luma`."""
    seen = scratch((MOST_PAIRS, 2, HALF), np.int32)
    expanded, errors = scratch((MOST_BANKS, MOST_PAIRS, 2, HALF), np.int32), scratch((WAYS, HALF), np.int32)
    _forget(errors)
    for j in range(column, column + width, ROW):
        for bank in range(len(taps)):
            _luma_taps(taps[bank], classes, row >> 2, j >> 2, expanded[bank])
        for i in range(row, row + 4):
            r, c = PAD + i, PAD + j
            _see_luma(y, r, c, clip, seen)
            centre, wanted = _row(y, r, c), _row(picture, i, j)
            _add_error(centre, wanted, errors, 0)
            for bank in range(len(taps)):
                _add_error(_moved(centre, seen, expanded[bank], LUMA_PAIRS), wanted, errors, 1 + bank)
    for bank in range(len(totals)):
        totals[bank] += sum_of(load(errors, (bank, 0), HALF))


@compiled
def chroma_errors(picture_u, picture_v, u, v, y, classes, taps, clip, row, column, width, totals):
    """The same of both planes of chroma, of 2x2 samples of each: taps (banks, 2, CLASSES, CHROMA_TAPS)."""
    seen = scratch((MOST_PAIRS, 2, HALF), np.int32)
    expanded, errors = scratch((MOST_BANKS, MOST_PAIRS, 2, HALF), np.int32), scratch((WAYS, HALF), np.int32)
    _forget(errors)
    for j in range(column, column + width, HALF):
        for bank in range(len(taps)):
            _chroma_taps(taps[bank], classes, row >> 1, j >> 1, expanded[bank])
        for i in range(row, row + 2):
            r, c = PAD // 2 + i, PAD // 2 + j
            _see_chroma(u, v, y, r, c, clip, seen)
            centre, wanted = _both_rows(u, v, r, c), _both_rows(picture_u, picture_v, i, j)
            _add_error(centre, wanted, errors, 0)
            for bank in range(len(taps)):
                _add_error(_moved(centre, seen, expanded[bank], CHROMA_PAIRS), wanted, errors, 1 + bank)
    for bank in range(len(totals)):
        totals[bank] += sum_of(load(errors, (bank, 0), HALF))


@compiled
def _forget(errors):
    """Begin with nothing."""
    for bank in range(len(errors)):
        store(errors, (bank, 0), spread(np.int32(0), HALF))
