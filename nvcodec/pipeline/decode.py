# SPDX-License-Identifier: Apache-2.0
"""A stream in, frames out.

    stream ──thread──► codec, in the caller's thread ──thread──► file or pipe

Bounded queues lie between the three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nvcodec.codec.checksum import planes_crc32
from nvcodec.codec.protocol import Codec, SequenceDecoder
from nvcodec.codec.registry import get_codec_by_id
from nvcodec.errors import DamagedStreamError, NvcError, UsageError
from nvcodec.media.stream import FrameRange, check_range
from nvcodec.media.types import Frame, FrameSink, VideoFormat
from nvcodec.pipeline.channel import Channel, Stages
from nvcodec.pipeline.format import check_planes, frames_in_flight, model_identity, video_format
from nvcodec.pipeline.report import DecodeReport, Meter, ProgressCallback, Span
from nvcodec.stream import StreamHeader, StreamReader, VideoRecord, fold_planes_crc32

_RECORDS_IN_FLIGHT = 2

SinkFactory = Callable[[VideoFormat, int | None], FrameSink]


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

    def frames(self, record: VideoRecord) -> Iterator[Frame]:
        """The frames of one record, in display order, as they are decoded.

        Raises DamagedStreamError where the codec finds its payload impossible or returns other frames than the record
        announces, and, after the last of them, where they are not those the encoder saw.
        """
        number, crcs = record.first_frame, []
        for place, unit in enumerate(record.units):
            decoded = self._decoder.decode(unit.payload, record.keyframe and place == 0)
            if len(decoded) != unit.frame_count:
                raise DamagedStreamError(
                    f"frame {number}: codec {self.codec.name} made {len(decoded)} frames; {unit.frame_count} are due"
                )
            if self.verify:
                crcs.append(planes_crc32(decoded))
            for frame in decoded:
                wrong = check_planes(frame, self.video)
                if wrong:
                    raise NvcError(f"frame {number}: codec {self.codec.name} returned a wrong picture: {wrong}")
                frame.pts = record.pts[number - record.first_frame]
                frame.duration = record.durations[number - record.first_frame]
                number += 1
                yield frame
        if self.verify and fold_planes_crc32(crcs) != record.planes_crc32:
            last = number - 1
            which = f"frame {last} is" if record.frame_count == 1 else f"frames {record.first_frame} to {last} are"
            raise DamagedStreamError(f"{which} not what the encoder saw: checksum of the decoded planes differs")


def decode_stream(
    reader: StreamReader,
    open_output: SinkFactory,
    *,
    frames: FrameRange | None = None,
    verify: bool = False,
    threads: int = 0,
    device: str = "cpu",
    progress: ProgressCallback | None = None,
) -> DecodeReport:
    """Decode a stream into a sink made by ``open_output(format, number of frames to come or None)``.

    frames: (a, b), half open, by frame number; decoding begins at the last keyframe at or before a, found by the index
    when the stream can seek. verify: compare every frame decoded with the encoder's checksum. progress: called in this
    thread after each frame written. A reader made with ``partial`` gives what comes before the first damage, and the
    report says where that is. Whatever goes wrong, Ctrl-C included, the sink leaves nothing.

    Raises DamagedStreamError, UnsupportedError (codec or model not installed), UsageError (no frame in range),
    NvcError (reading or writing fails).
    """
    start, stop = check_range(frames)
    index = reader.index() if not reader.partial else None
    expected = _expected(reader.name, index.frame_count if index else None, start, stop)
    video = video_format(reader.header)
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
            for frame, position in _in_range(decoder, records, reader, start, stop):
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
    decoder: RecordDecoder, records: Channel[VideoRecord], reader: StreamReader, start: int, stop: int | None
) -> Iterator[tuple[Frame, int]]:
    """Frames start to stop, each with the place in the stream where its record ends.

    A record that was begun is decoded to its end when its checksum is to be compared.
    """
    try:
        for record in records:
            number = record.first_frame
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


def _no_frames(reader: StreamReader, start: int) -> NvcError:
    if reader.damage is not None:
        return DamagedStreamError(reader.damage)
    return UsageError(f"{reader.name}: frames from {start} on were asked for; it ends before")
