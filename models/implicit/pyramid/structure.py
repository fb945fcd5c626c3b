# SPDX-License-Identifier: Apache-2.0
"""The pyramid in time: anchors a few frames apart, and between two anchors halves of halves."""

from __future__ import annotations

from dataclasses import dataclass

SPAN = 16  # frames from one anchor to the next


@dataclass(frozen=True)
class Step:
    """One frame in coding order: its number in the GOP, those it is predicted from (none: intra), its level.

    level 0: anchors; 1, 2, ...: halves, quarters, ...
    """

    frame: int
    past: int | None
    future: int | None
    level: int


def coding_order(start: int, end: int) -> list[Step]:
    """The frames after ``start`` up to ``end``, which is predicted from ``start``; all between from both sides."""
    steps = [Step(end, start, None, 0)]

    def halve(past: int, future: int, level: int) -> None:
        if future - past < 2:
            return
        middle = (past + future) // 2
        steps.append(Step(middle, past, future, level))
        halve(past, middle, level + 1)
        halve(middle, future, level + 1)

    halve(start, end, 1)
    return steps
