# SPDX-License-Identifier: Apache-2.0
"""Bjøntegaard differences between rate-distortion curves, per clip and over a data set.

Method: G. Bjøntegaard, VCEG-M33 (2001), with the piecewise cubic Hermite interpolation on log rate of the JCT-VC common
test conditions (JCTVC-L1100) in place of the cubic polynomial; Akima interpolation beside it (C. Herglotz et al.,
arXiv 2202.12565). The cubic polynomial stays available to check against old tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from nvcodec.errors import NvcError, UsageError

MIN_OVERLAP = 0.75  # below it a value is flagged
LOWER_IS_BETTER = frozenset({"strred"})
METHODS = ("pchip", "akima", "cubic")


class CurveError(NvcError):
    """Two curves that cannot be compared: too few points, not monotone, or no common range."""


@dataclass(frozen=True)
class BDResult:
    """What the test curve needs against the anchor.

    bd_rate_percent: mean rate difference at equal quality, negative = fewer bits; bd_quality: mean difference of
    the metric at equal rate in its own unit (dB for PSNR), None where the rates do not overlap; both by PCHIP, Akima's
    beside them. overlap: common quality range over the range of both together, 0..1. quality_range: the common range.
    flagged: overlap is below MIN_OVERLAP.
    """

    bd_rate_percent: float
    bd_rate_akima_percent: float
    bd_quality: float | None
    bd_quality_akima: float | None
    overlap: float
    quality_range: tuple[float, float]
    flagged: bool


@dataclass(frozen=True)
class SetResult:
    """A data set's figures, each way named.

    mean_of_clips_percent: mean of the per-clip BD-rates over the clips in ``per_clip`` (None if empty);
    curve_of_means: BD between the curves of mean rate and mean quality over all clips, or None with the reason in
    ``curve_of_means_refused``. refused: clip -> why it has no value; whoever shows the mean must show these too.
    """

    mean_of_clips_percent: float | None
    mean_of_clips_akima_percent: float | None
    mean_of_clips_quality: float | None
    curve_of_means: BDResult | None
    per_clip: dict[str, BDResult]
    refused: dict[str, str] = field(default_factory=dict)
    curve_of_means_refused: str = ""


def bd_compare(
    anchor_rates: Sequence[float],
    anchor_qualities: Sequence[float],
    test_rates: Sequence[float],
    test_qualities: Sequence[float],
    *,
    lower_is_better: bool = False,
) -> BDResult:
    """Compare two curves given as points in any order; rates in any one unit, positive.

    lower_is_better: for metrics such as ST-RRED. Raises CurveError when a curve has fewer than two points, when its
    quality does not rise strictly with its rate, or when the quality ranges have nothing in common.
    """
    sign = -1.0 if lower_is_better else 1.0
    log_a, quality_a = _sorted_curve(anchor_rates, anchor_qualities, sign, "anchor")
    log_t, quality_t = _sorted_curve(test_rates, test_qualities, sign, "test")
    low, high = _common(quality_a, quality_t)
    if high <= low:
        raise CurveError(
            f"quality ranges do not overlap: anchor {_span(quality_a * sign)}, test {_span(quality_t * sign)}"
        )
    overlap = (high - low) / (max(quality_a[-1], quality_t[-1]) - min(quality_a[0], quality_t[0]))
    rates = {m: _percent(_mean_difference(quality_a, log_a, quality_t, log_t, m)) for m in METHODS[:2]}
    low_rate, high_rate = _common(log_a, log_t)
    qualities: dict[str, float | None] = dict.fromkeys(METHODS[:2])
    if high_rate > low_rate:
        qualities = {m: sign * _mean_difference(log_a, quality_a, log_t, quality_t, m) for m in METHODS[:2]}
    return BDResult(
        rates["pchip"],
        rates["akima"],
        qualities["pchip"],
        qualities["akima"],
        overlap,
        (low, high) if sign > 0 else (-high, -low),
        overlap < MIN_OVERLAP,
    )


def bd_rate(
    anchor_rates: Sequence[float],
    anchor_qualities: Sequence[float],
    test_rates: Sequence[float],
    test_qualities: Sequence[float],
    method: str = "pchip",
) -> float:
    """BD-rate in percent by one method ("pchip", "akima", "cubic"); CurveError as in ``bd_compare``."""
    _require_method(method)
    log_a, quality_a = _sorted_curve(anchor_rates, anchor_qualities, 1.0, "anchor")
    log_t, quality_t = _sorted_curve(test_rates, test_qualities, 1.0, "test")
    return _percent(_mean_difference(quality_a, log_a, quality_t, log_t, method))


def bd_rate_by_parts(
    anchor_rates: Sequence[float],
    anchor_qualities: Sequence[float],
    test_rates: Sequence[float],
    test_qualities: Sequence[float],
    parts: int,
) -> list[float]:
    """BD-rates in percent (PCHIP) over equal parts of the common quality range, the lowest first; CurveError as in
    ``bd_compare``."""
    log_a, quality_a = _sorted_curve(anchor_rates, anchor_qualities, 1.0, "anchor")
    log_t, quality_t = _sorted_curve(test_rates, test_qualities, 1.0, "test")
    ends = np.linspace(*_shared(quality_a, quality_t), parts + 1).tolist()
    return [
        _percent(_mean_between(quality_a, log_a, quality_t, log_t, low, high, "pchip")) for low, high in pairwise(ends)
    ]


def bd_psnr(
    anchor_rates: Sequence[float],
    anchor_qualities: Sequence[float],
    test_rates: Sequence[float],
    test_qualities: Sequence[float],
    method: str = "pchip",
) -> float:
    """Mean quality difference at equal rate, in the metric's unit; CurveError as in ``bd_compare``."""
    _require_method(method)
    log_a, quality_a = _sorted_curve(anchor_rates, anchor_qualities, 1.0, "anchor")
    log_t, quality_t = _sorted_curve(test_rates, test_qualities, 1.0, "test")
    return _mean_difference(log_a, quality_a, log_t, quality_t, method)


Points = Sequence[tuple[float, float]]  # (rate, quality), one for each quality step, in the same order in every clip


def bd_over_set(
    anchor: Mapping[str, Points], test: Mapping[str, Points], *, lower_is_better: bool = False
) -> SetResult:
    """Both averages in use over a data set; ``anchor`` and ``test`` map clip names to points.

    Clips that only one side has are refused by name. The curve of means needs the same number of points in every clip
    of a side, each position meaning the same quality step.
    """
    per_clip: dict[str, BDResult] = {}
    refused: dict[str, str] = {}
    for name in sorted(set(anchor) | set(test)):
        if name not in anchor or name not in test:
            refused[name] = f"measured only for the {'test codec' if name in test else 'anchor'}"
            continue
        try:
            per_clip[name] = bd_compare(*_split(anchor[name]), *_split(test[name]), lower_is_better=lower_is_better)
        except CurveError as error:
            refused[name] = str(error)
    means, why = None, ""
    try:
        common = sorted(set(anchor) & set(test))
        if len(common) < len(set(anchor) | set(test)):
            raise CurveError("some clips were measured for one side only")
        means = bd_compare(
            *_split(mean_curve([anchor[n] for n in common])),
            *_split(mean_curve([test[n] for n in common])),
            lower_is_better=lower_is_better,
        )
    except CurveError as error:
        why = str(error)
    results = list(per_clip.values())
    qualities = [r.bd_quality for r in results if r.bd_quality is not None]
    return SetResult(
        _mean([r.bd_rate_percent for r in results]),
        _mean([r.bd_rate_akima_percent for r in results]),
        _mean(qualities) if len(qualities) == len(results) else None,
        means,
        per_clip,
        refused,
        why,
    )


def mean_curve(clips: Sequence[Points]) -> list[tuple[float, float]]:
    """Arithmetic mean of rate and of quality at each step; CurveError if the clips have different numbers of points."""
    if not clips:
        raise CurveError("no clip to average")
    counts = sorted({len(c) for c in clips})
    if len(counts) > 1:
        raise CurveError(f"clips have {counts[0]} to {counts[-1]} points; a curve of means needs the same steps in all")
    steps = zip(*clips, strict=True)
    return [(float(np.mean([r for r, _ in step])), float(np.mean([q for _, q in step]))) for step in steps]


def _sorted_curve(
    rates: Sequence[float], qualities: Sequence[float], sign: float, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """(log10 rate, sign * quality), both strictly ascending."""
    if len(rates) != len(qualities):
        raise UsageError(f"{name} curve: {len(rates)} rates for {len(qualities)} qualities")
    if len(rates) < 2:
        raise CurveError(f"{name} curve has {len(rates)} point{'s' * (len(rates) != 1)}, at least 2 are needed")
    rate = np.asarray(rates, dtype=np.float64)
    quality = np.asarray(qualities, dtype=np.float64) * sign
    if not (np.all(np.isfinite(rate)) and np.all(np.isfinite(quality)) and np.all(rate > 0)):
        raise CurveError(f"{name} curve: rates must be positive and qualities finite")
    order = np.lexsort((quality, rate))
    rate, quality = rate[order], quality[order]
    for i in range(len(rate) - 1):
        if rate[i + 1] <= rate[i] or quality[i + 1] <= quality[i]:
            raise CurveError(
                f"{name} curve is not monotone: quality {quality[i] * sign:.4g} at rate {rate[i]:.6g}, "
                f"{quality[i + 1] * sign:.4g} at {rate[i + 1]:.6g}"
            )
    return np.log10(rate), quality


def _mean_difference(xa: np.ndarray, ya: np.ndarray, xt: np.ndarray, yt: np.ndarray, method: str) -> float:
    """Mean of test minus anchor over the x they share, by exact integration of the interpolants."""
    return _mean_between(xa, ya, xt, yt, *_shared(xa, xt), method)


def _mean_between(
    xa: np.ndarray, ya: np.ndarray, xt: np.ndarray, yt: np.ndarray, low: float, high: float, method: str
) -> float:
    return (_integral(xt, yt, low, high, method) - _integral(xa, ya, low, high, method)) / (high - low)


def _shared(xa: np.ndarray, xt: np.ndarray) -> tuple[float, float]:
    low, high = _common(xa, xt)
    if high <= low:
        raise CurveError(f"ranges do not overlap: anchor {_span(xa)}, test {_span(xt)}")
    return low, high


def _integral(x: np.ndarray, y: np.ndarray, low: float, high: float, method: str) -> float:
    if method == "cubic":
        if len(x) < 4:
            raise CurveError(f"a cubic polynomial needs 4 points, there are {len(x)}")
        area = np.polyint(np.polyfit(x, y, 3))
        return float(np.polyval(area, high) - np.polyval(area, low))
    from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

    if method == "pchip" or len(x) < 3:  # two points: both are the straight line
        return float(PchipInterpolator(x, y).integrate(low, high))
    return float(Akima1DInterpolator(x, y).integrate(low, high))


def _common(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    return float(max(a[0], b[0])), float(min(a[-1], b[-1]))


def _percent(log10_ratio: float) -> float:
    return (10.0**log10_ratio - 1.0) * 100.0


def _span(values: np.ndarray) -> str:
    return f"{values.min():.4g}..{values.max():.4g}"


def _split(points: Points) -> tuple[list[float], list[float]]:
    return [r for r, _ in points], [q for _, q in points]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _require_method(method: str) -> None:
    if method not in METHODS:
        raise UsageError(f"BD method {method!r}, allowed are {', '.join(METHODS)}")
