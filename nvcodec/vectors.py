# SPDX-License-Identifier: Apache-2.0
"""Vectors of numbers in compiled loops, for the few that take most of the time: a row of a block at once.

A compiler that sees a loop over the columns of a block, of which there are 8 or 16, takes most of them one by one. Here
a row is one value, which LLVM cuts into as many registers as the processor needs. ``+ - * / & << >>``, `least` and
`most` work on all its numbers (integers, which wrap around, or floating point); a number beside a vector is spread.

Without a compiler a vector is a NumPy array, and everything works as well, slowly.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.core.datamodel import models
from numba.core.extending import intrinsic, lower_builtin, register_model
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.np.arrayobj import make_array

_FLAGS = ("contract",)  # a product and a sum after it may be rounded together


class VectorType(types.Type):
    """Of ``lanes`` numbers."""

    def __init__(self, item: types.Type, lanes: int):
        self.item, self.lanes = item, lanes
        super().__init__(f"vector({item} x {lanes})")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: VectorType):
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.item).get_value_type(), kind.lanes))


def _undefined(kind: ir.Type) -> ir.Constant:
    return ir.Constant(kind, ir.Undefined)


def _places(numbers: tuple[int, ...]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), list(numbers))


def _spread(context: Any, builder: Any, value: Any, kind: types.Type, into: VectorType) -> Any:
    """A vector of one number, or what is a vector already."""
    if isinstance(kind, VectorType):
        return value
    nothing = _undefined(context.get_value_type(into))
    first = builder.insert_element(
        nothing, context.cast(builder, value, kind, into.item), ir.Constant(ir.IntType(32), 0)
    )
    return builder.shuffle_vector(first, nothing, _places((0,) * into.lanes))


def _works_on_vectors(python: Callable[..., Any], of_integers: Callable[..., Any], of_floats: Any = None) -> None:
    """Let a function of two work on vectors: what it makes of LLVM values (and of whether integers have signs)."""

    @infer_global(python)
    class _Template(AbstractTemplate):
        def generic(self, args: tuple[types.Type, ...], kws: dict[str, Any]) -> Any:
            """The result is of the kind of the vectors."""
            kinds = {kind for kind in args if isinstance(kind, VectorType)}
            if len(args) != 2 or len(kinds) != 1:
                return None
            if not all(isinstance(kind, VectorType | types.Number) for kind in args):
                return None
            return signature(kinds.pop(), *args)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        kind = sig.return_type
        a, b = (_spread(context, builder, value, of, kind) for value, of in zip(arguments, sig.args, strict=True))
        if isinstance(kind.item, types.Float):
            return of_floats(builder, a, b)
        return of_integers(builder, a, b, kind.item.signed)

    for pair in ((VectorType, VectorType), (VectorType, types.Number), (types.Number, VectorType)):
        lower_builtin(python, *pair)(generate)


def least(a: Any, b: Any) -> Any:
    """The smaller of each two numbers."""
    return np.minimum(a, b)


def most(a: Any, b: Any) -> Any:
    """The larger of each two numbers."""
    return np.maximum(a, b)


def _select(sign: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def integers(builder: Any, a: Any, b: Any, signed: bool) -> Any:
        compare = builder.icmp_signed if signed else builder.icmp_unsigned
        return builder.select(compare(sign, a, b), a, b)

    def floats(builder: Any, a: Any, b: Any) -> Any:
        return builder.select(builder.fcmp_ordered(sign, a, b), a, b)

    return integers, floats


_works_on_vectors(operator.add, lambda at, a, b, _: at.add(a, b), lambda at, a, b: at.fadd(a, b, flags=_FLAGS))
_works_on_vectors(operator.sub, lambda at, a, b, _: at.sub(a, b), lambda at, a, b: at.fsub(a, b, flags=_FLAGS))
_works_on_vectors(operator.mul, lambda at, a, b, _: at.mul(a, b), lambda at, a, b: at.fmul(a, b, flags=_FLAGS))
_works_on_vectors(operator.truediv, lambda at, a, b, _: None, lambda at, a, b: at.fdiv(a, b))
_works_on_vectors(operator.and_, lambda at, a, b, _: at.and_(a, b))
_works_on_vectors(operator.lshift, lambda at, a, b, _: at.shl(a, b))
_works_on_vectors(operator.rshift, lambda at, a, b, signed: at.ashr(a, b) if signed else at.lshr(a, b))
_works_on_vectors(least, *_select("<"))
_works_on_vectors(most, *_select(">"))


def _address(context: Any, builder: Any, kind: types.Array, array: Any, index: Any, of: types.Type, lanes: int) -> Any:
    """Pointer to the vector that begins at an index, which counts from the beginning. Items of a row lie together."""
    values = [index] if not isinstance(of, types.BaseTuple) else cgutils.unpack_tuple(builder, index, len(of))
    kinds = [of] if not isinstance(of, types.BaseTuple) else list(of.types)
    values = [context.cast(builder, value, one, types.intp) for value, one in zip(values, kinds, strict=True)]
    found = make_array(kind)(context, builder, array)
    strides = cgutils.unpack_tuple(builder, found.strides, kind.ndim)
    item = context.get_data_type(kind.dtype)
    strides[-1] = context.get_constant(types.intp, context.get_abi_sizeof(item))
    offset = context.get_constant(types.intp, 0)
    for value, stride in zip(values, strides, strict=True):
        offset = builder.add(offset, builder.mul(value, stride))
    pointer = cgutils.pointer_add(builder, found.data, offset)
    return builder.bitcast(pointer, ir.VectorType(item, lanes).as_pointer())


def _fits(array: types.Type, index: types.Type) -> bool:
    count = len(index) if isinstance(index, types.BaseTuple) else 1
    return isinstance(array, types.Array) and array.ndim == count


def _load() -> Any:
    @intrinsic(prefer_literal=True)
    def load(typing, array, index, lanes):  # type: ignore[no-untyped-def]
        """``lanes`` numbers (a constant) of an array from an index on: a number or a tuple of them."""
        if not isinstance(lanes, types.IntegerLiteral) or not _fits(array, index):
            return None
        kind, place = VectorType(array.dtype, lanes.literal_value), types.unliteral(index)

        def generate(context, builder, sig, arguments):  # type: ignore[no-untyped-def]
            pointer = _address(context, builder, array, arguments[0], arguments[1], place, kind.lanes)
            value = builder.load(pointer)
            value.align = context.get_abi_sizeof(context.get_data_type(array.dtype))
            return value

        return kind(array, place, lanes), generate

    return load


def _store() -> Any:
    @intrinsic
    def store(typing, array, index, value):  # type: ignore[no-untyped-def]
        """Write a vector of an array's numbers into it, from an index on."""
        if not isinstance(value, VectorType) or not _fits(array, index) or array.dtype != value.item:
            return None

        def generate(context, builder, sig, arguments):  # type: ignore[no-untyped-def]
            pointer = _address(context, builder, array, arguments[0], arguments[1], index, value.lanes)
            written = builder.store(arguments[2], pointer)
            written.align = context.get_abi_sizeof(context.get_data_type(array.dtype))
            return context.get_dummy_value()

        return types.void(array, index, value), generate

    return store


def _spreading() -> Any:
    @intrinsic(prefer_literal=True)
    def spread(typing, number, lanes):  # type: ignore[no-untyped-def]
        """A vector of the same number ``lanes`` times (a constant)."""
        if not isinstance(lanes, types.IntegerLiteral) or not isinstance(number, types.Number):
            return None
        kind = VectorType(types.unliteral(number), lanes.literal_value)

        def generate(context, builder, sig, arguments):  # type: ignore[no-untyped-def]
            return _spread(context, builder, arguments[0], kind.item, kind)

        return kind(kind.item, lanes), generate

    return spread


def _conversion(item: types.Type) -> Any:
    @intrinsic
    def convert(typing, value):  # type: ignore[no-untyped-def]
        """The same numbers in another type; integers are cut to it, floating point ones are rounded towards 0."""
        if not isinstance(value, VectorType):
            return None
        kind, before = VectorType(item, value.lanes), value.item

        def generate(context, builder, sig, arguments):  # type: ignore[no-untyped-def]
            (one,), into = arguments, context.get_value_type(kind)
            if isinstance(before, types.Float):
                return builder.fptosi(one, into)
            if isinstance(item, types.Float):
                return builder.sitofp(one, into) if before.signed else builder.uitofp(one, into)
            if item.bitwidth > before.bitwidth:
                return builder.sext(one, into) if before.signed else builder.zext(one, into)
            return builder.trunc(one, into) if item.bitwidth < before.bitwidth else one

        return kind(value), generate

    return convert


def _reinterpreted() -> Any:
    @intrinsic
    def in_pairs(typing, value):  # type: ignore[no-untyped-def]
        """Vectors of 16 bit integers as of half as many int32, two in each, the first one lowest."""
        if not isinstance(value, VectorType) or value.item not in (types.int16, types.uint16) or value.lanes % 2:
            return None
        kind = VectorType(types.int32, value.lanes // 2)

        def generate(context, builder, sig, arguments):  # type: ignore[no-untyped-def]
            return builder.bitcast(arguments[0], context.get_value_type(kind))

        return kind(value), generate

    return in_pairs


def _shuffled(places: tuple[int, ...]) -> Any:
    @intrinsic
    def move(typing, value):  # type: ignore[no-untyped-def]
        """Numbers of a vector at other places."""
        if not isinstance(value, VectorType):
            return None

        def generate(context, builder, sig, arguments):  # type: ignore[no-untyped-def]
            return builder.shuffle_vector(arguments[0], _undefined(arguments[0].type), _places(places))

        return VectorType(value.item, len(places))(value), generate

    return move


def _joined(places: tuple[int, ...]) -> Any:
    @intrinsic
    def choose(typing, one, other):  # type: ignore[no-untyped-def]
        """Numbers of two vectors, those of the second counted after those of the first."""
        if not isinstance(one, VectorType) or one != other:
            return None

        def generate(context, builder, sig, arguments):  # type: ignore[no-untyped-def]
            return builder.shuffle_vector(*arguments, _places(places))

        return VectorType(one.item, len(places))(one, other), generate

    return choose


def _llvm_name(operation: str, kind: VectorType) -> str:
    """Of what LLVM knows how to do with vectors."""
    letter = "f" if isinstance(kind.item, types.Float) else "i"
    return f"llvm.{operation}.v{kind.lanes}{letter}{kind.item.bitwidth}"


def _called(operation: str) -> Any:
    @intrinsic
    def call(typing, value):  # type: ignore[no-untyped-def]
        """What LLVM makes of each number of a vector of float32."""
        if not isinstance(value, VectorType):
            return None

        def generate(context, builder, sig, arguments):  # type: ignore[no-untyped-def]
            kind = arguments[0].type
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(kind, [kind]), _llvm_name(operation, value)
            )
            return builder.call(function, arguments)

        return value(value), generate

    return call


def _sum_of() -> Any:
    @intrinsic
    def sum_of(typing, value):  # type: ignore[no-untyped-def]
        """Sum of a vector's numbers, in their type; of floating point numbers in any order."""
        if not isinstance(value, VectorType):
            return None

        def generate(context, builder, sig, arguments):  # type: ignore[no-untyped-def]
            item, floats = context.get_value_type(value.item), isinstance(value.item, types.Float)
            given = [ir.Constant(item, -0.0), *arguments] if floats else list(arguments)
            function = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(item, [one.type for one in given]),
                _llvm_name("vector.reduce.fadd" if floats else "vector.reduce.add", value),
            )
            return builder.call(function, given, fastmath=("reassoc",) if floats else ())

        return value.item(value), generate

    return sum_of


TOGETHER = 4  # vectors of bytes that are multiplied by as many others and added up in one go
# what x86 calls products of pairs of 16 bit integers, added up, by how many sums there are
_PRODUCTS = {4: ("sse2", "sse2.pmadd.wd"), 8: ("avx2", "avx2.pmadd.wd"), 16: ("avx512bw", "avx512.pmaddw.d.512")}
# products of four bytes, without a sign and with one, added up; and the same of two, in 16 bits
_BYTES = {8: (("avx512vl", "avx512vnni"), "avx512.vpdpbusd.256"), 16: (("avx512vnni",), "avx512.vpdpbusd.512")}
_BYTE_PAIRS = {
    4: ("ssse3", "ssse3.pmadd.ub.sw.128"),
    8: ("avx2", "avx2.pmadd.ub.sw"),
    16: ("avx512bw", "avx512.pmaddubs.w.512"),
}


def _called_of_x86(builder: Any, name: str, result: ir.Type, *given: Any) -> Any:
    kind = ir.FunctionType(result, [value.type for value in given])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), given)


def _part(context: Any, builder: Any, kind: VectorType, value: Any, n: int, bits: int, signed: bool) -> Any:
    """Number n, of so many bits, of those that lie together in each 32 bits of a vector, the lowest first."""
    left, right = (
        _spread(context, builder, context.get_constant(types.int32, shift), types.int32, kind)
        for shift in (32 - bits * (n + 1), 32 - bits)
    )
    shifted = builder.shl(value, left)
    return builder.ashr(shifted, right) if signed else builder.lshr(shifted, right)


def _of_quads(context: Any, builder: Any, kind: VectorType, total: Any, xs: Any, ys: Any) -> Any:
    """Sums of products of bytes, four in each number: those of xs without a sign."""
    lanes, known = kind.lanes, _features()
    features, name = _BYTES.get(lanes, (("none",), ""))
    feature, pair_name = _BYTE_PAIRS.get(lanes, ("none", ""))
    if all(known.get(each) for each in features) or (lanes == 8 and known.get("avxvnni")):
        for x, y in zip(xs, ys, strict=True):
            total = _called_of_x86(builder, name, total.type, total, x, y)
        return total
    if known.get(feature):  # in 16 bits, as long as they fit
        bytes_, halves = ir.VectorType(ir.IntType(8), 4 * lanes), ir.VectorType(ir.IntType(16), 2 * lanes)
        pairs = [
            _called_of_x86(builder, pair_name, halves, builder.bitcast(x, bytes_), builder.bitcast(y, bytes_))
            for x, y in zip(xs, ys, strict=True)
        ]
        ones = ir.Constant(halves, [1] * (2 * lanes))
        summed = functools.reduce(builder.add, pairs)
        return builder.add(total, _called_of_x86(builder, _PRODUCTS[lanes][1], total.type, summed, ones))
    for x, y in zip(xs, ys, strict=True):
        for n in range(4):
            one, other = (_part(context, builder, kind, x, n, 8, False), _part(context, builder, kind, y, n, 8, True))
            total = builder.add(total, builder.mul(one, other))
    return total


def _products() -> Any:
    @intrinsic
    def add_products(typing, sums, a, b):  # type: ignore[no-untyped-def]
        """Vectors of int32: sums, and what both halves of a and b, 16 bit integers, make when they are multiplied."""
        if not isinstance(sums, VectorType) or sums.item != types.int32 or not sums == a == b:
            return None
        feature, name = _PRODUCTS.get(sums.lanes, ("none", ""))

        def generate(context, builder, sig, arguments):  # type: ignore[no-untyped-def]
            total, *given = arguments
            if _features().get(feature):
                halves = ir.VectorType(ir.IntType(16), 2 * sums.lanes)
                given = [builder.bitcast(value, halves) for value in given]
                return builder.add(total, _called_of_x86(builder, name, total.type, *given))
            for n in range(2):
                x, y = (_part(context, builder, sums, value, n, 16, True) for value in given)
                total = builder.add(total, builder.mul(x, y))
            return total

        return sums(sums, a, b), generate

    return add_products


def _products_of_bytes() -> Any:
    @intrinsic
    def add_byte_products(typing, sums, a, b, c, d, e, f, g, h):  # type: ignore[no-untyped-def]
        """Vectors of int32: sums, and what the four bytes of each of a..d, without a sign, and of e..h, with one, make
        when multiplied. Of the first two bytes of e..h those of one sign are at most 128 away from zero, all eight
        together, and so of the other two."""
        given = (sums, a, b, c, d, e, f, g, h)
        if not isinstance(sums, VectorType) or sums.item != types.int32 or set(given) != {sums}:
            return None

        def generate(context, builder, sig, arguments):  # type: ignore[no-untyped-def]
            total, *values = arguments
            return _of_quads(context, builder, sums, total, values[:TOGETHER], values[TOGETHER:])

        return sums(*given), generate

    return add_byte_products


def _compared(sign: str) -> Any:
    @intrinsic
    def compare(typing, value, number):  # type: ignore[no-untyped-def]
        """For which numbers of a vector (up to 64) it is so: a bit for each, the first one lowest."""
        if not isinstance(value, VectorType) or not isinstance(number, types.Number):
            return None

        def generate(context, builder, sig, arguments):  # type: ignore[no-untyped-def]
            than = _spread(context, builder, arguments[1], number, value)
            floats = isinstance(value.item, types.Float)
            how = builder.fcmp_ordered if floats else builder.icmp_signed
            bits = builder.bitcast(how(sign, arguments[0], than), ir.IntType(value.lanes))
            return builder.zext(bits, ir.IntType(64))

        return types.uint64(value, number), generate

    return compare


def _of_bits(operation: str, *more: Any) -> Any:
    @intrinsic
    def count(typing, bits):  # type: ignore[no-untyped-def]
        """What LLVM counts in 64 bits."""

        def generate(context, builder, sig, arguments):  # type: ignore[no-untyped-def]
            given = [*arguments, *more]
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.IntType(64), [one.type for one in given]), f"llvm.{operation}.i64"
            )
            return builder.call(function, given)

        return types.int64(types.uint64), generate

    return count


def _plain_load(array: np.ndarray, index: Any, lanes: int) -> np.ndarray:
    *outer, first = index if isinstance(index, tuple) else (index,)
    return array[(*outer, slice(int(first), int(first) + lanes))].copy()


def _plain_store(array: np.ndarray, index: Any, value: np.ndarray) -> None:
    *outer, first = index if isinstance(index, tuple) else (index,)
    array[(*outer, slice(int(first), int(first) + len(value)))] = value


def shuffle(*places: int) -> Any:
    """A function that moves numbers of a vector to other places: the n-th becomes the one at ``places[n]``."""
    return _shuffled(places) if not config.DISABLE_JIT else lambda value: value[list(places)]


def join(*places: int) -> Any:
    """A function that takes numbers of two vectors, those of the second counted after those of the first."""
    return _joined(places) if not config.DISABLE_JIT else lambda a, b: np.concatenate([a, b])[list(places)]


@cache
def _features() -> dict[str, bool]:
    """What the processor can do that code is compiled for."""
    names = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    return {part[1:]: part[0] == "+" for part in names.split(",") if part}


def native_lanes() -> int:
    """How many 32 bit numbers a register of this processor holds."""
    return 16 if _features().get("avx512bw") else 8 if _features().get("avx2") else 4


if config.DISABLE_JIT:
    load, store, sum_of = _plain_load, _plain_store, np.sum

    def spread(number: Any, lanes: int) -> np.ndarray:
        """A vector of the same number ``lanes`` times."""
        return np.full(lanes, number)

    as_int16, as_uint16, as_int32, as_int64, as_float32, as_float64 = (
        (lambda value, kind=kind: value.astype(kind))
        for kind in (np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64)
    )

    def in_pairs(value: np.ndarray) -> np.ndarray:
        """16 bit integers as half as many int32, two in each, the first one lowest."""
        return value.view(np.int32)

    root, magnitude = np.sqrt, np.abs

    def add_products(sums: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Sums, and what both halves of a and b, 16 bit integers, make when they are multiplied."""
        return sums + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16)

    def add_byte_products(sums: np.ndarray, *given: np.ndarray) -> np.ndarray:
        """Sums, and what the four bytes of TOGETHER vectors, without a sign, and of as many more, with one, make when
        multiplied."""
        for a, b in zip(given[:TOGETHER], given[TOGETHER:], strict=True):
            for n in (24, 16, 8, 0):
                sums = sums + ((a << n) >> 24 & 255) * ((b << n) >> 24)
        return sums

    def above(value: np.ndarray, bound: float) -> int:
        """Which numbers of a vector are larger than a number: a bit for each, the first one lowest."""
        return sum(1 << n for n, one in enumerate(value) if one > bound)

    def equal(value: np.ndarray, number: Any) -> int:
        """Which numbers of a vector are a number: a bit for each, the first one lowest."""
        return sum(1 << n for n, one in enumerate(value) if one == number)

    def bit_count(bits: int) -> int:
        """How many bits are set."""
        return int(bits).bit_count()

    def lowest_bit(bits: int) -> int:
        """The number of the lowest bit that is set, of some."""
        return (int(bits) & -int(bits)).bit_length() - 1

else:
    load, store, spread, sum_of = _load(), _store(), _spreading(), _sum_of()
    as_int16, as_uint16 = _conversion(types.int16), _conversion(types.uint16)
    as_int32, as_int64, in_pairs = _conversion(types.int32), _conversion(types.int64), _reinterpreted()
    as_float32, as_float64 = _conversion(types.float32), _conversion(types.float64)
    root, magnitude = _called("sqrt"), _called("fabs")
    add_products, add_byte_products = _products(), _products_of_bytes()
    above, equal = _compared(">"), _compared("==")
    bit_count, lowest_bit = _of_bits("ctpop"), _of_bits("cttz", ir.Constant(ir.IntType(1), 0))
