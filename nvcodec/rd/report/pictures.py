# SPDX-License-Identifier: Apache-2.0
"""The few frames a page carries: chosen, bounded in number and size, as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvcodec.errors import NvcError
from nvcodec.rd.report.model import Report
from nvcodec.rd.schema import Point

MAX_FILE_NBYTES = 64 << 20  # of one picture on disk
MAX_PIXELS = 8192 * 4320
WEBP_QUALITY = 90  # high enough that what is seen are the codecs' own artefacts


@dataclass(frozen=True)
class PictureLimits:
    """frames: per clip. points: of one codec and clip. nbytes: of all pictures, shared evenly by the clips."""

    frames: int = 4
    points: int = 3
    nbytes: int = 24 << 20


def collect(report: Report, limits: PictureLimits) -> tuple[dict[str, Any], list[str]]:
    """Clip name -> pictures as the page's viewer takes them, and one line for each thing left out.

    Codecs take turns, so that a full page still has something of everyone. Pictures that cannot be read are left out
    with the reason; a page without pictures is fine.
    """
    clips: dict[str, Any] = {}
    notes: list[str] = []
    with_pictures = [name for name in sorted(report.clips) if _originals(report, name)]
    for name in with_pictures:
        clip, chosen = report.clips[name], _points(report, name, limits)
        frames = _common_frames(report, name, chosen, limits.frames)
        if not frames or not chosen:
            continue
        budget = limits.nbytes // len(with_pictures)
        sources: list[dict[str, Any]] = []
        for label, own, nbytes, files in [("original", False, 0, _originals(report, name)), *map(_source, chosen)]:
            try:
                images = {f: _data_uri(report.folder / files[f]) for f in frames}
            except NvcError as error:
                notes.append(str(error))
                if not sources:
                    break  # without its original a clip has nothing to be compared with
                continue
            budget -= sum(map(len, images.values()))
            if budget < 0:
                left = len(chosen) + 1 - len(sources)
                notes.append(f"{name}: {left} streams left out, pictures are limited to {limits.nbytes >> 20} MiB")
                break
            sources.append({"label": label, "own": own, "nbytes": nbytes, "images": images})
        if len(sources) > 1:
            clips[name] = {"width": clip.width, "height": clip.height, "frames": frames, "sources": sources}
    return clips, notes


def _source(chosen: tuple[str, bool, Point]) -> tuple[str, bool, int, dict[str, str]]:
    """(label, whether it is ours, bytes of the stream, frame -> picture)."""
    codec, own, point = chosen
    label = f"{codec} {point.quality.parameter} {point.quality.value:g}, {point.rate.kbps:.0f} kbit/s"
    return label, own, point.rate.nbytes, point.pictures


def _originals(report: Report, clip: str) -> dict[str, str]:
    """Frame -> picture of the source; any point's copy of the clip may name it."""
    found: dict[str, str] = {}
    for codec in report.codecs:
        for point in codec.curves[clip].points if clip in codec.curves else ():
            found.update(point.clip.originals)
    return found


def _points(report: Report, clip: str, limits: PictureLimits) -> list[tuple[str, bool, Point]]:
    """Codec label, whether it is ours, and point: spread over each codec's range, codecs taking turns."""
    turns = []
    for codec in report.codecs:
        points = [p for p in codec.curves[clip].points if p.pictures] if clip in codec.curves else []
        count = min(limits.points, len(points))
        # the middle of the range first: neither ruined nor perfect
        order = sorted(range(len(points)), key=lambda i: abs(i - (len(points) - 1) / 2))[:count]
        turns.append([(codec.label, codec.own, points[i]) for i in order])
    longest = max((len(t) for t in turns), default=0)
    return [turn[i] for i in range(longest) for turn in turns if i < len(turn)]


def _common_frames(report: Report, clip: str, chosen: list[tuple[str, bool, Point]], limit: int) -> list[str]:
    common = set(_originals(report, clip))
    for _, _, point in chosen:
        common &= set(point.pictures)
    frames = sorted((f for f in common if f.isdigit()), key=int)
    if len(frames) > limit > 0:
        frames = [frames[round(i * (len(frames) - 1) / max(1, limit - 1))] for i in range(limit)]
    return frames if limit > 0 else []


def _data_uri(path: Path) -> str:
    from PIL import Image, UnidentifiedImageError

    try:
        nbytes = path.stat().st_size
        if nbytes > MAX_FILE_NBYTES:
            raise NvcError(f"{path}: {nbytes} bytes, pictures may have {MAX_FILE_NBYTES}")
        with Image.open(path, formats=("PNG", "WEBP", "JPEG")) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise NvcError(f"{path}: {picture.width}x{picture.height}, pictures may have {MAX_PIXELS} pixels")
            out = io.BytesIO()
            picture.convert("RGB").save(out, "WEBP", quality=WEBP_QUALITY, method=4)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise NvcError(f"{path}: not a readable picture ({error})") from None
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode("ascii")
