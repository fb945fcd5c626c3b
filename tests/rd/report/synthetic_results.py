# SPDX-License-Identifier: Apache-2.0
"""A results folder made of known numbers, so that tables can be checked by hand; no codec ran for it."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np

from nvcodec.rd.schema import Clip, CodecRecord, Conditions, Point, Quality, Rate, Timing
from nvcodec.rd.store import ResultsFolder

CODECS = {
    # name: (family, profile, bits against x265 medium low delay, seconds per frame encoding)
    "ours:conditional": ("ours", "ld", 0.80, 0.05),
    "x264:medium:ld": ("x264", "ld", 1.25, 0.004),
    "x265:medium:ld": ("x265", "ld", 1.00, 0.02),
    "x265:veryslow:ra": ("x265", "ra", 0.64, 0.2),
}
FRAMES = 6
SIZE = (64, 48)


def clip(name: str, width: int = SIZE[0], height: int = SIZE[1], frames: int = FRAMES) -> Clip:
    sha = hashlib.sha256(f"{name} {width} {height} {frames}".encode()).hexdigest()
    return Clip(name, width, height, frames, "30/1", f"{name}.y4m", sha, sha)


def point(
    codec: str,
    where: Clip,
    step: int,
    *,
    factor: float | None = None,
    quality: float | None = None,
    conditions: Conditions | None = None,
    steps: int = 5,
) -> Point:
    """Quality rises by 3 dB for each doubling of the rate; ``factor`` scales the rate."""
    family, profile, usual, seconds = CODECS[codec]
    factor = usual if factor is None else factor
    kbps = 100.0 * 2**step * factor
    nbytes = round(kbps * 1000 / 8 * where.seconds)
    psnr = 30.0 + 3.0 * step if quality is None else quality
    conditions = conditions or Conditions()
    wave = [psnr + math.sin(i) for i in range(where.frames)]
    sizes = [nbytes // where.frames] * where.frames
    key = hashlib.sha256(repr((codec, where, step, factor, psnr, conditions)).encode()).hexdigest()
    return Point(
        key=key,
        clip=where,
        codec=CodecRecord(codec, family, profile, version=f"{family} 1.0", preset=codec.split(":")[1]),
        quality=Quality("quality" if family == "ours" else "crf", float(steps - step if family != "ours" else step)),
        conditions=conditions,
        rate=Rate(nbytes, kbps, kbps * 1000 / (30 * where.width * where.height), "raw", sizes),
        timing=Timing(seconds * where.frames, 0.001 * where.frames, 1, 2),
        metrics={"psnr_yuv": psnr, "psnr_y": psnr - 1.0, "ssim": 1.0 - 10 ** (-psnr / 20.0), "psnr_rgb": psnr - 2.0},
        series={"psnr_yuv": wave, "psnr_y": [v - 1.0 for v in wave]},
        commands={"encode": ["encoder", "--crf", str(step), "{source}"]},
    )


def make_results(folder: Path, clips: tuple[str, ...] = ("alpha", "beta"), pictures: bool = False) -> ResultsFolder:
    """Four codecs on each clip, five points each; BD-rates follow from the factors in CODECS."""
    results = ResultsFolder.create(folder)
    for name in clips:
        where = clip(name)
        if pictures:
            where = with_originals(folder, where)
        for codec in CODECS:
            for step in range(5):
                made = point(codec, where, step)
                if pictures and step == 2:
                    made = with_pictures(folder, made)
                results.add(made)
    return results


def picture(seed: int, frame: int, noise: float) -> np.ndarray:
    width, height = SIZE
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    base = np.stack([x * 4 % 256, y * 5 % 256, (x + y + 20 * frame) * 2 % 256], axis=-1).astype(np.float64)
    return np.clip(base + np.random.default_rng(seed).normal(0, noise, base.shape), 0, 255).astype(np.uint8)


def save_picture(folder: Path, path: str, pixels: np.ndarray) -> str:
    from PIL import Image

    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / path)
    return path


def with_originals(folder: Path, where: Clip) -> Clip:
    named = {
        str(f): save_picture(folder, f"pictures/{where.name}/original-{f}.png", picture(0, f, 0.0)) for f in (0, 2, 5)
    }
    where.originals.update(named)
    return where


def with_pictures(folder: Path, made: Point) -> Point:
    strength = 8.0 * CODECS[made.codec.name][2]
    for f in (0, 2, 5):
        path = f"pictures/{made.clip.name}/{made.key[:12]}-{f}.png"
        made.pictures[str(f)] = save_picture(folder, path, picture(f + 1, f, strength))
    return made
