# SPDX-License-Identifier: Apache-2.0
"""Syntax of motion: what blocks are predicted from, by a candidate around them or by vectors of their own.

merge? -> which candidate
else   -> intra? or parts? -> each: from which references, vectors; of several: merge? -> which candidate
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, zeroed
from nvcodec.models.kernels.compensation import BOTH, FIRST, INTRA, SECOND
from nvcodec.models.kernels.decisions import (
    BEFORE,
    DIFFERENCE,
    IS_BOTH,
    IS_INTRA,
    IS_SECOND,
    IS_SPLIT,
    MERGE_INDEX,
    MERGED,
    PART_INDEX,
    PART_MERGED,
    QUAD_INDEX,
    SHAPE,
    SIGN,
    decide,
    decide_by,
    decide_magnitude,
)

MAX_VECTOR = 4095  # quarter pixels
MERGE = 9  # candidates of a merged block
# where they come from, as far as there are: on the left and above at their beginnings, above on the right and on the
# left (0 to 3), the middle and the lower right of the same place in the newest reference, on the left and above at
# their ends (6, 7), the mean of the first and second, first and third, second and third so far (8 to 10), no motion
# from one reference and from two
SOURCES = 13

# parts of a block with motion of their own: how many by shape; row, column, height and width of each, in 8x8 blocks
ONE_PART, TWO_ROWS, TWO_COLUMNS, FOUR_PARTS = range(4)
PART_COUNT = np.array([1, 2, 2, 4], np.int64)
PARTS = np.array(
    [
        [(0, 0, 2, 2)] * 4,
        [(0, 0, 1, 2), (1, 0, 1, 2)] * 2,
        [(0, 0, 2, 1), (0, 1, 2, 1)] * 2,
        [(0, 0, 1, 1), (0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 1, 1)],
    ],
    np.int64,
)


@compiled
def _stretched(component, scale):
    return min(max((component * scale + 128) >> 8, -MAX_VECTOR), MAX_VECTOR)


@compiled
def _mean(which, found, one, other, n):
    """Of two candidates' vector component n, or that of the one that has it."""
    reference = 1 + (n >> 1)
    if not which[one] & reference:
        return found[other, n]
    if not which[other] & reference:
        return found[one, n]
    return (found[one, n] + found[other, n]) >> 1


@compiled
def _right_is_known(vr, vc, width, columns):
    """Whether what lies above and to the right of ``width`` 8x8 blocks from (vr, vc) on is coded before them."""
    right = vc + width
    if vr == 0 or right >= columns:
        return False
    if vr % 2 == 1 and right >> 1 > vc >> 1:  # the block on the right
        return False
    if vr % 4 == 2 and right >> 2 > vc >> 2:  # the unit on the right
        return False
    return not (vr % 8 == 4 and right >> 3 > vc >> 3)  # the quad on the right


@compiled
def merge_candidates(kinds, vectors, vr, vc, height, width, last_kinds, last_vectors, scale, which, found):
    """Motion of up to MERGE different candidates for height x width 8x8 blocks from (vr, vc) on; returns how many.

    kinds: (2R, 2C) what each 8x8 block is predicted from; which: (MERGE,) what each candidate is; found: (MERGE, 4) its
    x0 y0 x1 y1. last_*: the field of the newest reference (last_kinds all INTRA where there is none); scale: (2,) int,
    256ths by which its vectors into first and second reference are stretched for this frame's (0: not usable).
    """
    count = 0
    rows, columns = kinds.shape
    for n in range(SOURCES):
        kind = 0
        x0 = y0 = x1 = y1 = 0
        if n < 4 or n == 6 or n == 7:
            if n == 2 and not _right_is_known(vr, vc, width, columns):
                continue
            nr = vr + height - 1 if n == 6 else vr if n == 0 else vr - 1
            nc = vc + width - 1 if n == 7 else vc + width if n == 2 else vc if n == 1 else vc - 1
            if nr < 0 or nc < 0 or kinds[nr, nc] == INTRA:
                continue
            kind = kinds[nr, nc]
            x0, y0, x1, y1 = vectors[0, nr, nc, 0], vectors[0, nr, nc, 1], vectors[1, nr, nc, 0], vectors[1, nr, nc, 1]
        elif n < 6:  # the middle of where this was, and what was to the lower right of it
            nr = min(vr + (height if n == 5 else height // 2), rows - 1)
            nc = min(vc + (width if n == 5 else width // 2), columns - 1)
            kind = last_kinds[nr, nc]
            if kind == INTRA:
                continue
            if kind & 1 and scale[0] == 0:
                kind &= 2
            if kind & 2 and scale[1] == 0:
                kind &= 1
            if kind == 0:
                continue
            x0, y0 = _stretched(last_vectors[0, nr, nc, 0], scale[0]), _stretched(last_vectors[0, nr, nc, 1], scale[0])
            x1, y1 = _stretched(last_vectors[1, nr, nc, 0], scale[1]), _stretched(last_vectors[1, nr, nc, 1], scale[1])
        elif n < 11:
            one, other = (1, 2) if n == 10 else (0, n - 7)
            if count <= other:
                continue
            kind = which[one] | which[other]
            x0, y0 = _mean(which, found, one, other, 0), _mean(which, found, one, other, 1)
            x1, y1 = _mean(which, found, one, other, 2), _mean(which, found, one, other, 3)
        else:
            kind = FIRST if n == 11 else BOTH
        if not kind & 1:
            x0 = y0 = 0
        if not kind & 2:
            x1 = y1 = 0
        new = True
        for k in range(count):
            if which[k] == kind and found[k, 0] == x0 and found[k, 1] == y0 and found[k, 2] == x1 and found[k, 3] == y1:
                new = False
        if new:
            which[count] = kind
            found[count, 0], found[count, 1], found[count, 2], found[count, 3] = x0, y0, x1, y1
            count += 1
            if count == MERGE:
                break
    return count


@compiled
def predict_vector(kinds, vectors, ref, vr, vc, width, out):
    """Predictor (x, y) of the vector into one reference of ``width`` 8x8 blocks from (vr, vc) on: the median of its
    neighbours' on the left, above, and above right (or left), as far as they use that reference; then, of each, how
    far they lie apart (-1 if there are not two) and how their mean differs from it: out (6,)."""
    xs, ys = zeroed(3, np.int32), zeroed(3, np.int32)
    count = 0
    for n in range(3):
        nr, nc = vr, vc
        if n == 0:
            nc = vc - 1
        elif n == 1:
            nr = vr - 1
        else:
            nr, nc = vr - 1, vc + width if _right_is_known(vr, vc, width, kinds.shape[1]) else vc - 1
        if nr < 0 or nc < 0 or not kinds[nr, nc] & (1 << ref):
            continue
        xs[count], ys[count] = vectors[ref, nr, nc, 0], vectors[ref, nr, nc, 1]
        count += 1
    for n in range(2):
        of = xs if n == 0 else ys
        out[n], out[2 + n], out[4 + n] = of[0], -1, 0
        if count == 3:
            low, high = min(of[0], of[1]), max(of[0], of[1])
            out[n] = max(low, min(high, of[2]))
            out[2 + n] = max(high, of[2]) - min(low, of[2])
            out[4 + n] = of[0] + of[1] + of[2] - 3 * out[n]
        elif count == 2:
            out[2 + n], out[4 + n] = abs(of[0] - of[1]), of[1] - of[0]


@compiled
def fill(values, r, c, height, width, value):
    """Set a rectangle of a map."""
    for i in range(r, r + height):
        for j in range(c, c + width):
            values[i, j] = value


@compiled
def _size_class(value):
    """0 1 2 3-4 5-8 9-16, more: 0 to 6; none (-1): 7."""
    if value < 3:
        return value if value >= 0 else 7
    return 3 if value < 5 else 4 if value < 9 else 5 if value < 17 else 6


@compiled
def _sign_class(value):
    return 0 if value == 0 else 1 if value > 0 else 2


@compiled
def _code_vector(coder, buffer, learned, part, kinds, vectors, ref, vr, vc, height, width):
    """part: 1 within a block."""
    near = zeroed(6, np.int32)
    predict_vector(kinds, vectors, ref, vr, vc, width, near)
    size, last = (2 if width == 4 else 1 if width == 2 and height == 2 else 0), 0
    of = (3 * (np.int64(kinds[vr, vc]) - 1) + size) * 2 + ref
    for n in range(2):
        value = vectors[ref, vr, vc, n] - near[n]
        around = _size_class(near[2 + n]) * 5 + (1 + min(_size_class(abs(last)), 3) if n else 0)
        magnitude = decide_magnitude(
            coder, buffer, learned, DIFFERENCE + 16 * part + 8 * n, 5, around, of, abs(value)
        )  # fmt: skip
        if magnitude:
            around, before = _sign_class(near[4 + n]) * 8 + _size_class(near[2 + n]), _sign_class(last)
            if decide_by(coder, buffer, learned, SIGN + 2 * part + n, around, before, 1 if value < 0 else 0):
                magnitude = -magnitude
        last = magnitude
        value = min(max(near[n] + magnitude, -MAX_VECTOR), MAX_VECTOR)
        fill(vectors[ref, :, :, n], vr, vc, height, width, value)


@compiled
def _code_index(coder, buffer, learned, first, count, index, which, found):
    """Write or read which of ``count`` candidates it is."""
    k = 0
    while k < count - 1:
        here = (1 if found[k, 0] or found[k, 1] or found[k, 2] or found[k, 3] else 0) + 2 * (np.int64(which[k]) - 1)
        after = found[k + 1]
        then = (1 if after[0] or after[1] or after[2] or after[3] else 0) + 2 * (np.int64(which[k + 1]) - 1)
        if not decide_by(
            coder, buffer, learned, first + k, 6 * here + then, learned[2][BEFORE], 1 if index > k else 0
        ):  # fmt: skip
            break
        k += 1
    return k


@compiled
def _merge(references, kinds, vectors, vr, vc, height, width, which, found):
    """Give 8x8 blocks a candidate's motion."""
    fill(kinds, vr, vc, height, width, which if references > 1 else FIRST)
    for ref in range(2):
        for k in range(2):
            fill(vectors[ref, :, :, k], vr, vc, height, width, found[2 * ref + k])


@compiled
def _code_new(coder, buffer, learned, references, kinds, vectors, vr, vc, height, width, part):
    """Write or read the references and vectors of 8x8 blocks with motion of their own; part: 1 within a block."""
    kind = np.int64(kinds[vr, vc])
    if references < 2:
        kind = FIRST
    else:
        left, above = np.int64(kinds[vr, vc - 1]) if vc > 0 else INTRA, np.int64(kinds[vr - 1, vc]) if vr > 0 else INTRA
        n = (1 if left == BOTH else 0) + (1 if above == BOTH else 0)
        if decide(coder, buffer, learned, IS_BOTH + 3 * part + n, 1 if kind == BOTH else 0):
            kind = BOTH
        else:
            n = (1 if left == SECOND else 0) + (1 if above == SECOND else 0)
            kind = FIRST + decide(coder, buffer, learned, IS_SECOND + 3 * part + n, 1 if kind == SECOND else 0)
    fill(kinds, vr, vc, height, width, kind)
    for ref in range(2):
        if kind & (1 << ref):
            _code_vector(coder, buffer, learned, part, kinds, vectors, ref, vr, vc, height, width)
        else:
            fill(vectors[ref, :, :, 0], vr, vc, height, width, 0)
            fill(vectors[ref, :, :, 1], vr, vc, height, width, 0)


@compiled
def _code_shape(coder, buffer, learned, shapes, r, c):
    """Write or read the parts of an inter block that is not merged."""
    n = (1 if c > 0 and shapes[r, c - 1] else 0) + (1 if r > 0 and shapes[r - 1, c] else 0)
    shape = np.int64(shapes[r, c])
    if not decide(coder, buffer, learned, IS_SPLIT + n, 1 if shape else 0):
        return ONE_PART
    if decide(coder, buffer, learned, SHAPE, 1 if shape == FOUR_PARTS else 0):
        return FOUR_PARTS
    return TWO_ROWS + decide(coder, buffer, learned, SHAPE + 1, 1 if shape == TWO_COLUMNS else 0)


@compiled
def code_quad(
    coder, buffer, learned, references, pred, merged, shapes, kinds, parts, vectors, r, c, last_kinds, last_vectors,
    scale, which, found,
):  # fmt: skip
    """Write or read which candidate the 4 x 4 blocks of a quad take their motion from."""
    near = (c > 0 and merged[r, c - 1] > 0) or (r > 0 and merged[r - 1, c] > 0)
    count = merge_candidates(kinds, vectors, 2 * r, 2 * c, 8, 8, last_kinds, last_vectors, scale, which, found)
    first = QUAD_INDEX + (8 if near else 0)
    k = _code_index(coder, buffer, learned, first, count, np.int64(merged[r, c]) - 1, which, found)
    _merge(references, kinds, vectors, 2 * r, 2 * c, 8, 8, which[k], found[k])
    fill(merged, r, c, 4, 4, 1 + k)
    fill(shapes, r, c, 4, 4, ONE_PART)
    fill(parts, 2 * r, 2 * c, 8, 8, 0)
    fill(pred, r, c, 4, 4, kinds[2 * r, 2 * c])


@compiled
def code_motion(
    coder, buffer, learned, references, pred, merged, coded, shapes, kinds, parts, vectors, r, c, size, before,
    last_kinds, last_vectors, scale, which, found,
):  # fmt: skip
    """Write or read what a square of size x size blocks of an inter frame is predicted from."""
    large = size - 1
    left, above = c > 0, r > 0
    n_coded = (np.int64(coded[r, c - 1]) if left else 0) + (np.int64(coded[r - 1, c]) if above else 0)
    n_merged = (1 if left and merged[r, c - 1] else 0) + (1 if above and merged[r - 1, c] else 0)
    intra = pred[r, c] == INTRA
    context = MERGED + 36 * large + 4 * (3 * n_merged + n_coded) + before
    if decide(coder, buffer, learned, context, 1 if merged[r, c] else 0):
        count = merge_candidates(
            kinds, vectors, 2 * r, 2 * c, 2 * size, 2 * size, last_kinds, last_vectors, scale, which, found
        )
        first = MERGE_INDEX + 16 * large + (8 if n_merged else 0)
        k = _code_index(coder, buffer, learned, first, count, np.int64(merged[r, c]) - 1, which, found)
        fill(merged, r, c, size, size, 1 + k)
        fill(shapes, r, c, size, size, ONE_PART)
        _merge(references, kinds, vectors, 2 * r, 2 * c, 2 * size, 2 * size, which[k], found[k])
        fill(pred, r, c, size, size, kinds[2 * r, 2 * c])
        return
    fill(merged, r, c, size, size, 0)
    n = (1 if left and pred[r, c - 1] == INTRA else 0) + (1 if above and pred[r - 1, c] == INTRA else 0)
    if decide(coder, buffer, learned, IS_INTRA + 3 * large + n, 1 if intra else 0):
        set_intra(pred, shapes, kinds, vectors, r, c, size)
        return
    shape = _code_shape(coder, buffer, learned, shapes, r, c) if size == 1 else ONE_PART
    fill(shapes, r, c, size, size, shape)
    if shape == ONE_PART:
        _code_new(coder, buffer, learned, references, kinds, vectors, 2 * r, 2 * c, 2 * size, 2 * size, 0)
    else:
        for k in range(PART_COUNT[shape]):
            vr, vc, height, width = (
                2 * r + PARTS[shape, k, 0],
                2 * c + PARTS[shape, k, 1],
                PARTS[shape, k, 2],
                PARTS[shape, k, 3],
            )
            context = PART_MERGED + 2 * (shape - 1) + (1 if k else 0)
            part = np.int64(parts[vr, vc])
            if decide(coder, buffer, learned, context, 1 if part else 0):
                count = merge_candidates(
                    kinds, vectors, vr, vc, height, width, last_kinds, last_vectors, scale, which, found
                )
                n = _code_index(coder, buffer, learned, PART_INDEX, count, part - 1, which, found)
                fill(parts, vr, vc, height, width, 1 + n)
                _merge(references, kinds, vectors, vr, vc, height, width, which[n], found[n])
            else:
                fill(parts, vr, vc, height, width, 0)
                _code_new(coder, buffer, learned, references, kinds, vectors, vr, vc, height, width, 1)
    fill(pred, r, c, size, size, kinds[2 * r, 2 * c])


@compiled
def set_intra(pred, shapes, kinds, vectors, r, c, size):
    """Note that a square of blocks is not predicted from references."""
    fill(pred, r, c, size, size, INTRA)
    fill(shapes, r, c, size, size, ONE_PART)
    fill(kinds, 2 * r, 2 * c, 2 * size, 2 * size, INTRA)
    for ref in range(2):
        for k in range(2):
            fill(vectors[ref, :, :, k], 2 * r, 2 * c, 2 * size, 2 * size, 0)
