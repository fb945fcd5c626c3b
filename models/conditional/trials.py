# SPDX-License-Identifier: Apache-2.0
"""An encoder that takes its time: what follows a keyframe is coded in several ways, and the best of them is kept."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np

from nvcodec.models.conditional.cuts import Cuts, padded_picture
from nvcodec.models.conditional.frame import Planes
from nvcodec.models.conditional.sequence import Unit, VideoEncoder
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.quality import LOWEST, STEPS

TRIALS = {"slow": (0, -4), "placebo": (0, -4, 4, -8)}  # levels by which keyframes are finer; 0 is what others do
FRAMES = 101  # after a keyframe that are coded in all ways: six groups, and what is looked at beyond them
PRICE = 0.22  # squared steps that a bit is worth: the price at which both change with quality, and somewhat more
STEP_PARTS = 16  # of a sample outside, in `STEPS`
LEAST_ERROR = 0.05  # mean squared


class TrialEncoder:
    """As `VideoEncoder`, of which it runs several; ``timings`` are of all of them."""

    def __init__(self, weights: Weights, height: int, width: int, quality: int, *, preset: str, **settings: Any):
        """preset: one of TRIALS; settings: others of `VideoEncoder`, but for finer_keyframes."""
        self._arguments, self._settings = (weights, height, width, quality), {"preset": preset, **settings}
        self._finer = TRIALS[preset]
        self.timings: defaultdict[str, float] = defaultdict(float)
        self._cuts = Cuts(settings.get("intra_period", 0))
        self._price = PRICE * (float(STEPS[LOWEST + quality]) / STEP_PARTS) ** 2
        self._trials: list[VideoEncoder] = []
        self._made: list[list[Unit]] = []  # by trial, as long as there are several
        self._frames: list[Planes] = []  # that they were made of

    def push(self, planes: Planes) -> list[Unit]:
        """One frame in display order."""
        units: list[Unit] = []
        begins_anew, _ = self._cuts.look(padded_picture(planes))
        if begins_anew:
            units += self.flush()
            self._trials = [VideoEncoder(*self._arguments, finer_keyframes=n, **self._settings) for n in self._finer]
            self._made, self._frames = [[] for _ in self._finer], []
        if len(self._trials) == 1:
            return units + self._trials[0].push(planes)
        for trial, made in zip(self._trials, self._made, strict=True):
            made += trial.push(planes)
        self._frames.append(planes)
        if len(self._frames) == FRAMES:
            for trial, made in zip(self._trials, self._made, strict=True):
                made += trial.wait()
            best = self._best()
            units += self._made[best]
            for n, trial in enumerate(self._trials):
                if n != best:
                    trial.abandon()
                    self._add_timings(trial)
            self._trials, self._made, self._frames = [self._trials[best]], [], []
        return units

    def flush(self) -> list[Unit]:
        """What is left."""
        if not self._trials:
            return []
        rest = [trial.flush() for trial in self._trials]
        for trial in self._trials:
            self._add_timings(trial)
        if len(self._trials) == 1:
            units = rest[0]
        else:
            self._made = [made + more for made, more in zip(self._made, rest, strict=True)]
            units = self._made[self._best()]
        self._trials, self._made, self._frames = [], [], []
        return units

    def abandon(self) -> None:
        """Give up without waiting."""
        for trial in self._trials:
            trial.abandon()

    def _best(self) -> int:
        """The trial whose units cost least, error and bits."""
        costs = [self._cost(made) for made in self._made]
        return costs.index(min(costs))

    def _cost(self, units: list[Unit]) -> float:
        """Squared error, as PSNR-YUV (6 Y + U + V) / 8 counts it, and bits, for a sample of luma."""
        decoded = [planes for unit in units for planes in unit.planes]
        psnr_db = np.mean([_psnr_yuv_db(a, b) for a, b in zip(self._frames, decoded, strict=False)])
        samples = len(decoded) * self._frames[0][0].size
        bits = 8 * sum(len(unit.payload) for unit in units)
        return float(255**2 * 10 ** (-psnr_db / 10)) + self._price * bits / samples

    def _add_timings(self, trial: VideoEncoder) -> None:
        for stage, seconds in trial.timings.items():
            self.timings[stage] += seconds


def _psnr_yuv_db(a: Planes, b: Planes) -> float:
    """Of two frames outside."""
    errors = (float(np.mean((one.astype(np.float32) - other) ** 2)) for one, other in zip(a, b, strict=True))
    y, u, v = (10 * math.log10(255**2 / max(error, LEAST_ERROR)) for error in errors)
    return (6 * y + u + v) / 8
