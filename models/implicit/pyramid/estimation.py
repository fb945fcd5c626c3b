# SPDX-License-Identifier: Apache-2.0
"""Motion and prediction modes of one frame, at the encoder only: choices by rate and distortion."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nvcodec.entropy.tables import TableSet
from nvcodec.models.implicit.pyramid import dct
from nvcodec.models.implicit.pyramid.blocks import CHOICES_8, options
from nvcodec.models.implicit.pyramid.prediction import BOTH, FUTURE, PAST, Reference, fetch
from nvcodec.models.motion.compensation import neighbour_differences
from nvcodec.models.motion.syntax import (
    CANDIDATES,
    MAX_VECTOR,
    NEW,
    Candidates,
    MotionTables,
    Pass,
    choices_of,
    code_field,
)

BIT_PRICE = 0.18  # squared steps that a bit may cost
SINGLE_BITS, BOTH_BITS = 1.5, 1.5  # typical price of the vectors of a block of 16
DISAGREEMENT_BITS = 1.3  # of a mode, for each neighbour that has another
SMOOTHING_ROUNDS = 3
BLOCK = 16
OTHER_BITS, SPLIT_BITS = 1.5, 8.0  # typical price of a vector of a block of 8 that is not its parent's; of a split
REFINE = (2, 1)  # strides, quarter samples
REFINE_PRICE = 2.0  # absolute difference that moving a vector must save, steps
ROUNDS = 2  # of choosing all vectors; later rounds start from what the one before chose
CODED_PRICE, CODED_PRICE_PER_OCTAVE = 1.0, 0.4  # of a coefficient of one step, squared steps


class VectorChooser:
    """Chooses the vectors of each pass for `code_field`: least price of residual and bits.

    current: (H, W) float32 luma; reference: frame to predict from; seeds: (H/16, W/16, 2) vectors of a search; used:
    (H/16, W/16) bool, where vectors matter; step: of the frame, sample values.
    """

    def __init__(self, current: Tensor, reference: Reference, seeds: np.ndarray, step: float, tables: MotionTables):
        self._padded = reference.padded[0]
        self._blocks = dct.to_tiles(current, BLOCK)
        self._eights = dct.to_tiles(current, 8)
        self._step, self._tables = step, tables
        self.seeds = seeds
        self.used = np.ones(seeds.shape[:2], bool)
        for stride in REFINE:
            self.seeds = self._refined(current, reference.planes[0], stride)

    def settle(self, expected: np.ndarray) -> None:
        """Let neighbours agree before anything is coded; expected: as for `code_field`."""
        for _ in range(ROUNDS - 1):
            self.seeds = code_field(*self.seeds.shape[:2], expected, _Nowhere(), self._tables, self)

    def __call__(self, blocks: Pass, known: Candidates) -> np.ndarray:
        """Vectors (N, 2) of the blocks of one pass."""
        best = known.vectors[:, 0].astype(np.int64)
        seeds = self.seeds[blocks.rows, blocks.columns].astype(np.int64)
        choice = choices_of(known, seeds)
        open_blocks = np.flatnonzero((choice != 0) & self.used[blocks.rows, blocks.columns])
        if not len(open_blocks):
            return best
        which, rank = np.nonzero(np.arange(CANDIDATES) < known.distinct[open_blocks, None])
        new = np.flatnonzero(choice[open_blocks] == NEW)
        which, rank = np.concatenate([which, new]), np.concatenate([rank, np.full(len(new), NEW)])
        of = open_blocks[which]
        is_new = rank == NEW
        vectors = np.where(is_new[:, None], seeds[of], known.vectors[of, np.minimum(rank, CANDIDATES - 1)])
        bits = self._tables.choice.costs[known.contexts[of], rank]  # type: ignore[call-overload]
        bits = bits + np.where(is_new, self._new_bits(vectors - known.predictor[of], known.level), 0)
        cost = np.full((len(open_blocks), NEW + 1), np.inf)
        cost[which, rank] = self._price(blocks.rows[of], blocks.columns[of], vectors) + BIT_PRICE * bits
        chosen = cost.argmin(1)
        kept = known.vectors[open_blocks, np.minimum(chosen, CANDIDATES - 1)]
        best[open_blocks] = np.where((chosen == NEW)[:, None], seeds[open_blocks], kept)
        return best

    def _new_bits(self, difference: np.ndarray, level: int) -> np.ndarray:
        """Bits of the two differences of a new vector."""
        magnitude = np.abs(difference)
        k = np.where(magnitude > 0, np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int64) + 1, 0)
        costs = self._tables.classes.costs
        return costs[level * 2][k[:, 0]] + costs[level * 2 + 1][k[:, 1]] + k.sum(1)

    def _price(self, rows: np.ndarray, columns: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        predicted = fetch(self._padded, BLOCK, rows, columns, vectors)
        places = torch.from_numpy(rows * self.seeds.shape[1] + columns)
        return residual_price(self._blocks[places] - predicted, self._step)

    def _refined(self, current: Tensor, reference: Tensor, stride: int) -> np.ndarray:
        """The seeds, each moved to the best of the eight vectors around it where that saves enough."""
        rows, columns = self.seeds.shape[:2]
        eights = self.seeds.repeat(2, 0).repeat(2, 1).reshape(-1, 2).astype(np.int32)
        row, column = (a.ravel() for a in np.indices((2 * rows, 2 * columns)))
        cost = neighbour_differences(current, reference, row * 8, column * 8, eights, stride)
        cost = cost.reshape(rows, 2, columns, 2, 9).sum((1, 3))
        cost[..., 4] -= REFINE_PRICE * self._step
        best = cost.argmin(2)
        moved = self.seeds + stride * np.stack([best % 3 - 1, best // 3 - 1], 2)
        return moved.clip(-MAX_VECTOR, MAX_VECTOR).astype(np.int32)

    def subdivide(self, field: np.ndarray) -> np.ndarray:
        """(H/8, W/8) which of `options` each block of 8 takes, 0 where a block of 16 stays whole."""
        rows, columns = field.shape[:2]
        offered = options(field).reshape(-1, CHOICES_8, 2)
        row, column = (a.ravel() for a in np.indices((2 * rows, 2 * columns)))
        differs = (offered[:, 1:] != offered[:, :1]).any((1, 2)) & self.used[row // 2, column // 2]
        here = np.flatnonzero(differs)
        costs = np.full((len(offered), CHOICES_8), np.inf)
        costs[:, 0] = 0
        for choice in range(CHOICES_8 if len(here) else 0):
            predicted = fetch(self._padded, 8, row[here], column[here], offered[here, choice].astype(np.int64))
            place = torch.from_numpy(row[here] * 2 * columns + column[here])
            costs[here, choice] = residual_price(self._eights[place] - predicted, self._step)
            if choice:
                costs[here, choice] += BIT_PRICE * OTHER_BITS
        best = costs.argmin(1)
        gain = (costs[:, 0] - costs.min(1)).reshape(rows, 2, columns, 2).sum((1, 3))
        split = (gain > BIT_PRICE * SPLIT_BITS).repeat(2, 0).repeat(2, 1)
        return np.where(split, best.reshape(2 * rows, 2 * columns), 0)


class _Nowhere:
    """A coder that writes nothing."""

    def code(self, values: np.ndarray, indices: np.ndarray, tables: TableSet) -> np.ndarray:
        return values


def choose_modes(current: Tensor, past: Tensor, future: Tensor, step: float) -> np.ndarray:
    """Least price of residual, vectors and modes for each block of 16; past, future: predictions (H, W).

    Returns (H/16, W/16).
    """
    shape = (current.shape[0] // 16, current.shape[1] // 16)
    costs = np.zeros((3, *shape))
    for mode, prediction, bits in (
        (BOTH, torch.floor((past + future + 1) * 0.5), BOTH_BITS),
        (PAST, past, SINGLE_BITS),
        (FUTURE, future, SINGLE_BITS),
    ):
        costs[mode] = residual_price(dct.to_tiles(current - prediction, 16), step).reshape(shape) + bits * BIT_PRICE
    modes = costs.argmin(0)
    for _ in range(SMOOTHING_ROUNDS):
        around = np.pad(modes, 1, mode="edge")
        neighbours = np.stack([around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]])
        differing = (neighbours[None] != np.arange(3)[:, None, None, None]).sum(1)
        modes = (costs + DISAGREEMENT_BITS * BIT_PRICE * differing).argmin(0)
    return modes


def residual_price(tiles: Tensor, step: float) -> np.ndarray:
    """(N,) what leaving or coding each tile of differences (N, n, n) would cost, squared steps: small coefficients stay
    as error, large ones take bits that grow with their logarithm."""
    x = dct.forward(tiles).abs_().mul_(1 / step)
    coded = torch.log2(1 + x).mul_(CODED_PRICE_PER_OCTAVE).add_(CODED_PRICE)
    return torch.minimum(x.square_(), coded).sum((1, 2)).numpy()


def seed_prediction(reference: Reference, seeds: np.ndarray) -> Tensor:
    """(H, W) luma prediction from the seeds alone."""
    return reference.predict_luma(seeds.repeat(2, 0).repeat(2, 1))
