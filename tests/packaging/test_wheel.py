# SPDX-License-Identifier: Apache-2.0
"""The wheel holds the whole package, nothing else, and works without the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAPPED = ("models", "entropy", "datasets")
DATA_SUFFIXES = {".safetensors", ".json", ".html", ".js", ".css", ".csv", ".toml"}
BUILD_INPUTS = ("nvcodec", *MAPPED, "pyproject.toml", "setup.py", "LICENSE", "README.md")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources: a build leaves folders behind that later builds would pick up."""
    source = tmp_path_factory.mktemp("source")
    for name in BUILD_INPUTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, source / name)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", out, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("nvcodec-*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def installed_name(path: Path) -> str:
    """Where a source file belongs in the wheel."""
    relative = path.relative_to(ROOT)
    return str(Path("nvcodec", relative) if relative.parts[0] in MAPPED else relative)


def source_files(*suffixes: str) -> list[Path]:
    folders = [ROOT / "nvcodec", *(ROOT / name for name in MAPPED)]
    return [p for f in folders for p in f.rglob("*") if p.suffix in suffixes and "__pycache__" not in p.parts]


def run_python(unpacked: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code against the unpacked wheel; an editable install in the same environment must not answer for it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    script = (
        "import sys\n"
        f"sys.path.insert(0, {str(unpacked)!r})\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in getattr(f, '__name__', '').lower()]\n"
        f"sys.path[:] = [p for p in sys.path if '__editable__' not in p and p != {str(ROOT)!r}]\n"
    )
    command = [sys.executable, "-I", "-c", script + code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=unpacked)


def test_wheel_carries_every_source_file_and_its_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    missing = [n for n in map(installed_name, source_files(".py", *DATA_SUFFIXES)) if n not in names]
    assert not missing


def test_wheel_claims_no_top_level_name_but_its_own(wheel: Path) -> None:
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"nvcodec"}


def test_wheel_carries_the_licence_and_the_command(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    names = archive.namelist()
    assert any(name.endswith("LICENSE") for name in names)
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    assert "nvc = nvcodec.cli:main" in archive.read(entry_points).decode()


def test_wheel_carries_the_shipped_weights(wheel: Path) -> None:
    weights = source_files(".safetensors")
    assert weights, "no weights in this tree"
    archive = zipfile.ZipFile(wheel)
    for path in weights:
        assert archive.read(installed_name(path)) == path.read_bytes()


def test_mapped_packages_import_from_the_wheel(unpacked: Path) -> None:
    code = "import nvcodec.models, nvcodec.entropy, nvcodec.datasets, nvcodec.cli\n"
    code += "for m in (nvcodec.models, nvcodec.entropy, nvcodec.datasets, nvcodec.cli): print(list(m.__path__)[0])"
    done = run_python(unpacked, code)
    assert done.returncode == 0, done.stderr
    assert [Path(line).parent for line in done.stdout.splitlines()] == [unpacked / "nvcodec"] * 4


def test_command_runs_from_the_wheel(unpacked: Path) -> None:
    code = "from nvcodec.cli import main\nsys.exit(main(['models', '--json']))"
    done = run_python(unpacked, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.lstrip().startswith("{")
