# SPDX-License-Identifier: Apache-2.0
"""The commands at work: files, pipes, JSON, ranges, interruption."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nvcodec.media import open_source

Run = Callable[..., subprocess.CompletedProcess[str]]
NVC = [sys.executable, "-m", "nvcodec"]


def frames_of(path: Path) -> list[tuple[np.ndarray, ...]]:
    with open_source(path) as source:
        return [frame.planes for frame in source]


def same(a: list[tuple[np.ndarray, ...]], b: list[tuple[np.ndarray, ...]]) -> bool:
    pairs = zip(a, b, strict=True)
    return all(np.array_equal(x, y) for left, right in pairs for x, y in zip(left, right, strict=True))


def test_encode_info_decode_in_three_processes(nvc: Run, clip: Path, codec: str, stream: Path, tmp_path: Path) -> None:
    described = json.loads(nvc("info", stream, "--json").stdout)
    assert described["codec"] == codec
    assert described["frame_count"] == 5
    assert described["nbytes"] == stream.stat().st_size
    done = nvc("decode", stream, "-o", tmp_path / "x.y4m", "--verify")
    assert done.returncode == 0, done.stderr
    assert "5 frames 64x48" in done.stdout
    original, decoded = frames_of(clip), frames_of(tmp_path / "x.y4m")
    error = np.mean([np.mean((a[0].astype(int) - b[0]) ** 2) for a, b in zip(original, decoded, strict=True)])
    assert error < 400  # a picture of this clip, not another


def test_results_on_stdout_and_nothing_on_stderr(nvc: Run, clip: Path, tmp_path: Path) -> None:
    done = nvc("encode", clip, "-o", tmp_path / "x.nvc", "--codec", "toy")
    assert done.returncode == 0
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
    assert f"{(tmp_path / 'x.nvc').stat().st_size} bytes" in done.stdout
    quiet = nvc("encode", clip, "-o", tmp_path / "y.nvc", "--codec", "toy", "--quiet")
    assert (quiet.stdout, quiet.stderr) == ("", "")
    assert (tmp_path / "x.nvc").read_bytes() == (tmp_path / "y.nvc").read_bytes()


def test_progress_is_shown_when_asked_for(nvc: Run, clip: Path, tmp_path: Path) -> None:
    done = nvc("encode", clip, "-o", tmp_path / "x.nvc", "--codec", "toy", "--progress")
    assert "encoding:" in done.stderr
    assert "/5" in done.stderr


@pytest.mark.parametrize("command", ["encode", "decode", "info", "models", "bench"])
def test_json_carries_schema_versions_and_hashes(
    nvc: Run, clip: Path, toy_stream: Path, tmp_path: Path, command: str
) -> None:
    arguments = {
        "encode": (clip, "-o", tmp_path / "x.nvc", "--codec", "toy"),
        "decode": (toy_stream, "-o", tmp_path / "x.y4m", "--verify"),
        "info": (toy_stream,),
        "models": (),
        "bench": ("--codec", "toy", "--size", "32x16", "--frames", "0:2"),
    }[command]
    done = nvc(command, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["schema"] == "nvcodec-cli/1"
    assert result["command"] == command
    assert {"nvcodec", "stream_format", "torch", "pyav", "python"} <= set(result["versions"])
    if command in ("encode", "decode", "info"):
        assert len(result["input"]["sha256"]) == 64


def test_pipes_carry_what_files_carry(nvc: Run, clip: Path, environment: dict[str, str], tmp_path: Path) -> None:
    assert nvc("encode", clip, "-o", tmp_path / "file.nvc", "--codec", "toy").returncode == 0
    assert nvc("decode", tmp_path / "file.nvc", "-o", tmp_path / "file.y4m").returncode == 0
    with clip.open("rb") as file:
        coder = subprocess.Popen(
            [*NVC, "encode", "-", "-o", "-", "--codec", "toy"], stdin=file, stdout=subprocess.PIPE, env=environment
        )
        decoder = subprocess.run(
            [*NVC, "decode", "-", "-o", "-"], stdin=coder.stdout, capture_output=True, env=environment
        )
        coder.wait()
    assert (coder.returncode, decoder.returncode) == (0, 0)
    assert decoder.stdout == (tmp_path / "file.y4m").read_bytes()
    assert b"5 frames" in decoder.stderr  # the result gives way to the frames


def test_frames_and_size(nvc: Run, clip: Path, toy_stream: Path, tmp_path: Path) -> None:
    scaled = ("--frames", "1:4", "--size", "32x24")
    assert nvc("encode", clip, "-o", tmp_path / "x.nvc", "--codec", "toy", *scaled).returncode == 0
    described = json.loads(nvc("info", tmp_path / "x.nvc", "--json").stdout)
    assert (described["frame_count"], described["video"]["width"], described["video"]["height"]) == (3, 32, 24)
    for text, part in (("3:", slice(3, None)), (":2", slice(0, 2)), ("1:4", slice(1, 4))):
        target = tmp_path / "part.y4m"
        assert nvc("decode", toy_stream, "-o", target, "-y", "--frames", text).returncode == 0
        assert nvc("decode", toy_stream, "-o", tmp_path / "all.y4m", "-y").returncode == 0
        assert same(frames_of(target), frames_of(tmp_path / "all.y4m")[part])


def test_raw_input_and_output(nvc: Run, clip: Path, toy_stream: Path, tmp_path: Path) -> None:
    assert nvc("decode", toy_stream, "-o", tmp_path / "x.yuv").returncode == 0
    raw = ("--raw-size", "64x48", "--raw-rate", "30000/1001")
    done = nvc("encode", tmp_path / "x.yuv", "-o", tmp_path / "x.nvc", "--codec", "toy", "-q", 63, *raw)
    assert done.returncode == 0, done.stderr
    assert nvc("decode", tmp_path / "x.nvc", "-o", tmp_path / "y.yuv").returncode == 0
    assert (tmp_path / "x.yuv").read_bytes() == (tmp_path / "y.yuv").read_bytes()
    described = json.loads(nvc("info", tmp_path / "x.nvc", "--json").stdout)
    assert described["video"]["frame_rate"] == "30000/1001"


def test_verify_needs_no_output(nvc: Run, toy_stream: Path, tmp_path: Path) -> None:
    done = nvc("decode", toy_stream, "--verify", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "every frame as the encoder made it" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_partial_keeps_what_precedes_the_damage(nvc: Run, toy_stream: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.nvc").write_bytes(toy_stream.read_bytes()[:-60])
    done = nvc("decode", tmp_path / "cut.nvc", "-o", tmp_path / "x.y4m", "--partial")
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert 0 < len(frames_of(tmp_path / "x.y4m")) < 5


def test_conversions_are_said(nvc: Run, tmp_path: Path) -> None:
    (tmp_path / "deep.y4m").write_bytes(b"YUV4MPEG2 W16 H16 F25:1 C444\nFRAME\n" + bytes(range(256)) * 3)
    done = nvc("encode", tmp_path / "deep.y4m", "-o", tmp_path / "x.nvc", "--codec", "toy")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("nvc: ")
    assert "4:2:0" in done.stderr


def test_models_lists_ours_and_third_parties(nvc: Run) -> None:
    text = nvc("models").stdout
    assert "conditional (number 1)" in text
    assert "toy (number 65000)" in text


def test_bench_prints_stages(nvc: Run, clip: Path) -> None:
    done = nvc("bench", clip, "--codec", "toy", "--frames", "0:3")
    assert done.returncode == 0, done.stderr
    heading, encode, decode = done.stdout.splitlines()
    assert "fps" in heading
    assert "encode" in encode
    assert "I/O" in encode
    assert "decode" in decode


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
@pytest.mark.parametrize("command", ["encode", "decode"])
def test_stopped_by_a_signal(
    environment: dict[str, str],
    clip: Path,
    toy_stream: Path,
    tmp_path: Path,
    command: str,
    number: signal.Signals,
    code: int,
    word: str,
) -> None:
    """In the middle of the work: one line, the shell's exit code, nothing left behind."""
    out = tmp_path / "out"
    out.mkdir()
    start = clip.read_bytes() if command == "encode" else toy_stream.read_bytes()[:-40]
    extra = ["--codec", "toy"] if command == "encode" else []
    target = out / ("x.nvc" if command == "encode" else "x.y4m")
    process = subprocess.Popen(
        [*NVC, command, "-", "-o", str(target), *extra],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        restore_signals=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    assert process.stdin is not None
    process.stdin.write(start)
    process.stdin.flush()  # and not closed: it waits for more
    deadline = time.monotonic() + 60
    while not any(out.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert any(out.iterdir()), "it never began to write"
    time.sleep(0.2)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors.decode().splitlines() == [f"nvc: {word}"]
    assert list(out.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_reader_of_the_frames_goes_away(environment: dict[str, str], toy_stream: Path) -> None:
    """nvc decode x.nvc -o - | head -c 100"""
    process = subprocess.Popen(
        [*NVC, "decode", str(toy_stream), "-o", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    said, code = process.stderr.read(), process.wait(60)
    if code == 0:  # everything fitted into the pipe before it closed: the result as ever
        assert said.startswith(b"-: 5 frames")
    else:
        assert (said, code) == (b"", 141)


@pytest.mark.parametrize(
    ("flag", "value", "unit"),
    [
        ("--target-size", "900", "bytes"),
        ("--bitrate", "40k", "kbit/s"),
        ("--bpp", "0.5", "bpp"),
        ("--psnr", "35", "dB"),
    ],
)
def test_goals_are_kept(nvc: Run, clip: Path, flag: str, value: str, unit: str, tmp_path: Path) -> None:
    out = tmp_path / "out.nvc"
    done = nvc("encode", clip, "-o", out, flag, value)
    assert done.returncode == 0, done.stderr
    note = re.fullmatch(
        r"nvc: quality (\d+) reaches ([\d.,]+) of at (most|least) ([\d.]+) (\S+) \(\d+ trials\)\n", done.stderr
    )
    assert note is not None, done.stderr
    assert note[5] == unit
    reached, wanted = float(note[2].replace(",", "")), float(note[4])
    assert reached >= wanted if unit == "dB" else reached <= wanted
    assert f"q{note[1]}, " in done.stdout
    if unit == "dB":
        assert f", {reached:.2f} dB" in done.stdout
    elif unit == "bytes":
        assert out.stat().st_size == reached
    assert nvc("decode", out, "-o", tmp_path / "out.y4m", "--verify").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target-size", "900", "--psnr", "35"), "--target-size and --psnr: one goal at a time is allowed"),
        (("--bitrate", "fast"), "'fast' is not a bitrate: write bits per second, such as 800000, 800k or 2.5M"),
        (("--target-size", "20"), "goal of 20 bytes is out of reach: quality 0, the smallest, gives"),
        (("--codec", "hnerv", "--bitrate", "90k"), "--bitrate: codec hnerv takes --bpp or --target-size"),
        (("--codec", "hnerv", "--bpp", "1", "--model-size", "6k"), "--model-size and --bpp: one of them is allowed"),
    ],
)
def test_goals_that_cannot_be(nvc: Run, clip: Path, arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = nvc("encode", clip, "-o", tmp_path / "out.nvc", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []
