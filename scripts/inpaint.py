# SPDX-License-Identifier: Apache-2.0
"""Inpainting by a representation: fit what a mask leaves, and score what the network puts into the hole.

    python scripts/inpaint.py VIDEO -o DIR [--codec hnerv] [--mask disperse|central|PICTURE] [--model-size 1.5M] ...

Masks as in HNeRV and Boosting-NeRV: `disperse` is five squares of 50 samples, at the centre and at the quarters;
`central` is one box of a quarter of the width and of the height; a picture is white where samples are known. The loss
counts only known samples, and an encoder sees nothing else. Prints the RGB PSNR inside the mask, outside, and of the
whole picture, of the decoded file (mean of frames); --crop WxH takes the centre first (HNeRV: 1280x640).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from bunny import read_cropped, read_frames, rgb_psnr_db, write_video

from nvcodec import api
from nvcodec.cli.values import duration, parameter_count, picture_size
from nvcodec.codec.implicit import load_mask
from nvcodec.errors import NvcError
from nvcodec.media import open_source
from nvcodec.media.types import VideoFormat

BOX, CENTRES = 50, ((1 / 2, 1 / 2), (1 / 4, 1 / 4), (1 / 4, 3 / 4), (3 / 4, 1 / 4), (3 / 4, 3 / 4))


def main() -> int:
    """Fit, decode, score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--codec", default="hnerv")
    parser.add_argument("--mask", default="disperse")
    parser.add_argument("--box", type=int, default=BOX, help=f"side of a disperse square (default {BOX})")
    parser.add_argument("--crop", type=picture_size, metavar="WxH")
    parser.add_argument("--frames", type=int, metavar="N", help="only the first N")
    parser.add_argument("--model-size", type=parameter_count, default=1_500_000)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--time", type=duration)
    parser.add_argument("--weights-coding", choices=("paper", "learned"), default="paper")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    try:
        print(json.dumps(run(args), indent=1))
    except NvcError as error:
        print(f"inpaint: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(args: argparse.Namespace) -> dict:
    """The scores, and where the files are."""
    args.output.mkdir(parents=True, exist_ok=True)
    if args.crop is None:
        with open_source(str(args.video)) as source:
            args.crop = (source.format.width, source.format.height)
    video, frames = read_cropped(args.video, args.crop, args.frames)
    known = known_samples(args.mask, video, args.box)
    if known.all() or not known.any():
        raise NvcError(f"mask {args.mask}: it must hide a part of the picture, and not all of it")
    clip, mask = args.output / "source.mkv", args.output / "mask.png"
    write_video(clip, video, frames)
    Image.fromarray((255 * known).astype(np.uint8)).save(mask)
    stream, decoded = args.output / f"{args.codec}.nvc", args.output / f"{args.codec}.y4m"
    options = {"model_size": args.model_size, "mask": mask, "gop": 1024, "weights_coding": args.weights_coding}
    options |= {name: value for name, value in (("epochs", args.epochs), ("seconds", args.time)) if value is not None}
    report = api.encode(
        clip, stream, codec=args.codec, threads=args.threads, device=args.device, overwrite=True, options=options
    )
    api.decode(stream, decoded, threads=args.threads, device=args.device, overwrite=True)
    made = read_frames(decoded)

    def score(where: np.ndarray | None) -> float:
        return float(np.mean([rgb_psnr_db(a, b, video, where) for a, b in zip(frames, made, strict=True)]))

    return {
        "codec": args.codec,
        "mask": args.mask,
        "hidden_share": float(1 - known.mean()),
        "psnr_inside_db": score(~known),
        "psnr_outside_db": score(known),
        "psnr_db": score(None),
        "bpp": report.bpp,
        "encode_seconds": report.seconds,
        "stream": str(stream),
    }


def known_samples(mask: str, video: VideoFormat, box: int) -> np.ndarray:
    """(H, W) bool: true where the fit may look."""
    known = np.ones((video.height, video.width), bool)
    if mask == "disperse":
        half = box // 2
        for across_y, across_x in CENTRES:
            y, x = int(across_y * video.height), int(across_x * video.width)
            known[max(0, y - half) : y + half, max(0, x - half) : x + half] = False
    elif mask == "central":
        top, left = video.height * 3 // 8, video.width * 3 // 8
        known[top : top + video.height // 4, left : left + video.width // 4] = False
    else:
        known = load_mask(Path(mask), video)[0, 0].numpy() > 0
    return known


if __name__ == "__main__":
    sys.exit(main())
