# SPDX-License-Identifier: Apache-2.0
"""Block prediction from one or two decoded frames, exact, and fast where most blocks stand still or are not used."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

BOTH, PAST, FUTURE = 0, 1, 2  # modes of a block of 16 between two frames
PAD = 32
# Interpolation of H.265 (ITU-T H.265, tables 8-4 and 8-5): quarter-pixel luma, eighth-pixel chroma.
_LUMA_TAPS = (
    (0, 0, 0, 64),
    (-1, 4, -10, 58, 17, -5, 1),
    (-1, 4, -11, 40, 40, -11, 4, -1),
    (0, 1, -5, 17, 58, -10, 4, -1),
)
_CHROMA_TAPS = (
    (0, 64, 0, 0), (-2, 58, 10, -2), (-4, 54, 16, -2), (-6, 46, 28, -4),
    (-4, 36, 36, -4), (-4, 28, 46, -6), (-2, 16, 54, -4), (-2, 10, 58, -2),
)  # fmt: skip
Planes = tuple[Tensor, Tensor, Tensor]


class Reference:
    """A decoded frame ready to predict from: planes (H, W) and (H/2, W/2) twice, float32 integers 0..255."""

    def __init__(self, planes: Planes):
        self.planes = planes
        self.padded = [F.pad(p[None, None], (PAD,) * 4, mode="replicate")[0, 0].contiguous() for p in planes]

    def predict_luma(self, vectors: np.ndarray) -> Tensor:
        """The luma of `predict`."""
        rows, columns = np.nonzero((vectors != 0).any(2))
        chosen = vectors[rows, columns].astype(np.int64)
        result = self.planes[0].clone()
        _move(result, self.padded[0], 8, False, rows, columns, chosen)
        return result

    def predict(self, vectors: np.ndarray, used: np.ndarray | None = None) -> Planes:
        """vectors: (H/8, W/8, 2) quarter pixels; used: (H/8, W/8) bool, where a prediction is needed (elsewhere: the
        frame as it is)."""
        moving = (vectors != 0).any(2) if used is None else (vectors != 0).any(2) & used
        # four blocks of 8 that move alike are fetched as one
        four = moving.reshape(moving.shape[0] // 2, 2, moving.shape[1] // 2, 2).all((1, 3))
        four &= (
            (vectors == vectors[::2, ::2].repeat(2, 0).repeat(2, 1))
            .all(2)
            .reshape(four.shape[0], 2, four.shape[1], 2)
            .all((1, 3))
        )
        groups = []
        for block, grid, where in ((16, vectors[::2, ::2], four), (8, vectors, moving & ~_twice(four))):
            rows, columns = np.nonzero(where)
            groups.append((block, rows, columns, grid[rows, columns].astype(np.int64)))
        result = tuple(plane.clone() for plane in self.planes)
        for number, (plane, padded) in enumerate(zip(result, self.padded, strict=True)):
            for block, rows, columns, chosen in groups:
                _move(plane, padded, block >> (number > 0), number > 0, rows, columns, chosen)
        return result  # type: ignore[return-value]


def _twice(grid: np.ndarray) -> np.ndarray:
    return grid.repeat(2, 0).repeat(2, 1)


def _move(
    plane: Tensor,
    padded: Tensor,
    block: int,
    chroma: bool,
    rows: np.ndarray,
    columns: np.ndarray,
    vectors: np.ndarray,
) -> None:
    """Replace some blocks of a plane by what their vectors point at."""
    if len(rows):
        tiles = plane.view(plane.shape[0] // block, block, plane.shape[1] // block, block)
        moved = fetch(padded, block, rows, columns, vectors, chroma)
        tiles[torch.from_numpy(rows), :, torch.from_numpy(columns), :] = moved


def fetch(
    padded: Tensor, block: int, rows: np.ndarray, columns: np.ndarray, vectors: np.ndarray, chroma: bool = False
) -> Tensor:
    """(N, block, block) what vectors (N, 2) of blocks at (rows, columns) point at, float32 integers 0..255.

    padded: plane with PAD repeated samples on each side; block: 8 or 16 for luma, 4 or 8 for chroma. Blocks of one
    phase share two matrix products.
    """
    table = _filters(block, chroma)
    phases, size = table.shape[0], table.shape[2]
    lead = 1 if chroma else 3
    whole, phase = np.divmod(vectors, phases)
    height, width = padded.shape
    top = (rows * block + whole[:, 1] - lead + PAD).clip(0, height - size)
    left = (columns * block + whole[:, 0] - lead + PAD).clip(0, width - size)
    both = phase[:, 1] * phases + phase[:, 0]
    order = np.argsort(both, kind="stable")
    groups, starts = np.unique(both[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    view = padded.as_strided((height - size + 1, width - size + 1, size, size), (width, 1, width, 1))
    patches = view[torch.from_numpy(top[order]), torch.from_numpy(left[order])]  # (N, size, size)
    blocks = torch.empty(len(order), block, block)
    for group, start, end in zip(groups.tolist(), starts.tolist(), ends.tolist(), strict=True):
        vertical, horizontal = table[group // phases], table[group % phases]
        across = patches[start:end].reshape(-1, size) @ horizontal.t()
        across = across.reshape(-1, size, block).transpose(1, 2).reshape(-1, size)
        blocks[start:end] = (across @ vertical.t()).reshape(-1, block, block).transpose(1, 2)
    result = torch.empty_like(blocks)
    result[torch.from_numpy(order)] = blocks.mul_(1 / 4096).add_(0.5).floor_().clamp_(0, 255)
    return result


@lru_cache(maxsize=4)
def _filters(block: int, chroma: bool) -> Tensor:
    """(phases, block, block + taps - 1) float32 integers: row i holds the taps shifted by i."""
    taps, count = (_CHROMA_TAPS, 4) if chroma else (_LUMA_TAPS, 8)
    table = torch.zeros(len(taps), block, block + count - 1)
    for phase, row in enumerate(taps):
        for i in range(block):
            table[phase, i, i : i + len(row)] = torch.tensor(row, dtype=torch.float32)
    return table


def shown(past: Planes, future: Planes, modes: np.ndarray) -> tuple[Planes, Planes]:
    """Two predictions of every block: in blocks of 16 whose mode is one-sided, the same twice; modes: (H/16, W/16)."""
    only_past, only_future = torch.from_numpy(modes == PAST), torch.from_numpy(modes == FUTURE)
    first, second = [], []
    for number, (a, b) in enumerate(zip(past, future, strict=True)):
        size = 16 if number == 0 else 8
        shape = (modes.shape[0], size, modes.shape[1], size)
        tiles_a, tiles_b = a.view(shape), b.view(shape)
        first.append(torch.where(only_future[:, None, :, None], tiles_b, tiles_a).view(a.shape))
        second.append(torch.where(only_past[:, None, :, None], tiles_a, tiles_b).view(a.shape))
    return tuple(first), tuple(second)  # type: ignore[return-value]


def mean_of(first: Planes, second: Planes) -> Planes:
    """The mean of two predictions, rounded up from halves."""
    return tuple(torch.floor((a + b) * 0.5 + 0.5) for a, b in zip(first, second, strict=True))  # type: ignore[return-value]
