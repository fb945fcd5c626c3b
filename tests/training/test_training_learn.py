# SPDX-License-Identifier: Apache-2.0
"""Contexts: learned from records by the codec's own coder, kept once, and made anew only when records change."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from synthetic_training import HELD, recipe_text

from nvcodec.datasets.training_cache import cached_files
from nvcodec.errors import UsageError
from nvcodec.models.conditional.frame_coder import MAX_UNIT_FRAMES, FrameCoder, FrameHeader
from nvcodec.models.conditional.weights import Learned, Weights, load_weights, nothing_learned
from nvcodec.models.kernels.network import SEEN
from nvcodec.models.training.bases import load_bases
from nvcodec.models.training.export import count_parameters, export
from nvcodec.models.training.learn import learn, validate
from nvcodec.models.training.learned import load_learned
from nvcodec.models.training.phases import (
    BASES,
    CALIBRATED,
    FILTERED,
    LEARNED,
    RECORDS,
    RESTORED,
    missing,
    result,
    train,
)
from nvcodec.models.training.pieces import Pieces
from nvcodec.models.training.recipe import Recipe, load_recipe
from nvcodec.models.training.records import HELD_OUT, Sequence, load_records
from nvcodec.models.transform import LEARNED_CLASSES


@pytest.fixture
def recipe(recipe_path: Path) -> Recipe:
    return load_recipe(recipe_path)


@pytest.fixture(scope="module")
def sequences(encoded: Path) -> list[Sequence]:
    return [s for kind in ("clips", "stills") for s in load_records(encoded / RECORDS / f"{kind}-0000.npz")]


@pytest.fixture(scope="module")
def learned(sequences: list[Sequence]) -> Learned:
    found = learn(sequences, lambda line: None, lambda: False)
    assert found is not None
    return found


def same(a: Learned, b: Learned) -> bool:
    return all(np.array_equal(getattr(a, field.name), getattr(b, field.name)) for field in fields(Learned))


def test_what_was_learned_makes_records_smaller(sequences: list[Sequence], learned: Learned) -> None:
    before, after = validate(sequences, nothing_learned()), validate(sequences, learned)
    assert all(0 < a < b for a, b in zip(after, before, strict=True))


def test_validation_teaches_nothing(sequences: list[Sequence], learned: Learned) -> None:
    kept = Learned(*(getattr(learned, field.name).copy() for field in fields(Learned)))
    assert validate(sequences, learned) == validate(sequences[::-1], learned)
    assert same(kept, learned)


def test_bits_are_those_that_the_codec_writes(encoded: Path, sequences: list[Sequence], learned: Learned) -> None:
    weights = Weights("w", b"", learned, load_bases(encoded / RESTORED))
    for sequence in (sequences[0], sequences[-1]):
        coder, kept, frames = FrameCoder(weights, *sequence[0].shape), [], []
        for frame in sequence:
            slots = tuple(kept.index(sequence[r].number) for r in frame.references)
            symbols = np.zeros((*frame.shape, 384), np.int16)
            symbols[frame.arrays["coded"] > 0] = frame.symbols
            frames.append((FrameHeader(frame.level, 1, frame.kept, 0, slots), frame.number, frame.blocks(), symbols))
            kept = [frame.number, *kept] if frame.kept else kept
        assert len(frames) <= MAX_UNIT_FRAMES
        nbytes = len(coder.encode(frames)) - 1
        counted = sum(validate([sequence], learned)) // 8
        # what the range coder holds back at the end of a frame, and headers
        assert counted <= nbytes <= counted + (6 + 4) * len(sequence)


def test_held_out_pieces_come_from_a_source_of_their_own(cache: Path) -> None:
    pieces, clips = Pieces(cache, 1, 2), {file.source for file in cached_files(cache / "train")}
    assert {file.source for file in pieces._files[HELD_OUT]} == {HELD}
    assert {file.source for file in pieces._files["clips"]} == clips - {HELD}


def test_learning_is_kept_and_not_repeated(recipe: Recipe, run_folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    assert missing(recipe, run_folder) == "contexts"
    train(recipe, tmp_path / "no-cache", run_folder, 0, lambda: True, said.append)
    assert missing(recipe, run_folder) == "contexts"
    assert not (run_folder / LEARNED).exists()
    train(recipe, tmp_path / "no-cache", run_folder, 0, lambda: False, said.append)
    assert missing(recipe, run_folder) == ""
    found = result(recipe, run_folder)
    assert found is not None
    facts = found[1]
    assert (facts.records, facts.held_out.records, facts.held_out.frames) == (8, 1, 4)
    assert facts.frames == 6 * 4 + 2
    assert facts.held_out.decisions_bits > 0
    assert re.fullmatch(r"held out: [\d,]+ bits of decisions, [\d,]+ of latents in 4 frames of 1 records .*", said[-2])
    assert said[-1] == "rates ..."
    before, count = (run_folder / LEARNED).stat().st_mtime_ns, len(said)
    train(recipe, tmp_path / "no-cache", run_folder, 0, lambda: False, said.append)
    assert (run_folder / LEARNED).stat().st_mtime_ns == before
    assert len(said) == count
    shutil.copytree(run_folder, tmp_path / "other")
    shutil.copy(run_folder / RECORDS / "held-out-0000.npz", tmp_path / "other" / RECORDS / "clips-0000.npz")
    assert missing(recipe, tmp_path / "other") == "contexts"
    assert {path.name for path in run_folder.iterdir()} == {
        "tiny.toml",
        BASES,
        FILTERED,
        RESTORED,
        RECORDS,
        LEARNED,
        CALIBRATED,
    }


def test_learning_twice_gives_the_same(sequences: list[Sequence], learned: Learned) -> None:
    again = learn(sequences, lambda line: None, lambda: False)
    assert again is not None
    assert same(again, learned)


def test_rates_are_made_again_when_they_are_gone_or_older_than_what_was_learned(
    recipe: Recipe, run_folder: Path, tmp_path: Path
) -> None:
    """And nothing else is; a stop leaves none."""
    rest = (recipe, tmp_path / "no-cache", run_folder, 0)
    train(*rest, lambda: False, lambda line: None)
    content, learned = (run_folder / CALIBRATED).read_bytes(), (run_folder / LEARNED).stat().st_mtime_ns
    (run_folder / CALIBRATED).unlink()
    assert missing(recipe, run_folder) == "rates"
    train(*rest, lambda: True, lambda line: None)
    assert missing(recipe, run_folder) == "rates"
    said: list[str] = []
    train(*rest, lambda: False, said.append)
    assert said == ["rates ..."]
    assert (run_folder / LEARNED).stat().st_mtime_ns == learned
    assert (run_folder / CALIBRATED).read_bytes() == content
    (run_folder / LEARNED).unlink()
    (run_folder / CALIBRATED).write_bytes(b"old")
    train(*rest, lambda: False, said.append)
    assert (run_folder / CALIBRATED).read_bytes() == content
    assert missing(recipe, run_folder) == ""


def test_files_that_hold_nothing_learned(recipe: Recipe, run_folder: Path) -> None:
    train(recipe, run_folder, run_folder, 0, lambda: False, lambda line: None)
    path = run_folder / LEARNED
    good, tensors = path.read_bytes(), load_file(path)
    metadata = json.loads(good[8 : 8 + int.from_bytes(good[:8], "little")])["__metadata__"]
    for content in (b"", b"text" * 100, good[:5000], good[: len(good) // 2]):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="not what a run learned") as caught:
            result(recipe, run_folder)
        assert "\n" not in str(caught.value)
    for change in (
        {"slots": tensors["slots"][1:]},
        {"weights": tensors["weights"].astype(np.int64)},
        {"decisions": tensors["decisions"][1:]},
        {"decision_weights": tensors["decision_weights"][:, 1:]},
    ):
        save_file({**tensors, **change}, path, metadata)
        with pytest.raises(UsageError, match="wanted; remove it"):
            load_learned(path, metadata["digest"])
    for facts in ("{}", "[]", "no"):
        save_file(tensors, path, {**metadata, "facts": facts})
        with pytest.raises(UsageError, match="remove it"):
            load_learned(path, metadata["digest"])
    save_file(tensors, path)
    with pytest.raises(UsageError, match="remove it"):
        load_learned(path, metadata["digest"])


def test_weight_file_holds_what_was_learned(
    recipe: Recipe, recipe_path: Path, run_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "my.safetensors"
    with pytest.raises(UsageError, match="lacks contexts"):
        export(recipe, recipe_path, run_folder, tmp_path, out)
    train(recipe, tmp_path, run_folder, 0, lambda: False, lambda line: None)
    facts = export(recipe, recipe_path, run_folder, tmp_path, out)
    found = result(recipe, run_folder)
    assert found is not None
    weights, bases = load_weights(out), load_bases(run_folder / CALIBRATED)
    assert weights.name == "my"
    assert same(weights.start, found[0])
    for kind in ("pictures", "rates"):
        assert all(
            np.array_equal(a, b) for a, b in zip(getattr(weights.bases, kind), getattr(bases, kind), strict=True)
        )
    for part in ("luma", "chroma"):
        assert np.array_equal(getattr(weights.bases.filters, part), getattr(bases.filters, part))
        assert getattr(bases.filters, part).any()
    counts = count_parameters(weights)
    assert counts["slots"] == len(found[0].slots) + len(found[0].decisions)
    assert counts["mixing weights"] == found[0].weights.size + found[0].decision_weights.size
    layers = weights.bases.network.layers
    assert all(
        np.array_equal(array, getattr(theirs, name))
        for layer, theirs in zip(layers, bases.network.layers, strict=True)
        for name, array in vars(layer).items()
    )
    levels = layers[0].bias[..., 0].size
    assert counts["network weights"] == 9 * (SEEN * 4 + 4 * 8) + levels * (4 + 8)
    assert counts["basis entries"] == LEARNED_CLASSES * sum(n * n for n in (384, 96, 16, 32, 384))
    assert facts["parameters"] == sum(counts.values())
    assert facts["training"]["held_out"]["records"] == 1
    content = out.read_bytes()
    export(recipe, recipe_path, run_folder, tmp_path, out)
    assert out.read_bytes() == content
    assert not list(tmp_path.glob(".*"))


def test_start_from_takes_the_transforms_and_filters_of_other_weights(
    recipe: Recipe, recipe_path: Path, run_folder: Path, cache: Path, tmp_path: Path
) -> None:
    train(recipe, cache, run_folder, 0, lambda: False, lambda line: None)
    other = tmp_path / "other.safetensors"
    export(recipe, recipe_path, run_folder, tmp_path, other)
    recipe_path.write_text(recipe_text(start_from=str(other)))
    said: list[str] = []
    calls = iter(range(99))
    train(load_recipe(recipe_path), cache, tmp_path / "new", 0, lambda: next(calls) == 1, said.append)
    assert said[0] == f"transforms of {other}"
    assert not any("from clips" in line for line in said)
    theirs = load_bases(run_folder / CALIBRATED)
    for name in (BASES, FILTERED):
        mine = load_bases(tmp_path / "new" / name)
        for kind in ("pictures", "rates"):
            assert all(np.array_equal(a, b) for a, b in zip(getattr(mine, kind), getattr(theirs, kind), strict=True))
        assert np.array_equal(mine.filters.luma, theirs.filters.luma)
        assert np.array_equal(mine.filters.chroma, theirs.filters.chroma)
    recipe_path.write_text(recipe_text(start_from="no-such-weights"))
    with pytest.raises(UsageError, match="not installed"):
        train(load_recipe(recipe_path), cache, tmp_path / "none", 0, lambda: False, said.append)
