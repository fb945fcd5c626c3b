# SPDX-License-Identifier: Apache-2.0
"""How the frames of a video are coded: where it begins anew, and what is between (see `shot`)."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

from nvcodec.models.conditional.cuts import Cuts, padded_picture
from nvcodec.models.conditional.efforts import ALL_TOOLS, EFFORTS, KEYFRAME_EFFORTS, Tools
from nvcodec.models.conditional.frame import Planes
from nvcodec.models.conditional.frame_coder import timed
from nvcodec.models.conditional.picture import Statistics
from nvcodec.models.conditional.plans import RANDOM_ACCESS
from nvcodec.models.conditional.shot import DecidedUnit, ShotAnalyser, ShotSettings
from nvcodec.models.conditional.threads import workers
from nvcodec.models.transform import BlockBases


class Seen(NamedTuple):
    """A picture that was looked at: whether a video begins anew with it, the differences of `Cuts` so far, and the
    quality that was asked for."""

    picture: Planes
    begins_anew: bool
    differences: tuple[float, float]
    quality: int


class VideoAnalyser:
    """Decides how the frames of one video are coded: everything of an encoder but the bytes.

    `push` and `flush` return units as they are decided; `push` is `look` and then `decide`, of which the first may run
    ahead in another thread. What is left of a shot is decided on beside the beginning of the next one, if the pool has
    several threads; units come in order all the same.

    quality: of frames that are looked at from now on; pool: threads for pictures; timings: seconds by stage are added
    there; finer_keyframes: levels by which keyframes are finer than they would be; statistics: of residuals, for
    training.
    """

    def __init__(
        self,
        bases: BlockBases,
        height: int,
        width: int,
        quality: int,
        pool: Executor,
        *,
        profile: str = RANDOM_ACCESS,
        intra_period: int = 0,
        preset: str = "medium",
        tools: Tools = ALL_TOOLS,
        finer_keyframes: int = 0,
        timings: defaultdict[str, float] | None = None,
        statistics: Statistics | None = None,
    ):
        self.quality, self.statistics = quality, statistics
        self.timings = defaultdict(float) if timings is None else timings
        effort, keyframe_effort = (
            replace(efforts[preset], filters=tools.filters) for efforts in (EFFORTS, KEYFRAME_EFFORTS)
        )
        self._settings = ShotSettings(
            bases, height, width, profile, effort, keyframe_effort, tools, finer_keyframes, pool, self.timings
        )
        self._cuts = Cuts(intra_period)
        self._shot: ShotAnalyser | None = None
        self._last: tuple[int, tuple[float, float]] = quality, (0.0, 0.0)  # asked for, and seen so far
        self._closer = ThreadPoolExecutor(1, "last of a shot") if workers(pool) > 1 else None
        self._closing: Future[list[DecidedUnit]] | None = None  # what is left of the shot before
        self._held: list[DecidedUnit] = []  # those of this shot that come after that

    def push(self, planes: Planes) -> list[DecidedUnit]:
        """One frame in display order."""
        return self.decide(self.look(planes))

    def look(self, planes: Planes) -> Seen:
        """What is to be known of the next frame before any is coded."""
        with timed(self.timings, "motion search"):
            picture = padded_picture(planes)
            begins_anew, differences = self._cuts.look(picture)
        return Seen(picture, begins_anew, differences, self.quality)

    def decide(self, seen: Seen) -> list[DecidedUnit]:
        """The next frame that was looked at."""
        units: list[DecidedUnit] = []
        self._last = seen.quality, seen.differences
        if seen.begins_anew or self._shot is None:
            units += self._close()
            self._last = seen.quality, (0.0, 0.0)
            self._shot = ShotAnalyser(self._settings, seen.picture, self.statistics)
            self._held += self._shot.begin(seen.quality)
        else:
            self._held += self._shot.push(seen.picture, seen.quality, seen.differences)
        return units + self._opened(wait=False)

    def flush(self) -> list[DecidedUnit]:
        """What is left."""
        if self._shot is not None:
            self._held += self._shot.flush(*self._last)
        units, self._shot = self._opened(wait=True), None
        if self._closer is not None:
            self._closer.shutdown()
        return units

    def abandon(self) -> None:
        """Give up without waiting."""
        if self._closer is not None:
            self._closer.shutdown(wait=False, cancel_futures=True)

    def _close(self) -> list[DecidedUnit]:
        """End the shot, beside the next one where that can be; returns what is there before that."""
        units, shot = self._opened(wait=True), self._shot
        if shot is not None and (self._closer is None or self.statistics is not None):
            units += shot.flush(*self._last)
        elif shot is not None:
            assert self._closer is not None
            self._closing = self._closer.submit(shot.flush, *self._last)
        return units

    def _opened(self, *, wait: bool) -> list[DecidedUnit]:
        """Units that are decided and not returned yet; without ``wait`` none while the shot before lacks some."""
        units: list[DecidedUnit] = []
        if self._closing is not None:
            if not wait and not self._closing.done():
                return units
            units, self._closing = self._closing.result(), None
        units, self._held = units + self._held, []
        return units
