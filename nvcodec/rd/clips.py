# SPDX-License-Identifier: Apache-2.0
"""Clips to measure on: named, hashed, and turned once into raw 8-bit 4:2:0 frames."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from nvcodec.errors import NvcError, UsageError
from nvcodec.rd.ffmpeg import FFmpeg, first_cause
from nvcodec.rd.planes import MAX_SIDE, frame_nbytes, y4m_header
from nvcodec.rd.schema import Clip, Conditions
from nvcodec.rd.store import write_atomic

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm", ".y4m", ".yuv"})
RAW_SUFFIX = ".yuv"
HASHES_FILE = ".hashes.json"
NATIVE_FORMATS = ("yuv420p", "yuvj420p")
MAX_FRAME_RATE = 100_000


@dataclass(frozen=True)
class RawGeometry:
    """What a headerless .yuv file needs to be told; 8-bit 4:2:0 planar."""

    width: int
    height: int
    frame_rate: Fraction


@dataclass(frozen=True)
class ClipSource:
    """A clip as given: ``name`` is unique among those of a run."""

    name: str
    path: Path
    sha256: str
    raw: RawGeometry | None = None


@dataclass(frozen=True)
class Stream:
    """What a file's video stream says of itself."""

    pixel_format: str
    frame_rate: Fraction
    matrix: int
    full_range: bool


def find_clips(paths: Iterable[Path], raw: RawGeometry | None = None, cache: Path | None = None) -> list[ClipSource]:
    """Name and hash the files given; a folder stands for the videos in it.

    raw: geometry of .yuv files. cache: a folder that remembers hashes of files by size and time. Raises UsageError for
    a path that is not there, a .yuv file without geometry, or two files with one name and different contents.
    """
    hashes = _HashCache(cache)
    clips: dict[str, ClipSource] = {}
    for path in _expand(paths):
        if path.suffix.lower() == RAW_SUFFIX and raw is None:
            raise UsageError(f"{path}: raw video has no header, give --size and --rate")
        clip = ClipSource(path.stem, path, hashes.sha256(path), raw if path.suffix.lower() == RAW_SUFFIX else None)
        first = clips.setdefault(clip.name, clip)
        if first.sha256 != clip.sha256:
            raise UsageError(f"two clips are called {clip.name!r}: {first.path} and {path}; rename one")
    if not clips:
        raise UsageError("no clips given")
    hashes.save()
    return list(clips.values())


def prepare(source: ClipSource, conditions: Conditions, target: Path, ffmpeg: FFmpeg) -> Clip:
    """Write the clip's frames to y4m ``target`` as the conditions ask (limit, crop) and describe them.

    8-bit 4:2:0 is copied as it is; anything else is converted by ffmpeg and noted. Raises NvcError if the file holds
    no video or no frame, or is smaller than the crop.
    """
    stream = _raw_stream(source.raw) if source.raw else _probe(source.path)
    notes = []
    pixel_format = stream.pixel_format
    if pixel_format not in NATIVE_FORMATS:
        pixel_format = "yuv420p"
        notes.append(f"converted from {stream.pixel_format} to 8-bit 4:2:0 by ffmpeg {ffmpeg.version}")
    if source.raw is None and not 0 < stream.frame_rate <= MAX_FRAME_RATE:
        raise NvcError(f"{source.path}: frame rate {stream.frame_rate} is not usable")
    command = _command(source, conditions, pixel_format, ffmpeg)
    with tempfile.TemporaryFile(dir=target.parent) as log:
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        except OSError as error:
            raise NvcError(f"{ffmpeg.path}: cannot be started ({error.strerror or error})") from None
        try:
            width, height, count, digest = _copy_frames(process, target, stream)
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        said = log.read().decode("utf-8", "replace")
    if count == 0:
        cause = first_cause(said)
        raise NvcError(f"{source.path}: no frames can be read from it" + (f" ({cause})" if cause else ""))
    return Clip(
        source.name,
        width,
        height,
        count,
        f"{stream.frame_rate.numerator}/{stream.frame_rate.denominator}",
        source.path.name,
        source.sha256,
        digest,
        stream.matrix,
        stream.full_range,
        notes,
    )


def _expand(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
            if not inside:
                raise UsageError(f"{path}: no video files in this folder")
            yield from inside
        elif path.is_file():
            yield path
        else:
            raise UsageError(f"{path}: no such file")


class _HashCache:
    """SHA-256 of files, remembered by path, size and modification time, so that large sets are read once."""

    def __init__(self, folder: Path | None) -> None:
        self.path = folder / HASHES_FILE if folder else None
        self.known: dict[str, str] = {}
        self.changed = False
        if self.path and self.path.is_file():
            try:
                stored = json.loads(self.path.read_text())
                self.known = {k: v for k, v in stored.items() if re.fullmatch(r"[0-9a-f]{64}", v)}
            except (OSError, ValueError, AttributeError, TypeError):
                self.known = {}  # only a cache

    def sha256(self, path: Path) -> str:
        try:
            about = path.stat()
            where = f"{path.resolve()}|{about.st_size}|{about.st_mtime_ns}"
            key = hashlib.sha256(os.fsencode(where)).hexdigest()
            if key not in self.known:
                with path.open("rb") as file:
                    self.known[key] = hashlib.file_digest(file, "sha256").hexdigest()
                self.changed = True
        except OSError as error:
            raise NvcError(f"{path}: cannot be read ({error.strerror or error})") from None
        return self.known[key]

    def save(self) -> None:
        if self.path and self.changed and self.path.parent.is_dir():
            write_atomic(self.path, json.dumps(self.known) + "\n")


def _probe(path: Path) -> Stream:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise NvcError(f"{path}: no video stream")
            video = container.streams.video[0]
            context = video.codec_context
            rate = video.average_rate or video.guessed_rate or video.base_rate
            name = str(context.format.name) if context.format else ""
            full = name.startswith("yuvj") or int(context.color_range or 0) == 2
            return Stream(name, Fraction(rate) if rate else Fraction(25), int(context.colorspace or 2), full)
    except av.error.FFmpegError as error:
        raise NvcError(f"{path}: cannot be read as video ({error.strerror})") from None


def _raw_stream(raw: RawGeometry) -> Stream:
    return Stream("yuv420p", raw.frame_rate, 2, False)


def _command(source: ClipSource, conditions: Conditions, pixel_format: str, ffmpeg: FFmpeg) -> list[str]:
    opening: list[str] = []
    if source.raw:
        raw = source.raw
        nbytes, picture = source.path.stat().st_size, frame_nbytes(raw.width, raw.height)
        if nbytes % picture:
            raise UsageError(
                f"{source.path}: {nbytes} bytes, a multiple of {picture} is needed for {raw.width}x{raw.height} frames"
            )
        opening = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", f"{raw.width}x{raw.height}"]
    limit = ["-frames:v", str(conditions.frames)] if conditions.frames is not None else []
    crop = ["-vf", f"crop={conditions.crop[0]}:{conditions.crop[1]}"] if conditions.crop else []
    return [
        *(ffmpeg.path, "-hide_banner", "-nostdin", "-loglevel", "warning", "-noautorotate", *opening),
        *("-i", str(source.path), "-map", "0:v:0", "-fps_mode", "passthrough", *limit, *crop),
        *("-pix_fmt", pixel_format, "-strict", "-1", "-f", "yuv4mpegpipe", "-"),
    ]


def _copy_frames(process: subprocess.Popen[bytes], target: Path, stream: Stream) -> tuple[int, int, int, str]:
    """Rewrite ffmpeg's y4m under our own header; (width, height, frames, SHA-256 of the planes)."""
    assert process.stdout is not None
    header = process.stdout.readline(1024).decode("ascii", "replace")
    size = re.match(r"YUV4MPEG2 W(\d{1,6}) H(\d{1,6}) ", header)
    if size is None:
        return 0, 0, 0, ""
    width, height = int(size[1]), int(size[2])
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise NvcError(f"{target.stem}: size {width}x{height}, sides of 1 to {MAX_SIDE} are allowed")
    picture, count, digest = frame_nbytes(width, height), 0, hashlib.sha256()
    try:
        with target.open("wb") as out:
            out.write(y4m_header(width, height, stream.frame_rate, stream.full_range))
            while process.stdout.readline(1024).startswith(b"FRAME"):
                planes = process.stdout.read(picture)
                if len(planes) < picture:
                    break
                digest.update(planes)
                out.write(b"FRAME\n" + planes)
                count += 1
    except OSError as error:
        raise NvcError(f"{target}: cannot be written ({error.strerror or error})") from None
    return width, height, count, digest.hexdigest()
