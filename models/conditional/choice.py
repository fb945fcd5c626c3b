# SPDX-License-Identifier: Apache-2.0
"""Which of its two transforms each 16x16 block uses: one bit, coded in two checkerboard passes.

The first pass knows the block's choice in the last frame; the second knows its four neighbours as well.
"""

from __future__ import annotations

import numpy as np

from nvcodec.entropy.tables import TableSet
from nvcodec.models.motion.syntax import SymbolCoder

_NEIGHBOURS = 5  # none to four of them fine, for the second pass; the first has no such context
CONTEXTS = 2 * 2 * (1 + _NEIGHBOURS)  # kind of frame, choice in the last frame, pass and neighbours


def code_choices(
    kind: int, before: np.ndarray, coder: SymbolCoder, tables: TableSet, fine: np.ndarray | None = None
) -> np.ndarray:
    """Write or read the choices of a frame.

    kind: 0 intra, 1 inter; before: (R, C) uint8 choices of the last frame, zeros where there is none; fine: (R, C)
    uint8, 1 where a block uses the fine transform, None at the decoder. Returns (R, C) uint8.
    """
    rows, columns = before.shape
    result = np.zeros((rows, columns), np.uint8)
    odd = np.add.outer(np.arange(rows), np.arange(columns)) % 2 == 1
    for second in (False, True):
        where = odd == second
        around = 0
        if second:
            framed = np.pad(result, 1)
            around = 1 + framed[:-2, 1:-1] + framed[2:, 1:-1] + framed[1:-1, :-2] + framed[1:-1, 2:]
        contexts = ((kind * 2 + before) * (1 + _NEIGHBOURS) + around)[where].astype(np.int64)
        wanted = fine[where].astype(np.int64) if fine is not None else np.zeros(len(contexts), np.int64)
        result[where] = coder.code(wanted, contexts, tables).clip(0, 1)
    return result


class ChoiceCounter:
    """Counts choices by context; ``table_set`` is what ships."""

    def __init__(self) -> None:
        self.counts = np.full((CONTEXTS, 2), 0.5)

    def code(self, values: np.ndarray, indices: np.ndarray, tables: TableSet) -> np.ndarray:
        """Count."""
        np.add.at(self.counts, (indices, values), 1)
        return values

    def table_set(self) -> TableSet:
        """Relative frequencies."""
        return TableSet.from_pmfs(list(self.counts / self.counts.sum(1, keepdims=True)), [0] * CONTEXTS)
