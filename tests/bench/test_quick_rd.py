# SPDX-License-Identifier: Apache-2.0
"""The script that compares encoders quickly: what it measures is what the streams hold, and what it says of curves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from quick_rd import curves, difference, point

import nvcodec
from nvcodec.errors import UsageError

SCRIPT = Path(__file__).parents[2] / "scripts" / "quick_rd.py"


def run(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """The script, in a process of its own."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, args)], capture_output=True, text=True, check=False
    )  # fmt: skip


def test_points_are_of_real_streams(slope_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "points.json"
    done = run(
        "measure", slope_clip, "-o", out, "--frames", "2", "--qualities", "5,60", "--profile", "ld", "--processes", "1"
    )
    assert done.returncode == 0, done.stderr
    low, high = json.loads(out.read_text())
    assert (low["clip"], low["quality"], high["quality"]) == ("slope", 5, 60)
    assert low["nbytes"] < high["nbytes"]
    assert low["psnr_yuv_db"] < high["psnr_yuv_db"]
    stream = tmp_path / "slope.nvc"
    nvcodec.encode(slope_clip, stream, quality=60, frames=(0, 2), threads=1, options={"profile": "ld"})
    assert high["nbytes"] == stream.stat().st_size
    assert point(slope_clip, 60, 2, "medium", {"profile": "ld"})["psnr_yuv_db"] == high["psnr_yuv_db"]
    compared = run("compare", out, out)
    assert re.fullmatch(r"points: \+0\.00% \(standard error 0\.00, .* time x 1\.00\n", compared.stdout)


def test_a_fifth_fewer_bytes_are_a_fifth_less() -> None:
    before = [
        {"clip": clip, "quality": q, "nbytes": 1000 * 2**q, "psnr_yuv_db": 30 + 3 * q, "seconds": 2}
        for clip in "ab"
        for q in range(4)
    ]
    after = [
        {**one, "nbytes": 0.8 * one["nbytes"] if one["clip"] == "a" else one["nbytes"], "seconds": 3} for one in before
    ]
    assert difference(before, after) == (
        "-10.00% (standard error 7.07, low -10.00, high -10.00), -20.0 (a) to +0.0 (b), time x 1.50"
    )
    assert curves(before)["a"] == ([1000, 2000, 4000, 8000], [30, 33, 36, 39])
    with pytest.raises(UsageError, match="no clip"):
        difference(before, [{**one, "clip": "c"} for one in before])


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"clip": "a"}]'])
def test_files_that_are_none_of_its_own(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    done = run("compare", path, path)
    assert done.returncode == UsageError.exit_code
    assert done.stderr.startswith(f"quick_rd: {path}: ")
    assert "Traceback" not in done.stderr


def test_a_clip_that_is_missing_and_qualities_that_are_none(slope_clip: Path, tmp_path: Path) -> None:
    done = run("measure", tmp_path / "no.mkv", "-o", tmp_path / "x.json", "--processes", "1")
    assert done.returncode == 1
    assert done.stderr.startswith("quick_rd: ")
    done = run("measure", slope_clip, "-o", tmp_path / "x.json", "--qualities", "5;6")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "x.json").exists()
