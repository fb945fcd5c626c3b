# SPDX-License-Identifier: Apache-2.0
"""The transforms of blocks: principal components of luma and chroma together, for each class of residuals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# of a chroma sample's error, as luma's is 1: what PSNR-YUV 6:1:1 gains (measured: 1.35 and 3.0 cost 2% of rate)
CHROMA_WEIGHT = 2.2
CLASSES = 4  # of residuals: inter, and intra of three kinds of mode (see `frame_intra.transform_class`)


@dataclass(frozen=True)
class BlockBases:
    """Basis pictures of all classes, and what the encoder needs beside them; four arrays each, for the coarse, fine and
    tiny transform and the tiny one of chroma (sizes n = 384, 96, 16, 32).

    pictures: (4, n, n) int16, [class, coefficient, sample] in units of 2^-14; analysis: (4, n, n) float32,
    coefficients =
    analysis @ weighted samples; rates: (2, 8, n, 3) float32, bits of symbols in inter and intra blocks (`quantise`).
    """

    pictures: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    analysis: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    rates: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


SIDES = ((16, 8, 8), (8, 4, 4), (4,), (0, 4, 4))  # of the components of each transform


def sample_weights(transform: int) -> np.ndarray:
    """(n,) weight of each sample of a transform's block in distortion's square root."""
    return np.concatenate([np.full(n * n, CHROMA_WEIGHT if i else 1.0) for i, n in enumerate(SIDES[transform])])


def integer_basis(columns: np.ndarray, transform: int) -> np.ndarray:
    """(n, n) int16 basis pictures from orthonormal columns (n, n) of the weighted domain."""
    pictures = columns.T / sample_weights(transform)
    return np.round(pictures * (1 << 14)).astype(np.int16)


def dct_columns(transform: int) -> np.ndarray:
    """Orthonormal columns of separable cosines of the components, ordered by frequency: to begin with."""
    sides = SIDES[transform]
    columns, order, offset, total = [], [], 0, sum(s * s for s in sides)
    for number, n in enumerate(sides):
        k, x = np.arange(n)[:, None], np.arange(n)[None]
        dct = (
            np.sqrt(2 / max(n, 1))
            * np.cos(np.pi * (2 * x + 1) * k / (2 * max(n, 1)))
            * np.where(k == 0, np.sqrt(0.5), 1)
        )
        for a in range(n):
            for b in range(n):
                column = np.zeros(total)
                column[offset : offset + n * n] = np.outer(dct[a], dct[b]).ravel()
                columns.append(column)
                order.append((a * a + b * b) / (n * n) * 16 + (2 if number else 0))
        offset += n * n
    return np.stack(columns, 1)[:, np.argsort(order, kind="stable")]


def bases_of(pictures: tuple[np.ndarray, ...], rates: tuple[np.ndarray, ...]) -> BlockBases:
    """Bases from their pictures, whose columns are orthonormal in the weighted domain but for rounding."""
    analysis = tuple(
        np.ascontiguousarray(p * (sample_weights(kind) / (1 << 14)), np.float32) for kind, p in enumerate(pictures)
    )
    return BlockBases(pictures, analysis, rates)  # type: ignore[arg-type]
