# SPDX-License-Identifier: Apache-2.0
"""Clips ready for training: planes and block vectors in one ``.npz`` file each, read without PyAV.

Arrays of a file: ``y`` (T, H, W), ``u`` and ``v`` (T, H/2, W/2) uint8 with H and W multiples of 16; ``forward`` and
``backward`` (S, T, H/8, W/8, 2) int16, the vectors (x, y; quarter pixels) of each frame towards the one before it and
the one after it from S searches of different density (``forward[:, 0]`` and ``backward[:, -1]`` are unused zeros).
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nvcodec.errors import UsageError


@dataclass
class CachedClip:
    """One clip of the training cache; ``source`` groups clips cut from the same video."""

    name: str
    source: str
    y: np.ndarray
    u: np.ndarray
    v: np.ndarray
    forward: np.ndarray
    backward: np.ndarray

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.y)


def save_clip(path: Path, clip: CachedClip) -> None:
    """Write one cache file."""
    np.savez(
        path, source=clip.source, y=clip.y, u=clip.u, v=clip.v, forward=clip.forward, backward=clip.backward
    )  # uncompressed: read at every start


def load_clips(folder: Path) -> list[CachedClip]:
    """All clips of a cache folder, by name. Raises UsageError when there are none."""
    paths = cached_paths(folder)
    if not paths:
        raise UsageError(f"no training cache in {folder}: make one with 'nvc train RECIPE --data FOLDER'")
    clips = []
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as f:
                clips.append(
                    CachedClip(path.stem, str(f["source"]), *(f[k] for k in ("y", "u", "v", "forward", "backward")))
                )
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(f"training cache {path}: not readable ({error}); remove it and prepare again") from error
    return clips


def cached_paths(folder: Path) -> list[Path]:
    """Cache files of a folder, by name; unfinished ones (hidden) are left out."""
    return sorted(path for path in Path(folder).glob("*.npz") if not path.name.startswith("."))
