# SPDX-License-Identifier: Apache-2.0
"""The script that looks whether sizes rise with quality: on a real clip, and what it says of sizes that fall."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from quality_steps import nbytes_at, show

SCRIPT = Path(__file__).parents[2] / "scripts" / "quality_steps.py"


def test_all_qualities_of_a_clip_are_encoded(slope_clip: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(slope_clip), "--frames", "2", "--profile", "ld", "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"slope: \d+ to \d+ bytes, least rise [+-]\d+\.\d\d%", lines[0])
    assert lines[0].startswith(
        f"slope: {nbytes_at(slope_clip, 0, 2, 'ld')} to {nbytes_at(slope_clip, 63, 2, 'ld')} bytes"
    )
    assert done.returncode == (1 if lines[1:] else 0), done.stderr


def test_every_step_that_does_not_rise_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert show("a", [100, 110, 110, 99, 120]) == 2
    assert capsys.readouterr().out.splitlines() == [
        "a: 100 to 120 bytes, least rise -10.00%",
        "  quality 1 to 2: 110 to 110 bytes",
        "  quality 2 to 3: 110 to 99 bytes",
    ]
    assert show("b", [1, 2, 4]) == 0


def test_a_clip_that_is_missing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path / "no.mkv")], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("quality_steps: ")
    assert "Traceback" not in done.stderr
