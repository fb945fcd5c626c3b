# SPDX-License-Identifier: Apache-2.0
"""Making of records: pieces of the training clips go through the encoder, and what it decided is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import numpy as np

from nvcodec.models.conditional.frame_coder import Window
from nvcodec.models.training.group import Group
from nvcodec.models.training.pieces import Piece, Pieces, decide
from nvcodec.models.training.recipe import RecordCounts
from nvcodec.models.training.records import (
    ARRAYS,
    LARGEST,
    RecordedFrame,
    Sequence,
    mark_complete,
    record_path,
    save_records,
    shards,
)
from nvcodec.models.transform import BlockBases

REPORT_SECONDS = 30


def record_piece(piece: Piece, bases: BlockBases, pool: Executor) -> list[Sequence]:
    """Encode a piece; more than one sequence where it has cuts."""
    sequences: list[Sequence] = []
    window = Window()
    for unit in decide(piece, bases, pool):
        for header, number, blocks, symbols in unit.frames:
            if header.intra:
                window.clear()
                sequences.append([])
            references = tuple(window.kept[slot] for slot in header.references)
            window.add(len(sequences[-1]), header.kept)
            arrays = {name: getattr(blocks, name).astype(kind) for name, (_, kind) in ARRAYS.items()}
            coded = symbols[blocks.coded > 0].clip(-LARGEST, LARGEST).astype(np.int8)
            sequences[-1].append(RecordedFrame(number, header.level, header.kept, references, arrays, coded))
    return sequences


def record(
    pieces: Pieces,
    bases: BlockBases,
    counts: RecordCounts,
    folder: Path,
    group: Group,
    pool: Executor,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> bool:
    """Record what is not there yet, the files shared among the processes; False when stopped on the way."""
    folder.mkdir(exist_ok=True)
    own = [shard for shard in shards(counts)[group.rank :: group.world] if pieces.has(shard[0])]
    own = [shard for shard in own if not record_path(folder, *shard[:2]).exists()]
    begin = last = time.monotonic()
    total, done, stopped = sum(len(shard[2]) for shard in own), 0, False
    for kind, index, numbers in own:
        sequences: list[Sequence] = []
        for number in numbers:
            stopped = stop()
            if stopped:
                break
            sequences += record_piece(pieces.draw(kind, number, counts.frames), bases, pool)
            done += 1
            if time.monotonic() - last > REPORT_SECONDS:
                last = time.monotonic()
                left = (last - begin) / done * (total - done)
                say(f"records: {done} of {total} sequences  left {left / 60:.0f} min")
        if stopped:
            break
        save_records(record_path(folder, kind, index), sequences)
    if group.any(stopped):
        return False
    if group.rank == 0:
        mark_complete(counts, folder)
    return True
