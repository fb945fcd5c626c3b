# SPDX-License-Identifier: Apache-2.0
"""HNeRV (Chen et al. 2023, arXiv 2304.02633): embeddings from a learned encoder, evenly filled up-sampling blocks.

Layer sizes, strides, training and quantisation are those of the authors' code (github.com/haochen-rye/HNeRV) for
640x1280 pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from nvcodec.models.implicit.budget import (
    MAX_STRIDE,
    MAX_STRIDES,
    MAX_WIDTH,
    choose_strides,
    grid,
    positive_root,
)
from nvcodec.models.implicit.layers import UpBlock, channel_widths, to_unit_range
from nvcodec.models.implicit.recipe import Integers, Recipe, fitted_width, recipe
from nvcodec.models.implicit.representation import Geometry, Representation, crop
from nvcodec.models.implicit.sources import EncoderEmbeddings
from nvcodec.stream.fields import Varint, wire

REDUCTION, LOWEST_WIDTH, LARGEST_KERNEL, EMBEDDING = 1.2, 12, 5, 16


@dataclass(frozen=True)
class HnervShape:
    """Strides of the stages, channels of an embedding, channels of the first stage."""

    strides: tuple[int, ...] = wire(Integers(MAX_STRIDES, 1, MAX_STRIDE))
    embedding: int = wire(Varint(1, 1024))
    width: int = wire(Varint(1, MAX_WIDTH))


class Hnerv(Representation):
    """Embedding (16 x rows x columns), 1x1 convolution, one up-sampling block for each stride, 3x3 head."""

    def __init__(self, geometry: Geometry, shape: HnervShape):
        super().__init__(geometry)
        rows, columns = grid(geometry.height, geometry.width, shape.strides)
        self.source = EncoderEmbeddings(geometry.frames, shape.embedding, rows, columns, shape.strides)
        widths = [
            shape.width,
            *channel_widths(shape.width, len(shape.strides), REDUCTION, min(LOWEST_WIDTH, shape.width)),
        ]
        stem = UpBlock(shape.embedding, shape.width, 1, 1)
        stages = [
            UpBlock(widths[i], widths[i + 1], stride, min(1 + 2 * i, LARGEST_KERNEL))
            for i, stride in enumerate(shape.strides)
        ]
        self.decoder = nn.Sequential(stem, *stages)
        self.head = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, times: Tensor) -> Tensor:
        return crop(to_unit_range(self.head(self.decoder(self.source(times)))), self.geometry)


@recipe("hnerv", codec_id=16)
class HnervRecipe(Recipe):
    """Budget: decoder without its head, plus embeddings."""

    Shape = HnervShape

    def shape(self, geometry: Geometry, parameters: int, options: dict[str, Any]) -> HnervShape:
        strides = choose_strides(geometry.height, geometry.width, options)
        embeddings = EMBEDDING * math.prod(grid(geometry.height, geometry.width, strides)) * geometry.frames
        share = 1 / REDUCTION
        # the authors' quadratic, its 9 weights for each tap of the (1x1) stem included
        quadratic = share * sum(
            share ** (2 * i) * s**2 * min(1 + 2 * i, LARGEST_KERNEL) ** 2 for i, s in enumerate(strides)
        )
        width = int(positive_root(quadratic, 9 * EMBEDDING, embeddings - parameters))
        return fitted_width(self, geometry, parameters, width, lambda width: HnervShape(strides, EMBEDDING, width))

    def build(self, geometry: Geometry, shape: HnervShape, previous: Representation | None = None) -> Hnerv:
        return Hnerv(geometry, shape)

    def counted(self, representation: Representation) -> int:
        return representation.transmitted_count() - sum(p.numel() for p in representation.head.parameters())
