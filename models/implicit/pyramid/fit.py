# SPDX-License-Identifier: Apache-2.0
"""Fitting the synthesis network to one video: from what a pass of the encoder predicted to what the frames were."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nvcodec.models.implicit.pyramid.frame_coder import FrameSymbols
from nvcodec.models.implicit.pyramid.prediction import Planes
from nvcodec.models.implicit.pyramid.synthesis import SAMPLES, TIME_LEVELS, Synthesis, unshuffle

CROP = 96  # luma samples on a side
MARGIN = 2  # positions of 4x4 samples at a crop's edge that do not count: their neighbours are missing
BATCH = 12
LEARNING_RATE = 4e-3
MAX_STEPS = 6000
MOST_WRONG = 6.0  # mean absolute difference beyond which a place is no likelier to be looked at
LARGE = 12.0  # sample values
FLOOR = 0.02  # of the learning rate at the end


class Observations:
    """Crops of what predictions are made of, and of the frames they should be; kept as bytes."""

    def __init__(self, per_frame: int, seed: int = 0):
        self._per_frame = per_frame
        self._random = np.random.default_rng(seed)
        self._sources: list[Tensor] = []
        self._levels: list[int] = []

    def __len__(self) -> int:
        return len(self._levels)

    def add(self, frame: FrameSymbols, past: Planes, future: Planes, mean: Planes, original: Planes) -> None:
        """Some crops of one frame, likelier where the prediction is wrong, but not where it is hopeless."""
        height, width = original[0].shape
        side = min(CROP, height, width) // 32 * 32
        wrong = (mean[0] - original[0]).abs()
        tiles = wrong.reshape(height // 32, 32, width // 32, 32).mean((1, 3)).numpy()
        reach = side // 32 - 1
        corners = np.minimum(tiles[: tiles.shape[0] - reach, : tiles.shape[1] - reach].ravel(), MOST_WRONG) + 1
        for place in self._random.choice(len(corners), self._per_frame, p=corners / corners.sum()):
            row, column = divmod(int(place), tiles.shape[1] - reach)
            y, x = row * 32, column * 32
            four = []
            for planes in (past, future, mean, original):
                luma = planes[0][None, y : y + side, x : x + side]
                chroma = [p[None, y // 2 : (y + side) // 2, x // 2 : (x + side) // 2] for p in planes[1:]]
                four.append(torch.round(unshuffle((luma, *chroma)) * SAMPLES + 128).to(torch.uint8))  # type: ignore[arg-type]
            self._sources.append(torch.cat(four))
            self._levels.append(min(frame.step.level, TIME_LEVELS - 1))

    def tensors(self) -> tuple[Tensor, Tensor]:
        """(N, 4, 24, h, w) uint8 past, future, mean, original; (N,) levels."""
        return torch.stack(self._sources), torch.tensor(self._levels)


def fit(
    network: Synthesis, observations: Observations, chroma_ratio: int, seconds: float, steps: int, seed: int = 0
) -> float:
    """Fit for so many seconds, at most so many steps; returns the share of the squared error that is left.

    A NaN ends the fit at the last good state.
    """
    crops, levels = observations.tensors()
    generator = torch.Generator().manual_seed(seed)
    weight = torch.ones(24)
    weight[16:] = (16 / chroma_ratio) ** 2
    optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    start, good = time.monotonic(), {k: v.clone() for k, v in network.state_dict().items()}
    left, plain = [], []
    for step in range(steps):
        progress = max(step / steps, (time.monotonic() - start) / max(seconds, 1e-3))
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * max(FLOOR, 0.5 + 0.5 * float(np.cos(np.pi * progress)))
        chosen = torch.randint(len(crops), (BATCH,), generator=generator)
        batch = (crops[chosen].float() - 128) * (1 / SAMPLES)
        past, future, mean, original = (b.contiguous(memory_format=torch.channels_last) for b in batch.unbind(1))
        wanted = _inside(original - mean)
        error = _price(wanted - _inside(network(past, future, levels[chosen])))
        loss = (error * weight).sum() * SAMPLES**2 / 24
        if not torch.isfinite(loss):
            network.load_state_dict(good)
            break
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 20.0)
        optimiser.step()
        left.append(float(loss.detach()))
        plain.append(float((_price(wanted) * weight).sum()) * SAMPLES**2 / 24)
        if step % 100 == 0:
            good = {k: v.clone() for k, v in network.state_dict().items()}
    recent = max(1, len(left) // 5)
    return sum(left[-recent:]) / max(sum(plain[-recent:]), 1e-9)


def _price(error: Tensor) -> Tensor:
    """(24,) squared error, of large errors only in proportion: latents will correct those."""
    zero = torch.zeros_like(error)
    return 2 * F.huber_loss(error, zero, reduction="none", delta=LARGE / SAMPLES).mean((0, 2, 3))


def _inside(x: Tensor) -> Tensor:
    return x[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
