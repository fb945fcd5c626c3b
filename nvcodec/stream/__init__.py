# SPDX-License-Identifier: Apache-2.0
"""The .nvc container: bytes only, for files and pipes; every byte is described in docs/format.md.

``StreamWriter`` turns coded units into bytes, ``StreamReader`` (files, pipes) and ``StreamParser`` (bytes as they come)
turn them back into checked records. Nothing here knows what a payload means.
"""

from nvcodec.stream.header import StreamHeader
from nvcodec.stream.index import KeyframeEntry, StreamIndex
from nvcodec.stream.limits import FORMAT_VERSION, MAX_RECORD_FRAMES
from nvcodec.stream.parser import StreamParser
from nvcodec.stream.reader import StreamReader
from nvcodec.stream.record import Unit, VideoRecord, fold_planes_crc32
from nvcodec.stream.writer import StreamWriter

__all__ = [
    "FORMAT_VERSION",
    "MAX_RECORD_FRAMES",
    "KeyframeEntry",
    "StreamHeader",
    "StreamIndex",
    "StreamParser",
    "StreamReader",
    "StreamWriter",
    "Unit",
    "VideoRecord",
    "fold_planes_crc32",
]
