# SPDX-License-Identifier: Apache-2.0
"""Streams decode to the same pixels in other processes: other instruction sets, threads, layouts, weeks."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import conditional_clips as clips
import pytest

from nvcodec.codec.conditional import SYNTAX_VERSION
from nvcodec.media.sink import open_sink
from nvcodec.media.test_pattern import pattern_format
from nvcodec.media.types import Frame
from nvcodec.models import zoo
from nvcodec.stream import StreamReader

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
FACTS: dict[str, dict[str, Any]] = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))

# Asking for more than the processor has changes nothing, so every machine can run all of these.
INSTRUCTION_SETS = {
    "plain": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "all": {},
}


def run(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One Python process, to its end."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")}
    command = [sys.executable, "-W", "ignore", *map(str, arguments)]
    return subprocess.run(
        command, env={**inherited, **(environment or {})}, capture_output=True, text=True, timeout=300
    )


def planes_sha256(frames: list[Frame]) -> str:
    return hashlib.sha256(b"".join(plane.tobytes() for frame in frames for plane in frame.planes)).hexdigest()


@pytest.fixture(scope="module")
def real_frames(bikes_path: Path) -> list[Frame]:
    return clips.real(bikes_path, 3, 176, 96, start=30)


@pytest.fixture(scope="module")
def streams(real_frames: list[Frame], tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """Streams of this process, and what it decodes them to; the committed ones, and what they must decode to."""
    folder = tmp_path_factory.mktemp("streams")
    result = {GOLDEN / name: facts["planes_sha256"] for name, facts in FACTS.items()}
    for name, frames, quality in (
        ("real", real_frames, 36),
        ("rough", real_frames, 3),
        ("odd", clips.pattern(33, 17, 3), 63),
    ):
        path = folder / f"{name}-here.nvc"
        path.write_bytes(clips.encode(frames, quality))
        result[path] = planes_sha256(clips.decode(path.read_bytes()))
    return result


@pytest.mark.parametrize("name", FACTS)
def test_golden_streams_are_the_committed_ones(name: str) -> None:
    stream = (GOLDEN / name).read_bytes()
    assert hashlib.sha256(stream).hexdigest() == FACTS[name]["stream_sha256"]
    header = StreamReader(io.BytesIO(stream)).header
    assert header.model_sha256.hex() == FACTS[name]["model_sha256"]
    installed = {model.sha256.hex() for model in zoo.installed()}
    assert FACTS[name]["model_sha256"] in installed, "weights changed: run scripts/make_golden_streams.py"
    assert len(stream) < 10_000


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_the_same_pixels_everywhere(streams: dict[Path, str], instruction_set: str) -> None:
    """1, 2 and 4 threads, both layouts, with and without oneDNN, inside autocast: see decode_variants.py."""
    done = run(HERE / "decode_variants.py", *streams, environment=INSTRUCTION_SETS[instruction_set])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if instruction_set == "plain":
        assert found["capability"] in ("DEFAULT", "NO AVX")
    expected = {path.name: sha256 for path, sha256 in streams.items()}
    assert len(found["results"]) >= 7
    for variant, sha256s in found["results"].items():
        assert sha256s == expected, variant


def test_the_command_line(real_frames: list[Frame], tmp_path: Path) -> None:
    """Encoded in one process, decoded and verified in another, read here: the planes this process decodes."""
    video, stream, out = tmp_path / "in.y4m", tmp_path / "clip.nvc", tmp_path / "out.yuv"
    height, width = real_frames[0].y.shape
    sink = open_sink(video, pattern_format(width, height))
    for number, frame in enumerate(real_frames):
        sink.write(Frame(*frame.planes, pts=number, duration=1))
    sink.close()
    encoded = run("-m", "nvcodec", "encode", video, "-o", stream, "-q", 40, "--intra-period", 2)
    assert encoded.returncode == 0, encoded.stderr
    decoded = run("-m", "nvcodec", "decode", stream, "-o", out, "--verify")
    assert decoded.returncode == 0, decoded.stderr
    here = clips.decode(stream.read_bytes())
    assert out.read_bytes() == b"".join(plane.tobytes() for frame in here for plane in frame.planes)
    assert all(clips.psnr_db(d, f) > 30 for d, f in zip(here, real_frames, strict=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_sha256": b"\7" * 32}, "SHA-256 0707"),
        ({"config": bytes([SYNTAX_VERSION + 1])}, f"syntax {SYNTAX_VERSION + 1:02x}"),
    ],
    ids=["model", "config"],
)
def test_streams_of_another_model_or_syntax(tmp_path: Path, change: dict[str, bytes], words: str) -> None:
    with (GOLDEN / "low.nvc").open("rb") as file:
        (tmp_path / "other.nvc").write_bytes(clips.with_header(StreamReader(file), **change))
    done = run("-m", "nvcodec", "decode", tmp_path / "other.nvc", "-o", tmp_path / "out.y4m")
    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
    assert os.listdir(tmp_path) == ["other.nvc"]


@pytest.mark.parametrize("seed", [1])
def test_payloads_that_nobody_wrote(seed: int) -> None:
    pytest.importorskip("resource")
    done = run(HERE / "fuzz_payloads.py", seed)
    assert done.returncode >= 0, f"the decoder died of signal {-done.returncode} (11 = it read outside its memory)"
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["results"]) == {"decoded", "refused"}
    assert min(found["results"][outcome] for outcome in ("decoded", "refused")) > 20
    assert found["growth_mib"] < 200
