# SPDX-License-Identifier: Apache-2.0
"""``nvc encode``: a video to a .nvc stream."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from dataclasses import asdict

from nvcodec.cli import common
from nvcodec.cli.values import frame_range, frame_rate, picture_size, whole_number
from nvcodec.codec.registry import IMPLICIT_IDS, get_codec_number
from nvcodec.errors import UsageError

EXIT_INTERRUPTED = 130  # Ctrl-C ended a fit; the file holds what was reached

DESCRIPTION = """\
Compress a video to a .nvc stream.

IN is a video file in any container and codec that FFmpeg reads, y4m, raw planes (with --raw-size), a picture, a
folder or pattern of pictures (frames/%04d.png), or - for standard input. OUT is a file, or - for standard output."""
EPILOG = """\
examples:
  nvc encode holiday.mp4 -o holiday.nvc
  nvc encode holiday.mp4 -o small.nvc -q 12 --frames 0:100 --size 640x360
  nvc encode holiday.mp4 -o fits.nvc --target-size 8M
  nvc encode holiday.mp4 -o tiny.nvc --codec hnerv --model-size 0.75M --time 10m --progress
  nvc encode planes.yuv --raw-size 1920x1080 --raw-rate 50 -o planes.nvc
  ffmpeg -v error -i in.mov -f yuv4mpegpipe -pix_fmt yuv420p - | nvc encode - -o - | nvc decode - -o out.mkv"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``nvc encode``."""
    files = parser.add_argument_group("input and output")
    files.add_argument("input", metavar="IN", help="video, picture(s) or - for standard input")
    files.add_argument("-o", "--output", metavar="OUT", required=True, help="stream to write; - for standard output")
    files.add_argument("-y", "--overwrite", action="store_true", help="replace OUT if it exists")
    files.add_argument("--frames", type=frame_range, metavar="A:B", help="only frames A to B - 1, counted from 0")
    files.add_argument("--size", type=picture_size, metavar="WxH", help="scale to this size first")
    files.add_argument("--raw-size", type=picture_size, metavar="WxH", help="picture size of raw input")
    files.add_argument("--raw-rate", type=frame_rate, metavar="FPS", help="frame rate of raw input or pictures (25)")
    files.add_argument("--raw-format", metavar="FORMAT", help="pixel format of raw input (yuv420p), such as nv12")

    settings = parser.add_argument_group("encode settings")
    common.add_codec_arguments(settings)
    settings.add_argument(
        "--intra-period",
        type=whole_number("intra period", 0),
        default=0,
        metavar="N",
        help="frames from one keyframe to the next; 0 = only the first frame is one (default)",
    )
    common.add_goal_arguments(parser)
    common.add_fit_arguments(parser)
    common.add_device_arguments(parser)
    common.add_progress_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Encode; the result is one line, or JSON."""
    if args.raw_size is None and args.raw_format is not None:
        raise UsageError("--raw-format needs --raw-size WxH")
    from nvcodec.api import encode
    from nvcodec.media import RawGeometry

    raw = None
    if args.raw_size is not None:
        width, height = args.raw_size
        raw = RawGeometry(width, height, frame_rate=args.raw_rate, pixel_format=args.raw_format or "yuv420p")
    fits = get_codec_number(args.codec) in IMPLICIT_IDS
    fitted = common.fit_options(args, fits)
    with (
        common.fit_line(args) if fits else nullcontext(None) as on_fit,
        nullcontext(None) if fits else common.progress_line(args, "encoding") as progress,
    ):
        report = encode(
            args.input,
            args.output,
            frames=args.frames,
            size=args.size,
            raw=raw,
            frame_rate=None if raw else args.raw_rate,
            codec=args.codec,
            quality=args.quality,
            intra_period=args.intra_period,
            preset=args.preset,
            threads=args.threads,
            device=args.device,
            overwrite=args.overwrite,
            progress=progress,
            on_fit=on_fit,
            options={**common.codec_options(args), **fitted},
            goal=None if fits else common.goal(args),
        )
    common.show_notes(args, report.notes)
    if args.json:
        fields = {**asdict(report), "model": common.model_facts(report.model), "device": args.device}
        files = {"input": common.file_facts(args.input), "output": common.file_facts(args.output)}
        common.print_json("encode", {**files, **fields}, args.output)
    elif not args.quiet:
        rate = "" if report.kbps is None else f", {report.kbps:.1f} kbit/s"
        text = (
            f"{args.output}: {report.frames} frames {report.width}x{report.height}, {report.nbytes} bytes{rate}, "
            f"{report.bpp:.4f} bpp, {report.codec} q{report.quality}, {report.fps:.1f} fps"
            + ("" if report.psnr_db is None else f", {report.psnr_db:.2f} dB")
        )
        print(text, file=common.result_stream(args.output))
    return EXIT_INTERRUPTED if report.interrupted else 0
