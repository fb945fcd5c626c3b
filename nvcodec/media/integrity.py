# SPDX-License-Identifier: Apache-2.0
"""Damage that FFmpeg repairs or skips without telling its caller."""

from __future__ import annotations

import zlib
from fractions import Fraction

import numpy as np

_SEGMENT_ID = b"\x18\x53\x80\x67"
_EBML_ID = b"\x1a\x45\xdf\xa3"
_REVERSED_BITS = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], np.uint8)


def matroska_nbytes(head: bytes) -> int | None:
    """Length a Matroska or WebM file must have by its own header; None where that is left open or it is neither."""
    if not head.startswith(_EBML_ID):
        return None
    size, after = _ebml_size(head, 4)
    start = after + (size or 0)
    if size is None or head[start : start + 4] != _SEGMENT_ID:
        return None
    size, after = _ebml_size(head, start + 4)
    return None if size is None else after + size


def _ebml_size(head: bytes, at: int) -> tuple[int | None, int]:
    """(element size, where its content begins); None for an unknown size (RFC 8794, section 6.2)."""
    if at >= len(head) or not head[at]:
        return None, at
    length = 9 - head[at].bit_length()
    if at + length > len(head):
        return None, at
    value = int.from_bytes(head[at : at + length], "big") & ((1 << 7 * length) - 1)
    return (None if value == (1 << 7 * length) - 1 else value), at + length


def announced_seconds(text: str) -> Fraction | None:
    """Seconds of a Matroska DURATION tag such as ``00:00:10.040000000``; None for anything else."""
    parts = text.split(":")
    try:
        hours, minutes, seconds = int(parts[0]), int(parts[1]), Fraction(parts[2])
    except (ValueError, IndexError, ZeroDivisionError):
        return None
    return hours * 3600 + minutes * 60 + seconds


class Ffv1Checksums:
    """Slice checksums of FFV1 version 3 (RFC 9043, section 4.9); the decoder hides slices that fail theirs.

    Whether a stream has them is told from its first packet, as the setting itself lies in range-coded data.
    """

    def __init__(self) -> None:
        self._present: bool | None = None

    def intact(self, packet: bytes) -> bool:
        """False when a checksum says that the packet has been altered."""
        intact = self._all_hold(packet)
        if self._present is None:
            self._present = intact
        return intact or not self._present

    @staticmethod
    def _all_hold(packet: bytes) -> bool:
        # From the back: each slice ends in its size (3 bytes), an error status (1) and its CRC (4).
        end = len(packet)
        while end > 0:
            if end < 8:
                return False
            size = int.from_bytes(packet[end - 8 : end - 5], "big") + 8
            if size > end:
                return False
            # This CRC runs from the top bit down and starts at 0: zlib's, over bytes with their bits reversed.
            reversed_bits = _REVERSED_BITS[np.frombuffer(packet, np.uint8, size, end - size)].tobytes()
            if zlib.crc32(reversed_bits, 0xFFFFFFFF) != 0xFFFFFFFF:
                return False
            end -= size
        return True
