# SPDX-License-Identifier: Apache-2.0
"""Pictures as blocks, and the linear block transform that the conditional codec starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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


CLASSES = 4  # of residuals: inter, and intra of three kinds of mode (see `frame_intra.transform_class`)


@dataclass(frozen=True)
class BlockBases:
    """Basis pictures of all classes, and what the encoder needs beside them; four arrays each, for the coarse, fine and
    tiny transform and the tiny one of chroma (sizes n = 384, 96, 16, 32).

    pictures: (4, n, n) int16, [class, coefficient, sample] in units of 2^-14; analysis: (4, n, n) float32, coefficients =
    analysis @ weighted samples; rates: (2, 8, n, 3) float32, bits of symbols in inter and intra blocks (`quantise`).
    """

    pictures: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    analysis: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    rates: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


SIDES = ((16, 8, 8), (8, 4, 4), (4,), (0, 4, 4))  # of the components of each transform


def sample_weights(transform: int) -> np.ndarray:
    """(n,) weight of each sample of a transform's block in distortion's square root."""
    return np.concatenate([np.full(n * n, CHROMA_WEIGHT if i else 1.0) for i, n in enumerate(SIDES[transform])])


def integer_basis(columns: np.ndarray, transform: int) -> np.ndarray:
    """(n, n) int16 basis pictures from orthonormal columns (n, n) of the weighted domain."""
    pictures = columns.T / sample_weights(transform)
    return np.round(pictures * (1 << 14)).astype(np.int16)


def dct_columns(transform: int) -> np.ndarray:
    """Orthonormal columns of separable cosines of the components, ordered by frequency: to begin with."""
    sides = SIDES[transform]
    columns, order, offset, total = [], [], 0, sum(s * s for s in sides)
    for number, n in enumerate(sides):
        k, x = np.arange(n)[:, None], np.arange(n)[None]
        dct = np.sqrt(2 / max(n, 1)) * np.cos(np.pi * (2 * x + 1) * k / (2 * max(n, 1))) * np.where(k == 0, np.sqrt(0.5), 1)
        for a in range(n):
            for b in range(n):
                column = np.zeros(total)
                column[offset : offset + n * n] = np.outer(dct[a], dct[b]).ravel()
                columns.append(column)
                order.append((a * a + b * b) / (n * n) * 16 + (2 if number else 0))
        offset += n * n
    return np.stack(columns, 1)[:, np.argsort(order, kind="stable")]


def bases_of(pictures: tuple[np.ndarray, ...], rates: tuple[np.ndarray, ...]) -> BlockBases:
    """Bases from their pictures, whose columns are orthonormal in the weighted domain but for rounding."""
    analysis = tuple(
        np.ascontiguousarray(p * (sample_weights(kind) / (1 << 14)), np.float32) for kind, p in enumerate(pictures)
    )
    return BlockBases(pictures, analysis, rates)  # type: ignore[arg-type]
