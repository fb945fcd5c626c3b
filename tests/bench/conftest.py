# SPDX-License-Identifier: Apache-2.0
"""A clip that is coded in no time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def slope_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames of 32x32, grey but for a slope that moves."""
    path = tmp_path_factory.mktemp("slope") / "slope.y4m"
    slope = np.add.outer(np.arange(32), 5 * np.arange(32))
    frames = [b"FRAME\n" + (slope + 3 * n).astype(np.uint8).tobytes() + bytes([128]) * 512 for n in range(3)]
    path.write_bytes(b"YUV4MPEG2 W32 H32 F25:1 Ip A1:1 C420jpeg\n" + b"".join(frames))
    return path
