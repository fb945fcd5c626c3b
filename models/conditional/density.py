# SPDX-License-Identifier: Apache-2.0
"""Differentiable bit counts for training: a conditional Gaussian for latents, a learned density for hyperlatents."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SCALE_LEVELS = 64
SCALES_PER_E = 8  # scale indices for each factor of e
LOG_SCALE_MIN = math.log(0.11)
LIKELIHOOD_BOUND = 1e-9
SURELY_ZERO = 4  # latents whose scale index is no higher are zero and not coded


class _LowerBound(torch.autograd.Function):
    """max(x, bound) whose gradient still passes where it would raise x."""

    @staticmethod
    def forward(ctx, x: Tensor, bound: float) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp_min(bound)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return grad * ((x >= ctx.bound) | (grad < 0)), None


def scale_index(log_scale: Tensor) -> Tensor:
    """Real-valued position in the table of scales, clamped to it; rounding it gives the index."""
    return ((log_scale - LOG_SCALE_MIN) * SCALES_PER_E).clamp(0, SCALE_LEVELS - 1)


def scale_of_index(index: Tensor) -> Tensor:
    """Standard deviation of a table position."""
    return torch.exp(index * (1 / SCALES_PER_E) + LOG_SCALE_MIN)


# At the rate-distortion optimum one bit is worth 0.1155 step^2 of squared error, so a symbol +-1 should save that much
# for each bit it costs. Taking the whole of it starves later frames, which predict from this one; a share pays.
DEAD_ZONE_SHARE = 0.6
MAX_THRESHOLD = 0.75


def _thresholds() -> Tensor:
    """(64,) magnitude from which a residual becomes +-1 at each scale."""
    scale = scale_of_index(torch.arange(SCALE_LEVELS, dtype=torch.float64))
    mass = [0.5 * (torch.erf((n + 0.5) / scale / 2**0.5) - torch.erf((n - 0.5) / scale / 2**0.5)) for n in (0, 1)]
    extra_bits = torch.log2(mass[0] / mass[1].clamp_min(1e-12))
    return (0.5 + DEAD_ZONE_SHARE * 0.5 * 0.1155 * extra_bits.clamp_min(0)).clamp_max(MAX_THRESHOLD).float()


_THRESHOLDS = _thresholds()


def quantise(residual: Tensor, index: Tensor) -> Tensor:
    """Symbols of residuals: rounding with a dead zone that is wider the rarer a non-zero symbol is (encoder only).

    index: position in the table of scales, same shape. The gradient passes as if nothing was rounded.
    """
    with torch.no_grad():
        threshold = _THRESHOLDS.to(residual.device)[torch.round(index).long()]
        symbols = torch.sign(residual) * torch.floor(residual.abs() + 1 - threshold)
    return residual + (symbols - residual).detach() if residual.requires_grad else symbols


def gaussian_bits(residual: Tensor, scale: Tensor) -> Tensor:
    """Bits of each integer (or noisy) residual under a zero-mean Gaussian of this scale, integrated over a unit bin."""
    magnitude, k = residual.abs(), -(2**-0.5)
    likelihood = 0.5 * (torch.erfc(k * (0.5 - magnitude) / scale) - torch.erfc(k * (-0.5 - magnitude) / scale))
    return -torch.log2(_LowerBound.apply(likelihood, LIKELIHOOD_BOUND))


class FactorizedDensity(nn.Module):
    """Non-parametric density of each channel (Balle et al. 2018, arXiv 1802.01436, appendix 6.1).

    Parameters are named and shaped as in CompressAI's EntropyBottleneck, which turns them into tables; this class lets
    training run without that package. ``bits(z)``: z (B, C, H, W); returns bits of each element, same shape.
    """

    FILTERS = (3, 3, 3, 3)

    def __init__(self, channels: int, init_scale: float = 4.0):
        super().__init__()
        self.channels = channels
        sizes = (1, *self.FILTERS, 1)
        scale = init_scale ** (1 / (len(self.FILTERS) + 1))
        self.matrices, self.biases, self.factors = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for i in range(len(self.FILTERS) + 1):
            start = math.log(math.expm1(1 / scale / sizes[i + 1]))
            self.matrices.append(nn.Parameter(torch.full((channels, sizes[i + 1], sizes[i]), start)))
            self.biases.append(nn.Parameter(torch.empty(channels, sizes[i + 1], 1).uniform_(-0.5, 0.5)))
            if i < len(self.FILTERS):
                self.factors.append(nn.Parameter(torch.zeros(channels, sizes[i + 1], 1)))

    def logits_cumulative(self, values: Tensor) -> Tensor:
        """values (C, 1, N); returns the logit of the cumulative distribution, same shape."""
        logits = values
        for i, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            logits = F.softplus(matrix) @ logits + bias
            if i < len(self.factors):
                logits = logits + torch.tanh(self.factors[i]) * torch.tanh(logits)
        return logits

    def bits(self, z: Tensor) -> Tensor:
        """Bits of each element of z (B, C, H, W)."""
        values = z.transpose(0, 1).reshape(self.channels, 1, -1)
        lower, upper = self.logits_cumulative(values - 0.5), self.logits_cumulative(values + 0.5)
        sign = -torch.sign(lower + upper).detach()
        likelihood = (torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)).abs()
        bits = -torch.log2(_LowerBound.apply(likelihood, LIKELIHOOD_BOUND))
        return bits.reshape(self.channels, z.shape[0], *z.shape[2:]).transpose(0, 1)
