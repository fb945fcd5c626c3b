# SPDX-License-Identifier: Apache-2.0
"""Adaptive binary range coder in compiled integer arithmetic: for decisions that depend on the one before.

One coder is an int64 array of `CODER_SIZE` numbers and a byte buffer; one context is a row of two 16-bit probabilities
that a bit is 0, one that learns fast and one that learns slowly. All functions are compiled and also work when called
from compiled code; the same function writes and reads.

The range coder is the carry-propagating one of LZMA (32-bit range, bytes out); the two-speed mean of estimates follows
VVC (ITU-T H.266, 9.3.4.3.2), with shifts of 4 and 7 and no state machine.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled

LOW, RANGE, CACHE, PENDING, POSITION, READING, CODE, END = range(8)
CODER_SIZE = 8
FAST, SLOW = 4, 7
HALF = 1 << 15
_TOP = 1 << 24
_PROBABILITY_BITS = 15
_LEAST, _MOST = 64, (1 << _PROBABILITY_BITS) - 64


def new_contexts(count: int) -> np.ndarray:
    """(count, 2) int32 contexts that expect nothing."""
    return np.full((count, 2), HALF, np.int32)


def start_writing(buffer: np.ndarray) -> np.ndarray:
    """A coder that writes into ``buffer`` (uint8; it must be large enough: the caller knows how many bits it codes)."""
    coder = np.zeros(CODER_SIZE, np.int64)
    coder[RANGE], coder[END] = 0xFFFFFFFF, len(buffer)
    coder[PENDING] = 1
    return coder


def start_reading(payload: bytes) -> tuple[np.ndarray, np.ndarray]:
    """A coder that reads, and the buffer it reads from; beyond the end it reads zeros."""
    coder, buffer = np.zeros(CODER_SIZE, np.int64), np.frombuffer(payload, np.uint8).copy()
    coder[RANGE], coder[END], coder[READING] = 0xFFFFFFFF, len(buffer), 1
    for _ in range(4):
        coder[CODE] = (coder[CODE] << 8) | next_byte(coder, buffer)
    return coder, buffer


def finish_writing(coder: np.ndarray, buffer: np.ndarray) -> bytes:
    """Everything written but the first byte, which is always zero; trailing zero bytes are left out, too, since a
    reader finds zeros there anyway.

    Raises ValueError when the buffer was too small.
    """
    for _ in range(5):
        _shift_low(coder, buffer)
    if coder[POSITION] > len(buffer):
        raise ValueError(f"{coder[POSITION]} bytes written into a buffer of {len(buffer)}")
    return buffer[1 : int(coder[POSITION])].tobytes().rstrip(b"\0")


@compiled
def next_byte(coder, buffer):
    """The next byte to read."""
    position = coder[POSITION]
    coder[POSITION] = position + 1
    return np.int64(buffer[position]) if position < coder[END] else np.int64(0)


@compiled
def _put(coder, buffer, value):
    position = coder[POSITION]
    if position < coder[END]:
        buffer[position] = value & 0xFF
    coder[POSITION] = position + 1


@compiled
def _shift_low(coder, buffer):
    low = coder[LOW]
    if low < 0xFF000000 or low > 0xFFFFFFFF:
        carry = low >> 32
        if coder[PENDING] > 0:
            _put(coder, buffer, coder[CACHE] + carry)
            for _ in range(coder[PENDING] - 1):
                _put(coder, buffer, 0xFF + carry)
        coder[PENDING] = 0
        coder[CACHE] = (low >> 24) & 0xFF
    coder[PENDING] += 1
    coder[LOW] = (low & 0x00FFFFFF) << 8


@compiled
def code_bit(coder, buffer, contexts, context, bit):
    """Write ``bit`` (0 or 1) or read it, in one context, which learns from it; returns it."""
    fast, slow = contexts[context, 0], contexts[context, 1]
    p = min(max((fast + slow) >> 2, _LEAST), _MOST)
    bound = (coder[RANGE] >> _PROBABILITY_BITS) * p
    if coder[READING]:
        bit = 0 if coder[CODE] < bound else 1
    if bit == 0:
        coder[RANGE] = bound
        contexts[context, 0] = fast + ((65535 - fast) >> FAST)
        contexts[context, 1] = slow + ((65535 - slow) >> SLOW)
    else:
        coder[RANGE] -= bound
        if coder[READING]:
            coder[CODE] -= bound
        else:
            coder[LOW] += bound
        contexts[context, 0] = fast - (fast >> FAST)
        contexts[context, 1] = slow - (slow >> SLOW)
    while coder[RANGE] < _TOP:
        coder[RANGE] = (coder[RANGE] << 8) & 0xFFFFFFFF
        if coder[READING]:
            coder[CODE] = ((coder[CODE] << 8) | next_byte(coder, buffer)) & 0xFFFFFFFF
        else:
            _shift_low(coder, buffer)
    return bit


@compiled
def code_plain(coder, buffer, value, width):
    """Write or read ``width`` equiprobable bits (at most 16), the highest first; returns the value."""
    result = 0
    for place in range(width - 1, -1, -1):
        coder[RANGE] >>= 1
        if coder[READING]:
            bit = 1 if coder[CODE] >= coder[RANGE] else 0
            if bit:
                coder[CODE] -= coder[RANGE]
        else:
            bit = (value >> place) & 1
            if bit:
                coder[LOW] += coder[RANGE]
        result = (result << 1) | bit
        while coder[RANGE] < _TOP:
            coder[RANGE] = (coder[RANGE] << 8) & 0xFFFFFFFF
            if coder[READING]:
                coder[CODE] = ((coder[CODE] << 8) | next_byte(coder, buffer)) & 0xFFFFFFFF
            else:
                _shift_low(coder, buffer)
    return result
