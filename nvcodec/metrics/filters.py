# SPDX-License-Identifier: Apache-2.0
"""VMAF and XPSNR through ffmpeg's filters, from y4m files."""

from __future__ import annotations

import json
import math
import re
import tempfile
from fractions import Fraction
from pathlib import Path

from nvcodec.errors import NvcError
from nvcodec.metrics.psnr import PSNR_CAP_DB, psnr_yuv_db
from nvcodec.metrics.scores import Scores
from nvcodec.rd.ffmpeg import FFmpeg, run_command

VMAF_MODEL = "vmaf_v0.6.1"


def filter_scores(
    ffmpeg: FFmpeg, reference: Path, decoded: Path, frame_rate: Fraction, names: set[str], *, model: str = VMAF_MODEL
) -> Scores:
    """ "vmaf" and "xpsnr" (those of ``names``) of y4m ``decoded`` against ``reference``, in one pass.

    Raises UnsupportedError if ffmpeg lacks the filter, NvcError if it fails.
    """
    wanted: list[str] = [n for n in ("vmaf", "xpsnr") if n in names]
    if not wanted:
        return Scores()
    for name in wanted:
        ffmpeg.require(filter_name={"vmaf": "libvmaf", "xpsnr": "xpsnr"}[name])
    with tempfile.TemporaryDirectory(prefix="nvc-metrics-") as folder:
        graph = _graph(wanted, model)
        # Given before an input, -r replaces its time stamps: both sides count frames alike, whoever wrote them.
        command = [ffmpeg.path, "-hide_banner", "-nostdin", "-loglevel", "warning"]
        for path in (decoded, reference):
            command += ["-r", str(frame_rate), "-i", str(path.resolve())]
        command += ["-filter_complex", graph]
        command += [part for name in wanted for part in ("-map", f"[{name}]")]
        # Relative names: colons and backslashes of a full path would need escaping inside a filter.
        run_command([*command, "-f", "null", "-"], " and ".join(wanted), cwd=Path(folder))
        scores = Scores()
        if "vmaf" in wanted:
            _read_vmaf(Path(folder) / "vmaf.json", scores)
            scores.models["vmaf"] = f"{model} (libvmaf in ffmpeg {ffmpeg.version})"
        if "xpsnr" in wanted:
            _read_xpsnr(Path(folder) / "xpsnr.txt", scores)
            scores.models["xpsnr"] = f"xpsnr filter of ffmpeg {ffmpeg.version}"
        return scores


def _graph(wanted: list[str], model: str) -> str:
    filters = {
        "vmaf": f"libvmaf=model=version={model}:log_fmt=json:log_path=vmaf.json:n_threads=1",
        "xpsnr": "xpsnr=stats_file=xpsnr.txt",
    }
    if len(wanted) == 1:
        return f"[0:v][1:v]{filters[wanted[0]]}[{wanted[0]}]"
    return f"[0:v]split[d0][d1];[1:v]split[r0][r1];[d0][r0]{filters['vmaf']}[vmaf];[d1][r1]{filters['xpsnr']}[xpsnr]"


def _read_vmaf(path: Path, scores: Scores) -> None:
    try:
        frames = json.loads(path.read_text())["frames"]
        series = [float(f["metrics"]["vmaf"]) for f in sorted(frames, key=lambda f: f["frameNum"])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NvcError(f"vmaf: the filter's log cannot be read ({error})") from None
    if not series or not all(map(math.isfinite, series)):
        raise NvcError("vmaf: the filter's log has no finite values")
    scores.series["vmaf"] = series
    scores.metrics["vmaf"] = sum(series) / len(series)


def _read_xpsnr(path: Path, scores: Scores) -> None:
    try:
        text = path.read_text()
    except OSError as error:
        raise NvcError(f"xpsnr: the filter's log cannot be read ({error})") from None
    rows = [_planes(line) for line in text.splitlines() if line.startswith("n:")]
    last = next((_planes(line) for line in text.splitlines() if "average" in line.lower()), None)
    if not rows or last is None:
        raise NvcError("xpsnr: the filter's log has no values")
    for i, plane in enumerate("yuv"):
        scores.series[f"xpsnr_{plane}"] = [row[i] for row in rows]
        scores.metrics[f"xpsnr_{plane}"] = last[i]
    scores.series["xpsnr"] = [psnr_yuv_db(*row) for row in rows]
    scores.metrics["xpsnr"] = psnr_yuv_db(*last)


def _planes(line: str) -> tuple[float, float, float]:
    found = dict(re.findall(r"\b([yuv])\s*:\s*(-?inf|-?nan|-?[\d.]+)", line, re.IGNORECASE))
    try:
        y, u, v = (min(PSNR_CAP_DB, float(found[plane])) for plane in "yuv")
    except (KeyError, ValueError):
        raise NvcError(f"xpsnr: cannot read {line.strip()[:80]!r} in the filter's log") from None
    return y, u, v
