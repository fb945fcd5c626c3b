# SPDX-License-Identifier: Apache-2.0
"""Kinds of stream fields. A dataclass names a kind for each field, once, and is written and read from that.

    @dataclass(frozen=True)
    class Point:
        x: int = wire(Varint(0, 99))
        y: int = wire(Varint(0, 99))

    write_fields(Point(3, 4)) == b"\\x03\\x04"
    read_fields(Point, Cursor(b"\\x03\\x04", "point")) == Point(3, 4)

Writing a value outside of its range is a UsageError, reading one a DamagedStreamError.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, TypeVar

from nvcodec.errors import DamagedStreamError, UsageError
from nvcodec.stream.limits import MAX_RATIONAL

T = TypeVar("T")


class Cursor:
    """Reads forward through bytes; ``what`` names them in errors."""

    def __init__(self, buffer: bytes, what: str) -> None:
        self.buffer, self.what, self.position = buffer, what, 0

    @property
    def remaining(self) -> int:
        """Bytes not yet taken."""
        return len(self.buffer) - self.position

    def take(self, nbytes: int, name: str) -> bytes:
        """The next ``nbytes`` bytes; DamagedStreamError when there are fewer."""
        if nbytes > self.remaining:
            raise self.damaged(f"{name} needs {nbytes} bytes, {self.remaining} are left")
        start = self.position
        self.position += nbytes
        return self.buffer[start : self.position]

    def finish(self) -> None:
        """DamagedStreamError unless everything was taken."""
        if self.remaining:
            raise self.damaged(f"{self.remaining} bytes too many")

    def damaged(self, text: str) -> DamagedStreamError:
        """An error that says where we are."""
        return DamagedStreamError(f"{self.what}: {text}")


class Kind(Protocol):
    """How one value lies in the stream."""

    def write(self, value: Any, name: str) -> bytes: ...

    def read(self, cursor: Cursor, name: str) -> Any: ...


@dataclass(frozen=True)
class Uint:
    """Unsigned little-endian integer of ``nbytes`` bytes, ``low`` to ``high``."""

    nbytes: int
    low: int = 0
    high: int | None = None

    @property
    def _high(self) -> int:
        return (1 << 8 * self.nbytes) - 1 if self.high is None else self.high

    def write(self, value: int, name: str) -> bytes:
        _check_writable(value, self.low, self._high, name)
        return value.to_bytes(self.nbytes, "little")

    def read(self, cursor: Cursor, name: str) -> int:
        value = int.from_bytes(cursor.take(self.nbytes, name), "little")
        return _checked(value, self.low, self._high, cursor, name)


@dataclass(frozen=True)
class Varint:
    """Unsigned integer in groups of seven bits, least significant first, bit 7 set on all bytes but the last."""

    low: int
    high: int

    def write(self, value: int, name: str) -> bytes:
        _check_writable(value, self.low, self.high, name)
        return write_varint(value)

    def read(self, cursor: Cursor, name: str) -> int:
        return _checked(read_varint(cursor, name), self.low, self.high, cursor, name)


@dataclass(frozen=True)
class SignedVarint:
    """Integer of magnitude up to ``limit`` as the varint of its zigzag code: 0, -1, 1, -2 become 0, 1, 2, 3."""

    limit: int

    def write(self, value: int, name: str) -> bytes:
        _check_writable(value, -self.limit, self.limit, name)
        return write_varint(2 * value if value >= 0 else -2 * value - 1)

    def read(self, cursor: Cursor, name: str) -> int:
        code = read_varint(cursor, name)
        return _checked(-(code + 1) // 2 if code & 1 else code // 2, -self.limit, self.limit, cursor, name)


@dataclass(frozen=True)
class Rational:
    """Positive fraction as two varints; with ``optional``, None is a numerator of zero and no denominator."""

    optional: bool = False

    def write(self, value: Fraction | None, name: str) -> bytes:
        if value is None and self.optional:
            return b"\0"
        if value is None or not (1 <= value.numerator <= MAX_RATIONAL and value.denominator <= MAX_RATIONAL):
            raise UsageError(f"{name} is {value}; numerator and denominator must be 1 to {MAX_RATIONAL}")
        return write_varint(value.numerator) + write_varint(value.denominator)

    def read(self, cursor: Cursor, name: str) -> Fraction | None:
        numerator = read_varint(cursor, name)
        if numerator == 0 and self.optional:
            return None
        _checked(numerator, 1, MAX_RATIONAL, cursor, f"numerator of {name}")
        denominator = _checked(read_varint(cursor, name), 1, MAX_RATIONAL, cursor, f"denominator of {name}")
        return Fraction(numerator, denominator)


@dataclass(frozen=True)
class Blob:
    """Up to ``max_nbytes`` bytes after a varint that counts them."""

    max_nbytes: int

    def write(self, value: bytes, name: str) -> bytes:
        _check_writable(len(value), 0, self.max_nbytes, f"{name} length in bytes")
        return write_varint(len(value)) + value

    def read(self, cursor: Cursor, name: str) -> bytes:
        nbytes = _checked(read_varint(cursor, name), 0, self.max_nbytes, cursor, f"{name} length in bytes")
        return cursor.take(nbytes, name)


@dataclass(frozen=True)
class Text:
    """Printable ASCII, up to ``max_nbytes`` characters after a varint that counts them."""

    max_nbytes: int

    def write(self, value: str, name: str) -> bytes:
        if not (value.isascii() and value.isprintable()):
            raise UsageError(f"{name} is {value!r}; printable ASCII is needed")
        return Blob(self.max_nbytes).write(value.encode("ascii"), name)

    def read(self, cursor: Cursor, name: str) -> str:
        raw = Blob(self.max_nbytes).read(cursor, name)
        text = raw.decode("latin-1")
        if not (text.isascii() and text.isprintable()):
            raise cursor.damaged(f"{name} is not printable ASCII")
        return text


def wire(kind: Kind, **options: Any) -> Any:
    """A dataclass field that lies in the stream as ``kind``; other options as for ``dataclasses.field``."""
    return dataclasses.field(metadata={"wire": kind}, **options)


def write_fields(record: Any) -> bytes:
    """The fields of a dataclass in the order they are declared; UsageError for a value out of its range."""
    return b"".join(kind.write(getattr(record, name), _spoken(name)) for name, kind in _wire_fields(record))


def read_fields(cls: type[T], cursor: Cursor) -> T:
    """A dataclass from the stream; DamagedStreamError for a value out of its range or missing bytes."""
    return cls(**{name: kind.read(cursor, _spoken(name)) for name, kind in _wire_fields(cls)})


def write_varint(value: int) -> bytes:
    """Bytes of one unsigned integer in groups of seven bits."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def read_varint(cursor: Cursor, name: str) -> int:
    """One unsigned integer below 2**64 in its shortest form; DamagedStreamError for anything else."""
    value = shift = 0
    while True:
        (group,) = cursor.take(1, name)
        value |= (group & 0x7F) << shift
        if group < 0x80:
            break
        shift += 7
        if shift > 63:
            raise cursor.damaged(f"{name} takes more than 64 bits")
    if value >> 64 or (group == 0 and shift):
        raise cursor.damaged(f"{name} is not in its shortest form")
    return value


def _wire_fields(record: Any) -> list[tuple[str, Kind]]:
    return [(f.name, f.metadata["wire"]) for f in dataclasses.fields(record) if "wire" in f.metadata]


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _check_writable(value: int, low: int, high: int, name: str) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} is {value}; {low} to {high} can be stored")


def _checked(value: int, low: int, high: int, cursor: Cursor, name: str) -> int:
    if not low <= value <= high:
        raise cursor.damaged(f"{name} is {value}; {low} to {high} allowed")
    return value
