# SPDX-License-Identifier: Apache-2.0
"""The few shapes every network here is built from, in exact arithmetic and native channels-last."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nvcodec.models.exact import ExactConv2d, relu_activation, to_activation


class Block(nn.Module):
    """Residual block: depthwise 3x3 between two 1x1, then a gated feed-forward; 4 c^2 + 4.5 c MAC per position.

    Input and output (B, C, H, W) float.
    """

    def __init__(self, channels: int):
        super().__init__()
        half = channels // 2
        self.squeeze = ExactConv2d(channels, half)
        self.depthwise = ExactConv2d(half, half, 3, depthwise=True)
        self.expand = ExactConv2d(half, channels)
        self.gate = ExactConv2d(channels, 2 * channels)
        self.out = ExactConv2d(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        mixed = relu_activation(self.squeeze(to_activation(x)))
        x = x + self.expand(to_activation(self.depthwise(mixed)))
        gate, value = self.gate(to_activation(x)).chunk(2, 1)
        return x + self.out(to_activation(F.relu(gate) * value))


class Project(nn.Module):
    """1x1 convolution of the 8-bit version of its input."""

    def __init__(self, in_channels: int, out_channels: int, weight_scale: float | None = None):
        super().__init__()
        self.conv = ExactConv2d(in_channels, out_channels)
        if weight_scale is not None:
            scale_init(self.conv, weight_scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(to_activation(x))


class Down(nn.Module):
    """Half the resolution: pixel-unshuffle 2 and a 1x1 convolution."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.project = Project(4 * in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(F.pixel_unshuffle(x, 2))


class Up(nn.Module):
    """Twice the resolution: a 1x1 convolution and pixel-shuffle 2."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.project = Project(in_channels, 4 * out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.project(x), 2)


def blocks(count: int, channels: int) -> nn.Sequential:
    """``count`` residual blocks in a row."""
    return nn.Sequential(*[Block(channels) for _ in range(count)])


def scale_init(conv: ExactConv2d, scale: float) -> None:
    """Start a layer near zero (its learned part is added to something that already works)."""
    with torch.no_grad():
        conv.weight.mul_(scale)
        assert conv.bias is not None
        conv.bias.zero_()
