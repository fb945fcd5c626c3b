# SPDX-License-Identifier: Apache-2.0
"""What is not 8-bit 4:2:0 is converted rightly and never silently."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from nvcodec.errors import UnsupportedError
from nvcodec.media import Colour, RawGeometry, open_source


def write_raw(path, *planes):
    path.write_bytes(b"".join(np.ascontiguousarray(plane).tobytes() for plane in planes))
    return path


def only_frame(path, **options):
    with open_source(path, **options) as source:
        frames = list(source)
    assert len(frames) == 1
    return frames[0], source


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
@pytest.mark.parametrize("full", [False, True])
def test_depth_is_rounded(bits, full, tmp_path):
    rng = np.random.default_rng(bits)
    planes = [rng.integers(0, 1 << bits, shape).astype("<u2") for shape in ((5, 7), (3, 4), (3, 4))]
    path = write_raw(tmp_path / "deep.raw", *planes)
    geometry = RawGeometry(7, 5, Fraction(25), f"yuv420p{bits}le", Colour(full_range=full))
    frame, source = only_frame(path, raw=geometry)
    divisor = ((1 << bits) - 1) / 255 if full else 1 << (bits - 8)
    for ours, deep in zip(frame.planes, planes, strict=True):
        expected = np.minimum(np.floor(deep / divisor + 0.5), 255)
        assert np.array_equal(ours, expected)
    assert f"{bits} bit rounded to 8 bit" in source.notes


def test_ten_bit_y4m(tmp_path):
    rng = np.random.default_rng(4)
    planes = [rng.integers(64, 941, shape).astype("<u2") for shape in ((5, 7), (3, 4), (3, 4))]
    packed = b"".join(plane.tobytes() for plane in planes)
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W7 H5 F25:1 Ip C420p10 XYSCSS=420P10\nFRAME\n" + packed)
    frame, source = only_frame(path)
    assert all(np.array_equal(ours, (deep + 2) >> 2) for ours, deep in zip(frame.planes, planes, strict=True))
    assert source.notes == ["10 bit rounded to 8 bit"]


def test_ten_bit_files_as_p010_and_planar_agree(tmp_path):
    rng = np.random.default_rng(1)
    y, u, v = (rng.integers(0, 1024, shape).astype("<u2") for shape in ((4, 6), (2, 3), (2, 3)))
    planar, _ = only_frame(write_raw(tmp_path / "a.raw", y, u, v), raw=RawGeometry(6, 4, Fraction(25), "yuv420p10le"))
    pairs = np.stack((u << 6, v << 6), axis=-1)
    packed, _ = only_frame(write_raw(tmp_path / "b.raw", y << 6, pairs), raw=RawGeometry(6, 4, Fraction(25), "p010le"))
    assert all(np.array_equal(a, b) for a, b in zip(planar.planes, packed.planes, strict=True))


@pytest.mark.parametrize("pixel_format", ["nv12", "nv21"])
def test_interleaved_chroma_is_taken_apart_exactly(pixel_format, tmp_path):
    rng = np.random.default_rng(2)
    y, u, v = (rng.integers(0, 256, shape, np.uint8) for shape in ((5, 7), (3, 4), (3, 4)))
    pairs = np.stack((u, v) if pixel_format == "nv12" else (v, u), axis=-1)
    path = write_raw(tmp_path / "a.raw", y, pairs)
    frame, source = only_frame(path, raw=RawGeometry(7, 5, Fraction(25), pixel_format))
    assert all(np.array_equal(a, b) for a, b in zip(frame.planes, (y, u, v), strict=True))
    assert source.notes == [f"{pixel_format}: chroma separated into planes, sample values unchanged"]


@pytest.mark.parametrize(("pixel_format", "columns", "rows"), [("yuv422p", 2, 1), ("yuv444p", 1, 1)])
def test_chroma_is_averaged_where_the_new_samples_lie(pixel_format, columns, rows, tmp_path):
    """Left-sited 4:2:0: on a ramp, samples fall on even columns and half way between rows; luma is untouched."""
    width, height = 32, 24
    y = np.random.default_rng(3).integers(0, 256, (height, width), np.uint8)
    row, column = np.mgrid[:height, : width // columns]
    u = (60 + 3 * column * columns + 2 * row).astype(np.uint8)
    path = write_raw(tmp_path / "a.raw", y, u, u)
    frame, source = only_frame(path, raw=RawGeometry(width, height, Fraction(25), pixel_format))
    assert np.array_equal(frame.y, y)
    new_row, new_column = np.mgrid[: height // 2, : width // 2]
    expected = 60 + 3 * 2 * new_column + 2 * (2 * new_row + 0.5)
    inside = slice(3, -3), slice(3, -3)
    assert np.abs(frame.u[inside] - expected[inside]).max() <= 0.75
    assert source.format.colour.chroma_location == 1
    assert source.notes == [f"{pixel_format} converted to 8-bit 4:2:0 (bicubic)"]


def test_range_and_matrix_do_not_move_when_chroma_is_resampled(encode_clip):
    path = encode_clip("a.mkv", "ffv1", "yuv444p", color_range=2, colorspace=9, color_primaries=9, color_trc=16)
    with av.open(str(path)) as container:
        luma = [bytes(picture.planes[0]) for picture in container.decode(video=0)]
    with open_source(path) as source:
        frames = list(source)
        assert source.format.colour == Colour(True, 9, 9, 16, 1)
        assert "full range (0 to 255) kept as it is" in source.notes
    assert [frame.y.tobytes() for frame in frames] == luma


def test_grey_keeps_its_luma(encode_clip, decode_planes):
    path = encode_clip("a.mkv", "ffv1", "gray")
    with open_source(path) as source:
        frames = list(source)
    for frame, (luma,) in zip(frames, decode_planes(path), strict=True):
        assert np.array_equal(frame.y, luma)
        assert (frame.u == 128).all()
        assert (frame.v == 128).all()
    assert "grey: luma kept, chroma set to neutral (128)" in source.notes


def test_alpha_is_dropped_with_a_word(encode_clip, decode_planes):
    path = encode_clip("a.mkv", "ffv1", "yuva420p")
    with open_source(path) as source:
        frames = list(source)
    for frame, planes in zip(frames, decode_planes(path), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, planes[:3], strict=True))
    assert source.notes == ["yuva420p: transparency dropped"]


@pytest.mark.parametrize(("height", "matrix", "luma_of_red"), [(48, 6, 81.5), (720, 1, 62.6)])
def test_rgb_goes_through_the_matrix_of_its_size(height, matrix, luma_of_red, tmp_path):
    picture = np.zeros((height, 16, 3), np.uint8)
    picture[...] = (255, 0, 0)
    path = write_raw(tmp_path / "a.raw", picture)
    frame, source = only_frame(path, raw=RawGeometry(16, height, Fraction(25), "rgb24"))
    assert np.abs(frame.y - luma_of_red).max() <= 0.6
    assert np.abs(frame.v - 240.0).max() <= 0.6
    assert source.format.colour.matrix == matrix
    assert not source.format.colour.full_range
    assert len(source.notes) == 1
    assert "rgb24 converted" in source.notes[0]


def test_motion_jpeg_stays_full_range_and_exact(encode_clip, decode_planes):
    path = encode_clip("a.avi", "mjpeg", "yuvj420p")
    with open_source(path) as source:
        frames = list(source)
        assert source.format.colour.full_range
    for frame, planes in zip(frames, decode_planes(path), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, planes, strict=True))
    assert source.notes == ["full range (0 to 255) kept as it is"]


@pytest.mark.parametrize(
    ("name", "options"), [("a.mkv", {"flags": "+ildct+ilme"}), ("a.mp4", {"x264-params": "tff=1"})]
)
def test_interlaced_is_deinterlaced_with_a_word(name, options, encode_clip):
    path = encode_clip(name, "mpeg2video" if name == "a.mkv" else "libx264", options=options, count=6)
    with av.open(str(path)) as container:
        stored = [(picture.pts, picture.interlaced_frame) for picture in container.decode(video=0)]
    assert all(interlaced for _, interlaced in stored)
    with open_source(path) as source:
        frames = list(source)
    assert [frame.pts for frame in frames] == [pts for pts, _ in stored]
    assert source.notes == ["interlaced from frame 0 on: deinterlaced (bwdif), one frame for each frame"]


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "gray", "bgra"])
def test_scaling_says_all_it_did(pixel_format, encode_clip):
    with open_source(encode_clip("a.mkv", "ffv1", pixel_format), size=(31, 18)) as source:
        frames = list(source)
    assert len(frames) == 5
    assert frames[0].y.shape == (18, 31)
    assert frames[0].u.shape == (9, 16)
    assert source.format.sample_aspect_ratio == Fraction(64 * 18, 48 * 31)  # the shown shape stays
    assert "scaled from 64x48 to 31x18 (bicubic)" in source.notes
    assert any("converted" in note for note in source.notes) == (pixel_format != "yuv420p")


def test_scaling_to_its_own_size_changes_nothing(bikes_path):
    with (
        open_source(bikes_path, frames=(0, 2)) as plain,
        open_source(bikes_path, frames=(0, 2), size=(640, 272)) as same,
    ):
        for a, b in zip(plain, same, strict=True):
            assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))
        assert same.notes == []


def test_scaling_keeps_flat_colour(tmp_path):
    planes = [np.full(shape, value, np.uint8) for shape, value in (((48, 64), 200), ((24, 32), 30), ((24, 32), 220))]
    path = write_raw(tmp_path / "a.raw", *planes)
    frame, _ = only_frame(path, raw=RawGeometry(64, 48, Fraction(25)), size=(21, 77))
    assert [set(plane.ravel().tolist()) for plane in frame.planes] == [{200}, {30}, {220}]


def test_a_picture_size_that_changes_is_refused(encode_clip, tmp_path):
    first = encode_clip("a.h264", "libx264", container="h264", size=(64, 48))
    second = encode_clip("b.h264", "libx264", container="h264", size=(32, 32))
    joined = tmp_path / "joined.h264"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    with (
        open_source(joined) as source,
        pytest.raises(UnsupportedError, match="frame 5 is 32x32, the first is 64x48"),
    ):
        list(source)
