# SPDX-License-Identifier: Apache-2.0
"""Block cosine transforms; the inverse is exact: integers below 2^53 in double precision, rounded once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

MATRIX_BITS = 10
STEP_BITS = 3  # quantisation steps are multiples of 1/8 sample value
COEFFICIENT_LIMIT = 1 << 17  # eighths: twice what any picture needs; keeps all sums below 2^44


@lru_cache(maxsize=8)
def cosines(size: int) -> Tensor:
    """(size, size) float64, orthonormal; row k is frequency k."""
    k, n = np.arange(size)[:, None], np.arange(size)[None]
    table = np.cos(np.pi * (2 * n + 1) * k / (2 * size)) * np.sqrt(2 / size)
    table[0] /= np.sqrt(2)
    return torch.from_numpy(table)


@lru_cache(maxsize=8)
def integer_cosines(size: int) -> Tensor:
    """The same times 2^10, rounded to integers: what decoders use.

    No entry lies within 1e-4 of a rounding boundary, so every mathematics library gives these integers.
    """
    return torch.round(cosines(size) * 2**MATRIX_BITS)


def to_tiles(plane: Tensor, size: int) -> Tensor:
    """(H, W) to (H/size * W/size, size, size), row by row."""
    height, width = plane.shape
    return plane.reshape(height // size, size, width // size, size).transpose(1, 2).reshape(-1, size, size)


def from_tiles(tiles: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `to_tiles`."""
    size = tiles.shape[-1]
    return tiles.reshape(height // size, width // size, size, size).transpose(1, 2).reshape(height, width)


def forward(tiles: Tensor) -> Tensor:
    """(N, size, size) samples to coefficients, float32, at the encoder only."""
    table = cosines(tiles.shape[-1]).float()
    return table @ tiles @ table.t()


def inverse(symbols: Tensor, step: int) -> Tensor:
    """Quantised coefficients (N, size, size), integers within +-2^15, times a step (eighths) to samples: float32
    integers, exact everywhere."""
    table = integer_cosines(symbols.shape[-1])
    scaled = (symbols.double() * step).clamp_(-COEFFICIENT_LIMIT, COEFFICIENT_LIMIT)
    return torch.round(table.t() @ scaled @ table * 2.0 ** -(2 * MATRIX_BITS + STEP_BITS)).float()
