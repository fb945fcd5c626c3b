# SPDX-License-Identifier: Apache-2.0
"""The README's main table, drawn from a results folder.

    python scripts/readme_table.py results [--anchor x265:medium:ld:psnr] [--metric psnr_yuv]

One row per codec: BD-rate against the anchor as the mean of the clips' values and as the difference of the mean curves,
BD-PSNR, the smallest overlap of quality ranges among the clips, and frames per second of the whole commands.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nvcodec.errors import NvcError
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
    parser.add_argument("--conditions", metavar="NAME", help="needed where the folder holds several")
    args = parser.parse_args()
    try:
        print(table(gather(args.results, conditions=args.conditions, anchor=args.anchor, metrics=[args.metric])))
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
