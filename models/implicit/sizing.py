# SPDX-License-Identifier: Apache-2.0
"""Shapes that are one width on top of strides, and the width that a budget of parameters buys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from nvcodec.models.implicit.budget import MAX_STRIDE, MAX_STRIDES, too_small, widest
from nvcodec.models.implicit.recipe import Integers, Recipe, counted_size
from nvcodec.models.implicit.representation import Geometry
from nvcodec.stream.fields import Varint, wire

MAX_SEARCHED_WIDTH = 2048
_NARROWEST = 10  # NeRV++ goes down to a tenth of the least channels in the coarsest map

_Shape = TypeVar("_Shape")


@dataclass(frozen=True)
class StagesShape:
    """Strides of the stages, channels of the coarsest map."""

    strides: tuple[int, ...] = wire(Integers(MAX_STRIDES, 1, MAX_STRIDE))
    width: int = wire(Varint(1, MAX_SEARCHED_WIDTH))


@dataclass(frozen=True)
class StemShape:
    """Strides of the stages, channels of the coarsest map, hidden width of the stem, least channels of a stage."""

    strides: tuple[int, ...] = wire(Integers(MAX_STRIDES, 1, MAX_STRIDE))
    width: int = wire(Varint(1, MAX_SEARCHED_WIDTH))
    stem: int = wire(Varint(1, MAX_SEARCHED_WIDTH))
    lowest: int = wire(Varint(1, MAX_SEARCHED_WIDTH))


def halved(first: int, stages: int, lowest: int, expansion: int = 1) -> list[int]:
    """NeRV's channels after each stage: the first expands, the others halve, never below ``lowest``."""
    widths = [first * expansion]
    for _ in range(stages - 1):
        widths.append(max(widths[-1] // 2, lowest))
    return widths


def width_for(
    recipe: Recipe, geometry: Geometry, shape: Callable[[int], _Shape], parameters: int, step: int = 1
) -> _Shape:
    """The shape with the largest width (a multiple of ``step``) whose size keeps to a budget.

    Raises UsageError when the budget holds none.
    """
    width = widest(lambda w: counted_size(recipe, geometry, shape(w)) if w else 0, parameters, step, MAX_SEARCHED_WIDTH)
    if not width:
        raise too_small(recipe.name, parameters, counted_size(recipe, geometry, shape(step)))
    return shape(width)


def stem_shape_for(
    recipe: Recipe, geometry: Geometry, strides: tuple[int, ...], parameters: int, stem: int, lowest: int
) -> StemShape:
    """The widest shape with a paper's stem and least channels; where the budget is too small for these, they are
    halved until it is not, so that a tenth of the paper's size still has the paper's proportions.

    Raises UsageError when the budget holds none.
    """
    for halvings in range(6):
        stem_width, least = max(stem >> halvings, 4), max(lowest >> halvings, 2)

        def shape(width: int, stem_width: int = stem_width, least: int = least) -> StemShape:
            return StemShape(strides, width, stem_width, least)

        smallest = max(1, least // _NARROWEST)
        if counted_size(recipe, geometry, shape(smallest)) <= parameters:
            return width_for(recipe, geometry, shape, parameters)
    raise too_small(recipe.name, parameters, counted_size(recipe, geometry, shape(smallest)))
