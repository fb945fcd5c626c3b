# SPDX-License-Identifier: Apache-2.0
"""Motion compensation: integer positions, integer taps, one rounding.

Interpolation filters are those of H.265 (ITU-T H.265, tables 8-4 and 8-5): eight taps for quarter-pixel luma, four for
eighth-pixel chroma; unlike there, both directions and both references are summed at full precision and rounded once.
Reference planes carry a border of `PAD` samples (half of it for chroma); positions beyond it are moved onto it.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, place, scratch
from nvcodec.models.depth import LARGEST
from nvcodec.models.kernels.flow import SQUARE, find_flow, mean_flow, move

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
    np.int32,
)
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
    np.int32,
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


@compiled
def luma_block(plane, pad, top, left, size, x, y, out):
    """Interpolated luma at full precision (4096 times the sample) of the block at (top, left) moved by (x, y) quarter
    pixels, into the first ``size`` rows and columns of out (int32)."""
    height, width = plane.shape
    first_row = min(max(top + pad + (y >> 2), 4), height - size - 5)
    first_column = min(max(left + pad + (x >> 2), 4), width - size - 5)
    fx, fy = x & 3, y & 3
    if fx == 0 and fy == 0:
        for i in range(size):
            for j in range(size):
                out[i, j] = np.int32(plane[place(first_row + i), place(first_column + j)]) << 12
        return
    h0, h1, h2, h3, h4, h5, h6, h7 = LUMA_TAPS[fx]
    v0, v1, v2, v3, v4, v5, v6, v7 = LUMA_TAPS[fy]
    if fy == 0:
        for i in range(size):
            for j in range(size):
                r, c = place(first_row + i), first_column - 3 + j
                out[i, j] = (
                    h0 * plane[r, place(c)] + h1 * plane[r, place(c + 1)] + h2 * plane[r, place(c + 2)]
                    + h3 * plane[r, place(c + 3)] + h4 * plane[r, place(c + 4)] + h5 * plane[r, place(c + 5)]
                    + h6 * plane[r, place(c + 6)] + h7 * plane[r, place(c + 7)]
                ) << 6  # fmt: skip
        return
    if fx == 0:
        for i in range(size):
            for j in range(size):
                r, c = first_row - 3 + i, place(first_column + j)
                out[i, j] = (
                    v0 * plane[place(r), c] + v1 * plane[place(r + 1), c] + v2 * plane[place(r + 2), c]
                    + v3 * plane[place(r + 3), c] + v4 * plane[place(r + 4), c] + v5 * plane[place(r + 5), c]
                    + v6 * plane[place(r + 6), c] + v7 * plane[place(r + 7), c]
                ) << 6  # fmt: skip
        return
    between = scratch((23, 16), np.int32)
    for i in range(size + 7):
        for j in range(size):
            r, c = place(first_row - 3 + i), first_column - 3 + j
            between[i, j] = (
                h0 * plane[r, place(c)] + h1 * plane[r, place(c + 1)] + h2 * plane[r, place(c + 2)]
                + h3 * plane[r, place(c + 3)] + h4 * plane[r, place(c + 4)] + h5 * plane[r, place(c + 5)]
                + h6 * plane[r, place(c + 6)] + h7 * plane[r, place(c + 7)]
            )  # fmt: skip
    for i in range(size):
        for j in range(size):
            out[i, j] = (
                v0 * between[i, j] + v1 * between[i + 1, j] + v2 * between[i + 2, j] + v3 * between[i + 3, j]
                + v4 * between[i + 4, j] + v5 * between[i + 5, j] + v6 * between[i + 6, j] + v7 * between[i + 7, j]
            )  # fmt: skip


@compiled
def luma_from_both(first, second, top, left, size, x0, y0, x1, y1, a, b, found):
    """Two interpolated predictions of luma as `luma_block` makes them, moved towards each other: by quarter pixels as
    long as they differ less for it, which are returned (x, y; the second moves the other way), and, in a, by what is
    left, which is in found (see `find_flow`)."""
    luma_block(first, PAD, top, left, size, x0, y0, a)
    luma_block(second, PAD, top, left, size, x1, y1, b)
    apart, dx, dy = find_flow(a, b, size, found), np.int32(0), np.int32(0)
    next_a, next_b = scratch((16, 16), np.int32), scratch((16, 16), np.int32)
    next_found = scratch((4, 4, 2), np.int32)
    for _ in range(FLOW_ROUNDS):
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
            for j in range(size):
                a[i, j], b[i, j] = next_a[i, j], next_b[i, j]
        for i in range(size // SQUARE):
            for j in range(size // SQUARE):
                found[i, j, 0], found[i, j, 1] = next_found[i, j, 0], next_found[i, j, 1]
    move(a, b, size, SQUARE, 6, found)
    return dx, dy


@compiled
def chroma_block(plane, pad, top, left, size, x, y, out):
    """As `luma_block`, of a chroma plane, where (x, y) count eighths of a sample."""
    height, width = plane.shape
    first_row = min(max(top + pad + (y >> 3), 2), height - size - 3)
    first_column = min(max(left + pad + (x >> 3), 2), width - size - 3)
    fx, fy = x & 7, y & 7
    if fx == 0 and fy == 0:
        for i in range(size):
            for j in range(size):
                out[i, j] = np.int32(plane[place(first_row + i), place(first_column + j)]) << 12
        return
    between = scratch((11, 8), np.int32)
    h0, h1, h2, h3 = CHROMA_TAPS[fx]
    for i in range(size + 3):
        for j in range(size):
            r, c = place(first_row - 1 + i), first_column - 1 + j
            between[i, j] = (
                h0 * plane[r, place(c)] + h1 * plane[r, place(c + 1)] + h2 * plane[r, place(c + 2)]
                + h3 * plane[r, place(c + 3)]
            )  # fmt: skip
    v0, v1, v2, v3 = CHROMA_TAPS[fy]
    for i in range(size):
        for j in range(size):
            out[i, j] = v0 * between[i, j] + v1 * between[i + 1, j] + v2 * between[i + 2, j] + v3 * between[i + 3, j]


@compiled
def store(out, top, left, size, first, second, both):
    """Round one interpolated block, or the mean of two, into a plane."""
    if both:
        for i in range(size):
            for j in range(size):
                total = np.int32((first[i, j] + second[i, j] + 4096) >> 13)
                out[place(top + i), place(left + j)] = min(max(total, np.int32(0)), np.int32(LARGEST))
    else:
        for i in range(size):
            for j in range(size):
                total = np.int32((first[i, j] + 2048) >> 12)
                out[place(top + i), place(left + j)] = min(max(total, np.int32(0)), np.int32(LARGEST))


@compiled
def predict_block(first, second, kinds, vectors, midway, r, c, out_y, out_u, out_v):
    """Predict one inter block; all as in `compensate`."""
    a, b, found = scratch((16, 16), np.int32), scratch((16, 16), np.int32), scratch((4, 4, 2), np.int32)
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
            dx, dy = luma_from_both(first[0], second[0], top, left, size, x0, y0, x1, y1, a, b, found)
            x0, y0, x1, y1 = x0 + dx, y0 + dy, x1 - dx, y1 - dy
        elif kind & FIRST:
            luma_block(first[0], PAD, top, left, size, x0, y0, a)
        if kind & SECOND and not moves:
            luma_block(second[0], PAD, top, left, size, x1, y1, b if kind == BOTH else a)
        store(out_y, top, left, size, a, b, kind == BOTH)
        top, left = top // 2, left // 2
        for plane in range(2):
            p = 1 + plane
            if kind & FIRST:
                chroma_block(first[p], PAD // 2, top, left, half, x0, y0, a)
            if kind & SECOND:
                chroma_block(second[p], PAD // 2, top, left, half, x1, y1, b if kind == BOTH else a)
            if moves:
                move(a, b, half, SQUARE // 2, 7, found)
            store(out_u if plane == 0 else out_v, top, left, half, a, b, kind == BOTH)


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
