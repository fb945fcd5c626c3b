# SPDX-License-Identifier: Apache-2.0
"""One table of all implicit recipes on one clip, beside x264, x265 and our conditional codec, as Markdown.

    python scripts/implicit_table.py CLIP -o table.md --minutes 10 [--bpp 0.05] [--recipes hnerv,hinerv,boost-nerv@0.5]
        [--frames 32] [--size 640x320] [--results FOLDER]

Each row is a file that ``nvc encode`` (or ffmpeg) wrote and a fresh process decoded: bits per pixel from the file's
size, PSNR from the decoded frames, minutes of the whole encode command, frames per second of the whole decode command.
Every recipe gets the same minutes and the same bits, but for those with bits of their own (NAME@BPP). Points are kept
in the results folder as they come: run the same command again to go on after an interruption; more recipes may be added
later.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nvcodec.cli.values import picture_size, positive_number, whole_number
from nvcodec.codec.registry import ALIASES, BUILT_IN, IMPLICIT_IDS, get_codec
from nvcodec.errors import NvcError, UsageError
from nvcodec.rd.clips import find_clips
from nvcodec.rd.codecs import DECODED, SOURCE, STREAM, LabCodec, Trial, resolve
from nvcodec.rd.ours import codec_digest
from nvcodec.rd.progress import Progress
from nvcodec.rd.runner import Outcome, Plan, point_key, run_plan
from nvcodec.rd.schema import CodecRecord, Conditions, Point, Quality
from nvcodec.rd.store import ResultsFolder

BESIDE = {  # quality steps about the rates that implicit codecs reach
    "x264:medium:ra:psnr": [36.0, 30.0, 26.0],
    "x265:medium:ra:psnr": [36.0, 30.0, 26.0],
    "ours:conditional:ra": [0.0, 16.0, 32.0],
}
METRICS = ("psnr", "psnr_rgb")
COLUMNS = ("codec", "bpp", "PSNR RGB, dB", "PSNR YUV, dB", "encode, min", "decode, fps", "decodes to the same pixels")


def recipe_names() -> list[str]:
    """Implicit codecs of this package, by number."""
    return [name for name, (number, _) in sorted(BUILT_IN.items(), key=lambda e: e[1][0]) if number in IMPLICIT_IDS]


def fitted_codec(name: str, bpp: float | None, args: argparse.Namespace) -> LabCodec:
    """A recipe with this run's budget, or bits of its own, as the rd lab takes it."""
    own = bpp or args.bpp
    budget = ["--model-size", args.model_size] if args.model_size and not bpp else ["--bpp", f"{own:g}"]
    length = ["--epochs", str(args.epochs)] if args.epochs else ["--time", f"{args.minutes:g}m"]
    fit = [*budget, *length, "--weights-coding", args.weights_coding] if name != "pyramid" else [*budget, *length]
    version = f"nvcodec code {codec_digest(get_codec(name))[:12]}"
    settings = {"fit": fit, "threads": args.threads, "device": args.device}
    record = CodecRecord(f"ours:{name}", "ours", "ld", version, settings=settings)
    parameter, value = ("epochs", float(args.epochs)) if args.epochs else ("minutes", args.minutes)
    program, shared = [sys.executable, "-m", "nvcodec"], ["--threads", str(args.threads), "--device", args.device, "-y"]
    encode = [*program, "encode", SOURCE, "-o", STREAM, "--codec", name, *fit, *shared]
    decode = [*program, "decode", STREAM, "-o", DECODED, *shared]
    trial = Trial(record, Quality(parameter, value), encode, decode, ".nvc", "nvc")
    return LabCodec(record.name, parameter, (value,), 0, 1e9, lambda step: trial)


def conditions_of(args: argparse.Namespace) -> Conditions:
    """The first frames, a centred crop."""
    where = f"{args.frames or 'all'} frames" + (f", centre {args.size[0]}x{args.size[1]}" if args.size else "")
    return Conditions(
        name=f"implicit {where}", frames=args.frames, metric="psnr_rgb", colour="rgb", crop=args.size, note=where
    )


def measure(args: argparse.Namespace) -> tuple[list[Point], Outcome]:
    """Points of every row in the table's order, those that could be had."""
    conditions = conditions_of(args)
    codecs = [fitted_codec(*recipe, args) for recipe in args.recipes]
    beside = [resolve(name, conditions, threads=args.threads) for name in args.beside]
    steps = {name: BESIDE[name] for name in args.beside}
    results = ResultsFolder.create(args.results)
    clips = find_clips([args.clip], None, results.path)
    plan = Plan(clips, [*codecs, *beside], conditions, METRICS, steps, 1, None, None)
    outcome = run_plan(plan, results, Progress(sys.stderr, args.quiet))
    trials = [t for codec in plan.codecs for t in codec.trials(steps.get(codec.name))]
    keys = [point_key(clips[0], trial, conditions, METRICS) for trial in trials]
    return [results.points[key] for key in keys if key in results.points], outcome


def row(point: Point) -> tuple[str, ...]:
    """One line of the table."""
    frames, name = point.clip.frames, point.codec.name
    label = name.removeprefix("ours:")
    fitted = label in recipe_names()
    if not fitted:
        label = f"{label} {point.quality.parameter} {point.quality.value:g}"
    exact = not fitted or bool(getattr(get_codec(label), "pixel_exact", False))
    return (
        label,
        f"{point.rate.bpp:.4f}",
        f"{point.metrics['psnr_rgb']:.2f}",
        f"{point.metrics['psnr_yuv']:.2f}",
        f"{point.timing.encode_s / 60:.2f}",
        f"{frames / point.timing.decode_s:.1f}",
        "everywhere" if exact else "on like machines",
    )


def markdown(points: list[Point], outcome: Outcome, args: argparse.Namespace) -> str:
    """The table, by falling PSNR within recipes and beside them, and what must be known to read it."""
    fitted = {f"ours:{name}" for name in recipe_names()}
    ours = sorted((p for p in points if p.codec.name in fitted), key=lambda p: -p.metrics["psnr_rgb"])
    others = [p for p in points if p.codec.name not in fitted]
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(row(point)) + " |" for point in [*ours, *others]]
    if points:
        clip = points[0].clip
        budget = f"{args.model_size} parameters" if args.model_size else f"at most {args.bpp:g} bpp"
        budget += "".join(f" ({name}: {bpp:g} bpp)" for name, bpp in args.recipes if bpp)
        length = f"{args.epochs} epochs" if args.epochs else f"{args.minutes:g} minutes"
        what = f"{clip.name}, {clip.width}x{clip.height}, {clip.frames} frames; each recipe: {length}, {budget}, "
        how = f"{args.weights_coding} weights coding, {args.threads} thread(s) on {args.device}. "
        rules = "Rates are file sizes, PSNR is of decoded frames (mean of frames), times are of whole commands."
        lines += ["", what + how + rules]
    lines += [f"Failed: {f.codec} {f.quality}: {f.error}" for f in outcome.failures]
    return "\n".join(lines) + "\n"


def _recipe(text: str) -> tuple[str, float | None]:
    """NAME or NAME@BPP, names as papers write them."""
    name, at, bpp = text.partition("@")
    try:
        return ALIASES.get(name, name), positive_number("bpp")(bpp) if at else None
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"recipe {text!r}: {error}") from None


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, metavar="CLIP")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="Markdown; default: standard output")
    parser.add_argument("--recipes", metavar="LIST", help=f"NAME or NAME@BPP; default: {','.join(recipe_names())}")
    parser.add_argument(
        "--beside", default=",".join(BESIDE), metavar="LIST", help="other codecs (default: %(default)s)"
    )
    parser.add_argument(
        "--minutes", type=positive_number("minutes"), default=10.0, metavar="M", help="of each fit (10)"
    )
    parser.add_argument("--epochs", type=whole_number("epochs", 1), metavar="N", help="in place of --minutes")
    parser.add_argument("--bpp", type=positive_number("bpp"), default=0.05, metavar="B", help="of each file (0.05)")
    parser.add_argument("--model-size", metavar="N", help="parameters, in place of --bpp")
    parser.add_argument("--weights-coding", choices=("learned", "paper"), default="learned")
    parser.add_argument("--frames", type=whole_number("frames", 1), metavar="N", help="from the start (all)")
    parser.add_argument("--size", type=picture_size, metavar="WxH", help="centred crop (none)")
    parser.add_argument("--threads", type=whole_number("threads", 1), default=2, metavar="N")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="of fits and of our decoders")
    parser.add_argument("--results", default="results/implicit", metavar="FOLDER", help="points (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    args = parser.parse_args(arguments)
    wanted = args.recipes.split(",") if args.recipes else recipe_names()
    args.recipes = [_recipe(text.strip()) for text in wanted]
    args.beside = [name for name in args.beside.split(",") if name]
    known = [(name, recipe_names()) for name, _ in args.recipes] + [(name, list(BESIDE)) for name in args.beside]
    for name, names in known:
        if name not in names:
            raise UsageError(f"{name!r} is not known; there are {', '.join(names)}")
    return args


def main() -> int:
    """Measure what is missing, print the table."""
    try:
        args = parsed()
        points, outcome = measure(args)
    except NvcError as error:
        print(f"implicit_table: {error}", file=sys.stderr)
        return error.exit_code
    text = markdown(points, outcome, args)
    if args.output:
        args.output.write_text(text, encoding="utf-8")
        print(f"{args.output}: {len(points)} rows, {len(outcome.failures)} failed")
    else:
        print(text, end="")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
