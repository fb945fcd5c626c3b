# SPDX-License-Identifier: Apache-2.0
"""The encoder's choice of what each block of an inter frame is predicted from."""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, scratch, zeroed
from nvcodec.models.kernels.candidates import (
    Candidates,
    Choice,
    Motion,
    candidates_of,
    give,
    keep,
    remembered_cost,
    set_parts,
    worth_trying,
)
from nvcodec.models.kernels.choice_parts import try_parts
from nvcodec.models.kernels.choice_units import settle_unit, try_quad, try_unit
from nvcodec.models.kernels.compensation import BOTH, FIRST, INTRA, PAD, SECOND, luma_block
from nvcodec.models.kernels.inter import MERGED_NOTHING_BITS
from nvcodec.models.kernels.intra import HORIZONTAL, MEAN, PLANAR, VERTICAL, border, predict_luma_from, smooth
from nvcodec.models.kernels.motion import MAX_VECTOR, MERGE, ONE_PART, predict_vector
from nvcodec.models.kernels.prediction_costs import (
    MOTIONS,
    Memory,
    block_cost,
    forget,
    mix,
    mixed_cost,
    number_in_quad,
)
from nvcodec.models.kernels.rough_cost import differences, hadamard_cost
from nvcodec.models.kernels.search import vector_bits
from nvcodec.models.kernels.syntax import begins_quad, begins_unit, block_of_row

INTRA_BITS = 14.0  # of a block that is not predicted from a reference, roughly
NEW_BITS = 3.5  # of a block with new vectors, beside those
TOGETHER_BITS = 4.0  # more that new vectors into both references may cost for them to be moved together
MOST_EXACT = 8  # predictions that are tried with their transforms, at most
ENOUGH_BITS = 3.0  # a prediction that leaves less is taken


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
    memory = Memory(
        scratch((16, MOTIONS), np.int64), scratch((16, MOTIONS, 4), np.float32), scratch((16, MOTIONS, 2), np.float32),
        zeroed(16, np.int64), midway, rounds,
    )  # fmt: skip
    choice = Choice(
        picture, first, second, references, whole, quarters, exact, price, prices, steps, weight, rates, last_kinds,
        last_vectors, scale, planes, memory, zeroed(MERGE, np.int32), zeroed((MERGE, 4), np.int32),
        Motion(pred, merged, large, quad, shapes, kinds, parts, vectors),
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
    unit_cost, settled_cost = np.float64(0), np.float64(0)
    for quad_column in range(begin, end):
        quad_cost = np.float64(0)
        for number in range(16 * quad_column, 16 * quad_column + 16):
            r, c = block_of_row(number, quad_row)
            if r >= rows or c >= columns:
                continue
            quad[r, c] = 0
            if r % 2 == 0 and c % 2 == 0:
                unit_cost = settled_cost = np.float64(0)
                if begins_unit(r, c, rows, columns):
                    for k in range(4):
                        forget(memory, number_in_quad(r + (k >> 1), c + (k & 1)))
                    settled_cost = settle_unit(choice, r, c, price * settled_to)
                    quad_cost += settled_cost
                    if settled_cost > 0 and exact > 1:  # as `remembered_cost` has it
                        quad_cost += price * 4 * MERGED_NOTHING_BITS
            if settled_cost > 0:
                continue
            if not begins_unit(r & ~1, c & ~1, rows, columns):
                forget(memory, number_in_quad(r, c))
            unit_cost += _choose_block(choice, r, c, parts_from, together_to, ready, best, one)
            if r % 2 and c % 2:
                quad_cost += try_unit(choice, r - 1, c - 1, unit_cost)
        if begins_quad(4 * quad_row, 4 * quad_column, rows, columns):
            try_quad(choice, 4 * quad_row, 4 * quad_column, quad_cost)


@compiled
def _choose_block(choice, r, c, parts_from, together_to, ready, best, one):
    """Decide what one block is predicted from; returns what it costs. best, one: room for candidates."""
    price, exact, motion = choice.price, choice.exact, choice.motion
    motion.merged[r, c] = motion.large[r, c] = 0
    for k in range(exact):
        best.costs[k] = 1e30
    count = _try_merged(choice, r, c, best, one)
    _try_new(choice, r, c, together_to, best, one)
    if best.costs[0] > price * parts_from:
        try_parts(choice, r, c, best, one)
    if best.costs[0] > price * INTRA_BITS:
        _try_intra(choice, r, c, ready, best, one)
    chosen, cost = 0, best.costs[0]
    if exact > 1 and best.kinds[0, 0] != INTRA:
        cost = 1e30
        for k in range(exact):
            if best.costs[k] > worth_trying(choice, best.costs[0]):
                break
            if best.kinds[k, 0] == INTRA:
                continue
            give(choice, best, k, r, c)
            exactly = best.bits[k] + remembered_cost(choice, r, c, best.shapes[k] == ONE_PART, best.merges[k, 0] > 0)
            if exactly < cost:
                chosen, cost = k, exactly
            if cost - best.bits[chosen] < price * ENOUGH_BITS:
                break
    give(choice, best, chosen, r, c)
    kind, shape = best.kinds[chosen, 0], best.shapes[chosen]
    motion.shapes[r, c], motion.pred[r, c] = shape, kind
    for q in range(4):
        motion.parts[2 * r + (q >> 1), 2 * c + (q & 1)] = 0 if shape == ONE_PART else best.merges[chosen, q]
    if shape == ONE_PART:
        motion.merged[r, c] = best.merges[chosen, 0]
        if kind != INTRA and not motion.merged[r, c]:  # a new vector that is a candidate's is merged after all
            motion.merged[r, c] = _number_of(choice, count, r, c)
    return cost


@compiled
def _number_of(choice, count, r, c):
    """1 + the number of the candidate, of so many, that a block has the motion of, or 0."""
    for k in range(count):
        same = choice.which[k] == choice.motion.kinds[2 * r, 2 * c]
        for n in range(4):
            if choice.motion.vectors[n >> 1, 2 * r, 2 * c, n & 1] != choice.found[k, n]:
                same = False
        if same:
            return k + 1
    return 0


@compiled
def _try_merged(choice, r, c, best, one):
    """Motion of candidates, how many of which there are is returned."""
    which, found = choice.which, choice.found
    count = candidates_of(choice, 2 * r, 2 * c, 2, 2, which, found)
    for k in range(count):
        kind = np.int64(which[k])
        if choice.references < 2 and kind != FIRST:
            continue
        side = choice.price * (0.5 + min(k + 1, count - 1))
        if side > worth_trying(choice, best.costs[0]):
            break
        cost = side + _block_cost(choice, r, c, kind, found[k])
        if cost < best.costs[choice.exact - 1]:
            set_parts(one, kind, k + 1, found[k, 0], found[k, 1], found[k, 2], found[k, 3])
            keep(best, choice.exact, one, cost, side, ONE_PART)
    return count


@compiled
def _block_cost(choice, r, c, kind, motion):
    """`block_cost` of one motion (x0 y0 x1 y1)."""
    return block_cost(
        choice.memory, choice.picture[0], choice.first[0], choice.second[0], r, c, kind, motion[0], motion[1],
        motion[2], motion[3], choice.prices,
    )  # fmt: skip


@compiled
def _try_new(choice, r, c, together_to, best, one):
    """New vectors: into the first reference, the second, both, and into both moved together."""
    price, motion, memory = choice.price, choice.motion, choice.memory
    near, new, new_bits = zeroed(6, np.int32), zeroed(4, np.int32), zeroed(2, np.float32)
    a, b = scratch((16, 16), np.int32), scratch((16, 16), np.int32)
    for ref in range(choice.references):
        predict_vector(motion.kinds, motion.vectors, ref, 2 * r, 2 * c, 2, near)
        x, y = np.int32(choice.whole[ref, r, c, 0]), np.int32(choice.whole[ref, r, c, 1])
        new[2 * ref], new[2 * ref + 1], new_bits[ref] = x, y, vector_bits(x - near[0], y - near[1])
        _interpolate(choice, ref, r, c, x, y, a if ref == 0 else b)
    cost = np.float64(0)
    for kind in range(FIRST, BOTH + 1 if choice.references > 1 else SECOND):
        side = price * np.float64(NEW_BITS)
        for ref in range(2):
            if kind & (1 << ref):
                side += price * new_bits[ref]
        if kind == BOTH and memory.midway:
            cost = side + _block_cost(choice, r, c, kind, new)
        else:
            cost = side + mixed_cost(
                memory, choice.picture[0], r, c, kind, new[0], new[1], new[2], new[3], a, b, choice.prices
            )
        set_parts(one, kind, 0, new[0], new[1], new[2], new[3])
        keep(best, choice.exact, one, cost, side, ONE_PART)
    promising = cost < best.costs[0] * together_to + price * TOGETHER_BITS
    if together_to > 0 and choice.references > 1 and promising and best.costs[0] > price * NEW_BITS:
        _try_together(choice, r, c, new, a, b, best, one)


@compiled
def _interpolate(choice, ref, r, c, x, y, out):
    """Luma of a block from one reference."""
    luma_block(choice.first[0] if ref == 0 else choice.second[0], PAD, 16 * r, 16 * c, 16, x, y, out)


@compiled
def _try_together(choice, r, c, new, a, b, best, one):
    """New vectors (x0 y0 x1 y1) into both references together, each in turn moved to the best of its neighbours; a, b:
    room for what they predict."""
    price, motion, current, memory = choice.price, choice.motion, choice.picture[0], choice.memory
    near, difference = zeroed((2, 6), np.int32), scratch((16, 16), np.int32)
    for ref in range(2):
        predict_vector(motion.kinds, motion.vectors, ref, 2 * r, 2 * c, 2, near[ref])
    together = together_side = 1e30
    for ref in range(2):
        other = 1 - ref
        _interpolate(choice, other, r, c, new[2 * other], new[2 * other + 1], a if other == 0 else b)
        fixed = vector_bits(new[2 * other] - near[other, 0], new[2 * other + 1] - near[other, 1])
        cx, cy, dx, dy = new[2 * ref], new[2 * ref + 1], 0, 0
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
            _interpolate(choice, ref, r, c, x, y, a if ref == 0 else b)
            side = price * (NEW_BITS + fixed + vector_bits(x - near[ref, 0], y - near[ref, 1]))
            mix(current, 16 * r, 16 * c, 16, a, b, BOTH, difference)
            cost = hadamard_cost(difference, 16, choice.prices) + side
            if (n == 1 or n == 2) and cost < across:
                across, dx = cost, x - cx
            if (n == 3 or n == 4) and cost < down:
                down, dy = cost, y - cy
            if cost < together:
                together, together_side, new[2 * ref], new[2 * ref + 1] = cost, side, x, y
    if memory.midway:  # they move by themselves, too
        together = together_side + _block_cost(choice, r, c, np.int64(BOTH), new)
    set_parts(one, BOTH, 0, new[0], new[1], new[2], new[3])
    keep(best, choice.exact, one, together, together_side, ONE_PART)


@compiled
def _try_intra(choice, r, c, ready, best, one):
    """Intra prediction, judged by the picture's own samples."""
    current, price = choice.picture[0], choice.price
    samples, out, difference = zeroed((2, 129), np.int32), scratch((32, 32), np.int32), scratch((16, 16), np.int32)
    border(current, ready, 4, 4 * r, 4 * c, 4, samples[0])
    smooth(samples[0], 16, samples[1])
    for mode in (PLANAR, MEAN, HORIZONTAL, VERTICAL, 18, 2, 34):
        if best.costs[0] <= price * INTRA_BITS:
            break
        predict_luma_from(samples, 16, mode, out)
        differences(current, 16 * r, 16 * c, 16, out, difference)
        cost = hadamard_cost(difference, 16, choice.prices) + price * INTRA_BITS
        if cost < best.costs[0]:
            set_parts(one, INTRA, 0, 0, 0, 0, 0)
            keep(best, choice.exact, one, cost, price * INTRA_BITS, ONE_PART)
