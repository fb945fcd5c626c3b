# SPDX-License-Identifier: Apache-2.0
"""The encoder's choice of motion for the parts of a block: rows, columns, quarters."""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, zeroed
from nvcodec.models.kernels.candidates import candidates_of, give, keep, set_part
from nvcodec.models.kernels.compensation import BOTH, FIRST
from nvcodec.models.kernels.motion import FOUR_PARTS, MERGE, PART_COUNT, PARTS, TWO_ROWS, predict_vector
from nvcodec.models.kernels.prediction_costs import quarter_cost
from nvcodec.models.kernels.search import vector_bits

SHAPE_BITS, KIND_BITS = 4.5, 2.0  # of a block in parts, and of the references of one


@compiled
def try_parts(choice, r, c, best, one):
    """Motion of its own for each part of a block: rows, columns, quarters. best, one: as `keep` has it. What `kinds`
    and `vectors` hold of the block is overwritten."""
    which, found, motion = zeroed(MERGE, np.int32), zeroed((MERGE, 4), np.int32), zeroed(4, np.int32)
    last = choice.exact - 1
    for shape in range(TWO_ROWS, FOUR_PARTS + 1):
        total = bits = choice.price * SHAPE_BITS
        for k in range(PART_COUNT[shape]):
            i, j, height, width = PARTS[shape, k, 0], PARTS[shape, k, 1], PARTS[shape, k, 2], PARTS[shape, k, 3]
            kind, merge, cost, side = _choose_part(
                choice, 2 * r + i, 2 * c + j, height, width, best.costs[last] - total, which, found, motion
            )
            total += cost
            bits += side
            if total >= best.costs[last]:
                break
            for y in range(i, i + height):
                for x in range(j, j + width):
                    set_part(one, 2 * y + x, kind, merge, motion[0], motion[1], motion[2], motion[3])
            give(choice, one, 0, r, c)  # the parts so far: later ones see them
        else:
            keep(best, choice.exact, one, total, bits, shape)


@compiled
def _choose_part(choice, vr, vc, height, width, limit, which, found, motion):
    """What height x width 8x8 blocks are best predicted from, into motion (x0 y0 x1 y1); returns the kind, the
    candidate (0: none), the cost (``limit`` if nothing is below that) and the part of it that bits are."""
    price, quarters = choice.price, choice.quarters
    best_kind, best_merge, best, best_side = FIRST, 0, limit, np.float64(0)
    count = candidates_of(choice, vr, vc, height, width, which, found)
    for k in range(count):
        kind = np.int64(which[k])
        if choice.references < 2 and kind != FIRST:
            continue
        side = price * (1.0 + min(k + 1, count - 1))
        cost = side + _part_cost(choice, vr, vc, height, width, kind, found[k], best - side)
        if cost < best:
            best_kind, best_merge, best, best_side = kind, k + 1, cost, side
            for n in range(4):
                motion[n] = found[k, n]
    near, tried, own, own_bits = zeroed(6, np.int32), zeroed(4, np.int32), zeroed(4, np.int32), zeroed(2, np.float64)
    for ref in range(choice.references):
        kind = 1 << ref
        predict_vector(choice.motion.kinds, choice.motion.vectors, ref, vr, vc, width, near)
        into = 1e30
        for i in range(height):
            for j in range(width):
                x, y = np.int32(quarters[ref, vr + i, vc + j, 0]), np.int32(quarters[ref, vr + i, vc + j, 1])
                if (i or j) and x == tried[2 * ref] and y == tried[2 * ref + 1]:
                    continue
                tried[2 * ref], tried[2 * ref + 1] = x, y
                side = price * np.float64(vector_bits(x - near[0], y - near[1]))
                cost = side + _part_cost(choice, vr, vc, height, width, kind, tried, into - side)
                if cost < into:
                    into, own_bits[ref], own[2 * ref], own[2 * ref + 1] = cost, side, x, y
        side = own_bits[ref] + price * KIND_BITS
        if into + price * KIND_BITS < best:
            best_kind, best_merge, best, best_side = kind, 0, into + price * KIND_BITS, side
            for n in range(4):
                motion[n] = own[n] if n >> 1 == ref else 0
    if choice.references > 1:
        side = own_bits[0] + own_bits[1] + price * KIND_BITS
        cost = side + _part_cost(choice, vr, vc, height, width, BOTH, own, best - side)
        if cost < best:
            best_kind, best_merge, best, best_side = BOTH, 0, cost, side
            for n in range(4):
                motion[n] = own[n]
    return best_kind, best_merge, best, best_side


@compiled
def _part_cost(choice, vr, vc, height, width, kind, motion, limit):
    """Hadamard cost of height x width 8x8 blocks with one motion (x0 y0 x1 y1), or more than limit."""
    total = np.float64(0)
    for i in range(vr, vr + height):
        for j in range(vc, vc + width):
            if total > limit:
                return total
            total += quarter_cost(
                choice.memory, choice.picture[0], choice.first[0], choice.second[0], i, j, kind, motion[0], motion[1],
                motion[2], motion[3], choice.prices,
            )  # fmt: skip
    return total
