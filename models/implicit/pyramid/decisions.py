# SPDX-License-Identifier: Apache-2.0
"""Rate-distortion choice of coefficients and transform sizes, at the encoder only.

Distortions are in squared quantisation steps, so one price of a bit serves all planes and qualities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nvcodec.models.implicit.pyramid.coefficients import (
    MAX_MAGNITUDE,
    PLANE_SHAPES,
    SIDES,
    CoefficientTables,
    all_contexts,
    diagonal_of,
    plane_shape,
)

ROUNDS = 2
START_OFFSET = 0.4  # rounding offset of the first guess


@dataclass
class Quantised:
    """``symbols`` (N, n, n) int32; ``cost`` (N,) distortion + price x bits; ``empty`` (N,) the cost of all zeros."""

    symbols: np.ndarray
    cost: np.ndarray
    empty: np.ndarray


def quantise(
    coefficients: np.ndarray, step: float, kind: int, chroma: bool, price: float, tables: CoefficientTables, side: int
) -> Quantised:
    """coefficients: (N, n, n) float32; step in sample values; side: typical context of the extents."""
    count, size = coefficients.shape[:2]
    shape = plane_shape(size, chroma)
    x = np.abs(coefficients) * np.float32(1 / step)
    energy = np.einsum("nij,nij->n", x, x)
    symbols = np.zeros(coefficients.shape, np.int32)
    extent_cost = tables.extents.costs[(kind * PLANE_SHAPES + shape) * SIDES + side][: 2 * size] * price
    cost = energy + extent_cost[0]
    worth = np.flatnonzero(x.max((1, 2)) > 0.5)
    if len(worth):
        chosen, chosen_cost = _choose(x[worth], kind, shape, price, tables, extent_cost)
        symbols[worth] = np.where(coefficients[worth] < 0, -chosen, chosen)
        cost[worth] = chosen_cost
    return Quantised(symbols, cost, energy)


def _choose(
    x: np.ndarray, kind: int, shape: int, price: float, tables: CoefficientTables, extent_cost: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    size = x.shape[1]
    diagonal = diagonal_of(size)
    bits = tables.magnitudes.costs
    last = bits.shape[1] - 1
    nearest = np.minimum(np.floor(x + 0.5), MAX_MAGNITUDE).astype(np.int32)
    symbols = np.minimum(np.floor(x + START_OFFSET), MAX_MAGNITUDE).astype(np.int32)
    order = np.argsort(diagonal.ravel(), kind="stable")
    starts = np.searchsorted(diagonal.ravel()[order], np.arange(2 * size - 1))
    total = np.zeros(len(x))
    for _ in range(ROUNDS):
        extents = ((symbols > 0) * (diagonal + 1)).max((1, 2))
        contexts = all_contexts(symbols, np.maximum(extents, 1), kind, shape)
        best = np.full(x.shape, np.inf, np.float32)
        choice = np.zeros_like(symbols)
        for lower in (0, 1, None):
            candidate = nearest * 0 if lower is None else np.maximum(nearest - lower, 0)
            cost = bits[contexts, np.minimum(candidate, last)] + (candidate > 0) + _escape_bits(candidate, last)
            cost = ((x - candidate) ** 2 + price * cost).astype(np.float32)
            better = cost < best
            best = np.where(better, cost, best)
            choice = np.where(better, candidate, choice)
        coded = np.add.reduceat(best.reshape(len(x), -1)[:, order], starts, axis=1)
        dropped = np.add.reduceat((x * x).reshape(len(x), -1)[:, order], starts, axis=1)
        upto = np.concatenate([np.zeros((len(x), 1)), np.cumsum(coded, 1)], 1)
        beyond = np.concatenate([np.cumsum(dropped[:, ::-1], 1)[:, ::-1], np.zeros((len(x), 1))], 1)
        totals = upto + beyond + extent_cost
        extent = totals.argmin(1)
        total = totals[np.arange(len(x)), extent]
        symbols = np.where(diagonal < extent[:, None, None], choice, 0)
    return symbols, total


def _escape_bits(candidate: np.ndarray, last: int) -> np.ndarray:
    return np.where(candidate > last, 8, 0)
