# SPDX-License-Identifier: Apache-2.0
"""SSIM on 8x8 windows every four samples, as x264 and ffmpeg's ssim filter compute it.

Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, IEEE Trans. Image Processing 13(4), 2004, eq. 13; uniform windows
instead of Gaussian ones, which is what published tables of these tools carry.
"""

from __future__ import annotations

import numpy as np

_WINDOW = 64  # samples
_C1 = int(0.01 * 0.01 * 255 * 255 * _WINDOW + 0.5)
_C2 = int(0.03 * 0.03 * 255 * 255 * _WINDOW * (_WINDOW - 1) + 0.5)


def ssim_plane(reference: np.ndarray, decoded: np.ndarray) -> float:
    """Mean SSIM of two uint8 planes (H, W), at most 1; sides below 8 are extended by their last sample."""
    a, b = _at_least_a_window(reference), _at_least_a_window(decoded)
    sum_a, sum_b, squares, products = (_window_sums(t) for t in _terms(a, b))
    variances = squares * _WINDOW - sum_a * sum_a - sum_b * sum_b
    covariance = products * _WINDOW - sum_a * sum_b
    means = (2 * sum_a * sum_b + _C1) / (sum_a * sum_a + sum_b * sum_b + _C1)
    return float(np.mean(means * ((2 * covariance + _C2) / (variances + _C2))))


def ssim_yuv(planes_ssim: tuple[float, float, float], shapes: list[tuple[int, int]]) -> float:
    """Average of the planes weighted by their numbers of samples."""
    samples = [h * w for h, w in shapes]
    return float(sum(s * n for s, n in zip(planes_ssim, samples, strict=True)) / sum(samples))


def _terms(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, ...]:
    x, y = a.astype(np.int32), b.astype(np.int32)
    return x, y, x * x + y * y, x * y


def _window_sums(samples: np.ndarray) -> np.ndarray:
    """Sums over 8x8 windows whose corners lie on the 4x4 grid, float64, exact."""
    rows, columns = samples.shape[0] // 4, samples.shape[1] // 4
    blocks = samples[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4).sum(axis=(1, 3), dtype=np.int64)
    return (blocks[:-1, :-1] + blocks[:-1, 1:] + blocks[1:, :-1] + blocks[1:, 1:]).astype(np.float64)


def _at_least_a_window(plane: np.ndarray) -> np.ndarray:
    down, right = max(0, 8 - plane.shape[0]), max(0, 8 - plane.shape[1])
    return np.pad(plane, ((0, down), (0, right)), mode="edge") if down or right else plane
