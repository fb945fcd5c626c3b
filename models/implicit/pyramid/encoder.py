# SPDX-License-Identifier: Apache-2.0
"""Fitting a GOP: passes of the frame encoder, and the network fitted between them.

    pass 1, no network ──► observations ──► fit ──► pass 2 ──► fit further ──► pass 3 ...

Every pass leaves a complete result; the best that meets the wish is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from nvcodec.entropy.rans import RansWriter
from nvcodec.models.implicit.pyramid.block_search import search
from nvcodec.models.implicit.pyramid.decoder import Arrays, cut, padded_size
from nvcodec.models.implicit.pyramid.fit import MAX_STEPS, Observations, fit
from nvcodec.models.implicit.pyramid.frame_coder import STEPS, FrameSymbols, FrameSyntax, Reconstruction
from nvcodec.models.implicit.pyramid.frame_encoder import FrameEncoder
from nvcodec.models.implicit.pyramid.prediction import Planes, Reference
from nvcodec.models.implicit.pyramid.structure import coding_order
from nvcodec.models.implicit.pyramid.synthesis import Synthesis
from nvcodec.models.implicit.pyramid.units import KEY_STEP, write_key, write_network, write_span
from nvcodec.models.memory import keep_freed_memory

LEVEL_STEPS = (0.45, 0.7, 1.4, 1.8, 2.0, 2.0)  # step of keyframe, anchors, halves, ... against the nominal one
MAX_PASSES, HURRIED_PASSES = 12, 4  # in all; when time is over and the wished size is not met
FIT_STEPS = 300  # of a fit when passes are counted
LEAST_SHARE = 0.95  # of a wished size that is near enough
RATE_SLOPE = 1.15  # bytes go like step^-1.15
CROPS = 900  # observations of a GOP
SPANS = (16, 8, 4)  # frames from one anchor to the next: the longest at which motion still predicts nearly as well
SPAN_TOLERANCE = 1 / 60  # of the squared step, mean squared error
TARGET_SHARE = 0.985  # of a wanted size that a pass aims at


@dataclass(frozen=True)
class PyramidSettings:
    """step: nominal luma quantisation step, sample values; nbytes: wanted size, None for that of the step; seconds: to
    spend; width: channels of the network, 0 for none; span: frames from one anchor to the next, 0 to choose; passes: in
    all, with fits of FIT_STEPS between them, whatever time that takes; 0: as the seconds allow."""

    step: float = 24.0
    chroma_ratio: int = 10
    nbytes: int | None = None
    seconds: float = 120.0
    width: int = 24
    span: int = 0
    threads: int = 1
    passes: int = 0


@dataclass
class Pass:
    """One complete result: payload, frames and decoded planes (display order) of each unit."""

    step: float
    units: list[tuple[bytes, list[Arrays]]]
    squared_error: float  # per sample, mean of frames

    @property
    def nbytes(self) -> int:
        """Of all payloads."""
        return sum(len(payload) for payload, _ in self.units)

    @property
    def psnr_db(self) -> float:
        """Of all samples."""
        return 10 * math.log10(255**2 / max(self.squared_error, 1e-9))


Progress = Callable[[int, Pass, float, float, str], None]


class GopEncoder:
    """Encodes frames (Y (H, W), U, V uint8) as one GOP.

    report: called after each pass with its number, the pass, seconds so far and left, and a note. ``notes``: what a
    user should know; ``interrupted``: Ctrl-C ended the fit after at least one pass.
    """

    def __init__(self, frames: list[Arrays], settings: PyramidSettings, report: Progress | None = None):
        keep_freed_memory()
        torch.set_num_threads(settings.threads)
        self.settings, self._report = settings, report
        self.notes: list[str] = []
        self.interrupted = False
        self._shape = frames[0][0].shape
        self._height, self._width = padded_size(*self._shape)
        self._frames = [self._padded(frame) for frame in frames]
        self._pool = ThreadPoolExecutor(settings.threads)
        self._seeds: dict[tuple[int, int], np.ndarray] = {}
        self._ends: dict[int, int] = {}
        self._best: Pass | None = None

    def encode(self) -> Pass:
        """Passes and fits for about the seconds given; at least one pass, more until a wished size is met."""
        try:
            self._passes()
        except KeyboardInterrupt:
            if self._best is None:
                raise
            self.interrupted = True
        assert self._best is not None
        wish = self.settings.nbytes
        if wish is not None and self._best.nbytes > wish:
            self.notes.append(f"{self._best.nbytes} bytes is as near as it came to {wish}")
        return self._best

    def _passes(self) -> None:
        start, settings = time.monotonic(), self.settings
        network: Synthesis | None = None
        step, note, fitted = settings.step, "no network yet", 0
        for number in range(1, MAX_PASSES + 1):
            began = time.monotonic()
            observations = Observations(max(1, CROPS // max(1, len(self._frames) - 1)))
            watch = settings.width > 0 and len(self._frames) > 1
            done = self.run(step, network, observations if watch else None)
            self._best = self._better(self._best, done)
            step = self._next_step(done)
            now = time.monotonic()
            took, left = now - began, settings.seconds - (now - start)
            if self._report is not None:
                self._report(number, done, now - start, left, note)
            wish = settings.nbytes
            met = wish is None or LEAST_SHARE <= self._best.nbytes / wish <= 1
            late = left < took
            if number == settings.passes or (not settings.passes and late and (met or number >= HURRIED_PASSES)):
                return
            if not watch or (late and not settings.passes):
                if met and not watch:
                    return
                continue
            network = _thawed(network) if network is not None else _new_network(settings.width)
            # half of the time for a first fit that later passes build on, all of it for the last
            rest = left - 1.1 * took
            seconds, steps = rest if rest < 2.5 * took or fitted else 0.5 * rest, MAX_STEPS
            if settings.passes:
                seconds, steps = math.inf, FIT_STEPS
            share = fit(network, observations, settings.chroma_ratio, max(1.0, seconds), steps, fitted)
            fitted += 1
            note = f"network leaves {100 * share:.1f}% of the squared error"

    def run(self, step: float, network: Synthesis | None, observations: Observations | None = None) -> Pass:
        """One pass over all frames at a nominal step."""
        if network is not None:
            write_network(network)  # passes are made with the weights that decoders will have
        writer = RansWriter()
        syntax = FrameSyntax(self._height, self._width)
        reconstruction = Reconstruction(self._height, self._width, self.settings.chroma_ratio, network)
        encoder = FrameEncoder(syntax, reconstruction, self._seeds_of, self._pool)
        units, errors, ends = [], [], self._span_ends()
        last = 0

        def code(order, writer: RansWriter) -> tuple[list[FrameSymbols], dict[int, Arrays]]:  # type: ignore[no-untyped-def]
            symbols, pictures = [], {}
            for place in order:
                original = self._original(place.frame)

                def observe(frame: FrameSymbols, past: Planes, future: Planes, mean: Planes, original=original) -> None:  # type: ignore[no-untyped-def]
                    if observations is not None:
                        observations.add(frame, past, future, mean, original)

                with torch.inference_mode():
                    frame, planes = encoder.encode(
                        place, _nearest(step * LEVEL_STEPS[min(place.level + 1, 5)]), original, writer, observe
                    )
                symbols.append(frame)
                pictures[place.frame] = cut(planes, *self._shape)
                errors.append(_squared_error(pictures[place.frame], cut(original, *self._shape)))
            return symbols, pictures

        symbols, pictures = code([KEY_STEP], writer)
        count = writer.count
        units.append(
            (
                write_key(network, self.settings.chroma_ratio, symbols[0].quantiser, count, writer.finish()),
                [pictures[0]],
            )
        )
        while last < len(self._frames) - 1:
            end = ends[last]
            writer = RansWriter()
            symbols, pictures = code(coding_order(last, end), writer)
            count = writer.count
            units.append((write_span(symbols, count, writer.finish()), [pictures[n] for n in sorted(pictures)]))
            last = end
            syntax.forget(last)
            reconstruction.forget(last)
        return Pass(step, units, float(np.mean(errors)))

    def _span_ends(self) -> dict[int, int]:
        """The next anchor after each, by number; found once."""
        final = len(self._frames) - 1
        start = max(self._ends.values(), default=0)
        while start < final:
            fixed = self.settings.span
            self._ends[start] = min(start + fixed, final) if fixed else self._span_end(start, final)
            start = self._ends[start]
        return self._ends

    def _span_end(self, start: int, final: int) -> int:
        errors = {}
        for span in reversed(SPANS):
            end = min(start + span, final)
            if end not in errors:
                luma = Reference(self._original(start)).predict_luma(
                    self._seeds_of(end, start).repeat(2, 0).repeat(2, 1)
                )
                errors[end] = float((luma - self._original(end)[0]).square().mean())
        least = min(errors.values())
        return max(end for end, error in errors.items() if error <= least + SPAN_TOLERANCE * self.settings.step**2)

    def _better(self, best: Pass | None, done: Pass) -> Pass:
        """The result to keep: one that meets the wished size if there is one, then the newest."""
        wish = self.settings.nbytes
        if best is None or wish is None:
            return done
        if (done.nbytes <= wish) != (best.nbytes <= wish):
            return done if done.nbytes <= wish else best
        if done.nbytes > wish:
            return done if done.nbytes < best.nbytes else best
        return done if done.psnr_db > best.psnr_db else best

    def _next_step(self, done: Pass) -> float:
        wish = self.settings.nbytes
        if wish is None:
            return done.step
        return done.step * (done.nbytes / (wish * TARGET_SHARE)) ** (1 / RATE_SLOPE)

    def _seeds_of(self, frame: int, other: int) -> np.ndarray:
        if (frame, other) not in self._seeds:
            lumas = (torch.from_numpy(self._frames[n][0]).float() for n in (frame, other))
            self._seeds[frame, other] = search(*lumas, abs(frame - other))
        return self._seeds[frame, other]

    def _padded(self, frame: Arrays) -> Arrays:
        sizes = ((self._height, self._width),) + ((self._height // 2, self._width // 2),) * 2
        return tuple(
            np.pad(p, ((0, h - p.shape[0]), (0, w - p.shape[1])), mode="edge")
            for p, (h, w) in zip(frame, sizes, strict=True)
        )  # type: ignore[return-value]

    def _original(self, number: int) -> Planes:
        return tuple(torch.from_numpy(p).float() for p in self._frames[number])  # type: ignore[return-value]


def _nearest(step: float) -> int:
    eighths = np.log(np.array(STEPS))
    return int(np.abs(eighths - math.log(step * 8)).argmin())


def _squared_error(a: Arrays, b: Arrays) -> float:
    """Mean over luma and chroma samples alike."""
    total = sum(float(((x.astype(np.float32) - y) ** 2).sum()) for x, y in zip(a, b, strict=True))
    return total / sum(x.size for x in a)


def _new_network(width: int) -> Synthesis:
    """The same initial weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Synthesis(width)


def _thawed(network: Synthesis) -> Synthesis:
    """A copy that can be trained on."""
    copy = Synthesis(network.width)
    copy.load_state_dict(network.state_dict())
    return copy
