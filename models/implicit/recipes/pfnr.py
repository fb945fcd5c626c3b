# SPDX-License-Identifier: Apache-2.0
"""PFNR (Kang et al. 2024, arXiv 2306.11305): videos share one NeRV network with a Fourier operator, each by its mask.

Stem, widths, stage of the operator and training as in the authors' code (github.com/ihaeyong/PFNR): 40 frequencies,
a hidden layer of 512, channels halved down to 96, the operator in the second block, half of all weights for a video.
There the operator keeps every frequency of a 45x80 map, 38 million numbers; here it adds the lowest eighth to a
block's convolution, so that a file stays small. The paper compares capacities, not counts; tests check the structure.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from nvcodec.errors import UsageError
from nvcodec.models.implicit.layers import to_unit_range
from nvcodec.models.implicit.recipe import FitSettings, PaperCoding, Recipe, recipe
from nvcodec.models.implicit.representation import Geometry, Representation, crop, time_fraction
from nvcodec.models.implicit.shared import SharedConv, SharedLinear, SharedSpectral, SharedTensor
from nvcodec.models.implicit.sizing import StemShape, halved, stem_shape_for
from nvcodec.models.implicit.sources import FrequencyEncoding
from nvcodec.models.implicit.strides import NERV_CELLS, NERV_LADDER, cells_of, strides_near

STEM, LOWEST_WIDTH, OPERATOR_STAGE, MODES_SHARE = 512, 96, 1, 8


class Pfnr(Representation):
    """Two shared layers make the coarsest map of the frame number, shared blocks enlarge it; each video has a head."""

    def __init__(self, geometry: Geometry, shape: StemShape, previous: Pfnr | None = None):
        super().__init__(geometry)
        self.shape, strides = shape, shape.strides
        rows, columns = cells_of(geometry, strides)
        self.map = (shape.width, rows, columns)
        self.encoding = FrequencyEncoding(1.25, 40)
        self.stem = SharedLinear(self.encoding.size, shape.stem, previous and previous.stem)
        self.spread = SharedLinear(shape.stem, math.prod(self.map), previous and previous.spread)
        widths = [shape.width, *halved(shape.width, len(strides), shape.lowest)]
        self.blocks = nn.ModuleList(
            SharedConv(widths[i], widths[i + 1] * stride**2, 3, previous and previous.blocks[i])
            for i, stride in enumerate(strides)
        )
        at = self.operator_at = min(OPERATOR_STAGE, len(strides) - 1)
        grown = math.prod(strides[:at])
        modes = (max(1, rows * grown // 2 // MODES_SHARE), max(1, columns * grown // 2 // MODES_SHARE))
        self.operator = SharedSpectral(widths[at], widths[at + 1], modes, strides[at], previous and previous.operator)
        self.head = nn.Conv2d(widths[-1], 3, 1)

    def shared(self) -> list[SharedTensor]:
        """Every tensor with a mask, in a fixed order."""
        return [module for module in self.modules() if isinstance(module, SharedTensor)]

    def attach(self, frames: Tensor) -> None:
        for tensor in self.shared():
            tensor.attach()

    def release(self) -> None:
        for tensor in self.shared():
            tensor.release()

    def forward(self, times: Tensor) -> Tensor:
        hidden = F.relu(self.stem(self.encoding(time_fraction(times, self.geometry))))
        x = F.relu(self.spread(hidden)).unflatten(1, self.map)
        for i, (block, stride) in enumerate(zip(self.blocks, self.shape.strides, strict=True)):
            y = F.pixel_shuffle(block(x), stride)
            x = F.silu(y + self.operator(x) if i == self.operator_at else y)
        return crop(to_unit_range(self.head(x)), self.geometry)


@recipe("pfnr", codec_id=25)
class PfnrRecipe(Recipe):
    """Budget: the network that the videos of a file share; each uses half of every tensor."""

    Shape = StemShape
    fit = FitSettings(batch=1, lr=5e-4, betas=(0.5, 0.999), warm_up=0.2, loss="fusion6", rate_weight=0.05)
    paper = PaperCoding(8, 8)
    chained, joins = True, True

    def shape(self, geometry: Geometry, parameters: int, options: dict[str, Any]) -> StemShape:
        strides = strides_near(geometry, options, NERV_LADDER, NERV_CELLS)
        return stem_shape_for(self, geometry, strides, parameters, STEM, LOWEST_WIDTH)

    def build(self, geometry: Geometry, shape: StemShape, previous: Representation | None = None) -> Pfnr:
        if previous is not None and (not isinstance(previous, Pfnr) or previous.shape != shape):
            raise UsageError(
                f"a video that joins has its file's network: {getattr(previous, 'shape', None)}, not {shape}"
            )
        network = Pfnr(geometry, shape, previous)
        if not all(tensor.fresh.numel() for tensor in network.shared()):
            raise UsageError("the network of this file is full: no number is left for another video; start a new file")
        return network
