# SPDX-License-Identifier: Apache-2.0
"""``nvc info``: what a stream holds."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from nvcodec.cli import common

if TYPE_CHECKING:
    from nvcodec.pipeline.probe import StreamInfo

DESCRIPTION = "Show what a .nvc stream holds; every record is read and checked, nothing is decoded."
_SHOWN_KEYFRAMES = 12
_EXACT = "every machine decodes the same pixels"
_INEXACT = "no: floating point, pixels may differ by rounding between machines, devices and thread counts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``nvc info``."""
    files = parser.add_argument_group("input and output")
    files.add_argument("input", metavar="FILE", help=".nvc stream, or - for standard input")
    files.add_argument("--partial", action="store_true", help="describe what precedes the damage of a broken stream")
    debugging = parser.add_argument_group("debugging")
    debugging.add_argument("--json", action="store_true", help="print one JSON object")
    common.add_traceback_argument(debugging)


def run(args: argparse.Namespace) -> int:
    """Print the description."""
    from nvcodec.api import probe

    info = probe(args.input, partial=args.partial)
    if args.json:
        fields = {**asdict(info), "model": common.model_facts(info.model)}
        common.print_json("info", {"input": common.file_facts(args.input), **fields})
    else:
        print(describe(args.input, info))
    return 0


def describe(name: str, info: StreamInfo) -> str:
    """One line for each fact that a person asks for."""
    video = info.video
    rate = f", {float(video.frame_rate):.6g} fps" if video.frame_rate else ""
    model = f"{info.model.name} (SHA-256 {info.model.sha256.hex()})" if info.model else "none"
    lines = {
        "file": f"{name}: {info.nbytes} bytes, stream format {info.format_version}",
        "codec": f"{info.codec or 'not installed'} (number {info.codec_id})",
        "model": model,
        "picture": f"{video.width}x{video.height}, 8-bit 4:2:0{rate}{_shape(info)}",
        "colour": _colour(info),
        "length": f"{info.frame_count} frames, {common.seconds_text(info.video_seconds)}",
        "keyframes": _keyframes(info.keyframes),
        "rate": _rate(info),
        "bytes": (
            f"{info.payload_nbytes} payload (keyframes {info.keyframe_payload_nbytes}), "
            f"{info.header_nbytes} header, {info.overhead_nbytes} records, {info.index_nbytes} index"
            + (f", {info.skipped_nbytes} skipped" if info.skipped_nbytes else "")
        ),
    }
    if info.parts is not None:
        lines["parts"] = ", ".join(f"{name} {nbytes}" for name, nbytes in info.parts.items()) + " bytes"
    if info.pixel_exact is not None:
        lines["exact"] = _EXACT if info.pixel_exact else _INEXACT
    if not info.complete:
        lines["damage"] = info.damage or "cut off before its end"
    return "\n".join(f"{label:<10}{text}" for label, text in lines.items())


def _shape(info: StreamInfo) -> str:
    aspect, rotation = info.video.sample_aspect_ratio, info.video.rotation
    shape = "" if aspect == 1 else f", sample aspect {aspect.numerator}:{aspect.denominator}"
    return shape + (f", shown turned {rotation} degrees clockwise" if rotation else "")


def _colour(info: StreamInfo) -> str:
    colour = info.video.colour
    return (
        f"{'full' if colour.full_range else 'limited'} range, matrix {colour.matrix}, primaries {colour.primaries}, "
        f"transfer {colour.transfer} (ITU-T H.273)"
    )


def _keyframes(numbers: tuple[int, ...]) -> str:
    listed = ", ".join(map(str, numbers[:_SHOWN_KEYFRAMES])) + (", ..." if len(numbers) > _SHOWN_KEYFRAMES else "")
    return f"{len(numbers)} (frame {listed})" if numbers else "none"


def _rate(info: StreamInfo) -> str:
    rate = "unknown" if info.kbps is None else f"{info.kbps:.1f} kbit/s"
    return rate if info.bpp is None else f"{rate}, {info.bpp:.4f} bpp"
