# SPDX-License-Identifier: Apache-2.0
"""Between 4:2:0 planes and RGB, through the stream's own matrix, range and chroma location (swscale does the sums).

A stream that does not name its matrix (H.273 code 2, "unspecified") is taken as BT.601 below 720 lines and as BT.709
from 720 lines on. Chroma is interpolated bicubically. RGB is non-linear R'G'B' in the stream's own primaries and
transfer: no colour management takes place.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from nvcodec.errors import UnsupportedError, UsageError
from nvcodec.media.graph import FilterChain, scale_arguments
from nvcodec.media.planes import check_frame, picture_from_frame, read_plane, write_plane
from nvcodec.media.types import Frame, VideoFormat

BT709, BT601 = 1, 6
_CONVERTIBLE = {1: "BT.709", 4: "FCC", 5: "BT.601", 6: "BT.601", 7: "SMPTE 240M", 9: "BT.2020"}
_TIME_BASE = Fraction(1, 1000)  # the chains ignore time


def assumed_matrix(height: int) -> int:
    """H.273 matrix code taken where none is given: 6 (BT.601) below 720 lines, 1 (BT.709) from 720 on."""
    return BT709 if height >= 720 else BT601


def effective_matrix(video: VideoFormat) -> int:
    """H.273 matrix code used for RGB conversion; UnsupportedError for a matrix swscale cannot apply."""
    matrix = assumed_matrix(video.height) if video.colour.matrix == 2 else video.colour.matrix
    if matrix not in _CONVERTIBLE:
        known = ", ".join(f"{code} ({name})" for code, name in _CONVERTIBLE.items())
        raise UnsupportedError(f"colour matrix {matrix} cannot be converted to RGB; supported: {known}")
    return matrix


def matrix_name(matrix: int) -> str:
    """The usual name of an H.273 matrix code, or the code."""
    return _CONVERTIBLE.get(matrix, str(matrix))


class RgbConverter:
    """Both conversions for the frames of one video; keeps its tables between calls. Not for use by several threads."""

    def __init__(self, video: VideoFormat) -> None:
        self.video = video
        matrix = effective_matrix(video)
        full, location = video.colour.full_range, video.colour.chroma_location
        size = video.width, video.height
        self._to_rgb = FilterChain(
            *size,
            "yuv420p",
            _TIME_BASE,
            [
                ("setparams", f"range={'full' if full else 'limited'}:colorspace={matrix}"),
                ("scale", scale_arguments(*size, full_range=(full, True), chroma_location=(location, 0))),
                ("format", "rgb24"),
            ],
        )
        out = scale_arguments(*size, full_range=(True, full), chroma_location=(0, location))
        self._from_rgb = FilterChain(
            *size, "rgb24", _TIME_BASE, [("scale", f"{out}:out_color_matrix={matrix}"), ("format", "yuv420p")]
        )

    def to_rgb(self, frame: Frame) -> np.ndarray:
        """(H, W, 3) uint8, 0 to 255, of a frame of this video."""
        check_frame(frame, self.video)
        picture = picture_from_frame(frame, self.video)
        (converted,) = self._to_rgb.push(picture)
        rows = read_plane(converted.planes[0], self.video.height, self.video.width * 3)
        return rows.reshape(self.video.height, self.video.width, 3)

    def from_rgb(self, rgb: np.ndarray) -> Frame:
        """Frame (pts 0) of an (H, W, 3) uint8 picture of this video's size; UsageError for another shape."""
        shape = (self.video.height, self.video.width, 3)
        if rgb.shape != shape or rgb.dtype != np.uint8:
            raise UsageError(f"RGB picture is {rgb.shape} {rgb.dtype}; {shape} uint8 is needed")
        picture = av.VideoFrame(self.video.width, self.video.height, "rgb24")
        write_plane(picture.planes[0], np.ascontiguousarray(rgb).reshape(shape[0], -1))
        picture.time_base = _TIME_BASE
        (converted,) = self._from_rgb.push(picture)
        luma, first, second = converted.planes
        chroma_size = self.video.chroma_size
        return Frame(
            read_plane(luma, self.video.height, self.video.width),
            read_plane(first, *chroma_size),
            read_plane(second, *chroma_size),
        )


def frame_to_rgb(frame: Frame, video: VideoFormat) -> np.ndarray:
    """RGB, (H, W, 3) uint8, of one frame; use ``RgbConverter`` for many."""
    return RgbConverter(video).to_rgb(frame)


def rgb_to_frame(rgb: np.ndarray, video: VideoFormat) -> Frame:
    """Frame of one RGB picture, (H, W, 3) uint8; use ``RgbConverter`` for many."""
    return RgbConverter(video).from_rgb(rgb)
