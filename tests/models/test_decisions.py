# SPDX-License-Identifier: Apache-2.0
"""Single decisions: bits and magnitudes come back, each in its own context, and what is around makes them cheaper."""

from __future__ import annotations

import numpy as np
import pytest
from block_samples import Decisions, check_knowledge, confused, know_the_same, new_decisions
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nvcodec.entropy import binary
from nvcodec.models.kernels import decisions as module
from nvcodec.models.kernels.decisions import (
    AROUND,
    ASPECTS,
    BEFORE,
    CONTEXTS,
    DECISION_SLOTS,
    DIFFERENCE,
    FINER,
    FRAME_KINDS,
    INPUTS,
    LEVEL_BANDS,
    decide,
    decide_by,
    decide_magnitude,
    new_state,
)

COUNT = 5  # of the unary prefix
LARGEST = COUNT + (1 << 15) - 2  # whose exponential Golomb code has 14 more bits
MAGNITUDES = st.one_of(st.integers(0, 12), st.integers(0, LARGEST))
ASPECT = st.integers(0, ASPECTS - 1)


def written(values: list[tuple[int, int, int]], decisions: Decisions) -> bytes:
    """Magnitudes, each with what is around it and was before."""
    buffer = np.zeros(1 << 16, np.uint8)
    coder = binary.start_writing(buffer)
    for value, around, before in values:
        assert decide_magnitude(coder, buffer, decisions, DIFFERENCE, COUNT, around, before, value) == value
    return binary.finish_writing(coder, buffer)


@settings(max_examples=60)
@given(st.lists(st.tuples(MAGNITUDES, ASPECT, ASPECT), max_size=60))
@example([(n, 0, 0) for n in range(40)])
@example([(COUNT + (1 << k) + d, k, k) for k in range(1, 15) for d in (-2, -1, 0)])
def test_magnitudes_come_back(values: list[tuple[int, int, int]]) -> None:
    writing, reading = new_decisions(), new_decisions()
    coder, buffer = binary.start_reading(written(values, writing))
    for value, around, before in values:
        # what is there when reading must not matter
        assert decide_magnitude(coder, buffer, reading, DIFFERENCE, COUNT, around, before, 77) == value
    assert know_the_same(writing, reading)


@settings(max_examples=60)
@given(st.binary(max_size=200), st.integers(0, 2**32 - 1))
@example(b"\xff" * 200, 0)
@example(b"\0" + b"\xff" * 200, 1)
@example(b"", 2)
def test_any_bytes_are_magnitudes_within_their_range(payload: bytes, seed: int) -> None:
    random, (coder, buffer) = np.random.default_rng(seed), binary.start_reading(payload)
    decisions = confused(random)
    for _ in range(40):
        around, before = (int(n) for n in random.integers(0, ASPECTS, 2))
        assert 0 <= decide_magnitude(coder, buffer, decisions, FINER, 6, around, before, 0) <= 6 + (1 << 15) - 2
    check_knowledge(decisions)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, CONTEXTS - 1), ASPECT, ASPECT, st.integers(0, 1)), max_size=200))
@example([(CONTEXTS - 1, ASPECTS - 1, ASPECTS - 1, n % 2) for n in range(300)])
def test_decisions_come_back(steps: list[tuple[int, int, int, int]]) -> None:
    """With what is around and was before, told to each or kept in the state."""
    buffer, writing, reading = np.zeros(4096, np.uint8), new_decisions(), new_decisions()
    coder = binary.start_writing(buffer)
    for context, around, before, bit in steps:
        assert decide_by(coder, buffer, writing, context, around, before, bit) == bit
    coder, buffer = binary.start_reading(binary.finish_writing(coder, buffer))
    for context, around, before, bit in steps:
        reading[2][AROUND], reading[2][BEFORE] = around, before
        assert decide(coder, buffer, reading, context, 7) == bit
    assert know_the_same(writing, reading)


def test_slots_of_different_questions_are_different() -> None:
    """All that is asked for a decision lies within the slots, and no two ways of asking share one."""
    seen: dict[int, tuple[int, ...]] = {}
    buffer, decisions = np.zeros(64, np.uint8), new_decisions()
    coder, slots = binary.start_writing(buffer), decisions[0]
    for context in (0, 1, CONTEXTS - 1):
        for aspect in (0, 1, ASPECTS - 1):
            for band in range(2 * LEVEL_BANDS):
                decisions[2][module.BAND], decisions[2][module.FRAME_KIND] = band, band % FRAME_KINDS
                before = slots.copy()
                decide_by(coder, buffer, decisions, context, aspect, aspect, 0)
                chosen = np.flatnonzero((slots != before).any(1))  # what was asked learns
                asked = [
                    (0, context, band),
                    (1, context, aspect),
                    (2, context, aspect),
                    (3, context, band % FRAME_KINDS),
                ]
                for slot, question in zip(chosen[: INPUTS - 1].tolist(), asked, strict=True):
                    assert slot < DECISION_SLOTS - 1
                    assert seen.setdefault(slot, question) == question
                assert chosen[INPUTS - 1 :].tolist() == [DECISION_SLOTS - 1]
    assert len(set(seen.values())) == len(seen)


def test_states_tell_frames_apart() -> None:
    kinds = [
        new_state(1, True, d)[module.FRAME_KIND] for d in ((), (1,), (1, -1), (2, -2), (4, -4), (8, -8), (60, -60))
    ]
    assert kinds == [0, 1, 2, 3, 4, 5, 5]
    assert max(kinds) < FRAME_KINDS
    assert new_state(1, True, (-8, 3))[module.FRAME_KIND] == new_state(1, True, (3, 8))[module.FRAME_KIND]
    bands = [new_state(band, inter, ())[module.BAND] for band in range(LEVEL_BANDS) for inter in (False, True)]
    assert bands == list(range(2 * LEVEL_BANDS))


@pytest.mark.parametrize("aspect", ["around", "before"])
def test_what_is_around_and_was_before_makes_magnitudes_cheaper(aspect: str) -> None:
    nbytes = []
    for told in (True, False):
        random = np.random.default_rng(0)
        values = random.integers(0, 4, 1500)
        sides = values if told else random.integers(0, 4, 1500)
        pairs = [
            (int(v), int(s), 0) if aspect == "around" else (int(v), 0, int(s))
            for v, s in zip(values, sides, strict=True)
        ]
        nbytes.append(len(written(pairs, new_decisions())))
    assert nbytes[0] < 0.4 * nbytes[1]
