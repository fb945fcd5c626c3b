# SPDX-License-Identifier: Apache-2.0
"""Frames in memory as a source and a sink."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import numpy as np

from nvcodec.media.types import Colour, Frame, VideoFormat

VIDEO = VideoFormat(
    width=37,
    height=23,
    time_base=Fraction(1, 90000),
    frame_rate=Fraction(30000, 1001),
    sample_aspect_ratio=Fraction(12, 11),
    rotation=270,
    colour=Colour(full_range=True, matrix=9, primaries=9, transfer=14, chroma_location=3),
)


def noise(count: int, video: VideoFormat = VIDEO, start: int = 0) -> Iterator[Frame]:
    """Frames of noise with uneven times; frame n is the same however many there are."""
    for number in range(start, start + count):
        generator = np.random.default_rng(number)
        sizes = ((video.height, video.width), video.chroma_size, video.chroma_size)
        y, u, v = (generator.integers(0, 256, size, np.uint8) for size in sizes)
        yield Frame(y, u, v, pts=number * 3003 + number % 3, duration=3003 - number % 2)


class Source:
    """A FrameSource over any frames."""

    def __init__(self, frames: Iterable[Frame], video: VideoFormat = VIDEO, frame_count: int | None = None) -> None:
        self.format, self.frame_count, self.notes = video, frame_count, ["made up"]
        self.closed = False
        self._frames = frames

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Sink:
    """A FrameSink that keeps the frames."""

    def __init__(self, on_write: Callable[[Frame], None] | None = None) -> None:
        self.notes: list[str] = []
        self.frames: list[Frame] = []
        self.state = "open"
        self.video: VideoFormat | None = None
        self.hint: int | None = None
        self._on_write = on_write

    def open(self, video: VideoFormat, hint: int | None) -> Sink:
        self.video, self.hint = video, hint
        return self

    def write(self, frame: Frame) -> None:
        assert self.state == "open"
        if self._on_write:
            self._on_write(frame)
        self.frames.append(frame)

    def close(self) -> None:
        assert self.state == "open"
        self.state = "closed"

    def abort(self) -> None:
        self.state = "aborted"


def same(a: Frame, b: Frame, step: int = 1) -> bool:
    """Equal planes (b as the toy codec quantises a) and times."""
    planes = all(np.array_equal(p // step * step, q) for p, q in zip(a.planes, b.planes, strict=True))
    return planes and (a.pts, a.duration) == (b.pts, b.duration)
