# SPDX-License-Identifier: Apache-2.0
"""RGB of a representation to the 8-bit 4:2:0 planes of a stream, and back for fitting.

Y'CbCr through the stream's own matrix and range (H.273; unspecified: BT.709 from 720 lines up, BT.601 below). Chroma is
sited as in H.264 (left, between lines): horizontally the mean of three samples 1 2 1, vertically of two, edges
repeated.
Rounding is half to even after everything else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nvcodec.media.types import Frame, VideoFormat
from nvcodec.metrics.rgb import luma_weights, matrix_in_use, rgb_from_planes


def rgb_frames(frames: Sequence[Frame], video: VideoFormat) -> Tensor:
    """(N, 3, H, W) uint8."""
    pictures = torch.empty(len(frames), 3, video.height, video.width, dtype=torch.uint8)
    for i, frame in enumerate(frames):
        rgb = rgb_from_planes(*frame.planes, matrix=video.colour.matrix, full_range=video.colour.full_range)
        pictures[i] = torch.from_numpy(rgb).permute(2, 0, 1)
    return pictures


def plane_frames(frames: Sequence[Frame]) -> tuple[Tensor, Tensor, Tensor]:
    """Y (N, 1, H, W), U and V (N, 1, ceil(H/2), ceil(W/2)), uint8."""
    y, u, v = (torch.from_numpy(np.stack([f.planes[i] for f in frames]))[:, None] for i in range(3))
    return y, u, v


def frame_from_rgb(rgb: Tensor, video: VideoFormat) -> Frame:
    """One picture (3, H, W) float in 0..1 to planes."""
    kr, kb = luma_weights(matrix_in_use(video.colour.matrix, video.height))
    red, green, blue = rgb.float().clamp(0, 1)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    full = video.colour.full_range
    scale_y, scale_c, offset = (255.0, 255.0, 0.0) if full else (219.0, 224.0, 16.0)
    chroma = _halved(torch.stack([cb, cr])) * scale_c + 128
    return frame_from_samples(luma * scale_y + offset, chroma[0], chroma[1])


def frame_from_samples(y: Tensor, u: Tensor, v: Tensor) -> Frame:
    """Planes (H, W), (ceil(H/2), ceil(W/2)) twice, float in 0..255, to a frame."""
    return Frame(*(plane.round().clamp(0, 255).to(torch.uint8).cpu().contiguous().numpy() for plane in (y, u, v)))


def _halved(planes: Tensor) -> Tensor:
    """(C, H, W) to (C, ceil(H/2), ceil(W/2))."""
    height, width = planes.shape[1:]
    padded = F.pad(planes[None], (1, 1 + width % 2, 0, height % 2), mode="replicate")[0]
    even = padded[:, 0::2] + padded[:, 1::2]
    columns = (width + 1) // 2
    left, middle, right = (even[:, :, i : i + 2 * columns : 2] for i in (0, 1, 2))
    return (left + 2 * middle + right) / 8
