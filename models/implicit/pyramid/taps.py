# SPDX-License-Identifier: Apache-2.0
"""Fitted filters as bytes: by how much the taps of each class differ from those of the model that ships.

    mask            u8, bit r: filters for range r of quality levels follow
    differences     adaptive binary code: ranges, then luma, U, V, then banks, then classes in order

A class is one bit, whether it was fitted (in the context of the class before), then its taps: zero or not, sign,
magnitude (unary up to 6, then exponential Golomb). A difference counts `QUANTUM` 256ths.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled
from nvcodec.entropy import binary
from nvcodec.errors import DamagedStreamError
from nvcodec.models.kernels.filters import CHROMA_TAPS, LUMA_TAPS
from nvcodec.models.kernels.restore import BANKS, CLASSES, RANGES
from nvcodec.models.transform import Filters, check_filters

QUANTUM = 4
COMPONENTS = 3
MAX_DIFFERENCE = 256  # of QUANTUM; from one bound of a tap to the other
MAX_NBYTES = 1 << 16
_UNARY, _WIDTH = 6, 9
_CONTEXTS = 2 + LUMA_TAPS + CHROMA_TAPS + _UNARY  # of one component


def write_filters(differences: tuple[np.ndarray, ...]) -> bytes:
    """Bytes of differences (RANGES, BANKS, CLASSES, taps) int32 of luma, U and V; b"" when all are 0."""
    mask = sum(1 << r for r in range(RANGES) if any(part[r].any() for part in differences))
    if not mask:
        return b""
    buffer = np.zeros(MAX_NBYTES, np.uint8)
    coder = binary.start_writing(buffer)
    _code(coder, buffer, mask, differences)
    return bytes([mask]) + binary.finish_writing(coder, buffer)


def read_filters(data: bytes, shipped: Filters) -> Filters:
    """The filters that bytes of `write_filters` make of those that ship. Raises DamagedStreamError."""
    if not data:
        return shipped
    if data[0] >> RANGES:
        raise DamagedStreamError(f"fitted filters for ranges {data[0]:#x}: there are {RANGES}")
    differences = no_differences()
    coder, buffer = binary.start_reading(data[1:])
    _code(coder, buffer, data[0], differences)
    filters = fitted_filters(shipped, differences)
    try:
        check_filters(filters)
    except ValueError as error:
        raise DamagedStreamError(f"fitted filters cannot be used ({error})") from error
    return filters


def no_differences() -> tuple[np.ndarray, ...]:
    """Differences of luma, U and V, all 0."""
    return tuple(np.zeros((RANGES, BANKS, CLASSES, taps), np.int32) for taps in (LUMA_TAPS, CHROMA_TAPS, CHROMA_TAPS))


def fitted_filters(shipped: Filters, differences: tuple[np.ndarray, ...]) -> Filters:
    """Filters that differ by so much from those that ship."""
    luma, u, v = (QUANTUM * part for part in differences)
    return Filters((shipped.luma + luma).astype(np.int16), (shipped.chroma + np.stack([u, v], axis=2)).astype(np.int16))


def _code(coder: np.ndarray, buffer: np.ndarray, mask: int, differences: tuple[np.ndarray, ...]) -> None:
    contexts = [binary.new_contexts(_CONTEXTS) for _ in range(COMPONENTS)]
    for r in range(RANGES):
        if mask >> r & 1:
            for part, component in zip(differences, contexts, strict=True):
                for bank in range(BANKS):
                    code_differences(coder, buffer, component, part[r, bank])


@compiled
def code_differences(coder, buffer, contexts, taps):
    """Write or read the differences of one bank, taps (CLASSES, n) int32."""
    before = 0
    for c in range(taps.shape[0]):
        fitted = 0
        for k in range(taps.shape[1]):
            fitted |= 1 if taps[c, k] != 0 else 0
        fitted = binary.code_bit(coder, buffer, contexts, before, fitted)
        before = fitted
        if not fitted:
            continue
        for k in range(taps.shape[1]):
            value = np.int64(taps[c, k])
            if not binary.code_bit(coder, buffer, contexts, 2 + k, 1 if value != 0 else 0):
                taps[c, k] = 0
                continue
            negative = binary.code_plain(coder, buffer, 1 if value < 0 else 0, 1)
            more, magnitude = abs(value) - 1, 0
            while magnitude < _UNARY:
                context = 2 + LUMA_TAPS + CHROMA_TAPS + magnitude
                if not binary.code_bit(coder, buffer, contexts, context, 1 if more > magnitude else 0):
                    break
                magnitude += 1
            if magnitude == _UNARY:
                magnitude += _exponential(coder, buffer, more - _UNARY)
            taps[c, k] = -(magnitude + 1) if negative else magnitude + 1


@compiled
def _exponential(coder, buffer, value):
    """A number below 2^`_WIDTH` as exponential Golomb code."""
    width = 0
    while width < _WIDTH and binary.code_plain(coder, buffer, 1 if value + 1 >= 2 << width else 0, 1):
        width += 1
    return (1 << width) + binary.code_plain(coder, buffer, (value + 1) & ((1 << width) - 1), width) - 1
