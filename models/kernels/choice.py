# SPDX-License-Identifier: Apache-2.0
"""The encoder's choice of what each block of an inter frame is predicted from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nvcodec.compiled import compiled, scratch, zeroed
from nvcodec.models.kernels.compensation import BOTH, FIRST, INTRA, PAD, SECOND, luma_block
from nvcodec.models.kernels.inter import MERGED_NOTHING_BITS, cheaper, exact_cost
from nvcodec.models.kernels.intra import HORIZONTAL, MEAN, PLANAR, VERTICAL, border, predict_luma_from, smooth
from nvcodec.models.kernels.motion import (
    FOUR_PARTS,
    MAX_VECTOR,
    MERGE,
    ONE_PART,
    PART_COUNT,
    PARTS,
    TWO_ROWS,
    merge_candidates,
    predict_vector,
)
from nvcodec.models.kernels.prediction_costs import (
    MOTIONS,
    Memory,
    block_cost,
    forget,
    mix,
    mixed_cost,
    number_in_quad,
    quarter_cost,
    slot_of,
)
from nvcodec.models.kernels.rough_cost import differences, hadamard_cost
from nvcodec.models.kernels.search import vector_bits
from nvcodec.models.kernels.syntax import SHARED, begins_quad, begins_unit, block_of_row

INTRA_BITS = 14.0  # of a block that is not predicted from a reference, roughly
TOGETHER_BITS = 4.0  # more that new vectors into both references may cost for them to be moved together
SHAPE_BITS, KIND_BITS = 4.5, 2.0  # of a block in parts, and of the references of one
MOST_EXACT = 8  # predictions that are tried with their transforms, at most
ENOUGH_BITS = 3.0  # a prediction that leaves less is taken
EXACT_SHARE, EXACT_BITS = 1.15, 4.0  # predictions that seem to cost so much more than the best are tried, too


class Candidates(NamedTuple):
    """Motion that a block may have: costs and bits of decisions (N,) float64, shapes (N,), and of each part of 8x8 what
    it is predicted from and which candidate it takes its motion from (0: none), (N, 4) int64, and its vectors
    (N, 2, 4, 2) int32."""

    costs: np.ndarray
    bits: np.ndarray
    shapes: np.ndarray
    kinds: np.ndarray
    merges: np.ndarray
    vectors: np.ndarray


@compiled
def _copy(source, k, out, n):
    """One candidate."""
    out.costs[n], out.bits[n], out.shapes[n] = source.costs[k], source.bits[k], source.shapes[k]
    for q in range(4):
        out.kinds[n, q], out.merges[n, q] = source.kinds[k, q], source.merges[k, q]
        for ref in range(2):
            for i in range(2):
                out.vectors[n, ref, q, i] = source.vectors[k, ref, q, i]


@compiled
def _keep(best, count, one, cost, bits, shape):
    """Put a candidate, the parts of which ``one`` holds, among the ``count`` best so far, which are sorted by cost."""
    k = count - 1
    if cost >= best.costs[k]:
        return
    one.costs[0], one.bits[0], one.shapes[0] = cost, bits, shape
    while k > 0 and best.costs[k - 1] > cost:
        _copy(best, k - 1, best, k)
        k -= 1
    _copy(one, 0, best, k)


@compiled
def _set_part(one, q, kind, merge, x0, y0, x1, y1):
    """Motion of one quarter of a candidate; references that it does not use have vectors of 0."""
    one.kinds[0, q], one.merges[0, q] = kind, merge
    one.vectors[0, 0, q, 0] = x0 if kind & FIRST else 0
    one.vectors[0, 0, q, 1] = y0 if kind & FIRST else 0
    one.vectors[0, 1, q, 0] = x1 if kind & SECOND else 0
    one.vectors[0, 1, q, 1] = y1 if kind & SECOND else 0


@compiled
def _set_parts(one, kind, merge, x0, y0, x1, y1):
    """The same of all four."""
    for q in range(4):
        _set_part(one, q, kind, merge, x0, y0, x1, y1)


@compiled
def _give(candidates, k, kinds, vectors, r, c):
    """Give a block the motion of a candidate."""
    for q in range(4):
        i, j = 2 * r + (q >> 1), 2 * c + (q & 1)
        kinds[i, j] = candidates.kinds[k, q]
        for ref in range(2):
            vectors[ref, i, j, 0], vectors[ref, i, j, 1] = (
                candidates.vectors[k, ref, q, 0],
                candidates.vectors[k, ref, q, 1],
            )


@compiled
def choose_blocks(
    picture, first, second, references, midway, whole, quarters, parts_from, together_to, settled_to, exact, rounds,
    price, prices, steps, weight, rates, last_kinds, last_vectors, scale, ready, pred, merged, large, quad, shapes,
    kinds, parts, vectors, planes, quad_row, begin, end,
):  # fmt: skip
    """Decide what each block of quads begin..end-1 of a row of quads of an inter frame is predicted from, by Hadamard
    cost and bits.

    picture: (y, u, v); first, second: planes of the references with borders; whole: (2, R, C, 3) and quarters:
    (2, 2R, 2C, 3) of `search`; midway: as in `compensate`; parts_from: bits that a prediction
    costs at least for its block to be tried in parts; together_to: how many times the best prediction's cost new
    vectors into both references may cost to be moved together (0: they never are); settled_to: bits up to which a
    unit is given a candidate's motion without a look at its blocks; exact: how many (up to MOST_EXACT)
    of the predictions that seem best are tried with their transforms; rounds: of `luma_from_both`, until then;
    price: squared steps that a bit is worth; prices: `price_curve`; steps, weight, rates, planes: as in
    `exact_cost`; last_*, scale: as in `merge_candidates`; ready: (4R, 4C) uint8 ones. Fills in pred, merged, large,
    quad, shapes, kinds, parts, vectors.
    """
    rows, columns = pred.shape
    current = picture[0]
    which, found = zeroed(MERGE, np.int32), zeroed((MERGE, 4), np.int32)
    near, both, near_both = zeroed(6, np.int32), zeroed((2, 2), np.int32), zeroed((2, 6), np.int32)
    new_bits, samples, out = zeroed(2, np.float32), scratch((2, 129), np.int32), scratch((32, 32), np.int32)
    memory = Memory(
        scratch((16, MOTIONS), np.int64), scratch((16, MOTIONS, 4), np.float32), scratch((16, MOTIONS, 2), np.float32),
        zeroed(16, np.int64), midway, rounds,
    )  # fmt: skip
    best = Candidates(
        scratch(MOST_EXACT, np.float64), scratch(MOST_EXACT, np.float64), scratch(MOST_EXACT, np.int64),
        scratch((MOST_EXACT, 4), np.int64), scratch((MOST_EXACT, 4), np.int64),
        scratch((MOST_EXACT, 2, 4, 2), np.int32),
    )  # fmt: skip
    one = Candidates(
        scratch(1, np.float64), scratch(1, np.float64), scratch(1, np.int64), scratch((1, 4), np.int64),
        scratch((1, 4), np.int64), scratch((1, 2, 4, 2), np.int32),
    )  # fmt: skip
    a, b, difference = scratch((16, 16), np.int32), scratch((16, 16), np.int32), scratch((16, 16), np.int32)
    costs = best.costs
    together_cost, quad_cost, settled_cost = np.float64(0), np.float64(0), np.float64(0)
    for number in range(16 * begin, 16 * end):
        r, c = block_of_row(number, quad_row)
        if r >= rows or c >= columns:
            continue
        top, left = 16 * r, 16 * c
        quad[r, c] = 0
        if number % 16 == 0:
            quad_cost = np.float64(0)
        if r % 2 == 0 and c % 2 == 0:
            together_cost = settled_cost = np.float64(0)
            if begins_unit(r, c, rows, columns):
                for k in range(4):
                    forget(memory, number_in_quad(r + (k >> 1), c + (k & 1)))
                settled_cost = _settle_unit(
                    memory, current, first[0], second[0], references, price, prices, price * settled_to, last_kinds,
                    last_vectors, scale, pred, merged, large, shapes, kinds, parts, vectors, r, c, which, found,
                )  # fmt: skip
                quad_cost += settled_cost
                if settled_cost > 0 and exact > 1:  # as `_remembered_cost` has it
                    quad_cost += price * 4 * MERGED_NOTHING_BITS
        if settled_cost > 0:
            if number % 16 == 15 and begins_quad(r - 3, c - 3, rows, columns):
                _try_quad(
                    memory, picture, first, second, references, exact > 1, price, prices, steps, weight, rates,
                    last_kinds, last_vectors, scale, pred, merged, large, quad, shapes, kinds, parts, vectors, planes,
                    r - 3, c - 3, quad_cost, which, found,
                )  # fmt: skip
            continue
        merged[r, c] = large[r, c] = 0
        if not begins_unit(r & ~1, c & ~1, rows, columns):
            forget(memory, number_in_quad(r, c))
        for k in range(exact):
            costs[k] = 1e30
        count = merge_candidates(kinds, vectors, 2 * r, 2 * c, 2, 2, last_kinds, last_vectors, scale, which, found)
        for k in range(count):
            kind = np.int64(which[k])
            if references < 2 and kind != FIRST:
                continue
            side = price * (0.5 + min(k + 1, count - 1))
            if side > _worth_trying(costs[0], price, exact):
                break
            cost = side + block_cost(
                memory, current, first[0], second[0], r, c, kind, found[k, 0], found[k, 1], found[k, 2], found[k, 3],
                prices,
            )  # fmt: skip
            if cost < costs[exact - 1]:
                _set_parts(one, kind, k + 1, found[k, 0], found[k, 1], found[k, 2], found[k, 3])
                _keep(best, exact, one, cost, side, ONE_PART)
        # new vectors: into the first, the second, both
        new_bits[0] = new_bits[1] = 0
        for ref in range(references):
            predict_vector(kinds, vectors, ref, 2 * r, 2 * c, 2, near)
            both[ref, 0], both[ref, 1] = np.int32(whole[ref, r, c, 0]), np.int32(whole[ref, r, c, 1])
            new_bits[ref] = vector_bits(both[ref, 0] - near[0], both[ref, 1] - near[1])
            luma_block(
                first[0] if ref == 0 else second[0], PAD, top, left, 16, both[ref, 0], both[ref, 1],
                a if ref == 0 else b,
            )  # fmt: skip
        for kind in range(FIRST, BOTH + 1 if references > 1 else SECOND):
            side = price * np.float64(3.5)
            for ref in range(2):
                if kind & (1 << ref):
                    side += price * new_bits[ref]
            if kind == BOTH and midway:
                cost = side + block_cost(
                    memory, current, first[0], second[0], r, c, kind, both[0, 0], both[0, 1], both[1, 0], both[1, 1],
                    prices,
                )  # fmt: skip
            else:
                cost = side + mixed_cost(
                    memory, current, r, c, kind, both[0, 0], both[0, 1], both[1, 0], both[1, 1], a, b, prices
                )
            _set_parts(one, kind, 0, both[0, 0], both[0, 1], both[1, 0], both[1, 1])
            _keep(best, exact, one, cost, side, ONE_PART)
        promising = cost < costs[0] * together_to + price * TOGETHER_BITS
        if together_to > 0 and references > 1 and promising and costs[0] > price * 3.5:
            # both vectors together, each in turn moved to the best of its neighbours
            for ref in range(2):
                predict_vector(kinds, vectors, ref, 2 * r, 2 * c, 2, near_both[ref])
            together = together_side = 1e30
            for ref in range(2):
                other = 1 - ref
                luma_block(
                    first[0] if other == 0 else second[0], PAD, top, left, 16, both[other, 0], both[other, 1],
                    a if other == 0 else b,
                )  # fmt: skip
                fixed = vector_bits(both[other, 0] - near_both[other, 0], both[other, 1] - near_both[other, 1])
                cx, cy, dx, dy = both[ref, 0], both[ref, 1], 0, 0
                together = across = down = 1e30
                for n in range(6):  # where it is, left and right, up and down, the better of either together
                    x, y = cx, cy
                    if n == 1 or n == 2:
                        x += 2 * n - 3
                    elif n == 3 or n == 4:
                        y += 2 * n - 7
                    elif n == 5:
                        x, y = cx + dx, cy + dy
                    if max(abs(x), abs(y)) > MAX_VECTOR:
                        continue
                    luma_block(first[0] if ref == 0 else second[0], PAD, top, left, 16, x, y, a if ref == 0 else b)
                    side = price * (3.5 + fixed + vector_bits(x - near_both[ref, 0], y - near_both[ref, 1]))
                    mix(current, top, left, 16, a, b, BOTH, difference)
                    cost = hadamard_cost(difference, 16, prices) + side
                    if (n == 1 or n == 2) and cost < across:
                        across, dx = cost, x - cx
                    if (n == 3 or n == 4) and cost < down:
                        down, dy = cost, y - cy
                    if cost < together:
                        together, together_side, both[ref, 0], both[ref, 1] = cost, side, x, y
            if midway:  # they move by themselves, too
                together = together_side + block_cost(
                    memory, current, first[0], second[0], r, c, np.int64(BOTH), both[0, 0], both[0, 1], both[1, 0],
                    both[1, 1], prices,
                )  # fmt: skip
            _set_parts(one, BOTH, 0, both[0, 0], both[0, 1], both[1, 0], both[1, 1])
            _keep(best, exact, one, together, together_side, ONE_PART)
        if costs[0] > price * parts_from:
            _try_parts(
                memory, current, first[0], second[0], references, whole, quarters, price, prices, r, c, last_kinds,
                last_vectors, scale, kinds, vectors, best, exact, one,
            )  # fmt: skip
        # intra, judged by the picture's own samples
        if costs[0] > price * INTRA_BITS:
            border(current, ready, 4, 4 * r, 4 * c, 4, samples[0])
            smooth(samples[0], 16, samples[1])
        for mode in (PLANAR, MEAN, HORIZONTAL, VERTICAL, 18, 2, 34):
            if costs[0] <= price * INTRA_BITS:
                break
            predict_luma_from(samples, 16, mode, out)
            differences(current, top, left, 16, out, difference)
            cost = hadamard_cost(difference, 16, prices) + price * INTRA_BITS
            if cost < costs[0]:
                _set_parts(one, INTRA, 0, 0, 0, 0, 0)
                _keep(best, exact, one, cost, price * INTRA_BITS, ONE_PART)
        chosen, cost = 0, costs[0]
        if exact > 1 and best.kinds[0, 0] != INTRA:
            cost = 1e30
            for k in range(exact):
                if costs[k] > _worth_trying(costs[0], price, exact):
                    break
                if best.kinds[k, 0] == INTRA:
                    continue
                _give(best, k, kinds, vectors, r, c)
                exactly = best.bits[k] + _remembered_cost(
                    memory, picture, first, second, kinds, vectors, r, c, best.shapes[k] == ONE_PART,
                    best.merges[k, 0] > 0, steps[r, c], weight, rates, price, planes,
                )  # fmt: skip
                if exactly < cost:
                    chosen, cost = k, exactly
                if cost - best.bits[chosen] < price * ENOUGH_BITS:
                    break
        _give(best, chosen, kinds, vectors, r, c)
        shapes[r, c], pred[r, c] = best.shapes[chosen], best.kinds[chosen, 0]
        for q in range(4):
            parts[2 * r + (q >> 1), 2 * c + (q & 1)] = 0 if shapes[r, c] == ONE_PART else best.merges[chosen, q]
        if shapes[r, c] == ONE_PART:
            merged[r, c] = best.merges[chosen, 0]
            if pred[r, c] != INTRA and not merged[r, c]:  # a new vector that is a candidate's is merged after all
                for k in range(count):
                    same = which[k] == pred[r, c]
                    for n in range(4):
                        if vectors[n >> 1, 2 * r, 2 * c, n & 1] != found[k, n]:
                            same = False
                    if same:
                        merged[r, c] = k + 1
                        break
        together_cost += cost
        if r % 2 and c % 2:
            quad_cost += _try_unit(
                memory, picture, first, second, references, exact > 1, price, prices, steps, weight, rates,
                last_kinds, last_vectors, scale, pred, merged, large, shapes, kinds, parts, vectors, planes, r - 1,
                c - 1, together_cost, which, found,
            )  # fmt: skip
        if number % 16 == 15 and begins_quad(r - 3, c - 3, rows, columns):
            _try_quad(
                memory, picture, first, second, references, exact > 1, price, prices, steps, weight, rates,
                last_kinds, last_vectors, scale, pred, merged, large, quad, shapes, kinds, parts, vectors, planes,
                r - 3, c - 3, quad_cost, which, found,
            )  # fmt: skip


@compiled
def _settle_unit(
    memory, current, first, second, references, price, prices, limit, last_kinds, last_vectors, scale, pred, merged,
    large, shapes, kinds, parts, vectors, r, c, which, found,
):  # fmt: skip
    """Give a unit the motion of the first candidate that costs less than limit; returns what it costs, or 0."""
    count = merge_candidates(kinds, vectors, 2 * r, 2 * c, 4, 4, last_kinds, last_vectors, scale, which, found)
    for k in range(count):
        kind, side = np.int64(which[k]), price * (0.5 + min(k + 1, count - 1))
        if side >= limit:
            break
        if references < 2 and kind != FIRST:
            continue
        cost = side + _unit_cost(memory, current, first, second, r, c, kind, found[k], prices, limit - side)
        if cost < limit:
            _note_motion(pred, merged, large, shapes, kinds, parts, vectors, r, c, 2, kind, found[k], k + 1)
            return cost
    return np.float64(0)


@compiled
def _note_motion(pred, merged, large, shapes, kinds, parts, vectors, r, c, size, kind, motion, merge):
    """Give size x size blocks one motion (x0 y0 x1 y1); merge: 0 or 1 + its candidate."""
    for i in range(r, r + size):
        for j in range(c, c + size):
            pred[i, j], merged[i, j], large[i, j], shapes[i, j] = kind, merge, SHARED, ONE_PART
            for q in range(4):
                y, x = 2 * i + (q >> 1), 2 * j + (q & 1)
                parts[y, x], kinds[y, x] = 0, kind
                for n in range(4):
                    vectors[n >> 1, y, x, n & 1] = motion[n] if kind & (1 << (n >> 1)) else 0


@compiled
def _worth_trying(least, price, exact):
    """What a prediction must not seem to cost more than to be tried with its transforms, or to be the best."""
    return least * EXACT_SHARE + price * EXACT_BITS if exact > 1 else least


@compiled
def _remembered_cost(
    memory, picture, first, second, kinds, vectors, r, c, whole, merged, step, weight, rates, price, planes
):
    """The cheaper of `exact_cost`, reckoned once for each motion of a whole block."""
    k, block = 0, number_in_quad(r, c)
    if whole:
        k = slot_of(
            memory, block, np.int64(kinds[2 * r, 2 * c]), vectors[0, 2 * r, 2 * c, 0], vectors[0, 2 * r, 2 * c, 1],
            vectors[1, 2 * r, 2 * c, 0], vectors[1, 2 * r, 2 * c, 1],
        )  # fmt: skip
        if memory.exact[block, k, 0] >= 0:
            return cheaper(memory.exact[block, k, 0], memory.exact[block, k, 1], price, merged)
    error, coded_cost = exact_cost(
        picture, first, second, kinds, vectors, memory.midway, r, c, step, weight, rates, price, planes
    )
    if whole:
        memory.exact[block, k, 0], memory.exact[block, k, 1] = error, coded_cost
    return cheaper(error, coded_cost, price, merged)


@compiled
def _try_parts(
    memory, current, first, second, references, whole, quarters, price, prices, r, c, last_kinds, last_vectors, scale,
    kinds, vectors, best, exact, one,
):  # fmt: skip
    """Motion of its own for each part of a block: rows, columns, quarters. What `kinds` and `vectors` hold of the block
    is overwritten."""
    which, found, motion = zeroed(MERGE, np.int32), zeroed((MERGE, 4), np.int32), zeroed(4, np.int32)
    for shape in range(TWO_ROWS, FOUR_PARTS + 1):
        total = bits = price * SHAPE_BITS
        for k in range(PART_COUNT[shape]):
            i, j, height, width = PARTS[shape, k, 0], PARTS[shape, k, 1], PARTS[shape, k, 2], PARTS[shape, k, 3]
            kind, merge, cost, side = _choose_part(
                memory, current, first, second, references, whole, quarters, price, prices, 2 * r + i, 2 * c + j,
                height, width, best.costs[exact - 1] - total, last_kinds, last_vectors, scale, kinds, vectors, which,
                found, motion,
            )  # fmt: skip
            total += cost
            bits += side
            if total >= best.costs[exact - 1]:
                break
            for y in range(i, i + height):
                for x in range(j, j + width):
                    _set_part(one, 2 * y + x, kind, merge, motion[0], motion[1], motion[2], motion[3])
            _give(one, 0, kinds, vectors, r, c)  # the parts so far: later ones see them
        else:
            _keep(best, exact, one, total, bits, shape)


@compiled
def _choose_part(
    memory, current, first, second, references, whole, quarters, price, prices, vr, vc, height, width, limit,
    last_kinds, last_vectors, scale, kinds, vectors, which, found, motion,
):  # fmt: skip
    """What height x width 8x8 blocks are best predicted from, into motion (x0 y0 x1 y1); returns the kind, the
    candidate (0: none), the cost (``limit`` if nothing is below that) and the part of it that bits are."""
    best_kind, best_merge, best, best_side = FIRST, 0, limit, np.float64(0)
    count = merge_candidates(kinds, vectors, vr, vc, height, width, last_kinds, last_vectors, scale, which, found)
    for k in range(count):
        if references < 2 and which[k] != FIRST:
            continue
        side = price * (1.0 + min(k + 1, count - 1))
        cost = side + _part_cost(
            memory, current, first, second, vr, vc, height, width, np.int64(which[k]), found[k], prices, best - side,
        )  # fmt: skip
        if cost < best:
            best_kind, best_merge, best, best_side = np.int64(which[k]), k + 1, cost, side
            for n in range(4):
                motion[n] = found[k, n]
    near, tried, own, own_bits = zeroed(6, np.int32), zeroed(4, np.int32), zeroed(4, np.int32), zeroed(2, np.float64)
    for ref in range(references):
        kind = 1 << ref
        predict_vector(kinds, vectors, ref, vr, vc, width, near)
        into = 1e30
        for i in range(height):
            for j in range(width):
                x, y = np.int32(quarters[ref, vr + i, vc + j, 0]), np.int32(quarters[ref, vr + i, vc + j, 1])
                if (i or j) and x == tried[2 * ref] and y == tried[2 * ref + 1]:
                    continue
                tried[2 * ref], tried[2 * ref + 1] = x, y
                side = price * np.float64(vector_bits(x - near[0], y - near[1]))
                cost = side + _part_cost(
                    memory, current, first, second, vr, vc, height, width, kind, tried, prices, into - side,
                )  # fmt: skip
                if cost < into:
                    into, own_bits[ref], own[2 * ref], own[2 * ref + 1] = cost, side, x, y
        side = own_bits[ref] + price * KIND_BITS
        if into + price * KIND_BITS < best:
            best_kind, best_merge, best, best_side = kind, 0, into + price * KIND_BITS, side
            for n in range(4):
                motion[n] = own[n] if n >> 1 == ref else 0
    if references > 1:
        side = own_bits[0] + own_bits[1] + price * KIND_BITS
        cost = side + _part_cost(memory, current, first, second, vr, vc, height, width, BOTH, own, prices, best - side)
        if cost < best:
            best_kind, best_merge, best, best_side = BOTH, 0, cost, side
            for n in range(4):
                motion[n] = own[n]
    return best_kind, best_merge, best, best_side


@compiled
def _part_cost(memory, current, first, second, vr, vc, height, width, kind, motion, prices, limit):
    """Hadamard cost of height x width 8x8 blocks with one motion (x0 y0 x1 y1), or more than limit."""
    total = np.float64(0)
    for i in range(vr, vr + height):
        for j in range(vc, vc + width):
            if total > limit:
                return total
            total += quarter_cost(
                memory, current, first, second, i, j, kind, motion[0], motion[1], motion[2], motion[3], prices,
            )  # fmt: skip
    return total


@compiled
def _unit_cost(memory, current, first, second, r, c, kind, motion, prices, limit):
    """Hadamard cost of a unit of 2 x 2 blocks with one motion (x0 y0 x1 y1), or more than limit."""
    total = np.float64(0)
    for k in range(4):
        total += block_cost(
            memory, current, first, second, r + (k >> 1), c + (k & 1), kind, motion[0], motion[1], motion[2], motion[3],
            prices,
        )  # fmt: skip
        if total > limit:
            break
    return total


@compiled
def _same(one, other):
    """Whether vectors (4,) are."""
    return one[0] == other[0] and one[1] == other[1] and one[2] == other[2] and one[3] == other[3]


@compiled
def _try_unit(
    memory, picture, first, second, references, exact, price, prices, steps, weight, rates, last_kinds, last_vectors,
    scale, pred, merged, large, shapes, kinds, parts, vectors, planes, r, c, limit, which, found,
):  # fmt: skip
    """Give the four blocks of a unit one motion if that costs less than what they have, ``limit``: with their
    transforms if ``exact``. Returns what they cost then."""
    near, current = zeroed(6, np.int32), picture[0]
    best, best_kind, best_merge, best_side = 1e30 if exact else limit, 0, 0, np.float64(0)
    motion, tried = zeroed(4, np.int32), zeroed((5, 4), np.int32)
    count = merge_candidates(kinds, vectors, 2 * r, 2 * c, 4, 4, last_kinds, last_vectors, scale, which, found)
    for k in range(count):
        if references < 2 and which[k] != FIRST:
            continue
        side = price * (0.5 + min(k + 1, count - 1))
        cost = side + _unit_cost(
            memory, current, first[0], second[0], r, c, np.int64(which[k]), found[k], prices, best - side,
        )  # fmt: skip
        if cost < best:
            best, best_kind, best_merge, best_side = cost, np.int64(which[k]), k + 1, side
            for n in range(4):
                motion[n] = found[k, n]
    for block in range(4):
        i, j = r + (block >> 1), c + (block & 1)
        kind = np.int64(kinds[2 * i, 2 * j])
        for n in range(4):
            tried[block, n] = vectors[n >> 1, 2 * i, 2 * j, n & 1]
        known = kind == INTRA
        for n in range(block):
            other = kinds[2 * (r + (n >> 1)), 2 * (c + (n & 1))]
            if other == kind and _same(tried[n], tried[block]):
                known = True
        for k in range(count):
            if which[k] == kind and _same(found[k], tried[block]):
                known = True
        if known:
            continue
        side = np.float64(price * 3.5)
        for ref in range(2):
            if kind & (1 << ref):
                predict_vector(kinds, vectors, ref, 2 * r, 2 * c, 4, near)
                x, y = tried[block, 2 * ref], tried[block, 2 * ref + 1]
                side += price * vector_bits(x - near[0], y - near[1])
        cost = side + _unit_cost(memory, current, first[0], second[0], r, c, kind, tried[block], prices, best - side)
        if cost < best:
            best, best_kind, best_merge, best_side = cost, kind, 0, side
            for n in range(4):
                motion[n] = tried[block, n]
    if best_kind == 0:
        return limit
    return _take_if_cheaper(
        memory, picture, first, second, exact, price, steps, weight, rates, planes, pred, merged, large, shapes, kinds,
        parts, vectors, r, c, 2, best_kind, motion, best_merge, best_side, best, limit,
    )  # fmt: skip


@compiled
def _exchange(kinds, vectors, vr, vc, size, other_kinds, other_vectors):
    """Give size x size 8x8 blocks other motion, and the other arrays (size, size) and (2, size, size, 2) theirs."""
    for i in range(size):
        for j in range(size):
            r, c = vr + i, vc + j
            kind = kinds[r, c]
            kinds[r, c], other_kinds[i, j] = other_kinds[i, j], kind
            for n in range(4):
                value = vectors[n >> 1, r, c, n & 1]
                vectors[n >> 1, r, c, n & 1] = other_vectors[n >> 1, i, j, n & 1]
                other_vectors[n >> 1, i, j, n & 1] = value


@compiled
def _take_if_cheaper(
    memory, picture, first, second, exact, price, steps, weight, rates, planes, pred, merged, large, shapes, kinds,
    parts, vectors, r, c, size, kind, motion, merge, side, rough, limit,
):  # fmt: skip
    """Give size x size blocks one motion (x0 y0 x1 y1) if that costs less than ``limit``: with their transforms if
    ``exact``, otherwise it costs ``rough``. merge: 0 or 1 + its candidate; side: what its bits cost. Returns what the
    blocks cost then."""
    total = side if exact else rough
    other_kinds, other_vectors = scratch((8, 8), np.uint8), scratch((2, 8, 8, 2), np.int32)
    for i in range(2 * size):
        for j in range(2 * size):
            other_kinds[i, j] = kind
            for n in range(4):
                other_vectors[n >> 1, i, j, n & 1] = motion[n] if kind & (1 << (n >> 1)) else 0
    _exchange(kinds, vectors, 2 * r, 2 * c, 2 * size, other_kinds, other_vectors)
    for i in range(r, r + size if exact else r):
        for j in range(c, c + size):
            if total < limit:
                total += _remembered_cost(
                    memory, picture, first, second, kinds, vectors, i, j, True, merge > 0, steps[i, j], weight, rates,
                    price, planes,
                )  # fmt: skip
    if total >= limit:
        _exchange(kinds, vectors, 2 * r, 2 * c, 2 * size, other_kinds, other_vectors)
        return limit
    for i in range(r, r + size):
        for j in range(c, c + size):
            pred[i, j], merged[i, j], large[i, j], shapes[i, j] = kind, merge, SHARED, ONE_PART
            for q in range(4):
                parts[2 * i + (q >> 1), 2 * j + (q & 1)] = 0
    return total


@compiled
def _try_quad(
    memory, picture, first, second, references, exact, price, prices, steps, weight, rates, last_kinds, last_vectors,
    scale, pred, merged, large, quad, shapes, kinds, parts, vectors, planes, r, c, limit, which, found,
):  # fmt: skip
    """Give the blocks of a quad a candidate's motion, if its units begin with inter blocks, and if that costs less than
    what they have, ``limit``: with their transforms if ``exact``."""
    for unit in range(4):
        if not pred[r + 2 * (unit >> 1), c + 2 * (unit & 1)]:
            return
    count, best, chosen = (
        merge_candidates(kinds, vectors, 2 * r, 2 * c, 8, 8, last_kinds, last_vectors, scale, which, found),
        1e30 if exact else limit,
        -1,
    )
    for k in range(count):
        if references < 2 and which[k] != FIRST:
            continue
        cost = price * np.float64(0.5 + min(k + 1, count - 1))
        for unit in range(4):
            if cost < best:
                cost += _unit_cost(
                    memory, picture[0], first[0], second[0], r + 2 * (unit >> 1), c + 2 * (unit & 1),
                    np.int64(which[k]), found[k], prices, best - cost,
                )  # fmt: skip
        if cost < best:
            best, chosen = cost, k
    if chosen < 0:
        return
    side = price * np.float64(0.5 + min(chosen + 1, count - 1))
    if _take_if_cheaper(
        memory, picture, first, second, exact, price, steps, weight, rates, planes, pred, merged, large, shapes, kinds,
        parts, vectors, r, c, 4, np.int64(which[chosen]), found[chosen], chosen + 1, side, best, limit,
    ) < limit:  # fmt: skip
        for i in range(r, r + 4):
            for j in range(c, c + 4):
                quad[i, j] = 1
