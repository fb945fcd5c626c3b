# SPDX-License-Identifier: Apache-2.0
"""What the entropy coder learned, as a run keeps it, with the facts of its making."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from nvcodec.errors import UsageError
from nvcodec.models.conditional.weights import Learned, nothing_learned
from nvcodec.models.training.records import Sequence

_NAMES = tuple(field.name for field in fields(Learned))


@dataclass(frozen=True)
class Held:
    """Records that were kept from learning, and the bits they take."""

    records: int
    frames: int
    decisions_bits: int
    latents_bits: int

    def __str__(self) -> str:
        if not self.records:
            return "no records held out"
        bits = self.decisions_bits + self.latents_bits
        return (
            f"{self.decisions_bits:,} bits of decisions, {self.latents_bits:,} of latents in {self.frames} frames "
            f"of {self.records} records ({bits / self.frames:,.0f} a frame)"
        )


@dataclass(frozen=True)
class LearnedFacts:
    """records, frames: how many were learned from; held_out: what came of it."""

    records: int
    frames: int
    held_out: Held


def frames_of(sequences: list[Sequence]) -> int:
    """Frames of all sequences together."""
    return sum(map(len, sequences))


def digest_of(paths: list[Path]) -> str:
    """SHA-256 of files of records: what was learned belongs to exactly these."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.name.encode() + b"\0" + path.read_bytes()).digest())
    return digest.hexdigest()


def facts_of_card(path: Path) -> LearnedFacts:
    """Of weights, from the card beside them in JSON. Raises UsageError where that is not readable."""
    try:
        training = json.loads(path.read_text(encoding="utf-8"))["training"]
        return LearnedFacts(training["records"], training["frames"], Held(**training["held_out"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: not the card of weights to start from ({str(error).splitlines()[0]})") from error


def save_learned(path: Path, learned: Learned, facts: LearnedFacts, digest: str) -> None:
    """Keep it in a file (whole or not at all); digest: of the records, see `digest_of`."""
    tensors = {name: np.ascontiguousarray(getattr(learned, name)) for name in _NAMES}
    partial = path.with_name(f".{path.name}.partial")
    save_file(tensors, partial, metadata={"facts": json.dumps(asdict(facts)), "digest": digest})
    os.replace(partial, path)


def load_learned(path: Path, digest: str) -> tuple[Learned, LearnedFacts] | None:
    """What `save_learned` wrote; None when it is not there, or of other records. Raises UsageError for others."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            if metadata["digest"] != digest:
                return None
            learned = Learned(*(file.get_tensor(name) for name in _NAMES))
        facts = json.loads(metadata["facts"])
        facts = LearnedFacts(**{**facts, "held_out": Held(**facts["held_out"])})
    except (SafetensorError, KeyError, OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: not what a run learned ({str(error).splitlines()[0]}); remove it") from error
    wanted = nothing_learned()
    for name in _NAMES:
        mine, there = getattr(wanted, name), getattr(learned, name)
        if (there.shape, there.dtype) != (mine.shape, mine.dtype):
            raise UsageError(f"{path}: {name} of shape {there.shape}, {mine.shape} wanted; remove it")
    return learned, facts
