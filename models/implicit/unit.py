# SPDX-License-Identifier: Apache-2.0
"""The unit of one group of pictures: which network, and its tensors.

frames (varint) | coding (u8) | shape (fields of the recipe) | tables, weights, latents, masks: length and bytes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from nvcodec.errors import DamagedStreamError, NvcError
from nvcodec.models.implicit.coding import SCHEMES, scheme_class
from nvcodec.models.implicit.coding.masks import read_masks
from nvcodec.models.implicit.recipe import Recipe, read_shape, write_shape
from nvcodec.models.implicit.representation import Geometry, Representation
from nvcodec.stream.fields import Blob, Cursor, Uint, Varint
from nvcodec.stream.limits import MAX_UNIT_FRAMES, MAX_UNIT_NBYTES

PARTS = ("tables", "weights", "latents", "masks")
MAX_NUMBERS = 1 << 27  # in all tensors of a unit
MAX_NUMBERS_PER_BYTE = 1 << 12
_FREE_NUMBERS = 1 << 20
_FRAMES, _SCHEME, _PART = Varint(1, MAX_UNIT_FRAMES), Uint(1, 0, len(SCHEMES) - 1), Blob(MAX_UNIT_NBYTES)


@dataclass(frozen=True)
class Unit:
    """A unit taken apart, nothing decoded yet. parts: bytes of each of PARTS."""

    frames: int
    scheme: str
    shape: Any
    parts: dict[str, bytes]
    nbytes: int

    def part_nbytes(self) -> dict[str, int]:
        """Bytes by what they hold; metadata is the rest."""
        sizes = {name: len(part) for name, part in self.parts.items()}
        return {**sizes, "metadata": self.nbytes - sum(sizes.values())}


def write_unit(frames: int, scheme: str, shape: Any, parts: dict[str, bytes]) -> bytes:
    """The unit's bytes; UsageError for what cannot be stored."""
    head = _FRAMES.write(frames, "frames of a group") + _SCHEME.write(SCHEMES.index(scheme), "coding")
    return head + write_shape(shape) + b"".join(_PART.write(parts.get(name, b""), name) for name in PARTS)


def read_unit(recipe: Recipe, payload: bytes) -> Unit:
    """Take a unit apart; DamagedStreamError for what cannot be one."""
    cursor = Cursor(payload, f"{recipe.name} unit")
    frames = _FRAMES.read(cursor, "frames of a group")
    scheme = SCHEMES[_SCHEME.read(cursor, "coding")]
    shape = read_shape(recipe, cursor)
    parts = {name: _PART.read(cursor, name) for name in PARTS}
    cursor.finish()
    return Unit(frames, scheme, shape, parts, len(payload))


def decode_unit(
    recipe: Recipe, unit: Unit, height: int, width: int, previous: Representation | None = None
) -> Representation:
    """The representation of a unit, on the CPU.

    Raises DamagedStreamError for a network that is too large for its bytes, or parts that cannot be right.
    """
    geometry = Geometry(height, width, unit.frames)
    try:
        with torch.device("meta"):  # counts before anything is allocated
            numbers = sum(p.numel() for p in recipe.build(geometry, unit.shape, previous).parameters())
        most = min(MAX_NUMBERS, _FREE_NUMBERS + MAX_NUMBERS_PER_BYTE * unit.nbytes)
        if numbers > most:
            raise DamagedStreamError(f"{recipe.name} unit: a network of {numbers} numbers in {unit.nbytes} bytes")
        representation = recipe.build(geometry, unit.shape, previous)
        read_masks(representation, unit.parts["masks"])
        scheme_class(unit.scheme, recipe).read(representation, recipe, unit.parts)
    except NvcError as exc:
        if isinstance(exc, DamagedStreamError):
            raise
        raise DamagedStreamError(f"{recipe.name} unit: {exc}") from exc
    except (ValueError, ArithmeticError, IndexError, KeyError, RuntimeError, AssertionError) as exc:
        raise DamagedStreamError(f"{recipe.name} unit: {type(exc).__name__}: {exc}".splitlines()[0]) from exc
    return representation.eval().requires_grad_(False)
