# SPDX-License-Identifier: Apache-2.0
"""Keep freed memory in the process: a coder allocates the same feature maps for every frame."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory(nbytes: int = 1 << 30) -> None:
    """Ask glibc not to hand blocks below ``nbytes`` back to the kernel, which would clear them anew at every use.

    Without effect on other C libraries.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
        mallopt(parameter, min(nbytes, 2**31 - 1))
