# SPDX-License-Identifier: Apache-2.0
"""Timestamps and durations of the frames of one record, in a few bytes when the frame rate is constant.

Both lists have a mode. A line of slope ``ticks_per_frame`` covers constant rates that do not fall on whole ticks, such
as 29.97 Hz in milliseconds: pts[i] = pts[0] + floor((i * N + phase) / D), with N / D = ticks per frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from nvcodec.errors import UsageError
from nvcodec.stream.fields import Cursor, SignedVarint, Varint
from nvcodec.stream.limits import MAX_TICKS

PTS_STEP, PTS_RATE, PTS_LISTED = 0, 1, 2
DURATION_SAME, DURATION_TO_NEXT, DURATION_LISTED = 0, 1, 2

_PTS = SignedVarint(MAX_TICKS)
_STEP = Varint(1, 2 * MAX_TICKS)
_PHASE = Varint(0, (1 << 64) - 1)
_DURATION = Varint(0, MAX_TICKS)


def write_times(pts: Sequence[int], durations: Sequence[int], ticks: Fraction | None) -> tuple[int, int, bytes]:
    """(pts mode, duration mode, bytes) of one record's times, whichever modes are shortest.

    pts: strictly increasing ticks; durations: ticks, 0 where unknown; ticks: per frame at the nominal rate. Raises
    UsageError for times that cannot be stored.
    """
    pts_mode, pts_bytes = _write_pts(pts, ticks)
    duration_mode, duration_bytes = _write_durations(pts, durations)
    return pts_mode, duration_mode, _PTS.write(pts[0], "timestamp") + pts_bytes + duration_bytes


def read_times(
    cursor: Cursor, pts_mode: int, duration_mode: int, count: int, ticks: Fraction | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(pts, durations) of ``count`` frames; DamagedStreamError for an unknown mode or impossible times."""
    pts = _read_pts(cursor, pts_mode, count, ticks)
    if pts[-1] > MAX_TICKS:
        raise cursor.damaged(f"timestamp {pts[-1]} is above {MAX_TICKS}")
    return pts, _read_durations(cursor, duration_mode, pts)


def _write_pts(pts: Sequence[int], ticks: Fraction | None) -> tuple[int, bytes]:
    steps = [after - before for before, after in pairwise(pts)]
    if any(step <= 0 for step in steps) or pts[-1] > MAX_TICKS:
        raise UsageError(f"timestamps {pts[0]} to {pts[-1]} must increase from frame to frame, up to {MAX_TICKS}")
    if len(set(steps)) <= 1:
        return PTS_STEP, b"".join(_STEP.write(step, "timestamp step") for step in steps[:1])
    phase = None if ticks is None else _phase_of(pts, ticks)
    if phase is not None:
        return PTS_RATE, _PHASE.write(phase, "timestamp phase")
    return PTS_LISTED, b"".join(_STEP.write(step, "timestamp step") for step in steps)


def _phase_of(pts: Sequence[int], ticks: Fraction) -> int | None:
    """The smallest phase that puts every pts on the line; None where there is none."""
    low, high = 0, ticks.denominator - 1
    for i, value in enumerate(pts):
        at_least = (value - pts[0]) * ticks.denominator - i * ticks.numerator
        low, high = max(low, at_least), min(high, at_least + ticks.denominator - 1)
    return low if low <= high else None


def _read_pts(cursor: Cursor, mode: int, count: int, ticks: Fraction | None) -> tuple[int, ...]:
    first = _PTS.read(cursor, "timestamp")
    if mode == PTS_STEP:
        step = _STEP.read(cursor, "timestamp step") if count > 1 else 0
        return tuple(first + i * step for i in range(count))
    if mode == PTS_RATE and ticks is not None:
        phase = _PHASE.read(cursor, "timestamp phase")
        pts = tuple(first + (i * ticks.numerator + phase) // ticks.denominator for i in range(count))
        if phase >= ticks.denominator or ticks < 1:
            raise cursor.damaged(f"timestamp phase {phase} does not fit {ticks} ticks a frame")
        return pts
    if mode == PTS_LISTED:
        listed = [first]
        for _ in range(count - 1):
            listed.append(listed[-1] + _STEP.read(cursor, "timestamp step"))
        return tuple(listed)
    raise cursor.damaged(f"timestamp mode {mode} is unknown or needs a frame rate")


def _write_durations(pts: Sequence[int], durations: Sequence[int]) -> tuple[int, bytes]:
    if len(set(durations)) == 1:
        return DURATION_SAME, _DURATION.write(durations[0], "duration")
    if all(pts[i] + durations[i] == pts[i + 1] for i in range(len(pts) - 1)):
        return DURATION_TO_NEXT, _DURATION.write(durations[-1], "duration")
    return DURATION_LISTED, b"".join(_DURATION.write(duration, "duration") for duration in durations)


def _read_durations(cursor: Cursor, mode: int, pts: Sequence[int]) -> tuple[int, ...]:
    if mode == DURATION_SAME:
        return (_DURATION.read(cursor, "duration"),) * len(pts)
    if mode == DURATION_TO_NEXT:
        last = _DURATION.read(cursor, "duration")
        return (*(after - before for before, after in pairwise(pts)), last)
    if mode == DURATION_LISTED:
        return tuple(_DURATION.read(cursor, "duration") for _ in pts)
    raise cursor.damaged(f"duration mode {mode} is unknown")
