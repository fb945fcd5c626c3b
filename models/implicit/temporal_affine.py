# SPDX-License-Identifier: Apache-2.0
"""Features aligned with their frame: scales and shifts made from the frame number, and blocks built around them.

Boosting-NeRV (Zhang et al. 2024, arXiv 2402.18152), sections 3.2 and 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nvcodec.models.implicit.layers import Perceptron, UpBlock
from nvcodec.models.implicit.representation import Geometry, time_fraction
from nvcodec.models.implicit.sources import FrequencyEncoding

CONDITION = 32  # numbers that describe a frame to every block
DOUBLE_STAGES = 3  # so many of the last stages have two blocks


class FrameCondition(nn.Module):
    """Frame numbers (B,) to conditions (B, 32): frequency encoding and two sine layers."""

    def __init__(self, geometry: Geometry):
        super().__init__()
        self.geometry, self.encoding = geometry, FrequencyEncoding(1.25, 80)
        self.layers = Perceptron(self.encoding.size, 2 * CONDITION, CONDITION, activation=torch.sin)

    def forward(self, times: Tensor) -> Tensor:
        return self.layers(self.encoding(time_fraction(times, self.geometry)))


class TemporalAffine(nn.Module):
    """Scale and shift of each channel of (B, C, H, W), each from the condition (B, 32) by two layers."""

    def __init__(self, channels: int):
        super().__init__()
        self.scale = nn.Sequential(nn.Linear(CONDITION, CONDITION), nn.ReLU(), nn.Linear(CONDITION, channels))
        self.shift = nn.Sequential(nn.Linear(CONDITION, CONDITION), nn.ReLU(), nn.Linear(CONDITION, channels))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return x * (1 + self.scale(condition)[..., None, None]) + self.shift(condition)[..., None, None]


class AlignedResidual(nn.Module):
    """Two 3x3 convolutions, a temporal affine before each, added to what came in: (B, C, H, W) to the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.affine1, self.affine2 = TemporalAffine(channels), TemporalAffine(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = F.gelu(self.conv1(self.affine1(x, condition)))
        return x + self.conv2(self.affine2(y, condition))


class AlignedBlock(nn.Module):
    """Whatever enlarges (a sine block unless given), then an aligned residual block."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        kernel_size: int = 3,
        enlarge: nn.Module | None = None,
    ):
        super().__init__()
        self.enlarge = enlarge or UpBlock(in_channels, out_channels, stride, kernel_size, torch.sin)
        self.residual = AlignedResidual(out_channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return self.residual(self.enlarge(x), condition)


class SqueezedUpBlock(nn.Module):
    """E-NeRV's first stage: enlarge at a quarter of the channels, widen by a 3x3 convolution, sine."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        squeezed = max(1, in_channels // 4)
        self.enlarge = UpBlock(in_channels, squeezed, stride, activation=nn.Identity())
        self.widen = nn.Conv2d(squeezed, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.widen(self.enlarge(x)))


class AlignedStages(nn.ModuleList):
    """Up-sampling stages of one or two aligned blocks each; ``widths``: channels before the first stage and after each.

    first_kernel: of the first stage (others 3); first: a block to take the first stage's place.
    """

    def __init__(
        self, widths: Sequence[int], strides: Sequence[int], first_kernel: int = 3, first: nn.Module | None = None
    ):
        super().__init__()
        for i, stride in enumerate(strides):
            kernel = first_kernel if i == 0 else 3
            self.append(first if i == 0 and first else AlignedBlock(widths[i], widths[i + 1], stride, kernel))
            if i >= max(1, len(strides) - DOUBLE_STAGES):
                self.append(AlignedBlock(widths[i + 1], widths[i + 1], 1, kernel))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for block in self:
            x = block(x, condition)
        return x
