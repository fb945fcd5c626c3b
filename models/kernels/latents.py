# SPDX-License-Identifier: Apache-2.0
"""The latents of a frame, coded one after the other in contexts of those that are known already.

A latent is zero, one, two or more, then how much more, then its sign. Its contexts are its place in the transform, how
many latents of the block are not zero, its neighbours in the transform's order and by frequency, the same frequency of
another component, the same latent of the blocks (or quarters) on the left and above and in the frame coded last, the
level, and how many latents of its frequency are around and were there in the last frame, whatever their transforms
(nvcodec.models.kernels.density). Signs look at the signs of those. See nvcodec.entropy.mixing for how contexts are
mixed.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, zeroed
from nvcodec.entropy.binary import PENDING, POSITION, RANGE, READING, code_bit, code_plain
from nvcodec.entropy.mixing import code_mixed
from nvcodec.models.kernels.density import (
    BIN,
    BINS,
    DENSITIES,
    add_density,
    classes_around,
    classes_here,
    width_of,
)
from nvcodec.models.kernels.hiding import GROUP, GROUPS, HIDDEN
from nvcodec.models.kernels.residual import RATE_CLASSES, SAMPLES, non_zero, transform_class
from nvcodec.models.kernels.syntax import WHOLE, block_at
from nvcodec.models.transform import ANGLES, LEARNED_CLASSES, frequency_order

BANDS = 48
SUMS = 12  # classes of sums of latents
SCALES = 24  # finer ones
UNARY, PLACES = 6, 20  # places of the code of what is larger than two, the first of them unary
_TRANSFORMS = 4  # coarse, fine, tiny, large
_KINDS = 2 * _TRANSFORMS  # and of prediction: inter, intra
INPUTS = 12  # contexts asked for each bit, the last of them a constant
# first slots of each context of "not zero"; those of "more than one" and "more than two" follow, in two sets alike
_PLACE = 0  # transform and class of basis, energy, latent
_AROUND = _PLACE + _TRANSFORMS * LEARNED_CLASSES * RATE_CLASSES * 384  # kind, band, neighbours in space, latents beside
_BEFORE = _AROUND + _KINDS * BANDS * 9 * SUMS  # kind, band, the two latents before, energy
_LEFT = _BEFORE + _KINDS * BANDS * 25 * 5  # kind, band, how many are still to come
_LAST = _LEFT + _KINDS * BANDS * 18  # kind, band, in the last frame, neighbours in space
_LEVEL = _LAST + _KINDS * BANDS * 6 * 4  # kind, level, band, latents beside
_NEAR = _LEVEL + _KINDS * 8 * BANDS * SUMS  # kind, band, latents of lower frequency beside it, energy
_SAME = _NEAR + _KINDS * BANDS * SUMS * 4 * 5  # kind, band, the same frequency of another component, latents beside it
_AREA = _SAME + _KINDS * BANDS * 6 * 4  # kind, bin of frequency, density around, energy
_PAST = _AREA + _KINDS * BINS * DENSITIES * RATE_CLASSES  # kind, bin, density there in the last frame, density around
_SCALE = _PAST + _KINDS * BINS * DENSITIES * DENSITIES  # kind, band, latents before and beside, density around
_CONSTANT = _SCALE + _KINDS * BANDS * SCALES * (DENSITIES >> 1)
SET = _CONSTANT + 1
# contexts of signs
_SIGN_SAME = 3 * SET  # kind, band, component, sign of the same frequency of the component before
_SIGN_BESIDE = _SIGN_SAME + _KINDS * BANDS * 3 * 3  # kind, band, signs on the left and above
_SIGN_LOWER = _SIGN_BESIDE + _KINDS * BANDS * 9  # kind, band, signs of the two latents of lower frequency beside it
_SIGN_CONSTANT = _SIGN_LOWER + _KINDS * BANDS * 9
# contexts of how large the larger ones are, for each place of their code
_MORE_PLACE = _SIGN_CONSTANT + 1  # kind, band
_MORE_NEAR = _MORE_PLACE + _KINDS * BANDS * PLACES  # intra or not, latents beside, neighbours in space
_MORE_BEFORE = _MORE_NEAR + 2 * SUMS * 9 * PLACES  # intra or not, the latents before, another component
_MORE_LAST = _MORE_BEFORE + 2 * 64 * 6 * PLACES  # intra or not, in the last frame, latents beside
_MORE_CONSTANT = _MORE_LAST + 2 * 6 * SUMS * PLACES
SLOTS = _MORE_CONSTANT + 1
MORE_INPUTS = 5
SIGN_INPUTS = 4
_SIGN_ROWS = 3 * _KINDS * (RATE_CLASSES + BANDS)  # by kind, then by component
_MORE_ROWS = _SIGN_ROWS + _KINDS + 3  # by place of the code, then by latents beside
WEIGHT_ROWS = _MORE_ROWS + PLACES + SUMS
# contexts of what needs no mixing: the first bit below the highest of large magnitudes, and counts (6 classes x 32)
BELOW = 0
COUNT = BELOW + PLACES
PLAIN_CONTEXTS = COUNT + 192
EXACT_CLASSES = 6  # blocks of these energies tell how many latents are not zero
_FIRST_COUNT = np.array([1, 2, 3, 5, 9, 17], np.int64)
_COUNT_BITS = np.array([0, 0, 1, 2, 3, 4], np.int64)
SLOT_LIMIT, WEIGHT_SPEED = 150, 4
MAX_SYMBOL = 32767
NONE = -MAX_SYMBOL - 1


def _classes(first_of_class: tuple[int, ...]) -> np.ndarray:
    """Class of each number up to LARGEST_SUM."""
    return np.searchsorted(np.array(first_of_class), np.arange(LARGEST_SUM + 1), side="right") - 1


LARGEST_SUM = 63
SUM = _classes((0, 1, 2, 3, 4, 6, 8, 12, 18, 27, 41, 61))
SCALE = np.searchsorted(
    np.array([1, 5, 9, 14, 19, 25, 32, 40, 50, 62, 77, 95, 118, 145, 180, 225, 280, 350, 440, 550, 690, 860, 1000]),
    np.arange(1001), side="right",
)  # fmt: skip
SIZE = _classes((0, 1, 2, 3, 5, 8, 13, 21))


def _frequencies() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each latent of each transform: those of its component that are one or two steps lower in one direction, or one
    in both (NEAR, (4, 384, 5), nearest first), and the same one of the component before (SAME, (4, 384)); -1: none. And
    whether it is luma, U or V (COMPONENT, (4, 384))."""
    near, same = np.full((_TRANSFORMS, 384, 5), -1, np.int64), np.full((_TRANSFORMS, 384), -1, np.int64)
    components = np.zeros((_TRANSFORMS, 384), np.int64)
    for kind, transform in enumerate((0, 1, None, 4)):
        if transform is None:  # four squares of luma and one of chroma, interleaved
            luma, chroma = frequency_order(2), frequency_order(3)
            places = {(s, *luma[k][1:]): 6 * k + s for k in range(16) for s in range(4)}
            places |= {(3 + c, a, b): 6 * (k >> 1) + 4 + (k & 1) for k, (c, a, b) in enumerate(chroma)}
        else:
            places = {place: k for k, place in enumerate(frequency_order(transform))}
        for (component, a, b), k in places.items():
            components[kind, k] = component if transform is not None else max(0, component - 3)
            for n, (i, j) in enumerate(((1, 0), (0, 1), (1, 1), (2, 0), (0, 2))):
                near[kind, k, n] = places.get((component, a - i, b - j), -1)
            if component and places.get((component - 1, a, b), k) < k:
                same[kind, k] = places[component - 1, a, b]
    return near, same, components


NEAR, SAME, COMPONENT = _frequencies()


@compiled
def band_of(transform, k):
    """Which of the bands latent k of its transform belongs to."""
    if transform == 2:
        return (k // 6) + (16 if k % 6 >= 4 else 0)
    if k < 16:
        return k
    if k < 32:
        return 16 + ((k - 16) >> 1)
    if k < 64:
        return 24 + ((k - 32) >> 2)
    if k < 128:
        return 32 + ((k - 64) >> 3)
    return 40 + ((k - 128) >> 5)


@compiled
def place_alike(coded, fine, whole, large, r, c, quarter):
    """Whether a block next to one has latents of its kind, and where: row and column.

    whole: whether those of a unit are wanted; quarter: of a quarter.
    """
    if r < 0 or c < 0 or not coded[r, c] or whole != (large[r, c] == WHOLE):
        return False, 0, 0
    if whole:
        return True, r & ~1, c & ~1
    return quarter == (fine[r, c] == 1), r, c


@compiled
def _code_larger(coder, buffer, slots, weights, plain, rows, larger, value):
    """Write or read a number from 0 on: unary up to UNARY, then how many bits the rest (and one) has, each asked for in
    contexts, then those bits."""
    rest, length = value - UNARY + 1, 0
    for n in range(PLACES):
        more = value > n if n < UNARY else rest >> (length + 1) > 0
        more = code_mixed(
            coder, buffer, slots, larger, MORE_INPUTS, weights, _MORE_ROWS + n, _MORE_ROWS + PLACES + rows[2],
            SLOT_LIMIT, WEIGHT_SPEED, 1 if more else 0,
        )  # fmt: skip
        if not more:
            if n < UNARY:
                return n
            break
        if n >= UNARY:
            length += 1
        for i in range(MORE_INPUTS - 1):
            larger[i] += 1
    if length == 0:
        return UNARY
    found = 2 + code_bit(coder, buffer, plain, BELOW + length, (rest >> (length - 1)) & 1)
    if length > 1:
        found = (found << (length - 1)) + code_plain(coder, buffer, rest & ((1 << (length - 1)) - 1), length - 1)
    return UNARY - 1 + found


@compiled
def _code_magnitude(coder, buffer, slots, weights, plain, rows, chosen, larger, magnitude):
    """Write or read how far from zero a latent is, whose slots of the first set are chosen; returns it."""
    for n in range(3):
        if n:
            for i in range(INPUTS):
                chosen[i] += SET
        first = n * _KINDS * (RATE_CLASSES + BANDS)
        more = code_mixed(
            coder, buffer, slots, chosen, INPUTS, weights, first + rows[0], first + rows[1], SLOT_LIMIT, WEIGHT_SPEED,
            1 if magnitude > n else 0,
        )  # fmt: skip
        if not more:
            magnitude = n
            break
    else:
        magnitude = 3 + _code_larger(coder, buffer, slots, weights, plain, rows, larger, magnitude - 3)
    return magnitude


@compiled
def _code_sign(coder, buffer, slots, weights, transform, kind, place, k, q, said, beside, signs, negative):
    """Write or read whether latent k of a square is negative. place: of its band among those of all kinds; said:
    (384,) uint8 signs of its block as far as they are known; q: its quarter, -1: the block, or unit, as a whole;
    beside: signs on the left and above; signs: (SIGN_INPUTS,), room."""
    component = COMPONENT[transform, k]
    at, lower = SAME[transform, k], np.int64(0)
    same = np.int64(0) if at < 0 else np.int64(said[4 * at + q if q >= 0 else at])
    for m in range(2):
        at = NEAR[transform, k, m]
        if at >= 0:
            lower += np.int64(said[4 * at + q if q >= 0 else at]) * (3 if m else 1)
    signs[0] = _SIGN_SAME + (place * 3 + component) * 3 + same
    signs[1] = _SIGN_BESIDE + place * 9 + beside
    signs[2] = _SIGN_LOWER + place * 9 + lower
    signs[3] = _SIGN_CONSTANT
    return code_mixed(
        coder, buffer, slots, signs, SIGN_INPUTS, weights, _SIGN_ROWS + kind, _SIGN_ROWS + _KINDS + component,
        SLOT_LIMIT, WEIGHT_SPEED, 1 if negative else 0,
    )  # fmt: skip


@compiled
def _few(size):
    """Class of a latent's magnitude, of five."""
    return size if size < 3 else 3 if size < 6 else 4


@compiled
def _sign(symbol):
    """0 for nothing, 1 for more, 2 for less."""
    return 0 if symbol == 0 else 1 if symbol > 0 else 2


@compiled
def _written(coder):
    """Bits so far, with what is not whole yet."""
    return 8.0 * (coder[POSITION] + coder[PENDING]) - np.log2(np.float64(coder[RANGE]))


@compiled
def look_around(
    own, q, transform, kind, basis, e, k, level, left, past, around, near, there, one, two, activity, chosen
):
    """Find the contexts of "not zero" of latent k of a square; returns its band, its class of sums of latents of lower
    frequency beside it, and that of the same frequency of the component before.

    own: (384,) latents of the block; q: its quarter, -1: the block, or unit, as a whole; basis: class of it; e: energy;
    left: how many latents are to come, -1: not known; past, around: classes of the latent in the frame before and of
    its neighbours; near, there: of densities; one, two: magnitudes of the two latents before; activity: of all before;
    chosen: (INPUTS,) result.
    """
    band, beside = band_of(transform, k), np.int64(0)
    busy = 0 if activity < 8 else 1 if activity < 24 else 2 if activity < 56 else 3
    place = kind * BANDS + band
    for m in range(5):
        at = NEAR[transform, k, m]
        if at >= 0:
            lower = np.int64(own[4 * at + q if q >= 0 else at])
            beside += min(abs(lower), 15) * (2 if m < 2 else 1)
    scale = SCALE[min(4 * min(one, 15) + 4 * min(two, 15) + 12 * beside, 1000)]
    beside = SUM[min(beside, LARGEST_SUM)]
    at = SAME[transform, k]
    same = np.int64(0) if at < 0 else np.int64(own[4 * at + q if q >= 0 else at])
    other = 5 if at < 0 else _few(abs(same))
    n = 4 * k + q if q >= 0 else k
    chosen[0] = _PLACE + ((LEARNED_CLASSES * transform + basis) * RATE_CLASSES + e) * 384 + n
    chosen[1] = _AROUND + (place * 9 + around) * SUMS + beside
    chosen[2] = _BEFORE + (place * 25 + 5 * _few(one) + _few(two)) * 5 + (e >> 1)
    chosen[3] = _LEFT + place * 18 + (17 if left < 0 else min(left, 16))
    chosen[4] = _LAST + (place * 6 + past) * 4 + min(around & 7, 3)
    chosen[5] = _LEVEL + ((kind * 8 + level // 12) * BANDS + band) * SUMS + beside
    chosen[6] = _NEAR + ((place * SUMS + beside) * 4 + busy) * 5 + (e >> 1)
    chosen[7] = _SAME + (place * 6 + other) * 4 + min((beside + 1) >> 1, 3)
    area = (kind * BINS + BIN[transform, k]) * DENSITIES
    chosen[8] = _AREA + (area + near) * RATE_CLASSES + e
    chosen[9] = _PAST + (area + there) * DENSITIES + near
    chosen[10] = _SCALE + (place * SCALES + scale) * (DENSITIES >> 1) + (near >> 1)
    chosen[11] = _CONSTANT
    return band, beside, other


@compiled
def class_of_mode(inter, mode):
    """Which of the learned classes the transform of a square is of."""
    basis = transform_class(inter, mode)
    return basis - ANGLES if basis >= LEARNED_CLASSES else basis


@compiled
def code_latents(
    coder, buffer, slots, weights, plain, level, pred, coded, fine, tiny, energy, large, modes, symbols, last_coded,
    last_fine, last_tiny, last_large, last_symbols, density, last_density, spent,
):  # fmt: skip
    """Write or read the latents of all coded blocks of a frame; returns how many hidden signs are wrong of those that
    were written (none in what a decoder is to read).

    slots: (SLOTS, 2), weights: (WEIGHT_ROWS, POINTS + INPUTS), plain: (PLAIN_CONTEXTS, 2), all int32; level: 0..95;
    pred, coded, fine, energy, large: (R, C), tiny: (2R, 2C), modes: (4R, 4C) uint8; symbols: (R, C, 384) int16, zero to
    begin with when reading; density: (2R, 2C, BINS) int16 of zeros, filled in; last_*: of the frame coded last; spent:
    (R, C, 4) float32, bits of the latents of each quarter (of a block or unit: of the first), filled in when writing,
    or of no size.
    """
    chosen, signs = zeroed(INPUTS, np.int64), zeroed(SIGN_INPUTS, np.int64)
    larger, rows = zeroed(MORE_INPUTS, np.int64), zeroed(3, np.int64)
    said, wrong = zeroed(SAMPLES, np.uint8), np.int64(0)  # signs of the block that are known
    counts, sums, hidden = zeroed(GROUPS, np.int64), zeroed(GROUPS, np.int64), zeroed(GROUPS, np.int64)
    around_classes, past_classes = zeroed(BINS, np.int64), zeroed(BINS, np.int64)
    for number in range(pred.size):
        r, c = block_at(number, *pred.shape)
        whole = large[r, c] == WHOLE
        if not coded[r, c] or (whole and (r % 2 or c % 2)):
            continue
        e = np.int64(energy[r, c])
        left, before_bits = -1, _written(coder)
        for n in range(SAMPLES):
            said[n] = 0
        if e < EXACT_CLASSES:
            count = np.int64(0)
            if not coder[5]:
                count = non_zero(symbols[r, c]) - _FIRST_COUNT[e]
            node = np.int64(1)
            for place in range(_COUNT_BITS[e] - 1, -1, -1):
                node = 2 * node + code_bit(coder, buffer, plain, COUNT + 32 * e + node, (count >> place) & 1)
            left = _FIRST_COUNT[e] + node - (1 << _COUNT_BITS[e])
        intra = _TRANSFORMS if pred[r, c] == 0 else 0
        quarters = 4 if fine[r, c] else 1
        for q in range(quarters):
            i, j = q >> 1, q & 1
            small = fine[r, c] == 1 and tiny[2 * r + i, 2 * c + j] == 1
            transform = 3 if whole else 0 if not fine[r, c] else 2 if small else 1
            kind = transform + intra
            basis = class_of_mode(intra == 0, modes[4 * r + 2 * i, 4 * c + 2 * j])
            one = two = activity = 0
            before = -1
            if (
                last_coded[r, c]
                and whole == (last_large[r, c] == WHOLE)
                and last_fine[r, c] == fine[r, c]
                and (not fine[r, c] or last_tiny[2 * r + i, 2 * c + j] == tiny[2 * r + i, 2 * c + j])
            ):
                before = 1
            width = width_of(transform)
            classes_around(density, 2 * r + i, 2 * c + j, width, around_classes)
            classes_here(last_density, 2 * r + i, 2 * c + j, width, past_classes)
            west_alike, west_row, west_column, west_on = True, r, c, -1  # where what is beside a latent is
            if not (quarters == 4 and j):
                west_alike, west_row, west_column = place_alike(coded, fine, whole, large, r, c - 1, quarters == 4)
                west_on = 1 if quarters == 4 else 0
            north_alike, north_row, north_column, north_on = True, r, c, -2
            if not (quarters == 4 and i):
                north_alike, north_row, north_column = place_alike(coded, fine, whole, large, r - 1, c, quarters == 4)
                north_on = 2 if quarters == 4 else 0
            for group in range(GROUPS):
                counts[group] = sums[group] = 0
            for k in range(96 if fine[r, c] else 384):
                if left == 0:
                    break
                n = 4 * k + q if fine[r, c] else k
                west = np.int64(symbols[west_row, west_column, n + west_on]) if west_alike else NONE
                north = np.int64(symbols[north_row, north_column, n + north_on]) if north_alike else NONE
                beside_signs = 3 * (0 if west == NONE else _sign(west)) + (0 if north == NONE else _sign(north))
                west, north = -1 if west == NONE else abs(west), -1 if north == NONE else abs(north)
                around = 8 if west < 0 and north < 0 else SIZE[min(max(west, 0) + max(north, 0), LARGEST_SUM)]
                past = 5 if before < 0 else _few(abs(np.int64(last_symbols[r, c, n])))
                near, there = around_classes[BIN[transform, k]], past_classes[BIN[transform, k]]
                band, beside, other = look_around(
                    symbols[r, c], q if fine[r, c] else -1, transform, kind, basis, e, k, level, left, past, around,
                    near, there, one, two, activity, chosen,
                )  # fmt: skip
                place = kind * BANDS + band
                rows[0] = kind * (RATE_CLASSES + BANDS) + e
                rows[1] = kind * (RATE_CLASSES + BANDS) + RATE_CLASSES + band
                intra_first = 1 if intra else 0
                larger[0] = _MORE_PLACE + place * PLACES
                larger[1] = _MORE_NEAR + ((intra_first * SUMS + beside) * 9 + around) * PLACES
                sizes = 8 * SIZE[min(one, LARGEST_SUM)] + SIZE[min(two, LARGEST_SUM)]
                larger[2] = _MORE_BEFORE + ((intra_first * 64 + sizes) * 6 + other) * PLACES
                larger[3] = _MORE_LAST + ((intra_first * 6 + past) * SUMS + beside) * PLACES
                larger[4] = _MORE_CONSTANT
                rows[2] = beside
                two, one = one, min(
                    _code_magnitude(
                        coder, buffer, slots, weights, plain, rows, chosen, larger, abs(np.int64(symbols[r, c, n]))
                    ),
                    MAX_SYMBOL,
                )  # fmt: skip
                activity = activity - (activity >> 3) + 16 * min(one, 3)
                if one == 0:
                    continue
                if left > 0:
                    left -= 1
                negative, group = symbols[r, c, n] < 0, GROUP[transform, k]
                counts[group] += 1
                sums[group] += one
                if counts[group] == HIDDEN:
                    hidden[group] = n
                else:
                    negative = _code_sign(
                        coder, buffer, slots, weights, transform, kind, place, k, q if fine[r, c] else -1, said,
                        beside_signs, signs, negative,
                    ) == 1  # fmt: skip
                    said[n] = 2 if negative else 1
                symbols[r, c, n] = -one if negative else one
            for group in range(GROUPS):
                if counts[group] < HIDDEN:
                    continue
                n, negative = hidden[group], sums[group] & 1 == 1
                if coder[READING]:
                    symbols[r, c, n] = -symbols[r, c, n] if negative else symbols[r, c, n]
                elif negative != (symbols[r, c, n] < 0):
                    wrong += 1
            add_density(density, transform, symbols, r, c, q)
            if spent.size:
                bits = _written(coder)
                spent[r, c, q] = bits - before_bits
                before_bits = bits
    return wrong
