# SPDX-License-Identifier: Apache-2.0
"""Errors of the operating system and of FFmpeg as one line of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nvcodec.errors import NvcError


def one_line(exc: BaseException) -> str:
    """What went wrong, without path, error number or line breaks."""
    text = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return " ".join(str(text).split())


@contextmanager
def reported(name: str, doing: str) -> Iterator[None]:
    """Turn errors of PyAV and the operating system inside the block into ``NvcError("name: doing: why")``."""
    try:
        yield
    except NvcError:
        raise
    except BrokenPipeError as exc:
        raise NvcError(f"{name}: {doing}: closed by the other side") from exc
    except MemoryError as exc:
        raise NvcError(f"{name}: {doing}: out of memory") from exc
    except (OSError, ValueError, EOFError) as exc:
        raise NvcError(f"{name}: {doing}: {one_line(exc)}") from exc
    except Exception as exc:
        # PyAV's base class is no OSError; it is only present once av has been imported.
        if type(exc).__module__.startswith("av."):
            raise NvcError(f"{name}: {doing}: {one_line(exc)}") from exc
        raise
