# SPDX-License-Identifier: Apache-2.0
"""How each metric is called and written."""

from __future__ import annotations

from dataclasses import dataclass

from nvcodec.rd.bdrate import LOWER_IS_BETTER


@dataclass(frozen=True)
class Metric:
    """name: as in ``Point.metrics``. label and unit: for people. digits: after the point, in tables."""

    name: str
    label: str
    unit: str = ""
    digits: int = 4

    @property
    def lower_is_better(self) -> bool:
        """Whether smaller values are better pictures."""
        return self.name in LOWER_IS_BETTER

    @property
    def title(self) -> str:
        """Label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


_KNOWN = [
    Metric("psnr_yuv", "PSNR-YUV 6:1:1", "dB", 2),
    Metric("psnr_yuv_mse", "PSNR-YUV 6:1:1 from mean error", "dB", 2),
    Metric("psnr_y", "PSNR-Y", "dB", 2),
    Metric("psnr_u", "PSNR-U", "dB", 2),
    Metric("psnr_v", "PSNR-V", "dB", 2),
    Metric("psnr_y_mse", "PSNR-Y from mean error", "dB", 2),
    Metric("psnr_u_mse", "PSNR-U from mean error", "dB", 2),
    Metric("psnr_v_mse", "PSNR-V from mean error", "dB", 2),
    Metric("psnr_rgb", "PSNR-RGB", "dB", 2),
    Metric("ssim", "SSIM"),
    Metric("ssim_y", "SSIM-Y"),
    Metric("ms_ssim", "MS-SSIM"),
    Metric("vmaf", "VMAF", "", 2),
    Metric("xpsnr", "XPSNR 6:1:1", "dB", 2),
    Metric("xpsnr_y", "XPSNR-Y", "dB", 2),
    Metric("xpsnr_u", "XPSNR-U", "dB", 2),
    Metric("xpsnr_v", "XPSNR-V", "dB", 2),
    Metric("strred", "ST-RRED (lower is better)", "", 2),
]
_ORDER = {metric.name: i for i, metric in enumerate(_KNOWN)}
# What the page and the tables offer unless asked for others: one figure per idea, not every plane.
OFFERED = ("psnr_yuv", "psnr_yuv_mse", "psnr_y", "psnr_rgb", "ssim", "ms_ssim", "vmaf", "xpsnr", "strred")


def metric_named(name: str) -> Metric:
    """The description of a metric; names this table does not know are written as they are."""
    return _KNOWN[_ORDER[name]] if name in _ORDER else Metric(name, name)


def sorted_metrics(names: set[str]) -> list[str]:
    """Metric names in the order of the table, unknown ones last."""
    return sorted(names, key=lambda name: (_ORDER.get(name, len(_KNOWN)), name))
