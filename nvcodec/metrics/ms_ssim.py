# SPDX-License-Identifier: Apache-2.0
"""Multi-scale SSIM of luma.

Z. Wang, E. P. Simoncelli, A. C. Bovik, "Multiscale structural similarity for image quality assessment", Asilomar 2003:
11x11 Gaussian windows of sigma 1.5 that lie wholly inside the picture, five scales, averaging by 2x2 between them.
"""

from __future__ import annotations

import numpy as np

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_TAPS = 11
_SIGMA = 1.5
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2


def scale_count(height: int, width: int) -> int:
    """How many of the five scales keep a window inside the picture; 0 below 11 samples."""
    side, count = min(height, width), 0
    while count < len(WEIGHTS) and side >= _TAPS:
        side, count = (side + 1) // 2, count + 1
    return count


def ms_ssim_plane(reference: np.ndarray, decoded: np.ndarray) -> float:
    """MS-SSIM of two uint8 planes (H, W), 0..1.

    Small pictures use the scales they have, weights renormalised (see ``scale_count``); sides below 11 are extended by
    their last sample.
    """
    a, b = _prepared(reference), _prepared(decoded)
    count = scale_count(*a.shape)
    weights = np.array(WEIGHTS[:count]) / sum(WEIGHTS[:count])
    product = 1.0
    for scale in range(count):
        luminance, contrast = _ssim_parts(a, b)
        value = contrast if scale < count - 1 else luminance
        product *= max(value, 0.0) ** weights[scale]
        if scale < count - 1:
            a, b = _halved(a), _halved(b)
    return float(product)


def _ssim_parts(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """(mean SSIM, mean of its contrast-structure part)."""
    mean_a, mean_b, squares, product = _blur(a), _blur(b), _blur(a * a + b * b), _blur(a * b)
    aabb, ab = mean_a * mean_a + mean_b * mean_b, mean_a * mean_b
    contrast = (2 * (product - ab) + _C2) / (squares - aabb + _C2)
    luminance = (2 * ab + _C1) / (aabb + _C1)
    return float(np.mean(luminance * contrast, dtype=np.float64)), float(np.mean(contrast, dtype=np.float64))


def _gaussian() -> list[np.float32]:
    """The first tap to the middle one; the window is symmetric."""
    x = np.arange(_TAPS) - _TAPS // 2
    taps = np.exp(-(x * x) / (2 * _SIGMA * _SIGMA))
    return [np.float32(t) for t in (taps / taps.sum())[: _TAPS // 2 + 1]]


def _blur(plane: np.ndarray) -> np.ndarray:
    """Separable Gaussian, only where the window fits: (H, W) to (H - 10, W - 10)."""
    return _blur_rows(_blur_rows(plane).T).T


def _blur_rows(plane: np.ndarray) -> np.ndarray:
    """Symmetric filter down the first axis; adding both sides before the multiplication halves the work."""
    taps, length, last = _gaussian(), plane.shape[0] - _TAPS + 1, _TAPS - 1
    total = plane[last // 2 : last // 2 + length] * taps[-1]
    pair = np.empty_like(total)
    for i, tap in enumerate(taps[:-1]):
        np.add(plane[i : i + length], plane[last - i : last - i + length], out=pair)
        pair *= tap
        total += pair
    return total


def _halved(plane: np.ndarray) -> np.ndarray:
    """Mean of 2x2 blocks; an odd last row or column is repeated."""
    plane = np.pad(plane, ((0, plane.shape[0] % 2), (0, plane.shape[1] % 2)), mode="edge")
    return (plane[0::2, 0::2] + plane[1::2, 0::2] + plane[0::2, 1::2] + plane[1::2, 1::2]) * np.float32(0.25)


def _prepared(plane: np.ndarray) -> np.ndarray:
    down, right = max(0, _TAPS - plane.shape[0]), max(0, _TAPS - plane.shape[1])
    samples = plane.astype(np.float32)
    return np.pad(samples, ((0, down), (0, right)), mode="edge") if down or right else samples
