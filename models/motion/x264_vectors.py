# SPDX-License-Identifier: Apache-2.0
"""Block vectors from libx264, read back through the decoder's motion-vector side data.

x264 is a rate-distortion regularised quarter-pixel search in hand-tuned assembly; its vectors seed ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import numpy as np

from nvcodec.errors import UnsupportedError

_OPTIONS = "bframes=0:ref=1:weightp=0:scenecut=0:keyint=infinite:rc-lookahead=0:sync-lookahead=0:mbtree=0:no-psy=1:aq-mode=0"


def luma_vectors(lumas: Iterable[np.ndarray], crf: int = 27, preset: str = "medium", threads: int = 1) -> Iterator[np.ndarray]:
    """Motion of each luma plane after the first towards the one before it.

    lumas: (H, W) uint8, all of one size. Yields (ceil(H/8), ceil(W/8), 2) int16, (x, y) in quarter pixels, so that
    x_t(p) is like x_{t-1}(p + mv / 4); blocks that x264 coded without motion take the nearest known vector to their
    left, else zero. Raises UnsupportedError where PyAV was built without libx264.
    """
    encoder = decoder = None
    fields: list[np.ndarray] = []
    size = (0, 0)
    try:
        for count, luma in enumerate(lumas):
            height, width = luma.shape
            padded_height, padded_width = -(-height // 16) * 16, -(-width // 16) * 16
            if encoder is None:
                size = (-(-height // 8), -(-width // 8))
                encoder = _encoder(padded_width, padded_height, crf, preset, threads)
                decoder = av.CodecContext.create("h264", "r")
                decoder.thread_count = 1
                decoder.options = {"flags2": "+export_mvs"}
            picture = np.full((padded_height * 3 // 2, padded_width), 128, np.uint8)
            picture[:padded_height] = np.pad(
                luma, ((0, padded_height - height), (0, padded_width - width)), mode="edge"
            )
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts = count
            for packet in encoder.encode(frame):
                fields += [_field(f, size) for f in decoder.decode(packet)]
            while fields and count:
                field = fields.pop(0)
                if field is not None:
                    yield field
        if encoder is None:
            return
        for packet in encoder.encode(None):
            fields += [_field(f, size) for f in decoder.decode(packet)]
        fields += [_field(f, size) for f in decoder.decode(None)]
        yield from (field for field in fields if field is not None)
    except av.error.FFmpegError as error:
        raise UnsupportedError(f"libx264 motion search failed: {error}") from error


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


def _field(frame: av.VideoFrame, size: tuple[int, int]) -> np.ndarray | None:
    """The vectors of one decoded frame on the 8x8 grid; None for an intra frame."""
    if frame.pict_type == av.video.frame.PictureType.I:
        return None
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
