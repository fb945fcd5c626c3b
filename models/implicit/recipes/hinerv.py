# SPDX-License-Identifier: Apache-2.0
"""HiNeRV (Kwan et al. 2023, arXiv 2306.09818): hierarchical grids, bilinear enlargement, local encodings, ConvNeXt.

Sizes and training are those of the authors' configurations (github.com/hmkx/HiNeRV; Bunny: XXS, XS, S at 720p; UVG: S,
M, L at 1080p). Their names are nominal sizes; the structure has the counts that tests/implicit lists. Whole frames are
fitted where the authors cut them into padded patches; the rate prunes weights where the authors prune by magnitude.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nvcodec.models.implicit.budget import MAX_STRIDE, MAX_STRIDES
from nvcodec.models.implicit.hierarchical import HierarchicalStages
from nvcodec.models.implicit.recipe import FitSettings, Integers, PaperCoding, Recipe, recipe
from nvcodec.models.implicit.representation import Geometry, Representation, crop
from nvcodec.models.implicit.sizing import MAX_SEARCHED_WIDTH, width_for
from nvcodec.models.implicit.strides import HINERV_CELLS, HINERV_LADDER, cells_of, strides_near
from nvcodec.models.implicit.temporal_grids import HierarchicalFeatures
from nvcodec.stream.fields import Varint, wire


@dataclass(frozen=True)
class HinervShape:
    """Strides, first channels; finest tables: entries and channels of the base, channels of the local one."""

    strides: tuple[int, ...] = wire(Integers(MAX_STRIDES, 1, MAX_STRIDE))
    width: int = wire(Varint(1, MAX_SEARCHED_WIDTH))
    base_entries: int = wire(Varint(1, 1024))
    base_channels: int = wire(Varint(1, 256))
    local_channels: int = wire(Varint(1, 256))


class Hinerv(Representation):
    """Base maps of the time, 3x3 stem, hierarchical stages, 1x1 head."""

    def __init__(self, geometry: Geometry, shape: HinervShape):
        super().__init__(geometry)
        size = cells_of(geometry, shape.strides)
        self.base = HierarchicalFeatures(shape.base_entries, shape.base_channels, 2, size, geometry.frames)
        self.stem = nn.Conv2d(self.base.channels, shape.width, 3, padding=1)
        self.stages = HierarchicalStages(shape.width, shape.strides, shape.local_channels, 3, geometry.frames)
        self.head = nn.Conv2d(self.stages.channels_out, 3, 1)

    def forward(self, times: Tensor) -> Tensor:
        features = self.stages(self.stem(self.base(times)), times)
        return crop(torch.sigmoid(self.head(features)), self.geometry)


@recipe("hinerv", codec_id=26)
class HinervRecipe(Recipe):
    """Budget: everything that travels; tables widen with it as from XXS (0.7M: 2, 4 channels) to S (2.9M: 8, 16)."""

    Shape = HinervShape
    fit = FitSettings(batch=1, lr=2e-3, first_lr=0.01, loss="hinerv", clip_norm=1.0, rate_weight=0.05)
    paper = PaperCoding(6, 6)

    def shape(self, geometry: Geometry, parameters: int, options: dict[str, Any]) -> HinervShape:
        strides = strides_near(geometry, options, HINERV_LADDER, HINERV_CELLS)
        channels = min(128, max(1, round(parameters / 360_000)))
        entries = max(1, round(0.3 * geometry.frames))
        return width_for(
            self, geometry, lambda width: HinervShape(strides, width, entries, channels, 2 * channels), parameters
        )

    def build(self, geometry: Geometry, shape: HinervShape, previous: Representation | None = None) -> Hinerv:
        return Hinerv(geometry, shape)
