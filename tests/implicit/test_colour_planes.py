# SPDX-License-Identifier: Apache-2.0
"""RGB to planes: the inverse of what the fit saw, for every matrix, range and odd size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from implicit_clips import moving

from nvcodec.media.types import Colour, VideoFormat
from nvcodec.models.implicit.colour import frame_from_rgb, rgb_frames


@pytest.mark.parametrize("matrix", [1, 2, 5, 9])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("width", "height"), [(48, 32), (37, 23), (1, 1), (2, 5)])
def test_smooth_pictures_come_back(matrix: int, full_range: bool, width: int, height: int) -> None:
    video = VideoFormat(width, height, colour=Colour(matrix=matrix, full_range=full_range))
    (frame,) = moving(1, width, height)
    frame.y[:] = frame.y.clip(90, 160)  # inside the RGB cube
    frame.u[:], frame.v[:] = 128 + (frame.u.astype(int) - 128) // 4, 128 + (frame.v.astype(int) - 128) // 4
    back = frame_from_rgb(rgb_frames([frame], video)[0].float() / 255, video)
    for made, source in zip(back.planes, frame.planes, strict=True):
        assert made.shape == source.shape
        assert made.dtype == np.uint8
        assert np.abs(made.astype(int) - source).max() <= 2


def test_values_outside_are_clipped() -> None:
    frame = frame_from_rgb(torch.full((3, 4, 4), 7.0), VideoFormat(4, 4))
    assert frame.y.max() == frame.y.min() == 235
