# SPDX-License-Identifier: Apache-2.0
"""Training runs where PyAV is not installed; once all is recorded, without CompressAI and a cache too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys

BLOCKED = sys.argv[1].split(",")

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Blocker())
from nvcodec.models.training.launch import main
code = main(sys.argv[2:])
assert not set(BLOCKED) & {name.split(".")[0] for name in sys.modules}
sys.exit(code)
"""


def run(blocked: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, blocked, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_no_phase_after_the_cache_needs_pyav(tmp_path: Path, cache: Path, recipe_path: Path) -> None:
    done = run("av", recipe_path, "--cache", cache, "--into", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "step 3/3" in done.stderr
    assert (tmp_path / "run" / "state.pt").is_file()


def test_the_network_needs_neither_compressai_nor_a_cache(run_folder: Path, recipe_path: Path, tmp_path: Path) -> None:
    done = run("av,compressai", recipe_path, "--cache", tmp_path / "none", "--into", run_folder)
    assert done.returncode == 0, done.stderr
    assert "step 3/3" in done.stderr
    assert "transforms" not in done.stderr
    assert "records" not in done.stderr


def test_blocker_blocks() -> None:
    code = SCRIPT.split("from nvcodec")[0] + "import av"
    done = subprocess.run([sys.executable, "-c", code, "av"], capture_output=True, text=True, timeout=60)
    assert "blocked: av" in done.stderr
