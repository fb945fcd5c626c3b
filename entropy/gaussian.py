# SPDX-License-Identifier: Apache-2.0
"""Tables of a zero-mean Gaussian integrated over unit bins, one for each step of a logarithmic ladder of scales."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from nvcodec.entropy.tables import TableSet

TAIL_DEVIATIONS = 5.0
MAX_HALF_WIDTH = 1024


def gaussian_tables(scales: np.ndarray) -> TableSet:
    """One symmetric table for each scale (ascending, in symbol units), cut at a few deviations; beyond, escape."""
    pmfs, offsets, escapes = [], [], []
    for scale in scales:
        half = int(min(MAX_HALF_WIDTH, max(1, np.ceil(scale * TAIL_DEVIATIONS))))
        values = np.arange(-half, half + 1)
        pmf = ndtr((values + 0.5) / scale) - ndtr((values - 0.5) / scale)
        pmfs.append(pmf)
        offsets.append(-half)
        escapes.append(max(1e-9, 1 - float(pmf.sum())))
    return TableSet.from_pmfs(pmfs, offsets, escapes)
