# SPDX-License-Identifier: Apache-2.0
"""Recipes: what ships loads, and what is wrong is named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_training import recipe_text

from nvcodec.errors import UsageError
from nvcodec.models.training.recipe import SHIPPED, FiltersCounts, NetworkCounts, Recipe, find_recipe, load_recipe


def load(tmp_path: Path, text: str):
    path = tmp_path / "r.toml"
    path.write_text(text)
    return load_recipe(path)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda p: p.stem)
def test_recipes_that_ship_load_by_name(path: Path) -> None:
    recipe = load_recipe(find_recipe(path.stem))
    assert recipe.name == path.stem
    assert recipe.records.held_out > 0 or not recipe.records.clips


def test_the_default_model_is_made_of_the_defaults() -> None:
    recipe = load_recipe(find_recipe("conditional-s"))
    assert recipe == Recipe("conditional-s")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = 1", "name is missing"),
        ('name = ""\n', "name is empty"),
        ("name = 3", "name is 3: str wanted"),
        ('name = "x"\nlearning_rate = 1\n', "unknown key learning_rate"),
        ('name = "x"\nstage = []\n', "unknown key stage"),
        ('name = "x"\nseed = "one"\n', "seed is 'one': int wanted"),
        ('name = "x"\nseed = -1\n', "seed is -1"),
        ('name = "x"\nseed = true\n', "seed is True: int wanted"),
        ('name = "x"\nbases = 5\n', "bases is 5: a table wanted"),
        ('name = "x"\n[bases]\nclips = 0\n', "bases.clips is 0: 1 to"),
        ('name = "x"\n[bases]\nframe = 3\n', "unknown key bases.frame"),
        ('name = "x"\nfilters = "some"\n', "filters is 'some': a table wanted"),
        ('name = "x"\n[filters]\nclips = 0\n', "filters.clips is 0: 1 to"),
        ('name = "x"\n[filters]\nstills = -1\n', "filters.stills is -1: 0 to"),
        ('name = "x"\n[filters]\nframes = 65\n', "filters.frames is 65: 2 to 64"),
        ('name = "x"\n[filters]\ntaps = 12\n', "unknown key filters.taps"),
        ('name = "x"\nnetwork = true\n', "network is True: a table wanted"),
        ('name = "x"\n[network]\nclips = 0\n', "network.clips is 0: 1 to 1000000"),
        ('name = "x"\n[network]\nstills = -1\n', "network.stills is -1: 0 to"),
        ('name = "x"\n[network]\nheld_out = -1\n', "network.held_out is -1: 0 to"),
        ('name = "x"\n[network]\nframes = 1\n', "network.frames is 1: 2 to 64"),
        ('name = "x"\n[network]\nsteps = -1\n', "network.steps is -1: 0 to 10000000"),
        ('name = "x"\n[network]\nsteps = 1e3\n', "network.steps is 1000.0: int wanted"),
        ('name = "x"\n[network]\nchannels = 0\n', "network.channels is 0: 4 to 128, a multiple of 4"),
        ('name = "x"\n[network]\nchannels = 132\n', "network.channels is 132: 4 to 128, a multiple of 4"),
        ('name = "x"\n[network]\nchannels = 30\n', "network.channels is 30: 4 to 128, a multiple of 4"),
        ('name = "x"\n[network]\nlayers = 0\n', "network.layers is 0: 1 to 12"),
        ('name = "x"\n[network]\nlayers = 13\n', "network.layers is 13: 1 to 12"),
        ('name = "x"\n[network]\nbatch = 8\n', "unknown key network.batch"),
        ('name = "x"\n[records]\nclips = 0\n', "records.clips is 0: 1 to 1000000 without start_from"),
        ('name = "x"\n[records]\nframes = 1\n', "records.frames is 1: 2 to 64"),
        ('name = "x"\n[records]\nclips = "all"\n', "records.clips is 'all': int wanted"),
        ('name = "x\n', "not TOML"),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)
    assert words in str(caught.value)
    assert "r.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_binary_recipes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(bytes(range(256)))
    with pytest.raises(UsageError, match="not TOML"):
        load_recipe(tmp_path / "binary.toml")
    with pytest.raises(UsageError, match="conditional-s"):
        find_recipe("no-such-recipe")


@pytest.mark.parametrize("key", ["precision", "ema", "clip_norm", "processes", "patch", "stage", "batch"])
def test_settings_of_training_that_are_not_the_recipes_are_unknown(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match=rf"unknown key {key} \(known: name, seed, start_from\)"):
        load(tmp_path, f'name = "x"\n{key} = 1\n')


def test_tiny_recipe_of_these_tests_loads(tmp_path: Path) -> None:
    recipe = load(tmp_path, recipe_text(seed=2))
    assert recipe.records.clips == 6
    assert recipe.filters == FiltersCounts(3, 1, 3)
    assert recipe.network == NetworkCounts(2, 0, 1, 3, 2, 4, 2)


def test_any_network_that_can_be_coded_with_may_be_asked_for(tmp_path: Path) -> None:
    for channels, layers, steps in ((4, 1, 0), (128, 12, 10**7), (36, 2, 1)):
        text = f'name = "x"\n[network]\nchannels = {channels}\nlayers = {layers}\nsteps = {steps}\n'
        assert load(tmp_path, text).network == NetworkCounts(channels=channels, layers=layers, steps=steps)
