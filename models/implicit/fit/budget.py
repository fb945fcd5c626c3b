# SPDX-License-Identifier: Apache-2.0
"""From what a user asks for (size, bits, quality) to parameters and lambda of each group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nvcodec.errors import UsageError
from nvcodec.models.implicit.budget import BudgetError
from nvcodec.models.implicit.recipe import Recipe
from nvcodec.models.implicit.representation import Geometry

BITS_PER_PARAMETER = {"paper": 7.8, "learned": 4.5, "own": 4.5}  # roughly, for sizing
LOWEST_BPP, HIGHEST_BPP = 0.004, 0.5  # quality 0 and 63
REFERENCE_BPP = 0.05  # where a recipe's rate_weight applies
RATE_EXPONENT = -1.9  # of lambda in bpp: distortion falls about as bpp^-0.9 (HNeRV's table)
STREAM_NBYTES, RECORD_NBYTES, PAPER_TABLE_BITS = 130, 50, 8 * 500
_LEAST_PARAMETERS = 64
_TRIALS = 32


@dataclass(frozen=True)
class GroupBudget:
    """What one group may be: parameters as its paper counts, lambda, and targets for the fit to steer to."""

    parameters: int
    rate_weight: float
    target_bits: float | None = None
    target_psnr_db: float | None = None


@dataclass(frozen=True)
class Budget:
    """What a user asks for; at most one of model_size, bpp, target_nbytes. frames: of the whole video, if known."""

    quality: int = 32
    model_size: int | None = None
    bpp: float | None = None
    target_nbytes: int | None = None
    psnr_db: float | None = None
    rate_weight: float | None = None
    frames: int | None = None

    def share(self, frames: int) -> float:
        """Share of the whole video that a group is."""
        return 1.0 if not self.frames else min(1.0, frames / self.frames)

    def of_group(self, geometry: Geometry, recipe: Recipe, coding: str, options: dict[str, Any]) -> GroupBudget:
        """Budget of one group; UsageError when nothing is left for its network."""
        bits_each = BITS_PER_PARAMETER[coding]
        target_bits: float | None = None
        if self.bpp is not None:
            target_bits = self.bpp * geometry.samples - 8 * (STREAM_NBYTES + RECORD_NBYTES)
        elif self.target_nbytes is not None:
            target_bits = 8 * ((self.target_nbytes - STREAM_NBYTES) * self.share(geometry.frames) - RECORD_NBYTES)
        parameters = self.model_size
        if target_bits is not None:
            side = PAPER_TABLE_BITS if coding == "paper" else 0
            if target_bits - side < _LEAST_PARAMETERS * bits_each:
                raise UsageError(
                    f"budget of {max(0, target_bits) / 8:.0f} bytes for a group of {geometry.frames} frames is too "
                    f"small for recipe {recipe.name}; at least {(side + _LEAST_PARAMETERS * bits_each) / 8:.0f}"
                )
            parameters = round((target_bits - side) / bits_each)
        elif parameters is None:
            parameters = self._least_working(
                recipe, geometry, self._quality_bpp * geometry.samples / bits_each, options
            )
        bpp = parameters * bits_each / geometry.samples
        weight = self.rate_weight
        if weight is None:
            weight = recipe.fit.rate_weight * (bpp / REFERENCE_BPP) ** RATE_EXPONENT
        return GroupBudget(parameters, weight, target_bits if coding != "paper" else None, self.psnr_db)

    @property
    def _quality_bpp(self) -> float:
        return LOWEST_BPP * (HIGHEST_BPP / LOWEST_BPP) ** (self.quality / 63)

    def _least_working(self, recipe: Recipe, geometry: Geometry, parameters: float, options: dict[str, Any]) -> int:
        """At a quality level the size grows to what the recipe can build at least (a small video has few bits)."""
        size = max(_LEAST_PARAMETERS, round(parameters))
        for _ in range(_TRIALS):
            try:
                recipe.shape(geometry, size, options)
                return size
            except BudgetError as error:
                size = max(error.least, int(size * 1.1) + 1)
        return size
