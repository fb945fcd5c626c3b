# SPDX-License-Identifier: Apache-2.0
"""Integer cumulative tables: the only source of probabilities when bytes are written or read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

PRECISION = 16  # bits; every table sums to 2^16
TOTAL = 1 << PRECISION


def quantise_pmf(pmf: np.ndarray) -> np.ndarray:
    """Cumulative table (n + 1,) int32 from 0 to 2^16 of n probabilities, none of them zero.

    pmf: (n,) non-negative weights, n at most 2^15. Largest-remainder rounding after one count for each symbol; depends
    on float input only here, at export: the integers are what is stored.
    """
    pmf = np.asarray(pmf, np.float64)
    if pmf.ndim != 1 or not 1 <= len(pmf) <= TOTAL // 2:
        raise ValueError(f"a table of shape {pmf.shape}: 1 to {TOTAL // 2} symbols")
    share = pmf / pmf.sum() * (TOTAL - len(pmf))
    counts = np.floor(share).astype(np.int64)
    missing = TOTAL - len(pmf) - counts.sum()
    counts[np.argsort(counts - share, kind="stable")[:missing]] += 1
    return np.concatenate([[0], np.cumsum(counts + 1)]).astype(np.int32)


@dataclass(frozen=True)
class TableSet:
    """Tables that symbols choose among by index.

    ``cdf``: all tables end to end, int32; ``sizes``: (n,) length of each; ``offsets``: (n,) value of each table's first
    symbol. The last symbol of a table is the escape: values outside the table follow it in plain variable-length code.
    """

    cdf: np.ndarray
    sizes: np.ndarray
    offsets: np.ndarray

    @staticmethod
    def from_pmfs(pmfs: list[np.ndarray], offsets: list[int], escapes: list[float] | None = None) -> TableSet:
        """Quantise one table for each pmf; ``escapes`` are the probabilities of values beyond it."""
        escapes = escapes or [0.0] * len(pmfs)
        cdfs = [quantise_pmf(np.append(pmf, escape)) for pmf, escape in zip(pmfs, escapes, strict=True)]
        return TableSet(
            np.concatenate(cdfs), np.array([len(c) for c in cdfs], np.int32), np.array(offsets, np.int32)
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def rows(self) -> list[list[int]]:
        """Each table as a list of integers, as the coder takes them."""
        ends = np.cumsum(self.sizes)
        return [self.cdf[end - size : end].tolist() for end, size in zip(ends, self.sizes, strict=True)]

    @cached_property
    def costs(self) -> list[np.ndarray]:
        """Bits of each symbol of each table, the escape last."""
        return [PRECISION - np.log2(np.diff(np.asarray(row, np.float64))) for row in self.rows]

    def bits(self, values: np.ndarray, indices: np.ndarray) -> float:
        """Bits that coding these values takes (escaped ones: the escape symbol, the number of nibbles, the nibbles)."""
        total = 0.0
        for index in np.unique(indices):
            cost = self.costs[index]
            symbol = values[indices == index].astype(np.int64) - int(self.offsets[index])
            inside = (symbol >= 0) & (symbol < len(cost) - 1)
            total += float(cost[symbol[inside]].sum())
            for excess in symbol[~inside]:
                beyond = 2 * (int(excess) - len(cost) + 1) if excess >= 0 else -2 * int(excess) - 1
                total += float(cost[-1]) + 4 * (1 + math.ceil(beyond.bit_length() / 4))
        return total

    def check(self) -> None:
        """Raise ValueError unless every table rises strictly from 0 to 2^16."""
        if len(self.sizes) != len(self.offsets) or self.sizes.min(initial=3) < 3 or self.sizes.sum() != len(self.cdf):
            raise ValueError("tables: sizes do not fit")
        for number, row in enumerate(self.rows):
            if row[0] != 0 or row[-1] != TOTAL or np.diff(row).min() < 1:
                raise ValueError(f"table {number} does not rise from 0 to {TOTAL}")
