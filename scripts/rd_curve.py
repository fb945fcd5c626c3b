# SPDX-License-Identifier: Apache-2.0
"""The rate-distortion curve of one codec, measured from real files.

    python scripts/rd_curve.py CLIP... --codec ours:conditional -o results [--plot curve.png]

Points already in the results folder are not measured again. Prints one line per point: clip, quality step, bytes,
kbit/s, bpp and the metric; --plot draws one line per clip.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nvcodec.errors import NvcError
from nvcodec.rd.clips import find_clips
from nvcodec.rd.codecs import resolve
from nvcodec.rd.conditions import get_conditions
from nvcodec.rd.runner import Plan, run_plan
from nvcodec.rd.store import Curve, ResultsFolder


def main() -> int:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--codec", required=True, metavar="NAME", help="as for 'nvc rd'")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="RESULTS")
    parser.add_argument("--quality", metavar="LIST", help="quality steps, such as 8,24,40,56")
    parser.add_argument("--conditions", default="default")
    parser.add_argument("--metric", default="psnr_yuv", help="value to print and draw (default: psnr_yuv)")
    parser.add_argument("--metrics", default="psnr", help="what to measure (default: psnr)")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw to .png or .svg")
    args = parser.parse_args()
    try:
        conditions = get_conditions(args.conditions)
        codec = resolve(args.codec, conditions)
        steps = {codec.name: [float(s) for s in args.quality.split(",")]} if args.quality else {}
        results = ResultsFolder.create(args.output)
        clips = find_clips(args.clips, cache=args.output)
        outcome = run_plan(Plan(clips, [codec], conditions, args.metrics.split(","), steps, args.jobs), results)
        identity = codec.trials(steps.get(codec.name))[0].codec.identity
        names = {clip.name for clip in clips}
        curves = [c for c in results.curves(conditions) if c.codec.identity == identity and c.clip.name in names]
        show(curves, args.metric)
        if args.plot:
            draw(curves, args.metric, args.plot)
    except NvcError as error:
        print(f"rd_curve: {error}", file=sys.stderr)
        return error.exit_code
    return 1 if outcome.failures else 0


def show(curves: list[Curve], metric: str) -> None:
    """One line per point."""
    for curve in curves:
        for point, value in zip(curve.points, curve.values(metric), strict=True):
            knob = f"{point.quality.parameter} {point.quality.value:g}"
            rate = f"{point.rate.nbytes:9d} bytes {point.rate.kbps:10.1f} kbit/s {point.rate.bpp:8.4f} bpp"
            print(f"{curve.clip.name:28s} {knob:12s} {rate}  {metric} {value:.3f}")


def draw(curves: list[Curve], metric: str, path: Path) -> None:
    """One line per clip, bits per pixel along a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    for curve in curves:
        axes.plot(curve.bpp(), curve.values(metric), "o-", label=curve.clip.name)
    axes.set(xscale="log", xlabel="bits per pixel", ylabel=metric, title=curves[0].label if curves else "")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
