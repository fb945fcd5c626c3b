# SPDX-License-Identifier: Apache-2.0
"""Where the time goes: analysis, entropy coding, synthesis and input/output, each on its own.

A codec's encoder and decoder may carry ``timings: dict[str, float]``, seconds spent so far by stage name (such as
"analysis", "entropy", "synthesis"); those stages are listed beside what is measured from outside, which runs one after
the other here, so that it can be told apart. What a codec does in threads of its own overlaps, and the pipeline
overlaps everything, which is why its own frame rate is measured as well.
"""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ParamSpec, TypeVar

from nvcodec.codec.protocol import Codec, CodedUnit, EncodeSettings, ModelIdentity, SequenceDecoder, SequenceEncoder
from nvcodec.errors import NvcError
from nvcodec.media.types import FrameSink, FrameSource, VideoFormat

STANDARD_SIZES = ((416, 240), (640, 360), (832, 480), (1280, 720), (1920, 1080))
DEFAULT_FRAME_COUNT = 30
WARM_UP_FRAMES = 3
INPUT_OUTPUT = "I/O"
CODEC = "codec"  # a codec that does not break its time down
REMAINDER = "other"
_T = TypeVar("_T")
_P = ParamSpec("_P")


@dataclass(frozen=True)
class Timing:
    """One direction of one clip.

    stages: seconds by stage, in the order they first ran, adding up to ``stage_seconds``; setup_seconds: loading the
    model; pipeline_seconds: the whole operation as ``nvcodec.encode`` or ``decode`` runs it, start-up excluded.
    """

    stages: dict[str, float]
    setup_seconds: float
    pipeline_seconds: float

    @property
    def stage_seconds(self) -> float:
        """All stages together."""
        return sum(self.stages.values())


@dataclass(frozen=True)
class Result:
    """Timings of one clip; ``nbytes``: its stream."""

    name: str
    width: int
    height: int
    frame_count: int
    nbytes: int
    encode: Timing
    decode: Timing


class Stopwatch:
    """Adds up wall-clock seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, stage: str, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call ``work`` on the clock of ``stage``."""
        start = time.perf_counter()
        try:
            return work(*args, **kwargs)
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def each(self, stage: str, items: Iterable[_T]) -> Iterator[_T]:
        """``items``, with the time it takes to produce them on the clock of ``stage``."""
        iterator = iter(items)
        while True:
            try:
                item = self.run(stage, next, iterator)
            except StopIteration:
                return
            yield item


def bench_sizes(
    sizes: Iterable[tuple[int, int]], codec: Codec, settings: EncodeSettings, frame_count: int = DEFAULT_FRAME_COUNT
) -> Iterator[Result]:
    """Time a synthetic moving picture at each (width, height); results come as they are ready."""
    from nvcodec.media import open_sink
    from nvcodec.media.test_pattern import moving_pattern, pattern_format

    for width, height in sizes:
        with tempfile.TemporaryDirectory(prefix="nvc-bench-") as folder:
            clip = Path(folder) / "pattern.y4m"
            with _kept(open_sink(clip, pattern_format(width, height))) as sink:
                for frame in moving_pattern(width, height, frame_count):
                    sink.write(frame)
            yield bench_clip(clip, codec, settings, name=f"{width}x{height}")


def bench_clip(
    clip: Path,
    codec: Codec,
    settings: EncodeSettings,
    *,
    frames: tuple[int | None, int | None] | None = None,
    size: tuple[int, int] | None = None,
    name: str | None = None,
) -> Result:
    """Time one video file. frames, size: as for encoding. Raises what encoding and decoding raise."""
    from nvcodec.media import open_source

    def source() -> FrameSource:
        return open_source(clip, frames=frames, size=size)

    with tempfile.TemporaryDirectory(prefix="nvc-bench-") as folder:
        stream = Path(folder) / "bench.nvc"
        _warm_up(source(), stream, codec, settings)
        encoded = _time_encode(source(), stream, codec, settings)
        decode_setup, decode_stages = _time_decode(encoded, stream, codec, settings)
        encode_seconds, decode_seconds = _time_pipeline(source, Path(folder), codec, settings)
        return Result(
            name=name or clip.name,
            width=encoded.video.width,
            height=encoded.video.height,
            frame_count=encoded.frame_count,
            nbytes=stream.stat().st_size,
            encode=Timing(encoded.stages, encoded.setup_seconds, encode_seconds),
            decode=Timing(decode_stages, decode_setup, decode_seconds),
        )


@dataclass(frozen=True)
class _Encoded:
    """What encoding took, and what a decoder needs to know."""

    setup_seconds: float
    stages: dict[str, float]
    frame_count: int
    video: VideoFormat
    model: ModelIdentity | None
    config: bytes


def _warm_up(source: FrameSource, stream: Path, codec: Codec, settings: EncodeSettings) -> None:
    """Code a few frames off the clock: numerical libraries choose and compile kernels at their first use."""
    _time_decode(_time_encode(source, stream, codec, settings, WARM_UP_FRAMES), stream, codec, settings)


def _time_encode(
    source: FrameSource, stream: Path, codec: Codec, settings: EncodeSettings, limit: int | None = None
) -> _Encoded:
    """One stage after the other: read a frame, encode it, write what is ready. limit: stop after so many frames."""
    from nvcodec.pipeline.format import stream_header
    from nvcodec.stream import StreamWriter

    watch = Stopwatch()
    with source, stream.open("wb") as file:
        model = codec.model_identity(settings)
        start = time.perf_counter()
        encoder = codec.encoder(source.format, settings)
        setup_seconds = time.perf_counter() - start
        before = dict(getattr(encoder, "timings", {}))
        writer = StreamWriter(stream_header(source.format, codec.codec_id, model, encoder.config))
        times: deque[tuple[int, int]] = deque()

        def write(units: list[CodedUnit]) -> None:
            for unit in units:
                due = [times.popleft() for _ in range(unit.frame_count)]
                piece = writer.add(
                    unit.payload,
                    keyframe=unit.keyframe,
                    pts=[pts for pts, _ in due],
                    durations=[duration for _, duration in due],
                    planes_crc32=unit.planes_crc32,
                )
                file.write(piece)

        frame_count = 0
        watch.run(INPUT_OUTPUT, file.write, writer.start())
        for frame in watch.each(INPUT_OUTPUT, islice(source, limit)):
            frame_count += 1
            times.append((frame.pts, frame.duration))
            watch.run(INPUT_OUTPUT, write, watch.run(CODEC, encoder.encode, frame))
        if not frame_count:
            raise NvcError("no frames to time; a clip needs at least one")
        watch.run(INPUT_OUTPUT, write, watch.run(CODEC, encoder.flush))
        watch.run(INPUT_OUTPUT, file.write, writer.finish())
    stages = _broken_down(watch, encoder, before)
    return _Encoded(setup_seconds, stages, frame_count, source.format, model, encoder.config)


def _time_decode(
    encoded: _Encoded, stream: Path, codec: Codec, settings: EncodeSettings
) -> tuple[float, dict[str, float]]:
    """Set-up seconds and stages: read a record, decode its units, write the frames."""
    from nvcodec.media import open_sink
    from nvcodec.stream import StreamReader

    output = stream.with_suffix(".y4m")
    watch = Stopwatch()
    start = time.perf_counter()
    decoder = codec.decoder(
        encoded.video, encoded.model, encoded.config, threads=settings.threads, device=settings.device
    )
    setup_seconds = time.perf_counter() - start
    before = dict(getattr(decoder, "timings", {}))
    with stream.open("rb") as file, _kept(open_sink(output, encoded.video, overwrite=True)) as sink:
        for record in watch.each(INPUT_OUTPUT, StreamReader(file).records()):
            times = iter(zip(record.pts, record.durations, strict=True))
            for number, unit in enumerate(record.units):
                keyframe = record.keyframe and number == 0
                for frame in watch.run(CODEC, decoder.decode, unit.payload, keyframe):
                    frame.pts, frame.duration = next(times)
                    watch.run(INPUT_OUTPUT, sink.write, frame)
    return setup_seconds, _broken_down(watch, decoder, before)


def _time_pipeline(
    open_clip: Callable[[], FrameSource], folder: Path, codec: Codec, settings: EncodeSettings
) -> tuple[float, float]:
    """Seconds of a whole encode and a whole decode, stages overlapping."""
    from nvcodec.api import decode
    from nvcodec.pipeline import encode_stream

    stream, decoded = folder / "pipeline.nvc", folder / "pipeline.y4m"
    encoded = encode_stream(open_clip(), stream, codec, settings)
    return encoded.seconds, decode(stream, decoded, threads=settings.threads, device=settings.device).seconds


@contextmanager
def _kept(sink: FrameSink) -> Iterator[FrameSink]:
    try:
        yield sink
    except BaseException:
        sink.abort()
        raise
    sink.close()


def _broken_down(
    watch: Stopwatch, coder: SequenceEncoder | SequenceDecoder, before: dict[str, float]
) -> dict[str, float]:
    """Replace the codec's time by its own stages and what they leave unexplained."""
    inside = {stage: seconds - before.get(stage, 0.0) for stage, seconds in getattr(coder, "timings", {}).items()}
    stages = dict(watch.seconds)
    if inside:
        stages[REMAINDER] = max(0.0, stages.pop(CODEC) - sum(inside.values()))
    return {**inside, **stages}
