# SPDX-License-Identifier: Apache-2.0
"""Whether quality drifts or pulses in a long video: a steady shot, one keyframe, noise of its own in each frame.

    python scripts/steady_shot.py [--frames 600] [--size 320x180] [-q 32] [--profile ra]

Writes the shot (a smooth picture with edges, a slow pan of a quarter of a sample a frame if --pan) as y4m, encodes it,
decodes the file in a process of its own, and prints: mean PSNR-YUV, the window of 8 frames in a row that is furthest
from it, the mean of the first and last tenth, and the bytes of the largest unit (shared out to its frames) beside the
mean of all but the keyframe.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from nvcodec.cli.values import picture_size
from nvcodec.errors import NvcError
from nvcodec.media import open_source
from nvcodec.metrics.psnr import frame_psnr_yuv_db
from nvcodec.rd.ours import unit_nbytes

WINDOW = 8
NOISE = 1.5  # deviation


def main() -> int:
    """Encode, decode, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--size", type=picture_size, default=(320, 180), metavar="WxH")
    parser.add_argument("-q", "--quality", type=int, default=32)
    parser.add_argument("--profile", choices=("ra", "ld"), default="ra")
    parser.add_argument("--pan", action="store_true")
    args = parser.parse_args()
    nvc = [sys.executable, "-m", "nvcodec"]
    with tempfile.TemporaryDirectory() as folder:
        source, stream, decoded = (Path(folder) / name for name in ("shot.y4m", "shot.nvc", "decoded.y4m"))
        write_shot(source, *args.size, args.frames, args.pan)
        try:
            encode = [*nvc, "encode", str(source), "-o", str(stream), "-q", str(args.quality)]
            subprocess.run([*encode, "--profile", args.profile], check=True)
            subprocess.run([*nvc, "decode", str(stream), "-o", str(decoded)], check=True)
            print(report(scores(source, decoded), unit_nbytes(stream, args.frames)))
        except subprocess.CalledProcessError as error:
            return error.returncode
        except NvcError as error:
            print(f"steady_shot: {error}", file=sys.stderr)
            return error.exit_code
    return 0


def write_shot(path: Path, width: int, height: int, count: int, pan: bool) -> None:
    """Frames as 8-bit 4:2:0 y4m."""
    random = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420\n".encode())
        for number in range(count):
            file.write(b"FRAME\n")
            for part in range(3):
                rows, columns = ((height + 1) // 2, (width + 1) // 2) if part else (height, width)
                plane = picture(rows, columns, part, number * 0.25 / (2 if part else 1) if pan else 0.0)
                noisy = plane + random.normal(0, NOISE, plane.shape)
                file.write(np.clip(np.round(noisy), 0, 255).astype(np.uint8).tobytes())


def picture(rows: int, columns: int, part: int, shift: float) -> np.ndarray:
    """Waves of several lengths and soft-edged bars, moved to the left."""
    y, x = np.mgrid[:rows, :columns].astype(float)
    x += shift
    scale = 2 if part else 1
    out = 128 + 30 * np.sin(0.031 * scale * (x + 0.4 * y) + part) + 18 * np.sin(0.17 * scale * (y - 0.3 * x))
    bars = 1 / (1 + np.exp(-1.5 * (np.sin(0.11 * scale * x) + np.sin(0.07 * scale * y)) * 6))
    return out + 40 * (bars - 0.5) * (0.4 if part else 1)


def scores(source: Path, decoded: Path) -> np.ndarray:
    """PSNR-YUV, 6:1:1, of each frame, dB."""
    found = []
    with open_source(source) as a, open_source(decoded) as b:
        for one, other in zip(a, b, strict=True):
            found.append(frame_psnr_yuv_db(one.planes, other.planes))
    return np.array(found)


def report(found_db: np.ndarray, nbytes: list[int]) -> str:
    """What the script prints."""
    windows = np.convolve(found_db, np.full(WINDOW, 1 / WINDOW), "valid")
    mean, worst, tenth = found_db.mean(), int(np.abs(windows - found_db.mean()).argmax()), max(1, len(found_db) // 10)
    rest = nbytes[1:] or [0]
    return (
        f"{len(found_db)} frames, {sum(nbytes)} bytes, PSNR-YUV {mean:.2f} dB; frames {worst} to {worst + WINDOW - 1} "
        f"{windows[worst] - mean:+.2f} dB; first tenth {found_db[:tenth].mean() - mean:+.2f} dB, last "
        f"{found_db[-tenth:].mean() - mean:+.2f} dB\n"
        f"keyframe {nbytes[0]} bytes, others {np.mean(rest):.0f} in the mean, {max(rest)} at most"
    )


if __name__ == "__main__":
    sys.exit(main())
