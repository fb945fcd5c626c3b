# SPDX-License-Identifier: Apache-2.0
"""Peak signal-to-noise ratio of 8-bit planes."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

PEAK = 255
PSNR_CAP_DB = 100.0  # stated for identical planes, whose PSNR is infinite; also the most any PSNR is stated as


def mse(reference: np.ndarray, decoded: np.ndarray) -> float:
    """Mean squared error of two uint8 arrays of one shape, exact (integer sums)."""
    difference = np.subtract(reference, decoded, dtype=np.int16).astype(np.int32)
    return int(np.square(difference, out=difference).sum(dtype=np.int64)) / difference.size


def psnr_db(mean_squared_error: float) -> float:
    """10 log10(255^2 / MSE) in dB, at most PSNR_CAP_DB."""
    if mean_squared_error <= 0.0:
        return PSNR_CAP_DB
    return min(PSNR_CAP_DB, 10.0 * math.log10(PEAK * PEAK / mean_squared_error))


def psnr_yuv_db(y_db: float, u_db: float, v_db: float) -> float:
    """(6 Y + U + V) / 8, the 4:2:0 average of the JVET and DCVC tables."""
    return (6.0 * y_db + u_db + v_db) / 8.0


def frame_psnr_yuv_db(reference: Iterable[np.ndarray], decoded: Iterable[np.ndarray]) -> float:
    """`psnr_yuv_db` of one frame, from its planes Y, U, V (uint8)."""
    y_db, u_db, v_db = (psnr_db(mse(a, b)) for a, b in zip(reference, decoded, strict=True))
    return psnr_yuv_db(y_db, u_db, v_db)
