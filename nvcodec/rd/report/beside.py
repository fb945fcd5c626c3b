# SPDX-License-Identifier: Apache-2.0
"""Published results set beside measured ones: as table rows, and our codecs against a published curve."""

from __future__ import annotations

from dataclasses import dataclass

from nvcodec.rd.bdrate import CurveError, bd_compare
from nvcodec.rd.published import PublishedCurve, Shown
from nvcodec.rd.report.differences import average_curve, steps
from nvcodec.rd.report.metrics import metric_named
from nvcodec.rd.report.model import ClipSet, Report


@dataclass(frozen=True)
class PublishedRow:
    """One line of the table of published results; all cells are text."""

    label: str
    dataset: str
    bd_rate: str
    anchor: str
    points: str
    source: str


def published_rows(report: Report) -> list[PublishedRow]:
    """What papers state, then what our measured codecs need against each published curve (curve of means)."""
    rows = []
    for shown in report.shown:
        entry = shown.entry
        where = shown.dataset if shown.curve is None or shown.curve.clip is None else shown.curve.clip
        note = f"{entry.citation} <{entry.source}>" + (f"; {entry.note}" if entry.note else "")
        if shown.curve is None:
            rows.append(PublishedRow(entry.label, where, f"{shown.bd_rate:+.1f}", entry.anchor, "", note))
        else:
            rows.append(PublishedRow(entry.label, where, "", "", str(len(shown.curve.points)), note))
            rows += _against_curve(report, shown, shown.curve, where)
    return rows


def _against_curve(report: Report, shown: Shown, curve: PublishedCurve, where: str) -> list[PublishedRow]:
    rows = []
    rates, qualities = [r for r, _ in curve.points], [q for _, q in curve.points]
    for codec in report.codecs:
        try:
            measured = _measured(report, curve, shown, codec.label)
            lower = metric_named(shown.entry.metric).lower_is_better
            result = bd_compare(
                rates, qualities, [r for r, _ in measured], [q for _, q in measured], lower_is_better=lower
            )
            text = f"{result.bd_rate_percent:+.1f}" + ("*" if result.flagged else "")
        except CurveError as error:
            text = f"none: {error}"
        source = f"measured here, against the published points of {shown.entry.label}"
        rows.append(PublishedRow(codec.label, where, text, shown.entry.label, "", source))
    return rows


def _measured(report: Report, curve: PublishedCurve, shown: Shown, label: str) -> list[tuple[float, float]]:
    codec, metric = report.codec(label), shown.entry.metric
    if curve.clip is None:
        return average_curve(codec, _members(report, shown), metric, "bpp")
    clip = _members(report, shown).clips[0]
    if not codec.has(clip, metric):
        raise CurveError(f"{codec.label}: {metric} was not measured on {clip}")
    return list(steps(codec, clip, metric, "bpp"))


def _members(report: Report, shown: Shown) -> ClipSet:
    """The measured clips a published item speaks of."""
    return ClipSet(shown.dataset, shown.dataset, members_of(report, shown), shown.dataset)


def members_of(report: Report, shown: Shown) -> list[str]:
    """Names of the measured clips a published item speaks of, sorted."""
    from nvcodec.datasets import find_clip

    wanted = shown.curve.clip if shown.curve else None
    names = []
    for clip in report.clips.values():
        known = find_clip(clip.name, clip.width, clip.height)
        if known and known[0].name == shown.dataset and wanted in (None, known[1].name):
            names.append(clip.name)
    return sorted(names)
