# SPDX-License-Identifier: Apache-2.0
"""Recipes by name: from a budget of parameters to a shape, and from a shape to a representation."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch

from nvcodec.errors import DamagedStreamError, NvcError, UsageError
from nvcodec.models.implicit.budget import too_small, widest
from nvcodec.models.implicit.representation import Geometry, Representation
from nvcodec.stream.fields import Cursor, Varint, read_fields, write_fields, write_varint


@dataclass(frozen=True)
class FitSettings:
    """How a paper trains: optimiser, schedule (linear warm-up from ``first_lr`` of the rate, then cosine to 0), loss.

    loss: name in nvcodec.models.implicit.fit.losses. rate_weight: lambda of the learned coding, of one bit per pixel
    against the loss (samples in 0..1), at 0.05 bits per pixel.
    """

    epochs: int = 300
    batch: int = 2
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    warm_up: float = 0.1
    first_lr: float = 0.1
    loss: str = "l2"
    optimiser: str = "adam"
    rate_weight: float = 2e-3
    clip_norm: float = 0.0  # of gradients, 0 = none


@dataclass(frozen=True)
class PaperCoding:
    """A paper's own scheme: bits of a weight and of an embedding, then one static entropy code."""

    weight_bits: int = 8
    latent_bits: int = 6


class Recipe(ABC):
    """A paper's structure. Subclass, name the parts, decorate with ``recipe(name, codec_id)``.

    Shape: dataclass of integers whose fields are declared with ``nvcodec.stream.fields.wire``: all a decoder must know
    besides the picture size and the number of frames. chained: a group may use the one before (``previous``), so only
    the first group of a stream is a keyframe. pixel_exact: every machine decodes the same pixels. interpolates: times
    between frames mean something.
    """

    name: ClassVar[str]
    codec_id: ClassVar[int]
    Shape: ClassVar[type]
    fit: ClassVar[FitSettings] = FitSettings()
    paper: ClassVar[PaperCoding] = PaperCoding()
    chained: ClassVar[bool] = False
    pixel_exact: ClassVar[bool] = False
    interpolates: ClassVar[bool] = True
    joins: ClassVar[bool] = False  # whether a second video can share the network of a first
    group_frames: ClassVar[int] = 0  # frames of a group where the paper has a network for each few; 0 = as many as fit

    @abstractmethod
    def shape(self, geometry: Geometry, parameters: int, options: dict[str, Any]) -> Any:
        """The shape whose size, as the paper counts it, is ``parameters``; UsageError when that is too small."""

    @abstractmethod
    def build(self, geometry: Geometry, shape: Any, previous: Representation | None = None) -> Representation:
        """The representation, with the paper's initial weights; ``previous``: that of the group before, if chained."""

    def counted(self, representation: Representation) -> int:
        """Size as the paper counts it."""
        return representation.transmitted_count()


MOST_EXCESS = 1.02  # the papers' formulas overshoot by up to 1% at the sizes they publish
_Class = TypeVar("_Class", bound=type[Recipe])
_recipes: dict[str, Recipe] = {}


def recipe(name: str, codec_id: int) -> Callable[[_Class], _Class]:
    """Class decorator: make a recipe known under a name and the frozen number of its streams."""

    def add(cls: _Class) -> _Class:
        for known in _recipes.values():
            if known.name == name or known.codec_id == codec_id:
                raise UsageError(f"recipe {name!r} ({codec_id}) is taken by {known.name!r} ({known.codec_id})")
        cls.name, cls.codec_id = name, codec_id
        _recipes[name] = cls()
        return cls

    return add


def get_recipe(name: str) -> Recipe:
    """The recipe of a name; loads those of this package."""
    if name not in _recipes:
        from nvcodec.models.implicit import recipes

        for module in pkgutil.iter_modules(recipes.__path__):
            importlib.import_module(f"{recipes.__name__}.{module.name}")
    if name not in _recipes:
        raise UsageError(f"recipe {name!r} is not known; there are {', '.join(sorted(_recipes))}")
    return _recipes[name]


def counted_size(chosen: Recipe, geometry: Geometry, shape: Any) -> int:
    """Size of a shape as its paper counts it, without allocating it."""
    with torch.device("meta"):
        return chosen.counted(chosen.build(geometry, shape))


def fitted_width(
    chosen: Recipe, geometry: Geometry, parameters: int, width: int, shape_of: Callable[[int], Any]
) -> Any:
    """The shape of a width that a paper's formula gave, or of a smaller one where the formula leaves the budget (its
    lowest widths do not count there); UsageError when the least network is too large."""
    most = round(parameters * MOST_EXCESS)
    if width >= 1 and counted_size(chosen, geometry, shape_of(width)) <= most:
        return shape_of(width)
    width = widest(lambda n: counted_size(chosen, geometry, shape_of(n)), most, limit=max(1, width))
    if width < 1:
        raise too_small(chosen.name, parameters, counted_size(chosen, geometry, shape_of(1)))
    return shape_of(width)


@dataclass(frozen=True)
class Integers:
    """Stream field: a list of 1 to ``longest`` integers between ``low`` and ``high``, its length before it."""

    longest: int
    low: int
    high: int

    def write(self, value: tuple[int, ...], name: str) -> bytes:
        if not 1 <= len(value) <= self.longest:
            raise UsageError(f"{name} has {len(value)} entries; 1 to {self.longest} can be stored")
        kind = Varint(self.low, self.high)
        return write_varint(len(value)) + b"".join(kind.write(v, name) for v in value)

    def read(self, cursor: Cursor, name: str) -> tuple[int, ...]:
        count = Varint(1, self.longest).read(cursor, f"length of {name}")
        return tuple(Varint(self.low, self.high).read(cursor, name) for _ in range(count))


def write_shape(shape: Any) -> bytes:
    """A shape as it lies in the stream."""
    return write_fields(shape)


def read_shape(chosen: Recipe, cursor: Cursor) -> Any:
    """A shape from the stream; DamagedStreamError for one that cannot be."""
    try:
        return read_fields(chosen.Shape, cursor)
    except DamagedStreamError:
        raise
    except (NvcError, ValueError, ArithmeticError) as exc:
        raise cursor.damaged(f"shape of a {chosen.name} network: {exc}") from exc
