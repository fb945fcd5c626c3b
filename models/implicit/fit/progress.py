# SPDX-License-Identifier: Apache-2.0
"""What a fit says of itself while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitProgress:
    """Where a fit stands. psnr_db: mean over the last epoch's pictures; bpp: estimated, of this group; seconds_left:
    None before it can be known; note: something out of the ordinary, in one line."""

    epoch: int
    epochs: int | None
    psnr_db: float
    bpp: float
    seconds: float
    seconds_left: float | None
    note: str = ""
