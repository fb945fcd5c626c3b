# SPDX-License-Identifier: Apache-2.0
"""A learned density of whole numbers for codecs under research; `nvcodec.entropy.bottleneck` turns it into tables."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LIKELIHOOD_BOUND = 1e-9


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
