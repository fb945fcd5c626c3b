# SPDX-License-Identifier: Apache-2.0
"""What training stores codes, and what is no weight file is refused."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from synthetic_training import panned

from nvcodec.errors import UnsupportedError
from nvcodec.models.conditional.sequence import VideoDecoder, VideoEncoder
from nvcodec.models.conditional.weights import load_weights
from nvcodec.models.training.export import export
from nvcodec.models.training.phases import train
from nvcodec.models.training.recipe import load_recipe


@pytest.fixture(scope="module")
def path(encoded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("trained")
    shutil.copytree(encoded, place / "run")
    recipe = load_recipe(place / "run" / "tiny.toml")
    train(recipe, place, place / "run", 0, lambda: False, lambda line: None)
    export(recipe, place / "run" / "tiny.toml", place / "run", place, place / "tiny.safetensors")
    return place / "tiny.safetensors"


def test_weight_file_is_named_by_its_hash(path: Path) -> None:
    weights = load_weights(path)
    assert weights.name == "tiny"
    assert weights.sha256 == hashlib.sha256(path.read_bytes()).digest()


@pytest.mark.parametrize("profile", ["ra", "ld"])
def test_stored_weights_code_and_decode(path: Path, profile: str) -> None:
    weights, planes = load_weights(path), panned(64, 80, 10, (2, 2))
    encoder = VideoEncoder(weights, 64, 80, 40, profile=profile, threads=1)
    decoder = VideoDecoder(weights, 64, 80, threads=1)
    units = []
    for frame in zip(*planes, strict=True):
        units += encoder.push(frame)
    units += encoder.flush()
    shown = []
    for unit in units:
        decoded = decoder.decode(unit.payload, unit.keyframe)
        for mine, theirs in zip(decoded, unit.planes, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))
        shown += decoded
    assert len(shown) == 10
    error = np.mean([(y.astype(float) - original) ** 2 for (y, _, _), original in zip(shown, planes[0], strict=True)])
    assert error < np.var(planes[0]) / 50


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "header"])
def test_files_that_are_no_weights(path: Path, tmp_path: Path, damage: str) -> None:
    good = path.read_bytes()
    bad = {"empty": b"", "text": b"hello" * 100, "cut": good[: len(good) // 2], "header": b"\xff" * 8 + good[8:]}
    (tmp_path / "bad.safetensors").write_bytes(bad[damage])
    with pytest.raises(UnsupportedError) as caught:
        load_weights(tmp_path / "bad.safetensors")
    assert "\n" not in str(caught.value)
