# SPDX-License-Identifier: Apache-2.0
"""What the entropy coder knows when a video begins: it codes all records, and what its contexts have
learned is kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nvcodec.entropy import binary
from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.conditional.frame_coder import MAX_NBYTES_PER_BLOCK, Known, code_frame
from nvcodec.models.conditional.weights import START_COUNT, Learned, nothing_learned
from nvcodec.models.kernels.decisions import DECISION_LIMIT
from nvcodec.models.kernels.residual import SAMPLES
from nvcodec.models.training.records import RecordedFrame, Sequence

PASSES = 2
LEARNING_LIMIT = 1000  # of contexts of decisions: what they know should be of all videos, not of the last


def learn(sequences: list[Sequence], say: Callable[[str], None], stop: Callable[[], bool]) -> Learned | None:
    """Code all sequences ``PASSES`` times, learning all along; None when stopped on the way."""
    learned = nothing_learned()
    for number in range(PASSES):
        decisions = latents = 0
        for sequence in sequences:
            if stop():
                return None
            bits = code_sequence(sequence, learned, LEARNING_LIMIT)
            decisions, latents = decisions + bits[0], latents + bits[1]
        say(
            f"contexts, pass {number + 1} of {PASSES}: decisions {decisions / 8e6:.2f} MB, "
            f"latents {latents / 8e6:.2f} MB"
        )
    for slots in (learned.decisions, learned.slots):
        slots[:, 1] = np.minimum(slots[:, 1], START_COUNT)
    learned.plain[:, 0] = learned.plain[:, 1]
    return learned


def validate(sequences: list[Sequence], learned: Learned) -> tuple[int, int]:
    """Bits of decisions and latents when each sequence begins with what was learned."""
    bits = [code_sequence(s, learned.copy()) for s in sequences]
    return sum(b[0] for b in bits), sum(b[1] for b in bits)


def code_sequence(
    sequence: Sequence, learned: Learned, limit: int = DECISION_LIMIT, spent: list[np.ndarray] | None = None
) -> tuple[int, int]:
    """Bits of decisions and latents of a sequence, learning from them; spent: of each frame, see `code_latents`."""
    rows, columns = sequence[0].shape
    last = Known(0, Blocks(rows, columns), np.zeros((rows, columns, SAMPLES), np.int16), ())
    buffer = np.empty(4096 + MAX_NBYTES_PER_BLOCK * rows * columns, np.uint8)
    numbers = [frame.number for frame in sequence]
    decisions = latents = 0
    done: list[Known] = []
    for n, frame in enumerate(sequence):
        distances = tuple(frame.number - numbers[reference] for reference in frame.references)
        known = Known(frame.number, frame.blocks(), symbols_of(frame), distances)
        coder = binary.start_writing(buffer)
        newest = done[max(frame.references)] if frame.references else last
        first, _ = code_frame(
            coder, buffer, learned, frame.level, known, last, newest, limit, spent[n] if spent else None
        )
        decisions, latents = decisions + 8 * first, latents + 8 * (int(coder[binary.POSITION]) - first)
        last = known
        done.append(known)
    return decisions, latents


def symbols_of(frame: RecordedFrame) -> np.ndarray:
    """(R, C, 384) int16."""
    symbols = np.zeros((*frame.shape, SAMPLES), np.int16)
    symbols[frame.arrays["coded"] > 0] = frame.symbols
    return symbols
