# SPDX-License-Identifier: Apache-2.0
"""Learned tensors along time, read between their entries: features, local encodings, scales and shifts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nvcodec.models.implicit.layers import instance_normalised
from nvcodec.models.implicit.sources import interpolated

_SMALL = 1e-3  # HiNeRV's grids begin within this of zero


class TimeTable(nn.Module):
    """A table (T, ...) read at fractional positions (B,) in units of entries: (B, ...)."""

    def __init__(self, table: Tensor):
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, position: Tensor) -> Tensor:
        return interpolated(self.table, position.to(self.table.dtype))


def centred(times: Tensor, frames: int, table: TimeTable) -> Tensor:
    """Where frame numbers (B,) fall on a table that covers the same time with another number of cells."""
    entries = len(table.table)
    return (times + 0.5) * entries / frames - 0.5


def uniform_tables(shapes: list[tuple[int, ...]]) -> nn.ModuleList:
    """One table for each shape that is not empty."""
    return nn.ModuleList(
        TimeTable(nn.init.uniform_(torch.empty(shape), -_SMALL, _SMALL)) for shape in shapes if all(shape)
    )


class TemporalFeatures(nn.Module):
    """Feature maps at several temporal resolutions, side by side: FFNeRV's video grids (arXiv 2212.12294).

    lengths: entries along time of each level; channels: of all levels together; size: (h, w) of the maps. Frame numbers
    (B,) to (B, channels, h, w).
    """

    def __init__(self, lengths: tuple[int, ...], channels: int, size: tuple[int, int], frames: int):
        super().__init__()
        self.frames = frames
        shape = (channels // len(lengths), *size)
        self.levels = nn.ModuleList(TimeTable(nn.init.xavier_uniform_(torch.empty(n, *shape))) for n in lengths)

    def forward(self, times: Tensor) -> Tensor:
        # an entry lies at the beginning of its span, as in FFNeRV
        return torch.cat([level(times * len(level.table) / self.frames) for level in self.levels], 1)


class TemporalScaleShift(nn.Module):
    """Coordinate-aware modulation along time (CAM, arXiv 2311.14993): every channel of (B, C, H, W) is normalised over
    its picture, then scaled and shifted by values read from tables of ``entries`` along time.
    """

    def __init__(self, channels: int, entries: int, frames: int):
        super().__init__()
        self.entries, self.frames = entries, frames
        self.scale = TimeTable(torch.ones(entries, channels, 1, 1))
        self.shift = TimeTable(torch.zeros(entries, channels, 1, 1))

    def forward(self, features: Tensor, times: Tensor) -> Tensor:
        position = times / self.frames * (self.entries - 1)
        return instance_normalised(features) * self.scale(position) + self.shift(position)


class HierarchicalFeatures(nn.Module):
    """HiNeRV's base encoding (arXiv 2306.09818): maps of one size, level by level coarser in time and thinner.

    entries, channels: of the finest level, halved for each further one; size: (h, w) of the maps. Frame numbers (B,) to
    (B, channels of all levels, h, w).
    """

    def __init__(self, entries: int, channels: int, levels: int, size: tuple[int, int], frames: int):
        super().__init__()
        self.frames = frames
        self.levels = uniform_tables([(max(entries >> i, 1), channels >> i, *size) for i in range(levels)])
        self.channels = sum(level.table.shape[1] for level in self.levels)

    def forward(self, times: Tensor) -> Tensor:
        return torch.cat([level(centred(times, self.frames, level)) for level in self.levels], 1)


class LocalEncoding(nn.Module):
    """What HiNeRV adds after each enlargement: for each place within a cell of ``stride`` x ``stride`` samples, a
    vector that depends on time only, from tables in several temporal resolutions and one linear map. (B, C, H, W) to
    the same.
    """

    def __init__(self, out_channels: int, stride: int, channels: int, levels: int, frames: int):
        super().__init__()
        self.stride, self.frames = stride, frames
        self.levels = uniform_tables([(max(frames >> i, 1), stride, stride, channels >> i) for i in range(levels)])
        self.expand = nn.Linear(sum(level.table.shape[3] for level in self.levels), out_channels)
        nn.init.zeros_(self.expand.bias)

    def forward(self, features: Tensor, times: Tensor) -> Tensor:
        cell = torch.cat([level(centred(times, self.frames, level)) for level in self.levels], 3)
        encoding = self.expand(cell).permute(0, 3, 1, 2)  # (B, C, stride, stride)
        height, width = features.shape[2:]
        return features + encoding.repeat(1, 1, height // self.stride, width // self.stride)
