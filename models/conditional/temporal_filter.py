# SPDX-License-Identifier: Apache-2.0
"""Filters a picture along motion before it is coded (see `nvcodec.models.kernels.temporal`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np

from nvcodec.models.conditional.frame import Planes, empty_planes, without_borders
from nvcodec.models.conditional.motion_search import search_motion
from nvcodec.models.depth import STEP_SCALE
from nvcodec.models.kernels import compensation, search, temporal
from nvcodec.models.kernels.compensation import FIRST, PAD
from nvcodec.models.quality import STEPS

STRENGTHS = (0.7, 0.5, 0.35, 0.25)  # of the frames at distances 1, 2, ...
DEVIATION = 6.6  # times the square root of the quantisation step: of samples that count
TOLERANCE = 10.0  # times the quantisation step: mean squared difference of squares that count less
CHROMA_STRENGTH = 0.8
WORTH_LEVELS, WORTH_MOST = 4.0, 8  # levels of a unit for each doubling of what depends on it
WORTH_ERROR = 0.15  # squared steps: mean squared difference at which half of a unit depends on another


def filtered(
    picture: Planes, others: Sequence[tuple[int, Planes]], level: int, pool: Executor
) -> tuple[Planes, np.ndarray]:
    """A picture as a mean of itself and of others moved onto it, so far as they agree; and by how many levels its units
    are worth to be finer, since others can be predicted from them.

    picture, others: planes, sides multiples of 16 (8 for chroma), others with their distances in frames.
    """
    rows, columns = picture[0].shape[0] // 16, picture[0].shape[1] // 16
    if not others:
        return picture, np.zeros(((rows + 1) // 2, (columns + 1) // 2), np.int8)
    step = float(STEPS[level]) / STEP_SCALE
    small = search.quarter_size(picture[0], 0)
    moved = list(pool.map(lambda other: _moved(picture[0], small, other[1], level), others))
    strengths = np.array([STRENGTHS[distance - 1] for distance, _ in others], np.float32)
    out = tuple(np.empty_like(plane) for plane in picture)
    for part, plane in enumerate(picture):
        stack = np.stack([planes[part] for planes in moved])
        side = 4 if part else 8
        temporal.blend(
            plane, stack, strengths * np.float32(CHROMA_STRENGTH if part else 1), DEVIATION * step**0.5,
            TOLERANCE * step, side, 0, plane.shape[0] // side, out[part],
        )  # fmt: skip
    return out, _worth(picture[0], [planes[0] for planes in moved], step)


def _worth(y: np.ndarray, moved: list[np.ndarray], step: float) -> np.ndarray:
    """Levels by which each unit is finer: its share of what of other frames is predicted from it."""
    worth = np.ones(tuple(-(-side // temporal.UNIT) for side in y.shape))
    errors = np.empty(worth.shape, np.int64)
    for other in moved:
        temporal.unit_errors(y, other, errors)
        worth += 1 / (1 + errors / (temporal.UNIT**2 * WORTH_ERROR * step * step))
    levels = WORTH_LEVELS * np.log2(worth)
    levels -= levels.mean()
    return np.clip(np.round(levels), -WORTH_MOST, WORTH_MOST).astype(np.int8)


def _moved(y: np.ndarray, small: np.ndarray, other: Planes, level: int) -> Planes:
    """Another picture's planes moved onto luma y, which ``small`` is at a quarter of its size."""
    rows, columns = y.shape[0] // 16, y.shape[1] // 16
    reference = tuple(compensation.padded(plane, PAD // 2 if n else PAD) for n, plane in enumerate(other))
    nothing = np.zeros((2 * rows, 2 * columns, 2), np.int32)
    whole, quarters = np.zeros((rows, columns, 3)), np.zeros((2 * rows, 2 * columns, 3))
    search_motion(
        y, small, reference[0], search.quarter_size(other[0], 0), nothing, level, math.inf, whole, quarters
    )  # fmt: skip
    vectors = np.zeros((2, 2 * rows, 2 * columns, 2), np.int32)
    vectors[0] = whole[:, :, :2].repeat(2, 0).repeat(2, 1)
    planes = empty_planes(rows, columns)
    out = without_borders(planes)
    compensation.compensate(
        reference, reference, np.full((2 * rows, 2 * columns), FIRST, np.uint8), vectors, False, 0, rows, *out
    )
    return out
