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
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def ssim(pictures: Tensor, target: Tensor) -> Tensor:
    """Mean structural similarity (Wang et al. 2004) with an 11x11 Gaussian window, one number for the batch."""
    return structure(pictures, target, _WINDOW)[0].mean()


def structure(pictures: Tensor, target: Tensor, window_size: int) -> tuple[Tensor, Tensor]:
    """(SSIM, its factor of contrast and structure alone) at each place a Gaussian window fits."""
    size = min(window_size, *pictures.shape[2:])
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
    return luminance * contrast, contrast


def ms_ssim(pictures: Tensor, target: Tensor, window: int = _WINDOW) -> Tensor:
    """Multi-scale structural similarity (Wang et al. 2003): contrast and structure at up to five scales, luminance at
    the last; small pictures have as many scales as the window fits into, their exponents raised to sum to one."""
    scales = 1
    while scales < len(_SCALE_WEIGHTS) and min(pictures.shape[2:]) >> scales >= window:
        scales += 1
    weights = [w / sum(_SCALE_WEIGHTS[:scales]) for w in _SCALE_WEIGHTS[:scales]]
    product = torch.ones((), device=pictures.device)
    for scale, weight in enumerate(weights):
        whole, contrast = structure(pictures, target, window)
        score = whole if scale == scales - 1 else contrast
        product = product * score.mean((2, 3)).clamp_min(1e-6) ** weight
        if scale < scales - 1:
            pictures, target = (F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False) for x in (pictures, target))
    return product.mean()


def fusion10_freq(pictures: Tensor, target: Tensor) -> Tensor:
    """Boosting-NeRV's loss (arXiv 2402.18152): 60 (0.7 L1 + 0.3 (1 - MS-SSIM)) + mean difference of Fourier
    coefficients, real and imaginary parts alike."""
    fidelity = 0.7 * F.l1_loss(pictures, target) + 0.3 * (1 - ms_ssim(pictures, target))
    difference = torch.view_as_real(torch.fft.fft2(pictures - target))
    return 60 * fidelity + difference.abs().mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l2": F.mse_loss,
    "l1": F.l1_loss,
    "fusion6": lambda a, b: 0.7 * F.l1_loss(a, b) + 0.3 * (1 - ssim(a, b)),
    "fusion10_freq": fusion10_freq,
    "hinerv": lambda a, b: 0.7 * F.l1_loss(a, b) + 0.3 * (1 - ms_ssim(a, b, window=5)),
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
