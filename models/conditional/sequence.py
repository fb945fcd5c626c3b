# SPDX-License-Identifier: Apache-2.0
"""A video through the codec: frames to units and back. A unit is what the stream carries in one piece: one frame, or a
whole group."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nvcodec.errors import DamagedStreamError
from nvcodec.models.conditional.analyser import Seen, VideoAnalyser
from nvcodec.models.conditional.efforts import ALL_TOOLS, Tools
from nvcodec.models.conditional.frame import Planes, Reference
from nvcodec.models.conditional.frame_coder import (
    DecidedFrame,
    FrameCoder,
    FrameHeader,
    Window,
    is_midway,
    timed,
)
from nvcodec.models.conditional.picture import rebuild
from nvcodec.models.conditional.plans import LOW_DELAY, RANDOM_ACCESS
from nvcodec.models.conditional.shot import DecidedUnit, cut
from nvcodec.models.conditional.threads import new_pool, when_ready
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.kernels.restore import NETWORK as BY_NETWORK

BACKLOG = 8  # frames that an encoder looks at before it has decided on those before them


@dataclass
class Unit:
    """A finished piece of the stream; ``planes``: of its frames in display order, as every decoder will see them."""

    payload: bytes
    keyframe: bool
    planes: list[Planes]


class VideoEncoder:
    """Encodes the frames of one video. They are looked at in the calling thread, decided on in a thread behind it and
    in a pool, written in a thread behind that.

    `push` and `flush` return units as they are ready. ``timings`` holds seconds by stage, some of which overlap.
    """

    def __init__(
        self,
        weights: Weights,
        height: int,
        width: int,
        quality: int,
        *,
        profile: str = RANDOM_ACCESS,
        intra_period: int = 0,
        preset: str = "medium",
        tools: Tools = ALL_TOOLS,
        finer_keyframes: int = 0,
        threads: int = 0,
    ):
        self._coder = FrameCoder(weights, -(-height // 16), -(-width // 16))
        self.timings = self._coder.timings
        self._pool = new_pool(threads)
        self._analyser = VideoAnalyser(
            weights.bases, height, width, quality, self._pool, profile=profile, intra_period=intra_period,
            preset=preset, tools=tools, finer_keyframes=finer_keyframes, timings=self.timings,
        )  # fmt: skip
        self._decider, self._writer = ThreadPoolExecutor(1, "decisions"), ThreadPoolExecutor(1, "entropy")
        self._backlog = 1 if profile == LOW_DELAY else BACKLOG
        self._undecided: deque[Future[None]] = deque()
        self._pending: deque[Future[Unit]] = deque()  # in order; only the thread that decides adds to them

    def push(self, planes: Planes) -> list[Unit]:
        """One frame in display order."""
        self._undecided.append(self._decider.submit(self._decide, self._analyser.look(planes)))
        self._wait_for_decisions(self._backlog)
        return self._ready(1)

    def wait(self) -> list[Unit]:
        """Those that can be decided on by now and have not been returned."""
        self._wait_for_decisions(0)
        return self._ready(0)

    def flush(self) -> list[Unit]:
        """What is left."""
        self._undecided.append(self._decider.submit(self._decide_rest))
        units = self.wait()
        for executor in (self._decider, self._pool, self._writer):
            executor.shutdown()
        return units

    def abandon(self) -> None:
        """Give up without waiting. The frame that is being decided on ends with what its threads have begun: one that
        waits for jobs of a pool is not told when they are cancelled."""
        for executor in (self._decider, self._writer):
            executor.shutdown(wait=False, cancel_futures=True)
        self._analyser.abandon()
        self._pool.shutdown(wait=False)

    def _decide(self, seen: Seen) -> None:
        self._leave_to_writer(self._analyser.decide(seen))

    def _decide_rest(self) -> None:
        self._leave_to_writer(self._analyser.flush())

    def _leave_to_writer(self, decided: list[DecidedUnit]) -> None:
        self._pending.extend(self._writer.submit(self._write, unit) for unit in decided)

    def _wait_for_decisions(self, left: int) -> None:
        """Until no more than so many frames have not been decided on."""
        while self._undecided and (len(self._undecided) > left or self._undecided[0].done()):
            self._undecided.popleft().result()

    def _write(self, decided: DecidedUnit) -> Unit:
        return Unit(self._coder.encode(decided.frames), decided.frames[0][0].intra, decided.planes)

    def _ready(self, left: int) -> list[Unit]:
        """Units beyond the last ``left``, and any that are finished already."""
        units = []
        while self._pending and (len(self._pending) > left or self._pending[0].done()):
            units.append(self._pending.popleft().result())
        return units


NOT_YET: Planes = (np.empty((0, 0), np.uint16),) * 3  # of a frame that waits for others


class _Due(NamedTuple):
    """A frame that is to be rebuilt from others."""

    header: FrameHeader
    symbols: np.ndarray
    references: list[Reference]
    frame: Reference


class VideoDecoder:
    """Decodes units in the order in which they were written: `read` may run ahead of `rebuild` in another thread."""

    def __init__(self, weights: Weights, height: int, width: int, *, tools: Tools = ALL_TOOLS, threads: int = 0):
        self.height, self.width, self._weights, self._tools = height, width, weights, tools
        self._coder = FrameCoder(weights, -(-height // 16), -(-width // 16))
        self.timings = self._coder.timings
        self._pool = new_pool(threads)
        self._window = Window()
        self._next = 0  # number of the first frame of the next unit, counted from its keyframe
        self._broken = False  # a unit was damaged: its frames are missing

    def read(self, payload: bytes, keyframe: bool) -> list[DecidedFrame]:
        """Decisions and symbols of the frames of a unit, in coding order. DamagedStreamError for what cannot be."""
        if keyframe:
            self._next, self._broken = 0, False
        if self._broken:
            raise DamagedStreamError("a unit before this one was damaged: decoding goes on at the next keyframe")
        self._broken = True  # until this unit is read to its end
        try:
            frames = self._coder.decode(payload, keyframe, self._next)
        except (IndexError, ValueError, RuntimeError) as error:
            raise DamagedStreamError(f"a unit's payload cannot be decoded ({str(error).splitlines()[0]})") from error
        if sorted(header.place for header, *_ in frames) != list(range(len(frames))):
            raise DamagedStreamError("two frames of a unit stand at the same place")
        if not self._tools.filters and any(blocks.banks.any() for _, _, blocks, _ in frames):
            raise DamagedStreamError("a frame is restored in a stream of a size without")
        if self._tools.network < 0 and any((blocks.banks == BY_NETWORK).any() for _, _, blocks, _ in frames):
            raise DamagedStreamError("a frame is restored by the network in a stream of a size without")
        self._next += len(frames)
        self._broken = False
        return frames

    def rebuild(self, frames: list[DecidedFrame]) -> list[Planes]:
        """Planes of the frames of a unit, in display order."""
        out: dict[int, Planes] = {}
        due: list[_Due] = []
        for header, number, blocks, symbols in frames:
            if header.intra:
                self._window.clear()
            references = [self._window.at(slot) for slot in header.references]
            frame = Reference(NOT_YET, blocks, header.level, number)
            due.append(_Due(header, symbols, references, frame))
            self._window.add(frame, header.kept)

        def ready(one: _Due) -> bool:
            return all(entry.planes is not NOT_YET for entry in one.references)

        def note(one: _Due, shown: Planes) -> None:
            out[one.header.place] = shown

        with timed(self.timings, "synthesis"):
            when_ready(self._pool, due, ready, self._rebuild, note)
        return [out[place] for place in sorted(out)]

    def _rebuild(self, one: _Due, pool: Executor) -> Planes:
        """Fill in a frame's planes; returns those that are shown."""
        header, frame, references = one.header, one.frame, one.references
        midway = self._tools.flow and is_midway(tuple(frame.number - entry.number for entry in references))
        frame.planes = rebuild(
            frame.blocks, one.symbols, header.level, header.chroma, references, midway, self._weights.bases, pool
        )
        return cut(frame.picture(), self.height, self.width)

    def decode(self, payload: bytes, keyframe: bool) -> list[Planes]:
        """The frames of a unit, in display order."""
        return self.rebuild(self.read(payload, keyframe))
