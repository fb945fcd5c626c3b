# SPDX-License-Identifier: Apache-2.0
"""Video without a codec: y4m and raw planes, from files and pipes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

from nvcodec.errors import NvcError, UnsupportedError, UsageError
from nvcodec.media import y4m
from nvcodec.media.failure import reported
from nvcodec.media.layout import check_size, picture_nbytes
from nvcodec.media.stream import FrameRange, Reader
from nvcodec.media.types import Frame, RawGeometry, VideoFormat

if TYPE_CHECKING:
    import av


def open_raw(
    stream: BinaryIO,
    name: str,
    geometry: RawGeometry,
    *,
    frames: FrameRange | None,
    size: tuple[int, int] | None,
    nbytes: int | None,
) -> Reader:
    """Reader of planes that lie one after the other; UsageError when ``nbytes`` is no whole number of pictures."""
    check_size(geometry.width, geometry.height, "raw geometry")
    rate = geometry.frame_rate or Fraction(25)
    if rate <= 0:
        raise UsageError(f"frame rate {rate} of raw video; it must be above 0")
    video = VideoFormat(geometry.width, geometry.height, 1 / rate, rate, colour=geometry.colour)
    each = picture_nbytes(geometry.pixel_format, geometry.width, geometry.height)
    described = f"{geometry.width}x{geometry.height} {geometry.pixel_format}"
    if nbytes is not None and nbytes % each:
        raise UsageError(
            f"{name}: {nbytes} bytes are no whole number of {described} pictures of {each} bytes "
            f"({nbytes // each} and {nbytes % each} bytes over)"
        )
    notes = [] if geometry.frame_rate else ["frame rate of raw video not given: taken as 25"]

    def pictures() -> Iterator[bytearray]:
        number = 0
        while (packed := _read_exactly(stream, each, name)) is not None:
            if len(packed) < each:
                raise UsageError(
                    f"{name}: ends {len(packed)} bytes into picture {number}; a {described} picture has {each} bytes"
                )
            yield packed
            number += 1

    return _reader(
        stream, name, video, geometry.pixel_format, pictures(), notes, frames, size, nbytes and nbytes // each
    )


def open_y4m(
    stream: BinaryIO, name: str, *, frames: FrameRange | None, size: tuple[int, int] | None, nbytes: int | None
) -> Reader:
    """Reader of a YUV4MPEG2 stream that stands at its first byte; NvcError for damage and for a cut-off frame."""
    line = _read_line(stream, name) or b""
    header = y4m.parse_header(line, name)
    if header.interlaced not in ("p", "?"):
        raise UnsupportedError(
            f"{name}: y4m says interlaced (I{header.interlaced[:4]}); deinterlace it first or mark it Ip"
        )
    each = picture_nbytes(header.pixel_format, header.video.width, header.video.height)
    notes = [] if header.video.frame_rate else ["y4m frame rate unknown: taken as 25"]
    # Frame lines may carry parameters; a count is certain only if bare ones account for every byte.
    count, over = divmod((nbytes or 0) - len(line) - 1, each + len(y4m.FRAME_MAGIC) + 1)

    def pictures() -> Iterator[bytearray]:
        number = 0
        while True:
            frame_line = _read_line(stream, name, may_end=True)
            if frame_line is None:
                return
            if frame_line.split(b" ")[0] != y4m.FRAME_MAGIC:
                raise NvcError(f"{name}: damaged: frame {number} does not begin with FRAME")
            packed = _read_exactly(stream, each, name)
            if packed is None or len(packed) < each:
                raise NvcError(f"{name}: cut off in frame {number}")
            yield packed
            number += 1

    known = count if nbytes is not None and not over else None
    return _reader(stream, name, header.video, header.pixel_format, pictures(), notes, frames, size, known)


def _reader(
    stream: BinaryIO,
    name: str,
    video: VideoFormat,
    pixel_format: str,
    pictures: Iterator[bytearray],
    notes: list[str],
    frames: FrameRange | None,
    size: tuple[int, int] | None,
    count: int | None,
) -> Reader:
    first = next(pictures, None)
    if first is None:
        raise NvcError(f"{name}: holds no frames")
    if pixel_format == "yuvj420p" and not video.colour.full_range:
        video = replace(video, colour=replace(video.colour, full_range=True))
    to_frame, video = _converter(first, video, pixel_format, size, name, notes)

    def all_frames() -> Iterator[Frame]:
        packed: bytearray | None = first
        number = 0
        while packed is not None:
            frame = to_frame(packed, number)
            frame.pts, frame.duration = number, 1
            yield frame
            number += 1
            packed = next(pictures, None)

    return Reader(
        video, all_frames(), name=name, notes=notes, frame_count=count, frame_range=frames, close=stream.close
    )


def _converter(
    first: bytearray,
    video: VideoFormat,
    pixel_format: str,
    size: tuple[int, int] | None,
    name: str,
    notes: list[str],
) -> tuple[Callable[[bytearray, int], Frame], VideoFormat]:
    """(bytes of a picture and its number -> Frame, the format that then holds)."""
    from nvcodec.media.normalise import Normaliser
    from nvcodec.media.planes import frame_from_bytes, picture_from_bytes

    width, height = video.width, video.height
    if pixel_format in ("yuv420p", "yuvj420p") and size in (None, (width, height)):
        if video.colour.full_range:
            notes.append("full range (0 to 255) kept as it is")
        return lambda packed, number: frame_from_bytes(width, height, packed), video

    def picture(packed: bytearray) -> av.VideoFrame:
        made = picture_from_bytes(pixel_format, width, height, packed)
        made.color_range = 2 if video.colour.full_range else 1
        made.colorspace = video.colour.matrix
        made.color_primaries = video.colour.primaries
        made.color_trc = video.colour.transfer
        made.time_base = video.time_base
        return made

    normaliser = Normaliser(picture(first), video.colour.chroma_location, size, notes.append)
    with reported(name, "cannot be converted"):
        normaliser(picture(first), 0)  # so that its notes are there when the source is handed out
    aspect = video.sample_aspect_ratio * Fraction(width * normaliser.height, height * normaliser.width)
    converted = replace(
        video,
        width=normaliser.width,
        height=normaliser.height,
        colour=normaliser.colour,
        sample_aspect_ratio=aspect.limit_denominator(65535),
    )
    return lambda packed, number: normaliser(picture(packed), number), converted


def _read_exactly(stream: BinaryIO, nbytes: int, name: str) -> bytearray | None:
    """Up to ``nbytes`` bytes, fewer only at the end; None where the stream has ended."""
    packed = bytearray(nbytes)
    view = memoryview(packed)
    filled = 0
    with reported(name, "cannot be read"):
        while filled < nbytes:
            got = stream.readinto(view[filled:])  # type: ignore[attr-defined]
            if not got:
                break
            filled += got
    view.release()
    if not filled:
        return None
    del packed[filled:]
    return packed


def _read_line(stream: BinaryIO, name: str, may_end: bool = False) -> bytes | None:
    with reported(name, "cannot be read"):
        line = stream.readline(y4m.MAX_LINE_NBYTES)
    if not line and may_end:
        return None
    if not line.endswith(b"\n"):
        raise NvcError(f"{name}: damaged: a y4m line that does not end within {y4m.MAX_LINE_NBYTES} bytes")
    return line[:-1]
