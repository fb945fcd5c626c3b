# SPDX-License-Identifier: Apache-2.0
"""Files of implicit codecs: written, described, decoded whole, in part, between frames, and without training code."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from implicit_clips import HEIGHT, WIDTH, moving, write_y4m

from nvcodec import api
from nvcodec.errors import DamagedStreamError, UnsupportedError, UsageError
from nvcodec.media import open_source
from nvcodec.models.implicit.fit.budget import Budget
from nvcodec.models.implicit.recipe import get_recipe
from nvcodec.models.implicit.representation import Geometry

SMALL: dict[str, Any] = {"model_size": 6000, "epochs": 2}


def planes(path: Path) -> list[tuple[np.ndarray, ...]]:
    with open_source(str(path)) as source:
        return [frame.planes for frame in source]


def same(a: list[tuple[np.ndarray, ...]], b: list[tuple[np.ndarray, ...]]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(p, q) for x, y in zip(a, b, strict=True) for p, q in zip(x, y, strict=True)
    )


@pytest.fixture(scope="module")
def stream(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two groups of three frames."""
    path = tmp_path_factory.mktemp("streams") / "moving.nvc"
    report = api.encode(clip, path, codec="hnerv", threads=1, options={**SMALL, "gop": 3})
    assert (report.frames, report.keyframes, report.interrupted) == (6, 2, False)
    assert report.psnr_db is not None
    assert report.psnr_db > 8
    return path


@pytest.fixture(scope="module")
def decoded(stream: Path) -> list[tuple[np.ndarray, ...]]:
    out = stream.with_suffix(".y4m")
    assert api.decode(stream, out, verify=True, threads=1).verified
    return planes(out)


_FRESH = """
import sys
from nvcodec.cli import main
code = main(["decode", sys.argv[1], "-o", sys.argv[2], "--verify", "--threads", "1", "--quiet"])
training = [m for m in sys.modules if ".implicit.fit" in m or ".training" in m]
assert not training, training
assert "torchvision" not in sys.modules and "compressai.models" not in sys.modules
sys.exit(code)
"""


def test_fresh_process_decodes_without_training_code(stream: Path, decoded: list, tmp_path: Path) -> None:
    alone = tmp_path / "alone.nvc"
    alone.write_bytes(stream.read_bytes())
    out = tmp_path / "out.y4m"
    subprocess.run([sys.executable, "-c", _FRESH, str(alone), str(out)], check=True, timeout=300)
    assert same(planes(out), decoded)


@pytest.mark.parametrize("wanted", [(0, 1), (1, 2), (2, 5), (4, None)])
def test_any_frames_alone_are_those_of_the_whole(stream: Path, decoded: list, wanted: Any, tmp_path: Path) -> None:
    out = tmp_path / "part.y4m"
    api.decode(stream, out, frames=wanted, threads=1)
    assert same(planes(out), decoded[slice(*wanted)])


def test_one_frame_runs_the_network_once(stream: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from nvcodec.models.implicit import decoder

    moments: list[float] = []
    original = decoder.frame_at
    monkeypatch.setattr(
        decoder, "frame_at", lambda network, moment, video: moments.append(moment) or original(network, moment, video)
    )
    api.decode(stream, tmp_path / "one.png", frames=(4, 5), threads=1)
    assert moments == [1]


def test_interpolation_doubles_the_rate_and_keeps_the_frames(stream: Path, decoded: list, tmp_path: Path) -> None:
    out = tmp_path / "fast.y4m"
    api.decode(stream, out, interpolate=2, threads=1)
    with open_source(str(out)) as source:
        assert source.format.frame_rate == 50
        doubled = [frame.planes for frame in source]
    assert len(doubled) == 12
    assert same(doubled[::2], decoded)
    between, before, after = (f[0].astype(float) for f in (doubled[1], doubled[0], doubled[2]))
    assert np.abs(between - (before + after) / 2).mean() < 1 + np.abs(after - before).mean()
    with pytest.raises(UsageError, match="--interpolate"):
        api.decode(stream, out, interpolate=2, verify=True, overwrite=True)


def test_only_representations_have_pictures_between_frames(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "c.nvc"
    api.encode(clip, path, frames=(0, 1))
    with pytest.raises(UnsupportedError, match="no pictures between frames"):
        api.decode(path, tmp_path / "c.y4m", interpolate=2)


def test_parts_add_up_to_the_payload(stream: Path) -> None:
    info = api.probe(stream)
    assert info.parts is not None
    assert set(info.parts) >= {"tables", "weights", "latents", "metadata"}
    assert sum(info.parts.values()) == info.payload_nbytes
    assert info.pixel_exact is False
    assert info.model is None
    assert info.nbytes == stream.stat().st_size


@pytest.mark.parametrize("codec", ["nerv", "e-nerv"])
@pytest.mark.parametrize("coding", ["paper", "learned"])
def test_every_recipe_and_coding_round_trips_odd_sizes(codec: str, coding: str, tmp_path: Path) -> None:
    source, path, out = tmp_path / "odd.y4m", tmp_path / "odd.nvc", tmp_path / "out.y4m"
    write_y4m(source, moving(3, 37, 23), 37, 23)
    api.encode(
        source, path, codec=codec, threads=1, options={"model_size": 60_000, "epochs": 1, "weights_coding": coding}
    )
    api.decode(path, out, verify=True, threads=1)
    assert [p.shape for p in planes(out)[0]] == [(23, 37), (12, 19), (12, 19)]


def test_quality_alone_is_enough(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "q.nvc"
    api.encode(clip, path, codec="hnerv", quality=50, threads=1, options={"epochs": 1})
    assert api.decode(path, tmp_path / "q.y4m", verify=True, threads=1).frames == 6


def test_better_quality_is_a_larger_network_that_pays_less_for_bits() -> None:
    geometry, recipe = Geometry(640, 1280, 132), get_recipe("hnerv")
    budgets = [Budget(quality=q).of_group(geometry, recipe, "learned", {}) for q in range(64)]
    for worse, better in pairwise(budgets):
        assert worse.parameters < better.parameters
        assert worse.rate_weight > better.rate_weight


def test_a_whole_clip_may_be_one_unit_of_more_than_32_frames(tmp_path: Path) -> None:
    source, path = tmp_path / "long.y4m", tmp_path / "long.nvc"
    write_y4m(source, moving(40), WIDTH, HEIGHT)
    api.encode(
        source, path, codec="hnerv", threads=1, options={"model_size": 12_000, "epochs": 1, "weights_coding": "paper"}
    )
    info = api.probe(path)
    assert (info.frame_count, info.unit_count, info.record_count) == (40, 1, 1)
    out = tmp_path / "end.y4m"
    api.decode(path, out, frames=(39, 40), threads=1)
    assert len(planes(out)) == 1


def test_ctrl_c_leaves_a_valid_file(clip: Path, tmp_path: Path) -> None:
    def stop(group: int, state: Any) -> None:
        if group == 1:
            raise KeyboardInterrupt

    path = tmp_path / "stopped.nvc"
    report = api.encode(clip, path, codec="hnerv", threads=1, on_fit=stop, options={**SMALL, "gop": 2, "epochs": 2})
    assert report.interrupted
    assert report.frames == 4
    assert any("holds what was reached" in note for note in report.notes)
    assert api.decode(path, tmp_path / "stopped.y4m", verify=True, threads=1).frames == 4


def test_cut_or_changed_files_are_damage(stream: Path, tmp_path: Path) -> None:
    whole = stream.read_bytes()
    broken = tmp_path / "broken.nvc"
    for cut in (len(whole) // 3, len(whole) - 20):
        broken.write_bytes(whole[:cut])
        with pytest.raises(DamagedStreamError):
            api.decode(broken, tmp_path / "x.y4m", overwrite=True)
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 4
    broken.write_bytes(changed)
    with pytest.raises(DamagedStreamError):
        api.decode(broken, tmp_path / "x.y4m", overwrite=True)


def test_command_line_end_to_end(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nvcodec.cli import main

    path, preview = str(tmp_path / "c.nvc"), str(tmp_path / "p.png")
    fit = ["--model-size", "6k", "--time", "0.3s", "--gop", "6", "--threads", "1", "--preview", preview]
    assert main(["encode", str(clip), "-o", path, "--codec", "hnerv", *fit, "--progress"]) == 0
    shown = capsys.readouterr()
    assert "epoch 1" in shown.err
    assert "dB" in shown.out
    assert main(["info", path]) == 0
    described = capsys.readouterr().out
    assert "parts     tables" in described
    assert "exact     no: floating point" in described
    assert main(["info", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parts"]["weights"] > 1000
    assert main(["decode", path, "-o", str(tmp_path / "o.y4m"), "--interpolate", "2", "--threads", "1"]) == 0
    assert main(["encode", str(clip), "-o", path, "-y", "--codec", "hnerv", "--target-size", "90"]) == 2
    assert main(["encode", str(clip), "-o", path, "-y", "--codec", "hnerv", "--bpp", "1", "--model-size", "6k"]) == 2
    assert main(["encode", str(clip), "-o", path, "-y", "--model-size", "6k"]) == 2  # the conditional codec has none
