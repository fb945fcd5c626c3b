# SPDX-License-Identifier: Apache-2.0
"""The command as a user runs it: a process of its own, with a third party's codec installed beside ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nvcodec
from nvcodec.media.test_pattern import moving_pattern

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT, FRAMES = 64, 48, 5

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables for a process that finds the toy codec as an installed distribution with its entry point."""
    site = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "scripts" / "toy_codec.py", site)
    facts = site / "toy_codec-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-codec\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[nvcodec.codecs]\ntoy = toy_codec:ToyCodec\n")
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


@pytest.fixture(scope="session")
def nvc(environment: dict[str, str], compiled_kernels: None) -> Run:
    """Run one command to its end."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "nvcodec", *map(str, arguments)]
        settings = {"env": environment, "capture_output": True, "text": True, "stdin": subprocess.DEVNULL, **options}
        return subprocess.run(command, timeout=120, **settings)  # type: ignore[call-overload, no-any-return]

    return run


@pytest.fixture(scope="session", params=["toy", "conditional"])
def codec(request: pytest.FixtureRequest) -> str:
    """Each codec a stream may be made with; the neural one needs its weights."""
    name: str = request.param
    if name == "conditional":
        assert list(nvcodec.get_codec(name).models()), "no weights installed"
    return name


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small y4m clip."""
    path = tmp_path_factory.mktemp("clip") / "clip.y4m"
    path.write_bytes(y4m(WIDTH, HEIGHT, FRAMES))
    return path


@pytest.fixture(scope="session")
def stream(codec: str, clip: Path, nvc: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip as a stream."""
    path = tmp_path_factory.mktemp("stream") / f"{codec}.nvc"
    done = nvc("encode", clip, "-o", path, "--codec", codec)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="session")
def toy_stream(clip: Path, nvc: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip as a stream of the toy codec."""
    path = tmp_path_factory.mktemp("toy") / "toy.nvc"
    done = nvc("encode", clip, "-o", path, "--codec", "toy", "--intra-period", 2)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder that only the command writes to."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def y4m(width: int, height: int, frames: int) -> bytes:
    """A y4m file of the synthetic moving picture."""
    header = f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420mpeg2\n".encode()
    pictures = (
        b"".join(np.ascontiguousarray(p).tobytes() for p in f.planes) for f in moving_pattern(width, height, frames)
    )
    return header + b"".join(b"FRAME\n" + picture for picture in pictures)
