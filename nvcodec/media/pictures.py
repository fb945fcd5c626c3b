# SPDX-License-Identifier: Apache-2.0
"""A folder or a pattern of pictures as a video."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.error

from nvcodec.errors import NvcError, UnsupportedError
from nvcodec.media.failure import reported
from nvcodec.media.graph import hidden_properties
from nvcodec.media.normalise import Normaliser, rotation_of
from nvcodec.media.stream import FrameRange, Reader
from nvcodec.media.types import Frame, VideoFormat

PICTURE_SUFFIXES = (
    ".bmp", ".jpeg", ".jpg", ".jp2", ".pam", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
_NUMBER = re.compile(r"%(?:0(\d+))?d")


def is_picture(path: Path) -> bool:
    """Whether the suffix says picture."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def is_pattern(text: str) -> bool:
    """Whether a path that does not exist may be a printf or glob pattern."""
    return bool(_NUMBER.search(Path(text).name)) or glob.has_magic(text)


def number_pattern(name: str) -> re.Pattern[str]:
    """Regular expression for file names that a printf pattern such as ``frame_%04d.png`` makes; group 1 the number."""
    match = _NUMBER.search(name)
    if match is None:
        raise NvcError(f"{name}: no number such as %06d in it")
    digits = rf"(\d{{{int(match[1])},}})" if match[1] else r"(\d+)"
    before, after = name[: match.start()].replace("%%", "%"), name[match.end() :].replace("%%", "%")
    return re.compile(re.escape(before) + digits + re.escape(after))


def list_folder(folder: Path) -> tuple[list[Path], list[str]]:
    """(pictures of a folder in natural order, notes); NvcError where there are none."""
    with reported(str(folder), "cannot be read"):
        found = [path for path in folder.iterdir() if is_picture(path) and not path.name.startswith(".")]
    if not found:
        raise NvcError(f"{folder}: a folder without pictures ({', '.join(PICTURE_SUFFIXES)})")
    return sorted(found, key=_natural), []


def list_pattern(text: str) -> tuple[list[Path], list[str]]:
    """(pictures that match a printf or glob pattern, in order, notes); NvcError where none does."""
    path = Path(text)
    if not _NUMBER.search(path.name):
        found = sorted((Path(match) for match in glob.glob(text) if Path(match).is_file()), key=_natural)
        if not found:
            raise NvcError(f"{text}: no such file, and no files match it as a pattern")
        return found, []
    expression = number_pattern(path.name)
    numbered: dict[int, Path] = {}
    if path.parent.is_dir():
        with reported(str(path.parent), "cannot be read"):
            for entry in path.parent.iterdir():
                if match := expression.fullmatch(entry.name):
                    numbered[int(match[1])] = entry
    if not numbered:
        raise NvcError(f"{text}: no such file, and no files match it as a pattern")
    first, last = min(numbered), max(numbered)
    gaps = last - first + 1 - len(numbered)
    notes = [f"{gaps} numbers missing between {first} and {last}: the rest is taken in order"] if gaps else []
    return [numbered[number] for number in sorted(numbered)], notes


def open_pictures(
    paths: list[Path],
    name: str,
    *,
    notes: list[str],
    frames: FrameRange | None,
    size: tuple[int, int] | None,
    frame_rate: Fraction | None,
) -> Reader:
    """Reader with one frame per picture; all must have the size of the first."""
    rate = frame_rate or Fraction(25)
    if frame_rate is None and len(paths) > 1:
        notes.append("frame rate of pictures taken as 25")
    first = _load(paths[0])
    location, aspect = hidden_properties(first)
    normaliser = Normaliser(first, location, size, notes.append)
    video = VideoFormat(
        width=normaliser.width,
        height=normaliser.height,
        time_base=1 / rate,
        frame_rate=rate,
        sample_aspect_ratio=(
            (aspect or Fraction(1)) * Fraction(first.width * normaliser.height, first.height * normaliser.width)
        ).limit_denominator(65535),
        rotation=rotation_of(first, notes.append),
        colour=normaliser.colour,
    )
    del first

    def frame_of(number: int) -> Frame:
        try:
            frame = normaliser(_load(paths[number]), number)
        except UnsupportedError as exc:
            raise UnsupportedError(f"{paths[number]}: {exc}") from exc
        frame.pts, frame.duration = number, 1
        return frame

    head = frame_of(0)

    def all_frames() -> Iterator[Frame]:
        yield head
        for number in range(1, len(paths)):
            yield frame_of(number)

    return Reader(video, all_frames(), name=name, notes=notes, frame_count=len(paths), frame_range=frames)


def _load(path: Path) -> av.VideoFrame:
    # An open file, not its name: FFmpeg would take a % in a name for a pattern of its own.
    with (
        reported(str(path), "cannot be read as a picture"),
        path.open("rb") as file,
        av.open(file, mode="r") as container,
    ):
        if container.streams.video:
            for picture in container.decode(video=0):
                return picture
    raise NvcError(f"{path}: no picture in it")


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key under which frame2 comes before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]
