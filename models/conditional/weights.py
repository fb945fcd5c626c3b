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
from nvcodec.models.conditional.density import SCALE_LEVELS
from nvcodec.models.conditional.network import ConditionalNetwork, NetworkConfig
from nvcodec.models.exact import ExactConv2d, check_exact, round_bias, weight_grid
from nvcodec.models.kernels.syntax import CONTEXTS
from nvcodec.models.transform import CLASSES, SIDES, BlockBases, bases_of
from nvcodec.models.quality import QualityTable

FORMAT = "nvc-conditional-3"
MAX_NBYTES = 64 << 20
BANDS = 4  # of quality levels, each with contexts of its own to begin with
_TRANSFORMS = ("coarse", "fine", "tiny", "tiny_chroma")


@dataclass
class Weights:
    """A model ready to code with.

    network: in evaluation mode on exact grids; latents: SCALE_LEVELS tables; contexts: (2, BANDS, CONTEXTS + 1, 2) int32
    of intra and inter frames at a keyframe; bases: transforms.
    """

    name: str
    sha256: bytes
    network: ConditionalNetwork
    latents: TableSet
    contexts: np.ndarray
    bases: BlockBases


def save_weights(
    path: Path, name: str, network: ConditionalNetwork, latents: TableSet, contexts: np.ndarray, bases: BlockBases
) -> None:
    """Round what decoding uses to its grids, prove the sums exact, and write.

    Weights on the grid have 8 significant bits and are stored as bfloat16 without loss; biases and quality tables stay
    float32. Raises ValueError when a layer's sums could overflow.
    """
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, ExactConv2d):
                layer.weight.copy_(weight_grid(layer.weight))
                layer.bias.copy_(round_bias(layer.bias))
    network.bake()
    check_exact(network)
    exact = {f"{n}.weight" for n, layer in network.named_modules() if isinstance(layer, ExactConv2d)}
    tensors = {}
    for key, value in network.state_dict().items():
        stored = value.detach().cpu()
        if key in exact:
            stored = stored.to(torch.bfloat16)
            if not torch.equal(stored.float(), value.cpu()):
                raise ValueError(f"{key} is not on its grid")
        tensors[f"network.{key}"] = stored.contiguous()
    latents.check()
    for part in ("cdf", "sizes", "offsets"):
        tensors[f"tables.latents.{part}"] = torch.from_numpy(getattr(latents, part).astype(np.int32))
    tensors["contexts"] = torch.from_numpy(contexts.astype(np.int32))
    for kind, pictures, rates in zip(_TRANSFORMS, bases.pictures, bases.rates, strict=True):
        tensors[f"bases.{kind}"] = torch.from_numpy(pictures)
        tensors[f"rates.{kind}"] = torch.from_numpy(rates.astype(np.float32))
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
        network.load_state_dict({k.removeprefix("network."): v.float() for k, v in tensors.items() if k[:8] == "network."})
        latents = TableSet(*(tensors[f"tables.latents.{part}"].numpy() for part in ("cdf", "sizes", "offsets")))
        latents.check()
        contexts = tensors["contexts"].numpy()
        bases = bases_of(
            tuple(tensors[f"bases.{kind}"].numpy() for kind in _TRANSFORMS),
            tuple(tensors[f"rates.{kind}"].numpy() for kind in _TRANSFORMS),
        )
        _check(latents, contexts, bases)
    except OSError as error:
        raise UnsupportedError(f"weights {path}: {error.strerror}") from error
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise UnsupportedError(f"weights {path}: not a readable weight file ({str(error).splitlines()[0]})") from error
    ready_to_code(network.to(device))
    return Weights(metadata["name"], digest, network, latents, contexts, bases)


def _check(latents: TableSet, contexts: np.ndarray, bases: BlockBases) -> None:
    """Compiled code does not look at bounds: whatever it indexes must have the size it expects."""
    if len(latents) != SCALE_LEVELS:
        raise ValueError(f"{len(latents)} tables of latents: {SCALE_LEVELS}")
    if contexts.shape != (2, BANDS, CONTEXTS + 1, 2) or contexts.dtype != np.int32:
        raise ValueError(f"contexts of shape {contexts.shape}")
    if contexts.min() < 0 or contexts.max() > 65535:
        raise ValueError("contexts beyond 0 to 65535")
    for sides, pictures, rates in zip(SIDES, bases.pictures, bases.rates, strict=True):
        n = sum(side * side for side in sides)
        if pictures.shape != (CLASSES, n, n) or pictures.dtype != np.int16:
            raise ValueError(f"basis pictures of shape {pictures.shape}")
        if rates.shape != (2, 8, n, 3) or rates.dtype != np.float32:
            raise ValueError(f"rates of shape {rates.shape}")


def ready_to_code(network: ConditionalNetwork) -> None:
    """Evaluation mode, rounded weights held, quality tables looked up, channels last."""
    network.eval().requires_grad_(False)
    network.to(memory_format=torch.channels_last)
    for layer in network.modules():
        if isinstance(layer, ExactConv2d):
            layer.freeze_grid()
        if isinstance(layer, QualityTable):
            layer.use_baked = True
