# SPDX-License-Identifier: Apache-2.0
"""Motion that a block of an inter frame may have, and what the encoder chooses it by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nvcodec.compiled import compiled
from nvcodec.models.kernels.compensation import FIRST, SECOND
from nvcodec.models.kernels.inter import cheaper, exact_cost
from nvcodec.models.kernels.motion import merge_candidates
from nvcodec.models.kernels.prediction_costs import Memory, number_in_quad, slot_of

EXACT_SHARE, EXACT_BITS = 1.15, 4.0  # predictions that seem to cost so much more than the best are tried, too


class Motion(NamedTuple):
    """What is decided on of the blocks of a frame: see `nvcodec.models.conditional.frame.Blocks`."""

    pred: np.ndarray
    merged: np.ndarray
    large: np.ndarray
    quad: np.ndarray
    shapes: np.ndarray
    kinds: np.ndarray
    parts: np.ndarray
    vectors: np.ndarray


class Choice(NamedTuple):
    """What `choose_blocks` looks at and decides by, most of it its arguments, and motion, which it fills in. which
    (MERGE,), found (MERGE, 4): candidates of the block or unit at hand."""

    picture: tuple[np.ndarray, ...]
    first: tuple[np.ndarray, ...]
    second: tuple[np.ndarray, ...]
    references: int
    whole: np.ndarray
    quarters: np.ndarray
    exact: int
    price: float
    prices: np.ndarray
    steps: np.ndarray
    weight: float
    rates: tuple[np.ndarray, ...]
    last_kinds: np.ndarray
    last_vectors: np.ndarray
    scale: np.ndarray
    planes: tuple[np.ndarray, ...]
    memory: Memory
    which: np.ndarray
    found: np.ndarray
    motion: Motion


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
def worth_trying(choice, least):
    """What a prediction must not seem to cost more than to be tried with its transforms, or to be the best."""
    return least * EXACT_SHARE + choice.price * EXACT_BITS if choice.exact > 1 else least


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
def keep(best, count, one, cost, bits, shape):
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
def set_part(one, q, kind, merge, x0, y0, x1, y1):
    """Motion of one quarter of a candidate; references that it does not use have vectors of 0."""
    one.kinds[0, q], one.merges[0, q] = kind, merge
    one.vectors[0, 0, q, 0] = x0 if kind & FIRST else 0
    one.vectors[0, 0, q, 1] = y0 if kind & FIRST else 0
    one.vectors[0, 1, q, 0] = x1 if kind & SECOND else 0
    one.vectors[0, 1, q, 1] = y1 if kind & SECOND else 0


@compiled
def set_parts(one, kind, merge, x0, y0, x1, y1):
    """The same of all four."""
    for q in range(4):
        set_part(one, q, kind, merge, x0, y0, x1, y1)


@compiled
def give(choice, candidates, k, r, c):
    """Give a block the motion of a candidate."""
    kinds, vectors = choice.motion.kinds, choice.motion.vectors
    for q in range(4):
        i, j = 2 * r + (q >> 1), 2 * c + (q & 1)
        kinds[i, j] = candidates.kinds[k, q]
        for ref in range(2):
            vectors[ref, i, j, 0], vectors[ref, i, j, 1] = (
                candidates.vectors[k, ref, q, 0],
                candidates.vectors[k, ref, q, 1],
            )


@compiled
def candidates_of(choice, vr, vc, height, width, which, found):
    """`merge_candidates` of height x width 8x8 blocks."""
    return merge_candidates(
        choice.motion.kinds, choice.motion.vectors, vr, vc, height, width, choice.last_kinds, choice.last_vectors,
        choice.scale, which, found,
    )  # fmt: skip


@compiled
def remembered_cost(choice, r, c, whole, merged):
    """The cheaper of `exact_cost`, reckoned once for each motion of a whole block."""
    k, block, memory = 0, number_in_quad(r, c), choice.memory
    kinds, vectors = choice.motion.kinds, choice.motion.vectors
    if whole:
        k = slot_of(
            memory, block, np.int64(kinds[2 * r, 2 * c]), vectors[0, 2 * r, 2 * c, 0], vectors[0, 2 * r, 2 * c, 1],
            vectors[1, 2 * r, 2 * c, 0], vectors[1, 2 * r, 2 * c, 1],
        )  # fmt: skip
        if memory.exact[block, k, 0] >= 0:
            return cheaper(memory.exact[block, k, 0], memory.exact[block, k, 1], choice.price, merged)
    error, coded_cost = exact_cost(
        choice.picture, choice.first, choice.second, kinds, vectors, memory.midway, r, c, choice.steps[r, c],
        choice.weight, choice.rates, choice.price, choice.planes,
    )  # fmt: skip
    if whole:
        memory.exact[block, k, 0], memory.exact[block, k, 1] = error, coded_cost
    return cheaper(error, coded_cost, choice.price, merged)
