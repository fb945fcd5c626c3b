# SPDX-License-Identifier: Apache-2.0
"""Layers that several recipes are made of."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class UpBlock(nn.Module):
    """Convolution, pixel shuffle by ``stride``, activation (the NeRV block; Chen et al. 2021, arXiv 2110.13903).

    (B, C, H, W) to (B, out_channels, stride H, stride W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        kernel_size: int = 3,
        activation: Callable[[Tensor], Tensor] = F.gelu,
    ):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels * stride**2, kernel_size, padding=kernel_size // 2)
        self.stride, self.activation = stride, activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.activation(F.pixel_shuffle(x, self.stride) if self.stride > 1 else x)


class Perceptron(nn.Module):
    """Linear layers with an activation after each of them: (B, sizes[0]) to (B, sizes[-1])."""

    def __init__(self, *sizes: int, activation: Callable[[Tensor], Tensor] = F.gelu):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.activation(layer(x))
        return x


def instance_normalised(x: Tensor) -> Tensor:
    """(B, C, H, W) with zero mean and unit variance over each picture's channel, the same way in any memory format."""
    centred = x - x.mean((2, 3), keepdim=True)
    return centred * torch.rsqrt(centred.square().mean((2, 3), keepdim=True) + 1e-5)


def to_unit_range(x: Tensor) -> Tensor:
    """Network output to samples in 0..1 by a hyperbolic tangent, as HNeRV ends."""
    return 0.5 * torch.tanh(x) + 0.5


def channel_widths(first: int, stages: int, reduction: float, lowest: int) -> list[int]:
    """Channels after each up-sampling stage: divided by ``reduction`` and rounded each time, never below ``lowest``."""
    widths = []
    for _ in range(stages):
        first = int(max(round(first / reduction), lowest))
        widths.append(first)
    return widths


class TransformerBlock(nn.Module):
    """Self-attention and feed-forward, each added to its input, without norms, as E-NeRV has it: (B, cells, size)."""

    def __init__(self, size: int, heads: int, head_size: int, hidden: int):
        super().__init__()
        self.heads = heads
        self.projections = nn.Linear(size, 3 * heads * head_size, bias=False)
        self.join = nn.Linear(heads * head_size, size)
        self.widen, self.narrow = nn.Linear(size, hidden), nn.Linear(hidden, size)

    def forward(self, x: Tensor) -> Tensor:
        batch, cells, _ = x.shape
        queries, keys, values = self.projections(x).reshape(batch, cells, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).reshape(batch, cells, -1)
        x = x + self.join(mixed)
        return x + self.narrow(F.gelu(self.widen(x)))
