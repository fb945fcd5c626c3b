# SPDX-License-Identifier: Apache-2.0
"""A stream in, frames out.

    stream ──thread──► codec, in the caller's thread ──thread──► file or pipe

Bounded queues lie between the three.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import islice
from typing import Any

from nvcodec.codec.checksum import planes_crc32
from nvcodec.codec.protocol import Codec, SequenceDecoder
from nvcodec.codec.registry import get_codec_by_id
from nvcodec.errors import DamagedStreamError, NvcError, UnsupportedError, UsageError
from nvcodec.media.stream import FrameRange, check_range
from nvcodec.media.types import Frame, FrameSink, VideoFormat
from nvcodec.pipeline.channel import Channel, Stages
from nvcodec.pipeline.format import check_planes, frames_in_flight, model_identity, video_format
from nvcodec.pipeline.report import DecodeReport, Meter, ProgressCallback, Span
from nvcodec.stream import StreamHeader, StreamReader, VideoRecord, fold_planes_crc32

_RECORDS_IN_FLIGHT = 2
_UNITS_AHEAD = 3

SinkFactory = Callable[[VideoFormat, int | None], FrameSink]


INEXACT = " (this codec computes in floating point: another machine, device or thread count may round differently)"
MAX_INTERPOLATE = 16


class RecordDecoder:
    """Turns the records of one stream, in order, into frames with their times.

    verify: compare what was decoded with the encoder's checksum. Raises UnsupportedError for a codec or model that is
    not installed.
    """

    def __init__(self, header: StreamHeader, *, verify: bool = False, threads: int = 0, device: str = "cpu") -> None:
        self.verify = verify
        self.video = video_format(header)
        self.codec: Codec = get_codec_by_id(header.codec_id)
        self.model = model_identity(header)
        self._decoder: SequenceDecoder = self.codec.decoder(
            self.video, self.model, header.config, threads=threads, device=device
        )
        self._reader: ThreadPoolExecutor | None = None

    @property
    def picks(self) -> bool:
        """Whether any frame of a unit can be made without the others."""
        return hasattr(self._decoder, "frames_at")

    def picked(self, record: VideoRecord, numbers: range, per_frame: int = 1) -> Iterator[Frame]:
        """Frames of a record by their numbers in the stream, and ``per_frame`` - 1 pictures after each of them.

        Only for codecs that can (``picks``); nothing is compared with checksums. Times are in units of the time base
        divided by ``per_frame``.
        """
        first = record.first_frame
        for place, unit in enumerate(record.units):
            inside = range(max(first, numbers.start), min(first + unit.frame_count, numbers.stop))
            moments = [number - first + step / per_frame for number in inside for step in range(per_frame)]
            made = self._decoder.frames_at(  # type: ignore[attr-defined]
                unit.payload, record.keyframe and place == 0, moments
            )
            for moment, frame in zip(moments, made, strict=True):
                number, step = divmod(round((moment + first - record.first_frame) * per_frame), per_frame)
                frame.pts, frame.duration = _time_between(record.pts, record.durations, number, step, per_frame)
                yield frame
            first += unit.frame_count

    def frames(self, record: VideoRecord) -> Iterator[Frame]:
        """The frames of one record, in display order, as they are decoded.

        Raises DamagedStreamError where the codec finds its payload impossible or returns other frames than the record
        announces, and, after the last of them, where they are not those the encoder saw.
        """
        number, crcs = record.first_frame, []
        made = self._made(record)
        for place, unit in enumerate(record.units):
            end, crc = number + unit.frame_count, 0
            for frame in made[place]():
                if number == end:
                    raise DamagedStreamError(self._count_differs(unit.frame_count, "more", end - unit.frame_count))
                wrong = check_planes(frame, self.video)
                if wrong:
                    raise NvcError(f"frame {number}: codec {self.codec.name} returned a wrong picture: {wrong}")
                if self.verify:
                    crc = planes_crc32([frame], crc)
                frame.pts = record.pts[number - record.first_frame]
                frame.duration = record.durations[number - record.first_frame]
                number += 1
                yield frame
            if number != end:
                made_count = str(number - end + unit.frame_count)
                raise DamagedStreamError(self._count_differs(unit.frame_count, made_count, end - unit.frame_count))
            crcs.append(crc)
        if self.verify and fold_planes_crc32(crcs) != record.planes_crc32:
            last = number - 1
            which = f"frame {last} is" if record.frame_count == 1 else f"frames {record.first_frame} to {last} are"
            why = "" if getattr(self.codec, "pixel_exact", True) else INEXACT
            raise DamagedStreamError(f"{which} not what the encoder saw: checksum of the decoded planes differs{why}")

    def _made(self, record: VideoRecord) -> list[Callable[[], Iterable[Frame]]]:
        """For each unit of a record a function that decodes it, to be called in turn."""
        decoder: Any = self._decoder
        jobs = [(unit.payload, record.keyframe and place == 0) for place, unit in enumerate(record.units)]
        if self.picks:
            return [partial(decoder.frames_at, *job) for job in jobs]
        if not hasattr(decoder, "read"):
            return [partial(decoder.decode, *job) for job in jobs]
        # what needs no pictures runs a unit ahead
        if self._reader is None:
            self._reader = ThreadPoolExecutor(1, "read-ahead")
        reader, begun = self._reader, deque[Future[Any]]()
        waiting = iter(jobs)

        def rebuild() -> Iterable[Frame]:
            for job in islice(waiting, _UNITS_AHEAD - len(begun)):
                begun.append(reader.submit(decoder.read, job[0], job[1]))
            return decoder.rebuild(begun.popleft().result())  # type: ignore[no-any-return]

        return [rebuild] * len(jobs)

    def _count_differs(self, due: int, made: str, number: int) -> str:
        return f"frame {number}: codec {self.codec.name} made {made} frames; {due} are due"


def decode_stream(
    reader: StreamReader,
    open_output: SinkFactory,
    *,
    frames: FrameRange | None = None,
    verify: bool = False,
    threads: int = 0,
    device: str = "cpu",
    progress: ProgressCallback | None = None,
    interpolate: int = 1,
) -> DecodeReport:
    """Decode a stream into a sink made by ``open_output(format, number of frames to come or None)``.

    frames: (a, b), half open, by frame number; decoding begins at the last keyframe at or before a, found by the index
    when the stream can seek. verify: compare every frame decoded with the encoder's checksum. progress: called in this
    thread after each frame written. interpolate: pictures for each frame, the frame itself and others between it and
    the next; more than 1 only for codecs that can. A reader made with ``partial`` gives what comes before the first
    damage, and the report says where that is. Whatever goes wrong, Ctrl-C included, the sink leaves nothing.

    Raises DamagedStreamError, UnsupportedError (codec or model not installed), UsageError (no frame in range),
    NvcError (reading or writing fails).
    """
    start, stop = check_range(frames)
    index = reader.index() if not reader.partial else None
    expected = _expected(reader.name, index.frame_count if index else None, start, stop)
    video = video_format(reader.header)
    if interpolate != 1:
        _check_interpolate(reader.header.codec_id, interpolate, verify)
        video, expected = _faster(video, interpolate), None if expected is None else expected * interpolate
    sink = open_output(video, expected)
    stages = Stages()
    span = Span(video.time_base, video.frame_rate)
    meter, position = Meter(progress, expected), 0
    try:
        decoder = RecordDecoder(reader.header, verify=verify, threads=threads, device=device)
        if start:
            reader.seek(start)
        with stages:
            records = stages.reading(reader.records(), _RECORDS_IN_FLIGHT)
            pictures = stages.writing(sink.write, frames_in_flight(video))
            for frame, position in _in_range(decoder, records, reader, start, stop, interpolate):
                span.add(frame.pts, frame.duration)
                pictures.put(frame)
                meter.advance(1, position)
            stages.finish_writing()
        if not meter.frames_done:
            raise _no_frames(reader, start)
        sink.close()
    except BaseException:
        if stages.writer_idle:
            sink.abort()
        raise
    return DecodeReport(
        frames=meter.frames_done,
        nbytes=reader.nbytes if stop is None else position,
        first_frame=start,
        width=video.width,
        height=video.height,
        video_seconds=span.seconds,
        seconds=meter.seconds,
        fps=meter.fps,
        codec=decoder.codec.name,
        model=decoder.model,
        verified=verify and reader.damage is None,
        damage=reader.damage,
        notes=list(sink.notes),
    )


def _in_range(
    decoder: RecordDecoder,
    records: Channel[VideoRecord],
    reader: StreamReader,
    start: int,
    stop: int | None,
    interpolate: int = 1,
) -> Iterator[tuple[Frame, int]]:
    """Frames start to stop, each with the place in the stream where its record ends.

    A record that was begun is decoded to its end when its checksum is to be compared.
    """
    try:
        for record in records:
            number = record.first_frame
            end = number + record.frame_count
            part = start > number or (stop is not None and stop < end)
            if decoder.picks and not decoder.verify and (part or interpolate > 1):
                wanted = range(start, end if stop is None else stop)
                for frame in decoder.picked(record, wanted, interpolate):
                    yield frame, record.offset + record.nbytes
                if stop is not None and end >= stop:
                    return
                continue
            for frame in decoder.frames(record):
                if number >= start and (stop is None or number < stop):
                    yield frame, record.offset + record.nbytes
                number += 1
                if number == stop and not decoder.verify:
                    return
            if stop is not None and number >= stop:
                return
    except DamagedStreamError as exc:
        message = str(exc)
        if not message.startswith(reader.name):
            message = f"{reader.name}: {message}"
        if not reader.partial:
            raise DamagedStreamError(message) from exc
        reader.damage = message


def _expected(name: str, total: int | None, start: int, stop: int | None) -> int | None:
    if total is None:
        return None
    if start >= total:
        raise UsageError(f"{name}: frames from {start} on were asked for; there are {total}")
    return min(total, total if stop is None else stop) - start


def _check_interpolate(codec_id: int, interpolate: int, verify: bool) -> None:
    if not 1 <= interpolate <= MAX_INTERPOLATE:
        raise UsageError(f"interpolate is {interpolate}; 1 to {MAX_INTERPOLATE} are allowed")
    if verify:
        raise UsageError("--verify compares the encoder's frames; it cannot be used with --interpolate")
    codec = get_codec_by_id(codec_id)
    if not getattr(codec, "interpolates", False):
        raise UnsupportedError(f"codec {codec.name} has no pictures between frames")


def _faster(video: VideoFormat, factor: int) -> VideoFormat:
    rate = None if video.frame_rate is None else video.frame_rate * factor
    return replace(video, time_base=Fraction(video.time_base) / factor, frame_rate=rate)


def _time_between(
    pts: Sequence[int], durations: Sequence[int], number: int, step: int, per_frame: int
) -> tuple[int, int]:
    """(pts, duration) of a picture after frame ``number`` of a record, in ticks ``per_frame`` times shorter."""
    if per_frame == 1:
        return pts[number], durations[number]
    if number + 1 < len(pts):
        ticks = pts[number + 1] - pts[number]
    elif durations[number]:
        ticks = durations[number]
    else:
        ticks = pts[number] - pts[number - 1] if number else 1
    return pts[number] * per_frame + step * ticks, ticks


def _no_frames(reader: StreamReader, start: int) -> NvcError:
    if reader.damage is not None:
        return DamagedStreamError(reader.damage)
    return UsageError(f"{reader.name}: frames from {start} on were asked for; it ends before")
