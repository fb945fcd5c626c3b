# SPDX-License-Identifier: Apache-2.0
"""The report as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from nvcodec.rd.bdrate import MIN_OVERLAP, BDResult, SetResult
from nvcodec.rd.report.differences import DifferenceTable
from nvcodec.rd.report.metrics import Metric
from nvcodec.rd.report.model import ClipSet, Codec, Report

MEAN_OF_CLIPS = "mean of the clips' BD-rates"
CURVE_OF_MEANS = "BD-rate of the mean curves"


def markdown(report: Report, table: DifferenceTable) -> str:
    """All tables of a report as one Markdown document."""
    parts = [f"# Rate and distortion: {report.conditions.name}", _conditions_text(report), _codec_table(report)]
    notes = Notes()
    for clips in report.sets:
        for metric in report.metrics[:1]:
            parts.append(f"## BD-rate, {clips.title}, {metric.label}")
            parts.append(_against_anchor(report, table, clips, metric, notes))
            for way in (MEAN_OF_CLIPS, CURVE_OF_MEANS):
                parts.append(f"### Every codec against every other, {way}")
                parts.append(_matrix(report, table, clips, metric, way, notes))
        if len(report.metrics) > 1:
            parts.append(f"### By metric, against {report.anchor}, {MEAN_OF_CLIPS}")
            parts.append(_by_metric(report, table, clips, notes))
    parts.append(notes.text())
    parts += [_speed_table(report), _published_table(report, table), _failure_list(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def points_csv(report: Report) -> str:
    """Every measured point, one line each: rate, quality knob, all metrics, times."""
    names = sorted({m for c in report.codecs for curve in c.curves.values() for p in curve.points for m in p.metrics})
    header = ["clip", "codec", "profile", "parameter", "value", "nbytes", "kbps", "bpp", "encode_s", "decode_s", *names]
    rows = [
        [
            clip, codec.label, codec.record.profile, p.quality.parameter, p.quality.value, p.rate.nbytes,
            p.rate.kbps, p.rate.bpp, p.timing.encode_s, p.timing.decode_s, *(p.metrics.get(n, "") for n in names),
        ]
        for codec in report.codecs for clip, curve in sorted(codec.curves.items()) for p in curve.points
    ]  # fmt: skip
    return _csv(header, rows)


def bd_csv(report: Report, table: DifferenceTable) -> str:
    """Every pair of codecs on every clip and set, one line each: BD-rate, Akima, BD quality, overlap, reason."""
    header = ["scope", "average", "metric", "anchor", "codec", "bd_rate_percent", "bd_rate_akima_percent",
              "bd_quality", "overlap", "flagged", "refused"]  # fmt: skip
    rows: list[list[object]] = []
    seen: set[tuple[str, str, str, str]] = set()
    for clips in report.sets:
        for metric in report.metrics:
            for anchor, codec in _pairs(report):
                result = table.between(anchor.label, codec.label, clips, metric)
                pair = [metric.name, anchor.label, codec.label]
                for clip in clips.clips:
                    if (clip, *pair) not in seen:
                        seen.add((clip, metric.name, anchor.label, codec.label))
                        rows.append([clip, "clip", *pair, *_cells(result.per_clip.get(clip), result.refused.get(clip))])
                rows.append([clips.name, "mean of clips", *pair, *_mean_cells(result)])
                curve = _cells(result.curve_of_means, result.curve_of_means_refused)
                rows.append([clips.name, "curve of means", *pair, *curve])
    return _csv(header, rows)


class Notes:
    """Collects reasons and hands out their footnote numbers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def mark(self, reason: str) -> str:
        """The footnote mark for ``reason``; equal reasons share one."""
        if reason not in self.lines:
            self.lines.append(reason)
        return f"[{self.lines.index(reason) + 1}]"

    def text(self) -> str:
        """What star and numbers mean."""
        star = f"`*`: quality ranges overlap by less than {MIN_OVERLAP:.0%}."
        numbered = [f"- [{i}] {line}" for i, line in enumerate(self.lines, 1)]
        return "\n".join([f"{star} Numbers in brackets:\n", *numbered]) if numbered else star


def percent(result: BDResult | None, reason: str | None, notes: Notes) -> str:
    """One cell: "-12.3", with a star below the wanted overlap, or the mark of the reason there is no value."""
    if result is None:
        return notes.mark(reason or "not measured")
    return f"{result.bd_rate_percent:+.1f}" + ("*" if result.flagged else "")


def mean_percent(result: SetResult, notes: Notes) -> str:
    """The mean of the per-clip values; it says so when clips had to be left out or are flagged."""
    value = result.mean_of_clips_percent
    if value is None:
        return notes.mark("; ".join(dict.fromkeys(result.refused.values())) or "no clip")
    text = f"{value:+.1f}" + ("*" if any(r.flagged for r in result.per_clip.values()) else "")
    if result.refused:
        left_out = "; ".join(f"{clip}: {reason}" for clip, reason in sorted(result.refused.items()))
        text += f" ({len(result.per_clip)} clips) {notes.mark('left out: ' + left_out)}"
    return text


def _conditions_text(report: Report) -> str:
    c = report.conditions
    frames = "all frames" if c.frames is None else f"the first {c.frames} frames"
    period = "one intra frame" if c.intra_period == 0 else f"an intra frame every {c.intra_period}"
    lines = [
        f"Conditions `{c.name}` ({c.identity}): {frames}, {period} (random-access codecs: their own default)"
        + (f", centre crop {c.crop[0]}x{c.crop[1]}" if c.crop else "") + ".",
        "Rate is the size of the whole file; quality is measured on the frames that a fresh process decoded from it.",
        "BD-rate by PCHIP on log rate, in %: negative means fewer bits than the anchor at equal quality.",
    ]  # fmt: skip
    clips = [[n, f"{c.width}x{c.height}", str(c.frames), c.frame_rate] for n, c in sorted(report.clips.items())]
    return "\n".join([*lines, "", grid(["clip", "size", "frames", "Hz"], clips)])


def _codec_table(report: Report) -> str:
    return grid(["codec", "profile", "version"], [[c.label, c.record.profile, c.record.version] for c in report.codecs])


def _against_anchor(report: Report, table: DifferenceTable, clips: ClipSet, metric: Metric, notes: Notes) -> str:
    head = ["against " + report.anchor, *clips.clips, MEAN_OF_CLIPS, CURVE_OF_MEANS]
    rows = []
    for codec in report.codecs:
        if codec.label == report.anchor:
            continue
        result = table.between(report.anchor, codec.label, clips, metric)
        cells = [percent(result.per_clip.get(c), result.refused.get(c), notes) for c in clips.clips]
        last = percent(result.curve_of_means, result.curve_of_means_refused, notes)
        rows.append([codec.label, *cells, mean_percent(result, notes), last])
    return grid(head, rows)


def _matrix(report: Report, table: DifferenceTable, clips: ClipSet, metric: Metric, way: str, notes: Notes) -> str:
    rows = []
    for codec in report.codecs:
        row = [codec.label]
        for anchor in report.codecs:
            if anchor is codec:
                row.append("")
                continue
            result = table.between(anchor.label, codec.label, clips, metric)
            mean = way == MEAN_OF_CLIPS
            row.append(
                mean_percent(result, notes) if mean
                else percent(result.curve_of_means, result.curve_of_means_refused, notes)
            )  # fmt: skip
        rows.append(row)
    return grid(["codec (row) against anchor (column)", *(c.label for c in report.codecs)], rows)


def _by_metric(report: Report, table: DifferenceTable, clips: ClipSet, notes: Notes) -> str:
    rows = []
    for codec in report.codecs:
        if codec.label != report.anchor:
            results = [table.between(report.anchor, codec.label, clips, metric) for metric in report.metrics]
            rows.append([codec.label, *(mean_percent(result, notes) for result in results)])
    return grid(["codec", *(m.label for m in report.metrics)], rows)


def _speed_table(report: Report) -> str:
    clips = list(report.clips)
    rows = []
    for codec in report.codecs:
        fps = [codec.fps(clips, direction) for direction in ("encode", "decode")]
        rows.append([codec.label, *("" if f is None else f"{f:.3g}" for f in fps)])
    timings = {(p.timing.threads, p.timing.jobs) for c in report.codecs for k in c.curves.values() for p in k.points}
    how = ", ".join(f"threads: {t or 'all'}, commands at a time: {j}" for t, j in sorted(timings))
    text = f"Frames per second over all points, start of the program and file access included ({how})."
    return "\n\n".join(["## Speed", text, grid(["codec", "encode", "decode"], rows)])


def _published_table(report: Report, table: DifferenceTable) -> str:
    from nvcodec.rd.report.beside import published_rows

    rows = published_rows(report)
    parts = []
    if rows:
        head = ["published", "data set", "BD-rate %", "against", "points", "source"]
        parts.append(grid(head, [[r.label, r.dataset, r.bd_rate, r.anchor, r.points, r.source] for r in rows]))
    if report.refused:
        parts.append("\n".join(["Not shown, because the conditions differ:\n", *(f"- {r}" for r in report.refused)]))
    return "\n\n".join(["## Published results (not measured here)", *parts]) if parts else ""


def _failure_list(report: Report) -> str:
    if not report.failures:
        return ""
    lines = [f"- {f.codec} on {f.clip} at {f.quality}: {f.error}" for f in report.failures]
    return "\n".join(["## Failed in the last run\n", *lines])


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [list(head), ["---"] + ["---:"] * (len(head) - 1), *map(list, rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _pairs(report: Report) -> list[tuple[Codec, Codec]]:
    return [(a, b) for a in report.codecs for b in report.codecs if a is not b]


def _cells(result: BDResult | None, reason: str | None) -> list[object]:
    if result is None:
        return ["", "", "", "", "", reason or "not measured"]
    quality: object = "" if result.bd_quality is None else f"{result.bd_quality:.4f}"
    return [f"{result.bd_rate_percent:.4f}", f"{result.bd_rate_akima_percent:.4f}", quality, f"{result.overlap:.4f}",
            int(result.flagged), ""]  # fmt: skip


def _mean_cells(result: SetResult) -> list[object]:
    reason = "; ".join(f"{clip}: {why}" for clip, why in sorted(result.refused.items()))
    if result.mean_of_clips_percent is None or result.mean_of_clips_akima_percent is None:
        return ["", "", "", "", "", reason or "no clip"]
    quality: object = "" if result.mean_of_clips_quality is None else f"{result.mean_of_clips_quality:.4f}"
    least = min(r.overlap for r in result.per_clip.values())
    flagged = int(any(r.flagged for r in result.per_clip.values()))
    return [f"{result.mean_of_clips_percent:.4f}", f"{result.mean_of_clips_akima_percent:.4f}", quality, f"{least:.4f}",
            flagged, reason]  # fmt: skip


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
