# SPDX-License-Identifier: Apache-2.0
"""Motion compensation: integer positions, integer taps, one rounding.

Interpolation filters are those of H.265 (ITU-T H.265, tables 8-4 and 8-5): eight taps for quarter-pixel luma, four for
eighth-pixel chroma; unlike there, both directions and both references are summed at full precision and rounded once.
Reference planes carry a border of `PAD` samples (half of it for chroma); positions beyond it are moved onto it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nvcodec.compiled import compiled, scratch
from nvcodec.models.depth import LARGEST
from nvcodec.models.kernels.flow import SQUARE, find_flow, mean_flow, move
from nvcodec.vectors import (
    add_products,
    as_float32,
    as_int32,
    as_uint16,
    in_pairs,
    join,
    least,
    load,
    most,
    spread,
    store,
)

PAD = 64  # of luma, on each side
FLOW_ROUNDS = 3  # of moving two predictions towards each other, at most
INTRA, FIRST, SECOND, BOTH = range(4)  # what a block is predicted from

LUMA_TAPS = np.array(
    [
        [0, 0, 0, 64, 0, 0, 0, 0],
        [-1, 4, -10, 58, 17, -5, 1, 0],
        [-1, 4, -11, 40, 40, -11, 4, -1],
        [0, 1, -5, 17, 58, -10, 4, -1],
    ],
    np.float32,
)
LUMA_TAP_PAIRS = (LUMA_TAPS[:, ::2].astype(np.int32) & 0xFFFF) | (LUMA_TAPS[:, 1::2].astype(np.int32) << 16)
CHROMA_TAPS = np.array(
    [
        [0, 64, 0, 0],
        [-2, 58, 10, -2],
        [-4, 54, 16, -2],
        [-6, 46, 28, -4],
        [-4, 36, 36, -4],
        [-4, 28, 46, -6],
        [-2, 16, 54, -4],
        [-2, 10, 58, -2],
    ],
    np.float32,
)


def padded(plane: np.ndarray, pad: int) -> np.ndarray:
    """A plane with its edge repeated on all sides."""
    height, width = plane.shape
    out = np.empty((height + 2 * pad, width + 2 * pad), plane.dtype)
    out[pad : pad + height, pad : pad + width] = plane
    extend_edges(out, pad)
    return out


@compiled
def extend_edges(plane, pad):
    """Repeat the edge of the picture inside a padded plane (in place)."""
    height, width = plane.shape
    for y in range(pad, height - pad):
        for x in range(pad):
            plane[y, x], plane[y, width - 1 - x] = plane[y, pad], plane[y, width - pad - 1]
    for y in range(pad):
        for x in range(width):
            plane[y, x], plane[height - 1 - y, x] = plane[pad, x], plane[height - 1 - pad, x]


def _luma(size: int) -> Callable[..., Any]:
    """Interpolation of a block of one size, whose first sample is at (row, column) of a plane, borders counted."""

    half = size // 2
    in_turn = join(*(n for k in range(half) for n in (k, half + k)))

    @compiled
    def across(plane, r, c, t0, t1, t2, t3):  # type: ignore[no-untyped-def]
        # pairs of neighbours, 16 bits each, by pairs of taps: of every other sample, and of those between
        even = odd = spread(np.int32(0), half)
        even = add_products(even, in_pairs(load(plane, (r, c), size)), spread(t0, half))
        odd = add_products(odd, in_pairs(load(plane, (r, c + 1), size)), spread(t0, half))
        even = add_products(even, in_pairs(load(plane, (r, c + 2), size)), spread(t1, half))
        odd = add_products(odd, in_pairs(load(plane, (r, c + 3), size)), spread(t1, half))
        even = add_products(even, in_pairs(load(plane, (r, c + 4), size)), spread(t2, half))
        odd = add_products(odd, in_pairs(load(plane, (r, c + 5), size)), spread(t2, half))
        even = add_products(even, in_pairs(load(plane, (r, c + 6), size)), spread(t3, half))
        odd = add_products(odd, in_pairs(load(plane, (r, c + 7), size)), spread(t3, half))
        return in_turn(even, odd)

    @compiled
    def block(plane, row, column, fx, fy, out):  # type: ignore[no-untyped-def]
        if fx == 0 and fy == 0:
            for i in range(size):
                store(out, (i, 0), as_int32(load(plane, (row + i, column), size)) << 12)
            return
        h0, h1, h2, h3 = LUMA_TAP_PAIRS[fx]
        if fy == 0:
            for i in range(size):
                store(out, (i, 0), across(plane, row + i, column - 3, h0, h1, h2, h3) << 6)
            return
        v0, v1, v2, v3, v4, v5, v6, v7 = LUMA_TAPS[fy]
        r, c = row - 3, column - 3
        if fx == 0:
            s0, s1 = as_float32(load(plane, (r, column), size)), as_float32(load(plane, (r + 1, column), size))
            s2, s3 = as_float32(load(plane, (r + 2, column), size)), as_float32(load(plane, (r + 3, column), size))
            s4, s5 = as_float32(load(plane, (r + 4, column), size)), as_float32(load(plane, (r + 5, column), size))
            s6 = as_float32(load(plane, (r + 6, column), size))
            for i in range(size):
                s7 = as_float32(load(plane, (r + 7 + i, column), size))
                one = s0 * v0 + s1 * v1 + s2 * v2 + s3 * v3 + s4 * v4 + s5 * v5 + s6 * v6 + s7 * v7
                store(out, (i, 0), as_int32(one) << 6)
                s0, s1, s2, s3, s4, s5, s6 = s1, s2, s3, s4, s5, s6, s7
            return
        s0, s1 = (
            as_float32(across(plane, r, c, h0, h1, h2, h3)), as_float32(across(plane, r + 1, c, h0, h1, h2, h3))
        )  # fmt: skip
        s2, s3 = (
            as_float32(across(plane, r + 2, c, h0, h1, h2, h3)), as_float32(across(plane, r + 3, c, h0, h1, h2, h3))
        )  # fmt: skip
        s4, s5 = (
            as_float32(across(plane, r + 4, c, h0, h1, h2, h3)), as_float32(across(plane, r + 5, c, h0, h1, h2, h3))
        )  # fmt: skip
        s6 = as_float32(across(plane, r + 6, c, h0, h1, h2, h3))
        for i in range(size):
            s7 = as_float32(across(plane, r + 7 + i, c, h0, h1, h2, h3))
            one = s0 * v0 + s1 * v1 + s2 * v2 + s3 * v3 + s4 * v4 + s5 * v5 + s6 * v6 + s7 * v7
            store(out, (i, 0), as_int32(one))
            s0, s1, s2, s3, s4, s5, s6 = s1, s2, s3, s4, s5, s6, s7

    return block


_luma_16, _luma_8 = _luma(16), _luma(8)


@compiled
def luma_block(plane, pad, top, left, size, x, y, out):
    """Interpolated luma at full precision (4096 times the sample) of the block at (top, left) moved by (x, y) quarter
    pixels, into the first ``size`` (8 or 16) rows and columns of out (int32)."""
    height, width = plane.shape
    row = min(max(top + pad + (y >> 2), 4), height - size - 5)
    column = min(max(left + pad + (x >> 2), 4), width - size - 5)
    if size == 16:
        _luma_16(plane, row, column, x & 3, y & 3, out)
    else:
        _luma_8(plane, row, column, x & 3, y & 3, out)


@compiled
def luma_from_both(first, second, top, left, size, x0, y0, x1, y1, rounds, a, b, found):
    """Two interpolated predictions of luma as `luma_block` makes them, moved towards each other: by quarter pixels as
    long as they differ less for it, which are returned (x, y; the second moves the other way), and, in a, by what is
    left, which is in found (see `find_flow`)."""
    luma_block(first, PAD, top, left, size, x0, y0, a)
    luma_block(second, PAD, top, left, size, x1, y1, b)
    apart, dx, dy = find_flow(a, b, size, found), np.int32(0), np.int32(0)
    next_a, next_b = scratch((16, 16), np.int32), scratch((16, 16), np.int32)
    next_found = scratch((2, 4, 4), np.int32)
    for _ in range(rounds):
        more_x, more_y = mean_flow(size, found)
        if more_x == 0 and more_y == 0:
            break
        luma_block(first, PAD, top, left, size, x0 + dx + more_x, y0 + dy + more_y, next_a)
        luma_block(second, PAD, top, left, size, x1 - dx - more_x, y1 - dy - more_y, next_b)
        now = find_flow(next_a, next_b, size, next_found)
        if now >= apart:
            break
        apart, dx, dy = now, np.int32(dx + more_x), np.int32(dy + more_y)
        for i in range(size):
            for j in range(0, size, 8):
                store(a, (i, j), load(next_a, (i, j), 8))
                store(b, (i, j), load(next_b, (i, j), 8))
        for n in range(2):
            for i in range(size // SQUARE):
                store(found, (n, i, 0), load(next_found, (n, i, 0), 4))
    move(a, b, size, SQUARE, 6, found)
    return dx, dy


def _chroma(size: int) -> Callable[..., Any]:
    """As `_luma`, of chroma."""

    @compiled
    def across(plane, r, c, t0, t1, t2, t3):  # type: ignore[no-untyped-def]
        return (
            as_float32(load(plane, (r, c), size)) * t0 + as_float32(load(plane, (r, c + 1), size)) * t1
            + as_float32(load(plane, (r, c + 2), size)) * t2 + as_float32(load(plane, (r, c + 3), size)) * t3
        )  # fmt: skip

    @compiled
    def block(plane, row, column, fx, fy, out):  # type: ignore[no-untyped-def]
        if fx == 0 and fy == 0:
            for i in range(size):
                store(out, (i, 0), as_int32(load(plane, (row + i, column), size)) << 12)
            return
        h0, h1, h2, h3 = CHROMA_TAPS[fx]
        v0, v1, v2, v3 = CHROMA_TAPS[fy]
        r, c = row - 1, column - 1
        s0, s1 = across(plane, r, c, h0, h1, h2, h3), across(plane, r + 1, c, h0, h1, h2, h3)
        s2 = across(plane, r + 2, c, h0, h1, h2, h3)
        for i in range(size):
            s3 = across(plane, r + 3 + i, c, h0, h1, h2, h3)
            store(out, (i, 0), as_int32(s0 * v0 + s1 * v1 + s2 * v2 + s3 * v3))
            s0, s1, s2 = s1, s2, s3

    return block


_chroma_8, _chroma_4 = _chroma(8), _chroma(4)


@compiled
def chroma_block(plane, pad, top, left, size, x, y, out):
    """As `luma_block`, of a chroma plane, where (x, y) count eighths of a sample; size: 4 or 8."""
    height, width = plane.shape
    row = min(max(top + pad + (y >> 3), 2), height - size - 3)
    column = min(max(left + pad + (x >> 3), 2), width - size - 3)
    if size == 8:
        _chroma_8(plane, row, column, x & 7, y & 7, out)
    else:
        _chroma_4(plane, row, column, x & 7, y & 7, out)


def _rounding(size: int) -> Callable[..., Any]:
    """`round_block` of one size."""

    @compiled
    def rounded(out, top, left, first, second, both):  # type: ignore[no-untyped-def]
        for i in range(size):
            if both:
                samples = (load(first, (i, 0), size) + load(second, (i, 0), size) + 4096) >> 13
            else:
                samples = (load(first, (i, 0), size) + 2048) >> 12
            store(out, (top + i, left), as_uint16(least(most(samples, 0), LARGEST)))

    return rounded


_rounded_16, _rounded_8, _rounded_4 = _rounding(16), _rounding(8), _rounding(4)


@compiled
def round_block(out, top, left, size, first, second, both):
    """Round one interpolated block, or the mean of two, into a plane; size: 4, 8 or 16."""
    if size == 16:
        _rounded_16(out, top, left, first, second, both)
    elif size == 8:
        _rounded_8(out, top, left, first, second, both)
    else:
        _rounded_4(out, top, left, first, second, both)


@compiled
def predict_block(first, second, kinds, vectors, midway, r, c, out_y, out_u, out_v):
    """Predict one inter block; all as in `compensate`."""
    a, b, found = scratch((16, 16), np.int32), scratch((16, 16), np.int32), scratch((2, 4, 4), np.int32)
    whole = True
    for k in range(1, 4):
        i, j = 2 * r + (k >> 1), 2 * c + (k & 1)
        if kinds[i, j] != kinds[2 * r, 2 * c]:
            whole = False
        for ref in range(2):
            for n in range(2):
                if vectors[ref, i, j, n] != vectors[ref, 2 * r, 2 * c, n]:
                    whole = False
    parts, size = (1, 16) if whole else (4, 8)
    for k in range(parts):
        br, bc = 2 * r + (k >> 1), 2 * c + (k & 1)
        top, left, half, kind = 8 * br, 8 * bc, size // 2, kinds[br, bc]
        x0, y0, x1, y1 = vectors[0, br, bc, 0], vectors[0, br, bc, 1], vectors[1, br, bc, 0], vectors[1, br, bc, 1]
        moves = midway and kind == BOTH
        if moves:
            dx, dy = luma_from_both(first[0], second[0], top, left, size, x0, y0, x1, y1, FLOW_ROUNDS, a, b, found)
            x0, y0, x1, y1 = x0 + dx, y0 + dy, x1 - dx, y1 - dy
        elif kind & FIRST:
            luma_block(first[0], PAD, top, left, size, x0, y0, a)
        if kind & SECOND and not moves:
            luma_block(second[0], PAD, top, left, size, x1, y1, b if kind == BOTH else a)
        round_block(out_y, top, left, size, a, b, kind == BOTH)
        top, left = top // 2, left // 2
        for plane in range(2):
            p = 1 + plane
            if kind & FIRST:
                chroma_block(first[p], PAD // 2, top, left, half, x0, y0, a)
            if kind & SECOND:
                chroma_block(second[p], PAD // 2, top, left, half, x1, y1, b if kind == BOTH else a)
            if moves:
                move(a, b, half, SQUARE // 2, 7, found)
            round_block(out_u if plane == 0 else out_v, top, left, half, a, b, kind == BOTH)


@compiled
def compensate(first, second, kinds, vectors, midway, begin, end, out_y, out_u, out_v):
    """Predict the inter blocks of block rows begin..end-1 of a frame.

    first, second: (y, u, v) reference planes with borders; kinds: (2R, 2C) uint8, what each 8x8 block is predicted
    from; vectors: (2, 2R, 2C, 2) int32, (x, y) quarter pixels into each reference, 0 where there is none; out_*: planes
    without borders; midway: whether the frame lies in the middle between its references, and predictions from both are
    moved towards each other (`luma_from_both`).
    """
    for r in range(begin, end):
        for c in range(kinds.shape[1] // 2):
            if kinds[2 * r, 2 * c] != INTRA:
                predict_block(first, second, kinds, vectors, midway, r, c, out_y, out_u, out_v)
