# SPDX-License-Identifier: Apache-2.0
"""The network fitted to each video: what motion brings from decoded frames, in, a better prediction out.

It works at a quarter of the resolution (pixel-unshuffle 4, chroma 2: 24 channels a frame) and adds to the block
prediction; its weights travel with the latents. All arithmetic is exact (see nvcodec.models.exact).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nvcodec.entropy.ladder import FAMILIES, LEVELS, ladder_tables, level_scale
from nvcodec.errors import DamagedStreamError
from nvcodec.models.exact import (
    BIAS_STEP,
    ExactConv2d,
    freeze_grids,
    relu_activation,
    to_activation,
)
from nvcodec.models.motion.syntax import SymbolCoder

CHANNELS = 24  # of one frame: 16 luma, 4 U, 4 V
WIDTHS = (16, 24, 32, 48)
TIME_LEVELS = 5  # anchors, halves, quarters, ...
SAMPLES = 16.0  # sample values of one activation unit
Planes = tuple[Tensor, Tensor, Tensor]


def unshuffle(planes: Planes) -> Tensor:
    """Planes (B, H, W), (B, H/2, W/2) twice, 0..255, to (B, 24, H/4, W/4), (p - 128) / 16: exact activations."""
    y, u, v = planes
    blocks = [F.pixel_unshuffle(y[:, None], 4), F.pixel_unshuffle(u[:, None], 2), F.pixel_unshuffle(v[:, None], 2)]
    return ((torch.cat(blocks, 1) - 128) * (1 / SAMPLES)).contiguous(memory_format=torch.channels_last)


def shuffle(blocks: Tensor) -> Planes:
    """(B, 24, H/4, W/4) to planes, times 16."""
    samples = blocks * SAMPLES
    return (
        F.pixel_shuffle(samples[:, :16], 4)[:, 0],
        F.pixel_shuffle(samples[:, 16:20], 2)[:, 0],
        F.pixel_shuffle(samples[:, 20:], 2)[:, 0],
    )


class Synthesis(nn.Module):
    """Correction of a prediction from its two sources (the same twice for an anchor).

    ``forward(past, future, level)``: (B, 24, h, w) each, level (B,) int; returns (B, 24, h, w), samples / 16.
    """

    def __init__(self, width: int):
        super().__init__()
        self.width = width
        self.enter = ExactConv2d(2 * CHANNELS, width)
        self.levels = nn.Parameter(torch.zeros(TIME_LEVELS, width))
        self.near = ExactConv2d(width, width, 3, depthwise=True)
        self.mix = ExactConv2d(width, width)
        self.far = ExactConv2d(width, width, 3, depthwise=True)
        self.leave = ExactConv2d(width, CHANNELS)
        with torch.no_grad():
            self.leave.weight.mul_(0.02)
            for layer in (self.near, self.far):  # begin as the place itself
                layer.weight.mul_(0.1)
                layer.weight[:, :, 1, 1] += 1

    def forward(self, past: Tensor, future: Tensor, level: Tensor) -> Tensor:
        shift = self.levels[level][:, :, None, None]
        shift = shift + (torch.round(shift / BIAS_STEP) * BIAS_STEP - shift).detach()
        inputs = torch.cat([to_activation((past + future) * 0.5), to_activation((past - future) * 2)], 1)
        x = relu_activation(self.enter(inputs) + shift)
        x = relu_activation(self.near(x))
        x = relu_activation(self.mix(x))
        x = relu_activation(self.far(x))
        return self.leave(x)


def correct(network: Synthesis, prediction: Planes, past: Planes, future: Planes, level: int) -> Planes:
    """The prediction and what the network adds to it, rounded: float32 integers 0..255, exact."""
    with torch.inference_mode():
        sources = unshuffle(tuple(torch.stack(pair) for pair in zip(past, future, strict=True)))  # type: ignore[arg-type]
        added = shuffle(network(sources[:1], sources[1:], torch.tensor([level])))
    return tuple(torch.round(p + a[0]).clamp_(0, 255) for p, a in zip(prediction, added, strict=True))  # type: ignore[return-value]


def code_network(network: Synthesis, coder: SymbolCoder, write: bool) -> None:
    """Write a network's weights, or read them into one of the same width; either leaves it on its grid, frozen.

    Each output channel has the exponent of its grid and its weights; each layer the ladder's level for all of these.
    """
    tables = ladder_tables()
    laplace = FAMILIES.index("laplace") * LEVELS
    plain = np.array([laplace + LEVELS // 2])

    def integers(values: np.ndarray) -> np.ndarray:
        level = _nearest_level(float(np.abs(values).mean())) if write else 0
        level = int(coder.code(np.array([level - LEVELS // 2]), plain, tables)[0]) + LEVELS // 2
        if not 0 <= level < LEVELS:
            raise DamagedStreamError(f"a layer's ladder level is {level}: 0 to {LEVELS - 1}")
        return coder.code(values, np.full(len(values), laplace + level), tables)

    with torch.no_grad():
        for layer in (m for m in network.modules() if isinstance(m, ExactConv2d)):
            exponents, values = _split(layer.weight)
            exponents = integers(exponents - EXPONENT_CENTRE) + EXPONENT_CENTRE
            if exponents.min() < 4 or exponents.max() > 16:
                raise DamagedStreamError("a layer's exponents: 4 to 16 are allowed")
            values = integers(values.ravel()).clip(-127, 127).reshape(values.shape)
            weight = values * 0.5 ** exponents.reshape(-1, *[1] * (values.ndim - 1))
            layer.weight.copy_(torch.from_numpy(weight.astype(np.float32)))
            _code_bias(layer.bias, integers)
        _code_bias(network.levels, integers)
    network.eval().requires_grad_(False)
    freeze_grids(network)


def _nearest_level(magnitude: float) -> int:
    scales = np.array([level_scale(level) for level in range(LEVELS)])
    return int(np.abs(np.log(scales / max(magnitude, 1e-3))).argmin())


EXPONENT_CENTRE = 8
BIAS_LIMIT = 1 << 14


def _split(weight: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Exponent of each output channel's grid, and the integers on it."""
    from nvcodec.models.exact import grid_step

    step = grid_step(weight)
    exponents = (-torch.log2(step)).round().long().numpy()
    values = torch.round(weight / step.reshape(-1, *[1] * (weight.dim() - 1))).clamp(-127, 127)
    return exponents, values.long().numpy()


def _code_bias(bias, integers) -> None:  # type: ignore[no-untyped-def]
    values = torch.round(bias.detach() / BIAS_STEP).long().numpy().ravel()
    values = integers(values).clip(-BIAS_LIMIT, BIAS_LIMIT)
    bias.copy_(torch.from_numpy((values * BIAS_STEP).astype(np.float32)).reshape(bias.shape))
