# SPDX-License-Identifier: Apache-2.0
"""The command answers at once, loads nothing it does not need, and explains itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = ("torch", "av", "compressai", "torchvision", "matplotlib", "scipy", "skvideo")
COMMANDS = ("encode", "decode", "info", "models", "rd", "bench", "train")


def nvc(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "nvcodec", *arguments], capture_output=True, text=True)


def test_help_is_quick() -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert nvc("--help").returncode == 0
        seconds.append(time.perf_counter() - start)
    # 0.3 s on an idle machine; a loaded test machine gets more, and importing torch would still take longer.
    assert min(seconds) < 1.0


@pytest.mark.parametrize("arguments", [["--help"], ["encode", "--help"], ["decode", "--help"], ["info", "--help"]])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom nvcodec.cli import main\n"
        f"code = main({arguments!r})\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"


def test_overview_lists_every_command() -> None:
    text = nvc("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^\s+{command}\s", text, re.MULTILINE), command


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str) -> None:
    done = nvc(command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: nvc {command}" in done.stdout
    assert "--traceback" in done.stdout


def test_encode_help_is_grouped() -> None:
    text = nvc("encode", "--help").stdout
    titles = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    for title in ("input and output", "encode settings", "threading and device", "debugging"):
        assert title in titles


def test_version_names_what_results_depend_on() -> None:
    text = nvc("--version").stdout
    for name in ("nvc ", "stream format ", "Python ", "torch ", "CompressAI ", "PyAV ", "FFmpeg ", "CPU "):
        assert re.search(rf"{name}\S*\w", text), name
    assert "not installed" not in text


@pytest.mark.parametrize(
    "arguments",
    [[], ["frobnicate"], ["encode"], ["encode", "x"], ["encode", "--no-such-option", "x"], ["--no-such-option"]],
)
def test_usage_mistakes_are_one_line_and_code_2(arguments: list[str]) -> None:
    done = nvc(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("nvc: ")


def test_reader_that_goes_away_is_not_an_error(tmp_path: Path) -> None:
    """nvc ... | head: no message, no traceback."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "nvcodec", "models", "--json"], stdout=write_end, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(write_end)
    assert done.stderr == ""
    assert done.returncode == 141
