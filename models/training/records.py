# SPDX-License-Identifier: Apache-2.0
"""What the entropy coder learns from: the encoder's decisions and symbols for many pieces of the training clips.

They are kept in the run's folder, some sequences to a file, as plain arrays: ``frames`` (F, 8) int32 with a row for
each frame (sequence, rows, columns, number, level, kept, first and second reference, -1 for none), and all frames'
arrays end to end. References count frames within the sequence, in coding order.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from nvcodec.errors import UsageError
from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.kernels.residual import SAMPLES as LATENTS
from nvcodec.models.training.recipe import RecordCounts

CLIPS, STILLS, HELD_OUT = "clips", "stills", "held-out"
KINDS = (CLIPS, STILLS, HELD_OUT)
SHARD = 10  # sequences of a file
COMPLETE = "complete.json"  # the counts of the recipe, when all is there
LARGEST = 127  # symbols beyond it are kept as this
# arrays of a frame: values for each block, type
ARRAYS: dict[str, tuple[int, type]] = {
    "pred": (1, np.uint8),
    "merged": (1, np.uint8),
    "coded": (1, np.uint8),
    "fine": (1, np.uint8),
    "banks": (1, np.uint8),
    "finer": (1, np.int8),
    "large": (1, np.uint8),
    "quad": (1, np.uint8),
    "energy": (1, np.uint8),
    "shapes": (1, np.uint8),
    "tiny": (4, np.uint8),
    "from_luma": (4, np.uint8),
    "kinds": (4, np.uint8),
    "parts": (4, np.uint8),
    "modes": (16, np.uint8),
    "vectors": (16, np.int16),
}


OF_UNITS = ("banks", "finer")  # of units of 2 x 2 blocks, recorded for each block


@dataclass
class RecordedFrame:
    """A frame as it was coded.

    number: in display order; references: its references' places in the sequence; arrays: decisions, as stored;
    symbols: (N, 384) int8 of the coded blocks.
    """

    number: int
    level: int
    kept: bool
    references: tuple[int, ...]
    arrays: dict[str, np.ndarray]
    symbols: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        rows, columns = self.arrays["pred"].shape
        return rows, columns

    def blocks(self) -> Blocks:
        """The decisions as the codec holds them."""
        blocks = Blocks(*self.shape)
        for name, array in self.arrays.items():
            setattr(blocks, name, array.astype(np.int32) if name == "vectors" else array)
        for name in OF_UNITS:
            setattr(blocks, name, np.ascontiguousarray(self.arrays[name][::2, ::2]))
        return blocks


def bounded(symbols: np.ndarray) -> np.ndarray:
    """Symbols as int8: those beyond `LARGEST` as it, or one less, so that odd ones stay odd, as they say signs."""
    sizes = np.abs(symbols.astype(np.int32))
    sizes = np.where(sizes > LARGEST, LARGEST - (sizes + LARGEST) % 2, sizes)
    return (np.sign(symbols) * sizes).astype(np.int8)


Sequence = list[RecordedFrame]  # in coding order, beginning with a keyframe


def save_records(path: Path, sequences: list[Sequence]) -> None:
    """Write a file of sequences (whole or not at all)."""
    frames = [(n, frame) for n, sequence in enumerate(sequences) for frame in sequence]
    rows = [(n, *f.shape, f.number, f.level, f.kept, *(*f.references, -1, -1)[:2]) for n, f in frames]
    arrays = {name: np.concatenate([f.arrays[name].ravel() for _, f in frames]) for name in ARRAYS}
    symbols = np.concatenate([f.symbols for _, f in frames])
    partial = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    try:
        np.savez_compressed(partial, frames=np.array(rows, np.int32), symbols=symbols, **arrays)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_records(path: Path) -> list[Sequence]:
    """Sequences of a file. Raises UsageError when it is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("frames", "symbols", *ARRAYS)}
        return _sequences(arrays)
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"records {path}: not readable ({error}); remove the file to record again") from error


def _sequences(arrays: dict[str, np.ndarray]) -> list[Sequence]:
    sequences: list[Sequence] = []
    block = latent = 0
    for n, rows, columns, number, level, kept, *references in arrays["frames"].tolist():
        if n == len(sequences):
            sequences.append([])
        found = {}
        for name, (size, kind) in ARRAYS.items():
            flat = arrays[name][size * block : size * (block + rows * columns)]
            if flat.dtype != kind:
                raise ValueError(f"{name} of type {flat.dtype}")
            side = {1: 1, 4: 2, 16: 4}[size]
            shape = (2, 2 * rows, 2 * columns, 2) if name == "vectors" else (side * rows, side * columns)
            found[name] = flat.reshape(shape)
        coded = int(np.count_nonzero(found["coded"]))
        symbols = arrays["symbols"][latent : latent + coded]
        there = tuple(r for r in references if r >= 0)
        if symbols.shape != (coded, LATENTS) or symbols.dtype != np.int8 or max(there, default=-1) >= len(sequences[n]):
            raise ValueError(f"frame {len(sequences[n])} of sequence {n} is not whole")
        sequences[n].append(RecordedFrame(number, level, bool(kept), there, found, symbols))
        block, latent = block + rows * columns, latent + coded
    return sequences


def mark_complete(counts: RecordCounts, folder: Path) -> None:
    """Note that everything a recipe asks for is there."""
    (folder / COMPLETE).write_text(json.dumps(asdict(counts)) + "\n")


def complete(counts: RecordCounts, folder: Path) -> bool:
    """Whether everything that a recipe asks for has been recorded."""
    path = folder / COMPLETE
    return path.is_file() and path.read_text() == json.dumps(asdict(counts)) + "\n"


def recorded(counts: RecordCounts, folder: Path, kinds: tuple[str, ...] = KINDS) -> list[Path]:
    """The files of records that are there."""
    paths = [record_path(folder, kind, index) for kind, index, _ in shards(counts) if kind in kinds]
    return [path for path in paths if path.exists()]


def shards(counts: RecordCounts) -> list[tuple[str, int, range]]:
    """Kind, index and numbers of pieces of each file."""
    return [
        (kind, begin // SHARD, range(begin, min(begin + SHARD, count)))
        for kind, count in ((HELD_OUT, counts.held_out), (CLIPS, counts.clips), (STILLS, counts.stills))
        for begin in range(0, count, SHARD)
    ]


def record_path(folder: Path, kind: str, index: int) -> Path:
    """Where a file of records is."""
    return folder / f"{kind}-{index:04}.npz"
