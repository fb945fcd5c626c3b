# SPDX-License-Identifier: Apache-2.0
"""Symbols to bytes and back; price and bytes agree; what no writer made is refused or at least bounded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvcodec.entropy.gaussian import gaussian_tables
from nvcodec.entropy.rans import RansReader, RansWriter, guard_nbytes
from nvcodec.entropy.tables import PRECISION, TableSet
from nvcodec.errors import DamagedStreamError

GAUSSIAN = gaussian_tables(np.geomspace(0.11, 200, 16))
UNIFORM = TableSet.from_pmfs([np.ones(n) for n in (1, 2, 7, 64)], [0, -1, 3, 0], [1e-9] * 4)
SETS = (GAUSSIAN, UNIFORM)

Call = tuple[TableSet, np.ndarray, np.ndarray]


@st.composite
def calls(draw: st.DrawFn) -> list[Call]:
    """Symbols for several table sets in turn; some of them far beyond their tables, some calls empty."""
    result = []
    for _ in range(draw(st.integers(0, 5))):
        tables = draw(st.sampled_from(SETS))
        indices = np.array(draw(st.lists(st.integers(0, len(tables) - 1), max_size=20)), np.int64)
        far = st.integers(-(1 << 25), 1 << 25)
        values = [draw(st.one_of(st.integers(-8, 8), far)) for _ in indices]
        result.append((tables, np.array(values, np.int64), indices))
    return result


def write(symbols: list[Call]) -> tuple[bytes, int]:
    writer = RansWriter()
    for tables, values, indices in symbols:
        assert np.array_equal(writer.code(values, indices, tables), values)
    return writer.finish(), sum(len(values) for _, values, _ in symbols)


@settings(deadline=None)
@given(calls())
def test_round_trip(symbols: list[Call]) -> None:
    payload, count = write(symbols)
    assert (payload == b"") == (count == 0)
    reader = RansReader(payload, max_symbols=count)
    for tables, values, indices in symbols:
        assert np.array_equal(reader.code(None, indices, tables), values)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("value", [0, 1, 3, 9_999_999])
def test_few_symbols(count: int, value: int) -> None:
    """CompressAI's encoder writes outside its buffer for one or two symbols; ours must not let it."""
    values, indices = np.full(count, value), np.zeros(count, np.int64)
    for _ in range(50):
        payload, _ = write([(UNIFORM, values, indices)])
        assert np.array_equal(RansReader(payload, count).code(None, indices, UNIFORM), values)


@pytest.mark.parametrize("value", [1 << 27, -(1 << 27), 1 << 40])
def test_values_beyond_every_escape(value: int) -> None:
    """CompressAI's encoder would not come back from these."""
    with pytest.raises(ValueError, match="symbols from"):
        RansWriter().code(np.array([value]), np.zeros(1, np.int64), GAUSSIAN)


def test_price_and_bytes_agree() -> None:
    rng = np.random.default_rng(1)
    scales = np.geomspace(0.11, 200, 16)
    indices = rng.integers(0, 16, 20_000)
    values = np.rint(rng.normal(0, scales[indices])).astype(np.int64)
    values[::100] *= 40  # escapes among them
    plain = rng.integers(0, 4, 5_000)
    choices = rng.integers(0, 2, 5_000) + UNIFORM.offsets[plain]
    payload, _ = write([(GAUSSIAN, values, indices), (UNIFORM, choices, plain)])
    bits = GAUSSIAN.bits(values, indices) + UNIFORM.bits(choices, plain)
    assert 8 * len(payload) == pytest.approx(bits, rel=0.001)


def test_asking_for_too_much() -> None:
    values, indices = np.arange(5), np.full(5, 12)
    payload, _ = write([(GAUSSIAN, values, indices)])
    reader = RansReader(payload, max_symbols=6)
    reader.code(None, indices, GAUSSIAN)
    with pytest.raises(DamagedStreamError, match="ends before"):
        reader.code(None, indices[:2], GAUSSIAN)
    assert len(RansReader(b"", 10).code(None, indices[:0], GAUSSIAN)) == 0
    with pytest.raises(DamagedStreamError, match="0 bytes"):
        RansReader(b"", 10).code(None, indices[:1], GAUSSIAN)


@pytest.mark.parametrize(
    "payload",
    [
        b"\1",
        bytes(4),
        bytes(8),  # a state of zero would pull in a word for every symbol
        bytes.fromhex("ffffff7f00000000"),
        b"\xff" * 8,
        bytes.fromhex("00000080000000000000"),  # not in whole words
        b"\x7f" * 120,  # more than four symbols can take
    ],
)
def test_what_no_writer_made(payload: bytes) -> None:
    with pytest.raises(DamagedStreamError, match=r"payload has|begin with"):
        RansReader(payload, max_symbols=4)


def test_the_longest_payload_of_a_writer_is_read() -> None:
    values = np.tile([1 << 26, -(1 << 26)], 50)
    indices = np.zeros(100, np.int64)
    payload, _ = write([(GAUSSIAN, values, indices)])
    assert np.array_equal(RansReader(payload, 100).code(None, indices, GAUSSIAN), values)


class Walk:
    """A second decoder of the same streams, in plain integers, that knows how far it has read."""

    def __init__(self, payload: bytes) -> None:
        self.payload, self.nbytes = payload, 8
        self.state = int.from_bytes(payload[:8], "little")

    def _refill(self) -> None:
        if self.state < 1 << 31:
            word = self.payload[self.nbytes : self.nbytes + 4]  # nothing beyond the end: zeros
            self.state, self.nbytes = self.state << 32 | int.from_bytes(word, "little"), self.nbytes + 4

    def _nibble(self) -> int:
        value, self.state = self.state & 15, self.state >> 4
        self._refill()
        return value

    def symbol(self, row: list[int], offset: int) -> int:
        low = self.state & ((1 << PRECISION) - 1)
        found = int(np.searchsorted(row, low, side="right")) - 1
        self.state = (row[found + 1] - row[found]) * (self.state >> PRECISION) + low - row[found]
        self._refill()
        if found < len(row) - 2:
            return found + offset
        count = nibble = self._nibble()
        while nibble == 15:
            nibble = self._nibble()
            count += nibble
        raw = sum(self._nibble() << 4 * place for place in range(count))
        return offset + (-(raw >> 1) - 1 if raw & 1 else (raw >> 1) + found)


def test_the_second_decoder_agrees() -> None:
    rng = np.random.default_rng(2)
    indices = rng.integers(0, 16, 300)
    values = rng.integers(-500, 500, 300)
    payload, _ = write([(GAUSSIAN, values, indices)])
    walk = Walk(payload)
    assert [walk.symbol(GAUSSIAN.rows[i], int(GAUSSIAN.offsets[i])) for i in indices] == values.tolist()
    assert walk.nbytes == len(payload)


def hostile_payloads() -> list[bytes]:
    """Sound beginnings, then whatever reads furthest: runs of escape nibbles, zeros, noise."""
    rng = np.random.default_rng(3)
    runs = [b"\xff" * 7 + b"\x7f" + b"\xff" * n for n in (0, 4, 400, 1192)]
    noise = [rng.integers(0, 256, 400, np.uint8).tobytes() for _ in range(20)]
    mixed = [a[:200] + runs[2][:100] + bytes(100) for a in noise[:5]]
    return [p[:7] + bytes([p[7] & 127 | 1]) + p[8:] for p in (*runs, *noise, *mixed, bytes(400))]


@pytest.mark.parametrize("tables", SETS, ids=["gaussian", "uniform"])
def test_a_hostile_payload_is_never_read_beyond_its_guard(tables: TableSet) -> None:
    """As many symbols as will be asked for; the reader itself must come back too."""
    rng = np.random.default_rng(4)
    count = 2000
    indices = rng.integers(0, len(tables), count)
    for payload in hostile_payloads():
        walk = Walk(payload)
        for index in indices:
            walk.symbol(tables.rows[index], int(tables.offsets[index]))
        # Less the fixed part: that is there for chance, not for the rule.
        assert walk.nbytes <= len(payload) + guard_nbytes(len(payload), count) - guard_nbytes(0, 0)
        assert len(RansReader(payload, count).code(None, indices, tables)) == count
