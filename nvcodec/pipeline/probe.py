# SPDX-License-Identifier: Apache-2.0
"""What a stream holds, without decoding it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from nvcodec.codec.protocol import Codec, ModelIdentity
from nvcodec.codec.registry import get_codec_by_id
from nvcodec.errors import NvcError
from nvcodec.media.types import VideoFormat
from nvcodec.pipeline.format import model_identity, video_format
from nvcodec.pipeline.report import Span
from nvcodec.stream import FORMAT_VERSION, StreamReader


@dataclass(frozen=True)
class StreamInfo:
    """Everything a stream says about itself, and where its bytes go.

    codec: name of the installed codec with this number, None where there is none. keyframes: frame numbers. nbytes is
    the sum of header_nbytes, payload_nbytes (what the codec wrote, of it keyframe_payload_nbytes in keyframes),
    overhead_nbytes (record headers, times, checksums), skipped_nbytes (records of unknown types) and index_nbytes
    (footer). complete: the stream has its end; else ``damage`` says in one line where it
    breaks off. bpp and kbps as in EncodeReport, None without frames. parts: payload bytes by what they hold (weights,
    latents, tables, metadata), None where the codec does not tell. pixel_exact: whether every machine decodes the same
    pixels, None where the codec is not known.
    """

    format_version: int
    codec_id: int
    codec: str | None
    model: ModelIdentity | None
    video: VideoFormat
    config_nbytes: int
    frame_count: int
    first_pts: int | None
    video_seconds: float | None
    keyframes: tuple[int, ...]
    record_count: int
    unit_count: int
    nbytes: int
    header_nbytes: int
    payload_nbytes: int
    keyframe_payload_nbytes: int
    overhead_nbytes: int
    index_nbytes: int
    skipped_nbytes: int
    has_index: bool
    complete: bool
    damage: str | None
    bpp: float | None
    kbps: float | None
    parts: dict[str, int] | None = None
    pixel_exact: bool | None = None


def probe_stream(reader: StreamReader) -> StreamInfo:
    """Read a stream to its end, checking every record.

    Raises DamagedStreamError unless the reader was made with ``partial``, UnsupportedError, NvcError.
    """
    video = video_format(reader.header)
    span = Span(video.time_base, video.frame_rate)
    frames = records = units = payload = in_keyframes = in_records = 0
    first_pts: int | None = None
    keyframes: list[int] = []
    codec = _codec(reader.header.codec_id)
    unit_parts: Callable[[bytes], dict[str, int]] | None = getattr(codec, "unit_parts", None)
    parts: Counter[str] = Counter()
    for record in reader.records():
        if unit_parts is not None:
            for unit in record.units:
                parts.update(unit_parts(unit.payload))
        for pts, duration in zip(record.pts, record.durations, strict=True):
            span.add(pts, duration)
        first_pts = record.pts[0] if first_pts is None else first_pts
        here = sum(len(unit.payload) for unit in record.units)
        if record.keyframe:
            keyframes.append(record.first_frame)
            in_keyframes += len(record.units[0].payload)
        frames, records, units = frames + record.frame_count, records + 1, units + len(record.units)
        payload, in_records = payload + here, in_records + record.nbytes
    # A partial record at the end belongs to no part.
    nbytes = reader.header_nbytes + in_records + reader.skipped_nbytes + reader.index_nbytes
    seconds = span.seconds
    return StreamInfo(
        format_version=FORMAT_VERSION,
        codec_id=reader.header.codec_id,
        codec=codec.name if codec else None,
        model=model_identity(reader.header),
        video=video,
        config_nbytes=len(reader.header.config),
        frame_count=frames,
        first_pts=first_pts,
        video_seconds=seconds,
        keyframes=tuple(keyframes),
        record_count=records,
        unit_count=units,
        nbytes=nbytes,
        header_nbytes=reader.header_nbytes,
        payload_nbytes=payload,
        keyframe_payload_nbytes=in_keyframes,
        overhead_nbytes=in_records - payload,
        index_nbytes=reader.index_nbytes,
        skipped_nbytes=reader.skipped_nbytes,
        has_index=reader.index_nbytes > 0,
        complete=reader.complete and reader.damage is None,
        damage=reader.damage,
        bpp=8 * nbytes / (video.width * video.height * frames) if frames else None,
        kbps=8 * nbytes / seconds / 1000 if seconds else None,
        parts=dict(parts) if unit_parts is not None else None,
        pixel_exact=getattr(codec, "pixel_exact", None),
    )


def _codec(codec_id: int) -> Codec | None:
    try:
        return get_codec_by_id(codec_id)
    except NvcError:
        return None
