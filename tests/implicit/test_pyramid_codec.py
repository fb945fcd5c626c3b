# SPDX-License-Identifier: Apache-2.0
"""The flagship as a codec: real files, the same pixels in other processes, sizes that are met, clear refusals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from implicit_clips import moving, write_y4m

from nvcodec.api import decode, encode, probe
from nvcodec.codec.protocol import EncodeSettings
from nvcodec.codec.registry import get_codec
from nvcodec.errors import DamagedStreamError, UsageError
from nvcodec.media.types import VideoFormat

WIDTH, HEIGHT, FRAMES = 70, 50, 12
FAST = {"epochs": 2, "width": 16}
DECODE = """
import sys, torch
torch.set_num_threads(int(sys.argv[3]))
from nvcodec.api import decode
decode(sys.argv[1], sys.argv[2], verify=True, threads=int(sys.argv[3]), pixel_format="yuv420p")
assert not [name for name in sys.modules if name.startswith("nvcodec.models.implicit") and name.endswith(".fit")]
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pyramid") / "clip.y4m"
    write_y4m(path, moving(FRAMES, WIDTH, HEIGHT), WIDTH, HEIGHT)
    return path


@pytest.fixture(scope="module")
def stream(clip: Path) -> Path:
    path = clip.with_name("clip.nvc")
    encode(clip, path, codec="pyramid", quality=40, threads=1, options=FAST)
    return path


def samples(path: Path) -> np.ndarray:
    return np.fromfile(path, np.uint8).reshape(FRAMES, -1).astype(float)


def originals() -> np.ndarray:
    return np.stack([np.concatenate([p.ravel() for p in f.planes]) for f in moving(FRAMES, WIDTH, HEIGHT)]).astype(
        float
    )


def test_other_processes_and_thread_counts_decode_what_the_encoder_saw(stream: Path, tmp_path: Path) -> None:
    made = []
    for threads, capability in ((1, "default"), (3, "avx2")):
        out = tmp_path / f"{threads}.yuv"
        done = subprocess.run(
            [sys.executable, "-c", DECODE, str(stream), str(out), str(threads)],
            capture_output=True,
            text=True,
            env={"ATEN_CPU_CAPABILITY": capability, "PATH": "/usr/bin"},
        )
        assert done.returncode == 0, done.stderr
        made.append(samples(out))
    assert np.array_equal(made[0], made[1])
    psnr_db = 10 * np.log10(255**2 / ((made[0] - originals()) ** 2).mean())
    assert psnr_db > 34
    info = probe(stream)
    assert info.codec == "pyramid"
    assert info.pixel_exact
    assert info.keyframes == (0,)
    assert info.parts is not None
    assert sum(info.parts.values()) == info.payload_nbytes
    assert 200 < info.parts["weights"] < 3000


def test_frames_after_the_first_are_cheap(stream: Path) -> None:
    info = probe(stream)
    later = (info.payload_nbytes - info.keyframe_payload_nbytes) / (FRAMES - 1)
    assert later < 0.4 * info.keyframe_payload_nbytes


def test_groups_can_be_entered_at_their_keyframe(clip: Path, tmp_path: Path) -> None:
    stream, whole, part = tmp_path / "gops.nvc", tmp_path / "whole.yuv", tmp_path / "part.yuv"
    report = encode(clip, stream, codec="pyramid", quality=30, threads=1, intra_period=5, options={**FAST, "epochs": 1})
    assert report.keyframes == 3
    assert report.psnr_db is not None
    decode(stream, whole, verify=True, pixel_format="yuv420p")
    decode(stream, part, frames=(7, 9), pixel_format="yuv420p")
    assert np.array_equal(np.fromfile(part, np.uint8), samples(whole)[7:9].ravel().astype(np.uint8))


def test_a_wished_size_is_kept(clip: Path, tmp_path: Path) -> None:
    report = encode(
        clip,
        tmp_path / "small.nvc",
        codec="pyramid",
        threads=1,
        options={"target_nbytes": 900, "epochs": 4, "width": 0},
    )
    assert 0.8 * 900 < report.nbytes <= 900


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": 1}, "no option 'colour'"),
        ({"width": 17}, "option width is 17: 0, 16, 24"),
        ({"bpp": -1}, "option bpp is -1"),
        ({"span": 2.5}, "option span is 2.5"),
        ({"bpp": 0.1, "target_nbytes": 100}, "choose one size"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_codec("pyramid").encoder(VideoFormat(WIDTH, HEIGHT), EncodeSettings(options=options))


def test_damage_is_an_error_and_nothing_else(clip: Path) -> None:
    encoder = get_codec("pyramid").encoder(
        VideoFormat(WIDTH, HEIGHT), EncodeSettings(quality=30, threads=1, options={**FAST, "epochs": 1})
    )
    for frame in moving(FRAMES, WIDTH, HEIGHT):
        encoder.encode(frame)
    key, span, *_ = encoder.flush()
    random = np.random.default_rng(3)

    def decoder():  # type: ignore[no-untyped-def]
        return get_codec("pyramid").decoder(VideoFormat(WIDTH, HEIGHT), None, encoder.config, threads=1)

    with pytest.raises(DamagedStreamError, match="keyframe must"):
        decoder().decode(span.payload, False)
    good = decoder()
    good.decode(key.payload, True)
    assert len(good.decode(span.payload, False)) == span.frame_count
    for payload in (b"", key.payload[:9], b"\xff" * 40):
        with pytest.raises(DamagedStreamError):
            decoder().decode(payload, True)
    for _ in range(25):
        damaged = bytearray(span.payload)
        damaged[random.integers(len(damaged))] ^= 1 << int(random.integers(8))
        ours = decoder()
        ours.decode(key.payload, True)
        try:
            ours.decode(bytes(damaged), False)
        except DamagedStreamError:
            pass
