# SPDX-License-Identifier: Apache-2.0
"""Learned tensors along time, read between their entries: features, local encodings, scales and shifts."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def read_in_time(grid: Tensor, position: Tensor) -> Tensor:
    """Entries of a grid at fractional positions, linearly interpolated and held at both ends.

    grid: (T, ...); position: (N,) in units of entries. Returns (N, ...).
    """
    position = position.clamp(0, grid.shape[0] - 1)
    left = position.floor().long()
    right = (left + 1).clamp(max=grid.shape[0] - 1)
    share = (position - left).view(-1, *[1] * (grid.dim() - 1)).to(grid.dtype)
    return grid[left] * (1 - share) + grid[right] * share


def centred_position(times: Tensor, frames: int, entries: int) -> Tensor:
    """Where frame numbers (N,) of ``frames`` frames fall on a grid of ``entries`` cells that covers the same time."""
    return (times + 0.5) * entries / frames - 0.5


class TemporalFeatures(nn.Module):
    """Feature maps at several temporal resolutions, side by side: FFNeRV's video grids (arXiv 2212.12294).

    lengths: entries along time of each level; channels: of all levels together; size: (h, w) of the maps.
    """

    def __init__(self, lengths: tuple[int, ...], channels: int, size: tuple[int, int], frames: int):
        super().__init__()
        self.frames = frames
        each = channels // len(lengths)
        self.levels = nn.ParameterList(
            nn.init.xavier_uniform_(torch.empty(length, each, *size)) for length in lengths
        )  # fmt: skip

    def forward(self, times: Tensor) -> Tensor:
        """(N,) frame numbers to (N, channels, h, w)."""
        share = times / self.frames  # an entry lies at the beginning of its span, as in FFNeRV
        return torch.cat([read_in_time(level, share * len(level)) for level in self.levels], 1)


class TemporalScaleShift(nn.Module):
    """Coordinate-aware modulation along time: each normalised channel is scaled and shifted by values read from a grid
    (CAM, arXiv 2311.14993, section on video).

    entries: of the grid along time.
    """

    def __init__(self, channels: int, entries: int, frames: int):
        super().__init__()
        self.entries, self.frames = entries, frames
        self.scale = nn.Parameter(torch.ones(entries, channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(entries, channels, 1, 1))

    def forward(self, features: Tensor, times: Tensor) -> Tensor:
        """features: (N, C, H, W); times: (N,) frame numbers. Returns the same shape."""
        position = times / self.frames * (self.entries - 1)
        normalised = nn.functional.instance_norm(features)
        return normalised * read_in_time(self.scale, position) + read_in_time(self.shift, position)


class HierarchicalFeatures(nn.Module):
    """HiNeRV's base encoding: grids of one map size, coarser in time and thinner level by level (arXiv 2306.09818).

    entries, channels: of the finest level; each further one has half of both. size: (h, w) of the maps.
    """

    def __init__(self, entries: int, channels: int, levels: int, size: tuple[int, int], frames: int):
        super().__init__()
        self.frames = frames
        shapes = [(entries >> i, channels >> i) for i in range(levels)]
        self.levels = nn.ParameterList(
            nn.init.uniform_(torch.empty(length, width, *size), -1e-3, 1e-3) for length, width in shapes if width
        )
        self.channels = sum(level.shape[1] for level in self.levels)

    def forward(self, times: Tensor) -> Tensor:
        """(N,) frame numbers to (N, channels, h, w)."""
        return torch.cat(
            [read_in_time(level, centred_position(times, self.frames, len(level))) for level in self.levels], 1
        )


class LocalEncoding(nn.Module):
    """What HiNeRV adds after each upsampling: for each place within a cell of ``stride`` x ``stride``, a vector that
    depends on time only, from grids in several temporal resolutions and one linear map.
    """

    def __init__(self, out_channels: int, stride: int, channels: int, levels: int, frames: int):
        super().__init__()
        self.stride, self.frames = stride, frames
        shapes = [(max(frames >> i, 1), channels >> i) for i in range(levels)]
        self.levels = nn.ParameterList(
            nn.init.uniform_(torch.empty(length, stride, stride, width), -1e-3, 1e-3)
            for length, width in shapes
            if width
        )
        self.expand = nn.Linear(sum(level.shape[3] for level in self.levels), out_channels)
        nn.init.zeros_(self.expand.bias)

    def forward(self, features: Tensor, times: Tensor) -> Tensor:
        """features: (N, C, H, W) with H and W multiples of the stride. Returns the same shape."""
        cell = [read_in_time(level, centred_position(times, self.frames, len(level))) for level in self.levels]
        encoding = self.expand(torch.cat(cell, 3)).permute(0, 3, 1, 2)  # (N, C, stride, stride)
        height, width = features.shape[2:]
        return features + encoding.repeat(1, 1, height // self.stride, width // self.stride)
