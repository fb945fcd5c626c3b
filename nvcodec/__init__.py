# SPDX-License-Identifier: Apache-2.0
"""A neural video codec toolkit.

    import nvcodec

    nvcodec.encode("clip.mp4", "clip.nvc", quality=32)
    nvcodec.decode("clip.nvc", "clip.y4m", verify=True)
    print(nvcodec.probe("clip.nvc").bpp)

Importing this loads next to nothing; what is used is loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nvcodec.errors import DamagedStreamError, NvcError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from nvcodec.api import Decoder, Encoder, decode, encode, probe
    from nvcodec.codec.checksum import planes_crc32
    from nvcodec.codec.protocol import Codec, CodedUnit, EncodeSettings, ModelIdentity
    from nvcodec.codec.registry import codec_names, get_codec, register
    from nvcodec.media.types import Colour, Frame, RawGeometry, VideoFormat
    from nvcodec.pipeline.goal import Goal
    from nvcodec.pipeline.probe import StreamInfo
    from nvcodec.pipeline.report import DecodeReport, EncodeReport, Progress

__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(("Decoder", "Encoder", "decode", "encode", "probe"), "nvcodec.api"),
    **dict.fromkeys(("Codec", "CodedUnit", "EncodeSettings", "ModelIdentity"), "nvcodec.codec.protocol"),
    **dict.fromkeys(("codec_names", "get_codec", "register"), "nvcodec.codec.registry"),
    **dict.fromkeys(("Colour", "Frame", "RawGeometry", "VideoFormat"), "nvcodec.media.types"),
    **dict.fromkeys(("DecodeReport", "EncodeReport", "Progress"), "nvcodec.pipeline.report"),
    "Goal": "nvcodec.pipeline.goal",
    "StreamInfo": "nvcodec.pipeline.probe",
    "planes_crc32": "nvcodec.codec.checksum",
}

__all__ = [
    "Codec",
    "CodedUnit",
    "Colour",
    "DamagedStreamError",
    "DecodeReport",
    "Decoder",
    "EncodeReport",
    "EncodeSettings",
    "Encoder",
    "Frame",
    "Goal",
    "ModelIdentity",
    "NvcError",
    "Progress",
    "RawGeometry",
    "StreamInfo",
    "UnsupportedError",
    "UsageError",
    "VideoFormat",
    "__version__",
    "codec_names",
    "decode",
    "encode",
    "get_codec",
    "planes_crc32",
    "probe",
    "register",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
