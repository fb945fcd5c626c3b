# SPDX-License-Identifier: Apache-2.0
"""The script that looks whether quality drifts or pulses."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nvcodec.metrics.psnr import frame_psnr_yuv_db

SCRIPT = Path(__file__).parents[2] / "scripts" / "steady_shot.py"
sys.path.insert(0, str(SCRIPT.parent))

from steady_shot import picture, report  # noqa: E402


def test_the_window_furthest_from_the_mean_is_named() -> None:
    """Of 40 frames eight are two decibels lower; the mean is 0.4 lower for it."""
    psnr_db = np.full(40, 40.0)
    psnr_db[20:28] = 38
    text = report(psnr_db, [1000, *[10] * 38, 30])
    assert (
        "40 frames, 1410 bytes, PSNR-YUV 39.60 dB; frames 20 to 27 -1.60 dB; first tenth +0.40 dB, last +0.40 dB"
        in text
    )
    assert "keyframe 1000 bytes, others 11 in the mean, 30 at most" in text


def test_psnr_weighs_luma_six_times() -> None:
    """An error of one everywhere is 48.13 dB; of ten, 20 less."""
    planes = [np.full(shape, 100, np.uint8) for shape in ((4, 4), (2, 2), (2, 2))]
    other = [planes[0] + 1, planes[1] + 10, planes[2] + 1]
    expected = 20 * np.log10(255) - 20 / 8
    assert frame_psnr_yuv_db(planes, [p.astype(np.uint8) for p in other]) == pytest.approx(expected)


def test_a_pan_moves_the_picture() -> None:
    assert np.allclose(picture(24, 40, 0, 3.0)[:, :-3], picture(24, 40, 0, 0.0)[:, 3:])


@pytest.mark.parametrize("profile", ["ra", "ld"])
def test_a_shot_is_coded_and_measured(profile: str) -> None:
    command = [sys.executable, str(SCRIPT), "--frames", "19", "--size", "64x48", "--profile", profile, "--pan"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"19 frames, (\d+) bytes, PSNR-YUV ([\d.]+) dB; frames", done.stdout)
    assert found, done.stdout
    assert 100 < int(found[1]) < 20000
    assert 33 < float(found[2]) < 45
