# SPDX-License-Identifier: Apache-2.0
"""E-NeRV (Li et al. 2022, arXiv 2207.08132): separate encodings of place and time, joined by attention.

Structure as in the authors' code (github.com/kyleleey/E-NeRV): a map of encoded coordinates goes through an attention
block, is multiplied by the embedding of the frame number, goes through another; each stage is normalised and modulated
by a second embedding of the frame number; the first stage squeezes to a quarter of its channels before it enlarges. Its
published size is 12.5M; for the sizes of HNeRV's table all inner widths shrink together, which the paper leaves open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nvcodec.models.implicit.budget import MAX_STRIDE, MAX_STRIDES, MAX_WIDTH, grid, too_small, widest
from nvcodec.models.implicit.layers import Perceptron, TransformerBlock, UpBlock, instance_normalised
from nvcodec.models.implicit.recipe import FitSettings, Integers, Recipe, recipe
from nvcodec.models.implicit.recipes.nerv import grid_strides
from nvcodec.models.implicit.representation import Geometry, Representation, crop, time_fraction
from nvcodec.models.implicit.sizing import halved
from nvcodec.models.implicit.sources import FrequencyEncoding
from nvcodec.stream.fields import Varint, wire

LOWEST_WIDTH, EXPANSION, SQUEEZE, BASE, LEVELS = 12, 3, 4, 1.25, 80
HEADS = 8


@dataclass(frozen=True)
class EnervShape:
    """Strides; channels of the map that enters the stages, of the embeddings (attention included)."""

    strides: tuple[int, ...] = wire(Integers(MAX_STRIDES, 1, MAX_STRIDE))
    width: int = wire(Varint(4, MAX_WIDTH))
    embedding: int = wire(Varint(8, 1024))


class Enerv(Representation):
    """See the module; published: 256 channels of embedding, 512 in the stem, 64 a head, 128 in feed-forward, time."""

    def __init__(self, geometry: Geometry, shape: EnervShape):
        super().__init__(geometry)
        rows, columns = grid(geometry.height, geometry.width, shape.strides)
        self.grid, inner = (rows, columns), shape.embedding
        self.encoding = FrequencyEncoding(BASE, LEVELS)
        self.time_stem = Perceptron(self.encoding.size, 2 * inner, inner)
        self.place_stem = Perceptron(2 * self.encoding.size, inner)
        self.register_buffer("row", torch.arange(rows).repeat_interleave(columns) / rows, persistent=False)
        self.register_buffer("column", torch.arange(columns).repeat(rows) / columns, persistent=False)
        self.before = TransformerBlock(inner, 1, inner // 4, inner // 2)
        self.after = TransformerBlock(inner, HEADS, inner // 4, inner // 2)
        self.to_width = Perceptron(inner, shape.width) if inner != shape.width else nn.Identity()
        self.modulation = Perceptron(self.encoding.size, inner // 2, inner // 2)
        widths = [shape.width, *halved(shape.width, len(shape.strides), LOWEST_WIDTH, EXPANSION)]
        self.gains = nn.ModuleList(Perceptron(inner // 2, 2 * width) for width in widths[:-1])
        squeezed = max(1, widths[0] // SQUEEZE)
        self.first = UpBlock(widths[0], squeezed, shape.strides[0], 3, nn.Identity())
        self.widen = nn.Conv2d(squeezed, widths[1], 3, padding=1)
        self.stages = nn.ModuleList(
            UpBlock(widths[i + 1], widths[i + 2], stride, 3) for i, stride in enumerate(shape.strides[1:])
        )
        self.head = nn.Conv2d(widths[-1], 3, 1)

    def forward(self, times: Tensor) -> Tensor:
        encoded = self.encoding(time_fraction(times, self.geometry))
        places = torch.cat([self.encoding(self.row), self.encoding(self.column)], 1)
        x = self.before(self.place_stem(places)[None]) * self.time_stem(encoded)[:, None]  # (B, cells, embedding)
        x = self.to_width(self.after(x)).transpose(1, 2).reshape(len(times), -1, *self.grid)
        moment = self.modulation(encoded)
        for number, gains in enumerate(self.gains):
            gain, offset = gains(moment)[:, :, None, None].chunk(2, 1)
            x = instance_normalised(x) * gain + offset
            x = F.gelu(self.widen(self.first(x))) if number == 0 else self.stages[number - 1](x)
        return crop(torch.sigmoid(self.head(x)), self.geometry)


@recipe("e-nerv", codec_id=18)
class EnervRecipe(Recipe):
    """Budget: everything. The embedding is the multiple of 16 nearest to a twelfth of the root of the budget."""

    Shape = EnervShape
    fit = FitSettings(lr=5e-4, betas=(0.5, 0.999), warm_up=0.2, first_lr=0.1, batch=1, loss="fusion6")

    def shape(self, geometry: Geometry, parameters: int, options: dict[str, Any]) -> EnervShape:
        strides = grid_strides(geometry, options)
        embedding = int(min(256, max(16, 16 * round(math.sqrt(parameters) / 12 / 16))))

        def count(width: int) -> int:
            with torch.device("meta"):
                return Enerv(geometry, EnervShape(strides, max(width, 4), embedding)).transmitted_count()

        width = widest(count, parameters)
        if width < 4:
            raise too_small(self.name, parameters, count(4))
        return EnervShape(strides, width, embedding)

    def build(self, geometry: Geometry, shape: EnervShape, previous: Representation | None = None) -> Enerv:
        return Enerv(geometry, shape)
