# SPDX-License-Identifier: Apache-2.0
"""Groups tried in full: the cheaper way is taken, and what follows is as if only that had been coded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from nvcodec.media.test_pattern import moving_pattern
from nvcodec.models.conditional import group_trials
from nvcodec.models.conditional.frame_coder import FrameCoder
from nvcodec.models.conditional.group_trials import BIT_PRICE, CLEARLY, GroupTrials, Units, cost_of
from nvcodec.models.conditional.picture import Planes
from nvcodec.models.conditional.sequence import GROUP, SHORT_GROUP, Unit, VideoAnalyser, VideoDecoder, VideoEncoder
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.quality import LOWEST, STEPS

WIDTH, HEIGHT = 64, 48


def pictures(count: int) -> list[Planes]:
    return [frame.planes for frame in moving_pattern(WIDTH, HEIGHT, count)]


def coded(weights: Weights, frames: list[Planes], preset: str = "placebo", threads: int = 1) -> list[Unit]:
    encoder = VideoEncoder(weights, HEIGHT, WIDTH, 30, preset=preset, threads=threads)
    return [unit for frame in frames for unit in encoder.push(frame)] + encoder.flush()


@pytest.mark.parametrize("count", [1, 2, 9, 17, 18, 30, 41])
def test_a_decoder_sees_what_the_encoder_saw(weights: Weights, count: int) -> None:
    units = coded(weights, pictures(count))
    decoder = VideoDecoder(weights, HEIGHT, WIDTH)
    for unit in units:
        for found, expected in zip(decoder.decode(unit.payload, unit.keyframe), unit.planes, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert sum(len(unit.planes) for unit in units) == count


def test_threads_make_no_difference(weights: Weights) -> None:
    frames = pictures(20)
    assert [u.payload for u in coded(weights, frames)] == [u.payload for u in coded(weights, frames, threads=2)]


def test_what_is_tried_in_vain_leaves_no_trace(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are those of an encoder that tried nothing else."""
    frames, tried = pictures(1 + 2 * GROUP), []

    def taken(size_first: int, all_of_them: bool, index: int) -> list[bytes]:
        def take(self: GroupTrials, tries: list[Callable[[], Units]], pictures: list[Planes], level: int) -> int:
            tried.append([len(code()) for code in (tries if all_of_them else tries[:1])])
            return min(index, len(tries) - 1)

        monkeypatch.setattr(GroupTrials, "cheapest", take)
        monkeypatch.setattr(VideoAnalyser, "_group_size", lambda self: size_first)
        return [unit.payload for unit in coded(weights, frames)]

    long, short = taken(GROUP, False, 0), taken(SHORT_GROUP, False, 0)
    assert long != short
    assert tried == [[1], [1], [2], [2]]
    assert taken(GROUP, True, 0) == taken(SHORT_GROUP, True, 1) == long
    assert taken(SHORT_GROUP, True, 0) == taken(GROUP, True, 1) == short
    assert tried[4:] == [[1, 2], [1, 2], [2, 1], [2, 1], [2, 1], [2, 1], [1, 2], [1, 2]]


@dataclass
class Fake:
    """In place of a coder: units are their bytes."""

    written: int = 0

    def encode(self, frames: bytes) -> bytes:
        self.written += len(frames)
        return frames

    def copy(self) -> Fake:
        return Fake(self.written)


def test_costs_are_errors_and_bits() -> None:
    level, picture = LOWEST + 20, tuple(np.full(shape, 90, np.uint8) for shape in ((8, 8), (4, 4), (4, 4)))
    decoded = tuple(plane + np.uint8(2) for plane in picture)
    step = float(STEPS[level]) / 16
    found = cost_of([(bytes(10), [decoded]), (bytes(3), [decoded])], [picture] * 2, level, Fake())  # type: ignore
    assert found == pytest.approx(2 * 64 * 4 + BIT_PRICE * step * step * 8 * 13)


@pytest.mark.parametrize(("nbytes", "expected"), [((100, 99), 0), ((100, 96), 1), ((90, 100), 0), ((100, 90, 80), 2)])
def test_others_than_the_expected_must_be_clearly_cheaper(nbytes: tuple[int, ...], expected: int) -> None:
    picture = tuple(np.zeros(shape, np.uint8) for shape in ((8, 8), (4, 4), (4, 4)))
    trials, price = GroupTrials(Fake()), BIT_PRICE * (float(STEPS[95]) / 16) ** 2 * 8  # type: ignore
    rest = 64 * group_trials.LEAST_ERROR
    bits = [round((rest / price + n) * 100) for n in nbytes]
    tries = [lambda n=n: [(bytes(n), [picture])] for n in bits]
    assert trials.cheapest(tries, [picture], 95) == expected  # type: ignore
    assert trials._coder.written == bits[expected]  # type: ignore
    assert 0.96 < CLEARLY < 0.99


def test_a_copied_coder_goes_on_alike(weights: Weights) -> None:
    encoder = VideoEncoder(weights, HEIGHT, WIDTH, 30, threads=1)
    decided = [unit for frame in pictures(12) for unit in encoder._analyser.push(frame)] + encoder._analyser.flush()
    coder = FrameCoder(weights, HEIGHT // 16, WIDTH // 16)
    first = coder.encode(decided[0].frames)
    other = coder.copy()
    again = other.copy()
    expected = [coder.encode(unit.frames) for unit in decided[1:]]
    assert [other.encode(unit.frames) for unit in decided[1:]] == expected
    assert [again.encode(unit.frames) for unit in decided[1:]] == expected
    assert first == FrameCoder(weights, HEIGHT // 16, WIDTH // 16).encode(decided[0].frames)
