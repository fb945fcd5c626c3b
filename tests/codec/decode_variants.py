# SPDX-License-Identifier: Apache-2.0
"""Decodes streams in this process in every way a process can still choose; prints what came out as JSON.

    python decode_variants.py STREAM...

The environment chooses what kernels are compiled for, and where they are kept (NUMBA_CPU_NAME, NUMBA_CPU_FEATURES,
NUMBA_CACHE_DIR), and whether they look at bounds (NUMBA_BOUNDSCHECK).
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numba
import torch

import nvcodec
from nvcodec.codec.conditional import SIZES, tools_of
from nvcodec.models import zoo
from nvcodec.models.conditional.sequence import VideoDecoder
from nvcodec.models.conditional.weights import Weights
from nvcodec.stream import StreamReader


def unit_by_unit(path: Path, weights: Weights, threads: int) -> str:
    """SHA-256 over Y, U and V of every frame."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        reader = StreamReader(file, path.name)
        header, tools = reader.header, tools_of(SIZES[reader.header.config[1]])
        decoder = VideoDecoder(weights, header.height, header.width, tools=tools, threads=threads)
        for record in reader.records():
            for place, unit in enumerate(record.units):
                for planes in decoder.decode(unit.payload, record.keyframe and place == 0):
                    for plane in planes:
                        digest.update(plane.tobytes())
    return digest.hexdigest()


def reading_ahead(path: Path, threads: int, device: str = "cpu") -> str:
    """The same through the public interface, which reads entropy-coded parts in a thread of its own."""
    decoder = nvcodec.Decoder(threads=threads, device=device)
    frames = decoder.decode(path.read_bytes())
    decoder.finish()
    return hashlib.sha256(b"".join(plane.tobytes() for frame in frames for plane in frame.planes)).hexdigest()


def main(paths: list[Path]) -> dict[str, object]:
    with paths[0].open("rb") as file:
        weights = zoo.load("", StreamReader(file, paths[0].name).header.model_sha256)
    results = {}
    for threads in (1, 2, 8):
        results[f"{threads} threads"] = {path.name: unit_by_unit(path, weights, threads) for path in paths}
        results[f"{threads} threads, ahead"] = {path.name: reading_ahead(path, threads) for path in paths}
    torch.set_num_threads(1)
    for device in ("cpu:0", "cuda") if torch.cuda.is_available() else ("cpu:0",):
        results[f"network on {device} by PyTorch"] = {path.name: reading_ahead(path, 2, device) for path in paths}
    return {"cpu": numba.config.CPU_NAME, "boundscheck": bool(numba.config.BOUNDSCHECK), "results": results}


if __name__ == "__main__":
    print(json.dumps(main([Path(argument) for argument in sys.argv[1:]])))
