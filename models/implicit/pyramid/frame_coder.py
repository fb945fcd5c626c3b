# SPDX-License-Identifier: Apache-2.0
"""One frame to symbols and back. What is read never depends on pixels, so reading can run ahead of reconstruction:

bytes ──► FrameSyntax.read ──► FrameSymbols ──► Reconstruction.render ──► planes
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from nvcodec.errors import DamagedStreamError
from nvcodec.models.implicit.pyramid import coarse
from nvcodec.models.implicit.pyramid.blocks import code_blocks
from nvcodec.models.implicit.pyramid.coefficients import ANCHOR, BETWEEN, INTRA
from nvcodec.models.implicit.pyramid.maps import code_map
from nvcodec.models.implicit.pyramid.prediction import FUTURE, PAST, Planes, Reference, mean_of, shown
from nvcodec.models.implicit.pyramid.residual import NONE, Residual, code_residual, render
from nvcodec.models.implicit.pyramid.structure import Step
from nvcodec.models.implicit.pyramid.synthesis import Synthesis, correct
from nvcodec.models.implicit.pyramid.tables import LearningCoder, Tables
from nvcodec.models.motion.syntax import MAX_VECTOR, Choose, SymbolCoder, code_field

STEPS = tuple(round(16 * 2 ** (n / 16)) for n in range(128))  # luma quantisation steps, eighths of a sample value


@dataclass
class FrameSymbols:
    """All that a frame is made of. ``quantiser``: index into STEPS; ``refined``: the network corrects the prediction;
    ``means``: of an intra frame; ``fields``: vectors to other frames by number; ``modes``: between two frames."""

    step: Step
    quantiser: int
    refined: bool
    means: list[np.ndarray] = field(default_factory=list)
    fields: dict[int, np.ndarray] = field(default_factory=dict)
    modes: np.ndarray | None = None
    residual: Residual | None = None

    @property
    def kind(self) -> int:
        """Kind of frame, for statistics."""
        return INTRA if self.step.past is None else ANCHOR if self.step.future is None else BETWEEN

    def steps(self, chroma_ratio: int) -> tuple[int, int]:
        """Luma and chroma quantisation steps, eighths; chroma_ratio: sixteenths of the luma step."""
        luma = STEPS[self.quantiser]
        return luma, max(1, luma * chroma_ratio // 16)


class FrameSyntax:
    """Reads or writes the frames of one GOP of (height, width), multiples of 32, in coding order."""

    def __init__(self, height: int, width: int, tables: Tables | None = None):
        self.rows, self.columns = height // 32, width // 32
        self.tables = tables or Tables()
        self._seen: dict[int, FrameSymbols] = {}

    def code_means(self, frame: FrameSymbols, coder: SymbolCoder) -> None:
        """The coarse picture of an intra frame."""
        given = frame.means or [None] * 3
        frame.means = [
            coarse.code_means(m, self.rows, self.columns, plane, coder, self.tables.means)
            for plane, m in enumerate(given)
        ]

    def code_modes(self, frame: FrameSymbols, coder: SymbolCoder) -> None:
        """Prediction modes of a frame between two others."""
        shape = (2 * self.rows, 2 * self.columns)
        frame.modes = code_map(
            frame.modes,
            np.zeros(shape, np.int64),
            np.ones(shape, bool),
            self._mode_context(frame.step),
            coder,
            self.tables.modes,
        )

    def _mode_context(self, step: Step) -> np.ndarray:
        """(H/16, W/16) what the mode of the nearer frame says: 0 when it has none, else 1 + mode; 4 more far down."""
        deepest = max((self._seen[n] for n in (step.past, step.future) if n is not None), key=lambda f: f.step.level)
        deep = 4 * (step.level > 2)
        if deepest.modes is None:
            return np.full((2 * self.rows, 2 * self.columns), deep)
        return deepest.modes + 1 + deep

    def code_vectors(
        self,
        frame: FrameSymbols,
        other: int,
        coder: SymbolCoder,
        choose: Choose | None = None,
        subdivide: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        """The field towards one frame: blocks of 16, then blocks of 8. choose, subdivide: the encoder's choices."""
        tables = self.tables
        size = (2 * self.rows, 2 * self.columns)
        field = code_field(*size, self.expected(frame.step, other), coder, tables.motion, choose)
        choices = subdivide(field) if subdivide is not None else None
        frame.fields[other] = code_blocks(choices, field, coder, tables.split, tables.which)

    def code_residual(self, frame: FrameSymbols, coder: SymbolCoder) -> None:
        """What is added to the prediction; ends the frame."""
        around = [self._seen[n] for n in (frame.step.past, frame.step.future) if n is not None]
        quiet = np.zeros((self.rows, self.columns), np.int64)
        for other in around:
            assert other.residual is not None
            quiet += other.residual.sizes32 == NONE
        frame.residual = code_residual(frame.residual, self.rows, self.columns, frame.kind, quiet, coder, self.tables)
        self._seen[frame.step.frame] = frame
        self.tables.learn()

    def read(self, step: Step, quantiser: int, refined: bool, coder: SymbolCoder) -> FrameSymbols:
        """The next frame."""
        learning = LearningCoder(coder)
        frame = FrameSymbols(step, quantiser, refined)
        if step.past is None:
            self.code_means(frame, learning)
        elif step.future is not None:
            self.code_modes(frame, learning)
        for other in (step.past, step.future):
            if other is not None:
                self.code_vectors(frame, other, learning)
        self.code_residual(frame, learning)
        return frame

    def forget(self, before: int) -> None:
        """Drop what no later frame can refer to."""
        self._seen = {n: f for n, f in self._seen.items() if n >= before}

    def expected(self, step: Step, other: int) -> np.ndarray:
        """What vectors already known say of a field: for an anchor the last anchor's, else half of the motion between
        the two ends."""
        none = np.zeros((4 * self.rows, 4 * self.columns, 2), np.int64)
        assert step.past is not None
        if step.future is None:
            return next(iter(self._seen[step.past].fields.values()), none)[::2, ::2]
        back = self._seen[step.future].fields.get(step.past)
        if back is None:
            back = -self._seen[step.past].fields.get(step.future, none)
        back = back[::2, ::2]
        half = back >> 1
        return (half if other == step.past else half - back).clip(-MAX_VECTOR, MAX_VECTOR)


class Reconstruction:
    """Turns symbols into pictures. ``network``: the fitted synthesis, None without one."""

    def __init__(self, height: int, width: int, chroma_ratio: int, network: Synthesis | None = None):
        self.height, self.width, self.chroma_ratio, self.network = height, width, chroma_ratio, network
        self.references: dict[int, Reference] = {}

    def render(self, frame: FrameSymbols) -> Planes:
        """The planes of a frame, float32 integers 0..255; kept for frames predicted from it."""
        return self.finish(frame, self.predict(frame))

    def finish(self, frame: FrameSymbols, prediction: Planes) -> Planes:
        """Add the residual to a prediction."""
        assert frame.residual is not None
        planes = render(frame.residual, frame.steps(self.chroma_ratio), prediction)
        self.references[frame.step.frame] = Reference(planes)
        return planes

    def predict(self, frame: FrameSymbols, observe: Callable[..., None] | None = None) -> Planes:
        """The prediction, corrected by the network where the frame says so.

        observe: called with (past, future, merged) before the correction.
        """
        step = frame.step
        if step.past is None:
            sizes = (32, 16, 16)
            return tuple(coarse.interpolate(m, s) for m, s in zip(frame.means, sizes, strict=True))  # type: ignore[return-value]
        past = self._moved(frame, step.past, FUTURE)
        future = past
        if step.future is not None:
            assert frame.modes is not None
            past, future = shown(past, self._moved(frame, step.future, PAST), frame.modes)
        merged = mean_of(past, future) if step.future is not None else past
        if observe is not None:
            observe(past, future, merged)
        if not frame.refined:
            return merged
        if self.network is None:
            raise DamagedStreamError("a frame asks for a network that the stream does not have")
        return correct(self.network, merged, past, future, min(step.level, 4))

    def forget(self, before: int) -> None:
        """Drop what no later frame can refer to."""
        self.references = {n: r for n, r in self.references.items() if n >= before}

    def _moved(self, frame: FrameSymbols, other: int, unused: int) -> Planes:
        used = None
        if frame.modes is not None:
            used = (frame.modes != unused).repeat(2, 0).repeat(2, 1)
        return self.references[other].predict(frame.fields[other], used)
