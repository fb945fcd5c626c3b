# SPDX-License-Identifier: Apache-2.0
"""The fit of one video: passes of the encoder, filters fitted between them, and the quality that meets the wish.

    pass 1, filters that ship ──► sums ──► fit ──► pass 2, fitted filters ──► sums ──► fit further ──► pass 3 ...

Every pass is a complete result; the best that meets the wish is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import numpy as np

from nvcodec.codec.checksum import planes_crc32
from nvcodec.errors import NvcError
from nvcodec.media.types import Frame
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.implicit.pyramid.fitting import FilterSums, fit
from nvcodec.models.implicit.pyramid.passes import Pass, PassSettings, Video, decoded, rgb_psnr_db, run_pass
from nvcodec.models.implicit.pyramid.taps import read_filters, write_filters

MAX_PASSES, HURRIED_PASSES = 24, 6  # in all; when time is over and the wish is not met
FITS = 3  # fits after which filters hardly change any more
LOWEST, HIGHEST = -20.0, 75.0  # qualities there are levels for
LOOKED_AT = 4  # one frame in so many is looked at for PSNR while fitting
TYPICAL_BPP, TYPICAL_PSNR_DB = 0.03, 36.0  # of quality 32, where nothing is known yet
LOG_SLOPE, DB_SLOPE = 0.065, 0.25  # of size and PSNR, for each quality, the same
LEAST_CHANGE = 0.03  # of quality, less than which one group in a hundred would differ
NEAR, NEAR_DB = 0.004, 0.03  # that is near enough to a wished size (its logarithm) or PSNR
AIM, AIM_DB = 0.0015, 0.01  # short of the wish
WORTH_DB = 0.3  # what a decibel is worth, of the logarithm of the size, where neither is wished for


@dataclass(frozen=True)
class Wish:
    """quality: where nothing else is wished for; nbytes: of all payloads, at most; psnr_db: in RGB, at least; seconds:
    to spend; passes: in all, whatever time they take, 0 as the seconds allow."""

    quality: float = 32.0
    nbytes: int | None = None
    psnr_db: float | None = None
    seconds: float = 120.0
    passes: int = 0

    def met(self, done: Pass) -> bool:
        """Whether a pass does not miss it."""
        small = self.nbytes is None or done.nbytes <= self.nbytes
        return small and (self.psnr_db is None or done.psnr_db >= self.psnr_db)

    def missed_by(self, done: Pass) -> float:
        """How far a pass is from it, 0 or more."""
        over = 0.0 if self.nbytes is None else math.log(max(1, done.nbytes) / self.nbytes)
        return max(0.0, over, 0.0 if self.psnr_db is None else self.psnr_db - done.psnr_db)

    def near(self, done: Pass) -> bool:
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

    def next_quality(self, passes: list[Pass]) -> float:
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


# number of the pass, the pass, seconds so far and left, a note
Report = Callable[[int, Pass, float, float, str], None]


class VideoFit:
    """Fits one video. ``notes``: what a user should know; ``interrupted``: Ctrl-C ended it."""

    def __init__(
        self, video: Video, weights: Weights, wish: Wish, settings: PassSettings, report: Report | None = None
    ):
        self.notes: list[str] = []
        self.interrupted = False
        self._video, self._weights, self._wish, self._settings = video, weights, wish, settings
        self._report = report
        self._best: Pass | None = None

    def run(self) -> Pass:
        """The best pass; at least one is made, more until the wish is met. After Ctrl-C in the first pass, what had
        come out of it; raises KeyboardInterrupt when that is nothing."""
        try:
            self._passes()
        except KeyboardInterrupt:
            self.interrupted = True
        if self._best is None:
            raise KeyboardInterrupt
        wish = self._wish
        if not wish.met(self._best):
            reached = f"{self._best.nbytes} bytes" if wish.nbytes is not None else f"{self._best.psnr_db:.2f} dB"
            wanted = f"{wish.nbytes} bytes" if wish.nbytes is not None else f"{wish.psnr_db:g} dB"
            self.notes.append(f"{reached} is as near as it came to {wanted}")
        return self._best

    def psnr_db(self, best: Pass) -> float:
        """PSNR in RGB of all frames of a pass, as a decoder makes them. Raises NvcError when those are others."""
        scores: list[float] = []
        planes = decoded(best.units, self._weights, self._video, self._settings.threads)
        for unit in best.units:
            frames = list(islice(planes, unit.frames))
            if planes_crc32(Frame(*frame) for frame in frames) != unit.planes_crc32:
                raise NvcError("the decoder makes other pixels than the encoder did: please report this video")
            scores += [rgb_psnr_db(self._video, number, frame) for number, frame in enumerate(frames, len(scores))]
        return float(np.mean(scores))

    def _passes(self) -> None:
        start, wish = time.monotonic(), self._wish
        shipped = self._weights.bases.filters
        pixels = len(self._video.frames) * self._video.width * self._video.height
        quality, filters, note = wish.first_quality(pixels), b"", "filters as they ship"
        done: list[Pass] = []
        for number in range(1, MAX_PASSES + 1):
            began = time.monotonic()
            sums = FilterSums(read_filters(filters, shipped)) if number <= FITS and wish.passes != number else None
            made = self._run(quality, filters, sums)
            done.append(made)
            self._best = self._better(self._best, made)
            now = time.monotonic()
            took, left = now - began, wish.seconds - (now - start)
            if self._report is not None:
                self._report(number, made, now - start, max(0.0, left), note)
            if number == wish.passes:
                return
            late = not wish.passes and left < 1.1 * took
            following = wish.next_quality(done)
            settled = sums is None and (wish.near(self._best) or abs(following - quality) < LEAST_CHANGE)
            if (late and (wish.met(self._best) or number >= HURRIED_PASSES)) or settled:
                return
            if sums is not None:
                filters = write_filters(fit(sums, shipped, made.keyframes))
            quality, note = following, f"{len(filters)} bytes of fitted filters"

    def _run(self, quality: float, filters: bytes, sums: FilterSums | None) -> Pass:
        made = Pass(quality, filters)
        try:
            run_pass(self._video, self._weights, quality, filters, self._settings, sums, LOOKED_AT, made)
        except KeyboardInterrupt:
            if self._best is None and made.units:
                self._best = made
            raise
        return made

    def _better(self, best: Pass | None, made: Pass) -> Pass:
        """The one to keep."""
        if best is None:
            return made
        wish, pair = self._wish, (best, made)
        if not (wish.met(best) and wish.met(made)):
            return min(pair, key=wish.missed_by)
        if wish.nbytes is not None:
            return max(pair, key=lambda one: one.psnr_db)
        if wish.psnr_db is not None:
            return min(pair, key=lambda one: one.nbytes)
        return min(pair, key=lambda one: math.log(max(1, one.nbytes)) - WORTH_DB * one.psnr_db)


def _limited(quality: float) -> float:
    return min(HIGHEST, max(LOWEST, quality))
