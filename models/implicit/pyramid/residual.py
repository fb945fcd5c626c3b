# SPDX-License-Identifier: Apache-2.0
"""What is added to a prediction: blocks of 32, 16 or 8 samples, each transformed or left alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nvcodec.models.implicit.pyramid import dct
from nvcodec.models.implicit.pyramid.coefficients import INTRA, code_coefficients
from nvcodec.models.implicit.pyramid.decisions import Quantised, quantise
from nvcodec.models.implicit.pyramid.maps import code_map
from nvcodec.models.implicit.pyramid.tables import Tables
from nvcodec.models.motion.syntax import SymbolCoder

NONE, WHOLE, SPLIT = 0, 1, 2  # of a block of 32: nothing, one transform, four blocks of 16
Planes = tuple[Tensor, Tensor, Tensor]


@dataclass
class Choice:
    """``sizes32`` (R, C): NONE, WHOLE, SPLIT; ``sizes16`` (2R, 2C): NONE, WHOLE (16), SPLIT (four of 8);
    ``symbols``: by (plane, size), of every tile of that size in the picture; ``cost``: of the whole picture."""

    sizes32: np.ndarray
    sizes16: np.ndarray
    symbols: dict[tuple[int, int], np.ndarray]
    cost: float


def choose(residual: Planes, steps: tuple[int, int], kind: int, price: float, tables: Tables) -> Choice:
    """residual: planes (H, W) and (H/2, W/2) twice, H and W multiples of 32; steps: luma and chroma, eighths."""
    rows, columns = residual[0].shape[0] // 32, residual[0].shape[1] // 32
    found: dict[tuple[int, int], Quantised] = {}
    for plane, sizes in ((0, (32, 16, 8)), (1, (16, 8)), (2, (16, 8))):
        step = steps[min(plane, 1)] / 8
        for size in sizes:
            tiles = dct.forward(dct.to_tiles(residual[plane], size)).numpy()
            side = 0 if plane == 0 else 1 if plane == 1 else 5
            found[plane, size] = quantise(tiles, step, kind, plane > 0, price, tables.coefficients, side)
    costs16 = _map_costs(tables.sizes16) * price
    costs32 = _map_costs(tables.sizes32) * price
    shape16 = (2 * rows, 2 * columns)
    chroma8 = (found[1, 8].cost + found[2, 8].cost).reshape(shape16)
    none16 = (found[0, 16].empty + found[1, 8].empty + found[2, 8].empty).reshape(shape16) + costs16[0]
    whole16 = found[0, 16].cost.reshape(shape16) + chroma8 + costs16[1]
    four8 = found[0, 8].cost.reshape(2 * rows, 2, 2 * columns, 2).sum((1, 3)) + chroma8 + costs16[2]
    options = np.stack([none16, whole16, four8])
    sizes16, cost16 = options.argmin(0), options.min(0)
    shape32 = (rows, columns)
    none32 = sum(found[p, s].empty for p, s in ((0, 32), (1, 16), (2, 16))).reshape(shape32) + costs32[0]
    whole32 = sum(found[p, s].cost for p, s in ((0, 32), (1, 16), (2, 16))).reshape(shape32) + costs32[1]
    split = cost16.reshape(rows, 2, columns, 2).sum((1, 3)) + costs32[2]
    options = np.stack([none32, whole32, split])
    symbols = {key: value.symbols for key, value in found.items()}
    return Choice(options.argmin(0), sizes16, symbols, float(options.min(0).sum()))


def _map_costs(tables) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Typical bits of each value: over all contexts, as often as they were met."""
    weight = tables.counts.sum(1, keepdims=True)
    share = (tables.counts / weight * (weight - weight.min() + 1)).sum(0)
    return -np.log2(share / share.sum())


def code_residual(
    choice: Choice | None,
    height: int,
    width: int,
    steps: tuple[int, int],
    kind: int,
    quiet: np.ndarray,
    coder: SymbolCoder,
    tables: Tables,
) -> Planes:
    """Write or read the residual of one frame; returns it as planes of float32 integers.

    quiet: (H/32, W/32) 0 to 3, what is known of how well each block is predicted.
    """
    rows, columns = height // 32, width // 32
    everywhere = np.ones((rows, columns), bool)
    sizes32 = code_map(
        choice.sizes32 if choice else None,
        np.zeros((rows, columns), np.int64),
        everywhere,
        kind * 4 + quiet,
        coder,
        tables.sizes32,
    )
    sizes32_at16 = sizes32.repeat(2, 0).repeat(2, 1)
    sizes16 = code_map(
        choice.sizes16 if choice else None,
        np.minimum(sizes32_at16, 1),
        sizes32_at16 == SPLIT,
        (kind * 4 + quiet).repeat(2, 0).repeat(2, 1),
        coder,
        tables.sizes16,
    )
    sizes16 = np.where(sizes32_at16 == SPLIT, sizes16, -1)
    whole32 = np.flatnonzero(sizes32 == WHOLE)
    whole16, four8 = np.flatnonzero(sizes16 == WHOLE), np.flatnonzero(sizes16 == SPLIT)
    corner = (four8 // (2 * columns)) * 2 * (4 * columns) + (four8 % (2 * columns)) * 2
    eights = (corner[:, None] + np.array([0, 1, 4 * columns, 4 * columns + 1])).ravel()
    sixteens_chroma = np.sort(np.concatenate([whole16, four8]))
    residual = [torch.zeros(height >> s, width >> s) for s in (0, 1, 1)]
    coded_luma32 = np.zeros(rows * columns, bool)
    coded_luma16 = np.zeros(4 * rows * columns, bool)
    coded_u: dict[int, np.ndarray] = {}
    for plane, size, where in (
        (0, 32, whole32),
        (0, 16, whole16),
        (0, 8, eights),
        (1, 16, whole32),
        (1, 8, sixteens_chroma),
        (2, 16, whole32),
        (2, 8, sixteens_chroma),
    ):
        if not len(where):
            continue
        sides = np.zeros(len(where), np.int64)
        if plane:
            sides = 1 + (coded_luma32 if size == 16 else coded_luma16)[where].astype(np.int64)
        if plane == 2:
            sides = 3 + sides + 2 * coded_u[size]
        chosen = choice.symbols[plane, size][where] if choice else None
        symbols = code_coefficients(chosen, len(where), size, kind, plane > 0, sides, coder, tables.coefficients)
        coded = symbols.any((1, 2))
        if plane == 0 and size == 32:
            coded_luma32[where] = coded
        elif plane == 0 and size == 16:
            coded_luma16[where] = coded
        elif plane == 0:
            coded_luma16[four8] = coded.reshape(-1, 4).any(1)
        elif plane == 1:
            coded_u[size] = coded
        filled = np.flatnonzero(coded)
        samples = dct.inverse(torch.from_numpy(symbols[filled]), steps[min(plane, 1)])
        h, w = residual[plane].shape
        view = residual[plane].view(h // size, size, w // size, size)
        places = torch.from_numpy(where[filled])
        view[places // (w // size), :, places % (w // size), :] = samples
    return residual[0], residual[1], residual[2]


__all__ = ["INTRA", "NONE", "SPLIT", "WHOLE", "Choice", "Planes", "choose", "code_residual"]
