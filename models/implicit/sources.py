# SPDX-License-Identifier: Apache-2.0
"""Where a decoder's input comes from: embeddings that an encoder learned, or an encoding of the frame number."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

Quantise = Callable[[Tensor, Tensor], Tensor]


class EncoderEmbeddings(nn.Module):
    """Content-adaptive embeddings (HNeRV, arXiv 2304.02633): a ConvNeXt encoder while fitting, a table in the stream.

    ``forward(times)``: (B,) to (B, channels, rows, columns); times between frames mix the two neighbours linearly.
    ``quantise(embeddings, times)`` stands for what coding will do to them while fitting.
    """

    def __init__(self, frames: int, channels: int, rows: int, columns: int, strides: tuple[int, ...], width: int = 64):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(frames, channels, rows, columns))
        self.strides, self.width = strides, width
        self.encoder: nn.Module | None = None
        self.quantise: Quantise = lambda embeddings, times: embeddings
        self._frames: Tensor | None = None

    def attach(self, frames: Tensor) -> None:
        """Encoder's side: make the encoder and let embeddings be those of these frames (N, 3, H, W) uint8."""
        from nvcodec.models.implicit.fit.encoder import ConvNextEncoder

        channels, rows, columns = self.table.shape[1:]
        if self.encoder is None:
            self.encoder = ConvNextEncoder(self.strides, self.width, channels).to(self.table.device)
        stride = math.prod(self.strides)
        bottom, right = rows * stride - frames.shape[2], columns * stride - frames.shape[3]
        self._padding = (0, right, 0, bottom)
        self._frames = frames

    def encode(self, times: Tensor) -> Tensor:
        """Encoder's side: embeddings of these frames before quantisation."""
        assert self._frames is not None
        assert self.encoder is not None
        pictures = self._frames[times.cpu()].to(self.table.device).float() / 255
        if any(self._padding):
            pictures = nn.functional.pad(pictures, self._padding, mode="replicate")
        return self.encoder(pictures)

    def fill(self) -> None:
        """Encoder's side: fill the table with what the encoder makes of every frame."""
        with torch.no_grad():
            for i in range(len(self.table)):
                self.table[i] = self.encode(torch.tensor([i]))[0].float()

    def release(self) -> None:
        """Encoder's side: fill the table a last time, and forget the encoder."""
        if self.encoder is not None:
            self.fill()
            self.encoder = self._frames = None

    def forward(self, times: Tensor) -> Tensor:
        if self.encoder is not None:
            return self.quantise(self.encode(times.long()), times)
        return interpolated(self.table, times)


def interpolated(table: Tensor, times: Tensor) -> Tensor:
    """Rows of a table (N, ...) at times (B,), linearly between neighbours, held at both ends."""
    if not times.is_floating_point():
        return table[times]
    position = times.clamp(0, len(table) - 1)
    low = position.floor().long()
    high = (low + 1).clamp(max=len(table) - 1)
    fraction = (position - low).reshape(-1, *[1] * (table.dim() - 1))
    return table[low] * (1 - fraction) + table[high] * fraction


class FrequencyEncoding(nn.Module):
    """Sines and cosines of a number at frequencies base^k pi (Mildenhall et al. 2020; NeRV): (B,) to (B, 2 levels)."""

    def __init__(self, base: float, levels: int):
        super().__init__()
        self.register_buffer("frequencies", base ** torch.arange(levels) * math.pi, persistent=False)

    @property
    def size(self) -> int:
        """Numbers in an encoding."""
        return 2 * len(self.frequencies)

    def forward(self, values: Tensor) -> Tensor:
        angles = values.reshape(-1, 1).float() * self.frequencies
        return torch.cat([torch.sin(angles), torch.cos(angles)], 1)
