# SPDX-License-Identifier: Apache-2.0
"""Quality levels: quantisation steps in a geometric series, from the coarsest to the finest."""

from __future__ import annotations

import numpy as np

LEVELS = 64
COARSEST_STEP = 64.0  # sample values; of an orthonormal transform
FINEST_STEP = 4.0
# steps of the levels, in sixteenths of a sample value: 1024 * 16^(-level / 63)
STEPS = np.array(
    [
        1024,
        980,
        938,
        897,
        859,
        822,
        786,
        753,
        720,
        689,
        659,
        631,
        604,
        578,
        553,
        529,
        506,
        485,
        464,
        444,
        425,
        406,
        389,
        372,
        356,
        341,
        326,
        312,
        299,
        286,
        273,
        262,
        250,
        240,
        229,
        219,
        210,
        201,
        192,
        184,
        176,
        169,
        161,
        154,
        148,
        141,
        135,
        129,
        124,
        119,
        113,
        109,
        104,
        99,
        95,
        91,
        87,
        83,
        80,
        76,
        73,
        70,
        67,
        64,
    ],
    np.int32,
)


def quantisation_step(quality: float) -> float:
    """Nominal step in sample values (8-bit scale) of a quality level, 0 to 63, or in between."""
    return float(COARSEST_STEP * (FINEST_STEP / COARSEST_STEP) ** (quality / (LEVELS - 1)))


def deblocking_qp(level: int) -> int:
    """QP at which H.265 quantises with a level's step: 40 for the coarsest, 16 for the finest."""
    return (40 * (LEVELS - 1) - 24 * level + LEVELS // 2) // (LEVELS - 1)
