# SPDX-License-Identifier: Apache-2.0
"""Which pieces of the training clips are coded: stretches of video walked forwards or backwards, and photographs."""

from __future__ import annotations

import numpy as np

from nvcodec.datasets.training_cache import CachedClip, CachedFile

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]
STILL_EDGE = 512  # of the piece cut from a still


def hold_out(files: list[CachedFile], one_in: int = 12) -> tuple[list[CachedFile], list[CachedFile]]:
    """Split into training and validation by source video, the same way every time."""
    sources = sorted({file.source for file in files})
    held = set(sources[one_in // 2 :: one_in])
    return [f for f in files if f.source not in held], [f for f in files if f.source in held]


def pick(files: list[CachedFile], number: int, seed: list[int]) -> CachedFile:
    """The clip of a numbered piece: all of them in random order, then all in another."""
    turn, place = divmod(number, len(files))
    return files[int(np.random.default_rng([*seed, turn]).permutation(len(files))[place])]


def cut_video(clip: CachedClip, frames: int, random: np.random.Generator) -> Planes:
    """Up to ``frames`` neighbouring frames of a clip, planes (T, H, W): a random stretch, at random reversed and
    mirrored."""
    start = int(random.integers(0, max(1, clip.frames - frames + 1)))
    back, mirror = random.random(2) < 0.5
    planes = (plane[start : start + frames] for plane in (clip.y, clip.u, clip.v))
    y, u, v = (np.ascontiguousarray(p[:: -1 if back else 1, :, :: -1 if mirror else 1]) for p in planes)
    return y, u, v


def cut_still(clip: CachedClip, random: np.random.Generator) -> Planes:
    """One picture from a still, planes (1, H, W): at full or half size where it is large enough, a random piece,
    mirrored at random."""
    planes: list[np.ndarray] = [clip.y[:1], clip.u[:1], clip.v[:1]]
    if random.random() < 0.5 and min(planes[0].shape[1:]) >= STILL_EDGE:
        planes = [_halved(plane) for plane in planes]
    sides = [min(side // 16 * 16, STILL_EDGE) for side in planes[0].shape[1:]]
    top, left = (
        int(random.integers(0, (whole - side) // 16 + 1)) * 16
        for whole, side in zip(planes[0].shape[1:], sides, strict=True)
    )
    mirror = random.random() < 0.5
    pieces = []
    for plane, scale in zip(planes, (1, 2, 2), strict=True):
        piece = plane[:, top // scale : (top + sides[0]) // scale, left // scale : (left + sides[1]) // scale]
        pieces.append(np.ascontiguousarray(piece[:, :, :: -1 if mirror else 1]))
    y, u, v = pieces
    return y, u, v


def _halved(plane: np.ndarray) -> np.ndarray:
    """Means of 2x2 samples of a plane (T, H, W), rounded."""
    frames, height, width = (size // part for size, part in zip(plane.shape, (1, 2, 2), strict=True))
    tiles = plane[:, : 2 * height, : 2 * width].reshape(frames, height, 2, width, 2)
    return ((tiles.sum((2, 4), dtype=np.uint16) + 2) >> 2).astype(np.uint8)
