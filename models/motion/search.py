# SPDX-License-Identifier: Apache-2.0
"""Rate-distortion choice of block vectors at the encoder: seeds from a search, candidates from the syntax."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from nvcodec.models.motion.compensation import BLOCK, BlockMatch
from nvcodec.models.motion.syntax import MAX_VECTOR, NEW, Candidates, MotionTables, Pass, choices_of

LAMBDA_PER_STEP = (
    0.08  # absolute difference a bit may cost, in quantisation steps (measured; a fifth of H.264 practice)
)
MOVING_BITS = 4.0  # what leaving the field that x264 regularised costs on average
REFINE_ABOVE = 0.08  # mean absolute difference, in quantisation steps, from which moving a seed can pay
NEW_VECTOR_BITS = 8.0  # typical price of the two differences


class VectorChooser:
    """Chooses the vectors of each pass for `code_field`: least absolute difference + lambda x bits.

    current, reference: (H, W) float32 luma, multiples of 8; seeds: (R, C, 2) int vectors of a search (see
    `x264_vectors`); step: quantisation step of the frame, sample values; refine: strides, quarter pixels, of the rounds
    in which each seed may move to its best neighbour in this reference.
    """

    def __init__(
        self,
        current: Tensor,
        reference: Tensor,
        seeds: np.ndarray,
        step: float,
        tables: MotionTables,
        refine: tuple[int, ...] = (),
    ):
        self.seeds, self.step, self.price = seeds, step, LAMBDA_PER_STEP * step
        self._columns, self._match = seeds.shape[1], BlockMatch(current, reference)
        # sum of absolute differences that each seed leaves, block by block
        self.seed_differences = self._match.differences(np.arange(seeds[..., 0].size), seeds.reshape(-1, 2))
        for stride in refine:
            self.seeds = self._refined(stride)
        costs = np.stack(tables.choice.costs)
        self.choice_bits = costs[:, : NEW + 1]

    def _refined(self, stride: int) -> np.ndarray:
        """The seeds, each moved to the best of the eight vectors around it where that pays for its bits."""
        rows, columns = self.seeds.shape[:2]
        poor = np.flatnonzero(self.seed_differences > BLOCK * BLOCK * REFINE_ABOVE * self.step)
        vectors = self.seeds.reshape(-1, 2).astype(np.int32)
        cost = self._match.neighbours(poor, vectors[poor], stride)
        cost[:, 4] -= MOVING_BITS * self.price
        best = cost.argmin(1)
        vectors[poor] += stride * np.stack([best % 3 - 1, best // 3 - 1], 1).astype(np.int32)
        return vectors.clip(-MAX_VECTOR, MAX_VECTOR).reshape(rows, columns, 2)

    def __call__(self, blocks: Pass, known: Candidates) -> np.ndarray:
        """Vectors (N, 2) of the blocks of one pass."""
        seeds = self.seeds[blocks.rows, blocks.columns].astype(np.int64)
        best = known.vectors[:, 0].astype(np.int64)
        ranks = np.arange(known.vectors.shape[1])
        seed_choice = choices_of(known, seeds)
        # where the search agrees with the likeliest candidate there is nothing to weigh
        open_blocks = np.flatnonzero(seed_choice != 0)
        if not len(open_blocks):
            return best
        tried = ranks < known.distinct[open_blocks, None]
        which, rank = np.nonzero(tried)
        new = np.flatnonzero(seed_choice[open_blocks] == NEW)
        which = np.concatenate([which, new])
        rank = np.concatenate([rank, np.full(len(new), NEW)])
        of = open_blocks[which]
        vectors = np.where((rank == NEW)[:, None], seeds[of], known.vectors[of, np.minimum(rank, NEW - 1)])
        bits = self.choice_bits[known.contexts[of], rank] + np.where(rank == NEW, NEW_VECTOR_BITS, 0)
        difference = self._match.differences(blocks.rows[of] * self._columns + blocks.columns[of], vectors)
        cost = np.full((len(open_blocks), NEW + 1), np.inf)
        cost[which, rank] = difference + self.price * bits
        choice = cost.argmin(1)
        chosen = np.where(
            (choice == NEW)[:, None],
            seeds[open_blocks],
            known.vectors[open_blocks, np.minimum(choice, NEW - 1)],
        )
        best[open_blocks] = chosen
        return best
