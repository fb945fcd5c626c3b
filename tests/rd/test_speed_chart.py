# SPDX-License-Identifier: Apache-2.0
"""The chart of quality against speed, drawn from the points that are committed."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nvcodec.rd.report import plots

ROOT = Path(__file__).parents[2]
SIZES = ("ours:conditional:ra", "ours:conditional@s:ra", "ours:conditional@xs:ra")


def draw(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "speed_chart.py"), str(ROOT / "results" / "public-clips")]
    return subprocess.run([*command, "-o", str(output), *arguments], capture_output=True, text=True)


def test_some_codecs_alone(tmp_path: Path) -> None:
    done = draw(tmp_path / "chart.png", "--anchor", "x265:medium:ra:psnr", "--only", *SIZES)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "chart.svg").read_text()
    assert all(f">{name}<" in text for name in (*SIZES, "x265:medium:ra:psnr"))
    assert "svtav1" not in text


@pytest.mark.parametrize("name", ["ours:nothing", "x265"])
def test_codecs_that_are_not_there(tmp_path: Path, name: str) -> None:
    done = draw(tmp_path / "chart.png", "--only", SIZES[0], name)
    assert done.returncode == 2
    assert name in done.stderr
    assert not list(tmp_path.iterdir())


def test_speeds_measured_otherwise(tmp_path: Path) -> None:
    """Are drawn in place of those of the points, and nothing else is."""
    fps = [f"{name}={100 * (n + 1)}" for n, name in enumerate(SIZES)]
    done = draw(tmp_path / "chart.png", "--anchor", "x265:medium:ra:psnr", "--fps", *fps)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "chart.svg").read_text()
    assert all(f">{name}<" in text for name in SIZES)
    assert ">x265:medium:ra:psnr<" not in text
    assert "as given" in text


@pytest.mark.parametrize(
    "speed",
    ["ours:conditional:ra", "ours:conditional:ra=0", "=3", "ours:conditional:ra=fast", "ours:conditional:ra=nan"],
)
def test_speeds_that_are_none(tmp_path: Path, speed: str) -> None:
    done = draw(tmp_path / "chart.png", "--fps", speed)
    assert done.returncode == 2
    assert f"--fps {speed}" in done.stderr
    assert not list(tmp_path.iterdir())


def test_names_of_points_that_are_near_do_not_lie_over_each_other() -> None:
    figure = Figure(figsize=(7.2, 4.8), dpi=150)
    axes = figure.add_subplot()
    points = [("ours:conditional:ra", 100.0, -30.0), ("ours:conditional@l:ra", 101.0, -30.0), ("another", 99.0, -30.1)]
    axes.set_xlim(0, 300)
    axes.set_ylim(-40, 0)
    plots._name(axes, points)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == [name for name, *_ in points]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
