# SPDX-License-Identifier: Apache-2.0
"""Rate-distortion choice of coefficients and transform sizes, at the encoder only.

Distortions are in squared quantisation steps, so one price of a bit serves all planes and qualities.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from nvcodec.models.implicit.pyramid import dct
from nvcodec.models.implicit.pyramid.adaptive import AdaptiveTables
from nvcodec.models.implicit.pyramid.coefficients import (
    MAX_MAGNITUDE,
    PLANE_SHAPES,
    SIDES,
    CoefficientTables,
    all_contexts,
    diagonal_of,
    plane_shape,
)
from nvcodec.models.implicit.pyramid.residual import Planes, Residual
from nvcodec.models.implicit.pyramid.tables import Tables

ROUNDS = 2
START_OFFSET = 0.4  # rounding offset of the first guess
ESCAPE_BITS = 8
_TRANSFORMS = ((0, 32), (0, 16), (0, 8), (1, 16), (1, 8), (2, 16), (2, 8))
_TYPICAL_SIDE = (0, 1, 5)


@dataclass
class Quantised:
    """``symbols`` (N, n, n) int32; ``cost`` (N,) distortion + price x bits; ``empty`` (N,) the cost of all zeros."""

    symbols: np.ndarray
    cost: np.ndarray
    empty: np.ndarray


def choose_residual(
    difference: Planes, steps: tuple[int, int], kind: int, price: float, tables: Tables, pool: Executor
) -> Residual:
    """difference: original - prediction, planes (H, W) and (H/2, W/2) twice, H and W multiples of 32; steps: luma and
    chroma, eighths; price: squared steps a bit may cost. The result's ``blocks`` hold every tile."""

    def transformed(transform: tuple[int, int]) -> Quantised:
        plane, size = transform
        tiles = dct.forward(dct.to_tiles(difference[plane], size)).numpy()
        step = steps[min(plane, 1)] / 2**dct.STEP_BITS
        return quantise(tiles, step, kind, plane > 0, price, tables.coefficients, _TYPICAL_SIDE[plane])

    found = dict(zip(_TRANSFORMS, pool.map(transformed, _TRANSFORMS), strict=True))
    rows, columns = difference[0].shape[0] // 32, difference[0].shape[1] // 32
    shape32, shape16 = (rows, columns), (2 * rows, 2 * columns)
    costs16, costs32 = typical_costs(tables.sizes16) * price, typical_costs(tables.sizes32) * price

    def total(attribute: str, shape: tuple[int, int], *parts: tuple[int, int]) -> np.ndarray:
        return sum(getattr(found[part], attribute) for part in parts).reshape(shape)  # type: ignore[union-attr]

    chroma8 = ((1, 8), (2, 8))
    eights = found[0, 8].cost.reshape(2 * rows, 2, 2 * columns, 2).sum((1, 3))
    options16 = np.stack(
        [
            total("empty", shape16, (0, 16), *chroma8) + costs16[0],
            total("cost", shape16, (0, 16), *chroma8) + costs16[1],
            eights + total("cost", shape16, *chroma8) + costs16[2],
        ]
    )
    whole = ((0, 32), (1, 16), (2, 16))
    options32 = np.stack(
        [
            total("empty", shape32, *whole) + costs32[0],
            total("cost", shape32, *whole) + costs32[1],
            options16.min(0).reshape(rows, 2, columns, 2).sum((1, 3)) + costs32[2],
        ]
    )
    blocks = [(plane, size, np.arange(len(q.symbols)), q.symbols) for (plane, size), q in found.items()]
    return Residual(options32.argmin(0), options16.argmin(0), blocks)


def typical_costs(tables: AdaptiveTables) -> np.ndarray:
    """Bits of each value over all contexts."""
    counts = tables.counts.sum(0)
    return -np.log2(counts / counts.sum())


def quantise(
    coefficients: np.ndarray, step: float, kind: int, chroma: bool, price: float, tables: CoefficientTables, side: int
) -> Quantised:
    """coefficients: (N, n, n) float32; step in sample values; side: typical context of the extents."""
    size = coefficients.shape[1]
    shape = plane_shape(size, chroma)
    x = np.abs(coefficients) * np.float32(1 / step)
    energy = np.einsum("nij,nij->n", x, x)
    symbols = np.zeros(coefficients.shape, np.int32)
    extent_cost = tables.extents.costs[(kind * PLANE_SHAPES + shape) * SIDES + side][: 2 * size] * price
    cost = energy + extent_cost[0]
    worth = np.flatnonzero(x.max((1, 2)) > 0.5)
    if len(worth):
        chosen, cost[worth] = _choose(x[worth], kind, shape, price, tables, extent_cost)
        symbols[worth] = np.where(coefficients[worth] < 0, -chosen, chosen)
    return Quantised(symbols, cost, energy)


def _choose(
    x: np.ndarray, kind: int, shape: int, price: float, tables: CoefficientTables, extent_cost: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Symbols of least cost for magnitudes x (N, n, n), and the cost (N,): contexts from the round before."""
    count, size = x.shape[:2]
    diagonal = diagonal_of(size)
    order = np.argsort(diagonal.ravel(), kind="stable")
    starts = np.searchsorted(diagonal.ravel()[order], np.arange(2 * size - 1))
    bits = (tables.magnitudes.costs * price).astype(np.float32)
    nearest = np.minimum(np.floor(x + 0.5), MAX_MAGNITUDE).astype(np.int32)
    symbols = np.minimum(np.floor(x + START_OFFSET), MAX_MAGNITUDE).astype(np.int32)
    energy = x * x
    dropped = np.add.reduceat(energy.reshape(count, -1)[:, order], starts, axis=1)
    none = np.zeros((count, 1))
    beyond = np.concatenate([np.cumsum(dropped[:, ::-1], 1)[:, ::-1], none], 1)
    total = np.zeros(count)
    for _ in range(ROUNDS):
        extents = ((symbols > 0) * (diagonal + 1)).max((1, 2))
        contexts = all_contexts(symbols, np.maximum(extents, 1), kind, shape)
        best = energy + bits[contexts, 0]
        choice = np.zeros_like(symbols)
        some = np.nonzero(nearest)  # few: where anything but zero is possible
        for lower in (0, 1):
            candidate = np.maximum(nearest[some] - lower, 1)
            cost = (x[some] - candidate) ** 2 + _bits_of(candidate, contexts[some], bits, price)
            better = cost < best[some]
            best[some] = np.where(better, cost, best[some])
            choice[some] = np.where(better, candidate, choice[some])
        coded = np.add.reduceat(best.reshape(count, -1)[:, order], starts, axis=1)
        totals = np.concatenate([none, np.cumsum(coded, 1)], 1) + beyond + extent_cost
        extent = totals.argmin(1)
        total = totals[np.arange(count), extent]
        symbols = np.where(diagonal < extent[:, None, None], choice, 0)
    return symbols, total


def _bits_of(candidate: np.ndarray, contexts: np.ndarray, bits: np.ndarray, price: float) -> np.ndarray:
    """Price of magnitudes of at least 1 and their signs."""
    last = bits.shape[1] - 1
    return bits[contexts, np.minimum(candidate, last)] + price * (1 + ESCAPE_BITS * (candidate > last))
