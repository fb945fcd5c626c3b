# SPDX-License-Identifier: Apache-2.0
"""The end of a shot, decided on beside the beginning of the next one: the same units, in order."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nvcodec.media.test_pattern import moving_pattern
from nvcodec.models.conditional.analyser import VideoAnalyser
from nvcodec.models.conditional.frame import Planes
from nvcodec.models.conditional.plans import GROUP, PROFILES
from nvcodec.models.conditional.shot import AHEAD, DecidedUnit, ShotAnalyser
from nvcodec.models.conditional.weights import Weights

HEIGHT, WIDTH = 64, 96
LENGTHS = (3, GROUP + AHEAD + 9, 1, 2, 2 * GROUP + AHEAD + 5)  # of shots


def shots(lengths: tuple[int, ...]) -> list[Planes]:
    """A picture each, that moves."""
    return [frame.planes for n, length in enumerate(lengths) for frame in moving_pattern(WIDTH, HEIGHT, length, seed=n)]


def decided(
    weights: Weights, frames: list[Planes], threads: int, profile: str
) -> tuple[list[DecidedUnit], list[DecidedUnit]]:
    """Units that came with the frames, and those that came at the end."""
    with ThreadPoolExecutor(threads) as pool:
        analyser = VideoAnalyser(weights.bases, HEIGHT, WIDTH, 30, pool, profile=profile, preset="fast")
        return [unit for planes in frames for unit in analyser.push(planes)], analyser.flush()


def lengths_of(units: list[DecidedUnit]) -> list[int]:
    """Frames from each keyframe to the next."""
    found: list[int] = []
    for unit in units:
        if unit.frames[0][0].intra:
            found.append(0)
        found[-1] += len(unit.planes)
    return found


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("threads", [2, 3])
def test_units_are_those_of_one_thread(weights: Weights, profile: str, threads: int) -> None:
    frames = shots(LENGTHS)
    one, other = ([*came, *rest] for came, rest in (decided(weights, frames, n, profile) for n in (1, threads)))
    assert lengths_of(one) == lengths_of(other) == list(LENGTHS)
    for a, b in zip(one, other, strict=True):
        assert [frame[:2] for frame in a.frames] == [frame[:2] for frame in b.frames]
        for frame, same in zip(a.frames, b.frames, strict=True):
            assert np.array_equal(frame[3], same[3])
        for planes, alike in zip(a.planes, b.planes, strict=True):
            assert all(np.array_equal(p, q) for p, q in zip(planes, alike, strict=True))


def test_the_next_shot_goes_on_and_its_units_wait(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """While what is left of the one before is not decided on."""
    may_end, flush = threading.Event(), ShotAnalyser.flush

    def late(self: ShotAnalyser, *seen: object) -> list[DecidedUnit]:
        assert may_end.wait(60)
        return flush(self, *seen)  # type: ignore[arg-type]

    monkeypatch.setattr(ShotAnalyser, "flush", late)
    first, second = shots((5,)), shots((4, GROUP + AHEAD + 1))[4:]
    with ThreadPoolExecutor(2) as pool:
        analyser = VideoAnalyser(weights.bases, HEIGHT, WIDTH, 30, pool, preset="fast")
        came = [unit for planes in (*first, *second) for unit in analyser.push(planes)]
        assert came == []
        assert [unit.frames[0][0].intra for unit in analyser._held] == [True]  # decided on already
        may_end.set()
        assert lengths_of(analyser.flush()) == [5, GROUP + AHEAD + 1]


def test_what_fails_at_the_end_of_a_shot_is_told(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: ShotAnalyser, *seen: object) -> list[DecidedUnit]:
        raise RuntimeError("no room")

    monkeypatch.setattr(ShotAnalyser, "flush", failing)
    with ThreadPoolExecutor(2) as pool:
        analyser = VideoAnalyser(weights.bases, HEIGHT, WIDTH, 30, pool, preset="fast")
        assert not any(analyser.push(planes) for planes in shots((5,)))
        analyser._close()
        with pytest.raises(RuntimeError, match="no room"):
            analyser._opened(wait=True)
