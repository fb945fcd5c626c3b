# SPDX-License-Identifier: Apache-2.0
"""Boosting-NeRV on E-NeRV (Zhang et al. 2024, arXiv 2402.18152): E-NeRV's place and time, aligned blocks.

Layer sizes and training are those of the authors' scripts (github.com/Xinjie-Q/Boosting-NeRV): embeddings of 128, heads
of 64, sine activations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nvcodec.models.implicit.layers import Perceptron, TransformerBlock, to_unit_range
from nvcodec.models.implicit.recipe import FitSettings, Recipe, recipe
from nvcodec.models.implicit.representation import Geometry, Representation, crop, time_fraction
from nvcodec.models.implicit.sizing import StagesShape, halved, width_for
from nvcodec.models.implicit.strides import NERV_CELLS, NERV_LADDER, cells_of, strides_near
from nvcodec.models.implicit.temporal_affine import AlignedBlock, AlignedStages, FrameCondition, SqueezedUpBlock

EMBEDDING, HEADS, HEAD_SIZE, EXPANSION, LOWEST_WIDTH = 128, 8, 64, 3, 12


class BoostedEnerv(Representation):
    """Encoded coordinates, attention, times the embedded frame number, attention, aligned stages, 1x1 head."""

    def __init__(self, geometry: Geometry, shape: StagesShape):
        super().__init__(geometry)
        self.cells = rows, columns = cells_of(geometry, shape.strides)
        self.condition = FrameCondition(geometry)
        encoding = self.condition.encoding.size
        self.time_stem = Perceptron(encoding, 2 * EMBEDDING, EMBEDDING, activation=torch.sin)
        self.place_stem = Perceptron(2 * encoding, EMBEDDING, activation=torch.sin)
        self.register_buffer("row", torch.arange(rows).repeat_interleave(columns) / rows, persistent=False)
        self.register_buffer("column", torch.arange(columns).repeat(rows) / columns, persistent=False)
        self.before = TransformerBlock(EMBEDDING, 1, HEAD_SIZE, EMBEDDING // 2)
        self.after = TransformerBlock(EMBEDDING, HEADS, HEAD_SIZE, EMBEDDING // 2)
        same = shape.width == EMBEDDING
        self.to_width = nn.Identity() if same else Perceptron(EMBEDDING, shape.width, activation=torch.sin)
        widths = [shape.width, *halved(shape.width, len(shape.strides), LOWEST_WIDTH, EXPANSION)]
        enlarge = SqueezedUpBlock(widths[0], widths[1], shape.strides[0])
        first = AlignedBlock(widths[0], widths[1], shape.strides[0], enlarge=enlarge)
        self.stages = AlignedStages(widths, shape.strides, first=first)
        self.head = nn.Conv2d(widths[-1], 3, 1)

    def forward(self, times: Tensor) -> Tensor:
        encode = self.condition.encoding
        places = self.place_stem(torch.cat([encode(self.row), encode(self.column)], 1))[None]
        moment = self.time_stem(encode(time_fraction(times, self.geometry)))[:, None]
        cells = self.to_width(self.after(self.before(places) * moment))  # (B, rows * columns, width)
        features = self.stages(cells.transpose(1, 2).unflatten(2, self.cells), self.condition(times))
        return crop(to_unit_range(self.head(features)), self.geometry)


@recipe("boost-e-nerv", codec_id=22)
class BoostEnervRecipe(Recipe):
    """Budget: everything that travels."""

    Shape = StagesShape
    fit = FitSettings(batch=1, lr=1.5e-3, loss="fusion10_freq", optimiser="adan", rate_weight=6.0)

    def shape(self, geometry: Geometry, parameters: int, options: dict[str, Any]) -> StagesShape:
        strides = strides_near(geometry, options, NERV_LADDER, NERV_CELLS)
        return width_for(self, geometry, lambda width: StagesShape(strides, width), parameters)

    def build(self, geometry: Geometry, shape: StagesShape, previous: Representation | None = None) -> BoostedEnerv:
        return BoostedEnerv(geometry, shape)
