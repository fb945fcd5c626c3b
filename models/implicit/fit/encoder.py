# SPDX-License-Identifier: Apache-2.0
"""The encoder that HNeRV's embeddings come from: ConvNeXt (Liu et al. 2022, arXiv 2201.03545), one block a stage."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_INITIAL_GAIN = 1e-6
_WEIGHT_DEVIATION = 0.02


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each position of (B, C, H, W)."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        positions = x.permute(0, 2, 3, 1)
        return F.layer_norm(positions, self.weight.shape, self.weight, self.bias, 1e-6).permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    """Depthwise 7x7, norm, two 1x1 layers with four times the channels between, added with a learned gain."""

    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = ChannelNorm(channels)
        self.widen = nn.Conv2d(channels, 4 * channels, 1)
        self.narrow = nn.Conv2d(4 * channels, channels, 1)
        self.gain = nn.Parameter(torch.full((channels, 1, 1), _INITIAL_GAIN))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gain * self.narrow(F.gelu(self.widen(self.norm(self.depthwise(x)))))


class ConvNextEncoder(nn.Module):
    """Pictures (B, 3, H, W) in 0..1 to embeddings (B, channels, H / stride, W / stride)."""

    def __init__(self, strides: tuple[int, ...], width: int, channels: int):
        super().__init__()
        stages: list[nn.Module] = []
        sizes = [width] * (len(strides) - 1) + [channels]
        before = 3
        for i, (stride, size) in enumerate(zip(strides, sizes, strict=True)):
            down = nn.Conv2d(before, size, stride, stride)
            stages += [ChannelNorm(before), down] if i else [down, ChannelNorm(size)]
            stages.append(ConvNextBlock(size))
            before = size
        self.stages = nn.Sequential(*stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=_WEIGHT_DEVIATION)
                nn.init.zeros_(module.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.stages(pictures)
