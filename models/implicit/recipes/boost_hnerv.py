# SPDX-License-Identifier: Apache-2.0
"""Boosting-NeRV on HNeRV (Zhang et al. 2024, arXiv 2402.18152): HNeRV's embeddings, blocks aligned with the frame.

Layer sizes and training are those of the authors' scripts (github.com/Xinjie-Q/Boosting-NeRV), whose Bunny networks of
0.75M, 1.5M and 3M parameters at 720x1280 have first widths 50, 86 and 134.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nvcodec.models.implicit.layers import UpBlock, channel_widths, to_unit_range
from nvcodec.models.implicit.recipe import FitSettings, Recipe, recipe
from nvcodec.models.implicit.recipes.hnerv import EMBEDDING, LOWEST_WIDTH, REDUCTION, HnervShape
from nvcodec.models.implicit.representation import Geometry, Representation, crop
from nvcodec.models.implicit.sizing import width_for
from nvcodec.models.implicit.sources import EncoderEmbeddings
from nvcodec.models.implicit.strides import NERV_CELLS, NERV_LADDER, cells_of, strides_near
from nvcodec.models.implicit.temporal_affine import AlignedBlock, AlignedStages, FrameCondition


class BoostedHnerv(Representation):
    """Embedding and condition, an aligned 1x1 block, aligned stages, 3x3 head."""

    def __init__(self, geometry: Geometry, shape: HnervShape):
        super().__init__(geometry)
        rows, columns = cells_of(geometry, shape.strides)
        self.source = EncoderEmbeddings(geometry.frames, shape.embedding, rows, columns, shape.strides)
        self.condition = FrameCondition(geometry)
        widths = [shape.width, *channel_widths(shape.width, len(shape.strides), REDUCTION, LOWEST_WIDTH)]
        stem = UpBlock(shape.embedding, shape.width, 1, 1, torch.sin)
        self.stem = AlignedBlock(shape.embedding, shape.width, 1, enlarge=stem)
        self.stages = AlignedStages(widths, shape.strides, first_kernel=1)
        self.head = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, times: Tensor) -> Tensor:
        condition = self.condition(times)
        features = self.stages(self.stem(self.source(times), condition), condition)
        return crop(to_unit_range(self.head(features)), self.geometry)


@recipe("boost-hnerv", codec_id=20)
class BoostHnervRecipe(Recipe):
    """Budget: everything that travels."""

    Shape = HnervShape
    fit = FitSettings(batch=1, lr=3e-3, loss="fusion10_freq", optimiser="adan", rate_weight=6.0)

    def shape(self, geometry: Geometry, parameters: int, options: dict[str, Any]) -> HnervShape:
        strides = strides_near(geometry, options, NERV_LADDER, NERV_CELLS)
        return width_for(self, geometry, lambda width: HnervShape(strides, EMBEDDING, width), parameters)

    def build(self, geometry: Geometry, shape: HnervShape, previous: Representation | None = None) -> BoostedHnerv:
        return BoostedHnerv(geometry, shape)
