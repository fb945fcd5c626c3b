# SPDX-License-Identifier: Apache-2.0
"""The encoder's search for motion: of whole blocks and quarters, and how well one picture predicts another."""

from __future__ import annotations

import math
from concurrent.futures import Executor

import numpy as np

from nvcodec.models.conditional.efforts import Effort
from nvcodec.models.conditional.frame import Blocks, Planes, Reference
from nvcodec.models.conditional.threads import in_waves
from nvcodec.models.depth import STEP_SCALE
from nvcodec.models.kernels import choice, compensation, rough_cost, search
from nvcodec.models.kernels.compensation import PAD
from nvcodec.models.quality import STEPS, bit_price
from nvcodec.models.transform import BlockBases, chroma_weight

MOTION_PRICE = 0.3  # absolute difference that a bit is worth, in steps
UNLIKE, ALONE_BITS = 0.9, 6.0  # share of the cost of a block alone, and bits of its mode


def choose_motion(
    picture: Planes,
    level: int,
    chroma: int,
    references: list[Reference],
    midway: bool,
    newest: Reference | None,
    scale: np.ndarray,
    blocks: Blocks,
    steps: np.ndarray,
    bases: BlockBases,
    effort: Effort,
    trial: Planes,
    pool: Executor,
) -> None:
    """Search and choose; trial: planes that are overwritten."""
    y = picture[0]
    rows, columns = blocks.rows, blocks.columns
    step, price = float(STEPS[level]) / STEP_SCALE, bit_price(level)
    prices = rough_cost.price_curve(step, price)
    small = search.quarter_size(y, 0)
    whole, quarters = np.zeros((2, rows, columns, 3)), np.zeros((2, 2 * rows, 2 * columns, 3))
    before = newest.blocks if newest else Blocks(rows, columns)

    def towards(n: int) -> None:
        there = references[n]
        search_motion(
            y, small, there.planes[0], there.quarter, before.vectors[n], level, effort.parts_from, whole[n],
            quarters[n], there.quarter_sums,
        )  # fmt: skip

    for job in [pool.submit(towards, n) for n in range(len(references))]:
        job.result()
    ready = np.ones_like(blocks.modes)
    in_waves(
        pool,
        *blocks.quads,
        lambda row, begin, end: choice.choose_blocks(
            picture, references[0].planes, references[-1].planes, len(references), midway, whole, quarters,
            effort.parts_from, effort.together_to, effort.settled_to, effort.exact, effort.rounds, price, prices,
            steps, chroma_weight(chroma), bases.summed_rates, before.kinds, before.vectors, scale, ready, blocks.pred,
            blocks.merged, blocks.large, blocks.quad, blocks.shapes, blocks.kinds, blocks.parts, blocks.vectors, trial,
            row, begin, end,
        ),
    )  # fmt: skip


def search_motion(
    y: np.ndarray,
    small: np.ndarray,
    reference: np.ndarray,
    reference_small: np.ndarray,
    before: np.ndarray,
    level: int,
    split_from: float,
    whole: np.ndarray,
    quarters: np.ndarray,
    reference_sums: np.ndarray | None = None,
) -> None:
    """Vectors of the blocks, of luma y towards a reference with borders; small, reference_small: the same at a quarter
    of their size; before, split_from, whole, quarters: as `search.search`; reference_sums: as in
    `search.coarse_search`."""
    step, price = float(STEPS[level]) / STEP_SCALE, bit_price(level)
    sad_price, rows = MOTION_PRICE * step, len(whole)
    coarse = np.zeros((*whole.shape[:2], 2), np.int32)
    search.coarse_search(small, reference_small, sad_price / 8, 0, rows, coarse, reference_sums)
    prices = rough_cost.price_curve(step, price)
    search.search(y, reference, coarse, before, sad_price, price, prices, split_from, whole, quarters)


def prediction_costs(y: np.ndarray, references: list[Reference], level: int, pool: Executor) -> np.ndarray:
    """Roughly what each 16x16 block of luma y costs, squared steps, predicted from each reference: (N, R, C)."""
    rows, columns = y.shape[0] // 16, y.shape[1] // 16
    small, nothing = search.quarter_size(y, 0), np.zeros((2 * rows, 2 * columns, 2), np.int32)
    costs = np.zeros((len(references), rows, columns, 3))

    def towards(n: int) -> None:
        there, quarters = references[n], np.zeros((2 * rows, 2 * columns, 3))
        search_motion(y, small, there.planes[0], there.quarter, nothing, level, math.inf, costs[n], quarters)

    for job in [pool.submit(towards, n) for n in range(len(references))]:
        job.result()
    return costs[..., 2]


def share_unlike(y: np.ndarray, other: np.ndarray, level: int) -> float:
    """Share of the 16x16 blocks of luma y that are no easier to predict from another picture's luma than from their own
    surroundings."""
    rows, columns = y.shape[0] // 16, y.shape[1] // 16
    small, other_small = search.quarter_size(y, 0), search.quarter_size(other, 0)
    whole, quarters = np.zeros((rows, columns, 3)), np.zeros((2 * rows, 2 * columns, 3))
    nothing = np.zeros((2 * rows, 2 * columns, 2), np.int32)
    search_motion(y, small, compensation.padded(other, PAD), other_small, nothing, level, math.inf, whole, quarters)
    alone, price = np.zeros((rows, columns)), bit_price(level)
    search.costs_alone(y, rough_cost.price_curve(float(STEPS[level]) / STEP_SCALE, price), alone)
    return float(np.mean(whole[:, :, 2] > UNLIKE * (alone + price * ALONE_BITS)))
