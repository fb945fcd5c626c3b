# SPDX-License-Identifier: Apache-2.0
"""8-bit 4:2:0 comes out exactly as decoded, with its times and its description."""

from __future__ import annotations

import subprocess
import sys
import zlib
from fractions import Fraction

import numpy as np
import pytest

from nvcodec.errors import UsageError
from nvcodec.media import Colour, open_source


def crc(planes):
    value = 0
    for plane in planes:
        value = zlib.crc32(np.ascontiguousarray(plane), value)
    return value


@pytest.mark.parametrize(("clip", "count"), [("bikes_path", 250), ("bunny_path", 132)])
def test_planes_of_real_clips_are_those_decoded(clip, count, request, decode_planes):
    path = request.getfixturevalue(clip)
    with open_source(path, frames=(0, 12)) as source:
        ours = [crc(frame.planes) for frame in source]
        assert source.frame_count == 12
    assert ours == [crc(planes) for planes in decode_planes(path, 12)]
    assert len(set(ours)) > 6
    with open_source(path) as source:
        assert source.frame_count == count


def test_bikes_is_described_as_it_is(bikes_path):
    with open_source(bikes_path, frames=(0, 3)) as source:
        video = source.format
        frames = list(source)
    assert (video.width, video.height, video.frame_rate) == (640, 272, 25)
    assert video.time_base == Fraction(1, 12800)
    assert video.colour == Colour(chroma_location=1)  # H.264 means left where it says nothing
    assert [frame.pts for frame in frames] == [0, 512, 1024]
    assert source.notes == []
    for frame in frames:
        assert all(plane.flags.c_contiguous and plane.dtype == np.uint8 for plane in frame.planes)


def test_sound_left_out_is_said(bunny_path):
    with open_source(bunny_path, frames=(0, 1)) as source:
        assert source.notes == ["left out: 1 audio track(s)"]


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 5), (17, 9), (64, 48), (67, 33)])
def test_odd_and_tiny_sizes(size, encode_clip, decode_planes):
    path = encode_clip("odd.mkv", "ffv1", size=size, count=2, options={"level": "1"})
    with open_source(path) as source:
        frames = list(source)
    assert frames[0].y.shape == (size[1], size[0])
    assert frames[0].u.shape == source.format.chroma_size == ((size[1] + 1) // 2, (size[0] + 1) // 2)
    assert [crc(frame.planes) for frame in frames] == [crc(planes) for planes in decode_planes(path)]


@pytest.mark.parametrize(
    ("name", "codec", "counted"),
    [
        ("a.mp4", "libx264", True),
        ("a.mov", "libx264", True),
        ("a.mkv", "libx264", False),
        ("a.webm", "libvpx-vp9", False),
        ("a.avi", "mpeg4", False),
        ("a.ts", "mpeg2video", False),
    ],
)
def test_containers(name, codec, counted, encode_clip, decode_planes):
    path = encode_clip(name, codec, count=6)
    with open_source(path) as source:
        frames = list(source)
    assert [crc(frame.planes) for frame in frames] == [crc(planes) for planes in decode_planes(path)]
    assert source.frame_count == (6 if counted else None)
    assert source.format.frame_rate == 25
    step = Fraction(1, 25) / source.format.time_base
    assert [frame.pts - frames[0].pts for frame in frames] == [number * step for number in range(6)]


def test_missing_timestamps_are_made_and_said(encode_clip):
    path = encode_clip("bare.h264", "libx264", container="h264")
    with open_source(path) as source:
        frames = list(source)
    step = Fraction(1, 25) / source.format.time_base
    assert [frame.pts for frame in frames] == [number * step for number in range(5)]
    assert source.notes == ["timestamps missing from frame 0 on: made from 25 frames per second"]


def test_frame_range_is_half_open_and_keeps_times(bikes_path):
    with open_source(bikes_path, frames=(0, 6)) as source:
        whole = [(crc(frame.planes), frame.pts) for frame in source]
    with open_source(bikes_path, frames=(2, 5)) as source:
        assert [(crc(frame.planes), frame.pts) for frame in source] == whole[2:5]
        assert source.frame_count == 3
    with open_source(bikes_path, frames=(248, 999)) as source:
        assert source.frame_count == 2
        assert len(list(source)) == 2


@pytest.mark.parametrize("frames", [(3, 3), (4, 2), (-1, 2)])
def test_empty_range_is_refused(frames, bikes_path):
    with pytest.raises(UsageError, match="is empty"):
        open_source(bikes_path, frames=frames)


def test_range_beyond_the_end(bikes_path, encode_clip):
    with pytest.raises(UsageError, match="from 250 on were asked for; there are 250"):
        open_source(bikes_path, frames=(250, None))
    with (
        open_source(encode_clip("five.mkv", "ffv1"), frames=(5, None)) as source,
        pytest.raises(UsageError, match="there are 5"),
    ):
        list(source)


def test_importing_media_does_not_import_av():
    code = "import sys, nvcodec.media, nvcodec.media.types; print('av' in sys.modules, 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == ["False"] * 2
