# SPDX-License-Identifier: Apache-2.0
"""Encoding to a size, a rate or a PSNR: the quality found is the last that fits, for any curve that rises, in few
trials; and real streams of the default codec keep what was promised."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pipeline_clips import Source

import nvcodec
from nvcodec import Goal, NvcError, UsageError
from nvcodec.codec.protocol import Codec, EncodeSettings
from nvcodec.media.test_pattern import moving_pattern, pattern_format
from nvcodec.metrics.psnr import mse, psnr_db
from nvcodec.pipeline import goal as module
from nvcodec.pipeline.encode import encode_stream
from nvcodec.pipeline.goal import HIGHEST_QUALITY, QualitySearch, encode_to_goal

WIDTH, HEIGHT, FRAMES = 64, 48, 6


def frames(count: int = FRAMES) -> Source:
    return Source(list(moving_pattern(WIDTH, HEIGHT, count)), pattern_format(WIDTH, HEIGHT), count)


def searched(values: list[float], wanted: float, slope: float, least: bool, start: int) -> tuple[int | None, int]:
    """What a search finds among the values of 64 qualities, and in how many trials."""
    search, quality = QualitySearch(wanted, slope, least), start
    while True:
        assert quality not in search.found
        search.add(quality, values[quality])
        following = search.next()
        if following is None:
            return search.best, len(search.found)
        assert 0 <= following <= HIGHEST_QUALITY
        quality = following


def ideal(values: list[float], wanted: float, least: bool) -> int | None:
    """By looking at all."""
    fit = [n for n, value in enumerate(values) if (value >= wanted if least else value <= wanted)]
    return (min(fit) if least else max(fit)) if fit else None


@pytest.mark.parametrize("least", [False, True])
@pytest.mark.parametrize("slope", [0.02, 0.055, 0.2])
def test_the_quality_found_fits_and_the_next_one_hardly_does(least: bool, slope: float) -> None:
    """Of curves that rise unevenly, from any first quality, for goals within and beyond them."""
    random, trials, exact = np.random.default_rng(int(1000 * slope)), [], 0
    for _ in range(300):
        bend = random.uniform(-0.6, 0.6)
        steps = slope * (1 + bend * np.linspace(-1, 1, 64)) * random.uniform(0.7, 1.3, 64)
        values = list(np.cumsum(steps))
        wanted = random.uniform(values[0] - slope, values[-1] + slope)
        found, count = searched(values, wanted, slope * random.uniform(0.6, 1.6), least, int(random.integers(64)))
        best = ideal(values, wanted, least)
        assert (found is None) == (best is None)
        if found is not None and best is not None:
            assert values[found] >= wanted if least else values[found] <= wanted
            assert abs(found - best) <= 1
            exact += found == best
        trials.append(count)
    assert max(trials) <= 11
    assert np.mean(trials) < 4.5
    assert exact > 240


def test_curves_that_fall_here_and_there_end_with_a_quality_that_fits() -> None:
    random = np.random.default_rng(2)
    for least in (False, True):
        for _ in range(300):
            values = list(np.cumsum(random.normal(0.05, 0.1, 64)))
            wanted = random.uniform(min(values), max(values))
            found, count = searched(values, wanted, 0.05, least, int(random.integers(64)))
            assert count <= 12
            if found is not None:
                assert values[found] >= wanted if least else values[found] <= wanted


@pytest.mark.parametrize("least", [False, True])
def test_goals_out_of_reach_end_at_the_ends(least: bool) -> None:
    values = [0.1 * n for n in range(64)]
    search, quality = QualitySearch(9.0 if least else -1.0, 0.1, least), 20
    while quality is not None:
        search.add(quality, values[quality])
        last, quality = quality, search.next()
    assert search.best is None
    assert last == (HIGHEST_QUALITY if least else 0)


# --- streams of the default codec


def sizes_of(codec: Codec, *qualities: int) -> list[int]:
    return [encode_stream(frames(), io.BytesIO(), codec, EncodeSettings(quality=n)).nbytes for n in qualities]


def psnr_of(stream: bytes) -> float:
    """Mean of frames, decoded and written out here."""
    decoder, total = nvcodec.Decoder(), 0.0
    shown = decoder.decode(stream)
    decoder.finish()
    assert len(shown) == FRAMES
    for decoded, original in zip(shown, moving_pattern(WIDTH, HEIGHT, FRAMES), strict=True):
        y, u, v = (psnr_db(mse(a, b)) for a, b in zip(original.planes, decoded.planes, strict=True))
        total += (6 * y + u + v) / 8
    return total / FRAMES


@pytest.fixture
def conditional(compiled_kernels: None) -> Codec:
    return nvcodec.get_codec("conditional")


@pytest.mark.parametrize("unit", ["nbytes", "bpp", "kbps"])
def test_sizes_and_rates_are_kept_as_closely_as_a_quality_allows(conditional: Codec, unit: str) -> None:
    low, high = sizes_of(conditional, 30, 31)
    nbytes = (low + high) // 2
    seconds = FRAMES * float(1 / pattern_format(WIDTH, HEIGHT).frame_rate)  # type: ignore[operator]
    goal = {
        "nbytes": Goal(nbytes=nbytes),
        "bpp": Goal(bpp=8 * nbytes / (WIDTH * HEIGHT * FRAMES)),
        "kbps": Goal(kbps=8 * nbytes / 1000 / seconds),
    }[unit]
    out, opened = io.BytesIO(), []

    def source() -> Source:
        opened.append(frames())
        return opened[-1]

    report = encode_to_goal(source, out, conditional, EncodeSettings(quality=50), goal)
    assert report.quality == 30
    assert report.nbytes == len(out.getvalue()) == low
    assert report.notes[-1].startswith("quality 30 reaches ")
    assert f"({len(opened)} trials)" in report.notes[-1]
    assert 2 <= len(opened) <= 6
    assert all(each.closed for each in opened)
    plain = io.BytesIO()
    encode_stream(frames(), plain, conditional, EncodeSettings(quality=30))
    assert plain.getvalue() == out.getvalue()


def test_a_psnr_is_what_a_decoder_shows(conditional: Codec) -> None:
    out = io.BytesIO()
    report = encode_to_goal(frames, out, conditional, EncodeSettings(), Goal(psnr_db=36.0))
    assert report.psnr_db == pytest.approx(psnr_of(out.getvalue()))
    assert report.psnr_db >= 36.0
    below = io.BytesIO()
    encode_stream(frames(), below, conditional, EncodeSettings(quality=report.quality - 2))
    assert psnr_of(below.getvalue()) < 36.0


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (
            Goal(nbytes=40),
            r"goal of 40 bytes is out of reach: quality 0, the smallest, gives \d+ bytes; ask for at lea",
        ),
        (Goal(psnr_db=99.0), r"goal of 99 dB is out of reach: quality 63, the best, gives [\d.]+ dB; ask"),
    ],
)
def test_what_no_quality_reaches_is_said_and_leaves_no_file(
    conditional: Codec, goal: Goal, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        encode_to_goal(frames, tmp_path / "out.nvc", conditional, EncodeSettings(), goal)
    assert list(tmp_path.iterdir()) == []


def test_failures_and_ctrl_c_leave_no_file(conditional: Codec, tmp_path: Path) -> None:
    def stopped(error: type[BaseException]) -> Callable[[], Source]:
        def source() -> Source:
            raise error("stopped")

        return source

    for error in (NvcError, KeyboardInterrupt):
        with pytest.raises(error):
            encode_to_goal(stopped(error), tmp_path / "out.nvc", conditional, EncodeSettings(), Goal(nbytes=900))
        assert list(tmp_path.iterdir()) == []
    taken = tmp_path / "taken.nvc"
    taken.write_bytes(b"mine")
    with pytest.raises(NvcError, match="exists already"):
        encode_to_goal(frames, taken, conditional, EncodeSettings(), Goal(nbytes=900))
    assert taken.read_bytes() == b"mine"


def test_only_the_best_trial_stays_open(conditional: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[io.BytesIO] = []

    def new(prefix: str) -> io.BytesIO:
        assert sum(not file.closed for file in made) <= 1
        made.append(io.BytesIO())
        return made[-1]

    monkeypatch.setattr(module.tempfile, "TemporaryFile", new)
    encode_to_goal(frames, io.BytesIO(), conditional, EncodeSettings(quality=0), Goal(nbytes=900))
    assert len(made) > 1
    assert all(file.closed for file in made)


# --- what may be asked for


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "a goal of nothing; exactly one of nbytes, bpp, kbps, psnr_db is allowed"),
        ({"nbytes": 9, "psnr_db": 30.0}, "a goal of nbytes and psnr_db; exactly one"),
        ({"bpp": 0.0}, "a goal of bpp 0.0; a number above 0"),
        ({"kbps": math.inf}, "a number above 0"),
        ({"psnr_db": math.nan}, "a number above 0"),
    ],
)
def test_goals_that_make_no_sense(values: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Goal(**values)  # type: ignore[arg-type]


def test_a_bitrate_needs_a_duration(conditional: Codec) -> None:
    def still() -> Source:
        video = replace(pattern_format(WIDTH, HEIGHT), frame_rate=None)
        return Source([replace_times(frame) for frame in moving_pattern(WIDTH, HEIGHT, 1)], video, 1)

    def replace_times(frame: nvcodec.Frame) -> nvcodec.Frame:
        frame.pts = frame.duration = 0
        return frame

    with pytest.raises(UsageError, match="duration is known"):
        encode_to_goal(still, io.BytesIO(), conditional, EncodeSettings(), Goal(kbps=100))


def test_sources_that_can_be_read_once_are_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for source in ("-", pipe):
        with pytest.raises(UsageError, match="read more than once"):
            nvcodec.encode(source, tmp_path / "out.nvc", goal=Goal(nbytes=900))
    with pytest.raises(UsageError, match="fits itself to a goal"):
        nvcodec.encode("clip.y4m", tmp_path / "out.nvc", codec="hnerv", goal=Goal(nbytes=900))
