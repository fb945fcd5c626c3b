# SPDX-License-Identifier: Apache-2.0
"""Bytes in, checked records out; knows nothing of files.

    parser = StreamParser()
    while parser.need:
        event = parser.take(exactly parser.need bytes)

Asking for what is needed next, and no more, serves files, pipes and pieces that arrive by themselves alike.
"""

from __future__ import annotations

from nvcodec.errors import DamagedStreamError, UnsupportedError
from nvcodec.stream.header import PREFIX_NBYTES, StreamHeader, header_nbytes, read_header
from nvcodec.stream.index import StreamIndex, read_end_body, read_index_body
from nvcodec.stream.record import (
    END,
    INDEX,
    RECORD_HEAD_NBYTES,
    SKIPPABLE,
    VIDEO,
    RecordHead,
    VideoRecord,
    check_body,
    read_record_head,
    read_video_body,
)

Event = StreamHeader | VideoRecord | StreamIndex


class StreamParser:
    """Reads one stream from its first byte, or from a keyframe's record on after ``resume``.

    ``need``: bytes that ``take`` wants next, 0 after the end record. ``offset``: bytes taken so far, from the start of
    the stream. ``at_record``: a record would begin here, so a stream that stops here was cut between records.
    ``skipped_nbytes``: bytes of records of unknown skippable types.
    """

    def __init__(self) -> None:
        self.need = PREFIX_NBYTES
        self.offset = 0
        self.header: StreamHeader | None = None
        self.next_frame = 0
        self.index_nbytes = 0
        self.skipped_nbytes = 0
        self._last_pts: int | None = None
        self._prefix = b""
        self._head: RecordHead | None = None
        self._head_bytes = b""
        self._sought = False
        self._index: StreamIndex | None = None

    @property
    def at_record(self) -> bool:
        """Whether the next byte taken begins a record."""
        return self.header is not None and self._head is None

    @property
    def done(self) -> bool:
        """Whether the end record was read."""
        return self.need == 0

    def resume(self, offset: int, first_frame: int) -> None:
        """Go on at the record at ``offset``, which must be a keyframe that begins with ``first_frame``."""
        self.offset, self.next_frame = offset, first_frame
        self._last_pts = self._head = self._index = None
        self._sought = True
        self.need = RECORD_HEAD_NBYTES

    def take(self, piece: bytes) -> Event | None:
        """What became complete with these ``need`` bytes, if anything.

        Raises DamagedStreamError for bytes that were altered or claim what cannot be true, UnsupportedError for a
        version, picture or record this build does not know.
        """
        if len(piece) != self.need:
            raise ValueError(f"{len(piece)} bytes given, {self.need} needed")
        start = self.offset - len(self._head_bytes if self._head else b"")
        self.offset += len(piece)
        if self.header is None:
            return self._take_header(piece)
        if self._head is None:
            self._head = read_record_head(piece, f"record at byte {start}")
            self._head_bytes = piece
            self.need = self._head.body_nbytes
            return self.take(b"") if self.need == 0 else None
        head, self._head, self._head_bytes = self._head, None, b""
        self.need = RECORD_HEAD_NBYTES
        what = f"record at byte {start}"
        check_body(head, piece, what)
        return self._take_record(head, piece, what, start)

    def _take_header(self, piece: bytes) -> StreamHeader | None:
        if not self._prefix:
            self._prefix = piece
            self.need = header_nbytes(piece) - len(piece)
            return None
        self.header = read_header(self._prefix + piece)
        self.need = RECORD_HEAD_NBYTES
        return self.header

    def _take_record(self, head: RecordHead, body: bytes, what: str, start: int) -> Event | None:
        if self._index is not None and head.record_type != END:
            raise DamagedStreamError(f"{what}: type {head.record_type} after the index")
        if head.record_type == VIDEO:
            return self._take_video(body, what, start)
        if head.record_type == INDEX:
            self.index_nbytes = RECORD_HEAD_NBYTES + len(body)
            self._index = read_index_body(body, what)
            if self._index.frame_count != self.next_frame:
                raise DamagedStreamError(
                    f"{what}: index says {self._index.frame_count} frames; {self.next_frame} came before it"
                )
            return self._index
        if head.record_type == END:
            if read_end_body(body, what) != self.index_nbytes or self._index is None:
                raise DamagedStreamError(f"{what}: end record without its index")
            self.need = 0
            return None
        if head.record_type & SKIPPABLE:
            self.skipped_nbytes += RECORD_HEAD_NBYTES + len(body)
            return None
        raise UnsupportedError(f"{what}: type {head.record_type} is not known to this build and must not be skipped")

    def _take_video(self, body: bytes, what: str, start: int) -> VideoRecord:
        assert self.header is not None
        record = read_video_body(body, self.header.ticks_per_frame, what, start)
        if record.first_frame != self.next_frame:
            raise DamagedStreamError(f"{what}: begins with frame {record.first_frame}; {self.next_frame} is next")
        if not record.keyframe and (self._sought or not self.next_frame):
            raise DamagedStreamError(f"{what}: frame {record.first_frame} is not a keyframe, as it must be")
        if self._last_pts is not None and record.pts[0] <= self._last_pts:
            raise DamagedStreamError(f"{what}: timestamp {record.pts[0]} does not follow {self._last_pts}")
        self._sought = False
        self.next_frame += record.frame_count
        self._last_pts = record.pts[-1]
        return record
