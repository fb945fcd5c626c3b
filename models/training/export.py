# SPDX-License-Identifier: Apache-2.0
"""From a training run to a weight file: averaged weights, and tables counted in the records.

Latents get one table for each scale index, from how often magnitudes came there; decisions get the contexts to begin
with that coding all records ends with, on average.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from nvcodec.entropy import binary
from nvcodec.entropy.tables import TableSet
from nvcodec.models.conditional.density import (
    LOG_SCALE_MIN,
    SCALE_LEVELS,
    SCALES_PER_E,
    SURELY_ZERO,
    scale_of_index,
)
from nvcodec.models.conditional.frame_coder import ALL_CONTEXTS, FULL, FrameCoder, FrameHeader
from nvcodec.models.conditional.network import ConditionalNetwork
from nvcodec.models.conditional.weights import BANDS, Weights, save_weights
from nvcodec.models.exact import freeze_grids
from nvcodec.models.quality import LEVELS
from nvcodec.models.training.likelihood import predict
from nvcodec.models.training.records import Sequence
from nvcodec.models.transform import BlockBases

COUNTED = 250  # sequences whose latents are counted
COUNTED_MAGNITUDES = 16  # the last stands for all beyond
PRIOR_COUNT = 200.0  # symbols that a table's prior counts for
LONGEST_TABLE = 1024  # largest magnitude without an escape
FULL_LIMITS = (1024, 65024)  # of the context that says whether a block is full


class LatentCounts:
    """How often magnitudes came at each scale index, and how many blocks were full by kind of frame and band."""

    def __init__(self) -> None:
        self.magnitudes = np.zeros((SCALE_LEVELS, COUNTED_MAGNITUDES))
        self.full = np.zeros((2, BANDS, 2))  # full, all

    @torch.no_grad()
    def add(self, network: ConditionalNetwork, sequence: Sequence) -> None:
        """Take a sequence as the network predicts it."""
        band = sequence[0].level * BANDS // LEVELS
        for frame, (batch, scales, _) in zip(
            sequence, predict(network, [sequence], network.coarse_scales.device), strict=True
        ):
            positions = ((scales - LOG_SCALE_MIN) * SCALES_PER_E).clamp(0, SCALE_LEVELS - 1)
            index = torch.round(positions).long().cpu().numpy()
            symbols = batch.symbols.abs().long().cpu().numpy()
            at = index * COUNTED_MAGNITUDES + np.minimum(symbols, COUNTED_MAGNITUDES - 1)
            self.magnitudes += np.bincount(at.ravel(), minlength=self.magnitudes.size).reshape(self.magnitudes.shape)
            full = ((index <= SURELY_ZERO) & (symbols > 0)).any(1)
            self.full[int(bool(frame.references)), band] += full.sum(), len(full)

    def tables(self) -> TableSet:
        """One table for each scale index: what was counted, and a prior where little was."""
        scales = scale_of_index(torch.arange(SCALE_LEVELS, dtype=torch.float64)).numpy()
        pmfs = [_pmf(scale, counts) for scale, counts in zip(scales, self.magnitudes, strict=True)]
        escapes = [1e-6 if scale < 1 else 1e-5 for scale in scales]
        return TableSet.from_pmfs(pmfs, [-(len(pmf) // 2) for pmf in pmfs], escapes)

    def full_contexts(self) -> np.ndarray:
        """(2, BANDS) 65536 times the probability that a block is not full."""
        share = (self.full[..., 0] + 0.5) / (self.full[..., 1] + 25)
        return np.clip(np.round(65536 * (1 - share)), *FULL_LIMITS)


def _pmf(scale: float, counts: np.ndarray) -> np.ndarray:
    """Probabilities of a table's symbols, symmetric around zero."""
    largest = min(LONGEST_TABLE, max(2, math.ceil(6 * scale)))
    magnitudes = torch.arange(largest + 1, dtype=torch.float64)
    twice = torch.where(magnitudes == 0, 1.0, 2.0)
    gaussian = twice * (torch.special.ndtr((magnitudes + 0.5) / scale) - torch.special.ndtr((magnitudes - 0.5) / scale))
    laplace = twice * torch.exp(-magnitudes / (0.75 * scale + 0.02))
    prior = (0.9 * gaussian / gaussian.sum() + 0.1 * laplace / laplace.sum()).numpy()
    share = PRIOR_COUNT * prior
    single = min(largest + 1, COUNTED_MAGNITUDES - 1)
    share[:single] += counts[:single]
    if largest + 1 > single:
        share[single:] += counts[-1] * prior[single:] / prior[single:].sum()
    share /= share.sum()
    return np.concatenate([share[:0:-1] / 2, share[:1], share[1:] / 2])


class _ContextCounter(FrameCoder):
    """Codes decisions only, with contexts that go on from video to video, and adds up where they are."""

    def __init__(self, weights: Weights, rows: int, columns: int, running: np.ndarray, total: np.ndarray):
        super().__init__(weights, rows, columns)
        self._running, self._total = running, total
        self._band = 0
        self._nothing = torch.zeros(0)

    def add(self, sequence: Sequence) -> None:
        """Code a sequence; after each frame the contexts of its kind and band are added to the total."""
        for frame in sequence:
            if not frame.references:
                self.window.clear()
                self._band = frame.level * BANDS // LEVELS
                self._contexts = {intra: self._running[int(not intra), self._band] for intra in (True, False)}
            numbers = [known.number for known in self.window.kept]
            slots = tuple(numbers.index(sequence[r].number) for r in frame.references)
            header, blocks = FrameHeader(frame.level, not slots, frame.kept, 0, slots), frame.blocks()
            buffer = np.zeros(4096 + 1024 * self.rows * self.columns, np.uint8)
            contexts = self._decisions(binary.start_writing(buffer), buffer, header, frame.number, blocks)
            self._total[int(bool(slots)), self._band, :, 0] += contexts[:, 1]
            self._total[int(bool(slots)), self._band, :, 1] += 1
            self._add(header, frame.number, blocks, self._nothing)


def start_contexts(sequences: list[Sequence], weights: Weights) -> np.ndarray:
    """(2, BANDS, ALL_CONTEXTS, 2) int32: the mean of each while all sequences are coded; half where none was."""
    running = np.stack([np.stack([binary.new_contexts(ALL_CONTEXTS)] * BANDS)] * 2)
    total = np.zeros((2, BANDS, ALL_CONTEXTS, 2))
    for sequence in sequences:
        _ContextCounter(weights, *sequence[0].shape, running, total).add(sequence)
    count = total[..., 1]
    mean = np.where(count > 0, total[..., 0] / np.maximum(count, 1), binary.HALF)
    return np.repeat(np.round(mean)[..., None], 2, -1).astype(np.int32)


def export(network: ConditionalNetwork, bases: BlockBases, sequences: list[Sequence], name: str, path: Path) -> None:
    """Write a weight file from trained (averaged) weights and the records they were trained on.

    Raises ValueError when a layer's sums could overflow.
    """
    network.eval()
    freeze_grids(network)
    counts = LatentCounts()
    for sequence in _some(sequences):
        counts.add(network, sequence)
    latents = counts.tables()
    beginning = np.stack([np.stack([binary.new_contexts(ALL_CONTEXTS)] * BANDS)] * 2)
    contexts = start_contexts(sequences, Weights(name, b"", network, latents, beginning, bases))
    contexts[:, :, FULL] = counts.full_contexts()[..., None]
    save_weights(path, name, network, latents, contexts, bases)


def _some(sequences: list[Sequence]) -> Iterator[Sequence]:
    """COUNTED of the sequences, the same ones every time, spread over all."""
    order = np.random.default_rng(0).permutation(len(sequences))
    return (sequences[int(n)] for n in order[:COUNTED])
