# SPDX-License-Identifier: Apache-2.0
"""What the entropy coder knows when a video begins: it codes all records, and what its contexts have
learned is kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nvcodec.entropy import binary
from nvcodec.models.conditional.frame_coder import MAX_NBYTES_PER_BLOCK, Known, code_frame
from nvcodec.models.conditional.picture import Blocks
from nvcodec.models.conditional.weights import BANDS, START_COUNT, Learned, nothing_learned
from nvcodec.models.kernels.residual import SAMPLES
from nvcodec.models.quality import LEVELS
from nvcodec.models.training.records import RecordedFrame, Sequence

PASSES = 2


class _Mean:
    """Of the contexts of decisions over all frames: their last state would be that of the last video."""

    def __init__(self, contexts: np.ndarray) -> None:
        self.total, self.count = np.zeros(contexts.shape[:3]), np.zeros(contexts.shape[:2])

    def add(self, contexts: np.ndarray, band: int, inter: int) -> None:
        self.total[band, inter] += contexts[band, inter, :, 1]
        self.count[band, inter] += 1

    def contexts(self) -> np.ndarray:
        """(BANDS, 2, CONTEXTS, 2) int32; even odds where nothing was seen."""
        seen = self.count[..., None] > 0
        mean = np.where(seen, self.total / np.maximum(self.count, 1)[..., None], 1 << 15)
        return np.stack([mean.round().astype(np.int32)] * 2, -1)


def learn(sequences: list[Sequence], say: Callable[[str], None], stop: Callable[[], bool]) -> Learned | None:
    """Code all sequences ``PASSES`` times, learning all along; None when stopped on the way."""
    learned = nothing_learned()
    for number in range(PASSES):
        mean = _Mean(learned.contexts)
        decisions = latents = 0
        for sequence in sequences:
            if stop():
                return None
            bits = code_sequence(sequence, learned, band_of(sequence), mean)
            decisions, latents = decisions + bits[0], latents + bits[1]
        say(
            f"contexts, pass {number + 1} of {PASSES}: decisions {decisions / 8e6:.2f} MB, "
            f"latents {latents / 8e6:.2f} MB"
        )
    learned.contexts = mean.contexts()
    learned.slots[:, 1] = np.minimum(learned.slots[:, 1], START_COUNT)
    learned.plain[:, 0] = learned.plain[:, 1]
    return learned


def band_of(sequence: Sequence) -> int:
    """Band of quality levels of a sequence, by its keyframe."""
    return sequence[0].level * BANDS // LEVELS


def validate(sequences: list[Sequence], learned: Learned) -> tuple[int, int]:
    """Bits of decisions and latents when each sequence begins with what was learned."""
    bits = [code_sequence(s, learned.copy(band_of(s)), 0) for s in sequences]
    return sum(b[0] for b in bits), sum(b[1] for b in bits)


def code_sequence(sequence: Sequence, learned: Learned, band: int, mean: _Mean | None = None) -> tuple[int, int]:
    """Bits of decisions and latents of a sequence, learning from them."""
    rows, columns = sequence[0].shape
    last = Known(0, Blocks(rows, columns), np.zeros((rows, columns, SAMPLES), np.int16), ())
    buffer = np.empty(4096 + MAX_NBYTES_PER_BLOCK * rows * columns, np.uint8)
    numbers = [frame.number for frame in sequence]
    decisions = latents = 0
    done: list[Known] = []
    for frame in sequence:
        distances = tuple(frame.number - numbers[reference] for reference in frame.references)
        known = Known(frame.number, frame.blocks(), _symbols(frame), distances)
        coder = binary.start_writing(buffer)
        newest = done[max(frame.references)] if frame.references else last
        first = code_frame(coder, buffer, learned, band, frame.level, known, last, newest)
        decisions, latents = decisions + 8 * first, latents + 8 * (int(coder[binary.POSITION]) - first)
        if mean is not None:
            mean.add(learned.contexts, band, int(bool(frame.references)))
        last = known
        done.append(known)
    return decisions, latents


def _symbols(frame: RecordedFrame) -> np.ndarray:
    symbols = np.zeros((*frame.shape, SAMPLES), np.int16)
    symbols[frame.arrays["coded"] > 0] = frame.symbols
    return symbols
