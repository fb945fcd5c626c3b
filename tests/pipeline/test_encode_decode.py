# SPDX-License-Identifier: Apache-2.0
"""Frames go through the pipeline unharmed, in bounded memory, and nothing is left when something goes wrong."""

from __future__ import annotations

import gc
import io
import os
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_clips import VIDEO, Sink, Source, noise, same

from nvcodec.codec.protocol import Codec, CodedUnit, EncodeSettings
from nvcodec.errors import DamagedStreamError, NvcError, UnsupportedError, UsageError
from nvcodec.media.types import Frame, VideoFormat
from nvcodec.pipeline import Progress, decode_stream, encode_stream
from nvcodec.stream import StreamReader

LOSSLESS = EncodeSettings(quality=63, intra_period=10)


def coded(toy: Codec, count: int = 45, settings: EncodeSettings = LOSSLESS) -> bytes:
    out = io.BytesIO()
    encode_stream(Source(noise(count)), out, toy, settings)
    return out.getvalue()


def decoded(stream: bytes, **options: object) -> Sink:
    sink = Sink()
    partial = bool(options.pop("partial", False))
    decode_stream(StreamReader(io.BytesIO(stream), partial=partial), sink.open, **options)  # type: ignore[arg-type]
    return sink


@pytest.mark.parametrize(("quality", "step"), [(63, 1), (40, 6), (0, 16)])
def test_planes_times_and_format_survive(toy: Codec, quality: int, step: int) -> None:
    sink = decoded(coded(toy, settings=EncodeSettings(quality=quality, intra_period=7)), verify=True)
    assert (sink.video, sink.hint, sink.state) == (VIDEO, 45, "closed")
    assert len(sink.frames) == 45
    for original, frame in zip(noise(45), sink.frames, strict=True):
        assert same(original, frame, step)


def test_reports(toy: Codec) -> None:
    out, seen = io.BytesIO(), list[Progress]()
    source = Source(noise(45), frame_count=45)
    report = encode_stream(source, out, toy, LOSSLESS, progress=seen.append)
    assert source.closed
    assert (report.frames, report.keyframes, report.codec, report.quality) == (45, 5, "toy", 63)
    assert report.nbytes == len(out.getvalue()) > report.payload_nbytes
    assert report.bpp == 8 * report.nbytes / (37 * 23 * 45)
    assert report.video_seconds == pytest.approx((44 * 3003 + 44 % 3 + 3003 - 44 % 2) / 90000)
    assert report.kbps == pytest.approx(report.nbytes * 8 / report.video_seconds / 1000)
    assert report.notes == ["made up"]
    assert [state.frames_done for state in seen] == list(range(1, 46))
    assert {state.frame_count for state in seen} == {45}
    assert all(state.fps > 0 for state in seen)
    nbytes = [state.nbytes for state in seen]
    assert nbytes == sorted(nbytes)
    assert 0 < nbytes[-1] <= report.nbytes

    sink, seen = Sink(), []
    result = decode_stream(StreamReader(io.BytesIO(out.getvalue())), sink.open, progress=seen.append)
    assert (result.frames, result.nbytes, result.first_frame) == (45, report.nbytes, 0)
    assert (result.codec, result.verified, result.damage) == ("toy", False, None)
    assert result.video_seconds == report.video_seconds
    assert [state.frames_done for state in seen] == list(range(1, 46))


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (0, None), (9, 11), (10, 20), (13, 14), (44, None), (44, 45), (30, 99), (None, 3)]
)
def test_ranges(toy: Codec, start: int | None, stop: int | None, verify: bool, seekable: bool) -> None:
    file = io.BytesIO(coded(toy))
    if not seekable:
        file.seekable = lambda: False  # type: ignore[method-assign]
    sink = Sink()
    reader = StreamReader(file)
    report = decode_stream(reader, sink.open, frames=(start, stop), verify=verify)
    expected = list(noise(45))[start:stop]
    assert len(sink.frames) == len(expected) == report.frames
    assert report.nbytes <= len(file.getvalue())
    assert (report.nbytes == len(file.getvalue())) == (stop is None)
    assert all(same(a, b) for a, b in zip(expected, sink.frames, strict=True))
    assert sink.hint == (len(expected) if seekable else None)


def test_a_range_begins_to_decode_at_the_keyframe_before(toy: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = coded(toy)
    calls: list[bool] = []
    make = toy.decoder

    def watched(*args: object, **options: object) -> object:
        decoder = make(*args, **options)  # type: ignore[arg-type]
        decode = decoder.decode
        decoder.decode = lambda p, k: (calls.append(k), decode(p, k))[1]  # type: ignore[method-assign,func-returns-value]
        return decoder

    monkeypatch.setattr(toy, "decoder", watched)
    assert len(decoded(stream, frames=(33, 35)).frames) == 2
    assert calls == [True, False, False, False, False]


@pytest.mark.parametrize("frames", [(45, None), (100, 200), (5, 5), (7, 3), (-1, 4)])
def test_empty_ranges_are_refused(toy: Codec, frames: tuple[int, int]) -> None:
    with pytest.raises(UsageError):
        decoded(coded(toy), frames=frames)


def test_verify_finds_other_pictures(toy: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = coded(toy)
    make = toy.decoder

    def wrong_at_25(*args: object, **options: object) -> object:
        decoder = make(*args, **options)  # type: ignore[arg-type]
        decode, count = decoder.decode, iter(range(1000))

        def changed(payload: bytes, keyframe: bool) -> list[Frame]:
            frames = decode(payload, keyframe)
            if next(count) == 25:
                frames[0].v = frames[0].v ^ 1
            return frames

        decoder.decode = changed  # type: ignore[method-assign]
        return decoder

    monkeypatch.setattr(toy, "decoder", wrong_at_25)
    assert len(decoded(stream).frames) == 45
    with pytest.raises(DamagedStreamError, match="frames 20 to 29 are not what the encoder saw"):
        decoded(stream, verify=True)


def test_damage_ends_decoding_and_aborts_the_sink(toy: Codec) -> None:
    stream = bytearray(coded(toy))
    stream[len(stream) // 2] ^= 4
    sink = Sink()
    with pytest.raises(DamagedStreamError, match="CRC-32"):
        decode_stream(StreamReader(io.BytesIO(bytes(stream))), sink.open)
    assert sink.state == "aborted"


def test_partial_keeps_what_comes_before_the_damage(toy: Codec) -> None:
    stream = coded(toy)
    cut = stream[: len(stream) * 6 // 10]
    sink = decoded(cut, partial=True)
    assert (sink.state, len(sink.frames)) == ("closed", 20)
    reader = StreamReader(io.BytesIO(cut), partial=True)
    report = decode_stream(reader, Sink().open, frames=(15, None))
    assert report.frames == 5
    assert report.damage is not None
    with pytest.raises(DamagedStreamError):
        decoded(cut)
    with pytest.raises(DamagedStreamError):  # nothing whole at all
        decoded(stream[:50], partial=True)


def test_memory_does_not_grow_with_the_length(toy: Codec) -> None:
    alive: list[weakref.ref[Frame]] = []
    most = 0

    def watched() -> Iterator[Frame]:
        nonlocal most
        for number, frame in enumerate(noise(300)):
            alive.append(weakref.ref(frame))
            if number % 20 == 0:
                gc.collect()
                most = max(most, sum(ref() is not None for ref in alive))
            yield frame

    out = io.BytesIO()
    encode_stream(Source(watched()), out, toy, LOSSLESS)
    assert len(alive) == 300
    assert most <= 14

    alive.clear()
    most = 0

    class Forgetful(Sink):
        def write(self, frame: Frame) -> None:
            nonlocal most
            alive.append(weakref.ref(frame))
            most = max(most, sum(ref() is not None for ref in alive[-40:]))

    decode_stream(StreamReader(io.BytesIO(out.getvalue())), Forgetful().open)
    assert len(alive) == 300
    assert most <= 14


def test_reading_runs_ahead_but_not_far(toy: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    given = 0
    ahead: list[int] = []

    def source() -> Iterator[Frame]:
        nonlocal given
        for frame in noise(60):
            given += 1
            yield frame

    make = toy.encoder

    def slow(video: VideoFormat, settings: EncodeSettings) -> object:
        encoder = make(video, settings)
        encode, count = encoder.encode, iter(range(1, 1000))

        def slowly(frame: Frame) -> list[CodedUnit]:
            time.sleep(0.002)
            ahead.append(given - next(count))
            return encode(frame)

        encoder.encode = slowly  # type: ignore[method-assign]
        return encoder

    monkeypatch.setattr(toy, "encoder", slow)
    encode_stream(Source(source()), io.BytesIO(), toy, LOSSLESS)
    assert max(ahead) >= 2
    assert max(ahead) <= 10


class Boom(Exception):
    pass


def failing_source() -> Iterator[Frame]:
    yield from noise(13)
    raise NvcError("clip.mp4: cut off")


def test_failures_leave_no_file_and_no_thread(toy: Codec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = threading.active_count()
    out = tmp_path / "out.nvc"

    def attempt(error: type[BaseException], source: Source, progress: object = None) -> None:
        with pytest.raises(error):
            encode_stream(source, out, toy, LOSSLESS, progress=progress)  # type: ignore[arg-type]
        assert list(tmp_path.iterdir()) == []
        assert source.closed
        assert threading.active_count() == threads

    def interrupt(state: Progress) -> None:
        if state.frames_done == 20:
            raise KeyboardInterrupt

    attempt(NvcError, Source(failing_source()))
    attempt(KeyboardInterrupt, Source(noise(45)), interrupt)
    attempt(NvcError, Source(noise(0)))
    attempt(UsageError, Source(noise(5), VideoFormat(36, 23)))
    attempt(UsageError, Source([*noise(3), *noise(3)]))  # times that do not increase
    attempt(UnsupportedError, Source(noise(1), VideoFormat(20000, 2)))
    attempt(UsageError, Source(noise(1), VideoFormat(37, 23, rotation=45)))

    def explode(*_: object) -> None:
        raise Boom

    monkeypatch.setattr(toy, "encoder", explode)
    attempt(Boom, Source(noise(5)))


def test_a_codec_with_threads_is_told_that_no_more_is_wanted(toy: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    """When anything goes wrong, and only then."""
    make, told = toy.encoder, []

    def with_threads(video: VideoFormat, settings: EncodeSettings) -> object:
        encoder = make(video, settings)
        encoder.abandon = lambda: told.append(encoder)  # type: ignore[attr-defined]
        return encoder

    monkeypatch.setattr(toy, "encoder", with_threads)
    encode_stream(Source(noise(5)), io.BytesIO(), toy, LOSSLESS)
    assert not told
    with pytest.raises(NvcError):
        encode_stream(Source(failing_source()), io.BytesIO(), toy, LOSSLESS)
    assert len(told) == 1


@pytest.mark.parametrize("unit", [(2, True), (0, True), (1, False), (-1, True)])
def test_codec_that_miscounts(toy: Codec, monkeypatch: pytest.MonkeyPatch, unit: tuple[int, bool]) -> None:
    class Miscounting:
        config = b""

        def encode(self, frame: Frame) -> list[CodedUnit]:
            return [CodedUnit(b"", unit[1], unit[0], 0)]

        def flush(self) -> list[CodedUnit]:
            return []

    monkeypatch.setattr(toy, "encoder", lambda *_: Miscounting())
    with pytest.raises(NvcError):
        encode_stream(Source(noise(3)), io.BytesIO(), toy, LOSSLESS)


def test_failing_sink_and_progress_abort_the_sink(toy: Codec) -> None:
    stream, threads = coded(toy), threading.active_count()

    def full(frame: Frame) -> None:
        if frame.pts > 3003 * 20:
            raise NvcError("out.y4m: cannot be written: No space left on device")

    def interrupt(state: Progress) -> None:
        if state.frames_done == 20:
            raise KeyboardInterrupt

    sink = Sink(full)
    with pytest.raises(NvcError, match="No space left"):
        decode_stream(StreamReader(io.BytesIO(stream)), sink.open)
    assert sink.state == "aborted"
    sink = Sink()
    with pytest.raises(KeyboardInterrupt):
        decode_stream(StreamReader(io.BytesIO(stream)), sink.open, progress=interrupt)
    assert sink.state == "aborted"
    assert threading.active_count() == threads


def test_unknown_codec_number_is_unsupported(toy: Codec) -> None:
    stream = coded(toy, 3)
    from nvcodec.codec import registry

    registry._factories.clear()
    registry._instances.clear()
    with pytest.raises(UnsupportedError, match="65000"):
        decoded(stream)


def test_outputs_that_cannot_be(toy: Codec, tmp_path: Path) -> None:
    existing = tmp_path / "there.nvc"
    existing.write_bytes(b"precious")

    def attempt(out: object, match: str) -> None:
        with pytest.raises(NvcError, match=match) as caught:
            encode_stream(Source(noise(45)), out, toy, LOSSLESS)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)

    attempt(existing, "exists")
    assert existing.read_bytes() == b"precious"
    attempt(tmp_path, "folder")
    attempt(tmp_path / "missing" / "out.nvc", "missing")
    attempt("/dev/full", "No space left")
    report = encode_stream(Source(noise(5)), existing, toy, LOSSLESS, overwrite=True)
    assert existing.stat().st_size == report.nbytes
    assert [path.name for path in tmp_path.iterdir()] == ["there.nvc"]


def test_closed_pipe_is_one_line(toy: Codec) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb", buffering=0) as pipe, pytest.raises(NvcError, match="closed by the other side"):
        encode_stream(Source(noise(45)), pipe, toy, LOSSLESS)
