# SPDX-License-Identifier: Apache-2.0
"""The flagship in parts: exact transforms, tables that learn alike, syntaxes that read what they wrote, prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nvcodec.entropy.rans import RansReader, RansWriter
from nvcodec.models.implicit.pyramid import coarse, dct
from nvcodec.models.implicit.pyramid.adaptive import COUNT_LIMIT, AdaptiveTables
from nvcodec.models.implicit.pyramid.block_search import search
from nvcodec.models.implicit.pyramid.blocks import CHOICES_8, code_blocks, options
from nvcodec.models.implicit.pyramid.coefficients import BETWEEN, SIDES, code_coefficients
from nvcodec.models.implicit.pyramid.decisions import quantise
from nvcodec.models.implicit.pyramid.maps import code_map
from nvcodec.models.implicit.pyramid.prediction import BOTH, FUTURE, PAST, Reference, mean_of, shown
from nvcodec.models.implicit.pyramid.structure import coding_order
from nvcodec.models.implicit.pyramid.synthesis import Synthesis, code_network, correct
from nvcodec.models.implicit.pyramid.tables import LearningCoder, Tables
from nvcodec.models.motion.compensation import compensate


def planes(height: int, width: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random integers 0..255."""
    generator = torch.Generator().manual_seed(seed)
    sizes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    return tuple(torch.randint(0, 256, size, generator=generator).float() for size in sizes)  # type: ignore[return-value]


@pytest.mark.parametrize("size", [8, 16, 32])
def test_the_inverse_transform_is_the_same_in_integers(size: int) -> None:
    random = np.random.default_rng(size)
    symbols = random.integers(-(1 << 14), 1 << 14, (6, size, size))
    step = 37
    table = dct.integer_cosines(size).numpy().astype(np.int64)
    scaled = np.clip(symbols * step, -dct.COEFFICIENT_LIMIT, dct.COEFFICIENT_LIMIT)
    sums = table.T @ scaled @ table
    assert np.abs(sums).max() < 2**53
    shift = 2 * dct.MATRIX_BITS + dct.STEP_BITS
    below, rest = sums >> shift, sums & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    wanted = below + ((rest > half) | ((rest == half) & (below % 2 == 1)))
    assert np.array_equal(dct.inverse(torch.from_numpy(symbols), step).numpy(), wanted)


@pytest.mark.parametrize("size", [8, 16, 32])
def test_transform_and_inverse_give_the_samples_back(size: int) -> None:
    tiles = torch.from_numpy(np.random.default_rng(1).integers(-255, 256, (4, size, size)).astype(np.float32))
    symbols = torch.round(dct.forward(tiles) * 8)
    assert (dct.inverse(symbols, 1) - tiles).abs().max() <= 1
    assert torch.equal(dct.from_tiles(dct.to_tiles(tiles[0], 4), size, size), tiles[0])


def test_tables_stay_cumulative_and_follow_what_is_coded() -> None:
    tables = AdaptiveTables(np.ones((3, 5), np.int64))
    before = tables.costs[1, 4]
    for _ in range(60):
        tables.note(np.full(40, 4), np.full(40, 1))
        tables.learn()
    assert tables.costs[1, 4] < 0.1 < before
    assert tables.counts.sum(1).max() <= COUNT_LIMIT
    for row in tables.rows:
        assert row[0] == 0
        assert row[-1] == 1 << 16
        assert np.diff(row).min() >= 1
    assert tables.costs[0, 4] == before  # a context of its own


@pytest.mark.parametrize(("size", "chroma"), [(32, False), (16, False), (8, False), (16, True), (8, True)])
def test_coefficients_are_read_as_written(size: int, chroma: bool) -> None:
    random = np.random.default_rng(size)
    symbols = random.integers(-2, 3, (9, size, size)) * (random.random((9, size, size)) < 0.1)
    symbols[0] = 0
    symbols[1, 0, 0] = -4000  # beyond every table
    symbols[2, size - 1, size - 1] = 1
    sides = random.integers(0, SIDES, 9)
    writer, ours, theirs = RansWriter(), Tables(), Tables()
    code_coefficients(symbols, 9, size, BETWEEN, chroma, sides, LearningCoder(writer), ours.coefficients)
    count = writer.count
    reader = LearningCoder(RansReader(writer.finish(), count))
    read = code_coefficients(None, 9, size, BETWEEN, chroma, sides, reader, theirs.coefficients)
    assert np.array_equal(read, symbols)
    ours.learn()
    theirs.learn()
    assert ours.all["magnitudes"].rows == theirs.all["magnitudes"].rows


def test_maps_means_and_blocks_are_read_as_written() -> None:
    random = np.random.default_rng(5)
    values = random.integers(0, 3, (7, 11))
    known, places = random.integers(0, 3, (7, 11)), random.random((7, 11)) < 0.7
    extra = random.integers(0, 4, (7, 11))
    means = random.integers(0, 64, (5, 6))
    field = random.integers(-9, 9, (4, 6, 2)) * (random.random((4, 6, 1)) < 0.5)
    choices = random.integers(0, CHOICES_8, (8, 12))
    choices *= (
        (options(field) != options(field)[:, :, :1])
        .any((2, 3))
        .reshape(4, 2, 6, 2)
        .any((1, 3))
        .repeat(2, 0)
        .repeat(2, 1)
    )
    writer = RansWriter()

    def walk(coder: object, write: bool) -> tuple[np.ndarray, ...]:
        tables = Tables()
        return (
            code_map(values if write else None, known, places, extra, coder, tables.modes),  # type: ignore[arg-type]
            coarse.code_means(means if write else None, 5, 6, 1, coder, tables.means),  # type: ignore[arg-type]
            code_blocks(choices if write else None, field, coder, tables.split, tables.which),  # type: ignore[arg-type]
        )

    written = walk(writer, True)
    count = writer.count
    read = walk(RansReader(writer.finish(), count), False)
    assert all(np.array_equal(a, b) for a, b in zip(written, read, strict=True))
    assert np.array_equal(read[0], np.where(places, values, known))
    assert np.array_equal(read[1], means)


@pytest.mark.parametrize("span", [1, 2, 5, 8, 16, 32])
def test_every_frame_comes_once_and_after_those_it_needs(span: int) -> None:
    there = {10}
    for step in coding_order(10, 10 + span):
        assert step.past in there
        assert step.future is None or step.future in there
        assert step.frame not in there
        there.add(step.frame)
    assert there == set(range(10, 11 + span))


def test_prediction_is_that_of_the_exact_compensation() -> None:
    frame = planes(32, 64, 1)
    vectors = np.random.default_rng(2).integers(-300, 300, (4, 8, 2))
    vectors[1:3] = 0
    vectors[2:, 2:4] = (-37, 21)  # four alike
    predicted = Reference(frame).predict(vectors)
    field = torch.from_numpy(vectors)[None]
    for plane, made, block in zip(frame, predicted, (8, 4, 4), strict=True):
        assert torch.equal(made, compensate(plane[None], field, block)[0])
    none = np.zeros((4, 8), bool)
    assert all(torch.equal(a, b) for a, b in zip(Reference(frame).predict(vectors, none), frame, strict=True))


def test_blocks_show_both_sides_or_one() -> None:
    past, future = planes(32, 32, 3), planes(32, 32, 4)
    modes = np.array([[BOTH, PAST], [FUTURE, BOTH]])
    first, second = shown(past, future, modes)
    mean = mean_of(first, second)
    assert torch.equal(mean[0][:16, 16:], past[0][:16, 16:])
    assert torch.equal(mean[1][8:, :8], future[1][8:, :8])
    assert torch.equal(mean[0][:16, :16], torch.floor((past[0] + future[0] + 1) / 2)[:16, :16])


def test_search_finds_a_shift() -> None:
    random = np.random.default_rng(6)
    wide = torch.from_numpy(random.integers(0, 256, (24, 40)).astype(np.float32)).repeat_interleave(4, 0)
    wide = wide.repeat_interleave(4, 1)  # coarse texture
    found = search(wide[16:80, 16:112], wide[10:74, 27:123], distance=1)  # current(p) = reference(p + (-11, 6))
    assert (found == np.array([-44, 24])).all(2).mean() > 0.8


def test_a_network_is_read_as_written_and_corrects_alike() -> None:
    torch.manual_seed(0)
    network = Synthesis(16)
    with torch.no_grad():
        network.leave.weight.mul_(20)
        network.levels.normal_(0, 0.1)
    writer = RansWriter()
    code_network(network, writer, write=True)
    count = writer.count
    again = Synthesis(16)
    code_network(again, RansReader(writer.finish(), count), write=False)
    past, future = planes(32, 32, 8), planes(32, 32, 9)
    for level in (0, 4):
        ours, theirs = (correct(n, past, past, future, level) for n in (network, again))
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
        assert not torch.equal(ours[0], past[0])


def test_quantisation_weighs_bits_against_error() -> None:
    random = np.random.default_rng(7)
    coefficients = (random.laplace(size=(20, 16, 16)) * 20 / (1 + np.add.outer(range(16), range(16)))).astype(
        np.float32
    )
    tables = Tables().coefficients
    cheap, dear = (quantise(coefficients, 4.0, BETWEEN, False, price, tables, 0) for price in (0.01, 1.0))
    assert (dear.symbols != 0).sum() < (cheap.symbols != 0).sum()
    assert (np.abs(cheap.symbols * 4.0 - coefficients) <= 4.0).all()
    assert (dear.cost >= cheap.cost - 1e-3).all()
