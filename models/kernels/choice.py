# SPDX-License-Identifier: Apache-2.0
"""The encoder's choice of what each block of an inter frame is predicted from."""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled
from nvcodec.models.kernels.compensation import BOTH, FIRST, INTRA, PAD, SECOND, luma_block
from nvcodec.models.kernels.frame_intra import hadamard_cost
from nvcodec.models.kernels.inter import exact_cost, room_for_trial
from nvcodec.models.kernels.intra import HORIZONTAL, MEAN, PLANAR, VERTICAL, border, predict_luma_from, smooth
from nvcodec.models.kernels.search import SPLIT_WORTH, mix_cost, vector_bits
from nvcodec.models.kernels.syntax import (
    MAX_VECTOR,
    MERGE,
    SHARED,
    coding_order,
    merge_candidates,
    predict_vector,
)

INTRA_BITS = 14.0  # of a block that is not predicted from a reference, roughly
EXACT_SHARE, EXACT_BITS = 1.25, 6.0  # predictions that seem to cost so much more than the best are tried, too


@compiled
def _keep(costs, bits, kinds, merges, motions, cost, side, kind, merge, motion):
    """Put a candidate among the best so far, which are sorted by cost; side: bits of its decisions; motion: (2, 4, 2)
    vectors of the quarters into each reference."""
    k = len(costs) - 1
    if cost >= costs[k]:
        return
    while k > 0 and costs[k - 1] > cost:
        costs[k], bits[k], kinds[k], merges[k] = costs[k - 1], bits[k - 1], kinds[k - 1], merges[k - 1]
        _copy_motion(motions[k - 1], motions[k])
        k -= 1
    costs[k], bits[k], kinds[k], merges[k] = cost, side, kind, merge
    _copy_motion(motion, motions[k])


@compiled
def _copy_motion(motion, out):
    for ref in range(2):
        for q in range(4):
            out[ref, q, 0], out[ref, q, 1] = motion[ref, q, 0], motion[ref, q, 1]


@compiled
def _set_vectors(vectors, r, c, kind, motion):
    """Give a block its motion; references that it does not use have vectors of 0."""
    for ref in range(2):
        for q in range(4):
            for n in range(2):
                vectors[ref, 2 * r + (q >> 1), 2 * c + (q & 1), n] = motion[ref, q, n] if kind & (1 << ref) else 0


@compiled
def _one_motion(x0, y0, x1, y1, out):
    for q in range(4):
        out[0, q, 0], out[0, q, 1], out[1, q, 0], out[1, q, 1] = x0, y0, x1, y1


@compiled
def choose_blocks(
    picture, first, second, references, whole, quarters, split, refine, exact, price, prices, steps, weight, analysis,
    rates, last_pred, last_vectors, scale, pred, merged, large, vectors, planes,
):  # fmt: skip
    """Decide what each block of an inter frame is predicted from, by Hadamard cost and bits.

    picture: (y, u, v); first, second: planes of the references with borders; whole: (2, R, C, 3) and quarters:
    (2, 2R, 2C, 3) of `search`; refine: whether to move the vectors of a block with two references together; exact: how
    many of the predictions that seem best are tried with their transforms; price: squared steps that a bit is worth;
    prices: `price_curve`; steps, weight, analysis, rates, planes: as in `exact_cost`; last_*, scale: as in
    `merge_candidates`. Fills in pred, merged, large, vectors.
    """
    rows, columns = pred.shape
    current = picture[0]
    kinds, found = np.zeros(MERGE, np.int32), np.zeros((MERGE, 4), np.int32)
    a, b, difference = np.empty((16, 16), np.int32), np.empty((16, 16), np.int32), np.empty((16, 16), np.int32)
    near, both, near_both = np.zeros(2, np.int32), np.zeros((2, 2), np.int32), np.zeros((2, 2), np.int32)
    samples, out = np.empty((2, 129), np.int32), np.empty((32, 32), np.int32)
    ready = np.ones((4 * rows, 4 * columns), np.uint8)
    costs, bits = np.empty(exact, np.float64), np.empty(exact, np.float64)
    best_kinds, merges = np.zeros(exact, np.int32), np.zeros(exact, np.int32)
    motions, motion = np.zeros((exact, 2, 4, 2), np.int32), np.zeros((2, 4, 2), np.int32)
    room = room_for_trial()
    order, together_cost = coding_order(rows, columns), np.float64(0)
    for number in range(len(order)):
        r, c = order[number]
        top, left = 16 * r, 16 * c
        merged[r, c] = large[r, c] = 0
        for k in range(exact):
            costs[k] = 1e30
        best_kinds[0], merges[0] = FIRST, 0
        count = merge_candidates(pred, vectors, r, c, 1, last_pred, last_vectors, scale, kinds, found)
        for k in range(count):
            kind = kinds[k]
            if references < 2 and kind != FIRST:
                continue
            if kind & FIRST:
                luma_block(first[0], PAD, top, left, 16, found[k, 0], found[k, 1], a)
            if kind & SECOND:
                luma_block(second[0], PAD, top, left, 16, found[k, 2], found[k, 3], b)
            side = price * (0.5 + min(k + 1, count - 1))
            cost = mix_cost(current, top, left, 16, a, b, kind, prices, difference) + side
            if cost < costs[exact - 1]:
                _one_motion(found[k, 0], found[k, 1], found[k, 2], found[k, 3], motion)
                _keep(costs, bits, best_kinds, merges, motions, cost, side, kind, k + 1, motion)
        # new vectors: into the first, the second, both
        new_bits = np.zeros(2, np.float32)
        for ref in range(references):
            pred[r, c] = 1 << ref
            predict_vector(pred, vectors, ref, 2 * r, 2 * c, 2, near)
            both[ref, 0], both[ref, 1] = np.int32(whole[ref, r, c, 0]), np.int32(whole[ref, r, c, 1])
            new_bits[ref] = vector_bits(both[ref, 0] - near[0], both[ref, 1] - near[1])
            luma_block(
                first[0] if ref == 0 else second[0], PAD, top, left, 16, both[ref, 0], both[ref, 1],
                a if ref == 0 else b,
            )  # fmt: skip
        _one_motion(both[0, 0], both[0, 1], both[1, 0], both[1, 1], motion)
        for kind in range(FIRST, BOTH + 1 if references > 1 else SECOND):
            side = price * np.float64(3.5)
            for ref in range(2):
                if kind & (1 << ref):
                    side += price * new_bits[ref]
            cost = mix_cost(current, top, left, 16, a, b, kind, prices, difference) + side
            _keep(costs, bits, best_kinds, merges, motions, cost, side, kind, 0, motion)
        if refine and references > 1 and costs[0] > price * 3.5:
            # both vectors together, each in turn moved to the best of its neighbours
            for ref in range(2):
                pred[r, c] = BOTH
                predict_vector(pred, vectors, ref, 2 * r, 2 * c, 2, near_both[ref])
            together = together_side = 1e30
            for ref in range(2):
                other = 1 - ref
                luma_block(
                    first[0] if other == 0 else second[0], PAD, top, left, 16, both[other, 0], both[other, 1],
                    a if other == 0 else b,
                )  # fmt: skip
                fixed = vector_bits(both[other, 0] - near_both[other, 0], both[other, 1] - near_both[other, 1])
                cx, cy = both[ref, 0], both[ref, 1]
                together = 1e30
                for i in range(-1, 2):
                    for j in range(-1, 2):
                        x, y = cx + j, cy + i
                        if max(abs(x), abs(y)) > MAX_VECTOR:
                            continue
                        luma_block(first[0] if ref == 0 else second[0], PAD, top, left, 16, x, y, a if ref == 0 else b)
                        side = price * (3.5 + fixed + vector_bits(x - near_both[ref, 0], y - near_both[ref, 1]))
                        cost = mix_cost(current, top, left, 16, a, b, BOTH, prices, difference) + side
                        if cost < together:
                            together, together_side, both[ref, 0], both[ref, 1] = cost, side, x, y
            _one_motion(both[0, 0], both[0, 1], both[1, 0], both[1, 1], motion)
            _keep(costs, bits, best_kinds, merges, motions, together, together_side, BOTH, 0, motion)
        if split and costs[0] > price * SPLIT_WORTH:
            _try_split(
                current, first[0], second[0], references, whole, quarters, price, prices, new_bits, r, c, a, b,
                difference, costs, bits, best_kinds, merges, motions, motion,
            )  # fmt: skip
        # intra, judged by the picture's own samples
        if costs[0] > price * INTRA_BITS:
            border(current, ready, 4, 4 * r, 4 * c, 4, samples[0])
            smooth(samples[0], 16, samples[1])
        for mode in (PLANAR, MEAN, HORIZONTAL, VERTICAL, 18, 2, 34):
            if costs[0] <= price * INTRA_BITS:
                break
            predict_luma_from(samples, 16, mode, out)
            for i in range(16):
                for j in range(16):
                    difference[i, j] = np.int32(current[top + i, left + j]) - out[i, j]
            cost = hadamard_cost(difference, 16, prices) + price * INTRA_BITS
            if cost < costs[0]:
                _keep(costs, bits, best_kinds, merges, motions, cost, price * INTRA_BITS, INTRA, 0, motion)
        chosen, cost = 0, costs[0]
        if exact > 1 and best_kinds[0] != INTRA:
            cost = 1e30
            for k in range(exact):
                if costs[k] > costs[0] * EXACT_SHARE + price * EXACT_BITS:
                    break
                if best_kinds[k] == INTRA:
                    continue
                _set_vectors(vectors, r, c, best_kinds[k], motions[k])
                exactly = bits[k] + exact_cost(
                    picture, first, second, best_kinds[k], vectors, r, c, merges[k] > 0, steps[r, c], weight, analysis,
                    rates, price, a, b, planes, room,
                )  # fmt: skip
                if exactly < cost:
                    chosen, cost = k, exactly
        pred[r, c], merged[r, c] = best_kinds[chosen], merges[chosen]
        _set_vectors(vectors, r, c, best_kinds[chosen], motions[chosen])
        if pred[r, c] != INTRA and not merged[r, c]:  # a new vector that is a candidate's is merged after all
            for k in range(count):
                same = kinds[k] == pred[r, c]
                for ref in range(2):
                    for q in range(4):
                        i, j = 2 * r + (q >> 1), 2 * c + (q & 1)
                        for n in range(2):
                            if vectors[ref, i, j, n] != found[k, 2 * ref + n]:
                                same = False
                if same:
                    merged[r, c] = k + 1
                    break
        if r % 2 == 0 and c % 2 == 0:
            together_cost = np.float64(0)
        together_cost += cost
        if r % 2 and c % 2:
            _try_unit(
                picture, first, second, references, exact > 1, price, prices, steps, weight, analysis, rates, last_pred,
                last_vectors, scale, pred, merged, large, vectors, planes, r - 1, c - 1, together_cost, kinds, found, a,
                b, difference, room,
            )  # fmt: skip


@compiled
def _try_split(
    current, first, second, references, whole, quarters, price, prices, new_bits, r, c, a, b, difference, costs, bits,
    kinds, merges, motions, motion,
):  # fmt: skip
    """Vectors of their own for the quarters of a block: into the first reference, the second, both."""
    total, sides = np.zeros(4, np.float64), np.zeros(4, np.float64)
    for k in range(4):
        i, j = 2 * r + (k >> 1), 2 * c + (k & 1)
        for ref in range(references):
            x, y = np.int32(quarters[ref, i, j, 0]), np.int32(quarters[ref, i, j, 1])
            motion[ref, k, 0], motion[ref, k, 1] = x, y
            luma_block(first if ref == 0 else second, PAD, 8 * i, 8 * j, 8, x, y, a if ref == 0 else b)
        for kind in range(FIRST, BOTH + 1 if references > 1 else SECOND):
            for ref in range(references):
                if kind & (1 << ref):
                    x, y = quarters[ref, i, j, 0], quarters[ref, i, j, 1]
                    sides[kind] += price * vector_bits(
                        np.int32(x - quarters[ref, i, 2 * c, 0]) if k & 1 else np.int32(x - whole[ref, r, c, 0]),
                        np.int32(y - quarters[ref, i, 2 * c, 1]) if k & 1 else np.int32(y - whole[ref, r, c, 1]),
                    )
            total[kind] += mix_cost(current, 8 * i, 8 * j, 8, a, b, kind, prices, difference)
    for kind in range(FIRST, BOTH + 1 if references > 1 else SECOND):
        side = sides[kind] + price * 4.5
        for ref in range(2):
            if kind & (1 << ref):
                side += price * 0.5 * new_bits[ref]
        _keep(costs, bits, kinds, merges, motions, total[kind] + side, side, kind, 0, motion)


@compiled
def _motion_cost(current, first, second, top, left, kind, motion, prices, limit, a, b, difference):
    """Hadamard cost of a unit of 2 x 2 blocks with one motion (x0 y0 x1 y1), or more than limit."""
    total = np.float64(0)
    for k in range(4):
        i, j = top + 16 * (k >> 1), left + 16 * (k & 1)
        if kind & FIRST:
            luma_block(first, PAD, i, j, 16, motion[0], motion[1], a)
        if kind & SECOND:
            luma_block(second, PAD, i, j, 16, motion[2], motion[3], b)
        total += mix_cost(current, i, j, 16, a, b, kind, prices, difference)
        if total > limit:
            break
    return total


@compiled
def _try_unit(
    picture, first, second, references, exact, price, prices, steps, weight, analysis, rates, last_pred, last_vectors,
    scale, pred, merged, large, vectors, planes, r, c, limit, kinds, found, a, b, difference, room,
):  # fmt: skip
    """Give the four blocks of a unit one motion if that costs less than what they have, ``limit``: with their
    transforms if ``exact``."""
    near, current = np.zeros(2, np.int32), picture[0]
    best, best_kind, best_merge, best_side = 1e30 if exact else limit, 0, 0, np.float64(0)
    motion, tried = np.zeros(4, np.int32), np.zeros((5, 4), np.int32)
    count = merge_candidates(pred, vectors, r, c, 2, last_pred, last_vectors, scale, kinds, found)
    for k in range(count):
        if references < 2 and kinds[k] != FIRST:
            continue
        side = price * (0.5 + min(k + 1, count - 1))
        cost = side + _motion_cost(
            current, first[0], second[0], 16 * r, 16 * c, kinds[k], found[k], prices, best - side, a, b, difference
        )
        if cost < best:
            best, best_kind, best_merge, best_side = cost, kinds[k], k + 1, side
            for n in range(4):
                motion[n] = found[k, n]
    for block in range(4):
        i, j = r + (block >> 1), c + (block & 1)
        kind = np.int64(pred[i, j])
        for n in range(4):
            tried[block, n] = vectors[n >> 1, 2 * i, 2 * j, n & 1]
        known = kind == INTRA
        for n in range(block):
            other = pred[r + (n >> 1), c + (n & 1)]
            if other == kind and (tried[n] == tried[block]).all():
                known = True
        for k in range(count):
            if kinds[k] == kind and (found[k] == tried[block]).all():
                known = True
        if known:
            continue
        side = np.float64(price * 3.5)
        for ref in range(2):
            if kind & (1 << ref):
                predict_vector(pred, vectors, ref, 2 * r, 2 * c, 4, near)
                x, y = tried[block, 2 * ref], tried[block, 2 * ref + 1]
                side += price * vector_bits(x - near[0], y - near[1])
        cost = side + _motion_cost(
            current, first[0], second[0], 16 * r, 16 * c, kind, tried[block], prices, best - side, a, b, difference
        )
        if cost < best:
            best, best_kind, best_merge, best_side = cost, kind, 0, side
            for n in range(4):
                motion[n] = tried[block, n]
    if best_kind == 0:
        return
    before, one = np.empty((4, 2, 4, 2), np.int32), np.empty((2, 4, 2), np.int32)
    _one_motion(motion[0], motion[1], motion[2], motion[3], one)
    total = best_side
    for block in range(4):
        i, j = r + (block >> 1), c + (block & 1)
        for ref in range(2):
            for q in range(4):
                for n in range(2):
                    before[block, ref, q, n] = vectors[ref, 2 * i + (q >> 1), 2 * j + (q & 1), n]
        _set_vectors(vectors, i, j, best_kind, one)
        if exact and total < limit:
            total += exact_cost(
                picture, first, second, best_kind, vectors, i, j, best_merge > 0, steps[i, j], weight, analysis, rates,
                price, a, b, planes, room,
            )  # fmt: skip
    if exact and total >= limit:
        for block in range(4):
            _set_vectors(vectors, r + (block >> 1), c + (block & 1), BOTH, before[block])
        return
    for i in range(r, r + 2):
        for j in range(c, c + 2):
            pred[i, j], merged[i, j], large[i, j] = best_kind, best_merge, SHARED
