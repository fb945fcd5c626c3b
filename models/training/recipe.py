# SPDX-License-Identifier: Apache-2.0
"""A training recipe: one TOML file says everything that decides the weights."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nvcodec.errors import UsageError


@dataclass
class Stage:
    """A stretch of training with constant batch shape; the learning rate falls by a cosine from ``lr`` to ``lr_end``."""

    steps: int
    batch: int
    frames: int
    lr: float
    lr_end: float


@dataclass
class Recipe:
    """All settings of a run. ``precision`` is that of convolutions in training: float32 or bfloat16."""

    name: str
    stages: list[Stage]
    seed: int = 1
    crop: int = 128
    precision: str = "bfloat16"
    ema: float = 0.999
    clip_norm: float = 1.0
    still_share: float = 0.25
    network: dict[str, int] = field(default_factory=dict)
    start_from: str = ""  # a weight file; empty: principal components

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[Stage, float]:
        """The stage of a step and how far through it (0..1) the step is."""
        for stage in self.stages:
            if step < stage.steps:
                return stage, step / stage.steps
            step -= stage.steps
        return self.stages[-1], 1.0


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe. Raises UsageError naming the key that is wrong."""
    try:
        table: dict[str, Any] = tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise UsageError(f"recipe {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe {path}: not TOML: {error}") from error
    stages = table.pop("stage", [])
    _check(path, "", table, Recipe, {"name"})
    if not isinstance(stages, list) or not stages:
        raise UsageError(f"recipe {path}: at least one [[stage]] is needed")
    for stage in stages:
        _check(path, "stage.", stage, Stage, {f.name for f in fields(Stage)})
        for key in ("steps", "batch", "frames"):
            if stage[key] < 1:
                raise UsageError(f"recipe {path}: stage.{key} is {stage[key]}: at least 1")
    recipe = Recipe(stages=[Stage(**stage) for stage in stages], **table)
    if recipe.precision not in ("float32", "bfloat16"):
        raise UsageError(f"recipe {path}: precision is {recipe.precision!r}: float32 or bfloat16")
    if recipe.crop % 64 or recipe.crop < 64:
        raise UsageError(f"recipe {path}: crop is {recipe.crop}: a multiple of 64")
    return recipe


def _check(path: Path, prefix: str, table: dict[str, Any], kind: type, required: set[str]) -> None:
    known = {f.name: f.type for f in fields(kind)}
    for key, value in table.items():
        if key not in known or key == "stages":
            raise UsageError(f"recipe {path}: unknown key {prefix}{key} (known: {', '.join(known)})")
        wanted = {"int": int, "float": (int, float), "str": str}.get(str(known[key]), object)
        if not isinstance(value, wanted):
            raise UsageError(f"recipe {path}: {prefix}{key} is {value!r}: {known[key]} wanted")
    for key in sorted(required - set(table)):
        raise UsageError(f"recipe {path}: {prefix}{key} is missing")
