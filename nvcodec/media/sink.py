# SPDX-License-Identifier: Apache-2.0
"""Write video by suffix."""

from __future__ import annotations

import os
from pathlib import Path

from nvcodec.errors import UsageError
from nvcodec.media.files import PendingFile, open_pipe
from nvcodec.media.layout import check_size
from nvcodec.media.planewriter import RAW_OUTPUTS, RawSink, Y4mSink
from nvcodec.media.types import FrameSink, VideoFormat

OUTPUT_SUFFIXES: dict[str, str] = {
    ".y4m": "YUV4MPEG2, uncompressed",
    ".yuv": "raw planes, uncompressed",
    ".raw": "raw planes, uncompressed",
    ".mkv": "Matroska with lossless FFV1",
    ".mp4": "H.264 for watching (lossy)",
    ".png": "PNG pictures",
}


def open_sink(
    path: str | os.PathLike[str],
    format: VideoFormat,
    *,
    overwrite: bool = False,
    frame_count_hint: int | None = None,
    pixel_format: str | None = None,
) -> FrameSink:
    """Open an output for frames of one format; the suffix decides what is written (see ``OUTPUT_SUFFIXES``).

    path: a file; ``-`` for standard output (y4m, or raw planes when ``pixel_format`` is given); for pictures one .png
    file (one frame only), a printf pattern such as ``out_%06d.png``, or a folder (existing, or named with a trailing
    slash). frame_count_hint: number of frames to come, where known, so that a single .png for several is refused at
    once. pixel_format: arrangement of raw planes, "yuv420p" (default) or "nv12".

    The output appears under its name on ``close``; ``abort`` leaves nothing. As a context manager it closes, or aborts
    when an exception passes. Raises UsageError for a suffix that is not known and NvcError for a place that cannot be
    written or a file that exists without ``overwrite``.
    """
    check_size(format.width, format.height, "picture")
    if pixel_format is not None and pixel_format not in RAW_OUTPUTS:
        raise UsageError(f"raw pixel format {pixel_format!r} cannot be written; known: {', '.join(RAW_OUTPUTS)}")
    text = os.fspath(path)
    place = Path(text)
    suffix = place.suffix.lower()
    if pixel_format is not None and text != "-" and suffix not in (".yuv", ".raw"):
        raise UsageError(f"{text}: a pixel format ({pixel_format}) can be chosen for raw video only (.yuv, .raw)")
    if pipe := open_pipe(text):
        if pixel_format is not None or suffix in (".yuv", ".raw"):
            return RawSink(pipe, text, format, pixel_format or "yuv420p")
        return Y4mSink(pipe, text, format)
    if suffix == ".png" or (place.is_dir() and suffix not in OUTPUT_SUFFIXES) or text.endswith(("/", os.sep)):
        from nvcodec.media.png import PngSink

        return PngSink(text, format, overwrite, frame_count_hint)
    if suffix not in OUTPUT_SUFFIXES:
        known = ", ".join(f"{known} ({what})" for known, what in OUTPUT_SUFFIXES.items())
        raise UsageError(f"{text}: output suffix {suffix or 'missing'}; known: {known}, - (y4m to standard output)")
    file = PendingFile(place, overwrite)
    try:
        return _file_sink(file, text, suffix, format, pixel_format or "yuv420p")
    except BaseException:
        file.discard()
        raise


def _file_sink(file: PendingFile, text: str, suffix: str, video: VideoFormat, pixel_format: str) -> FrameSink:
    if suffix == ".y4m":
        return Y4mSink(file, text, video)
    if suffix in (".yuv", ".raw"):
        return RawSink(file, text, video, pixel_format)
    from nvcodec.media.muxed import MatroskaSink, Mp4Sink

    return MatroskaSink(file, text, video) if suffix == ".mkv" else Mp4Sink(file, text, video)
