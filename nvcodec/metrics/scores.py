# SPDX-License-Identifier: Apache-2.0
"""What measuring yields."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Scores:
    """Values over the clip, values per frame, and what they depend on; names as in docs/results-schema.md."""

    metrics: dict[str, float] = field(default_factory=dict)
    series: dict[str, list[float]] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)

    def update(self, other: Scores) -> None:
        """Take over the names of ``other``."""
        self.metrics.update(other.metrics)
        self.series.update(other.series)
        self.models.update(other.models)

    def add_series(self, name: str, values: list[float]) -> None:
        """Keep a per-frame series and its mean under one name."""
        self.series[name] = values
        self.metrics[name] = sum(values) / len(values)
