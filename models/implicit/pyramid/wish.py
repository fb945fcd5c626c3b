# SPDX-License-Identifier: Apache-2.0
"""What a user wants of a fit, what passes came to, and the quality of the next one."""

from __future__ import annotations

import math
from dataclasses import dataclass

LOWEST, HIGHEST = -20.0, 75.0  # qualities there are levels for
TYPICAL_BPP, TYPICAL_PSNR_DB = 0.03, 36.0  # of quality 32, where nothing is known yet
LOG_SLOPE, DB_SLOPE = 0.065, 0.25  # of size and PSNR, for each quality, the same
NEAR, NEAR_DB = 0.004, 0.03  # that is near enough to a wished size (its logarithm) or PSNR
AIM, AIM_DB = 0.0015, 0.01  # short of the wish
WORTH_DB = 0.3  # what a decibel is worth, of the logarithm of the size, where neither is wished for


@dataclass(frozen=True)
class Measured:
    """What a pass came to: payload bytes and RGB PSNR, at a quality and with filters (as bytes)."""

    quality: float
    filters: bytes
    nbytes: int
    psnr_db: float


@dataclass(frozen=True)
class Wish:
    """quality: where nothing else is wished for; nbytes: of all payloads, at most; psnr_db: in RGB, at least; seconds:
    to spend; passes: in all, whatever time they take, 0 as the seconds allow."""

    quality: float = 32.0
    nbytes: int | None = None
    psnr_db: float | None = None
    seconds: float = 120.0
    passes: int = 0

    def met(self, done: Measured) -> bool:
        """Whether a pass does not miss it."""
        small = self.nbytes is None or done.nbytes <= self.nbytes
        return small and (self.psnr_db is None or done.psnr_db >= self.psnr_db)

    def missed_by(self, done: Measured) -> float:
        """How far a pass is from it, 0 or more."""
        over = 0.0 if self.nbytes is None else math.log(max(1, done.nbytes) / self.nbytes)
        return max(0.0, over, 0.0 if self.psnr_db is None else self.psnr_db - done.psnr_db)

    def better(self, best: Measured, made: Measured) -> bool:
        """Whether ``made`` is to be kept in place of the best so far."""
        if not (self.met(best) and self.met(made)):
            return self.missed_by(made) < self.missed_by(best)
        if self.nbytes is not None:
            return made.psnr_db > best.psnr_db
        if self.psnr_db is not None:
            return made.nbytes < best.nbytes
        return _cost(made) < _cost(best)

    def near(self, done: Measured) -> bool:
        """Whether a pass meets it with hardly anything left over."""
        if not self.met(done):
            return False
        if self.nbytes is not None:
            return math.log(self.nbytes / done.nbytes) < NEAR
        return self.psnr_db is None or done.psnr_db - self.psnr_db < NEAR_DB

    def first_quality(self, pixels: int) -> float:
        """Where to begin; pixels: of all frames."""
        if self.nbytes is not None:
            guess = 32 + math.log(8 * self.nbytes / pixels / TYPICAL_BPP) / LOG_SLOPE
        elif self.psnr_db is not None:
            guess = 32 + (self.psnr_db - TYPICAL_PSNR_DB) / DB_SLOPE
        else:
            return self.quality
        return _limited(round(guess))

    def next_quality(self, passes: list[Measured]) -> float:
        """The quality that should meet it, by what passes made: between the nearest on both sides where there are
        such, of passes with the newest filters."""
        if self.nbytes is not None:
            values = [math.log(max(1, done.nbytes)) for done in passes]
            target, slope = math.log(self.nbytes) - AIM, LOG_SLOPE
        elif self.psnr_db is not None:
            values = [done.psnr_db for done in passes]
            target, slope = self.psnr_db + AIM_DB, DB_SLOPE
        else:
            return self.quality
        quality, value = passes[-1].quality, values[-1]
        same = [(done.quality, v) for done, v in zip(passes, values, strict=True) if done.filters == passes[-1].filters]
        below = max((point for point in same if point[1] <= target), default=None)
        above = min((point for point in same if point[1] > target), default=None)
        if below is None or above is None or below[0] >= above[0]:
            return _limited(quality + (target - value) / slope)
        share = (target - below[1]) / (above[1] - below[1])
        return below[0] + min(max(share, 0.1), 0.9) * (above[0] - below[0])


def _cost(done: Measured) -> float:
    return math.log(max(1, done.nbytes)) - WORTH_DB * done.psnr_db


def _limited(quality: float) -> float:
    return min(HIGHEST, max(LOWEST, quality))
