# SPDX-License-Identifier: Apache-2.0
"""Quality levels: one smooth curve for each channel, from the coarsest quantisation step to the finest."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = 64
COARSEST_STEP = 64.0  # sample values; of an orthonormal transform
FINEST_STEP = 4.0
NODES = 9
# steps of the levels, in sixteenths of a sample value: 1024 * 16^(-level / 63)
STEPS = np.array(
    [1024, 980, 938, 897, 859, 822, 786, 753, 720, 689, 659, 631, 604, 578, 553, 529, 506, 485, 464, 444, 425, 406, 389, 372, 356, 341, 326, 312, 299, 286, 273, 262, 250, 240, 229, 219, 210, 201, 192, 184, 176, 169, 161, 154, 148, 141, 135, 129, 124, 119, 113, 109, 104, 99, 95, 91, 87, 83, 80, 76, 73, 70, 67, 64],
    np.int32,
)


def deblocking_qp(level: int) -> int:
    """QP at which H.265 quantises with a level's step: 40 for the coarsest, 16 for the finest."""
    return (40 * (LEVELS - 1) - 24 * level + LEVELS // 2) // (LEVELS - 1)



def quantisation_step(quality: Tensor | float) -> Tensor:
    """Nominal step in sample values (8-bit scale) of a quality level, 0 to 63: a geometric series."""
    return COARSEST_STEP * (FINEST_STEP / COARSEST_STEP) ** (
        torch.as_tensor(quality, dtype=torch.float32) / (LEVELS - 1)
    )


def rate_distortion_lambda(quality: Tensor | float) -> Tensor:
    """Weight of the mean squared error (8-bit scale, YUV 6:2:2 / 8) against bits per pixel at a quality level.

    At high rate one bit less costs about 0.1155 step^2 of squared error; luma carries 6/8 of the distortion.
    """
    return 1 / (0.75 * 0.1155 * quantisation_step(quality) ** 2)


class QualityTable(nn.Module):
    """A vector for each quality level, interpolated linearly between a few learned nodes.

    ``forward(quality)``: quality (B,) float or int in 0..63; returns (B, size). With ``exponential`` the nodes are
    logarithms. `bake` freezes the curve into 64 rows, so that decoding looks values up and computes no exponential.
    """

    def __init__(self, initial: Tensor, exponential: bool = False):
        super().__init__()
        self.nodes = nn.Parameter(initial.clone())  # (NODES, size)
        self.exponential = exponential
        self.register_buffer("baked", torch.zeros(LEVELS, initial.shape[1]))
        self.use_baked = False

    def forward(self, quality: Tensor) -> Tensor:
        if self.use_baked:
            return self.baked[quality.long()]
        position = quality.float() * ((NODES - 1) / (LEVELS - 1))
        low = position.floor().clamp(0, NODES - 2)
        fraction = (position - low)[:, None]
        value = self.nodes[low.long()] * (1 - fraction) + self.nodes[low.long() + 1] * fraction
        return value.exp() if self.exponential else value

    def bake(self) -> None:
        """Fill the table of all levels from the nodes."""
        self.use_baked = False
        with torch.no_grad():
            self.baked.copy_(self(torch.arange(LEVELS, device=self.nodes.device)))


def log_steps(size: int) -> Tensor:
    """Nodes (NODES, size) of the logarithm of the nominal step."""
    quality = torch.linspace(0, LEVELS - 1, NODES)
    return torch.log(quantisation_step(quality))[:, None].repeat(1, size)
