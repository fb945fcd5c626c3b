# SPDX-License-Identifier: Apache-2.0
"""YUV4MPEG2: the header line of the format and how it maps to ours.

Our own few lines instead of FFmpeg's reader and writer, because those drop a last frame that is cut off without a word
and cannot stop in the middle of a pipe.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from nvcodec.errors import NvcError, UnsupportedError
from nvcodec.media.layout import MAX_SIDE
from nvcodec.media.timing import plausible_rate
from nvcodec.media.types import Colour, VideoFormat

MAGIC = b"YUV4MPEG2"
FRAME_MAGIC = b"FRAME"
MAX_LINE_NBYTES = 1024

# What follows C in the header -> (pixel format, chroma location)
_CHROMA_TAGS: dict[str, tuple[str, int]] = {
    "420": ("yuv420p", 0),
    "420mpeg2": ("yuv420p", 1),
    "420jpeg": ("yuv420p", 2),
    "420paldv": ("yuv420p", 3),
    "422": ("yuv422p", 0),
    "444": ("yuv444p", 0),
    "411": ("yuv411p", 0),
    "444alpha": ("yuva444p", 0),
    "mono": ("gray", 0),
    **{f"420p{n}": (f"yuv420p{n}le", 0) for n in (9, 10, 12, 14, 16)},
    **{f"422p{n}": (f"yuv422p{n}le", 0) for n in (9, 10, 12, 14, 16)},
    **{f"444p{n}": (f"yuv444p{n}le", 0) for n in (9, 10, 12, 14, 16)},
    **{f"mono{n}": (f"gray{n}le", 0) for n in (9, 10, 12, 14, 16)},
}
_LOCATION_TAGS = {1: "420mpeg2", 2: "420jpeg", 3: "420paldv"}


@dataclass(frozen=True)
class Y4mHeader:
    """What a YUV4MPEG2 header says; ``interlaced`` is "p", "t", "b", "m" or "?"."""

    video: VideoFormat
    pixel_format: str
    interlaced: str


def parse_header(line: bytes, name: str) -> Y4mHeader:
    """Parse the header line without its line feed; NvcError or UnsupportedError name the parameter that is wrong."""
    words = line.decode("ascii", "replace").split(" ")
    values: dict[str, str] = {}
    colour_range = ""
    for word in words[1:]:
        if word.startswith("XCOLORRANGE="):
            colour_range = word.partition("=")[2]
        elif word:
            values.setdefault(word[0], word[1:])
    width, height = (_side(values.get(letter, ""), letter, name) for letter in "WH")
    tag = values.get("C", "420")
    if tag not in _CHROMA_TAGS:
        raise UnsupportedError(f"{name}: y4m chroma format {tag[:20]!r}; known: {', '.join(_CHROMA_TAGS)}")
    pixel_format, location = _CHROMA_TAGS[tag]
    rate = plausible_rate(_ratio(values.get("F", "0:0"), "F", name))
    video = VideoFormat(
        width=width,
        height=height,
        time_base=1 / rate if rate else Fraction(1, 25),
        frame_rate=rate,
        sample_aspect_ratio=_ratio(values.get("A", "0:0"), "A", name) or Fraction(1),
        colour=Colour(full_range=colour_range == "FULL", chroma_location=location),
    )
    return Y4mHeader(video, pixel_format, values.get("I", "?"))


def write_header(video: VideoFormat) -> tuple[bytes, list[str]]:
    """(header line with line feed, notes on what y4m cannot carry)."""
    rate = video.frame_rate or Fraction(25)
    aspect, colour = video.sample_aspect_ratio, video.colour
    words = [
        MAGIC.decode(),
        f"W{video.width}",
        f"H{video.height}",
        f"F{rate.numerator}:{rate.denominator}",
        "Ip",
        f"A{aspect.numerator}:{aspect.denominator}",
        f"C{_LOCATION_TAGS.get(colour.chroma_location, '420')}",
        f"XCOLORRANGE={'FULL' if colour.full_range else 'LIMITED'}",
    ]
    lost = []
    if video.rotation:
        lost.append(f"rotation {video.rotation}")
    lost += [
        f"{what} {code}"
        for what, code in (("matrix", colour.matrix), ("primaries", colour.primaries), ("transfer", colour.transfer))
        if code != 2
    ]
    if colour.chroma_location not in (0, *_LOCATION_TAGS):
        lost.append(f"chroma location {colour.chroma_location}")
    notes = [f"y4m cannot carry: {', '.join(lost)}"] if lost else []
    if video.frame_rate is None:
        notes.append("frame rate unknown: y4m header says 25")
    return (" ".join(words) + "\n").encode(), notes


def _side(text: str, letter: str, name: str) -> int:
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= MAX_SIDE:
        raise NvcError(f"{name}: y4m header says {letter}{text[:20]!r}; 1 to {MAX_SIDE} is allowed")
    return int(text)


def _ratio(text: str, letter: str, name: str) -> Fraction | None:
    """The ratio, or None for 0:0 (unknown)."""
    parts = text.split(":")
    if len(parts) != 2 or not all(part.isdecimal() and len(part) <= 10 for part in parts):
        raise NvcError(f"{name}: y4m header says {letter}{text[:24]!r}; two numbers with a colon are needed")
    numerator, denominator = map(int, parts)
    return Fraction(numerator, denominator) if numerator and denominator else None
