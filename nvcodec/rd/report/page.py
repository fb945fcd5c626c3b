# SPDX-License-Identifier: Apache-2.0
"""The self-contained HTML page: what it is told (a JSON document) and how it is put together."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from nvcodec.rd.bdrate import MIN_OVERLAP, BDResult, CurveError, SetResult
from nvcodec.rd.report.beside import members_of, published_rows
from nvcodec.rd.report.differences import DifferenceTable, average_curve
from nvcodec.rd.report.metrics import Metric
from nvcodec.rd.report.model import ClipSet, Codec, Report, hertz
from nvcodec.rd.report.plots import PUBLISHED_COLOURS
from nvcodec.rd.schema import Point

PAGE = Path(__file__).with_name("page")
MAX_SERIES_VALUES = 250_000  # per-frame numbers on one page; above it neighbouring frames are averaged


def build_page(report: Report, table: DifferenceTable, pictures: dict[str, Any], notes: list[str]) -> str:
    """The whole page as text: data, styles and script inside, nothing loaded from anywhere."""
    title = html.escape(f"Rate and distortion: {report.conditions.name}")
    # "<" cannot end the element it stands in, nor open a comment, when it is written as an escape.
    data = json.dumps(payload(report, table, pictures, notes), separators=(",", ":"), allow_nan=False)
    parts = {
        "@TITLE@": title,
        "@STYLE@": _read("page.css"),
        "@SCRIPT@": "".join(_read(name) for name in ("chart.js", "viewer.js", "tables.js", "app.js")),
        "@DATA@": data.replace("<", "\\u003c"),
    }
    page = _read("page.html")
    for mark, text in parts.items():
        page = text.join(page.split(mark)) if mark == "@TITLE@" else page.replace(mark, text, 1)
    return page


def payload(report: Report, table: DifferenceTable, pictures: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Everything the page shows, as plain JSON values."""
    series, block = _series(report)
    return {
        "conditions": {"name": report.conditions.name, "identity": report.conditions.identity, "text": _words(report)},
        "minOverlap": MIN_OVERLAP,
        "anchor": report.anchor,
        "metrics": [
            {"name": m.name, "label": m.title, "digits": m.digits, "lower": m.lower_is_better} for m in report.metrics
        ],
        "clips": {
            name: {"width": c.width, "height": c.height, "frames": c.frames, "hertz": hertz(c), "rate": c.frame_rate,
                   "notes": c.notes} for name, c in sorted(report.clips.items())
        },
        "sets": [{"name": s.name, "title": s.title, "clips": s.clips} for s in report.sets],
        "codecs": [_codec(codec) for codec in report.codecs],
        "means": {s.name: [_mean_points(report, codec, s) for codec in report.codecs] for s in report.sets},
        "bd": {m.name: _differences(report, table, m) for m in report.metrics},
        "series": series,
        "seriesBlock": block,
        "published": _published(report),
        "publishedRows": [vars(row) for row in published_rows(report)],
        "refused": report.refused,
        "failures": [vars(f) for f in report.failures],
        "pictures": pictures,
        "pictureNotes": notes,
    }  # fmt: skip


def _words(report: Report) -> str:
    c = report.conditions
    frames = "all frames" if c.frames is None else f"first {c.frames} frames"
    period = "one intra frame" if c.intra_period == 0 else f"an intra frame every {c.intra_period}"
    crop = f", centre crop {c.crop[0]}x{c.crop[1]}" if c.crop else ""
    return f"{frames}, {period} (random-access codecs: their own default){crop}"


def _codec(codec: Codec) -> dict[str, Any]:
    return {
        "label": codec.label,
        "own": codec.own,
        "colour": codec.colour,
        "profile": codec.record.profile,
        "version": codec.record.version,
        "curves": {clip: [_point(p) for p in curve.points] for clip, curve in sorted(codec.curves.items())},
    }


def _point(p: Point) -> dict[str, Any]:
    return {
        "quality": f"{p.quality.parameter} {p.quality.value:g}",
        "nbytes": p.rate.nbytes,
        "kbps": _short(p.rate.kbps),
        "bpp": _short(p.rate.bpp),
        "metrics": {name: _short(value) for name, value in p.metrics.items()},
        "encode": _short(p.timing.encode_s),
        "decode": _short(p.timing.decode_s),
        "threads": p.timing.threads,
        "jobs": p.timing.jobs,
        "command": " ".join(p.commands.get("encode", [])),
    }


def _mean_points(report: Report, codec: Codec, clips: ClipSet) -> dict[str, Any]:
    """Metric -> [[bpp, kbps, quality], ...] of the curve of means, or the reason there is none as a string."""
    means: dict[str, Any] = {}
    for metric in report.metrics:
        try:
            bpp = average_curve(codec, clips, metric.name, "bpp")
            kbps = average_curve(codec, clips, metric.name, "kbps")
            # both are sorted by their own rate; pair them by quality
            by_quality = {q: r for r, q in kbps}
            means[metric.name] = [[_short(r), _short(by_quality[q]), _short(q)] for r, q in bpp]
        except CurveError as error:
            means[metric.name] = str(error)
    return means


def _differences(report: Report, table: DifferenceTable, metric: Metric) -> dict[str, Any]:
    """ "clip/NAME", "set/NAME/mean" and "set/NAME/curve" -> matrix [anchor][codec] of cells."""
    labels = [c.label for c in report.codecs]
    scopes: dict[str, Any] = {}
    for clips in report.sets:
        results = {(a, b): table.between(a, b, clips, metric) for a in labels for b in labels if a != b}

        def matrix(cell: Any, found: dict[tuple[str, str], SetResult] = results) -> list[list[Any]]:
            return [[None if a == b else cell(found[a, b]) for b in labels] for a in labels]

        for clip in clips.clips:
            scopes.setdefault(
                f"clip/{clip}", matrix(lambda r, c=clip: _cell(r.per_clip.get(c), r.refused.get(c, "not measured")))
            )
        scopes[f"set/{clips.name}/mean"] = matrix(_mean_cell)
        scopes[f"set/{clips.name}/curve"] = matrix(lambda r: _cell(r.curve_of_means, r.curve_of_means_refused))
    return scopes


def _cell(result: BDResult | None, reason: str) -> list[Any] | str:
    """[BD-rate %, Akima's, BD quality, overlap], or why there is none."""
    if result is None:
        return reason
    quality = None if result.bd_quality is None else round(result.bd_quality, 3)
    return [round(result.bd_rate_percent, 2), round(result.bd_rate_akima_percent, 2), quality, round(result.overlap, 3)]


def _mean_cell(result: SetResult) -> list[Any] | str:
    """As ``_cell``, the least overlap, and with clips left out a fifth item that says which and why."""
    reasons = "; ".join(f"{clip}: {why}" for clip, why in sorted(result.refused.items()))
    if result.mean_of_clips_percent is None or result.mean_of_clips_akima_percent is None:
        return reasons or "no clip"
    quality = None if result.mean_of_clips_quality is None else round(result.mean_of_clips_quality, 3)
    least = min(r.overlap for r in result.per_clip.values())
    cell = [
        round(result.mean_of_clips_percent, 2),
        round(result.mean_of_clips_akima_percent, 2),
        quality,
        round(least, 3),
    ]
    return [*cell, f"without {reasons}"] if reasons else cell


def _series(report: Report) -> tuple[dict[str, Any], int]:
    """Per-frame numbers: clip -> codec label -> points -> {"nbytes": [...], metric: [...]}, and frames per number."""
    points = [(c, clip, p) for c in report.codecs for clip, k in sorted(c.curves.items()) for p in k.points]
    names = [m for m in report.metrics if any(m.name in p.series for _, _, p in points)]
    total = sum(p.clip.frames for _, _, p in points)
    while len(names) > 1 and total * (len(names) + 1) > MAX_SERIES_VALUES:
        names.pop()
    block = max(1, -(-total * (len(names) + 1) // MAX_SERIES_VALUES))
    series: dict[str, Any] = {}
    for codec, clip, p in points:
        entry = {m.name: _blocks(p.series[m.name], block, m.digits + 1) for m in names if m.name in p.series}
        if p.rate.frame_nbytes:
            entry["nbytes"] = _blocks(p.rate.frame_nbytes, block, 0 if block == 1 else 1)
        series.setdefault(clip, {}).setdefault(codec.label, []).append(entry)
    return series, block


def _blocks(values: list[Any], block: int, digits: int) -> list[float]:
    starts = range(0, len(values), block)
    return [round(sum(values[i : i + block]) / len(values[i : i + block]), digits) for i in starts]


def _published(report: Report) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for shown in report.shown:
        if shown.curve is None:
            continue
        members = members_of(report, shown)
        geometry = [report.clips[name] for name in members]
        scale = sum(c.width * c.height * hertz(c) for c in geometry) / len(geometry) / 1000.0
        lines.append(
            {
                "label": f"{shown.entry.label} (published)",
                "colour": PUBLISHED_COLOURS[len(lines) % len(PUBLISHED_COLOURS)],
                "metric": shown.entry.metric,
                "clips": members,
                "single": shown.curve.clip is not None,
                "citation": shown.entry.citation,
                "points": [[bpp, _short(bpp * scale), quality] for bpp, quality in shown.curve.points],
            }
        )
    return lines


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
