# SPDX-License-Identifier: Apache-2.0
"""HiNeRV's decoder: bilinear upsampling with local encodings, then ConvNeXt-like blocks (arXiv 2306.09818)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nvcodec.models.implicit.temporal_grids import HierarchicalFeatures, LocalEncoding


@dataclass(frozen=True)
class HierarchicalShape:
    """Everything that decides HiNeRV's tensors; the published settings are those of its official configurations.

    channels: of the first stage, halved from stage to stage; base_entries, base_channels: finest level of the base
    grids; local_channels: of the first stage's local encoding, halved from stage to stage.
    """

    channels: int
    base_entries: int
    base_channels: int
    local_channels: int
    strides: tuple[int, ...] = (5, 2, 2, 2)
    depths: tuple[int, ...] = (3, 3, 3, 1)
    expansions: tuple[int, ...] = (4, 4, 4, 1)
    base_levels: int = 2
    local_levels: int = 3


class ChannelNorm(nn.Module):
    """Layer normalisation over channels, without parameters."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        centred = features - features.mean(1, keepdim=True)
        return centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + 1e-6)


class ResidualPointwise(nn.Module):
    """Depthwise 3x3, normalisation, two pointwise layers with GELU between; a skip where the width stays."""

    def __init__(self, in_channels: int, out_channels: int, hidden: int):
        super().__init__()
        self.keeps = in_channels == out_channels
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False),
            ChannelNorm(),
            nn.Conv2d(in_channels, hidden, 1, bias=False),
            nn.GELU(),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        return features + self.body(features) if self.keeps else self.body(features)


class HierarchicalStage(nn.Module):
    """Normalise, enlarge bilinearly, add the local encoding, then the blocks."""

    def __init__(self, widths: tuple[int, int], stride: int, depth: int, hidden: int, local: LocalEncoding):
        super().__init__()
        self.norm, self.local = ChannelNorm(), local
        self.enlarge = nn.Upsample(scale_factor=stride, mode="bilinear", align_corners=False)
        inner = [(widths[0] if i == 0 else widths[1], widths[1]) for i in range(depth)]
        self.blocks = nn.Sequential(*(ResidualPointwise(a, b, hidden) for a, b in inner))

    def forward(self, features: Tensor, times: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C', h * stride, w * stride)."""
        return self.blocks(self.local(self.enlarge(self.norm(features)), times))


class HierarchicalDecoder(nn.Module):
    """Frame numbers to pictures. size: (height, width), multiples of the product of the strides."""

    def __init__(self, shape: HierarchicalShape, size: tuple[int, int], frames: int):
        super().__init__()
        total = math.prod(shape.strides)
        self.base = HierarchicalFeatures(
            shape.base_entries, shape.base_channels, shape.base_levels, (size[0] // total, size[1] // total), frames
        )
        self.stem = nn.Conv2d(self.base.channels, shape.channels, 3, padding=1)
        nn.init.zeros_(self.stem.bias)
        self.stages = nn.ModuleList()
        before = shape.channels
        for i, (stride, depth, expansion) in enumerate(
            zip(shape.strides, shape.depths, shape.expansions, strict=True)
        ):  # fmt: skip
            width = shape.channels >> i
            local = LocalEncoding(before, stride, max(1, shape.local_channels >> i), shape.local_levels, frames)
            self.stages.append(HierarchicalStage((before, width), stride, depth, width * expansion, local))
            before = width
        self.head = nn.Conv2d(before, 3, 1)
        nn.init.zeros_(self.head.bias)

    def forward(self, times: Tensor) -> Tensor:
        """(N,) frame numbers to (N, 3, height, width) in 0..1."""
        features = self.stem(self.base(times))
        for stage in self.stages:
            features = stage(features, times)
        return torch.sigmoid(self.head(features))
