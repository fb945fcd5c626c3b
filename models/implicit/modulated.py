# SPDX-License-Identifier: Apache-2.0
"""CAM's blocks for video: FFNeRV's compact convolutions, each followed by coordinate-aware modulation along time."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from nvcodec.models.implicit.temporal_grids import TemporalScaleShift

GROUPS = 8


class ModulatedBlock(nn.Module):
    """(B, C, H, W) to (B, C', stride H, stride W): convolution, pixel shuffle, modulation, GELU.

    compact: the 3x3 convolution in 8 groups, then a 1x1 one; else one dense 3x3 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, compact: bool, entries: int, frames: int):
        super().__init__()
        self.stride, wide = stride, out_channels * stride**2
        groups = math.gcd(GROUPS, in_channels, wide) if compact else 1
        self.conv = nn.Conv2d(in_channels, wide, 3, padding=1, groups=groups)
        self.mix = nn.Conv2d(wide, wide, 1) if compact else nn.Identity()
        self.modulation = TemporalScaleShift(out_channels, entries, frames)

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        x = F.pixel_shuffle(self.mix(self.conv(x)), self.stride)
        return F.gelu(self.modulation(x, times))
