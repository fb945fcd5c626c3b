# SPDX-License-Identifier: Apache-2.0
"""The decorator of compiled integer loops: Numba, without the interpreter's lock, kept on disk.

Numba looks only at a function's own file to tell whether what it kept is still true, but code of one file is compiled
into callers in others. So compiled code is kept in a folder named after all sources together: in the user's cache
folder (or NUMBA_CACHE_DIR), or in a temporary one where that cannot be written.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numba import config, njit

# Casts an index that is never negative. Without it Numba asks of each whether it counts from the end, and what it makes
# of loops around sums of indices are not vector instructions.
place = np.uint64

_SOURCES = ("entropy/binary.py", "entropy/mixing.py", "models/kernels", "models/transform.py")


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """``@compiled`` or ``@compiled(fastmath=True)``."""
    if function is None:
        return lambda f: compiled(f, **options)
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder())
    try:
        return njit(cache=True, nogil=True, **options)(function)
    finally:
        config.CACHE_DIR = before


@cache
def folder() -> Path:
    """Where compiled code of these sources is kept."""
    total = hashlib.sha256()
    for path in sources():
        total.update(path.read_bytes())
    name = f"kernels-{total.hexdigest()[:16]}"
    base = Path(config.CACHE_DIR) if config.CACHE_DIR else _user_cache() / "nvc"
    try:
        (base / name).mkdir(parents=True, exist_ok=True)
        if os.access(base / name, os.W_OK):
            return base / name
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="nvc-kernels-"))


def sources() -> list[Path]:
    """The files that hold compiled functions."""
    import nvcodec.entropy
    import nvcodec.models

    roots = {"entropy": nvcodec.entropy.__path__[0], "models": nvcodec.models.__path__[0]}
    found = []
    for entry in _SOURCES:
        top, _, rest = entry.partition("/")
        path = Path(roots[top]) / rest
        found += sorted(path.glob("*.py")) if path.is_dir() else [path]
    return found


def announce() -> None:
    """Say so when the first use on this machine will take longer, as far as the disk shows."""
    if not any(folder().rglob("*.nbi")):
        logging.getLogger("nvcodec").info("compiling for this processor: one to two minutes, only this time")


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
