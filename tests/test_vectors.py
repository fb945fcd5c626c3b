# SPDX-License-Identifier: Apache-2.0
"""Vectors in compiled code against NumPy, and without a compiler, where they are NumPy's own arrays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numba import config

from nvcodec.compiled import compiled, scratch
from nvcodec.vectors import (
    TOGETHER,
    above,
    add_byte_products,
    add_products,
    as_float32,
    as_float64,
    as_int16,
    as_int32,
    as_int64,
    as_uint16,
    bit_count,
    equal,
    in_pairs,
    join,
    least,
    load,
    lowest_bit,
    magnitude,
    most,
    native_lanes,
    root,
    shuffle,
    spread,
    store,
    sum_of,
)

LANES = (4, 8, 16)
KINDS = (np.int16, np.uint16, np.int32, np.float32)


def numbers(kind: type, count: int, seed: int = 0) -> np.ndarray:
    """Any, the least and the largest among them; of floating point whole ones, so that sums are exact."""
    random = np.random.default_rng(seed)
    if kind is np.float32:
        return random.integers(-1000, 1000, count).astype(kind)
    bounds = np.iinfo(kind)
    values = random.integers(bounds.min, bounds.max, count, dtype=kind, endpoint=True)
    values[[1, 2]] = bounds.min, bounds.max
    return values


def arithmetic(lanes: int) -> Callable[..., None]:
    """All operators, on vectors of one size."""

    @compiled
    def work(a, b, out):  # type: ignore[no-untyped-def]
        x, y = load(a, 0, lanes), load(b, 0, lanes)
        store(out, (0, 0), x + y)
        store(out, (1, 0), x - y)
        store(out, (2, 0), x * y)
        store(out, (3, 0), least(x, y))
        store(out, (4, 0), most(x, y))
        store(out, (5, 0), x + b[3])
        store(out, (6, 0), b[3] - x)
        store(out, (7, 0), spread(a[2], lanes))

    return work


def shifts(lanes: int) -> Callable[..., None]:
    """Of integers, by numbers and by vectors."""

    @compiled
    def work(a, by, out):  # type: ignore[no-untyped-def]
        x = load(a, 0, lanes)
        store(out, (0, 0), x << 3)
        store(out, (1, 0), x >> 3)
        store(out, (2, 0), x >> load(by, 0, lanes))

    return work


ARITHMETIC, SHIFTS = {n: arithmetic(n) for n in LANES}, {n: shifts(n) for n in LANES}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lanes", LANES)
def test_operators_work_on_all_numbers_and_wrap_around(lanes: int, kind: type) -> None:
    a, b, out = numbers(kind, lanes), numbers(kind, lanes, 1), np.zeros((8, lanes), kind)
    ARITHMETIC[lanes](a, b, out)
    with np.errstate(over="ignore"):
        wanted = [a + b, a - b, a * b, np.minimum(a, b), np.maximum(a, b), a + b[3], b[3] - a, np.full(lanes, a[2])]
    assert np.array_equal(out, wanted)


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("lanes", LANES)
def test_shifts_keep_the_sign_of_what_has_one(lanes: int, kind: type) -> None:
    a, by, out = numbers(kind, lanes), (np.arange(lanes) % 9).astype(kind), np.zeros((3, lanes), kind)
    SHIFTS[lanes](a, by, out)
    assert np.array_equal(out, [a << 3, a >> 3, a >> by])


def conversions(lanes: int) -> Callable[..., None]:
    """From 16 bits to 32, to floating point, and back."""

    @compiled
    def work(a, whole, real, back):  # type: ignore[no-untyped-def]
        x = load(a, (1, 2), lanes)
        store(whole, 0, as_int32(x))
        store(real, 0, as_float32(x))
        store(back, 0, as_uint16(as_int32(as_float32(x) * np.float32(2))))

    return work


CONVERSIONS = {n: conversions(n) for n in LANES}


@pytest.mark.parametrize("kind", [np.int16, np.uint16])
@pytest.mark.parametrize("lanes", LANES)
def test_numbers_keep_their_value_in_other_types(lanes: int, kind: type) -> None:
    """From inside a plane whose rows do not lie side by side."""
    plane = numbers(kind, 4 * 50).reshape(4, 50)[:, 3:40]
    whole, real, back = np.zeros(lanes, np.int32), np.zeros(lanes, np.float32), np.zeros(lanes, np.uint16)
    CONVERSIONS[lanes](plane, whole, real, back)
    row = plane[1, 2 : 2 + lanes].astype(np.int32)
    assert np.array_equal(whole, row)
    assert np.array_equal(real, row.astype(np.float32))
    assert np.array_equal(back, (2 * row).astype(np.uint16))


def views(lanes: int) -> Callable[..., None]:
    """As other kinds of integers of the same bits."""

    @compiled
    def work(a, signed, pairs):  # type: ignore[no-untyped-def]
        x = load(a, 0, lanes)
        store(signed, 0, as_int16(x))
        store(pairs, 0, in_pairs(x))

    return work


VIEWS = {n: views(n) for n in LANES}


@pytest.mark.parametrize("kind", [np.int16, np.uint16])
@pytest.mark.parametrize("lanes", LANES)
def test_numbers_of_16_bits_in_pairs_and_with_a_sign(lanes: int, kind: type) -> None:
    a, signed, pairs = numbers(kind, lanes), np.zeros(lanes, np.int16), np.zeros(lanes // 2, np.int32)
    VIEWS[lanes](a, signed, pairs)
    assert np.array_equal(signed, a.astype(np.int16))
    low, high = signed[::2].astype(np.int64) & 0xFFFF, signed[1::2].astype(np.int64)
    assert np.array_equal(pairs, low + (high << 16))


@compiled
def _wide(a, b, whole, real):  # type: ignore[no-untyped-def]
    x, y = as_int64(load(a, 0, 4)), as_int64(load(b, 0, 4))
    store(whole, (0, 0), x * y)
    store(whole, (1, 0), as_int64(as_float64(x) / as_float64(y)))
    store(whole, (2, 0), (x & 0xFFFF) - (y & x))
    store(real, 0, as_float64(x) / as_float64(y))


def test_products_and_quotients_of_64_bits() -> None:
    """Products of numbers of 32 bits fit; quotients are cut towards zero when they become whole."""
    random = np.random.default_rng(4)
    for bound in (50, 1 << 31):
        a, b = (random.integers(-bound, bound, 4).astype(np.int32) for _ in range(2))
        b[b == 0] = 7
        whole, real, x, y = np.zeros((3, 4), np.int64), np.zeros(4), a.astype(np.int64), b.astype(np.int64)
        _wide(a, b, whole, real)
        assert np.array_equal(whole, [x * y, np.trunc(x / y).astype(np.int64), (x & 0xFFFF) - (x & y)])
        assert np.array_equal(real, x / y)


def pieces(lanes: int) -> Callable[..., int]:
    """What needs constants: other places, sums, bits."""
    mirror, zip_ends = shuffle(*range(lanes)[::-1]), join(0, lanes, lanes - 1, 2 * lanes - 1)

    @compiled
    def work(a, b, out, few, sums):  # type: ignore[no-untyped-def]
        x, y = load(a, 0, lanes), load(b, 0, lanes)
        store(out, (0, 0), mirror(x))
        store(few, 0, zip_ends(x, y))
        real = as_float32(x)
        sums[0], sums[1] = sum_of(x), sum_of(real)
        store(out, (1, 0), as_int32(root(real * real)))
        store(out, (2, 0), as_int32(magnitude(real)))
        high, same = above(real, np.float32(10)), equal(x, a[3])
        sums[2], sums[3], sums[4] = bit_count(high), bit_count(same), lowest_bit(same)
        return high

    return work


PIECES = {n: pieces(n) for n in LANES}


@pytest.mark.parametrize("lanes", LANES)
def test_places_sums_and_bits(lanes: int) -> None:
    random = np.random.default_rng(lanes)
    for _ in range(20):
        a, b = (random.integers(-40, 41, lanes).astype(np.int32) for _ in range(2))
        out, few, sums = np.zeros((3, lanes), np.int32), np.zeros(4, np.int32), np.zeros(5)
        high = PIECES[lanes](a, b, out, few, sums)
        assert np.array_equal(out, [a[::-1], abs(a), abs(a)])
        assert few.tolist() == [a[0], b[0], a[-1], b[-1]]
        assert [int(high) >> n & 1 for n in range(lanes)] == (a > 10).astype(int).tolist()
        same = np.flatnonzero(a == a[3])
        assert sums.tolist() == [a.sum(), a.sum(), (a > 10).sum(), len(same), same[0]]


def products(lanes: int) -> Callable[..., None]:
    """`add_products` of vectors of one size."""

    @compiled
    def work(sums, a, b, out):  # type: ignore[no-untyped-def]
        store(out, 0, add_products(load(sums, 0, lanes), load(a, 0, lanes), load(b, 0, lanes)))

    return work


def byte_products(lanes: int) -> Callable[..., None]:
    """`add_byte_products` of the rows of a and b."""

    @compiled
    def work(sums, a, b, out):  # type: ignore[no-untyped-def]
        c, d, e, f = load(a, (0, 0), lanes), load(a, (1, 0), lanes), load(a, (2, 0), lanes), load(a, (3, 0), lanes)
        g, h, i, j = load(b, (0, 0), lanes), load(b, (1, 0), lanes), load(b, (2, 0), lanes), load(b, (3, 0), lanes)
        store(out, 0, add_byte_products(load(sums, 0, lanes), c, d, e, f, g, h, i, j))

    return work


PRODUCTS = {n: products(n) for n in LANES}
BYTE_PRODUCTS = {n: byte_products(n) for n in LANES}


@pytest.mark.parametrize("lanes", LANES)
def test_products_of_pairs_are_added(lanes: int) -> None:
    random = np.random.default_rng(lanes)
    for bound in (5, 1 << 14, 1 << 15):
        a, b = (random.integers(-bound, bound, (lanes, 2)).astype(np.int16) for _ in range(2))
        a[0], b[0] = (-bound, bound - 1), (bound - 1, -bound)
        sums, out = random.integers(-1000, 1000, lanes).astype(np.int32), np.zeros(lanes, np.int32)
        PRODUCTS[lanes](sums, a.view(np.int32)[:, 0], b.view(np.int32)[:, 0], out)
        wanted = sums + (a.astype(np.int64) * b).sum(1)
        assert np.array_equal(out, wanted.astype(np.int32))


@pytest.mark.parametrize("lanes", LANES)
def test_products_of_bytes_are_added(lanes: int) -> None:
    """Those without a sign by those with one, as large as may be."""
    random = np.random.default_rng(lanes)
    for largest in (3, 255):
        a, b = random.integers(0, largest + 1, (TOGETHER, lanes, 4)), random.integers(-16, 17, (TOGETHER, lanes, 4))
        a[:, :3], b[:, :3] = 255, 0
        b[:, 0], b[2, 1], b[:, 2] = (16, 16, -16, -16), (127, 1, -128, 0), (-17, 31, 31, -17)
        b[3, 2] = (-77, 31, 35, -77)
        for signed in (b, -b):
            assert signed.reshape(TOGETHER, lanes, 2, 2).clip(0).sum((0, 3)).max() == 128
        sums, out = random.integers(-1000, 1000, lanes).astype(np.int32), np.zeros(lanes, np.int32)
        given = [part.astype(kind).view(np.int32)[..., 0] for part, kind in ((a, np.uint8), (b, np.int8))]
        BYTE_PRODUCTS[lanes](sums, *given, out)
        assert np.array_equal(out, sums + (a * b).sum((0, 2)))


@compiled
def _room(a, out):
    some = scratch((2, 16), np.float32)
    store(some, (1, 8), load(a, (2, 8), 8))
    out[0] = some[1, 9]


def test_arrays_on_the_stack_take_vectors() -> None:
    a, out = np.arange(64, dtype=np.float32).reshape(4, 16), np.zeros(1, np.float32)
    _room(a, out)
    assert out[0] == a[2, 9]


def test_as_many_lanes_as_the_processor_has() -> None:
    assert native_lanes() in LANES


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="this is that process")
def test_without_a_compiler_it_is_the_same() -> None:
    """All tests of this file once more, by the interpreter."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", str(Path(__file__))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]
    assert " passed" in done.stdout


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="compiles nothing")
@pytest.mark.parametrize("features", ["+sse2", "+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+avx,+avx2"])
def test_on_older_processors_it_is_the_same(features: str, tmp_path: Path) -> None:
    """Code for less than this processor can do, which has other instructions."""
    environment = {
        **os.environ, "NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path),
    }  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "not is_the_same",
        str(Path(__file__)),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]
    assert " passed" in done.stdout
