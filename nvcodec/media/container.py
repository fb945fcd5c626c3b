# SPDX-License-Identifier: Apache-2.0
"""Video files and pipes in any container and codec that PyAV reads."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO

import av
import av.error

from nvcodec.errors import NvcError, UnsupportedError
from nvcodec.media.failure import one_line, reported
from nvcodec.media.graph import FilterChain, hidden_properties
from nvcodec.media.integrity import Ffv1Checksums, announced_seconds
from nvcodec.media.layout import MAX_SIDE
from nvcodec.media.normalise import Normaliser, rotation_of
from nvcodec.media.stream import FrameRange, Reader
from nvcodec.media.timing import PtsRepair, plausible_rate
from nvcodec.media.types import Frame, VideoFormat

_ATTACHED_PICTURE = 1 << 10
_DISCARDED = 2  # AVINDEX_DISCARD_FRAME


def open_container(
    target: str | BinaryIO, name: str, *, frames: FrameRange | None, size: tuple[int, int] | None, nbytes: int | None
) -> Reader:
    """Reader over the best video stream of a file (its path) or of a binary stream (read from where it stands).

    ``nbytes``: length of the file where known. Raises NvcError for what is no video, is cut off or holds no frame,
    UnsupportedError for a codec or a kind of picture that cannot be read.
    """
    with reported(name, "cannot be read as video"):
        # A playlist must not make us open other files or the network.
        url = f"file:{target}" if isinstance(target, str) else target
        container = av.open(url, mode="r", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    try:
        file = None if isinstance(target, str) else target
        return _Decoding(container, file, name, size, nbytes).reader(frames)
    except BaseException:
        container.close()
        raise


class _Decoding:
    def __init__(
        self,
        container: av.container.InputContainer,
        file: BinaryIO | None,
        name: str,
        size: tuple[int, int] | None,
        nbytes: int | None,
    ) -> None:
        self.container, self.file, self.name, self.size = container, file, name, size
        self.notes: list[str] = []
        self.stream = self._video_stream()
        self.index_count = self._count_from_index(nbytes)
        self._deinterlacer: FilterChain | None = None
        self._checksums = Ffv1Checksums()
        self.pictures = self._progressive(self._decoded())
        first = next(self.pictures, None)
        if first is None:
            raise NvcError(f"{name}: holds no frames that can be decoded")
        self.first = first

    def reader(self, frames: FrameRange | None) -> Reader:
        first, time_base = self.first, self.stream.time_base or Fraction(1, 1000)
        chroma_location, coded_aspect = self._hidden(first)
        normaliser = Normaliser(first, chroma_location, self.size, self.notes.append)
        rate = plausible_rate(self.stream.guessed_rate) or plausible_rate(self.stream.average_rate)
        video = VideoFormat(
            width=normaliser.width,
            height=normaliser.height,
            time_base=time_base,
            frame_rate=rate,
            sample_aspect_ratio=self._aspect(coded_aspect, normaliser),
            rotation=rotation_of(first, self.notes.append),
            colour=normaliser.colour,
        )
        repair = PtsRepair(time_base, rate, self.notes.append)
        self._note_other_tracks()

        def frame_of(picture: av.VideoFrame, number: int) -> Frame:
            try:
                frame = normaliser(picture, number)
            except UnsupportedError as exc:
                raise UnsupportedError(f"{self.name}: {exc}") from exc
            frame.pts = repair(picture.pts, number)
            frame.duration = max(0, picture.duration or 0)
            return frame

        head = frame_of(first, 0)  # converted here, so that its notes are there when the source is handed out

        def all_frames() -> Iterator[Frame]:
            yield head
            for number, picture in enumerate(self.pictures, start=1):
                yield frame_of(picture, number)

        return Reader(
            video,
            all_frames(),
            name=self.name,
            notes=self.notes,
            frame_count=self.index_count,
            frame_range=frames,
            close=self.close,
        )

    def close(self) -> None:
        self.container.close()
        if self.file is not None:
            self.file.close()

    def _video_stream(self) -> av.VideoStream:
        videos = [stream for stream in self.container.streams.video if not stream.disposition & _ATTACHED_PICTURE]
        if not videos:
            held = ", ".join(sorted({stream.type for stream in self.container.streams})) or "nothing"
            raise NvcError(f"{self.name}: no video stream in it (it holds {held})")
        best = self.container.streams.best("video")
        stream = best if best in videos else videos[0]
        if stream.codec_context is None:
            raise UnsupportedError(
                f"{self.name}: no decoder for its video codec in PyAV {av.__version__}, or its header is damaged"
            )
        if stream.width > MAX_SIDE or stream.height > MAX_SIDE:
            raise UnsupportedError(
                f"{self.name}: picture size {stream.width}x{stream.height}; at most {MAX_SIDE} a side"
            )
        stream.thread_type = "AUTO"
        return stream

    def _count_from_index(self, nbytes: int | None) -> int | None:
        """Frames by the sample table of an MP4 or MOV file, the only index that lists every frame."""
        stream = self.stream
        if "mov" not in self.container.format.name.split(",") or not stream.frames:
            return None
        entries = stream.index_entries
        if len(entries) != stream.frames:
            return None
        end = kept = 0
        for entry in entries:
            end = max(end, entry.pos + entry.size)
            kept += not entry.flags & _DISCARDED
        if nbytes is not None and end > nbytes:
            raise NvcError(f"{self.name}: cut off: its index reaches to byte {end}, the file ends at {nbytes}")
        return kept if kept == stream.frames else None

    def _decoded(self) -> Iterator[av.VideoFrame]:
        number = end = 0
        concealed = False
        try:
            for packet in self.container.demux(self.stream):
                if packet.size and (packet.is_corrupt or not self._intact(packet)):
                    raise NvcError(f"{self.name}: damaged or cut off near frame {number}")
                for picture in packet.decode():
                    if picture.is_corrupt and not concealed:
                        concealed = True
                        self.notes.append(f"frame {number} is damaged in the file: the decoder filled in what it could")
                    end = (picture.pts or 0) + max(0, picture.duration or 0)
                    yield picture
                    number += 1
        except (av.error.FFmpegError, OSError) as exc:
            raise NvcError(f"{self.name}: cannot be decoded at frame {number}: {one_line(exc)}") from exc
        self._note_what_is_missing(number, end)

    def _intact(self, packet: av.Packet) -> bool:
        if self.stream.codec_context.name != "ffv1":
            return True
        return self._checksums.intact(bytes(packet))

    def _note_what_is_missing(self, count: int, end: int) -> None:
        announced = self.index_count or (self.stream.frames if self.container.format.name == "avi" else 0)
        if count < announced:
            self.notes.append(f"the container announces {announced} frames, {count} could be decoded")
        seconds = announced_seconds(self.stream.metadata.get("DURATION", ""))
        reached = end * (self.stream.time_base or Fraction(0))
        slack = Fraction(2) / (plausible_rate(self.stream.average_rate) or 1)
        if seconds is not None and end and reached + slack < seconds:
            self.notes.append(f"the container announces {float(seconds):.3f} s, frames end at {float(reached):.3f} s")

    def _progressive(self, pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Interlaced pictures are deinterlaced, one frame out for each in; others pass."""
        number = 0
        for picture in pictures:
            if self._deinterlacer is None and picture.interlaced_frame:
                self._deinterlacer = self._new_deinterlacer(picture)
                self.notes.append(f"interlaced from frame {number} on: deinterlaced (bwdif), one frame for each frame")
            number += 1
            if self._deinterlacer is None:
                yield picture
                continue
            with reported(self.name, f"cannot be deinterlaced at frame {number}"):
                ready = self._deinterlacer.push(picture)
            yield from self._on_stream_time(ready)
        if self._deinterlacer is not None:
            yield from self._on_stream_time(self._deinterlacer.flush())

    def _new_deinterlacer(self, picture: av.VideoFrame) -> FilterChain:
        name = picture.format.name
        chain: list[tuple[str, str]] = [("bwdif", "mode=send_frame:parity=auto:deint=interlaced"), ("format", name)]
        try:
            if not picture.format.is_planar or name.startswith("nv"):
                raise ValueError("fields of this pixel format cannot be separated here")
            time_base = picture.time_base or Fraction(1, 1000)
            return FilterChain(picture.width, picture.height, name, time_base, chain)
        except (av.error.FFmpegError, ValueError) as exc:
            raise UnsupportedError(
                f"{self.name}: interlaced {name} {picture.width}x{picture.height} cannot be deinterlaced: "
                f"{one_line(exc)}; deinterlace it first"
            ) from exc

    def _on_stream_time(self, pictures: list[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for picture in pictures:
            if picture.pts is not None and picture.time_base and self.stream.time_base:
                ratio = picture.time_base / self.stream.time_base
                picture.pts = round(picture.pts * ratio)
                picture.duration = round(picture.duration * ratio)
                picture.time_base = self.stream.time_base
            yield picture

    def _hidden(self, picture: av.VideoFrame) -> tuple[int, Fraction | None]:
        try:
            return hidden_properties(picture)
        except (av.error.FFmpegError, ValueError):
            return 0, None

    def _aspect(self, coded: Fraction | None, normaliser: Normaliser) -> Fraction:
        """The container's aspect ratio before the codec's, as players do it; scaling keeps the shown shape."""
        aspect = self.stream.sample_aspect_ratio or coded or Fraction(1)
        aspect = aspect if 0 < aspect <= 1000 else Fraction(1)
        if (normaliser.width, normaliser.height) == (self.first.width, self.first.height):
            return aspect
        stretch = Fraction(self.first.width * normaliser.height, self.first.height * normaliser.width)
        return (aspect * stretch).limit_denominator(65535)

    def _note_other_tracks(self) -> None:
        streams = self.container.streams
        others = [("audio", len(streams.audio)), ("subtitle", len(streams.subtitles))]
        left_out = [f"{count} {kind}" for kind, count in others if count]
        more_video = sum(not stream.disposition & _ATTACHED_PICTURE for stream in streams.video) - 1
        if more_video:
            left_out.insert(0, f"{more_video} more video")
        if left_out:
            self.notes.append(f"left out: {', '.join(left_out)} track(s)")
