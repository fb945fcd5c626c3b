# SPDX-License-Identifier: Apache-2.0
"""All metrics of one decoded file against its original."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from nvcodec.errors import NvcError, UsageError
from nvcodec.metrics import METRICS, mse, psnr_db, psnr_yuv_db
from nvcodec.metrics.filters import filter_scores
from nvcodec.metrics.ms_ssim import WEIGHTS, ms_ssim_plane, scale_count
from nvcodec.metrics.rgb import UNSPECIFIED, describe_matrix, rgb_from_planes
from nvcodec.metrics.scores import Scores
from nvcodec.metrics.ssim import ssim_plane, ssim_yuv
from nvcodec.rd.ffmpeg import FFmpeg, find_ffmpeg
from nvcodec.rd.planes import PlanarVideo


def measure_all(
    reference: Path,
    decoded: Path,
    names: Iterable[str],
    *,
    frame_rate: Fraction = Fraction(25),
    matrix: int = UNSPECIFIED,
    full_range: bool = False,
    ffmpeg: FFmpeg | None = None,
) -> Scores:
    """Measure y4m ``decoded`` against y4m ``reference``, both 8-bit 4:2:0.

    names: of nvcodec.metrics.METRICS; each adds the values listed in docs/results-schema.md. matrix (H.273) and
    full_range: for PSNR-RGB. Raises NvcError where the two differ in size or number of frames or hold none.
    """
    wanted = check_names(names)
    with PlanarVideo(reference) as a, PlanarVideo(decoded) as b:
        _require_same_shape(a, b)
        scores = _per_frame(a, b, wanted, matrix, full_range)
        if "strred" in wanted:
            scores.update(_strred(a, b))
    if wanted & {"vmaf", "xpsnr"}:
        scores.update(filter_scores(ffmpeg or find_ffmpeg(), reference, decoded, frame_rate, wanted))
    for name, values in scores.series.items():
        if len(values) != len(a):
            raise NvcError(f"{name}: {len(values)} values for {len(a)} frames")
    return scores


def check_names(names: Iterable[str]) -> set[str]:
    """The names as a set; UsageError for one that does not exist."""
    wanted = set(names)
    if unknown := sorted(wanted - set(METRICS)):
        raise UsageError(f"metric {unknown[0]!r} does not exist, choose from {', '.join(METRICS)}")
    return wanted


def _require_same_shape(a: PlanarVideo, b: PlanarVideo) -> None:
    if (a.width, a.height) != (b.width, b.height):
        raise NvcError(f"decoded pictures are {b.width}x{b.height}, the original's {a.width}x{a.height}")
    if len(a) != len(b):
        raise NvcError(f"{len(b)} frames were decoded, the original has {len(a)}")
    if len(a) == 0:
        raise NvcError("no frames to measure")


def _per_frame(a: PlanarVideo, b: PlanarVideo, wanted: set[str], matrix: int, full_range: bool) -> Scores:
    series: dict[str, list[float]] = {}
    for i in range(len(a)):
        original, decoded = a[i], b[i]
        values: dict[str, float] = {}
        if "psnr" in wanted:
            values |= {f"mse_{p}": mse(x, y) for p, x, y in zip("yuv", original, decoded, strict=True)}
        if "ssim" in wanted:
            planes = [ssim_plane(x, y) for x, y in zip(original, decoded, strict=True)]
            shapes = [(p.shape[0], p.shape[1]) for p in original]
            values |= {"ssim": ssim_yuv((planes[0], planes[1], planes[2]), shapes), "ssim_y": planes[0]}
        if "ms_ssim" in wanted:
            values["ms_ssim"] = ms_ssim_plane(original[0], decoded[0])
        if "psnr_rgb" in wanted:
            pictures = [rgb_from_planes(*p, matrix=matrix, full_range=full_range) for p in (original, decoded)]
            values["psnr_rgb"] = psnr_db(mse(*pictures))
        for name, value in values.items():
            series.setdefault(name, []).append(value)
    scores = Scores()
    if "psnr" in wanted:
        _pool_psnr(scores, series)
    for name in ("psnr_rgb", "ssim", "ssim_y", "ms_ssim"):
        if name in series:
            scores.add_series(name, series[name])
    if "psnr_rgb" in wanted:
        scores.models["psnr_rgb"] = describe_matrix(matrix, full_range, a.height)
    if "ms_ssim" in wanted:
        used = max(1, scale_count(a.height, a.width))
        scores.models["ms_ssim"] = f"{used} of {len(WEIGHTS)} scales, luma"
    return scores


def _pool_psnr(scores: Scores, series: dict[str, list[float]]) -> None:
    """Both poolings: mean of per-frame PSNR, and PSNR of the error averaged over the clip."""
    per_plane = {}
    from_mean_error = {}
    for plane in "yuv":
        errors = series[f"mse_{plane}"]
        scores.series[f"mse_{plane}"] = errors
        per_plane[plane] = [psnr_db(e) for e in errors]
        scores.add_series(f"psnr_{plane}", per_plane[plane])
        from_mean_error[plane] = psnr_db(sum(errors) / len(errors))
        scores.metrics[f"psnr_{plane}_mse"] = from_mean_error[plane]
    rows = zip(per_plane["y"], per_plane["u"], per_plane["v"], strict=True)
    scores.add_series("psnr_yuv", [psnr_yuv_db(*row) for row in rows])
    scores.metrics["psnr_yuv_mse"] = psnr_yuv_db(from_mean_error["y"], from_mean_error["u"], from_mean_error["v"])


class _Luma(Sequence[np.ndarray]):
    """The luma planes of a video, read as they are asked for."""

    def __init__(self, video: PlanarVideo) -> None:
        self.video = video

    def __len__(self) -> int:
        return len(self.video)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        return self.video[index][0]


def _strred(a: PlanarVideo, b: PlanarVideo) -> Scores:
    from nvcodec.metrics.strred import strred

    value = strred(_Luma(a), _Luma(b))
    return Scores({"strred": value}, {}, {"strred": "scikit-video, all blocks"})
