# SPDX-License-Identifier: Apache-2.0
"""What a video is inside this package: 8-bit 4:2:0 planes, their times, and how to show them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Colour:
    """How sample values map to light; codes are those of ITU-T H.273 (2 = unspecified)."""

    full_range: bool = False
    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    chroma_location: int = 0  # H.273 chroma sample location + 1; 0 = unspecified


@dataclass(frozen=True)
class VideoFormat:
    """Geometry, colour and timing of a sequence of 8-bit 4:2:0 frames.

    ``width`` and ``height`` count luma samples and may be odd: chroma planes are
    ``(height + 1) // 2`` by ``(width + 1) // 2``. Times (``pts``, ``duration``) are integers in units of ``time_base``
    seconds. ``rotation`` is clockwise degrees (0, 90, 180, 270) a player applies for display. ``frame_rate`` is
    nominal, None when unknown.
    """

    width: int
    height: int
    time_base: Fraction = Fraction(1, 25)
    frame_rate: Fraction | None = None
    sample_aspect_ratio: Fraction = Fraction(1)
    rotation: int = 0
    colour: Colour = field(default_factory=Colour)

    @property
    def chroma_size(self) -> tuple[int, int]:
        """(height, width) of each chroma plane."""
        return (self.height + 1) // 2, (self.width + 1) // 2


@dataclass(frozen=True)
class RawGeometry:
    """What raw video does not say about itself: size in luma samples, frames per second, pixel format, colour.

    ``frame_rate`` None means 25. ``pixel_format`` is one of the names in ``nvcodec.media.layout.LAYOUTS``.
    """

    width: int
    height: int
    frame_rate: Fraction | None = None
    pixel_format: str = "yuv420p"
    colour: Colour = field(default_factory=Colour)


@dataclass
class Frame:
    """One picture: ``y`` (H, W), ``u`` and ``v`` (ceil(H/2), ceil(W/2)), uint8, C-contiguous; ``pts`` in time_base."""

    y: np.ndarray[Any, Any]
    u: np.ndarray[Any, Any]
    v: np.ndarray[Any, Any]
    pts: int = 0
    duration: int = 0

    @property
    def planes(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The three planes in the order Y, U, V."""
        return self.y, self.u, self.v


class FrameSource(Protocol):
    """Frames in display order, read as they are asked for; a context manager."""

    format: VideoFormat
    frame_count: int | None  # None when it cannot be known without reading everything
    notes: list[str]  # one line for each conversion applied to what was in the file

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...

    def __enter__(self) -> FrameSource: ...

    def __exit__(self, *exc: object) -> None: ...


class FrameSink(Protocol):
    """Takes frames in display order; ``close`` makes the output appear under its name, ``abort`` leaves nothing."""

    notes: list[str]

    def write(self, frame: Frame) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...
