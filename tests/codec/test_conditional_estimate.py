# SPDX-License-Identifier: Apache-2.0
"""What the model thinks a frame costs, what its tables say, and what is written: all the same, on a real clip."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import conditional_clips as clips
import numpy as np
import pytest
import torch

from nvcodec.codec.conditional import DEFAULT_MODEL
from nvcodec.entropy.rans import RansWriter
from nvcodec.entropy.tables import TableSet
from nvcodec.media.types import Frame
from nvcodec.models import zoo
from nvcodec.models.conditional import frame_coder
from nvcodec.models.conditional.sequence import SequenceCoder
from nvcodec.models.conditional.weights import Weights, load_weights

FRAMES = 3


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights(zoo.find(DEFAULT_MODEL).path)


@pytest.fixture(scope="module")
def frames(bikes_path: Path) -> list[Frame]:
    return clips.real(bikes_path, FRAMES, 640, 272, start=5)


@pytest.fixture
def prices(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """Bits of everything that is written from now on, by set of tables."""
    bits: defaultdict[int, float] = defaultdict(float)
    write = RansWriter.code

    def priced(writer: RansWriter, values: np.ndarray, indices: np.ndarray, tables: TableSet) -> np.ndarray:
        bits[id(tables)] += tables.bits(values, indices)
        return write(writer, values, indices, tables)

    monkeypatch.setattr(RansWriter, "code", priced)
    return bits


@pytest.mark.parametrize("quality", [4, 32, 60])
def test_estimate_tables_and_bytes_agree(
    weights: Weights, frames: list[Frame], prices: dict[int, float], quality: int
) -> None:
    coder = SequenceCoder(weights, *frames[0].y.shape, threads=1)
    written_nbytes, latents_estimate = 0, 0.0
    for frame in frames:
        before = coder._state
        payload, keyframe, _ = coder.encode(frame.planes, quality, refresh=False)
        kind, level = payload[0] >> frame_coder.KIND_SHIFT, payload[0] & frame_coder.QUALITY_MASK
        assert kind != frame_coder.KIND_SKIP
        assert (kind == frame_coder.KIND_INTRA) == keyframe
        after = coder._state
        assert after is not None
        written_nbytes += len(payload)
        with torch.inference_mode():
            state, estimate, _ = weights.network(
                coder._blocks(frame.planes),
                None if keyframe or before is None else before.state,
                None if keyframe else torch.from_numpy(after.vectors)[None],
                torch.tensor([float(level)]),
                torch.tensor([float(kind != frame_coder.KIND_PLAIN)]),
            )
        latents_estimate += float(estimate.sum())
        # The pass that training takes ends in the very state that coding ends in.
        assert torch.equal(state.blocks, after.state.blocks)
        assert torch.equal(state.memory, after.state.memory)
        assert torch.equal(state.latents, after.state.latents)
    overhead = 8 * 10 * FRAMES  # the kind and level of a frame, the coder's last state
    assert 8 * written_nbytes - overhead == pytest.approx(sum(prices.values()), rel=0.01)
    assert prices[id(weights.gaussian)] == pytest.approx(latents_estimate, rel=0.01)
    if quality >= 32:  # large enough for the rule as it stands
        assert 8 * written_nbytes == pytest.approx(sum(prices.values()), rel=0.01)
