# SPDX-License-Identifier: Apache-2.0
"""Training runs where neither CompressAI nor PyAV is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("compressai", "av"):
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Blocker())
from nvcodec.models.training.launch import main
code = main(sys.argv[1:])
assert not {"compressai", "av"} & {name.split(".")[0] for name in sys.modules}
sys.exit(code)
"""


def test_training_needs_neither_compressai_nor_pyav(tmp_path: Path, cache: Path, recipe_path: Path) -> None:
    arguments = [recipe_path, "--cache", cache, "--into", tmp_path / "run"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    assert "step 3/3" in done.stderr
    assert (tmp_path / "run" / "state.pt").is_file()


def test_blocker_blocks() -> None:
    code = SCRIPT.split("from nvcodec")[0] + "import av"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "blocked: av" in done.stderr
