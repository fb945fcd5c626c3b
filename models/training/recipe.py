# SPDX-License-Identifier: Apache-2.0
"""A training recipe: one TOML file says everything that decides the weights."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nvcodec.errors import UsageError

SHIPPED = Path(__file__).parents[1] / "recipes"
MAX_NBYTES = 1 << 20


@dataclass
class Stage:
    """A stretch of training with constant batch shape; the learning rate goes by a cosine from ``lr`` to ``lr_end``."""

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
    processes: int = 1  # each takes a batch of its own: together they decide how many sequences one step sees
    network: dict[str, int] = field(default_factory=dict)
    start_from: str = ""  # a weight file or the name of installed weights; empty: principal components

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


# key -> (lowest, highest, what is allowed); checked after the type
_RANGES: dict[str, tuple[float, float, str]] = {
    "seed": (0, 2**31 - 1, "0 to 2147483647"),
    "ema": (0, 0.9999999, "0 or more, below 1"),
    "clip_norm": (1e-9, math.inf, "above 0"),
    "still_share": (0, 1, "0 to 1"),
    "processes": (1, 1024, "1 to 1024"),
    "stage.steps": (1, 10**9, "at least 1"),
    "stage.batch": (1, 65536, "1 to 65536"),
    "stage.frames": (1, 1024, "1 to 1024"),
    "stage.lr": (0, 10, "0 to 10"),
    "stage.lr_end": (0, 10, "0 to 10"),
}


def find_recipe(name: str) -> Path:
    """The file of a recipe: a path, or the name of one that ships with the package. Raises UsageError for neither."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = {p.stem: p for p in sorted(SHIPPED.glob("*.toml"))}
    if name in shipped:
        return shipped[name]
    raise UsageError(f"recipe {name}: no such file, nor one of those that ship: {', '.join(shipped)}")


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe. Raises UsageError naming the key that is wrong."""
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_NBYTES + 1)
    except OSError as error:
        raise UsageError(f"recipe {path}: {error.strerror}") from error
    if len(text) > MAX_NBYTES:
        raise UsageError(f"recipe {path}: more than {MAX_NBYTES} bytes")
    try:
        table: dict[str, Any] = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe {path}: not TOML: {error}") from error
    stages = table.pop("stage", [])
    _check(path, "", table, Recipe, {"name"})
    if not isinstance(stages, list) or not stages or not all(isinstance(stage, dict) for stage in stages):
        raise UsageError(f"recipe {path}: at least one [[stage]] is needed")
    for stage in stages:
        _check(path, "stage.", stage, Stage, {f.name for f in fields(Stage)})
    recipe = Recipe(stages=[Stage(**stage) for stage in stages], **table)
    if not recipe.name:
        raise UsageError(f"recipe {path}: name is empty")
    if recipe.precision not in ("float32", "bfloat16"):
        raise UsageError(f"recipe {path}: precision is {recipe.precision!r}: float32 or bfloat16")
    if recipe.crop % 64 or not 64 <= recipe.crop <= 4096:
        raise UsageError(f"recipe {path}: crop is {recipe.crop}: a multiple of 64, at most 4096")
    _check_network(path, recipe.network)
    return recipe


def _check(path: Path, prefix: str, table: dict[str, Any], kind: type, required: set[str]) -> None:
    known = {f.name: f.type for f in fields(kind)}
    for key, value in table.items():
        if key not in known or key == "stages":
            listed = ", ".join(name for name in known if name != "stages")
            raise UsageError(f"recipe {path}: unknown key {prefix}{key} (known: {listed})")
        wanted = {"int": int, "float": (int, float), "str": str}.get(str(known[key]), dict)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise UsageError(f"recipe {path}: {prefix}{key} is {value!r}: {known[key]} wanted")
        lowest, highest, allowed = _RANGES.get(prefix + key, (-math.inf, math.inf, ""))
        if isinstance(value, int | float) and not lowest <= value <= highest:
            raise UsageError(f"recipe {path}: {prefix}{key} is {value}: {allowed}")
    for key in sorted(required - set(table)):
        raise UsageError(f"recipe {path}: {prefix}{key} is missing")


def _check_network(path: Path, widths: dict[str, Any]) -> None:
    """Build the network once without memory: only that tells whether its widths go together."""
    import torch

    from nvcodec.models.conditional.network import ConditionalNetwork, NetworkConfig

    known = [f.name for f in fields(NetworkConfig)]
    for key, value in widths.items():
        if key not in known:
            raise UsageError(f"recipe {path}: unknown key network.{key} (known: {', '.join(known)})")
        if not isinstance(value, int) or isinstance(value, bool) or not 2 <= value <= 1024:
            raise UsageError(f"recipe {path}: network.{key} is {value!r}: a whole number from 2 to 1024")
    config = NetworkConfig(**widths)
    if not config.means <= config.latents <= 384 or config.latents % 4:
        raise UsageError(
            f"recipe {path}: network.latents is {config.latents}: means ({config.means}) to 384, a multiple of 4"
        )
    if config.spatial_means > config.means:
        raise UsageError(
            f"recipe {path}: network.spatial_means is {config.spatial_means}: at most means ({config.means})"
        )
    try:
        with torch.device("meta"):
            ConditionalNetwork(config)
    except ValueError as error:
        raise UsageError(f"recipe {path}: network: {error}") from error
