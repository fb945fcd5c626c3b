# SPDX-License-Identifier: Apache-2.0
"""Quality levels: quantisation steps in a geometric series, from the coarsest to the finest."""

from __future__ import annotations

import numpy as np

LEVELS = 64
COARSEST_STEP = 88.0  # sample values; of an orthonormal transform
FINEST_STEP = 4.0
# steps of the levels, in sixteenths of a sample value: 1408 * 22^(-level / 63)
STEPS = np.array([
    1408, 1341, 1276, 1215, 1157, 1102, 1049, 999, 951, 905, 862, 821, 781, 744, 708, 674,
    642, 611, 582, 554, 528, 502, 478, 456, 434, 413, 393, 374, 356, 339, 323, 308,
    293, 279, 266, 253, 241, 229, 218, 208, 198, 188, 179, 171, 163, 155, 147, 140,
    134, 127, 121, 115, 110, 105, 100, 95, 90, 86, 82, 78, 74, 71, 67, 64,
], np.int32)  # fmt: skip


def quantisation_step(quality: float) -> float:
    """Nominal step in sample values (8-bit scale) of a quality level, 0 to 63, or in between."""
    return float(COARSEST_STEP * (FINEST_STEP / COARSEST_STEP) ** (quality / (LEVELS - 1)))


def deblocking_qp(level: int) -> int:
    """QP at which H.265 quantises with a level's step: 43 for the coarsest, 16 for the finest."""
    return (43 * (LEVELS - 1) - 27 * level + LEVELS // 2) // (LEVELS - 1)
