# SPDX-License-Identifier: Apache-2.0
"""The bench accounts for all the time it measures, by the stages a codec names."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from nvcodec.bench import CODEC, INPUT_OUTPUT, REMAINDER, Stopwatch, bench_sizes
from nvcodec.codec.protocol import EncodeSettings
from nvcodec.media.test_pattern import moving_pattern


@pytest.fixture(scope="module")
def toy() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "scripts" / "toy_codec.py"
    spec = importlib.util.spec_from_file_location("toy_codec_for_bench", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def staged(toy: ModuleType) -> object:
    """The toy codec, saying how long each of two stages took."""
    import nvcodec

    class StagedEncoder(toy.ToyEncoder):  # type: ignore[misc, name-defined]
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)
            self.timings = {"analysis": 0.0, "entropy": 0.0}

        def encode(self, frame: nvcodec.Frame) -> list[nvcodec.CodedUnit]:
            self.timings["analysis"] += 0.003
            self.timings["entropy"] += 0.001
            time.sleep(0.005)
            return super().encode(frame)  # type: ignore[no-any-return]

    @nvcodec.register
    class StagedCodec(toy.ToyCodec):  # type: ignore[misc, name-defined]
        name, codec_id = "staged-toy", 65001

        def encoder(self, video: nvcodec.VideoFormat, settings: EncodeSettings) -> StagedEncoder:
            return StagedEncoder(step=4, intra_period=settings.intra_period)

    return nvcodec.get_codec("staged-toy")


def test_stages_of_a_codec_that_names_them(toy: ModuleType) -> None:
    (result,) = bench_sizes([(48, 33)], staged(toy), EncodeSettings(), frame_count=4)  # type: ignore[arg-type]
    assert (result.width, result.height, result.frame_count) == (48, 33, 4)
    assert list(result.encode.stages) == ["analysis", "entropy", INPUT_OUTPUT, REMAINDER]
    assert result.encode.stages["analysis"] == pytest.approx(4 * 0.003)
    assert result.encode.stages[REMAINDER] >= 4 * 0.0009
    assert result.encode.stage_seconds >= 4 * 0.005
    assert result.encode.pipeline_seconds >= 4 * 0.005
    assert set(result.decode.stages) == {INPUT_OUTPUT, CODEC}
    assert result.nbytes > 100


def test_stopwatch_counts_production_of_items_not_their_use() -> None:
    def slow() -> object:
        for number in range(3):
            time.sleep(0.01)
            yield number

    watch, seen = Stopwatch(), []
    for item in watch.each("making", slow()):  # type: ignore[arg-type, var-annotated]
        time.sleep(0.05)
        seen.append(item)
    assert seen == [0, 1, 2]
    assert 0.03 <= watch.seconds["making"] < 0.15


def test_moving_pattern_is_the_same_each_time_and_moves() -> None:
    first, second = (list(moving_pattern(17, 9, 3)) for _ in range(2))
    assert all((a.y == b.y).all() and (a.v == b.v).all() for a, b in zip(first, second, strict=True))
    assert (first[0].y != first[1].y).any()
    assert first[0].u.shape == (5, 9)
    assert [frame.pts for frame in first] == [0, 1, 2]
