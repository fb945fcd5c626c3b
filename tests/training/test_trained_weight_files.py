# SPDX-License-Identifier: Apache-2.0
"""What was trained is what is stored, and what is stored codes."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic_training import WIDTHS, panned, recipe_text

from nvcodec.errors import UnsupportedError, UsageError
from nvcodec.models.conditional.frame_coder import FULL, FrameCoder, FrameHeader
from nvcodec.models.conditional.sequence import VideoDecoder, VideoEncoder
from nvcodec.models.conditional.weights import Weights, load_weights
from nvcodec.models.exact import ExactConv2d, weight_grid
from nvcodec.models.training.bases import load_bases
from nvcodec.models.training.export import LatentCounts, export
from nvcodec.models.training.group import Group
from nvcodec.models.training.likelihood import predict
from nvcodec.models.training.loop import Training, load_own_records
from nvcodec.models.training.phases import BASES, RECORDS, train
from nvcodec.models.training.recipe import load_recipe
from nvcodec.models.training.records import Sequence, load_records


@pytest.fixture(scope="module")
def run(encoded: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A tiny network after a few steps."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    shutil.copytree(encoded, folder)
    (folder / "recipe.toml").write_text(recipe_text(8))
    run = Training(load_recipe(folder / "recipe.toml"), folder, say=lambda line: None)
    run.fit()
    return run


@pytest.fixture(scope="module")
def sequences(run: Training) -> list[Sequence]:
    return load_own_records(run.recipe, run.run / RECORDS, Group())


@pytest.fixture(scope="module")
def path(run: Training, sequences: list[Sequence], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    export(run.averaged_network(), load_bases(run.run / BASES), sequences, "tiny", path)
    return path


@pytest.fixture(scope="module")
def weights(path: Path) -> Weights:
    return load_weights(path)


def test_weight_file_holds_the_averaged_weights_on_their_grid(run: Training, path: Path, weights: Weights) -> None:
    assert weights.name == "tiny"
    assert weights.sha256 == hashlib.sha256(path.read_bytes()).digest()
    assert weights.network.config.to_dict() == WIDTHS
    trained = dict(run.averaged_network().named_modules())
    exact = [(name, layer) for name, layer in weights.network.named_modules() if isinstance(layer, ExactConv2d)]
    assert len(exact) > 10
    for name, layer in exact:
        assert torch.equal(layer.weight, weight_grid(trained[name].weight)), name
    bases = load_bases(run.run / BASES)
    assert all(np.array_equal(a, b) for a, b in zip(weights.bases.pictures, bases.pictures, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(weights.bases.rates, bases.rates, strict=True))


def test_exporting_twice_gives_the_same_bytes(
    run: Training, sequences: list[Sequence], path: Path, tmp_path: Path
) -> None:
    export(run.averaged_network(), load_bases(run.run / BASES), sequences, "tiny", tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_contexts_learned_from_the_records(weights: Weights) -> None:
    assert weights.contexts.min() > 0
    assert weights.contexts.max() < 65536
    assert (weights.contexts[..., 0] == weights.contexts[..., 1]).all()
    moved = (weights.contexts[..., 0] != 1 << 15).sum((1, 2))
    assert (moved > 20).all()
    assert (weights.contexts[:, :, FULL] >= 1024).all()


def test_tables_follow_what_was_counted() -> None:
    counts = LatentCounts()
    counts.magnitudes[20, :3] = 1000, 10_000, 1000
    tables = counts.tables()
    assert len(tables) == 64
    costs = tables.costs[20]
    zero = -int(tables.offsets[20])
    assert costs[zero] == pytest.approx(np.log2(12.2), abs=0.2)
    assert [costs[zero - 1], costs[zero + 1]] == pytest.approx([1 + np.log2(1.22)] * 2, abs=0.1)
    assert all(len(cost) % 2 == 0 for cost in tables.costs)  # symmetric, and the escape


class Listening(FrameCoder):
    """Keeps the scale indices with which it codes."""

    def _scales(self, *arguments: object):
        self.indices, memory = super()._scales(*arguments)
        return self.indices, memory


def test_training_sees_the_scales_that_the_codec_codes_with(weights: Weights, run: Training) -> None:
    sequence = load_records(run.run / RECORDS / "clips-0000.npz")[0]
    coder = Listening(weights, *sequence[0].shape)
    for frame, (_, scales, _) in zip(sequence, predict(weights.network, [sequence], torch.device("cpu")), strict=True):
        numbers = [known.number for known in coder.window.kept]
        slots = tuple(numbers.index(sequence[r].number) for r in frame.references)
        blocks, symbols = frame.blocks(), np.zeros((*frame.shape, 384), np.int16)
        symbols[blocks.coded > 0] = frame.symbols
        coder.encode(FrameHeader(frame.level, not slots, frame.kept, 0, slots), frame.number, blocks, symbols)
        assert np.array_equal(coder.indices, FrameCoder._indices(scales))


@pytest.mark.parametrize("profile", ["ra", "ld"])
def test_stored_weights_code_and_decode(weights: Weights, profile: str) -> None:
    planes = panned(64, 80, 10, (2, 2))
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


def test_start_from_a_weight_file_reuses_its_transforms(
    path: Path, weights: Weights, cache: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    text = recipe_text(1, start_from=str(path))
    (tmp_path / "recipe.toml").write_text(text)
    recipe = load_recipe(tmp_path / "recipe.toml")
    folder = tmp_path / "run"
    train(recipe, cache, folder, "cpu", Group(), 1, lambda: False, said.append)
    assert not any("transforms" in line for line in said)
    assert all(
        np.array_equal(a, b) for a, b in zip(load_bases(folder / BASES).pictures, weights.bases.pictures, strict=True)
    )
    (folder / "state.pt").unlink()
    begun = Training(recipe, folder, say=said.append, start=weights.network)
    for key, value in weights.network.state_dict().items():
        assert torch.equal(begun.network.state_dict()[key], value), key
    for wrong, words in ((text.replace("hidden = 16", "hidden = 24"), "does not fit"), ("no-such", "not installed")):
        changed = wrong if wrong != "no-such" else recipe_text(start_from="no-such-weights")
        (tmp_path / "recipe.toml").write_text(changed)
        with pytest.raises(UsageError, match=words):
            train(
                load_recipe(tmp_path / "recipe.toml"), cache, tmp_path / "none", "cpu", Group(), 1, lambda: False,
                said.append,
            )  # fmt: skip


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "header"])
def test_files_that_are_no_weights(path: Path, tmp_path: Path, damage: str) -> None:
    good = path.read_bytes()
    bad = {"empty": b"", "text": b"hello" * 100, "cut": good[: len(good) // 2], "header": b"\xff" * 8 + good[8:]}
    (tmp_path / "bad.safetensors").write_bytes(bad[damage])
    with pytest.raises(UnsupportedError) as caught:
        load_weights(tmp_path / "bad.safetensors")
    assert "\n" not in str(caught.value)
