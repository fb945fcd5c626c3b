# SPDX-License-Identifier: Apache-2.0
"""Open whatever holds a video: file, pipe, raw planes, pictures."""

from __future__ import annotations

import io
import os
import stat
import sys
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from nvcodec.errors import NvcError, UsageError
from nvcodec.media import y4m
from nvcodec.media.failure import reported
from nvcodec.media.integrity import matroska_nbytes
from nvcodec.media.layout import check_size, plane_shapes
from nvcodec.media.rawvideo import open_raw, open_y4m
from nvcodec.media.stream import FrameRange, Reader, check_range
from nvcodec.media.types import FrameSource, RawGeometry

RAW_SUFFIXES = (".yuv", ".raw", ".nv12", ".rgb")


def open_source(
    path: str | os.PathLike[str],
    *,
    frames: FrameRange | None = None,
    size: tuple[int, int] | None = None,
    raw: RawGeometry | None = None,
    frame_rate: Fraction | None = None,
) -> FrameSource:
    """Open a video for reading as 8-bit 4:2:0 frames, one pass, in display order.

    path: a video file in any container and codec PyAV reads, a y4m file (told by its content), raw planes (with
    ``raw``), a picture (a video of one frame), a folder of pictures or a printf or glob pattern of them, or ``-`` for
    standard input (y4m, raw with ``raw``, or a container that can be read from a pipe). frames: (a, b), half open, by
    frame number; None on either side is open. size: (width, height) to scale to. raw: what raw video does not say.
    frame_rate: of pictures, 25 if not given.

    Returns a FrameSource: planes uint8 exactly as decoded where the input is 8-bit 4:2:0, else one line in ``notes``
    for each conversion. Raises NvcError (missing, empty, damaged, no video in it), UsageError (an argument that does
    not fit the input) or UnsupportedError (sound but not readable here).
    """
    check_range(frames)
    if size is not None:
        check_size(*size, "requested size")
    if raw is not None:
        check_size(raw.width, raw.height, "raw geometry")
        plane_shapes(raw.pixel_format, raw.width, raw.height)
    text = os.fspath(path)
    if text == "-":
        return _open_stream(_standard_input(), "standard input", frames, size, raw, None)
    place = Path(text)
    with reported(text, "cannot be opened"):
        try:
            mode = place.stat().st_mode
        except FileNotFoundError:
            return _open_pattern(text, frames, size, raw, frame_rate)
    if stat.S_ISDIR(mode):
        return _open_folder(place, frames, size, raw, frame_rate)
    if place.suffix.lower() == ".nvc":
        raise UsageError(f"{text}: is a coded .nvc stream; decode it first: nvc decode {text} -o out.y4m")
    return _open_file(place, text, stat.S_ISREG(mode), frames, size, raw)


def _open_file(
    place: Path,
    text: str,
    regular: bool,
    frames: FrameRange | None,
    size: tuple[int, int] | None,
    raw: RawGeometry | None,
) -> FrameSource:
    from nvcodec.media.container import open_container
    from nvcodec.media.pictures import is_picture

    with reported(text, "cannot be opened"):
        file = place.open("rb")
    try:
        nbytes = os.fstat(file.fileno()).st_size if regular else None
        if nbytes == 0:
            raise NvcError(f"{text}: is empty (0 bytes)")
        is_y4m = regular and _peek(file, text).startswith(y4m.MAGIC)
        if regular and raw is None and place.suffix.lower() in RAW_SUFFIXES and not is_y4m:
            raise UsageError(
                f"{text}: raw video does not say its geometry; give width and height, and pixel format and "
                "frame rate where they are not yuv420p and 25"
            )
        if not regular or raw is not None or is_picture(place) or is_y4m:
            return _open_stream(file, text, frames, size, raw, nbytes)
        _check_length(file, text, nbytes)
    except BaseException:
        file.close()
        raise
    file.close()
    return open_container(os.path.abspath(place), text, frames=frames, size=size, nbytes=nbytes)


def _check_length(file: BinaryIO, text: str, nbytes: int | None) -> None:
    """Raise NvcError for a Matroska file shorter than it says; FFmpeg just stops where such a file ends."""
    with reported(text, "cannot be read"):
        said = matroska_nbytes(file.read(256))
    if said is not None and nbytes is not None and said > nbytes:
        raise NvcError(f"{text}: cut off: it says it has {said} bytes, the file ends at {nbytes}")


def _standard_input() -> BinaryIO:
    """Standard input with a buffer of its own.

    A thread that waits for a silent pipe must not hold the lock of ``sys.stdin``: the interpreter takes it
    as it ends.
    """
    if sys.stdin is None:
        raise NvcError("standard input: is closed")
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except (OSError, ValueError):  # replaced by an object without a descriptor
        return sys.stdin.buffer


def _open_stream(
    stream: BinaryIO,
    name: str,
    frames: FrameRange | None,
    size: tuple[int, int] | None,
    raw: RawGeometry | None,
    nbytes: int | None,
) -> Reader:
    """y4m by content, raw by flags, else a container."""
    head = _peek(stream, name)
    if not head:
        raise NvcError(f"{name}: is empty (0 bytes)")
    if not stream.seekable():
        stream = io.BufferedReader(_Rejoined(head, stream), 1 << 16)
    if head.startswith(y4m.MAGIC):
        if raw is not None:
            raise UsageError(f"{name}: is y4m, which says its own geometry; leave the raw geometry out")
        return open_y4m(stream, name, frames=frames, size=size, nbytes=nbytes)
    if raw is not None:
        return open_raw(stream, name, raw, frames=frames, size=size, nbytes=nbytes)
    from nvcodec.media.container import open_container

    try:
        return open_container(stream, name, frames=frames, size=size, nbytes=nbytes)
    except NvcError as exc:
        if nbytes is not None:
            raise
        hint = "some containers (MP4 with its index at the end) can only be read as files; raw video needs its geometry"
        raise type(exc)(f"{exc}; {hint}") from exc


def _open_folder(
    place: Path,
    frames: FrameRange | None,
    size: tuple[int, int] | None,
    raw: RawGeometry | None,
    frame_rate: Fraction | None,
) -> FrameSource:
    if raw is not None:
        raise UsageError(f"{place}: is a folder; raw video is one file")
    from nvcodec.media.pictures import list_folder, open_pictures

    paths, notes = list_folder(place)
    return open_pictures(paths, str(place), notes=notes, frames=frames, size=size, frame_rate=frame_rate)


def _open_pattern(
    text: str,
    frames: FrameRange | None,
    size: tuple[int, int] | None,
    raw: RawGeometry | None,
    frame_rate: Fraction | None,
) -> FrameSource:
    from nvcodec.media.pictures import is_pattern, list_pattern, open_pictures

    if raw is not None or not is_pattern(text):
        raise NvcError(f"{text}: no such file")
    paths, notes = list_pattern(text)
    return open_pictures(paths, text, notes=notes, frames=frames, size=size, frame_rate=frame_rate)


def _peek(stream: BinaryIO, name: str) -> bytes:
    """The first bytes, enough to tell y4m; a seekable stream is put back to where it stood."""
    with reported(name, "cannot be read"):
        head = b""
        start = stream.tell() if stream.seekable() else 0
        while len(head) < len(y4m.MAGIC) and (more := stream.read(len(y4m.MAGIC) - len(head))):
            head += more
        if stream.seekable():
            stream.seek(start)
    return head


class _Rejoined(io.RawIOBase):
    """A pipe whose first bytes have been looked at, as if they had not."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._head:
            taken = self._head[: len(buffer)]
            self._head = self._head[len(taken) :]
            buffer[: len(taken)] = taken
            return len(taken)
        # What is there now, not a full buffer: a live pipe's frames must not wait for later ones.
        return self._rest.readinto1(buffer)  # type: ignore[attr-defined, no-any-return]

    def close(self) -> None:
        if not self.closed and self._rest is not sys.stdin.buffer:
            self._rest.close()
        super().close()
