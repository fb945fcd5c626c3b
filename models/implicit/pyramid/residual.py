# SPDX-License-Identifier: Apache-2.0
"""What is added to a prediction: blocks of 32, 16 or 8 samples, each transformed or left alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nvcodec.models.implicit.pyramid import dct
from nvcodec.models.implicit.pyramid.coefficients import code_coefficients
from nvcodec.models.implicit.pyramid.maps import code_map
from nvcodec.models.implicit.pyramid.tables import Tables
from nvcodec.models.motion.syntax import SymbolCoder

NONE, WHOLE, SPLIT = 0, 1, 2  # of a block of 32: nothing, one transform, four blocks of 16
QUIET = 4  # contexts of what the frames around say of a block
Planes = tuple[Tensor, Tensor, Tensor]


@dataclass
class Residual:
    """``sizes32`` (R, C): NONE, WHOLE, SPLIT; ``sizes16`` (2R, 2C) where split: NONE, WHOLE (16), SPLIT (four of 8);
    ``blocks``: plane, size, tile numbers (N,) and symbols (N, size, size) of what is coded."""

    sizes32: np.ndarray
    sizes16: np.ndarray
    blocks: list[tuple[int, int, np.ndarray, np.ndarray]]


def code_residual(
    wanted: Residual | None, rows: int, columns: int, kind: int, quiet: np.ndarray, coder: SymbolCoder, tables: Tables
) -> Residual:
    """Write or read the residual of a frame of rows x columns blocks of 32.

    wanted: its ``blocks`` hold every tile of the picture, by (plane, size), in the order of `tile_places`; quiet:
    (rows, columns) 0 to QUIET - 1.
    """
    extra = kind * QUIET + quiet
    sizes32 = code_map(
        wanted.sizes32 if wanted else None,
        np.zeros((rows, columns), np.int64),
        np.ones((rows, columns), bool),
        extra,
        coder,
        tables.sizes32,
    )
    at16 = _twice(sizes32)
    sizes16 = code_map(
        wanted.sizes16 if wanted else None, np.minimum(at16, 1), at16 == SPLIT, _twice(extra), coder, tables.sizes16
    )
    places = tile_places(sizes32, np.where(at16 == SPLIT, sizes16, -1))
    chosen = {(plane, size): symbols for plane, size, _, symbols in wanted.blocks} if wanted else {}
    luma = {16: np.zeros(4 * rows * columns, bool), 32: np.zeros(rows * columns, bool)}  # blocks with luma, by side
    coded_u: dict[int, np.ndarray] = {}
    blocks = []
    for (plane, size), where in places.items():
        if not len(where):
            continue
        sides = np.zeros(len(where), np.int64)
        if plane:
            sides = 1 + luma[2 * size][where].astype(np.int64)
        if plane == 2:
            sides = 3 + sides + 2 * coded_u[size]
        given = chosen[plane, size][where] if wanted else None
        symbols = code_coefficients(given, len(where), size, kind, plane > 0, sides, coder, tables.coefficients)
        coded = symbols.any((1, 2))
        if plane == 1:
            coded_u[size] = coded
        elif plane == 0 and size > 8:
            luma[size][where] = coded
        elif plane == 0:
            luma[16][_parents(where, columns)] |= coded
        if coded.any():
            blocks.append((plane, size, where[coded], symbols[coded]))
    return Residual(sizes32, sizes16, blocks)


def tile_places(sizes32: np.ndarray, sizes16: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Tile numbers of what is coded, by (plane, size), in coding order; sizes16 is -1 outside of split blocks."""
    columns = sizes32.shape[1]
    whole32 = np.flatnonzero(sizes32 == WHOLE)
    whole16, fours = np.flatnonzero(sizes16 == WHOLE), np.flatnonzero(sizes16 == SPLIT)
    corner = fours // (2 * columns) * (8 * columns) + fours % (2 * columns) * 2
    eights = (corner[:, None] + np.array([0, 1, 4 * columns, 4 * columns + 1])).ravel()
    chroma8 = np.sort(np.concatenate([whole16, fours]))
    return {
        (0, 32): whole32,
        (0, 16): whole16,
        (0, 8): eights,
        (1, 16): whole32,
        (1, 8): chroma8,
        (2, 16): whole32,
        (2, 8): chroma8,
    }


def render(residual: Residual, steps: tuple[int, int], prediction: Planes) -> Planes:
    """The prediction and the residual, clamped to 0..255: float32 integers. steps: luma and chroma, eighths."""
    planes = tuple(p.clone() for p in prediction)
    for plane, size, where, symbols in residual.blocks:
        samples = dct.inverse(torch.from_numpy(symbols), steps[min(plane, 1)])
        height, width = planes[plane].shape
        view = planes[plane].view(height // size, size, width // size, size)
        row, column = torch.from_numpy(where // (width // size)), torch.from_numpy(where % (width // size))
        view[row, :, column, :] = (view[row, :, column, :] + samples).clamp_(0, 255)
    return planes  # type: ignore[return-value]


def _twice(grid: np.ndarray) -> np.ndarray:
    return grid.repeat(2, 0).repeat(2, 1)


def _parents(eights: np.ndarray, columns: int) -> np.ndarray:
    """Numbers of the blocks of 16 around tiles of 8; columns: of blocks of 32."""
    row, column = np.divmod(eights, 4 * columns)
    return row // 2 * (2 * columns) + column // 2
