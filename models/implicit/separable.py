# SPDX-License-Identifier: Apache-2.0
"""NeRV++'s block: separable residual blocks before and after the up-sampler, and a bilinear skip over all of it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nvcodec.models.implicit.layers import UpBlock


class SeparableResidual(nn.Module):
    """Depthwise 3x3, 1x1, GELU, 1x1, added to what came in: (B, C, H, W) to the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.mix = nn.Conv2d(channels, channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(F.gelu(self.mix(self.depthwise(x))))


class SandwichedBlock(nn.Module):
    """(B, C, H, W) to (B, C', stride H, stride W): 1x1, then [separable, NeRV block, separable] + bilinear skip."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.stride = stride
        self.project = nn.Conv2d(in_channels, out_channels, 1)
        self.before = SeparableResidual(out_channels)
        self.enlarge = UpBlock(out_channels, out_channels, stride, activation=F.silu)
        self.after = SeparableResidual(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.project(x)
        y = self.after(self.enlarge(self.before(x)))
        return y + F.interpolate(x, scale_factor=self.stride, mode="bilinear", align_corners=False)
