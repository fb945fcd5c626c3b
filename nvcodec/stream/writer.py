# SPDX-License-Identifier: Apache-2.0
"""Coded units in, bytes of a stream out, from first to last: nothing is ever changed after it was handed out."""

from __future__ import annotations

from collections.abc import Sequence

from nvcodec.errors import NvcError, UsageError
from nvcodec.stream.header import StreamHeader, write_header
from nvcodec.stream.index import IndexBuilder, KeyframeEntry
from nvcodec.stream.limits import (
    MAX_FRAMES,
    MAX_RECORD_FRAMES,
    MAX_RECORD_UNITS,
    MAX_UNIT_FRAMES,
    MAX_UNIT_NBYTES,
    RECORD_TARGET_NBYTES,
)
from nvcodec.stream.record import VIDEO, Unit, VideoRecord, fold_planes_crc32, write_record, write_video_body


class StreamWriter:
    """Writes one stream; concatenate what ``start``, ``add`` and ``finish`` return.

    frames_per_record: 1 to 32; fewer let a reader of a growing stream see frames sooner, at about 20 bytes a record.
    ``nbytes``, ``frame_count``, ``keyframe_count`` and ``payload_nbytes`` count what was handed out or added so far.
    """

    def __init__(self, header: StreamHeader, frames_per_record: int = MAX_RECORD_FRAMES) -> None:
        if not 1 <= frames_per_record <= MAX_RECORD_FRAMES:
            raise UsageError(f"frames per record is {frames_per_record}; 1 to {MAX_RECORD_FRAMES} allowed")
        self.header = header
        self.frames_per_record = frames_per_record
        self.nbytes = self.frame_count = self.payload_nbytes = 0
        self._index = IndexBuilder()
        self._last_pts: int | None = None
        self._clear()

    @property
    def keyframe_count(self) -> int:
        """Keyframes in the records handed out so far."""
        return self._index.keyframe_count

    def start(self) -> bytes:
        """The header; once, before all else."""
        return self._counted(write_header(self.header))

    def add(
        self, payload: bytes, *, keyframe: bool, pts: Sequence[int], durations: Sequence[int], planes_crc32: int
    ) -> bytes:
        """Add one unit; returns the records that became complete, often none.

        payload: at most 2^27 bytes; keyframe: decoding may start here; pts, durations: ticks of the frames the unit
        returns (0 to 1024 of them, display order, pts increasing over the whole stream); planes_crc32: CRC-32 over
        Y, U, V of each of them. Raises NvcError when the units break these rules.
        """
        frame_count = len(pts)
        if frame_count > MAX_UNIT_FRAMES or len(payload) > MAX_UNIT_NBYTES or len(durations) != frame_count:
            raise NvcError(
                f"a unit of {len(payload)} bytes and {frame_count} frames with {len(durations)} durations; "
                f"at most {MAX_UNIT_NBYTES} bytes and {MAX_UNIT_FRAMES} frames, each with a duration"
            )
        full = (
            len(self._pts) + frame_count > self.frames_per_record
            or len(self._units) == MAX_RECORD_UNITS
            or self._pending_nbytes >= RECORD_TARGET_NBYTES
        )
        done = self._close_record() if self._units and (keyframe or (full and self._pts)) else b""
        if not self._units:
            self._keyframe = keyframe
        self._append(payload, pts, durations, planes_crc32)
        if len(self._pts) >= self.frames_per_record:
            done += self._close_record()
        return done

    def keep(self, record: VideoRecord, content: bytes) -> bytes:
        """A record of an earlier stream with the same header, as it is; before any ``add``."""
        if record.keyframe:
            self._index.add(KeyframeEntry(self.nbytes, record.first_frame, record.pts[0]))
        self.frame_count += record.frame_count
        self.payload_nbytes += sum(len(unit.payload) for unit in record.units)
        self._last_pts = record.pts[-1]
        return self._counted(content)

    def finish(self) -> bytes:
        """What is still held back, the index and the end record."""
        rest = self._close_record() if self._units else b""
        return rest + self._counted(self._index.footer(self.frame_count))

    def _append(self, payload: bytes, pts: Sequence[int], durations: Sequence[int], planes_crc32: int) -> None:
        if len(self._units) == MAX_RECORD_UNITS:
            raise NvcError(f"{MAX_RECORD_UNITS} units that return no frame; a record holds no more")
        if pts and self._last_pts is not None and pts[0] <= self._last_pts:
            raise UsageError(f"timestamp {pts[0]} does not follow {self._last_pts}; timestamps must increase")
        self._units.append(Unit(bytes(payload), len(pts)))
        self._crcs.append(planes_crc32)
        self._pts += pts
        self._durations += durations
        self._pending_nbytes += len(payload)
        self.payload_nbytes += len(payload)
        if pts:
            self._last_pts = pts[-1]

    def _close_record(self) -> bytes:
        if not self._pts:
            raise NvcError("a record's units return no frame; each keyframe and the end must be preceded by one")
        if self.frame_count + len(self._pts) > MAX_FRAMES:
            raise NvcError(f"more than {MAX_FRAMES} frames in one stream")
        if not self.frame_count and not self._keyframe:
            raise NvcError("the first unit of a stream must be a keyframe")
        record = VideoRecord(
            keyframe=self._keyframe,
            first_frame=self.frame_count,
            pts=tuple(self._pts),
            durations=tuple(self._durations),
            planes_crc32=fold_planes_crc32(self._crcs),
            units=tuple(self._units),
        )
        body = write_video_body(record, self.header.ticks_per_frame)
        if record.keyframe:
            self._index.add(KeyframeEntry(self.nbytes, record.first_frame, record.pts[0]))
        self.frame_count += record.frame_count
        self._clear()
        return self._counted(write_record(VIDEO, body))

    def _clear(self) -> None:
        self._keyframe = False
        self._units: list[Unit] = []
        self._crcs: list[int] = []
        self._pts: list[int] = []
        self._durations: list[int] = []
        self._pending_nbytes: int = 0

    def _counted(self, piece: bytes) -> bytes:
        self.nbytes += len(piece)
        return piece
