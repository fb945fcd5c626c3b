# SPDX-License-Identifier: Apache-2.0
"""``nvc rd CLIPS... --codec NAME ... -o RESULTS`` measures; ``nvc rd report RESULTS`` draws."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nvcodec.cli.values import frame_rate, picture_size, whole_number
from nvcodec.errors import UsageError
from nvcodec.metrics import DEFAULT_METRICS, METRICS

DEFAULT_JOBS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``nvc rd``; a first word ``report`` hands over to the report's own."""
    _hand_over_report(parser)
    parser.epilog = "'nvc rd report RESULTS' draws tables, plots and a page; see 'nvc rd report --help'."
    parser.add_argument("clips", nargs="*", metavar="CLIP", help="video files, or folders of them")
    parser.add_argument("-o", "--output", metavar="RESULTS", help="results folder; points already in it are kept")
    what = parser.add_argument_group("what to measure")
    what.add_argument(
        "--codec",
        action="append",
        default=[],
        metavar="NAME",
        help="codec, repeatable: ours:NAME, or x264, x265, svtav1, vvenc as FAMILY:PRESET[:ld|ra][:psnr]",
    )
    what.add_argument(
        "--quality",
        action="append",
        default=[],
        metavar="CODEC=LIST",
        help="quality steps of a codec or family in place of its own, such as ours=8,24,40 or x264=20,25,30",
    )
    what.add_argument(
        "--conditions", default="default", metavar="NAME", help="standard test conditions (default: default)"
    )
    what.add_argument("--frames", type=whole_number("--frames", 1), metavar="N", help="only the first N frames")
    what.add_argument(
        "--intra-period", type=whole_number("--intra-period", 0), metavar="N", help="0 = first frame only"
    )
    what.add_argument(
        "--metrics", default=",".join(DEFAULT_METRICS), metavar="LIST", help=f"of {','.join(METRICS)}, or all"
    )
    what.add_argument(
        "--pictures", metavar="N|A:B", help="also keep N frames spread over each clip, or frames A to B-1"
    )
    raw = parser.add_argument_group("raw .yuv clips (8-bit 4:2:0)")
    raw.add_argument("--size", type=picture_size, metavar="WxH", help="picture size")
    raw.add_argument("--rate", type=frame_rate, metavar="FPS", help="frames per second")
    how = parser.add_argument_group("how")
    how.add_argument(
        "--jobs",
        type=whole_number("--jobs", 1, 1024),
        default=DEFAULT_JOBS,
        metavar="N",
        help="points at a time (default: 1)",
    )
    how.add_argument(
        "--threads",
        type=whole_number("--threads", 1, 1024),
        default=1,
        metavar="N",
        help="threads of each codec (default: 1)",
    )
    how.add_argument("--device", default="cpu", metavar="NAME", help="device of our codecs (default: cpu)")
    how.add_argument("--temporary", metavar="DIR", help="folder for raw frames and streams (default: the system's)")
    how.add_argument(
        "--show-commands", action="store_true", help="print the commands of the codecs and do nothing else"
    )
    how.add_argument("--json", action="store_true", help="print a summary for machines")
    how.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Measure; exit code 0, or 1 if any point failed."""
    from nvcodec.rd.codecs import resolve
    from nvcodec.rd.conditions import get_conditions

    conditions = _conditions(get_conditions(args.conditions), args)
    if not args.codec:
        raise UsageError("no codec given: --codec ours:conditional --codec x264:medium, for example")
    codecs = {}
    for name in args.codec:
        codec = resolve(name, conditions, threads=args.threads, device=args.device)
        codecs[codec.name] = codec
    steps = parse_steps(args.quality, list(codecs))
    if args.show_commands:
        for codec in codecs.values():
            trial = codec.trials(steps.get(codec.name, steps.get(codec.name.split(":")[0])))[0]
            print(codec.name, " ".join(trial.encode), " ".join(trial.decode), sep="\n  ")
        return 0
    return _measure(args, conditions, list(codecs.values()), steps)


def parse_steps(texts: Sequence[str], codec_names: Sequence[str]) -> dict[str, list[float]]:
    """ "CODEC=1,2,3" texts to lists by name; UsageError for a name not among the codecs or a value not a number."""
    steps: dict[str, list[float]] = {}
    known = {*codec_names, *(name.split(":")[0] for name in codec_names)}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or name not in known:
            raise UsageError(f"--quality {text!r}: write CODEC=LIST with CODEC among {', '.join(sorted(known))}")
        try:
            steps[name] = [float(v) for v in values.split(",")]
        except ValueError:
            raise UsageError(f"--quality {text!r}: {values!r} is not a list of numbers") from None
    return steps


def parse_metrics(text: str) -> list[str]:
    """ "psnr,ssim" or "all" to names; UsageError for one that does not exist."""
    names = list(METRICS) if text == "all" else [n.strip() for n in text.split(",") if n.strip()]
    for name in names:
        if name not in METRICS:
            raise UsageError(f"metric {name!r} does not exist, choose from {', '.join(METRICS)}, or all")
    if not names:
        raise UsageError(f"--metrics {text!r}: name at least one of {', '.join(METRICS)}")
    return names


def _measure(args: argparse.Namespace, conditions: Any, codecs: list[Any], steps: dict[str, list[float]]) -> int:
    from nvcodec.rd.clips import RawGeometry, find_clips
    from nvcodec.rd.pictures import parse_frames
    from nvcodec.rd.progress import Progress
    from nvcodec.rd.runner import Plan, run_plan
    from nvcodec.rd.store import ResultsFolder

    if not args.clips:
        raise UsageError("no clips given")
    if not args.output:
        raise UsageError("no results folder given: -o RESULTS")
    if (args.size is None) != (args.rate is None):
        raise UsageError("raw video needs both --size and --rate")
    raw = RawGeometry(args.size[0], args.size[1], args.rate) if args.size else None
    temporary = Path(args.temporary) if args.temporary else None
    if temporary is not None and not temporary.is_dir():
        raise UsageError(f"--temporary {temporary}: no such folder")
    metrics, pictures = parse_metrics(args.metrics), parse_frames(args.pictures) if args.pictures else None
    results = ResultsFolder.create(args.output)
    clips = find_clips(map(Path, args.clips), raw, results.path)
    plan = Plan(clips, codecs, conditions, metrics, steps, args.jobs, pictures, temporary)
    outcome = run_plan(plan, results, Progress(sys.stderr, args.quiet))
    _summarise(args, results, outcome)
    return 1 if outcome.failures else 0


def _summarise(args: argparse.Namespace, results: Any, outcome: Any) -> None:
    from dataclasses import asdict

    from nvcodec.rd.schema import SCHEMA_VERSION

    if args.json:
        summary = {
            "schema_version": SCHEMA_VERSION,
            "results": str(results.path),
            "measured": len(outcome.measured),
            "already": outcome.already,
            "failures": [asdict(f) for f in outcome.failures],
        }
        print(json.dumps(summary, indent=1))
        return
    for failure in outcome.failures:
        print(f"failed: {failure.codec} {failure.quality} on {failure.clip}: {failure.error}", file=sys.stderr)
    counts = f"{len(outcome.measured)} points measured, {outcome.already} there already, {len(outcome.failures)} failed"
    print(f"{results.path}: {counts}")


def _conditions(preset: Any, args: argparse.Namespace) -> Any:
    """The preset, with what the command line says differently; a changed preset is no longer called by its name."""
    import dataclasses

    changes = {}
    if args.frames is not None and args.frames != preset.frames:
        changes["frames"] = args.frames
    if args.intra_period is not None and args.intra_period != preset.intra_period:
        changes["intra_period"] = args.intra_period
    if not changes:
        return preset
    words = " ".join(f"{name}={value}" for name, value in sorted(changes.items()))
    return dataclasses.replace(preset, name=f"{preset.name} {words}", note=f"{preset.note}; {words}", **changes)


def _hand_over_report(parser: argparse.ArgumentParser) -> None:
    """Let ``nvc rd report ...`` parse by the report's own rules: clips and the word "report" share one position."""
    measure = parser.parse_known_args

    def parse_known_args(args: Any = None, namespace: Any = None) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        if words[:1] != ["report"]:
            return measure(args, namespace)
        from nvcodec.rd.report import cli as report

        sub = type(parser)(
            prog=f"{parser.prog} report",
            description=report.DESCRIPTION,
            epilog=report.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        report.add_arguments(sub)
        sub.set_defaults(run=report.run)
        return sub.parse_known_args(words[1:], namespace)

    parser.parse_known_args = parse_known_args  # type: ignore[method-assign]
