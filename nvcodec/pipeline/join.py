# SPDX-License-Identifier: Apache-2.0
"""A video that joins an existing stream: what is there stays as it is, byte for byte, and the new frames follow it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nvcodec.errors import NvcError, UsageError
from nvcodec.media.types import VideoFormat
from nvcodec.pipeline.format import video_format
from nvcodec.stream import StreamHeader, StreamReader, VideoRecord


@dataclass(frozen=True)
class Beginning:
    """A finished stream to go on from. records: each with its bytes."""

    name: str
    header: StreamHeader
    records: tuple[tuple[VideoRecord, bytes], ...]

    @property
    def frame_count(self) -> int:
        """Frames there are already."""
        return sum(record.frame_count for record, _ in self.records)

    def check(self, codec: str, codec_id: int, video: VideoFormat) -> None:
        """UsageError unless a video of this format can follow."""
        have = video_format(self.header)
        if self.header.codec_id != codec_id:
            raise UsageError(
                f"{self.name}: is of codec number {self.header.codec_id}; {codec} ({codec_id}) joins its own"
            )
        if (have.width, have.height) != (video.width, video.height):
            raise UsageError(
                f"{self.name}: has pictures of {have.width}x{have.height}; a video that joins has that size, "
                f"not {video.width}x{video.height} (see --size)"
            )

    def times(self, video: VideoFormat) -> Callable[[int, int], tuple[int, int]]:
        """(pts, duration) of the new video to those after the frames there are, in this stream's ticks."""
        last, _ = self.records[-1]
        step = last.durations[-1] or (last.pts[-1] - last.pts[-2] if last.frame_count > 1 else 1)
        begin, ratio = last.pts[-1] + step, video.time_base / video_format(self.header).time_base
        first: list[int] = []

        def placed(pts: int, duration: int) -> tuple[int, int]:
            first.append(pts) if not first else None
            return begin + round((pts - first[0]) * ratio), round(duration * ratio)

        return placed


def read_beginning(path: str) -> Beginning:
    """A whole stream from a file. Raises DamagedStreamError, UnsupportedError, NvcError."""
    try:
        content = Path(path).read_bytes()
        with open(path, "rb") as file:
            reader = StreamReader(file, path)
            records = tuple(
                (record, content[record.offset : record.offset + record.nbytes]) for record in reader.records()
            )
    except OSError as exc:
        raise NvcError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    if not records:
        raise UsageError(f"{path}: has no frames to join")
    return Beginning(path, reader.header, records)
