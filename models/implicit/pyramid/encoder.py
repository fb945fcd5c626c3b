# SPDX-License-Identifier: Apache-2.0
"""The fit of one video: passes of the encoder, filters fitted between them, and the quality that meets the wish.

    pass 1, filters that ship ──► sums ──► fit ──► pass 2, fitted filters ──► sums ──► fit further ──► pass 3 ...

Every pass is a complete result; the best that meets the wish is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np

from nvcodec.codec.checksum import planes_crc32
from nvcodec.errors import NvcError
from nvcodec.media.types import Frame
from nvcodec.metrics.rgb import rgb_from_planes
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.implicit.preview import write_pair
from nvcodec.models.implicit.pyramid.fitting import FilterSums, fit
from nvcodec.models.implicit.pyramid.passes import Pass, PassSettings, Video, decoded, rgb_psnr_db, run_pass
from nvcodec.models.implicit.pyramid.state import FitState, load_state, save_state
from nvcodec.models.implicit.pyramid.taps import read_filters, write_filters
from nvcodec.models.implicit.pyramid.wish import Wish

MAX_PASSES, HURRIED_PASSES = 24, 6  # in all; when time is over and the wish is not met
FITS = 3  # fits after which filters hardly change any more
# one frame in so many is looked at for PSNR while fitting, where there are more: no divisor of a group, whose every
# fourth frame is finer than others
LOOKED_AT, LOOKED_AT_BEYOND = 5, 64
LEAST_CHANGE = 0.03  # of quality, less than which one group in a hundred would differ

# number of the pass, the pass, seconds so far and left, a note
Report = Callable[[int, Pass, float, float, str], None]


class VideoFit:
    """Fits one video. ``notes``: what a user should know; ``interrupted``: Ctrl-C ended it.

    resume: where the fit is kept after each pass, and gone on with if it is there; preview: a PNG that shows the middle
    frame after each pass, source above decoded.
    """

    def __init__(
        self,
        video: Video,
        weights: Weights,
        wish: Wish,
        settings: PassSettings,
        report: Report | None = None,
        resume: Path | None = None,
        preview: Path | None = None,
    ):
        self.notes: list[str] = []
        self.interrupted = False
        self._video, self._weights, self._wish, self._settings = video, weights, wish, settings
        self._report, self._resume, self._preview = report, resume, preview
        self._took = 0.0  # seconds of the last pass
        self._partial: Pass | None = None  # what came out of a first pass that was interrupted
        pixels = len(video.frames) * video.width * video.height
        facts = video.facts() | settings.facts() | {"model": weights.sha256.hex()} if resume is not None else {}
        found = resume is not None and resume.exists()
        self._state = load_state(resume, facts) if found and resume else FitState(facts, wish.first_quality(pixels))

    def run(self) -> Pass:
        """The best pass; at least one is made, more until the wish is met. After Ctrl-C in the first pass, what had
        come out of it; raises KeyboardInterrupt when that is nothing."""
        try:
            self._passes()
        except KeyboardInterrupt:
            self.interrupted = True
        best = self._state.best or self._partial
        if best is None:
            raise KeyboardInterrupt
        wish = self._wish
        if not wish.met(best.measured):
            reached = f"{best.nbytes} bytes" if wish.nbytes is not None else f"{best.psnr_db:.2f} dB"
            wanted = f"{wish.nbytes} bytes" if wish.nbytes is not None else f"{wish.psnr_db:g} dB"
            self.notes.append(f"{reached} is as near as it came to {wanted}")
        return best

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
        start, before = time.monotonic(), self._state.seconds
        wish, state, shipped = self._wish, self._state, self._weights.bases.filters
        while not self._is_enough():
            number, began = len(state.passes) + 1, time.monotonic()
            note = f"{len(state.filters)} bytes of fitted filters" if state.filters else "filters as they ship"
            fits = number <= FITS and number != wish.passes
            sums = FilterSums(read_filters(state.filters, shipped)) if fits else None
            made = self._run(sums)
            state.passes.append(made.measured)
            if state.best is None or wish.better(state.best.measured, made.measured):
                state.best = made
            if sums is not None:
                state.filters = write_filters(fit(sums, shipped, made.keyframes))
            state.quality = wish.next_quality(state.passes)
            self._took, state.seconds = time.monotonic() - began, before + time.monotonic() - start
            if self._resume is not None:
                save_state(self._resume, state)
            if self._report is not None:
                self._report(number, made, state.seconds, max(0.0, wish.seconds - state.seconds), note)

    def _is_enough(self) -> bool:
        """Whether no further pass is due."""
        wish, state, count = self._wish, self._state, len(self._state.passes)
        if state.best is None or not count:
            return False
        if wish.passes or count >= MAX_PASSES:
            return count >= (wish.passes or MAX_PASSES)
        late = wish.seconds - state.seconds < 1.1 * self._took
        change = abs(state.quality - state.passes[-1].quality)
        settled = count > FITS and (wish.near(state.best.measured) or change < LEAST_CHANGE)
        return settled or (late and (wish.met(state.best.measured) or count >= HURRIED_PASSES))

    def _run(self, sums: FilterSums | None) -> Pass:
        state = self._state
        made = Pass(state.quality, state.filters)
        every = LOOKED_AT if len(self._video.frames) > LOOKED_AT_BEYOND else 1
        try:
            run_pass(self._video, self._weights, self._settings, sums, every, made)
        except KeyboardInterrupt:
            self._partial = made if made.units else None
            raise
        if self._preview is not None and made.middle is not None:
            colour = {"matrix": self._video.matrix, "full_range": self._video.full_range}
            pair = self._video.frames[len(self._video.frames) // 2], made.middle
            write_pair(self._preview, *(rgb_from_planes(*planes, **colour) for planes in pair))
        return made
