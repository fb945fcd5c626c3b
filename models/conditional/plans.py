# SPDX-License-Identifier: Apache-2.0
"""Which frame is coded when, at which level, from which others.

low delay       I  P  P  P  P ...     each from the frame before it and the last one coded finer
random access   I  16 8 4 12 2 6 10 14 1 3 ...   groups of 16, or of 8 where much moves: the last frame first, then
                                                 middles of what is between
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nvcodec.models.quality import LEVELS, LOWEST, QUALITIES

LOW_DELAY, RANDOM_ACCESS = "ld", "ra"
PROFILES = (RANDOM_ACCESS, LOW_DELAY)
GROUP, SHORT_GROUP = 16, 8
# levels by which frames differ from the quality asked for (a level is 0.42 of H.264's QP): keyframes, which all later
# frames profit from, are finer, less so where the scale begins and ends
INTRA_OFFSET, INTRA_OFFSET_AT_0 = 14, 10
FALLS_FROM = QUALITIES // 2  # quality
KEYFRAME_RISE, KEYFRAME_FALL = 0.4, 0.35  # levels for each quality, from the lowest up and beyond the middle
KEYFRAME_MORE, KEYFRAME_LESS = 1, 6
KEYFRAME_SLOPE, KEYFRAME_RATIO = 3.0, 0.2  # levels for each halving of what motion leaves of the next frames
LOW_DELAY_OFFSETS = (0, -8, -3, -8)
LOW_DELAY_DEPTHS = (2, 4, 3, 4)  # beside those that count as the ends of groups
LONG_EVERY = 2  # frames in low delay of which one may be predicted from the keyframe
GROUP_OFFSETS = (0, -9, -14, -18, -21)  # by depth in the group
NETWORK_EVERY = 8  # frames in low delay, one of which counts as the end of a group


@dataclass(frozen=True)
class Plan:
    """One frame to code: its number, level, numbers of its references, and whether others need it. seconds: frames one
    of which may be a second reference; depth: in its group, 0 of what others are predicted from most (in low delay
    0 or 2 to 4)."""

    number: int
    level: int
    references: tuple[int, ...]
    kept: bool
    seconds: tuple[int, ...] = ()
    depth: int = 0


def keyframe_level(quality: int, worth: int = 0) -> int:
    """Level of a keyframe, which is ``worth`` levels finer than usual; never falls from one quality to the next."""
    offset, least = INTRA_OFFSET + worth, INTRA_OFFSET_AT_0 + worth
    falling = offset - KEYFRAME_FALL * (quality - FALLS_FROM)
    return level_at(quality, round(min(least + KEYFRAME_RISE * quality, offset, falling)))


def plan_low_delay(number: int, quality: int) -> Plan:
    """A frame ``number`` frames after its keyframe."""
    period = len(LOW_DELAY_OFFSETS)
    finer = number - (number % period or period)
    if finer == number - 1:
        finer -= period
    level = level_at(quality, LOW_DELAY_OFFSETS[number % period])
    depth = 0 if number % NETWORK_EVERY == 0 else LOW_DELAY_DEPTHS[number % period]
    if finer > 0 and number % LONG_EVERY == 0:
        return Plan(number, level, (number - 1,), True, (finer, 0), depth)
    return Plan(number, level, (number - 1, finer) if finer >= 0 else (number - 1,), True, depth=depth)


def plan_group(begin: int, end: int, seconds: tuple[int, ...], quality: int) -> list[list[Plan]]:
    """Frames begin + 1 to end after a keyframe, in coding order. Frames of one inner list do not need each other.

    seconds: frames before ``begin``, one of which the last frame may be predicted from, too.
    """
    waves = [[Plan(end, level_at(quality, GROUP_OFFSETS[0]), (begin,), True, seconds)]]
    spans, depth = [(begin, end)], 1
    while spans:
        wave, halves = _middles(spans, depth, quality)
        waves += [wave] if wave else []
        spans, depth = halves, depth + 1
        if all(high - low < SHORT_GROUP for low, high in spans):
            break
    for low, high in zip(spans[::2], spans[1::2], strict=True):  # one after the other: few frames are kept at a time
        parts, below = [low, high], depth
        while parts:
            wave, parts = _middles(parts, below, quality)
            waves += [wave] if wave else []
            below += 1
    return waves


def _middles(spans: list[tuple[int, int]], depth: int, quality: int) -> tuple[list[Plan], list[tuple[int, int]]]:
    """Frames in the middle of spans, and what is between them and the spans' ends."""
    level, wave, halves = level_at(quality, GROUP_OFFSETS[min(depth, len(GROUP_OFFSETS) - 1)]), [], []
    for low, high in spans:
        if high - low > 1:
            middle = low + _half(high - low)
            wave.append(Plan(middle, level, (low, high), high - low > 2, depth=depth))
            halves += [(low, middle), (middle, high)]
    return wave, halves


def _half(span: int) -> int:
    """A power of two near half of it: most frames are to lie midway between two others."""
    return 1 << round(math.log2(span / 2)) if span > 2 else 1


def level_at(quality: int, offset: int) -> int:
    return max(0, min(LEVELS - 1, LOWEST + quality + offset))
