# SPDX-License-Identifier: Apache-2.0
"""RGB conversion against the equations of BT.601, BT.709 and BT.2020."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.errors import UnsupportedError, UsageError
from nvcodec.media import Colour, Frame, VideoFormat
from nvcodec.media.convert import RgbConverter, assumed_matrix, frame_to_rgb, rgb_to_frame

# H.273 matrix code -> (KR, KB)
WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}


def flat(video, y, u, v):
    return Frame(
        np.full((video.height, video.width), y, np.uint8),
        np.full(video.chroma_size, u, np.uint8),
        np.full(video.chroma_size, v, np.uint8),
    )


def equation(y, u, v, matrix, full):
    kr, kb = WEIGHTS[matrix]
    black, luma_span, chroma_span = (0, 255, 255) if full else (16, 219, 224)
    luma, cb, cr = (y - black) / luma_span, (u - 128) / chroma_span, (v - 128) / chroma_span
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.array([red, green, blue]) * 255, 0, 255)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
def test_flat_colours_follow_the_equations(matrix, full):
    video = VideoFormat(16, 16, colour=Colour(full_range=full, matrix=matrix))
    converter = RgbConverter(video)
    rng = np.random.default_rng(matrix)
    for _ in range(60):
        y, u, v = (int(value) for value in (rng.integers(16, 236), *rng.integers(80, 177, 2)))
        frame = flat(video, y, u, v)
        rgb = converter.to_rgb(frame)
        expected = equation(y, u, v, matrix, full)
        assert np.abs(rgb - expected).max() <= 0.51
        if expected.min() > 1 and expected.max() < 254:
            back = converter.from_rgb(rgb)
            for ours, given in zip(back.planes, frame.planes, strict=True):
                assert np.abs(ours.astype(int) - given).max() <= 1


@pytest.mark.parametrize(("height", "matrix"), [(16, 6), (719, 6), (720, 1), (1080, 1)])
def test_unspecified_matrix_goes_by_height(height, matrix):
    assert assumed_matrix(height) == matrix
    video = VideoFormat(4, height)
    rgb = frame_to_rgb(flat(video, 100, 90, 180), video)
    assert np.abs(rgb - equation(100, 90, 180, matrix, False)).max() <= 0.51


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 1), (3, 3), (17, 9), (32, 32)])
def test_grey_survives_both_ways_at_any_size(size):
    video = VideoFormat(*size)
    luma = np.random.default_rng(0).integers(16, 236, (size[1], size[0]), np.uint8)
    frame = Frame(luma, *(np.full(video.chroma_size, 128, np.uint8) for _ in range(2)))
    rgb = frame_to_rgb(frame, video)
    assert rgb.shape == (size[1], size[0], 3)
    assert np.abs(rgb - ((luma - 16.0) * 255 / 219)[..., None]).max() <= 0.51
    assert np.array_equal(rgb_to_frame(rgb, video).y, luma)


@pytest.mark.parametrize(("location", "shift"), [(1, 0.0), (2, 0.5), (3, 0.0)])
def test_chroma_is_placed_where_it_was_sampled(location, shift):
    """On a horizontal ramp of Cr, red grows in step with where each luma sample lies between chroma samples."""
    video = VideoFormat(64, 16, colour=Colour(True, 1, chroma_location=location))
    frame = flat(video, 128, 128, 128)
    frame.v[:] = 100 + 2 * np.arange(32)
    red = frame_to_rgb(frame, video)[8, 8:-8, 0]
    cr = 100 + (np.arange(8, 56) - shift) - 128
    expected = 128 + 2 * (1 - WEIGHTS[1][0]) * cr
    assert np.abs(red - expected).max() <= 1.1


@pytest.mark.parametrize("matrix", [0, 8, 14])
def test_matrices_swscale_does_not_know_are_refused(matrix):
    with pytest.raises(UnsupportedError, match=f"colour matrix {matrix} cannot be converted"):
        RgbConverter(VideoFormat(8, 8, colour=Colour(matrix=matrix)))


def test_wrong_shapes_are_refused():
    with pytest.raises(UsageError, match=r"\(8, 8, 3\) uint8 is needed"):
        rgb_to_frame(np.zeros((8, 9, 3), np.uint8), VideoFormat(8, 8))
    with pytest.raises(UsageError, match="plane Y"):
        frame_to_rgb(flat(VideoFormat(8, 9), 0, 0, 0), VideoFormat(8, 8))
