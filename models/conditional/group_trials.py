# SPDX-License-Identifier: Apache-2.0
"""Group sizes tried in full: the frames that wait are coded as one long group and as short ones, and what costs least
is kept. For presets that have the time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from nvcodec.models.conditional.frame_coder import DecidedFrame, FrameCoder
from nvcodec.models.conditional.picture import Planes
from nvcodec.models.quality import LUMA_SHARE, STEPS, mean_squared_error

# squared steps that a bit is worth where whole groups are compared, by how error and bits change with quality
BIT_PRICE = 0.15
CLEARLY = 0.97  # of the cost of what is expected to be best: groups after this one are not compared
LEAST_ERROR = 0.05  # mean squared

Units = list[tuple[list[DecidedFrame], list[Planes]]]  # frames in coding order, planes in display order


class GroupTrials:
    """Knows what has been coded, as the coder that writes does."""

    def __init__(self, coder: FrameCoder):
        self._coder = coder

    def add(self, frames: list[DecidedFrame]) -> None:
        """A unit that is decided on."""
        self._coder.encode(frames)

    def cheapest(self, tries: Iterable[Callable[[], Units]], pictures: list[Planes], level: int) -> int:
        """Which of several ways to code pictures costs least, and take it as done; level: of the quality asked for.

        The first one is expected to: another must be cheaper by `CLEARLY`.
        """
        best, least, coders = 0, math.inf, []
        for n, code in enumerate(tries):
            coder = self._coder.copy()
            coders.append(coder)
            cost = cost_of(code(), pictures, level, coder)
            if cost < (least if n else math.inf) * CLEARLY:
                best, least = n, cost
        self._coder = coders[best]
        return best


def cost_of(units: Units, pictures: list[Planes], level: int, coder: FrameCoder) -> float:
    """Squared error and price of bits of units, written by a coder; the error of a frame is what its PSNR-YUV says."""
    nbytes, error, step = 0, 0.0, float(STEPS[level]) / 16
    wanted = iter(pictures)
    for frames, planes in units:
        nbytes += len(coder.encode(frames))
        for decoded in planes:
            picture = next(wanted)
            logs = [
                math.log(max(mean_squared_error(a[: b.shape[0], : b.shape[1]], b), LEAST_ERROR))
                for a, b in zip(picture, decoded, strict=True)
            ]
            mean = LUMA_SHARE * logs[0] + (1 - LUMA_SHARE) / 2 * (logs[1] + logs[2])
            error += decoded[0].size * math.exp(mean)
    return error + BIT_PRICE * step * step * 8 * nbytes
