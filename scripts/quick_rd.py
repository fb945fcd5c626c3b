# SPDX-License-Identifier: Apache-2.0
"""To choose between two encoders while one writes them: their curves on a few clips, in minutes.

    python scripts/quick_rd.py measure CLIP... -o before.json [--frames 33] [--qualities 2,17,32,46,60] [--preset slow]
    python scripts/quick_rd.py compare before.json after.json [...]

"measure" encodes the first frames of each clip with the default codec, in two processes, decodes them in the same one
and keeps bytes of the whole stream and PSNR-YUV. PYTHONPATH says which tree is measured, --model which weights.
"compare" prints for each file the BD-rate against the first: the mean of the clips with its standard error, the lowest
and the highest quarter of the range, the extreme clips, and the time of encoding.

Figures for a table come from `nvc rd`, which measures files that fresh processes decoded.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import nvcodec
from nvcodec.errors import NvcError, UsageError
from nvcodec.media.source import open_source
from nvcodec.metrics.psnr import frame_psnr_yuv_db
from nvcodec.rd.bdrate import bd_rate, bd_rate_by_parts

QUALITIES = "2,17,32,46,60"
QUARTERS = 4


def main() -> int:
    """Measure or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measure = commands.add_parser("measure")
    measure.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    measure.add_argument("-o", "--out", type=Path, required=True, metavar="JSON")
    measure.add_argument("--frames", type=int, default=33, metavar="N", help="of each clip (default: 33)")
    measure.add_argument("--qualities", default=QUALITIES, metavar="Q,Q,...", help=f"default: {QUALITIES}")
    measure.add_argument("--profile", choices=("ra", "ld"), default="ra")
    measure.add_argument("--preset", default="medium")
    measure.add_argument("--model", metavar="WEIGHTS", help="default: the ones that ship")
    measure.add_argument("--processes", type=int, default=2)
    compare = commands.add_parser("compare")
    compare.add_argument("files", nargs="+", type=Path, metavar="JSON")
    args = parser.parse_args()
    try:
        if args.command == "compare":
            first, *others = (read(path) for path in args.files)
            for path, other in zip(args.files[1:], others, strict=True):
                print(f"{path.stem}: {difference(first, other)}")
            return 0
        options = {"profile": args.profile} | ({"model": args.model} if args.model else {})
        qualities = whole_numbers(args.qualities)
        with ProcessPoolExecutor(args.processes) as pool:
            jobs = [
                pool.submit(point, clip, quality, args.frames, args.preset, options)
                for clip in args.clips
                for quality in qualities
            ]
            args.out.write_text(json.dumps([job.result() for job in jobs], indent=1) + "\n", encoding="utf-8")
    except NvcError as error:
        print(f"quick_rd: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"quick_rd: {args.out}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def whole_numbers(text: str) -> list[int]:
    """Of an option. Raises UsageError for anything else."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--qualities {text!r}: whole numbers with commas wanted") from None


def point(clip: Path, quality: int, frames: int, preset: str, options: dict[str, Any]) -> dict[str, Any]:
    """One clip at one quality: its name, bytes, PSNR-YUV as the mean of frames, and seconds of encoding."""
    out, begin = io.BytesIO(), time.perf_counter()
    nvcodec.encode(clip, out, quality=quality, preset=preset, threads=1, frames=(0, frames), options=options)
    seconds, decoder = time.perf_counter() - begin, nvcodec.Decoder(threads=1)
    decoded, values = decoder.decode(out.getvalue()), []
    for frame, coded in zip(open_source(clip, frames=(0, frames)), decoded, strict=True):
        values.append(frame_psnr_yuv_db(frame.planes, coded.planes))
    return {
        "clip": clip.stem,
        "quality": quality,
        "nbytes": len(out.getvalue()),
        "psnr_yuv_db": float(np.mean(values)),
        "seconds": seconds,
    }


def read(path: Path) -> list[dict[str, Any]]:
    """What "measure" wrote. Raises UsageError for anything else."""
    try:
        points: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(points, list) or not curves(points):
            raise ValueError("no points")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: not measured by this script ({error})") from error
    return points


def curves(points: list[dict[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    """Bytes and PSNR-YUV of each clip."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for one in points:
        rates, qualities = found.setdefault(str(one["clip"]), ([], []))
        rates.append(float(one["nbytes"]))
        qualities.append(float(one["psnr_yuv_db"]))
    return found


def difference(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> str:
    """One line of what changed on the clips that both have."""
    old, new = curves(before), curves(after)
    clips = [clip for clip in old if clip in new]
    if not clips:
        raise UsageError("no clip is in both files")
    rates = {clip: bd_rate(*old[clip], *new[clip]) for clip in clips}
    parts = np.mean([bd_rate_by_parts(*old[clip], *new[clip], QUARTERS) for clip in clips], 0)
    values = np.array(list(rates.values()))
    least, most = min(rates, key=lambda clip: rates[clip]), max(rates, key=lambda clip: rates[clip])
    seconds = [sum(float(one["seconds"]) for one in points) for points in (before, after)]
    return (
        f"{values.mean():+.2f}% (standard error {values.std() / len(values) ** 0.5:.2f}, low {parts[0]:+.2f}, "
        f"high {parts[-1]:+.2f}), {rates[least]:+.1f} ({least}) to {rates[most]:+.1f} ({most}), "
        f"time x {seconds[1] / seconds[0]:.2f}"
    )


if __name__ == "__main__":
    sys.exit(main())
