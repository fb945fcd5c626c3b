# SPDX-License-Identifier: Apache-2.0
"""Any picture PyAV decodes becomes 8-bit 4:2:0; every change of sample values is said in one line.

8-bit 4:2:0 is copied plane by plane. What holds the same luma and chroma samples in another arrangement (NV12, alpha
beside them, grey) is taken apart without arithmetic; more than 8 bits are rounded; everything else, and every change of
size, goes through swscale (bicubic, accurate rounding, no dithering).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np

from nvcodec.errors import UnsupportedError
from nvcodec.media.convert import assumed_matrix, matrix_name
from nvcodec.media.failure import one_line
from nvcodec.media.graph import FilterChain, scale_arguments
from nvcodec.media.planes import read_plane
from nvcodec.media.types import Colour, Frame

Note = Callable[[str], None]

_NATIVE = {"yuv420p", "yuvj420p"}
_DEEP_420 = re.compile(r"(?:yuv420p|yuva420p|gray)(9|10|12|14|16)le|p01([026])le")
_LEFT = 1
_FULL = 2  # FFmpeg's code for full range


def picture_colour(picture: av.VideoFrame, chroma_location: int) -> Colour:
    """Colour description of a decoded picture before any conversion."""
    name = picture.format.name
    full = picture.color_range == _FULL or name.startswith("yuvj")
    if name.startswith("gray") and picture.color_range == 0:
        full = True  # FFmpeg's own reading of untagged grey
    matrix = picture.colorspace if 0 <= picture.colorspace <= 255 else 2
    return Colour(
        full_range=full,
        matrix=matrix,
        primaries=picture.color_primaries if 0 < picture.color_primaries <= 255 else 2,
        transfer=picture.color_trc if 0 < picture.color_trc <= 255 else 2,
        chroma_location=chroma_location,
    )


def rotation_of(picture: av.VideoFrame, note: Note) -> int:
    """Clockwise degrees, 0, 90, 180 or 270, of the picture's display matrix; what cannot be kept is noted."""
    counterclockwise = picture.rotation
    turns = round(counterclockwise / 90)
    if abs(counterclockwise - 90 * turns) > 1:
        note(f"rotation by {-counterclockwise} degrees ignored (only multiples of 90 are kept)")
        return 0
    side_data: Any = picture.side_data  # PyAV's annotations take this mapping for a plain one
    for item in side_data:
        if item.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = struct.unpack("=5i", bytes(item)[:20])  # nine int32, row by row
            if a * d - b * c < 0:
                note("mirroring in the display matrix ignored")
    return -90 * turns % 360


class Normaliser:
    """Turns the pictures of one stream into frames of one size; the first picture decides size and colour.

    ``size`` is (width, height) to scale to, None to keep. ``note`` is called once for each kind of change. Raises
    UnsupportedError for a picture that changes size in the middle or that swscale cannot read.
    """

    def __init__(self, first: av.VideoFrame, chroma_location: int, size: tuple[int, int] | None, note: Note) -> None:
        self._note = note
        self._noted: set[str] = set()
        self._source_size = first.width, first.height
        self.width, self.height = size or self._source_size
        self._chains: dict[tuple[str, bool], FilterChain] = {}
        self._source_colour = picture_colour(first, chroma_location)
        self.colour = self._output_colour(first)

    def _output_colour(self, first: av.VideoFrame) -> Colour:
        colour, video_format = self._source_colour, first.format
        if _is_rgb(video_format):
            matrix = assumed_matrix(self._source_size[1])
            return Colour(False, matrix, colour.primaries, colour.transfer, _LEFT)
        if _subsampling(video_format) != (2, 2) and not _is_grey(video_format):
            return Colour(colour.full_range, colour.matrix, colour.primaries, colour.transfer, _LEFT)
        return colour

    def __call__(self, picture: av.VideoFrame, number: int) -> Frame:
        """Frame (pts 0, duration 0) of picture ``number``; (H, W) and chroma planes uint8."""
        if (picture.width, picture.height) != self._source_size:
            width, height = self._source_size
            raise UnsupportedError(
                f"frame {number} is {picture.width}x{picture.height}, the first is {width}x{height}; "
                "one stream must keep one size"
            )
        name = picture.format.name
        self._once_about_properties(picture)
        if self._source_size != (self.width, self.height):
            self._once(f"scaled from {picture.width}x{picture.height} to {self.width}x{self.height} (bicubic)")
            if name not in _NATIVE:
                self._once(self._conversion(picture))
            return self._through_swscale(picture)
        if name in _NATIVE:
            return self._planar(picture)
        if name in ("nv12", "nv21"):
            self._once(f"{name}: chroma separated into planes, sample values unchanged")
            pairs = self._plane(picture, 1, 2).reshape(*self._chroma_size(), 2)
            first, second = (0, 1) if name == "nv12" else (1, 0)
            return Frame(
                self._plane(picture, 0),
                np.ascontiguousarray(pairs[..., first]),
                np.ascontiguousarray(pairs[..., second]),
            )
        if name == "yuva420p":
            return self._planar(picture)
        if name == "gray":
            return self._grey(self._plane(picture, 0))
        if _DEEP_420.fullmatch(name):
            return self._rounded(picture)
        self._once(self._conversion(picture))
        return self._through_swscale(picture)

    def _conversion(self, picture: av.VideoFrame) -> str:
        name = picture.format.name
        if _is_rgb(picture.format):
            return f"{name} converted to 8-bit 4:2:0 YCbCr, {matrix_name(self.colour.matrix)}, limited range"
        return f"{name} converted to 8-bit 4:2:0 (bicubic)"

    def _once(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._note(text)

    def _once_about_properties(self, picture: av.VideoFrame) -> None:
        if any(component.is_alpha for component in picture.format.components):
            self._once(f"{picture.format.name}: transparency dropped")
        if self.colour.full_range:
            self._once("full range (0 to 255) kept as it is")

    def _chroma_size(self) -> tuple[int, int]:
        return (self.height + 1) // 2, (self.width + 1) // 2

    def _plane(self, picture: av.VideoFrame, index: int, nbytes: int = 1) -> np.ndarray:
        rows, columns = (self.height, self.width) if index == 0 else self._chroma_size()
        return read_plane(picture.planes[index], rows, columns * nbytes)

    def _planar(self, picture: av.VideoFrame) -> Frame:
        return Frame(self._plane(picture, 0), self._plane(picture, 1), self._plane(picture, 2))

    def _grey(self, luma: np.ndarray) -> Frame:
        self._once("grey: luma kept, chroma set to neutral (128)")
        return Frame(luma, np.full(self._chroma_size(), 128, np.uint8), np.full(self._chroma_size(), 128, np.uint8))

    def _rounded(self, picture: av.VideoFrame) -> Frame:
        """More than 8 bits, little-endian 4:2:0 or grey: H.273 equation for the range, rounded half up."""
        name = picture.format.name
        match = _DEEP_420.fullmatch(name)
        assert match is not None
        bits = int(match[1]) if match[1] else 10 + int(match[2])
        # P010 and its kin keep their samples in the upper bits of 16.
        unused = 0 if match[1] else 16 - bits
        self._once(f"{bits} bit rounded to 8 bit")

        def reduced(index: int, interleaved: int = 1) -> np.ndarray:
            samples = self._plane(picture, index, 2 * interleaved).view("<u2").astype(np.uint32) >> unused
            if self.colour.full_range:
                peak = (1 << bits) - 1
                return ((samples * 255 + peak // 2) // peak).astype(np.uint8)
            return np.minimum((samples + (1 << (bits - 9))) >> (bits - 8), 255).astype(np.uint8)

        if name.startswith("gray"):
            return self._grey(reduced(0))
        if name.startswith("p0"):
            pairs = reduced(1, 2).reshape(*self._chroma_size(), 2)
            return Frame(reduced(0), np.ascontiguousarray(pairs[..., 0]), np.ascontiguousarray(pairs[..., 1]))
        return Frame(reduced(0), reduced(1), reduced(2))

    def _through_swscale(self, picture: av.VideoFrame) -> Frame:
        key = picture.format.name, picture.color_range == _FULL
        try:
            if key not in self._chains:
                self._chains[key] = self._chain(picture)
            (converted,) = self._chains[key].push(picture)
        except (av.error.FFmpegError, ValueError) as exc:
            raise UnsupportedError(
                f"pixel format {picture.format.name} cannot be converted to 8-bit 4:2:0: {one_line(exc)}"
            ) from exc
        return self._planar(converted)

    def _chain(self, picture: av.VideoFrame) -> FilterChain:
        rgb = _is_rgb(picture.format)
        source_full = rgb or self._source_colour.full_range
        scale = scale_arguments(
            self.width,
            self.height,
            full_range=(source_full, self.colour.full_range),
            chroma_location=(self._input_location(rgb), self.colour.chroma_location),
        )
        if rgb:
            scale += f":out_color_matrix={self.colour.matrix}"
        # Tags are set first, so that swscale sees what we decided and not what a decoder left open.
        tags = f"range={'full' if source_full else 'limited'}" + ("" if rgb else ":colorspace=unknown")
        return FilterChain(
            picture.width,
            picture.height,
            picture.format.name,
            picture.time_base or Fraction(1, 1000),
            [("setparams", tags), ("scale", scale), ("format", "yuv420p")],
        )

    def _input_location(self, rgb: bool) -> int:
        """Where the input's chroma lies: as stated, else as we state of the output (swscale would guess)."""
        return 0 if rgb else self._source_colour.chroma_location or self.colour.chroma_location


def _is_rgb(video_format: av.VideoFormat) -> bool:
    return bool(video_format.is_rgb or video_format.has_palette or video_format.is_bayer)


def _is_grey(video_format: av.VideoFormat) -> bool:
    return len(video_format.components) < 3 and not _is_rgb(video_format)


def _subsampling(video_format: av.VideoFormat) -> tuple[int, int]:
    """(horizontal, vertical) luma samples per chroma sample."""
    return 1024 // max(1, video_format.chroma_width(1024)), 1024 // max(1, video_format.chroma_height(1024))
