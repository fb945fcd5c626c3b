# SPDX-License-Identifier: Apache-2.0
"""Small clips, and the conditional codec in this process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

import nvcodec
from nvcodec.codec.conditional import DEFAULT_SIZE
from nvcodec.media import open_source
from nvcodec.media.test_pattern import moving_pattern, pattern_format
from nvcodec.media.types import Frame
from nvcodec.stream import StreamHeader, StreamReader, StreamWriter


def pattern(width: int, height: int, count: int, seed: int = 0) -> list[Frame]:
    """A synthetic moving picture without cuts."""
    return list(moving_pattern(width, height, count, seed))


def slow(width: int, height: int, count: int, seed: int = 0) -> list[Frame]:
    """A texture that moves up by a sample a frame: much of it is there for long."""
    (large,) = pattern(width, height + count, 1, seed)
    return [
        Frame(
            *(
                np.ascontiguousarray(p[n // s :][: (height + s - 1) // s])
                for p, s in zip(large.planes, (1, 2, 2), strict=True)
            )
        )
        for n in range(count)
    ]


def real(path: object, count: int, width: int, height: int, start: int = 0) -> list[Frame]:
    """The upper left part, of even size, of some frames of a real clip."""
    with open_source(str(path), frames=(start, start + count)) as source:
        return [
            Frame(
                *(
                    np.ascontiguousarray(p[: height // s, : width // s])
                    for p, s in zip(f.planes, (1, 2, 2), strict=True)
                )
            )
            for f in source
        ]


def encode(
    frames: Iterable[Frame],
    quality: int = 32,
    intra_period: int = 0,
    frames_per_record: int = 32,
    profile: str = "ra",
    preset: str = "medium",
    size: str = DEFAULT_SIZE,
) -> bytes:
    """A whole stream of the default model, for a size of decoder, coded in one thread."""
    frames = list(frames)
    height, width = frames[0].y.shape
    encoder = nvcodec.Encoder(
        pattern_format(width, height),
        quality=quality,
        intra_period=intra_period,
        preset=preset,
        threads=1,
        frames_per_record=frames_per_record,
        options={"profile": profile} | ({"model": size} if size != DEFAULT_SIZE else {}),
    )
    return b"".join([encoder.encode(*frame.planes) for frame in frames]) + encoder.finish()


def decode(stream: bytes) -> list[Frame]:
    """All frames, each compared with what the encoder saw."""
    decoder = nvcodec.Decoder(verify=True, threads=1)
    frames = decoder.decode(stream)
    decoder.finish()
    return frames


def same(a: Frame, b: Frame) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


def psnr_db(frame: Frame, original: Frame) -> float:
    """(6 Y + U + V) / 8."""
    planes = zip(frame.planes, original.planes, (6, 1, 1), strict=True)
    errors = [(weight, float(((p.astype(float) - q) ** 2).mean())) for p, q, weight in planes]
    return sum(weight / 8 * 10 * float(np.log10(255**2 / max(error, 1e-4))) for weight, error in errors)


def with_header(reader: StreamReader, **changes: object) -> bytes:
    """The same records under another header."""
    header: StreamHeader = replace(reader.header, **changes)  # type: ignore[arg-type]
    writer = StreamWriter(header)
    pieces = [writer.start()]
    for record in reader.records():
        begin = 0
        for place, unit in enumerate(record.units):
            times = slice(begin, begin + unit.frame_count)
            begin += unit.frame_count
            pieces.append(
                writer.add(
                    unit.payload,
                    keyframe=record.keyframe and place == 0,
                    pts=record.pts[times],
                    durations=record.durations[times],
                    planes_crc32=0,
                )
            )
    return b"".join([*pieces, writer.finish()])
