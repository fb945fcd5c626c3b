# SPDX-License-Identifier: Apache-2.0
"""What an operation tells while it runs and when it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from nvcodec.codec.protocol import ModelIdentity


@dataclass(frozen=True)
class Progress:
    """State of a running operation.

    frames_done: frames the codec has dealt with; frame_count: frames there are, None when unknown; fps: frames done
    per second so far; nbytes: bytes of the stream written so far, or place reached in it; seconds: since the start.
    """

    frames_done: int
    frame_count: int | None
    fps: float
    nbytes: int
    seconds: float


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True)
class EncodeReport:
    """What an encode made.

    nbytes: the whole stream; payload_nbytes: of it, what the codec wrote; bpp: bits of the stream per luma sample;
    kbps: kilobits of the stream per second of video, None when its duration is unknown; video_seconds: first
    timestamp to the end of the last frame; seconds: wall-clock time; fps: frames per wall-clock second; notes: one
    line for each conversion the input needed and each thing the codec has to say; psnr_db: the codec's own measure of
    its decoded pictures, None where it has none (implicit: mean of the frames' RGB PSNR); interrupted: Ctrl-C ended a
    fit early, and the stream holds what was reached.
    """

    frames: int
    nbytes: int
    payload_nbytes: int
    keyframes: int
    width: int
    height: int
    bpp: float
    kbps: float | None
    video_seconds: float | None
    seconds: float
    fps: float
    codec: str
    model: ModelIdentity | None
    quality: int
    notes: list[str] = field(default_factory=list)
    psnr_db: float | None = None
    interrupted: bool = False


@dataclass(frozen=True)
class DecodeReport:
    """What a decode made.

    nbytes: of the stream, from its start to the last byte that was needed; first_frame: number of the first frame
    written; verified: every frame was compared with the encoder's checksum; damage: where a stream decoded with
    ``partial`` ended early, in one line; seconds, fps and notes as in EncodeReport.
    """

    frames: int
    nbytes: int
    first_frame: int
    width: int
    height: int
    video_seconds: float | None
    seconds: float
    fps: float
    codec: str
    model: ModelIdentity | None
    verified: bool
    damage: str | None = None
    notes: list[str] = field(default_factory=list)


class Meter:
    """Counts frames and time, and calls back."""

    def __init__(self, callback: ProgressCallback | None, frame_count: int | None) -> None:
        self.frames_done = 0
        self._callback, self._frame_count = callback, frame_count
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall-clock time since the start, never zero."""
        return max(time.perf_counter() - self._start, 1e-9)

    @property
    def fps(self) -> float:
        """Frames done per second so far."""
        return self.frames_done / self.seconds

    def advance(self, frames: int, nbytes: int) -> None:
        """More frames are done; ``nbytes`` of the stream so far."""
        self.frames_done += frames
        if self._callback is not None:
            self._callback(Progress(self.frames_done, self._frame_count, self.fps, nbytes, self.seconds))


class Span:
    """Time that frames cover, from the first timestamp to the end of the last."""

    def __init__(self, time_base: Fraction, frame_rate: Fraction | None) -> None:
        self._time_base, self._frame_rate = time_base, frame_rate
        self._first: int | None = None
        self._last = self._end = self._step = 0

    def add(self, pts: int, duration: int) -> None:
        """The next frame, in ticks of the time base."""
        if self._first is None:
            self._first = pts
        else:
            self._step = pts - self._last
        self._last, self._end = pts, pts + duration

    @property
    def seconds(self) -> float | None:
        """None without frames, or when neither a duration, a rate nor a second frame tells how long the last one is."""
        if self._first is None:
            return None
        if self._end > self._last:
            return float((self._end - self._first) * self._time_base)
        last = 1 / self._frame_rate if self._frame_rate else self._step * self._time_base
        return float((self._last - self._first) * self._time_base + last) or None
