# SPDX-License-Identifier: Apache-2.0
"""A training recipe: one TOML file says everything that decides the weights."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nvcodec.errors import UsageError
from nvcodec.models.kernels.network import TOGETHER
from nvcodec.models.network import MAX_CHANNELS, MAX_LAYERS

SHIPPED = Path(__file__).parents[1] / "recipes"
MAX_NBYTES = 1 << 20


@dataclass
class BasesCounts:
    """What the transforms are learned from in the second round; the first takes half of it."""

    clips: int = 90
    stills: int = 150
    frames: int = 6  # of a clip


@dataclass
class FiltersCounts:
    """What the filters of restoration are learned from, in each of two rounds."""

    clips: int = 130
    stills: int = 70
    frames: int = 9  # of a clip


@dataclass
class NetworkCounts:
    """What the network in the loop is trained on, and how: keyframes, and frames at the end, half and quarters of
    groups of so many pieces."""

    clips: int = 260
    stills: int = 700
    held_out: int = 36
    frames: int = 33  # of a clip
    steps: int = 24000  # 0: the network of ``start_from``
    channels: int = 64
    layers: int = 5


@dataclass
class RecordCounts:
    """Pieces encoded for the entropy coder to learn from: cut from clips, from stills, and from clips held out."""

    clips: int = 320  # 0: contexts and rates are those of ``start_from``
    stills: int = 140
    held_out: int = 40
    frames: int = 33  # of a clip


@dataclass
class Recipe:
    """All settings of a run."""

    name: str
    seed: int = 1
    bases: BasesCounts = field(default_factory=BasesCounts)
    filters: FiltersCounts = field(default_factory=FiltersCounts)
    network: NetworkCounts = field(default_factory=NetworkCounts)
    records: RecordCounts = field(default_factory=RecordCounts)
    # a weight file or the name of installed weights, whose transforms and filters are used; empty: none
    start_from: str = ""


# key -> (lowest, highest, what is allowed); checked after the type
_RANGES: dict[str, tuple[float, float, str]] = {
    "seed": (0, 2**31 - 1, "0 to 2147483647"),
    "bases.clips": (1, 10**6, "1 to 1000000"),
    "bases.stills": (0, 10**6, "0 to 1000000"),
    "bases.frames": (2, 64, "2 to 64"),
    "filters.clips": (1, 10**6, "1 to 1000000"),
    "filters.stills": (0, 10**6, "0 to 1000000"),
    "filters.frames": (2, 64, "2 to 64"),
    "network.clips": (1, 10**6, "1 to 1000000"),
    "network.stills": (0, 10**6, "0 to 1000000"),
    "network.held_out": (0, 10**6, "0 to 1000000"),
    "network.frames": (2, 64, "2 to 64"),
    "network.steps": (0, 10**7, "0 to 10000000"),
    "network.channels": (4, MAX_CHANNELS, f"4 to {MAX_CHANNELS}, a multiple of 4"),
    "network.layers": (1, MAX_LAYERS, f"1 to {MAX_LAYERS}"),
    "records.clips": (0, 10**6, "0 to 1000000"),
    "records.stills": (0, 10**6, "0 to 1000000"),
    "records.held_out": (0, 10**6, "0 to 1000000"),
    "records.frames": (2, 64, "2 to 64"),
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
    table = _read(path)
    parts = {"bases": BasesCounts, "filters": FiltersCounts, "network": NetworkCounts, "records": RecordCounts}
    tables = {name: table.pop(name, {}) for name in parts}
    _check(path, "", table, Recipe, {"name"}, frozenset(parts))
    for name, kind in parts.items():
        if not isinstance(tables[name], dict):
            raise UsageError(f"recipe {path}: {name} is {tables[name]!r}: a table wanted")
        _check(path, f"{name}.", tables[name], kind, set())
    recipe = Recipe(**{name: kind(**tables[name]) for name, kind in parts.items()}, **table)
    if recipe.network.channels % TOGETHER:
        raise UsageError(
            f"recipe {path}: network.channels is {recipe.network.channels}: {_RANGES['network.channels'][2]}"
        )
    if not recipe.records.clips and not recipe.start_from:
        raise UsageError(f"recipe {path}: records.clips is 0: 1 to 1000000 without start_from")
    if not recipe.name:
        raise UsageError(f"recipe {path}: name is empty")
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
        wanted = {"int": int, "str": str}[str(known[key])]
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise UsageError(f"recipe {path}: {prefix}{key} is {value!r}: {known[key]} wanted")
        lowest, highest, allowed = _RANGES.get(prefix + key, (-math.inf, math.inf, ""))
        if isinstance(value, int) and not lowest <= value <= highest:
            raise UsageError(f"recipe {path}: {prefix}{key} is {value}: {allowed}")
    for key in sorted(required - set(table)):
        raise UsageError(f"recipe {path}: {prefix}{key} is missing")
