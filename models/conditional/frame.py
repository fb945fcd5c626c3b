# SPDX-License-Identifier: Apache-2.0
"""A decoded frame: its planes with borders, and the decisions that it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nvcodec.models.kernels import search
from nvcodec.models.kernels.compensation import PAD
from nvcodec.models.quality import LEVELS, STEPS

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]  # uint16, see nvcodec.models.depth


@dataclass
class Reference:
    """A decoded frame as later ones see it: planes with borders, and its decisions."""

    planes: Planes
    blocks: Blocks
    level: int
    number: int = 0  # of the frame, in display order
    distances: tuple[int, ...] = ()  # to its own references

    @cached_property
    def quarter(self) -> np.ndarray:
        """Luma at a quarter of its size, for the search."""
        return search.quarter_size(self.planes[0], PAD)

    @cached_property
    def quarter_sums(self) -> np.ndarray:
        """Sums of 4x4 samples of that."""
        return search.window_sums(self.quarter)

    def picture(self) -> Planes:
        """The planes without borders (views)."""
        y, u, v = self.planes
        half = PAD // 2
        return y[PAD:-PAD, PAD:-PAD], u[half:-half, half:-half], v[half:-half, half:-half]


@dataclass
class Blocks:
    """Decisions of a frame of R x C blocks of 16x16 (see `nvcodec.models.kernels.syntax.code_blocks`)."""

    rows: int
    columns: int
    pred: np.ndarray = field(init=False)
    merged: np.ndarray = field(init=False)
    coded: np.ndarray = field(init=False)
    fine: np.ndarray = field(init=False)
    banks: np.ndarray = field(init=False)
    finer: np.ndarray = field(init=False)
    tiny: np.ndarray = field(init=False)
    energy: np.ndarray = field(init=False)
    large: np.ndarray = field(init=False)
    quad: np.ndarray = field(init=False)
    modes: np.ndarray = field(init=False)
    from_luma: np.ndarray = field(init=False)
    shapes: np.ndarray = field(init=False)
    kinds: np.ndarray = field(init=False)
    parts: np.ndarray = field(init=False)
    vectors: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.rows, self.columns)
        self.pred, self.merged, self.coded, self.fine, self.energy, self.large, self.quad, self.shapes = (
            np.zeros(shape, np.uint8) for _ in range(8)
        )
        self.banks = np.zeros(((self.rows + 1) // 2, (self.columns + 1) // 2), np.uint8)
        self.finer = np.zeros_like(self.banks, np.int8)
        self.tiny, self.from_luma, self.kinds, self.parts = (
            np.zeros((2 * self.rows, 2 * self.columns), np.uint8) for _ in range(4)
        )
        self.modes = np.full((4 * self.rows, 4 * self.columns), 1, np.uint8)
        self.vectors = np.zeros((2, 2 * self.rows, 2 * self.columns, 2), np.int32)

    @property
    def quads(self) -> tuple[int, int]:
        """How many quads, of 4 x 4 blocks, there are down and across."""
        return -(-self.rows // 4), -(-self.columns // 4)


def steps_of(level: int, blocks: Blocks) -> np.ndarray:
    """(R, C) int32 quantisation step of each block, sixteenths."""
    levels = np.clip(level + blocks.finer.astype(np.int64), 0, LEVELS - 1)
    return np.ascontiguousarray(
        np.repeat(np.repeat(STEPS[levels], 2, 0), 2, 1)[: blocks.rows, : blocks.columns], np.int32
    )


def empty_planes(rows: int, columns: int) -> Planes:
    """Room for planes with borders."""
    size = np.array([16 * rows, 16 * columns])
    return (
        np.empty(size + 2 * PAD, np.uint16),
        np.empty(size // 2 + PAD, np.uint16),
        np.empty(size // 2 + PAD, np.uint16),
    )


def without_borders(planes: Planes) -> Planes:
    half = PAD // 2
    return planes[0][PAD:-PAD, PAD:-PAD], planes[1][half:-half, half:-half], planes[2][half:-half, half:-half]
