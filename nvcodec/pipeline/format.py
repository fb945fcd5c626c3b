# SPDX-License-Identifier: Apache-2.0
"""Between the description of a video and the header of a stream."""

from __future__ import annotations

import numpy as np

from nvcodec.codec.protocol import ModelIdentity
from nvcodec.errors import UsageError
from nvcodec.media.types import Colour, Frame, VideoFormat
from nvcodec.stream import StreamHeader
from nvcodec.stream.limits import MAX_PIXELS

_FRAMES_IN_FLIGHT, _NBYTES_IN_FLIGHT = 8, 1 << 26


def stream_header(video: VideoFormat, codec_id: int, model: ModelIdentity | None, config: bytes) -> StreamHeader:
    """The header of a stream of this video; UnsupportedError for a picture that is too large, UsageError for values
    that cannot be stored."""
    if video.rotation not in (0, 90, 180, 270):
        raise UsageError(f"rotation is {video.rotation}; 0, 90, 180 or 270 degrees are allowed")
    colour = video.colour
    return StreamHeader(
        codec_id=codec_id,
        width=video.width,
        height=video.height,
        full_range=colour.full_range,
        matrix=colour.matrix,
        primaries=colour.primaries,
        transfer=colour.transfer,
        chroma_location=colour.chroma_location,
        quarter_turns=video.rotation // 90,
        sample_aspect_ratio=video.sample_aspect_ratio,
        time_base=video.time_base,
        frame_rate=video.frame_rate,
        model_name=model.name if model else "",
        model_sha256=model.sha256 if model else b"",
        config=config,
    )


def video_format(header: StreamHeader) -> VideoFormat:
    """The video a stream holds."""
    return VideoFormat(
        width=header.width,
        height=header.height,
        time_base=header.time_base,
        frame_rate=header.frame_rate,
        sample_aspect_ratio=header.sample_aspect_ratio,
        rotation=90 * header.quarter_turns,
        colour=Colour(
            full_range=header.full_range,
            matrix=header.matrix,
            primaries=header.primaries,
            transfer=header.transfer,
            chroma_location=header.chroma_location,
        ),
    )


def model_identity(header: StreamHeader) -> ModelIdentity | None:
    """The weights a stream needs; None where it needs none."""
    return ModelIdentity(header.model_name, header.model_sha256) if header.model_name else None


def frames_in_flight(video: VideoFormat) -> int:
    """How many frames may wait between two threads: 8, fewer of very large pictures."""
    assert video.width * video.height <= MAX_PIXELS
    return max(2, min(_FRAMES_IN_FLIGHT, _NBYTES_IN_FLIGHT // (video.width * video.height)))


def check_planes(frame: Frame, video: VideoFormat) -> str | None:
    """What is wrong with the planes of a frame, in words; None when nothing is."""
    sizes = ((video.height, video.width), video.chroma_size, video.chroma_size)
    for letter, plane, size in zip("YUV", frame.planes, sizes, strict=True):
        if not isinstance(plane, np.ndarray) or plane.shape != size or plane.dtype != np.uint8:
            kind = f"{plane.shape} {plane.dtype}" if isinstance(plane, np.ndarray) else type(plane).__name__
            return f"plane {letter} is {kind}; {size} uint8 is needed"
    return None
