# SPDX-License-Identifier: Apache-2.0
"""Integer tables that learn from what was coded: encoder and decoder count alike, so nothing of them is sent."""

from __future__ import annotations

import numpy as np

from nvcodec.entropy.tables import PRECISION, TOTAL

COUNT_LIMIT = 4096  # of a context; then its counts are halved
INCREMENT = 16
ESCAPE = 1


class AdaptiveTables:
    """One table for each context over symbols 0 .. symbols-1 and an escape; usable wherever a TableSet is coded with.

    ``counts``: (contexts, symbols) positive integers. `note` collects symbols, `learn` turns what was noted into new
    tables: integers only, so every decoder has the same.
    """

    def __init__(self, counts: np.ndarray, escape: bool = True):
        self.counts = counts.astype(np.int64)
        self._escape = escape
        contexts, symbols = counts.shape
        self.sizes = np.full(contexts, symbols + 2, np.int32)
        self.offsets = np.zeros(contexts, np.int32)
        self.rows: list[list[int]] = [[]] * contexts
        self._noted = np.zeros_like(self.counts)
        self.costs = np.zeros((contexts, symbols))
        self._rebuild(np.arange(contexts))

    def __len__(self) -> int:
        return len(self.counts)

    def note(self, values: np.ndarray, contexts: np.ndarray) -> None:
        """Remember symbols for the next `learn`; escaped ones count as the last."""
        last = self.counts.shape[1] - 1
        np.add.at(self._noted, (contexts, np.clip(values, 0, last)), 1)

    def learn(self) -> None:
        """Count what was noted and renew the tables it touches."""
        touched = np.flatnonzero(self._noted.any(1))
        if not len(touched):
            return
        counts = self.counts[touched] + INCREMENT * self._noted[touched]
        self._noted[touched] = 0
        while (heavy := counts.sum(1) > COUNT_LIMIT).any():
            counts[heavy] = (counts[heavy] + 1) >> 1
        self.counts[touched] = np.maximum(counts, 1)
        self._rebuild(touched)

    def _rebuild(self, which: np.ndarray) -> None:
        counts = self.counts[which]
        symbols = counts.shape[1]
        share = 1 + counts * (TOTAL - symbols - ESCAPE) // counts.sum(1, keepdims=True)
        share[np.arange(len(which)), counts.argmax(1)] += TOTAL - ESCAPE - share.sum(1)
        cdf = np.zeros((len(which), symbols + 2), np.int64)
        cdf[:, 1:-1] = np.cumsum(share, 1)
        cdf[:, -1] = TOTAL
        for context, row in zip(which.tolist(), cdf.tolist(), strict=True):
            self.rows[context] = row
        self.costs[which] = PRECISION - np.log2(share)
