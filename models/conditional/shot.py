# SPDX-License-Identifier: Apache-2.0
"""How the frames from one keyframe to the next are coded: everything of an encoder but the bytes."""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from nvcodec.models.conditional.efforts import ALL_DEPTHS, Effort, Tools
from nvcodec.models.conditional.frame import Planes, Reference
from nvcodec.models.conditional.frame_coder import (
    KEYFRAME_SLOT,
    WINDOW,
    DecidedFrame,
    FrameHeader,
    Window,
    is_midway,
    stretch,
    timed,
)
from nvcodec.models.conditional.motion_search import prediction_costs, share_unlike
from nvcodec.models.conditional.picture import Statistics, choose, sample_keyframe
from nvcodec.models.conditional.plans import (
    GROUP,
    GROUP_OFFSETS,
    KEYFRAME_LESS,
    KEYFRAME_MORE,
    KEYFRAME_RATIO,
    KEYFRAME_SLOPE,
    LOW_DELAY,
    SHORT_GROUP,
    Plan,
    keyframe_level,
    level_at,
    plan_group,
    plan_low_delay,
)
from nvcodec.models.conditional.temporal_filter import filtered
from nvcodec.models.conditional.threads import when_ready
from nvcodec.models.depth import EXTRA_BITS
from nvcodec.models.kernels.samples import mean_squared_error, narrow
from nvcodec.models.quality import CHROMA_SCALES
from nvcodec.models.transform import BlockBases, chroma_weight

AHEAD = 4  # frames beyond a group that are looked at
MOST_UNLIKE = 0.2  # of the blocks of a group's last frame are no easier to predict in time, or the group is short
CHROMA_AT_FIRST = 10  # before anything is known of what is lost of chroma
CHROMA_FACTOR = 1.2  # of the weight that the derivative of PSNR-YUV says (0.85, 1, 1.4: 1.4, 0.3, 0.3% more bits)
LEAST_ERROR = 0.05 * (1 << 2 * EXTRA_BITS)  # mean squared


@dataclass
class Chosen:
    """A frame that was decided on, its place in its unit still open."""

    plan: Plan
    reference: Reference
    shown: Planes  # as every decoder will see it
    symbols: np.ndarray
    chroma: int
    wanted: int  # how much chroma should count in the frames after it


@dataclass
class _Group:
    """Pictures begin + 1, begin + 2, ..., those ``after`` them, and who is predicted from whom; end: its last frame, if
    that was decided on already."""

    begin: int
    pictures: list[Planes]
    after: list[Planes]
    waves: list[list[Plan]]
    end: Chosen | None = None


@dataclass
class DecidedUnit:
    """A unit before it is written: its frames in coding order, and their planes in display order."""

    frames: list[DecidedFrame]
    planes: list[Planes]


@dataclass(frozen=True)
class ShotSettings:
    """What all shots of a video have in common. finer_keyframes: levels by which keyframes are finer than they would
    be; pool: threads for pictures; timings: seconds by stage are added there."""

    bases: BlockBases
    height: int
    width: int
    profile: str
    effort: Effort
    keyframe_effort: Effort
    tools: Tools
    finer_keyframes: int
    pool: Executor
    timings: dict[str, float]


class ShotAnalyser:
    """Decides how the frames from one keyframe on are coded, which no others are predicted from.

    `push` and `flush` return units as they are decided. statistics: of residuals, for training.
    """

    def __init__(self, settings: ShotSettings, keyframe: Planes, statistics: Statistics | None = None):
        """keyframe: the first picture."""
        self._settings, self._statistics, self._pool = settings, statistics, settings.pool
        self._decided_at = 0  # quality of the frame that is being decided on
        self._differences = 0.0, 0.0  # of `Cuts`, since the keyframe
        self._window = Window()
        self._known: dict[int, Reference] = {}  # frames that others may be predicted from, by number
        self._order: dict[int, int] = {0: 0}  # of frames that were planned, in coding order
        self._keyframe: Planes | None = keyframe  # until its group has been collected
        self._group: _Group | None = None  # the next one, collected while the one before was decided on
        self._waiting: list[Planes] = []  # of the group that is being collected
        self._end = keyframe  # the picture before the ones that wait
        self._number = 0  # of the last frame coded, counted from the keyframe
        self._begin: int | None = None  # where the last group began
        self._kept: list[int] = [0]  # frames that will be in the window, newest first
        self._chroma = CHROMA_AT_FIRST  # how much chroma counts in the next frame

    def begin(self, quality: int) -> list[DecidedUnit]:
        """The keyframe, if it need not wait for what follows."""
        self._decided_at = quality
        return self._keyframe_unit() if self._settings.profile == LOW_DELAY else []

    def push(self, picture: Planes, quality: int, differences: tuple[float, float]) -> list[DecidedUnit]:
        """The next picture in display order; quality: asked for; differences: of `Cuts`, since the keyframe."""
        self._decided_at, self._differences = quality, differences
        self._waiting.append(picture)
        if self._settings.profile == LOW_DELAY:
            return [self._frame_in_order()]
        if not self._is_complete():
            return []
        units = self._keyframe_unit()
        if self._group is None:
            self._group = self._collect()  # decided on beside the one before it, or with the next one
        else:
            units += self._finish_group()
        return units

    def flush(self, quality: int, differences: tuple[float, float]) -> list[DecidedUnit]:
        """What is left."""
        self._decided_at, self._differences = quality, differences
        units = self._keyframe_unit()
        while self._waiting or self._group is not None:
            units += self._finish_group(last=True)
        return units

    def _keyframe_unit(self) -> list[DecidedUnit]:
        """The keyframe that waits, if one does."""
        if self._keyframe is None:
            return []
        level = keyframe_level(self._decided_at, self._worth())
        with timed(self._settings.timings, "analysis"):
            picture, finer = self._filtered(self._keyframe, [], self._waiting, level, self._pool)
            plan, source, chroma = Plan(0, level, (), True), self._keyframe, CHROMA_AT_FIRST
            if self._statistics is None:  # which are kept of each picture once
                planes, rows = sample_keyframe(picture, level, chroma, finer, self._settings.bases, self._pool)
                half = rows[::2]
                chroma = wanted_chroma(
                    (source[0][rows], source[1][half], source[2][half]),
                    (planes[0][rows], planes[1][half], planes[2][half]),
                )
            chosen = self._choose(plan, picture, source, finer, chroma, self._pool, self._settings.keyframe_effort)
            self._chroma = chosen.wanted
        self._keyframe = None
        return [self._unit([chosen])]

    def _finish_group(self, *, last: bool = False) -> list[DecidedUnit]:
        """Decide on the group that was collected, and on the end of the next one; last: no more frames will come."""
        group, self._group = self._group or self._collect(), None
        if group is None:
            return []
        with timed(self._settings.timings, "analysis"):
            end = group.end or self._choose_end(group, self._pool)
            more = bool(self._waiting) and (last or self._is_complete())
            return [self._unit([end, *self._choose_rest(group, end, more)])]

    def _is_complete(self) -> bool:
        """Whether a whole group waits, and what is looked at beyond it."""
        return len(self._waiting) == GROUP + AHEAD

    def _frame_in_order(self) -> DecidedUnit:
        """The frame that waits, in low delay."""
        self._number += 1
        self._order[self._number] = self._number
        with timed(self._settings.timings, "analysis"):
            picture = self._waiting.pop()
            plan = self._with_second(plan_low_delay(self._number, self._decided_at), picture, self._pool)
            chosen = self._choose(plan, picture, picture, None, self._chroma, self._pool)
            self._chroma = chosen.wanted
        return self._unit([chosen])

    def _collect(self) -> _Group | None:
        """A group of the frames that wait."""
        if not self._waiting:
            return None
        size = self._group_size()
        pictures, self._waiting = self._waiting[:size], self._waiting[size:]
        self._end = pictures[-1]
        begin, end = self._number, self._number + len(pictures)
        seconds = [self._begin] if self._begin in self._kept else []
        waves = plan_group(begin, end, tuple(dict.fromkeys([*seconds, 0] if begin else [])), self._decided_at)
        self._begin, self._number = begin, end
        for plan in (plan for wave in waves for plan in wave):
            self._order[plan.number] = len(self._order)
            if plan.kept:
                self._kept = [plan.number, *self._kept[: WINDOW - 1]]
        return _Group(begin, pictures, self._waiting[:AHEAD], waves)

    def _group_size(self) -> int:
        """How many of the frames that wait are one group: fewer where pictures change so much that the last of many is
        hard to predict."""
        size = min(GROUP, len(self._waiting))
        if size <= SHORT_GROUP:
            return size
        level = level_at(self._decided_at, GROUP_OFFSETS[0])
        share = share_unlike(self._waiting[size - 1][0], self._end[0], level)
        return size if share < MOST_UNLIKE else SHORT_GROUP

    def _choose_end(self, group: _Group, pool: Executor) -> Chosen:
        """The last frame of a group, which the others are predicted from."""
        (plan,), pictures = group.waves[0], group.pictures
        picture, finer = self._filtered(pictures[-1], pictures[-2::-1], group.after, plan.level, pool)
        plan = self._with_second(plan, picture, pool)
        return self._choose(plan, picture, pictures[-1], finer, self._chroma, pool)

    def _begin_group(self, pool: Executor) -> None:
        """Collect the next group, and decide on its end."""
        self._group = self._collect()
        assert self._group is not None
        self._group.end = self._choose_end(self._group, pool)

    def _choose_rest(self, group: _Group, end: Chosen, more: bool) -> list[Chosen]:
        """The other frames of a group, each as soon as those are there that it is predicted from, and beside them the
        beginning of the next one; more: whether there will be one."""
        self._known[end.plan.number] = end.reference
        self._chroma = end.wanted
        in_order = self._statistics is not None
        plans, chosen = [plan for wave in group.waves[1:] for plan in wave], {}

        def ready(plan: Plan) -> bool:
            return all(number in self._known for number in plan.references)

        def work(plan: Plan, pool: Executor) -> Chosen:
            picture = group.pictures[plan.number - group.begin - 1]
            return self._choose(plan, picture, picture, None, end.wanted, pool)

        def note(plan: Plan, one: Chosen) -> None:
            chosen[plan.number], self._known[plan.number] = one, one.reference

        beside = self._begin_group if more and not in_order else None
        when_ready(self._pool, plans, ready, work, note, beside, in_order)
        if more and in_order:
            self._begin_group(self._pool)
        for number in [number for number in self._known if 0 < number < group.begin]:
            del self._known[number]
        return [chosen[plan.number] for plan in plans]

    def _filtered(
        self, picture: Planes, past: list[Planes], future: list[Planes], level: int, pool: Executor
    ) -> tuple[Planes, np.ndarray]:
        """A picture that others are predicted from, with less of its noise, and how much finer its units are. Nearest
        neighbours first."""
        most = self._settings.effort.others
        others = [(n, other) for side in (past, future) for n, other in enumerate(side[:most], 1)]
        return filtered(picture, others, level, pool)

    def _unit(self, chosen: list[Chosen]) -> DecidedUnit:
        """A unit of frames in coding order."""
        first = min(one.plan.number for one in chosen)
        frames: list[DecidedFrame] = []
        planes: dict[int, Planes] = {}
        for one in chosen:
            plan, reference = one.plan, one.reference
            slots = tuple(self._slot(number) for number in plan.references)
            header = FrameHeader(plan.level, one.chroma, plan.kept, plan.number - first, slots)
            self._window.add(reference, plan.kept)
            self._known[plan.number] = reference
            frames.append((header, plan.number, reference.blocks, one.symbols))
            planes[plan.number] = one.shown
        if self._settings.profile == LOW_DELAY:
            kept = {0} | {entry.number for entry in self._window.kept}
            self._known = {number: entry for number, entry in self._known.items() if number in kept}
        return DecidedUnit(frames, [planes[number] for number in sorted(planes)])

    def _slot(self, number: int) -> int:
        """Where the window holds a frame."""
        numbers = [entry.number for entry in self._window.kept]
        assert number in numbers or number == 0
        return numbers.index(number) if number in numbers else KEYFRAME_SLOT

    def _with_second(self, plan: Plan, picture: Planes, pool: Executor) -> Plan:
        """A plan with that of its second references that makes up best for what the first one lacks."""
        if not plan.seconds:
            return plan
        best = 0
        if len(plan.seconds) > 1:
            references = [self._known[number] for number in (*plan.references, *plan.seconds)]
            costs = prediction_costs(picture[0], references, plan.level, pool)
            best = int(np.minimum(costs[0], costs[1:]).sum((1, 2)).argmin())
        return replace(plan, references=(*plan.references, plan.seconds[best]), seconds=())

    def _worth(self) -> int:
        """Levels by which the keyframe that waits is finer than usual: fewer where the next frames are unlike it."""
        in_time, in_space = self._differences
        if not in_space:
            return self._settings.finer_keyframes
        worth = KEYFRAME_SLOPE * math.log2(KEYFRAME_RATIO / max(in_time / in_space, 0.02))
        return round(max(-KEYFRAME_LESS, min(worth, KEYFRAME_MORE))) + self._settings.finer_keyframes

    def _choose(
        self,
        plan: Plan,
        picture: Planes,
        source: Planes,
        finer: np.ndarray | None,
        chroma: int,
        pool: Executor,
        effort: Effort | None = None,
    ) -> Chosen:
        """One frame, decided and reconstructed, and its symbols; source: the picture as it was before any filter."""
        effort = effort or self._settings.effort
        references = [self._known[number] for number in plan.references]
        newest = max(references, key=lambda entry: self._order[entry.number]) if references else None
        distances = tuple(plan.number - entry.number for entry in references)
        scale = stretch(distances, newest.distances if newest is not None else ())
        blocks, symbols, planes = choose(
            picture,
            plan.level,
            chroma,
            references,
            self._settings.tools.flow and is_midway(distances),
            newest,
            scale,
            self._settings.bases,
            replace(
                effort,
                filters=effort.filters and (plan.kept or effort.filters_last),
                network=plan.depth <= self._deepest(effort),
            ),
            pool,
            self._statistics,
            finer,
        )
        reference = Reference(planes, blocks, plan.level, plan.number, distances)
        shown = cut(reference.picture(), self._settings.height, self._settings.width)
        return Chosen(plan, reference, shown, symbols, chroma, wanted_chroma(source, reference.picture()))

    def _deepest(self, effort: Effort) -> int:
        """The deepest of a group's frames that are restored by the network, too."""
        deepest = self._settings.tools.network
        return deepest if deepest == ALL_DEPTHS else min(deepest, effort.deepest)


def wanted_chroma(source: Planes, decoded: Planes) -> int:
    """How much chroma should count for PSNR-YUV (6 Y + U + V) / 8 to gain most, by what is lost of each plane now: its
    derivative by a plane's squared error falls with that error."""
    y, u, v = (max(mean_squared_error(a, b), LEAST_ERROR) for a, b in zip(source, decoded, strict=True))
    weight = math.sqrt(y / 3 * (1 / u + 1 / v)) * CHROMA_FACTOR
    return min(range(len(CHROMA_SCALES)), key=lambda chroma: abs(math.log(weight / chroma_weight(chroma))))


def cut(planes: Planes, height: int, width: int) -> Planes:
    """Planes outside, without what pads them to whole blocks."""
    half = (height + 1) // 2, (width + 1) // 2
    y, u, v = planes
    return (
        narrow(y[:height, :width]),
        narrow(u[: half[0], : half[1]]),
        narrow(v[: half[0], : half[1]]),
    )
