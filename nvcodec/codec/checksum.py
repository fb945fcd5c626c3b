# SPDX-License-Identifier: Apache-2.0
"""The checksum by which a decoder proves that it made the frames the encoder saw."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np

from nvcodec.media.types import Frame


def planes_crc32(frames: Iterable[Frame], crc: int = 0) -> int:
    """CRC-32 over Y, U, V of each frame in turn, rows from top to bottom (``CodedUnit.planes_crc32``).

    frames: display order, planes uint8; crc: value of the frames before these, to go on from. Returns 0 to 2^32 - 1.
    """
    for frame in frames:
        for plane in frame.planes:
            crc = zlib.crc32(np.ascontiguousarray(plane).data, crc)
    return crc
