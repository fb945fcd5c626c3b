# SPDX-License-Identifier: Apache-2.0
"""What a report is drawn from: curves by codec and clip, sets of clips, speeds, published results beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from nvcodec.datasets import find_clip, get_dataset
from nvcodec.errors import NvcError, UsageError
from nvcodec.rd.published import Entry, Shown, set_beside
from nvcodec.rd.report.metrics import OFFERED, Metric, metric_named, sorted_metrics
from nvcodec.rd.schema import Clip, CodecRecord, Conditions, Failure
from nvcodec.rd.store import Curve, ResultsFolder, read_failures

OWN_FAMILY = "ours"
# Okabe and Ito's colours (legible without red-green vision), the codec of this package first, then darker variants.
COLOURS = (
    "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5a2e", "#6a51a3",
    "#8c2d04", "#1f5f8b", "#00664b", "#8a3f6b", "#8f6a00", "#4d7f9e", "#555555", "#a6761d",
)  # fmt: skip


@dataclass(frozen=True)
class Codec:
    """One line of the plots: a codec's curves by clip name. ``label`` tells versions of one codec apart."""

    label: str
    record: CodecRecord
    colour: str
    curves: dict[str, Curve]

    @property
    def own(self) -> bool:
        """Whether it is one of this package's codecs."""
        return self.record.family == OWN_FAMILY

    def has(self, clip: str, metric: str) -> bool:
        """Whether every point of the curve on ``clip`` carries ``metric``."""
        return clip in self.curves and all(metric in p.metrics for p in self.curves[clip].points)

    def fps(self, clips: Sequence[str], direction: str) -> float | None:
        """Frames per second of "encode" or "decode" over all points on ``clips``; None if nothing was timed."""
        points = [p for name in clips if name in self.curves for p in self.curves[name].points]
        seconds = sum(p.timing.encode_s if direction == "encode" else p.timing.decode_s for p in points)
        frames = sum(p.clip.frames for p in points)
        return frames / seconds if seconds > 0 else None


@dataclass(frozen=True)
class ClipSet:
    """Clips averaged together. name: for files and the command line. dataset: the standard set it is, or None."""

    name: str
    title: str
    clips: list[str]
    dataset: str | None = None


@dataclass(frozen=True)
class Report:
    """Everything a plot, table or page shows, for one set of conditions."""

    folder: Path
    conditions: Conditions
    clips: dict[str, Clip]
    sets: list[ClipSet]
    codecs: list[Codec]
    metrics: list[Metric]
    anchor: str
    failures: list[Failure]
    shown: list[Shown] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def metric(self) -> Metric:
        """The metric tables lead with."""
        return self.metrics[0]

    def codec(self, label: str) -> Codec:
        """The codec with that label; UsageError names those there are."""
        for codec in self.codecs:
            if codec.label == label:
                return codec
        raise UsageError(f"codec {label!r} has no results here; there are {', '.join(c.label for c in self.codecs)}")


def gather(
    folder: str | Path,
    *,
    conditions: str | None = None,
    anchor: str | None = None,
    metrics: Sequence[str] = (),
    published: Sequence[Entry] = (),
) -> Report:
    """Read a results folder and arrange it for a report.

    conditions: name or identity, needed only where the folder holds several. anchor: a codec's name; by default x265
    medium low delay, else the first codec that is not ours. metrics: the names to show, the first one leading; by
    default that of the conditions, then all common ones. Raises UsageError for a name that is not there, NvcError for
    a folder without points, and what ``ResultsFolder.open`` raises.
    """
    results = ResultsFolder.open(folder)
    if not results.points:
        raise NvcError(f"{folder}: holds no measured point; run 'nvc rd' first")
    chosen = _choose_conditions(results, conditions)
    curves = results.curves(chosen)
    clips = {c.clip.name: c.clip for c in curves}
    codecs = _codecs(curves)
    names = _choose_metrics(codecs, chosen, metrics)
    shown: list[Shown] = []
    refused: list[str] = []
    for entry in published:
        accepted, reasons = set_beside(entry, list(clips.values()), chosen)
        shown += accepted
        refused += reasons
    return Report(
        folder=Path(folder),
        conditions=chosen,
        clips=clips,
        sets=_sets(clips),
        codecs=codecs,
        metrics=[metric_named(name) for name in names],
        anchor=_choose_anchor(codecs, anchor),
        failures=read_failures(Path(folder)),
        shown=shown,
        refused=refused,
    )


def _choose_conditions(results: ResultsFolder, wanted: str | None) -> Conditions:
    found = results.all_conditions()
    listed = ", ".join(f"{c.name} ({c.identity})" for c in found)
    if wanted is None:
        if len(found) == 1:
            return found[0]
        raise UsageError(
            f"{results.path}: measured under {len(found)} conditions: {listed}; pick one with --conditions"
        )
    matching = [c for c in found if wanted in (c.name, c.identity)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise UsageError(f"conditions {wanted!r} are ambiguous in {results.path}: {listed}; give the sixteen digits")
    raise UsageError(f"conditions {wanted!r} are not in {results.path}; there are {listed}")


def _codecs(curves: Sequence[Curve]) -> list[Codec]:
    by_label: dict[str, dict[str, Curve]] = {}
    for curve in curves:
        by_label.setdefault(curve.label, {})[curve.clip.name] = curve
    records = {curve.label: curve.codec for curve in curves}
    labels = sorted(by_label, key=lambda label: (records[label].family != OWN_FAMILY, records[label].profile, label))
    return [Codec(label, records[label], COLOURS[i % len(COLOURS)], by_label[label]) for i, label in enumerate(labels)]


def _choose_metrics(codecs: Sequence[Codec], conditions: Conditions, wanted: Sequence[str]) -> list[str]:
    measured: set[str] = set()
    for codec in codecs:
        measured |= {m for clip, curve in codec.curves.items() for m in curve.points[0].metrics if codec.has(clip, m)}
    for name in wanted:
        if name not in measured:
            raise UsageError(f"metric {name!r} was not measured; there is {', '.join(sorted_metrics(measured))}")
    if not measured:
        raise NvcError("no metric is there for every point of a curve")
    names = list(dict.fromkeys(wanted)) or [m for m in sorted_metrics(measured) if m in OFFERED]
    names = names or sorted_metrics(measured)
    if not wanted and conditions.metric in measured:
        names = [conditions.metric, *(m for m in names if m != conditions.metric)]
    return names


def _choose_anchor(codecs: Sequence[Codec], wanted: str | None) -> str:
    labels = [codec.label for codec in codecs]
    if wanted is not None:
        if wanted in labels:
            return wanted
        raise UsageError(f"anchor {wanted!r} has no results here; there are {', '.join(labels)}")
    others = [codec for codec in codecs if not codec.own]
    for codec in others:
        if (codec.record.family, codec.record.preset, codec.record.profile) == ("x265", "medium", "ld"):
            return codec.label
    return (others or list(codecs))[0].label


def _sets(clips: dict[str, Clip]) -> list[ClipSet]:
    by_dataset: dict[str, list[str]] = {}
    for clip in clips.values():
        known = find_clip(clip.name, clip.width, clip.height)
        if known:
            by_dataset.setdefault(known[0].name, []).append(clip.name)
    sets = []
    for name, members in sorted(by_dataset.items()):
        whole = len(get_dataset(name).clips)
        if len(members) > 1:
            title = f"{name}, {len(members)} of {whole} clips" if len(members) < whole else f"{name}, {whole} clips"
            sets.append(ClipSet(name, title, sorted(members), name))
    if not any(len(s.clips) == len(clips) for s in sets):
        plural = "" if len(clips) == 1 else "s"
        sets.insert(0, ClipSet("all", f"all {len(clips)} clip{plural}", sorted(clips)))
    return sets


def hertz(clip: Clip) -> float:
    """Nominal frame rate as a number."""
    return float(Fraction(clip.frame_rate))
