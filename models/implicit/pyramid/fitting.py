# SPDX-License-Identifier: Apache-2.0
"""Filters by least squares over the frames of one video, with a price on the bits that tell them.

While a pass codes, `FilterSums` sees each frame before restoration, gives each unit to the bank after which it costs
least, and adds up what least squares needs. `fit` then minimises squared error + price x bits over whole differences
to the taps that ship, class by class, by coordinate descent.
"""

from __future__ import annotations

import numpy as np

from nvcodec.models.conditional.picture import KeptFrame
from nvcodec.models.conditional.restoration import BANK_BITS
from nvcodec.models.depth import STEP_SCALE
from nvcodec.models.implicit.pyramid.taps import COMPONENTS, QUANTUM, no_differences
from nvcodec.models.kernels import restore
from nvcodec.models.kernels.filters import MAX_TAP, TAP_BITS
from nvcodec.models.kernels.restore import (
    BANKS,
    CHROMA_FEATURES,
    CLASSES,
    LUMA_FEATURES,
    RANGES,
    UNIT,
)
from nvcodec.models.quality import QUALITIES, STEPS, bit_price, quality_of
from nvcodec.models.transform import CHROMA_WEIGHT, Filters

SWEEPS = 6  # of coordinate descent
FITTED_BITS, ZERO_BITS, FIRST_BITS, DOUBLING_BITS = 2.0, 0.6, 3.0, 1.8  # of a class, of a tap that stays, that differs


class FilterSums:
    """Products of filters' features with each other and with the error, by range of levels, bank and class.

    Takes the place of a list of frames in `Statistics`: ``append`` is called with each frame that is coded.
    """

    def __init__(self, filters: Filters):
        """filters: those that the pass codes with."""
        self.filters = filters
        self.luma = np.zeros((RANGES, BANKS, CLASSES, LUMA_FEATURES, LUMA_FEATURES))
        self.chroma = np.zeros((RANGES, BANKS, 2, CLASSES, CHROMA_FEATURES, CHROMA_FEATURES))
        self._price, self._frames = np.zeros(RANGES), np.zeros(RANGES)

    def append(self, frame: KeptFrame) -> None:
        """One more frame."""
        level, picture, planes = frame.level, frame.picture, frame.planes
        where = quality_of(level) * RANGES // QUALITIES
        step = int(STEPS[level])
        clip = restore.clip_of(step)
        price = bit_price(level) * (step / STEP_SCALE) ** 2
        self._price[where] += price
        self._frames[where] += 1
        height, width = picture[0].shape
        rows, columns = height // 16, width // 16
        classes = np.empty((4 * rows, 4 * columns), np.uint8)
        taps = self.filters.luma[where], self.filters.chroma[where]
        costs = np.zeros((-(-height // UNIT), -(-width // UNIT), 1 + BANKS))
        everywhere = np.ones(costs.shape[:2], bool)
        restore.classify(planes[0], step, everywhere, 0, rows, classes)
        restore.trial_errors(
            *picture, *planes, classes, *taps, clip, CHROMA_WEIGHT**2, everywhere, 0, len(costs), costs
        )
        costs[:, :, 1:] += price * BANK_BITS
        banks = costs.argmin(2)
        for r, c in np.argwhere(banks > 0):
            size = min(UNIT, height - UNIT * r), min(UNIT, width - UNIT * c)
            bank = banks[r, c] - 1
            restore.gather(
                *picture, *planes, classes, clip, UNIT * r, UNIT * c, *size, self.luma[where, bank],
                self.chroma[where, bank],
            )  # fmt: skip

    def prices(self) -> np.ndarray:
        """(RANGES,) squared error that a bit is worth, mean of the frames of a range."""
        return self._price / np.maximum(self._frames, 1)


def fit(sums: FilterSums, shipped: Filters, keyframes: int) -> tuple[np.ndarray, ...]:
    """Differences to the filters that ship, as `write_filters` takes them; keyframes: how often they are told."""
    differences = no_differences()
    for r, price in enumerate(sums.prices() * keyframes):
        for n in range(COMPONENTS):
            products = sums.luma[r] if n == 0 else sums.chroma[r, :, n - 1]
            taps = shipped.luma[r] if n == 0 else shipped.chroma[r, :, n - 1]
            weight = CHROMA_WEIGHT**2 if n else 1.0
            differences[n][r] = _descend(products * weight, taps.astype(np.int64), price)
    return differences


def _bits(value: np.ndarray) -> np.ndarray:
    """What differences cost, about."""
    size = np.abs(value)
    return np.where(size == 0, ZERO_BITS, FIRST_BITS + DOUBLING_BITS * np.log2(np.maximum(size, 1)))


def _descend(products: np.ndarray, taps: np.ndarray, price: float) -> np.ndarray:
    """Whole differences (..., n) that leave the least squared error + price x bits.

    products: (..., n + 1, n + 1), upper triangle, the error last; taps: (..., n) that ship, 256ths.
    """
    n, unit = taps.shape[-1], QUANTUM / (1 << TAP_BITS)
    square = np.triu(products) + np.swapaxes(np.triu(products, 1), -1, -2)
    features = square[..., :n, :n] * unit**2
    # half the slope of the squared error at the taps that ship
    slope = square[..., :n, n] * unit - np.einsum("...kn,...n->...k", features, taps / QUANTUM)
    low, high = np.ceil((-MAX_TAP - taps) / QUANTUM), np.floor((MAX_TAP - taps) / QUANTUM)
    chosen = np.zeros(taps.shape)
    for _ in range(SWEEPS):
        for k in range(n):
            own = np.maximum(features[..., k, k], 1e-9)
            rest = slope[..., k] - np.einsum("...n,...n->...", features[..., k, :], chosen) + own * chosen[..., k]
            best = np.clip(rest / own, low[..., k], high[..., k])
            candidates = np.stack([np.zeros_like(best), np.floor(best), np.ceil(best)])
            costs = own * candidates**2 - 2 * rest * candidates + price * _bits(candidates)
            chosen[..., k] = np.take_along_axis(candidates, costs.argmin(0)[None], 0)[0]
    error = np.einsum("...k,...kn,...n->...", chosen, features, chosen) - 2 * (slope * chosen).sum(-1)
    worth = error + price * (_bits(chosen).sum(-1) + FITTED_BITS) < 0
    return np.where(worth[..., None], chosen, 0).astype(np.int32)
