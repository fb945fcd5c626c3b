# SPDX-License-Identifier: Apache-2.0
"""The encoder's motion search and its choice of what each block is predicted from."""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, place
from nvcodec.models.kernels.compensation import BOTH, FIRST, INTRA, PAD, SECOND, luma_block
from nvcodec.models.kernels.frame_intra import hadamard_cost
from nvcodec.models.kernels.intra import HORIZONTAL, MEAN, PLANAR, VERTICAL, border, predict_luma_from, smooth
from nvcodec.models.kernels.residual import quantise
from nvcodec.models.kernels.syntax import (
    MAX_VECTOR,
    MERGE,
    SHARED,
    WHOLE,
    coding_order,
    merge_candidates,
    predict_vector,
)

COARSE_RANGE = 10  # samples at a quarter of the resolution
COARSE_ENOUGH = 2.0  # price of a step of vectors: what differs less is not searched
GOOD_ENOUGH = 10.0  # bits: a prediction that costs less is not searched further
SPLIT_WORTH = 14.0  # bits: what vectors of quarters cost at least


@compiled
def quarter_size(plane, pad):
    """A plane (padded by ``pad``) at a quarter of its size, without border, int32 sums of 16 samples / 16."""
    rows, columns = (plane.shape[0] - 2 * pad) // 4, (plane.shape[1] - 2 * pad) // 4
    out = np.empty((rows, columns), np.int32)
    for r in range(rows):
        for c in range(columns):
            total = 8
            for i in range(4):
                for j in range(4):
                    total += plane[place(pad + 4 * r + i), place(pad + 4 * c + j)]
            out[r, c] = total >> 4
    return out


@compiled
def coarse_search(current, reference, price, out):
    """Vector (quarter pixels, out (R, C, 2)) of each 16x16 block at a quarter of the resolution: the best of every
    other position for the 8x8 windows around it, then of those around that; returns the sum of the windows' absolute
    differences."""
    rows, columns = current.shape
    height, width = min(8, rows), min(8, columns)
    total = np.int64(0)
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            top, left = max(0, min(4 * r - 2, rows - 8)), max(0, min(4 * c - 2, columns - 8))
            best = _window_cost(current, reference, top, left, top, left, height, width)
            by = bx = 0
            if best > price * COARSE_ENOUGH:
                for stride in (2, 1):
                    around = COARSE_RANGE if stride == 2 else 1
                    cy, cx = by, bx
                    for dy in range(cy - around, cy + around + 1, stride):
                        for dx in range(cx - around, cx + around + 1, stride):
                            i, j = top + dy, left + dx
                            if min(i, j) < 0 or i > rows - height or j > columns - width:
                                continue
                            cost = _window_cost(current, reference, top, left, i, j, height, width)
                            cost += np.int32(price * (abs(dx) + abs(dy)))
                            if cost < best:
                                best, by, bx = cost, dy, dx
            out[r, c, 0], out[r, c, 1] = 16 * bx, 16 * by
            total += best
    return total


@compiled
def _window_cost(current, reference, top, left, row, column, height, width):
    """Sum of absolute differences of two windows."""
    total = np.int32(0)
    for i in range(height):
        for j in range(width):
            a = current[place(top + i), place(left + j)]
            total += np.int32(abs(np.int32(a - reference[place(row + i), place(column + j)])))
    return total


@compiled
def vector_bits(x, y):
    """Roughly the bits of a vector difference."""
    bits = np.float32(2.0)
    for d in (abs(x), abs(y)):
        if d:
            bits += 2 * np.log2(np.float32(d)) + 2
    return bits


@compiled
def _whole_cost(current, reference, top, left, size, x, y):
    """Sum of absolute differences at a whole-pixel vector."""
    height, width = reference.shape
    row = min(max(top + PAD + y, 4), height - size - 5)
    column = min(max(left + PAD + x, 4), width - size - 5)
    total = np.int32(0)
    for i in range(size):
        for j in range(size):
            a = np.int32(current[place(top + i), place(left + j)])
            total += np.int32(abs(np.int32(a - np.int32(reference[place(row + i), place(column + j)]))))
    return total


@compiled
def _fraction_cost(current, reference, top, left, size, x, y, prices, block, difference):
    """Hadamard cost at a quarter-pixel vector."""
    luma_block(reference, PAD, top, left, size, x, y, block)
    for i in range(size):
        for j in range(size):
            sample = min(max(np.int32((block[i, j] + 2048) >> 12), np.int32(0)), np.int32(255))
            difference[i, j] = np.int32(current[place(top + i), place(left + j)]) - sample
    return hadamard_cost(difference, size, prices)


@compiled
def _refine(
    current,
    reference,
    top,
    left,
    size,
    starts,
    count,
    near,
    sad_price,
    price,
    prices,
    rounds,
    block,
    difference,
    out,
):
    """The best vector around a few starting ones; out: x, y, cost (float64)."""
    best, bx, by = 1e30, 0, 0
    for k in range(count):
        x, y = (starts[k, 0] + 2) >> 2, (starts[k, 1] + 2) >> 2
        cost = _whole_cost(current, reference, top, left, size, x, y) + sad_price * vector_bits(
            4 * x - near[0], 4 * y - near[1]
        )
        if cost < best:
            best, bx, by = cost, x, y
    for _ in range(rounds):
        cx, cy = bx, by
        for n in range(4):
            x, y = cx + (1 if n == 0 else -1 if n == 1 else 0), cy + (1 if n == 2 else -1 if n == 3 else 0)
            cost = _whole_cost(current, reference, top, left, size, x, y)
            cost += sad_price * vector_bits(4 * x - near[0], 4 * y - near[1])
            if cost < best:
                best, bx, by = cost, x, y
        if bx == cx and by == cy:
            break
    bx, by = 4 * bx, 4 * by
    best = _fraction_cost(current, reference, top, left, size, bx, by, prices, block, difference)
    best += price * vector_bits(bx - near[0], by - near[1])
    if best > price * GOOD_ENOUGH:
        for stride in (2, 1):
            # the better of left and right, of up and down, and what both together give
            cx, cy, dx, dy = bx, by, 0, 0
            across = down = 1e30
            for n in range(5):
                if n < 2:
                    x, y = cx + (stride if n else -stride), cy
                elif n < 4:
                    x, y = cx, cy + (stride if n == 3 else -stride)
                else:
                    x, y = cx + dx, cy + dy
                cost = _fraction_cost(current, reference, top, left, size, x, y, prices, block, difference)
                cost += price * vector_bits(x - near[0], y - near[1])
                if n < 2 and cost < across:
                    across, dx = cost, x - cx
                elif 2 <= n < 4 and cost < down:
                    down, dy = cost, y - cy
                if cost < best:
                    best, bx, by = cost, x, y
    out[0] = min(max(bx, -MAX_VECTOR), MAX_VECTOR)
    out[1] = min(max(by, -MAX_VECTOR), MAX_VECTOR)
    out[2] = best


@compiled
def search(current, reference, coarse, before, sad_price, price, prices, split, whole, quarters):
    """Motion of each 16x16 block and, if ``split``, of its quarters towards one reference.

    current: (H, W) uint8; reference: padded luma; coarse: (R, C, 2) of `coarse_search`; before: (2R, 2C, 2) an earlier
    field, to begin with; sad_price, price: absolute difference and squared steps that a bit is worth; prices:
    `price_curve`; whole: (R, C, 3) float64 x, y, cost; quarters: (2R, 2C, 3) float64.
    """
    rows, columns = coarse.shape[:2]
    starts, near, found = np.zeros((7, 2), np.int32), np.zeros(2, np.int32), np.zeros(3, np.float64)
    block, difference = np.empty((16, 16), np.int32), np.empty((16, 16), np.int32)
    for r in range(rows):
        for c in range(columns):
            count = 2
            starts[0] = 0
            starts[1] = coarse[r, c]
            starts[2] = before[2 * r, 2 * c]
            count = 3
            near[0] = near[1] = 0
            for n in range(3):
                nr, nc = (r, c - 1) if n == 0 else (r - 1, c) if n == 1 else (r - 1, c + 1)
                if nr >= 0 and 0 <= nc < columns:
                    starts[count, 0], starts[count, 1] = np.int32(whole[nr, nc, 0]), np.int32(whole[nr, nc, 1])
                    count += 1
            if count == 6:
                near[0] = sorted_middle(starts[3, 0], starts[4, 0], starts[5, 0])
                near[1] = sorted_middle(starts[3, 1], starts[4, 1], starts[5, 1])
            elif count > 3:
                near[0], near[1] = starts[3, 0], starts[3, 1]
            _refine(
                current,
                reference,
                16 * r,
                16 * c,
                16,
                starts,
                count,
                near,
                sad_price,
                price,
                prices,
                12,
                block,
                difference,
                found,
            )
            whole[r, c] = found
            if not split:
                continue
            if found[2] < price * SPLIT_WORTH:
                for k in range(4):
                    i, j = 2 * r + (k >> 1), 2 * c + (k & 1)
                    quarters[i, j, 0], quarters[i, j, 1], quarters[i, j, 2] = found[0], found[1], found[2] / 4
                continue
            near[0], near[1] = np.int32(found[0]), np.int32(found[1])
            starts[count] = near
            for k in range(4):
                i, j = 2 * r + (k >> 1), 2 * c + (k & 1)
                _refine(
                    current,
                    reference,
                    8 * i,
                    8 * j,
                    8,
                    starts,
                    count + 1,
                    near,
                    sad_price,
                    price,
                    prices,
                    2,
                    block,
                    difference,
                    quarters[i, j],
                )


@compiled
def sorted_middle(a, b, c):
    """The median of three."""
    return max(min(a, b), min(max(a, b), c))


@compiled
def _mix_cost(current, top, left, size, a, b, kind, prices, difference):
    low, high = np.int32(0), np.int32(255)
    if kind == BOTH:
        for i in range(size):
            for j in range(size):
                sample = min(max(np.int32((a[i, j] + b[i, j] + 4096) >> 13), low), high)
                difference[i, j] = np.int32(current[place(top + i), place(left + j)]) - sample
    else:
        one = a if kind == FIRST else b
        for i in range(size):
            for j in range(size):
                sample = min(max(np.int32((one[i, j] + 2048) >> 12), low), high)
                difference[i, j] = np.int32(current[place(top + i), place(left + j)]) - sample
    return hadamard_cost(difference, size, prices)


@compiled
def choose_blocks(
    current,
    first,
    second,
    references,
    whole,
    quarters,
    split,
    refine,
    price,
    prices,
    last_pred,
    last_vectors,
    scale,
    pred,
    merged,
    large,
    vectors,
):
    """Decide what each block of an inter frame is predicted from, by Hadamard cost and bits.

    first, second: padded luma of the references; whole: (2, R, C, 3) and quarters: (2, 2R, 2C, 3) of `search`;
    refine: whether to move the vectors of a block with two references together; price:
    squared steps that a bit is worth; last_*, scale: as in `merge_candidates`. Fills in pred, merged, large, vectors.
    """
    rows, columns = pred.shape
    kinds, found = np.zeros(MERGE, np.int32), np.zeros((MERGE, 4), np.int32)
    a, b, difference = np.empty((16, 16), np.int32), np.empty((16, 16), np.int32), np.empty((16, 16), np.int32)
    near, both, near_both = np.zeros(2, np.int32), np.zeros((2, 2), np.int32), np.zeros((2, 2), np.int32)
    samples, out = np.empty((2, 129), np.int32), np.empty((32, 32), np.int32)
    ready = np.ones((4 * rows, 4 * columns), np.uint8)
    order, together_cost = coding_order(rows, columns), np.float64(0)
    for number in range(len(order)):
        r, c = order[number]
        top, left = 16 * r, 16 * c
        merged[r, c] = large[r, c] = 0
        best, best_kind, best_merge, best_split, best_both = 1e30, FIRST, 0, False, False
        count = merge_candidates(pred, vectors, r, c, 1, last_pred, last_vectors, scale, kinds, found)
        for k in range(count):
            kind = kinds[k]
            if references < 2 and kind != FIRST:
                continue
            if kind & FIRST:
                luma_block(first, PAD, top, left, 16, found[k, 0], found[k, 1], a)
            if kind & SECOND:
                luma_block(second, PAD, top, left, 16, found[k, 2], found[k, 3], b)
            cost = _mix_cost(current, top, left, 16, a, b, kind, prices, difference) + price * (
                0.5 + min(k + 1, count - 1)
            )
            if cost < best:
                best, best_kind, best_merge = cost, kind, k + 1
        # new vectors: into the first, the second, both
        bits = np.zeros(2, np.float32)
        for ref in range(references):
            pred[r, c] = 1 << ref
            predict_vector(pred, vectors, ref, 2 * r, 2 * c, 2, near)
            x, y = np.int32(whole[ref, r, c, 0]), np.int32(whole[ref, r, c, 1])
            bits[ref] = vector_bits(x - near[0], y - near[1])
            luma_block(first if ref == 0 else second, PAD, top, left, 16, x, y, a if ref == 0 else b)
        for kind in range(FIRST, BOTH + 1 if references > 1 else SECOND):
            total = (bits[0] if kind & FIRST else np.float32(0)) + (bits[1] if kind & SECOND else np.float32(0))
            cost = _mix_cost(current, top, left, 16, a, b, kind, prices, difference) + price * (3.5 + total)
            if cost < best:
                best, best_kind, best_merge = cost, kind, 0
        if refine and references > 1 and best > price * 3.5:
            # both vectors together, each in turn moved to the best of its neighbours
            for ref in range(2):
                both[ref, 0], both[ref, 1] = np.int32(whole[ref, r, c, 0]), np.int32(whole[ref, r, c, 1])
                pred[r, c] = BOTH
                predict_vector(pred, vectors, ref, 2 * r, 2 * c, 2, near_both[ref])
            together = 1e30
            for ref in range(2):
                other = 1 - ref
                luma_block(
                    first if other == 0 else second, PAD, top, left, 16, both[other, 0], both[other, 1],
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
                        luma_block(first if ref == 0 else second, PAD, top, left, 16, x, y, a if ref == 0 else b)
                        cost = _mix_cost(current, top, left, 16, a, b, BOTH, prices, difference)
                        cost += price * (3.5 + fixed + vector_bits(x - near_both[ref, 0], y - near_both[ref, 1]))
                        if cost < together:
                            together, both[ref, 0], both[ref, 1] = cost, x, y
            if together < best:
                best, best_kind, best_merge, best_both = together, BOTH, 0, True
        if split and best > price * SPLIT_WORTH:
            costs = np.zeros(4, np.float64)
            for k in range(4):
                i, j = 2 * r + (k >> 1), 2 * c + (k & 1)
                for ref in range(references):
                    x, y = np.int32(quarters[ref, i, j, 0]), np.int32(quarters[ref, i, j, 1])
                    luma_block(first if ref == 0 else second, PAD, 8 * i, 8 * j, 8, x, y, a if ref == 0 else b)
                for kind in range(FIRST, BOTH + 1 if references > 1 else SECOND):
                    total = np.float32(0)
                    for ref in range(references):
                        if kind & (1 << ref):
                            x, y = quarters[ref, i, j, 0], quarters[ref, i, j, 1]
                            total += vector_bits(
                                np.int32(x - quarters[ref, i, 2 * c, 0])
                                if k & 1
                                else np.int32(x - whole[ref, r, c, 0]),
                                np.int32(y - quarters[ref, i, 2 * c, 1])
                                if k & 1
                                else np.int32(y - whole[ref, r, c, 1]),
                            )
                    costs[kind] += _mix_cost(current, 8 * i, 8 * j, 8, a, b, kind, prices, difference) + price * total
            for kind in range(FIRST, BOTH + 1 if references > 1 else SECOND):
                extra = (bits[0] if kind & FIRST else np.float32(0)) + (bits[1] if kind & SECOND else np.float32(0))
                cost = costs[kind] + price * (4.5 + 0.5 * extra)
                if cost < best:
                    best, best_kind, best_merge, best_split, best_both = cost, kind, 0, True, False
        # intra, judged by the picture's own samples
        if best > price * 14:
            border(current, ready, 4, 4 * r, 4 * c, 4, samples[0])
            smooth(samples[0], 16, samples[1])
        for mode in (PLANAR, MEAN, HORIZONTAL, VERTICAL, 18, 2, 34):
            if best <= price * 14:
                break
            predict_luma_from(samples, 16, mode, out)
            for i in range(16):
                for j in range(16):
                    difference[i, j] = np.int32(current[top + i, left + j]) - out[i, j]
            cost = hadamard_cost(difference, 16, prices) + price * 14
            if cost < best:
                best, best_kind, best_merge, best_split, best_both = cost, INTRA, 0, False, False
        pred[r, c], merged[r, c] = best_kind, best_merge
        for ref in range(2):
            v = vectors[ref, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
            if not best_kind & (1 << ref):
                v[:] = 0
            elif best_merge:
                v[:, :, 0], v[:, :, 1] = found[best_merge - 1, 2 * ref], found[best_merge - 1, 2 * ref + 1]
            elif best_split:
                for i in range(2):
                    for j in range(2):
                        v[i, j, 0] = np.int32(quarters[ref, 2 * r + i, 2 * c + j, 0])
                        v[i, j, 1] = np.int32(quarters[ref, 2 * r + i, 2 * c + j, 1])
            elif best_both:
                v[:, :, 0], v[:, :, 1] = both[ref, 0], both[ref, 1]
            else:
                v[:, :, 0], v[:, :, 1] = np.int32(whole[ref, r, c, 0]), np.int32(whole[ref, r, c, 1])
        if best_kind != INTRA and not best_merge:  # a new vector that is a candidate's is merged after all
            for k in range(count):
                same = kinds[k] == best_kind
                for ref in range(2):
                    v = vectors[ref, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
                    for i in range(2):
                        for j in range(2):
                            if v[i, j, 0] != found[k, 2 * ref] or v[i, j, 1] != found[k, 2 * ref + 1]:
                                same = False
                if same:
                    merged[r, c] = k + 1
                    break
        if r % 2 == 0 and c % 2 == 0:
            together_cost = np.float64(0)
        together_cost += best
        if r % 2 and c % 2:
            _try_unit(
                current, first, second, references, price, prices, last_pred, last_vectors, scale, pred,
                merged, large, vectors, r - 1, c - 1, together_cost, kinds, found, a, b, difference,
            )  # fmt: skip


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
        total += _mix_cost(current, i, j, 16, a, b, kind, prices, difference)
        if total > limit:
            break
    return total


@compiled
def _try_unit(
    current, first, second, references, price, prices, last_pred, last_vectors, scale, pred, merged, large,
    vectors, r, c, limit, kinds, found, a, b, difference,
):  # fmt: skip
    """Give the four blocks of a unit one motion if that costs less than what they have, ``limit``."""
    near = np.zeros(2, np.int32)
    best_kind, best_merge = 0, 0
    motion, tried = np.zeros(4, np.int32), np.zeros((5, 4), np.int32)
    count = merge_candidates(pred, vectors, r, c, 2, last_pred, last_vectors, scale, kinds, found)
    for k in range(count):
        if references < 2 and kinds[k] != FIRST:
            continue
        bits = price * (0.5 + min(k + 1, count - 1))
        cost = bits + _motion_cost(
            current, first, second, 16 * r, 16 * c, kinds[k], found[k], prices, limit - bits, a, b, difference
        )
        if cost < limit:
            limit, best_kind, best_merge = cost, kinds[k], k + 1
            for n in range(4):
                motion[n] = found[k, n]
    for block in range(4):
        i, j = r + (block >> 1), c + (block & 1)
        kind = np.int64(pred[i, j])
        tried[block, :2], tried[block, 2:] = vectors[0, 2 * i, 2 * j], vectors[1, 2 * i, 2 * j]
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
        bits = np.float64(price * 3.5)
        for ref in range(2):
            if kind & (1 << ref):
                predict_vector(pred, vectors, ref, 2 * r, 2 * c, 4, near)
                x, y = tried[block, 2 * ref], tried[block, 2 * ref + 1]
                bits += price * vector_bits(x - near[0], y - near[1])
        cost = bits + _motion_cost(
            current, first, second, 16 * r, 16 * c, kind, tried[block], prices, limit - bits, a, b, difference
        )
        if cost < limit:
            limit, best_kind, best_merge = cost, kind, 0
            for n in range(4):
                motion[n] = tried[block, n]
    if best_kind == 0:
        return
    for i in range(r, r + 2):
        for j in range(c, c + 2):
            pred[i, j], merged[i, j], large[i, j] = best_kind, best_merge, SHARED
            for ref in range(2):
                v = vectors[ref, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                v[:, :, 0], v[:, :, 1] = motion[2 * ref], motion[2 * ref + 1]


@compiled
def settle_units(
    coefficients, lost, costs, rates, price, units, pred, merged, large, coded, fine, tiny, symbols
):  # fmt: skip
    """Transform units with one motion as a whole where that is cheaper than what `settle_inter` found.

    coefficients: (N, 384) float32 of the large transform, in steps; lost: (N,) squared steps that it leaves out; costs:
    (R, C) of `settle_inter`; units: (N, 2) their first blocks.
    """
    trial = np.zeros(384, np.int16)
    for n in range(len(units)):
        r, c = units[n, 0], units[n, 1]
        separate, any_coded = price, 0
        for i in range(r, r + 2):
            for j in range(c, c + 2):
                separate += costs[i, j]
                any_coded |= coded[i, j]
        if not any_coded:
            separate -= price
        cost = quantise(coefficients[n], rates, price, trial) + lost[n] + price * 2
        if cost >= separate:
            continue
        any_symbol = 0
        for k in range(384):
            if trial[k]:
                any_symbol = 1
        if not any_symbol:
            continue
        for i in range(r, r + 2):
            for j in range(c, c + 2):
                coded[i, j], fine[i, j], large[i, j] = 1, 0, WHOLE
                for k in range(384):
                    symbols[i, j, k] = 0
        for i in range(2 * r, 2 * r + 4):
            for j in range(2 * c, 2 * c + 4):
                tiny[i, j] = 0
        for k in range(384):
            symbols[r, c, k] = trial[k]


@compiled
def settle_inter(samples, errors, rates, price, blocks, pred, merged, coded, fine, tiny, symbols, costs):
    """Choose transforms and symbols of inter blocks, or none where that is cheaper.

    samples: weighted coefficients in steps: (N, 384) of the coarse transform, (N, 4, 96) of the
    fine, (N, 4, 4, 16) and (N, 4, 32) of the tiny one; errors: (N,) squared steps of the prediction's error; rates: see
    `BlockBases`; blocks: (N, 2); coded, fine: (R, C), tiny: (2R, 2C) uint8 results; symbols: (R, C, 384) int16;
    costs: (R, C) float32, error and price of bits.
    """
    trial = np.zeros((2, 384), np.int16)
    quarter = np.zeros((2, 96), np.int16)
    luma, chroma = np.zeros(16, np.int16), np.zeros(32, np.int16)
    choice = np.zeros(4, np.uint8)
    for n in range(len(blocks)):
        r, c = blocks[n, 0], blocks[n, 1]
        cost = quantise(samples[0][n], rates[0][0], price, trial[0]) + price * 2
        other = price * np.float32(4)
        for q in range(4):
            whole = quantise(samples[1][n, q], rates[1][0], price, quarter[0])
            parts = price + quantise(samples[3][n, q], rates[3][0], price, chroma)
            for k in range(32):
                quarter[1, 6 * (k >> 1) + 4 + (k & 1)] = chroma[k]
            for part in range(4):
                parts += quantise(samples[2][n, q, part], rates[2][0], price, luma)
                for k in range(16):
                    quarter[1, 6 * k + part] = luma[k]
            choice[q] = 1 if parts < whole else 0
            other += min(whole, parts)
            for k in range(96):
                trial[1, 4 * k + q] = quarter[choice[q], k]
        which = 1 if other < cost else 0
        nothing = errors[n] + price * (0.5 if merged[r, c] else 1.0)
        any_symbol = 0
        if nothing > min(cost, other):
            for k in range(384):
                if trial[which, k]:
                    any_symbol = 1
        coded[r, c] = any_symbol
        costs[r, c] = min(cost, other) if any_symbol else nothing
        fine[r, c] = which if any_symbol else 0
        for q in range(4):
            tiny[2 * r + (q >> 1), 2 * c + (q & 1)] = choice[q] if fine[r, c] else 0
        if any_symbol:
            for k in range(384):
                symbols[r, c, k] = trial[which, k]
        else:
            for k in range(384):
                symbols[r, c, k] = 0
