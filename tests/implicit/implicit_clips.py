# SPDX-License-Identifier: Apache-2.0
"""Synthetic clips: waves that drift, with slowly changing colour."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from nvcodec.media.types import Frame

WIDTH, HEIGHT = 48, 32


def moving(count: int, width: int = WIDTH, height: int = HEIGHT, phase: float = 0.0) -> list[Frame]:
    """Frames of drifting waves."""
    y, x = np.mgrid[:height, :width]
    cy, cx = np.mgrid[: (height + 1) // 2, : (width + 1) // 2]
    frames = []
    for n in range(count):
        luma = 126 + 60 * np.sin((x + 2 * n) / 7 + phase) + 35 * np.cos((y - n) / 5)
        u, v = 128 + 30 * np.sin((cx + n) / 9 + phase), 128 + 20 * np.cos((cy + n) / 6)
        frames.append(Frame(*(p.clip(16, 235).astype(np.uint8) for p in (luma, u, v)), pts=n, duration=1))
    return frames


def write_y4m(path: Path, frames: Iterable[Frame], width: int, height: int) -> None:
    """A YUV4MPEG2 file at 25 frames per second."""
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420mpeg2\n".encode())
        for frame in frames:
            file.write(b"FRAME\n" + b"".join(p.tobytes() for p in frame.planes))
