# SPDX-License-Identifier: Apache-2.0
"""What predictions of a block seem to cost, each reckoned once: candidates of a block, of its parts and of its unit are
often the same motion."""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, place
from nvcodec.models.kernels.compensation import BOTH, FIRST, PAD, SECOND, luma_block, luma_from_both
from nvcodec.models.kernels.flow import room_for_flow
from nvcodec.models.kernels.frame_intra import square_cost
from nvcodec.models.kernels.motion import MAX_VECTOR

MOTIONS = 64  # remembered of a block; older ones make room
VECTOR_BITS = 13  # of a component in a key
UNKNOWN = np.float32(-1)


@compiled
def new_memory(midway):
    """Of the four blocks of a unit: keys (4, MOTIONS), costs of quarters (4, MOTIONS, 4), how many there were (4,); and
    what predictions are made in: two of (16, 16), what is left, room for `find_flow`; midway: as in `compensate`."""
    return (
        np.zeros((4, MOTIONS), np.int64), np.zeros((4, MOTIONS, 4), np.float32), np.zeros(4, np.int64),
        np.empty((16, 16), np.int32), np.empty((16, 16), np.int32), np.empty((16, 16), np.int32), room_for_flow(),
        midway,
    )  # fmt: skip


@compiled
def forget(memory, block):
    """Before another block takes its place."""
    memory[2][block] = 0


@compiled
def _slot(memory, block, kind, x0, y0, x1, y1):
    """Where the costs of a motion are, or will be; vectors of references that ``kind`` leaves out do not matter."""
    half = np.int64(MAX_VECTOR + 1)
    key = np.int64(kind)
    if kind & FIRST:
        key |= (x0 + half) << 2 | (y0 + half) << (2 + VECTOR_BITS)
    if kind & SECOND:
        key |= (x1 + half) << (2 + 2 * VECTOR_BITS) | (y1 + half) << (2 + 3 * VECTOR_BITS)
    keys, count = memory[0][block], memory[2][block]
    for k in range(min(count, MOTIONS)):
        if keys[k] == key:
            return k
    k = count % MOTIONS
    keys[k] = key
    memory[2][block] = count + 1
    for q in range(4):
        memory[1][block, k, q] = UNKNOWN
    return k


@compiled
def mix(current, top, left, size, a, b, kind, difference):
    """What a prediction from interpolated blocks a, b or both leaves of a square."""
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


@compiled
def mixed_cost(memory, current, r, c, kind, x0, y0, x1, y1, prices):
    """Hadamard cost of a 16x16 block whose predictions a and b are interpolated already."""
    a, b, difference = memory[3], memory[4], memory[5]
    block = 2 * (r & 1) + (c & 1)
    costs = memory[1][block, _slot(memory, block, kind, x0, y0, x1, y1)]
    mix(current, 16 * r, 16 * c, 16, a, b, kind, difference)
    total = np.float32(0)
    for q in range(4):
        costs[q] = square_cost(difference, 8 * (q >> 1), 8 * (q & 1), prices)
        total += costs[q]
    return total


@compiled
def _interpolate(memory, first, second, top, left, size, kind, x0, y0, x1, y1):
    if memory[7] and kind == BOTH:
        luma_from_both(first, second, top, left, size, x0, y0, x1, y1, memory[3], memory[4], memory[6])
        return
    if kind & FIRST:
        luma_block(first, PAD, top, left, size, x0, y0, memory[3])
    if kind & SECOND:
        luma_block(second, PAD, top, left, size, x1, y1, memory[4])


@compiled
def block_cost(memory, current, first, second, r, c, kind, x0, y0, x1, y1, prices):
    """Hadamard cost of a 16x16 block with one motion."""
    block = 2 * (r & 1) + (c & 1)
    costs = memory[1][block, _slot(memory, block, kind, x0, y0, x1, y1)]
    if min(min(costs[0], costs[1]), min(costs[2], costs[3])) >= 0:
        return costs[0] + costs[1] + costs[2] + costs[3]
    _interpolate(memory, first, second, 16 * r, 16 * c, 16, kind, x0, y0, x1, y1)
    return mixed_cost(memory, current, r, c, kind, x0, y0, x1, y1, prices)


@compiled
def quarter_cost(memory, current, first, second, vr, vc, kind, x0, y0, x1, y1, prices):
    """Hadamard cost of an 8x8 block."""
    block, q = (vr & 2) + (vc >> 1 & 1), 2 * (vr & 1) + (vc & 1)
    costs = memory[1][block, _slot(memory, block, kind, x0, y0, x1, y1)]
    if costs[q] < 0:
        difference = memory[5]
        _interpolate(memory, first, second, 8 * vr, 8 * vc, 8, kind, x0, y0, x1, y1)
        mix(current, 8 * vr, 8 * vc, 8, memory[3], memory[4], kind, difference)
        costs[q] = square_cost(difference, 0, 0, prices)
    return costs[q]
