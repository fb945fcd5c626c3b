# SPDX-License-Identifier: Apache-2.0
"""A small training cache, a recipe, and what its first phases make of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic_training import recipe_text, write_cache

from nvcodec.models.training.bases import save_bases
from nvcodec.models.training.components import learn_bases
from nvcodec.models.training.network import Trainer
from nvcodec.models.training.network_examples import collect
from nvcodec.models.training.phases import BASES, FILTERED, RECORDS, RESTORED
from nvcodec.models.training.pieces import Pieces
from nvcodec.models.training.recipe import load_recipe
from nvcodec.models.training.recording import record
from nvcodec.models.training.restoration import learn_filters
from nvcodec.models.training.workers import Workers


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight panned clips, of which one is held out, and one still."""
    return write_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    """Few pieces."""
    path = tmp_path / "tiny.toml"
    path.write_text(recipe_text())
    return path


@pytest.fixture(scope="session")
def encoded(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with transforms, filters, a network and records from which nothing was learned yet."""
    run = tmp_path_factory.mktemp("encoded")
    (run / "tiny.toml").write_text(recipe_text())
    recipe = load_recipe(run / "tiny.toml")
    with Workers(0) as workers:
        rest = (workers, lambda: False, lambda line: None)
        bases = learn_bases(Pieces(cache, 1, 1), recipe.bases, *rest)
        assert bases is not None
        save_bases(run / BASES, bases)
        filtered = learn_filters(Pieces(cache, 1, 3), recipe.filters, bases, *rest)
        assert filtered is not None
        save_bases(run / FILTERED, filtered)
        examples = collect(Pieces(cache, 1, 4), recipe.network, filtered, *rest)
        assert examples is not None
        trainer = Trainer(recipe.network, 1, 1)
        assert trainer.train(examples, lambda: False, run / "n", lambda line: None)
        (run / "n").unlink()
        restored = replace(filtered, network=trainer.network())
        save_bases(run / RESTORED, restored)
        assert record(Pieces(cache, 1, 2), restored, recipe.records, run / RECORDS, *rest)
    return run


@pytest.fixture
def run_folder(encoded: Path, tmp_path: Path) -> Path:
    """A copy of `encoded` that may be changed."""
    shutil.copytree(encoded, tmp_path / "run")
    return tmp_path / "run"
