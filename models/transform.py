# SPDX-License-Identifier: Apache-2.0
"""Pictures as blocks, and the linear block transform that the conditional codec starts from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PIXEL_SCALE = 16  # sample values are carried as (p - 128) / 16: the 8-bit activation grid itself
CHROMA_WEIGHT = (2 / 0.75) ** 0.5  # makes one step size right for distortion weights 6:4:4 on 4:2:0 planes
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
    """Two linear transforms of blocks, started at principal components: ``coarse`` of 16x16 luma + 8x8 chroma samples,
    ``fine`` of the four 8x8 luma + 4x4 chroma blocks therein.

    Coefficients are in sample values (8-bit scale), distortion-weighted, orthonormal at the start. Both give as many
    for a 16x16 block; those of the fine transform come by component, then by place.
    """

    def __init__(self, latents: int):
        super().__init__()
        self.analysis = nn.Parameter(torch.zeros(latents, 384))
        self.synthesis = nn.Parameter(torch.zeros(384, latents))
        self.fine_analysis = nn.Parameter(torch.zeros(latents // 4, BLOCK_CHANNELS))
        self.fine_synthesis = nn.Parameter(torch.zeros(BLOCK_CHANNELS, latents // 4))

    def start(self, basis: Tensor, fine_basis: Tensor) -> None:
        """basis: (384, >= latents), fine_basis: (96, >= latents / 4), orthonormal columns in the weighted domain, most
        important first."""
        with torch.no_grad():
            for columns, analysis, synthesis, weights in (
                (basis, self.analysis, self.synthesis, component_weights()),
                (fine_basis, self.fine_analysis, self.fine_synthesis, component_weights()[::4]),
            ):
                columns = columns[:, : synthesis.shape[1]]
                analysis.copy_((weights[:, None] * columns).t() * PIXEL_SCALE)
                synthesis.copy_(columns / weights[:, None] / PIXEL_SCALE)

    def analyse(self, blocks: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 96, H/8, W/8) to coefficients (B, latents, H/16, W/16) of the coarse and of the fine transform."""
        coarse = F.conv2d(F.pixel_unshuffle(blocks, 2), self.analysis[:, :, None, None])
        return coarse, F.pixel_unshuffle(F.conv2d(blocks, self.fine_analysis[:, :, None, None]), 2)

    def synthesise(self, coefficients: Tensor, fine: Tensor) -> Tensor:
        """(B, latents, H/16, W/16) to (B, 96, H/8, W/8), exact when gradients are off.

        fine: (B, 1, H/16, W/16) float, 1 where a block uses the fine transform, else 0.
        """
        of_fine = coefficients * fine
        coarse = F.pixel_shuffle(_linear(coefficients - of_fine, self.synthesis), 2)
        if not torch.is_grad_enabled() and not fine.any():
            return coarse
        return coarse + _linear(F.pixel_shuffle(of_fine, 2), self.fine_synthesis)


def _linear(coefficients: Tensor, synthesis: Tensor) -> Tensor:
    """synthesis (O, I) at every place of coefficients (B, I, R, C); exact when gradients are off.

    Weights have 8 bits with a scale for each coefficient, which is folded into it; coefficients have 16 bits and go
    through the same product as two bytes.
    """
    with torch.no_grad():
        scale = synthesis.abs().amax(0).clamp_min(1e-6) * (1 / 127)  # dividing by a number differs on GPUs
        integer = torch.round(synthesis / scale)
    if torch.is_grad_enabled():
        weight = synthesis + (integer * scale - synthesis).detach()
        return F.conv2d(coefficients, weight[:, :, None, None])
    # orthonormal blocks keep coefficients times this scale within +-0.25: 16 bits on a grid of 2^-17
    places = coefficients.permute(0, 2, 3, 1)
    fixed = torch.round(places * (scale * COEFFICIENT_GRID)).clamp_(-32767, 32767)
    high = torch.round(fixed * (1 / 256))
    samples = F.linear(fixed.sub_(high, alpha=256), integer)
    large = high.abs().amax(-1) > 0  # few blocks of an inter frame
    if large.any():
        samples[large] += F.linear(high[large], integer) * 256
    return samples.permute(0, 3, 1, 2) * (1 / COEFFICIENT_GRID)


COEFFICIENT_GRID = 2.0**17
