# SPDX-License-Identifier: Apache-2.0
"""What is written is read, for every header, time and unit; and it costs few bytes."""

from __future__ import annotations

import io
import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_samples import HEADER, Coded, Pipe, constant_rate, read, written

from nvcodec.errors import NvcError, UnsupportedError, UsageError
from nvcodec.stream import StreamHeader, StreamReader, StreamWriter, fold_planes_crc32
from nvcodec.stream.fields import Cursor, SignedVarint, Varint
from nvcodec.stream.header import read_header, write_header
from nvcodec.stream.limits import MAX_PIXELS, MAX_TICKS
from nvcodec.stream.timing import read_times, write_times

bytes_u8 = st.integers(0, 255)
rationals = st.builds(Fraction, st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))
sizes = st.tuples(st.integers(1, 16384), st.integers(1, 16384)).filter(lambda s: s[0] * s[1] <= MAX_PIXELS)
models = st.one_of(
    st.just(("", b"")),
    st.tuples(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=64),
        st.binary(min_size=32, max_size=32),
    ),
)


@st.composite
def headers(draw: st.DrawFn) -> StreamHeader:
    width, height = draw(sizes)
    name, digest = draw(models)
    return StreamHeader(
        codec_id=draw(st.integers(0, 65535)),
        width=width,
        height=height,
        full_range=draw(st.booleans()),
        matrix=draw(bytes_u8),
        primaries=draw(bytes_u8),
        transfer=draw(bytes_u8),
        chroma_location=draw(bytes_u8),
        quarter_turns=draw(st.integers(0, 3)),
        sample_aspect_ratio=draw(rationals),
        time_base=draw(rationals),
        frame_rate=draw(st.none() | rationals),
        model_name=name,
        model_sha256=digest,
        config=draw(st.binary(max_size=4096)),
    )


@st.composite
def unit_lists(draw: st.DrawFn) -> list[Coded]:
    """Units of 0 to 5 frames; zero-frame units never come before a keyframe or the end."""
    units, time = [], draw(st.integers(-(2**40), 2**40))
    for number in range(draw(st.integers(1, 60))):
        count = draw(st.integers(1 if number == 0 else 0, 5))
        pts = []
        for _ in range(count):
            pts.append(time)
            time += draw(st.sampled_from([1, 512, 1001, 2**33]))
        durations = draw(st.lists(st.integers(0, 2**40), min_size=count, max_size=count))
        before_has_frames = bool(units) and bool(units[-1].pts)
        keyframe = number == 0 or (before_has_frames and draw(st.booleans()))
        units.append(Coded(draw(st.binary(max_size=200)), keyframe, pts, durations, draw(st.integers(0, 2**32 - 1))))
    units.append(Coded(b"last", False, [time], [3], 5))
    return units


@given(headers())
def test_header(header: StreamHeader) -> None:
    assert read_header(write_header(header)) == header


@given(headers(), unit_lists(), st.integers(5, 32))
@settings(max_examples=60, deadline=None)
def test_stream(header: StreamHeader, units: list[Coded], frames_per_record: int) -> None:
    stream = written(units, header, frames_per_record)
    reader, records = read(stream)
    assert reader.header == header
    assert reader.complete
    assert reader.nbytes == len(stream)
    assert [(u.payload, u.frame_count) for r in records for u in r.units] == [(u.payload, len(u.pts)) for u in units]
    assert [t for r in records for t in r.pts] == [t for u in units for t in u.pts]
    assert [d for r in records for d in r.durations] == [d for u in units for d in u.durations]
    taken = iter(units)
    for record in records:
        own = [next(taken) for _ in record.units]
        assert record.keyframe == own[0].keyframe
        assert not any(unit.keyframe for unit in own[1:])
        assert record.planes_crc32 == fold_planes_crc32(unit.planes_crc32 for unit in own)
        assert 1 <= record.frame_count <= frames_per_record
    index = reader.index()
    assert index is not None
    assert [(k.offset, k.first_frame, k.pts) for k in index.keyframes] == [
        (r.offset, r.first_frame, r.pts[0]) for r in records if r.keyframe
    ]
    assert index.frame_count == sum(len(u.pts) for u in units)


@given(st.binary(max_size=0) | st.binary(max_size=64), st.integers(1, 9))
def test_pipe_gives_the_same_records(payload: bytes, piece_nbytes: int) -> None:
    stream = written([Coded(payload, i % 3 == 0, [i], [1], i) for i in range(40)])
    pipe = Pipe(stream, piece_nbytes)
    reader = StreamReader(pipe)  # type: ignore[arg-type]
    assert list(reader.records()) == read(stream)[1]
    assert reader.complete
    assert reader.index() is None


@given(
    st.integers(1, 32),
    st.integers(-MAX_TICKS, MAX_TICKS - 2**50),
    st.sampled_from([None, Fraction(1001, 30), Fraction(100, 3), Fraction(3, 2), Fraction(90000)]),
    st.data(),
)
def test_times(count: int, first: int, ticks: Fraction | None, data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.integers(1, 2**44), min_size=count - 1, max_size=count - 1))
    pts = [first]
    for step in steps:
        pts.append(pts[-1] + step)
    durations = data.draw(st.lists(st.integers(0, MAX_TICKS), min_size=count, max_size=count))
    pts_mode, duration_mode, packed = write_times(pts, durations, ticks)
    cursor = Cursor(packed, "times")
    assert read_times(cursor, pts_mode, duration_mode, count, ticks) == (tuple(pts), tuple(durations))
    cursor.finish()


@pytest.mark.parametrize("rounding", [round, int])
@pytest.mark.parametrize("duration", ["constant", "to next", "none"])
def test_constant_rate_off_the_grid_costs_a_few_bytes(rounding: object, duration: str) -> None:
    """29.97 Hz in milliseconds: steps of 33 and 34 ticks."""
    ticks = Fraction(1001, 30)
    times = [rounding(number * ticks) for number in range(100, 133)]  # type: ignore[operator]
    pts = times[:32]
    durations = {
        "constant": [33] * 32,
        "none": [0] * 32,
        "to next": [b - a for a, b in zip(pts, times[1:], strict=True)],
    }
    pts_mode, duration_mode, packed = write_times(pts, durations[duration], ticks)
    assert len(packed) <= 5
    read_back = read_times(Cursor(packed, "times"), pts_mode, duration_mode, 32, ticks)
    assert read_back == (tuple(pts), tuple(durations[duration]))


@given(st.integers(0, 2**64 - 1), st.integers(-(2**62), 2**62))
def test_varints(unsigned: int, signed: int) -> None:
    for kind, value in ((Varint(0, 2**64 - 1), unsigned), (SignedVarint(2**62), signed)):
        cursor = Cursor(kind.write(value, "value"), "test")
        assert kind.read(cursor, "value") == value
        cursor.finish()


def test_overhead_is_small() -> None:
    """Per frame, at a constant rate: less than two bytes beyond the payload; per record, 24 bytes at most."""
    for step in (1, 512):
        units = constant_rate(3200, 10**9, step=step)
        stream = written(units)
        records = read(stream)[1]
        assert len(records) == 100
        payload = sum(len(unit.payload) for unit in units)
        assert len(stream) - payload < 2 * len(units) + 150
        for record in records:
            times = len(write_times(record.pts, record.durations, None)[2])
            assert record.nbytes - sum(len(u.payload) + 1 for u in record.units) - times <= 24


def test_records_are_handed_out_as_they_become_full() -> None:
    writer = StreamWriter(HEADER, frames_per_record=4)
    writer.start()
    sizes = [len(writer.add(b"x", keyframe=i == 0, pts=[i], durations=[1], planes_crc32=0)) > 0 for i in range(8)]
    assert sizes == [False, False, False, True] * 2


def test_a_unit_of_many_frames_has_a_record_of_its_own() -> None:
    units = [
        *constant_rate(3, 10),
        Coded(b"group", True, list(range(5000, 6024)), [1] * 1024),
        Coded(b"x", False, [9000], [1]),
    ]
    records = read(written(units))[1]
    assert [(record.frame_count, len(record.units)) for record in records] == [(3, 3), (1024, 1), (1, 1)]
    with pytest.raises(NvcError, match="1024 frames"):
        written([Coded(b"group", True, list(range(1025)), [1] * 1025)])


def test_large_payloads_close_a_record() -> None:
    units = [Coded(bytes(700_000), i == 0, [i], [1]) for i in range(6)]
    assert [record.frame_count for record in read(written(units))[1]] == [2, 2, 2]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"width": 16385}, UnsupportedError),
        ({"width": 16384, "height": 16384}, UnsupportedError),
        ({"bit_depth": 10}, UnsupportedError),
        ({"chroma_format": 2}, UnsupportedError),
        ({"width": 0}, UsageError),
        ({"model_sha256": b"short"}, UsageError),
        ({"model_name": ""}, UsageError),
        ({"model_name": "x" * 65}, UsageError),
        ({"model_name": "tab\t"}, UsageError),
        ({"config": bytes(4097)}, UsageError),
        ({"time_base": Fraction(1, 2**33)}, UsageError),
        ({"time_base": Fraction(0)}, UsageError),
        ({"matrix": 256}, UsageError),
    ],
)
def test_header_that_cannot_be_stored(change: dict[str, object], error: type[NvcError]) -> None:
    fields = {name: getattr(HEADER, name) for name in HEADER.__dataclass_fields__}
    with pytest.raises(error) as caught:
        write_header(StreamHeader(**{**fields, **change}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "units",
    [
        [Coded(b"", False, [0], [1])],
        [Coded(b"", True, [5], [1]), Coded(b"", False, [5], [1])],
        [Coded(b"", True, [5, 4], [1, 1])],
        [Coded(b"", True, [], [])],
        [Coded(b"", True, [], []), Coded(b"", True, [1], [1])],
        [Coded(b"", True, list(range(1025)), [1] * 1025)],
        [Coded(b"", True, [0], [])],
        [Coded(b"", True, [0], [-1])],
        [Coded(b"", True, [2**62], [1])],
        [Coded(b"", True, [], [])] * 65,
    ],
)
def test_units_that_break_the_rules(units: list[Coded]) -> None:
    with pytest.raises(NvcError):
        written(units)


def test_bytes_only() -> None:
    """The container needs nothing but the standard library."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('numpy', 'torch', 'av', 'compressai')))\n"
        "import nvcodec.stream; print(nvcodec.stream.FORMAT_VERSION)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("1", "")


def test_a_stream_may_lie_behind_other_bytes() -> None:
    stream = written(constant_rate(50, 20))
    file = io.BytesIO(b"before" + stream)
    file.seek(6)
    reader = StreamReader(file)
    assert reader.index() == read(stream)[0].index()
    assert reader.seek(30) is not None
    assert [record.first_frame for record in reader.records()] == [20, 40]
