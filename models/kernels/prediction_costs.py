# SPDX-License-Identifier: Apache-2.0
"""What predictions of a block seem to cost, each reckoned once: candidates of a block, of its parts and of its unit are
often the same motion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nvcodec.compiled import compiled, scratch
from nvcodec.models.depth import LARGEST
from nvcodec.models.kernels.compensation import BOTH, FIRST, PAD, SECOND, luma_block, luma_from_both
from nvcodec.models.kernels.motion import MAX_VECTOR
from nvcodec.models.kernels.rough_cost import quarter_costs, square_cost
from nvcodec.vectors import as_int32, equal, least, load, lowest_bit, most, store

MOTIONS = 64  # remembered of a block; older ones make room
LOOKED_AT = 8  # keys at once
VECTOR_BITS = 13  # of a component in a key
UNKNOWN = np.float32(-1)


class Memory(NamedTuple):
    """Of the blocks of a quad: keys (16, MOTIONS) int64, costs of quarters (16, MOTIONS, 4) float32, the two of
    `exact_cost` (16, MOTIONS, 2) float32, how many there were (16,) int64. midway: as in `compensate`; rounds: of
    `luma_from_both`."""

    keys: np.ndarray
    costs: np.ndarray
    exact: np.ndarray
    counts: np.ndarray
    midway: bool
    rounds: int


@compiled
def number_in_quad(r, c):
    """Of block (r, c)."""
    return 4 * (r & 3) + (c & 3)


@compiled
def forget(memory, block):
    """Before another block takes its place."""
    memory.counts[block] = 0


@compiled
def slot_of(memory, block, kind, x0, y0, x1, y1):
    """Where the costs of a motion are, or will be; vectors of references that ``kind`` leaves out do not matter."""
    half = np.int64(MAX_VECTOR + 1)
    key = np.int64(kind)
    if kind & FIRST:
        key |= (x0 + half) << 2 | (y0 + half) << (2 + VECTOR_BITS)
    if kind & SECOND:
        key |= (x1 + half) << (2 + 2 * VECTOR_BITS) | (y1 + half) << (2 + 3 * VECTOR_BITS)
    count = memory.counts[block]
    known = min(count, MOTIONS)
    for k in range(0, known, LOOKED_AT):
        same = equal(load(memory.keys, (block, k), LOOKED_AT), key)
        if same:  # those that are not forgotten come first
            first = k + lowest_bit(same)
            if first < known:
                return first
            break
    k = count % MOTIONS
    memory.keys[block, k] = key
    memory.counts[block] = count + 1
    for q in range(4):
        memory.costs[block, k, q] = UNKNOWN
    memory.exact[block, k, 0] = UNKNOWN
    return k


def _mixing(size: int) -> Callable[..., Any]:
    """`mix` of one size."""

    @compiled
    def mixed(current, top, left, a, b, kind, difference):  # type: ignore[no-untyped-def]
        for i in range(size):
            if kind == BOTH:
                samples = (load(a, (i, 0), size) + load(b, (i, 0), size) + 4096) >> 13
            elif kind == FIRST:
                samples = (load(a, (i, 0), size) + 2048) >> 12
            else:
                samples = (load(b, (i, 0), size) + 2048) >> 12
            row = as_int32(load(current, (top + i, left), size))
            store(difference, (i, 0), row - least(most(samples, 0), LARGEST))

    return mixed


_mixed_16, _mixed_8 = _mixing(16), _mixing(8)


@compiled
def mix(current, top, left, size, a, b, kind, difference):
    """What a prediction from interpolated blocks a, b or both leaves of a square of 8 or 16."""
    if size == 16:
        _mixed_16(current, top, left, a, b, kind, difference)
    else:
        _mixed_8(current, top, left, a, b, kind, difference)


@compiled
def mixed_cost(memory, current, r, c, kind, x0, y0, x1, y1, a, b, prices):
    """Hadamard cost of a 16x16 block whose predictions a and b are interpolated already."""
    difference = scratch((16, 16), np.int32)
    block = number_in_quad(r, c)
    costs = memory.costs[block, slot_of(memory, block, kind, x0, y0, x1, y1)]
    mix(current, 16 * r, 16 * c, 16, a, b, kind, difference)
    return quarter_costs(difference, prices, costs)


@compiled
def _interpolate(memory, first, second, top, left, size, kind, x0, y0, x1, y1, a, b):
    if memory.midway and kind == BOTH:
        found = scratch((2, 4, 4), np.int32)
        luma_from_both(first, second, top, left, size, x0, y0, x1, y1, memory.rounds, a, b, found)
        return
    if kind & FIRST:
        luma_block(first, PAD, top, left, size, x0, y0, a)
    if kind & SECOND:
        luma_block(second, PAD, top, left, size, x1, y1, b)


@compiled
def block_cost(memory, current, first, second, r, c, kind, x0, y0, x1, y1, prices):
    """Hadamard cost of a 16x16 block with one motion."""
    a, b = scratch((16, 16), np.int32), scratch((16, 16), np.int32)
    block = number_in_quad(r, c)
    costs = memory.costs[block, slot_of(memory, block, kind, x0, y0, x1, y1)]
    if min(min(costs[0], costs[1]), min(costs[2], costs[3])) >= 0:
        return costs[0] + costs[1] + costs[2] + costs[3]
    _interpolate(memory, first, second, 16 * r, 16 * c, 16, kind, x0, y0, x1, y1, a, b)
    return mixed_cost(memory, current, r, c, kind, x0, y0, x1, y1, a, b, prices)


@compiled
def quarter_cost(memory, current, first, second, vr, vc, kind, x0, y0, x1, y1, prices):
    """Hadamard cost of an 8x8 block."""
    block, q = number_in_quad(vr >> 1, vc >> 1), 2 * (vr & 1) + (vc & 1)
    costs = memory.costs[block, slot_of(memory, block, kind, x0, y0, x1, y1)]
    if costs[q] < 0:
        a, b, difference = scratch((16, 16), np.int32), scratch((16, 16), np.int32), scratch((16, 16), np.int32)
        _interpolate(memory, first, second, 8 * vr, 8 * vc, 8, kind, x0, y0, x1, y1, a, b)
        mix(current, 8 * vr, 8 * vc, 8, a, b, kind, difference)
        costs[q] = square_cost(difference, prices)
    return costs[q]
