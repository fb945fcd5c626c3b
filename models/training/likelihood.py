# SPDX-License-Identifier: Apache-2.0
"""Bits of recorded symbols as the network predicts them, differentiable, for batches of sequences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nvcodec.models.conditional.density import (
    LOG_SCALE_MIN,
    SCALE_LEVELS,
    SCALES_PER_E,
    gaussian_bits,
    scale_of_index,
)
from nvcodec.models.conditional.network import ConditionalNetwork, Places, describe, places_of
from nvcodec.models.training.records import Sequence

TRUNCATE = 3  # frames in a chain of references through which gradients go back; they explode along longer ones
MAGNITUDES = 128  # told apart in the table of bits


def bits_table() -> Tensor:
    """(SCALE_LEVELS, MAGNITUDES) bits of a symbol of each magnitude at each scale: a Gaussian's, with long tails."""
    scales = scale_of_index(torch.arange(SCALE_LEVELS, dtype=torch.float64))[:, None]
    magnitudes = torch.arange(MAGNITUDES, dtype=torch.float64)[None].expand(SCALE_LEVELS, MAGNITUDES)
    gaussian = gaussian_bits(magnitudes, scales.expand(SCALE_LEVELS, MAGNITUDES)).clamp_max(24)
    tail = -torch.log2(0.02 * torch.exp(-magnitudes / (scales * 0.9 + 0.05)))
    return torch.minimum(gaussian, tail + 1).float().contiguous()


class TableBits(torch.autograd.Function):
    """Bits by a table, linear between scale indices: positions (N, K) float, magnitudes (N, K) int, the table.

    Cheaper than any formula, and what is learned is what the integer tables of the weight file will say.
    """

    @staticmethod
    def forward(ctx, positions: Tensor, magnitudes: Tensor, table: Tensor) -> Tensor:  # type: ignore[override]
        inside = positions.clamp(0, SCALE_LEVELS - 1.001)
        low = inside.floor()
        at = low.to(torch.int32) * table.shape[1] + magnitudes
        flat = table.flatten()
        bits = flat[at]
        slope = flat[at + table.shape[1]] - bits
        ctx.save_for_backward(slope, positions)
        return bits + slope * (inside - low)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[override]
        slope, positions = ctx.saved_tensors
        grad = grad * slope
        outwards = (positions < 0) & (grad > 0) | (positions > SCALE_LEVELS - 1) & (grad < 0)
        return grad.masked_fill(outwards, 0.0), None, None


def bits_of(log_scales: Tensor, symbols: Tensor, table: Tensor, rounded: bool = False) -> Tensor:
    """Bits of symbols (N, K) at these scales; rounded: at the nearest scale index, as the codec does."""
    positions = (log_scales - LOG_SCALE_MIN) * SCALES_PER_E
    if rounded:
        positions = torch.round(positions.clamp(0, SCALE_LEVELS - 1))
    return TableBits.apply(positions, symbols.abs().to(torch.int32), table)


@dataclass
class FrameBatch:
    """The same frame of several sequences of one shape. ``symbols``: (N, 384) float; ``sequence``: (N,) whose they are;
    ``level`` (B,); the rest as `ConditionalNetwork.begin` takes it."""

    described: Tensor
    vectors: Tensor
    pred: Tensor
    level: Tensor
    places: Places
    symbols: Tensor
    sequence: Tensor
    references: tuple[int, ...]


def collate(sequences: list[Sequence], device: torch.device) -> Iterator[FrameBatch]:
    """Frame by frame, a batch of sequences with equal shapes and references."""
    for number, first in enumerate(sequences[0]):
        frames = [sequence[number] for sequence in sequences]
        blocks = [frame.blocks() for frame in frames]
        levels = [tuple(sequence[r].level for r in first.references) for sequence in sequences]
        described = [describe(b, b.energy, f.level, ls) for b, f, ls in zip(blocks, frames, levels, strict=True)]
        places = [places_of(b, b.energy) for b in blocks]
        size = first.shape[0] * first.shape[1]
        of = torch.cat([p.of + n * size for n, p in enumerate(places)])
        rest = [torch.cat([getattr(p, k) for p in places]) for k in ("table", "quarter", "fine", "first")]
        yield FrameBatch(
            torch.from_numpy(np.stack(described)).to(device),
            torch.from_numpy(np.stack([b.vectors for b in blocks])).to(device),
            torch.from_numpy(np.stack([b.pred for b in blocks]).astype(np.int32)).to(device),
            torch.tensor([f.level for f in frames], device=device),
            Places(*(tensor.to(device) for tensor in (of, *rest))),
            torch.from_numpy(np.concatenate([f.symbols for f in frames])).to(device).float(),
            torch.cat([torch.full((len(p.of),), n) for n, p in enumerate(places)]).to(device),
            first.references,
        )


def predict(
    network: ConditionalNetwork, sequences: list[Sequence], device: torch.device
) -> Iterator[tuple[FrameBatch, Tensor, Tensor]]:
    """For every frame of sequences of one shape: the batch, logarithms of scales (N, 384), and by tables alone."""
    memories: list[Tensor] = []
    depths: list[int] = []  # of the chains of references behind the memories
    wanted = {r for frame in sequences[0] for r in frame.references}
    for number, batch in enumerate(collate(sequences, device)):
        context, fetched = network.begin(
            batch.described, [memories[r] for r in batch.references], batch.vectors, batch.pred, batch.level
        )
        first, base = network.first_scales(context, batch.places)
        second, context = network.second_scales(context, batch.places, batch.symbols * batch.places.first, base)
        yield batch, torch.where(batch.places.first, first, second), base
        memory = fetched
        if number in wanted:
            memory = network.end(context, batch.places, batch.symbols, fetched)
        depth = 1 + max((depths[r] for r in batch.references), default=0)
        memories.append(memory if depth <= TRUNCATE else memory.detach())
        depths.append(depth if depth <= TRUNCATE else 0)


def groups_of(sequences: list[Sequence]) -> list[list[Sequence]]:
    """Sequences with symbols in them, by shape and references: those that can be in one batch."""
    groups: dict[tuple, list[Sequence]] = defaultdict(list)
    for sequence in sequences:
        if any(len(frame.symbols) for frame in sequence):
            groups[sequence[0].shape, tuple(frame.references for frame in sequence)].append(sequence)
    return list(groups.values())


def start_scales(network: ConditionalNetwork, sequences: list[Sequence]) -> None:
    """Base scales from the share of zeros among the recorded symbols of each kind."""
    tables = network.coarse_scales, network.quarter_scales
    coarse, quarter = (np.zeros((2, *table.shape)) for table in tables)  # zeros, all
    for frame in (frame for sequence in sequences for frame in sequence):
        places = places_of(blocks := frame.blocks(), blocks.energy)
        zero, fine = frame.symbols == 0, places.fine[:, 0].numpy()
        for sums, values in zip(coarse, (zero[~fine], 1), strict=True):
            np.add.at(sums, places.table.numpy()[~fine], values)
        for q in range(4):
            for sums, values in zip(quarter, (zero[fine, q::4], 1), strict=True):
                np.add.at(sums, places.quarter.numpy()[fine, q], values)
    with torch.no_grad():
        for table, (zeros, count) in zip(tables, (coarse, quarter), strict=True):
            share = torch.from_numpy((zeros + 2.46) / (count + 3)).clamp(0.01, 0.99999)
            table.copy_(torch.log(0.5 / (2**0.5 * torch.erfinv(share))))
