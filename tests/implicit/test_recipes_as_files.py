# SPDX-License-Identifier: Apache-2.0
"""Every recipe makes a real file, a fresh process decodes it, and the file is as large as was estimated."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from implicit_clips import HEIGHT, WIDTH, moving

from nvcodec.api import encode, probe
from nvcodec.codec.registry import get_codec
from nvcodec.errors import UsageError
from nvcodec.media.types import VideoFormat
from nvcodec.models.implicit.coding import scheme_class
from nvcodec.models.implicit.decoder import GroupDecoder
from nvcodec.models.implicit.recipe import get_recipe
from nvcodec.models.implicit.representation import Geometry
from nvcodec.models.implicit.unit import write_unit
from nvcodec.stream import StreamReader

# recipe: options of a fit of a few seconds
RECIPES = {
    "nervpp": {"model_size": 12_000, "epochs": 12, "lr": 0.01},
    "boost-hnerv": {"model_size": 80_000, "epochs": 8, "lr": 0.003},
    "boost-nerv": {"model_size": 115_000, "epochs": 8, "lr": 0.01},
    "boost-e-nerv": {"model_size": 520_000, "epochs": 5, "lr": 0.004},
    "nirvana": {"model_size": 40_000, "epochs": 80, "lr": 0.002},
    "cam": {"model_size": 30_000, "epochs": 10, "lr": 0.005},
    "pfnr": {"model_size": 16_000, "epochs": 24, "lr": 0.01},
    "hinerv": {"model_size": 12_000, "epochs": 10, "lr": 0.02},
}
DECODE_ALL = """
import json, sys
import torch
torch.set_num_threads(1)
from nvcodec.api import decode
for stream, out in json.loads(sys.argv[1]):
    decode(stream, out, verify=True, pixel_format="yuv420p")
print(sorted(name for name in sys.modules if name.startswith("nvcodec.models.implicit.fit")))
"""


def decoded(streams: dict[str, Path], folder: Path) -> tuple[dict[str, np.ndarray], str]:
    """Frames (N, H * W * 3 / 2) that one fresh process makes of each stream, and what it printed."""
    pairs = [(str(path), str(folder / f"{name}.yuv")) for name, path in streams.items()]
    done = subprocess.run([sys.executable, "-c", DECODE_ALL, json.dumps(pairs)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    read = {name: np.fromfile(folder / f"{name}.yuv", np.uint8) for name in streams}
    return {name: samples.reshape(-1, HEIGHT * WIDTH * 3 // 2) for name, samples in read.items()}, done.stdout


def luma(frames: np.ndarray) -> np.ndarray:
    return frames[:, : HEIGHT * WIDTH].astype(float)


@pytest.fixture(scope="module")
def streams(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("streams")
    for name, options in RECIPES.items():
        encode(clip, folder / f"{name}.nvc", codec=name, options={**options, "weights_coding": "paper"})
    return {name: folder / f"{name}.nvc" for name in RECIPES}


def test_a_fresh_process_decodes_every_recipe(streams: dict[str, Path], tmp_path: Path) -> None:
    made, printed = decoded(streams, tmp_path)
    source = np.stack([frame.y.ravel() for frame in moving(6)]).astype(float)
    flat = source.var(1).mean()
    for name, frames in made.items():
        assert len(frames) == 6
        error = np.square(luma(frames) - source).mean()
        assert error < 0.6 * flat, (name, error, flat)
    assert printed.strip() == "[]"  # nothing of the fit is needed to decode


def test_files_hold_units_and_little_else(streams: dict[str, Path]) -> None:
    for name, path in streams.items():
        info = probe(path)
        assert info.nbytes == path.stat().st_size
        assert info.nbytes - info.payload_nbytes < 160, name
        with path.open("rb") as file:
            payloads = [u.payload for record in StreamReader(file, name).records() for u in record.units]
        parts = [get_codec(name).unit_parts(payload) for payload in payloads]
        assert sum(sum(part.values()) for part in parts) == info.payload_nbytes
        assert len(payloads) == (2 if name == "nirvana" else 1)


@pytest.mark.parametrize("name", list(RECIPES))
def test_estimated_bits_are_those_of_the_unit(name: str) -> None:
    """Learned coding: the estimate at the end of a fit against the bytes of its unit."""
    torch.manual_seed(1)
    recipe, geometry = get_recipe(name), Geometry(HEIGHT, WIDTH, 3)
    shape = recipe.shape(geometry, RECIPES[name]["model_size"], {})
    network = recipe.build(geometry, shape)
    network.release()
    scheme = scheme_class("learned", recipe)(network, recipe)
    estimated = scheme.estimated_bits()
    nbytes = len(write_unit(geometry.frames, "learned", shape, scheme.write()))
    assert abs(8 * nbytes - estimated) < 0.01 * estimated + 8 * 64


def test_later_groups_of_nirvana_are_differences(streams: dict[str, Path]) -> None:
    with streams["nirvana"].open("rb") as file:
        (record,) = StreamReader(file, "nirvana").records()
    assert [unit.frame_count for unit in record.units] == [3, 3]
    decoder = GroupDecoder(get_recipe("nirvana"), VideoFormat(WIDTH, HEIGHT))
    first = decoder.load(record.units[0].payload, True)
    second = decoder.load(record.units[1].payload, False)
    for name, value in first.named_parameters():
        assert torch.equal(second.references[name], value)
    moved = [float((v - second.references[n]).abs().mean() / v.abs().mean()) for n, v in second.named_parameters()]
    assert 0 < float(np.mean(moved)) < 0.5


@pytest.fixture(scope="module")
def joined(streams: dict[str, Path], other_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("joined") / "both.nvc"
    options = {**RECIPES["pfnr"], "weights_coding": "paper", "join": str(streams["pfnr"])}
    encode(other_clip, out, codec="pfnr", options=options)
    return out


def test_a_video_joins_and_the_first_stays_bit_identical(
    streams: dict[str, Path], joined: Path, tmp_path: Path
) -> None:
    made, _ = decoded({"alone": streams["pfnr"], "both": joined}, tmp_path)
    assert len(made["both"]) == 12
    assert np.array_equal(made["both"][:6], made["alone"])
    source = np.stack([frame.y.ravel() for frame in moving(6, phase=2.0)]).astype(float)
    assert np.square(luma(made["both"][6:]) - source).mean() < 0.6 * source.var(1).mean()


def test_what_joins_shares_the_network(streams: dict[str, Path], joined: Path) -> None:
    alone, both = streams["pfnr"].read_bytes(), joined.read_bytes()
    info = probe(streams["pfnr"])
    records = info.nbytes - info.index_nbytes
    assert both[:records] == alone[:records]
    with joined.open("rb") as file:
        first, second = (record.units[0].payload for record in StreamReader(file, "both").records())
    masks = get_codec("pfnr").unit_parts(second)["masks"]
    decoder = GroupDecoder(get_recipe("pfnr"), VideoFormat(WIDTH, HEIGHT))
    networks = [decoder.load(first, True), decoder.load(second, False)]
    shared = sum(tensor.known.numel() for tensor in networks[1].shared())
    assert 0 < masks < shared / 8 + 64  # a bit for each number at most
    assert any(bool(tensor.reuse.any()) for tensor in networks[1].shared())
    assert len(second) < 0.9 * len(first)
    for before, after in zip(networks[0].shared(), networks[1].shared(), strict=True):
        values, used = before.inheritance()
        assert 0.4 < float(used.float().mean()) < 0.6
        assert torch.equal(after.inheritance()[0][used], values[used])


def test_what_cannot_join(clip: Path, streams: dict[str, Path], tmp_path: Path) -> None:
    common = {"epochs": 1, "join": str(streams["pfnr"])}
    with pytest.raises(UsageError, match="cannot join"):
        encode(clip, tmp_path / "a.nvc", codec="hinerv", options={**common, "model_size": 12_000})
    with pytest.raises(UsageError, match="pictures of 48x32"):
        encode(clip, tmp_path / "b.nvc", codec="pfnr", size=(64, 48), options=common)
    with pytest.raises(UsageError, match="codec number"):
        encode(clip, tmp_path / "c.nvc", codec="pfnr", options={**common, "join": str(streams["hinerv"])})
    assert not list(tmp_path.iterdir())
