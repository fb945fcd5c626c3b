# SPDX-License-Identifier: Apache-2.0
"""A small moving picture, and one thread: tensors here are tiny."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from implicit_clips import HEIGHT, WIDTH, moving, write_y4m


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48x32, 6 frames, 25 fps."""
    path = tmp_path_factory.mktemp("implicit") / "moving.y4m"
    write_y4m(path, moving(6), WIDTH, HEIGHT)
    return path


@pytest.fixture(scope="session")
def other_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same size, other frames."""
    path = tmp_path_factory.mktemp("implicit") / "other.y4m"
    write_y4m(path, moving(6, phase=2.0), WIDTH, HEIGHT)
    return path
