# SPDX-License-Identifier: Apache-2.0
"""Decodes streams in this process in every way a process can still choose; prints what came out as JSON.

    python decode_variants.py STREAM...

The environment chooses the instruction set (ATEN_CPU_CAPABILITY, ONEDNN_MAX_CPU_ISA).
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from nvcodec.models import zoo
from nvcodec.models.conditional.sequence import SequenceCoder
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.exact import ExactConv2d
from nvcodec.stream import StreamReader


def decode(path: Path, weights: Weights, threads: int) -> str:
    """SHA-256 over Y, U and V of every frame."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        reader = StreamReader(file, path.name)
        coder = SequenceCoder(weights, reader.header.height, reader.header.width, threads)
        for record in reader.records():
            for place, unit in enumerate(record.units):
                for plane in coder.decode(unit.payload, record.keyframe and place == 0):
                    digest.update(plane.tobytes())
    return digest.hexdigest()


@contextmanager
def contiguous(weights: Weights) -> Iterator[None]:
    """Every convolution in the layout that is not native here, weights and inputs."""
    layers = [layer for layer in weights.network.modules() if isinstance(layer, ExactConv2d)]
    hooks = [layer.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),)) for layer in layers]
    held = [layer._grid_weight for layer in layers]
    for layer, weight in zip(layers, held, strict=True):
        layer._grid_weight = weight.contiguous()
    yield
    for layer, hook, weight in zip(layers, hooks, held, strict=True):
        hook.remove()
        layer._grid_weight = weight


def main(paths: list[Path]) -> dict[str, object]:
    sha256 = _model_of(paths[0])
    weights = zoo.load("", sha256)

    def all_of(threads: int = 1) -> dict[str, str]:
        return {path.name: decode(path, weights, threads) for path in paths}

    results = {f"{threads} threads": all_of(threads) for threads in (1, 2, 4)}
    with contiguous(weights):
        results["contiguous"] = all_of()
    with torch.backends.mkldnn.flags(enabled=False):
        results["without oneDNN"] = all_of()
    with torch.autocast("cpu", dtype=torch.bfloat16):  # as a program around us may have done
        results["inside autocast"] = all_of()
    torch.set_float32_matmul_precision("medium")
    results["reduced precision allowed"] = all_of()
    return {"capability": torch.backends.cpu.get_cpu_capability(), "results": results}


def _model_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return StreamReader(file, path.name).header.model_sha256


if __name__ == "__main__":
    print(json.dumps(main([Path(argument) for argument in sys.argv[1:]])))
