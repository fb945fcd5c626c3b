# SPDX-License-Identifier: Apache-2.0
"""Where a video begins anew: cuts, which become keyframes."""

from __future__ import annotations

import numpy as np

from nvcodec.models.conditional.frame import Planes
from nvcodec.models.depth import EXTRA_BITS, widen
from nvcodec.models.kernels.samples import apart_from_means
from nvcodec.models.kernels.search import coarse_search, quarter_size, window_sums

CUT_LEAST, CUT_SHARE = 2 << EXTRA_BITS, 0.9  # a frame this much harder to predict in time than in space begins anew


class Cuts:
    """Looks at the pictures of one video in display order."""

    def __init__(self, intra_period: int):
        """intra_period: frames after which one begins anew in any case; 0: never."""
        self._intra_period = intra_period
        self._small: np.ndarray | None = None  # luma of the frame before, at a quarter of its size
        self._since = 0
        self._sums = 0.0, 0.0

    def look(self, picture: Planes) -> tuple[bool, tuple[float, float]]:
        """Whether the next picture, as `padded_picture` makes it, becomes a keyframe: the first, after a period, or a
        cut; and the differences in time and in space, summed up over the frames since the last keyframe, this one among
        them (a cut's count for what comes before it)."""
        small = quarter_size(picture[0], 0)
        before, self._small = self._small, small
        anew, sums = before is None or (self._intra_period > 0 and self._since >= self._intra_period), self._sums
        if before is not None and not anew:
            in_time, in_space = differences(small, before)
            sums = sums[0] + in_time, sums[1] + in_space
            anew = in_time > CUT_SHARE * in_space + CUT_LEAST
        self._since, self._sums = (1, (0.0, 0.0)) if anew else (self._since + 1, sums)
        return anew, sums


def padded_picture(planes: Planes) -> Planes:
    """Planes inside, of planes outside: their sides are multiples of 16 (8 for chroma)."""
    rows, columns = (-(-side // 16) for side in planes[0].shape)
    y, u, v = (_padded(p, s * rows, s * columns) for p, s in zip(planes, (16, 8, 8), strict=True))
    return y, u, v


def _padded(plane: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A plane inside, its last row and column repeated."""
    height, width = plane.shape
    out = np.empty((rows, columns), np.uint16)
    widen(plane, out[:height, :width])
    out[:height, width:] = out[:height, width - 1 : width]
    out[height:] = out[height - 1]
    return out


def differences(small: np.ndarray, before: np.ndarray) -> tuple[float, float]:
    """Mean absolute differences of a frame: to the frame before it, moved (of every other row of blocks), and to each
    block's own mean; both at a quarter of their size."""
    rows, columns = small.shape[0] // 4, small.shape[1] // 4
    vectors, some = np.zeros((rows, columns, 2), np.int32), (rows + 1) // 2
    sums = window_sums(before)
    apart = sum(coarse_search(small, before, 0.0, 2 * n, 2 * n + 1, vectors, sums) for n in range(some))
    in_time = apart / (64 * some * columns)
    return in_time, apart_from_means(small) / (16 * rows * columns)
