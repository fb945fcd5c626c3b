# SPDX-License-Identifier: Apache-2.0
"""Frames of the conditional codec: headers, windows, plans, and two sides that know the same after each frame."""

from __future__ import annotations

import itertools
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.errors import DamagedStreamError
from nvcodec.media.test_pattern import moving_pattern
from nvcodec.models.conditional import restoration
from nvcodec.models.conditional import shot as decisions
from nvcodec.models.conditional.analyser import VideoAnalyser
from nvcodec.models.conditional.cuts import differences
from nvcodec.models.conditional.efforts import ALL_DEPTHS, Tools
from nvcodec.models.conditional.frame import Blocks, Planes, Reference
from nvcodec.models.conditional.frame_coder import (
    KEYFRAME_SLOT,
    MAX_UNIT_FRAMES,
    WINDOW,
    FrameCoder,
    FrameHeader,
    Window,
    is_midway,
)
from nvcodec.models.conditional.picture import Statistics, rebuild, sample_keyframe
from nvcodec.models.conditional.plans import (
    GROUP,
    PROFILES,
    SHORT_GROUP,
    Plan,
    _half,
    keyframe_level,
    plan_group,
    plan_low_delay,
)
from nvcodec.models.conditional.sequence import Unit, VideoDecoder, VideoEncoder
from nvcodec.models.conditional.shot import (
    AHEAD,
    CHROMA_AT_FIRST,
    CHROMA_FACTOR,
    LEAST_ERROR,
    DecidedUnit,
    wanted_chroma,
)
from nvcodec.models.conditional.trials import TrialEncoder
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.depth import widen
from nvcodec.models.kernels.network import CHANNELS, TAPS
from nvcodec.models.kernels.restore import NETWORK as BY_NETWORK
from nvcodec.models.kernels.samples import apart_from_means, mean_squared_error
from nvcodec.models.network import network_of, no_network
from nvcodec.models.quality import CHROMA_SCALES, LEVELS, LOWEST, QUALITIES
from nvcodec.models.transform import chroma_weight, no_filters

HEADERS = st.builds(
    FrameHeader,
    st.integers(0, LEVELS - 1),
    st.integers(0, len(CHROMA_SCALES) - 1),
    st.booleans(),
    st.integers(0, MAX_UNIT_FRAMES - 1),
    st.lists(st.integers(0, WINDOW - 1) | st.just(KEYFRAME_SLOT), min_size=1, max_size=2).map(tuple),
)


@given(HEADERS)
def test_headers_come_back(header: FrameHeader) -> None:
    assert FrameHeader.from_bytes(header.to_bytes() + b"more", WINDOW, MAX_UNIT_FRAMES) == header
    keyframe = FrameHeader(header.level, header.chroma, header.kept, 0, ())
    assert FrameHeader.from_bytes(keyframe.to_bytes(), 0, 1) == keyframe


def test_a_frame_without_references_is_intra() -> None:
    assert FrameHeader(0, 0, True, 0, ()).intra
    for references in ((0,), (2,), (3, 0), (1, 1)):
        assert not FrameHeader(0, 0, True, 0, references).intra


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "at least 3"),
        (bytes([LEVELS - 1, 0]), "at least 3"),
        (bytes([LEVELS, 0, 0xFF]), f"level {LEVELS}: 0 to {LEVELS - 1}"),
        (bytes([0x7F, 0, 0xF0]), "level 127"),
        (bytes([0x80 | LEVELS, 0, 0xFF]), f"level {LEVELS}"),
        (bytes([30, 5, 0xF0]), "place 5 of a unit of 5"),
        (bytes([30, 0xF0 | 5, 0xF0]), "place 5 of a unit of 5"),
        (bytes([30, 4, 0x0F]), "second reference and no first"),
        (bytes([30, 4, 0xF3]), "before the 3 that are there"),
        (bytes([30, 4, 0x30]), "before the 3 that are there"),
        (bytes([30, 4, 0x3E]), "before the 3 that are there"),
        (bytes([30, 4, 0xEF]), "second reference and no first"),
    ],
)
def test_headers_that_cannot_be(data: bytes, match: str) -> None:
    """Of units of five frames, with three to refer to."""
    with pytest.raises(DamagedStreamError, match=match):
        FrameHeader.from_bytes(data, 3, 5)


@pytest.mark.parametrize("slots", [0xFE, 0xEE, 0xE0, 0x0E, 0xF0])
def test_headers_that_refer_to_something_where_nothing_is(slots: int) -> None:
    """The keyframe is there as long as any frame is."""
    for data in (bytes([30, 4, slots]), bytes([0x80 | 30, 0x70 | 4, slots])):
        with pytest.raises(DamagedStreamError, match="before the 0 that are there"):
            FrameHeader.from_bytes(data, 0, 5)
        assert len(FrameHeader.from_bytes(data, 1, 5).references) in (1, 2)


def test_headers_at_their_limits() -> None:
    """The bytes as the format says: level and whether later frames may use it, place and chroma, references."""
    for data, header in (
        (bytes([LEVELS - 1, 0xF0 | 4, 0xF2]), FrameHeader(LEVELS - 1, 15, True, 4, (2,))),
        (bytes([0x80, 0x40, 0x21]), FrameHeader(0, 4, False, 0, (1, 2))),
        (bytes([0x80 | LOWEST, 0x80 | 4, 0xFF]), FrameHeader(LOWEST, 8, False, 4, ())),
        (bytes([LOWEST, 0x10 | 1, 0xFE]), FrameHeader(LOWEST, 1, True, 1, (KEYFRAME_SLOT,))),
        (bytes([LOWEST, 0x10 | 1, 0xE2]), FrameHeader(LOWEST, 1, True, 1, (2, KEYFRAME_SLOT))),
        (bytes([LOWEST, 0x10 | 1, 0xEE]), FrameHeader(LOWEST, 1, True, 1, (KEYFRAME_SLOT, KEYFRAME_SLOT))),
    ):
        assert FrameHeader.from_bytes(data, 3, 5) == header
        assert header.to_bytes() == data


@given(st.binary(max_size=6), st.integers(0, WINDOW), st.integers(1, MAX_UNIT_FRAMES))
def test_any_header_is_sound_or_refused(data: bytes, window: int, frames: int) -> None:
    try:
        header = FrameHeader.from_bytes(data, window, frames)
    except DamagedStreamError:
        return
    assert 0 <= header.level < LEVELS
    assert 0 <= header.chroma < len(CHROMA_SCALES)
    assert header.place < frames
    assert header.intra == (not header.references)
    assert len(header.references) <= 2
    assert all(slot < window or (slot == KEYFRAME_SLOT and window) for slot in header.references)


@pytest.mark.parametrize("first", [0, 100])
def test_windows_keep_the_newest_and_the_keyframe(first: int) -> None:
    """Whether or not the keyframe is among those that are kept."""
    window = Window()
    for n in range(first, first + 40):
        window.add(n, kept=n % 3 > 0)
        assert window.last == n
        assert window.keyframe == window.at(KEYFRAME_SLOT) == first
    assert window.kept == [n for n in range(first + 39, first - 1, -1) if n % 3][:WINDOW]
    assert [window.at(slot) for slot in range(WINDOW)] == window.kept
    window.clear()
    assert (window.kept, window.keyframe, window.last) == ([], None, None)
    window.add("another", kept=True)
    assert (window.kept, window.at(KEYFRAME_SLOT), window.last) == (["another"], "another", "another")


def test_slots_are_frames_that_are_kept_or_the_keyframe_or_nothing() -> None:
    """No number means two of them."""
    assert WINDOW <= KEYFRAME_SLOT < 15


# --- plans


LENGTHS = (GROUP, SHORT_GROUP)  # of groups with others after them


def planned(groups: tuple[int, ...], quality: int) -> tuple[list[list[list[Plan]]], Window]:
    """Waves of groups of so many frames after a keyframe, the second reference of each last frame being any that may be
    one; checks that references are there, and were before the frames that are decided at once."""
    window, begins, end = Window(), [], 0
    window.add(0, True)
    plans = []
    for count in groups:
        seconds = tuple({n for n in (*begins[-1:], 0) if n in window.kept or n == 0} if end else ())
        waves = plan_group(end, end + count, seconds, quality)
        assert waves[0] == [Plan(end + count, waves[0][0].level, (end,), True, seconds)]
        for wave in waves:
            there = set(window.kept)
            for plan in wave:
                assert 1 <= len(plan.references) + bool(plan.seconds) <= 2
                assert len({*plan.references, *plan.seconds}) == len(plan.references) + len(plan.seconds)
                assert {*plan.references, *plan.seconds} - {0} <= there & set(window.kept)
                window.add(plan.number, plan.kept)
        begins.append(end)
        end += count
        plans.append(waves)
    return plans, window


@pytest.mark.parametrize("tail", range(1, GROUP + 1))
def test_groups_refer_to_frames_that_are_there(tail: int) -> None:
    """Long and short ones in any order, then one of any length: all frames once, references among those that are kept
    or the keyframe."""
    for before in (groups for n in range(5) for groups in itertools.product(LENGTHS, repeat=n)):
        plans, window = planned((*before, tail), 20)
        for n, waves in enumerate(plans):
            begin, end = sum(before[:n]), sum((*before, tail)[: n + 1])
            assert all(waves)
            assert sorted(plan.number for wave in waves for plan in wave) == list(range(begin + 1, end + 1))
        assert window.keyframe == 0
        assert sum((*before, tail)) in window.kept


@pytest.mark.parametrize("quality", [0, 20, 63])
@pytest.mark.parametrize("count", range(1, GROUP + 1))
def test_frames_of_a_group_are_between_their_references(count: int, quality: int) -> None:
    """But the last one; those that no other refers to are not kept, and the nearer two references are, the coarser is
    what is between them."""
    (waves,), _ = planned((count,), quality)
    (end,), *rest = waves
    assert (end.number, end.references, end.kept, end.level) == (count, (0,), True, LOWEST + quality)
    level_of = {end.number: end.level, 0: end.level}
    needed = {n for wave in waves for plan in wave for n in plan.references}
    for plan in (plan for wave in rest for plan in wave):
        low, high = plan.references
        assert low < plan.number < high
        assert plan.number - low == _half(high - low)
        assert plan.kept == (plan.number in needed)
        assert plan.level < min(level_of[low], level_of[high]) or plan.level == 0
        assert 0 <= plan.level < LEVELS
        level_of[plan.number] = plan.level
    assert len({level_of[n] for n in range(1, count + 1)}) <= 1 + math.ceil(math.log2(count) + 0.5)


def test_orders_of_whole_groups() -> None:
    """First what others need, then one half after the other, so that half of the frames at most are kept."""
    for begin in (0, 40):
        for count, wanted, kept in (
            (8, [[8], [4], [2, 6], [1, 3, 5, 7]], [8, 4, 2, 6]),
            (
                16,
                [[16], [8], [4, 12], [2, 6], [1, 3, 5, 7], [10, 14], [9, 11, 13, 15]],
                [16, 8, 4, 12, 2, 6, 10, 14],
            ),
        ):
            waves = plan_group(begin, begin + count, (), 20)
            assert [[plan.number - begin for plan in wave] for wave in waves] == wanted
            assert [plan.number - begin for wave in waves for plan in wave if plan.kept] == kept


def test_the_last_frame_may_have_a_second_reference() -> None:
    for seconds in ((), (0,), (8, 0)):
        (end,), *rest = plan_group(24, 40, seconds, 30)
        assert (end.references, end.seconds) == ((24,), seconds)
        assert not any(plan.seconds for wave in rest for plan in wave)


def test_where_groups_began_is_kept_unless_long_ones_follow_one_another() -> None:
    """What the last frame of a group may be predicted from besides the frame before the group and the keyframe."""
    for before in itertools.product(LENGTHS, repeat=4):
        plans, _ = planned((*before, GROUP), 20)
        (end,), *_ = plans[-1]
        began = sum(before[:-1])
        assert set(end.seconds) == ({0} if before[-2:] == (GROUP, GROUP) else {0, began})


def test_halves_are_powers_of_two() -> None:
    """The nearest to half of a span in ratio, on the lower side of what is left; exact where the span is one."""
    halves = [_half(span) for span in range(2, 4 * GROUP + 1)]
    assert halves == sorted(halves)
    for span, half in enumerate(halves, 2):
        assert half.bit_count() == 1
        assert 1 <= half < span
        assert half * math.sqrt(0.5) - 1e-9 <= span / 2 <= half * math.sqrt(2) + 1e-9 or span < 3
        if span.bit_count() == 1:
            assert 2 * half == span


def test_low_delay_refers_to_frames_that_are_there() -> None:
    window = Window()
    window.add(0, True)
    for number in range(1, 60):
        plan = plan_low_delay(number, 30)
        assert plan.number == number
        assert plan.references[0] == number - 1
        assert 1 <= len(plan.references) + bool(plan.seconds) <= 2
        assert {*plan.references, *plan.seconds} <= {0, *window.kept}
        assert len({*plan.references, *plan.seconds}) == len(plan.references) + len(plan.seconds)
        window.add(number, plan.kept)


def test_low_delay_refers_to_the_frame_before_and_to_a_finer_one_or_the_keyframe() -> None:
    """Every second frame may choose, as soon as the finer one is not the keyframe itself."""
    plans = [plan_low_delay(number, 30) for number in range(1, 14)]
    assert [(*plan.references, *plan.seconds) for plan in plans] == [
        *[(0,), (1, 0), (2, 0), (3, 0), (4, 0), (5, 4, 0), (6, 4), (7, 4, 0)],
        *[(8, 4), (9, 8, 0), (10, 8), (11, 8, 0), (12, 8)],
    ]
    assert [plan.number for plan in plans if plan.seconds] == [6, 8, 10, 12]
    assert all(plan.kept for plan in plans)


def test_last_frames_of_groups_and_every_eighth_in_low_delay_are_of_depth_0() -> None:
    """All others of a group are one deeper than the deeper of the two that they are between."""
    for count in range(1, GROUP + 1):
        waves = plan_group(40, 40 + count, (0,), 30)
        depths = {40: 0, 40 + count: 0}
        assert [plan.number for wave in waves for plan in wave if plan.depth == 0] == [40 + count]
        for plan in (plan for wave in waves[1:] for plan in wave):
            depths[plan.number] = plan.depth
            assert plan.depth == 1 + max(depths[number] for number in plan.references)
        assert max(depths.values()) < ALL_DEPTHS
    assert [plan.depth for wave in plan_group(0, 16, (), 30) for plan in wave] == [
        0,
        1,
        *[2] * 2,
        *[3] * 2,
        *[4] * 4,
        *[3] * 2,
        *[4] * 4,
    ]
    plans = [plan_low_delay(number, 30) for number in range(1, 50)]
    assert [plan.depth for plan in plans[:8]] == [4, 3, 4, 2, 4, 3, 4, 0]
    assert [plan.number for plan in plans if plan.depth == 0] == [8, 16, 24, 32, 40, 48]


@pytest.mark.parametrize("quality", [0, 1, 31, 62, 63])
def test_levels_are_those_of_the_quality_or_a_little_lower(quality: int) -> None:
    """The last frame of a group, and every fourth with low delay, are of the quality asked for; some levels are below
    those of any quality."""
    for count in LENGTHS:
        (end,), *rest = plan_group(0, count, (), quality)
        assert end.level == LOWEST + quality == plan_low_delay(4, quality).level
        levels = [plan.level for wave in rest for plan in wave]
        assert max(0, LOWEST + quality - 22) <= min(levels) <= max(levels) < LOWEST + quality
    levels = [plan_low_delay(number, quality).level for number in range(1, 9)]
    assert LOWEST + quality - 20 < min(levels) <= max(levels) == LOWEST + quality
    assert (min(levels) < LOWEST) == (quality < 8)


def test_keyframes_are_finer_and_rise_with_quality() -> None:
    levels = [keyframe_level(quality) for quality in range(QUALITIES)]
    assert levels == sorted(levels)
    assert all(LOWEST + quality < level < LEVELS for quality, level in enumerate(levels))
    before = None
    for worth in (-40, -9, 0, 5, 60):
        of = [keyframe_level(quality, worth) for quality in range(QUALITIES)]
        assert of == sorted(of)
        assert 0 <= min(of) <= max(of) < LEVELS
        assert before is None or all(a >= b for a, b in zip(of, before, strict=True))
        before = of


def views(tops: list[int], width: int = 32, height: int = 96) -> list[Planes]:
    """A texture seen through a window that goes up and down: its upper edge in each frame."""
    y, u, v = next(iter(moving_pattern(width, height + max(tops) + 1, 1, seed=1))).planes
    return [(y[top : top + height], u[top // 2 :][: height // 2], v[top // 2 :][: height // 2]) for top in tops]


@pytest.mark.parametrize(("profile", "speed"), [("ld", 1), ("ra", 1), ("ra", 7)])
def test_units_come_when_their_group_is_there(weights: Weights, profile: str, speed: int) -> None:
    """A keyframe waits for the frames after it, a group for what is looked at to know how long the next one is; with
    low delay nothing waits."""
    size = GROUP if speed == 1 else SHORT_GROUP
    with ThreadPoolExecutor(1) as pool:
        analyser = VideoAnalyser(weights.bases, 96, 32, 20, pool, profile=profile, intra_period=2 * GROUP + AHEAD + 2)
        frames = views([speed * n for n in range(2 * GROUP + AHEAD + 3)])
        came = [[len(unit.planes) for unit in analyser.push(planes)] for planes in frames]
        rest = [len(unit.planes) for unit in analyser.flush()]
    if profile == "ld":
        assert came == [[1]] * (2 * GROUP + AHEAD + 3)
        assert rest == []
    else:
        waiting = [*[[]] * (GROUP + AHEAD), [1]]
        whole = GROUP // size
        last = [SHORT_GROUP, SHORT_GROUP, AHEAD + 1] if whole > 1 else [GROUP, AHEAD + 1]
        assert came == [*waiting, *[*[[]] * (size - 1), [size]] * whole, [], last]
        assert rest == [1]


# --- both sides


def coded(encoder: VideoEncoder, frames: list[Planes]) -> list[Unit]:
    """All of their units."""
    return [unit for planes in frames for unit in encoder.push(planes)] + encoder.flush()


@pytest.mark.parametrize("profile", PROFILES)
def test_both_sides_know_the_same_after_every_unit(weights: Weights, profile: str) -> None:
    """In random access after short groups and long ones, so many that the keyframe is no longer among those kept."""
    encoder = VideoEncoder(weights, 96, 32, 36, profile=profile, preset="fast", threads=1)
    tops = [*range(52), *range(52, 192, 7), *range(192, 144, -1)] if profile == "ra" else [*range(20)]
    units = coded(encoder, views(tops))
    assert [unit.keyframe for unit in units] == [True] + [False] * (len(units) - 1)
    assert len(units) == len(tops) or {GROUP, SHORT_GROUP} <= {len(unit.planes) for unit in units}
    decoder, slots = VideoDecoder(weights, 96, 32, threads=1), set()
    for unit in units:
        frames = decoder.read(unit.payload, unit.keyframe)
        slots |= {slot for header, *_ in frames for slot in header.references}
        for found, wanted in zip(decoder.rebuild(frames), unit.planes, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert KEYFRAME_SLOT in slots or profile == "ld"
    here, there = encoder._coder, decoder._coder
    assert here.learned is not None
    assert there.learned is not None
    for name, array in vars(here.learned).items():
        assert np.array_equal(array, getattr(there.learned, name)), name
    assert len(here.window.kept) == len(there.window.kept) == len(decoder._window.kept) == WINDOW
    assert all(entry.number > here.window.keyframe.number == 0 for entry in here.window.kept)
    ours, theirs = ([window.keyframe, *window.kept] for window in (here.window, there.window))
    assert [entry.number for entry in ours] == [
        decoder._window.keyframe.number,
        *(e.number for e in decoder._window.kept),
    ]
    for a, b in zip(ours, theirs, strict=True):
        assert (a.number, a.distances) == (b.number, b.distances)
        assert np.array_equal(a.symbols, b.symbols)
        for name, array in vars(a.blocks).items():
            assert np.array_equal(array, getattr(b.blocks, name)), name


def working() -> list[threading.Thread]:
    """Threads of encoders."""
    return [t for t in threading.enumerate() if t.name.startswith(("decisions", "pictures", "entropy"))]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("make", [VideoEncoder, partial(TrialEncoder, preset="slow")])
def test_an_encoder_that_is_abandoned_ends_soon(weights: Weights, profile: str, make: Any) -> None:
    """With what it is at: frames that wait are not decided on."""
    before, decided_on = set(working()), []
    encoder = make(weights, 96, 64, 30, profile=profile)
    for frame in moving_pattern(64, 96, GROUP + AHEAD + 4):
        encoder.push(frame.planes)
    for one in getattr(encoder, "_trials", [encoder]):
        one._decide = decided_on.append
        one._undecided.append(one._decider.submit(time.sleep, 0.5))
        one._undecided += [one._decider.submit(one._decide, n) for n in range(3)]
    encoder.abandon()
    for thread in set(working()) - before:
        thread.join(30)
        assert not thread.is_alive()
    assert decided_on == []


def test_what_an_abandoned_encoder_waits_for_comes(weights: Weights) -> None:
    """Jobs for pictures are not cancelled: who waits for the first of several to end would wait for ever."""
    encoder, go = VideoEncoder(weights, 48, 64, 30, threads=2), threading.Event()
    jobs = [encoder._pool.submit(go.wait) for _ in range(4)]
    encoder.abandon()
    go.set()
    assert all(job.result(30) for job in jobs)
    with pytest.raises(RuntimeError, match="shutdown"):
        encoder.push(next(iter(moving_pattern(64, 48, 1))).planes)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("profile", PROFILES)
def test_decoders_make_the_same_of_units_in_any_number_of_threads(weights: Weights, profile: str, threads: int) -> None:
    """Frames that do not need each other side by side; after a jump to a later keyframe, too."""
    encoder = VideoEncoder(weights, 96, 64, 36, profile=profile, intra_period=GROUP + 3, threads=threads)
    units = coded(encoder, [frame.planes for frame in moving_pattern(64, 96, 2 * GROUP + 9)])
    second = [n for n, unit in enumerate(units) if unit.keyframe][1]
    decoder = VideoDecoder(weights, 96, 64, threads=threads)
    for unit in [*units, *units[second:], *units[:1]]:
        for found, wanted in zip(decoder.decode(unit.payload, unit.keyframe), unit.planes, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(("back", "slot"), [(8, 7), (20, KEYFRAME_SLOT)])
def test_low_delay_goes_back_to_the_keyframe_for_what_comes_back(weights: Weights, back: int, slot: int) -> None:
    """Half of the picture is another until then. The frame that shows it again refers to the keyframe, by its place
    among those kept or, long after it, by a number of its own."""
    first, other = (next(iter(moving_pattern(64, 96, 1, seed=seed))).planes for seed in (1, 5))
    mixed = tuple(np.concatenate([a[: len(a) // 2], b[len(b) // 2 :]]) for a, b in zip(first, other, strict=True))
    frames = [first if number in (0, back) else mixed for number in range(back + 3)]
    units = coded(VideoEncoder(weights, 96, 64, 30, profile="ld", threads=1), frames)
    assert [unit.keyframe for unit in units] == [True] + [False] * (back + 2)
    decoder, references = VideoDecoder(weights, 96, 64, threads=1), {}
    for unit in units:
        ((header, number, *rest),) = decoder.read(unit.payload, unit.keyframe)
        references[number] = header.references
        for found, wanted in zip(decoder.rebuild([(header, number, *rest)]), unit.planes, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert references[back] == (0, slot)
    for number in range(1, back + 3):
        if number != back:
            plan = plan_low_delay(number, 30)
            choices = [(*plan.references, second) for second in plan.seconds] or [plan.references]
            places = [tuple(number - 1 - n if n or number <= WINDOW else KEYFRAME_SLOT for n in c) for c in choices]
            assert references[number] in places, number


def test_planes_do_not_depend_on_how_rows_are_shared_out(weights: Weights) -> None:
    """`rebuild` on one thread and on several, of a frame with every kind of block."""
    encoder = VideoEncoder(weights, 64, 64, 30, threads=1)
    units = coded(encoder, [frame.planes for frame in moving_pattern(64, 64, 9)])
    results = []
    for threads in (1, 2):
        decoder, pool = VideoDecoder(weights, 64, 64, threads=1), ThreadPoolExecutor(threads)
        kept = Window()
        for unit in units:
            for header, number, blocks, symbols in decoder.read(unit.payload, unit.keyframe):
                references = [kept.at(slot) for slot in header.references]
                midway = is_midway(tuple(number - entry.number for entry in references))
                planes = rebuild(blocks, symbols, header.level, header.chroma, references, midway, weights.bases, pool)
                kept.add(Reference(planes, blocks, header.level, number), header.kept)
        results.append([plane.tobytes() for entry in kept.kept for plane in entry.planes])
    assert results[0] == results[1]


# --- the network


def smoothed(weights: Weights) -> Weights:
    """Without filters, and with a network that moves all samples a little towards the mean around them."""
    layer = no_network().layers[0]
    towards = np.zeros_like(layer.weights)
    towards[range(CHANNELS), range(CHANNELS), TAPS // 2] = -1
    network = network_of((replace(layer, weights=towards),))
    return replace(weights, bases=replace(weights.bases, filters=no_filters(), network=network))


def foggy(count: int) -> list[Planes]:
    """A moving picture without anything sharp, for which low qualities make steps."""
    frames = []
    for frame in moving_pattern(64, 48, count, seed=3):
        planes = []
        for plane in frame.planes:
            wide = plane.astype(float)
            for axis in (0, 1) * 6:
                wide = (np.roll(wide, 1, axis) + 2 * wide + np.roll(wide, -1, axis)) / 4
            planes.append(wide.astype(np.uint8))
        frames.append((planes[0], planes[1], planes[2]))
    return frames


def with_network(weights: Weights, profile: str, depth: int, preset: str = "medium", quality: int = 4) -> list[Unit]:
    """Units of a video whose frames may be restored by the network up to a depth."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restoration, "BANK_BITS", 0.0)  # whatever little it is worth
        tools = Tools(network=depth)
        encoder = VideoEncoder(weights, 48, 64, quality, profile=profile, preset=preset, tools=tools, threads=1)
        return coded(encoder, foggy(18))


@pytest.fixture(scope="module", params=PROFILES)
def by_network(request: pytest.FixtureRequest, weights: Weights) -> tuple[str, Weights, list[Unit]]:
    """Profile, weights, and units of which some are restored by the network."""
    changed = smoothed(weights)
    return request.param, changed, with_network(changed, request.param, 0)


def restored(weights: Weights, units: list[Unit]) -> list[int]:
    """Numbers of frames that the network restores somewhere."""
    decoder = VideoDecoder(weights, 48, 64, threads=1)
    frames = [frame for unit in units for frame in decoder.read(unit.payload, unit.keyframe)]
    assert not any(((blocks.banks > 0) & (blocks.banks < BY_NETWORK)).any() for _, _, blocks, _ in frames)
    return [number for _, number, blocks, _ in frames if blocks.banks.any()]


def test_the_network_restores_frames_of_which_it_is_said(by_network: tuple[str, Weights, list[Unit]]) -> None:
    """Keyframes, and as they are planned; what it makes others are predicted from."""
    profile, weights, units = by_network
    found = restored(weights, units)
    ends = set(itertools.accumulate((len(unit.planes) for unit in units[1:]), initial=0))
    assert 0 in found
    assert set(found) <= (ends if profile == "ra" else {0, 8, 16})
    decoder = VideoDecoder(weights, 48, 64, threads=1)
    for unit in units:
        for planes, wanted in zip(decoder.decode(unit.payload, unit.keyframe), unit.planes, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(planes, wanted, strict=True))


def depths_of(units: list[Unit]) -> dict[int, int]:
    """Of each frame of a keyframe and groups, how deep in its group it is."""
    ends, depths = list(itertools.accumulate(len(unit.planes) for unit in units)), {0: 0}
    for begin, end in itertools.pairwise(ends):
        depths |= {plan.number: plan.depth for wave in plan_group(begin - 1, end - 1, (), 4) for plan in wave}
    return depths


@pytest.mark.parametrize("depth", [-1, 1, 3, ALL_DEPTHS])
def test_fast_has_the_network_in_keyframes_and_ends_of_groups(weights: Weights, depth: int) -> None:
    """And in all in a stream of the size whose decoders have it for every frame."""
    changed = smoothed(weights)
    units = with_network(changed, "ra", depth, "fast", quality=18)
    depths = depths_of(units)
    found = {depths[number] for number in restored(changed, units)}
    ends = {0} if depth >= 0 else set()
    assert found > ends if depth == ALL_DEPTHS else found == ends


@pytest.mark.parametrize("depth", [-1, 1, 2, ALL_DEPTHS])
def test_the_network_restores_frames_up_to_a_depth(by_network: tuple[str, Weights, list[Unit]], depth: int) -> None:
    """And no decoder that has it needs to know to which."""
    profile, weights, first = by_network
    units = with_network(weights, profile, depth)
    depths = {0: 0}
    if profile == "ld":
        depths |= {number: plan_low_delay(number, 4).depth for number in range(1, 18)}
    else:
        depths = depths_of(units)
    found = {depths[number] for number in restored(weights, units)}
    assert len(depths) == 18
    if depth < 0:
        assert not found
    else:
        assert 0 in found
        assert max(found) <= depth
        more = depth >= (2 if profile == "ld" else 1)  # in low delay there are no middles of groups
        assert (len(found) > 1) == more
        assert ([unit.payload for unit in units] != [unit.payload for unit in first]) == more
    for tools in (Tools(network=0), Tools(network=1), Tools(network=ALL_DEPTHS)):
        decoder = VideoDecoder(weights, 48, 64, tools=tools, threads=1)
        for unit in units:
            for planes, wanted in zip(decoder.decode(unit.payload, unit.keyframe), unit.planes, strict=True):
                assert all(np.array_equal(a, b) for a, b in zip(planes, wanted, strict=True))


def test_sizes_without_the_network_neither_use_it_nor_decode_what_does(
    by_network: tuple[str, Weights, list[Unit]],
) -> None:
    profile, weights, units = by_network
    without = Tools(flow=False, network=-1)
    decoder = VideoDecoder(weights, 48, 64, tools=without, threads=1)
    with pytest.raises(DamagedStreamError, match="a frame is restored by the network in a stream of a size without"):
        decoder.decode(units[0].payload, True)
    with pytest.raises(DamagedStreamError, match="keyframe"):
        decoder.decode(units[1].payload, False)
    own = coded(VideoEncoder(weights, 48, 64, 4, profile=profile, tools=without, threads=1), foggy(18))
    assert restored(weights, own) == []
    for unit in own:
        for planes, wanted in zip(decoder.decode(unit.payload, unit.keyframe), unit.planes, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(planes, wanted, strict=True))


@pytest.mark.parametrize("threads", [1, 2])
def test_one_unit_of_the_network_anywhere_is_damage_to_sizes_without(
    by_network: tuple[str, Weights, list[Unit]], threads: int
) -> None:
    """In the last frame of a unit, too."""
    _, weights, _ = by_network
    first = coded(VideoEncoder(weights, 48, 64, 40, tools=Tools(network=-1), threads=1), foggy(1))[0]
    depths = (-1, 0, ALL_DEPTHS)
    decoders = [VideoDecoder(weights, 48, 64, tools=Tools(network=n), threads=threads) for n in depths]
    writer, frames = FrameCoder(weights, 3, 4), [frame_after(1, 0, (0,)), frame_after(1, 1, (0,))]
    writer.decode(first.payload, True, 0)
    frames[1][2].banks[1, 1] = BY_NETWORK
    payload = writer.encode(frames)
    for decoder, depth in zip(decoders, depths, strict=True):
        decoder.decode(first.payload, True)
        if depth >= 0:
            assert len(decoder.decode(payload, False)) == 2
        else:
            with pytest.raises(DamagedStreamError, match="restored by the network"):
                decoder.decode(payload, False)


# --- how much chroma counts


def widened(planes: Planes) -> Planes:
    """As they are inside the codec."""
    y, u, v = (widen(plane) for plane in planes)
    return y, u, v


def with_errors(source: Planes, *shares: float) -> Planes:
    """Planes that differ by 16 in so many samples."""
    planes = []
    for plane, share in zip(source, shares, strict=True):
        changed = plane.copy().ravel()
        changed[: round(share * changed.size)] ^= 16
        planes.append(changed.reshape(plane.shape))
    return planes[0], planes[1], planes[2]


def test_mean_squared_errors() -> None:
    random = np.random.default_rng(0)
    a, b = (random.integers(0, 1024, (24, 40)).astype(np.uint16) for _ in range(2))
    assert mean_squared_error(a, b) == pytest.approx(float(((a.astype(float) - b) ** 2).mean()))
    assert mean_squared_error(a, a) == 0
    assert mean_squared_error(np.zeros((2, 2), np.uint16), np.full((2, 2), 1023, np.uint16)) == 1023**2


def test_differences_to_means_of_whole_squares() -> None:
    plane = np.random.default_rng(0).integers(0, 1024, (26, 39)).astype(np.int32)
    tiles = plane[:24, :36].reshape(6, 4, 9, 4)
    wanted = np.abs(tiles - tiles.mean((1, 3), keepdims=True)).sum()
    assert apart_from_means(plane) == pytest.approx(float(wanted), rel=1e-12)
    assert apart_from_means(np.full((8, 8), 1023, np.int32)) == 0


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.integers(0, 2**32 - 1))
def test_the_wanted_weight_of_chroma_is_the_nearest_to_what_psnr_asks_for(shares: list[float], seed: int) -> None:
    """The derivative of (6 Y + U + V) / 8 of PSNR by what is lost of U and V, as that of Y is one, and its root."""
    random = np.random.default_rng(seed)
    y, u, v = (random.integers(0, 1024, shape).astype(np.uint16) for shape in ((32, 48), (16, 24), (16, 24)))
    decoded = with_errors((y, u, v), *shares)
    lost = [
        max(float(((a.astype(float) - b) ** 2).mean()), LEAST_ERROR) for a, b in zip((y, u, v), decoded, strict=True)
    ]
    # there are four times as many samples of luma: 6 / 4 of U and of V together, which makes 3 for each of them
    wanted = math.log(CHROMA_FACTOR * math.sqrt(lost[0] / 3 * (1 / lost[1] + 1 / lost[2])))
    distances = [abs(wanted - math.log(chroma_weight(chroma))) for chroma in range(len(CHROMA_SCALES))]
    found = wanted_chroma((y, u, v), decoded)
    assert 0 <= found < len(CHROMA_SCALES)
    assert distances[found] <= min(distances) + 1e-9


def test_chroma_counts_the_more_the_better_it_is_already() -> None:
    """From the least to the most; planes that are the same are no division by nothing."""
    source = widened(next(iter(moving_pattern(64, 48, 1))).planes)
    found = [wanted_chroma(source, with_errors(source, 0.5, share, share)) for share in (1, 0.3, 0.1, 0.05, 0.02, 0)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, len(CHROMA_SCALES) - 1)
    assert wanted_chroma(source, source) in range(len(CHROMA_SCALES))
    assert wanted_chroma(source, with_errors(source, 1, 0, 0)) == len(CHROMA_SCALES) - 1
    assert wanted_chroma(source, with_errors(source, 0, 1, 1)) == 0


def coloured(count: int, amount: float) -> list[Planes]:
    """A moving picture whose chroma is so many times as lively."""
    frames = []
    for frame in moving_pattern(64, 48, count, seed=4):
        u, v = ((128 + amount * (p.astype(float) - 128)).clip(0, 255).astype(np.uint8) for p in frame.planes[1:])
        frames.append((frame.planes[0], u, v))
    return frames


def decided(weights: Weights, frames: list[Planes], profile: str, **settings: object) -> list[DecidedUnit]:
    with ThreadPoolExecutor(1) as pool:
        analyser = VideoAnalyser(weights.bases, 48, 64, 30, pool, profile=profile, **settings)  # type: ignore[arg-type]
        return [unit for frame in frames for unit in analyser.push(frame)] + analyser.flush()


@pytest.mark.parametrize("profile", PROFILES)
def test_chroma_counts_as_what_was_lost_before_says(
    weights: Weights, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With low delay in the frame before, else in the last frame of the group, and in that of the one before it; before
    anything is rounded to eight bits."""
    monkeypatch.setattr(decisions, "cut", lambda planes, height, width: planes)
    seen: set[int] = set()
    for amount in (0.0, 1.0, 3.0):
        frames = coloured(2 * GROUP + 1, amount)
        units = decided(weights, frames, profile)
        assert [unit.frames[0][0].intra for unit in units] == [True] + [False] * (len(units) - 1)
        ends = list(itertools.accumulate(len(unit.planes) for unit in units))  # in low delay all frames
        counts = {number: header.chroma for unit in units for header, number, *_ in unit.frames}
        seen |= set(counts.values())
        shown = [planes for unit in units for planes in unit.planes]
        lost = [wanted_chroma(widened(source), planes) for source, planes in zip(frames, shown, strict=True)]
        assert len(counts) == len(lost) == ends[-1]
        for begin, after in itertools.pairwise(ends):
            for number in range(begin, after):
                assert counts[number] == lost[begin - 1 if number == after - 1 else after - 1], number
    assert len(seen) > 1


@pytest.mark.parametrize("profile", PROFILES)
def test_keyframes_are_coded_as_a_sample_of_them_says_that_chroma_counts(
    weights: Weights, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But where statistics are kept, which are of what is coded at first."""
    tried: list[int] = []
    choose = decisions.choose

    def watched(*arguments: Any) -> Any:
        if not arguments[3]:
            tried.append(arguments[2])
        return choose(*arguments)

    monkeypatch.setattr(decisions, "choose", watched)
    wanted = set()
    for amount in (0.0, 1.0, 3.0):
        frames = coloured(2, amount)
        (header, *_), *_ = decided(weights, frames, profile)[0].frames
        assert tried == [header.chroma]
        wanted.add(header.chroma)
        tried.clear()
        (header, *_), *_ = decided(weights, frames, profile, statistics=Statistics())[0].frames
        assert tried == [header.chroma] == [CHROMA_AT_FIRST]
        tried.clear()
    assert len(wanted) > 1


def test_every_third_row_of_quads_is_a_sample_of_a_keyframe(weights: Weights) -> None:
    """Each as if it were alone."""
    random = np.random.default_rng(3)
    source = tuple(random.integers(0, 1024, (16 * 25 // s, 16 * 4 // s)).astype(np.uint16) for s in (1, 2, 2))
    finer = np.zeros((13, 2), np.int8)
    with ThreadPoolExecutor(2) as pool:
        planes, rows = sample_keyframe(source, LOWEST + 60, 10, finer, weights.bases, pool)
    assert [rows[64 * n : 64 * (n + 1)].all() for n in range(7)] == [n % 3 == 0 for n in range(7)]
    assert [rows[64 * n : 64 * (n + 1)].any() for n in range(7)] == [n % 3 == 0 for n in range(7)]
    assert len(rows) == 16 * 25
    for plane, wanted, seen in zip(planes, source, (rows, rows[::2], rows[::2]), strict=True):
        assert mean_squared_error(plane[seen], wanted[seen]) < 1600


# --- damage


def frame_after(number: int, place: int, references: tuple[int, ...]) -> tuple[FrameHeader, int, Blocks, np.ndarray]:
    """One that adds nothing, at a place of a unit that begins with a frame of that number."""
    header = FrameHeader(LOWEST + 30, 10, True, place, references)
    return header, number + place, Blocks(3, 4), np.zeros((3, 4, 384), np.int16)


def test_after_damage_nothing_is_decoded_before_a_keyframe(weights: Weights) -> None:
    """The part that reads has seen frames of the damaged unit that the part that makes pictures has not."""
    encoder = VideoEncoder(weights, 48, 64, 40, profile="ld", threads=1)
    units = coded(encoder, [frame.planes for frame in moving_pattern(64, 48, 3)])
    decoder = VideoDecoder(weights, 48, 64, threads=1)
    for second, match in (((0,), "same time"), ((1,), "same place")):
        decoder.decode(units[0].payload, True)
        writer = FrameCoder(weights, 3, 4)
        writer.decode(units[0].payload, True, 0)  # now it knows what the decoder knows
        damaged = writer.encode([frame_after(1, 0, (0,)), frame_after(1, 0, second)])
        with pytest.raises(DamagedStreamError, match=match):
            decoder.decode(damaged, False)
        sound = writer.encode([frame_after(3, 0, (2,)), frame_after(3, 1, (2,))])
        with pytest.raises(DamagedStreamError, match="keyframe"):
            decoder.decode(sound, False)
        with pytest.raises(DamagedStreamError, match="keyframe"):
            decoder.decode(units[1].payload, False)
        for unit in units:
            (found,) = decoder.decode(unit.payload, unit.keyframe)
            assert all(np.array_equal(a, b) for a, b in zip(found, unit.planes[0], strict=True))


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_differences_look_at_every_other_row_of_blocks(rows: int) -> None:
    """In time."""
    random = np.random.default_rng(rows)
    small = random.integers(0, 1024, (4 * rows + 4, 24)).astype(np.int32)
    assert differences(small, small)[0] == 0
    assert differences(small, small + 1000)[0] == pytest.approx(1000, abs=400)
    changed = small.copy()
    changed[: 4 * rows + 2] += 5
    assert 0 < differences(small, changed)[0] <= 5
