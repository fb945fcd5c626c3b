# SPDX-License-Identifier: Apache-2.0
"""``nvc rd report``: arguments and exit codes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nvcodec.errors import UsageError

DESCRIPTION = """Draw plots, tables and one self-contained page from a results folder. Nothing is measured again: the
JSON in the folder is all that is read."""
EPILOG = """written to DIR: report.html (opens offline), report.md, points.csv, bd.csv, and clip-*, set-*, speed-* as
PNG and SVG.

exit codes: 0 fine; 1 no measured points, a damaged results file, or the output cannot be written; 2 no results folder,
or a codec, metric, condition or published result of that name is not there; 4 results of another schema version.
A comparison that cannot be made (one point only, not monotone, no overlap) is no error: its cell holds the reason."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``nvc rd report``."""
    parser.add_argument("results", metavar="RESULTS", help="folder that 'nvc rd' wrote")
    parser.add_argument("-o", "--output", metavar="DIR", help="where to write (default: RESULTS/report)")
    choose = parser.add_argument_group("what to compare")
    choose.add_argument(
        "--anchor", metavar="CODEC", help="codec the tables compare against (default: x265 medium, low delay)"
    )
    choose.add_argument(
        "--metric",
        metavar="NAME",
        action="append",
        default=[],
        help="metric to show, the first one leading; may be repeated, or names joined by commas",
    )
    choose.add_argument("--conditions", metavar="NAME", help="needed where the folder holds several")
    choose.add_argument(
        "--with",
        dest="published",
        metavar="NAMES",
        action="append",
        default=[],
        help="published results to set beside, such as dcvc-rt,hnerv; 'list' shows all",
    )
    draw = parser.add_argument_group("how to draw")
    draw.add_argument("--rate", choices=("bpp", "kbps"), default="bpp", help="rate axis of the plots (default: bpp)")
    draw.add_argument("--log", action="store_true", help="logarithmic rate axis")
    draw.add_argument(
        "--only", choices=("tables", "plots", "page"), action="append", help="write only this; repeatable"
    )
    draw.add_argument("--pictures", type=int, default=4, metavar="N", help="frames per clip in the page (default: 4)")
    draw.add_argument("--picture-mib", type=int, default=24, metavar="N",
                      help="limit for all pictures of the page (default: 24)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Draw the report; the path of its page (or of its first file) goes to stdout, everything else to stderr."""
    from nvcodec.rd.published import published_names, select
    from nvcodec.rd.report import PARTS, write_report
    from nvcodec.rd.report.model import gather
    from nvcodec.rd.report.pictures import PictureLimits

    names = [name for given in args.published for name in given.split(",")]
    if "list" in names:
        print("\n".join(published_names()))
        return 0
    for option, value, most in (("--pictures", args.pictures, 1000), ("--picture-mib", args.picture_mib, 2048)):
        if not 0 <= value <= most:
            raise UsageError(f"{option} is {value}, allowed are 0 to {most}")
    report = gather(
        args.results,
        conditions=args.conditions,
        anchor=args.anchor,
        metrics=[name for given in args.metric for name in given.split(",")],
        published=select(names),
    )
    output = Path(args.output) if args.output else Path(args.results) / "report"
    written = write_report(
        report,
        output,
        rate=args.rate,
        log=args.log,
        parts=tuple(args.only) if args.only else PARTS,
        limits=PictureLimits(frames=args.pictures, nbytes=args.picture_mib << 20),
    )
    for note in written.notes:
        print(f"nvc: not shown: {note}", file=sys.stderr)
    for failure in report.failures:
        print(f"nvc: failed when measured: {failure.codec} on {failure.clip}: {failure.error}", file=sys.stderr)
    print(f"nvc: {len(written.files)} files in {output}", file=sys.stderr)
    page = [f for f in written.files if f.suffix == ".html"]
    print((page or written.files)[0])
    return 0
