# SPDX-License-Identifier: Apache-2.0
"""NeRV++ (Ghorbel et al. 2024, arXiv 2402.18305): NeRV with separable residual blocks around the up-sampler.

Stem, widths and training as in the authors' instructions (github.com/ahmedgh970/NeRV-plus-plus): 40 frequencies, a
hidden layer of 512, channels halved down to 80. Their code has since moved on to gated blocks, and the paper's own
sizes cannot be derived from what is public, so structure is tested here, not a published count.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from nvcodec.models.implicit.layers import Perceptron, to_unit_range
from nvcodec.models.implicit.recipe import FitSettings, PaperCoding, Recipe, recipe
from nvcodec.models.implicit.representation import Geometry, Representation, crop, time_fraction
from nvcodec.models.implicit.separable import SandwichedBlock
from nvcodec.models.implicit.sizing import StemShape, halved, stem_shape_for
from nvcodec.models.implicit.sources import FrequencyEncoding
from nvcodec.models.implicit.strides import NERV_CELLS, NERV_LADDER, cells_of, strides_near

STEM, LOWEST_WIDTH = 512, 80


class NervPlusPlus(Representation):
    """Frame number to the coarsest map by two layers, a sandwiched block for each stride, 1x1 head."""

    def __init__(self, geometry: Geometry, shape: StemShape):
        super().__init__(geometry)
        self.map = (shape.width, *cells_of(geometry, shape.strides))
        self.encoding = FrequencyEncoding(1.25, 40)
        self.stem = Perceptron(self.encoding.size, shape.stem, math.prod(self.map), activation=F.silu)
        widths = [shape.width, *halved(shape.width, len(shape.strides), shape.lowest)]
        blocks = [SandwichedBlock(widths[i], widths[i + 1], stride) for i, stride in enumerate(shape.strides)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Conv2d(widths[-1], 3, 1)

    def forward(self, times: Tensor) -> Tensor:
        coarse = self.stem(self.encoding(time_fraction(times, self.geometry))).unflatten(1, self.map)
        return crop(to_unit_range(self.head(self.blocks(coarse))), self.geometry)


@recipe("nervpp", codec_id=19)
class NervPlusPlusRecipe(Recipe):
    """Budget: everything that travels. Budgets below the authors' sizes narrow the stem and the last blocks as well."""

    Shape = StemShape
    fit = FitSettings(batch=1, lr=5e-4, betas=(0.5, 0.999), warm_up=0.2, loss="fusion6", rate_weight=0.05)
    paper = PaperCoding(8, 8)

    def shape(self, geometry: Geometry, parameters: int, options: dict[str, Any]) -> StemShape:
        strides = strides_near(geometry, options, NERV_LADDER, NERV_CELLS)
        return stem_shape_for(self, geometry, strides, parameters, STEM, LOWEST_WIDTH)

    def build(self, geometry: Geometry, shape: StemShape, previous: Representation | None = None) -> NervPlusPlus:
        return NervPlusPlus(geometry, shape)
