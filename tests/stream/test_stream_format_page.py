# SPDX-License-Identifier: Apache-2.0
"""docs/format.md is true: its example is what is written, and a reader made from the page alone reads our streams."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from fractions import Fraction
from pathlib import Path

from stream_samples import Coded, constant_rate, read, written

from nvcodec.stream import StreamHeader

FROZEN_SHA256 = "f9f123eb62a55196150a88aea4698b38d08c986565311aa30758bee9703188ab"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "format.md"


def test_example_is_what_is_written() -> None:
    example = PAGE.read_text(encoding="utf-8").partition("## Example")[2]
    lines = re.findall(r"^((?:[0-9a-f]{2} )+) ", example, re.MULTILINE)
    header = StreamHeader(65000, 2, 2, frame_rate=Fraction(25))
    stream = written([Coded(b"abc", True, [0], [1], 0x01020304)], header)
    assert bytes.fromhex("".join(lines)) == stream


def test_a_stream_of_format_1_never_changes() -> None:
    units = [*constant_rate(70, 33), Coded(b"\0" * 300, False, [10**9, 10**9 + 7], [1, 2], 3)]
    assert hashlib.sha256(written(units)).hexdigest() == FROZEN_SHA256


class Page:
    """A reader after the page, which shares nothing with the package."""

    def __init__(self, stream: bytes) -> None:
        self.b, self.at = stream, 0

    def varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self.b[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def svarint(self) -> int:
        code = self.varint()
        return code // 2 if code % 2 == 0 else -(code + 1) // 2

    def fixed(self, layout: str) -> int:
        (value,) = struct.unpack_from("<" + layout, self.b, self.at)
        self.at += struct.calcsize("<" + layout)
        return int(value)

    def bytes(self) -> bytes:
        count = self.varint()
        self.at += count
        return self.b[self.at - count : self.at]

    def header(self) -> dict[str, object]:
        assert self.b[:5] == b"\xf5NVC\x01"
        self.at = 5
        end = self.fixed("H") + 7
        assert zlib.crc32(self.b[:end]) == struct.unpack_from("<I", self.b, end)[0]
        found: dict[str, object] = {"codec": self.fixed("H"), "size": (self.varint(), self.varint())}
        found["bytes"] = [self.fixed("B") for _ in range(8)]
        found["aspect"] = Fraction(self.varint(), self.varint())
        self.time_base = Fraction(self.varint(), self.varint())
        numerator = self.varint()
        self.rate = Fraction(numerator, self.varint()) if numerator else None
        found["model"] = (self.bytes(), self.bytes(), self.bytes())
        assert self.at == end
        self.at += 4
        return found

    def record(self) -> tuple[int, int]:
        """(type, offset of its end); leaves the position at the body."""
        assert self.b[self.at : self.at + 2] == b"\xf5\x9c"
        record_type, length, crc = struct.unpack_from("<BII", self.b, self.at + 2)
        body = self.b[self.at + 11 : self.at + 11 + length]
        assert zlib.crc32(self.b[self.at + 2 : self.at + 7] + body) == crc
        self.at += 11
        return record_type, self.at + length

    def video(self, end: int) -> tuple[bool, int, list[int], list[int], int, list[tuple[int, bytes]]]:
        flags = self.fixed("B")
        first, frames, units, planes = self.varint(), self.varint(), self.varint(), self.fixed("I")
        pts = [self.svarint()]
        if flags & 3 == 0:
            step = self.varint() if frames > 1 else 0
            pts = [pts[0] + i * step for i in range(frames)]
        elif flags & 3 == 1:
            assert self.rate is not None
            ticks, phase = 1 / (self.rate * self.time_base), self.varint()
            pts = [pts[0] + (i * ticks.numerator + phase) // ticks.denominator for i in range(frames)]
        else:
            for _ in range(frames - 1):
                pts.append(pts[-1] + self.varint())
        mode = flags >> 2 & 3
        if mode == 0:
            durations = [self.varint()] * frames
        elif mode == 1:
            durations = [*(pts[i + 1] - pts[i] for i in range(frames - 1)), self.varint()]
        else:
            durations = [self.varint() for _ in range(frames)]
        table = [(self.varint() if flags & 32 else 1, self.varint()) for _ in range(units)]
        payloads = []
        for count, length in table:
            payloads.append((count, self.b[self.at : self.at + length]))
            self.at += length
        assert self.at == end
        return bool(flags & 16), first, pts, durations, planes, payloads


def test_a_reader_made_from_the_page_agrees() -> None:
    jittered = [33, 34, 33, 33, 34, 40, 20, 33]
    units = [Coded(b"u%d" % i * (i % 90), i % 50 == 0, [i * 33 + i // 3], [33], i) for i in range(100)]
    units += [Coded(b"", False, [10**5 + i * 100, 10**5 + i * 100 + jittered[i]], [i, 5], i) for i in range(8)]
    units += [Coded(b"none", False), Coded(b"more", False, [10**6], [0], 9)]
    header = StreamHeader(
        700,
        300,
        200,
        time_base=Fraction(1, 1000),
        frame_rate=Fraction(30000, 1001),
        model_name="m",
        model_sha256=b"h" * 32,
    )
    stream = written(units, header)
    ours = read(stream)[1]
    page = Page(stream)
    assert page.header() == {
        "codec": 700,
        "size": (300, 200),
        "bytes": [1, 8, 0, 2, 2, 2, 0, 0],
        "aspect": 1,
        "model": (b"m", b"h" * 32, b""),
    }
    theirs, starts = [], []
    while True:
        start = page.at
        record_type, end = page.record()
        if record_type != 1:
            break
        theirs.append(page.video(end))
        starts.append(start)
    assert theirs == [
        (
            r.keyframe,
            r.first_frame,
            list(r.pts),
            list(r.durations),
            r.planes_crc32,
            [(u.frame_count, u.payload) for u in r.units],
        )
        for r in ours
    ]
    assert record_type == 2
    assert page.varint() == sum(len(u.pts) for u in units)
    keyframes = [(start, r[1], r[2][0]) for start, r in zip(starts, theirs, strict=True) if r[0]]
    offset = frame = pts = 0
    for expected in [keyframes[i] for i in range(page.varint())]:
        offset, frame, pts = offset + page.varint(), frame + page.varint(), pts + page.svarint()
        assert (offset, frame, pts) == expected
    assert page.at == end
    assert page.record()[0] == 3
    assert page.fixed("I") == end - start
    assert page.at == len(stream)
