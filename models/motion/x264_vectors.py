# SPDX-License-Identifier: Apache-2.0
"""Block vectors from libx264, read back through the decoder's motion-vector side data.

x264 is a rate-distortion regularised quarter-pixel search in hand-tuned assembly; its vectors seed ours.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from nvcodec.errors import UnsupportedError

_OPTIONS = (
    "bframes=0:ref=1:weightp=0:scenecut=0:keyint=infinite:rc-lookahead=0:sync-lookahead=0:mbtree=0:no-psy=1:aq-mode=0"
)


class X264Search:
    """Motion of each luma plane towards the one before it, one at a time.

    height, width: of the planes, any size. ``search(luma)``: (H, W) uint8; returns (ceil(H/8), ceil(W/8), 2) int16,
    (x, y) in quarter pixels, so that x_t(p) is like x_{t-1}(p + mv / 4); zeros for the first plane. Blocks that x264
    coded without motion take the nearest known vector to their left, else zero. Raises UnsupportedError where PyAV was
    built without libx264.
    """

    def __init__(self, height: int, width: int, crf: int = 27, preset: str = "medium", threads: int = 1):
        self._size = (-(-height // 8), -(-width // 8))
        self._padded = (-(-height // 16) * 16, -(-width // 16) * 16)
        self._encoder = _encoder(self._padded[1], self._padded[0], crf, preset, threads)
        self._decoder = av.CodecContext.create("h264", "r")
        self._decoder.thread_count = 1  # threads would delay the answer
        self._decoder.options = {"flags2": "+export_mvs", "flags": "+low_delay"}
        self._count = 0

    def search(self, luma: np.ndarray) -> np.ndarray:
        """The vectors of the next plane."""
        height, width = self._padded
        picture = np.full((height * 3 // 2, width), 128, np.uint8)
        picture[:height] = np.pad(luma, ((0, height - luma.shape[0]), (0, width - luma.shape[1])), mode="edge")
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = self._count
        self._count += 1
        try:
            decoded = [f for packet in self._encoder.encode(frame) for f in self._decoder.decode(packet)]
        except av.error.FFmpegError as error:
            raise UnsupportedError(f"libx264 motion search failed: {error}") from error
        if len(decoded) != 1:
            raise UnsupportedError(f"libx264 motion search answered with {len(decoded)} pictures, 1 wanted")
        return _field(decoded[0], self._size)


def _encoder(width: int, height: int, crf: int, preset: str, threads: int) -> av.CodecContext:
    try:
        encoder = av.CodecContext.create("libx264", "w")
    except (ValueError, av.error.FFmpegError) as error:
        raise UnsupportedError("this PyAV has no libx264 to search motion with") from error
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.thread_count = threads
    encoder.options = {"preset": preset, "tune": "zerolatency", "crf": str(crf), "x264-params": _OPTIONS}
    return encoder


def _field(frame: av.VideoFrame, size: tuple[int, int]) -> np.ndarray:
    """The vectors of one decoded frame on the 8x8 grid."""
    rows, columns = size
    field = np.zeros((rows, columns, 2), np.int16)
    known = np.zeros((rows, columns), bool)
    side_data = frame.side_data.get("MOTION_VECTORS")
    if side_data is not None:
        vectors = side_data.to_ndarray()
        vectors = vectors[vectors["source"] < 0]
        width, height = vectors["w"].astype(int), vectors["h"].astype(int)
        left, top = (vectors["dst_x"] - width // 2) // 8, (vectors["dst_y"] - height // 2) // 8
        quarter = 4 / np.maximum(vectors["motion_scale"].astype(int), 1)
        motion = np.stack([np.rint(vectors["motion_x"] * quarter), np.rint(vectors["motion_y"] * quarter)], 1)
        for dy in range(2):  # partitions are 16 or 8 samples on a side
            for dx in range(2):
                inside = (height > 8 * dy) & (width > 8 * dx) & (top + dy < rows) & (left + dx < columns)
                field[top[inside] + dy, left[inside] + dx] = motion[inside]
                known[top[inside] + dy, left[inside] + dx] = True
    for column in range(1, columns):
        borrow = ~known[:, column] & known[:, column - 1]
        field[borrow, column] = field[borrow, column - 1]
        known[:, column] |= borrow
    return field
