# SPDX-License-Identifier: Apache-2.0
"""Quality metrics on 8-bit 4:2:0 frames: one module each; ``measure_all`` in nvcodec.metrics.measure runs them.

Higher is better for all but ST-RRED. A PSNR without error is stated as ``PSNR_CAP_DB``.
"""

from nvcodec.metrics.psnr import PSNR_CAP_DB, mse, psnr_db, psnr_yuv_db

__all__ = ["DEFAULT_METRICS", "METRICS", "PSNR_CAP_DB", "mse", "psnr_db", "psnr_yuv_db"]

METRICS = ("psnr", "psnr_rgb", "ssim", "ms_ssim", "vmaf", "xpsnr", "strred")
DEFAULT_METRICS = ("psnr", "psnr_rgb", "ssim", "ms_ssim", "vmaf", "xpsnr")
