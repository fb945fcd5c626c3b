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
    """A stretch of training with constant batch; the learning rate goes by a cosine from ``lr`` to ``lr_end``.

    batch: sequences of `RecordCounts.frames` frames that each process sees in a step, or as many more short ones.
    """

    steps: int
    batch: int
    lr: float
    lr_end: float


@dataclass
class BasesCounts:
    """What the transforms are learned from in the second round; the first takes half of it."""

    clips: int = 90
    stills: int = 150
    frames: int = 6  # of a clip


@dataclass
class RecordCounts:
    """Sequences encoded for the network to learn from: cut from clips, from stills, and from clips held out."""

    clips: int = 500
    stills: int = 200
    held_out: int = 24
    frames: int = 12  # of a clip


@dataclass
class Recipe:
    """All settings of a run. ``precision`` is that of convolutions in training: float32 or bfloat16."""

    name: str
    stages: list[Stage]
    seed: int = 1
    precision: str = "bfloat16"
    ema: float = 0.998
    clip_norm: float = 1.0
    processes: int = 1  # each takes a batch of its own: together they decide how many sequences one step sees
    network: dict[str, int] = field(default_factory=dict)
    bases: BasesCounts = field(default_factory=BasesCounts)
    records: RecordCounts = field(default_factory=RecordCounts)
    start_from: str = ""  # a weight file or the name of installed weights; empty: the beginning

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
    "processes": (1, 1024, "1 to 1024"),
    "bases.clips": (1, 10**6, "1 to 1000000"),
    "bases.stills": (0, 10**6, "0 to 1000000"),
    "bases.frames": (2, 64, "2 to 64"),
    "records.clips": (1, 10**6, "1 to 1000000"),
    "records.stills": (0, 10**6, "0 to 1000000"),
    "records.held_out": (0, 10**6, "0 to 1000000"),
    "records.frames": (2, 64, "2 to 64"),
    "stage.steps": (1, 10**9, "at least 1"),
    "stage.batch": (1, 65536, "1 to 65536"),
    "stage.lr": (0, 10, "0 to 10"),
    "stage.lr_end": (0, 10, "0 to 10"),
}
_WIDTHS = {"hidden": (2, 1024), "memory": (1, 512), "blocks": (0, 32)}


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
    table = _read(path)
    stages = table.pop("stage", [])
    parts = {"bases": BasesCounts, "records": RecordCounts}
    tables = {name: table.pop(name, {}) for name in parts}
    _check(path, "", table, Recipe, {"name"}, frozenset({"stages", *parts}))
    if not isinstance(stages, list) or not stages or not all(isinstance(stage, dict) for stage in stages):
        raise UsageError(f"recipe {path}: at least one [[stage]] is needed")
    for stage in stages:
        _check(path, "stage.", stage, Stage, {f.name for f in fields(Stage)})
    for name, kind in parts.items():
        if not isinstance(tables[name], dict):
            raise UsageError(f"recipe {path}: {name} is {tables[name]!r}: a table wanted")
        _check(path, f"{name}.", tables[name], kind, set())
    counts = {name: kind(**tables[name]) for name, kind in parts.items()}
    recipe = Recipe(stages=[Stage(**stage) for stage in stages], **counts, **table)
    if not recipe.name:
        raise UsageError(f"recipe {path}: name is empty")
    if recipe.precision not in ("float32", "bfloat16"):
        raise UsageError(f"recipe {path}: precision is {recipe.precision!r}: float32 or bfloat16")
    _check_network(path, recipe.network)
    return recipe


def _read(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_NBYTES + 1)
    except OSError as error:
        raise UsageError(f"recipe {path}: {error.strerror}") from error
    if len(text) > MAX_NBYTES:
        raise UsageError(f"recipe {path}: more than {MAX_NBYTES} bytes")
    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe {path}: not TOML: {error}") from error


def _check(
    path: Path,
    prefix: str,
    table: dict[str, Any],
    kind: type,
    required: set[str],
    elsewhere: frozenset[str] = frozenset(),
) -> None:
    """Names, types and ranges of the keys of a table; elsewhere: fields that are no keys of it."""
    known = {f.name: f.type for f in fields(kind) if f.name not in elsewhere}
    for key, value in table.items():
        if key not in known:
            raise UsageError(f"recipe {path}: unknown key {prefix}{key} (known: {', '.join(known)})")
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

    for key, value in widths.items():
        if key not in _WIDTHS:
            raise UsageError(f"recipe {path}: unknown key network.{key} (known: {', '.join(_WIDTHS)})")
        low, high = _WIDTHS[key]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise UsageError(f"recipe {path}: network.{key} is {value!r}: a whole number from {low} to {high}")
    try:
        with torch.device("meta"):
            ConditionalNetwork(NetworkConfig(**widths))
    except (ValueError, RuntimeError) as error:
        raise UsageError(f"recipe {path}: network: {str(error).splitlines()[0]}") from error
