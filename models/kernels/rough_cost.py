# SPDX-License-Identifier: Apache-2.0
"""What it roughly costs to code what a prediction leaves: by Hadamard transforms, for the encoder to choose by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nvcodec.compiled import compiled
from nvcodec.vectors import as_float32, as_int32, join, least, load, magnitude, root, shuffle, store, sum_of

CODED_BITS, GROWTH_BITS = 6.5, 2.1  # of a coefficient of one step, roughly, and more for each quadrupling


def price_curve(step: float, price: float) -> np.ndarray:
    """What a Hadamard coefficient costs by its size, squared steps: left out or coded, whichever is cheaper.

    step: sample values; price: squared steps of a bit. A coded coefficient is taken to cost CODED_BITS + GROWTH_BITS
    (sqrt(steps) - 1). Returns (3,) float32: steps per unit of an unscaled 8x8 coefficient, and two factors.
    """
    return np.array([1 / (8 * step), 0.08 + price * (CODED_BITS - GROWTH_BITS), price * GROWTH_BITS], np.float32)


_SIGNS = np.array([[1 - 2 * (k >> n & 1) for k in range(16)] for n in range(4)], np.float32)


def _across(lanes: int, steps: int) -> Callable[..., Any]:
    """Hadamard transform of each 2^steps numbers of a vector."""
    s1, s2, s4, s8 = (shuffle(*(k ^ (1 << n if n < steps else 0) for k in range(lanes))) for n in range(4))

    @compiled
    def transform(row):  # type: ignore[no-untyped-def]
        if steps > 3:
            row = row * load(_SIGNS, (3, 0), lanes) + s8(row)
        if steps > 2:
            row = row * load(_SIGNS, (2, 0), lanes) + s4(row)
        row = row * load(_SIGNS, (1, 0), lanes) + s2(row)
        return row * load(_SIGNS, (0, 0), lanes) + s1(row)

    return transform


@compiled
def _price(coefficients, scale, first, growth):
    size = magnitude(coefficients) * scale
    return least(size * size, root(size) * growth + first)


def _columns(lanes: int) -> Callable[..., Any]:
    """Costs by column of the 8x8 squares that begin at (top, left), as many as there are in so many columns."""
    across = _across(lanes, 3)

    @compiled
    def costs(block, top, left, prices):  # type: ignore[no-untyped-def]
        a0, a1 = as_float32(load(block, (top, left), lanes)), as_float32(load(block, (top + 1, left), lanes))
        a2, a3 = as_float32(load(block, (top + 2, left), lanes)), as_float32(load(block, (top + 3, left), lanes))
        a4, a5 = as_float32(load(block, (top + 4, left), lanes)), as_float32(load(block, (top + 5, left), lanes))
        a6, a7 = as_float32(load(block, (top + 6, left), lanes)), as_float32(load(block, (top + 7, left), lanes))
        b0, b1, b2, b3, b4, b5, b6, b7 = a0 + a4, a1 + a5, a2 + a6, a3 + a7, a0 - a4, a1 - a5, a2 - a6, a3 - a7
        c0, c1, c2, c3, c4, c5, c6, c7 = b0 + b2, b1 + b3, b0 - b2, b1 - b3, b4 + b6, b5 + b7, b4 - b6, b5 - b7
        scale, first, growth = prices[0], prices[1], prices[2]
        return (
            _price(across(c0 + c1), scale, first, growth) + _price(across(c0 - c1), scale, first, growth)
            + (_price(across(c2 + c3), scale, first, growth) + _price(across(c2 - c3), scale, first, growth))
        ) + (
            _price(across(c4 + c5), scale, first, growth) + _price(across(c4 - c5), scale, first, growth)
            + (_price(across(c6 + c7), scale, first, growth) + _price(across(c6 - c7), scale, first, growth))
        )  # fmt: skip

    return costs


_columns_16, _columns_8 = _columns(16), _columns(8)
_first_half, _second_half = shuffle(*range(8)), shuffle(*range(8, 16))


@compiled
def square_cost(block, prices):
    """Rough cost, in squared steps, of coding an 8x8 square of differences (int32) that is predicted this way."""
    return sum_of(_columns_8(block, 0, 0, prices))


@compiled
def quarter_costs(block, prices, out):
    """`square_cost` of the quarters of a 16x16 block, out (4,) float32; returns their sum."""
    for half in range(2):
        columns = _columns_16(block, 8 * half, 0, prices)
        out[2 * half], out[2 * half + 1] = sum_of(_first_half(columns)), sum_of(_second_half(columns))
    return out[0] + out[1] + out[2] + out[3]


@compiled
def hadamard_cost(block, size, prices):
    """`square_cost` of all 8x8 squares of a larger one (``size`` 8, 16 or 32)."""
    if size == 8:
        return square_cost(block, prices)
    cost = np.float32(0)
    for top in range(0, size, 8):
        for left in range(0, size, 16):
            cost += sum_of(_columns_16(block, top, left, prices))
    return cost


_transform_16 = _across(16, 4)
_both_rows, _all_rows = join(*range(8)), join(*range(16))


@compiled
def tiny_cost(block, prices):
    """`hadamard_cost` of a 4x4 difference."""
    upper = _both_rows(load(block, (0, 0), 4), load(block, (1, 0), 4))
    lower = _both_rows(load(block, (2, 0), 4), load(block, (3, 0), 4))
    coefficients = _transform_16(as_float32(_all_rows(upper, lower)))
    return sum_of(_price(coefficients + coefficients, prices[0], prices[1], prices[2]))


def _less(size: int) -> Callable[..., Any]:
    """`differences` of one size."""

    @compiled
    def less(source, top, left, block, out):  # type: ignore[no-untyped-def]
        for i in range(size):
            row = as_int32(load(source, (top + i, left), size))
            store(out, (i, 0), row - load(block, (i, 0), size))

    return less


_less_4, _less_8, _less_16 = _less(4), _less(8), _less(16)


@compiled
def differences(source, top, left, size, block, out):
    """What a predicted block (int32) leaves of a square of a plane, in out (int32); size: 4, 8, 16 or 32."""
    if size == 4:
        _less_4(source, top, left, block, out)
    elif size == 8:
        _less_8(source, top, left, block, out)
    elif size == 16:
        _less_16(source, top, left, block, out)
    else:
        for i in range(size):
            for j in range(0, size, 16):
                row = as_int32(load(source, (top + i, left + j), 16))
                store(out, (i, j), row - load(block, (i, j), 16))
