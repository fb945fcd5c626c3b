# SPDX-License-Identifier: Apache-2.0
"""NIRVANA (Maiya et al. 2023, arXiv 2212.14593): a patch network for each three frames, coded as a difference.

Patches of 32x32, sine layers of 512 and frequency 30, groups of three frames, each network started from the one before
and coded as its difference to it: as in the authors' code and commands. How many channels the map has there is not
public, so the published rates cannot be turned into a count: here the budget (of one network) decides them, and the
sine layers narrow where it is small. Tests check the structure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nvcodec.models.implicit.patches import PatchNetwork, assemble, patch_centres
from nvcodec.models.implicit.recipe import FitSettings, PaperCoding, Recipe, recipe
from nvcodec.models.implicit.representation import Geometry, Representation, Transmitted, crop
from nvcodec.models.implicit.sizing import width_for
from nvcodec.stream.fields import Varint, wire

PATCH, GROUP, HIDDEN, MOST_FRAMES = 32, 3, 512, 64


@dataclass(frozen=True)
class NirvanaShape:
    """Width of the sine layers, channels of a patch's map, frames of the network."""

    hidden: int = wire(Varint(1, HIDDEN))
    features: int = wire(Varint(1, 64))
    group: int = wire(Varint(1, MOST_FRAMES))


class Nirvana(Representation):
    """All patches of the group's frames from one network."""

    def __init__(self, geometry: Geometry, shape: NirvanaShape, previous: Representation | None):
        super().__init__(geometry)
        self.shape = shape
        self.grid = -(-geometry.height // PATCH), -(-geometry.width // PATCH)
        self.network = PatchNetwork(shape.hidden, shape.features, PATCH, shape.group)
        self.register_buffer("centres", patch_centres(*self.grid), persistent=False)
        self.references: dict[str, Tensor] = {}
        if isinstance(previous, Nirvana) and previous.shape == shape:
            self.references = {name: value.detach().clone() for name, value in previous.named_parameters()}
            with torch.no_grad():
                for name, value in self.named_parameters():
                    value.copy_(self.references[name])

    def transmitted(self) -> list[Transmitted]:
        return [Transmitted(name, reference=self.references.get(name)) for name, _ in self.named_parameters()]

    def forward(self, times: Tensor) -> Tensor:
        patches = self.network(self.centres)[:, times.long()]
        return crop(assemble(patches, *self.grid), self.geometry)


@recipe("nirvana", codec_id=23)
class NirvanaRecipe(Recipe):
    """Budget: one network. With one map channel the sine layers take what is left, then channels are added."""

    Shape = NirvanaShape
    fit = FitSettings(epochs=2000, batch=GROUP, lr=5e-4, warm_up=0.0, rate_weight=2e-3)
    paper = PaperCoding(8, 8)
    chained, interpolates, group_frames = True, False, GROUP

    def shape(self, geometry: Geometry, parameters: int, options: dict[str, Any]) -> NirvanaShape:
        group = min(MOST_FRAMES, max(GROUP, geometry.frames))
        features = max(1, min(64, (parameters - HIDDEN**2) // (260 * HIDDEN)))
        return width_for(self, geometry, lambda hidden: NirvanaShape(min(hidden, HIDDEN), features, group), parameters)

    def build(self, geometry: Geometry, shape: NirvanaShape, previous: Representation | None = None) -> Nirvana:
        return Nirvana(geometry, shape, previous)
