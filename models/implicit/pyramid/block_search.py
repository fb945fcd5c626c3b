# SPDX-License-Identifier: Apache-2.0
"""Full search of block motion between any two frames, coarse to fine, at the encoder only.

Quarter resolution finds where blocks of 16 went, full resolution corrects by up to four samples, neighbours offer
their vectors. Fractions are refined later, in the decoded
reference.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

COARSE = 4  # scale of the first search
RANGE_PER_FRAME, LEAST_RANGE, MOST_RANGE = 16, 16, 64  # samples
LENGTH_PRICE = 12.0  # absolute difference of a block of 16 that the square root of a vector's length may cost
NEIGHBOUR_ROUNDS = 2


def search(current: Tensor, reference: Tensor, distance: int) -> np.ndarray:
    """current, reference: (H, W) float32, multiples of 16; distance: frames between them.

    Returns (H/16, W/16, 2) int32, (x, y) in quarter samples, here whole ones: current(p) is like reference(p + v / 4).
    """
    reach = min(MOST_RANGE, max(LEAST_RANGE, RANGE_PER_FRAME * distance))
    vectors = _coarse(current, reference, reach // COARSE) * COARSE
    pad = MOST_RANGE + 16
    padded = F.pad(reference[None, None], (pad,) * 4, mode="replicate")[0, 0]
    tiles = _tiles(current, 16)
    vectors, cost = _around(tiles, padded, pad, vectors, 16, 4, 0.0)
    for _ in range(NEIGHBOUR_ROUNDS):
        vectors, cost = _from_neighbours(tiles, padded, pad, vectors, cost)
    return (4 * vectors).numpy().astype(np.int32)


def _coarse(current: Tensor, reference: Tensor, reach: int) -> Tensor:
    """(H/16, W/16, 2) at a quarter of the resolution; blocks see half of their neighbours too."""
    small, other = (F.avg_pool2d(p[None, None], COARSE)[0, 0] for p in (current, reference))
    height, width = small.shape
    padded = F.pad(other[None, None], (reach,) * 4, mode="replicate")[0, 0]
    side = 16 // COARSE
    shape = (height // side, width // side)
    best, which = torch.full(shape, float("inf")), torch.zeros(shape, dtype=torch.long)
    offsets = [(dx, dy) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
    offsets.sort(key=lambda o: o[0] ** 2 + o[1] ** 2)
    for number, (dx, dy) in enumerate(offsets):
        there = padded[reach + dy : reach + dy + height, reach + dx : reach + dx + width]
        sums = F.avg_pool2d((small - there).abs_()[None, None], 2 * side, side, side // 2)[0, 0] * 256
        sums += LENGTH_PRICE * (dx * dx + dy * dy) ** 0.25
        better = sums < best
        best = torch.where(better, sums, best)
        which.masked_fill_(better, number)
    return torch.tensor(offsets)[which]


def _tiles(plane: Tensor, size: int) -> Tensor:
    height, width = plane.shape
    return plane.reshape(height // size, size, width // size, size).transpose(1, 2).reshape(-1, size, size)


def _windows(padded: Tensor, pad: int, vectors: Tensor, size: int, reach: int) -> Tensor:
    """(N, size + 2 reach, size + 2 reach) around where the vectors (R, C, 2) point."""
    rows, columns = vectors.shape[:2]
    top = torch.arange(rows)[:, None] * size + vectors[..., 1] + pad - reach
    left = torch.arange(columns)[None] * size + vectors[..., 0] + pad - reach
    side = size + 2 * reach
    height, width = padded.shape
    view = padded.as_strided((height - side + 1, width - side + 1, side, side), (width, 1, width, 1))
    return view[top.clamp(0, height - side).flatten(), left.clamp(0, width - side).flatten()]


def _around(
    tiles: Tensor, padded: Tensor, pad: int, vectors: Tensor, size: int, reach: int, price: float
) -> tuple[Tensor, Tensor]:
    """Each vector moved to the best place within ``reach``; also the absolute difference there (R, C)."""
    windows = _windows(padded, pad, vectors, size, reach)
    positions = [(dx, dy) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
    costs = torch.empty(len(positions), len(tiles))
    for number, (dx, dy) in enumerate(positions):
        there = windows[:, reach + dy : reach + dy + size, reach + dx : reach + dx + size]
        costs[number] = (tiles - there).abs_().sum((1, 2))
        if dx or dy:
            costs[number] += price
    best, which = costs.min(0)
    shape = vectors.shape[:2]
    limit = MOST_RANGE
    moved = (vectors + torch.tensor(positions)[which].reshape(*shape, 2)).clamp(-limit, limit)
    return moved, best.reshape(shape)


def _from_neighbours(tiles: Tensor, padded: Tensor, pad: int, vectors: Tensor, cost: Tensor) -> tuple[Tensor, Tensor]:
    """Each block may take over a neighbour's vector, or none, where that is better."""
    around = F.pad(vectors.permute(2, 0, 1)[None].float(), (1, 1, 1, 1), mode="replicate")[0].long().permute(1, 2, 0)
    rows, columns = vectors.shape[:2]
    candidates = [
        around[1 + dy : 1 + dy + rows, 1 + dx : 1 + dx + columns] for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1))
    ]
    for candidate in (*candidates, torch.zeros_like(vectors)):
        there = (tiles - _windows(padded, pad, candidate, 16, 0)).abs_().sum((1, 2)).reshape(rows, columns)
        better = there < cost
        vectors = torch.where(better[..., None], candidate, vectors)
        cost = torch.where(better, there, cost)
    return vectors, cost
