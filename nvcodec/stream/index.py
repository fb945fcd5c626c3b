# SPDX-License-Identifier: Apache-2.0
"""The footer: an index of keyframes, and the end record by which a reader finds it from the last bytes of a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nvcodec.errors import DamagedStreamError
from nvcodec.stream.fields import Cursor, SignedVarint, Uint, Varint, read_fields, wire, write_fields
from nvcodec.stream.limits import MAX_FRAMES, MAX_RECORD_NBYTES, MAX_TICKS
from nvcodec.stream.record import END, INDEX, RECORD_HEAD_NBYTES, write_record

_MAX_OFFSET = (1 << 63) - 1


@dataclass(frozen=True)
class KeyframeEntry:
    """Where decoding may start: offset of the record in bytes, number and pts of its first frame."""

    offset: int
    first_frame: int
    pts: int


@dataclass(frozen=True)
class StreamIndex:
    """Frames in the whole stream, and its keyframes in the order they come."""

    frame_count: int
    keyframes: tuple[KeyframeEntry, ...]

    def before(self, frame: int) -> KeyframeEntry | None:
        """The last keyframe at or before a frame number; None where there is none."""
        found = None
        for entry in self.keyframes:
            if entry.first_frame > frame:
                break
            found = entry
        return found


@dataclass(frozen=True)
class _IndexHead:
    frame_count: int = wire(Varint(0, MAX_FRAMES))
    keyframe_count: int = wire(Varint(0, MAX_RECORD_NBYTES))


@dataclass(frozen=True)
class _Step:
    """From one keyframe to the next; the first from (0, 0, 0)."""

    offset: int = wire(Varint(1, _MAX_OFFSET))
    frames: int = wire(Varint(0, MAX_FRAMES))
    ticks: int = wire(SignedVarint(2 * MAX_TICKS))


@dataclass(frozen=True)
class _End:
    index_nbytes: int = wire(Uint(4, RECORD_HEAD_NBYTES, MAX_RECORD_NBYTES + RECORD_HEAD_NBYTES))


END_NBYTES = RECORD_HEAD_NBYTES + 4


class IndexBuilder:
    """Gathers keyframes as they are written, a few bytes each."""

    def __init__(self) -> None:
        self.keyframe_count = 0
        self._steps = bytearray()
        self._last = KeyframeEntry(0, 0, 0)

    def add(self, entry: KeyframeEntry) -> None:
        """The next keyframe."""
        last, self._last = self._last, entry
        step = _Step(entry.offset - last.offset, entry.first_frame - last.first_frame, entry.pts - last.pts)
        self._steps += write_fields(step)
        self.keyframe_count += 1

    def footer(self, frame_count: int) -> bytes:
        """Index record and end record."""
        body = write_fields(_IndexHead(frame_count, self.keyframe_count)) + bytes(self._steps)
        index = write_record(INDEX, body)
        return index + write_record(END, write_fields(_End(len(index))))


def write_footer(frame_count: int, keyframes: Iterable[KeyframeEntry]) -> bytes:
    """Index record and end record of a stream."""
    builder = IndexBuilder()
    for entry in keyframes:
        builder.add(entry)
    return builder.footer(frame_count)


def read_index_body(body: bytes, what: str) -> StreamIndex:
    """The index from the body of its record; DamagedStreamError when it claims what cannot be true."""
    cursor = Cursor(body, what)
    head = read_fields(_IndexHead, cursor)
    if 3 * head.keyframe_count > cursor.remaining:
        raise cursor.damaged(f"{head.keyframe_count} keyframes in {cursor.remaining} bytes")
    offset = frame = pts = 0
    entries = []
    for number in range(head.keyframe_count):
        step = read_fields(_Step, cursor)
        offset, frame, pts = offset + step.offset, frame + step.frames, pts + step.ticks
        if frame >= head.frame_count or (number and not step.frames) or abs(pts) > MAX_TICKS or offset > _MAX_OFFSET:
            raise cursor.damaged(f"keyframe {number} at frame {frame}, byte {offset}, pts {pts} cannot be")
        entries.append(KeyframeEntry(offset, frame, pts))
    cursor.finish()
    return StreamIndex(head.frame_count, tuple(entries))


def read_end_body(body: bytes, what: str) -> int:
    """Length in bytes of the index record, which ends where the end record begins."""
    if len(body) != END_NBYTES - RECORD_HEAD_NBYTES:
        raise DamagedStreamError(f"{what}: end record of {len(body)} bytes")
    return read_fields(_End, Cursor(body, what)).index_nbytes
