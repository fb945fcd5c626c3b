# SPDX-License-Identifier: Apache-2.0
"""A third-party codec installed by entry point alone, in processes of their own: library, command line, bad days."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nvcodec.codec.registry import BUILT_IN
from nvcodec.media.sink import open_sink
from nvcodec.media.test_pattern import moving_pattern, pattern_format

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "toy_codec.py"
Environment = dict[str, str]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.y4m"
    sink = open_sink(path, pattern_format(64, 48))
    for frame in moving_pattern(64, 48, 40):
        sink.write(frame)
    sink.close()
    return path


def run(
    environment: Environment, *arguments: object, code: int = 0, **options: object
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, **options)  # type: ignore[call-overload]
    assert done.returncode == code, (done.stdout[-300:], done.stderr)
    return done  # type: ignore[no-any-return]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_example_is_short() -> None:
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) < 60


def test_library(with_toy_installed: Environment, clip: Path, tmp_path: Path) -> None:
    """Lossless at quality 63, so the decoded file is the original, byte for byte."""
    stream, out = tmp_path / "clip.nvc", tmp_path / "out.y4m"
    encode = (
        "import sys, nvcodec; print(nvcodec.encode(*sys.argv[1:], codec='toy', quality=63, intra_period=10).frames)"
    )
    decode = "import sys, nvcodec; print(nvcodec.decode(*sys.argv[1:], verify=True).frames)"
    assert run(with_toy_installed, "-c", encode, clip, stream).stdout == b"40\n"
    assert run(with_toy_installed, "-c", decode, stream, out).stdout == b"40\n"
    assert sha256(out) == sha256(clip)


def test_command_line(with_toy_installed: Environment, clip: Path, tmp_path: Path) -> None:
    stream, out = tmp_path / "clip.nvc", tmp_path / "out.y4m"
    nvc = ("-m", "nvcodec")
    run(with_toy_installed, *nvc, "encode", clip, "-o", stream, "--codec", "toy", "-q", "63", "--intra-period", "10")
    run(with_toy_installed, *nvc, "decode", stream, "-o", out, "--verify")
    assert sha256(out) == sha256(clip)
    assert b"toy" in run(with_toy_installed, *nvc, "info", stream).stdout
    assert b"toy" in run(with_toy_installed, *nvc, "models").stdout


def test_pipes(with_toy_installed: Environment, clip: Path) -> None:
    nvc = ("-m", "nvcodec")
    stream = run(
        with_toy_installed, *nvc, "encode", "-", "-o", "-", "--codec", "toy", "-q", "63", input=clip.read_bytes()
    ).stdout
    assert stream[:4] == b"\xf5NVC"
    video = run(with_toy_installed, *nvc, "decode", "-", "-o", "-", "--verify", input=stream).stdout
    assert video == clip.read_bytes()


def test_without_the_plugin_its_streams_are_unsupported(
    with_toy_installed: Environment, clip: Path, tmp_path: Path
) -> None:
    stream = tmp_path / "clip.nvc"
    run(with_toy_installed, "-m", "nvcodec", "encode", clip, "-o", stream, "--codec", "toy")
    done = run(dict(os.environ), "-m", "nvcodec", "decode", stream, "-o", tmp_path / "out.y4m", code=4)
    assert len(done.stderr.splitlines()) == 1
    assert b"65000" in done.stderr
    assert os.listdir(tmp_path) == ["clip.nvc"]


def test_disk_that_fills_up(with_toy_installed: Environment, clip: Path, tmp_path: Path) -> None:
    """A file size limit stands for a full disk: the write fails half-way."""
    resource = pytest.importorskip("resource")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    arguments = ("-m", "nvcodec", "encode", clip, "-o", tmp_path / "out.nvc", "--codec", "toy", "-q", "63")
    done = run(with_toy_installed, *arguments, code=1, preexec_fn=limit)
    assert len(done.stderr.splitlines()) == 1
    assert b"cannot be written" in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_while_waiting_for_input(
    with_toy_installed: Environment, clip: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    arguments = [sys.executable, "-m", "nvcodec", "encode", "-", "-o", str(tmp_path / "out.nvc"), "--codec", "toy"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(arguments, env=with_toy_installed, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(clip.read_bytes()[:100_000])
        process.stdin.flush()
        deadline = time.monotonic() + 30
        while not os.listdir(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(number)
        assert process.wait(30) == code
        stderr = process.stderr.read()
    assert len(stderr.splitlines()) == 1
    assert os.listdir(tmp_path) == []


def test_the_registry_lists_it(with_toy_installed: Environment) -> None:
    code = "import json; from nvcodec.codec.registry import codec_names; print(json.dumps(codec_names()))"
    assert json.loads(run(with_toy_installed, "-c", code).stdout) == [*BUILT_IN, "toy"]
