# SPDX-License-Identifier: Apache-2.0
"""Video files, pipes and pictures as 8-bit 4:2:0 frames, read and written through PyAV.

``open_source`` reads anything PyAV reads, ``open_sink`` writes by suffix; both stream, so that memory does not grow
with the length of the video. PyAV is imported when the first of them is called, not before.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nvcodec.media.sink import OUTPUT_SUFFIXES, open_sink
    from nvcodec.media.source import open_source
    from nvcodec.media.types import Colour, Frame, FrameSink, FrameSource, RawGeometry, VideoFormat

_HOMES = {
    "Colour": "types",
    "Frame": "types",
    "FrameSink": "types",
    "FrameSource": "types",
    "OUTPUT_SUFFIXES": "sink",
    "RawGeometry": "types",
    "VideoFormat": "types",
    "open_sink": "sink",
    "open_source": "source",
}

__all__ = [
    "OUTPUT_SUFFIXES",
    "Colour",
    "Frame",
    "FrameSink",
    "FrameSource",
    "RawGeometry",
    "VideoFormat",
    "open_sink",
    "open_source",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
