# SPDX-License-Identifier: Apache-2.0
"""Lossless pictures of chosen frames, for a viewer beside the numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from nvcodec.errors import NvcError, UsageError
from nvcodec.metrics.rgb import rgb_from_planes
from nvcodec.rd.planes import PlanarVideo
from nvcodec.rd.schema import Clip

PICTURES_FOLDER = "pictures"
MAX_PICTURES = 1000


def parse_frames(text: str) -> tuple[int, int | None]:
    """ "8" -> eight frames spread over the clip (8, None); "10:20" -> frames 10 to 19 (10, 20)."""
    first, colon, last = text.partition(":")
    try:
        numbers = int(first), int(last) if colon else None
    except ValueError:
        raise UsageError(f"--pictures {text!r}: write a count such as 8 or a range such as 10:20") from None
    count = numbers[0] if numbers[1] is None else numbers[1] - numbers[0]
    if numbers[0] < 0 or not 0 < count <= MAX_PICTURES:
        raise UsageError(f"--pictures {text!r}: {count} frames, allowed is 1 to {MAX_PICTURES}")
    return numbers


def frames_of(clip: Clip, choice: tuple[int, int | None]) -> list[int]:
    """Frame indices of ``clip`` that the choice stands for."""
    first, last = choice
    if last is not None:
        return list(range(min(first, clip.frames - 1), min(last, clip.frames)))
    count = min(first, clip.frames)
    return sorted({round(i * (clip.frames - 1) / max(1, count - 1)) for i in range(count)})


def write_pictures(video: Path, clip: Clip, frames: Iterable[int], root: Path, folder: str) -> dict[str, str]:
    """Write frames as ``root/folder/0007.png``; frame index -> path relative to ``root``, in its stored form."""
    from PIL import Image

    target = root / folder
    written: dict[str, str] = {}
    try:
        target.mkdir(parents=True, exist_ok=True)
        with PlanarVideo(video) as planes:
            for index in frames:
                rgb = rgb_from_planes(*planes[index], matrix=clip.matrix, full_range=clip.full_range)
                path = target / f"{index:04d}.png"
                part = path.with_name(f".{path.name}.{os.getpid()}.part")
                try:
                    Image.fromarray(rgb).save(part, format="PNG")
                    os.replace(part, path)
                finally:
                    part.unlink(missing_ok=True)
                written[str(index)] = path.relative_to(root).as_posix()
    except OSError as error:
        raise NvcError(f"{target}: pictures cannot be written ({error.strerror or error})") from None
    return written
