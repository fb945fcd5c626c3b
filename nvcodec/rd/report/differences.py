# SPDX-License-Identifier: Apache-2.0
"""BD-rates of every codec against every other: per clip, and over a set both ways."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from nvcodec.rd.bdrate import BDResult, CurveError, Points, SetResult, bd_over_set, mean_curve
from nvcodec.rd.report.metrics import Metric
from nvcodec.rd.report.model import ClipSet, Codec, Report


class DifferenceTable:
    """Answers "what does codec B need against anchor A" for one report; each pair is computed once, for both ways."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._pair = lru_cache(maxsize=None)(self._compute)

    def between(self, anchor: str, codec: str, clips: ClipSet, metric: Metric) -> SetResult:
        """Per-clip values and both averages over ``clips``; what cannot be had is in the result as a reason."""
        labels = [c.label for c in self.report.codecs]
        if labels.index(anchor) <= labels.index(codec):
            return self._pair(anchor, codec, tuple(clips.clips), metric)
        return swapped(self._pair(codec, anchor, tuple(clips.clips), metric))

    def _compute(self, anchor: str, codec: str, clips: tuple[str, ...], metric: Metric) -> SetResult:
        a, b = self.report.codec(anchor), self.report.codec(codec)
        result = bd_over_set(
            {clip: steps(a, clip, metric.name) for clip in clips if a.has(clip, metric.name)},
            {clip: steps(b, clip, metric.name) for clip in clips if b.has(clip, metric.name)},
            lower_is_better=metric.lower_is_better,
        )
        missing = {c: "measured for neither" for c in clips if c not in result.per_clip and c not in result.refused}
        refused = {clip: _named(reason, anchor, codec) for clip, reason in {**result.refused, **missing}.items()}
        result = replace(
            result, refused=refused, curve_of_means_refused=_named(result.curve_of_means_refused, anchor, codec)
        )
        uneven = next((c for c in (a, b) if not same_steps(c, clips)), None)
        if uneven is not None and result.curve_of_means is not None:
            reason = f"{uneven.label} was measured at other quality steps in one clip than in another"
            result = replace(result, curve_of_means=None, curve_of_means_refused=reason)
        return result


def steps(codec: Codec, clip: str, metric: str, rate: str = "kbps") -> Points:
    """(rate, quality) of each point on ``clip`` in the order of the quality knob; ``rate`` is "kbps" or "bpp"."""
    points = sorted(codec.curves[clip].points, key=lambda p: p.quality.value)
    return [(getattr(p.rate, rate), p.metrics[metric]) for p in points]


def same_steps(codec: Codec, clips: tuple[str, ...]) -> bool:
    """Whether the codec was measured at the same settings of its quality knob in all ``clips``."""
    knobs = {
        tuple(sorted((p.quality.parameter, p.quality.value) for p in codec.curves[clip].points))
        for clip in clips
        if clip in codec.curves
    }
    return len(knobs) <= 1


def average_curve(codec: Codec, clips: ClipSet, metric: str, rate: str) -> list[tuple[float, float]]:
    """Mean rate and mean quality at each step over a set, ascending; CurveError where that is not defined."""
    missing = [clip for clip in clips.clips if not codec.has(clip, metric)]
    if missing:
        raise CurveError(f"{codec.label}: {metric} was not measured on {', '.join(missing)}")
    if not same_steps(codec, tuple(clips.clips)):
        raise CurveError(f"{codec.label} was measured at other quality steps in one clip than in another")
    return sorted(mean_curve([steps(codec, clip, metric, rate) for clip in clips.clips]))


def swapped(result: SetResult) -> SetResult:
    """The same comparison with anchor and test exchanged."""
    per_clip = {clip: _swapped(r) for clip, r in result.per_clip.items()}
    qualities = [r.bd_quality for r in per_clip.values() if r.bd_quality is not None]
    return SetResult(
        mean_of_clips_percent=_mean([r.bd_rate_percent for r in per_clip.values()]),
        mean_of_clips_akima_percent=_mean([r.bd_rate_akima_percent for r in per_clip.values()]),
        mean_of_clips_quality=_mean(qualities) if len(qualities) == len(per_clip) else None,
        curve_of_means=_swapped(result.curve_of_means) if result.curve_of_means else None,
        per_clip=per_clip,
        refused=result.refused,
        curve_of_means_refused=result.curve_of_means_refused,
    )


def _swapped(r: BDResult) -> BDResult:
    # The mean difference of log rates changes its sign; as a percentage that is the reciprocal of the ratio.
    def inverse(percent: float) -> float:
        return (1.0 / (1.0 + percent / 100.0) - 1.0) * 100.0

    return replace(
        r,
        bd_rate_percent=inverse(r.bd_rate_percent),
        bd_rate_akima_percent=inverse(r.bd_rate_akima_percent),
        bd_quality=None if r.bd_quality is None else -r.bd_quality,
        bd_quality_akima=None if r.bd_quality_akima is None else -r.bd_quality_akima,
    )


def _named(reason: str, anchor: str, codec: str) -> str:
    """A refusal with the codecs' labels in place of "anchor" and "test": true whichever way round it is asked."""
    return re.sub(
        r"\b(?:the )?(anchor|test codec|test)\b", lambda m: anchor if m.group(1) == "anchor" else codec, reason
    )


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
