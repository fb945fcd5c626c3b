# SPDX-License-Identifier: Apache-2.0
"""A small training cache and recipe."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from synthetic_training import recipe_text, write_cache

from nvcodec.models.training import loop


@pytest.fixture(scope="session", autouse=True)
def _short_statistics() -> None:
    """Principal components of a few samples are good enough for networks of 16 channels."""
    loop.block_covariance = partial(loop.block_covariance, samples=60)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two panned clips and one still."""
    return write_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    """Three steps of a tiny network."""
    path = tmp_path / "tiny.toml"
    path.write_text(recipe_text())
    return path
