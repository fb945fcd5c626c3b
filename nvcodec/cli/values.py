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


_PREFIXES = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


def _scaled(text: str) -> float | None:
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?)([kmg]?)", text.lower(), re.ASCII)
    return float(match[1]) * _PREFIXES[match[2]] if match else None


def parameter_count(text: str) -> int:
    """'750000', '750k' or '0.75M' -> number of parameters."""
    value = _scaled(text)
    if value is None or not 1 <= value <= 1e9:
        raise ArgumentTypeError(f"'{text}' is not a model size: write parameters, such as 750000, 350k or 0.75M")
    return round(value)


def byte_count(text: str) -> int:
    """'240000', '240k' or '1.5M' -> bytes (k: 1000)."""
    value = _scaled(text[:-1] if text.lower().endswith("b") else text)
    if value is None or not 1 <= value <= 1e12:
        raise ArgumentTypeError(f"'{text}' is not a size in bytes: write 240000, 240k or 1.5M")
    return round(value)


def bit_rate(text: str) -> float:
    """'800000', '800k' or '2.5M' -> bits per second (k: 1000)."""
    value = _scaled(text)
    if value is None or not 1 <= value <= 1e12:
        raise ArgumentTypeError(f"'{text}' is not a bitrate: write bits per second, such as 800000, 800k or 2.5M")
    return value


def duration(text: str) -> float:
    """'90', '90s', '10m', '1.5h' -> seconds."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)(s|m|min|h)?", text.lower(), re.ASCII)
    seconds = float(match[1]) * {None: 1, "s": 1, "m": 60, "min": 60, "h": 3600}[match[2]] if match else 0.0
    if not seconds > 0:
        raise ArgumentTypeError(f"'{text}' is not a time: write 90s, 10m or 2h")
    return seconds


def positive_number(name: str) -> Callable[[str], float]:
    """A converter for decimal numbers above zero."""

    def convert(text: str) -> float:
        number = re.fullmatch(r"\d{1,9}(\.\d{1,12})?(e-?\d{1,2})?", text.lower(), re.ASCII)
        if number is None or not float(text) > 0:
            raise ArgumentTypeError(f"{name} is '{text}': a number above 0 is needed")
        return float(text)

    return convert


def stride_list(text: str) -> tuple[int, ...]:
    """'5,4,4,2,2' -> the strides."""
    if not re.fullmatch(r"\d{1,2}(,\d{1,2}){0,7}", text, re.ASCII):
        raise ArgumentTypeError(f"'{text}' is not a list of strides: write up to eight, such as 5,4,4,2,2")
    return tuple(int(part) for part in text.split(","))


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
