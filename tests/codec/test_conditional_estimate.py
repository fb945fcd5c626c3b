# SPDX-License-Identifier: Apache-2.0
"""What the model thinks a frame costs, what its tables say, and what is written: all the same, on a real clip."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
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
from nvcodec.models.conditional import density, frame_coder
from nvcodec.models.conditional.network import State
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


@dataclass
class Coded:
    """One frame: what was written, and what the pass that training takes says of it."""

    payload: bytes
    state: State
    estimated_bits: float
    trained: State


def code(weights: Weights, frames: list[Frame], quality: int) -> Iterator[Coded]:
    coder = SequenceCoder(weights, *frames[0].y.shape, threads=1)
    for frame in frames:
        before = coder._state
        payload, keyframe, _ = coder.encode(frame.planes, quality, refresh=False)
        kind, level = payload[0] >> frame_coder.KIND_SHIFT, payload[0] & frame_coder.QUALITY_MASK
        assert kind != frame_coder.KIND_SKIP
        assert (kind == frame_coder.KIND_INTRA) == keyframe
        after = coder._state
        assert after is not None
        with torch.inference_mode():
            trained, bits, _ = weights.network(
                coder._blocks(frame.planes)[1],
                None if keyframe or before is None else before.state,
                None if keyframe else torch.from_numpy(after.vectors)[None],
                torch.tensor([float(level)]),
                torch.tensor([float(kind != frame_coder.KIND_PLAIN)]),
            )
        yield Coded(payload, after.state, float(bits.sum()), trained)


@pytest.mark.parametrize("quality", [4, 32, 60])
def test_estimate_tables_and_bytes_agree(
    weights: Weights,
    frames: list[Frame],
    prices: dict[int, float],
    quality: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame_coder, "COPY_MSE", -1.0)  # the encoder copies still blocks, a decision training lacks
    coded = list(code(weights, frames, quality))
    written_bits = 8 * sum(len(frame.payload) for frame in coded)
    overhead = 8 * 10 * FRAMES  # the kind and level of a frame, the coder's last state
    assert written_bits - overhead == pytest.approx(sum(prices.values()), rel=0.01)
    assert prices[id(weights.gaussian)] == pytest.approx(sum(frame.estimated_bits for frame in coded), rel=0.01)
    if quality >= 32:  # large enough for the rule as it stands
        assert written_bits == pytest.approx(sum(prices.values()), rel=0.01)


@pytest.mark.parametrize("quality", [4, 60])
def test_training_and_coding_end_in_the_same_state(
    weights: Weights, frames: list[Frame], quality: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_coder, "COPY_MSE", -1.0)  # the encoder copies still blocks, a decision training lacks
    for coded in code(weights, frames, quality):
        assert torch.equal(coded.trained.blocks, coded.state.blocks)
        assert torch.equal(coded.trained.memory, coded.state.memory)
        assert torch.equal(coded.trained.latents, coded.state.latents)


def test_what_is_surely_zero_nearly_always_is(
    weights: Weights, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving symbols out saves bytes and changes next to nothing."""

    def coded() -> tuple[int, float]:
        units = list(code(weights, frames, 60))
        blocks = SequenceCoder(weights, *frames[0].y.shape, threads=1)._blocks
        errors = [(u.state.blocks - blocks(f.planes)[1]).square().mean() for u, f in zip(units, frames, strict=True)]
        return sum(len(u.payload) for u in units), float(10 * torch.log10(torch.stack(errors).mean()))

    nbytes, error_db = coded()
    monkeypatch.setattr(density, "SURELY_ZERO", -1)
    all_nbytes, all_error_db = coded()
    assert nbytes < all_nbytes
    assert abs(error_db - all_error_db) < 0.1
