# SPDX-License-Identifier: Apache-2.0
"""Pictures in and out: one, a folder, a pattern."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from nvcodec.errors import NvcError, UnsupportedError, UsageError
from nvcodec.media import Colour, VideoFormat, open_sink, open_source
from nvcodec.media.convert import frame_to_rgb

VIDEO = VideoFormat(18, 9, Fraction(1, 25), Fraction(25))


def grey_png(path, value, size=(18, 9)):
    Image.fromarray(np.full((size[1], size[0], 3), value, np.uint8)).save(path)


def values(source):
    """The RGB value of each flat frame, to the nearest ten (limited range cannot hold each value)."""
    with source:
        return [round(int(frame_to_rgb(frame, source.format)[0, 0, 0]), -1) for frame in source]


@pytest.fixture
def numbered(tmp_path):
    for number in (1, 2, 9, 10, 11):
        grey_png(tmp_path / f"f{number}.png", number * 10)
    return tmp_path


def test_folder_is_read_in_natural_order(numbered):
    (numbered / "notes.txt").write_text("no picture")
    source = open_source(numbered, frame_rate=Fraction(24))
    assert source.frame_count == 5
    assert source.format.frame_rate == 24
    assert values(source) == [10, 20, 90, 100, 110]
    assert source.notes == ["rgb24 converted to 8-bit 4:2:0 YCbCr, BT.601, limited range"]


def test_printf_pattern_says_its_gaps(numbered):
    source = open_source(numbered / "f%d.png")
    assert values(source) == [10, 20, 90, 100, 110]
    assert "6 numbers missing between 1 and 11: the rest is taken in order" in source.notes
    assert values(open_source(numbered / "f%02d.png")) == [100, 110]


def test_glob_pattern(numbered):
    assert values(open_source(f"{numbered}/f1*.png")) == [10, 100, 110]


def test_range_of_pictures(numbered):
    source = open_source(numbered, frames=(1, 3))
    assert source.frame_count == 2
    assert values(source) == [20, 90]


def test_pattern_without_files(tmp_path):
    for pattern in ("x%03d.png", "x*.png"):
        with pytest.raises(NvcError, match="no files match it"):
            open_source(tmp_path / pattern)


def test_one_picture_is_one_frame(tmp_path):
    grey_png(tmp_path / "a%03d.png", 70)  # a % in the name of a file that exists is just a character
    source = open_source(tmp_path / "a%03d.png")
    assert values(source) == [70]


def test_jpeg_keeps_its_planes(tmp_path, decode_planes):
    rgb = np.random.default_rng(0).integers(0, 256, (9, 18, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.jpg", subsampling="4:2:0", quality=95)
    with open_source(tmp_path / "a.jpg") as source:
        (frame,) = list(source)
    assert source.format.colour.full_range
    (planes,) = decode_planes(tmp_path / "a.jpg")
    assert all(np.array_equal(a, b) for a, b in zip(frame.planes, planes, strict=True))


def test_picture_of_another_size_is_named(numbered):
    grey_png(numbered / "f3.png", 5, size=(20, 9))
    with (
        open_source(numbered) as source,
        pytest.raises(UnsupportedError, match=r"f3\.png: frame 2 is 20x9, the first is 18x9"),
    ):
        list(source)


def test_broken_picture_is_named(numbered):
    (numbered / "f4.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with open_source(numbered) as source, pytest.raises(NvcError, match=r"f4\.png: cannot be read as a picture"):
        list(source)


@pytest.mark.parametrize("target", ["a_%03d.png", "new/", "existing"])
def test_several_frames_out(target, tmp_path, make_frames):
    (tmp_path / "existing").mkdir()
    video = VideoFormat(18, 9, Fraction(1, 25), Fraction(25), colour=Colour(True, 1, 1, 1, 1))
    frames = make_frames(video, range(3))
    with open_sink(f"{tmp_path}/{target}", video) as sink:
        for frame in frames:
            sink.write(frame)
    names = ["a_001.png", "a_002.png", "a_003.png"] if "%" in target else ["000001.png", "000002.png", "000003.png"]
    folder = tmp_path if "%" in target else tmp_path / target
    assert sorted(path.name for path in folder.glob("*.png")) == names
    for name, frame in zip(names, frames, strict=True):
        assert np.array_equal(np.asarray(Image.open(folder / name)), frame_to_rgb(frame, video))
    assert not list(tmp_path.rglob("*.tmp"))
    assert sink.notes == ["PNG: converted to RGB (BT.709, full range)"]


def test_one_frame_out(tmp_path, make_frames):
    (frame,) = make_frames(VIDEO, [0])
    with open_sink(tmp_path / "a.png", VIDEO) as sink:
        sink.write(frame)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), frame_to_rgb(frame, VIDEO))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_one_name_for_several_frames_is_refused(tmp_path, make_frames):
    with pytest.raises(UsageError, match=r"use a pattern such as .*a_%06d\.png or a folder"):
        open_sink(tmp_path / "a.png", VIDEO, frame_count_hint=2)
    first, second = make_frames(VIDEO, range(2))
    sink = open_sink(tmp_path / "a.png", VIDEO)
    sink.write(first)
    with pytest.raises(UsageError, match="use a pattern"):
        sink.write(second)
    assert list(tmp_path.iterdir()) == []
