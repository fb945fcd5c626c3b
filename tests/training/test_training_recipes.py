# SPDX-License-Identifier: Apache-2.0
"""Recipes: what ships loads, and what is wrong is named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_training import recipe_text

from nvcodec.errors import UsageError
from nvcodec.models.training.recipe import SHIPPED, find_recipe, load_recipe

STAGE = "[[stage]]\nsteps = 10\nbatch = 2\nlr = 1e-3\nlr_end = 1e-4\n"


def load(tmp_path: Path, text: str):
    path = tmp_path / "r.toml"
    path.write_text(text)
    return load_recipe(path)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda p: p.stem)
def test_recipes_that_ship_load_by_name(path: Path) -> None:
    recipe = load_recipe(find_recipe(path.stem))
    assert recipe.name == path.stem
    assert recipe.steps == sum(stage.steps for stage in recipe.stages) > 0


def test_stages_follow_each_other(tmp_path: Path) -> None:
    recipe = load(tmp_path, 'name = "x"\n' + STAGE + STAGE.replace("batch = 2", "batch = 5"))
    assert recipe.steps == 20
    assert recipe.stage_at(9) == (recipe.stages[0], 0.9)
    assert recipe.stage_at(10) == (recipe.stages[1], 0.0)
    assert recipe.stage_at(20) == (recipe.stages[1], 1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "x"\n', "at least one [[stage]]"),
        ('name = "x"\nstage = 3\n', "at least one [[stage]]"),
        ('name = "x"\nstage = [3]\n', "at least one [[stage]]"),
        (STAGE, "name is missing"),
        ('name = ""\n' + STAGE, "name is empty"),
        ("name = 3\n" + STAGE, "name is 3: str wanted"),
        ('name = "x"\nlearning_rate = 1\n' + STAGE, "unknown key learning_rate"),
        ('name = "x"\nstages = []\n' + STAGE, "unknown key stages"),
        ('name = "x"\nseed = "one"\n' + STAGE, "seed is 'one': int wanted"),
        ('name = "x"\nseed = -1\n' + STAGE, "seed is -1"),
        ('name = "x"\nema = 1.0\n' + STAGE, "ema is 1.0"),
        ('name = "x"\nema = nan\n' + STAGE, "ema is nan"),
        ('name = "x"\nseed = true\n' + STAGE, "seed is True: int wanted"),
        ('name = "x"\nprecision = "float16"\n' + STAGE, "precision is 'float16': float32 or bfloat16"),
        ('name = "x"\nprocesses = 0\n' + STAGE, "processes is 0: 1 to 1024"),
        ('name = "x"\n' + STAGE.replace("lr = 1e-3\n", ""), "stage.lr is missing"),
        ('name = "x"\n' + STAGE + "momentum = 1\n", "unknown key stage.momentum"),
        ('name = "x"\n' + STAGE.replace("steps = 10", "steps = 0"), "stage.steps is 0: at least 1"),
        ('name = "x"\n' + STAGE.replace("batch = 2", "batch = 2.5"), "stage.batch is 2.5: int wanted"),
        ('name = "x"\nnetwork = 5\n' + STAGE, "network is 5"),
        ('name = "x"\n[network]\nlayers = 5\n' + STAGE, "unknown key network.layers"),
        ('name = "x"\n[network]\nhidden = 0\n' + STAGE, "network.hidden is 0"),
        ('name = "x"\n[network]\nhidden = "wide"\n' + STAGE, "network.hidden is 'wide'"),
        ('name = "x"\n[network]\nhidden = 1000\nmemory = 500\n' + STAGE, "network: fan-in"),
        ('name = "x"\nbases = 5\n' + STAGE, "bases is 5: a table wanted"),
        ('name = "x"\n[bases]\nclips = 0\n' + STAGE, "bases.clips is 0: 1 to"),
        ('name = "x"\n[bases]\nframe = 3\n' + STAGE, "unknown key bases.frame"),
        ('name = "x"\n[records]\nframes = 1\n' + STAGE, "records.frames is 1: 2 to 64"),
        ('name = "x"\n[records]\nclips = "all"\n' + STAGE, "records.clips is 'all': int wanted"),
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


def test_tiny_recipe_of_these_tests_loads(tmp_path: Path) -> None:
    assert load(tmp_path, recipe_text(processes=2)).processes == 2
