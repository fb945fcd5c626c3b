# SPDX-License-Identifier: Apache-2.0
"""The toy codec in this process, and installed for other processes."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from nvcodec.codec import registry
from nvcodec.codec.protocol import Codec

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="session")
def toy_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("toy_codec", SCRIPTS / "toy_codec.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def toy(toy_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Codec:
    """The toy codec, registered for the length of one test."""
    monkeypatch.setattr(registry, "_factories", {})
    monkeypatch.setattr(registry, "_instances", {})
    registry.register(toy_module.ToyCodec)
    return registry.get_codec("toy")


@pytest.fixture(scope="session")
def with_toy_installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a process in which the toy codec is an installed package with an entry point."""
    site = tmp_path_factory.mktemp("site")
    (site / "toy_codec.py").write_text((SCRIPTS / "toy_codec.py").read_text(encoding="utf-8"), encoding="utf-8")
    info = site / "toy_codec-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-codec\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[nvcodec.codecs]\ntoy = toy_codec:ToyCodec\n", encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


@pytest.fixture(scope="session")
def python() -> str:
    return sys.executable
