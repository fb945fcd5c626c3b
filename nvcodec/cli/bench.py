# SPDX-License-Identifier: Apache-2.0
"""``nvc bench``: where encoding and decoding spend their time."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvcodec.cli import common
from nvcodec.cli.values import frame_range, picture_size, whole_number
from nvcodec.errors import UsageError

if TYPE_CHECKING:
    from nvcodec.bench import Result, Timing

DESCRIPTION = """\
Time analysis, entropy coding, synthesis and input/output, each on its own and all together.

Without a clip, a synthetic moving picture is coded at the standard sizes. Stages are milliseconds a frame, one after
the other; fps is that of the whole pipeline, in which they overlap."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``nvc bench``."""
    files = parser.add_argument_group("input and output")
    files.add_argument("input", metavar="CLIP", nargs="?", help="video to time instead of the synthetic picture")
    files.add_argument(
        "--size",
        type=picture_size,
        metavar="WxH",
        action="append",
        help="picture size, may be repeated (default: 416x240 to 1920x1080; of a clip: its own)",
    )
    files.add_argument("--frames", type=frame_range, metavar="A:B", help="only frames A to B - 1 (default 0:30)")
    settings = parser.add_argument_group("encode settings")
    common.add_codec_arguments(settings)
    settings.add_argument(
        "--intra-period", type=whole_number("intra period", 0), default=0, metavar="N", help="as for 'nvc encode'"
    )
    common.add_device_arguments(parser)
    debugging = parser.add_argument_group("debugging")
    debugging.add_argument("--json", action="store_true", help="print the result as one JSON object")
    debugging.add_argument("--quiet", action="store_true", help="nothing on standard error")
    common.add_traceback_argument(debugging)


def run(args: argparse.Namespace) -> int:
    """Time and print: one line for each size and direction as it is ready, or one JSON object at the end."""
    done = []
    for result in results(args):
        done.append(result)
        if not args.json:
            print(table_lines(result, heading=len(done) == 1), flush=True)
    if args.json:
        settings = {"codec": args.codec, "quality": args.quality, "preset": args.preset, "threads": args.threads}
        fields = {**settings, "device": args.device, "intra_period": args.intra_period}
        common.print_json("bench", {**fields, "results": [as_json(result) for result in done]})
    return 0


def results(args: argparse.Namespace) -> Iterator[Result]:
    """What the arguments ask for, as it is ready."""
    from nvcodec import bench
    from nvcodec.codec.protocol import EncodeSettings
    from nvcodec.codec.registry import get_codec

    codec = get_codec(args.codec)
    settings = EncodeSettings(
        quality=args.quality,
        intra_period=args.intra_period,
        preset=args.preset,
        threads=args.threads,
        device=args.device,
        options=common.codec_options(args),
    )
    frames = args.frames or (0, bench.DEFAULT_FRAME_COUNT)
    if args.input is None:
        first, stop = frames
        if first or stop is None:
            raise UsageError("--frames of the synthetic picture must be 0:B")
        yield from bench.bench_sizes(args.size or bench.STANDARD_SIZES, codec, settings, stop)
        return
    for size in args.size or [None]:
        yield bench.bench_clip(Path(args.input), codec, settings, frames=frames, size=size)


def table_lines(result: Result, heading: bool) -> str:
    """Two lines, encode and decode; every stage in milliseconds a frame."""
    lines = [f"{'clip':<20}{'':<8}{'fps':>8}  ms/frame by stage"] if heading else []
    for what, timing in (("encode", result.encode), ("decode", result.decode)):
        name = result.name[:18] if what == "encode" else f"  {result.frame_count} frames"
        stages = "  ".join(f"{stage} {1000 * s / result.frame_count:.1f}" for stage, s in timing.stages.items())
        total = 1000 * timing.stage_seconds / result.frame_count
        fps = result.frame_count / timing.pipeline_seconds
        lines.append(f"{name:<20}{what:<8}{fps:>8.1f}  {stages}  total {total:.1f}")
    return "\n".join(lines)


def as_json(result: Result) -> dict[str, Any]:
    """Seconds as measured, frames per second beside them."""

    def direction(timing: Timing) -> dict[str, Any]:
        frames = result.frame_count
        return {
            **asdict(timing),
            "stage_seconds": timing.stage_seconds,
            "stage_fps": {stage: frames / seconds for stage, seconds in timing.stages.items() if seconds > 0},
            "fps": frames / timing.pipeline_seconds,
        }

    facts = asdict(result)
    return {**facts, "encode": direction(result.encode), "decode": direction(result.decode)}
