# SPDX-License-Identifier: Apache-2.0
"""Turning the text of an option into a value; a mistake is reported with the option's name by argparse."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from fractions import Fraction

MAX_FRAME_RATE = 100_000


def frame_range(text: str) -> tuple[int, int | None]:
    """'a:b' -> (a, b): frames a to b - 1, counted from 0; either end may be left out, b is None for 'to the end'."""
    match = re.fullmatch(r"(\d{0,12}):(\d{0,12})", text, re.ASCII)
    if match is None:
        raise ArgumentTypeError(f"'{text}' is not a range of frames: write a:b, a: or :b, with a counted from 0")
    first = int(match[1] or 0)
    stop = int(match[2]) if match[2] else None
    if stop is not None and stop <= first:
        raise ArgumentTypeError(f"'{text}' holds no frame: the second number must be above the first")
    return first, stop


def picture_size(text: str) -> tuple[int, int]:
    """'WxH' -> (width, height) in luma samples, each at least 1."""
    match = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", text.lower(), re.ASCII)
    if match is None or not int(match[1]) or not int(match[2]):
        raise ArgumentTypeError(f"'{text}' is not a picture size: write WxH, such as 1280x720")
    return int(match[1]), int(match[2])


def frame_rate(text: str) -> Fraction:
    """'25', '29.97' or '30000/1001' -> frames per second."""
    number = re.fullmatch(r"\d{1,6}(\.\d{1,9})?|\d{1,9}/0*[1-9]\d{0,8}", text, re.ASCII)
    rate = Fraction(text) if number else Fraction(0)
    if not 0 < rate <= MAX_FRAME_RATE:
        raise ArgumentTypeError(f"'{text}' is not a frame rate: write a number such as 25 or 30000/1001")
    return rate


def whole_number(name: str, lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """A converter for integers between ``lowest`` and ``highest`` (inclusive; None: no upper end)."""
    allowed = f"{lowest} to {highest}" if highest is not None else f"{lowest} or more"

    def convert(text: str) -> int:
        if (
            not re.fullmatch(r"[+-]?\d{1,9}", text)
            or int(text) < lowest
            or (highest is not None and int(text) > highest)
        ):
            raise ArgumentTypeError(f"{name} is '{text}': allowed is {allowed}")
        return int(text)

    return convert
