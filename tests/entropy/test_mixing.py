# SPDX-License-Identifier: Apache-2.0
"""Mixed contexts: the same bits on both sides, near the price of the best context, whatever is read."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nvcodec.entropy import binary
from nvcodec.entropy.mixing import LIMIT, ONE, POINTS, RATES, SQUASH, STRETCH, code_mixed, new_weights

SLOTS, INPUTS, ROWS = 40, 3, 4
SLOT_LIMIT, SPEED = 250, 6
Step = tuple[tuple[int, ...], int, int, int]  # slots, two rows of weights, bit


class Coder:
    def __init__(self, payload: bytes | None = None) -> None:
        self.slots = np.stack([np.full(SLOTS, ONE // 2, np.int32), np.zeros(SLOTS, np.int32)], 1)
        self.weights = new_weights(ROWS, INPUTS)
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


# --- the arithmetic, said in another way


class Plain:
    """What `code_mixed` does when it writes, in Python's numbers, which have no end: no carries, no bytes between."""

    def __init__(self, slots: np.ndarray, weights: np.ndarray) -> None:
        self.slots, self.weights = slots.tolist(), weights.tolist()
        self.low, self.range, self.nbytes = 0, 0xFFFFFFFF, 4

    def probability(self, slots: tuple[int, ...], rows: tuple[int, int]) -> tuple[int, list[int], list[int], float]:
        """Of a one; with the inputs, what each row makes of them, and where on the curves their mean is."""
        inputs = [int(STRETCH[self.slots[slot][0] // 4]) for slot in slots]
        said = []
        for row in rows:
            total = sum(x * w for x, w in zip(inputs, self.weights[row][POINTS:], strict=True)) >> 16
            said.append(max(-LIMIT, min(LIMIT, total)))
        mean = sum(said) >> 1
        step = 2 * (LIMIT + 1) // (POINTS - 1)
        at, part = divmod(mean + LIMIT + 1, step)
        curves = [self.weights[row] for row in rows]
        learned = sum(c[at] * (step - part) + c[at + 1] * part for c in curves) // step  # twice a probability
        p = (2 * int(SQUASH[mean + LIMIT]) + learned) >> 2
        return max(2, min(ONE - 2, p)), inputs, said, at + part / step

    def code(self, slots: tuple[int, ...], first: int, second: int, bit: int) -> None:
        p, inputs, said, where = self.probability(slots, (first, second))
        zero = (self.range >> 16) * (ONE - p)
        self.low, self.range = (self.low + zero, self.range - zero) if bit else (self.low, zero)
        while self.range < 1 << 24:
            self.low, self.range, self.nbytes = self.low << 8, (self.range << 8) % (1 << 32), self.nbytes + 1
        target = 65535 * bit
        point = int(where) + (where % 1 > 0.5)
        for row, x in zip((first, second), said, strict=True):
            curve = self.weights[row]
            curve[point] += (target - curve[point]) >> 6
            error = (target - int(SQUASH[x + LIMIT])) * SPEED
            for i, value in enumerate(inputs):
                curve[POINTS + i] += (value * error + (1 << 19)) >> 20
        for slot in slots:
            probability, count = self.slots[slot]
            rate = round(ONE / (count + 1.6))
            self.slots[slot] = [probability + (((target - probability) * rate) >> 16), min(count + 1, SLOT_LIMIT)]

    def finish(self) -> bytes:
        return self.low.to_bytes(self.nbytes, "big").rstrip(b"\0")


@settings(max_examples=50)
@given(st.lists(STEPS, max_size=120), st.none() | st.integers(0, 2**32 - 1))
@example([((0, 1, 2), 0, 1, 1)] * 300, None)
@example([((0, 0, 0), 2, 2, n % 2) for n in range(300)], None)
@example([((n % 7, 7 + n % 5, 12), n % 3, 3, n // 50 % 2) for n in range(900)], None)
@example([((n % 7, 7 + n % 5, 12), n % 3, 3, n // 5 % 2) for n in range(200)], 1)
def test_plain_arithmetic_writes_the_same_and_learns_the_same(steps: list[Step], seed: int | None) -> None:
    """Beginning with nothing, or with anything that a weight file may say."""
    coder = Coder()
    if seed is not None:
        random = np.random.default_rng(seed)
        coder.slots[:, 0] = random.integers(0, ONE, SLOTS)
        coder.weights[:, :POINTS] = random.integers(0, ONE, (ROWS, POINTS))
        coder.weights[:, POINTS:] = random.integers(-(1 << 17), 1 << 17, (ROWS, INPUTS))
        coder.weights[0] = random.integers(-(1 << 24), 1 << 24, POINTS + INPUTS)
    plain = Plain(coder.slots, coder.weights)
    for step in steps:
        coder.code(*step)
        plain.code(*step)
        assert coder.state[binary.RANGE] == plain.range
    assert coder.slots.tolist() == plain.slots
    assert coder.weights.tolist() == plain.weights
    assert coder.finish() == plain.finish()


# --- curves


def probability(coder: Coder, slots: tuple[int, ...], rows: tuple[int, int] = (0, 1)) -> int:
    """Of a one, in 65536ths, as a coder's range tells it; the coder stays as it was."""
    state = coder.state.copy()
    state[binary.RANGE] = 1 << 40  # so much that nothing is written
    code_mixed(
        state, coder.buffer, coder.slots.copy(), np.array(slots, np.int64), len(slots), coder.weights.copy(), *rows,
        SLOT_LIMIT, SPEED, 0,
    )  # fmt: skip
    return ONE - int(state[binary.RANGE] >> 24)


STEP = 2 * (LIMIT + 1) // (POINTS - 1)  # between the points of a curve


def saying(mix: int, coder: Coder | None = None) -> Coder:
    """A coder whose rows all say this: its first context is as sure as can be, and the others do not count."""
    coder = coder or Coder()
    coder.slots[0] = ONE - 1, 0
    coder.weights[:, POINTS:] = -(-mix * ONE // int(STRETCH[-1])), 0, 0
    return coder


def test_straight_curves_change_next_to_nothing() -> None:
    """At their points nothing, between them what a line leaves of the logistic function: no bit costs 1% more."""
    assert STEP * (POINTS - 1) == 2 * (LIMIT + 1)
    mixed, used = SQUASH.astype(int), np.zeros(len(SQUASH), int)
    for mix in range(-LIMIT, LIMIT + 1):
        used[mix + LIMIT] = probability(saying(mix), (0, 1, 2))
    assert np.abs(used - mixed)[STEP - 1 :: STEP].max() <= 1
    assert 100 < np.abs(used - mixed).max() < 300  # there are curves
    p, q = mixed / ONE, used / ONE
    entropy, cost = ((-p * np.log2(r) - (1 - p) * np.log2(1 - r)) for r in (p, q))
    assert (cost < 1.01 * entropy).all()


def test_new_weights_are_straight_curves_and_inputs_that_count_alike() -> None:
    weights = new_weights(ROWS, INPUTS)
    assert (weights.shape, weights.dtype) == ((ROWS, POINTS + INPUTS), np.int32)
    assert (weights[:, POINTS:] == int(0.3 * ONE)).all()
    x = 24 * (np.arange(POINTS) / (POINTS - 1)) - 12
    assert np.abs(weights[:, :POINTS] - ONE / (1 + np.exp(-x))).max() <= 2


@pytest.mark.parametrize(("point", "share"), [(14, 0.03), (18, 0.97), (16, 0.9), (11, 0.3), (25, 0.9)])
def test_a_curve_learns_what_the_mix_gets_wrong(point: int, share: float) -> None:
    """Where all contexts go on claiming something else, that is half believed: bits cost what the mean of the claim and
    the truth costs, which is less than what the claim costs."""
    bits = np.random.default_rng(5).random(8000) < share
    claimed = SQUASH[point * STEP - 1] / ONE

    def cost(p: float) -> float:
        """Bits of all of them at this probability."""
        return float(-np.log2(np.where(bits, p, 1 - p)).sum())

    coder = Coder()
    for bit in bits:
        saying(point * STEP - LIMIT - 1, coder).code((0, 1, 2), 0, 1, int(bit))
    nbits = 8 * len(coder.finish())
    assert nbits < 0.85 * cost(claimed)
    assert 0.99 < nbits / cost((claimed + share) / 2) < 1.03


def test_curves_learn_for_the_mixes_between_their_points() -> None:
    """Claims of all kinds, of which each is too low by a factor of e to the second power."""
    random, coder, claims = np.random.default_rng(6), Coder(), 0.0
    for mix in random.integers(-900, 900, 20_000).tolist():
        bit = int(random.random() < 1 / (1 + np.exp(-(mix / 256 + 2))))
        claims -= np.log2(abs(1 - bit - SQUASH[mix + LIMIT] / ONE))
        saying(mix, coder).code((0, 1, 2), 0, 1, bit)
    assert 8 * len(coder.finish()) < 0.85 * claims
    # seen from outside: what is used lies between what is claimed and what is true
    mixes = np.arange(-800, 801, 50)
    claimed, true = (1 / (1 + np.exp(-(mixes / 256 + more))) for more in (0, 2))
    used = np.array([probability(saying(mix, coder), (0, 1, 2)) for mix in mixes.tolist()]) / ONE
    assert np.abs(used - (claimed + true) / 2).mean() < 0.03
    assert (used > claimed).all()


def test_curves_learn_at_the_nearest_point_of_the_two_rows_alone() -> None:
    seen = set()
    for mix in range(-1400, 1401, 37):  # beyond, a point may be as high as it gets
        for bit in (0, 1):
            coder = saying(mix)
            before = coder.weights.copy()
            coder.code((0, 1, 2), 1, 3, bit)
            rows, points = np.nonzero((coder.weights != before)[:, :POINTS])
            assert rows.tolist() == [1, 3]
            assert points[0] == points[1]
            assert abs(points[0] * STEP - (mix + LIMIT + 1)) <= STEP // 2
            moved = (coder.weights - before)[rows, points]
            assert (moved > 0).all() if bit else (moved < 0).all()
            seen.add(int(points[0]))
    assert len(seen) == 2800 // STEP + 1


def test_curves_stay_probabilities() -> None:
    """However long they learn one thing: from 0 to 65535, each end nearly reached."""
    for bit in (0, 1):
        coder = Coder()
        for _ in range(3000):
            saying(0, coder).code((0, 1, 2), 0, 0, bit)
        curves = coder.weights[:, :POINTS]
        assert 0 <= curves.min() <= curves.max() < ONE
        assert abs(curves[0, POINTS // 2] - 65535 * bit) < 64


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
    tables = (SQUASH, STRETCH, RATES, new_weights(1, 0))
    assert hashlib.sha256(b"".join(t.astype("<i8").tobytes() for t in tables)).hexdigest()[:32] == TABLES


def test_the_bytes_are_pinned() -> None:
    """A coder that writes other bytes needs another syntax version."""
    steps: list[Step] = [((n % 7, 8 + n % 5, 20), n % 2, 2 + n % 3 % 2, n * n % 7 & 1) for n in range(400)]
    payload, coder = written(steps)
    assert payload.hex() == PINNED
    assert (int(coder.slots[:, 0].sum()), int(coder.weights.sum())) == LEARNED


TABLES = "eb6f287916ca05305b71332afd619931"
PINNED = "51c0e018c50d40030af1960d3a9230"
LEARNED = (1129141, 4607522)
