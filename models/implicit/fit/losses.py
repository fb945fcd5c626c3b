# SPDX-License-Identifier: Apache-2.0
"""Distortions a paper fits with, by name; each takes pictures (B, C, H, W) in 0..1 and an optional mask."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from nvcodec.errors import UsageError

_WINDOW, _DEVIATION = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def ssim(pictures: Tensor, target: Tensor) -> Tensor:
    """Mean structural similarity (Wang et al. 2004) with an 11x11 Gaussian window, one number for the batch."""
    size = min(_WINDOW, *pictures.shape[2:])
    offsets = torch.arange(size, device=pictures.device, dtype=pictures.dtype) - (size - 1) / 2
    window = torch.exp(-offsets.square() / (2 * _DEVIATION**2))
    window = window / window.sum()
    channels = pictures.shape[1]

    def blur(x: Tensor) -> Tensor:
        x = F.conv2d(x, window.reshape(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
        return F.conv2d(x, window.reshape(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)

    mean_a, mean_b = blur(pictures), blur(target)
    variance_a = blur(pictures * pictures) - mean_a.square()
    variance_b = blur(target * target) - mean_b.square()
    covariance = blur(pictures * target) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a.square() + mean_b.square() + _C1)
    contrast = (2 * covariance + _C2) / (variance_a + variance_b + _C2)
    return (luminance * contrast).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l2": F.mse_loss,
    "l1": F.l1_loss,
    "fusion6": lambda a, b: 0.7 * F.l1_loss(a, b) + 0.3 * (1 - ssim(a, b)),
}


def picture_loss(name: str, pictures: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """A loss by name; ``mask`` (B, 1, H, W): 1 where samples count, as HNeRV's inpainting multiplies both by it."""
    if name not in LOSSES:
        raise UsageError(f"loss {name!r} is not known; there are {', '.join(LOSSES)}")
    if mask is not None:
        pictures, target = pictures * mask, target * mask
    return LOSSES[name](pictures, target)


def psnr_db(pictures: Tensor, target: Tensor) -> Tensor:
    """PSNR of each picture (B,) from the mean error over all its channels, as HNeRV measures it."""
    error = (pictures.float() - target.float()).square().flatten(1).mean(1)
    return -10 * torch.log10(error + 1e-9)
