# SPDX-License-Identifier: Apache-2.0
"""Symbols to bytes and back through CompressAI's rANS coder: one stream for each frame, several table sets in turn."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from types import ModuleType

import numpy as np

from nvcodec.entropy.tables import TableSet
from nvcodec.errors import DamagedStreamError


def _compressai_ans() -> ModuleType:
    """The extension module compressai.ans alone: its package would bring torchvision and seconds of start-up."""
    name = "compressai.ans"
    if name not in sys.modules:
        package = importlib.util.find_spec("compressai")
        places = package.submodule_search_locations if package else None
        spec = importlib.machinery.PathFinder.find_spec(name, places)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError("CompressAI's rANS coder (compressai.ans) is not installed", name=name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module  # so that a later import of the package uses this one
    return sys.modules[name]


_ans = _compressai_ans()
BufferedRansEncoder, RansDecoder = _ans.BufferedRansEncoder, _ans.RansDecoder

# The coder's state lies in [2^31, 2^63); the decoder pulls in 32-bit words and never looks at the end of its input. So
# a payload is looked at before (see `_check`), and zeros follow it, enough for the worst that it can ask for:
# - a symbol takes at most 16 bits, from a sound state: 2 bytes each;
# - an escape counts its nibbles in a run of nibbles, each of which can announce 15: 16 bytes for a byte of payload;
# - what follows is decoded from zeros, where an escape is a matter of chance, 2^-16 a symbol: half a byte is plenty.
_LEAST_STATE, _STATE_LIMIT = 1 << 31, 1 << 63
_GUARD_NBYTES = 1 << 16
_MAX_NBYTES_PER_SYMBOL = 8  # 16 bits, and 36 of the longest escape
_MAX_EXCESS = 1 << 26  # how far beyond its table a symbol may be: CompressAI's encoder loops for ever at 2^27

# CompressAI's encoder writes beyond its buffer when it holds one or two symbols only; these cost no bits and no bytes.
_PADDING = TableSet.from_pmfs([np.array([1.0])], [0])
_LEAST_COUNT = 4


class RansWriter:
    """Collects symbols in the order in which `RansReader` asks for them."""

    def __init__(self) -> None:
        self._encoder = BufferedRansEncoder()
        self.count = 0

    def code(self, values: np.ndarray, indices: np.ndarray, tables: TableSet) -> np.ndarray:
        """values: (n,) int; indices: (n,) table of each. Returns the values (as `RansReader.code` does)."""
        if len(values):
            if max(int(values.max()), -int(values.min())) > _MAX_EXCESS:
                raise ValueError(f"symbols from {values.min()} to {values.max()}: at most +-{_MAX_EXCESS}")
            rows, sizes, offsets, local = _subset(tables, indices)
            self._encoder.encode_with_indexes(values.tolist(), local.tolist(), rows, sizes, offsets)
            self.count += len(values)
        return values

    def finish(self) -> bytes:
        """The stream (empty when nothing was coded)."""
        if not self.count:
            return b""
        if self.count < _LEAST_COUNT:
            padding = np.zeros(_LEAST_COUNT, np.int64)
            self.code(padding, padding, _PADDING)
        return bytes(self._encoder.flush())


class RansReader:
    """Returns the symbols of a stream, given the same indices and tables in the same order."""

    def __init__(self, payload: bytes, max_symbols: int):
        """max_symbols: bound on what will be asked for, known from the picture's size.

        Raises DamagedStreamError for what no writer can have made of so many symbols.
        """
        self._nbytes = len(payload)
        self._left = max_symbols
        self._decoder = RansDecoder() if payload else None
        if self._decoder is not None:
            _check(payload, max_symbols)
            self._decoder.set_stream(payload + bytes(guard_nbytes(len(payload), max_symbols)))

    def code(self, values: object, indices: np.ndarray, tables: TableSet) -> np.ndarray:
        """indices: (n,) table of each symbol; ``values`` is ignored. Returns (n,) int64."""
        if not len(indices):
            return np.zeros(0, np.int64)
        self._left -= len(indices)
        if self._decoder is None or self._left < 0:
            raise DamagedStreamError(f"a frame's payload of {self._nbytes} bytes ends before its symbols do")
        rows, sizes, offsets, local = _subset(tables, indices)
        return np.array(self._decoder.decode_stream(local.tolist(), rows, sizes, offsets), np.int64)


def guard_nbytes(payload_nbytes: int, max_symbols: int) -> int:
    """How many zeros must follow a payload (see above)."""
    return _GUARD_NBYTES + 16 * payload_nbytes + max_symbols * 5 // 2


def _check(payload: bytes, max_symbols: int) -> None:
    nbytes, most = len(payload), 16 + _MAX_NBYTES_PER_SYMBOL * max(max_symbols, _LEAST_COUNT)
    if nbytes % 4 or not 8 <= nbytes <= most:
        raise DamagedStreamError(f"a frame's payload has {nbytes} bytes of symbols: 8 to {most} in steps of 4")
    state = int.from_bytes(payload[:8], "little")
    if not _LEAST_STATE <= state < _STATE_LIMIT:
        raise DamagedStreamError(f"a frame's symbols begin with {state:#x}: {_LEAST_STATE:#x} to {_STATE_LIMIT - 1:#x}")


def _subset(tables: TableSet, indices: np.ndarray) -> tuple[list[list[int]], list[int], list[int], np.ndarray]:
    """The tables in use, as the coder takes them, and each symbol's place among them (converting all would cost more
    than coding)."""
    used = np.flatnonzero(np.bincount(indices, minlength=len(tables)))
    place = np.zeros(len(tables), np.int64)
    place[used] = np.arange(len(used))
    rows = tables.rows
    return [rows[i] for i in used], tables.sizes[used].tolist(), tables.offsets[used].tolist(), place[indices]
