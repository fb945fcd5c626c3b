# SPDX-License-Identifier: Apache-2.0
"""Syntax of block decisions: how each 16x16 block is predicted and whether it carries a residual.

Blocks follow each other in quads of 4 x 4 in raster order, in each in units of 2 x 2; every decision is a bit or a
small number in an adaptive context (see nvcodec.entropy.binary) chosen by the blocks on the left and above. One
function writes and reads.

    inter frame, each quad:   one motion? -> which candidate, anything coded?
    each unit of 2 x 2:       large? -> the decisions below but once, and then, inter: as a whole or each block alone?

    inter frame, each block:  merge? -> which candidate, coded?
                              else   -> intra? -> modes, coded?
                                               -> parts? each: merge? -> which candidate
                                                               else   -> from which references, vectors
                                                  coded?
    intra frame, each block:  modes, coded?
    coded and intra blocks:   which transform, of the whole or, for each quarter, as a whole or tiny
    intra blocks:             a mode for each square that is transformed on its own (16x16, 8x8 or 4x4); for each of 8x8
                              or more, whether its chroma is predicted from luma
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, scratch, zeroed
from nvcodec.entropy.binary import code_plain
from nvcodec.models.kernels.compensation import INTRA
from nvcodec.models.kernels.decisions import (
    AROUND,
    BANK,
    BEFORE,
    CODED,
    ENERGY,
    FILTERED,
    FINE,
    FINER,
    FROM_LUMA,
    IS_FINER,
    IS_LARGE,
    IS_NETWORK,
    IS_QUAD,
    IS_QUAD_CODED,
    IS_TINY,
    IS_WHOLE,
    MODE_INDEX,
    MODE_KNOWN,
    MODE_REST,
    NETWORK,
    QUAD_CODED,
    decide,
    decide_by,
    decide_magnitude,
)
from nvcodec.models.kernels.intra import HORIZONTAL, MEAN, PLANAR, VERTICAL
from nvcodec.models.kernels.motion import MERGE, ONE_PART, code_motion, code_quad, fill, set_intra
from nvcodec.models.kernels.restore import NETWORK as BY_NETWORK

MAX_FINER = 16  # levels
ENERGIES = 10  # classes of how many latents of a block are not zero

# of each block: alone; in a large unit of 2 x 2 blocks with one motion; in one that is transformed as a whole, too
ALONE, SHARED, WHOLE = range(3)


@compiled
def block_at(number, rows, columns):
    """Row and column of the block that is coded after ``number`` others: quads of 4 x 4 in raster order, row by row the
    units of 2 x 2 within each, row by row the blocks within those."""
    row = 4 * (number // (4 * columns))
    height = min(4, rows - row)
    number -= row * columns
    column = 4 * (number // (4 * height))
    number -= column * height
    width = min(4, columns - column)
    if number >= 2 * width:
        row, height = row + 2, height - 2
        number -= 2 * width
    height = min(height, 2)
    unit = number // (2 * height)
    number -= 2 * unit * height
    width = min(width - 2 * unit, 2)
    return row + number // width, column + 2 * unit + number % width


@compiled
def block_of_row(number, quad_row):
    """The same of a row of quads, as if they were all whole."""
    r = 4 * quad_row + (number >> 2 & 2) + (number >> 1 & 1)
    return r, 4 * (number >> 4) + (number >> 1 & 2) + (number & 1)


@compiled
def begins_unit(r, c, rows, columns):
    """Whether a block is the first of a whole unit of 2 x 2 blocks."""
    return r % 2 == 0 and c % 2 == 0 and r + 1 < rows and c + 1 < columns


@compiled
def begins_quad(r, c, rows, columns):
    """Whether a block is the first of a whole quad of 4 x 4 blocks."""
    return r % 4 == 0 and c % 4 == 0 and r + 3 < rows and c + 3 < columns


@compiled
def corner_of(r, c, rows, columns):
    """Column of the block above and to the right of a block, or of the unit it is in, or -1 where it is not known yet
    when that is coded."""
    right = c + 1 if r % 2 else c + 2 - c % 2
    if r == 0 or right >= columns or (r % 2 and c % 2) or (r % 4 == 2 and right >> 2 > c >> 2):
        return -1
    return right


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
def _sort(likely):
    """Three numbers, the smallest first."""
    for k in (0, 1, 0):
        if likely[k] > likely[k + 1]:
            likely[k], likely[k + 1] = likely[k + 1], likely[k]


@compiled
def _code_mode(coder, buffer, learned, modes, pred, mr, mc, units):
    likely = scratch(3, np.int32)
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
        _sort(likely)
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
    fill(modes, mr, mc, units, units, mode)


@compiled
def _code_from_luma(coder, buffer, learned, pred, from_luma, mode, r, c, size):
    """Write or read whether the chroma of an intra square, quarter (r, c) or larger, is predicted from luma; mode: of
    its luma; size: 0 a quarter, 1 one of tiny transforms, 2 a block, 3 a unit."""
    left = 0 if c == 0 or pred[r >> 1, (c - 1) >> 1] != INTRA else 1 + np.int64(from_luma[r, c - 1])
    above = 0 if r == 0 or pred[(r - 1) >> 1, c >> 1] != INTRA else 1 + np.int64(from_luma[r - 1, c])
    n = (1 if left == 2 else 0) + (1 if above == 2 else 0)
    value = decide_by(
        coder, buffer, learned, FROM_LUMA + 3 * size + n, 3 * left + above, _mode_class(mode),
        np.int64(from_luma[r, c]),
    )  # fmt: skip
    side = 2 if size == 2 else 4 if size == 3 else 1
    fill(from_luma, r, c, side, side, value)


@compiled
def code_banks(coder, buffer, learned, coded, energy, last_banks, banks):
    """Write or read how each unit of 2 x 2 blocks is restored, by a bank, the network, or not at all, 0 (see
    nvcodec.models.kernels.restore); last_*: of the frame coded last."""
    rows, columns = coded.shape
    some = some_before = 0
    for r in range(banks.shape[0]):
        for c in range(banks.shape[1]):
            some |= 1 if banks[r, c] == BY_NETWORK else 0
            some_before |= 1 if last_banks[r, c] == BY_NETWORK else 0
    some = decide_by(coder, buffer, learned, IS_NETWORK, some_before, 0, some)
    for r in range(banks.shape[0]):
        for c in range(banks.shape[1]):
            count = most = 0
            for i in range(2 * r, min(2 * r + 2, rows)):
                for j in range(2 * c, min(2 * c + 2, columns)):
                    count += 1 if coded[i, j] else 0
                    most = max(most, np.int64(energy[i, j]))
            left, above = np.int64(banks[r, c - 1]) if c > 0 else 0, np.int64(banks[r - 1, c]) if r > 0 else 0
            last, bank, before = np.int64(last_banks[r, c]), np.int64(banks[r, c]), 10 * count + most
            if some:
                n = (1 if left == BY_NETWORK else 0) + (1 if above == BY_NETWORK else 0)
                around = 9 * _restored(left) + 3 * _restored(above) + _restored(last)
                context = NETWORK + 3 * n + ((count + 1) >> 1)
                if decide_by(coder, buffer, learned, context, around, before, 1 if bank == BY_NETWORK else 0):
                    banks[r, c] = BY_NETWORK
                    continue
            left, above, last = left % BY_NETWORK, above % BY_NETWORK, last % BY_NETWORK
            n, around = (1 if left else 0) + (1 if above else 0), 16 * left + 4 * above + last
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
def _restored(bank):
    """How a unit is restored: not, by a bank, by the network."""
    return 2 if bank == BY_NETWORK else 1 if bank else 0


@compiled
def _any_coded(coded, r, c):
    """Whether any block of a unit is coded."""
    for i in range(2 * r, min(2 * r + 2, coded.shape[0])):
        for j in range(2 * c, min(2 * c + 2, coded.shape[1])):
            if coded[i, j]:
                return True
    return False


@compiled
def _finer_before(finer, r, c):
    """By how many levels the unit on the left (or above) is finer."""
    return np.int64(finer[r, c - 1]) if c > 0 else np.int64(finer[r - 1, c]) if r > 0 else np.int64(0)


@compiled
def settle_finer(coded, finer):
    """Let units of which it is not told be as fine as a decoder takes them for; arrays as in `code_finer`."""
    for r in range(finer.shape[0]):
        for c in range(finer.shape[1]):
            if not _any_coded(coded, r, c):
                finer[r, c] = _finer_before(finer, r, c)


@compiled
def code_finer(coder, buffer, learned, coded, finer):
    """Write or read by how many levels each unit of 2 x 2 blocks is finer than its frame, (rows, columns) int8.

    It is told of units with coded blocks, as the difference to the unit on the left (or above); others take that.
    """
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
                value = _finer_before(finer, r, c)
                if _any_coded(coded, r, c):
                    difference = np.int64(finer[r, c]) - value
                    magnitude = decide_magnitude(coder, buffer, learned, FINER, 6, 0, 0, abs(difference))
                    if magnitude and code_plain(coder, buffer, 1 if difference < 0 else 0, 1):
                        magnitude = -magnitude
                    value = min(max(value + magnitude, -MAX_FINER), MAX_FINER)
            finer[r, c] = value


@compiled
def _code_energy(coder, buffer, learned, coded, energy, last_coded, last_energy, intra, transform, r, c, size):
    """Write or read the energy of a square's transform."""
    left = 1 + np.int64(energy[r, c - 1]) if c > 0 and coded[r, c - 1] else 0
    above = 1 + np.int64(energy[r - 1, c]) if r > 0 and coded[r - 1, c] else 0
    n, past = left + above, 1 + np.int64(last_energy[r, c]) if last_coded[r, c] else 0
    around, before = 6 * ((left + 1) >> 1) + ((above + 1) >> 1), min(past, 9) * 6 + (n + 2) // 4
    first = ENERGY + (((3 if intra else 0) + transform) * 11 + ((n + 1) >> 1)) * 16
    node, value = 1, np.int64(energy[r, c])
    for place in range(3, -1, -1):
        node = 2 * node + decide_by(coder, buffer, learned, first + node, around, before, (value >> place) & 1)
    fill(energy, r, c, size, size, min(node - 16, ENERGIES - 1))


@compiled
def _code_block(
    coder, buffer, learned, pred, merged, coded, fine, tiny, energy, modes, from_luma, last_coded, last_energy, r, c,
    group, split, before,
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
        fill(tiny, 2 * r, 2 * c, 2, 2, 0)
        if intra:
            _code_mode(coder, buffer, learned, modes, pred, 4 * r, 4 * c, 4)
            _code_from_luma(coder, buffer, learned, pred, from_luma, np.int64(modes[4 * r, 4 * c]), 2 * r, 2 * c, 2)
    for k in range(4 if fine[r, c] else 0):
        i, j = 2 * r + (k >> 1), 2 * c + (k & 1)
        n = (1 if j > 0 and tiny[i, j - 1] else 0) + (1 if i > 0 and tiny[i - 1, j] else 0)
        tiny[i, j] = decide(coder, buffer, learned, IS_TINY + n + (3 if intra else 0), np.int64(tiny[i, j]))
        if intra and tiny[i, j]:
            for part in range(4):
                _code_mode(coder, buffer, learned, modes, pred, 2 * i + (part >> 1), 2 * j + (part & 1), 1)
        elif intra:
            _code_mode(coder, buffer, learned, modes, pred, 2 * i, 2 * j, 2)
        if intra:
            _code_from_luma(
                coder, buffer, learned, pred, from_luma, np.int64(modes[2 * i, 2 * j]), i, j, np.int64(tiny[i, j])
            )
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
def _code_is_quad(coder, buffer, learned, quad, coded, last_coded, last_large, r, c):
    """Write or read whether the 4 x 4 blocks from (r, c) on have one motion, and if so whether any of them is coded,
    which is returned; last_*: of the frame coded last."""
    left, above = c > 0 and quad[r, c - 1], r > 0 and quad[r - 1, c]
    n_large = n_coded = some = beside = 0
    for i in range(r, r + 4):
        for j in range(c, c + 4):
            n_large += 1 if last_large[i, j] else 0
            n_coded += 1 if last_coded[i, j] else 0
            some |= 1 if coded[i, j] else 0
    n, past = (1 if left else 0) + (1 if above else 0), 5 * min((n_coded + 3) >> 2, 4) + (n_large >> 2)
    value = decide_by(coder, buffer, learned, IS_QUAD + n, learned[2][AROUND], past, np.int64(quad[r, c]))
    fill(quad, r, c, 4, 4, value)
    if not value:
        return 1
    for k in range(4):
        beside += 1 if c > 0 and coded[r + k, c - 1] else 0
        beside += 1 if r > 0 and coded[r - 1, c + k] else 0
    n = 0 if beside == 0 else 1 if beside < 3 else 2
    return decide_by(coder, buffer, learned, IS_QUAD_CODED + n, learned[2][AROUND], past, some)


@compiled
def code_blocks(
    coder, buffer, learned, inter, references, pred, merged, coded, fine, tiny, energy, large, quad, modes, from_luma,
    shapes, kinds, parts, vectors, last_kinds, last_merged, last_coded, last_energy, last_large, last_vectors, scale,
):  # fmt: skip
    """Write or read the decisions of all blocks of a frame.

    inter: whether the frame may be predicted from others; references: 1 or 2 of them; pred, merged, coded, fine,
    energy, large, quad, shapes: (R, C) uint8; tiny, from_luma, kinds, parts: (2R, 2C) uint8; modes: (4R, 4C) uint8;
    vectors: (2, 2R, 2C, 2) int32. When reading, all are filled in (they may start with anything); ``merged``, and
    ``parts`` of blocks of several parts, are 0 or 1 + candidate. last_*: kinds and vectors of the newest reference, the
    rest of the frame coded last.
    """
    rows, columns = pred.shape
    which, found = zeroed(MERGE, np.int32), zeroed((MERGE, 4), np.int32)
    quad_coded = 1
    for number in range(pred.size):
        r, c = block_at(number, rows, columns)
        size = 1
        # how this block was coded in the frame coded last
        before = (1 if last_merged[r, c] else 0) + (2 if last_coded[r, c] else 0)
        learned[2][AROUND] = 6 * _state(pred, merged, coded, r, c - 1) + _state(pred, merged, coded, r - 1, c)
        right, corner = corner_of(r, c, rows, columns), 0
        if right >= 0:
            corner = (1 if merged[r - 1, right] else 0) + (2 if coded[r - 1, right] else 0)
        learned[2][BEFORE] = 12 * before + 4 * np.int64(last_large[r, c]) + corner
        if inter and begins_quad(r, c, rows, columns):
            quad_coded = _code_is_quad(coder, buffer, learned, quad, coded, last_coded, last_large, r, c)
            if quad[r, c]:
                code_quad(
                    coder, buffer, learned, references, pred, merged, shapes, kinds, parts, vectors, r, c, last_kinds,
                    last_vectors, scale, which, found,
                )  # fmt: skip
        elif not inter or not begins_quad(r & ~3, c & ~3, rows, columns):
            quad[r, c] = 0
        if quad[r, c]:
            if r % 2 or c % 2:
                continue
            size = 2
        elif begins_unit(r, c, rows, columns):
            n = (1 if c > 0 and large[r, c - 1] else 0) + (1 if r > 0 and large[r - 1, c] else 0)
            if decide(coder, buffer, learned, IS_LARGE + n, 1 if large[r, c] else 0):
                size = 2
            else:
                fill(large, r, c, 2, 2, ALONE)
        elif not begins_unit(r & ~1, c & ~1, rows, columns):
            large[r, c] = ALONE
        elif large[r & ~1, c & ~1]:
            continue
        if inter and not quad[r, c]:
            code_motion(
                coder, buffer, learned, references, pred, merged, coded, shapes, kinds, parts, vectors, r, c, size,
                before, last_kinds, last_vectors, scale, which, found,
            )  # fmt: skip
        elif not inter:
            fill(merged, r, c, size, size, 0)
            set_intra(pred, shapes, kinds, vectors, r, c, size)
        if shapes[r, c] == ONE_PART:
            fill(parts, 2 * r, 2 * c, 2 * size, 2 * size, 0)
        split = shapes[r, c] != ONE_PART
        if pred[r, c] != INTRA:
            fill(modes, 4 * r, 4 * c, 4 * size, 4 * size, MEAN)
            fill(from_luma, 2 * r, 2 * c, 2 * size, 2 * size, 0)
        group = 2 if pred[r, c] == INTRA else 0 if merged[r, c] else 1
        if quad[r, c] and not quad_coded:
            fill(large, r, c, 2, 2, SHARED)
            _fill_uncoded(coded, fine, tiny, energy, r, c)
        elif size == 1:
            _code_block(
                coder, buffer, learned, pred, merged, coded, fine, tiny, energy, modes, from_luma, last_coded,
                last_energy, r, c, group, split, before,
            )  # fmt: skip
        elif _code_unit(
            coder, buffer, learned, pred, merged, coded, fine, tiny, energy, large, modes, from_luma, last_coded,
            last_energy, r, c, QUAD_CODED if quad[r, c] else CODED + 12 * (3 + group), before,
        ):  # fmt: skip
            for k in range(4):
                i, j = r + (k >> 1), c + (k & 1)
                before = (1 if last_merged[i, j] else 0) + (2 if last_coded[i, j] else 0)
                _code_block(
                    coder, buffer, learned, pred, merged, coded, fine, tiny, energy, modes, from_luma, last_coded,
                    last_energy, i, j, 6, False, before,
                )  # fmt: skip


@compiled
def _code_unit(
    coder, buffer, learned, pred, merged, coded, fine, tiny, energy, large, modes, from_luma, last_coded, last_energy,
    r, c, first, before,
):  # fmt: skip
    """Write or read how a large unit is transformed; returns whether its blocks say it each on its own. first: context
    of "coded"."""
    intra = pred[r, c] == INTRA
    any_coded = coded[r, c] or coded[r, c + 1] or coded[r + 1, c] or coded[r + 1, c + 1]
    n = (np.int64(coded[r, c - 1]) if c > 0 else 0) + (np.int64(coded[r - 1, c]) if r > 0 else 0)
    any_coded = decide(coder, buffer, learned, first + 4 * n + before, 1 if any_coded else 0)
    whole = 1 if intra else 0
    if any_coded and not intra:
        whole = decide(coder, buffer, learned, IS_WHOLE + (0 if merged[r, c] else 1), 1 if large[r, c] == WHOLE else 0)
    fill(large, r, c, 2, 2, WHOLE if whole else SHARED)
    if intra:
        _code_mode(coder, buffer, learned, modes, pred, 4 * r, 4 * c, 8)
        _code_from_luma(coder, buffer, learned, pred, from_luma, np.int64(modes[4 * r, 4 * c]), 2 * r, 2 * c, 3)
    if any_coded and not whole:
        return True
    if any_coded:
        fill(coded, r, c, 2, 2, 1)
        fill(fine, r, c, 2, 2, 0)
        fill(tiny, 2 * r, 2 * c, 4, 4, 0)
        _code_energy(coder, buffer, learned, coded, energy, last_coded, last_energy, intra, 2, r, c, 2)
    else:
        _fill_uncoded(coded, fine, tiny, energy, r, c)
    return False


@compiled
def _fill_uncoded(coded, fine, tiny, energy, r, c):
    """Note that a unit has no latents."""
    fill(coded, r, c, 2, 2, 0)
    fill(fine, r, c, 2, 2, 0)
    fill(tiny, 2 * r, 2 * c, 4, 4, 0)
    fill(energy, r, c, 2, 2, 0)
