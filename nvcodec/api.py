# SPDX-License-Identifier: Apache-2.0
"""The library in one screen: files to streams and back, a look inside, and frame by frame on arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nvcodec.codec.protocol import EncodeSettings, ModelIdentity
from nvcodec.codec.registry import DEFAULT_CODEC, IMPLICIT_IDS, get_codec
from nvcodec.errors import DamagedStreamError, NvcError, UsageError
from nvcodec.media.types import Frame, FrameSink, FrameSource, RawGeometry, VideoFormat
from nvcodec.pipeline.decode import RecordDecoder, decode_stream
from nvcodec.pipeline.encode import StreamEncoder, check_settings, encode_stream
from nvcodec.pipeline.goal import Goal, encode_to_goal, read_once
from nvcodec.pipeline.probe import StreamInfo, probe_stream
from nvcodec.pipeline.report import DecodeReport, EncodeReport, Progress
from nvcodec.stream import MAX_RECORD_FRAMES, StreamParser, StreamReader, VideoRecord

Plane = npt.NDArray[np.uint8]
PathLike = str | os.PathLike[str]
FrameRange = tuple[int | None, int | None]


def encode(
    path: PathLike,
    out: PathLike | BinaryIO,
    *,
    codec: str = DEFAULT_CODEC,
    quality: int = 32,
    intra_period: int = 0,
    preset: str = "medium",
    threads: int = 0,
    device: str = "cpu",
    frames: FrameRange | None = None,
    size: tuple[int, int] | None = None,
    raw: RawGeometry | None = None,
    frame_rate: Fraction | None = None,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
    on_fit: Callable[[int, Any], None] | None = None,
    options: Mapping[str, Any] | None = None,
    goal: Goal | None = None,
) -> EncodeReport:
    """Encode a video file, pictures or a pipe into an .nvc stream.

    path: what nvcodec.media.open_source reads, "-" for standard input. out: a path, "-" for standard output, or a
    binary file; a path appears when the stream is complete, and nothing is left of it when anything goes wrong.
    codec: a name of nvcodec.codec.registry.codec_names(). quality: 0 (smallest) to 63 (best). intra_period: frames
    from one keyframe to the next, 0 = only the first. preset: effort, as the codec names it. threads: 0 = all.
    device: a torch device. frames: (a, b), half open, by frame number, None on either side is open. size: (width,
    height) to scale to. raw: geometry of raw video. frame_rate: of pictures. overwrite: replace an existing file.
    progress: called with a Progress after each frame. on_fit: of implicit codecs, called with the number of the group
    and a FitProgress after each epoch. options: the codec's own. goal: a size, rate or PSNR, for which the source is
    encoded several times, ``quality`` first (not of implicit codecs, which take such goals as options).

    Raises NvcError (input or output fails), UsageError (an argument is wrong, a goal is out of reach), UnsupportedError
    (picture, input or codec beyond this build).
    """
    from nvcodec.media import open_source

    settings = EncodeSettings(quality, intra_period, preset, threads, device, dict(options or {}), on_fit=on_fit)
    check_settings(settings)
    chosen = get_codec(codec)
    given: dict[str, Any] = {} if frame_rate is None else {"frame_rate": frame_rate}

    def open_input() -> FrameSource:
        return open_source(path, frames=frames, size=size, raw=raw, **given)

    if goal is None:
        return encode_stream(open_input(), out, chosen, settings, overwrite=overwrite, progress=progress)
    if chosen.codec_id in IMPLICIT_IDS:
        raise UsageError(f"codec {codec} fits itself to a goal; give it as an option, not as goal")
    if read_once(path):
        raise UsageError("a goal needs a source that can be read more than once; standard input and pipes cannot")
    return encode_to_goal(open_input, out, chosen, settings, goal, overwrite=overwrite, progress=progress)


def decode(
    path: PathLike | BinaryIO,
    out: PathLike,
    *,
    frames: FrameRange | None = None,
    verify: bool = False,
    partial: bool = False,
    threads: int = 0,
    device: str = "cpu",
    pixel_format: str | None = None,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
    interpolate: int = 1,
) -> DecodeReport:
    """Decode an .nvc stream into a video file, pictures, raw frames or a pipe.

    path: a stream, "-" for standard input, or a binary file. out: as nvcodec.media.open_sink takes it (the suffix
    decides; "-" for standard output); it appears when everything is decoded. frames: (a, b), half open, by frame
    number; with a > 0 decoding begins at the keyframe before. verify: compare every frame decoded with the encoder's
    checksum. partial: of a stream that is cut off, still growing or damaged, keep what comes before the damage (see
    DecodeReport.damage) instead of failing. threads: 0 = all. device: a torch device. pixel_format: of raw output.
    overwrite, progress: as for encode. interpolate: pictures for each frame, 2 doubles the frame rate (implicit
    codecs).

    Raises DamagedStreamError, UnsupportedError (version, codec or model not installed here), UsageError, NvcError.
    """
    from nvcodec.media import open_sink

    given: dict[str, Any] = {} if pixel_format is None else {"pixel_format": pixel_format}

    def sink(video: VideoFormat, frame_count: int | None) -> FrameSink:
        return open_sink(out, video, overwrite=overwrite, frame_count_hint=frame_count, **given)

    with _opened(path, partial) as reader:
        return decode_stream(
            reader,
            sink,
            frames=frames,
            verify=verify,
            threads=threads,
            device=device,
            progress=progress,
            interpolate=interpolate,
        )


def probe(path: PathLike | BinaryIO, *, partial: bool = False) -> StreamInfo:
    """What an .nvc stream holds: header, counts, keyframes, where its bytes go; reads and checks all of it.

    path: a stream, "-" for standard input, or a binary file. partial: describe what comes before the first damage or
    the missing end (StreamInfo.damage) instead of failing. Raises DamagedStreamError, UnsupportedError, NvcError.
    """
    with _opened(path, partial) as reader:
        return probe_stream(reader)


class Encoder:
    """Frames as arrays in, bytes of one .nvc stream out; concatenated, they are the stream.

        encoder = Encoder(VideoFormat(64, 48), quality=40)
        stream = b"".join(encoder.encode(y, u, v) for y, u, v in pictures) + encoder.finish()

    video: geometry, colour and time base; the other arguments as for ``encode``. frames_per_record: 1 to 32 frames
    held back before bytes come out, at about 20 bytes a record. Raises UsageError, UnsupportedError (picture too
    large), NvcError.
    """

    def __init__(
        self,
        video: VideoFormat,
        *,
        codec: str = DEFAULT_CODEC,
        quality: int = 32,
        intra_period: int = 0,
        preset: str = "medium",
        threads: int = 0,
        device: str = "cpu",
        options: Mapping[str, Any] | None = None,
        frames_per_record: int = MAX_RECORD_FRAMES,
    ) -> None:
        settings = EncodeSettings(quality, intra_period, preset, threads, device, dict(options or {}))
        self.video = video
        self._stream = StreamEncoder(video, get_codec(codec), settings, frames_per_record)
        self._ticks = 1 / ((video.frame_rate or Fraction(25)) * video.time_base)
        self._held = self._stream.start()
        self._finished = False

    def encode(self, y: Plane, u: Plane, v: Plane, *, pts: int | None = None, duration: int = 0) -> bytes:
        """The next frame, in display order; returns the bytes that became ready, often none.

        y: (H, W) uint8; u, v: (ceil(H/2), ceil(W/2)) uint8. pts, duration: in units of video.time_base, pts above that
        of the frame before; without a pts, the frame number at the nominal frame rate (25 where unknown). Raises
        UsageError for planes of another shape or type.
        """
        if self._finished:
            raise UsageError("encoder is finished; a new stream needs a new Encoder")
        time = round(self._stream.frames * self._ticks) if pts is None else pts
        # A codec may keep references to earlier frames: the caller is free to fill the same arrays again.
        copies = [np.array(plane, order="C") for plane in (y, u, v)]
        frame = Frame(copies[0], copies[1], copies[2], pts=time, duration=duration)
        coded = self._stream.encode(frame)
        ready, self._held = self._held + coded, b""
        return ready

    def finish(self) -> bytes:
        """The rest of the stream; NvcError when there was no frame."""
        if self._finished:
            raise UsageError("encoder is finished already")
        rest = self._stream.finish()
        self._finished = True
        return rest


class Decoder:
    """Bytes of one .nvc stream in, in pieces of any size; frames out.

        decoder = Decoder()
        for piece in pieces:
            for frame in decoder.decode(piece):
                show(frame.y, frame.u, frame.v)
        decoder.finish()

    verify, threads, device: as for ``decode``. ``video`` and ``model`` are None until the header was read.
    """

    def __init__(self, *, verify: bool = False, threads: int = 0, device: str = "cpu") -> None:
        self.video: VideoFormat | None = None
        self.model: ModelIdentity | None = None
        self._verify, self._threads, self._device = verify, threads, device
        self._parser = StreamParser()
        self._records: RecordDecoder | None = None
        self._buffer = bytearray()

    def decode(self, piece: bytes) -> list[Frame]:
        """The frames that became complete: y (H, W), u and v (ceil(H/2), ceil(W/2)), uint8, with pts and duration.

        Raises DamagedStreamError, UnsupportedError (version, codec or model not installed here).
        """
        self._buffer += piece
        frames: list[Frame] = []
        while 0 < self._parser.need <= len(self._buffer):
            taken = bytes(self._buffer[: self._parser.need])
            del self._buffer[: len(taken)]
            event = self._parser.take(taken)
            if isinstance(event, VideoRecord):
                frames += self._decoder().frames(event)
            elif self._parser.header is not None and self._records is None:
                self._decoder()
        if self._parser.done and self._buffer:
            raise DamagedStreamError(f"bytes after the end record, from byte {self._parser.offset} on")
        return frames

    def finish(self) -> None:
        """DamagedStreamError unless the stream is complete."""
        if not self._parser.done:
            raise DamagedStreamError(f"cut off after {self._parser.next_frame} frames: its end record is missing")

    def _decoder(self) -> RecordDecoder:
        if self._records is None:
            assert self._parser.header is not None
            self._records = RecordDecoder(
                self._parser.header, verify=self._verify, threads=self._threads, device=self._device
            )
            self.video, self.model = self._records.video, self._records.model
        return self._records


@contextmanager
def _opened(path: PathLike | BinaryIO, partial: bool) -> Iterator[StreamReader]:
    """A reader over a path, "-" or a binary file; closes what it opened."""
    if not isinstance(path, str | os.PathLike):
        yield StreamReader(path, str(getattr(path, "name", "stream")), partial=partial)
        return
    text = os.fspath(path)
    with _open(text) as file:
        yield StreamReader(file, "standard input" if text == "-" else text, partial=partial)


def _open(text: str) -> BinaryIO:
    try:
        # Unbuffered: a thread that waits for a silent pipe must not hold a lock that closing or ending would need.
        return open(0, "rb", buffering=0, closefd=False) if text == "-" else open(text, "rb", buffering=0)
    except IsADirectoryError:
        raise NvcError(f"{text}: is a folder; an .nvc stream is a file") from None
    except FileNotFoundError:
        raise NvcError(f"{text}: no such file") from None
    except (OSError, ValueError) as exc:
        raise NvcError(f"{text}: cannot be opened: {getattr(exc, 'strerror', None) or exc}") from exc
