# SPDX-License-Identifier: Apache-2.0
"""Records: the checked envelopes a stream is made of, and the one that holds coded video.

    sync | type | body length | CRC-32 of type, length and body | body

Nothing of a body is looked at before its CRC-32 was found right.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from nvcodec.errors import DamagedStreamError, UsageError
from nvcodec.stream.fields import Cursor, Uint, Varint, read_fields, wire, write_fields
from nvcodec.stream.limits import (
    MAX_FRAMES,
    MAX_RECORD_FRAMES,
    MAX_RECORD_NBYTES,
    MAX_RECORD_UNITS,
    MAX_UNIT_FRAMES,
    MAX_UNIT_NBYTES,
)
from nvcodec.stream.timing import read_times, write_times

SYNC = b"\xf5\x9c"
VIDEO, INDEX, END = 1, 2, 3
SKIPPABLE = 0x80  # a reader that does not know such a type passes over it
RECORD_HEAD_NBYTES = len(SYNC) + 1 + 4 + 4

_PTS_MODE, _DURATION_MODE, _KEYFRAME, _COUNTS_LISTED, _RESERVED = 0x03, 0x0C, 0x10, 0x20, 0xC0
_UNIT_FRAMES = Varint(0, MAX_UNIT_FRAMES)
_UNIT_NBYTES = Varint(0, MAX_UNIT_NBYTES)


@dataclass(frozen=True)
class RecordHead:
    """What precedes the body of every record, after the sync marker."""

    record_type: int = wire(Uint(1))
    body_nbytes: int = wire(Uint(4, 0, MAX_RECORD_NBYTES))
    crc32: int = wire(Uint(4))


@dataclass(frozen=True)
class _VideoHead:
    flags: int = wire(Uint(1))
    first_frame: int = wire(Varint(0, MAX_FRAMES))
    frame_count: int = wire(Varint(1, MAX_UNIT_FRAMES))
    unit_count: int = wire(Varint(1, MAX_RECORD_UNITS))
    planes_crc32: int = wire(Uint(4))


@dataclass(frozen=True)
class Unit:
    """Bytes for one call of the decoder, and how many frames (0 to 1024) that call returns."""

    payload: bytes
    frame_count: int = 1


@dataclass(frozen=True)
class VideoRecord:
    """Coded units of 1 to 32 frames that follow each other in display order, or one unit of up to 1024.

    ``keyframe``: decoding may start here. ``first_frame``: number of the first frame, from 0. ``pts`` and
    ``durations``: ticks of the stream's time base, one of each for every frame. ``planes_crc32``: made by
    fold_planes_crc32. ``offset`` and ``nbytes`` say where the record lies, from the start of the stream; both 0 before
    it is written.
    """

    keyframe: bool
    first_frame: int
    pts: tuple[int, ...]
    durations: tuple[int, ...]
    planes_crc32: int
    units: tuple[Unit, ...]
    offset: int = 0
    nbytes: int = 0

    @property
    def frame_count(self) -> int:
        """Frames in this record."""
        return len(self.pts)


def fold_planes_crc32(unit_crcs: Iterable[int]) -> int:
    """One CRC-32 for a record: that of its units' CRC-32 values, each as four little-endian bytes.

    A unit's value is the CRC-32 over Y, U, V of each frame it returns, in display order.
    """
    return zlib.crc32(b"".join(crc.to_bytes(4, "little") for crc in unit_crcs))


def write_record(record_type: int, body: bytes) -> bytes:
    """A whole record."""
    crc = _crc32(record_type, body)
    return SYNC + write_fields(RecordHead(record_type, len(body), crc)) + body


def read_record_head(head: bytes, what: str) -> RecordHead:
    """The first RECORD_HEAD_NBYTES bytes of a record; DamagedStreamError when they cannot be that."""
    if not head.startswith(SYNC):
        raise DamagedStreamError(f"{what}: no sync marker")
    return read_fields(RecordHead, Cursor(head[len(SYNC) :], what))


def check_body(head: RecordHead, body: bytes, what: str) -> None:
    """DamagedStreamError unless the CRC-32 matches."""
    if _crc32(head.record_type, body) != head.crc32:
        raise DamagedStreamError(f"{what}: CRC-32 does not match")


def write_video_body(record: VideoRecord, ticks: Fraction | None) -> bytes:
    """Body of a video record; ``ticks``: per frame at the nominal rate (StreamHeader.ticks_per_frame)."""
    pts_mode, duration_mode, times = write_times(record.pts, record.durations, ticks)
    listed = any(unit.frame_count != 1 for unit in record.units)
    flags = pts_mode | duration_mode << 2 | (_KEYFRAME if record.keyframe else 0) | (_COUNTS_LISTED if listed else 0)
    head = _VideoHead(flags, record.first_frame, record.frame_count, len(record.units), record.planes_crc32)
    if record.frame_count > MAX_RECORD_FRAMES and len(record.units) > 1:
        raise UsageError(f"{len(record.units)} units with {record.frame_count} frames; at most {MAX_RECORD_FRAMES}")
    parts = [write_fields(head), times]
    for unit in record.units:
        if listed:
            parts.append(_UNIT_FRAMES.write(unit.frame_count, "frames of a unit"))
        parts.append(_UNIT_NBYTES.write(len(unit.payload), "payload length in bytes"))
    if sum(unit.frame_count for unit in record.units) != record.frame_count:
        raise UsageError(f"units of a record do not return the {record.frame_count} frames it has times for")
    return b"".join((*parts, *(unit.payload for unit in record.units)))


def read_video_body(body: bytes, ticks: Fraction | None, what: str, offset: int) -> VideoRecord:
    """A video record from its body; DamagedStreamError when it claims what cannot be true."""
    cursor = Cursor(body, what)
    head = read_fields(_VideoHead, cursor)
    if head.flags & _RESERVED:
        raise cursor.damaged(f"reserved flags {head.flags:#04x} are set")
    if head.frame_count > MAX_RECORD_FRAMES and head.unit_count > 1:
        raise cursor.damaged(f"{head.unit_count} units with {head.frame_count} frames; at most {MAX_RECORD_FRAMES}")
    if head.first_frame + head.frame_count > MAX_FRAMES:
        raise cursor.damaged(f"frames from {head.first_frame} on; at most {MAX_FRAMES} in all")
    pts, durations = read_times(
        cursor, head.flags & _PTS_MODE, (head.flags & _DURATION_MODE) >> 2, head.frame_count, ticks
    )
    counts, lengths = _read_unit_table(cursor, head)
    if sum(lengths) != cursor.remaining:
        raise cursor.damaged(f"payloads of {sum(lengths)} bytes in {cursor.remaining}")
    units = tuple(Unit(cursor.take(n, "payload"), count) for count, n in zip(counts, lengths, strict=True))
    return VideoRecord(
        keyframe=bool(head.flags & _KEYFRAME),
        first_frame=head.first_frame,
        pts=pts,
        durations=durations,
        planes_crc32=head.planes_crc32,
        units=units,
        offset=offset,
        nbytes=RECORD_HEAD_NBYTES + len(body),
    )


def _read_unit_table(cursor: Cursor, head: _VideoHead) -> tuple[list[int], list[int]]:
    counts, lengths = [], []
    for _ in range(head.unit_count):
        counts.append(_UNIT_FRAMES.read(cursor, "frames of a unit") if head.flags & _COUNTS_LISTED else 1)
        lengths.append(_UNIT_NBYTES.read(cursor, "payload length in bytes"))
    if sum(counts) != head.frame_count:
        raise cursor.damaged(f"units return {sum(counts)} frames; the record says {head.frame_count}")
    return counts, lengths


def _crc32(record_type: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(bytes([record_type]) + len(body).to_bytes(4, "little")))
