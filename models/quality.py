# SPDX-License-Identifier: Apache-2.0
"""Quality levels: quantisation steps in a geometric series, from the coarsest to the finest."""

from __future__ import annotations

import numpy as np

LEVELS = 64
COARSEST_STEP = 72.0  # sample values; of an orthonormal transform
FINEST_STEP = 4.0
# steps of the levels, in sixteenths of a sample value: 1152 * 18^(-level / 63)
STEPS = np.array([
    1152, 1100, 1051, 1004, 959, 916, 875, 836, 798, 762, 728, 695, 664, 634, 606, 579,
    553, 528, 504, 482, 460, 440, 420, 401, 383, 366, 349, 334, 319, 305, 291, 278,
    265, 253, 242, 231, 221, 211, 202, 192, 184, 176, 168, 160, 153, 146, 140, 133,
    127, 122, 116, 111, 106, 101, 97, 92, 88, 84, 81, 77, 73, 70, 67, 64,
], np.int32)  # fmt: skip


def quantisation_step(quality: float) -> float:
    """Nominal step in sample values (8-bit scale) of a quality level, 0 to 63, or in between."""
    return float(COARSEST_STEP * (FINEST_STEP / COARSEST_STEP) ** (quality / (LEVELS - 1)))


def deblocking_qp(level: int) -> int:
    """QP at which H.265 quantises with a level's step: 41 for the coarsest, 16 for the finest."""
    return (41 * (LEVELS - 1) - 25 * level + LEVELS // 2) // (LEVELS - 1)
