# SPDX-License-Identifier: Apache-2.0
"""What was trained is what is stored, and what is stored codes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic_training import WIDTHS, panned, recipe_text

from nvcodec.errors import UnsupportedError
from nvcodec.models.conditional.choice import ChoiceCounter
from nvcodec.models.conditional.sequence import SequenceCoder
from nvcodec.models.conditional.weights import Weights, load_weights
from nvcodec.models.exact import ExactConv2d, weight_grid
from nvcodec.models.motion.syntax import MotionCounter
from nvcodec.models.training.export import export
from nvcodec.models.training.loop import Training
from nvcodec.models.training.recipe import load_recipe


@pytest.fixture(scope="module")
def run(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A tiny network after two steps."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "recipe.toml").write_text(recipe_text(2))
    run = Training(load_recipe(folder / "recipe.toml"), cache, folder, say=lambda line: None)
    run.fit()
    return run


@pytest.fixture(scope="module")
def path(run: Training, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    export(run.averaged_network(), MotionCounter().tables(), ChoiceCounter().table_set(), "tiny", path)
    return path


@pytest.fixture(scope="module")
def weights(path: Path) -> Weights:
    return load_weights(path)


def test_weight_file_holds_the_averaged_weights_on_their_grid(run: Training, path: Path, weights: Weights) -> None:
    assert weights.name == "tiny"
    assert weights.sha256 == hashlib.sha256(path.read_bytes()).digest()
    assert {key: getattr(weights.network.config, key) for key in WIDTHS} == WIDTHS
    trained = dict(run.averaged_network().named_modules())
    exact = [(name, layer) for name, layer in weights.network.named_modules() if isinstance(layer, ExactConv2d)]
    assert len(exact) > 20
    for name, layer in exact:
        assert torch.equal(layer.weight, weight_grid(trained[name].weight)), name


def test_exporting_twice_gives_the_same_bytes(run: Training, path: Path, tmp_path: Path) -> None:
    export(
        run.averaged_network(),
        MotionCounter().tables(),
        ChoiceCounter().table_set(),
        "tiny",
        tmp_path / "again.safetensors",
    )
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_stored_weights_code_and_decode(weights: Weights) -> None:
    planes = panned(64, 80, 3, (2, 2))
    encoder, decoder = (SequenceCoder(weights, 64, 80, threads=1) for _ in range(2))
    for t in range(3):
        frame = tuple(plane[t] for plane in planes)
        payload, keyframe, shown = encoder.encode(frame, 40, refresh=False)
        assert keyframe == (t == 0)
        decoded = decoder.decode(payload, keyframe)
        assert all(np.array_equal(a, b) for a, b in zip(shown, decoded, strict=True))
        error = np.mean((shown[0].astype(float) - frame[0]) ** 2)
        assert error < np.var(frame[0]) / 10


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "header"])
def test_files_that_are_no_weights(path: Path, tmp_path: Path, damage: str) -> None:
    good = path.read_bytes()
    bad = {"empty": b"", "text": b"hello" * 100, "cut": good[: len(good) // 2], "header": b"\xff" * 8 + good[8:]}
    (tmp_path / "bad.safetensors").write_bytes(bad[damage])
    with pytest.raises(UnsupportedError) as caught:
        load_weights(tmp_path / "bad.safetensors")
    assert "\n" not in str(caught.value)
