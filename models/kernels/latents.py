# SPDX-License-Identifier: Apache-2.0
"""The latents of a frame, coded one after the other in contexts of those that are known already.

A latent is zero, one, two or more, then how much more, then its sign. Its contexts are its place in the transform, how
many latents of the block are not zero, its neighbours in the transform's order and by frequency, the same frequency of
another component, the same latent of the blocks (or quarters) on the left and above and in the frame coded last, and
the quality level. See nvcodec.entropy.mixing for how
they are mixed.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled
from nvcodec.entropy.binary import PENDING, POSITION, RANGE, code_bit, code_magnitude, code_plain
from nvcodec.entropy.mixing import code_mixed
from nvcodec.models.kernels.residual import transform_class
from nvcodec.models.kernels.syntax import WHOLE, coding_order
from nvcodec.models.transform import ANGLES, LEARNED_CLASSES, frequency_order

BANDS = 48
_TRANSFORMS = 4  # coarse, fine, tiny, large
_KINDS = 2 * _TRANSFORMS  # and of prediction: inter, intra
INPUTS = 9  # contexts asked for each bit, the last of them a constant
# first slots of each context of "not zero"; those of "more than one" and "more than two" follow, in two sets alike
_PLACE = 0  # transform and class of basis, energy, latent
_AROUND = _PLACE + _TRANSFORMS * LEARNED_CLASSES * 8 * 384  # kind, band, neighbours in space, latents beside
_BEFORE = _AROUND + _KINDS * BANDS * 6 * 8  # kind, band, the two latents before, energy
_LEFT = _BEFORE + _KINDS * BANDS * 9 * 4  # kind, band, how many are still to come
_LAST = _LEFT + _KINDS * BANDS * 18  # kind, band, in the last frame, neighbours in space
_LEVEL = _LAST + _KINDS * BANDS * 4 * 3  # kind, level, band, latents beside
_NEAR = _LEVEL + _KINDS * 8 * BANDS * 8  # kind, band, latents of lower frequency beside it, energy
_SAME = _NEAR + _KINDS * BANDS * 8 * 4 * 4  # kind, band, the same frequency of another component, latents beside it
_CONSTANT = _SAME + _KINDS * BANDS * 4 * 3
_SET = _CONSTANT + 1
SLOTS = 3 * _SET
WEIGHT_ROWS = 3 * _KINDS * (8 + BANDS)
# contexts of what needs no mixing: magnitudes beyond two (2 x 8 x 8), and counts (6 classes x 32)
MORE = 0
COUNT = MORE + 128
PLAIN_CONTEXTS = COUNT + 192
EXACT_CLASSES = 6  # blocks of these energies tell how many latents are not zero
_FIRST_COUNT = np.array([1, 2, 3, 5, 9, 17, 33, 81], np.int64)
_COUNT_BITS = np.array([0, 0, 1, 2, 3, 4, 0, 0], np.int64)
SLOT_LIMIT, WEIGHT_SPEED = 150, 4
MAX_SYMBOL = 32767


def _frequencies() -> tuple[np.ndarray, np.ndarray]:
    """Of each latent of each transform: those of its component that are one or two steps lower in one direction, or one
    in both (NEAR, (4, 384, 5), nearest first), and the same one of the component before (SAME, (4, 384)); -1: none."""
    near, same = np.full((_TRANSFORMS, 384, 5), -1, np.int64), np.full((_TRANSFORMS, 384), -1, np.int64)
    for kind, transform in enumerate((0, 1, None, 4)):
        if transform is None:  # four squares of luma and one of chroma, interleaved
            luma, chroma = frequency_order(2), frequency_order(3)
            places = {(s, *luma[k][1:]): 6 * k + s for k in range(16) for s in range(4)}
            places |= {(3 + c, a, b): 6 * (k >> 1) + 4 + (k & 1) for k, (c, a, b) in enumerate(chroma)}
        else:
            places = {place: k for k, place in enumerate(frequency_order(transform))}
        for (component, a, b), k in places.items():
            for n, (i, j) in enumerate(((1, 0), (0, 1), (1, 1), (2, 0), (0, 2))):
                near[kind, k, n] = places.get((component, a - i, b - j), -1)
            if component and places.get((component - 1, a, b), k) < k:
                same[kind, k] = places[component - 1, a, b]
    return near, same


NEAR, SAME = _frequencies()


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
def _neighbour(coded, fine, whole, large, symbols, r, c, q, k):
    """Magnitude of latent k of quarter q (-1: of the whole block, or unit) of a block, or -1 where there is none alike.

    whole: whether that of a unit is wanted.
    """
    if r < 0 or c < 0 or not coded[r, c]:
        return -1
    if whole != (large[r, c] == WHOLE):
        return -1
    if whole:
        return abs(np.int64(symbols[r & ~1, c & ~1, k]))
    if q < 0:
        return -1 if fine[r, c] else abs(np.int64(symbols[r, c, k]))
    if not fine[r, c]:
        return -1
    return abs(np.int64(symbols[r, c, 4 * k + q]))


@compiled
def _code_symbol(coder, buffer, slots, weights, plain, kind, rows, chosen, inputs, expected, value):
    """Write or read a latent whose slots of the first set are chosen; returns it."""
    magnitude = abs(value)
    for n in range(3):
        if n:
            for i in range(INPUTS):
                chosen[i] += _SET
        first = n * _KINDS * (8 + BANDS)
        more = code_mixed(
            coder, buffer, slots, chosen, INPUTS, weights, first + rows[0], first + rows[1], SLOT_LIMIT, WEIGHT_SPEED,
            inputs, 1 if magnitude > n else 0,
        )  # fmt: skip
        if not more:
            magnitude = n
            break
    else:
        context = MORE + 8 * (min(expected, 7) + (8 if kind >= _TRANSFORMS else 0))
        magnitude = 3 + code_magnitude(coder, buffer, plain, context, 7, magnitude - 3)
    if magnitude and code_plain(coder, buffer, 1 if value < 0 else 0, 1):
        return -magnitude
    return magnitude


@compiled
def _written(coder):
    """Bits so far, with what is not whole yet."""
    return 8.0 * (coder[POSITION] + coder[PENDING]) - np.log2(np.float64(coder[RANGE]))


@compiled
def code_latents(
    coder, buffer, slots, weights, plain, level, pred, coded, fine, tiny, energy, large, modes, symbols, last_coded,
    last_fine, last_tiny, last_large, last_symbols, spent,
):  # fmt: skip
    """Write or read the latents of all coded blocks of a frame.

    slots: (SLOTS, 2), weights: (WEIGHT_ROWS, INPUTS), plain: (PLAIN_CONTEXTS, 2), all int32; level: 0..63; pred, coded,
    fine, energy, large: (R, C), tiny: (2R, 2C), modes: (4R, 4C) uint8; symbols: (R, C, 384) int16, zero to begin with
    when reading; last_*: of the frame coded last; spent: (R, C, 4) float32, bits of the latents of each quarter (of a
    block or unit: of the first), filled in when writing, or of no size.
    """
    chosen, inputs = np.zeros(INPUTS, np.int64), np.zeros(INPUTS, np.int64)
    rows = np.zeros(2, np.int64)
    order = coding_order(*pred.shape)
    for number in range(len(order)):
        r, c = order[number]
        whole = large[r, c] == WHOLE
        if not coded[r, c] or (whole and (r % 2 or c % 2)):
            continue
        e = np.int64(energy[r, c])
        left, before_bits = -1, _written(coder)
        if e < EXACT_CLASSES:
            count = np.int64(0)
            if not coder[5]:
                for k in range(384):
                    if symbols[r, c, k]:
                        count += 1
                count -= _FIRST_COUNT[e]
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
            basis = transform_class(intra == 0, modes[4 * r + 2 * i, 4 * c + 2 * j])
            if basis >= LEARNED_CLASSES:
                basis -= ANGLES
            one = two = activity = 0
            before = -1
            if (
                last_coded[r, c]
                and whole == (last_large[r, c] == WHOLE)
                and last_fine[r, c] == fine[r, c]
                and (not fine[r, c] or last_tiny[2 * r + i, 2 * c + j] == tiny[2 * r + i, 2 * c + j])
            ):
                before = 1
            for k in range(96 if fine[r, c] else 384):
                if left == 0:
                    break
                n = 4 * k + q if fine[r, c] else k
                if not fine[r, c]:
                    west = _neighbour(coded, fine, whole, large, symbols, r, c - 1, -1, k)
                    north = _neighbour(coded, fine, whole, large, symbols, r - 1, c, -1, k)
                else:
                    west = (
                        abs(np.int64(symbols[r, c, 4 * k + q - 1]))
                        if j
                        else _neighbour(coded, fine, whole, large, symbols, r, c - 1, q + 1, k)
                    )
                    north = (
                        abs(np.int64(symbols[r, c, 4 * k + q - 2]))
                        if i
                        else _neighbour(coded, fine, whole, large, symbols, r - 1, c, q + 2, k)
                    )
                around = 5 if west < 0 and north < 0 else min(max(west, 0), 2) + min(max(north, 0), 2)
                past = 3 if before < 0 else min(abs(np.int64(last_symbols[r, c, n])), 2)
                band = band_of(transform, k)
                busy = 0 if activity < 8 else 1 if activity < 24 else 2 if activity < 56 else 3
                place = kind * BANDS + band
                beside = np.int64(0)
                for m in range(5):
                    at = NEAR[transform, k, m]
                    if at >= 0:
                        size = abs(np.int64(symbols[r, c, 4 * at + q if fine[r, c] else at]))
                        beside += min(size, 3) * (2 if m < 2 else 1)
                beside = beside if beside < 4 else 4 if beside < 6 else 5 if beside < 8 else 6 if beside < 12 else 7
                at = SAME[transform, k]
                other = 3 if at < 0 else min(abs(np.int64(symbols[r, c, 4 * at + q if fine[r, c] else at])), 2)
                chosen[0] = _PLACE + ((LEARNED_CLASSES * transform + basis) * 8 + e) * 384 + n
                chosen[1] = _AROUND + (place * 6 + around) * 8 + beside
                chosen[2] = _BEFORE + (place * 9 + 3 * min(one, 2) + min(two, 2)) * 4 + (e >> 1)
                chosen[3] = _LEFT + place * 18 + (17 if left < 0 else min(left, 16))
                chosen[4] = _LAST + (place * 4 + past) * 3 + min(around % 5, 2)
                chosen[5] = _LEVEL + ((kind * 8 + (level >> 3)) * BANDS + band) * 8 + beside
                chosen[6] = _NEAR + ((place * 8 + beside) * 4 + busy) * 4 + (e >> 1)
                chosen[7] = _SAME + (place * 4 + other) * 3 + min((beside + 1) >> 1, 2)
                chosen[8] = _CONSTANT
                rows[0] = kind * (8 + BANDS) + e
                rows[1] = kind * (8 + BANDS) + 8 + band
                expected = max(west, 0) + max(north, 0) + 2 * one + two
                expected = (
                    0 if expected < 4 else 1 if expected < 8 else 2 if expected < 14 else 3 if expected < 24 else 4
                )
                value = _code_symbol(
                    coder, buffer, slots, weights, plain, kind, rows, chosen, inputs, expected,
                    np.int64(symbols[r, c, n]),
                )  # fmt: skip
                symbols[r, c, n] = min(max(value, -MAX_SYMBOL), MAX_SYMBOL)
                two, one = one, abs(value)
                activity = activity - (activity >> 3) + 16 * min(one, 3)
                if value and left > 0:
                    left -= 1
            if spent.size:
                bits = _written(coder)
                spent[r, c, q] = bits - before_bits
                before_bits = bits
