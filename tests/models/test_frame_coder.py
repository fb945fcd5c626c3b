# SPDX-License-Identifier: Apache-2.0
"""Units of the conditional codec as bytes: whatever their headers say comes back, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from block_samples import hide_signs
from hypothesis import given, settings
from hypothesis import strategies as st

from nvcodec.entropy import binary
from nvcodec.errors import DamagedStreamError
from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.conditional.frame_coder import (
    KEYFRAME_SLOT,
    MAX_UNIT_FRAMES,
    WINDOW,
    DecidedFrame,
    FrameCoder,
    FrameHeader,
    Window,
)
from nvcodec.models.conditional.plans import GROUP, SHORT_GROUP, plan_group
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.kernels.residual import SAMPLES
from nvcodec.models.quality import CHROMA_SCALES, LEVELS, LOWEST

ROWS, COLUMNS = 1, 2
LEVEL, CHROMA = LOWEST + 30, 10
Unit = tuple[int, list[FrameHeader]]  # number of its first frame in display order, headers in coding order


def frame(header: FrameHeader, first: int, random: np.random.Generator | None = None) -> DecidedFrame:
    """Intra blocks of one mode, of which some have symbols."""
    blocks, symbols = Blocks(ROWS, COLUMNS), np.zeros((ROWS, COLUMNS, SAMPLES), np.int16)
    if random is not None:
        symbols[..., :9] = random.integers(-1, 2, (ROWS, COLUMNS, 9)) * random.integers(0, 2, (ROWS, COLUMNS, 1))
        blocks.coded[:] = symbols.any(-1)
        hide_signs(blocks, symbols)
    return header, first + header.place, blocks, symbols


def same(a: DecidedFrame, b: DecidedFrame) -> bool:
    arrays = zip(vars(a[2]).values(), vars(b[2]).values(), strict=True)
    return a[:2] == b[:2] and np.array_equal(a[3], b[3]) and all(np.array_equal(x, y) for x, y in arrays)


@st.composite
def videos(draw: st.DrawFn) -> list[Unit]:
    """Units of any kind. Some are as an earlier one but for some chroma, some begin anew."""
    units: list[Unit] = []
    kept = first = 0
    for n in range(draw(st.integers(1, 7))):
        intra = n == 0 or draw(st.integers(0, 5)) == 5
        if intra:
            kept = first = 0
        before = draw(st.sampled_from(units))[1] if units and not intra else [FrameHeader(0, 0, True, 0, ())]
        farthest = max((slot % KEYFRAME_SLOT for header in before for slot in header.references), default=WINDOW)
        if not before[0].intra and farthest < kept and draw(st.booleans()):
            changed = draw(st.sets(st.integers(0, len(before) - 1)))
            chroma = draw(st.integers(0, len(CHROMA_SCALES) - 1))
            headers = [replace(h, chroma=chroma) if place in changed else h for place, h in enumerate(before)]
            kept += sum(h.kept for h in headers)
        else:
            headers = []
            for place in draw(st.permutations(range(draw(st.integers(1, 5) | st.just(MAX_UNIT_FRAMES))))):
                alone = intra and not headers  # later frames of a unit with a keyframe need it
                slots = st.just(KEYFRAME_SLOT) | st.integers(0, max(0, min(kept, WINDOW) - 1))
                references = () if alone else tuple(draw(st.lists(slots, min_size=1, max_size=2)))
                keep = alone or draw(st.booleans())
                level, chroma = draw(st.integers(0, LEVELS - 1)), draw(st.integers(0, len(CHROMA_SCALES) - 1))
                headers.append(FrameHeader(level, chroma, keep, place, references))
                kept += keep
        units.append((first, headers))
        first += len(headers)
    return units


@settings(max_examples=60)
@given(videos(), st.integers(0, 2**32 - 1))
def test_whatever_headers_say_comes_back(weights: Weights, units: list[Unit], seed: int) -> None:
    """With all decisions and symbols; and both sides have kept the same."""
    random, writer, reader = np.random.default_rng(seed), *(FrameCoder(weights, ROWS, COLUMNS) for _ in "ab")
    for first, headers in units:
        frames = [frame(header, first, random) for header in headers]
        payload = writer.encode(frames)
        assert payload[0] == len(frames)
        found = reader.decode(payload, headers[0].intra, first)
        assert all(same(a, b) for a, b in zip(found, frames, strict=True))
        windows = writer.window, reader.window
        numbers = [[known.number for known in (window.keyframe, *window.kept, window.last)] for window in windows]
        assert numbers[0] == numbers[1]
        assert numbers[0][-1] == frames[-1][1]


def test_energies_are_written_as_the_symbols_say(weights: Weights) -> None:
    """Whatever they were before."""
    random, header = np.random.default_rng(1), FrameHeader(LEVEL, CHROMA, True, 0, ())
    first, again = frame(header, 0, random), frame(header, 0, np.random.default_rng(1))
    again[2].energy[:] = 5
    payloads = [FrameCoder(weights, ROWS, COLUMNS).encode([one]) for one in (first, again)]
    assert payloads[0] == payloads[1]
    assert np.array_equal(first[2].energy, again[2].energy)


def groups(count: int, size: int, level: int = LEVEL) -> Iterator[Unit]:
    """A keyframe and groups as they are planned, the last frames of groups predicted from the keyframe, too."""
    yield 0, [FrameHeader(LEVEL + 10, CHROMA, True, 0, ())]
    window = Window()
    window.add(0, True)
    for begin in range(0, count * size, size):
        headers = []
        for plan in (plan for wave in plan_group(begin, begin + size, (0,), level - LOWEST) for plan in wave):
            numbers = (*plan.references, *plan.seconds)
            slots = tuple(window.kept.index(n) if n in window.kept else KEYFRAME_SLOT for n in numbers)
            headers.append(FrameHeader(plan.level, CHROMA, plan.kept, plan.number - begin - 1, slots))
            window.add(plan.number, plan.kept)
        yield begin + 1, headers


def lengths(weights: Weights, units: list[Unit]) -> list[int]:
    """Bytes of units in which nothing is coded; all of them are read again."""
    writer, reader = FrameCoder(weights, ROWS, COLUMNS), FrameCoder(weights, ROWS, COLUMNS)
    sizes = []
    for first, headers in units:
        frames = [frame(header, first) for header in headers]
        payload = writer.encode(frames)
        assert [found[0] for found in reader.decode(payload, headers[0].intra, first)] == headers
        sizes.append(len(payload))
    return sizes


@pytest.mark.parametrize("size", [GROUP, SHORT_GROUP])
def test_headers_as_in_the_group_before_cost_next_to_nothing(weights: Weights, size: int) -> None:
    """Twenty bits each where they are not, and another four where chroma is."""
    count = 14
    units = list(groups(count, size))
    assert units[5][1] == units[-1][1]  # from there on the keyframe is no longer among those kept
    usual = lengths(weights, units)
    assert all(one <= 1 + 4 + size // 2 for one in usual[6:])  # a count, what is left of the coder, 4 bits a frame
    others = [
        (first, [replace(h, level=h.level ^ (n & 1)) for h in headers]) for n, (first, headers) in enumerate(units)
    ]
    saved = np.subtract(lengths(weights, others), usual)[6:]
    assert (saved > 0.8 * size * 20 / 8).all()
    coloured = [
        (first, [replace(h, chroma=(n + place) % 16) for place, h in enumerate(headers)])
        for n, (first, headers) in enumerate(units)
    ]
    saved = np.subtract(lengths(weights, coloured), usual)[6:]
    assert (saved > 0.8 * size * 4 / 8).all()
    assert (saved < size * 6 / 8 + 2).all()


def test_headers_are_those_of_units_of_as_many_frames(weights: Weights) -> None:
    """Others between them, a last group of fewer frames say, do not make them dearer."""
    long, short = list(groups(12, GROUP)), [FrameHeader(LEVEL, CHROMA, False, 0, (0,))]
    first = long[-1][0] + GROUP
    units = [*long, (first, short), (first + 1, short), (first + 2, long[-1][1])]
    sizes = lengths(weights, units)
    assert sizes[-1] <= sizes[-4] + 1
    assert sizes[-2] <= sizes[-3]


def test_a_keyframe_forgets_headers(weights: Weights) -> None:
    """Units after it are the same bytes whatever came before it."""
    units = list(groups(4, GROUP))
    writer = FrameCoder(weights, ROWS, COLUMNS)
    again = [[writer.encode([frame(h, first) for h in headers]) for first, headers in units] for _ in range(2)]
    assert again[0] == again[1]


# --- what cannot be


def started(weights: Weights, kept: bool = True) -> tuple[FrameCoder, FrameCoder]:
    """Writer and reader after a keyframe."""
    writer, reader = FrameCoder(weights, ROWS, COLUMNS), FrameCoder(weights, ROWS, COLUMNS)
    reader.decode(writer.encode([frame(FrameHeader(LEVEL, CHROMA, kept, 0, ()), 0)]), True, 0)
    return writer, reader


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0" * 40, bytes([MAX_UNIT_FRAMES + 1]), b"\xff" * 40])
def test_units_of_no_frames_or_too_many(weights: Weights, payload: bytes) -> None:
    for keyframe in (True, False):
        with pytest.raises(DamagedStreamError, match=rf"a unit of \d+ frames: 1 to {MAX_UNIT_FRAMES}"):
            started(weights)[1].decode(payload, keyframe, 1)


def with_header_after(writer: FrameCoder, frames: list[DecidedFrame], data: bytes) -> bytes:
    """A unit of these frames and another, of which there is only a header of these bytes."""
    buffer, count = np.zeros(1000, np.uint8), len(frames) + 1
    coder = binary.start_writing(buffer)
    for n, (header, number, blocks, symbols) in enumerate(frames):
        writer._code_header(coder, buffer, header.to_bytes(), count, n, header.intra)
        writer._code(coder, buffer, header, number, blocks, symbols)
    writer._code_header(coder, buffer, data, count, len(frames), False)
    return bytes([count]) + binary.finish_writing(coder, buffer)


@pytest.mark.parametrize("keyframe", [False, True])
@pytest.mark.parametrize(
    ("data", "match"),
    [
        (bytes([LEVEL, CHROMA << 4 | 1, 0xFF]), "an intra frame stands where none is due"),
        (bytes([LEVELS, CHROMA << 4 | 1, 0xF0]), f"a frame of level {LEVELS}"),
        (bytes([LEVEL, 2, 0xF0]), "a frame at place 2 of a unit of 2"),
        (bytes([LEVEL, 1, 0x0F]), "a second reference and no first one"),
        (bytes([LEVEL, 1, 0xF2]), "refers to one before the [12] that are there"),
        (bytes([0x80 | LEVEL, 0xF1, 0xDE]), "refers to one before the [12] that are there"),
    ],
)
def test_headers_that_cannot_be(weights: Weights, data: bytes, match: str, keyframe: bool) -> None:
    """After a frame in the same unit."""
    writer, reader = started(weights)
    header = FrameHeader(LEVEL, CHROMA, True, 0, () if keyframe else (0,))
    payload = with_header_after(writer, [frame(header, 1)], data)
    with pytest.raises(DamagedStreamError, match=match):
        reader.decode(payload, keyframe, 1)


def test_keyframes_where_none_is_due_and_none_where_one_is(weights: Weights) -> None:
    key, other = FrameHeader(LEVEL, CHROMA, True, 0, ()), FrameHeader(LEVEL, CHROMA, True, 0, (0,))
    writer, reader = FrameCoder(weights, ROWS, COLUMNS), FrameCoder(weights, ROWS, COLUMNS)
    payload = writer.encode([frame(key, 0)])
    with pytest.raises(DamagedStreamError, match="an intra frame stands where none is due"):
        reader.decode(payload, False, 0)
    payload = with_header_after(FrameCoder(weights, ROWS, COLUMNS), [], other.to_bytes())
    with pytest.raises(DamagedStreamError, match="before the 0 that are there"):
        reader.decode(payload, True, 0)


@pytest.mark.parametrize("references", [(KEYFRAME_SLOT,), (KEYFRAME_SLOT, KEYFRAME_SLOT)])
def test_a_keyframe_that_is_not_kept_is_not_referred_to(weights: Weights, references: tuple[int, ...]) -> None:
    writer, reader = started(weights, kept=False)
    payload = writer.encode([frame(FrameHeader(LEVEL, CHROMA, True, 0, references), 1)])
    with pytest.raises(DamagedStreamError, match="before the 0 that are there"):
        reader.decode(payload, False, 1)
    with pytest.raises(DamagedStreamError, match="before the 0 that are there"):
        FrameCoder(weights, ROWS, COLUMNS).decode(payload, False, 1)  # before any keyframe


def test_frames_do_not_refer_to_one_of_their_own_time(weights: Weights) -> None:
    """Be it the keyframe, which may stand at any place of its unit."""
    first = FrameHeader(LEVEL, CHROMA, True, 1, (0,))
    for headers, keyframe in (
        ([first, replace(first, references=(0,))], False),
        ([first, replace(first, references=(1, 0))], False),
        ([replace(first, references=()), replace(first, references=(KEYFRAME_SLOT,))], True),
    ):
        writer, reader = started(weights)
        payload = writer.encode([frame(header, 5) for header in headers])
        with pytest.raises(DamagedStreamError, match="frame 6 refers to a frame of the same time"):
            reader.decode(payload, keyframe, 5)


def test_units_that_end_too_early_are_units_or_damage(weights: Weights) -> None:
    """Beyond the end zeros are read."""
    writer, _ = started(weights)
    random = np.random.default_rng(2)
    headers = [FrameHeader(LEVEL, CHROMA, True, place, (0,)) for place in range(4)]
    payload = writer.encode([frame(header, 1, random) for header in headers])
    damaged = 0
    for end in range(1, len(payload)):
        try:
            assert len(started(weights)[1].decode(payload[:end], False, 1)) == payload[0]
        except DamagedStreamError:
            damaged += 1
    assert damaged
