# SPDX-License-Identifier: Apache-2.0
"""A linear chain of FFmpeg filters: pictures in, pictures out."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from fractions import Fraction

import av
import av.filter
import av.logging

SCALE_FLAGS = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"

CHROMA_LOCATIONS = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")

_log_lock = threading.Lock()


class FilterChain:
    """Filters in a row, for pictures of one size and pixel format.

    ``filters`` are (name, arguments) as FFmpeg's documentation spells them. ``push`` and ``flush`` return the pictures
    that have become ready. Raises PyAV's errors.
    """

    def __init__(
        self, width: int, height: int, pixel_format: str, time_base: Fraction, filters: Sequence[tuple[str, str]]
    ) -> None:
        self._graph = av.filter.Graph()
        nodes = [
            self._graph.add_buffer(width=width, height=height, format=av.VideoFormat(pixel_format), time_base=time_base)
        ]
        nodes += [self._graph.add(name, arguments) for name, arguments in filters]
        self._sink = self._graph.add("buffersink")
        self._graph.link_nodes(*nodes, self._sink).configure()

    def push(self, picture: av.VideoFrame) -> list[av.VideoFrame]:
        self._graph.push(picture)
        return self._ready()

    def flush(self) -> list[av.VideoFrame]:
        self._graph.push(None)
        return self._ready()

    def _ready(self) -> list[av.VideoFrame]:
        pictures: list[av.VideoFrame] = []
        while True:
            try:
                pictures.append(self._graph.vpull())
            except (av.error.BlockingIOError, av.error.EOFError):
                return pictures


def scale_arguments(
    width: int,
    height: int,
    *,
    full_range: tuple[bool, bool],
    matrix: tuple[int, int] | None = None,
    chroma_location: tuple[int, int] = (0, 0),
) -> str:
    """Arguments of the scale filter; pairs are (input, output), codes those of ``Colour``."""
    ranges = ["full" if full else "limited" for full in full_range]
    words = [f"w={width}", f"h={height}", f"flags={SCALE_FLAGS}", "sws_dither=none"]
    words += [f"in_range={ranges[0]}", f"out_range={ranges[1]}"]
    if matrix is not None:
        words += [f"in_color_matrix={matrix[0]}", f"out_color_matrix={matrix[1]}"]
    if chroma_location[0]:
        words.append(f"in_chroma_loc={chroma_location[0]}")
    if chroma_location[1]:
        words.append(f"out_chroma_loc={chroma_location[1]}")
    return ":".join(words)


def hidden_properties(picture: av.VideoFrame) -> tuple[int, Fraction | None]:
    """(chroma location code, sample aspect ratio or None) of a decoded picture.

    PyAV has no attribute for either, so they are read from the line that FFmpeg's showinfo filter logs; both come out
    as unknown should a future FFmpeg word that line differently.
    """
    chain = FilterChain(
        picture.width, picture.height, picture.format.name, Fraction(1, 1000), [("showinfo", "checksum=0")]
    )
    with _log_lock:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)
        try:
            with av.logging.Capture() as log:
                chain.push(picture)
        finally:
            av.logging.set_level(level)
    found = re.search(r"\bcl:(\w+)\s+sar:(\d+)/(\d+)", "".join(message for _, _, message in log))
    if found is None:
        return 0, None
    location = CHROMA_LOCATIONS.index(found[1]) if found[1] in CHROMA_LOCATIONS else 0
    aspect = Fraction(int(found[2]), int(found[3])) if int(found[2]) and int(found[3]) else None
    return location, aspect
