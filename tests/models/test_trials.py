# SPDX-License-Identifier: Apache-2.0
"""Cuts, and the encoder that tries what follows each of them in several ways."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.media.test_pattern import moving_pattern
from nvcodec.models.conditional import trials
from nvcodec.models.conditional.cuts import Cuts, padded_picture
from nvcodec.models.conditional.frame import Planes
from nvcodec.models.conditional.plans import PROFILES
from nvcodec.models.conditional.sequence import Unit, VideoDecoder, VideoEncoder
from nvcodec.models.conditional.trials import TRIALS, TrialEncoder
from nvcodec.models.conditional.weights import Weights

QUALITY = 30


def scene(seed: int, count: int) -> list[Planes]:
    """A moving picture that has nothing to do with those of other seeds."""
    return [frame.planes for frame in moving_pattern(64, 48, count, seed=seed)]


def coded(encoder: VideoEncoder | TrialEncoder, frames: list[Planes]) -> list[Unit]:
    """All of their units."""
    return [unit for planes in frames for unit in encoder.push(planes)] + encoder.flush()


def alone(weights: Weights, frames: list[Planes], profile: str = "ra", preset: str = "slow") -> list[list[Unit]]:
    """What each of the trials makes by itself."""
    return [
        coded(
            VideoEncoder(weights, 48, 64, QUALITY, profile=profile, preset=preset, finer_keyframes=finer, threads=1),
            frames,
        )
        for finer in TRIALS[preset]
    ]


def payloads(units: list[Unit]) -> list[bytes]:
    return [unit.payload for unit in units]


def cost(units: list[Unit], frames: list[Planes]) -> float:
    """Reckoned here once more: error by PSNR-YUV, and bits."""
    decoded, psnr_db = [planes for unit in units for planes in unit.planes], []
    for theirs, planes in zip(decoded, frames, strict=False):
        errors = [np.mean((a.astype(float) - b) ** 2) for a, b in zip(theirs, planes, strict=True)]
        y, u, v = (10 * np.log10(255**2 / error) for error in errors)
        psnr_db.append((6 * y + u + v) / 8)
    step = trials.STEPS[trials.LOWEST + QUALITY] / 16
    bits = 8 * sum(map(len, payloads(units))) / (len(decoded) * 48 * 64)
    return float(255**2 * 10 ** (-np.mean(psnr_db) / 10) + trials.PRICE * step * step * bits)


def test_a_video_begins_anew_at_its_start_at_cuts_and_after_a_period() -> None:
    frames = [*scene(1, 4), *scene(2, 9)]
    for period, wanted in ((0, [0, 4]), (3, [0, 3, 4, 7, 10]), (1, list(range(13)))):
        cuts, found, before = Cuts(period), [], (0.0, 0.0)
        for number, planes in enumerate(frames):
            anew, differences = cuts.look(padded_picture(planes))
            if not anew or (number == 4 and period != 1):  # the difference at a cut counts for what comes before it
                assert differences > before
            else:
                assert differences == before
            before = (0.0, 0.0) if anew else differences
            if anew:
                found.append(number)
        assert found == wanted


@pytest.mark.parametrize(("profile", "preset"), zip(PROFILES, TRIALS, strict=True))
def test_the_cheapest_of_the_trials_is_kept(weights: Weights, profile: str, preset: str) -> None:
    """Of a whole scene that is short; it decodes to what the encoder saw."""
    frames = scene(5, 20)
    found = coded(TrialEncoder(weights, 48, 64, QUALITY, profile=profile, preset=preset, threads=1), frames)
    made = alone(weights, frames, profile, preset)
    assert len({b"".join(payloads(units)) for units in made}) == len(TRIALS[preset])
    costs = [cost(units, frames) for units in made]
    assert payloads(found) == payloads(made[costs.index(min(costs))])
    decoder = VideoDecoder(weights, 48, 64, threads=1)
    for unit in found:
        for theirs, ours in zip(decoder.decode(unit.payload, unit.keyframe), unit.planes, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(theirs, ours, strict=True))


def test_after_so_many_frames_one_goes_on_alone(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after that is not looked at, and units come out before the end."""
    monkeypatch.setattr(trials, "FRAMES", 37)  # two groups, and what is looked at beyond them
    frames = scene(6, 60)
    encoder = TrialEncoder(weights, 48, 64, QUALITY, preset="slow", threads=1)
    early = [unit for planes in frames[:37] for unit in encoder.push(planes)]
    assert early
    assert early[0].keyframe
    found = early + [unit for planes in frames[37:] for unit in encoder.push(planes)] + encoder.flush()
    assert sum(len(unit.planes) for unit in found) == 60
    made = alone(weights, frames)
    costs = [cost(units[: len(early)], frames) for units in made]
    assert payloads(found) == payloads(made[costs.index(min(costs))])


def test_each_scene_is_tried_for_itself(weights: Weights) -> None:
    """And is what it would be alone."""
    first, second = scene(7, 9), scene(8, 5)
    encoder = TrialEncoder(weights, 48, 64, QUALITY, preset="slow", threads=1)
    units = coded(encoder, [*first, *second])
    assert [unit.keyframe for unit in units] == [True, False, True, False]
    wanted = []
    for frames in (first, second):
        made = alone(weights, frames)
        costs = [cost(units, frames) for units in made]
        wanted += payloads(made[costs.index(min(costs))])
    assert payloads(units) == wanted
    assert encoder.timings["analysis"] > 0


def test_nothing_in_nothing_out(weights: Weights) -> None:
    assert TrialEncoder(weights, 48, 64, QUALITY, preset="slow", threads=1).flush() == []
