# SPDX-License-Identifier: Apache-2.0
"""What every implicit representation is: a function of time with a list of the tensors that make it up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Role = Literal["weights", "latents"]  # how `nvc info` counts a tensor; embeddings are latents


@dataclass(frozen=True)
class Geometry:
    """What a representation has to produce: picture size in luma samples, and frames in the group of pictures."""

    height: int
    width: int
    frames: int

    @property
    def samples(self) -> int:
        """Luma samples of the whole group."""
        return self.height * self.width * self.frames


@dataclass(frozen=True)
class Transmitted:
    """One tensor that travels: a parameter of the representation, and how it is to be coded.

    name: of the parameter, as in ``named_parameters()``; role: how it is counted, and its number of bits in the paper's
    scheme. temporal: the first axis is time, so a value may be predicted from the one before. reference: values that
    the decoder has already (of an earlier group); only the difference is coded.
    """

    name: str
    role: Role = "weights"
    temporal: bool = False
    reference: Tensor | None = None


class Representation(nn.Module):
    """Frames as a function of time.

    ``forward(times)``: times (B,) frame numbers in the group, float where the recipe can interpolate; returns
    (B, 3, H, W) RGB in 0..1 where ``colour`` is "rgb", or the tuple Y (B, 1, H, W), U, V (B, 1, ceil(H/2), ceil(W/2))
    in 0..1 of the stream's own sample range where it is "yuv420".
    """

    colour: Literal["rgb", "yuv420"] = "rgb"

    def __init__(self, geometry: Geometry):
        super().__init__()
        self.geometry = geometry

    def transmitted(self) -> list[Transmitted]:
        """Every tensor that travels, in the order of the stream: all parameters but those of an encoder."""
        return [
            Transmitted(
                name, "latents" if name.endswith(LATENT_SUFFIXES) else "weights", name.endswith(LATENT_SUFFIXES)
            )
            for name, _ in self.named_parameters()
            if not name.startswith(ENCODER_PREFIX) and f".{ENCODER_PREFIX}" not in name
        ]

    def attach(self, frames: Tensor) -> None:
        """Encoder's side, before fitting: give the frames (N, 3, H, W) uint8 to whatever learns from them."""
        for module in self.children():
            if hasattr(module, "attach"):
                module.attach(frames)

    def release(self) -> None:
        """Encoder's side, after fitting: put into parameters what the stream will carry, drop what it will not."""
        for module in self.children():
            if hasattr(module, "release"):
                module.release()

    def transmitted_count(self) -> int:
        """Numbers in all tensors that travel."""
        sizes = {name: parameter.numel() for name, parameter in self.named_parameters()}
        return sum(sizes[tensor.name] for tensor in self.transmitted())


ENCODER_PREFIX = "encoder."
LATENT_SUFFIXES = ("table",)


def crop(pictures: Tensor, geometry: Geometry) -> Tensor:
    """The part of (B, C, H', W') pictures that is shown, from the top left corner: (B, C, H, W)."""
    return pictures[..., : geometry.height, : geometry.width]


def time_fraction(times: Tensor, geometry: Geometry) -> Tensor:
    """Frame numbers as the papers' normalised time: 0 for the first frame, (N - 1) / N for the last."""
    return times.to(torch.float32) / geometry.frames
