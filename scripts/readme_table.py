# SPDX-License-Identifier: Apache-2.0
"""The README's tables, drawn from a results folder.

    python scripts/readme_table.py results [--anchor x265:medium:ld:psnr] [--metric psnr_yuv]
    python scripts/readme_table.py results --columns ours:conditional ours:conditional:ra [--json card.json]

One row per codec: BD-rate against the anchor as the mean of the clips' values and as the difference of the mean curves,
BD-PSNR, the smallest overlap of quality ranges among the clips, and frames per second of the whole commands. With
--columns one row per anchor instead: both BD-rates of each named codec against it (--json: as results of a model card).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from nvcodec.errors import NvcError, UsageError
from nvcodec.rd.bdrate import MIN_OVERLAP, SetResult
from nvcodec.rd.report.differences import DifferenceTable
from nvcodec.rd.report.model import ClipSet, Codec, Report, gather

COLUMNS = (
    "codec",
    "BD-rate, mean of clips",
    "BD-rate, curve of means",
    "BD-PSNR, dB",
    "overlap",
    "encode fps",
    "decode fps",
)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, metavar="RESULTS")
    parser.add_argument("--anchor", metavar="CODEC", help="default: x265 medium, low delay")
    parser.add_argument("--metric", default="psnr_yuv")
    parser.add_argument("--columns", nargs="+", metavar="CODEC", help="these against every other codec")
    parser.add_argument("--json", type=Path, metavar="FILE", help="with --columns: write the rows there, too")
    parser.add_argument("--conditions", metavar="NAME", help="needed where the folder holds several")
    args = parser.parse_args()
    try:
        report = gather(args.results, conditions=args.conditions, anchor=args.anchor, metrics=[args.metric])
        if args.columns is None:
            print(table(report))
            return 0
        rows = against_each(report, args.columns)
        print(markdown(rows))
        if args.json is not None:
            args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    except NvcError as error:
        print(f"readme_table: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def table(report: Report) -> str:
    """Markdown of every codec over all clips, the fewest bits first, with what had to be left out below."""
    everything = ClipSet("all", "all clips", sorted(report.clips))
    differences = DifferenceTable(report)
    results = {c.label: differences.between(report.anchor, c.label, everything, report.metric) for c in report.codecs}
    order = sorted(report.codecs, key=lambda c: _rank(results[c.label]))
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += [_row(c, results[c.label], everything, c.label == report.anchor) for c in order]
    where = f"{len(everything.clips)} clips, {report.metric.title}, conditions '{report.conditions.name}'"
    notes = [f"{where}, against {report.anchor}; negative = fewer bits."]
    if any(r.overlap < MIN_OVERLAP for result in results.values() for r in result.per_clip.values()):
        notes.append(f"! = quality ranges overlap by less than {MIN_OVERLAP:.0%} on a clip.")
    for label, result in results.items():
        notes += [f"{label} without {clip}: {reason}." for clip, reason in sorted(result.refused.items())]
    notes += [f"Failed: {f.codec} {f.quality} on {f.clip}: {f.error}" for f in report.failures]
    return "\n".join([*lines, "", *notes])


def against_each(report: Report, columns: list[str]) -> list[dict[str, str]]:
    """Of each codec that is no column, the BD-rates of those that are against it: mean of clips / curve of means."""
    everything, labels = ClipSet("all", "all clips", sorted(report.clips)), [codec.label for codec in report.codecs]
    for name in columns:
        if name not in labels:
            raise UsageError(f"--columns {name}: not measured; there are {', '.join(labels)}")
    differences, rows = DifferenceTable(report), []
    for anchor in labels:
        if anchor not in columns:
            results = {name: differences.between(anchor, name, everything, report.metric) for name in columns}
            rows.append({"against": anchor} | {name: _both(result) for name, result in results.items()})
    return rows


def markdown(rows: list[dict[str, str]]) -> str:
    """A table of rows that have the same keys."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _both(result: SetResult) -> str:
    means = result.curve_of_means
    return f"{_percent(result.mean_of_clips_percent)} / {_percent(means.bd_rate_percent if means else None)}"


def _row(codec: Codec, result: SetResult, clips: ClipSet, is_anchor: bool) -> str:
    overlap = min((r.overlap for r in result.per_clip.values()), default=None)
    means = result.curve_of_means
    cells = [
        codec.label + (" (anchor)" if is_anchor else ""),
        _percent(result.mean_of_clips_percent),
        _percent(means.bd_rate_percent if means else None),
        "-" if result.mean_of_clips_quality is None else f"{result.mean_of_clips_quality:+.2f}",
        "-" if overlap is None else f"{overlap:.0%}" + (" !" if overlap < MIN_OVERLAP else ""),
        *(_fps(codec.fps(clips.clips, direction)) for direction in ("encode", "decode")),
    ]
    return "| " + " | ".join(cells) + " |"


def _rank(result: SetResult) -> float:
    return float("inf") if result.mean_of_clips_percent is None else result.mean_of_clips_percent


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}%"


def _fps(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
