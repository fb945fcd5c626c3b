# SPDX-License-Identifier: Apache-2.0
"""Standard input and output, in processes of their own; memory that does not grow."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from fractions import Fraction

import pytest

from nvcodec.media import RawGeometry, VideoFormat, open_sink, open_source

VIDEO = VideoFormat(18, 9, Fraction(1, 25), Fraction(25))

COPY = """
    import sys, zlib
    from fractions import Fraction
    from nvcodec.errors import NvcError
    from nvcodec.media import RawGeometry, open_sink, open_source
    raw = RawGeometry(18, 9, Fraction(25)) if "raw" in sys.argv else None
    try:
        with open_source("-", raw=raw) as source, open_sink("-", source.format) as sink:
            for frame in source:
                sink.write(frame)
        print(source.notes, file=sys.stderr)
    except NvcError as exc:
        print(exc, file=sys.stderr)
        sys.exit(exc.exit_code)
"""


def through_pipes(packed, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(COPY), *arguments]
    return subprocess.run(command, input=packed, capture_output=True, timeout=60)


def written(path, frames, **options):
    with open_sink(path, VIDEO, **options) as sink:
        for frame in frames:
            sink.write(frame)
    return path.read_bytes()


@pytest.mark.parametrize("name", ["a.y4m", "a.yuv", "a.mkv"])
def test_pipe_in_and_out(name, tmp_path, make_frames):
    frames = make_frames(VIDEO, range(4))
    packed = written(tmp_path / name, frames)
    result = through_pipes(packed, "raw" if name == "a.yuv" else "auto")
    assert result.returncode == 0, result.stderr
    (tmp_path / "out.y4m").write_bytes(result.stdout)
    with open_source(tmp_path / "out.y4m") as source:
        assert source.format.frame_rate == 25
        back = [b"".join(plane.tobytes() for plane in frame.planes) for frame in source]
    assert back == [b"".join(plane.tobytes() for plane in frame.planes) for frame in frames]


def test_a_file_as_standard_input_may_be_sought(bikes_path):
    """MP4 with its index at the end: fine from a file, refused with a hint from a pipe."""
    code = "from nvcodec.media import open_source\nwith open_source('-', frames=(0, 3)) as s: print(len(list(s)))"
    with bikes_path.open("rb") as file:
        result = subprocess.run([sys.executable, "-c", code], stdin=file, capture_output=True, text=True, timeout=60)
    assert result.stdout == "3\n", result.stderr
    result = through_pipes(bikes_path.read_bytes())
    assert result.returncode == 1
    assert b"can only be read as files" in result.stderr
    assert result.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("packed", "arguments", "said"),
    [
        (b"", (), b"standard input: is empty"),
        (b"nothing that is video" * 20, (), b"standard input: cannot be read as video"),
        (bytes(18 * 9 * 2), ("raw",), b"standard input: ends 72 bytes into picture 1"),
        (b"YUV4MPEG2 W18 H9 F25:1\nFRAME\n" + bytes(100), (), b"standard input: cut off in frame 0"),
        (b"YUV4MPEG2 W18 H9 F25:1\nFRAME\n" + bytes(252), ("raw",), b"leave the raw geometry out"),
    ],
)
def test_bad_pipes(packed, arguments, said, tmp_path):
    result = through_pipes(packed, *arguments)
    assert result.returncode in (1, 2)
    assert said in result.stderr
    assert result.stderr.count(b"\n") == 1


def test_raw_to_standard_output(make_frames):
    code = """
        from fractions import Fraction
        import numpy as np
        from nvcodec.media import Frame, VideoFormat, open_sink
        with open_sink("-", VideoFormat(3, 3, Fraction(1, 25), Fraction(25)), pixel_format="nv12") as sink:
            sink.write(Frame(np.full((3, 3), 1, np.uint8), np.full((2, 2), 2, np.uint8), np.full((2, 2), 3, np.uint8)))
    """
    for flags in ([], ["-u"]):
        result = subprocess.run([sys.executable, *flags, "-c", textwrap.dedent(code)], capture_output=True, timeout=60)
        assert result.stdout == bytes([1] * 9 + [2, 3] * 4), result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_that_leaves(tmp_path, make_frames):
    packed = written(tmp_path / "a.yuv", make_frames(VIDEO, range(40))) * 200
    command = [sys.executable, "-c", textwrap.dedent(COPY), "raw"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        try:
            process.stdin.write(packed)
            process.stdin.close()
        except BrokenPipeError:
            pass
        said = process.stderr.read()
        process.wait(timeout=60)
    assert b"standard output: cannot be written: closed by the other side" in said
    assert b"Traceback" not in said


MEMORY = """
    import resource, sys
    from fractions import Fraction
    from nvcodec.media import RawGeometry, open_sink, open_source
    for stop in (20, 400):
        source = open_source("/dev/zero", raw=RawGeometry(640, 360, Fraction(25)), frames=(0, stop))
        with source, open_sink(sys.argv[1], source.format, overwrite=True) as sink:
            for frame in source:
                sink.write(frame)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes the Linux way")
@pytest.mark.parametrize("name", ["a.mkv", "/dev/null"])
def test_memory_does_not_grow_with_length(name, tmp_path):
    target = name if name.startswith("/") else str(tmp_path / name)
    command = [sys.executable, "-c", textwrap.dedent(MEMORY), target]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    short, long = (int(line) for line in result.stdout.split())
    assert long - short < 15_000, result.stdout  # 380 more frames would be 131 MB


def test_decoding_a_long_file_does_not_grow_either(tmp_path):
    path = tmp_path / "long.mkv"
    source = open_source("/dev/zero", raw=RawGeometry(320, 240, Fraction(25)), frames=(0, 600))
    with source, open_sink(path, source.format) as sink:
        for frame in source:
            sink.write(frame)
    code = f"""
        import resource
        from nvcodec.media import open_source
        for stop in (30, 600):
            with open_source({str(path)!r}, frames=(0, stop)) as source:
                assert sum(1 for frame in source) == stop
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    short, long = (int(line) for line in result.stdout.split())
    assert long - short < 15_000, result.stdout  # 570 more frames would be 66 MB
