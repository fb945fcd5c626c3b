# SPDX-License-Identifier: Apache-2.0
"""The transforms of blocks, of luma and chroma together, for each class of residuals."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nvcodec.entropy.odds import Odds, no_odds
from nvcodec.models.kernels import restore
from nvcodec.models.kernels.analysis import arranged
from nvcodec.models.kernels.filters import CHROMA_TAPS, LUMA_TAPS, MAX_TAP
from nvcodec.models.network import Network, no_network
from nvcodec.models.quality import CHROMA_SCALES

# of a chroma sample's error's root, as luma's is 1, where its residual is not scaled
CHROMA_WEIGHT = 2.2
# classes of residuals: inter, intra without direction, and intra by angle, upright and flat (see
# `frame_intra.CLASS_OF_MODE`); flat ones are upright ones on their side
ANGLES = 5
LEARNED_CLASSES = 2 + ANGLES
CLASSES = LEARNED_CLASSES + ANGLES


def chroma_weight(chroma: int) -> np.float32:
    """Weight of chroma in a frame that scales its residual by `CHROMA_SCALES` [chroma]."""
    return np.float32(CHROMA_WEIGHT * 256 / CHROMA_SCALES[chroma])


@dataclass(frozen=True)
class Filters:
    """Taps of the restoration in the loop, in 256ths (see `nvcodec.models.kernels.restore`).

    luma: (RANGES, BANKS, CLASSES, LUMA_TAPS), chroma: (RANGES, BANKS, 2, CLASSES, CHROMA_TAPS) int16.
    """

    luma: np.ndarray
    chroma: np.ndarray


def no_filters() -> Filters:
    """Filters that change nothing."""
    first = (restore.RANGES, restore.BANKS)
    return Filters(
        np.zeros((*first, restore.CLASSES, LUMA_TAPS), np.int16),
        np.zeros((*first, 2, restore.CLASSES, CHROMA_TAPS), np.int16),
    )


def check_filters(filters: Filters) -> None:
    """Raises ValueError for filters that compiled code must not be given."""
    for taps, expected in ((filters.luma, no_filters().luma), (filters.chroma, no_filters().chroma)):
        if taps.shape != expected.shape or taps.dtype != np.int16:
            raise ValueError(f"filters of shape {taps.shape}")
        if np.abs(taps.astype(np.int64)).max() > MAX_TAP:
            raise ValueError(f"filters of more than {MAX_TAP} 256ths")


@dataclass(frozen=True)
class BlockBases:
    """Basis pictures of all classes, and what the encoder needs beside them; five arrays each, for the coarse, fine and
    tiny transform, the tiny one of chroma, and the large one (sizes n = 384, 96, 16, 32, 384), whose "samples" are the
    lowest cosines of a unit (see `residual.LARGE_COSINES`). And the filters and the network of restoration.

    pictures: (CLASSES, n, n) int16, [class, coefficient, sample] in units of 2^-14; analysis: by class what makes
    coefficients of weighted samples, in the same units, as `analysis.arranged` lays it out; odds: of latents when a
    video begins (none while a model is trained);
    rates: (2, RATE_CLASSES, n, 3) float32, bits of symbols in inter and intra blocks (`quantise`).
    """

    pictures: tuple[np.ndarray, ...]
    analysis: tuple[np.ndarray, ...]
    rates: tuple[np.ndarray, ...]
    filters: Filters = field(default_factory=no_filters)
    network: Network = field(default_factory=no_network)
    odds: Odds = field(default_factory=no_odds)

    @cached_property
    def summed_rates(self) -> tuple[np.ndarray, ...]:
        """Rates with one more row, (2, RATE_CLASSES, n + 1, 3): bits of n zeros."""
        return tuple(summed(rates) for rates in self.rates)


def summed(rates: np.ndarray) -> np.ndarray:
    """Rates (..., n, 3) with one more row, their sums."""
    return np.ascontiguousarray(np.concatenate([rates, rates.sum(-2, keepdims=True)], -2), np.float32)


SIDES = ((16, 8, 8), (8, 4, 4), (4,), (0, 4, 4), (16, 8, 8))  # of the components of each transform


def sample_weights(transform: int) -> np.ndarray:
    """(n,) weight of each sample of a transform's block in distortion's square root."""
    return np.concatenate([np.full(n * n, CHROMA_WEIGHT if i else 1.0) for i, n in enumerate(SIDES[transform])])


def integer_basis(columns: np.ndarray, transform: int) -> np.ndarray:
    """(n, n) int16 basis pictures from orthonormal columns (n, n) of the weighted domain."""
    pictures = columns.T / sample_weights(transform)
    return np.round(pictures * (1 << 14)).astype(np.int16)


def frequency_order(transform: int) -> list[tuple[int, int, int]]:
    """Component (luma, U and V, or U and V) and vertical and horizontal frequency of each coefficient, low ones first,
    those of chroma a little later."""
    places = [(c, a, b) for c, n in enumerate(SIDES[transform]) for a in range(n) for b in range(n)]
    sides = SIDES[transform]
    rank = [(a * a + b * b) / sides[c] ** 2 * 16 + (2 if c else 0) for c, a, b in places]
    return [places[k] for k in np.argsort(rank, kind="stable")]


def dct_columns(transform: int) -> np.ndarray:
    """Orthonormal columns of separable cosines of the components, ordered by frequency: to begin with."""
    sides = SIDES[transform]
    offsets = np.cumsum([0, *(n * n for n in sides)])
    columns = np.zeros((offsets[-1], offsets[-1]))
    large = transform == len(SIDES) - 1  # its samples are cosines already
    for number, (component, a, b) in enumerate(frequency_order(transform)):
        n = sides[component]
        basis = np.eye(n) if large else cosine_rows(n)
        picture = np.outer(basis[a], basis[b]).ravel()
        columns[offsets[component] : offsets[component + 1], number] = picture
    return columns


def cosine_rows(n: int) -> np.ndarray:
    """(n, n) orthonormal cosines, in rows."""
    k, x = np.arange(n)[:, None], np.arange(n)[None]
    return np.sqrt(2 / n) * np.cos(np.pi * (2 * x + 1) * k / (2 * n)) * np.where(k == 0, np.sqrt(0.5), 1)


def turned(transform: int) -> np.ndarray:
    """(n,) where each sample of a transform's block is found when the block lies on its side."""
    numbers, first = [], 0
    for n in SIDES[transform]:
        numbers.append(first + np.arange(n * n).reshape(n, n).T.ravel())
        first += n * n
    return np.concatenate(numbers)


def bases_of(
    learned: tuple[np.ndarray, ...],
    rates: tuple[np.ndarray, ...],
    filters: Filters | None = None,
    network: Network | None = None,
) -> BlockBases:
    """Bases from the pictures (LEARNED_CLASSES, n, n) of the learned classes, whose columns are orthonormal in the
    weighted domain but for rounding."""
    pictures = tuple(
        np.ascontiguousarray(np.concatenate([p, p[LEARNED_CLASSES - ANGLES :, :, turned(kind)]]))
        for kind, p in enumerate(learned)
    )
    analysis = tuple(arranged(np.rint(p * sample_weights(kind))) for kind, p in enumerate(pictures))
    return BlockBases(pictures, analysis, rates, filters or no_filters(), network or no_network())
