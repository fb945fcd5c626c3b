# SPDX-License-Identifier: Apache-2.0
"""The encoder's choice of one motion for a unit of 2 x 2 blocks, or for a quad of 4 x 4."""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, scratch, zeroed
from nvcodec.models.kernels.candidates import candidates_of, remembered_cost
from nvcodec.models.kernels.compensation import FIRST, INTRA
from nvcodec.models.kernels.motion import ONE_PART, predict_vector
from nvcodec.models.kernels.prediction_costs import block_cost
from nvcodec.models.kernels.search import vector_bits
from nvcodec.models.kernels.syntax import SHARED


@compiled
def settle_unit(choice, r, c, limit):
    """Give a unit the motion of the first candidate that costs less than limit; returns what it costs, or 0."""
    count = candidates_of(choice, 2 * r, 2 * c, 4, 4, choice.which, choice.found)
    for k in range(count):
        kind, side = np.int64(choice.which[k]), choice.price * (0.5 + min(k + 1, count - 1))
        if side >= limit:
            break
        if choice.references < 2 and kind != FIRST:
            continue
        cost = side + _unit_cost(choice, r, c, kind, choice.found[k], limit - side)
        if cost < limit:
            _note(choice, r, c, 2, kind, choice.found[k], k + 1)
            return cost
    return np.float64(0)


@compiled
def try_unit(choice, r, c, limit):
    """Give the four blocks of a unit one motion if that costs less than what they have, ``limit``: with their
    transforms if ``choice.exact > 1``. Returns what they cost then."""
    kinds, vectors, price, found = choice.motion.kinds, choice.motion.vectors, choice.price, choice.found
    near = zeroed(6, np.int32)
    best, best_kind, best_merge, best_side = 1e30 if choice.exact > 1 else limit, 0, 0, np.float64(0)
    motion, tried = zeroed(4, np.int32), zeroed((5, 4), np.int32)
    count = candidates_of(choice, 2 * r, 2 * c, 4, 4, choice.which, choice.found)
    for k in range(count):
        if choice.references < 2 and choice.which[k] != FIRST:
            continue
        side = price * (0.5 + min(k + 1, count - 1))
        cost = side + _unit_cost(choice, r, c, np.int64(choice.which[k]), found[k], best - side)
        if cost < best:
            best, best_kind, best_merge, best_side = cost, np.int64(choice.which[k]), k + 1, side
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
            if choice.which[k] == kind and _same(found[k], tried[block]):
                known = True
        if known:
            continue
        side = np.float64(price * 3.5)
        for ref in range(2):
            if kind & (1 << ref):
                predict_vector(kinds, vectors, ref, 2 * r, 2 * c, 4, near)
                x, y = tried[block, 2 * ref], tried[block, 2 * ref + 1]
                side += price * vector_bits(x - near[0], y - near[1])
        cost = side + _unit_cost(choice, r, c, kind, tried[block], best - side)
        if cost < best:
            best, best_kind, best_merge, best_side = cost, kind, 0, side
            for n in range(4):
                motion[n] = tried[block, n]
    if best_kind == 0:
        return limit
    return _take_if_cheaper(choice, r, c, 2, best_kind, motion, best_merge, best_side, best, limit)


@compiled
def try_quad(choice, r, c, limit):
    """Give the blocks of a quad a candidate's motion, if its units begin with inter blocks, and if that costs less than
    what they have, ``limit``: with their transforms if ``choice.exact > 1``."""
    for unit in range(4):
        if not choice.motion.pred[r + 2 * (unit >> 1), c + 2 * (unit & 1)]:
            return
    count = candidates_of(choice, 2 * r, 2 * c, 8, 8, choice.which, choice.found)
    best, chosen = 1e30 if choice.exact > 1 else limit, -1
    for k in range(count):
        if choice.references < 2 and choice.which[k] != FIRST:
            continue
        cost = choice.price * np.float64(0.5 + min(k + 1, count - 1))
        for unit in range(4):
            if cost < best:
                cost += _unit_cost(
                    choice, r + 2 * (unit >> 1), c + 2 * (unit & 1), np.int64(choice.which[k]), choice.found[k],
                    best - cost,
                )  # fmt: skip
        if cost < best:
            best, chosen = cost, k
    if chosen < 0:
        return
    side, kind = choice.price * np.float64(0.5 + min(chosen + 1, count - 1)), np.int64(choice.which[chosen])
    if _take_if_cheaper(choice, r, c, 4, kind, choice.found[chosen], chosen + 1, side, best, limit) < limit:
        for i in range(r, r + 4):
            for j in range(c, c + 4):
                choice.motion.quad[i, j] = 1


@compiled
def _unit_cost(choice, r, c, kind, motion, limit):
    """Hadamard cost of a unit of 2 x 2 blocks with one motion (x0 y0 x1 y1), or more than limit."""
    total = np.float64(0)
    for k in range(4):
        total += block_cost(
            choice.memory, choice.picture[0], choice.first[0], choice.second[0], r + (k >> 1), c + (k & 1), kind,
            motion[0], motion[1], motion[2], motion[3], choice.prices,
        )  # fmt: skip
        if total > limit:
            break
    return total


@compiled
def _same(one, other):
    """Whether vectors (4,) are."""
    return one[0] == other[0] and one[1] == other[1] and one[2] == other[2] and one[3] == other[3]


@compiled
def _take_if_cheaper(choice, r, c, size, kind, motion, merge, side, rough, limit):
    """Give size x size blocks one motion (x0 y0 x1 y1) if that costs less than ``limit``: with their transforms if
    ``choice.exact > 1``, otherwise it costs ``rough``. merge: 0 or 1 + its candidate; side: what its bits cost. Returns
    what the blocks cost then."""
    if choice.exact > 1:
        kinds, vectors = choice.motion.kinds, choice.motion.vectors
        total = side
        other_kinds, other_vectors = scratch((8, 8), np.uint8), scratch((2, 8, 8, 2), np.int32)
        for i in range(2 * size):
            for j in range(2 * size):
                other_kinds[i, j] = kind
                for n in range(4):
                    other_vectors[n >> 1, i, j, n & 1] = motion[n] if kind & (1 << (n >> 1)) else 0
        _exchange(kinds, vectors, 2 * r, 2 * c, 2 * size, other_kinds, other_vectors)
        for i in range(r, r + size):
            for j in range(c, c + size):
                if total < limit:
                    total += remembered_cost(choice, i, j, True, merge > 0)
        if total >= limit:
            _exchange(kinds, vectors, 2 * r, 2 * c, 2 * size, other_kinds, other_vectors)
    else:
        total = rough
    if total >= limit:
        return limit
    _note(choice, r, c, size, kind, motion, merge)
    return total


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
def _note(choice, r, c, size, kind, motion, merge):
    """Give size x size blocks one motion (x0 y0 x1 y1); merge: 0 or 1 + its candidate."""
    chosen = choice.motion
    for i in range(r, r + size):
        for j in range(c, c + size):
            chosen.pred[i, j], chosen.merged[i, j] = kind, merge
            chosen.large[i, j], chosen.shapes[i, j] = SHARED, ONE_PART
            for q in range(4):
                y, x = 2 * i + (q >> 1), 2 * j + (q & 1)
                chosen.parts[y, x], chosen.kinds[y, x] = 0, kind
                for n in range(4):
                    chosen.vectors[n >> 1, y, x, n & 1] = motion[n] if kind & (1 << (n >> 1)) else 0
