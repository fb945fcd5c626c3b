# SPDX-License-Identifier: Apache-2.0
"""Boosting-NeRV on NeRV (Zhang et al. 2024, arXiv 2402.18152): a frame-number stem, blocks aligned with the frame.

Layer sizes and training are those of the authors' scripts (github.com/Xinjie-Q/Boosting-NeRV).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from nvcodec.models.implicit.layers import Perceptron, to_unit_range
from nvcodec.models.implicit.recipe import FitSettings, Recipe, recipe
from nvcodec.models.implicit.representation import Geometry, Representation, crop, time_fraction
from nvcodec.models.implicit.sizing import StagesShape, halved, width_for
from nvcodec.models.implicit.strides import NERV_CELLS, NERV_LADDER, cells_of, strides_near
from nvcodec.models.implicit.temporal_affine import AlignedStages, FrameCondition

STEM, LOWEST_WIDTH = 256, 12


class BoostedNerv(Representation):
    """Two sine layers make the coarsest map of the frame number; aligned stages; 1x1 head."""

    def __init__(self, geometry: Geometry, shape: StagesShape):
        super().__init__(geometry)
        self.map = (shape.width, *cells_of(geometry, shape.strides))
        self.condition = FrameCondition(geometry)
        self.stem = Perceptron(self.condition.encoding.size, STEM, math.prod(self.map), activation=torch.sin)
        widths = [shape.width, *halved(shape.width, len(shape.strides), LOWEST_WIDTH)]
        self.stages = AlignedStages(widths, shape.strides)
        self.head = nn.Conv2d(widths[-1], 3, 1)

    def forward(self, times: Tensor) -> Tensor:
        coarse = self.stem(self.condition.encoding(time_fraction(times, self.geometry))).unflatten(1, self.map)
        features = self.stages(coarse, self.condition(times))
        return crop(to_unit_range(self.head(features)), self.geometry)


@recipe("boost-nerv", codec_id=21)
class BoostNervRecipe(Recipe):
    """Budget: everything that travels."""

    Shape = StagesShape
    fit = FitSettings(batch=1, lr=3e-3, loss="fusion10_freq", optimiser="adan", rate_weight=6.0)

    def shape(self, geometry: Geometry, parameters: int, options: dict[str, Any]) -> StagesShape:
        strides = strides_near(geometry, options, NERV_LADDER, NERV_CELLS)
        return width_for(self, geometry, lambda width: StagesShape(strides, width), parameters)

    def build(self, geometry: Geometry, shape: StagesShape, previous: Representation | None = None) -> BoostedNerv:
        return BoostedNerv(geometry, shape)
