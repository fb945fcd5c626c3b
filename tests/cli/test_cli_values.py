# SPDX-License-Identifier: Apache-2.0
"""Texts of options: what is right is read exactly, what is wrong is refused whatever it is."""

from __future__ import annotations

import contextlib
from argparse import ArgumentTypeError
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.cli import describe
from nvcodec.cli.values import frame_range, frame_rate, picture_size, whole_number
from nvcodec.errors import DamagedStreamError


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_frame_ranges(first: int, length: int) -> None:
    assert frame_range(f"{first}:{first + length}") == (first, first + length)
    assert frame_range(f"{first}:") == (first, None)
    assert frame_range(f":{length}") == (0, length)
    with pytest.raises(ArgumentTypeError, match="holds no frame"):
        frame_range(f"{first + length}:{first + length}")


@given(st.integers(1, 99999), st.integers(1, 99999))
def test_picture_sizes(width: int, height: int) -> None:
    assert picture_size(f"{width}x{height}") == picture_size(f"{width}X{height}") == (width, height)


@given(st.fractions(min_value=Fraction(1, 100), max_value=1000, max_denominator=1001))
def test_frame_rates(rate: Fraction) -> None:
    assert frame_rate(str(rate)) == rate


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    for convert in (frame_range, picture_size, frame_rate, whole_number("n", 0, 63)):
        with contextlib.suppress(ArgumentTypeError):
            convert(text)


@pytest.mark.parametrize("text", ["1e400", "-25", "0", "nan", "inf", "1/0", "9" * 33, "1e999999999"])
def test_rates_that_are_none(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        frame_rate(text)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DamagedStreamError("x.nvc: cut off"), 3, "x.nvc: cut off"),
        (MemoryError(), 1, "out of memory"),
        (PermissionError(13, "Permission denied", "a/b"), 1, "a/b: Permission denied"),
        (KeyError("k"), 1, "unexpected KeyError: 'k' (--traceback shows where)"),
    ],
)
def test_exceptions_as_code_and_line(error: Exception, code: int, text: str) -> None:
    assert describe(error) == (code, text)
