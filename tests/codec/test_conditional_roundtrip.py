# SPDX-License-Identifier: Apache-2.0
"""The conditional codec in one process: what comes out is what the encoder saw, and what was asked for."""

from __future__ import annotations

import io
from pathlib import Path

import conditional_clips as clips
import numpy as np
import pytest

import nvcodec
from nvcodec.codec.checksum import planes_crc32
from nvcodec.codec.conditional import SYNTAX_VERSION
from nvcodec.codec.protocol import CodedUnit, EncodeSettings, ModelIdentity
from nvcodec.codec.registry import get_codec
from nvcodec.errors import DamagedStreamError, UnsupportedError, UsageError
from nvcodec.media.test_pattern import pattern_format
from nvcodec.media.types import Frame, VideoFormat
from nvcodec.stream import StreamReader

CODEC = get_codec("conditional")


def units_of(frames: list[Frame], video: VideoFormat, **settings: int) -> list[CodedUnit]:
    encoder = CODEC.encoder(video, EncodeSettings(threads=1, **settings))
    units = [unit for frame in frames for unit in encoder.encode(frame)] + encoder.flush()
    assert encoder.config == bytes([SYNTAX_VERSION])
    assert all(unit.frame_count == 1 for unit in units)
    return units


@pytest.mark.parametrize(
    ("width", "height", "quality"),
    [
        (1, 1, 63),
        (1, 40, 20),
        (17, 33, 0),
        (17, 33, 45),
        (31, 16, 32),
        (64, 48, 0),
        (64, 48, 23),
        (64, 48, 24),
        (65, 49, 63),
    ],
)
def test_every_frame_is_what_the_encoder_saw(width: int, height: int, quality: int) -> None:
    frames, video = clips.pattern(width, height, 4), pattern_format(width, height)
    units = units_of(frames, video, quality=quality)
    assert units[0].keyframe
    model = CODEC.model_identity(EncodeSettings())
    decoder = CODEC.decoder(video, model, bytes([SYNTAX_VERSION]), threads=1)
    for unit in units:
        (frame,) = decoder.decode(unit.payload, unit.keyframe)
        assert planes_crc32([frame]) == unit.planes_crc32
        assert [plane.shape for plane in frame.planes] == [
            (height, width),
            *[((height + 1) // 2, (width + 1) // 2)] * 2,
        ]


@pytest.mark.parametrize("size", [(64, 48), (1, 1), (17, 33)])
def test_one_frame(size: tuple[int, int]) -> None:
    frames = clips.pattern(*size, 1)
    (decoded,) = clips.decode(clips.encode(frames, quality=63))
    assert clips.psnr_db(decoded, frames[0]) > 36


@pytest.mark.parametrize("value", [0, 16, 128, 235, 255])
def test_flat_pictures_stay_flat(value: int) -> None:
    flat = [Frame(*(np.full(shape, value, np.uint8) for shape in ((32, 48), (16, 24), (16, 24)))) for _ in range(3)]
    for frame, original in zip(clips.decode(clips.encode(flat, quality=60)), flat, strict=True):
        assert all(abs(float(plane.mean()) - value) < 1.5 for plane in frame.planes)
        assert clips.psnr_db(frame, original) > 40


def test_a_cut_is_a_keyframe() -> None:
    frames = clips.pattern(64, 48, 4, seed=1) + clips.pattern(64, 48, 4, seed=2)
    stream = clips.encode(frames)
    assert nvcodec.probe(io.BytesIO(stream)).keyframes == (0, 4)
    decoded = clips.decode(stream)
    assert abs(clips.psnr_db(decoded[4], frames[4]) - clips.psnr_db(decoded[0], frames[0])) < 4


@pytest.fixture(scope="module")
def periodic() -> tuple[bytes, list[Frame]]:
    """Ten frames, a keyframe every third, records of two frames at most."""
    stream = clips.encode(clips.pattern(64, 48, 10), intra_period=3, frames_per_record=2)
    return stream, clips.decode(stream)


def test_keyframes_stand_where_they_were_asked_for(periodic: tuple[bytes, list[Frame]]) -> None:
    assert nvcodec.probe(io.BytesIO(periodic[0])).keyframes == (0, 3, 6, 9)
    assert nvcodec.probe(io.BytesIO(clips.encode(clips.pattern(64, 48, 3), intra_period=1))).keyframes == (0, 1, 2)


@pytest.mark.parametrize("start", [3, 5, 6, 9])
def test_decoding_from_the_middle_gives_the_same_frames(
    periodic: tuple[bytes, list[Frame]], tmp_path: Path, start: int
) -> None:
    stream, everything = periodic
    out = tmp_path / "part.yuv"
    report = nvcodec.decode(io.BytesIO(stream), out, frames=(start, start + 2), threads=1)
    wanted = everything[start : start + 2]
    assert (report.first_frame, report.frames) == (start, len(wanted))
    assert out.read_bytes() == b"".join(plane.tobytes() for frame in wanted for plane in frame.planes)


@pytest.fixture(scope="module")
def still(bikes_path: Path) -> list[Frame]:
    return clips.real(bikes_path, 1, 320, 192)


@pytest.mark.parametrize("quality", [0, 32, 63])
def test_a_still_picture_costs_next_to_nothing_and_stays_as_good(still: list[Frame], quality: int) -> None:
    repeats = 20
    stream = clips.encode(still * (1 + repeats), quality)
    more_nbytes = len(stream) - len(clips.encode(still, quality))
    assert 8 * more_nbytes / repeats / still[0].y.size < 0.005  # bits per pixel, all overhead included
    decoded = clips.decode(stream)
    assert clips.psnr_db(decoded[-1], still[0]) > clips.psnr_db(decoded[0], still[0]) - 0.01


def test_each_step_of_quality_takes_more_bytes_and_gives_more(bikes_path: Path) -> None:
    frames = clips.real(bikes_path, 4, 192, 128, start=20)
    sizes, quality_db = [], []
    for level in (0, 12, 23, 36, 48, 63):
        stream = clips.encode(frames, level)
        sizes.append(len(stream))
        quality_db.append(np.mean([clips.psnr_db(d, f) for d, f in zip(clips.decode(stream), frames, strict=True)]))
    assert np.diff(sizes).min() > 0, sizes
    assert np.diff(quality_db).min() > 0, quality_db


def test_the_same_frames_make_the_same_stream() -> None:
    frames = clips.pattern(48, 32, 3)
    assert clips.encode(frames) == clips.encode(frames)


def test_weights_and_syntax_that_are_not_here(periodic: tuple[bytes, list[Frame]]) -> None:
    video = pattern_format(64, 48)
    model = CODEC.model_identity(EncodeSettings())
    assert model is not None
    with pytest.raises(UnsupportedError, match="SHA-256 0101"):
        CODEC.decoder(video, ModelIdentity(model.name, b"\1" * 32), bytes([SYNTAX_VERSION]))
    for config in (b"", bytes([SYNTAX_VERSION + 1]), bytes([SYNTAX_VERSION, 0])):
        with pytest.raises(UnsupportedError, match="syntax"):
            CODEC.decoder(video, model, config)
    with pytest.raises(DamagedStreamError, match="no model"):
        CODEC.decoder(video, None, bytes([SYNTAX_VERSION]))
    changed = clips.with_header(StreamReader(io.BytesIO(periodic[0])), model_sha256=b"\2" * 32)
    with pytest.raises(UnsupportedError, match="SHA-256 0202"):
        nvcodec.Decoder().decode(changed)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"quality": 64}, "quality is 64: 0 to 63"),
        ({"quality": -1}, "quality is -1"),
        ({"intra_period": -1}, "intra period is -1"),
        ({"preset": "placebo"}, "preset is 'placebo'"),
        ({"options": {"depth": 3}}, "no option 'depth'"),
        ({"options": {"model": "conditional-xl"}}, "'conditional-xl' is not installed"),
    ],
)
def test_settings_it_does_not_have(settings: dict[str, object], match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        CODEC.encoder(pattern_format(64, 48), EncodeSettings(**settings))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
