# SPDX-License-Identifier: Apache-2.0
"""Quality levels: quantisation steps in a geometric series, from the coarsest to the finest."""

from __future__ import annotations

import numpy as np

QUALITIES = 64  # that can be asked for, 0 the lowest
LEVELS = 96  # of frames and units: quality q is level LOWEST + q; there are coarser and finer ones
LOWEST = 20
COARSEST_STEP = 88.0  # sample values, of quality 0; of an orthonormal transform
FINEST_STEP = 4.0
# steps of the levels, in sixteenths of a sample value: 1408 * 22^(-(level - LOWEST) / 63)
STEPS = np.array([
    3756, 3577, 3405, 3242, 3087, 2939, 2798, 2664, 2537, 2415, 2300, 2190, 2085, 1985, 1890, 1799,
    1713, 1631, 1553, 1479, 1408, 1341, 1276, 1215, 1157, 1102, 1049, 999, 951, 905, 862, 821,
    781, 744, 708, 674, 642, 611, 582, 554, 528, 502, 478, 456, 434, 413, 393, 374,
    356, 339, 323, 308, 293, 279, 266, 253, 241, 229, 218, 208, 198, 188, 179, 171,
    163, 155, 147, 140, 134, 127, 121, 115, 110, 105, 100, 95, 90, 86, 82, 78,
    74, 71, 67, 64, 61, 58, 55, 53, 50, 48, 45, 43, 41, 39, 37, 36,
], np.int32)  # fmt: skip
LUMA_SHARE = 6 / 8  # of PSNR-YUV; U and V share the rest
PRICE_AT_0, PRICE_AT_63 = 0.07, 0.06
# what the residual of chroma is multiplied with, 256ths, in the ways that a frame can weigh it: 576 * 0.297^(n / 15)
CHROMA_SCALES = np.array([576, 531, 490, 452, 417, 384, 354, 327, 301, 278, 256, 236, 218, 201, 185, 171], np.int64)


def quality_of(level: int) -> int:
    """The quality whose step is a level's, or the nearest."""
    return max(0, min(QUALITIES - 1, level - LOWEST))


def quantisation_step(quality: float) -> float:
    """Nominal step in sample values (8-bit scale) of a quality level, 0 to 63, or in between."""
    return float(COARSEST_STEP * (FINEST_STEP / COARSEST_STEP) ** (quality / (QUALITIES - 1)))


def bit_price(level: int) -> float:
    """Squared steps that a bit is worth at the encoder (theory for high rates says 0.1155; measured)."""
    return PRICE_AT_0 + (PRICE_AT_63 - PRICE_AT_0) * quality_of(level) / (QUALITIES - 1)


def deblocking_qp(level: int) -> int:
    """QP at which H.265 quantises with a level's step: 43 for quality 0, 16 for 63, 51 at most."""
    return min(51, (43 * (QUALITIES - 1) - 27 * (level - LOWEST) + QUALITIES // 2) // (QUALITIES - 1))
