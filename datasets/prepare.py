# SPDX-License-Identifier: Apache-2.0
"""From a folder of videos or photographs to a training cache (needs PyAV; training itself does not)."""

from __future__ import annotations

import csv
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import numpy as np

from nvcodec.datasets.training_cache import CachedClip, save_clip
from nvcodec.errors import UsageError
from nvcodec.models.motion.x264_vectors import luma_vectors

VIDEO_SUFFIXES = {".mkv", ".mp4", ".webm", ".mov", ".avi", ".y4m"}
STILL_SUFFIXES = {".webp", ".png", ".jpg", ".jpeg"}
SEARCH_CRFS = (21, 30)  # a dense and a sparse motion field
MAX_FRAMES = 64


def prepare(folder: Path, cache: Path, jobs: int = 1) -> int:
    """Write one cache file per video or still in ``folder`` that is not cached yet; returns how many there are.

    Source videos are told apart by the ``source_path`` column of ``manifest.csv`` where there is one, else by name.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES | STILL_SUFFIXES)
    if not paths:
        raise UsageError(f"{folder}: no videos or pictures to train on")
    cache.mkdir(parents=True, exist_ok=True)
    sources = _sources(folder / "manifest.csv")
    missing = [p for p in paths if not (cache / f"{p.stem}.npz").exists()]
    with ProcessPoolExecutor(jobs) as pool:
        for done, name in enumerate(
            pool.map(_prepare_one, missing, [cache] * len(missing), [sources.get(p.name, p.stem) for p in missing]), 1
        ):
            print(f"\r{done}/{len(missing)} {name:40.40}", end="", file=sys.stderr, flush=True)
    return len(paths)


def _sources(manifest: Path) -> dict[str, str]:
    if not manifest.exists():
        return {}
    with open(manifest, newline="") as f:
        return {row["clip"]: row.get("source_path", row["clip"]) for row in csv.DictReader(f) if "clip" in row}


def _prepare_one(path: Path, cache: Path, source: str) -> str:
    y, u, v = _planes(path)
    forward = [_motion(y, crf) for crf in SEARCH_CRFS]
    backward = [_motion(y[::-1], crf)[::-1] for crf in SEARCH_CRFS]
    clip = CachedClip(path.stem, source, y, u, v, np.stack(forward), np.stack(backward))
    partial = cache / f".{path.stem}.npz"
    save_clip(partial, clip)
    partial.rename(cache / f"{path.stem}.npz")
    return path.stem


def _planes(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    planes: tuple[list[np.ndarray], ...] = ([], [], [])
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = frame.reformat(format="yuv420p")
            height, width = picture.height // 16 * 16, picture.width // 16 * 16
            for index, plane in enumerate(picture.planes):
                samples = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
                shift = index > 0
                planes[index].append(samples[: height >> shift, : width >> shift].copy())
            if len(planes[0]) == MAX_FRAMES:
                break
    y, u, v = (np.stack(p) for p in planes)
    return y, u, v


def _motion(y: np.ndarray, crf: int) -> np.ndarray:
    frames, height, width = y.shape
    field = np.zeros((frames, height // 8, width // 8, 2), np.int16)
    if frames > 1:
        for index, vectors in enumerate(luma_vectors(y, crf=crf), 1):
            field[index] = vectors
    return field
