# SPDX-License-Identifier: Apache-2.0
"""Filters of restoration: fitted by least squares to decoded frames, in banks that share out units, for each range of
levels."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from synthetic_training import texture

from nvcodec.models.conditional.frame import Planes
from nvcodec.models.conditional.restoration import BANK_BITS
from nvcodec.models.depth import STEP_SCALE, widen
from nvcodec.models.kernels.compensation import PAD, padded
from nvcodec.models.kernels.filters import CHROMA_TAPS, LUMA_TAPS, MAX_TAP
from nvcodec.models.kernels.restore import (
    BANKS,
    CLASSES,
    RANGES,
    UNIT,
    classify,
    clip_of,
    restore,
)
from nvcodec.models.quality import LOWEST, QUALITIES, STEPS, bit_price, quality_of
from nvcodec.models.training import restoration
from nvcodec.models.training.bases import load_bases
from nvcodec.models.training.phases import BASES, FILTERED
from nvcodec.models.training.pieces import Piece, Pieces
from nvcodec.models.training.recipe import FiltersCounts
from nvcodec.models.training.restoration import Deblocked, code_piece, fit, learn_filters
from nvcodec.models.training.workers import Workers
from nvcodec.models.transform import CHROMA_WEIGHT, check_filters, no_filters

COUNTS = FiltersCounts(3, 1, 3)
HEIGHT, WIDTH = 112, 144  # units at the edges are not whole
UNITS = (-(-HEIGHT // UNIT), -(-WIDTH // UNIT))
PADS = (PAD, PAD // 2, PAD // 2)


def sources(seed: int) -> list[np.ndarray]:
    return [widen(texture(HEIGHT // s, WIDTH // s, seed + s, 20 // s)) for s in (1, 2, 2)]


def with_borders(planes: list[np.ndarray]) -> Planes:
    y, u, v = (padded(plane, pad) for plane, pad in zip(planes, PADS, strict=True))
    return y, u, v


def noisy(level: int, seed: int, spread: float) -> Deblocked:
    """A smooth picture, decoded with noise; spread: in samples of eight bits."""
    random, picture = np.random.default_rng(seed), sources(seed)
    planes = [(p + random.normal(0, 4 * spread, p.shape)).round().clip(0, 1023).astype(np.uint16) for p in picture]
    return Deblocked(level, (picture[0], picture[1], picture[2]), with_borders(planes))


def classes_of(frame: Deblocked) -> np.ndarray:
    classes = np.zeros((HEIGHT // 4, WIDTH // 4), np.uint8)
    everywhere = np.ones((-(-HEIGHT // 32), -(-WIDTH // 32)), bool)
    classify(frame.planes[0], int(STEPS[frame.level]), everywhere, 0, HEIGHT // 16, classes)
    return classes


def filtered(frame: Deblocked, bank: int, luma: np.ndarray, chroma: np.ndarray) -> list[np.ndarray]:
    """Without borders, all units by one bank; 0: none."""
    out = [plane.copy() for plane in frame.planes]
    clip = clip_of(int(STEPS[frame.level]))
    restore(
        *frame.planes, classes_of(frame), np.full(UNITS, bank, np.uint8), luma, chroma, clip, 0, UNITS[0], *out
    )  # fmt: skip
    return [plane[pad:-pad, pad:-pad] for plane, pad in zip(out, PADS, strict=True)]


def costs_of(frame: Deblocked, luma: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """(1 + BANKS, units down, units across) weighted squared errors and price of bits."""
    price = bit_price(frame.level) * (float(STEPS[frame.level]) / STEP_SCALE) ** 2 * BANK_BITS
    out = np.zeros((1 + BANKS, *UNITS))
    for bank in range(1 + BANKS):
        out[bank] += price if bank else 0
        for part, plane in enumerate(filtered(frame, bank, luma, chroma)):
            squares = (plane.astype(float) - frame.picture[part]) ** 2 * (CHROMA_WEIGHT**2 if part else 1)
            side = UNIT // 2 if part else UNIT
            for r, c in np.ndindex(*UNITS):
                out[bank, r, c] += squares[side * r :, side * c :][:side, :side].sum()
    return out


def test_filters_take_noise_away() -> None:
    """And the share of costs they leave is what they say."""
    frames = [noisy(LOWEST + quality, quality, spread) for quality, spread in ((16, 3.0), (20, 5.0), (28, 2.0))]
    luma, chroma, share = fit(frames)
    assert (luma.shape, luma.dtype) == ((BANKS, CLASSES, LUMA_TAPS), np.int16)
    assert (chroma.shape, chroma.dtype) == ((BANKS, 2, CLASSES, CHROMA_TAPS), np.int16)
    assert max(np.abs(luma).max(), np.abs(chroma).max()) <= MAX_TAP
    costs = [costs_of(frame, luma, chroma) for frame in frames]
    before, after = sum(c[0].sum() for c in costs), sum(c.min(0).sum() for c in costs)
    assert share == pytest.approx(after / before)
    assert share < 0.6
    used = np.unique(np.concatenate([c.argmin(0).ravel() for c in costs]))
    assert len(used[used > 0]) > 1  # banks differ


def test_a_filter_that_made_the_picture_is_found() -> None:
    """What is decoded is noise, the picture what some filter makes of it."""
    random, frames = np.random.default_rng(3), []
    wanted = no_filters()
    luma, chroma = wanted.luma[0], wanted.chroma[0]
    luma[0], chroma[0] = random.integers(-12, 30, LUMA_TAPS), random.integers(-12, 30, (2, 1, CHROMA_TAPS))
    for level in (LOWEST, LOWEST + 6, LOWEST + 12):
        planes = [random.integers(360, 600, (HEIGHT // s, WIDTH // s)).astype(np.uint16) for s in (1, 2, 2)]
        frame = Deblocked(level, (planes[0], planes[1], planes[2]), with_borders(planes))
        y, u, v = (np.ascontiguousarray(plane) for plane in filtered(frame, 1, luma, chroma))
        frames.append(Deblocked(level, (y, u, v), frame.planes))
    found_luma, found_chroma, share = fit(frames)
    assert share < 0.03
    kinds, counts = np.unique(np.concatenate([classes_of(frame) for frame in frames]), return_counts=True)
    noise = kinds[counts.argmax()]  # nearly all squares are in one class
    used = [bank for bank in range(BANKS) if found_luma[bank, noise].any()]
    assert used
    for bank in used:
        assert np.abs(found_luma[bank, noise] - luma[0, noise]).max() <= 2
        assert np.abs(found_chroma[bank, :, noise] - chroma[0, :, noise]).max() <= 2


def test_nothing_to_learn_from_is_nothing_learned() -> None:
    luma, chroma, share = fit([])
    assert not luma.any()
    assert not chroma.any()
    assert share == 1.0
    assert (luma.shape, chroma.shape) == ((BANKS, CLASSES, LUMA_TAPS), (BANKS, 2, CLASSES, CHROMA_TAPS))


def distances(y: np.ndarray, piece: Piece) -> list[float]:
    """Mean absolute differences of luma to each picture of a piece."""
    return [float(np.abs(y.astype(int) - widen(other)).mean()) for other in piece.planes[0]]


def test_frames_of_a_piece_are_those_before_restoration(cache: Path, encoded: Path) -> None:
    """The keyframe and some of those after it, with the picture each stands for; filters do not change a keyframe's."""
    pieces, plain, with_filters = Pieces(cache, 1, 3), load_bases(encoded / BASES), load_bases(encoded / FILTERED)
    for number in range(2):
        piece = pieces.draw("clips", number, 6)
        frames = [code_piece(pieces, "clips", number, 6, bases) for bases in (plain, with_filters)]
        assert [len(f) for f in frames] == [1 + len(range(number + 1, 6, 2))] * 2
        for frame in frames[0]:
            assert min(distances(frame.picture[0], piece)) < 12  # or none, but for what is filtered along motion
        key, same_key = frames[0][0], frames[1][0]
        assert int(np.argmin(distances(key.picture[0], piece))) == 0
        assert all(np.array_equal(a, b) for a, b in zip(key.planes, same_key.planes, strict=True))
        for plane, pad in zip(key.planes, PADS, strict=True):
            assert np.array_equal(plane, padded(np.ascontiguousarray(plane[pad:-pad, pad:-pad]), pad))


def test_filters_of_clips_are_kept_by_range_and_repeat(cache: Path, encoded: Path) -> None:
    """Only ranges that some frame was in have filters; as many processes as you like make the same."""
    bases, made, said = load_bases(encoded / BASES), [], []
    for processes in (0, 2):
        with Workers(processes) as workers:
            found = learn_filters(Pieces(cache, 1, 3), COUNTS, bases, workers, lambda: False, said.append)
        assert found is not None
        check_filters(found.filters)
        made.append(found)
    for part in ("luma", "chroma"):
        assert np.array_equal(getattr(made[0].filters, part), getattr(made[1].filters, part))
    for part in ("pictures", "rates"):
        assert all(np.array_equal(a, b) for a, b in zip(getattr(made[0], part), getattr(bases, part), strict=True))
    jobs = [("clips", n) for n in range(3)] + [("stills", 0)]
    levels = [f.level for job in jobs for f in code_piece(Pieces(cache, 1, 3), *job, 3, bases)]
    used = {quality_of(level) * RANGES // QUALITIES for level in levels}
    assert {n for n in range(RANGES) if made[0].filters.luma[n].any()} <= used
    assert made[0].filters.luma.any()
    assert len(said) == 4
    assert said[:2] == said[2:]
    for number, line in enumerate(said[:2]):
        match = re.fullmatch(rf"filters, round {number + 1} of 2: {len(levels)} frames, costs left (.*)", line)
        assert match is not None
        shares = [float(share) for share in match[1].split(", ")]
        assert len(shares) == RANGES
        assert all(0 < share <= 1.0 for share in shares)
        assert min(shares) < 1.0


def test_a_stop_leaves_nothing(cache: Path, encoded: Path) -> None:
    """At once, among pieces, while filters are fitted, and in the second round."""
    bases, pieces = load_bases(encoded / BASES), Pieces(cache, 1, 3)
    with Workers(0) as workers:
        for after in (0, 2, 5, 11):
            calls = iter(range(99))
            stop = lambda calls=calls, after=after: next(calls) == after  # noqa: E731
            assert learn_filters(pieces, COUNTS, bases, workers, stop, lambda line: None) is None


def test_where_there_are_no_stills_clips_are_enough(tmp_path: Path, encoded: Path, cache: Path) -> None:
    (tmp_path / "train").symlink_to(cache / "train")
    bases = load_bases(encoded / BASES)
    with Workers(0) as workers:
        found = learn_filters(
            Pieces(tmp_path, 1, 3), FiltersCounts(1, 5, 2), bases, workers, lambda: False, lambda line: None
        )
    assert found is not None


def test_filters_make_the_second_round_from_what_they_changed(
    cache: Path, encoded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    code = restoration.code_piece

    def watched(*arguments: object) -> list[Deblocked]:
        seen.append(bool(arguments[-1].filters.luma.any()))  # type: ignore[attr-defined]
        return code(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(restoration, "code_piece", watched)
    with Workers(0) as workers:
        learn_filters(
            Pieces(cache, 1, 3), COUNTS, load_bases(encoded / BASES), workers, lambda: False, lambda line: None
        )
    assert seen == [False] * 4 + [True] * 4
