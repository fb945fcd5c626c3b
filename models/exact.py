# SPDX-License-Identifier: Apache-2.0
"""Layers whose results do not depend on the order of addition, hence not on device, thread count or library.

Everything on the decode path is a dyadic rational, an integer times a power of two:

- activations that enter a convolution are ``n / 16`` with ``|n| <= 127`` (8 bits);
- weights are ``n * 2^-k`` with ``|n| <= 127`` and one ``k`` for each output channel;
- so every product is an integer times ``2^-(k + 4)``, and with a fan-in of at most 1024 every partial sum, in any
  order, stays below 1024 * 127 * 127 < 2^24: floating point computes it exactly in fp32, TF32 and bf16 products with
  fp32 accumulation;
- biases are multiples of 2^-8 (and of the layer's product grid); `check_exact` proves the bound for trained weights;
- between layers there are only single correctly rounded IEEE operations on tensors (add, multiply, round, clamp).

Training runs the same arithmetic with straight-through gradients, so nothing changes when weights are exported.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATION_STEP = 1 / 16
ACTIVATION_LIMIT = 127
WEIGHT_LIMIT = 127
BIAS_STEP = 1 / 256
MAX_FAN_IN = 1024


class _Grid(torch.autograd.Function):
    """Round to a grid and clamp; the gradient passes where the value was inside."""

    @staticmethod
    def forward(ctx, x: Tensor, step: float, low: int, high: int) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        ctx.low, ctx.high = low * step, high * step
        return (x * (1 / step)).round_().clamp_(low, high).mul_(step)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(grad, x, ctx.low, ctx.high), None, None, None


def round_straight_through(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes as if nothing was rounded."""
    return x + (torch.round(x) - x).detach() if x.requires_grad else torch.round(x)


def to_activation(x: Tensor) -> Tensor:
    """8-bit input of a convolution: multiples of 1/16 within +-127/16."""
    return _Grid.apply(x, ACTIVATION_STEP, -ACTIVATION_LIMIT, ACTIVATION_LIMIT)


def relu_activation(x: Tensor) -> Tensor:
    """ReLU and the 8-bit grid in one: multiples of 1/16 in [0, 127/16]."""
    return _Grid.apply(x, ACTIVATION_STEP, 0, ACTIVATION_LIMIT)


def grid_step(weight: Tensor) -> Tensor:
    """Step 2^-k of each output channel (first axis), k from 4 to 16: the finest that holds its weights in +-127 steps.

    From the bits of the largest weight alone, no logarithm: every decoder must find the same step.
    """
    mantissa, exponent = torch.frexp(weight.detach().abs().flatten(1).amax(1).clamp_min(2.0**-24))
    k = 7 - exponent - (mantissa > WEIGHT_LIMIT / 128).int()
    return torch.tensor([2.0**-n for n in range(17)], device=weight.device)[k.clamp(4, 16).long()]


def weight_grid(weight: Tensor) -> Tensor:
    """Weights rounded to ``n * 2^-k``, |n| <= 127, the finest k for each output channel (first axis)."""
    with torch.no_grad():
        step = grid_step(weight).reshape(-1, *[1] * (weight.dim() - 1))
        on_grid = torch.round(weight / step).clamp_(-WEIGHT_LIMIT, WEIGHT_LIMIT) * step
    return weight + (on_grid - weight).detach()


class ExactConv2d(nn.Conv2d):
    """Stride-1 convolution (1x1, or depthwise k x k with zero padding) of an 8-bit activation, exact sums.

    Input (B, C, H, W) on the activation grid (see `to_activation`); output (B, O, H, W) before rounding: an exact
    multiple of the product grid. Raises ValueError when the fan-in could
    leave the range in which sums are exact.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 1, depthwise: bool = False):
        groups = in_channels if depthwise else 1
        fan_in = in_channels // groups * kernel_size**2
        if fan_in > MAX_FAN_IN or (kernel_size > 1 and not depthwise):
            raise ValueError(
                f"fan-in {fan_in} of a {kernel_size}x{kernel_size} layer: at most {MAX_FAN_IN}, 1x1 or depthwise"
            )
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, groups=groups)
        nn.init.normal_(self.weight, std=fan_in**-0.5)  # keeps activations well above the grid's step
        nn.init.zeros_(self.bias)
        self._grid_weight: Tensor | None = None
        self._grid_bias: Tensor | None = None

    def freeze_grid(self, dtype: torch.dtype = torch.float32) -> None:
        """Compute the rounded weights once for the calls that follow (all frames of one training step share them).

        bfloat16 holds weights and activations without loss; only results are rounded to 8 bits of mantissa.
        """
        self._grid_weight = weight_grid(self.weight).to(dtype).contiguous(memory_format=torch.channels_last)
        self._grid_bias = round_bias(self.bias).to(dtype)

    def thaw_grid(self) -> None:
        """Forget the rounded weights; they follow the parameters again."""
        self._grid_weight = self._grid_bias = None

    def forward(self, x: Tensor) -> Tensor:
        if self._grid_weight is None:
            weight, bias = weight_grid(self.weight), round_bias(self.bias)
        else:
            weight, bias = self._grid_weight, self._grid_bias
            if self.kernel_size == (1, 1) and not torch.is_grad_enabled():
                # one matrix product over channels-last positions; stock convolutions may be ten times slower here
                positions = x.to(weight.dtype).permute(0, 2, 3, 1)
                return F.linear(positions, weight[:, :, 0, 0], bias).permute(0, 3, 1, 2)
        return F.conv2d(x.to(weight.dtype), weight, bias, 1, self.padding, 1, self.groups)


def round_bias(bias: Tensor) -> Tensor:
    """Biases on their grid."""
    return bias + (torch.round(bias / BIAS_STEP) * BIAS_STEP - bias).detach()


def freeze_grids(module: nn.Module, dtype: torch.dtype = torch.float32) -> None:
    """`ExactConv2d.freeze_grid` on every exact layer of a module."""
    for layer in module.modules():
        if isinstance(layer, ExactConv2d):
            layer.freeze_grid(dtype)


def thaw_grids(module: nn.Module) -> None:
    """`ExactConv2d.thaw_grid` on every exact layer of a module."""
    for layer in module.modules():
        if isinstance(layer, ExactConv2d):
            layer.thaw_grid()


def check_exact(module: nn.Module) -> None:
    """Prove that no sum in any exact layer leaves the integers that fp32 holds; ValueError names a layer that could."""
    for name, layer in module.named_modules():
        if not isinstance(layer, ExactConv2d):
            continue
        weight, bias = weight_grid(layer.weight.detach()), round_bias(layer.bias.detach())
        step = grid_step(layer.weight)
        worst = weight.abs().flatten(1).sum(1) / step * ACTIVATION_LIMIT + bias.abs() / (step * ACTIVATION_STEP)
        if worst.max() >= 2**24:
            raise ValueError(f"layer {name}: sums may reach {worst.max():.3g}, exact below {2**24}")
