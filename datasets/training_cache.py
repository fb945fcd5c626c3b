# SPDX-License-Identifier: Apache-2.0
"""Clips ready for training: the planes of one clip in each ``.npz`` file, read without PyAV.

Arrays of a file: ``y`` (T, H, W), ``u`` and ``v`` (T, H/2, W/2) uint8 with H and W multiples of 16, and ``source``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

from nvcodec.errors import UsageError


@dataclass
class CachedClip:
    """One clip of the training cache; ``source`` groups clips cut from the same video."""

    name: str
    source: str
    y: np.ndarray
    u: np.ndarray
    v: np.ndarray

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.y)


@dataclass(frozen=True)
class CachedFile:
    """A file of the training cache and the source of its clip, before its planes are read."""

    path: Path
    source: str


def save_clip(path: Path, clip: CachedClip) -> None:
    """Write one cache file."""
    np.savez(path, source=clip.source, y=clip.y, u=clip.u, v=clip.v)  # uncompressed: read again and again


def load_clip(file: CachedFile) -> CachedClip:
    """Read one cache file. Raises UsageError when it is none."""
    with _reading(file.path) as arrays:
        y, u, v = (arrays[name] for name in "yuv")
        half = (len(y), y.shape[1] // 2, y.shape[2] // 2)
        if not y.size or u.shape != half or v.shape != half or y.shape[1] % 16 or y.shape[2] % 16:
            raise ValueError(f"planes of shapes {y.shape}, {u.shape}, {v.shape}")
    return CachedClip(file.path.stem, file.source, y, u, v)


def cached_files(folder: Path) -> list[CachedFile]:
    """What a cache folder holds, by name. Raises UsageError when there is nothing."""
    paths = cached_paths(folder)
    if not paths:
        raise UsageError(f"no training cache in {folder}: make one with 'nvc train RECIPE --data FOLDER'")
    files = []
    for path in paths:
        with _reading(path) as arrays:
            files.append(CachedFile(path, str(arrays["source"])))
    return files


@contextmanager
def _reading(path: Path) -> Iterator[NpzFile]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays
    except (ValueError, KeyError, IndexError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise UsageError(f"training cache {path}: not readable ({error}); remove it and prepare again") from error


def cached_paths(folder: Path) -> list[Path]:
    """Cache files of a folder, by name; unfinished ones (hidden) are left out."""
    return sorted(path for path in Path(folder).glob("*.npz") if not path.name.startswith("."))
