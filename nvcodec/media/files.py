# SPDX-License-Identifier: Apache-2.0
"""Output files that appear under their name only when they are complete."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from nvcodec.errors import NvcError
from nvcodec.media.failure import one_line, reported


def temporary_beside(target: Path) -> Path:
    """A name in the folder of ``target`` that nothing has yet."""
    return target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")


def check_target(target: Path, overwrite: bool) -> None:
    """Raise NvcError unless a file may be made at ``target``."""
    with reported(str(target), "cannot be written"):
        if target.is_dir():
            raise NvcError(f"{target}: is a folder; a file name is needed")
        if target.exists() and not overwrite:
            raise NvcError(f"{target}: exists already; allow overwriting (-y) or choose another name")
        if not target.parent.is_dir():
            raise NvcError(f"{target}: cannot be written: no folder {target.parent}")


class PendingFile:
    """A file written under a temporary name beside its target; ``commit`` renames it, ``discard`` removes it.

    Serves as the file object PyAV writes to. The first error stays in ``error``, because FFmpeg does not pass on all
    that goes wrong while it flushes.
    """

    def __init__(self, target: Path, overwrite: bool) -> None:
        check_target(target, overwrite)
        self.target, self._overwrite = target, overwrite
        self._temporary = temporary_beside(target)
        self.error: OSError | None = None
        with reported(str(target), "cannot be written"):
            self._file: BinaryIO = self._temporary.open("xb")

    def write(self, packed: bytes | bytearray | memoryview) -> int:
        try:
            return self._file.write(packed)
        except OSError as exc:
            self.error = self.error or exc
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def commit(self) -> None:
        """Make the file appear under its name; NvcError, and nothing left, when a byte of it could not be written."""
        try:
            if self.error is not None:
                raise NvcError(f"{self.target}: cannot be written: {one_line(self.error)}") from self.error
            with reported(str(self.target), "cannot be written"):
                self._file.close()
                check_target(self.target, self._overwrite)
                os.replace(self._temporary, self.target)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove what has been written; safe to call again."""
        try:
            self._file.close()
        except OSError:
            pass  # a full disk shows once more when buffers are flushed
        self._temporary.unlink(missing_ok=True)


class PipeFile:
    """Standard output or another pipe: bytes are gone as they are written, nothing is renamed or removed."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self._name, self._stream = name, stream

    def write(self, packed: bytes | bytearray | memoryview) -> int:
        view = memoryview(packed).cast("B")
        left = view
        while left:  # an unbuffered pipe may take only a part
            left = left[self._stream.write(left) or 0 :]
        return len(view)

    def commit(self) -> None:
        with reported(self._name, "cannot be written"):
            self._stream.flush()
            if self._stream is not sys.stdout.buffer:
                self._stream.close()

    def discard(self) -> None:
        if self._stream is not sys.stdout.buffer:
            try:
                self._stream.close()
            except OSError:
                pass


def open_pipe(text: str) -> PipeFile | None:
    """``-`` and what exists but is no regular file or folder (a named pipe, /dev/null); None for everything else."""
    if text == "-":
        return PipeFile("standard output", sys.stdout.buffer)
    with reported(text, "cannot be written"):
        try:
            mode = os.stat(text).st_mode
        except FileNotFoundError:
            return None
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return None
        return PipeFile(text, open(text, "wb"))
