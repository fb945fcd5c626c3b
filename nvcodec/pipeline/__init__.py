# SPDX-License-Identifier: Apache-2.0
"""From frames to a stream and back: reading, codec work and writing overlap, in memory that does not grow."""

from nvcodec.pipeline.decode import decode_stream
from nvcodec.pipeline.encode import encode_stream
from nvcodec.pipeline.report import DecodeReport, EncodeReport, Progress, ProgressCallback

__all__ = ["DecodeReport", "EncodeReport", "Progress", "ProgressCallback", "decode_stream", "encode_stream"]
