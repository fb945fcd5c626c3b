# SPDX-License-Identifier: Apache-2.0
"""Where a stream is written: a file that appears when it is complete, a pipe, or a file object of the caller's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from nvcodec.media.failure import reported
from nvcodec.media.files import PendingFile, open_pipe

Target = str | os.PathLike[str] | BinaryIO


class Output(Protocol):
    """Takes bytes; ``commit`` keeps them, ``discard`` leaves nothing where that is possible."""

    def write(self, packed: bytes, /) -> int: ...

    def commit(self) -> None: ...

    def discard(self) -> None: ...


class _Given:
    """A binary file that somebody else opened and will close."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, packed: bytes, /) -> int:
        left = memoryview(packed)
        while left:  # a raw file may take only a part
            left = left[self._file.write(left) or 0 :]
        return len(packed)

    def commit(self) -> None:
        flush = getattr(self._file, "flush", None)
        if flush is not None:
            flush()

    def discard(self) -> None:
        pass


def target_name(target: Target) -> str:
    """How errors name the output."""
    if isinstance(target, str | os.PathLike):
        return "standard output" if os.fspath(target) == "-" else os.fspath(target)
    return str(getattr(target, "name", "output"))


def open_output(target: Target, overwrite: bool) -> Output:
    """A path (made under a temporary name in the same folder), ``-``, a named pipe, or a binary file.

    Raises NvcError for a place that cannot be written, or a file that exists without ``overwrite``.
    """
    if not isinstance(target, str | os.PathLike):
        return _Given(target)
    return open_pipe(os.fspath(target)) or PendingFile(Path(target), overwrite)


def checked_write(output: Output, name: str) -> Callable[[bytes], None]:
    """``output.write`` whose failures (disk full, broken pipe) are NvcError of one line."""

    def write(packed: bytes) -> None:
        with reported(name, "cannot be written"):
            output.write(packed)

    return write


def discard(output: Output, idle: bool) -> None:
    """Leave nothing of an output; ``idle``: no thread is still writing to it (to a pipe that nobody empties, say)."""
    if idle or isinstance(output, PendingFile):
        output.discard()
