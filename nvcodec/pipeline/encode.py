# SPDX-License-Identifier: Apache-2.0
"""Frames in, a stream out.

    source ──thread──► codec, in the caller's thread ──thread──► file or pipe

Bounded queues lie between the three.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from nvcodec.codec.protocol import Codec, CodedUnit, EncodeSettings, SequenceEncoder
from nvcodec.errors import NvcError, UsageError
from nvcodec.media.failure import reported
from nvcodec.media.types import Frame, FrameSource, VideoFormat
from nvcodec.pipeline.channel import Stages
from nvcodec.pipeline.format import check_planes, frames_in_flight, stream_header
from nvcodec.pipeline.join import read_beginning
from nvcodec.pipeline.output import Target, checked_write, discard, open_output, target_name
from nvcodec.pipeline.report import EncodeReport, Meter, ProgressCallback, Span
from nvcodec.stream import MAX_RECORD_FRAMES, StreamWriter

_PIECES_IN_FLIGHT = 4


class StreamEncoder:
    """Turns frames into the bytes of a stream, piece by piece; knows nothing of files or threads.

    Call ``start`` once, ``encode`` for each frame, ``finish`` once, and concatenate what they return.
    """

    def __init__(
        self, video: VideoFormat, codec: Codec, settings: EncodeSettings, frames_per_record: int = MAX_RECORD_FRAMES
    ) -> None:
        check_settings(settings)
        self.video, self.codec, self.settings = video, codec, settings
        self.model = codec.model_identity(settings)
        stream_header(video, codec.codec_id, self.model, b"")  # refuses a video before any model is loaded
        self._encoder: SequenceEncoder = codec.encoder(video, settings)
        join = settings.options.get("join")
        self._beginning = read_beginning(join) if join else None
        if self._beginning is None:
            self.header = stream_header(video, codec.codec_id, self.model, self._encoder.config)
        else:
            self._beginning.check(codec.name, codec.codec_id, video)
            self.header, self._placed = self._beginning.header, self._beginning.times(video)
        self.writer = StreamWriter(self.header, frames_per_record)
        self.span = Span(video.time_base, video.frame_rate)
        self.frames = 0
        self._times: deque[tuple[int, int]] = deque()

    def start(self) -> bytes:
        """The header, and the records of a stream that this video joins."""
        kept = self._beginning.records if self._beginning is not None else ()
        return self.writer.start() + b"".join(self.writer.keep(record, content) for record, content in kept)

    def encode(self, frame: Frame) -> bytes:
        """One frame, in display order, pts increasing; UsageError for planes of another size or type."""
        wrong = check_planes(frame, self.video)
        if wrong:
            raise UsageError(f"frame {self.frames}: {wrong}")
        times = frame.pts, frame.duration
        self._times.append(times if self._beginning is None else self._placed(*times))
        self.frames += 1
        return self._written(self._encoder.encode(frame))

    @property
    def interrupted(self) -> bool:
        """Whether the codec was stopped by Ctrl-C: what came out is a valid beginning, more frames are not wanted."""
        return bool(getattr(self._encoder, "interrupted", False))

    def stop(self) -> bool:
        """Ctrl-C: keep what came out, if the codec can and there is something."""
        stop = getattr(self._encoder, "stop", None)
        return stop is not None and bool(stop())

    @property
    def notes(self) -> list[str]:
        """What the codec wants a user to know."""
        return list(getattr(self._encoder, "notes", []))

    @property
    def psnr_db(self) -> float | None:
        """What the codec measured of its own pictures, if it did."""
        return getattr(self._encoder, "psnr_db", None)

    def abandon(self) -> None:
        """No more is wanted of the codec: it need not finish what it works on."""
        abandon = getattr(self._encoder, "abandon", None)
        if abandon is not None:
            abandon()

    def finish(self) -> bytes:
        """What the codec held back and the footer; NvcError when there was no frame."""
        if not self.frames:
            raise NvcError("no frames to encode; a stream needs at least one")
        rest = self._written(self._encoder.flush())
        if self._times and self.interrupted:
            self.frames -= len(self._times)
            self._times.clear()
        if self._times:
            raise NvcError(f"codec {self.codec.name}: {len(self._times)} of {self.frames} frames never came out")
        return rest + self.writer.finish()

    def _written(self, units: list[CodedUnit]) -> bytes:
        return b"".join(self._add(unit) for unit in units)

    def _add(self, unit: CodedUnit) -> bytes:
        if not 0 <= unit.frame_count <= len(self._times):
            raise NvcError(f"codec {self.codec.name}: a unit of {unit.frame_count} frames; {len(self._times)} are due")
        times = [self._times.popleft() for _ in range(unit.frame_count)]
        for pts, duration in times:
            self.span.add(pts, duration)
        return self.writer.add(
            unit.payload,
            keyframe=unit.keyframe,
            pts=[pts for pts, _ in times],
            durations=[duration for _, duration in times],
            planes_crc32=unit.planes_crc32,
        )


def check_settings(settings: EncodeSettings) -> None:
    """UsageError for what no codec takes."""
    if not 0 <= settings.quality <= 63:
        raise UsageError(f"quality is {settings.quality}; 0 (smallest) to 63 (best) are allowed")
    if settings.intra_period < 0:
        raise UsageError(f"intra period is {settings.intra_period}; 0 (only the first frame) or more is allowed")
    if settings.threads < 0:
        raise UsageError(f"threads is {settings.threads}; 0 (all) or more is allowed")


def encode_stream(
    source: FrameSource,
    out: Target,
    codec: Codec,
    settings: EncodeSettings,
    *,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    frames_per_record: int = MAX_RECORD_FRAMES,
) -> EncodeReport:
    """Encode every frame of a source into one stream, and close the source.

    out: a path, "-" for standard output, or a binary file. A file appears under its name when it is complete; whatever
    goes wrong, Ctrl-C included, leaves none, except that a codec that fits (see StoppableEncoder) ends at Ctrl-C with
    a valid file of what was reached. progress: called in this thread after each frame. frames_per_record: 1 to
    32. Raises NvcError (output or input fails, no frames), UsageError (settings the codec does not have),
    UnsupportedError (picture too large).
    """
    output, name = open_output(out, overwrite), target_name(out)
    stages, encoder = Stages(), None
    try:
        with stages:
            meter = Meter(progress, source.frame_count)
            settings = replace(settings, frame_count=source.frame_count)
            encoder = StreamEncoder(source.format, codec, settings, frames_per_record)
            frames = stages.reading(source, frames_in_flight(source.format))
            pieces = stages.writing(checked_write(output, name), _PIECES_IN_FLIGHT)
            pieces.put(encoder.start())
            try:
                for frame in frames:
                    piece = encoder.encode(frame)
                    if piece:
                        pieces.put(piece)
                    meter.advance(1, encoder.writer.nbytes)
                    if encoder.interrupted:
                        break
            except KeyboardInterrupt:
                if not encoder.stop():
                    raise
            pieces.put(encoder.finish())
            stages.finish_writing()
        with reported(name, "cannot be written"):
            output.commit()
    except BaseException:
        if encoder is not None:
            encoder.abandon()
        discard(output, stages.writer_idle)
        raise
    finally:
        if stages.reader_idle:  # never under the hands of a thread that still reads
            source.close()
    return _report(encoder, meter, source.notes)


def _report(encoder: StreamEncoder, meter: Meter, notes: list[str]) -> EncodeReport:
    writer, video = encoder.writer, encoder.video
    seconds = encoder.span.seconds
    return EncodeReport(
        frames=encoder.frames,
        nbytes=writer.nbytes,
        payload_nbytes=writer.payload_nbytes,
        keyframes=writer.keyframe_count,
        width=video.width,
        height=video.height,
        bpp=8 * writer.nbytes / (video.width * video.height * writer.frame_count),
        kbps=8 * writer.nbytes / seconds / 1000 if seconds else None,
        video_seconds=seconds,
        seconds=meter.seconds,
        fps=meter.fps,
        codec=encoder.codec.name,
        model=encoder.model,
        quality=encoder.settings.quality,
        notes=[*notes, *encoder.notes],
        psnr_db=encoder.psnr_db,
        interrupted=encoder.interrupted,
    )
