# SPDX-License-Identifier: Apache-2.0
"""Motion compensation with integer positions and integer taps: exact on every device.

Interpolation filters are those of H.265 (ITU-T H.265, tables 8-4 and 8-5): eight taps for quarter-pixel luma, four for
eighth-pixel chroma; unlike there, both directions are applied at full precision and rounded once.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_LUMA_TAPS = (
    (0, 0, 0, 64, 0, 0, 0, 0),
    (-1, 4, -10, 58, 17, -5, 1, 0),
    (-1, 4, -11, 40, 40, -11, 4, -1),
    (0, 1, -5, 17, 58, -10, 4, -1),
)
_CHROMA_TAPS = (
    (0, 64, 0, 0),
    (-2, 58, 10, -2),
    (-4, 54, 16, -2),
    (-6, 46, 28, -4),
    (-4, 36, 36, -4),
    (-4, 28, 46, -6),
    (-2, 16, 54, -4),
    (-2, 10, 58, -2),
)
BLOCK = 8
_PAD = 16


def _filters(taps: tuple[tuple[int, ...], ...], block: int) -> Tensor:
    """(phases, block, block + taps - 1): row i holds the taps shifted by i."""
    count = len(taps[0])
    table = torch.zeros(len(taps), block, block + count - 1)
    for phase, row in enumerate(taps):
        for i in range(block):
            table[phase, i, i : i + count] = torch.tensor(row, dtype=torch.float32)
    return table


_TABLES = {8: _filters(_LUMA_TAPS, 8), 4: _filters(_CHROMA_TAPS, 4)}


def compensate(plane: Tensor, vectors: Tensor, block: int = BLOCK) -> Tensor:
    """Predict a plane block by block from another.

    plane: (B, H, W) float32 integers in [0, 255], H and W multiples of ``block``; vectors: (B, H/block, W/block, 2)
    int, (x, y) in quarter luma pixels; block: 8 for luma, 4 for chroma of 4:2:0 (where the same vector counts eighths).
    Returns (B, H, W) float32 integers in [0, 255]. Positions beyond the edge repeat it. Differentiable in ``plane``.
    """
    batch, height, width = plane.shape
    rows, columns = vectors.shape[1:3]
    table = _TABLES[block].to(plane.device)
    phases, size = table.shape[0], table.shape[2]
    lead = (size - block) // 2 if block == 8 else 1
    x, y = vectors[..., 0].long(), vectors[..., 1].long()
    whole_x, whole_y = x.div(phases, rounding_mode="floor"), y.div(phases, rounding_mode="floor")
    top = torch.arange(rows, device=plane.device)[:, None] * block + whole_y - lead
    left = torch.arange(columns, device=plane.device)[None] * block + whole_x - lead
    patches = _gather(plane, top, left, size) if plane.requires_grad else Patches(plane).at(top, left, size)
    vertical, horizontal = table[(y % phases).flatten()], table[(x % phases).flatten()]
    predicted = vertical @ patches @ horizontal.mT / 4096
    rounded = torch.floor(predicted.detach() + 0.5).clamp_(0, 255)
    if plane.requires_grad:
        rounded = predicted + (rounded - predicted).detach()
    return rounded.reshape(batch, rows, columns, block, block).transpose(2, 3).reshape(batch, height, width)


class BlockMatch:
    """Sums of absolute differences of 8x8 luma blocks after motion, at the encoder only.

    current, reference: (H, W) float32, sides multiples of 8. Blocks are numbered row by row; vectors (N, 2) are quarter
    pixels, (x, y).
    """

    def __init__(self, current: Tensor, reference: Tensor):
        self._reference = Patches(reference[None])
        self._tiles = current.unfold(0, BLOCK, BLOCK).unfold(1, BLOCK, BLOCK).reshape(-1, BLOCK, BLOCK)
        self._columns = current.shape[1] // BLOCK

    def differences(self, blocks: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """(N,) of blocks (N,), each with its vector."""
        which, patches, x, y = self._fetch(blocks, vectors, 15)
        table = _TABLES[BLOCK]
        predicted = table[y & 3] @ patches @ table[x & 3].mT / 4096
        return predicted.sub_(self._tiles[which]).abs_().sum((1, 2)).numpy()

    def neighbours(self, blocks: np.ndarray, vectors: np.ndarray, stride: int) -> np.ndarray:
        """(N, 9) of each vector and the eight around it, ``stride`` (1 or 2) quarter pixels apart, by rows: (-s, -s),
        (0, -s), (s, -s), (-s, 0), ... All nine share one patch and two matrix products."""
        table = _neighbour_table(stride)
        which, patches, x, y = self._fetch(blocks, vectors - stride, 16)
        predicted = table[y & 3] @ patches @ table[x & 3].mT  # (N, 24, 24): 3 x 3 predictions
        tiles = predicted.reshape(-1, 3, BLOCK, 3, BLOCK) / 4096 - self._tiles[which][:, None, :, None, :]
        return tiles.abs_().sum((2, 4)).reshape(-1, 9).numpy()

    def _fetch(self, blocks: np.ndarray, vectors: np.ndarray, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        which = torch.from_numpy(np.asarray(blocks, np.int64))
        x, y = torch.from_numpy(vectors.astype(np.int64)).unbind(1)
        top, left = which // self._columns * BLOCK + (y >> 2) - 3, which % self._columns * BLOCK + (x >> 2) - 3
        return which, self._reference.at(top[None, :, None], left[None, :, None], size), x, y


def neighbour_differences(
    current: Tensor, reference: Tensor, top: np.ndarray, left: np.ndarray, vectors: np.ndarray, stride: int
) -> np.ndarray:
    """`BlockMatch.neighbours` of blocks whose corners are (top, left)."""
    blocks = top // BLOCK * (current.shape[1] // BLOCK) + left // BLOCK
    return BlockMatch(current, reference).neighbours(blocks, vectors, stride)


@lru_cache(maxsize=2)
def _neighbour_table(stride: int) -> Tensor:
    """(4, 24, 16): for each phase, the filters of three positions ``stride`` quarters apart, as rows of one matrix."""
    table = torch.zeros(4, 3 * BLOCK, 16)
    for phase in range(4):
        for step in range(3):
            shift, fraction = divmod(phase + step * stride, 4)
            table[phase, step * BLOCK : (step + 1) * BLOCK, shift : shift + 15] = _TABLES[BLOCK][fraction]
    return table


def _gather(plane: Tensor, top: Tensor, left: Tensor, size: int) -> Tensor:
    """(B * blocks, size, size) patches through flat indices: slower, with a gradient that needs no more memory."""
    batch, height, width = plane.shape
    steps = torch.arange(size, device=plane.device)
    ys = (top[..., None] + steps).clamp(0, height - 1)
    xs = (left[..., None] + steps).clamp(0, width - 1)
    index = ys[..., :, None] * width + xs[..., None, :]
    return plane.flatten(1).gather(1, index.reshape(batch, -1)).reshape(-1, size, size)


class Patches:
    """Square patches of planes (B, H, W), of up to 16 samples a side, at any place; beyond the edge it is repeated."""

    def __init__(self, planes: Tensor):
        self._padded = F.pad(planes[None], (_PAD, _PAD, _PAD, _PAD), mode="replicate")[0]

    def at(self, top: Tensor, left: Tensor, size: int) -> Tensor:
        """(N, size, size) patches; top, left: (B, ..) corners, N of them in all."""
        batch, height, width = self._padded.shape
        tall, wide = height - size + 1, width - size + 1
        strides = self._padded.stride()
        view = self._padded.as_strided((batch, tall, wide, size, size), (*strides, *strides[1:]))
        of = torch.arange(batch, device=top.device)[:, None, None].expand_as(top)
        # further out than a patch is wide, every position shows the repeated edge anyway
        return view[of, (top + _PAD).clamp(0, tall - 1), (left + _PAD).clamp(0, wide - 1)].reshape(-1, size, size)


def warp_features(features: Tensor, vectors: Tensor) -> Tensor:
    """Move a feature map of one position per 8x8 block along block vectors, bilinear in eighths of a block.

    features: (B, C, H/8, W/8) on the activation grid; vectors: (B, H/8, W/8, 2) int, quarter pixels. Result
    (B, C, H/8, W/8), multiples of the grid / 64: exact. Differentiable in ``features``.
    """
    batch, channels, rows, columns = features.shape
    eighths = (vectors.long() + 2).div(4, rounding_mode="floor")
    x = torch.arange(columns, device=features.device)[None] + eighths[..., 0].div(8, rounding_mode="floor")
    y = torch.arange(rows, device=features.device)[:, None] + eighths[..., 1].div(8, rounding_mode="floor")
    fx, fy = (eighths[..., 0] % 8).to(features.dtype), (eighths[..., 1] % 8).to(features.dtype)
    table = features.permute(0, 2, 3, 1).reshape(batch * rows * columns, channels)
    offset = torch.arange(batch, device=features.device)[:, None, None] * (rows * columns)
    moved = torch.zeros_like(table)
    for dy, weight_y in ((0, 8 - fy), (1, fy)):
        for dx, weight_x in ((0, 8 - fx), (1, fx)):
            index = offset + (y + dy).clamp(0, rows - 1) * columns + (x + dx).clamp(0, columns - 1)
            weight = (weight_y * weight_x / 64).reshape(-1, 1)
            moved = moved + table[index.reshape(-1)] * weight
    return moved.reshape(batch, rows, columns, channels).permute(0, 3, 1, 2)
