# SPDX-License-Identifier: Apache-2.0
"""Quality against speed: BD-rate of every codec in a results folder over the frames per second it needs.

python scripts/speed_chart.py RESULTS -o chart.png [--direction decode] [--anchor x265:medium:ld] [--metric vmaf]
    [--only CODEC...] [--fps CODEC=FPS...]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from nvcodec.errors import NvcError, UsageError
from nvcodec.rd.report.differences import DifferenceTable
from nvcodec.rd.report.model import gather
from nvcodec.rd.report.plots import draw_speed


def main() -> int:
    """Draw the chart as PNG and SVG; exit codes are those of ``nvc``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", help="folder that 'nvc rd' wrote")
    parser.add_argument("-o", "--output", required=True, help="where to write; .png and .svg are both made")
    parser.add_argument("--direction", choices=("encode", "decode"), default="decode")
    parser.add_argument("--anchor")
    parser.add_argument("--metric")
    parser.add_argument("--conditions")
    parser.add_argument("--only", nargs="+", metavar="CODEC", help="show these alone; they were measured side by side")
    parser.add_argument(
        "--fps", nargs="+", metavar="CODEC=FPS", help="show these alone, with speeds measured otherwise (nvc bench)"
    )
    args = parser.parse_args()
    try:
        metrics = [args.metric] if args.metric else []
        report = gather(args.results, conditions=args.conditions, anchor=args.anchor, metrics=metrics)
        given = dict(map(_speed, args.fps)) if args.fps else None
        wanted = args.only or given
        if wanted:
            shown = [codec for codec in report.codecs if codec.label in (*wanted, report.anchor)]
            missing = set(wanted) - {codec.label for codec in shown}
            if missing:
                raise UsageError(f"{sorted(missing)[0]}: {args.results} has no such codec")
            report = replace(report, codecs=shown)
        stem = Path(args.output).with_suffix("")
        written = draw_speed(
            report, DifferenceTable(report), report.sets[0], report.metric, args.direction, stem, given
        )
        if not written:
            raise UsageError(f"{args.results}: no codec has both a speed and a BD-rate against {report.anchor}")
    except NvcError as error:
        print(f"speed_chart: {error}", file=sys.stderr)
        return error.exit_code
    print("\n".join(map(str, written)))
    return 0


def _speed(text: str) -> tuple[str, float]:
    """Codec and frames per second of CODEC=FPS."""
    label, _, number = text.rpartition("=")
    try:
        fps = float(number)
    except ValueError:
        fps = 0.0
    if not label or not 0 < fps < 1e6:
        raise UsageError(f"--fps {text}: CODEC=FPS with more than 0 frames per second")
    return label, fps


if __name__ == "__main__":
    sys.exit(main())
