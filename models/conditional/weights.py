# SPDX-License-Identifier: Apache-2.0
"""Weight files: everything a decoder needs of a model, in one safetensors file that nothing can hide code in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from nvcodec.entropy.tables import TableSet
from nvcodec.errors import UnsupportedError
from nvcodec.models.conditional.network import ConditionalNetwork, NetworkConfig
from nvcodec.models.exact import ExactConv2d, check_exact, round_bias, weight_grid
from nvcodec.models.motion.syntax import MotionTables
from nvcodec.models.quality import QualityTable

FORMAT = "nvc-conditional-2"
MAX_NBYTES = 64 << 20
_TABLES = ("gaussian", "hyper", "motion_choice", "motion_classes", "transform_choice")


@dataclass
class Weights:
    """A model ready to code with: network in evaluation mode on exact grids, and all integer tables."""

    name: str
    sha256: bytes
    network: ConditionalNetwork
    gaussian: TableSet
    hyper: TableSet
    motion: MotionTables
    choices: TableSet  # of the transform


def save_weights(path: Path, name: str, network: ConditionalNetwork, tables: dict[str, TableSet]) -> None:
    """Round what decoding uses to its grids, prove the sums exact, and write.

    Weights on the grid have 8 significant bits and are stored as bfloat16 without loss; biases and quality tables stay
    float32. Raises ValueError when a layer's sums could overflow.
    """
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, ExactConv2d):
                layer.weight.copy_(weight_grid(layer.weight))
                layer.bias.copy_(round_bias(layer.bias))
            if isinstance(layer, QualityTable):
                layer.bake()
    check_exact(network)
    exact = {f"{n}.weight" for n, layer in network.named_modules() if isinstance(layer, ExactConv2d)}
    tensors = {}
    for key, value in network.state_dict().items():
        if key.startswith("hyper_density."):
            continue  # its table is what counts
        stored = value.detach().cpu()
        if key in exact:
            stored = stored.to(torch.bfloat16)
            if not torch.equal(stored.float(), value.cpu()):
                raise ValueError(f"{key} is not on its grid")
        tensors[f"network.{key}"] = stored.contiguous()
    for kind in _TABLES:
        tables[kind].check()
        for part in ("cdf", "sizes", "offsets"):
            tensors[f"tables.{kind}.{part}"] = torch.from_numpy(getattr(tables[kind], part).astype(np.int32))
    metadata = {"format": FORMAT, "name": name, "config": json.dumps(network.config.to_dict())}
    save_file(tensors, path, metadata=metadata)
    _sort_header(Path(path))


def _sort_header(path: Path) -> None:
    """Safetensors writes metadata in random order: put it in order, so that equal weights are equal files."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[end:])


def load_weights(path: Path, device: str = "cpu") -> Weights:
    """Read a weight file. Raises UnsupportedError when it is none, or of another layout."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_NBYTES:
            raise UnsupportedError(f"weights {path}: {path.stat().st_size} bytes, at most {MAX_NBYTES}")
        content = path.read_bytes()  # not mapped: a file that is replaced meanwhile must not change under a coder
        tensors = load(content)
        metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})
        if metadata.get("format") != FORMAT:
            raise UnsupportedError(f"weights {path}: layout {metadata.get('format')!r}, this build reads {FORMAT!r}")
        digest = hashlib.sha256(content).digest()
        network = ConditionalNetwork(NetworkConfig(**json.loads(metadata["config"])))
        state = {k.removeprefix("network."): v.float() for k, v in tensors.items() if k.startswith("network.")}
        missing, unexpected = network.load_state_dict(state, strict=False)
        if unexpected or any(not key.startswith("hyper_density.") for key in missing):
            raise UnsupportedError(f"weights {path}: parameters do not fit the network")
        tables = {
            kind: TableSet(*(tensors[f"tables.{kind}.{part}"].numpy() for part in ("cdf", "sizes", "offsets")))
            for kind in _TABLES
        }
    except OSError as error:
        raise UnsupportedError(f"weights {path}: {error.strerror}") from error
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise UnsupportedError(f"weights {path}: not a readable weight file ({str(error).splitlines()[0]})") from error
    ready_to_code(network.to(device))
    motion = MotionTables(tables["motion_choice"], tables["motion_classes"])
    return Weights(
        metadata["name"], digest, network, tables["gaussian"], tables["hyper"], motion, tables["transform_choice"]
    )


def ready_to_code(network: ConditionalNetwork) -> None:
    """Evaluation mode, rounded weights held, quality tables looked up, channels last."""
    network.eval().requires_grad_(False)
    network.to(memory_format=torch.channels_last)
    for layer in network.modules():
        if isinstance(layer, ExactConv2d):
            layer.freeze_grid()
    network.use_baked_tables()
