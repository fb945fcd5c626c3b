# SPDX-License-Identifier: Apache-2.0
"""Optimisers by name, and the schedule of their rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

from nvcodec.errors import UsageError
from nvcodec.models.implicit.fit.adan import Adan
from nvcodec.models.implicit.recipe import FitSettings

OPTIMISERS: dict[str, Callable[[list[dict], FitSettings], torch.optim.Optimizer]] = {
    "adan": lambda groups, settings: Adan(groups, lr=settings.lr),
    "adam": lambda groups, settings: torch.optim.Adam(groups, lr=settings.lr, betas=settings.betas),
}
STEP_RATE = 0.2  # of quantisation steps, in eighths of an octave an update, at the peak of the schedule


def make_optimiser(
    weights: Iterable[nn.Parameter], steps: Iterable[nn.Parameter], settings: FitSettings
) -> torch.optim.Optimizer:
    """An optimiser whose groups carry their peak rate as ``peak``: network, and quantisation steps if there are any."""
    if settings.optimiser not in OPTIMISERS:
        raise UsageError(f"optimiser {settings.optimiser!r} is not known; there are {', '.join(OPTIMISERS)}")
    groups: list[dict] = [{"params": list(weights), "peak": settings.lr}]
    steps = list(steps)
    if steps:
        groups.append({"params": steps, "peak": STEP_RATE})
    return OPTIMISERS[settings.optimiser](groups, settings)


def rate_share(done: float, settings: FitSettings) -> float:
    """Share of the peak rate when this share of the fit is done: linear warm-up, then half a cosine to zero."""
    if done < settings.warm_up:
        return settings.first_lr + (1 - settings.first_lr) * done / settings.warm_up
    return 0.5 * (math.cos(math.pi * min(1.0, (done - settings.warm_up) / (1 - settings.warm_up))) + 1)


def set_rate(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Every group at this share of its peak."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * share
