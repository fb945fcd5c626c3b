# SPDX-License-Identifier: Apache-2.0
"""Strides for recipes whose papers start from a grid of a certain number of cells, whatever the picture's size."""

from __future__ import annotations

import math
from typing import Any

from nvcodec.models.implicit.budget import MOST_PADDING, choose_strides, grid
from nvcodec.models.implicit.representation import Geometry

NERV_CELLS = 9 * 16  # NeRV, Boosting-NeRV, NeRV++, FFNeRV, PFNR: 5 2 2 2 2 at 720p, 5 3 2 2 2 at 1080p
NERV_LADDER = ((5, 3, 2, 2, 2), (5, 2, 2, 2, 2), (4, 2, 2, 2, 2), (3, 2, 2, 2, 2), (2, 2, 2, 2, 2),
               (3, 2, 2, 2), (2, 2, 2, 2), (3, 2, 2), (2, 2, 2))  # fmt: skip
HINERV_CELLS = 18 * 32  # HiNeRV: 5 2 2 2 at 720p, 5 3 2 2 at 1080p
HINERV_LADDER = ((5, 3, 2, 2), (5, 2, 2, 2), (4, 2, 2, 2), (3, 2, 2, 2), (2, 2, 2, 2), (2, 2, 2))


def strides_near(
    geometry: Geometry, options: dict[str, Any], ladder: tuple[tuple[int, ...], ...], cells: int
) -> tuple[int, ...]:
    """Strides that the user asked for, or those of the ladder that leave nearest to ``cells`` and pad little.

    Raises UsageError for pictures smaller than the strides.
    """
    if options.get("strides"):
        return choose_strides(geometry.height, geometry.width, options)

    def distance(strides: tuple[int, ...]) -> tuple[bool, float]:
        rows, columns = grid(geometry.height, geometry.width, strides)
        padded = rows * columns * math.prod(strides) ** 2 > MOST_PADDING * geometry.height * geometry.width
        return padded, abs(math.log(rows * columns / cells))

    best = min(ladder, key=distance)
    return choose_strides(geometry.height, geometry.width, {"strides": best})


def cells_of(geometry: Geometry, strides: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of the coarsest grid."""
    return grid(geometry.height, geometry.width, strides)
