# SPDX-License-Identifier: Apache-2.0
"""HNeRV's own scheme (arXiv 2304.02633, section 3.3): uniform steps between extremes, one static entropy code for all.

Each tensor is quantised after the fit to a fixed number of bits, with a minimum and a step for the whole tensor or
along the axis that errs least (an axis is a candidate where it holds less than 2% as many numbers as the tensor).
Minimum and step travel in half precision. All symbols share one table of frequencies, which travels too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nvcodec.entropy.rans import RansReader, RansWriter
from nvcodec.entropy.tables import TOTAL, TableSet
from nvcodec.errors import DamagedStreamError, NvcError
from nvcodec.models.implicit.recipe import Recipe
from nvcodec.models.implicit.representation import Representation, Transmitted
from nvcodec.stream.fields import Cursor, Varint, write_varint

_MOST_SIDE_SHARE = 0.02
_FREQUENCY = Varint(0, TOTAL)


class PaperScheme(nn.Module):
    """Coding after the fit: nothing is learned and the fit sees plain weights."""

    learned = False

    def __init__(self, representation: Representation, recipe: Recipe):
        super().__init__()
        self._representation, self._recipe = [representation], recipe  # in a list: not a submodule

    def write(self) -> dict[str, bytes]:
        """Parts of the unit; the representation is left as it was."""
        representation = self._representation[0]
        parameters = dict(representation.named_parameters())
        sides, symbols = [], {"weights": [], "latents": []}
        for tensor in representation.transmitted():
            quantised, axis, low, step = quantise(_difference(parameters[tensor.name], tensor), self._bits(tensor))
            sides.append(bytes([axis]) + low.tobytes() + step.tobytes())
            symbols[tensor.role].append(quantised)
        together = [np.concatenate(found) if found else np.zeros(0, np.int64) for found in symbols.values()]
        counts = np.bincount(np.concatenate(together), minlength=1)
        tables = static_table(counts)
        frequencies = np.diff(np.array(tables.rows[0]))[:-1]
        table = write_varint(len(frequencies)) + b"".join(write_varint(int(f)) for f in frequencies)
        parts = {"tables": table + b"".join(sides)}
        for role, values in zip(symbols, together, strict=True):
            writer = RansWriter()
            writer.code(values, np.zeros(len(values), np.int64), tables)
            parts[role] = writer.finish()
        return parts

    @classmethod
    def read(cls, representation: Representation, recipe: Recipe, parts: dict[str, bytes]) -> None:
        """Fill the parameters of a representation; DamagedStreamError for parts that cannot be right."""
        scheme = cls(representation, recipe)
        cursor = Cursor(parts["tables"], "tables of a network")
        tables = read_table(cursor, 1 << max(recipe.paper.weight_bits, recipe.paper.latent_bits))
        parameters = dict(representation.named_parameters())
        transmitted = representation.transmitted()
        readers = {}
        for role in ("weights", "latents"):
            count = sum(parameters[t.name].numel() for t in transmitted if t.role == role)
            readers[role] = RansReader(parts[role], count)
        with torch.no_grad():
            for tensor in transmitted:
                shape = tuple(parameters[tensor.name].shape)
                low, step = _read_side(cursor, shape, tensor.name)
                indices = np.zeros(int(np.prod(shape)), np.int64)
                symbols = readers[tensor.role].code(None, indices, tables).reshape(shape)
                if symbols.min(initial=0) < 0 or symbols.max(initial=0) >= 1 << scheme._bits(tensor):
                    raise DamagedStreamError(f"tensor {tensor.name}: a symbol beyond {scheme._bits(tensor)} bits")
                value = torch.from_numpy(low + step * symbols.astype(np.float32))
                parameters[tensor.name].copy_(value if tensor.reference is None else tensor.reference.cpu() + value)
        cursor.finish()

    def _bits(self, tensor: Transmitted) -> int:
        return self._recipe.paper.latent_bits if tensor.role == "latents" else self._recipe.paper.weight_bits


def quantise(values: np.ndarray, bits: int) -> tuple[np.ndarray, int, np.ndarray, np.ndarray]:
    """(symbols (n,), axis + 1 or 0 for the whole tensor, minimum and step as float16) with the least mean error."""
    if not np.isfinite(values).all():
        raise NvcError("a weight is not a finite number; the fit has failed")
    best = None
    for axis in (None, *range(values.ndim)):
        low = values.min(axis=axis, keepdims=True)
        if axis is not None and low.size / values.size >= _MOST_SIDE_SHARE:
            continue
        high = values.max(axis=axis, keepdims=True)
        low16 = np.clip(low, -65504, 65504).astype(np.float16)
        step16 = np.clip((high - low) / (2**bits - 1), 0, 65504).astype(np.float16)
        low32, step32 = low16.astype(np.float32), step16.astype(np.float32)
        symbols = np.round((values - low32) / np.where(step32 > 0, step32, 1)).clip(0, 2**bits - 1)
        error = float(np.abs(low32 + step32 * symbols - values).mean())
        if best is None or error < best[0]:
            best = error, symbols.astype(np.int64).ravel(), 0 if axis is None else axis + 1, low16, step16
    assert best is not None
    return best[1:]


def static_table(counts: np.ndarray) -> TableSet:
    """One table from how often each symbol comes; every symbol has at least one part in 2^16."""
    return TableSet.from_pmfs([np.maximum(counts, 0).astype(np.float64) + 1e-9], [0])


def read_table(cursor: Cursor, most: int) -> TableSet:
    """A table as ``PaperScheme.write`` stores it, of at most ``most`` symbols."""
    size = Varint(1, most).read(cursor, "number of symbols")
    frequencies = [_FREQUENCY.read(cursor, "frequency of a symbol") for _ in range(size)]
    cdf = np.concatenate([[0], np.cumsum([*frequencies, TOTAL - sum(frequencies)])])
    tables = TableSet(cdf.astype(np.int32), np.array([size + 2], np.int32), np.zeros(1, np.int32))
    try:
        tables.check()
    except ValueError as exc:
        raise cursor.damaged(str(exc)) from exc
    return tables


def _difference(parameter: Tensor, tensor: Transmitted) -> np.ndarray[Any, Any]:
    value = parameter.detach() if tensor.reference is None else parameter.detach() - tensor.reference
    return value.float().cpu().numpy()


def _read_side(cursor: Cursor, shape: tuple[int, ...], name: str) -> tuple[np.ndarray, np.ndarray]:
    axis = Varint(0, len(shape)).read(cursor, f"axis of {name}")
    side = tuple(1 if axis in (0, i + 1) else n for i, n in enumerate(shape))
    read = []
    for what in ("minimum", "step"):
        taken = np.frombuffer(cursor.take(2 * int(np.prod(side)), f"{what} of {name}"), np.float16)
        if not np.isfinite(taken).all():
            raise cursor.damaged(f"{what} of {name} is not finite")
        read.append(taken.astype(np.float32).reshape(side))
    return read[0], read[1]
