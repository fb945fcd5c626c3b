# SPDX-License-Identifier: Apache-2.0
"""Syntax of block decisions: how each 16x16 block is predicted and whether it carries a residual.

Blocks follow each other in units of 2 x 2 in raster order; every decision is a bit or a small number in an adaptive
context (see nvcodec.entropy.binary) chosen by the blocks on the left and above. One function writes and reads.

    each unit of 2 x 2:       large? -> the decisions below but once, and then, inter: as a whole or each block alone?

    inter frame, each block:  merge? -> which candidate, coded?
                              else   -> intra? -> modes, coded?
                                               -> parts? each: merge? -> which candidate
                                                               else   -> from which references, vectors
                                                  coded?
    intra frame, each block:  modes, coded?
    coded and intra blocks:   which transform, of the whole or, for each quarter, as a whole or tiny
    intra blocks:             a mode for each square that is transformed on its own (16x16, 8x8 or 4x4)
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled
from nvcodec.entropy.binary import code_plain
from nvcodec.models.kernels.compensation import BOTH, FIRST, INTRA, SECOND
from nvcodec.models.kernels.decisions import (
    AROUND,
    BEFORE,
    BANK,
    CODED,
    DIFFERENCE,
    ENERGY,
    FILTERED,
    FINE,
    FINER,
    IS_BOTH,
    IS_FINER,
    IS_INTRA,
    IS_LARGE,
    IS_SECOND,
    IS_SPLIT,
    IS_TINY,
    IS_WHOLE,
    MERGED,
    MERGE_INDEX,
    MODE_INDEX,
    MODE_KNOWN,
    MODE_REST,
    PART_INDEX,
    PART_MERGED,
    SHAPE,
    SIGN,
    decide,
    decide_by,
    decide_magnitude,
)
from nvcodec.models.kernels.intra import HORIZONTAL, MEAN, PLANAR, VERTICAL

MAX_VECTOR = 4095  # quarter pixels
MERGE = 5  # candidates of a merged block

MAX_FINER = 16  # levels

# parts of a block that have motion of their own: how many by shape, and row, column, height, width of each, in 8x8 blocks
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

# of each block: alone; in a large unit of 2 x 2 blocks with one motion; in one that is transformed as a whole, too
ALONE, SHARED, WHOLE = range(3)


@compiled
def coding_order(rows, columns):
    """(N, 2) rows and columns of blocks as they are coded: units of 2 x 2 in raster order, row by row within each."""
    order = np.empty((rows * columns, 2), np.int64)
    n = 0
    for unit_row in range(0, rows, 2):
        for unit_column in range(0, columns, 2):
            for k in range(4):
                r, c = unit_row + (k >> 1), unit_column + (k & 1)
                if r < rows and c < columns:
                    order[n, 0], order[n, 1] = r, c
                    n += 1
    return order


@compiled
def begins_unit(r, c, rows, columns):
    """Whether a block is the first of a whole unit of 2 x 2 blocks."""
    return r % 2 == 0 and c % 2 == 0 and r + 1 < rows and c + 1 < columns


@compiled
def _stretched(component, scale):
    return min(max((component * scale + 128) >> 8, -MAX_VECTOR), MAX_VECTOR)


@compiled
def _right_is_known(vr, vc, width, columns):
    """Whether what lies above and to the right of ``width`` 8x8 blocks from (vr, vc) on is coded before them."""
    right = vc + width
    if vr == 0 or right >= columns:
        return False
    if vr % 2 == 1 and right >> 1 > vc >> 1:  # the block on the right
        return False
    return not (vr % 4 == 2 and right >> 2 > vc >> 2)  # the unit on the right


@compiled
def merge_candidates(kinds, vectors, vr, vc, height, width, last_kinds, last_vectors, scale, which, found):
    """Motion of up to MERGE different candidates for height x width 8x8 blocks from (vr, vc) on; returns how many.

    kinds: (2R, 2C) what each 8x8 block is predicted from; which: (MERGE,) what each candidate is; found: (MERGE, 4) its
    x0 y0 x1 y1. last_*: the field of the newest reference (last_kinds all INTRA where there is none); scale: (2,) int,
    256ths by which its vectors into first and second reference are stretched for this frame's (0: not usable).
    """
    count = 0
    rows, columns = kinds.shape
    for n in range(8):
        kind = 0
        x0 = y0 = x1 = y1 = 0
        if n < 4:
            if n == 2 and not _right_is_known(vr, vc, width, columns):
                continue
            nr = vr if n == 0 else vr - 1
            nc = vc if n == 1 else vc + width if n == 2 else vc - 1
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
        else:
            kind = FIRST if n == 6 else BOTH
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
    xs, ys = np.zeros(3, np.int32), np.zeros(3, np.int32)
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
def _mode_class(mode):
    """0 and 1: without direction; 2 to 8: by direction."""
    return mode if mode < 2 else 2 + (mode - 2) // 5


@compiled
def likely_modes(modes, pred, mr, mc, out):
    """The three likeliest intra modes of the square whose first 4x4 is at (mr, mc) (ITU-T H.265, 8.4.2)."""
    left = modes[mr, mc - 1] if mc > 0 and pred[mr >> 2, (mc - 1) >> 2] == INTRA else MEAN
    above = modes[mr - 1, mc] if mr > 0 and pred[(mr - 1) >> 2, mc >> 2] == INTRA else MEAN
    if left == above:
        if left < 2:
            out[0], out[1], out[2] = PLANAR, MEAN, VERTICAL
        else:
            out[0], out[1], out[2] = left, 2 + (left + 29) % 32, 2 + (left - 1) % 32
    else:
        out[0], out[1] = left, above
        if left != PLANAR and above != PLANAR:
            out[2] = PLANAR
        elif left != MEAN and above != MEAN:
            out[2] = MEAN
        else:
            out[2] = VERTICAL if VERTICAL not in (left, above) else HORIZONTAL


@compiled
def _code_mode(coder, buffer, learned, modes, pred, mr, mc, units):
    likely = np.empty(3, np.int32)
    likely_modes(modes, pred, mr, mc, likely)
    left = np.int64(modes[mr, mc - 1]) if mc > 0 and pred[mr >> 2, (mc - 1) >> 2] == INTRA else MEAN
    above = np.int64(modes[mr - 1, mc]) if mr > 0 and pred[(mr - 1) >> 2, mc >> 2] == INTRA else MEAN
    left, above, same = _mode_class(left), _mode_class(above), left == above
    size = 3 if units == 8 else 0 if units == 4 else 1 if units == 2 else 2
    around, before = 6 * min(left, 2) + 2 * min(above, 2) + (1 if same else 0), 9 * size + _mode_class(likely[0])
    mode, rank = np.int32(modes[mr, mc]), 3
    for k in range(3):
        if likely[k] == mode:
            rank = k
    if decide_by(coder, buffer, learned, MODE_KNOWN + size, around, before, 1 if rank < 3 else 0):
        rank = decide_by(coder, buffer, learned, MODE_INDEX, around, before, 1 if rank > 0 else 0)
        if rank:
            rank += decide_by(coder, buffer, learned, MODE_INDEX + 1, around, before, 1 if mode == likely[2] else 0)
        mode = likely[rank]
    else:
        likely.sort()
        for k in range(2, -1, -1):
            if mode > likely[k]:
                mode -= 1
        node = 1
        for place in range(4, -1, -1):
            context = MODE_REST + 32 * size + node
            node = 2 * node + decide_by(coder, buffer, learned, context, left, above, (mode >> place) & 1)
        mode = np.int32(node - 32)
        for k in range(3):
            if mode >= likely[k]:
                mode += 1
    modes[mr : mr + units, mc : mc + units] = mode


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
    near = np.zeros(6, np.int32)
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
        _fill(vectors[ref, :, :, n], vr, vc, height, width, value)


@compiled
def code_banks(coder, buffer, learned, coded, energy, last_banks, banks):
    """Write or read the bank of each unit of 2 x 2 blocks, 0 for none (see nvcodec.models.kernels.restore). last_banks: of
    the frame coded last."""
    rows, columns = coded.shape
    for r in range(banks.shape[0]):
        for c in range(banks.shape[1]):
            count = most = 0
            for i in range(2 * r, min(2 * r + 2, rows)):
                for j in range(2 * c, min(2 * c + 2, columns)):
                    count += 1 if coded[i, j] else 0
                    most = max(most, np.int64(energy[i, j]))
            left, above = np.int64(banks[r, c - 1]) if c > 0 else 0, np.int64(banks[r - 1, c]) if r > 0 else 0
            n = (1 if left else 0) + (1 if above else 0)
            bank = np.int64(banks[r, c])
            around, before = 16 * left + 4 * above + np.int64(last_banks[r, c]), 8 * count + most
            context = FILTERED + 3 * n + ((count + 1) >> 1)
            if decide_by(coder, buffer, learned, context, around, before, 1 if bank else 0):
                near, which = left if left else above, 0
                context = BANK + 2 * near
                if decide_by(coder, buffer, learned, context, around, before, 1 if bank > 1 else 0):
                    which = 1 + decide_by(coder, buffer, learned, context + 1, around, before, 1 if bank > 2 else 0)
                banks[r, c] = 1 + which
            else:
                banks[r, c] = 0


@compiled
def code_finer(coder, buffer, learned, coded, finer):
    """Write or read by how many levels each unit of 2 x 2 blocks is finer than its frame, (rows, columns) int8.

    It is told of units with coded blocks, as the difference to the unit on the left (or above); others take that.
    """
    rows, columns = coded.shape
    some = 0
    for r in range(finer.shape[0]):
        for c in range(finer.shape[1]):
            if finer[r, c]:
                some = 1
    some = decide_by(coder, buffer, learned, IS_FINER, 0, 0, some)
    for r in range(finer.shape[0]):
        for c in range(finer.shape[1]):
            value = np.int64(0)
            if some:
                value = np.int64(finer[r, c - 1]) if c > 0 else np.int64(finer[r - 1, c]) if r > 0 else np.int64(0)
                known = True
                for i in range(2 * r, min(2 * r + 2, rows)):
                    for j in range(2 * c, min(2 * c + 2, columns)):
                        if coded[i, j]:
                            known = False
                if not known:
                    difference = np.int64(finer[r, c]) - value
                    magnitude = decide_magnitude(coder, buffer, learned, FINER, 6, 0, 0, abs(difference))
                    if magnitude and code_plain(coder, buffer, 1 if difference < 0 else 0, 1):
                        magnitude = -magnitude
                    value = min(max(value + magnitude, -MAX_FINER), MAX_FINER)
            finer[r, c] = value


@compiled
def _fill(values, r, c, height, width, value):
    """Set a rectangle of a map."""
    for i in range(r, r + height):
        for j in range(c, c + width):
            values[i, j] = value


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
    _fill(kinds, vr, vc, height, width, which if references > 1 else FIRST)
    for ref in range(2):
        for k in range(2):
            _fill(vectors[ref, :, :, k], vr, vc, height, width, found[2 * ref + k])


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
    _fill(kinds, vr, vc, height, width, kind)
    for ref in range(2):
        if kind & (1 << ref):
            _code_vector(coder, buffer, learned, part, kinds, vectors, ref, vr, vc, height, width)
        else:
            _fill(vectors[ref, :, :, 0], vr, vc, height, width, 0)
            _fill(vectors[ref, :, :, 1], vr, vc, height, width, 0)


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
def _code_motion(
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
        first = MERGE_INDEX + 8 * large + (4 if n_merged else 0)
        k = _code_index(coder, buffer, learned, first, count, np.int64(merged[r, c]) - 1, which, found)
        _fill(merged, r, c, size, size, 1 + k)
        _fill(shapes, r, c, size, size, ONE_PART)
        _merge(references, kinds, vectors, 2 * r, 2 * c, 2 * size, 2 * size, which[k], found[k])
        _fill(pred, r, c, size, size, kinds[2 * r, 2 * c])
        return
    _fill(merged, r, c, size, size, 0)
    n = (1 if left and pred[r, c - 1] == INTRA else 0) + (1 if above and pred[r - 1, c] == INTRA else 0)
    if decide(coder, buffer, learned, IS_INTRA + 3 * large + n, 1 if intra else 0):
        _set_intra(pred, shapes, kinds, vectors, r, c, size)
        return
    shape = _code_shape(coder, buffer, learned, shapes, r, c) if size == 1 else ONE_PART
    _fill(shapes, r, c, size, size, shape)
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
                _fill(parts, vr, vc, height, width, 1 + n)
                _merge(references, kinds, vectors, vr, vc, height, width, which[n], found[n])
            else:
                _fill(parts, vr, vc, height, width, 0)
                _code_new(coder, buffer, learned, references, kinds, vectors, vr, vc, height, width, 1)
    _fill(pred, r, c, size, size, kinds[2 * r, 2 * c])


@compiled
def _set_intra(pred, shapes, kinds, vectors, r, c, size):
    """Note that a square of blocks is not predicted from references."""
    _fill(pred, r, c, size, size, INTRA)
    _fill(shapes, r, c, size, size, ONE_PART)
    _fill(kinds, 2 * r, 2 * c, 2 * size, 2 * size, INTRA)
    for ref in range(2):
        for k in range(2):
            _fill(vectors[ref, :, :, k], 2 * r, 2 * c, 2 * size, 2 * size, 0)


@compiled
def _code_energy(coder, buffer, learned, coded, energy, last_coded, last_energy, intra, transform, r, c, size):
    """Write or read the energy of a square's transform."""
    left = 1 + np.int64(energy[r, c - 1]) if c > 0 and coded[r, c - 1] else 0
    above = 1 + np.int64(energy[r - 1, c]) if r > 0 and coded[r - 1, c] else 0
    n, past = left + above, 1 + np.int64(last_energy[r, c]) if last_coded[r, c] else 0
    around, before = 6 * ((left + 1) >> 1) + ((above + 1) >> 1), past * 6 + ((n + 2) // 4)
    first = ENERGY + (((3 if intra else 0) + transform) * 9 + ((n + 1) >> 1)) * 8
    node, value = 1, np.int64(energy[r, c])
    for place in range(2, -1, -1):
        node = 2 * node + decide_by(coder, buffer, learned, first + node, around, before, (value >> place) & 1)
    _fill(energy, r, c, size, size, node - 8)


@compiled
def _code_block(
    coder, buffer, learned, pred, merged, coded, fine, tiny, energy, modes, last_coded, last_energy, r, c, group, split, before
):  # fmt: skip
    """Write or read how a block of its own is transformed. group: of contexts of "coded"."""
    left, above = c > 0, r > 0
    intra = pred[r, c] == INTRA
    n_coded = (np.int64(coded[r, c - 1]) if left else 0) + (np.int64(coded[r - 1, c]) if above else 0)
    n_fine = (np.int64(fine[r, c - 1]) if left else 0) + (np.int64(fine[r - 1, c]) if above else 0)
    coded[r, c] = decide(coder, buffer, learned, CODED + 4 * (3 * group + n_coded) + before, np.int64(coded[r, c]))
    if coded[r, c] or intra:
        context = FINE + 3 * (0 if intra else 2 if split else 1) + n_fine
        fine[r, c] = decide(coder, buffer, learned, context, np.int64(fine[r, c]))
    else:
        fine[r, c] = 0
    if not fine[r, c]:
        _fill(tiny, 2 * r, 2 * c, 2, 2, 0)
        if intra:
            _code_mode(coder, buffer, learned, modes, pred, 4 * r, 4 * c, 4)
    for k in range(4 if fine[r, c] else 0):
        i, j = 2 * r + (k >> 1), 2 * c + (k & 1)
        n = (1 if j > 0 and tiny[i, j - 1] else 0) + (1 if i > 0 and tiny[i - 1, j] else 0)
        tiny[i, j] = decide(coder, buffer, learned, IS_TINY + n + (3 if intra else 0), np.int64(tiny[i, j]))
        if intra and tiny[i, j]:
            for part in range(4):
                _code_mode(coder, buffer, learned, modes, pred, 2 * i + (part >> 1), 2 * j + (part & 1), 1)
        elif intra:
            _code_mode(coder, buffer, learned, modes, pred, 2 * i, 2 * j, 2)
    if coded[r, c]:
        _code_energy(
            coder, buffer, learned, coded, energy, last_coded, last_energy, intra, np.int64(fine[r, c]), r, c, 1
        )
    else:
        energy[r, c] = 0


@compiled
def _state(pred, merged, coded, r, c):
    """How a neighbouring block was coded, 0 to 5."""
    if r < 0 or c < 0:
        return 0
    if pred[r, c] == INTRA:
        return 1
    return (2 if merged[r, c] else 4) + (1 if coded[r, c] else 0)


@compiled
def code_blocks(
    coder, buffer, learned, inter, references, pred, merged, coded, fine, tiny, energy, large, modes, shapes, kinds,
    parts, vectors, last_kinds, last_merged, last_coded, last_energy, last_large, last_vectors, scale,
):  # fmt: skip
    """Write or read the decisions of all blocks of a frame.

    inter: whether the frame may be predicted from others; references: 1 or 2 of them; pred, merged, coded, fine,
    energy, large, shapes: (R, C) uint8; tiny, kinds, parts: (2R, 2C) uint8; modes: (4R, 4C) uint8; vectors:
    (2, 2R, 2C, 2) int32. When reading, all are filled in (they may start with anything); ``merged``, and ``parts`` of
    blocks of several parts, are 0 or 1 + candidate. last_*: kinds and vectors of the newest reference, the rest of the
    frame coded last.
    """
    rows, columns = pred.shape
    which, found = np.zeros(MERGE, np.int32), np.zeros((MERGE, 4), np.int32)
    order = coding_order(rows, columns)
    for number in range(len(order)):
        r, c = order[number]
        size = 1
        # how this block was coded in the frame coded last
        before = (1 if last_merged[r, c] else 0) + (2 if last_coded[r, c] else 0)
        learned[2][AROUND] = 6 * _state(pred, merged, coded, r, c - 1) + _state(pred, merged, coded, r - 1, c)
        right = c + 1 if r % 2 else c + 2 - c % 2  # of the row above
        corner = 0
        if r > 0 and right < columns and not (r % 2 and c % 2):
            corner = (1 if merged[r - 1, right] else 0) + (2 if coded[r - 1, right] else 0)
        learned[2][BEFORE] = 12 * before + 4 * np.int64(last_large[r, c]) + corner
        if begins_unit(r, c, rows, columns):
            n = (1 if c > 0 and large[r, c - 1] else 0) + (1 if r > 0 and large[r - 1, c] else 0)
            if decide(coder, buffer, learned, IS_LARGE + n, 1 if large[r, c] else 0):
                size = 2
            else:
                _fill(large, r, c, 2, 2, ALONE)
        elif not begins_unit(r & ~1, c & ~1, rows, columns):
            large[r, c] = ALONE
        elif large[r & ~1, c & ~1]:
            continue
        if inter:
            _code_motion(
                coder, buffer, learned, references, pred, merged, coded, shapes, kinds, parts, vectors, r, c, size,
                before, last_kinds, last_vectors, scale, which, found,
            )  # fmt: skip
        else:
            _fill(merged, r, c, size, size, 0)
            _set_intra(pred, shapes, kinds, vectors, r, c, size)
        if shapes[r, c] == ONE_PART:
            _fill(parts, 2 * r, 2 * c, 2 * size, 2 * size, 0)
        split = shapes[r, c] != ONE_PART
        if pred[r, c] != INTRA:
            _fill(modes, 4 * r, 4 * c, 4 * size, 4 * size, MEAN)
        group = 2 if pred[r, c] == INTRA else 0 if merged[r, c] else 1
        if size == 1:
            _code_block(
                coder, buffer, learned, pred, merged, coded, fine, tiny, energy, modes, last_coded, last_energy, r, c,
                group, split, before,
            )  # fmt: skip
        elif _code_unit(
            coder, buffer, learned, pred, coded, fine, tiny, energy, large, modes, last_coded, last_energy, r, c, group, before
        ):  # fmt: skip
            for k in range(4):
                i, j = r + (k >> 1), c + (k & 1)
                before = (1 if last_merged[i, j] else 0) + (2 if last_coded[i, j] else 0)
                _code_block(
                    coder, buffer, learned, pred, merged, coded, fine, tiny, energy, modes, last_coded, last_energy, i, j,
                    6, False, before,
                )  # fmt: skip


@compiled
def _code_unit(
    coder, buffer, learned, pred, coded, fine, tiny, energy, large, modes, last_coded, last_energy, r, c, group, before
):  # fmt: skip
    """Write or read how a large unit is transformed; returns whether its blocks say it each on its own."""
    intra = pred[r, c] == INTRA
    any_coded = coded[r, c] or coded[r, c + 1] or coded[r + 1, c] or coded[r + 1, c + 1]
    n = (np.int64(coded[r, c - 1]) if c > 0 else 0) + (np.int64(coded[r - 1, c]) if r > 0 else 0)
    context = CODED + 4 * (3 * (3 + group) + n) + before
    any_coded = decide(coder, buffer, learned, context, 1 if any_coded else 0)
    whole = 1 if intra else 0
    if any_coded and not intra:
        whole = decide(coder, buffer, learned, IS_WHOLE + group, 1 if large[r, c] == WHOLE else 0)
    _fill(large, r, c, 2, 2, WHOLE if whole else SHARED)
    if intra:
        _code_mode(coder, buffer, learned, modes, pred, 4 * r, 4 * c, 8)
    if any_coded and not whole:
        return True
    _fill(coded, r, c, 2, 2, any_coded)
    _fill(fine, r, c, 2, 2, 0)
    _fill(tiny, 2 * r, 2 * c, 4, 4, 0)
    if any_coded:
        _code_energy(coder, buffer, learned, coded, energy, last_coded, last_energy, intra, 2, r, c, 2)
    else:
        _fill(energy, r, c, 2, 2, 0)
    return False
