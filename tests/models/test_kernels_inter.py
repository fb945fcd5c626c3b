# SPDX-License-Identifier: Apache-2.0
"""How inter blocks are transformed, or not at all: the cheapest of what there is, with all that comes of it."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.conditional.picture import Blocks
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.kernels.compensation import BOTH, FIRST, PAD, SECOND, compensate, padded
from nvcodec.models.kernels.flow import room_for_flow
from nvcodec.models.kernels.inter import (
    CODED_BITS,
    QUARTERS,
    TINY,
    TINY_BITS,
    TINY_CHROMA,
    exact_cost,
    room_for_trial,
    settle_inter,
    settle_units,
)
from nvcodec.models.kernels.residual import RATE_CLASSES, SAMPLES, gather_residuals, quantise
from nvcodec.models.kernels.syntax import SHARED, WHOLE
from nvcodec.models.quality import LOWEST, bit_price
from nvcodec.models.transform import chroma_weight, dct_columns

ROWS, COLUMNS = 4, 6
SIZES = (384, 96, 16, 32, 384)
PRICE = bit_price(LOWEST + 16)  # of a bit, squared steps


def random_rates(random: np.random.Generator) -> tuple[np.ndarray, ...]:
    """(2, RATE_CLASSES, n, 3) of each transform: the later and the larger a symbol the dearer."""
    found = []
    for n in SIZES:
        share = 0.7 * np.exp(-np.arange(n) / (n / 6 * random.uniform(0.5, 2, (2, RATE_CLASSES, 1))))
        found.append(np.stack([-np.log2(1 - share), 1.5 - np.log2(share), 3 - np.log2(share)], -1).astype(np.float32))
    return tuple(found)


def coefficients(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Few of them, the later the smaller; of some blocks next to none."""
    falling = 3 * np.exp(-np.arange(shape[-1]) / (shape[-1] / 12))
    loud = random.choice([0.1, 0.5, 1.5], (shape[0], *[1] * (len(shape) - 1)))
    return (random.normal(size=shape) * falling * loud).astype(np.float32)


def chosen(values: np.ndarray, rates: np.ndarray) -> tuple[float, np.ndarray]:
    symbols = np.zeros(len(values), np.int16)
    return float(quantise(values, rates, PRICE, symbols)), symbols


def quarter_choice(
    parts: list[np.ndarray], rates: tuple[np.ndarray, ...], n: int, q: int
) -> tuple[float, int, np.ndarray]:
    """Cost, whether it is tiny, and symbols (96,) of a quarter."""
    whole, symbols = chosen(parts[1][n, q], rates[1][0])
    cost, chroma = chosen(parts[3][n, q], rates[3][0])
    tiny = np.zeros((16, 6), np.int16)  # four squares of luma, two of chroma
    tiny[:, 4:] = chroma.reshape(16, 2)
    for square in range(4):
        more, tiny[:, square] = chosen(parts[2][n, q, square], rates[2][0])
        cost += more
    return (cost, 1, tiny.ravel()) if cost < whole else (whole, 0, symbols)


@pytest.mark.parametrize("seed", range(4))
def test_blocks_take_the_cheapest_transform_or_none(seed: int) -> None:
    random, rates = np.random.default_rng(seed), random_rates(np.random.default_rng(seed + 50))
    places = np.argwhere(random.random((ROWS, COLUMNS)) < 0.8)
    n = len(places)
    parts = [coefficients(random, shape) for shape in ((n, 384), (n, 4, 96), (n, 4, 4, 16), (n, 4, 32))]
    errors = np.array([(parts[0][k] ** 2).sum() * random.uniform(0.6, 1.5) for k in range(n)], np.float32)
    blocks, symbols = Blocks(ROWS, COLUMNS), np.full((ROWS, COLUMNS, SAMPLES), 7, np.int16)
    blocks.pred[:], blocks.merged[:] = 1, random.integers(0, 2, blocks.merged.shape)
    for field in (blocks.coded, blocks.fine, blocks.tiny):
        field[:] = 9
    costs, kinds = np.full((ROWS, COLUMNS), -1, np.float32), set()
    settle_inter(
        tuple(parts), errors, rates, PRICE, places, blocks.merged, blocks.coded, blocks.fine, blocks.tiny, symbols,
        costs,
    )  # fmt: skip
    for k, (r, c) in enumerate(places):
        coarse, whole = chosen(parts[0][k], rates[0][0])
        coarse += float(CODED_BITS) * PRICE
        quarters = [quarter_choice(parts, rates, k, q) for q in range(4)]
        fine = float(CODED_BITS + 4 * TINY_BITS) * PRICE + sum(cost for cost, _, _ in quarters)
        nothing = float(errors[k]) + PRICE * (0.5 if blocks.merged[r, c] else 1.0)
        is_fine = fine < coarse
        wanted = np.stack([s for _, _, s in quarters], 1).ravel() if is_fine else whole
        is_coded = nothing > min(coarse, fine) and bool(wanted.any())
        tiny = [[quarters[2 * i + j][1] if is_coded and is_fine else 0 for j in range(2)] for i in range(2)]
        assert blocks.coded[r, c] == is_coded
        assert blocks.fine[r, c] == (is_coded and is_fine)
        assert blocks.tiny[2 * r : 2 * r + 2, 2 * c : 2 * c + 2].tolist() == tiny
        assert np.array_equal(symbols[r, c], wanted if is_coded else 0 * wanted)
        assert costs[r, c] == pytest.approx(min(coarse, fine) if is_coded else nothing, rel=1e-4)
        kinds.add((is_coded, bool(is_coded and is_fine), any(map(any, tiny))))
    assert len(kinds) > 2
    others = np.ones((ROWS, COLUMNS), bool)
    others[places[:, 0], places[:, 1]] = False
    assert (blocks.coded[others] == 9).all()
    assert (symbols[others] == 7).all()
    assert (costs[others] == -1).all()


@pytest.mark.parametrize("seed", range(4))
def test_units_are_transformed_as_a_whole_where_that_is_cheaper(seed: int) -> None:
    """Cheaper than the four blocks and saying that they are coded each on its own; and not where nothing would be
    left of it."""
    random, rates = np.random.default_rng(seed), random_rates(np.random.default_rng(seed + 50))[4][0]
    units = np.argwhere(random.random((ROWS // 2, COLUMNS // 2)) < 0.9) * 2
    values = coefficients(random, (len(units), SAMPLES))
    values[0] = 0.3
    lost = random.uniform(0, 2, len(units)).astype(np.float32)
    blocks = Blocks(ROWS, COLUMNS)
    blocks.pred[:], blocks.large[:] = 1, SHARED
    blocks.coded[:] = random.integers(0, 2, blocks.coded.shape)
    blocks.coded[:2, :2] = 0
    blocks.fine[:] = random.integers(0, 2, blocks.fine.shape) * blocks.coded
    blocks.tiny[:] = random.integers(0, 2, blocks.tiny.shape) * blocks.fine.repeat(2, 0).repeat(2, 1)
    symbols = np.full((ROWS, COLUMNS, SAMPLES), 7, np.int16)
    costs = random.uniform(0, 8, (ROWS, COLUMNS)).astype(np.float32)
    costs[units[0, 0], units[0, 1]] = 99
    # some just not cheap enough, some just so
    for n, (r, c) in enumerate(units[1:], 1):
        cost = chosen(values[n], rates)[0] + float(lost[n]) + float(CODED_BITS) * PRICE
        costs[r : r + 2, c : c + 2] = (cost - PRICE * bool(blocks.coded[r : r + 2, c : c + 2].any())) / 4
        costs[r, c] += 0.02 * (-1) ** n
    before = {name: getattr(blocks, name).copy() for name in ("pred", "merged", "large", "coded", "fine", "tiny")}
    settle_units(
        values, lost, costs, rates, PRICE, units, blocks.large, blocks.coded, blocks.fine, blocks.tiny, symbols,
    )  # fmt: skip
    whole = np.zeros((ROWS, COLUMNS), bool)
    for n, (r, c) in enumerate(units):
        unit = np.s_[r : r + 2, c : c + 2]
        cost, wanted = chosen(values[n], rates)
        separate = float(costs[unit].sum()) + PRICE * bool(before["coded"][unit].any())
        if cost + lost[n] + float(CODED_BITS) * PRICE < separate and wanted.any():
            whole[unit] = True
            assert np.array_equal(symbols[r, c], wanted)
            assert not symbols[unit].reshape(4, SAMPLES)[1:].any()
    assert whole.any()
    assert not whole[units[1:, 0], units[1:, 1]].all()
    assert not whole[units[0, 0], units[0, 1]]  # nothing is left of it
    assert (symbols[~whole] == 7).all()
    assert np.array_equal(blocks.large == WHOLE, whole)
    assert np.array_equal(blocks.coded, np.where(whole, 1, before["coded"]))
    assert np.array_equal(blocks.fine, np.where(whole, 0, before["fine"]))
    assert np.array_equal(blocks.tiny, np.where(whole.repeat(2, 0).repeat(2, 1), 0, before["tiny"]))
    for name in ("pred", "merged"):
        assert np.array_equal(getattr(blocks, name), before[name])


@pytest.mark.parametrize("chroma", [0, 10, 15])
@pytest.mark.parametrize("kind", [FIRST, SECOND, BOTH])
def test_the_exact_cost_of_a_prediction_is_what_its_block_costs_in_cosines(
    weights: Weights, kind: int, chroma: int
) -> None:
    """As `settle_inter` finds from the same prediction transformed by cosines, of blocks that are coded, in the coarse
    and the fine transform, and of one that is not."""
    # a step by which no coefficient is exactly 0.6, where `quantise` begins to count
    random, weight, step, midway = np.random.default_rng(kind), chroma_weight(chroma), 208, chroma > 5
    first, second = (
        tuple(padded(smoothed(random, 16 * ROWS // s, 16 * COLUMNS // s), PAD // s) for s in (1, 2, 2))
        for _ in range(2)
    )
    vectors = random.integers(-30, 31, (2, 2 * ROWS, 2 * COLUMNS, 2)).astype(np.int32)
    vectors[:, :, :6] = vectors[:, ::2, :6].repeat(2, 1)  # some of one motion
    vectors[:, :, :6] = vectors[:, :, :6:2].repeat(2, 2)
    kinds = np.full((2 * ROWS, 2 * COLUMNS), kind, np.uint8)
    kinds[:, 8:] = random.integers(1, 4, kinds[:, 8:].shape)  # and some in parts
    for ref in range(2):
        vectors[ref][kinds & (1 << ref) == 0] = 0
    predicted, trial = (
        tuple(np.zeros((16 * ROWS // s, 16 * COLUMNS // s), np.uint8) for s in (1, 2, 2)) for _ in range(2)
    )
    compensate(first, second, kinds, vectors, midway, 0, ROWS, *predicted)
    picture = tuple(np.clip(p + random.normal(0, 12, p.shape), 0, 255).astype(np.uint8) for p in predicted)
    for a, b in zip(picture, predicted, strict=True):
        side = len(a) // ROWS
        a[:side, :side] = b[:side, :side]
        # of some blocks a quarter of the noise, of some a sixteenth, by cosines of their own
        for row in range(1, ROWS):
            for part, columns in ((2, (1, 4)), (4, (2, 5))):
                n = side // part
                for column in columns:
                    at = np.s_[side * row : side * (row + 1), side * column : side * (column + 1)]
                    own = np.cos(np.arange(n) * 1.9 + row)[:, None] * np.cos(np.arange(n) * 1.3 + column) * 60
                    a[at] = b[at]
                    a[at][:n, :n] = (b[at][:n, :n] + own).clip(0, 255)
    places = np.argwhere(kinds[::2, ::2] > 0)
    samples = np.empty((len(places), SAMPLES), np.float32)
    gather_residuals(*picture, *predicted, places, samples)
    samples[:, 256:] *= weight
    samples *= 16 / step
    # with tiny transforms, which trials leave out, too dear to be chosen
    rates = tuple(r + np.float32(1000) * (n == 2) for n, r in enumerate(weights.bases.rates))
    blocks = Blocks(ROWS, COLUMNS)
    parts = samples, samples[:, QUARTERS], samples[:, TINY], samples[:, TINY_CHROMA]
    coefficients = tuple((p @ dct_columns(transform)).astype(np.float32) for transform, p in enumerate(parts))
    symbols, costs = np.zeros((ROWS, COLUMNS, SAMPLES), np.int16), np.zeros((ROWS, COLUMNS), np.float32)
    errors = (samples * samples).sum(1)
    settle_inter(
        coefficients, errors, rates, PRICE, places, blocks.merged, blocks.coded, blocks.fine, blocks.tiny,
        symbols, costs,
    )  # fmt: skip
    one, two, room = np.empty((16, 16), np.int32), np.empty((16, 16), np.int32), room_for_trial()
    for r, c in places:
        cost = exact_cost(
            picture, first, second, kinds, vectors, midway, r, c, False, step, weight, rates, PRICE, one, two, trial,
            room, room_for_flow(),
        )  # fmt: skip
        assert cost == pytest.approx(costs[r, c], rel=1e-3)
    assert all(np.array_equal(a, b) for a, b in zip(trial, predicted, strict=True))
    assert blocks.coded.any()
    assert not blocks.coded[0, 0]
    assert (blocks.coded > blocks.fine).any()
    assert blocks.fine.any()
    assert not blocks.tiny.any()


def smoothed(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    values = random.normal(0, 60, (height + 4, width + 4)).cumsum(0).cumsum(1)
    return (
        (128 + 60 * np.sin(values[4:, 4:] / 200) + random.normal(0, 3, (height, width))).clip(0, 255).astype(np.uint8)
    )
