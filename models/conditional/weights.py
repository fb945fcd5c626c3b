# SPDX-License-Identifier: Apache-2.0
"""Weight files: everything a decoder needs of a model, in one safetensors file that nothing can hide code in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save_file

from nvcodec.entropy.mixing import new_weights
from nvcodec.entropy.odds import odds_of
from nvcodec.errors import UnsupportedError
from nvcodec.models.kernels.decisions import DECISION_ROWS, DECISION_SLOTS
from nvcodec.models.kernels.decisions import INPUTS as DECISION_INPUTS
from nvcodec.models.kernels.latents import INPUTS, PLAIN_CONTEXTS, SLOTS, WEIGHT_ROWS
from nvcodec.models.kernels.residual import RATE_CLASSES
from nvcodec.models.network import from_tensors, to_tensors
from nvcodec.models.transform import LEARNED_CLASSES, SIDES, BlockBases, Filters, bases_of, check_filters

FORMAT = "nvc-conditional-12"
MAX_NBYTES = 64 << 20
START_COUNT = 30  # how often a slot counts as having learned when a video begins, at most
# types as stored: they bound what compiled code indexes by
_STORED = {
    "start.decisions": np.uint16,
    "start.decision_counts": np.uint8,
    "start.decision_weights": np.int32,
    "start.slots": np.uint16,
    "start.counts": np.uint8,
    "start.weights": np.int32,
    "start.plain": np.uint16,
}
_TRANSFORMS = ("coarse", "fine", "tiny", "tiny_chroma", "large")


@dataclass
class Learned:
    """What the entropy coder knows, and goes on learning from every bit it codes.

    decisions: (DECISION_SLOTS, 2) and decision_weights: (DECISION_ROWS, POINTS + DECISION_INPUTS) int32; slots:
    (SLOTS, 2), weights: (WEIGHT_ROWS, POINTS + INPUTS) and plain: (PLAIN_CONTEXTS, 2) int32, of latents. (See
    `nvcodec.entropy.mixing` for rows of weights.)
    """

    decisions: np.ndarray
    decision_weights: np.ndarray
    slots: np.ndarray
    weights: np.ndarray
    plain: np.ndarray

    def copy(self) -> Learned:
        """To go on from, at a keyframe."""
        return Learned(*(array.copy() for array in vars(self).values()))


def nothing_learned() -> Learned:
    """Where training begins: every bit as likely as not, every opinion of the same weight."""
    return Learned(
        _even(DECISION_SLOTS),
        new_weights(DECISION_ROWS, DECISION_INPUTS),
        _even(SLOTS),
        new_weights(WEIGHT_ROWS, INPUTS),
        np.full((PLAIN_CONTEXTS, 2), 1 << 15, np.int32),
    )


def _even(count: int) -> np.ndarray:
    """Slots that have learned nothing."""
    return np.stack([np.full(count, 1 << 15, np.int32), np.zeros(count, np.int32)], 1)


@dataclass
class Weights:
    """A model ready to code with. start: what the entropy coder knows at a keyframe; bases: transforms."""

    name: str
    sha256: bytes
    start: Learned
    bases: BlockBases


def save_weights(path: Path, name: str, start: Learned, bases: BlockBases) -> None:
    """Write a weight file."""
    tensors = {
        "start.decisions": np.ascontiguousarray(start.decisions[:, 0], np.uint16),
        "start.decision_counts": np.minimum(start.decisions[:, 1], START_COUNT).astype(np.uint8),
        "start.decision_weights": np.ascontiguousarray(start.decision_weights),
        "start.slots": np.ascontiguousarray(start.slots[:, 0], np.uint16),
        "start.counts": np.minimum(start.slots[:, 1], START_COUNT).astype(np.uint8),
        "start.weights": np.ascontiguousarray(start.weights),
        "start.plain": np.ascontiguousarray(start.plain[:, 1], np.uint16),
    }
    for kind, pictures, rates in zip(_TRANSFORMS, bases.pictures, bases.rates, strict=True):
        tensors[f"bases.{kind}"] = np.ascontiguousarray(pictures[:LEARNED_CLASSES])  # written as memory lies
        tensors[f"rates.{kind}"] = np.ascontiguousarray(rates, np.float32)
    tensors |= {f"filters.{name}": np.ascontiguousarray(taps) for name, taps in vars(bases.filters).items()}
    tensors |= to_tensors(bases.network)
    save_file(tensors, path, metadata={"format": FORMAT, "name": name})
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


def load_weights(path: Path) -> Weights:
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
        for kind, expected in _STORED.items():
            if tensors[kind].dtype != expected:
                raise ValueError(f"{kind} of type {tensors[kind].dtype}")
        start = Learned(
            _slots(tensors["start.decisions"], tensors["start.decision_counts"]),
            tensors["start.decision_weights"],
            _slots(tensors["start.slots"], tensors["start.counts"]),
            tensors["start.weights"],
            _twice(tensors["start.plain"]),
        )
        pictures, rates = (tuple(tensors[f"{part}.{kind}"] for kind in _TRANSFORMS) for part in ("bases", "rates"))
        filters = Filters(tensors["filters.luma"], tensors["filters.chroma"])
        _check(start, pictures, rates, filters)
        bases = bases_of(pictures, rates, filters, from_tensors(tensors))
        bases = replace(bases, odds=odds_of(start.slots, start.weights))
        return Weights(metadata["name"], hashlib.sha256(content).digest(), start, bases)
    except OSError as error:
        raise UnsupportedError(f"weights {path}: {error.strerror}") from error
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise UnsupportedError(f"weights {path}: not a readable weight file ({str(error).splitlines()[0]})") from error


def _slots(probabilities: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(S, 2) int32."""
    return np.stack([probabilities.astype(np.int32), counts.astype(np.int32)], -1)


def _twice(probabilities: np.ndarray) -> np.ndarray:
    """Both of a context's estimates begin alike."""
    return np.stack([probabilities.astype(np.int32)] * 2, -1)


def _check(start: Learned, pictures: tuple[np.ndarray, ...], rates: tuple[np.ndarray, ...], filters: Filters) -> None:
    """Compiled code does not look at bounds: whatever it indexes must have the size and range it expects."""
    nothing = nothing_learned()
    for name, wanted in vars(nothing).items():
        array = getattr(start, name)
        if array.shape != wanted.shape:
            raise ValueError(f"{name} of shape {array.shape}")
        if "weights" in name and np.abs(array.astype(np.int64)).max() > 1 << 24:
            raise ValueError(f"{name} of the mixing network beyond their range")
    for slots in (start.decisions, start.slots):
        if slots[:, 1].max() > START_COUNT:
            raise ValueError(f"slots that learned more than {START_COUNT} times")
    check_filters(filters)
    for sides, picture, rate in zip(SIDES, pictures, rates, strict=True):
        n = sum(side * side for side in sides)
        if picture.shape != (LEARNED_CLASSES, n, n) or picture.dtype != np.int16:
            raise ValueError(f"basis pictures of shape {picture.shape}")
        if rate.shape != (2, RATE_CLASSES, n, 3) or rate.dtype != np.float32:
            raise ValueError(f"rates of shape {rate.shape}")
