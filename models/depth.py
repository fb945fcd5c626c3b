# SPDX-License-Identifier: Apache-2.0
"""Samples inside the conditional codec: they have two bits more than outside, so that what is predicted, filtered and
predicted from again is not rounded to eight bits each time."""

from __future__ import annotations

import numpy as np

EXTRA_BITS = 2
LARGEST, MIDDLE = 1023, 512
STEP_BITS = 4 - EXTRA_BITS  # quantisation steps are in sixteenths of a sample outside: in so many bits of one inside
STEP_SCALE = 1 << STEP_BITS


def widen(plane: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """A plane inside, uint16, of one outside, uint8; out: where to put it."""
    return np.left_shift(plane, EXTRA_BITS, out=out, dtype=np.uint16)
