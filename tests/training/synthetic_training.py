# SPDX-License-Identifier: Apache-2.0
"""Panned textures as cache files and as videos, and a recipe of few pieces."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from nvcodec.datasets.training_cache import CachedClip, save_clip

TABLES = {
    "bases": {"clips": 2, "stills": 1, "frames": 3},
    "filters": {"clips": 3, "stills": 1, "frames": 3},
    "network": {"clips": 2, "stills": 0, "held_out": 1, "frames": 3, "steps": 2, "channels": 4, "layers": 2},
    "records": {"clips": 6, "stills": 2, "held_out": 1, "frames": 4},
}
SPEEDS = {"a": (4, 2), "b": (-2, 0), "c": (0, 4), "d": (2, 2), "e": (0, 0), "f": (-4, 2), "g": (2, -2), "h": (6, 0)}
HELD = "g"  # of these, by its place in the order of names


def recipe_text(**keys: object) -> str:
    """A recipe of few pieces."""
    top = "".join(f"{key} = {value!r}\n".replace("'", '"') for key, value in {"name": "tiny", **keys}.items())
    tables = (f"[{name}]\n" + "".join(f"{key} = {n}\n" for key, n in table.items()) for name, table in TABLES.items())
    return top + "\n" + "\n".join(tables)


def texture(height: int, width: int, seed: int, detail: int) -> np.ndarray:
    """(H, W) uint8: random values every ``detail`` samples and straight lines between them."""
    nodes = np.random.default_rng(seed).uniform(30, 225, (height // detail + 2, width // detail + 2))
    rows, columns = np.arange(height) / detail, np.arange(width) / detail
    tall = np.stack([np.interp(rows, np.arange(len(nodes)), column) for column in nodes.T], 1)
    return np.stack([np.interp(columns, np.arange(nodes.shape[1]), row) for row in tall]).astype(np.uint8)


def panned(
    height: int, width: int, frames: int, speed: tuple[int, int], seed: int = 0, detail: int = 12
) -> tuple[np.ndarray, ...]:
    """Planes (T, H, W) and twice (T, H/2, W/2) of a texture under a camera that moves (x, y) even pixels a frame."""
    x, y = speed
    room_x, room_y = abs(x) * frames, abs(y) * frames
    planes = []
    for number, scale in ((0, 1), (1, 2), (2, 2)):
        large = texture((height + 2 * room_y) // scale, (width + 2 * room_x) // scale, seed + 100 * number, detail)
        tops, lefts = ([(room + t * s) // scale for t in range(frames)] for room, s in ((room_y, y), (room_x, x)))
        cut = [large[a : a + height // scale, b : b + width // scale] for a, b in zip(tops, lefts, strict=True)]
        planes.append(np.stack(cut))
    return tuple(planes)


def cached_clip(
    name: str, frames: int = 6, speed: tuple[int, int] = (4, 2), size: tuple[int, int] = (96, 112), detail: int = 12
) -> CachedClip:
    """A panned clip."""
    return CachedClip(name, name, *panned(*size, frames, speed, sum(name.encode()), detail))


def write_cache(folder: Path) -> Path:
    """A training cache of eight panned clips and one still."""
    for kind in ("train", "stills"):
        (folder / kind).mkdir(parents=True)
    for name, speed in SPEEDS.items():
        save_clip(folder / "train" / f"{name}.npz", cached_clip(name, speed=speed))
    save_clip(folder / "stills" / "s.npz", cached_clip("s", 1, size=(160, 176)))
    return folder


def write_video(path: Path, planes: tuple[np.ndarray, ...]) -> None:
    """A lossless video of the planes."""
    frames, height, width = planes[0].shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for t in range(frames):
            packed = np.concatenate([plane[t].reshape(-1) for plane in planes]).reshape(height * 3 // 2, width)
            for packet in stream.encode(av.VideoFrame.from_ndarray(packed, format="yuv420p")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
