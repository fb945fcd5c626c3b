# SPDX-License-Identifier: Apache-2.0
"""CAM (Lee et al. 2024, arXiv 2311.14993) for video: FFNeRV, its features scaled and shifted from grids along time.

Structure, widths and training as in the authors' instructions for compression (github.com/maincold2/CAM): two video
grids (an entry for each frame, one for every other), channels 8 times wider after the first stage, compact blocks, flow
from four neighbours, modulation grids with an entry for ten frames. Tests check the structure: how the paper counts is
not public.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nvcodec.models.implicit.flow_blend import NEIGHBOURS, blend, neighbour_times
from nvcodec.models.implicit.layers import to_unit_range
from nvcodec.models.implicit.modulated import ModulatedBlock
from nvcodec.models.implicit.recipe import FitSettings, PaperCoding, Recipe, recipe
from nvcodec.models.implicit.representation import Geometry, Representation, crop
from nvcodec.models.implicit.sizing import StagesShape, halved, width_for
from nvcodec.models.implicit.strides import NERV_CELLS, NERV_LADDER, cells_of, strides_near
from nvcodec.models.implicit.temporal_grids import TemporalFeatures

EXPANSION, LOWEST_WIDTH, GUIDE_FROM_END, AUXILIARY_SHARE = 8, 24, 3, 0.1


class Cam(Representation):
    """Video grids, modulated blocks; flow from the third block from the end, picture and shares from the last."""

    def __init__(self, geometry: Geometry, shape: StagesShape):
        super().__init__(geometry)
        frames, strides = geometry.frames, shape.strides
        lengths = (max(1, frames // 2), frames)
        self.features = TemporalFeatures(lengths, shape.width, cells_of(geometry, strides), frames)
        widths = [shape.width, *halved(shape.width, len(strides), LOWEST_WIDTH, EXPANSION)]
        entries = max(2, round(frames / 10))
        self.blocks = nn.ModuleList(
            ModulatedBlock(widths[i], widths[i + 1], stride, stride != 5, entries, frames)
            for i, stride in enumerate(strides)
        )
        self.guide_after = max(0, len(strides) - GUIDE_FROM_END)
        self.guide = nn.Conv2d(widths[self.guide_after + 1], 3 * len(NEIGHBOURS), 1)
        self.head = nn.Conv2d(widths[-1], 5, 1)
        self.stages: tuple[Tensor, ...] = ()  # pictures on the way to the last forward's, while fitting

    def independent(self, times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(picture, logits of its share and its neighbours', guide of the flow) of each frame alone."""
        x = self.features(times)
        for i, block in enumerate(self.blocks):
            x = block(x, times)
            if i == self.guide_after:
                guide = self.guide(x)
        head = self.head(x)
        return to_unit_range(head[:, :3]), head[:, 3:], guide

    def forward(self, times: Tensor) -> Tensor:
        own, shares, guide = self.independent(times)
        around = neighbour_times(times, self.geometry.frames)
        with torch.no_grad():  # neighbours are references, as in FFNeRV's frame buffer
            neighbours = torch.stack([self.independent(around[:, i])[0] for i in range(around.shape[1])], 1)
        final, aggregated = blend(own, shares, neighbours, guide)
        self.stages = (crop(own, self.geometry), crop(aggregated, self.geometry)) if self.training else ()
        return crop(final, self.geometry)

    def auxiliary_loss(self, distortion: Callable[[Tensor], Tensor]) -> Tensor:
        """What the pictures on the way add to the loss of the last ``forward``."""
        return AUXILIARY_SHARE * sum((distortion(stage) for stage in self.stages), torch.zeros(()))


@recipe("cam", codec_id=24)
class CamRecipe(Recipe):
    """Budget: everything that travels."""

    Shape = StagesShape
    fit = FitSettings(batch=1, lr=5e-4, betas=(0.5, 0.999), warm_up=0.2, loss="fusion6", rate_weight=0.05)
    paper = PaperCoding(8, 8)

    def shape(self, geometry: Geometry, parameters: int, options: dict[str, Any]) -> StagesShape:
        strides = strides_near(geometry, options, NERV_LADDER, NERV_CELLS)
        return width_for(self, geometry, lambda width: StagesShape(strides, width), parameters, step=2)

    def build(self, geometry: Geometry, shape: StagesShape, previous: Representation | None = None) -> Cam:
        return Cam(geometry, shape)
