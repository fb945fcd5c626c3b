#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the small streams in tests/golden/ whose decoded pixels must never change.

    python scripts/make_golden_streams.py

Run it when the weights that ship or the syntax change, and only then: a changed stream needs a word in the changelog.
Each stream is decoded and compared with what the encoder saw before anything is written; golden.json then holds
SHA-256 of every stream and of its decoded planes (Y, U and V of each frame in turn).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nvcodec
from nvcodec.media.test_pattern import moving_pattern, pattern_format
from nvcodec.media.types import Frame

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "golden"


@dataclass(frozen=True)
class Clip:
    """What goes into one stream: a moving pattern, which changes to another at frame ``cut``."""

    width: int
    height: int
    frame_count: int
    quality: int
    intra_period: int = 0
    cut: int | None = None
    profile: str = "ra"
    model: str = "m"

    def frames(self) -> list[Frame]:
        frames = list(moving_pattern(self.width, self.height, self.frame_count))
        if self.cut is not None:
            frames[self.cut :] = moving_pattern(self.width, self.height, self.frame_count - self.cut, seed=1)
        return frames


CLIPS = {
    "low": Clip(64, 48, 6, quality=6),
    "middle": Clip(64, 48, 6, quality=32, cut=3),
    "high": Clip(64, 48, 4, quality=60, intra_period=2),
    "odd": Clip(19, 33, 5, quality=45),
    "pixel": Clip(1, 1, 4, quality=20),
    "long": Clip(48, 32, 40, quality=25),
    "delay": Clip(48, 32, 24, quality=30, profile="ld"),
    "least": Clip(48, 32, 12, quality=35, model="xs"),
    "less": Clip(48, 32, 12, quality=35, model="s"),
    "most": Clip(48, 32, 12, quality=35, model="l"),
}


def encode(clip: Clip) -> bytes:
    """The stream of a clip, in one thread."""
    video = pattern_format(clip.width, clip.height)
    options = {"profile": clip.profile, "model": clip.model}
    encoder = nvcodec.Encoder(video, quality=clip.quality, intra_period=clip.intra_period, threads=1, options=options)
    return b"".join([encoder.encode(*frame.planes) for frame in clip.frames()]) + encoder.finish()


def planes_sha256(frames: Iterable[Frame]) -> str:
    """SHA-256 over Y, U and V of each frame in turn, hexadecimal."""
    digest = hashlib.sha256()
    for frame in frames:
        for plane in frame.planes:
            digest.update(plane.tobytes())
    return digest.hexdigest()


def describe(stream: bytes) -> dict[str, object]:
    """What golden.json says of a stream; DamagedStreamError where it does not decode to what the encoder saw."""
    decoder = nvcodec.Decoder(verify=True, threads=1)
    frames = decoder.decode(stream)
    decoder.finish()
    info = nvcodec.probe(io.BytesIO(stream))
    assert info.model is not None
    return {
        "frames": len(frames),
        "keyframes": list(info.keyframes),
        "model": info.model.name,
        "model_sha256": info.model.sha256.hex(),
        "stream_sha256": hashlib.sha256(stream).hexdigest(),
        "planes_sha256": planes_sha256(frames),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, default=FOLDER, help="folder to write to (tests/golden)")
    into: Path = parser.parse_args().into
    streams = {f"{name}.nvc": encode(clip) for name, clip in CLIPS.items()}
    facts = {name: describe(stream) for name, stream in streams.items()}
    into.mkdir(parents=True, exist_ok=True)
    for name, stream in streams.items():
        (into / name).write_bytes(stream)
    (into / "golden.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(f"{into}: {len(streams)} streams, {sum(map(len, streams.values()))} bytes")


if __name__ == "__main__":
    main()
