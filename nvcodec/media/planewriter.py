# SPDX-License-Identifier: Apache-2.0
"""Outputs without a codec, y4m and raw planes, and the part that all outputs share."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from nvcodec.errors import NvcError, UsageError
from nvcodec.media import y4m
from nvcodec.media.failure import reported
from nvcodec.media.files import PendingFile, PipeFile
from nvcodec.media.timing import SteadyRate
from nvcodec.media.types import Frame, VideoFormat

RAW_OUTPUTS = ("yuv420p", "nv12")


class Sink:
    """Checks frames, counts them, and sees to it that a failed output leaves nothing behind.

    A subclass gives ``_write`` (one checked frame), ``_finish`` (all frames are there) and ``_discard``.
    """

    def __init__(self, name: str, video: VideoFormat) -> None:
        self.name = "standard output" if name == "-" else name
        self.video = video
        self.notes: list[str] = []
        self.count = 0
        self._open = True

    def write(self, frame: Frame) -> None:
        """Add one frame in display order; UsageError for planes that do not fit the format."""
        if not self._open:
            raise NvcError(f"{self.name}: is closed already")
        try:
            self._check(frame)
            with reported(self.name, "cannot be written"):
                self._write(frame)
        except BaseException:
            self.abort()
            raise
        self.count += 1

    def close(self) -> None:
        """Complete the output; NvcError, and nothing left, when there were no frames or it cannot be completed."""
        if not self._open:
            return
        try:
            if not self.count:
                raise NvcError(f"{self.name}: no frames to write")
            with reported(self.name, "cannot be written"):
                self._finish()
        except BaseException:
            self.abort()
            raise
        self._open = False

    def abort(self) -> None:
        """Give up; leaves nothing (what went down a pipe is gone). Safe to call again and after ``close``."""
        if self._open:
            self._open = False
            self._discard()

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _check(self, frame: Frame) -> None:
        wanted = ((self.video.height, self.video.width), self.video.chroma_size, self.video.chroma_size)
        for letter, plane, shape in zip("YUV", frame.planes, wanted, strict=True):
            if plane.shape != shape or plane.dtype != np.uint8:
                raise UsageError(
                    f"{self.name}: plane {letter} of frame {self.count} is {plane.shape} {plane.dtype}; "
                    f"{shape} uint8 is needed"
                )

    def _write(self, frame: Frame) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError

    def _discard(self) -> None:
        raise NotImplementedError


class _UntimedSink(Sink):
    """An output file or pipe that holds planes but no timestamps."""

    kind = ""

    def __init__(self, file: PendingFile | PipeFile, name: str, video: VideoFormat) -> None:
        super().__init__(name, video)
        self._file = file
        self._steady: SteadyRate | None = SteadyRate(video.time_base, video.frame_rate or Fraction(25))

    def _write(self, frame: Frame) -> None:
        if not self.count and frame.pts:
            seconds = float(frame.pts * self.video.time_base)
            self.notes.append(f"{self.kind} has no timestamps: the start at {seconds:.6g} s is lost")
        if self._steady is not None and not self._steady.holds(frame.pts):
            self._steady = None
            self.notes.append(f"{self.kind} has no timestamps: those of a variable frame rate are lost")
        self._write_planes(frame)

    def _write_planes(self, frame: Frame) -> None:
        for plane in frame.planes:
            self._file.write(np.ascontiguousarray(plane).data.cast("B"))

    def _finish(self) -> None:
        self._file.commit()

    def _discard(self) -> None:
        self._file.discard()


class Y4mSink(_UntimedSink):
    """YUV4MPEG2; carries size, rate, aspect ratio, range and three of the chroma locations."""

    kind = "y4m"

    def __init__(self, file: PendingFile | PipeFile, name: str, video: VideoFormat) -> None:
        super().__init__(file, name, video)
        self._header, notes = y4m.write_header(video)
        self.notes += notes

    def _write_planes(self, frame: Frame) -> None:
        if not self.count:
            self._file.write(self._header)
        self._file.write(y4m.FRAME_MAGIC + b"\n")
        super()._write_planes(frame)


class RawSink(_UntimedSink):
    """Planes one after the other and nothing else."""

    kind = "raw video"

    def __init__(self, file: PendingFile | PipeFile, name: str, video: VideoFormat, pixel_format: str) -> None:
        super().__init__(file, name, video)
        self._pixel_format = pixel_format
        rate = f"{float(video.frame_rate):g} frames per second" if video.frame_rate else "frame rate unknown"
        span = "full range" if video.colour.full_range else "limited range"
        self.notes.append(
            f"raw video says nothing of itself: {video.width}x{video.height} {pixel_format}, {rate}, {span}"
        )

    def _write_planes(self, frame: Frame) -> None:
        if self._pixel_format == "nv12":
            self._file.write(np.ascontiguousarray(frame.y).data.cast("B"))
            self._file.write(np.stack((frame.u, frame.v), axis=-1).tobytes())
        else:
            super()._write_planes(frame)
