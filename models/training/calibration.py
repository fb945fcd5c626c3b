# SPDX-License-Identifier: Apache-2.0
"""What latents really cost: the encoder's rates are stretched until they agree with what the entropy coder wrote.

Rates are counted transform by transform as if latents did not know of each other; the entropy coder knows more, and of
some transforms more than of others. A choice between transforms by rates that are all wrong in their own way is wrong.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.conditional.weights import Learned
from nvcodec.models.kernels.residual import FINE_SAMPLES, RATE_CLASSES, rate_class
from nvcodec.models.kernels.residual import TINY as TINY_SAMPLES
from nvcodec.models.kernels.syntax import WHOLE
from nvcodec.models.training.bases import COARSE, FINE, LARGE, TINY, TINY_CHROMA
from nvcodec.models.training.learn import code_sequence, symbols_of
from nvcodec.models.training.records import Sequence

_PRIOR = 300.0  # bits with which each class is thought to be stretched like its transform
_LEAST, _MOST = 0.3, 3.0


class _Fit:
    """Factors of one transform's classes: least squares of bits written on bits by rates."""

    def __init__(self, classes: int) -> None:
        self.square, self.product = np.zeros((classes, classes)), np.zeros(classes)

    def add(self, rated: np.ndarray, written: np.ndarray) -> None:
        """rated: (N, classes) bits, written: (N,) of squares."""
        weight = 1 / np.maximum(rated.sum(1), 4)  # errors grow with the root of bits
        self.square += (rated * weight[:, None]).T @ rated
        self.product += (rated * weight[:, None]).T @ written

    def factors(self) -> np.ndarray:
        """(classes,), near the common one where little was seen."""
        common = self.product.sum() / max(self.square.sum(), 1e-9) if self.square.any() else 1.0
        prior = np.eye(len(self.product)) * _PRIOR
        factors = np.linalg.solve(self.square + prior, self.product + _PRIOR * common)
        return factors.clip(_LEAST, _MOST)


def calibrated(
    rates: tuple[np.ndarray, ...], sequences: list[Sequence], learned: Learned, stop: Callable[[], bool]
) -> tuple[np.ndarray, ...] | None:
    """Rates (2, RATE_CLASSES, n, 3) of each transform as `learned` codes the sequences; None when stopped."""
    fits = {
        (inter, t): _Fit((2 if t == TINY else 1) * RATE_CLASSES)
        for inter in range(2)
        for t in (COARSE, FINE, TINY, LARGE)
    }
    for sequence in sequences:
        if stop():
            return None
        spent = [np.zeros((*frame.shape, 4), np.float32) for frame in sequence]
        code_sequence(sequence, learned.copy(), spent=spent)
        for frame, bits in zip(sequence, spent, strict=True):
            blocks, symbols = frame.blocks(), np.abs(symbols_of(frame).astype(np.int64))
            _add(fits, rates, blocks, symbols, bits)
    out = [r.copy() for r in rates]
    for (inter, t), fit in fits.items():
        factors = fit.factors()
        out[t][1 - inter] *= factors[:RATE_CLASSES, None, None].astype(np.float32)
        if t == TINY:
            out[TINY_CHROMA][1 - inter] *= factors[RATE_CLASSES:, None, None].astype(np.float32)
    return tuple(out)


def rated_bits(rates: np.ndarray, magnitudes: np.ndarray) -> np.ndarray:
    """(N, RATE_CLASSES) bits of squares by rates (RATE_CLASSES, n, 3), each in the column of its class.

    magnitudes: (N, n), classes by how many of them are not zero (see `quantise`).
    """
    classes = np.array([rate_class(int(count)) for count in np.count_nonzero(magnitudes, 1)], np.int64)
    of = rates[classes]
    more = of[..., 2] + 2 * np.log2(np.maximum(magnitudes - 1, 1))
    bits = np.where(magnitudes == 0, of[..., 0], np.where(magnitudes == 1, of[..., 1], more)).sum(1)
    return np.eye(RATE_CLASSES)[classes] * bits[:, None]


def _add(
    fits: dict[tuple[int, int], _Fit],
    rates: tuple[np.ndarray, ...],
    blocks: Blocks,
    magnitudes: np.ndarray,
    spent: np.ndarray,
) -> None:
    """Add the coded squares of a frame; magnitudes: (R, C, 384), spent: (R, C, 4)."""
    coded, whole = blocks.coded > 0, blocks.large == WHOLE
    first = np.zeros_like(coded)
    first[::2, ::2] = True
    tiny = blocks.tiny.reshape(blocks.rows, 2, blocks.columns, 2).transpose(0, 2, 1, 3).reshape(*coded.shape, 4) > 0
    for inter in range(2):
        here = coded & ((blocks.pred > 0) == bool(inter))
        for t, which in ((LARGE, here & whole & first), (COARSE, here & ~whole & (blocks.fine == 0))):
            if which.any():
                fits[inter, t].add(rated_bits(rates[t][1 - inter], magnitudes[which]), spent[which][:, 0])
        quarters = (here & ~whole & (blocks.fine > 0))[..., None]
        of = magnitudes.reshape(*coded.shape, FINE_SAMPLES, 4).transpose(0, 1, 3, 2)
        if (quarters & ~tiny).any():
            fits[inter, FINE].add(rated_bits(rates[FINE][1 - inter], of[quarters & ~tiny]), spent[quarters & ~tiny])
        if (quarters & tiny).any():
            parts = of[quarters & tiny].reshape(-1, TINY_SAMPLES, 6)
            luma = sum(rated_bits(rates[TINY][1 - inter], parts[:, :, n]) for n in range(4))
            chroma = rated_bits(rates[TINY_CHROMA][1 - inter], parts[:, :, 4:].reshape(len(parts), -1))
            fits[inter, TINY].add(np.concatenate([luma, chroma], 1), spent[quarters & tiny])
