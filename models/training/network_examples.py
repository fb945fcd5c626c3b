# SPDX-License-Identifier: Apache-2.0
"""Frames that the network in the loop learns from: keyframes, and frames at the end, half and quarters of groups, as
they are before restoration, what was coded of them, and as they should be."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from nvcodec.errors import UsageError
from nvcodec.models.conditional.frame import Planes, without_borders
from nvcodec.models.conditional.picture import Statistics
from nvcodec.models.conditional.plans import GROUP_OFFSETS, RANDOM_ACCESS
from nvcodec.models.conditional.restoration import Coded
from nvcodec.models.depth import EXTRA_BITS
from nvcodec.models.kernels.network import CHANNELS, SEEN
from nvcodec.models.quality import LEVELS, LOWEST
from nvcodec.models.training.pieces import Pieces, decide
from nvcodec.models.training.recipe import NetworkCounts
from nvcodec.models.training.records import CLIPS, HELD_OUT, STILLS
from nvcodec.models.training.workers import Workers
from nvcodec.models.transform import BlockBases

LEAST_ERROR = 0.05 * (1 << 2 * EXTRA_BITS)  # mean squared
REPORT_SECONDS = 60


@dataclass
class Example:
    """A frame at half size, (CHANNELS, rows, columns) uint16, as it was decoded and as it should be; coded: (SEEN -
    CHANNELS, rows, columns) int16, what the network sees beside it: the residual, levels by which it is finer, and
    whether (1) it is predicted from other frames."""

    decoded: np.ndarray
    picture: np.ndarray
    coded: np.ndarray
    level: int
    intra: bool
    held_out: bool

    @property
    def errors(self) -> np.ndarray:
        """Mean squared errors of luma, U and V."""
        return errors_of(self.decoded, self.picture)


def at_half_size(planes: Planes) -> np.ndarray:
    """(CHANNELS, rows, columns) of planes with even sides."""
    y, u, v = planes
    return np.stack([y[::2, ::2], y[::2, 1::2], y[1::2, ::2], y[1::2, 1::2], u, v])


def coded_at_half_size(coded: Coded) -> np.ndarray:
    """(SEEN - CHANNELS, rows, columns) int16 of what was coded of a frame."""
    residual = at_half_size(coded.planes)
    finer, inter = (each.repeat(n, 0).repeat(n, 1) for each, n in ((coded.finer, 16), (coded.pred > 0, 8)))
    rows, columns = residual.shape[1:]
    return np.concatenate([residual, finer[None, :rows, :columns], inter[None]]).astype(np.int16)


def extended(frame: np.ndarray, edge: int) -> np.ndarray:
    """A frame at half size with so many more samples on each side, made of its planes' outermost ones."""
    y = np.empty((2 * frame.shape[1], 2 * frame.shape[2]), frame.dtype)
    for n in range(4):
        y[n >> 1 :: 2, n & 1 :: 2] = frame[n]
    y, u, v = (np.pad(plane, n * edge, mode="edge") for plane, n in ((y, 2), (frame[4], 1), (frame[5], 1)))
    return at_half_size((y, u, v))


def errors_of(decoded: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Mean squared errors of luma, U and V of two frames at half size."""
    squared = (decoded.astype(np.float32) - picture) ** 2
    return np.maximum([squared[:4].mean(), squared[4].mean(), squared[5].mean()], LEAST_ERROR)


def collect(
    pieces: Pieces,
    counts: NetworkCounts,
    bases: BlockBases,
    workers: Workers,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> list[Example] | None:
    """Those frames before restoration; None when stopped on the way."""
    jobs = [(HELD_OUT, n) for n in range(counts.held_out) if pieces.has(HELD_OUT)]
    jobs += [(STILLS, n) for n in range(counts.stills) if pieces.has(STILLS)]
    jobs += [(CLIPS, n) for n in range(counts.clips)]
    examples: list[Example] = []
    done, last = 0, time.monotonic()
    for some in workers.map(examples_of, ((pieces, k, n, counts.frames, bases) for k, n in jobs), stop):
        examples += some
        done += 1
        if time.monotonic() - last > REPORT_SECONDS:
            say(f"frames of {done} of {len(jobs)} pieces")
            last = time.monotonic()
    return examples if done == len(jobs) else None


def examples_of(pieces: Pieces, kind: str, number: int, frames: int, bases: BlockBases) -> list[Example]:
    """Of one piece."""
    piece, statistics = pieces.draw(kind, number, frames), Statistics(keep_residuals=False, keep_frames=True)
    piece.profile = RANDOM_ACCESS
    with ThreadPoolExecutor(1) as pool:
        for _ in decide(piece, bases, pool, statistics):
            pass
    return [
        Example(
            at_half_size(without_borders(planes)),
            at_half_size(picture),
            coded_at_half_size(coded),
            level,
            intra,
            kind == HELD_OUT,
        )
        for level, intra, picture, planes, coded in statistics.frames
        if intra or level >= LOWEST + piece.quality + GROUP_OFFSETS[2]  # others are coarser
    ]


def save_examples(path: Path, examples: list[Example], counts: NetworkCounts) -> None:
    """Keep them in a file (whole or not at all), with the counts that they were collected by."""
    if not examples:
        raise UsageError("the network needs frames to learn from: there are none")
    table = [(e.level, e.intra, e.held_out, *e.decoded.shape[1:]) for e in examples]
    partial = path.with_name(f".{path.name}")
    flat = {
        name: np.concatenate([getattr(e, name).ravel() for e in examples]) for name in ("decoded", "picture", "coded")
    }
    np.savez(partial, counts=_collected(counts), table=np.array(table, np.int32), **flat)
    os.replace(partial, path)


def _collected(counts: NetworkCounts) -> np.ndarray:
    """Those of a recipe's counts that decide which frames there are."""
    return np.array([counts.clips, counts.stills, counts.held_out, counts.frames])


# what NumPy raises for damaged files
_UNREADABLE = (OSError, EOFError, BadZipFile, KeyError, ValueError, TypeError, RuntimeError, NotImplementedError)


def load_examples(path: Path, counts: NetworkCounts) -> list[Example]:
    """What `save_examples` wrote. Raises UsageError for anything else, and for frames collected by other counts."""
    try:
        with np.load(path) as file:
            table, decoded, picture, coded = (file[name] for name in ("table", "decoded", "picture", "coded"))
            if decoded.dtype != np.uint16 or picture.dtype != np.uint16 or coded.dtype != np.int16:
                raise ValueError(f"samples of {decoded.dtype} and {picture.dtype}, residuals of {coded.dtype}")
            if not np.array_equal(file["counts"], _collected(counts)):
                raise UsageError(f"{path}: of other counts than the recipe's; remove it")
        examples, at = [], 0
        for level, intra, held_out, rows, columns in table.tolist():
            end = at + rows * columns
            if not 0 <= level < LEVELS or CHANNELS * end > min(len(decoded), len(picture)):
                raise ValueError(f"a frame of level {level}, {rows} x {columns}")
            if (SEEN - CHANNELS) * end > len(coded):
                raise ValueError(f"a frame of {rows} x {columns} without what was coded of it")
            one, other, more = (
                flat[n * at : n * end].reshape(n, rows, columns)
                for flat, n in ((decoded, CHANNELS), (picture, CHANNELS), (coded, SEEN - CHANNELS))
            )
            examples.append(Example(one, other, more, level, bool(intra), bool(held_out)))
            at = end
    except _UNREADABLE as error:
        raise UsageError(f"{path}: not the frames of a run ({str(error).splitlines()[0]}); remove it") from error
    return examples
