# SPDX-License-Identifier: Apache-2.0
"""What a run shows on stderr: a line for each point, and how long the rest will take."""

from __future__ import annotations

import time
from typing import TextIO

from nvcodec.rd.schema import Failure, Point


class Progress:
    """Lines on ``out``; on a terminal the last line is rewritten in place while points are pending."""

    def __init__(self, out: TextIO, quiet: bool = False) -> None:
        self.out, self.quiet = out, quiet
        self.total = self.done = 0
        self.began = 0.0
        self.rewritten = False

    def start(self, total: int, already: int) -> None:
        """Begin: ``total`` points to measure, ``already`` there."""
        self.total, self.done, self.began = total, 0, time.monotonic()
        if already:
            self._line(f"{already} points are there already, {total} to measure")

    def note(self, text: str) -> None:
        """Something that is not a point."""
        self._line(text)

    def point(self, point: Point) -> None:
        """One more measured."""
        self.done += 1
        knob = f"{point.quality.parameter} {point.quality.value:g}"
        quality = point.metrics.get("psnr_yuv")
        value = f"{quality:.2f} dB" if quality is not None else ""
        head = f"[{self.done}/{self.total}] {point.codec.name} {knob} on {point.clip.name}"
        self._line(f"{head}: {point.rate.kbps:.1f} kbit/s {value} ({self._left()})")

    def failure(self, failure: Failure) -> None:
        """One more that failed."""
        self.done += 1
        self._line(
            f"[{self.done}/{self.total}] FAILED {failure.codec} {failure.quality} on {failure.clip}: {failure.error}"
        )

    def tick(self) -> None:
        """Called about once a second: on a terminal, show that time goes on."""
        if self.quiet or not self.out.isatty() or self.done >= self.total:
            return
        self.out.write(f"\r\x1b[K{self.done}/{self.total} points, {self._left()}")
        self.out.flush()
        self.rewritten = True

    def finish(self) -> None:
        """Leave the cursor on a fresh line."""
        self._clear()

    def _left(self) -> str:
        if self.done == 0:
            return "time left unknown yet"
        seconds = (time.monotonic() - self.began) / self.done * (self.total - self.done)
        return f"{duration(seconds)} left"

    def _line(self, text: str) -> None:
        if not self.quiet:
            self._clear()
            print(text, file=self.out, flush=True)

    def _clear(self) -> None:
        if self.rewritten:
            self.out.write("\r\x1b[K")
            self.rewritten = False


def duration(seconds: float) -> str:
    """1:02:03 h, 2:03 min or 3 s."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d} h"
    return f"{whole // 60}:{whole % 60:02d} min" if whole >= 60 else f"{whole} s"
