# SPDX-License-Identifier: Apache-2.0
"""Units to planes: one thread reads symbols while another makes pictures."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from nvcodec.errors import DamagedStreamError
from nvcodec.models.implicit.pyramid.frame_coder import FrameSymbols, Reconstruction
from nvcodec.models.implicit.pyramid.prediction import Planes
from nvcodec.models.implicit.pyramid.units import UnitReader
from nvcodec.models.memory import keep_freed_memory

BLOCK = 32
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def padded_size(height: int, width: int) -> tuple[int, int]:
    """The picture size that is coded: whole blocks of 32."""
    return -(-height // BLOCK) * BLOCK, -(-width // BLOCK) * BLOCK


class GopDecoder:
    """Decodes units in order; planes are uint8 of the video's own size."""

    def __init__(self, height: int, width: int):
        keep_freed_memory()
        self.height, self.width = height, width
        self._reader = UnitReader(*padded_size(height, width))
        self._reconstruction: Reconstruction | None = None
        self._ahead = ThreadPoolExecutor(1, "symbols")

    def decode(self, payload: bytes, keyframe: bool) -> list[Arrays]:
        """The frames of a unit in display order. Raises DamagedStreamError for one that cannot be right."""
        try:
            with torch.inference_mode(), torch.autocast("cpu", enabled=False):
                return self._key(payload) if keyframe else self._span(payload)
        except (IndexError, ValueError, RuntimeError, KeyError) as error:
            raise DamagedStreamError(f"a unit cannot be decoded ({str(error).splitlines()[0]})") from error

    def _key(self, payload: bytes) -> list[Arrays]:
        self._reconstruction, frame = self._reader.key(payload)
        return [self._arrays(self._reconstruction.render(frame))]

    def _span(self, payload: bytes) -> list[Arrays]:
        first, frames = self._reader.span(payload)
        assert self._reconstruction is not None
        pictures = {}
        for frame in self._read_ahead(frames):
            pictures[frame.step.frame] = self._arrays(self._reconstruction.render(frame))
        self._reconstruction.forget(first + len(pictures) - 1)
        return [pictures[first + n] for n in range(len(pictures))]

    def _read_ahead(self, frames: Iterator[FrameSymbols]) -> Iterator[FrameSymbols]:
        """The next frame's symbols are read while this one is made."""
        coming = self._ahead.submit(next, frames, None)
        while (frame := coming.result()) is not None:
            coming = self._ahead.submit(next, frames, None)
            yield frame

    def _arrays(self, planes: Planes) -> Arrays:
        return cut(planes, self.height, self.width)


def cut(planes: Planes, height: int, width: int) -> Arrays:
    """Padded planes as uint8 arrays of (height, width)."""
    half = (height + 1) // 2, (width + 1) // 2
    y, u, v = planes
    parts = (y[:height, :width], u[: half[0], : half[1]], v[: half[0], : half[1]])
    return tuple(np.ascontiguousarray(p.to(torch.uint8).numpy()) for p in parts)  # type: ignore[return-value]
