# SPDX-License-Identifier: Apache-2.0
"""Frames of the conditional codec: headers, windows, plans, and two sides that know the same after each frame."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.errors import DamagedStreamError
from nvcodec.media.test_pattern import moving_pattern
from nvcodec.models.conditional.frame_coder import WINDOW, FrameHeader, Window, read_varint, varint
from nvcodec.models.conditional.picture import Reference, rebuild
from nvcodec.models.conditional.sequence import (
    AHEAD,
    GROUP,
    PROFILES,
    VideoAnalyser,
    VideoDecoder,
    VideoEncoder,
    keyframe_level,
    plan_group,
    plan_low_delay,
)
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.quality import LEVELS

HEADERS = st.builds(
    FrameHeader,
    st.integers(0, LEVELS - 1),
    st.just(False),
    st.booleans(),
    st.integers(0, 63),
    st.lists(st.integers(0, WINDOW - 1), min_size=1, max_size=2).map(tuple),
)


@given(HEADERS)
def test_headers_come_back(header: FrameHeader) -> None:
    assert FrameHeader.from_bytes(header.to_bytes() + b"more", WINDOW, 64) == header
    keyframe = FrameHeader(header.level, True, header.kept, 0, ())
    assert FrameHeader.from_bytes(keyframe.to_bytes(), 0, 1) == keyframe


@given(st.binary(max_size=6), st.integers(0, WINDOW), st.integers(1, 64))
def test_any_header_is_sound_or_refused(data: bytes, window: int, frames: int) -> None:
    try:
        header = FrameHeader.from_bytes(data, window, frames)
    except DamagedStreamError:
        return
    assert 0 <= header.level < LEVELS
    assert header.place < frames
    assert header.intra == (not header.references)
    assert len(header.references) <= 2
    assert all(slot < window for slot in header.references)


@given(st.integers(0, (1 << 28) - 1))
def test_lengths_come_back(value: int) -> None:
    data = varint(value)
    assert read_varint(b"\xff" + data + b"\1", 1) == (value, 1 + len(data))
    assert len(data) <= 4
    for end in range(len(data)):
        with pytest.raises(DamagedStreamError):
            read_varint(data[:end], 0)


def test_lengths_without_an_end() -> None:
    with pytest.raises(DamagedStreamError):
        read_varint(b"\x80" * 10, 0)


def test_windows_keep_the_newest() -> None:
    window = Window()
    for n in range(30):
        window.add(n, kept=n % 3 > 0)
        assert window.last == n
    assert window.kept == [n for n in range(29, -1, -1) if n % 3][:WINDOW]
    window.clear()
    assert (window.kept, window.last) == ([], None)


# --- plans


@pytest.mark.parametrize("quality", [0, 20, 63])
def test_groups_refer_to_frames_that_are_there(quality: int) -> None:
    """Whole groups one after the other, then one of any length: all frames once, references coded before and kept, and
    before the wave of frames that are decided at once."""
    for tail in range(1, GROUP + 1):
        window, end, before = Window(), 0, None
        window.add(0, True)
        for count in (GROUP, GROUP, GROUP, tail):
            waves = plan_group(end, end + count, before, quality)
            assert all(waves)
            assert sorted(plan.number for wave in waves for plan in wave) == list(range(end + 1, end + count + 1))
            for wave in waves:
                there = set(window.kept)
                for plan in wave:
                    assert 0 <= plan.level < LEVELS
                    assert 1 <= len(plan.references) <= 2
                    assert len(set(plan.references)) == len(plan.references)
                    assert set(plan.references) <= there & set(window.kept)
                    window.add(plan.number, plan.kept)
            before, end = end, end + count


def test_low_delay_refers_to_frames_that_are_there() -> None:
    window = Window()
    window.add(0, True)
    for number in range(1, 60):
        plan = plan_low_delay(number, 30)
        assert plan.number == number
        assert plan.references[0] == number - 1
        assert set(plan.references) <= set(window.kept)
        assert len(set(plan.references)) == len(plan.references)
        window.add(number, plan.kept)


def test_keyframes_are_finer_and_rise_with_quality() -> None:
    levels = [keyframe_level(quality) for quality in range(LEVELS)]
    assert levels == sorted(levels)
    assert all(quality <= level < LEVELS for quality, level in enumerate(levels))
    before = None
    for worth in (-40, -9, 0, 5, 60):
        of = [keyframe_level(quality, worth) for quality in range(LEVELS)]
        assert of == sorted(of)
        assert 0 <= min(of) <= max(of) < LEVELS
        assert before is None or all(a >= b for a, b in zip(of, before, strict=True))
        before = of


@pytest.mark.parametrize("profile", PROFILES)
def test_units_come_when_their_group_is_there(weights: Weights, profile: str) -> None:
    """A keyframe waits for the frames after it, a group for the whole of the next one; with low delay nothing waits."""
    with ThreadPoolExecutor(1) as pool:
        analyser = VideoAnalyser(weights.bases, 32, 32, 20, pool, profile=profile, intra_period=2 * GROUP + AHEAD + 2)
        pattern = moving_pattern(32, 32, 2 * GROUP + AHEAD + 3)
        came = [[len(unit.planes) for unit in analyser.push(f.planes)] for f in pattern]
        rest = [len(unit.planes) for unit in analyser.flush()]
    if profile == "ld":
        assert came == [[1]] * (2 * GROUP + AHEAD + 3)
        assert rest == []
    else:
        waiting = [*[[]] * (GROUP + AHEAD), [1], *[[]] * (GROUP - 1)]
        assert came == [*waiting, [GROUP], [], [GROUP, AHEAD + 1]]
        assert rest == [1]


# --- both sides


@pytest.mark.parametrize("profile", PROFILES)
def test_both_sides_know_the_same_after_every_unit(weights: Weights, profile: str) -> None:
    encoder = VideoEncoder(weights, 48, 64, 36, profile=profile, threads=1)
    units = [unit for frame in moving_pattern(64, 48, 10) for unit in encoder.push(frame.planes)] + encoder.flush()
    decoder = VideoDecoder(weights, 48, 64, threads=1)
    for unit in units:
        for found, wanted in zip(decoder.decode(unit.payload, unit.keyframe), unit.planes, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    here, there = encoder._coder, decoder._coder
    assert here.learned is not None
    assert there.learned is not None
    for name, array in vars(here.learned).items():
        assert np.array_equal(array, getattr(there.learned, name)), name
    assert len(here.window.kept) == len(there.window.kept) == len(decoder._window.kept)
    for a, b in zip(here.window.kept, there.window.kept, strict=True):
        assert (a.number, a.distances) == (b.number, b.distances)
        assert np.array_equal(a.symbols, b.symbols)
        for name, array in vars(a.blocks).items():
            assert np.array_equal(array, getattr(b.blocks, name)), name


def test_planes_do_not_depend_on_how_rows_are_shared_out(weights: Weights) -> None:
    """`rebuild` on one thread and on several, of a frame with every kind of block."""
    encoder = VideoEncoder(weights, 64, 64, 30, threads=1)
    units = [unit for frame in moving_pattern(64, 64, 9) for unit in encoder.push(frame.planes)] + encoder.flush()
    results = []
    for threads in (1, 2):
        decoder, pool = VideoDecoder(weights, 64, 64, threads=1), ThreadPoolExecutor(threads)
        kept = Window()
        for unit in units:
            for header, number, blocks, symbols in decoder.read(unit.payload, unit.keyframe):
                references = [kept.kept[slot] for slot in header.references]
                planes = rebuild(blocks, symbols, header.level, references, weights.bases, pool)
                kept.add(Reference(planes, blocks, header.level, number), header.kept)
        results.append([plane.tobytes() for entry in kept.kept for plane in entry.planes])
    assert results[0] == results[1]


# --- damage


def test_after_damage_nothing_is_decoded_before_a_keyframe(weights: Weights) -> None:
    """The part that reads has seen a frame of the damaged unit that the part that makes pictures has not."""
    encoder = VideoEncoder(weights, 48, 64, 40, profile="ld", threads=1)
    units = [unit for frame in moving_pattern(64, 48, 3) for unit in encoder.push(frame.planes)] + encoder.flush()
    decoder = VideoDecoder(weights, 48, 64, threads=1)
    decoder.decode(units[0].payload, True)
    sound = units[1].payload[1:]
    with pytest.raises(DamagedStreamError):
        decoder.decode(bytes([2]) + varint(len(sound)) + sound + b"\x20", False)
    first, second = bytearray(sound), bytearray(sound)
    first[1:3], second[1:3] = bytes([1, 0xF1]), bytes([0, 0xF2])  # they refer to what only the reading part has
    with pytest.raises(DamagedStreamError, match="keyframe"):
        decoder.decode(bytes([2]) + varint(len(first)) + bytes(first) + bytes(second), False)
    with pytest.raises(DamagedStreamError, match="keyframe"):
        decoder.decode(units[1].payload, False)
    for unit in units:
        (found,) = decoder.decode(unit.payload, unit.keyframe)
        assert all(np.array_equal(a, b) for a, b in zip(found, unit.planes[0], strict=True))
