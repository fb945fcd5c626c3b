# SPDX-License-Identifier: Apache-2.0
"""Orthonormal transforms that leave few coefficients worth coding, learned from residuals.

Principal components compact variances of a mixture and turn arbitrarily where those are alike; what costs bits is how
many coefficients are not zero. So coefficients below a threshold are set to zero, and the transform turns towards the
orthonormal one that those best explain the residuals with, again and again (Sezer, Guleryuz, Altunbasak, "Approximation
and compression with sparse orthonormal transforms", 2015), from cosines and held to them by a prior.
"""

from __future__ import annotations

import numpy as np

THRESHOLD = 0.95  # steps: what a coefficient must exceed to be worth its bits
PRIOR = 3000.0  # squared steps of evidence for the cosines
ITERATIONS = 8
LEAST_ENERGY = 0.5  # squared steps: residuals with less say nothing


def sparse_columns(residuals: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Orthonormal columns (n, n) for residuals (N, n) in steps, from ``start`` (n, n), each near the one there."""
    rows = residuals.astype(np.float32)
    rows = rows[np.isfinite(rows).all(1)]
    rows = rows[(rows * rows).sum(1) > LEAST_ENERGY]
    columns = start.astype(np.float32)
    for _ in range(ITERATIONS):
        coefficients = rows @ columns
        coefficients[np.abs(coefficients) < THRESHOLD] = 0
        left, _, right = np.linalg.svd((rows.T @ coefficients).astype(np.float64) + PRIOR * start)
        columns = (left @ right).astype(np.float32)
    return columns.astype(np.float64)
