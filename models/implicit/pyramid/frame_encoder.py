# SPDX-License-Identifier: Apache-2.0
"""The encoder's side of one frame: choices, in the order in which they are coded."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from nvcodec.models.implicit.pyramid import coarse
from nvcodec.models.implicit.pyramid.coefficients import ANCHOR, BETWEEN, INTRA
from nvcodec.models.implicit.pyramid.decisions import choose_residual
from nvcodec.models.implicit.pyramid.estimation import VectorChooser, choose_modes, seed_prediction
from nvcodec.models.implicit.pyramid.frame_coder import STEPS, FrameSymbols, FrameSyntax, Reconstruction
from nvcodec.models.implicit.pyramid.prediction import FUTURE, PAST, Planes
from nvcodec.models.implicit.pyramid.structure import Step
from nvcodec.models.implicit.pyramid.tables import LearningCoder
from nvcodec.models.motion.syntax import SymbolCoder

PRICE = {INTRA: 0.14, ANCHOR: 0.14, BETWEEN: 0.17}  # squared steps a bit may cost

Observer = Callable[[FrameSymbols, Planes, Planes, Planes], None]


class FrameEncoder:
    """Chooses and writes frames in coding order. search(frame, other): seeds (H/16, W/16, 2) of the motion."""

    def __init__(
        self,
        syntax: FrameSyntax,
        reconstruction: Reconstruction,
        search: Callable[[int, int], np.ndarray],
        pool: ThreadPoolExecutor,
    ):
        self.syntax, self.reconstruction, self._search, self._pool = syntax, reconstruction, search, pool

    def encode(
        self, step: Step, quantiser: int, original: Planes, coder: SymbolCoder, observe: Observer | None = None
    ) -> tuple[FrameSymbols, Planes]:
        """original: planes, float32 0..255. observe: called with the frame and the two sources and the mean of its
        prediction. Returns the symbols and the decoded planes."""
        learning = LearningCoder(coder)
        frame = FrameSymbols(step, quantiser, False)
        if step.past is None:
            frame.means = [coarse.measure(plane, size) for plane, size in zip(original, (32, 16, 16), strict=True)]
            self.syntax.code_means(frame, learning)
        else:
            self._motion(frame, original, learning)
        prediction = self._predict(frame, original, observe)
        difference = tuple(o - p for o, p in zip(original, prediction, strict=True))
        frame.residual = choose_residual(
            difference,  # type: ignore[arg-type]
            frame.steps(self.reconstruction.chroma_ratio),
            frame.kind,
            PRICE[frame.kind],
            self.syntax.tables,
            self._pool,
        )
        self.syntax.code_residual(frame, learning)
        return frame, self.reconstruction.finish(frame, prediction)

    def _predict(self, frame: FrameSymbols, original: Planes, observe: Observer | None) -> Planes:
        """With the network where that is nearer to the original."""
        seen = None if observe is None else lambda past, future, mean: observe(frame, past, future, mean)
        plain = self.reconstruction.predict(frame, seen)
        if self.reconstruction.network is None or frame.step.past is None:
            return plain
        frame.refined = True
        refined = self.reconstruction.predict(frame)
        if _error(refined, original) < _error(plain, original):
            return refined
        frame.refined = False
        return plain

    def _motion(self, frame: FrameSymbols, original: Planes, coder: SymbolCoder) -> None:
        step, luma_step = frame.step, STEPS[frame.quantiser] / 8
        others = [n for n in (step.past, step.future) if n is not None]
        references = [self.reconstruction.references[n] for n in others]
        seeds = [self._search(step.frame, n) for n in others]

        def prepare(side: int) -> tuple[VectorChooser, Tensor | None]:
            chooser = VectorChooser(original[0], references[side], seeds[side], luma_step, self.syntax.tables.motion)
            return chooser, seed_prediction(references[side], chooser.seeds) if len(others) == 2 else None

        choosers, guesses = zip(*self._pool.map(prepare, range(len(others))), strict=True)
        if len(others) == 2:
            frame.modes = choose_modes(original[0], guesses[0], guesses[1], luma_step)
            self.syntax.code_modes(frame, coder)
            for chooser, unused in zip(choosers, (FUTURE, PAST), strict=True):
                chooser.used = frame.modes != unused
        list(self._pool.map(lambda c, n: c.settle(self.syntax.expected(step, n)), choosers, others))
        for other, chooser in zip(others, choosers, strict=True):
            self.syntax.code_vectors(frame, other, coder, chooser, chooser.subdivide)


def _error(planes: Planes, original: Planes) -> float:
    """Squared error, chroma samples weighing as much as luma samples."""
    return sum(float(torch.sum((p - o) ** 2)) for p, o in zip(planes, original, strict=True))
