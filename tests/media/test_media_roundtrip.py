# SPDX-License-Identifier: Apache-2.0
"""What is written comes back: samples, times and description, as far as each container can carry them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvcodec.errors import UsageError
from nvcodec.media import Colour, Frame, RawGeometry, VideoFormat, open_sink, open_source


def write(path, video, frames, **options):
    with open_sink(path, video, **options) as sink:
        for frame in frames:
            sink.write(frame)
    return sink.notes


def read(path, **options):
    with open_source(path, **options) as source:
        return list(source), source


def assert_same_planes(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


VIDEO = VideoFormat(17, 9, Fraction(1, 1000), Fraction(25))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    "colour", [(2, 2, 2, 0), (1, 1, 1, 1), (6, 6, 6, 2), (9, 9, 16, 3), (9, 9, 18, 4), (5, 5, 13, 0), (7, 7, 7, 1)]
)
def test_matroska_carries_colour(colour, full, tmp_path, make_frames):
    matrix, primaries, transfer, location = colour
    video = replace(VIDEO, colour=Colour(full, matrix, primaries, transfer, location))
    frames = make_frames(video, [0, 40])
    assert write(tmp_path / "a.mkv", video, frames) == []
    back, source = read(tmp_path / "a.mkv")
    assert source.format == video
    assert_same_planes(frames, back)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_rotation_and_aspect(rotation, suffix, tmp_path, make_frames):
    video = replace(VIDEO, width=16, height=10, rotation=rotation, sample_aspect_ratio=Fraction(40, 33))
    write(tmp_path / f"a{suffix}", video, make_frames(video, [0, 40, 80]))
    _, source = read(tmp_path / f"a{suffix}")
    assert source.format.rotation == rotation
    assert source.format.sample_aspect_ratio == Fraction(40, 33)


def test_rotation_as_other_tools_write_it(encode_clip):
    """A phone's clip, shown after a quarter turn clockwise."""
    _, source = read(encode_clip("phone.mp4", "libx264", rotation=90))
    assert source.format.rotation == 90


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_variable_frame_rate_that_starts_late(suffix, tmp_path, make_frames):
    video = replace(VIDEO, width=16, height=16, frame_rate=Fraction(30))
    pts, durations = [1500, 1533, 1620, 1621, 2200], [33, 87, 1, 579, 100]
    write(tmp_path / f"a{suffix}", video, make_frames(video, pts, durations))
    back, source = read(tmp_path / f"a{suffix}")
    scale = source.format.time_base / video.time_base
    assert [frame.pts * scale for frame in back] == pts
    if suffix == ".mkv":  # MP4 stores distances in decoding order, from which durations follow only roughly
        assert [frame.duration for frame in back] == durations


def test_a_chroma_location_matroska_lacks_is_said(tmp_path, make_frames):
    video = replace(VIDEO, colour=Colour(chroma_location=5))
    assert write(tmp_path / "a.mkv", video, make_frames(video, [0])) == ["Matroska cannot carry: chroma location 5"]


def test_times_finer_than_matroska_are_rounded_with_a_word(tmp_path, make_frames):
    video = replace(VIDEO, time_base=Fraction(1001, 30000), frame_rate=Fraction(30000, 1001))
    frames = make_frames(video, range(4))
    assert write(tmp_path / "a.mkv", video, frames) == ["timestamps rounded to 1/1000 s"]
    back, source = read(tmp_path / "a.mkv")
    assert [frame.pts for frame in back] == [0, 33, 67, 100]
    assert source.format.frame_rate == Fraction(30000, 1001)
    # Their rounding is no variable frame rate.
    assert not any("variable" in note for note in write(tmp_path / "a.y4m", source.format, back))


def test_unknown_frame_rate_is_not_invented(tmp_path, make_frames):
    video = replace(VIDEO, frame_rate=None)
    frames = make_frames(video, [0, 7, 1009, 1010])
    write(tmp_path / "a.mkv", video, frames)
    back, source = read(tmp_path / "a.mkv")
    assert [frame.pts for frame in back] == [0, 7, 1009, 1010]
    assert source.format.frame_rate != 24


def test_y4m_carries_what_it_can(tmp_path, make_frames):
    video = VideoFormat(
        7, 5, Fraction(1001, 24000), Fraction(24000, 1001), Fraction(4, 3), 0, Colour(True, 2, 2, 2, chroma_location=3)
    )
    frames = make_frames(video, range(3))
    assert write(tmp_path / "a.y4m", video, frames) == []
    back, source = read(tmp_path / "a.y4m")
    assert source.format == video
    assert source.frame_count == 3
    assert_same_planes(frames, back)


def test_y4m_says_what_it_loses(tmp_path, make_frames):
    video = replace(VIDEO, rotation=90, colour=Colour(False, 1, 9, 16, 5))
    notes = write(tmp_path / "a.y4m", video, make_frames(video, [100, 140, 200]))
    assert notes == [
        "y4m cannot carry: rotation 90, matrix 1, primaries 9, transfer 16, chroma location 5",
        "y4m has no timestamps: the start at 0.1 s is lost",
        "y4m has no timestamps: those of a variable frame rate are lost",
    ]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (3, 5), (18, 10)])
def test_ffmpeg_reads_our_y4m_alike(size, tmp_path, make_frames, decode_planes):
    video = VideoFormat(*size, Fraction(1, 30), Fraction(30), Fraction(4, 3), 0, Colour(True, chroma_location=1))
    frames = make_frames(video, range(3))
    write(tmp_path / "a.y4m", video, frames)
    assert_same_planes(frames, [Frame(*planes) for planes in decode_planes(tmp_path / "a.y4m")])
    with av.open(str(tmp_path / "a.y4m")) as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.sample_aspect_ratio) == (30, Fraction(4, 3))
        assert stream.codec_context.color_range == 2


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "gray"])
def test_we_read_ffmpegs_y4m(pixel_format, encode_clip):
    path = encode_clip("a.y4m", "rawvideo", pixel_format, container="yuv4mpegpipe")
    frames, source = read(path)
    assert len(frames) == source.frame_count == 5
    assert bool(source.notes) == (pixel_format != "yuv420p")


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 40), (3, 5), (5, 600), (17, 9), (65, 64)])
def test_lossless_at_any_size(size, tmp_path, make_frames):
    video = replace(VIDEO, width=size[0], height=size[1])
    frames = make_frames(video, [0, 40, 80])
    for name in ("a.mkv", "a.y4m", "a.yuv"):
        write(tmp_path / name, video, frames)
        back, _ = read(tmp_path / name, raw=RawGeometry(*size) if name == "a.yuv" else None)
        assert_same_planes(frames, back)


def test_one_frame(tmp_path, make_frames):
    frames = make_frames(VIDEO, [80])
    write(tmp_path / "a.mkv", VIDEO, frames)
    back, _ = read(tmp_path / "a.mkv")
    assert [frame.pts for frame in back] == [80]
    assert_same_planes(frames, back)


def test_nv12_out(tmp_path, make_frames):
    frames = make_frames(VIDEO, [0, 40])
    write(tmp_path / "a.yuv", VIDEO, frames, pixel_format="nv12")
    back, _ = read(tmp_path / "a.yuv", raw=RawGeometry(17, 9, Fraction(25), "nv12"))
    assert_same_planes(frames, back)


def test_mp4_says_it_is_for_watching(tmp_path, make_frames):
    notes = write(tmp_path / "a.mp4", VIDEO, make_frames(VIDEO, [0, 40, 80]))
    assert notes == ["H.264 at crf 18, for watching: lossy", "H.264 needs even sizes: 17x9 padded to 18x10"]
    back, source = read(tmp_path / "a.mp4")
    assert len(back) == source.frame_count == 3
    assert (source.format.width, source.format.height) == (18, 10)


def test_real_clip_through_ffv1(bikes_path, tmp_path):
    frames, source = read(bikes_path, frames=(20, 26))
    write(tmp_path / "a.mkv", source.format, frames)
    back, again = read(tmp_path / "a.mkv")
    assert_same_planes(frames, back)
    assert [frame.pts * again.format.time_base for frame in back] == [
        frame.pts * source.format.time_base for frame in frames
    ]
    assert replace(again.format, time_base=source.format.time_base) == source.format


def test_a_frame_of_another_size_is_refused_and_nothing_stays(tmp_path, make_frames):
    good = make_frames(VIDEO, [0])[0]
    sink = open_sink(tmp_path / "a.mkv", VIDEO)
    sink.write(good)
    with pytest.raises(UsageError, match="plane U of frame 1"):
        sink.write(Frame(good.y, good.u[:, :-1], good.v))
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    rate=st.fractions(1, 240, max_denominator=1001),
    aspect=st.fractions(Fraction(1, 50), 50, max_denominator=500),
    full=st.booleans(),
    location=st.integers(0, 3),
    count=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_any_y4m(tmp_path, width, height, rate, aspect, full, location, count, seed):
    video = VideoFormat(width, height, 1 / rate, rate, aspect, 0, Colour(full, chroma_location=location))
    rng = np.random.default_rng(seed)
    shapes = ((height, width), video.chroma_size, video.chroma_size)
    frames = [Frame(*(rng.integers(0, 256, shape, np.uint8) for shape in shapes), n, 1) for n in range(count)]
    assert write(tmp_path / "a.y4m", video, frames, overwrite=True) == []
    back, source = read(tmp_path / "a.y4m")
    assert source.format == video
    assert_same_planes(frames, back)
