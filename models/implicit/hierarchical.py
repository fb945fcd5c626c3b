# SPDX-License-Identifier: Apache-2.0
"""HiNeRV's decoder (arXiv 2306.09818): bilinear enlargement with local encodings, then ConvNeXt-like blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nvcodec.models.implicit.temporal_grids import LocalEncoding

DEPTHS, EXPANSIONS = (3, 3, 3, 1), (4, 4, 4, 1)  # blocks of each stage; how much wider a block is inside


class ChannelNorm(nn.Module):
    """Layer normalisation of (B, C, H, W) over channels, without parameters."""

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(1, keepdim=True)
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6)


class PointwiseResidual(nn.Module):
    """Depthwise 3x3, normalisation, two 1x1 layers with GELU between, no biases; a skip where the width stays."""

    def __init__(self, in_channels: int, out_channels: int, hidden: int):
        super().__init__()
        self.skip = in_channels == out_channels
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False),
            ChannelNorm(),
            nn.Conv2d(in_channels, hidden, 1, bias=False),
            nn.GELU(),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.skip else self.body(x)


class HierarchicalStage(nn.Module):
    """(B, C, h, w) to (B, C', stride h, stride w): normalise, enlarge bilinearly, add the local encoding, blocks."""

    def __init__(self, widths: tuple[int, int], stride: int, depth: int, expansion: int, local: LocalEncoding):
        super().__init__()
        self.norm, self.local = ChannelNorm(), local
        self.enlarge = nn.Upsample(scale_factor=stride, mode="bilinear", align_corners=False)
        inside = [(widths[min(i, 1)], widths[1]) for i in range(depth)]
        self.blocks = nn.Sequential(*(PointwiseResidual(a, b, expansion * widths[1]) for a, b in inside))

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        return self.blocks(self.local(self.enlarge(self.norm(x)), times))


class HierarchicalStages(nn.ModuleList):
    """Stages whose channels halve after the first: (B, channels, h, w) to (B, ``channels_out``, H, W).

    local_channels, local_levels: of the finest table of the first stage's local encoding (halved stage by stage).
    """

    def __init__(self, channels: int, strides: Sequence[int], local_channels: int, local_levels: int, frames: int):
        super().__init__()
        before = channels
        for i, stride in enumerate(strides):
            width, kind = max(channels >> i, 1), min(i, len(DEPTHS) - 1)
            local = LocalEncoding(before, stride, max(1, local_channels >> i), local_levels, frames)
            self.append(HierarchicalStage((before, width), stride, DEPTHS[kind], EXPANSIONS[kind], local))
            before = width
        self.channels_out = before

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        for stage in self:
            x = stage(x, times)
        return x
