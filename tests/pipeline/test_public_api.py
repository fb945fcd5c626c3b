# SPDX-License-Identifier: Apache-2.0
"""The library as its users see it: files, arrays, a look inside, and errors of one line."""

from __future__ import annotations

import io
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pipeline_clips import VIDEO, noise, same

import nvcodec
from nvcodec.codec.protocol import Codec
from nvcodec.media import open_source
from nvcodec.media.test_pattern import moving_pattern

PATTERN = nvcodec.VideoFormat(66, 50, time_base=Fraction(1, 25), frame_rate=Fraction(25))


def array_stream(count: int = 30, **options: object) -> bytes:
    encoder = nvcodec.Encoder(PATTERN, codec="toy", **options)  # type: ignore[arg-type]
    pieces = [encoder.encode(frame.y, frame.u, frame.v) for frame in moving_pattern(66, 50, count)]
    return b"".join([*pieces, encoder.finish()])


@pytest.fixture
def stream(toy: Codec, tmp_path: Path) -> Path:
    path = tmp_path / "clip.nvc"
    path.write_bytes(array_stream(quality=63, intra_period=8))
    return path


def test_every_public_name_is_there() -> None:
    for name in nvcodec.__all__:
        assert getattr(nvcodec, name) is not None
    assert set(nvcodec.__all__) <= set(dir(nvcodec))
    assert nvcodec.__version__ == "0.1.0"
    with pytest.raises(AttributeError, match="no_such_name"):
        nvcodec.no_such_name  # type: ignore[attr-defined]


def test_files(stream: Path, tmp_path: Path) -> None:
    video, again, back = tmp_path / "clip.y4m", tmp_path / "again.nvc", tmp_path / "back.y4m"
    seen: list[nvcodec.Progress] = []
    report = nvcodec.decode(stream, video, verify=True, progress=seen.append)
    assert (report.frames, report.verified, len(seen)) == (30, True, 30)
    encoded = nvcodec.encode(video, again, codec="toy", quality=63, intra_period=8, frames=(10, 20))
    assert (encoded.frames, encoded.keyframes, encoded.nbytes) == (10, 2, again.stat().st_size)
    nvcodec.decode(str(again), str(back))
    with open_source(back) as source:
        frames = list(source)
    originals = list(moving_pattern(66, 50, 30))[10:20]
    for original, frame in zip(originals, frames, strict=True):
        assert all(np.array_equal(p, q) for p, q in zip(original.planes, frame.planes, strict=True))


def test_binary_files_and_raw_geometry(toy: Codec, tmp_path: Path) -> None:
    raw = tmp_path / "clip.yuv"
    raw.write_bytes(b"".join(plane.tobytes() for frame in moving_pattern(66, 50, 4) for plane in frame.planes))
    out = io.BytesIO()
    geometry = nvcodec.RawGeometry(66, 50, Fraction(50))
    report = nvcodec.encode(raw, out, codec="toy", raw=geometry, size=(32, 24))
    assert (report.width, report.height, report.frames) == (32, 24, 4)
    out.seek(0)
    info = nvcodec.probe(out)
    assert (info.video.frame_rate, info.video_seconds) == (50, 0.08)
    out.seek(0)
    assert nvcodec.decode(out, tmp_path / "out.yuv").frames == 4
    assert (tmp_path / "out.yuv").stat().st_size == 4 * 32 * 24 * 3 // 2


def test_probe_accounts_for_every_byte(stream: Path) -> None:
    info = nvcodec.probe(stream)
    assert info.nbytes == stream.stat().st_size
    parts = info.header_nbytes + info.payload_nbytes + info.overhead_nbytes + info.skipped_nbytes + info.index_nbytes
    assert info.nbytes == parts
    assert 0 < info.keyframe_payload_nbytes < info.payload_nbytes
    assert (info.frame_count, info.keyframes, info.unit_count) == (30, (0, 8, 16, 24), 30)
    assert (info.codec, info.codec_id, info.model, info.format_version) == ("toy", 65000, None, 1)
    assert (info.complete, info.has_index, info.damage) == (True, True, None)
    assert info.video == PATTERN
    assert info.bpp == info.nbytes * 8 / (66 * 50 * 30)
    assert info.kbps == pytest.approx(info.nbytes * 8 / 1.2 / 1000)


def test_probe_of_a_stream_that_is_cut(stream: Path) -> None:
    whole = stream.read_bytes()
    stream.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(nvcodec.DamagedStreamError, match="cut off"):
        nvcodec.probe(stream)
    info = nvcodec.probe(stream, partial=True)
    assert (info.complete, info.has_index) == (False, False)
    assert info.frame_count in (8, 16)
    assert info.damage is not None


def test_probe_without_the_codec(stream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nvcodec.codec import registry

    monkeypatch.setattr(registry, "_factories", {})
    monkeypatch.setattr(registry, "_instances", {})
    info = nvcodec.probe(stream)
    assert (info.codec, info.codec_id, info.frame_count) == (None, 65000, 30)


@pytest.mark.parametrize("piece_nbytes", [1, 13, 1 << 20])
def test_decoder_takes_pieces_of_any_size(toy: Codec, piece_nbytes: int) -> None:
    encoder = nvcodec.Encoder(VIDEO, codec="toy", quality=63, frames_per_record=4)
    whole = b""
    for frame in noise(10):
        whole += encoder.encode(frame.y, frame.u, frame.v, pts=frame.pts, duration=frame.duration)
    whole += encoder.finish()
    decoder = nvcodec.Decoder(verify=True)
    frames = []
    for start in range(0, len(whole), piece_nbytes):
        frames += decoder.decode(whole[start : start + piece_nbytes])
    decoder.finish()
    assert decoder.video == VIDEO
    assert len(frames) == 10
    assert all(same(a, b) for a, b in zip(noise(10), frames, strict=True))


def test_encoder_hands_out_bytes_as_it_goes(toy: Codec) -> None:
    encoder, decoder = nvcodec.Encoder(PATTERN, codec="toy", frames_per_record=1), nvcodec.Decoder()
    for number, frame in enumerate(moving_pattern(66, 50, 5)):
        (out,) = decoder.decode(encoder.encode(frame.y, frame.u, frame.v))
        assert out.pts == number
    with pytest.raises(nvcodec.DamagedStreamError, match="cut off after 5 frames"):
        decoder.finish()
    assert decoder.decode(encoder.finish()) == []
    decoder.finish()


def test_encoder_copies_what_it_is_given(toy: Codec) -> None:
    y, u, v = np.zeros((50, 66), np.uint8), np.zeros((25, 33), np.uint8), np.zeros((25, 33), np.uint8)
    encoder, decoder = nvcodec.Encoder(PATTERN, codec="toy", quality=63), nvcodec.Decoder()
    whole = b""
    for number in range(4):
        y[:] = number
        whole += encoder.encode(y, u, v[:, ::-1])
    frames = decoder.decode(whole + encoder.finish())
    assert [int(frame.y[0, 0]) for frame in frames] == [0, 1, 2, 3]


def test_encoder_errors(toy: Codec) -> None:
    y, c = np.zeros((50, 66), np.uint8), np.zeros((25, 33), np.uint8)
    encoder = nvcodec.Encoder(PATTERN, codec="toy")
    for planes in ((y[:-1], c, c), (y, y, c), (y.astype(np.float32), c, c), (y, c, c[None])):
        with pytest.raises(nvcodec.UsageError, match="frame 0: plane"):
            encoder.encode(*planes)
    first = encoder.encode(y, c, c, pts=5)
    with pytest.raises(nvcodec.UsageError, match="must increase"):
        encoder.encode(y, c, c, pts=5)
    assert first[:4] == b"\xf5NVC"
    with pytest.raises(nvcodec.NvcError, match="no frames"):
        nvcodec.Encoder(PATTERN, codec="toy").finish()
    finished = nvcodec.Encoder(PATTERN, codec="toy")
    finished.encode(y, c, c)
    finished.finish()
    for again in (finished.finish, lambda: finished.encode(y, c, c)):
        with pytest.raises(nvcodec.UsageError, match="finished"):
            again()


def test_decoder_errors(toy: Codec) -> None:
    whole = array_stream(12)
    with pytest.raises(nvcodec.DamagedStreamError, match=r"not an \.nvc stream"):
        nvcodec.Decoder().decode(b"RIFF....AVI LIST")
    with pytest.raises(nvcodec.DamagedStreamError, match="after the end"):
        nvcodec.Decoder().decode(whole + b"x")
    with pytest.raises(nvcodec.DamagedStreamError, match="missing"):
        nvcodec.Decoder().finish()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    with pytest.raises(nvcodec.DamagedStreamError, match="CRC-32"):
        nvcodec.Decoder().decode(bytes(changed))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"quality": 64}, "quality is 64"),
        ({"quality": -1}, "quality is -1"),
        ({"intra_period": -1}, "intra period"),
        ({"threads": -1}, "threads"),
        ({"codec": "h266"}, "'h266' is not known"),
        ({"frames": (7, 7)}, "empty"),
        ({"size": (0, 5)}, "0x5"),
    ],
)
def test_wrong_arguments(stream: Path, tmp_path: Path, options: dict[str, object], match: str) -> None:
    video, out = tmp_path / "clip.y4m", tmp_path / "new.nvc"
    nvcodec.decode(stream, video)
    with pytest.raises(nvcodec.UsageError, match=match):
        nvcodec.encode(video, out, **{"codec": "toy", **options})  # type: ignore[arg-type]
    assert not out.exists()


def test_inputs_that_cannot_be_read(stream: Path, tmp_path: Path) -> None:
    for path, match in ((tmp_path / "none.nvc", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(nvcodec.NvcError, match=match):
            nvcodec.decode(path, tmp_path / "out.y4m")
        with pytest.raises(nvcodec.NvcError, match=match):
            nvcodec.probe(path)
    (tmp_path / "empty.nvc").touch()
    with pytest.raises(nvcodec.DamagedStreamError, match="empty"):
        nvcodec.probe(tmp_path / "empty.nvc")
    with pytest.raises(nvcodec.UsageError, match="suffix"):
        nvcodec.decode(stream, tmp_path / "out.docx")
    assert sorted(os.listdir(tmp_path)) == ["clip.nvc", "empty.nvc"]
