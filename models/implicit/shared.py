# SPDX-License-Identifier: Apache-2.0
"""Tensors of one network that several videos share without disturbing each other (PFNR, arXiv 2306.11305).

A video chooses a part of every tensor by a mask, learned as scores of which the largest count. Numbers that an earlier
video chose are frozen: a later one may use them or not, and fills only places that nobody has used. So an earlier
video's pictures never change, and what a later one adds to the file is its mask of the frozen numbers and its own.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CAPACITY = 0.5  # share of a tensor that one video may use


class Scores(nn.Module):
    """One score for each number; exists only while fitting."""

    def __init__(self, like: Tensor):
        super().__init__()
        self.scores = nn.Parameter(torch.empty_like(like))
        bound = 1 / math.sqrt(max(1, like[0].numel()))
        nn.init.uniform_(self.scores, -bound, bound)

    def mask(self) -> Tensor:
        """1 for the ``CAPACITY`` largest magnitudes, 0 for the rest; gradients pass straight through."""
        magnitude = self.scores.abs()
        place = max(1, round((1 - CAPACITY) * magnitude.numel()))
        threshold = magnitude.detach().flatten().kthvalue(place).values
        hard = (magnitude > threshold).to(magnitude)
        return hard + magnitude - magnitude.detach()


class SharedTensor(nn.Module):
    """One tensor: frozen numbers of earlier videos, and ``fresh`` ones, which travel.

    Of the first video ``fresh`` is the whole tensor; of a later one, a row of the numbers nobody has used yet. ``kept``
    says which of them count, None where zeros say so; ``reuse``, which of the frozen ones this video uses.
    """

    def __init__(self, shape: tuple[int, ...], fan_in: int, previous: SharedTensor | None = None):
        super().__init__()
        self.shape = shape
        self.encoder: Scores | None = None
        values, known = (None, None) if previous is None else previous.inheritance()
        self.register_buffer("values", values, persistent=False)
        self.register_buffer("known", known, persistent=False)
        self.register_buffer("reuse", None if known is None else known.clone(), persistent=False)
        self.register_buffer("kept", None, persistent=False)
        free = shape if known is None else (known.numel() - known.count_nonzero().item(),)
        bound = 1 / math.sqrt(fan_in)
        self.fresh = nn.Parameter(nn.init.uniform_(torch.empty(free), -bound, bound))

    def attach(self) -> None:
        """Encoder's side: begin to choose."""
        self.encoder = Scores(torch.empty(self.shape, device=self.fresh.device))

    def release(self) -> None:
        """Encoder's side: settle the choice."""
        if self.encoder is None:
            return
        chosen = self.encoder.mask().detach() > 0.5
        if self.known is not None:
            self.reuse, chosen = self.known & chosen, chosen[~self.known]
        self.kept = chosen
        self.fresh.data *= chosen
        self.encoder = None

    def whole(self) -> Tensor:
        """Frozen and fresh numbers in their places."""
        fresh = self.fresh if self.kept is None else self.fresh * self.kept
        if self.known is None:
            return fresh
        empty = torch.zeros(self.shape, device=fresh.device, dtype=fresh.dtype)
        return torch.where(self.known, self.values, empty.masked_scatter(~self.known, fresh))

    def forward(self) -> Tensor:
        whole = self.whole()
        if self.encoder is not None:
            return whole * self.encoder.mask()
        return whole if self.known is None else whole * (self.reuse | ~self.known)

    def inheritance(self) -> tuple[Tensor, Tensor]:
        """(numbers, which of them are used) for the next video."""
        whole = self.whole().detach().clone().contiguous().cpu()
        used = (self.fresh.detach() != 0 if self.kept is None else self.kept).cpu()
        if self.known is None:
            return whole, used
        known = self.known.cpu()
        return whole, known | torch.zeros_like(known).masked_scatter(~known, used)


class SharedConv(nn.Module):
    """A convolution with shared weights; its biases are each video's own."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, previous: SharedConv | None):
        super().__init__()
        fan_in = in_channels * kernel_size**2
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weight = SharedTensor(shape, fan_in, previous and previous.weight)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.padding = kernel_size // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight(), self.bias, padding=self.padding)


class SharedLinear(nn.Module):
    """A linear layer with shared weights; its biases are each video's own."""

    def __init__(self, inputs: int, outputs: int, previous: SharedLinear | None):
        super().__init__()
        self.weight = SharedTensor((outputs, inputs), inputs, previous and previous.weight)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight(), self.bias)


class SharedSpectral(nn.Module):
    """The Fourier operator: the lowest frequencies of a map, each mixed over channels by complex weights of its own, on
    a map ``stride`` times as large.

    modes: rows (of each sign) and columns of frequencies. (B, C, H, W) to (B, C', stride H, stride W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: tuple[int, int],
        stride: int,
        previous: SharedSpectral | None,
    ):
        super().__init__()
        self.modes, self.stride = modes, stride
        shape = (in_channels, out_channels, 2 * modes[0], modes[1])
        self.real = SharedTensor(shape, in_channels * 4, previous and previous.real)
        self.imaginary = SharedTensor(shape, in_channels * 4, previous and previous.imaginary)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.modes
        height, width = (self.stride * n for n in x.shape[2:])
        spectrum = torch.fft.rfft2(x.float(), norm="forward")
        low = torch.cat([spectrum[:, :, :rows, :columns], spectrum[:, :, -rows:, :columns]], 2)
        weight = torch.complex(self.real().float(), self.imaginary().float())
        mixed = torch.einsum("bixy,ioxy->boxy", low, weight)
        gap = (height - 2 * rows, width // 2 + 1 - columns)
        filled = torch.cat(
            [mixed[:, :, :rows], mixed.new_zeros(*mixed.shape[:2], gap[0], columns), mixed[:, :, rows:]], 2
        )
        return torch.fft.irfft2(F.pad(filled, (0, gap[1])), s=(height, width), norm="forward")
