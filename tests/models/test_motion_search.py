# SPDX-License-Identifier: Apache-2.0
"""The encoder's search: what moves is found, what stands still costs nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nvcodec.entropy.rans import RansWriter
from nvcodec.models.motion.search import VectorChooser
from nvcodec.models.motion.syntax import MotionCounter, code_field
from nvcodec.models.motion.x264_vectors import X264Search

TABLES = MotionCounter().tables()


def texture(height: int, width: int) -> np.ndarray:
    """Smooth noise with plenty of detail, float64 in 0..255."""
    rng = np.random.default_rng(11)
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    spectrum = np.fft.rfft2(rng.normal(size=(height, width))) / (0.02 + np.hypot(fy, fx)) * (np.hypot(fy, fx) < 0.3)
    picture = np.fft.irfft2(spectrum, s=(height, width))
    return 128 + 100 * (picture - picture.mean()) / np.abs(picture).max()


def pan(height: int, width: int, dx: int, dy: int, count: int) -> list[np.ndarray]:
    """Frames in which frame t shows at p what frame t - 1 shows at p + (dx, dy)."""
    whole = np.rint(texture(height + 64, width + 64)).astype(np.uint8)
    at = [(32 + t * dy, 32 + t * dx) for t in range(count)]
    return [np.ascontiguousarray(whole[y : y + height, x : x + width]) for y, x in at]


@pytest.mark.parametrize(("dx", "dy"), [(3, -2), (-5, 0), (1, 6)])
def test_a_pan_is_found(dx: int, dy: int) -> None:
    search = X264Search(96, 128)
    fields = [search.search(luma) for luma in pan(96, 128, dx, dy, 4)]
    assert not fields[0].any()
    for field in fields[1:]:
        inner = field[2:-2, 2:-2].reshape(-1, 2)
        assert (inner == (4 * dx, 4 * dy)).all(1).mean() > 0.9


@pytest.mark.parametrize(("height", "width"), [(1, 1), (17, 33), (48, 64)])
def test_a_still_picture_has_no_motion(height: int, width: int) -> None:
    search = X264Search(height, width)
    luma = pan(height, width, 0, 0, 1)[0]
    for _ in range(4):
        field = search.search(luma)
        assert field.shape == (-(-height // 8), -(-width // 8), 2)
        assert field.dtype == np.int16
        assert not field.any()


def choose(current: np.ndarray, before: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """The field that an encoder writes."""
    luma, reference = (torch.from_numpy(p).float() for p in (current, before))
    rows, columns = seeds.shape[:2]
    chooser = VectorChooser(luma, reference, seeds, 16.0, TABLES)
    return code_field(rows, columns, np.zeros_like(seeds), RansWriter(), TABLES, chooser)


def test_the_chooser_keeps_what_pays_and_drops_what_does_not() -> None:
    before, current = pan(64, 96, 3, -2, 2)
    seeds = np.broadcast_to(np.array([12, -8], np.int32), (8, 12, 2)).copy()
    chosen = choose(current, before, seeds)
    assert (chosen[1:-1, 1:-1] == (12, -8)).all(-1).mean() > 0.9
    noise = np.random.default_rng(0).integers(-40, 41, (8, 12, 2)).astype(np.int32)
    assert not choose(before, before, noise).any()  # nothing moved, whatever the search says
