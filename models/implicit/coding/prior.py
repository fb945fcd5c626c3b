# SPDX-License-Identifier: Apache-2.0
"""The learned prior of a tensor: a family of shapes, and one scale for each row plus one for each column.

The level of a number on the ladder of scales (`nvcodec.entropy.ladder`) is row + column, both integers, so that which
table codes it is integer arithmetic. Scales are fitted to the symbols in closed form, alternating rows and columns, and
their own cost counts.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nvcodec.entropy.ladder import FAMILIES, LEVELS, LEVELS_PER_OCTAVE, LOWEST_OCTAVE, MIXED_SPREAD, level_scale

_LEAST_PER_SCALE = 24  # numbers that share a scale must be worth its bits
_ROUNDS = 3
_SMALLEST = 1e-3
_LEAST_LIKELIHOOD = 2.0**-17


@dataclass
class Prior:
    """family: index into FAMILIES; rows, columns: levels (length 1 where all share one); columns are differences."""

    family: int
    rows: np.ndarray
    columns: np.ndarray

    def levels(self, shape: tuple[int, ...]) -> np.ndarray:
        """Ladder level of every number, (rows, columns, rest) broadcast to matrix form; see ``as_matrix``."""
        return np.clip(self.rows[:, None] + self.columns[None, :], 0, LEVELS - 1)


def matrix_shape(shape: tuple[int, ...], temporal: bool) -> tuple[int, int, int]:
    """(rows, columns, rest) of a tensor: output channels, input channels, taps; a temporal one (time, channel, cells)
    has its channels as rows, in the order (channel, 1, time x cells)."""
    if temporal:
        return (shape[1] if len(shape) > 1 else 1), 1, shape[0] * math.prod(shape[2:])
    if len(shape) < 2:
        return 1, 1, math.prod(shape)
    return shape[0], shape[1], math.prod(shape[2:])


def scale_counts(shape: tuple[int, ...], temporal: bool) -> tuple[int, int]:
    """How many row and column scales a tensor has."""
    rows, columns, rest = matrix_shape(shape, temporal)
    return (
        rows if columns * rest >= _LEAST_PER_SCALE else 1,
        columns if rows * rest >= _LEAST_PER_SCALE else 1,
    )


def as_matrix(values: Tensor, temporal: bool) -> Tensor:
    """A tensor as (rows, columns, rest)."""
    if temporal and values.dim() > 1:
        values = values.transpose(0, 1)
    return values.reshape(matrix_shape_of(values, temporal))


def matrix_shape_of(values: Tensor, temporal: bool) -> tuple[int, int, int]:
    """`matrix_shape` of a tensor whose channels already stand first if it is temporal."""
    shape = tuple(values.shape)
    if temporal and len(shape) > 1:
        return shape[0], 1, math.prod(shape[1:])
    return matrix_shape(shape, temporal)


def from_matrix(matrix: Tensor, shape: tuple[int, ...], temporal: bool) -> Tensor:
    """The inverse of ``as_matrix``."""
    if temporal and len(shape) > 1:
        return matrix.reshape(shape[1], shape[0], *shape[2:]).transpose(0, 1)
    return matrix.reshape(shape)


def fit_prior(matrix: Tensor, counts: tuple[int, int]) -> Prior:
    """The prior under which symbols (rows, columns, rest), integers or not, cost least."""
    magnitude = matrix.detach().abs().float().mean(2)  # (rows, columns)
    row = magnitude.mean(1).clamp_min(_SMALLEST)
    column = torch.ones(magnitude.shape[1], device=matrix.device)
    for _ in range(_ROUNDS):
        if counts[1] > 1:
            column = (magnitude / row[:, None]).mean(0).clamp_min(_SMALLEST)
            column = column / torch.exp(torch.log(column).mean())
        row = (magnitude / column[None]).mean(1).clamp_min(_SMALLEST)
        if counts[0] == 1:
            row = row.mean().expand_as(row)
    to_level = LEVELS_PER_OCTAVE / math.log(2)
    rows = (torch.log(row) * to_level).cpu().numpy()[: counts[0]] - LEVELS_PER_OCTAVE * LOWEST_OCTAVE
    columns = np.rint((torch.log(column) * to_level).cpu().numpy()[: counts[1]]).clip(-LEVELS, LEVELS)
    best: tuple[float, Prior] | None = None
    for family, offsets in enumerate(_OFFSETS):
        for offset in offsets:
            tried = Prior(family, np.rint(rows + offset).clip(0, LEVELS - 1).astype(np.int64), columns.astype(np.int64))
            cost = float(prior_bits(matrix.detach().round(), tried))
            if best is None or cost < best[0]:
                best = cost, tried
    assert best is not None
    return best[1]


# From the mean magnitude to the ladder's scale: sqrt(pi / 2) for a Gaussian, 1 for a Laplacian, 1 / 2.5 for the mixed.
_OFFSETS = ((0, 1, 2), (-1, 0, 1), (-6, -5, -4))


def prior_bits(matrix: Tensor, prior: Prior) -> Tensor:
    """Bits of symbols (rows, columns, rest) under a prior, differentiable in the symbols."""
    levels = torch.from_numpy(prior.levels(tuple(matrix.shape))).to(matrix.device)
    scales = _level_scales(matrix.device)[levels][:, :, None]
    return -torch.log2(likelihood(matrix, scales, FAMILIES[prior.family]).clamp_min(_LEAST_LIKELIHOOD)).sum()


def likelihood(symbols: Tensor, scales: Tensor, family: str) -> Tensor:
    """Probability of the unit bin around each symbol."""
    magnitude = symbols.abs()
    if family == "gaussian":
        narrow = scales * math.sqrt(2)
        return 0.5 * (torch.erf((magnitude + 0.5) / narrow) - torch.erf((magnitude - 0.5) / narrow))
    if family == "laplace":
        return _laplace(magnitude, scales)
    return 0.5 * (_laplace(magnitude, scales) + _laplace(magnitude, MIXED_SPREAD * scales))


def _laplace(magnitude: Tensor, scales: Tensor) -> Tensor:
    def upper(x: Tensor) -> Tensor:  # probability above x
        return torch.where(x >= 0, 0.5 * torch.exp(-x.abs() / scales), 1 - 0.5 * torch.exp(-x.abs() / scales))

    return upper(magnitude - 0.5) - upper(magnitude + 0.5)


@functools.cache
def _level_scales(device: torch.device) -> Tensor:
    return torch.tensor([level_scale(level) for level in range(LEVELS)], device=device)
