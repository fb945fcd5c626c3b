# SPDX-License-Identifier: Apache-2.0
"""Small streams made of arbitrary payloads."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from nvcodec.stream import StreamHeader, StreamReader, StreamWriter, VideoRecord

HEADER = StreamHeader(
    codec_id=65000,
    width=65,
    height=47,
    full_range=True,
    matrix=1,
    primaries=9,
    transfer=16,
    chroma_location=3,
    quarter_turns=1,
    sample_aspect_ratio=Fraction(4, 3),
    time_base=Fraction(1, 12800),
    frame_rate=Fraction(25),
    model_name="sample-1",
    model_sha256=bytes(range(32)),
    config=b"\x01\x02",
)


@dataclass(frozen=True)
class Coded:
    """One unit as a codec would hand it over."""

    payload: bytes
    keyframe: bool
    pts: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    planes_crc32: int = 0


def constant_rate(frame_count: int, intra_period: int, *, step: int = 512, nbytes: int = 9) -> list[Coded]:
    """One frame to a unit."""
    return [
        Coded(bytes([i % 251]) * nbytes, i % intra_period == 0, [i * step], [step], i * 77) for i in range(frame_count)
    ]


def written(units: Iterable[Coded], header: StreamHeader = HEADER, frames_per_record: int = 32) -> bytes:
    """A whole stream."""
    writer = StreamWriter(header, frames_per_record)
    pieces = [writer.start()]
    for unit in units:
        pieces.append(
            writer.add(
                unit.payload,
                keyframe=unit.keyframe,
                pts=unit.pts,
                durations=unit.durations,
                planes_crc32=unit.planes_crc32,
            )
        )
    stream = b"".join((*pieces, writer.finish()))
    assert len(stream) == writer.nbytes
    return stream


def read(stream: bytes, *, partial: bool = False) -> tuple[StreamReader, list[VideoRecord]]:
    """A reader that has read everything, and the records."""
    reader = StreamReader(io.BytesIO(stream), partial=partial)
    return reader, list(reader.records())


class Pipe(io.RawIOBase):
    """Bytes that come in small pieces, cannot be sought, and count what was asked for at once."""

    def __init__(self, stream: bytes, piece_nbytes: int = 7) -> None:
        super().__init__()
        self._rest, self._piece_nbytes, self.largest_request = stream, piece_nbytes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, nbytes: int = -1) -> bytes:
        self.largest_request = max(self.largest_request, nbytes)
        taken = self._rest[: min(nbytes, self._piece_nbytes)]
        self._rest = self._rest[len(taken) :]
        return taken
