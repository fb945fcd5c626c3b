# SPDX-License-Identifier: Apache-2.0
"""Mixed contexts: the same bits on both sides, near the price of the best context, whatever is read."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nvcodec.entropy import binary
from nvcodec.entropy.mixing import LIMIT, ONE, RATES, SQUASH, STRETCH, code_mixed

SLOTS, INPUTS, ROWS = 40, 3, 4
SLOT_LIMIT, SPEED = 250, 6
Step = tuple[tuple[int, ...], int, int, int]  # slots, two rows of weights, bit


class Coder:
    def __init__(self, payload: bytes | None = None) -> None:
        self.slots = np.stack([np.full(SLOTS, ONE // 2, np.int32), np.zeros(SLOTS, np.int32)], 1)
        self.weights = np.full((ROWS, INPUTS), int(0.3 * ONE), np.int32)
        if payload is None:
            self.buffer = np.zeros(1 << 16, np.uint8)
            self.state = binary.start_writing(self.buffer)
        else:
            self.state, self.buffer = binary.start_reading(payload)

    def code(self, slots: tuple[int, ...], first: int, second: int, bit: int) -> int:
        chosen = np.array(slots, np.int64)
        return int(
            code_mixed(
                self.state, self.buffer, self.slots, chosen, len(slots), self.weights, first, second, SLOT_LIMIT, SPEED,
                bit,
            )
        )  # fmt: skip

    def finish(self) -> bytes:
        return binary.finish_writing(self.state, self.buffer)


def written(steps: list[Step]) -> tuple[bytes, Coder]:
    coder = Coder()
    for step in steps:
        assert coder.code(*step) == step[3]
    return coder.finish(), coder


ROW_NUMBERS = st.integers(0, ROWS - 1)
STEPS = st.tuples(st.tuples(*[st.integers(0, SLOTS - 1)] * INPUTS), ROW_NUMBERS, ROW_NUMBERS, st.integers(0, 1))


@given(st.lists(STEPS, max_size=200))
@example([((0, 1, 2), 0, 1, 1)] * 200)
@example([((0, 0, 0), 0, 0, n % 2) for n in range(200)])
def test_round_trip(steps: list[Step]) -> None:
    payload, writer = written(steps)
    reader = Coder(payload)
    assert [reader.code(*step[:3], 7) for step in steps] == [step[3] for step in steps]
    assert np.array_equal(reader.slots, writer.slots)
    assert np.array_equal(reader.weights, writer.weights)


def test_other_kinds_of_bits_stand_in_between() -> None:
    coder, contexts = Coder(), binary.new_contexts(1)
    for n in range(300):
        coder.code((n % 5, 7, 9), 0, 1, n % 3 == 0)
        binary.code_bit(coder.state, coder.buffer, contexts, 0, n % 2)
        binary.code_plain(coder.state, coder.buffer, n % 32, 5)
    reader, contexts = Coder(coder.finish()), binary.new_contexts(1)
    for n in range(300):
        assert reader.code((n % 5, 7, 9), 0, 1, 0) == (n % 3 == 0)
        assert binary.code_bit(reader.state, reader.buffer, contexts, 0, 0) == n % 2
        assert binary.code_plain(reader.state, reader.buffer, 0, 5) == n % 32


@pytest.mark.parametrize(("share", "excess"), [(0.5, 0.02), (0.2, 0.03), (0.03, 0.06)])
def test_bits_without_pattern_cost_their_entropy(share: float, excess: float) -> None:
    count, bits = 20_000, np.random.default_rng(1).random(20_000) < share
    for flipped in (False, True):
        payload, _ = written([((0, 1, 2), 0, 1, int(bit != flipped)) for bit in bits])
        entropy = -count * (share * np.log2(share) + (1 - share) * np.log2(1 - share))
        assert entropy * 0.97 < 8 * len(payload) < entropy * (1 + excess)


def test_the_context_that_knows_is_trusted() -> None:
    """One of three contexts tells bits that are 2% or 98% likely; the others tell nothing."""
    random = np.random.default_rng(2)
    count, sides = 20_000, random.integers(0, 2, 20_000)
    bits = sides ^ (random.random(count) < 0.02)
    steps = [
        ((int(side), 2 + int(random.integers(10)), 12 + int(random.integers(10))), 0, 1, int(bit))
        for side, bit in zip(sides, bits, strict=True)
    ]
    payload, _ = written(steps)
    entropy = -count * (0.02 * np.log2(0.02) + 0.98 * np.log2(0.98))
    assert 8 * len(payload) < entropy * 1.2


def test_two_contexts_that_each_know_a_part_beat_either() -> None:
    random = np.random.default_rng(3)
    count, a, b = 30_000, random.integers(0, 2, 30_000), random.integers(0, 2, 30_000)
    bits = random.random(count) < 1 / (1 + np.exp(-(3.0 * (2 * a - 1) + 2.0 * (2 * b - 1))))

    def nbytes(use_a: bool, use_b: bool) -> int:
        steps = [
            ((int(x) if use_a else 30, 2 + int(y) if use_b else 31, 32), 0, 1, int(bit))
            for x, y, bit in zip(a, b, bits, strict=True)
        ]
        return len(written(steps)[0])

    # what one of them knows beyond the other is worth much more than what mixing costs
    assert nbytes(True, True) < 0.9 * min(nbytes(True, False), nbytes(False, True))


def test_what_never_happens_costs_next_to_nothing() -> None:
    for bit in (0, 1):
        payload, _ = written([((0, 1, 2), 0, 1, bit)] * 20_000)
        assert 8 * len(payload) < 20_000 * 0.01


@given(st.binary(max_size=80), st.integers(0, 2**32 - 1))
@example(b"\xff" * 80, 0)
@example(b"", 1)
def test_any_bytes_leave_everything_in_range(payload: bytes, seed: int) -> None:
    reader, random = Coder(payload), np.random.default_rng(seed)
    reader.slots[:, 0] = random.integers(0, ONE, SLOTS)
    reader.weights[:] = random.integers(-(1 << 24), 1 << 24, reader.weights.shape)
    for _ in range(300):
        slots = tuple(int(n) for n in random.integers(0, SLOTS, INPUTS))
        assert reader.code(slots, int(random.integers(ROWS)), int(random.integers(ROWS)), 0) in (0, 1)
        assert (1 << 24) <= reader.state[binary.RANGE] <= 0xFFFFFFFF
    assert 0 <= reader.slots[:, 0].min() <= reader.slots[:, 0].max() < ONE
    assert 0 <= reader.slots[:, 1].min() <= reader.slots[:, 1].max() <= SLOT_LIMIT
    assert np.abs(reader.weights.astype(np.int64)).max() < 1 << 25


@pytest.mark.parametrize("seed", range(3))
def test_weights_stay_bounded_however_they_are_driven(seed: int) -> None:
    """The reader of a hostile stream takes any bits: here those that move the weights furthest."""
    random, coder = np.random.default_rng(seed), Coder()
    for n in range(20_000):
        slots = tuple(int(k) for k in random.integers(0, 6, INPUTS))
        if seed == 0:
            bit = n % 2
        elif seed == 1:  # always away from what the first slot says
            bit = int(coder.slots[slots[0], 0] < ONE // 2)
        else:
            bit = int(coder.slots[slots[0], 0] > ONE // 2) if n % 64 else int(random.integers(2))
        coder.code(slots, 0, n % ROWS, bit)
    assert np.abs(coder.weights).max() < 1 << 24
    assert 0 <= coder.slots[:, 0].min() <= coder.slots[:, 0].max() < ONE


def test_tables() -> None:
    """Logistic function and its inverse, as every machine must round them."""
    assert len(SQUASH) == 2 * LIMIT + 1
    assert (np.diff(SQUASH) >= 0).all()
    assert (np.abs(SQUASH + SQUASH[::-1] - ONE) <= 1).all()
    assert 0 < SQUASH[0] < SQUASH[-1] < ONE
    assert (np.diff(STRETCH) >= 0).all()
    assert np.abs(STRETCH).max() <= LIMIT
    assert (np.diff(RATES) <= 0).all()
    assert (RATES > 0).all()
    assert len(RATES) > SLOT_LIMIT
    pinned = hashlib.sha256(b"".join(t.astype("<i8").tobytes() for t in (SQUASH, STRETCH, RATES))).hexdigest()
    assert pinned[:32] == TABLES


def test_the_bytes_are_pinned() -> None:
    """A coder that writes other bytes needs another syntax version."""
    steps: list[Step] = [((n % 7, 8 + n % 5, 20), n % 2, 2 + n % 3 % 2, n * n % 7 & 1) for n in range(400)]
    payload, coder = written(steps)
    assert payload.hex() == PINNED
    assert (int(coder.slots[:, 0].sum()), int(coder.weights.sum())) == LEARNED


TABLES = "612fd70b6ebc14e1b2918b70d27fe244"
PINNED = "0051e2be6cb8e0a1da07e1eb3d4bf9b53a"
LEARNED = (1129141, 277477)
