# SPDX-License-Identifier: Apache-2.0
"""8-bit RGB from 4:2:0 planes through the stream's own matrix, for PSNR-RGB and for pictures."""

from __future__ import annotations

import functools

import numpy as np

# Kr and Kb of ITU-T H.273 table 4.
_LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020, non-constant luminance
}
_NAMES = {1: "BT.709", 4: "FCC", 5: "BT.601", 6: "BT.601", 7: "SMPTE 240M", 9: "BT.2020"}
UNSPECIFIED = 2
HD_HEIGHT = 720


def matrix_in_use(matrix: int, height: int) -> int:
    """The H.273 code that applies: unspecified or unknown becomes BT.709 from 720 lines up, BT.601 below."""
    if matrix in _LUMA_WEIGHTS:
        return matrix
    return 1 if height >= HD_HEIGHT else 6


def luma_weights(matrix: int) -> tuple[float, float]:
    """Kr and Kb of a code that ``matrix_in_use`` returned."""
    return _LUMA_WEIGHTS[matrix]


def describe_matrix(matrix: int, full_range: bool, height: int) -> str:
    """The conversion in words, for the record."""
    used = matrix_in_use(matrix, height)
    how = "" if used == matrix else " (unspecified: chosen by size)"
    return f"{_NAMES[used]}{how}, {'full' if full_range else 'limited'} range, bilinear chroma, 8 bit"


def rgb_from_planes(
    y: np.ndarray, u: np.ndarray, v: np.ndarray, *, matrix: int = UNSPECIFIED, full_range: bool = False
) -> np.ndarray:
    """Planes Y (H, W), U and V (ceil(H/2), ceil(W/2)), uint8, to RGB (H, W, 3), uint8.

    Chroma is sited as in H.264 and H.265 by default (left, between lines) and interpolated bilinearly; results are
    rounded and clipped.
    """
    height, width = y.shape
    to_rgb, offsets = _conversion(matrix_in_use(matrix, height), full_range)
    luma = y.astype(np.float32) - offsets[0]
    cb = _upsample(u, height, width) - offsets[1]
    cr = _upsample(v, height, width) - offsets[2]
    rgb = np.empty((height, width, 3), np.uint8)
    for channel in range(3):
        a, b, c = (np.float32(w) for w in to_rgb[channel])
        value = a * luma + b * cb + c * cr
        rgb[..., channel] = np.clip(np.rint(value), 0, 255).astype(np.uint8)
    return rgb


@functools.cache
def _conversion(matrix: int, full_range: bool) -> tuple[np.ndarray, tuple[int, int, int]]:
    """(3, 3) from offset-free Y, Cb, Cr to R, G, B in 0..255, and the offsets."""
    kr, kb = _LUMA_WEIGHTS[matrix]
    kg = 1.0 - kr - kb
    unit = np.array(
        [
            [1.0, 0.0, 2.0 * (1.0 - kr)],
            [1.0, -2.0 * kb * (1.0 - kb) / kg, -2.0 * kr * (1.0 - kr) / kg],
            [1.0, 2.0 * (1.0 - kb), 0.0],
        ]
    )
    gains = np.array([1.0, 1.0, 1.0]) if full_range else np.array([255.0 / 219.0, 255.0 / 224.0, 255.0 / 224.0])
    return unit * gains, (0 if full_range else 16, 128, 128)


def _upsample(chroma: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear to (height, width), float32: horizontally co-sited with even columns, vertically between lines."""
    c = chroma.astype(np.float32)
    right = np.concatenate([c[:, 1:], c[:, -1:]], axis=1)
    wide = np.empty((c.shape[0], 2 * c.shape[1]), np.float32)
    wide[:, 0::2] = c
    wide[:, 1::2] = (c + right) * 0.5
    above = np.concatenate([wide[:1], wide[:-1]])
    below = np.concatenate([wide[1:], wide[-1:]])
    tall = np.empty((2 * c.shape[0], wide.shape[1]), np.float32)
    tall[0::2] = 0.75 * wide + 0.25 * above
    tall[1::2] = 0.75 * wide + 0.25 * below
    return tall[:height, :width]
