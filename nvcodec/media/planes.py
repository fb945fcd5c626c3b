# SPDX-License-Identifier: Apache-2.0
"""Copies between PyAV's padded picture buffers and our contiguous planes; sample values are never touched."""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np

from nvcodec.errors import UnsupportedError, UsageError
from nvcodec.media.layout import plane_shapes
from nvcodec.media.types import Frame, VideoFormat


def read_plane(plane: av.video.plane.VideoPlane, rows: int, row_nbytes: int) -> np.ndarray:
    """Contiguous copy, (rows, row_nbytes) uint8, without the padding at the end of each line."""
    stride = plane.line_size
    if stride < row_nbytes:
        raise UnsupportedError(f"picture buffer with a line size of {stride} bytes where {row_nbytes} are needed")
    padded = np.frombuffer(memoryview(plane), dtype=np.uint8)
    # The last line of a buffer may lack its padding, so a plain reshape could fail.
    return np.lib.stride_tricks.as_strided(padded, (rows, row_nbytes), (stride, 1), writeable=False).copy()


def write_plane(plane: av.video.plane.VideoPlane, samples: np.ndarray) -> None:
    """Fill a picture buffer from (rows, row_nbytes) uint8."""
    rows, row_nbytes = samples.shape
    padded = np.frombuffer(memoryview(plane), dtype=np.uint8)
    np.lib.stride_tricks.as_strided(padded, (rows, row_nbytes), (plane.line_size, 1), writeable=True)[:] = samples


def picture_from_bytes(pixel_format: str, width: int, height: int, packed: bytes | bytearray) -> av.VideoFrame:
    """A PyAV frame from the unpadded planes of one picture in one of the raw layouts."""
    picture = av.VideoFrame(width, height, pixel_format)
    samples = np.frombuffer(packed, dtype=np.uint8)
    offset = 0
    for plane, (rows, row_nbytes) in zip(picture.planes, plane_shapes(pixel_format, width, height), strict=True):
        write_plane(plane, samples[offset : offset + rows * row_nbytes].reshape(rows, row_nbytes))
        offset += rows * row_nbytes
    return picture


def frame_from_bytes(width: int, height: int, packed: bytes | bytearray) -> Frame:
    """Frame over the planes of one yuv420p picture (no copy when ``packed`` is writable)."""
    samples = np.frombuffer(packed, dtype=np.uint8)
    (rows, columns), (chroma_rows, chroma_columns), _ = plane_shapes("yuv420p", width, height)
    chroma = samples[rows * columns :].reshape(2, chroma_rows, chroma_columns)
    return Frame(samples[: rows * columns].reshape(rows, columns), chroma[0], chroma[1])


def check_frame(frame: Frame, video: VideoFormat) -> None:
    """Raise UsageError unless the planes of ``frame`` are uint8 of the sizes ``video`` says."""
    wanted: Sequence[tuple[int, int]] = ((video.height, video.width), video.chroma_size, video.chroma_size)
    for letter, plane, shape in zip("YUV", frame.planes, wanted, strict=True):
        if plane.shape != shape or plane.dtype != np.uint8:
            raise UsageError(f"plane {letter} is {plane.shape} {plane.dtype}; {shape} uint8 is needed")


def picture_from_frame(frame: Frame, video: VideoFormat) -> av.VideoFrame:
    """A PyAV yuv420p frame with the colour description and times of ``video``."""
    picture = av.VideoFrame(video.width, video.height, "yuv420p")
    for plane, samples in zip(picture.planes, frame.planes, strict=True):
        write_plane(plane, samples)
    picture.color_range = 2 if video.colour.full_range else 1
    picture.colorspace = video.colour.matrix
    picture.color_primaries = video.colour.primaries
    picture.color_trc = video.colour.transfer
    picture.pts = frame.pts
    picture.time_base = video.time_base
    picture.duration = frame.duration
    return picture
