# SPDX-License-Identifier: Apache-2.0
"""How inter blocks are transformed, or not at all: the cheapest of what there is, with all that comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.kernels.analysis import UNIT_BITS, analyse, arranged
from nvcodec.models.kernels.compensation import BOTH, FIRST, PAD, SECOND, compensate, padded
from nvcodec.models.kernels.frame_intra import all_unit_cosines
from nvcodec.models.kernels.inter import (
    CODED_BITS,
    LEAST_BITS,
    QUARTERS,
    ROUGHLY,
    TINY,
    TINY_BITS,
    TINY_CHROMA,
    cheaper,
    exact_cost,
    settle_inter,
    settle_units,
)
from nvcodec.models.kernels.residual import RATE_CLASSES, SAMPLES, gather_residuals, quantise
from nvcodec.models.kernels.syntax import SHARED, WHOLE
from nvcodec.models.quality import LOWEST, bit_price
from nvcodec.models.transform import chroma_weight, dct_columns, summed

ROWS, COLUMNS = 4, 6
SIZES = (384, 96, 16, 32, 384)
PRICE = bit_price(LOWEST + 16)  # of a bit, squared steps
STEP = 208  # sixteenths; one by which no coefficient is exactly 0.6, where `quantise` begins to count
COSINES = tuple(arranged(np.rint(dct_columns(t).T[None] * (1 << UNIT_BITS))) for t in range(5))  # as if learned


def random_rates(random: np.random.Generator) -> tuple[np.ndarray, ...]:
    """(2, RATE_CLASSES, n + 1, 3) of each transform: the later and the larger a symbol the dearer."""
    found = []
    for n in SIZES:
        share = 0.7 * np.exp(-np.arange(n) / (n / 6 * random.uniform(0.5, 2, (2, RATE_CLASSES, 1))))
        rates = np.stack([-np.log2(1 - share), 1.5 - np.log2(share), 3 - np.log2(share)], -1)
        found.append(summed(rates.astype(np.float32)))
    return tuple(found)


@dataclass
class Scene:
    """A picture and what is predicted of it: of some blocks everything, of some all but noise, of some all but noise in
    a quarter or a sixteenth."""

    picture: tuple[np.ndarray, ...]
    predicted: tuple[np.ndarray, ...]
    weight: np.float32

    def samples(self, places: np.ndarray) -> np.ndarray:
        """(N, 384) what is left of blocks, in steps, chroma weighted."""
        samples = np.empty((len(places), SAMPLES), np.float32)
        gather_residuals(*self.picture, *self.predicted, places, samples)
        samples[:, 256:] *= self.weight
        return samples * np.float32(4 / STEP)


def scene(random: np.random.Generator, predicted: tuple[np.ndarray, ...], weight: np.float32) -> Scene:
    picture = tuple(np.clip(p + random.normal(0, 48, p.shape), 0, 1023).astype(np.uint16) for p in predicted)
    for a, b in zip(picture, predicted, strict=True):
        side = len(a) // ROWS
        a[:side, :side] = b[:side, :side]
        # of some blocks a quarter of the noise, of some a sixteenth, by cosines of their own
        for row in range(1, ROWS):
            for part, columns in ((2, (1, 4)), (4, (2, 5))):
                n = side // part
                for column in columns:
                    at = np.s_[side * row : side * (row + 1), side * column : side * (column + 1)]
                    own = np.cos(np.arange(n) * 1.9 + row)[:, None] * np.cos(np.arange(n) * 1.3 + column) * 240
                    a[at] = b[at]
                    a[at][:n, :n] = (b[at][:n, :n] + own).clip(0, 1023)
    return Scene(picture, predicted, weight)


def random_scene(seed: int) -> Scene:
    random = np.random.default_rng(seed)
    predicted = tuple(smoothed(random, 16 * ROWS // s, 16 * COLUMNS // s) for s in (1, 2, 2))
    return scene(random, predicted, chroma_weight(seed % 4 * 5))


def chosen(values: np.ndarray, rates: np.ndarray) -> tuple[float, np.ndarray]:
    symbols = np.zeros(len(values), np.int16)
    return float(quantise(values.astype(np.float32), rates, PRICE, symbols)), symbols


def cosines_of(samples: np.ndarray, transform: int, factor: float = 1.0) -> np.ndarray:
    """As the encoder finds them: products of rounded numbers (see test_kernels_analysis.py)."""
    out = np.zeros(len(samples), np.float32)
    analyse(COSINES[transform][0], samples.astype(np.float32), np.float32(factor), len(samples), out)
    return out


def quarter_choice(samples: np.ndarray, rates: tuple[np.ndarray, ...], q: int) -> tuple[float, int, np.ndarray]:
    """Cost, whether it is tiny, and symbols (96,) of a quarter of a block's samples."""
    whole, symbols = chosen(cosines_of(samples[QUARTERS[q]], 1), rates[1][0])
    cost, chroma = chosen(cosines_of(samples[TINY_CHROMA[q]], 3), rates[3][0])
    tiny = np.zeros((16, 6), np.int16)  # four squares of luma, two of chroma
    tiny[:, 4:] = chroma.reshape(16, 2)
    for square in range(4):
        more, tiny[:, square] = chosen(cosines_of(samples[TINY[q, square]], 2), rates[2][0])
        cost += more
    return (cost, 1, tiny.ravel()) if cost < whole else (whole, 0, symbols)


@pytest.mark.parametrize("seed", range(4))
def test_blocks_take_the_cheapest_transform_or_none(seed: int) -> None:
    random, rates = np.random.default_rng(seed), random_rates(np.random.default_rng(seed + 50))
    of, blocks = random_scene(seed), Blocks(ROWS, COLUMNS)
    symbols, costs = np.zeros((ROWS, COLUMNS, SAMPLES), np.int16), np.zeros((ROWS, COLUMNS), np.float32)
    coefficients = np.full(symbols.shape, np.nan, np.float32)
    blocks.pred[:] = random.random((ROWS, COLUMNS)) < 0.9
    blocks.pred[0, 0] = 1
    blocks.merged[:], kinds = random.integers(0, 2, blocks.merged.shape), set()
    for begin, end in ((0, 2), (2, ROWS)):
        settle_inter(
            of.picture, of.predicted, np.full((ROWS, COLUMNS), STEP, np.int32), of.weight, COSINES, rates, PRICE,
            blocks.pred, blocks.merged, blocks.coded, blocks.fine, blocks.tiny, symbols, coefficients, costs, begin,
            end,
        )  # fmt: skip
    places = np.argwhere(blocks.pred > 0)
    for (r, c), samples in zip(places, of.samples(places).astype(float), strict=True):
        error = float((samples * samples).sum())
        coarse, whole = chosen(cosines_of(samples, 0), rates[0][0])
        coarse += float(CODED_BITS) * PRICE
        quarters = [quarter_choice(samples, rates, q) for q in range(4)]
        fine = float(CODED_BITS + 4 * TINY_BITS) * PRICE + sum(cost for cost, _, _ in quarters)
        nothing = error + PRICE * (0.5 if blocks.merged[r, c] else 1.0)
        is_fine = fine < coarse
        wanted = np.stack([s for _, _, s in quarters], 1).ravel() if is_fine else whole
        is_coded = error > LEAST_BITS * PRICE and nothing > min(coarse, fine) and bool(wanted.any())
        tiny = [[quarters[2 * i + j][1] if is_coded and is_fine else 0 for j in range(2)] for i in range(2)]
        assert blocks.coded[r, c] == is_coded
        assert blocks.fine[r, c] == (is_coded and is_fine)
        assert blocks.tiny[2 * r : 2 * r + 2, 2 * c : 2 * c + 2].tolist() == tiny
        assert np.array_equal(symbols[r, c], wanted if is_coded else 0 * wanted)
        least = error if error <= LEAST_BITS * PRICE else nothing
        assert costs[r, c] == pytest.approx(min(coarse, fine) if is_coded else least, rel=1e-3, abs=1e-4)
        kinds.add((is_coded, bool(is_coded and is_fine), any(map(any, tiny))))
    assert len(kinds) > 2
    found = coefficients[blocks.coded > 0]
    assert np.abs(np.abs(found) - np.abs(symbols[blocks.coded > 0])).max() < 1.6
    assert not (np.sign(found) * symbols[blocks.coded > 0] < 0).any()
    others = blocks.pred == 0
    assert not blocks.coded[others].any()
    assert not symbols[others].any()
    assert not costs[others].any()


@pytest.mark.parametrize("seed", range(6))
def test_units_are_transformed_as_a_whole_where_that_is_cheaper(seed: int) -> None:
    """Cheaper than the four blocks and saying that they are coded each on its own; and not where nothing would be
    left of it."""
    random, rates = np.random.default_rng(seed), random_rates(np.random.default_rng(seed + 50))
    of, blocks = random_scene(seed), Blocks(ROWS, COLUMNS)
    units = np.argwhere(np.ones((ROWS // 2, COLUMNS // 2), bool)) * 2
    blocks.pred[:], blocks.large[:] = 1, SHARED
    blocks.large[2:, 4:] = 0
    blocks.coded[:] = random.integers(0, 2, blocks.coded.shape)
    blocks.fine[:] = random.integers(0, 2, blocks.fine.shape) * blocks.coded
    blocks.tiny[:] = random.integers(0, 2, blocks.tiny.shape) * blocks.fine.repeat(2, 0).repeat(2, 1)
    symbols, costs = np.full((ROWS, COLUMNS, SAMPLES), 7, np.int16), np.zeros((ROWS, COLUMNS), np.float32)
    coefficients = np.full(symbols.shape, np.nan, np.float32)
    cosines, wanted = np.empty((len(units), SAMPLES), np.float32), {}
    all_unit_cosines(of.picture, of.predicted, units, of.weight, cosines)
    for n, (r, c) in enumerate(units):
        unit = np.s_[r : r + 2, c : c + 2]
        samples = of.samples(np.array([(i, j) for i in (r, r + 1) for j in (c, c + 1)])).astype(float)
        values = cosines[n].astype(float) * 4 / STEP
        lost = float((samples * samples).sum() - (values * values).sum())
        cost, wanted[r, c] = chosen(cosines_of(cosines[n], 4, 4 / STEP), rates[4][0])
        cost += lost + float(CODED_BITS) * PRICE
        # some just not cheap enough, some just so
        costs[unit] = (cost - PRICE * bool(blocks.coded[unit].any())) / 4 + 0.05 * (-1) ** n
    before = {name: getattr(blocks, name).copy() for name in ("pred", "merged", "large", "coded", "fine", "tiny")}
    settle_units(
        of.picture, of.predicted, np.full((ROWS, COLUMNS), STEP, np.int32), of.weight, COSINES, rates, PRICE, costs,
        blocks.large, blocks.pred, blocks.coded, blocks.fine, blocks.tiny, symbols, coefficients,
    )  # fmt: skip
    whole = np.zeros((ROWS, COLUMNS), bool)
    for n, (r, c) in enumerate(units):
        unit = np.s_[r : r + 2, c : c + 2]
        if n % 2 == 0 and before["large"][r, c] == SHARED and wanted[r, c].any():
            whole[unit] = True
            assert np.array_equal(symbols[r, c], wanted[r, c])
            assert not symbols[unit].reshape(4, SAMPLES)[1:].any()
    assert whole.any()
    first = whole & ~(np.indices(whole.shape) % 2).any(0)
    assert np.abs(np.abs(coefficients[first]) - np.abs(symbols[first])).max() < 1.6
    assert np.isnan(coefficients[~first]).all()
    assert (symbols[~whole] == 7).all()
    assert np.array_equal(blocks.large, np.where(whole, WHOLE, before["large"]))
    assert np.array_equal(blocks.coded, np.where(whole, 1, before["coded"]))
    assert np.array_equal(blocks.fine, np.where(whole, 0, before["fine"]))
    assert np.array_equal(blocks.tiny, np.where(whole.repeat(2, 0).repeat(2, 1), 0, before["tiny"]))
    for name in ("pred", "merged"):
        assert np.array_equal(getattr(blocks, name), before[name])
    assert ROUGHLY > 1


@pytest.mark.parametrize("chroma", [0, 10, 15])
@pytest.mark.parametrize("kind", [FIRST, SECOND, BOTH])
def test_the_exact_cost_of_a_prediction_is_what_its_block_costs_in_cosines(
    weights: Weights, kind: int, chroma: int
) -> None:
    """As `settle_inter` finds from the same prediction transformed by cosines, of blocks that are coded, in the coarse
    and the fine transform, and of one that is not."""
    random, midway = np.random.default_rng(kind), chroma > 5
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
        tuple(np.zeros((16 * ROWS // s, 16 * COLUMNS // s), np.uint16) for s in (1, 2, 2)) for _ in range(2)
    )
    compensate(first, second, kinds, vectors, midway, 0, ROWS, *predicted)
    of, blocks = scene(random, predicted, chroma_weight(chroma)), Blocks(ROWS, COLUMNS)
    # with tiny transforms, which trials leave out, too dear to be chosen
    rates = tuple(r + np.float32(1000) * (n == 2) for n, r in enumerate(weights.bases.summed_rates))
    symbols, costs = np.zeros((ROWS, COLUMNS, SAMPLES), np.int16), np.zeros((ROWS, COLUMNS), np.float32)
    coefficients = np.full(symbols.shape, np.nan, np.float32)
    blocks.pred[:] = kinds[::2, ::2]
    settle_inter(
        of.picture, predicted, np.full((ROWS, COLUMNS), STEP, np.int32), of.weight, COSINES, rates, PRICE, blocks.pred,
        blocks.merged, blocks.coded, blocks.fine, blocks.tiny, symbols, coefficients, costs, 0, ROWS,
    )  # fmt: skip
    for r, c in np.ndindex(costs.shape):
        error, coded_cost = exact_cost(
            of.picture, first, second, kinds, vectors, midway, r, c, STEP, of.weight, rates, PRICE, trial
        )
        if costs[r, c] > LEAST_BITS * PRICE:
            assert cheaper(error, coded_cost, PRICE, False) == pytest.approx(costs[r, c], rel=4e-3)
        else:
            assert error == pytest.approx(costs[r, c], rel=1e-3)
    assert all(np.array_equal(a, b) for a, b in zip(trial, predicted, strict=True))
    assert blocks.coded.any()
    assert not blocks.coded[0, 0]
    assert (blocks.coded > blocks.fine).any()
    assert blocks.fine.any()
    assert not blocks.tiny.any()


def smoothed(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    values = random.normal(0, 60, (height + 4, width + 4)).cumsum(0).cumsum(1)
    samples = 512 + 240 * np.sin(values[4:, 4:] / 200) + random.normal(0, 12, (height, width))
    return samples.clip(0, 1023).astype(np.uint16)
