# SPDX-License-Identifier: Apache-2.0
"""Pictures as blocks, and the linear block transform that the conditional codec starts from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PIXEL_SCALE = 16  # sample values are carried as (p - 128) / 16: the 8-bit activation grid itself
CHROMA_WEIGHT = (1 / 0.75) ** 0.5  # makes one step size right for distortion weights 6:2:2 on 4:2:0 planes
BLOCK_CHANNELS = 96


def planes_to_blocks(y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Planes (B, H, W), (B, H/2, W/2) twice, values 0..255, to (B, 96, H/8, W/8): 64 luma, 16 U, 16 V channels."""
    blocks = torch.cat(
        [F.pixel_unshuffle(y[:, None], 8), F.pixel_unshuffle(u[:, None], 4), F.pixel_unshuffle(v[:, None], 4)], 1
    )
    return ((blocks - 128) / PIXEL_SCALE).contiguous(memory_format=torch.channels_last)


def blocks_to_planes(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The inverse of `planes_to_blocks`; values stay float, unclamped."""
    samples = blocks * PIXEL_SCALE + 128
    return (
        F.pixel_shuffle(samples[:, :64], 8)[:, 0],
        F.pixel_shuffle(samples[:, 64:80], 4)[:, 0],
        F.pixel_shuffle(samples[:, 80:], 4)[:, 0],
    )


def component_weights() -> Tensor:
    """(384,) weight of each sample of a 16x16 block in unshuffled order: 1 for luma, CHROMA_WEIGHT for chroma."""
    return torch.cat([torch.ones(256), torch.full((128,), CHROMA_WEIGHT)])


class BlockTransform(nn.Module):
    """Linear transform of 16x16 luma + 8x8 chroma blocks, started at principal components.

    Coefficients are in sample values (8-bit scale), distortion-weighted, orthonormal at the start.
    """

    def __init__(self, latents: int):
        super().__init__()
        self.analysis = nn.Parameter(torch.zeros(latents, 384))
        self.synthesis = nn.Parameter(torch.zeros(384, latents))

    def start(self, basis: Tensor) -> None:
        """basis: (384, >= latents) orthonormal columns in the weighted domain, most important first."""
        weights = component_weights()[:, None]
        with torch.no_grad():
            columns = basis[:, : self.synthesis.shape[1]]
            self.analysis.copy_((weights * columns).t() * PIXEL_SCALE)
            self.synthesis.copy_(columns / weights / PIXEL_SCALE)

    def analyse(self, blocks: Tensor) -> Tensor:
        """(B, 96, H/8, W/8) to (B, latents, H/16, W/16)."""
        return F.conv2d(F.pixel_unshuffle(blocks, 2), self.analysis[:, :, None, None])

    def synthesise(self, coefficients: Tensor) -> Tensor:
        """(B, latents, H/16, W/16) to (B, 96, H/8, W/8), exact when gradients are off.

        Weights have 8 bits with a scale for each coefficient, which is folded into it; coefficients have 16 bits and
        go through the same convolution as two bytes.
        """
        with torch.no_grad():
            scale = self.synthesis.abs().amax(0).clamp_min(1e-6) * (1 / 127)  # dividing by a number differs on GPUs
            integer = torch.round(self.synthesis / scale)
        if torch.is_grad_enabled():
            weight = self.synthesis + (integer * scale - self.synthesis).detach()
            return F.pixel_shuffle(F.conv2d(coefficients, weight[:, :, None, None]), 2)
        # orthonormal blocks keep coefficients times this scale within +-0.25: 16 bits on a grid of 2^-17
        fixed = torch.round(coefficients * (scale * COEFFICIENT_GRID)[:, None, None]).clamp_(-32767, 32767)
        high = torch.round(fixed * (1 / 256))
        low = fixed - high * 256
        samples = F.linear(low.permute(0, 2, 3, 1), integer)
        if high.any():  # rarely so in inter frames
            samples = F.linear(high.permute(0, 2, 3, 1), integer) * 256 + samples
        return F.pixel_shuffle(samples.permute(0, 3, 1, 2) * (1 / COEFFICIENT_GRID), 2)


COEFFICIENT_GRID = 2.0**17
