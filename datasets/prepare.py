# SPDX-License-Identifier: Apache-2.0
"""From a folder of videos or photographs to a training cache (needs PyAV; training itself does not)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np

from nvcodec.datasets.training_cache import CachedClip, save_clip
from nvcodec.datasets.training_files import (
    STILL_SUFFIXES,
    VIDEO_SUFFIXES,
    TrainingFile,
    not_cached,
    training_files,
)
from nvcodec.errors import NvcError, UsageError

MIN_EDGE = 64
# the cache is held in memory: long videos give a few stretches, large pictures are made smaller
MAX_FRAMES = 64  # of one stretch
MAX_STRETCHES = 8
STRETCH_EVERY = 256  # frames from one stretch to the next, at least
MAX_VIDEO_EDGE = 640
MAX_STILL_EDGE = 1280

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


def prepare(
    folder: Path,
    cache: Path,
    jobs: int = 1,
    suffixes: frozenset[str] = VIDEO_SUFFIXES | STILL_SUFFIXES,
    progress: Callable[[str], None] | None = None,
) -> int:
    """Cache every video and still in ``folder`` (and below) that is not cached yet; returns how many are.

    A file that cannot be read or is too small is named on standard error and left out. ``progress`` is told the name
    of each file that is done. Raises UsageError when nothing is left to train on.
    """
    files = training_files(folder, suffixes)
    cache.mkdir(parents=True, exist_ok=True)
    missing = not_cached(files, cache)
    failures = 0
    for file, reason in zip(missing, _map(missing, cache, jobs), strict=True):
        if reason is not None:
            failures += 1
            print(f"nvc: {file.path}: left out: {reason}", file=sys.stderr, flush=True)
        if progress is not None:
            progress(file.name)
    if failures == len(files):
        raise UsageError(f"{folder}: none of its {failures} files can be trained on")
    return len(files) - failures


def _map(files: list[TrainingFile], cache: Path, jobs: int) -> Iterator[str | None]:
    if jobs == 1 or len(files) < 2:
        yield from (_prepare_one(file, cache) for file in files)
        return
    # a fork would inherit whatever threads this process has
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        try:
            yield from pool.map(_prepare_one, files, repeat(cache))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _prepare_one(file: TrainingFile, cache: Path) -> str | None:
    """Write a file's stretches, the first one last: its presence says that all are there. Returns what went wrong."""
    try:
        stretches = list(_stretches(file.path, file.path.suffix.lower() in STILL_SUFFIXES))
        if min(stretches[0][0].shape[1:]) < MIN_EDGE:
            return f"pictures smaller than {MIN_EDGE}x{MIN_EDGE}"
        for number, planes in reversed(list(enumerate(stretches))):
            name = f"{file.name}@{number}" if number else file.name
            _write(cache, CachedClip(name, file.source, *planes))
    except (av.error.FFmpegError, NvcError, IndexError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return None


def _write(cache: Path, clip: CachedClip) -> None:
    partial = cache / f".{clip.name}.{os.getpid()}.npz"
    try:
        save_clip(partial, clip)
        partial.replace(cache / f"{clip.name}.npz")
    finally:
        partial.unlink(missing_ok=True)


def _stretches(path: Path, still: bool) -> Iterator[Planes]:
    """Stretches of up to MAX_FRAMES frames spread over a video; the one picture of a still."""
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise UsageError("no video in it")
        stream = container.streams.video[0]
        length = 1 if still else MAX_FRAMES
        starts = [0] if still else _starts(_frame_count(stream))
        stretch: list[Planes] = []
        begin, size = starts.pop(0), None
        for index, frame in enumerate(container.decode(stream)):
            if index < begin:
                continue
            size = size or _size(frame, MAX_STILL_EDGE if still else MAX_VIDEO_EDGE)
            stretch.append(_planes(frame, size))
            if len(stretch) == length:
                yield _stack(stretch)
                stretch = []
                if not starts:
                    return
                begin = starts.pop(0)
        if len(stretch) > 1 or (stretch and begin == 0):
            yield _stack(stretch)
        elif size is None:
            raise UsageError("no picture in it")


def _frame_count(stream: av.VideoStream) -> int:
    """Frames of a video as far as its container tells; 0 where it does not."""
    if stream.frames:
        return stream.frames
    rate, duration = stream.average_rate or stream.guessed_rate, stream.duration
    seconds = float(duration * stream.time_base) if duration and stream.time_base else 0.0
    if not seconds and stream.container.duration:
        seconds = stream.container.duration / av.time_base
    return int(seconds * float(rate)) if rate else 0


def _starts(frames: int) -> list[int]:
    count = max(1, min(MAX_STRETCHES, frames // STRETCH_EVERY))
    return [number * frames // count for number in range(count)]


def _size(frame: av.VideoFrame, max_edge: int) -> tuple[int, int]:
    """Width and height to bring a video's frames to."""
    width, height = frame.width, frame.height
    if max(width, height) <= max_edge:
        return width, height
    scale = max_edge / max(width, height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _planes(frame: av.VideoFrame, size: tuple[int, int]) -> Planes:
    """8-bit 4:2:0 planes, cut to multiples of 16 luma samples."""
    if (frame.width, frame.height) == size:
        picture = frame.reformat(format="yuv420p")
    else:
        picture = frame.reformat(*size, format="yuv420p", interpolation="AREA")
    height, width = picture.height // 16 * 16, picture.width // 16 * 16
    cut = []
    for index, plane in enumerate(picture.planes):
        samples = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        shift = int(index > 0)
        cut.append(samples[: height >> shift, : width >> shift].copy())
    y, u, v = cut
    return y, u, v


def _stack(stretch: list[Planes]) -> Planes:
    y, u, v = (np.stack(planes) for planes in zip(*stretch, strict=True))
    return y, u, v
