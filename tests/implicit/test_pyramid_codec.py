# SPDX-License-Identifier: Apache-2.0
"""The flagship as a codec: real files, the same pixels in other processes, sizes that are met, clear refusals."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from implicit_clips import moving, write_y4m
from PIL import Image

from nvcodec.api import decode, encode, probe
from nvcodec.codec.protocol import EncodeSettings, SequenceDecoder
from nvcodec.codec.pyramid import SYNTAX_VERSION
from nvcodec.codec.registry import get_codec
from nvcodec.errors import DamagedStreamError, NvcError, UnsupportedError, UsageError
from nvcodec.media.types import VideoFormat
from nvcodec.models.implicit.fit.progress import FitProgress
from nvcodec.models.implicit.pyramid.decoder import split_unit
from nvcodec.models.implicit.pyramid.taps import MAX_NBYTES
from nvcodec.models.implicit.pyramid.wish import Wish
from nvcodec.pipeline.report import EncodeReport
from nvcodec.stream import StreamReader, Unit
from nvcodec.stream.fields import write_varint

WIDTH, HEIGHT, FRAMES = 70, 50, 12
FAST = {"epochs": 2}
DECODE = """
import sys
from nvcodec.api import decode
decode(sys.argv[1], sys.argv[2], verify=True, threads=int(sys.argv[3]), pixel_format="yuv420p")
assert not [name for name in sys.modules if ".fit" in name and name.startswith("nvcodec.models.implicit")]
assert "torch" not in sys.modules
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
    for threads in (1, 3):
        out = tmp_path / f"{threads}.yuv"
        done = subprocess.run(
            [sys.executable, "-c", DECODE, str(stream), str(out), str(threads)], capture_output=True, text=True
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


@pytest.fixture(scope="module")
def fitted(bikes_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real frames with two keyframes, the pass with fitted filters, whether or not it is the better one."""
    path = tmp_path_factory.mktemp("pyramid") / "bikes.nvc"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wish, "better", lambda *_: True)
        encode(bikes_path, path, codec="pyramid", quality=36, frames=(60, 72), intra_period=6, options=FAST)
    return path


def units_of(path: Path) -> list[Unit]:
    with path.open("rb") as file:
        return [unit for record in StreamReader(file, path.name).records() for unit in record.units]


def test_what_is_fitted_travels_with_each_keyframe(fitted: Path, tmp_path: Path) -> None:
    info = probe(fitted)
    assert info.parts is not None
    assert 2 * 20 < info.parts["weights"] < 2 * 800
    heads = [split_unit(unit.payload)[0] for unit in units_of(fitted)]
    assert len(set(heads)) == 2
    assert [n for n, head in enumerate(heads) if head] == [0, 2]  # a keyframe and a group, twice
    decode(fitted, tmp_path / "all.yuv", verify=True, pixel_format="yuv420p")
    decode(fitted, tmp_path / "end.yuv", frames=(8, 12), verify=True, pixel_format="yuv420p")
    whole, end = ((tmp_path / f"{name}.yuv").read_bytes() for name in ("all", "end"))
    assert whole.endswith(end)
    assert len(end) * 3 == len(whole)


def test_groups_can_be_entered_at_their_keyframe(clip: Path, tmp_path: Path) -> None:
    stream, whole, part = tmp_path / "gops.nvc", tmp_path / "whole.yuv", tmp_path / "part.yuv"
    report = encode(clip, stream, codec="pyramid", quality=30, threads=1, intra_period=5, options={"epochs": 1})
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
        options={"target_nbytes": 1500, "epochs": 5},
    )
    assert 0.8 * 1500 < report.nbytes <= 1500
    assert report.nbytes == (tmp_path / "small.nvc").stat().st_size


def test_a_wished_psnr_is_reached(clip: Path, tmp_path: Path) -> None:
    report = encode(clip, tmp_path / "psnr.nvc", codec="pyramid", threads=1, options={"psnr_db": 36, "epochs": 5})
    assert report.psnr_db is not None
    assert 36 <= report.psnr_db < 37


def test_a_wish_that_cannot_be_met_is_told(clip: Path, tmp_path: Path) -> None:
    report = encode(clip, tmp_path / "tiny.nvc", codec="pyramid", threads=1, options={"target_nbytes": 200})
    assert any("is as near as it came to" in note for note in report.notes)
    decode(tmp_path / "tiny.nvc", tmp_path / "tiny.yuv", verify=True, pixel_format="yuv420p")


def test_ctrl_c_keeps_the_best_pass(clip: Path, tmp_path: Path) -> None:
    passes = []

    def stop(_: int, state: object) -> None:
        passes.append(state)
        if len(passes) == 2:
            raise KeyboardInterrupt

    report = encode(clip, tmp_path / "cut.nvc", codec="pyramid", threads=1, on_fit=stop)
    assert report.interrupted
    assert report.frames == FRAMES
    decode(tmp_path / "cut.nvc", tmp_path / "cut.yuv", verify=True, pixel_format="yuv420p")


def test_a_fit_goes_on_where_it_stood(clip: Path, tmp_path: Path) -> None:
    resume, preview = tmp_path / "fit.resume", tmp_path / "look.png"
    wish = {"target_nbytes": 1500}

    def interrupted_after(count: int) -> EncodeReport:
        passes = []

        def stop(_: int, state: FitProgress) -> None:
            passes.append(state.epoch)
            if len(passes) == count:
                raise KeyboardInterrupt

        options = {**wish, "resume": resume, "preview": preview}
        out = tmp_path / "part.nvc"
        return encode(clip, out, codec="pyramid", threads=1, overwrite=True, on_fit=stop, options=options)

    assert interrupted_after(2).interrupted
    assert not interrupted_after(99).interrupted  # goes on with the third
    encode(clip, tmp_path / "whole.nvc", codec="pyramid", threads=1, options=wish)
    assert (tmp_path / "part.nvc").read_bytes() == (tmp_path / "whole.nvc").read_bytes()
    with Image.open(preview) as picture:
        assert picture.size == (WIDTH, 2 * HEIGHT)
    other = tmp_path / "other.y4m"
    write_y4m(other, moving(FRAMES, WIDTH, HEIGHT, phase=1.0), WIDTH, HEIGHT)
    with pytest.raises(UsageError, match="resumes source"):
        encode(other, tmp_path / "other.nvc", codec="pyramid", options={**wish, "resume": resume})
    resume.write_bytes(b"no such thing")
    with pytest.raises(NvcError, match="not a resume file"):
        encode(clip, tmp_path / "other.nvc", codec="pyramid", options={**wish, "resume": resume})
    assert not (tmp_path / "other.nvc").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": 1}, "no option 'colour'"),
        ({"bpp": -1}, "option bpp is -1"),
        ({"gop": 2.5}, "option gop is 2.5"),
        ({"bpp": 0.1, "target_nbytes": 100}, "choose one"),
        ({"bpp": 0.1, "psnr_db": 30}, "choose one"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_codec("pyramid").encoder(VideoFormat(WIDTH, HEIGHT), EncodeSettings(options=options))


@pytest.mark.parametrize("nbytes", [0, 1, 127, 128, 5000, MAX_NBYTES])
def test_units_say_how_long_their_filters_are(nbytes: int) -> None:
    """After a mark that no other unit begins with; a length is written in one way only."""
    filters, rest = bytes(n % 251 for n in range(nbytes)), b"\x10 and so on"
    unit = b"\0" + write_varint(nbytes) + filters + rest
    assert split_unit(unit) == (filters, len(unit) - len(rest))
    assert split_unit(rest) == split_unit(b"") == (b"", 0)
    for end in range(1, len(unit) - len(rest), max(1, nbytes // 50)):
        with pytest.raises(DamagedStreamError, match="a unit with fitted filters"):
            split_unit(unit[:end])
    with pytest.raises(DamagedStreamError, match="shortest form"):
        split_unit(b"\0" + write_varint(nbytes + 128)[:-1] + b"\x80\0" + unit)
    with pytest.raises(DamagedStreamError, match=f"is {MAX_NBYTES + 1}"):
        split_unit(b"\0" + write_varint(MAX_NBYTES + 1) + bytes(MAX_NBYTES + 1))


def test_damage_is_an_error_and_nothing_else(fitted: Path) -> None:
    key, group, *_ = units_of(fitted)
    begin = split_unit(key.payload)[1]
    codec, video = get_codec("pyramid"), VideoFormat(640, 272)
    model = codec.model_identity(EncodeSettings())
    random = np.random.default_rng(3)

    def decoder() -> SequenceDecoder:
        return codec.decoder(video, model, bytes([SYNTAX_VERSION]), threads=1)

    with pytest.raises(DamagedStreamError, match="keyframe must"):
        decoder().decode(group.payload, False)
    good = decoder()
    good.decode(key.payload, True)
    assert len(good.decode(group.payload, False)) == group.frame_count
    with pytest.raises(DamagedStreamError, match="no keyframe"):
        good.decode(key.payload[:begin] + group.payload, False)
    for payload in (b"", key.payload[: begin - 3], b"\0\xff\xff\xff\xff\x01", b"\0\x01\xf0" + key.payload[begin:]):
        with pytest.raises(DamagedStreamError):
            decoder().decode(payload, True)
    for place in random.integers(2, begin, 12):
        damaged = bytearray(key.payload)
        damaged[place] ^= 1 << int(random.integers(8))
        with contextlib.suppress(DamagedStreamError):
            decoder().decode(bytes(damaged), True)


def test_a_stream_of_other_syntax_or_without_model_is_refused() -> None:
    codec = get_codec("pyramid")
    for config in (b"", b"\1", b"\2", b"\3", bytes([SYNTAX_VERSION + 1]), bytes([SYNTAX_VERSION, 0])):
        with pytest.raises(UnsupportedError, match=f"syntax {config.hex() or 'none'}"):
            codec.decoder(VideoFormat(WIDTH, HEIGHT), codec.model_identity(EncodeSettings()), config)
    with pytest.raises(DamagedStreamError, match="no model"):
        codec.decoder(VideoFormat(WIDTH, HEIGHT), None, bytes([SYNTAX_VERSION]))
