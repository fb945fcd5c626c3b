# SPDX-License-Identifier: Apache-2.0
"""``nvc decode``: a .nvc stream to frames."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path

from nvcodec.cli import common
from nvcodec.cli.values import frame_range, whole_number
from nvcodec.errors import UsageError

DESCRIPTION = """\
Decode a .nvc stream.

The suffix of OUT says what is written: .y4m or .yuv (uncompressed), .mkv (lossless FFV1), .mp4 (H.264, lossy, for
watching), .png (one picture, or a pattern such as frame%04d.png), or - for y4m on standard output."""
EPILOG = """\
examples:
  nvc decode holiday.nvc -o holiday.mkv
  nvc decode holiday.nvc -o frames/%05d.png --frames 100:110
  nvc decode holiday.nvc --verify
  nvc decode holiday.nvc -o - | ffplay -"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``nvc decode``."""
    files = parser.add_argument_group("input and output")
    files.add_argument("input", metavar="IN", help=".nvc stream, or - for standard input")
    files.add_argument("-o", "--output", metavar="OUT", help="video or pictures to write; - for standard output")
    files.add_argument("-y", "--overwrite", action="store_true", help="replace OUT if it exists")
    files.add_argument("--frames", type=frame_range, metavar="A:B", help="only frames A to B - 1, counted from 0")
    files.add_argument(
        "--interpolate",
        type=whole_number("interpolate", 1, 16),
        default=1,
        metavar="N",
        help="N pictures for each frame: 2 doubles the frame rate (implicit codecs)",
    )
    files.add_argument("--raw-format", metavar="FORMAT", help="write raw planes: yuv420p or nv12 (.yuv, .raw, -)")
    files.add_argument("--model", metavar="PATH", help="weight file of a stream whose model is not installed")
    checks = parser.add_argument_group("checks")
    checks.add_argument(
        "--verify", action="store_true", help="compare every frame with the encoder's checksum; OUT may be left out"
    )
    checks.add_argument(
        "--partial", action="store_true", help="keep what precedes the damage of a cut off or altered stream"
    )
    common.add_device_arguments(parser)
    common.add_progress_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Decode; the result is one line, or JSON."""
    if args.output is None and not args.verify:
        raise UsageError("-o OUT is missing: name a file to decode to, or only check with --verify")
    from nvcodec.api import decode

    if args.model is not None:
        from nvcodec.models import zoo

        zoo.add(Path(args.model))
    with common.progress_line(args, "decoding") as progress:
        report = decode(
            args.input,
            args.output or os.devnull,
            frames=args.frames,
            pixel_format=args.raw_format,
            verify=args.verify,
            partial=args.partial,
            threads=args.threads,
            device=args.device,
            overwrite=args.overwrite,
            progress=progress,
            interpolate=args.interpolate,
        )
    common.show_notes(args, [*report.notes, *([report.damage] if report.damage else [])])
    if args.json:
        fields = {**asdict(report), "model": common.model_facts(report.model), "device": args.device}
        files = {"input": common.file_facts(args.input)}
        common.print_json("decode", {**files, "output": {"path": args.output}, **fields}, args.output)
    elif not args.quiet:
        checked = ", every frame as the encoder made it" if report.verified else ""
        text = (
            f"{args.output or args.input}: {report.frames} frames {report.width}x{report.height}{checked}, "
            f"{report.codec}, {report.fps:.1f} fps"
        )
        print(text, file=common.result_stream(args.output))
    return 0
