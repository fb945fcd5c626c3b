# SPDX-License-Identifier: Apache-2.0
"""NeRV (Chen et al. 2021, arXiv 2110.13903): an encoding of the frame number, one layer to a grid, up-sampling blocks.

Settings are those of the NeRV baseline in HNeRV's table and code (github.com/haochen-rye/HNeRV): encoding 1.25^k with
80 levels, a grid of 1/80 of the picture, 3x3 kernels, channels halved at each stage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from nvcodec.models.implicit.budget import MAX_STRIDE, MAX_STRIDES, MAX_WIDTH, choose_strides, grid, positive_root
from nvcodec.models.implicit.layers import UpBlock, channel_widths, to_unit_range
from nvcodec.models.implicit.recipe import Integers, Recipe, fitted_width, recipe
from nvcodec.models.implicit.representation import Geometry, Representation, crop, time_fraction
from nvcodec.models.implicit.sources import FrequencyEncoding
from nvcodec.stream.fields import Varint, wire

REDUCTION, LOWEST_WIDTH, KERNEL, BASE, LEVELS = 2, 12, 3, 1.25, 80


@dataclass(frozen=True)
class NervShape:
    """Strides of the stages, channels of the grid."""

    strides: tuple[int, ...] = wire(Integers(MAX_STRIDES, 1, MAX_STRIDE))
    width: int = wire(Varint(1, MAX_WIDTH))


class Nerv(Representation):
    """Encoding (160), one linear layer to the grid, one up-sampling block for each stride, 3x3 head."""

    def __init__(self, geometry: Geometry, shape: NervShape):
        super().__init__(geometry)
        self.grid = grid(geometry.height, geometry.width, shape.strides)
        self.encoding = FrequencyEncoding(BASE, LEVELS)
        widths = [
            shape.width,
            *channel_widths(shape.width, len(shape.strides), REDUCTION, min(LOWEST_WIDTH, shape.width)),
        ]
        self.stem = UpBlock(2 * LEVELS, shape.width * math.prod(self.grid), 1, 1)
        self.decoder = nn.Sequential(
            *(UpBlock(widths[i], widths[i + 1], stride, KERNEL) for i, stride in enumerate(shape.strides))
        )
        self.head = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, times: Tensor) -> Tensor:
        encoded = self.encoding(time_fraction(times, self.geometry))
        cells = self.stem(encoded[:, :, None, None]).reshape(len(times), -1, *self.grid)
        return crop(to_unit_range(self.head(self.decoder(cells))), self.geometry)


@recipe("nerv", codec_id=17)
class NervRecipe(Recipe):
    """Budget: everything but the head."""

    Shape = NervShape

    def shape(self, geometry: Geometry, parameters: int, options: dict[str, Any]) -> NervShape:
        strides = grid_strides(geometry, options)
        cells = math.prod(grid(geometry.height, geometry.width, strides))
        share = 1 / REDUCTION
        quadratic = share * KERNEL**2 * sum(share ** (2 * i) * s**2 for i, s in enumerate(strides))
        width = int(positive_root(quadratic, 2 * LEVELS * cells, -parameters))
        return fitted_width(self, geometry, parameters, width, lambda width: NervShape(strides, width))

    def build(self, geometry: Geometry, shape: NervShape, previous: Representation | None = None) -> Nerv:
        return Nerv(geometry, shape)

    def counted(self, representation: Representation) -> int:
        return representation.transmitted_count() - sum(p.numel() for p in representation.head.parameters())


def grid_strides(geometry: Geometry, options: dict[str, Any]) -> tuple[int, ...]:
    """HNeRV's strides without their largest of 4, so that a grid of some hundred cells is left: 5 4 2 2 at 640x1280."""
    strides = list(choose_strides(geometry.height, geometry.width, options))
    if not options.get("strides") and 4 in strides:
        strides.remove(4)
    return tuple(strides)
