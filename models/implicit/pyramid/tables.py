# SPDX-License-Identifier: Apache-2.0
"""All adaptive tables of a GOP, and the coder that lets them learn."""

from __future__ import annotations

from functools import cache

import numpy as np

from nvcodec.entropy.tables import TableSet
from nvcodec.models.implicit.pyramid import coarse, coefficients, maps
from nvcodec.models.implicit.pyramid.adaptive import AdaptiveTables
from nvcodec.models.implicit.pyramid.blocks import CHOICES_8
from nvcodec.models.implicit.pyramid.coefficients import CoefficientTables
from nvcodec.models.motion import syntax
from nvcodec.models.motion.syntax import MotionTables, SymbolCoder

MODE_EXTRA, SIZE_EXTRA = 8, 12


class Tables:
    """The tables by name, in their state at the start of a GOP; `learn` after each frame."""

    def __init__(self, counts: dict[str, np.ndarray] | None = None) -> None:
        counts = start_counts() if counts is None else counts
        made = {name: AdaptiveTables(c) for name, c in counts.items()}
        self.coefficients = CoefficientTables(made["magnitudes"], made["extents"])
        self.motion = MotionTables(made["choice"], made["classes"])  # type: ignore[arg-type]
        self.modes, self.sizes32, self.sizes16 = made["modes"], made["sizes32"], made["sizes16"]
        self.means, self.split, self.which = made["means"], made["split"], made["which"]
        self.all = made

    def learn(self) -> None:
        """Take in what the last frame was made of."""
        for tables in self.all.values():
            tables.learn()


class LearningCoder:
    """A coder whose symbols the adaptive tables take note of."""

    def __init__(self, coder: SymbolCoder):
        self._coder = coder

    def code(self, values: np.ndarray, indices: np.ndarray, tables: TableSet) -> np.ndarray:
        """As the coder inside."""
        coded = self._coder.code(values, indices, tables)
        if isinstance(tables, AdaptiveTables):
            tables.note(coded, indices)
        return coded


@cache
def start_counts() -> dict[str, np.ndarray]:
    """Counts before anything was learned: smaller symbols are likelier."""

    def falling(contexts: int, symbols: int, ratio: float, mass: int = 64) -> np.ndarray:
        row = np.maximum(1, np.round(mass * ratio ** np.arange(symbols))).astype(np.int64)
        return np.tile(row, (contexts, 1))

    activity = np.arange(coefficients.magnitude_contexts()) % coefficients.ACTIVITIES
    magnitudes = np.stack([falling(1, coefficients.MAGNITUDES, 0.15 + 0.08 * a)[0] for a in activity])
    return {
        "magnitudes": magnitudes,
        "extents": falling(coefficients.extent_contexts(), 64, 0.85, 16),
        "choice": falling(syntax.CHOICE_CONTEXTS, syntax.CHOICES, 0.15),
        "classes": falling(syntax.CLASS_CONTEXTS, syntax.CLASSES, 0.8, 16),
        "modes": falling(maps.map_contexts(MODE_EXTRA), maps.VALUES, 0.5, 32),
        "sizes32": falling(maps.map_contexts(SIZE_EXTRA), maps.VALUES, 0.5, 32),
        "sizes16": falling(maps.map_contexts(SIZE_EXTRA), maps.VALUES, 0.5, 32),
        "split": falling(maps.map_contexts(1), maps.VALUES, 0.1),
        "which": falling(8, CHOICES_8, 0.6),
        "means": falling(coarse.CONTEXTS, coarse.SYMBOLS, 0.8, 16),
    }
