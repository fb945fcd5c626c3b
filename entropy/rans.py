# SPDX-License-Identifier: Apache-2.0
"""Symbols to bytes and back through CompressAI's rANS coder: one stream for each frame, several table sets in turn."""

from __future__ import annotations

import numpy as np
from compressai.ans import BufferedRansEncoder, RansDecoder

from nvcodec.entropy.tables import TableSet
from nvcodec.errors import DamagedStreamError

# The decoder reads on without looking at the end; a damaged payload must find zeros there, not foreign memory.
_GUARD_NBYTES_PER_SYMBOL = 8


class RansWriter:
    """Collects symbols in the order in which `RansReader` asks for them."""

    def __init__(self) -> None:
        self._encoder = BufferedRansEncoder()
        self.bits = 0.0  # information content under the tables, kept when asked for
        self.count = 0

    def code(self, values: np.ndarray, indices: np.ndarray, tables: TableSet) -> np.ndarray:
        """values: (n,) int; indices: (n,) table of each. Returns the values (as `RansReader.code` does)."""
        if len(values):
            used, local = np.unique(indices, return_inverse=True)
            rows, sizes, offsets = _subset(tables, used)
            self._encoder.encode_with_indexes(values.tolist(), local.tolist(), rows, sizes, offsets)
            self.count += len(values)
        return values

    def finish(self) -> bytes:
        """The stream (empty when nothing was coded)."""
        return bytes(self._encoder.flush()) if self.count else b""


class RansReader:
    """Returns the symbols of a stream, given the same indices and tables in the same order."""

    def __init__(self, payload: bytes, max_symbols: int):
        """max_symbols: bound on what will be asked for, known from the picture's size."""
        self._nbytes = len(payload)
        self._left = max_symbols
        self._decoder = RansDecoder() if payload else None
        if self._decoder is not None:
            guard = min(_GUARD_NBYTES_PER_SYMBOL * max_symbols, 1 << 16)
            self._decoder.set_stream(payload + bytes(guard))

    def code(self, values: object, indices: np.ndarray, tables: TableSet) -> np.ndarray:
        """indices: (n,) table of each symbol; ``values`` is ignored. Returns (n,) int64."""
        if not len(indices):
            return np.zeros(0, np.int64)
        self._left -= len(indices)
        if self._decoder is None or self._left < 0:
            raise DamagedStreamError(f"a frame's payload of {self._nbytes} bytes ends before its symbols do")
        used, local = np.unique(indices, return_inverse=True)
        rows, sizes, offsets = _subset(tables, used)
        return np.array(self._decoder.decode_stream(local.tolist(), rows, sizes, offsets), np.int64)


def _subset(tables: TableSet, used: np.ndarray) -> tuple[list[list[int]], list[int], list[int]]:
    rows = tables.rows
    return [rows[i] for i in used], tables.sizes[used].tolist(), tables.offsets[used].tolist()
