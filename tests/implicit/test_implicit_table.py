# SPDX-License-Identifier: Apache-2.0
"""The table of recipes: real files, real decoders, and nothing measured twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "implicit_table.py"


def run(clip: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    fixed = ["--results", str(folder), "--threads", "1", "--frames", "2", "--size", "32x32", "--beside", ""]
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(clip), *fixed, *arguments], capture_output=True, text=True, check=False
    )


def test_one_row_for_each_recipe_and_resume(clip: Path, tmp_path: Path) -> None:
    budget = ["--recipes", "nirvana", "--epochs", "2", "--model-size", "5000", "--weights-coding", "paper"]
    first = run(clip, tmp_path / "points", *budget)
    assert first.returncode == 0, first.stderr
    rows = [line for line in first.stdout.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows] == ["| codec", "| nirvana"]
    bpp, rgb_db = (float(cell) for cell in rows[1].split(" | ")[1:3])
    assert bpp > 1
    assert 4 < rgb_db < 40
    points = {path: path.stat().st_mtime_ns for path in (tmp_path / "points").rglob("epochs*.json")}
    assert len(points) == 1
    again = run(clip, tmp_path / "points", *budget)
    assert again.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "points").rglob("epochs*.json")} == points


def test_unknown_recipe(clip: Path, tmp_path: Path) -> None:
    refused = run(clip, tmp_path / "points", "--recipes", "nirvana@much")
    assert refused.returncode == 2
    assert "nirvana@much" in refused.stderr
    refused = run(clip, tmp_path / "points", "--recipes", "mystery")
    assert refused.returncode == 2
    assert "'mystery' is not known" in refused.stderr
    assert not (tmp_path / "points").exists()
