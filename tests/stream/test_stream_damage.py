# SPDX-License-Identifier: Apache-2.0
"""Damage is found before a payload is handed out, whatever it is; nothing hangs or asks for absurd amounts."""

from __future__ import annotations

import io
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stream_samples import HEADER, Coded, Pipe, constant_rate, read, written

from nvcodec.errors import DamagedStreamError, NvcError, UnsupportedError
from nvcodec.stream import StreamReader, VideoRecord
from nvcodec.stream.fields import write_varint
from nvcodec.stream.header import PREFIX_NBYTES, write_header
from nvcodec.stream.index import KeyframeEntry, write_footer
from nvcodec.stream.record import INDEX, RECORD_HEAD_NBYTES, SYNC, VIDEO, write_record

STREAM = written(constant_rate(40, 15, nbytes=3))
RECORDS = read(STREAM)[1]


def payloads_before(error: type[NvcError], stream: bytes) -> list[bytes]:
    """Payloads handed out before the error that must come."""
    seen: list[bytes] = []

    def read_on() -> None:
        for record in StreamReader(io.BytesIO(stream)).records():
            seen.extend(unit.payload for unit in record.units)

    with pytest.raises(error) as caught:
        read_on()
    assert "\n" not in str(caught.value)
    return seen


GOOD = [unit.payload for record in RECORDS for unit in record.units]


def test_every_truncation_is_found() -> None:
    for nbytes in range(len(STREAM)):
        seen = payloads_before(DamagedStreamError, STREAM[:nbytes])
        whole = [r for r in RECORDS if r.offset + r.nbytes <= nbytes]
        assert seen == [unit.payload for record in whole for unit in record.units]


def test_every_flipped_bit_is_found() -> None:
    for bit in range(8 * len(STREAM)):
        changed = bytearray(STREAM)
        changed[bit // 8] ^= 1 << bit % 8
        seen = payloads_before(DamagedStreamError, bytes(changed))
        assert seen == GOOD[: len(seen)]


def test_flipped_bit_does_not_mislead_the_index() -> None:
    """Seeking in a damaged file gives the right record or an error, never another record."""
    for bit in range(8 * len(STREAM)):
        changed = bytearray(STREAM)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            reader = StreamReader(io.BytesIO(bytes(changed)))
            reader.seek(31)
            first = next(reader.records())
        except NvcError:
            continue
        assert (first.first_frame, first.units) == (30, RECORDS[2].units)


def test_cut_stream_is_readable_up_to_its_last_whole_record() -> None:
    for nbytes in range(RECORDS[0].offset, len(STREAM)):
        reader, records = read(STREAM[:nbytes], partial=True)
        assert records == [r for r in RECORDS if r.offset + r.nbytes <= nbytes]
        assert reader.damage is not None
        assert not reader.complete


def test_lost_repeated_or_swapped_records_are_found() -> None:
    parts = [STREAM[r.offset : r.offset + r.nbytes] for r in RECORDS]
    start, end = STREAM[: RECORDS[0].offset], STREAM[RECORDS[-1].offset + RECORDS[-1].nbytes :]
    assert read(start + b"".join(parts) + end)[0].complete
    for order in ([0, 2], [0, 1, 1, 2], [1, 0, 2], [1, 2], [0, 1]):
        payloads_before(DamagedStreamError, start + b"".join(parts[i] for i in order) + end)


def test_bytes_after_the_end_are_found() -> None:
    payloads_before(DamagedStreamError, STREAM + b"\0")
    payloads_before(DamagedStreamError, STREAM + STREAM)


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
@example(b"")
def test_random_bytes_are_refused(noise: bytes) -> None:
    for stream in (noise, STREAM[:PREFIX_NBYTES] + noise, STREAM[: RECORDS[0].offset] + noise):
        pipe = Pipe(stream, 1 << 20)
        with pytest.raises(NvcError):
            list(StreamReader(pipe).records())  # type: ignore[arg-type]
        assert pipe.largest_request <= 1 << 20


@given(st.sampled_from([VIDEO, INDEX, 3, 0, 77]), st.data())
@settings(max_examples=400, deadline=None)
def test_well_formed_envelopes_of_altered_bodies(record_type: int, data: st.DataObject) -> None:
    """Someone who repairs every CRC still gets one documented error or a record within all bounds."""
    first = RECORDS[0]
    body = bytearray(STREAM[first.offset + RECORD_HEAD_NBYTES : first.offset + first.nbytes])
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    del body[data.draw(st.integers(0, len(body))) :]
    stream = STREAM[: first.offset] + write_record(record_type, bytes(body))
    try:
        _, records = read(stream, partial=True)
    except UnsupportedError:
        assert record_type == 77 or record_type == 0
        return
    for record in records:
        assert 1 <= record.frame_count <= (32 if len(record.units) > 1 else 1024)
        assert len(record.units) <= 64
        assert sum(unit.frame_count for unit in record.units) == record.frame_count
        assert list(record.pts) == sorted(set(record.pts))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_altered_header_bodies_with_a_right_crc(data: st.DataObject) -> None:
    header = bytearray(write_header(HEADER)[PREFIX_NBYTES:-4])
    for _ in range(data.draw(st.integers(1, 4))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    try:
        reader = StreamReader(io.BytesIO(repaired(bytes(header))))
    except (DamagedStreamError, UnsupportedError):
        return
    assert reader.header.width <= 16384
    assert reader.header.width * reader.header.height <= 1 << 26


def repaired(body: bytes, version: int = 1) -> bytes:
    start = b"\xf5NVC" + bytes([version]) + len(body).to_bytes(2, "little") + body
    return start + zlib.crc32(start).to_bytes(4, "little")


def test_absurd_picture_is_refused() -> None:
    body = write_header(HEADER)[PREFIX_NBYTES:-4]
    assert body[2:4] == bytes([65, 47])
    huge = body[:2] + write_varint(100_000) * 2 + body[4:]
    with pytest.raises(UnsupportedError, match="100000x100000"):
        StreamReader(io.BytesIO(repaired(huge)))


def test_unknown_version_is_unsupported_only_if_sound() -> None:
    later = repaired(b"whatever a later version says", version=2)
    with pytest.raises(UnsupportedError, match="format 2"):
        StreamReader(io.BytesIO(later))
    with pytest.raises(DamagedStreamError):
        StreamReader(io.BytesIO(later[:-1] + b"?"))


def test_another_kind_of_file_is_named_as_such() -> None:
    with pytest.raises(DamagedStreamError, match=r"clip\.mp4: not an \.nvc stream"):
        StreamReader(io.BytesIO(b"\0\0\0\x18ftypmp42" + bytes(100)), "clip.mp4")


def test_a_billion_frames_are_refused() -> None:
    start, records_end = RECORDS[0].offset, RECORDS[-1].offset + RECORDS[-1].nbytes
    stream = STREAM[:records_end] + write_footer(10**9, [KeyframeEntry(start, 0, 0)])
    with pytest.raises(DamagedStreamError, match="1000000000 frames"):
        StreamReader(io.BytesIO(stream)).index()
    with pytest.raises(DamagedStreamError, match="1000000000 frames"):
        read(stream)


def test_a_record_that_claims_gigabytes_is_refused_unread() -> None:
    start = STREAM[: RECORDS[0].offset]
    for nbytes in (2**28 + 1, 2**32 - 1):
        pipe = Pipe(start + SYNC + bytes([VIDEO]) + nbytes.to_bytes(4, "little") + bytes(4 + 5000), 1 << 20)
        with pytest.raises(DamagedStreamError, match="body nbytes"):
            list(StreamReader(pipe).records())  # type: ignore[arg-type]


def test_an_index_that_points_elsewhere_is_found() -> None:
    last = RECORDS[-1]
    body = STREAM[: last.offset + last.nbytes]
    for offset, frame in ((RECORDS[1].offset, 12), (RECORDS[1].offset + 1, 15), (len(body) + 5, 15), (2, 15)):
        stream = body + write_footer(40, [KeyframeEntry(1, 0, 0), KeyframeEntry(offset, frame, 15 * 512)])
        with pytest.raises(DamagedStreamError):
            first_after_seek(stream, 16)


def first_after_seek(stream: bytes, frame: int) -> VideoRecord:
    reader = StreamReader(io.BytesIO(stream))
    reader.seek(frame)
    return next(reader.records())


def skippable(stream: bytes, record_type: int) -> bytes:
    """The stream with records of another type between all of its own."""
    extra = write_record(record_type, b"a track of later days" * 20)
    pieces = [STREAM[: RECORDS[0].offset]]
    offsets = []
    for record in RECORDS:
        pieces.append(extra)
        offsets.append(sum(map(len, pieces)))
        pieces.append(stream[record.offset : record.offset + record.nbytes])
    keyframes = [KeyframeEntry(o, r.first_frame, r.pts[0]) for o, r in zip(offsets, RECORDS, strict=True)]
    return b"".join((*pieces, extra)) + write_footer(40, keyframes)


def test_unknown_records_with_the_skippable_bit_are_passed_over() -> None:
    reader, records = read(skippable(STREAM, 0x80 | 9))
    assert [record.units for record in records] == [record.units for record in RECORDS]
    assert reader.skipped_nbytes == 4 * (RECORD_HEAD_NBYTES + 420)
    assert reader.seek(17) is not None
    assert next(reader.records()).first_frame == 15


def test_unknown_records_without_it_are_unsupported() -> None:
    assert payloads_before(UnsupportedError, skippable(STREAM, 9)) == []


@pytest.mark.parametrize("without_footer", [False, True])
def test_seeking_by_index_equals_scanning(without_footer: bool) -> None:
    units = [Coded(b"%d" % i, i in (0, 1, 5, 40, 41, 90), [i * 3], [3], i) for i in range(120)]
    stream = written(units)
    records = read(stream)[1]
    footer = read(stream)[0].index_nbytes
    stored = stream[:-footer] if without_footer else stream
    for frame in range(120):
        reader = StreamReader(io.BytesIO(stored), partial=without_footer)
        assert (reader.index() is None) == without_footer
        entry = reader.seek(frame)
        expected = max(k for k in (0, 1, 5, 40, 41, 90) if k <= frame)
        assert entry is not None
        assert entry.first_frame == expected
        assert list(reader.records()) == [record for record in records if record.first_frame >= expected]
    reader = StreamReader(io.BytesIO(stored), partial=without_footer)
    entry = reader.seek(500)
    assert next(reader.records()).first_frame == (0 if without_footer else 90)
