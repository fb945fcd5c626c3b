# SPDX-License-Identifier: Apache-2.0
"""Training runs where neither PyAV nor CompressAI nor torch is installed, once the cache is there and no
network is to be trained."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# as sitecustomize it is found by the processes that training starts, too
BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("av", "compressai", "torch"):
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text(BLOCKER)
    paths = [str(tmp_path / "blocked"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def python(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_from_cache_to_weight_file(environment: dict[str, str], tmp_path: Path, cache: Path, recipe_path: Path) -> None:
    out = tmp_path / "my.safetensors"
    recipe_path.write_text(recipe_path.read_text().replace("steps = 2", "steps = 0"))
    rest = ("--cache", cache, "--into", tmp_path / "run", "--export", out)
    done = python(environment, "-m", "nvcodec", "train", recipe_path, *rest)
    assert done.returncode == 0, done.stderr
    assert "held out: " in done.stderr
    assert out.is_file()


@pytest.mark.parametrize("name", ["av", "compressai", "torch"])
def test_blocker_blocks(environment: dict[str, str], name: str) -> None:
    assert f"blocked: {name}" in python(environment, "-c", f"import {name}").stderr
