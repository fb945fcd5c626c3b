# SPDX-License-Identifier: Apache-2.0
"""The encoder's choices of a frame: what it writes is what it saw, in the canonical form that the syntax keeps."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nvcodec.entropy import binary
from nvcodec.models.conditional.frame_coder import FrameCoder, FrameHeader
from nvcodec.models.conditional.picture import BIT_PRICE, Blocks, Planes, Reference, choose, empty_planes, rebuild
from nvcodec.models.conditional.sequence import EFFORTS
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.kernels.compensation import BOTH, FIRST, PAD, extend_edges, padded
from nvcodec.models.kernels.frame_intra import price_list
from nvcodec.models.kernels.search import choose_blocks
from nvcodec.models.kernels.syntax import CONTEXTS, MAX_VECTOR

ROWS, COLUMNS = 3, 4
FIELDS = ("pred", "merged", "coded", "fine", "tiny", "energy", "modes", "vectors")


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def texture(seed: int, roughness: float = 1.0) -> Planes:
    """A picture with smooth and rough parts and hard edges."""
    random = np.random.default_rng(seed)
    planes = []
    for s in (1, 2, 2):
        height, width = 16 * ROWS // s, 16 * COLUMNS // s
        coarse = random.integers(0, 256, (height // 8, width // 8)).repeat(8, 0).repeat(8, 1)
        noise = random.normal(0, 30 * roughness, (height, width)) * (random.random((1, width)) < 0.5)
        planes.append((0.6 * coarse + 50 + noise).clip(0, 255).astype(np.uint8))
    return planes[0], planes[1], planes[2]


def reference(planes: Planes, number: int, distances: tuple[int, ...] = ()) -> Reference:
    whole = empty_planes(ROWS, COLUMNS)
    for inside, plane, pad in zip(whole, planes, (PAD, PAD // 2, PAD // 2), strict=True):
        inside[pad:-pad, pad:-pad] = plane
        extend_edges(inside, pad)
    return Reference(whole, Blocks(ROWS, COLUMNS), 40, number, distances)


def mixed(a: Planes, b: Planes, shift: int) -> Planes:
    """Between two pictures, moved, with a part of its own."""
    own = texture(99)
    planes = []
    for x, y, z, s in zip(a, b, own, (1, 2, 2), strict=True):
        plane = (x.astype(int) + np.roll(y, shift // s, 1)) // 2
        plane[: 16 // s] = x[: 16 // s]
        plane[-16 // s :, : 16 // s] = z[-16 // s :, : 16 // s]
        planes.append(plane.astype(np.uint8))
    return planes[0], planes[1], planes[2]


def written_unchanged(blocks: Blocks, references: int, last: Blocks, scale: np.ndarray, symbols: np.ndarray) -> None:
    """Writing puts decisions into canonical form: they must be there already, or the decoder gets others."""
    import test_block_syntax as syntax

    before = {name: getattr(blocks, name).copy() for name in FIELDS}
    frame = syntax.Frame(references, last, scale)
    payload = syntax.write(blocks, frame, binary.new_contexts(CONTEXTS))
    for name in FIELDS:
        assert np.array_equal(getattr(blocks, name), before[name]), name
    found = syntax.read(payload, ROWS, COLUMNS, frame, binary.new_contexts(CONTEXTS))
    assert syntax.same(found, blocks)
    assert np.array_equal(symbols.any(-1), blocks.coded > 0)


@pytest.mark.parametrize("preset", EFFORTS)
@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("level", [0, 30, 63])
def test_what_is_chosen_is_what_is_written_and_rebuilt(
    weights: Weights, pool: ThreadPoolExecutor, preset: str, count: int, level: int
) -> None:
    for seed in range(3):
        a, b = texture(seed), texture(seed, 1.2)
        references = [reference(a, 0), reference(b, 8)][:count]
        last = reference(b, 8, (8,)) if count else None
        if last is not None:
            last.blocks.pred[:] = FIRST
            last.blocks.vectors[0] = np.random.default_rng(seed).integers(-20, 21, last.blocks.vectors[0].shape)
        scale = np.array([128, 0])
        blocks, symbols, planes = choose(
            mixed(a, b, 2 * seed), level, references, last, scale, weights.bases, EFFORTS[preset], pool
        )
        if not count:
            assert not blocks.pred.any()
        assert blocks.pred.max() <= (BOTH if count == 2 else count)
        written_unchanged(blocks, count, last.blocks if last else Blocks(ROWS, COLUMNS), scale, symbols)
        again = rebuild(blocks, symbols, level, references, weights.bases, pool)
        assert all(np.array_equal(x, y) for x, y in zip(again, planes, strict=True))


@pytest.mark.parametrize("preset", EFFORTS)
@pytest.mark.parametrize("size", [MAX_VECTOR - 3, MAX_VECTOR - 1, MAX_VECTOR])
@pytest.mark.parametrize("sign", [(1, 1), (-1, 1), (1, -1)])
def test_vectors_at_their_limit(
    weights: Weights, pool: ThreadPoolExecutor, preset: str, size: int, sign: tuple[int, int]
) -> None:
    """A picture that the corner of the reference explains best, to which the search comes by the last frame's field."""
    for seed in range(4):
        a, b = texture(seed), texture(seed + 50)
        corner = []
        for x, y, s in zip(a, b, (1, 2, 2), strict=True):
            row, column = (-1 if sign[1] > 0 else 0), (-1 if sign[0] > 0 else 0)
            value = (int(x[row, column]) + int(y[row, column])) // 2
            corner.append(np.full((16 * ROWS // s, 16 * COLUMNS // s), value, np.uint8))
        references, last = [reference(a, 0), reference(b, 1)], reference(b, 1, (1, 1))
        last.blocks.pred[:] = BOTH
        last.blocks.vectors[:] = np.array(sign) * size
        scale = np.zeros(2, np.int64)
        blocks, symbols, _ = choose(
            (corner[0], corner[1], corner[2]), 30, references, last, scale, weights.bases, EFFORTS[preset], pool
        )
        assert np.abs(blocks.vectors).max() <= MAX_VECTOR
        written_unchanged(blocks, 2, last.blocks, scale, symbols)


def test_a_frame_coder_reads_what_it_wrote(weights: Weights, pool: ThreadPoolExecutor) -> None:
    writer, reader = FrameCoder(weights, ROWS, COLUMNS), FrameCoder(weights, ROWS, COLUMNS)
    kept: list[Reference] = []
    for number in range(3):
        references = kept[::-1][:2]
        picture = mixed(texture(1), texture(2), 2 * number)
        blocks, symbols, planes = choose(
            picture, 36, references, None, np.zeros(2, np.int64), weights.bases, EFFORTS["medium"], pool
        )
        header = FrameHeader(36, not references, True, 0, tuple(range(len(references))))
        # the encoder here knows no last frame, the coder does: merged blocks would differ
        blocks.merged[:] = 0
        payload = writer.encode(header, number, blocks, symbols)
        found_header, found_number, found, found_symbols = reader.decode(payload, 1, number)
        assert (found_header, found_number) == (header, number)
        assert np.array_equal(found_symbols, symbols)
        for name in FIELDS:
            assert np.array_equal(getattr(found, name), getattr(blocks, name)), name
        kept.append(Reference(planes, blocks, 36, number))


def test_refined_vectors_stay_within_the_limit() -> None:
    """In a wide picture whose first block lies 1024 samples to the right in both references: one step too far."""
    columns = 70
    random = np.random.default_rng(0)
    first, second = (padded(random.integers(0, 256, (16, 16 * columns)).astype(np.uint8), PAD) for _ in range(2))
    current = random.integers(0, 256, (16, 16 * columns)).astype(np.uint8)
    there = np.s_[PAD : PAD + 16, PAD + 1024 : PAD + 1040]
    current[:, :16] = (first[there].astype(int) + second[there] + 1) // 2
    blocks, last = Blocks(1, columns), Blocks(1, columns)
    whole = np.zeros((2, 1, columns, 3))
    whole[:, 0, 0, 0] = MAX_VECTOR
    prices, per_unit = price_list(16.0, BIT_PRICE)
    values = {
        "current": current, "first": first, "second": second, "references": 2, "whole": whole,
        "quarters": np.zeros((2, 2, 2 * columns, 3)), "split": False, "refine": True, "price": BIT_PRICE,
        "prices": prices, "per_unit": per_unit, "last_pred": last.pred, "last_vectors": last.vectors,
        "scale": np.zeros(2, np.int64), "pred": blocks.pred, "merged": blocks.merged, "vectors": blocks.vectors,
    }  # fmt: skip
    code = choose_blocks.py_func.__code__
    choose_blocks(*(values[name] for name in code.co_varnames[: code.co_argcount]))
    assert blocks.pred[0, 0] == BOTH
    assert np.abs(blocks.vectors).max() <= MAX_VECTOR
