# SPDX-License-Identifier: Apache-2.0
"""Small synthetic clips, and ways to make files of them that do not go through the code under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from nvcodec.media import Frame, VideoFormat


@pytest.fixture
def make_frames() -> Callable[..., list[Frame]]:
    """Noise frames of a format, one per pts; the same each time."""

    def make(video: VideoFormat, pts: Sequence[int], durations: Sequence[int] | None = None) -> list[Frame]:
        rng = np.random.default_rng(len(pts))
        shapes = ((video.height, video.width), video.chroma_size, video.chroma_size)
        return [
            Frame(*(rng.integers(0, 256, shape, np.uint8) for shape in shapes), when, (durations or [1] * len(pts))[i])
            for i, when in enumerate(pts)
        ]

    return make


def rgb_picture(width: int, height: int, number: int) -> np.ndarray:
    """(H, W, 3) uint8: smooth colour that moves with ``number``."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 3 + number * 8, y * 4, x + y + number * 5], axis=-1).astype(np.uint8)


@pytest.fixture
def encode_clip(tmp_path: Path) -> Callable[..., Path]:
    """Encode with PyAV alone: file name, encoder, pixel format, then what the encoder context should say."""

    def encode(
        name: str,
        codec: str,
        pixel_format: str = "yuv420p",
        *,
        count: int = 5,
        size: tuple[int, int] = (64, 48),
        container: str | None = None,
        options: dict[str, str] | None = None,
        rotation: int = 0,
        container_options: dict[str, str] | None = None,
        **context: Any,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w", format=container, container_options=container_options) as out:
            stream = out.add_stream(codec, rate=25, options=options or {})
            stream.width, stream.height = size
            stream.pix_fmt = pixel_format
            stream.codec_context.time_base = Fraction(1, 25)
            for key, value in context.items():
                setattr(stream.codec_context, key, value)
            if rotation:
                stream.set_display_rotation(-rotation)
            for number in range(count):
                picture = av.VideoFrame.from_ndarray(rgb_picture(*size, number), "rgb24").reformat(format=pixel_format)
                picture.pts = number
                out.mux(stream.encode(picture))
            out.mux(stream.encode(None))
        return path

    return encode


@pytest.fixture
def decode_planes() -> Callable[..., list[list[np.ndarray]]]:
    """The planes as PyAV itself decodes them, 8-bit planar formats only."""

    def decode(path: Path, limit: int = 1000) -> list[list[np.ndarray]]:
        decoded = []
        with av.open(str(path)) as container:
            for picture in container.decode(video=0):
                decoded.append(
                    [
                        np.frombuffer(plane, np.uint8)
                        .reshape(-1, plane.line_size)[: plane.height, : plane.width]
                        .copy()
                        for plane in picture.planes
                    ]
                )
                if len(decoded) == limit:
                    break
        return decoded

    return decode
