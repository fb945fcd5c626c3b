# SPDX-License-Identifier: Apache-2.0
"""Making of records: pieces of the training clips go through the encoder, and what it decided is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

from nvcodec.models.conditional.frame_coder import Window
from nvcodec.models.training.pieces import Piece, Pieces, decide
from nvcodec.models.training.recipe import RecordCounts
from nvcodec.models.training.records import (
    ARRAYS,
    OF_UNITS,
    RecordedFrame,
    Sequence,
    bounded,
    mark_complete,
    record_path,
    save_records,
    shards,
)
from nvcodec.models.training.workers import Workers
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
            references = tuple(window.at(slot) for slot in header.references)
            window.add(len(sequences[-1]), header.kept)
            arrays = {name: getattr(blocks, name).astype(kind) for name, (_, kind) in ARRAYS.items()}
            for name in OF_UNITS:
                arrays[name] = arrays[name].repeat(2, 0).repeat(2, 1)[: blocks.rows, : blocks.columns]
            coded = bounded(symbols[blocks.coded > 0])
            sequences[-1].append(RecordedFrame(number, header.level, header.kept, references, arrays, coded))
    return sequences


def record(
    pieces: Pieces,
    bases: BlockBases,
    counts: RecordCounts,
    folder: Path,
    workers: Workers,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> bool:
    """Record what is not there yet, file by file; False when stopped on the way, which loses the files under way."""
    folder.mkdir(exist_ok=True)
    missing = [s for s in shards(counts) if pieces.has(s[0]) and not record_path(folder, *s[:2]).exists()]
    begin = last = time.monotonic()
    total, done = sum(len(numbers) for _, _, numbers in missing), 0
    arguments = ((pieces, kind, n, counts.frames, bases) for kind, _, numbers in missing for n in numbers)
    made = workers.map(draw_and_record, arguments, stop)
    for kind, index, numbers in missing:
        sequences: list[Sequence] = []
        for _ in numbers:
            piece = next(made, None)
            if piece is None:
                return False
            sequences += piece
            done += 1
            if time.monotonic() - last > REPORT_SECONDS:
                last = time.monotonic()
                left = (last - begin) / done * (total - done)
                say(f"records: {done} of {total} pieces  left {left / 60:.0f} min")
        save_records(record_path(folder, kind, index), sequences)
    mark_complete(counts, folder)
    return True


def draw_and_record(pieces: Pieces, kind: str, number: int, frames: int, bases: BlockBases) -> list[Sequence]:
    """The sequences of a numbered piece, encoded with one thread."""
    with ThreadPoolExecutor(1) as pool:
        return record_piece(pieces.draw(kind, number, frames), bases, pool)
