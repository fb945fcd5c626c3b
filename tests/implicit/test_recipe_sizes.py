# SPDX-License-Identifier: Apache-2.0
"""Networks have the sizes their papers publish, HNeRV's layer by layer, and keep to a budget on any picture."""

from __future__ import annotations

import math

import pytest
import torch

from nvcodec.codec.registry import BUILT_IN, get_codec
from nvcodec.errors import UsageError
from nvcodec.models.implicit.fit.encoder import ConvNextEncoder
from nvcodec.models.implicit.recipe import counted_size, get_recipe
from nvcodec.models.implicit.representation import Geometry

BUNNY = Geometry(640, 1280, 132)
RECIPES = ("hnerv", "nerv", "e-nerv")


# What the authors' formula gives at 640x1280, 132 frames, for their four sizes (embeddings 16x2x4 a frame included).
@pytest.mark.parametrize(
    ("millions", "width", "size"), [(0.35, 32, 329399), (0.75, 48, 735636), (1.5, 68, 1504413), (3.0, 97, 3028499)]
)
def test_hnerv_has_the_published_sizes(millions: float, width: int, size: int) -> None:
    recipe = get_recipe("hnerv")
    shape = recipe.shape(BUNNY, round(millions * 1e6), {})
    assert (shape.strides, shape.embedding, shape.width) == ((5, 4, 4, 2, 2), 16, width)
    assert counted_size(recipe, BUNNY, shape) == size


def test_hnerv_layer_by_layer() -> None:
    recipe = get_recipe("hnerv")
    with torch.device("meta"):
        network = recipe.build(BUNNY, recipe.shape(BUNNY, 1_500_000, {}))
    assert {name: tuple(p.shape) for name, p in network.named_parameters() if name.endswith(("weight", "table"))} == {
        "source.table": (132, 16, 2, 4),
        "decoder.0.conv.weight": (68, 16, 1, 1),
        "decoder.1.conv.weight": (57 * 25, 68, 1, 1),
        "decoder.2.conv.weight": (48 * 16, 57, 3, 3),
        "decoder.3.conv.weight": (40 * 16, 48, 5, 5),
        "decoder.4.conv.weight": (33 * 4, 40, 5, 5),
        "decoder.5.conv.weight": (28 * 4, 33, 5, 5),
        "head.weight": (3, 28, 3, 3),
    }
    assert sum(p.numel() for p in ConvNextEncoder((5, 4, 4, 2, 2), 64, 16).parameters()) == 306160


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("millions", [0.35, 0.75, 1.5, 3.0])
def test_sizes_keep_to_the_budget(name: str, millions: float) -> None:
    recipe, budget = get_recipe(name), round(millions * 1e6)
    size = counted_size(recipe, BUNNY, recipe.shape(BUNNY, budget, {}))
    assert 0.87 * budget < size <= 1.02 * budget


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(("height", "width"), [(32, 48), (37, 23), (144, 176), (480, 832), (1080, 1920), (1920, 1080)])
def test_any_picture_comes_out_in_its_size(name: str, height: int, width: int) -> None:
    geometry, recipe = Geometry(height, width, 5), get_recipe(name)
    budget = 600_000 if height * width > 10_000 else 80_000
    shape = recipe.shape(geometry, budget, {})
    assert counted_size(recipe, geometry, shape) <= 1.02 * budget
    with torch.device("meta"):
        pictures = recipe.build(geometry, shape)(torch.zeros(1, dtype=torch.long))
    assert pictures.shape == (1, 3, height, width)


@pytest.mark.parametrize("name", RECIPES)
def test_too_small_a_budget_is_one_clear_line(name: str) -> None:
    with pytest.raises(UsageError, match=rf"model size 100 parameters is too small for recipe {name}.*at least about"):
        get_recipe(name).shape(BUNNY, 100, {})


def test_strides_beyond_the_picture_are_refused() -> None:
    with pytest.raises(UsageError, match=r"48x32 is too small for strides 5 4 4 2 2, which enlarge 320 times"):
        get_recipe("hnerv").shape(Geometry(32, 48, 4), 10_000, {"strides": (5, 4, 4, 2, 2)})


@pytest.mark.parametrize("name", RECIPES)
def test_network_is_made_of_what_is_transmitted(name: str) -> None:
    geometry, recipe = Geometry(32, 48, 4), get_recipe(name)
    network = recipe.build(geometry, recipe.shape(geometry, 40_000, {}))
    listed = [tensor.name for tensor in network.transmitted()]
    assert sorted(listed) == sorted(n for n, _ in network.named_parameters())
    assert network.transmitted_count() == sum(math.prod(p.shape) for p in network.parameters())


@pytest.mark.parametrize("name", RECIPES)
def test_numbers_of_streams_are_frozen(name: str) -> None:
    numbers = {"hnerv": 16, "nerv": 17, "e-nerv": 18}
    assert BUILT_IN[name][0] == get_recipe(name).codec_id == get_codec(name).codec_id == numbers[name]
