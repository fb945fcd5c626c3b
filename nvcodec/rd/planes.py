# SPDX-License-Identifier: Apache-2.0
"""Decoded 8-bit 4:2:0 pictures in y4m files, mapped into memory frame by frame."""

from __future__ import annotations

import mmap
import re
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from nvcodec.errors import NvcError

MAX_HEADER_NBYTES = 1024
MAX_SIDE = 32768
_MARKER = b"FRAME"

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


def y4m_header(width: int, height: int, frame_rate: Fraction, full_range: bool) -> bytes:
    """The first line of a y4m file of 8-bit 4:2:0 frames."""
    colour_range = "FULL" if full_range else "LIMITED"
    rate = f"{frame_rate.numerator}:{frame_rate.denominator}"
    return f"YUV4MPEG2 W{width} H{height} F{rate} Ip A1:1 C420mpeg2 XCOLORRANGE={colour_range}\n".encode()


def frame_nbytes(width: int, height: int) -> int:
    """Bytes of one 8-bit 4:2:0 frame; odd sizes round chroma up."""
    return width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)


class PlanarVideo:
    """Read-only frames of a y4m file; a context manager.

    ``video[i]`` gives Y (H, W), U and V (ceil(H/2), ceil(W/2)), uint8 views into the mapped file. Raises NvcError for
    a file that is not 8-bit 4:2:0 y4m or that ends inside a frame.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._map: mmap.mmap | None = None
        try:
            with path.open("rb") as file:
                header = _read_header(file, path)
                self._start = len(header)
                nbytes = path.stat().st_size
                if nbytes > self._start:
                    self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise NvcError(f"{path}: cannot be read ({error.strerror or error})") from None
        self.width, self.height = _size(header, path)
        self._offsets = self._find_frames()

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index: int) -> Planes:
        assert self._map is not None
        half_width, half_height = (self.width + 1) // 2, (self.height + 1) // 2
        planes = []
        offset = self._offsets[index]
        for height, width in ((self.height, self.width), (half_height, half_width), (half_height, half_width)):
            plane = np.frombuffer(self._map, np.uint8, height * width, offset).reshape(height, width)
            planes.append(plane)
            offset += height * width
        return planes[0], planes[1], planes[2]

    def close(self) -> None:
        """Let go of the file once no view of it is in use."""
        if self._map is not None:
            try:
                self._map.close()
            except BufferError:  # a view is still alive; the map goes with it
                pass
            self._map = None

    def __enter__(self) -> PlanarVideo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _find_frames(self) -> list[int]:
        offsets: list[int] = []
        if self._map is None:
            return offsets
        position, end = self._start, len(self._map)
        picture = frame_nbytes(self.width, self.height)
        while position < end:
            line_end = self._map.find(b"\n", position, min(end, position + MAX_HEADER_NBYTES))
            if self._map[position : position + len(_MARKER)] != _MARKER or line_end < 0:
                raise NvcError(f"{self.path}: no frame marker at byte {position}")
            if line_end + 1 + picture > end:
                raise NvcError(f"{self.path}: ends inside frame {len(offsets)}")
            offsets.append(line_end + 1)
            position = line_end + 1 + picture
        return offsets


def _read_header(file: BinaryIO, path: Path) -> bytes:
    header = file.readline(MAX_HEADER_NBYTES)
    if not header.startswith(b"YUV4MPEG2 ") or not header.endswith(b"\n"):
        raise NvcError(f"{path}: not a y4m file")
    return header


def _size(header: bytes, path: Path) -> tuple[int, int]:
    text = header.decode("ascii", "replace")
    width, height = re.search(r" W(\d+)\b", text), re.search(r" H(\d+)\b", text)
    chroma = re.search(r" C(\S+)", text)
    if width is None or height is None:
        raise NvcError(f"{path}: y4m header without width and height")
    if chroma is not None and not re.fullmatch(r"420(jpeg|mpeg2|paldv)?", chroma.group(1)):
        raise NvcError(f"{path}: y4m samples are {chroma.group(1)}, 8-bit 4:2:0 is needed")
    w, h = int(width.group(1)), int(height.group(1))
    if not (0 < w <= MAX_SIDE and 0 < h <= MAX_SIDE):
        raise NvcError(f"{path}: size {w}x{h}, sides of 1 to {MAX_SIDE} are allowed")
    return w, h
