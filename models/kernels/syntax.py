# SPDX-License-Identifier: Apache-2.0
"""Syntax of block decisions: how each 16x16 block is predicted and whether it carries a residual.

Blocks follow each other in units of 2 x 2 in raster order; every decision is a bit or a small number in an adaptive
context (see nvcodec.entropy.binary) chosen by the blocks on the left and above. One function writes and reads.

    each unit of 2 x 2:       large? -> the decisions below but once, and then, inter: as a whole or each block alone?

    inter frame, each block:  merge? -> which candidate, coded?
                              else   -> intra? -> modes, coded?
                                               -> from which references, one vector or four, differences, coded?
    intra frame, each block:  modes, coded?
    coded and intra blocks:   which transform, of the whole or, for each quarter, as a whole or tiny
    intra blocks:             a mode for each square that is transformed on its own (16x16, 8x8 or 4x4)
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled
from nvcodec.entropy.binary import READING, code_bit, code_magnitude, code_plain
from nvcodec.models.kernels.compensation import BOTH, FIRST, INTRA
from nvcodec.models.kernels.intra import HORIZONTAL, MEAN, PLANAR, VERTICAL

MAX_VECTOR = 4095  # quarter pixels
MERGE = 5  # candidates of a merged block

# first contexts of each decision
IS_LARGE = 0  # 3: large neighbours
MERGED = IS_LARGE + 3  # 2 sizes x 36: merged neighbours (0-2), coded neighbours (0-2), `before` (0-3)
MERGE_INDEX = MERGED + 72  # 2 sizes x 2 x 4: merged neighbours or not
IS_INTRA = MERGE_INDEX + 16  # 2 sizes x 3: intra neighbours
IS_BOTH = IS_INTRA + 6  # 3: neighbours with both references
IS_SECOND = IS_BOTH + 3  # 3: neighbours with the second only
IS_SPLIT = IS_SECOND + 3  # 3: split neighbours
DIFFERENCE = IS_SPLIT + 3  # 2 components x 8: magnitudes of vector differences
CODED = DIFFERENCE + 16  # 7 kinds (merged, new, intra, the same of large units, in a coded unit) x 3 x 4 `before`
IS_WHOLE = CODED + 84  # transform of a large unit as a whole: 2 (merged or not)
FINE = IS_WHOLE + 2  # 3 kinds (intra, one vector, four) x 3: fine neighbours
IS_TINY = FINE + 9  # 2 kinds (inter, intra) x 3: tiny neighbours
MODE_KNOWN = IS_TINY + 6  # 4: coarse, fine, tiny, large
MODE_INDEX = MODE_KNOWN + 4  # 2
ENERGY = MODE_INDEX + 2  # 2 kinds (inter, intra) x 3 transforms x 9 energies around x 8 nodes of a tree
FILTERED = ENERGY + 432  # 3 x 3: filtered neighbours, coded blocks in the unit
BANK = FILTERED + 9  # 4 x 2: bank on the left
IS_FINER = BANK + 8  # 1: whether any unit is
FINER = IS_FINER + 1  # 7: magnitudes of differences of levels
CONTEXTS = FINER + 7
MAX_FINER = 16  # levels

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
def merge_candidates(pred, vectors, r, c, size, last_pred, last_vectors, scale, kinds, found):
    """Motion of up to MERGE different candidates for a square of size x size blocks at (r, c); returns how many.

    kinds: (MERGE,) what each is predicted from; found: (MERGE, 4) x0 y0 x1 y1. last_*: the field of the newest
    reference (last_pred all INTRA where there is none); scale: (2,) int, 256ths by which its vectors into first and
    second
    reference are stretched for this frame's (0: not usable).
    """
    count = 0
    rows, columns = pred.shape
    for n in range(8):
        kind = 0
        x0 = y0 = x1 = y1 = 0
        if n < 4:
            br, bc = r, c
            vr, vc = 2 * r, 2 * c
            if n == 0:
                bc, vr, vc = c - 1, 2 * r, 2 * c - 1
            elif n == 1:
                br, vr, vc = r - 1, 2 * r - 1, 2 * c
            elif n == 2:
                br, bc, vr, vc = r - 1, c + size, 2 * r - 1, 2 * (c + size)
                if size == 1 and r % 2 == 1 and c % 2 == 1:  # coded later
                    continue
            else:
                br, bc, vr, vc = r - 1, c - 1, 2 * r - 1, 2 * c - 1
            if br < 0 or bc < 0 or bc >= columns or pred[br, bc] == INTRA:
                continue
            kind = pred[br, bc]
            x0, y0, x1, y1 = vectors[0, vr, vc, 0], vectors[0, vr, vc, 1], vectors[1, vr, vc, 0], vectors[1, vr, vc, 1]
        elif n < 6:  # where this block was, and the one to the lower right of it
            more = size - 1 if n == 4 else size
            br, bc = min(r + more, rows - 1), min(c + more, columns - 1)
            kind = last_pred[br, bc]
            if kind == INTRA:
                continue
            if kind & 1 and scale[0] == 0:
                kind &= 2
            if kind & 2 and scale[1] == 0:
                kind &= 1
            if kind == 0:
                continue
            x0 = _stretched(last_vectors[0, 2 * br, 2 * bc, 0], scale[0])
            y0 = _stretched(last_vectors[0, 2 * br, 2 * bc, 1], scale[0])
            x1 = _stretched(last_vectors[1, 2 * br, 2 * bc, 0], scale[1])
            y1 = _stretched(last_vectors[1, 2 * br, 2 * bc, 1], scale[1])
        else:
            kind = FIRST if n == 6 else BOTH
        if not kind & 1:
            x0 = y0 = 0
        if not kind & 2:
            x1 = y1 = 0
        new = True
        for k in range(count):
            if kinds[k] == kind and found[k, 0] == x0 and found[k, 1] == y0 and found[k, 2] == x1 and found[k, 3] == y1:
                new = False
        if new:
            kinds[count] = kind
            found[count, 0], found[count, 1], found[count, 2], found[count, 3] = x0, y0, x1, y1
            count += 1
            if count == MERGE:
                break
    return count


@compiled
def predict_vector(pred, vectors, ref, vr, vc, size, out):
    """Predictor (x, y) of the vector into one reference of the block of ``size`` 8x8 blocks at (vr, vc): the median of
    its neighbours' on the left, above, and above right (or left), as far as they use that reference."""
    xs, ys = np.zeros(3, np.int32), np.zeros(3, np.int32)
    count, columns = 0, 2 * pred.shape[1]
    for n in range(3):
        nr, nc = vr, vc
        if n == 0:
            nc = vc - 1
        elif n == 1:
            nr = vr - 1
        else:
            nr, nc = vr - 1, vc + size
            # the upper right neighbour is known unless it lies beyond the picture or is coded later
            in_block = size == 1 and vr % 2 == 1 and vc % 2 == 1
            in_unit = size < 4 and vr % 4 == 2 and nc >> 2 > vc >> 2
            if nc >= columns or in_block or in_unit:
                nc = vc - 1
        if nr < 0 or nc < 0 or not pred[nr >> 1, nc >> 1] & (1 << ref):
            continue
        xs[count], ys[count] = vectors[ref, nr, nc, 0], vectors[ref, nr, nc, 1]
        count += 1
    if count == 3:
        out[0] = max(min(xs[0], xs[1]), min(max(xs[0], xs[1]), xs[2]))
        out[1] = max(min(ys[0], ys[1]), min(max(ys[0], ys[1]), ys[2]))
    else:
        out[0], out[1] = xs[0], ys[0]


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
def _code_mode(coder, buffer, contexts, modes, pred, mr, mc, units):
    likely = np.empty(3, np.int32)
    likely_modes(modes, pred, mr, mc, likely)
    mode, rank = np.int32(modes[mr, mc]), 3
    for k in range(3):
        if likely[k] == mode:
            rank = k
    if code_bit(
        coder,
        buffer,
        contexts,
        MODE_KNOWN + (3 if units == 8 else 0 if units == 4 else 1 if units == 2 else 2),
        1 if rank < 3 else 0,
    ):
        rank = code_bit(coder, buffer, contexts, MODE_INDEX, 1 if rank > 0 else 0)
        if rank:
            rank += code_bit(coder, buffer, contexts, MODE_INDEX + 1, 1 if mode == likely[2] else 0)
        mode = likely[rank]
    else:
        likely.sort()
        for k in range(2, -1, -1):
            if mode > likely[k]:
                mode -= 1
        mode = np.int32(code_plain(coder, buffer, mode, 5))
        for k in range(3):
            if mode >= likely[k]:
                mode += 1
    modes[mr : mr + units, mc : mc + units] = mode


@compiled
def _code_difference(coder, buffer, contexts, component, value):
    first = DIFFERENCE + 8 * component
    magnitude = code_magnitude(coder, buffer, contexts, first, 5, abs(value))
    if magnitude and code_plain(coder, buffer, 1 if value < 0 else 0, 1):
        return -magnitude
    return magnitude


@compiled
def _code_vector(coder, buffer, contexts, pred, vectors, ref, vr, vc, size):
    near = np.zeros(2, np.int32)
    predict_vector(pred, vectors, ref, vr, vc, size, near)
    x, y = vectors[ref, vr, vc, 0], vectors[ref, vr, vc, 1]
    x = min(max(near[0] + _code_difference(coder, buffer, contexts, 0, x - near[0]), -MAX_VECTOR), MAX_VECTOR)
    y = min(max(near[1] + _code_difference(coder, buffer, contexts, 1, y - near[1]), -MAX_VECTOR), MAX_VECTOR)
    vectors[ref, vr : vr + size, vc : vc + size, 0] = x
    vectors[ref, vr : vr + size, vc : vc + size, 1] = y


@compiled
def code_banks(coder, buffer, contexts, coded, banks):
    """Write or read the bank of each unit of 2 x 2 blocks, 0 for none (see nvcodec.models.kernels.restore)."""
    rows, columns = coded.shape
    for r in range(banks.shape[0]):
        for c in range(banks.shape[1]):
            count = 0
            for i in range(2 * r, min(2 * r + 2, rows)):
                for j in range(2 * c, min(2 * c + 2, columns)):
                    count += 1 if coded[i, j] else 0
            left, above = np.int64(banks[r, c - 1]) if c > 0 else 0, np.int64(banks[r - 1, c]) if r > 0 else 0
            n = (1 if left else 0) + (1 if above else 0)
            bank = np.int64(banks[r, c])
            if code_bit(coder, buffer, contexts, FILTERED + 3 * n + ((count + 1) >> 1), 1 if bank else 0):
                near, which = left if left else above, 0
                if code_bit(coder, buffer, contexts, BANK + 2 * near, 1 if bank > 1 else 0):
                    which = 1 + code_bit(coder, buffer, contexts, BANK + 2 * near + 1, 1 if bank > 2 else 0)
                banks[r, c] = 1 + which
            else:
                banks[r, c] = 0


@compiled
def code_finer(coder, buffer, contexts, coded, finer):
    """Write or read by how many levels each unit of 2 x 2 blocks is finer than its frame, (rows, columns) int8.

    It is told of units with coded blocks, as the difference to the unit on the left (or above); others take that.
    """
    rows, columns = coded.shape
    some = 0
    for r in range(finer.shape[0]):
        for c in range(finer.shape[1]):
            if finer[r, c]:
                some = 1
    some = code_bit(coder, buffer, contexts, IS_FINER, some)
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
                    magnitude = code_magnitude(coder, buffer, contexts, FINER, 6, abs(difference))
                    if magnitude and code_plain(coder, buffer, 1 if difference < 0 else 0, 1):
                        magnitude = -magnitude
                    value = min(max(value + magnitude, -MAX_FINER), MAX_FINER)
            finer[r, c] = value


@compiled
def _fill(values, r, c, size, value):
    """Set a square of a map."""
    for i in range(r, r + size):
        for j in range(c, c + size):
            values[i, j] = value


@compiled
def _is_split(vectors, kind, r, c):
    """Whether the quarters of a block have vectors of their own."""
    for ref in range(2):
        if kind & (1 << ref):
            v = vectors[ref, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
            for k in range(2):
                if v[0, 0, k] != v[0, 1, k] or v[0, 0, k] != v[1, 0, k] or v[0, 0, k] != v[1, 1, k]:
                    return True
    return False


@compiled
def _code_motion(
    coder, buffer, contexts, references, pred, merged, coded, fine, vectors, r, c, size, before, last_pred,
    last_vectors, scale, kinds, found,
):  # fmt: skip
    """Write or read what a square of size x size blocks of an inter frame is predicted from; returns whether its blocks
    are split."""
    large = size - 1
    left, above = c > 0, r > 0
    n_coded = (np.int64(coded[r, c - 1]) if left else 0) + (np.int64(coded[r - 1, c]) if above else 0)
    n_merged = (1 if left and merged[r, c - 1] else 0) + (1 if above and merged[r - 1, c] else 0)
    kind = np.int64(pred[r, c])
    context = MERGED + 36 * large + 4 * (3 * n_merged + n_coded) + before
    if code_bit(coder, buffer, contexts, context, 1 if merged[r, c] else 0):
        count = merge_candidates(pred, vectors, r, c, size, last_pred, last_vectors, scale, kinds, found)
        which = 0
        wanted = np.int64(merged[r, c]) - 1
        context = MERGE_INDEX + 8 * large + (4 if n_merged else 0)
        while which < count - 1 and code_bit(coder, buffer, contexts, context + which, 1 if wanted > which else 0):
            which += 1
        kind = np.int64(kinds[which])
        if references < 2:
            kind = FIRST
        _fill(merged, r, c, size, 1 + which)
        _fill(pred, r, c, size, kind)
        for ref in range(2):
            for k in range(2):
                _fill(vectors[ref, :, :, k], 2 * r, 2 * c, 2 * size, found[which, 2 * ref + k])
        return False
    _fill(merged, r, c, size, 0)
    n = (1 if left and pred[r, c - 1] == INTRA else 0) + (1 if above and pred[r - 1, c] == INTRA else 0)
    if code_bit(coder, buffer, contexts, IS_INTRA + 3 * large + n, 1 if kind == INTRA else 0):
        kind = INTRA
    elif references < 2:
        kind = FIRST
    else:
        n = (1 if left and pred[r, c - 1] == BOTH else 0) + (1 if above and pred[r - 1, c] == BOTH else 0)
        if code_bit(coder, buffer, contexts, IS_BOTH + n, 1 if kind == BOTH else 0):
            kind = BOTH
        else:
            n = (1 if left and pred[r, c - 1] == 2 else 0) + (1 if above and pred[r - 1, c] == 2 else 0)
            kind = FIRST + code_bit(coder, buffer, contexts, IS_SECOND + n, 1 if kind == 2 else 0)
    _fill(pred, r, c, size, kind)
    split = False
    if kind != INTRA and size == 1:
        if not coder[READING]:
            split = _is_split(vectors, kind, r, c)
        n_fine = (np.int64(fine[r, c - 1]) if left else 0) + (np.int64(fine[r - 1, c]) if above else 0)
        split = code_bit(coder, buffer, contexts, IS_SPLIT + n_fine, 1 if split else 0) == 1
    for ref in range(2):
        if not kind & (1 << ref):
            _fill(vectors[ref, :, :, 0], 2 * r, 2 * c, 2 * size, 0)
            _fill(vectors[ref, :, :, 1], 2 * r, 2 * c, 2 * size, 0)
        elif split:
            for k in range(4):
                _code_vector(coder, buffer, contexts, pred, vectors, ref, 2 * r + (k >> 1), 2 * c + (k & 1), 1)
        else:
            _code_vector(coder, buffer, contexts, pred, vectors, ref, 2 * r, 2 * c, 2 * size)
    return split


@compiled
def _code_energy(coder, buffer, contexts, coded, energy, intra, transform, r, c, size):
    """Write or read the energy of a square's transform."""
    n = (1 + np.int64(energy[r, c - 1]) if c > 0 and coded[r, c - 1] else 0) + (
        1 + np.int64(energy[r - 1, c]) if r > 0 and coded[r - 1, c] else 0
    )
    first = ENERGY + (((3 if intra else 0) + transform) * 9 + ((n + 1) >> 1)) * 8
    node, value = 1, np.int64(energy[r, c])
    for place in range(2, -1, -1):
        node = 2 * node + code_bit(coder, buffer, contexts, first + node, (value >> place) & 1)
    _fill(energy, r, c, size, node - 8)


@compiled
def _code_block(coder, buffer, contexts, pred, merged, coded, fine, tiny, energy, modes, r, c, group, split, before):
    """Write or read how a block of its own is transformed. group: of contexts of "coded"."""
    left, above = c > 0, r > 0
    intra = pred[r, c] == INTRA
    n_coded = (np.int64(coded[r, c - 1]) if left else 0) + (np.int64(coded[r - 1, c]) if above else 0)
    n_fine = (np.int64(fine[r, c - 1]) if left else 0) + (np.int64(fine[r - 1, c]) if above else 0)
    coded[r, c] = code_bit(coder, buffer, contexts, CODED + 4 * (3 * group + n_coded) + before, np.int64(coded[r, c]))
    if coded[r, c] or intra:
        context = FINE + 3 * (0 if intra else 2 if split else 1) + n_fine
        fine[r, c] = code_bit(coder, buffer, contexts, context, np.int64(fine[r, c]))
    else:
        fine[r, c] = 0
    if not fine[r, c]:
        _fill(tiny, 2 * r, 2 * c, 2, 0)
        if intra:
            _code_mode(coder, buffer, contexts, modes, pred, 4 * r, 4 * c, 4)
    for k in range(4 if fine[r, c] else 0):
        i, j = 2 * r + (k >> 1), 2 * c + (k & 1)
        n = (1 if j > 0 and tiny[i, j - 1] else 0) + (1 if i > 0 and tiny[i - 1, j] else 0)
        tiny[i, j] = code_bit(coder, buffer, contexts, IS_TINY + n + (3 if intra else 0), np.int64(tiny[i, j]))
        if intra and tiny[i, j]:
            for part in range(4):
                _code_mode(coder, buffer, contexts, modes, pred, 2 * i + (part >> 1), 2 * j + (part & 1), 1)
        elif intra:
            _code_mode(coder, buffer, contexts, modes, pred, 2 * i, 2 * j, 2)
    if coded[r, c]:
        _code_energy(coder, buffer, contexts, coded, energy, intra, np.int64(fine[r, c]), r, c, 1)
    else:
        energy[r, c] = 0


@compiled
def code_blocks(
    coder, buffer, contexts, inter, references, pred, merged, coded, fine, tiny, energy, large, modes, vectors,
    last_pred, last_merged, last_coded, last_vectors, scale,
):  # fmt: skip
    """Write or read the decisions of all blocks of a frame.

    inter: whether the frame may be predicted from others; references: 1 or 2 of them; pred, merged, coded, fine,
    energy, large: (R, C) uint8; tiny: (2R, 2C) uint8; modes: (4R, 4C) uint8; vectors: (2, 2R, 2C, 2) int32. When
    reading, all are filled in (they may start with anything); the encoder's ``merged`` is 0 or 1 + candidate. last_*:
    pred and vectors of the newest reference, the rest of the frame coded last.
    """
    rows, columns = pred.shape
    kinds, found = np.zeros(MERGE, np.int32), np.zeros((MERGE, 4), np.int32)
    order = coding_order(rows, columns)
    for number in range(len(order)):
        r, c = order[number]
        size = 1
        if begins_unit(r, c, rows, columns):
            n = (1 if c > 0 and large[r, c - 1] else 0) + (1 if r > 0 and large[r - 1, c] else 0)
            if code_bit(coder, buffer, contexts, IS_LARGE + n, 1 if large[r, c] else 0):
                size = 2
            else:
                _fill(large, r, c, 2, ALONE)
        elif not begins_unit(r & ~1, c & ~1, rows, columns):
            large[r, c] = ALONE
        elif large[r & ~1, c & ~1]:
            continue
        # how this block was coded in the frame coded last
        before = (1 if last_merged[r, c] else 0) + (2 if last_coded[r, c] else 0)
        split = False
        if inter:
            split = _code_motion(
                coder, buffer, contexts, references, pred, merged, coded, fine, vectors, r, c, size, before,
                last_pred, last_vectors, scale, kinds, found,
            )  # fmt: skip
        else:
            _fill(pred, r, c, size, INTRA)
            _fill(merged, r, c, size, 0)
            for ref in range(2):
                for k in range(2):
                    _fill(vectors[ref, :, :, k], 2 * r, 2 * c, 2 * size, 0)
        if pred[r, c] != INTRA:
            _fill(modes, 4 * r, 4 * c, 4 * size, MEAN)
        group = 2 if pred[r, c] == INTRA else 0 if merged[r, c] else 1
        if size == 1:
            _code_block(
                coder, buffer, contexts, pred, merged, coded, fine, tiny, energy, modes, r, c, group, split, before
            )
        elif _code_unit(coder, buffer, contexts, pred, coded, fine, tiny, energy, large, modes, r, c, group, before):
            for k in range(4):
                i, j = r + (k >> 1), c + (k & 1)
                before = (1 if last_merged[i, j] else 0) + (2 if last_coded[i, j] else 0)
                _code_block(
                    coder, buffer, contexts, pred, merged, coded, fine, tiny, energy, modes, i, j, 6, False, before
                )


@compiled
def _code_unit(coder, buffer, contexts, pred, coded, fine, tiny, energy, large, modes, r, c, group, before):
    """Write or read how a large unit is transformed; returns whether its blocks say it each on its own."""
    intra = pred[r, c] == INTRA
    any_coded = coded[r, c] or coded[r, c + 1] or coded[r + 1, c] or coded[r + 1, c + 1]
    n = (np.int64(coded[r, c - 1]) if c > 0 else 0) + (np.int64(coded[r - 1, c]) if r > 0 else 0)
    context = CODED + 4 * (3 * (3 + group) + n) + before
    any_coded = code_bit(coder, buffer, contexts, context, 1 if any_coded else 0)
    whole = 1 if intra else 0
    if any_coded and not intra:
        whole = code_bit(coder, buffer, contexts, IS_WHOLE + group, 1 if large[r, c] == WHOLE else 0)
    _fill(large, r, c, 2, WHOLE if whole else SHARED)
    if intra:
        _code_mode(coder, buffer, contexts, modes, pred, 4 * r, 4 * c, 8)
    if any_coded and not whole:
        return True
    _fill(coded, r, c, 2, any_coded)
    _fill(fine, r, c, 2, 0)
    _fill(tiny, 2 * r, 2 * c, 4, 0)
    if any_coded:
        _code_energy(coder, buffer, contexts, coded, energy, intra, 2, r, c, 2)
    else:
        _fill(energy, r, c, 2, 0)
    return False
