# SPDX-License-Identifier: Apache-2.0
"""Records of a stream from a file or a pipe, with seeking where the file can seek."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from nvcodec.errors import DamagedStreamError, NvcError, UnsupportedError
from nvcodec.stream.header import StreamHeader
from nvcodec.stream.index import END_NBYTES, KeyframeEntry, StreamIndex, read_end_body, read_index_body
from nvcodec.stream.limits import MAX_UNIT_FRAMES
from nvcodec.stream.parser import Event, StreamParser
from nvcodec.stream.record import END, INDEX, RECORD_HEAD_NBYTES, VideoRecord, check_body, read_record_head

_LEAST_RECORD_NBYTES = 22
_CHUNK_NBYTES = 1 << 20  # a length is believed only as far as bytes arrive


class StreamReader:
    """One stream, read from where ``file`` stands; the header is read at once.

    file: binary file or pipe; name: for errors; partial: end at the first damage instead of raising (what is cut off,
    still growing or altered is then in ``damage``). ``complete`` says whether the end record was reached. Raises
    DamagedStreamError, UnsupportedError, and NvcError when reading fails.
    """

    def __init__(self, file: BinaryIO, name: str = "stream", *, partial: bool = False) -> None:
        self.name, self.partial = name, partial
        self.damage: str | None = None
        self._file = file
        self.seekable = _can_seek(file)
        self._base = file.tell() if self.seekable else 0
        self._parser = StreamParser()
        with self._named():
            while self._parser.header is None:
                self._next_event()
        assert self._parser.header is not None
        self.header: StreamHeader = self._parser.header
        self.header_nbytes = self._parser.offset

    @property
    def complete(self) -> bool:
        """Whether the end record was reached."""
        return self._parser.done

    @property
    def nbytes(self) -> int:
        """Bytes read so far, counted from the start of the stream."""
        return self._parser.offset

    @property
    def index_nbytes(self) -> int:
        """Bytes of index and end record; 0 before they were read."""
        return self._parser.index_nbytes + (END_NBYTES if self._parser.done else 0)

    @property
    def skipped_nbytes(self) -> int:
        """Bytes of records of unknown types that were passed over."""
        return self._parser.skipped_nbytes

    def records(self) -> Iterator[VideoRecord]:
        """Video records from here to the end, each checked before it is handed out.

        Raises DamagedStreamError at the first damage, a missing end record included; with ``partial`` it ends there.
        """
        try:
            with self._named():
                while self._parser.need:
                    event = self._next_event()
                    if isinstance(event, VideoRecord):
                        yield event
                if self._file.read(1):
                    raise DamagedStreamError(f"bytes after the end record, from byte {self._parser.offset} on")
        except DamagedStreamError as exc:
            if not self.partial:
                raise
            self.damage = str(exc)

    def index(self) -> StreamIndex | None:
        """The footer index; None for a pipe or a stream without a footer. The position is kept.

        Raises DamagedStreamError when the end record is sound but the index is not.
        """
        if not self.seekable:
            return None
        with self._named():
            place = self._file.tell()
            try:
                return self._read_index()
            finally:
                self._file.seek(place)

    def seek(self, frame: int) -> KeyframeEntry | None:
        """Make ``records`` go on at the last keyframe at or before a frame number, and say which it is.

        Uses the index, or looks through the records where there is none. None when the file cannot seek (records go
        on where they were) or no record holds the frame (they go on at the first).
        """
        if not self.seekable:
            return None
        index = self._sound_index()
        entry = index.before(frame) if index is not None else self._scan_for(frame)
        with self._named():
            self._resume(entry.offset if entry else self.header_nbytes, entry.first_frame if entry else 0)
        return entry

    def _sound_index(self) -> StreamIndex | None:
        try:
            return self.index()
        except DamagedStreamError:
            if self.partial:
                return None
            raise

    def _scan_for(self, frame: int) -> KeyframeEntry | None:
        with self._named():
            self._resume(self.header_nbytes, 0)
        found = None
        for record in self.records():
            if record.keyframe and record.first_frame <= frame:
                found = KeyframeEntry(record.offset, record.first_frame, record.pts[0])
            if record.first_frame + record.frame_count > frame:
                return found
        return None

    def _resume(self, offset: int, first_frame: int) -> None:
        self.damage = None
        self._file.seek(self._base + offset)
        self._parser.resume(offset, first_frame)

    def _read_index(self) -> StreamIndex | None:
        end = self._file.seek(0, io.SEEK_END)
        first_possible = self._base + self.header_nbytes
        if end - END_NBYTES < first_possible:
            return None
        self._file.seek(end - END_NBYTES)
        whole = self._read_exactly(END_NBYTES)
        try:
            index_nbytes = read_end_body(_record_body(whole, END, "end record"), "end record")
        except DamagedStreamError:
            return None
        start = end - END_NBYTES - index_nbytes
        if start < first_possible:
            raise DamagedStreamError(f"end record says the index has {index_nbytes} bytes; the file is shorter")
        self._file.seek(start)
        index = read_index_body(_record_body(self._read_exactly(index_nbytes), INDEX, "index"), "index")
        if index.keyframes and not first_possible <= self._base + index.keyframes[-1].offset < start:
            raise DamagedStreamError(
                f"index: keyframe at byte {index.keyframes[-1].offset} lies outside of the records"
            )
        # Every record has a head and a body, 22 bytes at least.
        if index.frame_count * _LEAST_RECORD_NBYTES > MAX_UNIT_FRAMES * (start - first_possible):
            raise DamagedStreamError(f"index: {index.frame_count} frames in {start - first_possible} bytes")
        return index

    def _next_event(self) -> Event | None:
        parser = self._parser
        at_record = parser.at_record
        piece = self._read_exactly(parser.need)
        if len(piece) == parser.need:
            return parser.take(piece)
        if parser.header is None:
            if piece or parser.offset:
                raise DamagedStreamError(f"cut off in the header, after {parser.offset + len(piece)} bytes")
            raise DamagedStreamError("empty; a stream begins with a header")
        where = "without its end record" if at_record and not piece else f"inside a record, byte {parser.offset}"
        raise DamagedStreamError(f"cut off after frame {parser.next_frame - 1}: it stops {where}")

    def _read_exactly(self, nbytes: int) -> bytes:
        """As many of ``nbytes`` bytes as there are before the end."""
        pieces: list[bytes] = []
        while nbytes > 0:
            piece = self._file.read(min(nbytes, _CHUNK_NBYTES))
            if not piece:
                break
            pieces.append(piece)
            nbytes -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (DamagedStreamError, UnsupportedError) as exc:
            raise type(exc)(f"{self.name}: {exc}") from exc
        except OSError as exc:
            raise NvcError(f"{self.name}: cannot be read: {exc.strerror or exc}") from exc


def _record_body(whole: bytes, record_type: int, what: str) -> bytes:
    head = read_record_head(whole[:RECORD_HEAD_NBYTES].ljust(RECORD_HEAD_NBYTES, b"\0"), what)
    body = whole[RECORD_HEAD_NBYTES:]
    if head.record_type != record_type or head.body_nbytes != len(body):
        raise DamagedStreamError(f"{what}: not where it belongs")
    check_body(head, body, what)
    return body


def _can_seek(file: BinaryIO) -> bool:
    try:
        return bool(file.seekable())
    except (AttributeError, OSError, ValueError):
        return False
