# SPDX-License-Identifier: Apache-2.0
"""Weights that ship with the package: one safetensors file and one model card for each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nvcodec.errors import UnsupportedError, UsageError

if TYPE_CHECKING:
    from nvcodec.models.conditional.weights import Weights

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class InstalledModel:
    """A weight file: ``name``, ``path``, ``sha256`` (32 bytes), ``nbytes``, ``card`` (path of its model card)."""

    name: str
    path: Path
    sha256: bytes
    nbytes: int
    card: Path


@lru_cache(maxsize=1)
def installed() -> tuple[InstalledModel, ...]:
    """All models of this installation, by name."""
    return tuple(
        InstalledModel(p.stem, p, hashlib.sha256(p.read_bytes()).digest(), p.stat().st_size, p.with_suffix(".md"))
        for p in sorted(FOLDER.glob("*.safetensors"))
    )


def find(name: str) -> InstalledModel:
    """The model of a name, or of a path to a weight file. Raises UsageError when there is none."""
    for model in installed():
        if model.name == name:
            return model
    path = Path(name)
    if path.suffix == ".safetensors" and path.is_file():
        digest = hashlib.sha256(path.read_bytes()).digest()
        _extra[digest] = path  # streams made with it in this process find it again
        return InstalledModel(path.stem[:64], path, digest, path.stat().st_size, path.with_suffix(".md"))
    known = ", ".join(model.name for model in installed()) or "none"
    raise UsageError(f"model {name!r} is not installed (there is: {known})")


def load(name: str, sha256: bytes) -> Weights:
    """Weights a stream asks for. Raises UnsupportedError when no installed file has this SHA-256."""
    from nvcodec.models.conditional.weights import load_weights

    for model in installed():
        if model.sha256 == sha256:
            return load_weights(model.path)
    extra = _extra.get(sha256)
    if extra is not None:
        return load_weights(extra)
    raise UnsupportedError(
        f"the stream needs model {name!r} with SHA-256 {sha256.hex()[:16]}..., which is not installed"
    )


_extra: dict[bytes, Path] = {}


def add(path: Path) -> InstalledModel:
    """Make a weight file outside the package known to this process. Raises UsageError when there is none."""
    return find(str(path))
