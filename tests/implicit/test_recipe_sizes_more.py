# SPDX-License-Identifier: Apache-2.0
"""Networks of the later papers have the sizes their authors publish, or the structure where none can be derived."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from nvcodec.codec.registry import BUILT_IN
from nvcodec.errors import UsageError
from nvcodec.models.implicit import recipes
from nvcodec.models.implicit.recipe import counted_size, get_recipe
from nvcodec.models.implicit.recipes.hinerv import HinervShape
from nvcodec.models.implicit.recipes.hnerv import HnervShape
from nvcodec.models.implicit.recipes.nirvana import NirvanaShape
from nvcodec.models.implicit.representation import Geometry
from nvcodec.models.implicit.sizing import StagesShape, StemShape

BUNNY, UVG = Geometry(720, 1280, 132), Geometry(1080, 1920, 600)
BUNNY_STRIDES, UVG_STRIDES = (5, 2, 2, 2, 2), (5, 3, 2, 2, 2)
HERE = ("nervpp", "boost-hnerv", "boost-nerv", "boost-e-nerv", "nirvana", "cam", "pfnr", "hinerv")


def authors_width(
    size: float, strides: tuple[int, ...], kernels: tuple[int, int], reduction: float, rest: tuple
) -> int:
    """First width by the quadratic of HNeRV's scripts, which Boosting-NeRV's use; rest: (taps, embeddings)."""
    share = 1 / reduction
    first, largest = kernels
    square = share * sum(share ** (2 * i) * s**2 * min(2 * i + first, largest) ** 2 for i, s in enumerate(strides))
    return int(np.roots([square, rest[0], rest[1] - size * 1e6]).max())


# github.com/Xinjie-Q/Boosting-NeRV, scripts/regression: the argument, and the size that its comment says it makes.
BOOSTED = [
    ("boost-hnerv", BUNNY, {0.64: 0.75, 1.275: 1.5, 2.65: 3.0}),
    ("boost-hnerv", UVG, {2.8: 3.0, 4.6: 5.0, 9.1: 10.0, 13.6: 15.0}),
    ("boost-nerv", BUNNY, {0.375: 0.75, 0.8: 1.5, 1.65: 3.0}),
    ("boost-nerv", UVG, {1.65: 3.0, 2.65: 5.0, 5.2: 10.0, 7.55: 15.0}),
    ("boost-e-nerv", BUNNY, {0.55: 0.75, 1.25: 1.5, 2.2: 3.0}),
    ("boost-e-nerv", UVG, {1.8: 3.0, 2.6: 5.0, 4.3: 10.0, 5.8: 15.0}),
]


@pytest.mark.parametrize(("name", "geometry", "sizes"), BOOSTED)
def test_boosted_networks_have_the_published_sizes(name: str, geometry: Geometry, sizes: dict[float, float]) -> None:
    strides = BUNNY_STRIDES if geometry is BUNNY else UVG_STRIDES
    cells = geometry.height * geometry.width // math.prod(strides) ** 2
    for argument, millions in sizes.items():
        if name == "boost-hnerv":
            width = authors_width(argument, strides, (1, 5), 1.2, (16 * 9, 16 * cells * geometry.frames))
            shape: object = HnervShape(strides, 16, width)
        else:
            shape = StagesShape(strides, authors_width(argument, strides, (3, 3), 2, (160 * 9 * 16, 0)))
        size = counted_size(get_recipe(name), geometry, shape)
        assert abs(size / 1e6 / millions - 1) < 0.03, (argument, size)


# Sizes of the structure in github.com/hmkx/HiNeRV, cfgs/models: bunny-hinerv-{xxs,xs,s}, uvg-hinerv-{s,m,l}.
@pytest.mark.parametrize(
    ("geometry", "shape", "size"),
    [
        (BUNNY, HinervShape((5, 2, 2, 2), 136, 40, 2, 4), 697260),
        (BUNNY, HinervShape((5, 2, 2, 2), 196, 40, 4, 8), 1441224),
        (BUNNY, HinervShape((5, 2, 2, 2), 280, 40, 8, 16), 2940709),
        (UVG, HinervShape((5, 3, 2, 2), 280, 150, 2, 4), 2911803),
        (UVG, HinervShape((5, 3, 2, 2), 400, 150, 4, 8), 5928603),
        (UVG, HinervShape((5, 3, 2, 2), 560, 150, 8, 16), 11659593),
    ],
)
def test_hinerv_has_the_sizes_of_its_configurations(geometry: Geometry, shape: HinervShape, size: int) -> None:
    assert counted_size(get_recipe("hinerv"), geometry, shape) == size
    assert get_recipe("hinerv").shape(geometry, size, {}).strides == shape.strides


# github.com/ahmedgh970/NeRV-plus-plus: XS, S, M, L have first widths 8, 26, 58, 112; NeRV's S, M, L of 3.2M, 6.3M and
# 12.5M (arXiv 2110.13903) have theirs.
@pytest.mark.parametrize(("width", "millions"), [(26, 3.2), (58, 6.3), (112, 12.5)])
def test_nervpp_is_as_large_as_nerv_of_its_first_width(width: int, millions: float) -> None:
    size = counted_size(get_recipe("nervpp"), BUNNY, StemShape(BUNNY_STRIDES, width, 512, 80))
    assert abs(size / 1e6 / millions - 1) < 0.03


def layers(name: str, geometry: Geometry, shape: object) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        network = get_recipe(name).build(geometry, shape)
    return {n: tuple(p.shape) for n, p in network.named_parameters() if n.endswith(("weight", "fresh", "table"))}


def test_nirvana_layer_by_layer() -> None:
    """Groups of 3 frames, patches of 32, sine layers of 512 (authors' command), one channel of map."""
    assert layers("nirvana", Geometry(1080, 1920, 3), NirvanaShape(512, 1, 3)) == {
        "network.layers.0.weight": (512, 2),
        "network.layers.1.weight": (512, 512),
        "network.layers.2.weight": (16 * 16, 512),
        "network.enlarge.weight": (3 * 32, 1, 3, 3),
        "network.finish.weight": (3 * 3, 8, 3, 3),
    }


def test_cam_layer_by_layer() -> None:
    """The authors' command for compression: 9x16x48, expansion 8, video grids of 300 and 600, modulation of 60."""
    found = layers("cam", UVG, StagesShape(UVG_STRIDES, 48))
    grids = [found[f"features.levels.{i}.table"] for i in range(2)]
    assert grids == [(300, 24, 9, 16), (600, 24, 9, 16)]
    assert [found[f"blocks.{i}.conv.weight"] for i in range(5)] == [
        (384 * 25, 48, 3, 3),
        (192 * 9, 384 // 8, 3, 3),
        (96 * 4, 192 // 8, 3, 3),
        (48 * 4, 96 // 8, 3, 3),
        (24 * 4, 48 // 8, 3, 3),
    ]
    assert "blocks.0.mix.weight" not in found
    assert found["blocks.1.mix.weight"] == (192 * 9, 192 * 9, 1, 1)
    assert found["blocks.2.modulation.scale.table"] == (60, 96, 1, 1)
    assert (found["guide.weight"], found["head.weight"]) == ((12, 96, 1, 1), (5, 24, 1, 1))


def test_pfnr_layer_by_layer() -> None:
    """The authors' command: 9x16x112, stem 512, lowest width 96."""
    found = layers("pfnr", BUNNY, StemShape(BUNNY_STRIDES, 112, 512, 96))
    assert found["stem.weight.fresh"] == (512, 80)
    assert found["spread.weight.fresh"] == (112 * 9 * 16, 512)
    assert [found[f"blocks.{i}.weight.fresh"][:2] for i in range(5)] == [
        (112 * 25, 112),
        (96 * 4, 112),
        (96 * 4, 96),
        (96 * 4, 96),
        (96 * 4, 96),
    ]
    assert found["operator.real.fresh"] == found["operator.imaginary.fresh"] == (112, 96, 2 * 2, 5)


@pytest.mark.parametrize("name", HERE)
def test_sizes_keep_to_the_budget(name: str) -> None:
    recipe, geometry = get_recipe(name), Geometry(640, 1280, 3 if name == "nirvana" else 132)
    for budget in (750_000, 3_000_000):
        shape = recipe.shape(geometry, budget, {})
        assert 0.6 * budget < counted_size(recipe, geometry, shape) <= budget, shape
    with pytest.raises(UsageError, match="too small"):
        recipe.shape(geometry, 500, {})


@pytest.mark.parametrize("name", HERE)
def test_any_picture_comes_out_in_its_size(name: str) -> None:
    recipe = get_recipe(name)
    for height, width in ((37, 23), (46, 60)):
        geometry = Geometry(height, width, 3)
        with torch.device("meta"):
            network = recipe.build(geometry, recipe.shape(geometry, 600_000, {}))
            made = network(torch.arange(2))
        assert made.shape == (2, 3, height, width)


@pytest.mark.parametrize("name", [name for name, (number, _) in BUILT_IN.items() if 16 <= number <= 26])
def test_a_recipe_takes_under_sixty_lines(name: str) -> None:
    """Lines of code: without imports, docstrings, comments and blank lines."""
    path = Path(recipes.__path__[0]) / f"{name.replace('-', '_')}.py"
    text = path.read_text()
    counted = {number for number, line in enumerate(text.splitlines(), 1) if line.strip() and line.strip()[0] != "#"}
    for node in ast.walk(ast.parse(text)):
        words = (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
        if words or isinstance(node, ast.Import | ast.ImportFrom):
            assert node.end_lineno is not None
            counted -= set(range(node.lineno, node.end_lineno + 1))
    assert 10 < len(counted) < 60
