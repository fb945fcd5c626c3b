# SPDX-License-Identifier: Apache-2.0
"""Timestamps: repair of missing or repeated ones, and the tell-tale of a variable frame rate."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

MAX_RATE = 10_000  # frames per second; what claims more is a broken header


def plausible_rate(rate: Fraction | None) -> Fraction | None:
    """The rate, or None where it is missing or absurd."""
    return rate if rate is not None and 0 < rate <= MAX_RATE else None


class PtsRepair:
    """Gives every frame a pts above that of the frame before; says so, once, when it had to invent one."""

    def __init__(self, time_base: Fraction, frame_rate: Fraction | None, note: Callable[[str], None]) -> None:
        self._step = max(1, round(1 / ((frame_rate or Fraction(25)) * time_base)))
        self._rate = frame_rate
        self._note = note
        self._last: int | None = None
        self._noted: set[str] = set()

    def __call__(self, pts: int | None, number: int) -> int:
        if pts is None:
            rate = f"{float(self._rate):g} frames per second" if self._rate else "25 frames per second (assumed)"
            self._once("missing", f"timestamps missing from frame {number} on: made from {rate}")
            pts = 0 if self._last is None else self._last + self._step
        elif self._last is not None and pts <= self._last:
            self._once("order", f"timestamp of frame {number} does not follow the one before: moved up")
            pts = self._last + 1
        self._last = pts
        return pts

    def _once(self, kind: str, text: str) -> None:
        if kind not in self._noted:
            self._noted.add(kind)
            self._note(text)


class SteadyRate:
    """Watches whether frames keep to a constant rate, as outputs without timestamps need."""

    def __init__(self, time_base: Fraction, frame_rate: Fraction) -> None:
        self._ticks_per_frame = 1 / (frame_rate * time_base)
        self._first: int | None = None
        self._count = 0

    def holds(self, pts: int) -> bool:
        """Whether ``pts`` is where the rate puts the next frame, to within one tick of rounding."""
        if self._first is None:
            self._first = pts
        expected = self._first + self._count * self._ticks_per_frame
        self._count += 1
        return abs(pts - expected) <= 1
