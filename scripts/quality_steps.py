# SPDX-License-Identifier: Apache-2.0
"""Whether the size of a stream rises with every quality step, on clips of yours.

    python scripts/quality_steps.py CLIP... [--frames 17] [--jobs 2] [--profile ra]

Encodes the first frames of each clip at all 64 qualities with the default codec, and prints for each clip the size at
quality 0 and 63, the smallest rise from one quality to the next, and every step that does not rise. Exit code 1 if
there is one.
"""

from __future__ import annotations

import argparse
import io
import itertools
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nvcodec
from nvcodec.errors import NvcError

QUALITIES = range(64)


def main() -> int:
    """Encode and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--frames", type=int, default=17, metavar="N", help="of each clip (default: 17)")
    parser.add_argument("--profile", choices=("ra", "ld"), default="ra")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    falls = 0
    try:
        with ProcessPoolExecutor(args.jobs) as pool:
            for clip in args.clips:
                jobs = [pool.submit(nbytes_at, clip, quality, args.frames, args.profile) for quality in QUALITIES]
                falls += show(clip.stem, [job.result() for job in jobs])
    except NvcError as error:
        print(f"quality_steps: {error}", file=sys.stderr)
        return error.exit_code
    return 1 if falls else 0


def nbytes_at(clip: Path, quality: int, frames: int, profile: str) -> int:
    """Size of the stream of a clip's first frames."""
    out = io.BytesIO()
    nvcodec.encode(clip, out, quality=quality, threads=1, frames=(0, frames), options={"profile": profile})
    return len(out.getvalue())


def show(name: str, nbytes: list[int]) -> int:
    """One line of a clip, one more for each step that does not rise; returns how many of those there are."""
    rises = [100 * (b / a - 1) for a, b in itertools.pairwise(nbytes)]
    print(f"{name}: {nbytes[0]} to {nbytes[-1]} bytes, least rise {min(rises):+.2f}%", flush=True)
    falls = [quality for quality, rise in enumerate(rises) if rise <= 0]
    for quality in falls:
        print(f"  quality {quality} to {quality + 1}: {nbytes[quality]} to {nbytes[quality + 1]} bytes")
    return len(falls)


if __name__ == "__main__":
    sys.exit(main())
