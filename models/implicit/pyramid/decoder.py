# SPDX-License-Identifier: Apache-2.0
"""Units of the flagship to frames: the conditional decoder with the filters that a keyframe brings."""

from __future__ import annotations

from dataclasses import replace

from nvcodec.errors import DamagedStreamError
from nvcodec.models.conditional.frame import Planes
from nvcodec.models.conditional.sequence import DecidedFrame, VideoDecoder
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.implicit.pyramid.taps import MAX_NBYTES, read_filters
from nvcodec.stream.fields import Blob, Cursor

FITTED = 0  # first byte of a keyframe's unit that brings filters; other units begin with how many frames they have

# what `read` leaves to `rebuild`
ReadUnit = tuple[VideoDecoder, list[DecidedFrame]]


class GopDecoder:
    """Decodes units in the order in which they were written: `read` may run ahead of `rebuild` in another thread."""

    def __init__(self, weights: Weights, height: int, width: int, threads: int):
        self._weights, self._size, self._threads = weights, (height, width), threads
        self._decoder: VideoDecoder | None = None

    def read(self, payload: bytes, keyframe: bool) -> ReadUnit:
        """Decisions and symbols of a unit. Raises DamagedStreamError for what cannot be."""
        filters, begin = split_unit(payload)
        if filters and not keyframe:
            raise DamagedStreamError("filters stand in a unit that is no keyframe's")
        if keyframe:
            self._decoder = None
            bases = replace(self._weights.bases, filters=read_filters(filters, self._weights.bases.filters))
            self._decoder = VideoDecoder(replace(self._weights, bases=bases), *self._size, threads=self._threads)
        if self._decoder is None:
            raise DamagedStreamError("a group of frames stands where a keyframe must")
        return self._decoder, self._decoder.read(payload[begin:], keyframe)

    @staticmethod
    def rebuild(unit: ReadUnit) -> list[Planes]:
        """Planes of the frames of a unit, in display order."""
        decoder, frames = unit
        return decoder.rebuild(frames)


def split_unit(payload: bytes) -> tuple[bytes, int]:
    """Fitted filters that a unit brings, and where the conditional codec's unit begins. Raises DamagedStreamError."""
    if not payload or payload[0] != FITTED:
        return b"", 0
    cursor = Cursor(payload, "a unit with fitted filters")
    cursor.take(1, "its mark")
    return Blob(MAX_NBYTES).read(cursor, "filters"), cursor.position
