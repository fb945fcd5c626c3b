# SPDX-License-Identifier: Apache-2.0
"""The adaptive binary range coder: what goes in comes out, at the price its probabilities say, whatever is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nvcodec.entropy import binary

CONTEXTS = 9

BITS = st.tuples(st.just("bit"), st.integers(0, CONTEXTS - 1), st.integers(0, 1))
PLAIN = st.integers(1, 16).flatmap(
    lambda width: st.tuples(st.just("plain"), st.just(width), st.integers(0, 2**width - 1))
)
Step = tuple[str, int, int]


class Coder:
    """One direction: ``code`` takes a step, the value of which a reader ignores."""

    def __init__(self, payload: bytes | None = None, room: int = 1 << 16) -> None:
        self.contexts = binary.new_contexts(CONTEXTS)
        if payload is None:
            self.buffer = np.zeros(room, np.uint8)
            self.state = binary.start_writing(self.buffer)
        else:
            self.state, self.buffer = binary.start_reading(payload)

    def code(self, kind: str, where: int, value: int) -> int:
        state, buffer, contexts = self.state, self.buffer, self.contexts
        if kind == "bit":
            return int(binary.code_bit(state, buffer, contexts, where, value))
        return int(binary.code_plain(state, buffer, value, where))

    def finish(self) -> bytes:
        return binary.finish_writing(self.state, self.buffer)


def written(steps: list[Step]) -> tuple[bytes, Coder]:
    coder = Coder()
    for step in steps:
        assert coder.code(*step) == step[2]
    return coder.finish(), coder


@given(st.lists(st.one_of(BITS, PLAIN), max_size=300))
@example([])
@example([("bit", 0, 1)])
@example([("plain", 16, 0xFFFF)] * 40)
def test_round_trip(steps: list[Step]) -> None:
    payload, writer = written(steps)
    assert not payload.endswith(b"\0")
    reader = Coder(payload)
    assert [reader.code(kind, where, 12345) for kind, where, _ in steps] == [value for *_, value in steps]
    assert np.array_equal(reader.contexts, writer.contexts)


@given(st.lists(st.one_of(BITS, PLAIN), max_size=300))
@example([("bit", n % CONTEXTS, n * n % 3 % 2) for n in range(3000)])
@example([("plain", 16, 0xFFFF)] * 40)
@example([("bit", 0, 1), *[("plain", 1, 1)] * 400, ("bit", 1, 1)])
def test_bytes_are_those_of_a_number_without_end(steps: list[Step]) -> None:
    """What is written is the low end of a range in one long number, to its last byte that is not zero."""
    contexts = [[1 << 15, 1 << 15] for _ in range(CONTEXTS)]
    low, width, nbytes = 0, 0xFFFFFFFF, 4
    for kind, where, value in steps:
        for place in range(where if kind == "plain" else 1)[::-1]:
            bit, part = value >> place & 1, width >> 1
            if kind == "bit":
                fast, slow = contexts[where]
                part = (width >> 15) * max(64, min((1 << 15) - 64, (fast + slow) >> 2))
                moved = (fast - (fast >> 4), slow - (slow >> 7))
                if not bit:
                    moved = (fast + ((65535 - fast) >> 4), slow + ((65535 - slow) >> 7))
                contexts[where] = list(moved)
            # a plain bit halves the range and leaves out what is odd of it
            low, width = (low + part, width - part if kind == "bit" else part) if bit else (low, part)
            while width < 1 << 24:
                low, width, nbytes = low << 8, (width << 8) % (1 << 32), nbytes + 1
    payload, coder = written(steps)
    assert payload == low.to_bytes(nbytes, "big").rstrip(b"\0")
    assert coder.contexts.tolist() == contexts


def test_nothing_takes_no_bytes_and_a_first_byte_may_be_anything() -> None:
    """No byte stands at the beginning that tells nothing."""
    assert written([])[0] == b""
    firsts = {written([("plain", 8, value), ("plain", 8, 0xA5)])[0][0] for value in range(256)}
    assert len(firsts) > 250
    reader = Coder(bytes([0xFF, 0xFE]))
    assert reader.code("plain", 8, 0) == 0xFF


def test_what_follows_a_payload_does_not_matter_to_what_was_written() -> None:
    """Zeros are left out at the end: with them back the symbols are the same."""
    random = np.random.default_rng(3)
    steps: list[Step] = [("bit", int(random.integers(CONTEXTS)), int(random.integers(2))) for _ in range(500)]
    payload, _ = written(steps)
    for tail in (b"", b"\0" * 50):
        reader = Coder(payload + tail)
        assert [reader.code(kind, where, 0) for kind, where, _ in steps] == [value for *_, value in steps]


@pytest.mark.parametrize(("share", "excess"), [(0.5, 0.03), (0.2, 0.04), (0.05, 0.06), (0.01, 0.2)])
def test_skewed_bits_cost_their_entropy(share: float, excess: float) -> None:
    """The fast estimate wavers about the truth, which costs some per cent; so does the least probability."""
    count = 40_000
    bits = np.random.default_rng(1).random(count) < share
    for flipped in (False, True):
        payload, _ = written([("bit", 0, int(bit != flipped)) for bit in bits])
        entropy = -count * (share * np.log2(share) + (1 - share) * np.log2(1 - share))
        assert entropy < 8 * len(payload) * 1.03
        assert 8 * len(payload) < entropy * (1 + excess)


def test_what_never_happens_costs_next_to_nothing() -> None:
    for bit in (0, 1):
        payload, _ = written([("bit", 0, bit)] * 20_000)
        assert 8 * len(payload) < 20_000 * 0.01


def test_contexts_learn_apart_and_follow_a_change() -> None:
    """Bits that only their context tells apart are cheap, also after they change sides."""
    steps: list[Step] = [("bit", n % 2, (n % 2) ^ (n > 4000)) for n in range(8000)]
    payload, _ = written(steps)
    assert 8 * len(payload) < 8000 * 0.06


def test_plain_bits_cost_one_bit_each() -> None:
    random = np.random.default_rng(2)
    payload, _ = written([("plain", 13, int(v)) for v in random.integers(0, 1 << 13, 1000)])
    assert abs(8 * len(payload) - 13_000) < 100


def test_carries_run_through_any_number_of_bytes() -> None:
    """A long run of the upper half leaves bytes of 255 waiting, until one more bit makes them all turn over."""
    for run in (1, 7, 8, 40, 400, 4000):
        for last in (0, 1):
            # p is one half to begin with; plain bits of 1 keep low just below the carry, the last ones decide
            steps: list[Step] = [
                ("bit", 0, 1),
                *[("plain", 1, 1)] * run,
                ("bit", 1, last),
                *[("plain", 16, 0xFFFF)] * 3,
            ]
            payload, _ = written(steps)
            reader = Coder(payload)
            assert [reader.code(kind, where, 0) for kind, where, _ in steps] == [value for *_, value in steps]


def test_carries_do_happen() -> None:
    """Some of the sequences above must have waited for a carry, and some must have got one."""
    coder = Coder()
    longest, carried = 0, 0
    random = np.random.default_rng(0)
    for _ in range(20_000):
        before = coder.state[binary.LOW]
        coder.code("bit", 0, int(random.random() < 0.8))
        longest = max(longest, int(coder.state[binary.PENDING]))
        carried += int(before <= 0xFFFFFFFF < coder.state[binary.LOW])
    assert longest > 1
    assert carried > 0


def test_a_buffer_that_is_too_small_is_not_written_beyond() -> None:
    room = np.full(64, 7, np.uint8)
    state, contexts = binary.start_writing(room[:16]), binary.new_contexts(1)
    for n in range(5000):
        binary.code_bit(state, room[:16], contexts, 0, n * 7919 % 3 % 2)
    with pytest.raises(ValueError, match="into a buffer of 16"):
        binary.finish_writing(state, room[:16])
    assert (room[16:] == 7).all()


@given(st.binary(max_size=60), st.integers(0, 2**32 - 1))
@example(b"", 0)
@example(b"\xff" * 60, 0)
@example(b"\0" * 4, 0)
@example(b"\xff\xff\xff\xff", 1)
@example(b"\0\xff\xff\xff\xff", 1)
def test_any_bytes_give_values_in_range_for_as_long_as_they_are_asked(payload: bytes, seed: int) -> None:
    reader, random = Coder(payload), np.random.default_rng(seed)
    for n in range(200):
        width = int(random.integers(1, 17))
        assert reader.code("bit", n % CONTEXTS, 9) in (0, 1)
        assert 0 <= reader.code("plain", width, 0) < 1 << width
        assert (1 << 24) <= reader.state[binary.RANGE] <= 0xFFFFFFFF
    assert reader.contexts.min() >= 0
    assert reader.contexts.max() <= 65535
    assert reader.state[binary.POSITION] < 4 + 200 * 64


def test_the_bytes_are_pinned() -> None:
    """A coder that writes other bytes needs another syntax version."""
    steps: list[Step] = []
    for n in range(60):
        steps += [("bit", n % 7, n * n % 5 & 1), ("plain", 1 + n % 11, n * 977 % (1 << 1 + n % 11))]
    payload, _ = written(steps)
    assert payload.hex() == PINNED


PINNED = "290e0abccbd8e4b6740794d38c7f3799c452ec75e094d441178850dbe3bda616227ae6a666f99b60327631d28f0e26dce935997c9d40"
