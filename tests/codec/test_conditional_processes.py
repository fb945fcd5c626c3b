# SPDX-License-Identifier: Apache-2.0
"""Streams decode to the same pixels in other processes: other processors, threads, weeks; damage does no harm."""

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
import torch

import nvcodec
from nvcodec.codec.conditional import DEFAULT_SIZE, SIZES, SYNTAX_VERSION
from nvcodec.media.sink import open_sink
from nvcodec.media.test_pattern import pattern_format
from nvcodec.media.types import Frame
from nvcodec.models import zoo
from nvcodec.stream import StreamReader

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
FACTS: dict[str, dict[str, Any]] = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))


def run(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One Python process, to its end."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    command = [sys.executable, "-W", "ignore", *map(str, arguments)]
    return subprocess.run(
        command, env={**inherited, **(environment or {})}, capture_output=True, text=True, timeout=900
    )


def planes_sha256(frames: list[Frame]) -> str:
    return hashlib.sha256(b"".join(plane.tobytes() for frame in frames for plane in frame.planes)).hexdigest()


@pytest.fixture(scope="session")
def careful(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment of a process whose kernels are compiled for the plainest processor and look at bounds.

    They are compiled once (a minute or two) and kept while no kernel changes.
    """
    digest, folder = hashlib.sha256(), Path(zoo.__file__).parents[1]
    for source in sorted([*(folder / "kernels").glob("*.py"), *(folder.parent / "entropy").glob("*.py")]):
        digest.update(source.read_bytes())
    kept = request.config.cache.mkdir(f"numba-{digest.hexdigest()[:12]}")
    return {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_BOUNDSCHECK": "1",
        "NUMBA_CACHE_DIR": str(kept),
    }


@pytest.fixture(scope="module")
def real_frames(bikes_path: Path) -> list[Frame]:
    return clips.real(bikes_path, 11, 176, 96, start=30)


@pytest.fixture(scope="module")
def streams(real_frames: list[Frame], tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """Streams of this process, and what it decodes them to; the committed ones, and what they must decode to."""
    folder = tmp_path_factory.mktemp("streams")
    result = {GOLDEN / name: facts["planes_sha256"] for name, facts in FACTS.items()}
    for name, frames, quality, profile, size in (
        ("real", real_frames, 36, "ra", DEFAULT_SIZE),
        ("delayless", real_frames, 36, "ld", DEFAULT_SIZE),
        ("rough", real_frames[:5], 3, "ra", DEFAULT_SIZE),
        ("odd", clips.pattern(33, 17, 5), 63, "ld", DEFAULT_SIZE),
        ("greatest", real_frames, 36, "ra", "l"),
    ):
        path = folder / f"{name}-here.nvc"
        path.write_bytes(clips.encode(frames, quality, profile=profile, size=size))
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


@pytest.mark.parametrize("kernels", ["as installed", "careful"])
def test_the_same_pixels_everywhere(streams: dict[Path, str], kernels: str, request: pytest.FixtureRequest) -> None:
    """1, 2 and 8 threads, reading ahead or not, the network by PyTorch, on a GPU if there is one, too; for this
    processor and for any: see decode_variants.py."""
    environment = request.getfixturevalue("careful") if kernels == "careful" else {}
    done = run(HERE / "decode_variants.py", *streams, environment=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["cpu"] == "generic", found["boundscheck"]) == (kernels == "careful",) * 2
    expected = {path.name: sha256 for path, sha256 in streams.items()}
    assert len(found["results"]) == 7 + torch.cuda.is_available()
    for variant, sha256s in found["results"].items():
        assert sha256s == expected, variant


def test_an_encoder_with_its_network_elsewhere_writes_the_same_stream(real_frames: list[Frame], tmp_path: Path) -> None:
    height, width = real_frames[0].y.shape
    streams = []
    for device in ("cpu", "cpu:0"):
        encoder = nvcodec.Encoder(pattern_format(width, height), quality=44, device=device)
        streams.append(b"".join([encoder.encode(*frame.planes) for frame in real_frames]) + encoder.finish())
    assert streams[0] == streams[1]


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    done = run("-m", "nvcodec", "decode", GOLDEN / "low.nvc", "-o", tmp_path / "out.y4m", "--device", "cuda:77")
    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1
    assert "device 'cuda:77': " in done.stderr
    assert os.listdir(tmp_path) == []


def test_the_command_line(real_frames: list[Frame], tmp_path: Path) -> None:
    """Encoded in one process, decoded and verified in another, read here: the planes this process decodes."""
    video, stream, out = tmp_path / "in.y4m", tmp_path / "clip.nvc", tmp_path / "out.yuv"
    height, width = real_frames[0].y.shape
    sink = open_sink(video, pattern_format(width, height))
    for number, frame in enumerate(real_frames):
        sink.write(Frame(*frame.planes, pts=number, duration=1))
    sink.close()
    encoded = run("-m", "nvcodec", "encode", video, "-o", stream, "-q", 40, "--intra-period", 10)
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
        ({"config": bytes([SYNTAX_VERSION, len(SIZES)])}, f"with a size of 00 to {len(SIZES) - 1:02x}"),
    ],
    ids=["model", "syntax", "size"],
)
def test_streams_of_another_model_or_syntax(tmp_path: Path, change: dict[str, bytes], words: str) -> None:
    with (GOLDEN / "low.nvc").open("rb") as file:
        (tmp_path / "other.nvc").write_bytes(clips.with_header(StreamReader(file), **change))
    done = run("-m", "nvcodec", "decode", tmp_path / "other.nvc", "-o", tmp_path / "out.y4m")
    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
    assert os.listdir(tmp_path) == ["other.nvc"]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Sound streams of both profiles, 64x64, with short groups and long ones."""
    folder = tmp_path_factory.mktemp("fuzzed")
    quick, still = clips.pattern(64, 64, 20), clips.pattern(64, 64, 1) * 50
    for name, frames, profile in (("ra", quick, "ra"), ("long", still, "ra"), ("ld", quick[:4], "ld")):
        (folder / f"{name}.nvc").write_bytes(clips.encode(frames, 40, profile=profile))
    return sorted(folder.iterdir())


@pytest.mark.parametrize(("seed", "kernels"), [(1, "as installed"), (2, "as installed"), (3, "careful")])
def test_payloads_that_nobody_wrote(
    fuzzed: list[Path], seed: int, kernels: str, request: pytest.FixtureRequest
) -> None:
    """Frames or a word of damage: no crash, no endless work, no look beyond an array's end."""
    pytest.importorskip("resource")
    environment = request.getfixturevalue("careful") if kernels == "careful" else {}
    done = run(HERE / "fuzz_payloads.py", seed, *fuzzed, environment=environment)
    assert done.returncode >= 0, f"the decoder died of signal {-done.returncode} (11 = it read outside its memory)"
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["results"]) == {"decoded", "refused"}
    assert min(found["results"][outcome] for outcome in ("decoded", "refused")) > 50
    assert found["growth_mib"] < 100
    assert found["slowest_s"] < 10
