# SPDX-License-Identifier: Apache-2.0
"""The frame source that every reader hands back: a generator with a format, a count and notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from nvcodec.errors import UsageError
from nvcodec.media.types import Frame, VideoFormat

FrameRange = tuple[int | None, int | None]


def check_range(frames: FrameRange | None) -> tuple[int, int | None]:
    """(start, stop) of a half-open range of frame numbers; UsageError unless 0 <= start < stop."""
    start, stop = frames or (None, None)
    start = start or 0
    if start < 0 or (stop is not None and stop <= start):
        raise UsageError(
            f"frames {start}:{'' if stop is None else stop} is empty; start must be at least 0 and below stop"
        )
    return start, stop


def count_in_range(total: int | None, frames: FrameRange | None, name: str) -> int | None:
    """How many of ``total`` frames are in range; UsageError when none is."""
    if total is None:
        return None
    start, stop = check_range(frames)
    if start >= total:
        raise UsageError(f"{name}: frames from {start} on were asked for; there are {total}")
    return min(total, total if stop is None else stop) - start


class Reader:
    """Frames in display order, read once and as they are asked for; a context manager (see FrameSource).

    ``notes`` may grow while frames are read: what changes in the middle of a file is known only there.
    """

    def __init__(
        self,
        video: VideoFormat,
        frames: Iterable[Frame],
        *,
        name: str,
        notes: list[str],
        frame_count: int | None = None,
        frame_range: FrameRange | None = None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.format = video
        self.notes = notes
        self._range = check_range(frame_range)
        self.frame_count = count_in_range(frame_count, frame_range, name)
        self._name = name
        self._close = close
        self._frames = self._selected(iter(frames))

    def _selected(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        start, stop = self._range
        number = 0
        for frame in frames:
            if number >= start:
                yield frame
            number += 1
            if stop is not None and number >= stop:
                break
        if number <= start:
            raise UsageError(f"{self._name}: frames from {start} on were asked for; there are {number}")

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def close(self) -> None:
        """Release the file; safe to call again."""
        close, self._close = self._close, lambda: None
        close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
