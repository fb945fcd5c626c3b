# SPDX-License-Identifier: Apache-2.0
"""Residuals as sums of basis pictures, against matrix products; the encoder's way back; its choice of symbols."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest

from nvcodec.models.conditional.weights import Weights
from nvcodec.models.kernels.analysis import analyse
from nvcodec.models.kernels.frame_intra import unit_cosines
from nvcodec.models.kernels.inter import QUARTERS, TINY, TINY_CHROMA
from nvcodec.models.kernels.residual import (
    LARGE_CHROMA_COSINES,
    LARGE_COSINES,
    MAX_COEFFICIENT,
    RATE_CLASSES,
    add_block,
    add_inter_residuals,
    add_unit,
    energies,
    gather_residuals,
    quantise,
    rate_class,
    synthesise,
    synthesise_large,
    transform_class,
)
from nvcodec.models.kernels.syntax import ALONE, SHARED, WHOLE
from nvcodec.models.quality import CHROMA_SCALES, STEPS
from nvcodec.models.transform import (
    ANGLES,
    CHROMA_WEIGHT,
    CLASSES,
    LEARNED_CLASSES,
    SIDES,
    BlockBases,
    bases_of,
    chroma_weight,
    dct_columns,
    integer_basis,
    sample_weights,
    summed,
    turned,
)

SAMPLES, MODES = 384, 35
LUMA = 256  # of the samples, before those of chroma
LARGE = 4  # of the transforms
SCALES = [int(scale) for scale in CHROMA_SCALES]  # of chroma's residual, 256ths
PLAIN = 256  # leaves chroma as it is
COARSEST = int(STEPS[0])
# modes of each class of upright angles, from left to right
UPRIGHT = (range(18, 22), range(22, 25), range(25, 28), range(28, 31), range(31, 35))
OF_CLASS = [8, 1, 20, 22, 26, 29, 33, 16, 12, 10, 7, 3]  # a mode of each class (of the first: inter blocks)


@pytest.fixture(scope="module", params=["shipped", "cosines"])
def bases(request: pytest.FixtureRequest, weights: Weights) -> BlockBases:
    """The transforms of the model, and those that training starts with."""
    if request.param == "shipped":
        return weights.bases
    pictures = tuple(np.stack([integer_basis(dct_columns(n), n)] * LEARNED_CLASSES) for n in range(len(SIDES)))
    return bases_of(pictures, weights.bases.rates)


def class_of(inter: bool, mode: int) -> int:
    """Inter, no direction, upright from left to right, and those on their side, which go from top to bottom."""
    if inter:
        return 0
    if mode < 2:
        return 1
    upright = max(mode, 36 - mode)
    (found,) = (n for n, modes in enumerate(UPRIGHT) if upright in modes)
    return 2 + found + (5 if mode < 18 else 0)


def coefficient_matrix(bases: BlockBases, classes: np.ndarray, fine: bool, tiny: np.ndarray) -> np.ndarray:
    """(384, 384) float64: sample values, four of each outside, of each coefficient of a
    sixteenth of one outside, put together from the docstring.

    classes: (4, 4) of the 4x4 squares.
    """
    scale = 1 / (1 << 14) / 4
    if not fine:
        return bases.pictures[0][classes[0, 0]].T.astype(np.float64) * scale
    luma, chroma = np.arange(256).reshape(16, 16), np.arange(256, 384).reshape(2, 8, 8)
    out = np.zeros((SAMPLES, SAMPLES))
    for q in range(4):
        rows, columns = slice(8 * (q // 2), 8 * (q // 2) + 8), slice(8 * (q % 2), 8 * (q % 2) + 8)
        squares = classes[2 * (q // 2) :, 2 * (q % 2) :][:2, :2]
        y, uv = luma[rows, columns], chroma[:, rows.start // 2 : rows.stop // 2, columns.start // 2 : columns.stop // 2]
        if not tiny[q // 2, q % 2]:
            for k in range(96):
                out[np.concatenate([y.ravel(), uv.ravel()]), 4 * k + q] = bases.pictures[1][squares[0, 0], k]
            continue
        for s in range(4):
            part = y[4 * (s // 2) : 4 * (s // 2) + 4, 4 * (s % 2) : 4 * (s % 2) + 4]
            for k in range(16):
                out[part.ravel(), 4 * (6 * k + s) + q] = bases.pictures[2][squares[s // 2, s % 2], k]
        for k in range(16):
            for j in range(2):
                out[uv.ravel(), 4 * (6 * k + 4 + j) + q] = bases.pictures[3][squares[0, 0], 2 * k + j]
    return out * scale


def analysed(bases: BlockBases, kind: int, which: int, samples: np.ndarray) -> np.ndarray:
    """Coefficients of samples, as the encoder finds them."""
    out = np.zeros(len(samples), np.float32)
    analyse(bases.analysis[kind][which], samples.astype(np.float32), np.float32(1), len(samples), out)
    return out


def transforms() -> list[tuple[bool, np.ndarray]]:
    fine = [(True, np.array([[n & 1, n >> 1 & 1], [n >> 2 & 1, n >> 3 & 1]], np.uint8)) for n in (0, 1, 2, 4, 8, 9, 15)]
    return [(False, np.zeros((2, 2), np.uint8)), *fine]


def random_symbols(random: np.random.Generator, size: int, share: float) -> np.ndarray:
    symbols = random.integers(-size, size + 1, SAMPLES) * (random.random(SAMPLES) < share)
    return symbols.astype(np.int16)


def all_of(mode: int) -> np.ndarray:
    return np.full((4, 4), mode, np.uint8)


def scaled(values: np.ndarray, scale: int) -> np.ndarray:
    """Samples (384,) whose chroma is so many 256ths."""
    out = values.astype(np.float64)
    out[LUMA:] *= scale / 256
    return out


def test_classes_of_modes() -> None:
    for mode in range(MODES):
        assert transform_class(True, mode) == 0
        assert transform_class(False, mode) == class_of(False, mode)
    assert [class_of(n == 0, mode) for n, mode in enumerate(OF_CLASS)] == list(range(CLASSES))


@pytest.mark.parametrize("seed", range(6))
def test_synthesis_is_a_matrix_product(bases: BlockBases, seed: int) -> None:
    """Each square in the class of its mode; chroma is scaled before anything is rounded."""
    random, out = np.random.default_rng(seed), np.zeros(SAMPLES, np.int32)
    kinds = ((64, 3, 0.1), (1024, 4, 0.02), (COARSEST, 2, 0.02), (200, 200, 0.02), (64, 50, 1.0), (1, 32767, 0.005))
    for fine, tiny in transforms():
        for step, size, share in kinds:
            inter, modes = seed == 0, random.integers(0, MODES, (4, 4)).astype(np.uint8)
            classes = np.array([[class_of(inter, int(mode)) for mode in row] for row in modes])
            symbols = random_symbols(random, size, share)
            values = (symbols.astype(np.int64) * step).clip(-MAX_COEFFICIENT, MAX_COEFFICIENT)
            exact = coefficient_matrix(bases, classes, fine, tiny) @ values
            assert np.abs(exact).max() < 1 << 15  # or sums would wrap
            for scale in SCALES:
                synthesise(symbols, step, scale, inter, int(fine), tiny, modes, bases.pictures, out)
                assert np.array_equal(out, np.floor(scaled(exact, scale) + 0.5)), (fine, tiny, step, scale)


@pytest.mark.parametrize(("step", "first"), [(1024, 128), (COARSEST, 35)])
def test_coefficients_beyond_the_limit_are_the_limit(bases: BlockBases, step: int, first: int) -> None:
    """2^17, which is the first symbol that reaches it, or what is left of that."""
    found = np.zeros(SAMPLES, np.int32)
    for symbol, scale in itertools.product((-32768, first, 32767), SCALES):
        symbols = np.zeros(SAMPLES, np.int16)
        symbols[5] = symbol
        synthesise(symbols, step, scale, True, 0, np.zeros((2, 2), np.uint8), all_of(0), bases.pictures, found)
        exact = bases.pictures[0][0, 5].astype(float) * np.sign(symbol) * MAX_COEFFICIENT / (1 << 16)
        assert np.array_equal(found, np.floor(scaled(exact, scale) + 0.5))
        units = np.zeros((2, 3, 32, 32), np.int32)
        synthesise_large(symbols, step, scale, True, 0, bases.pictures, units[0])
        symbols[5] = first * np.sign(symbol)
        synthesise_large(symbols, step, scale, True, 0, bases.pictures, units[1])
        assert np.array_equal(*units)
        assert units.any()
        symbols[5] = (first - 1) * np.sign(symbol)
        synthesise_large(symbols, step, scale, True, 0, bases.pictures, units[1])
        assert not np.array_equal(*units)


def test_the_largest_symbols_everywhere_do_no_harm(bases: BlockBases) -> None:
    """Hostile symbols may make sums wrap; planes stay what they are and every machine gets the same."""
    random = np.random.default_rng(0)
    planes = [np.full(shape, 512, np.uint16) for shape in ((32, 32), (16, 16), (16, 16))]
    first, again = np.zeros(SAMPLES, np.int32), np.zeros(SAMPLES, np.int32)
    for (fine, tiny), step, scale in itertools.product(transforms(), (1024, COARSEST), (min(SCALES), max(SCALES))):
        symbols = random.choice([-32768, 32767], SAMPLES).astype(np.int16)
        for out in (first, again):
            synthesise(symbols, step, scale, False, int(fine), tiny, all_of(30), bases.pictures, out)
        assert np.array_equal(first, again)
        add_block(*planes, 0, 0, first)
    units = np.zeros((2, 3, 32, 32), np.int32)
    for step, scale in itertools.product((1024, COARSEST), (min(SCALES), max(SCALES))):
        for unit in units:
            synthesise_large(symbols, step, scale, False, 9, bases.pictures, unit)
        assert np.array_equal(*units)
        add_unit(*planes, 0, 0, units[0])


def test_bases_are_orthonormal_within_rounding(bases: BlockBases) -> None:
    assert [len(b) for b in (bases.pictures, bases.analysis, bases.rates)] == [len(SIDES)] * 3
    for kind, sides in enumerate(SIDES):
        n = sum(side * side for side in sides)
        for pictures in bases.pictures[kind]:
            columns = pictures.astype(np.float64) * sample_weights(kind) / (1 << 14)
            # each entry is rounded to half a unit of 2^-14, chroma's weighted by 2.2; errors add up at random
            assert np.abs(columns @ columns.T - np.eye(n)).max() < 6 * 1.7 * 2**-15 * 2
            assert np.abs(columns.T @ columns - np.eye(n)).max() < 6 * 1.7 * 2**-15 * 2


def test_chroma_that_counts_more_is_scaled_less() -> None:
    """So that the same transforms fit: what the residual is multiplied with divides the weight."""
    assert PLAIN in SCALES
    assert sorted(SCALES, reverse=True) == SCALES
    for chroma, scale in enumerate(SCALES):
        weight = chroma_weight(chroma)
        assert weight.dtype == np.float32
        assert weight * scale == pytest.approx(CHROMA_WEIGHT * PLAIN, rel=1e-6)


@pytest.mark.parametrize("kind", range(len(SIDES)))
def test_samples_of_blocks_on_their_side(kind: int) -> None:
    """Each component turned by itself; twice is nothing."""
    n = sum(side * side for side in SIDES[kind])
    samples = np.random.default_rng(kind).permutation(n)
    wanted, first = [], 0
    for side in SIDES[kind]:
        wanted.append(samples[first : first + side * side].reshape(side, side).T.ravel())
        first += side * side
    assert np.array_equal(samples[turned(kind)], np.concatenate(wanted))
    assert np.array_equal(turned(kind)[turned(kind)], np.arange(n))


def test_flat_classes_are_upright_ones_on_their_side(bases: BlockBases) -> None:
    assert CLASSES == LEARNED_CLASSES + ANGLES
    for kind, pictures in enumerate(bases.pictures):
        assert pictures.shape == (CLASSES, *[sum(side * side for side in SIDES[kind])] * 2)
        for n in range(ANGLES):
            upright, flat = pictures[2 + n], pictures[LEARNED_CLASSES + n]
            assert np.array_equal(flat, upright[:, turned(kind)])


@pytest.mark.parametrize("mode", [19, 23, 26, 30, 34])
def test_residuals_turn_with_their_modes(bases: BlockBases, mode: int) -> None:
    """Of coarse blocks, of quarters of a fine one, and of units."""
    random = np.random.default_rng(mode)
    blocks, units = np.zeros((2, SAMPLES), np.int32), np.zeros((2, 3, 32, 32), np.int32)
    for fine, scale in itertools.product((0, 1), SCALES):
        symbols = random_symbols(random, 3, 0.1)
        # quarters change places, too
        other = symbols.reshape(96, 4)[:, [0, 2, 1, 3]].ravel() if fine else symbols
        for of, angle, out in ((symbols, mode, blocks[0]), (np.ascontiguousarray(other), 36 - mode, blocks[1])):
            quarters = np.zeros((2, 2), np.uint8)
            synthesise(of, 200, scale, False, fine, quarters, all_of(angle), bases.pictures, out)
        assert np.array_equal(blocks[1], blocks[0][turned(0)])
        assert blocks.any()
    for scale in SCALES:
        for angle, unit in ((mode, units[0]), (36 - mode, units[1])):
            synthesise_large(symbols, 200, scale, False, angle, bases.pictures, unit)
        luma, chroma = units[0, 0].T, units[0, 1:, :16, :16].transpose(0, 2, 1)
        # rounding goes by columns first, so that turned ones may be rounded the other way
        assert np.abs(units[1, 0] - luma).max() <= 1
        assert np.abs(units[1, 1:, :16, :16] - chroma).max() <= 1
        assert luma.any()
        assert chroma.any()


@pytest.mark.parametrize("chroma", range(len(SCALES)))
@pytest.mark.parametrize("which", range(CLASSES))
def test_analysis_and_synthesis_are_each_others_inverse(bases: BlockBases, which: int, chroma: int) -> None:
    """What the encoder measures with its own sample numbers comes back through the decoder's, to a sample value,
    however chroma counts."""
    random, out = np.random.default_rng(which), np.zeros(SAMPLES, np.int32)
    sample = random.integers(-240, 241, SAMPLES)
    weighted = np.where(np.arange(SAMPLES) < LUMA, sample, sample * chroma_weight(chroma)).astype(np.float32)
    for fine, tiny in transforms():
        coefficients = np.zeros(SAMPLES)
        if not fine:
            coefficients = analysed(bases, 0, which, weighted)
        for q in range(4 if fine else 0):
            if not tiny[q // 2, q % 2]:
                coefficients[4 * np.arange(96) + q] = analysed(bases, 1, which, weighted[QUARTERS[q]])
                continue
            for s in range(4):
                coefficients[4 * (6 * np.arange(16) + s) + q] = analysed(bases, 2, which, weighted[TINY[q, s]])
            k = np.arange(32)
            coefficients[4 * (6 * (k >> 1) + 4 + (k & 1)) + q] = analysed(bases, 3, which, weighted[TINY_CHROMA[q]])
        symbols, modes = np.rint(coefficients * 4).astype(np.int16), all_of(OF_CLASS[which])
        synthesise(symbols, 1, SCALES[chroma], which == 0, int(fine), tiny, modes, bases.pictures, out)
        assert np.abs(out - sample).max() <= 1


# --- units of 32x32


def cosines(n: int) -> np.ndarray:
    """(n/2, n) the lower half of the orthonormal cosines."""
    k, x = np.mgrid[: n // 2, :n]
    return np.sqrt(2 / n) * np.cos(np.pi * (2 * x + 1) * k / (2 * n)) * np.where(k == 0, np.sqrt(0.5), 1)


def from_cosines(values: np.ndarray, n: int, table: np.ndarray) -> np.ndarray:
    """Samples of lowest cosines, row by row: a product on either side."""
    return table.T @ values.reshape(n // 2, n // 2) @ table


def parts_of(unit: np.ndarray) -> list[np.ndarray]:
    return [unit[0], unit[1, :16, :16], unit[2, :16, :16]]


@pytest.mark.parametrize("n", [32, 16])
def test_cosines_are_orthonormal_and_pinned(n: int) -> None:
    exact, table = cosines(n), {32: LARGE_COSINES, 16: LARGE_CHROMA_COSINES}[n]
    assert np.allclose(exact @ exact.T, np.eye(n // 2))
    assert np.array_equal(table, np.rint(exact * 1024))
    assert np.abs(exact * 1024 % 1 - 0.5).min() > 9e-4  # any library rounds them alike
    product = table.astype(float) @ table.T / (1 << 20)
    assert np.abs(product - np.eye(n // 2)).max() < 4e-3
    digest = hashlib.sha256(table.astype("<i4").tobytes()).hexdigest()
    assert digest[:16] == {32: "5aa02e203f49d47a", 16: "312505a5b13614b9"}[n]


@pytest.mark.parametrize("which", range(CLASSES))
def test_units_are_sums_of_pictures_of_cosines(bases: BlockBases, which: int) -> None:
    random = np.random.default_rng(which)
    kinds = ((64, 3, 0.1), (1024, 4, 0.02), (COARSEST, 2, 0.02), (200, 200, 0.02), (64, 30, 1.0), (40, 0, 0.0))
    for (step, size, share), scale in itertools.product(kinds, SCALES):
        symbols, unit = random_symbols(random, size, share), np.full((3, 32, 32), -7, np.int32)
        if symbols.any():
            symbols[0] = size  # some of luma, even where few were drawn
        synthesise_large(symbols, step, scale, which == 0, OF_CLASS[which], bases.pictures, unit)
        coefficients = (symbols.astype(np.int64) * step).clip(-MAX_COEFFICIENT, MAX_COEFFICIENT)
        lowest = scaled(coefficients @ bases.pictures[LARGE][which].astype(np.int64) / (1 << 14), scale)
        rounded = np.floor(lowest + 0.5).astype(np.int64)
        for part, first, n, table in (
            (0, 0, 32, LARGE_COSINES),
            (1, 256, 16, LARGE_CHROMA_COSINES),
            (2, 320, 16, LARGE_CHROMA_COSINES),
        ):
            count, whole = (n // 2) ** 2, table.astype(np.int64)
            of = rounded[first : first + count].reshape(n // 2, n // 2)
            exact = ((((whole.T @ of + (1 << 7)) >> 8) @ whole) + (1 << 13)) >> 14
            assert np.array_equal(parts_of(unit)[part], exact)
            real = from_cosines(lowest[first : first + count], n, cosines(n)) / 4
            # cosines are right to 2^-11, which counts for large values
            assert np.abs(exact - real).max() < 0.6 + 2e-3 * np.abs(lowest).max()
        assert (unit[1:, 16:] == -7).all()
        assert (unit[1:, :, 16:] == -7).all()
        assert unit[0].any() == bool(symbols.any())


def in_second_unit(plane: np.ndarray) -> np.ndarray:
    """Of 3 x 2 units, the one at the right of the second row (a view)."""
    n = len(plane) // 3
    return plane[n : 2 * n, n:]


@pytest.mark.parametrize("chroma", range(len(SCALES)))
@pytest.mark.parametrize("which", [0, 1, 4, 9])
def test_what_is_measured_of_units_comes_back(bases: BlockBases, which: int, chroma: int) -> None:
    """Of differences that have only low cosines, to a sample value or two, however chroma counts."""
    weight = chroma_weight(chroma)
    random, weights = np.random.default_rng(which), (1, float(weight), float(weight))
    planes = [np.full((96 // s, 64 // s), 512, np.uint16) for s in (1, 2, 2)]
    source = [plane.copy() for plane in planes]
    differences = []
    for plane in source:
        n = plane.shape[1] // 2
        falling = random.normal(size=(n // 2, n // 2)) / (1 + np.add.outer(np.arange(n // 2), np.arange(n // 2)))
        samples = from_cosines(falling, n, cosines(n))
        differences.append(np.rint(samples * 400 / np.abs(samples).max()))
        in_second_unit(plane)[:] = 512 + differences[-1]
    found = np.zeros(SAMPLES, np.float32)
    total = unit_cosines(tuple(source), tuple(planes), 2, 2, weight, found)
    weighted = [w * part for w, part in zip(weights, differences, strict=True)]
    assert total == pytest.approx(sum((part**2).sum() for part in weighted), rel=1e-5)
    exact = np.concatenate([(cosines(len(part)) @ part @ cosines(len(part)).T).ravel() for part in weighted])
    assert np.abs(found - exact).max() < 2e-3 * np.abs(exact).max()
    assert (found.astype(float) ** 2).sum() == pytest.approx(total, rel=0.02)
    symbols = np.rint(analysed(bases, LARGE, which, found) * 4).astype(np.int16)
    unit = np.zeros((3, 32, 32), np.int32)
    synthesise_large(symbols, 1, SCALES[chroma], which == 0, OF_CLASS[which], bases.pictures, unit)
    add_unit(*planes, 2, 2, unit)
    for plane, wanted in zip(planes, source, strict=True):
        assert np.abs(plane.astype(int) - wanted).max() <= 2


def test_what_units_leave_out_is_known() -> None:
    """A checkerboard has next to nothing in its low cosines; all of it is in the squared error."""
    planes = [np.full((96 // s, 64 // s), 512, np.uint16) for s in (1, 2, 2)]
    source = [plane.copy() for plane in planes]
    for plane in source:
        unit = in_second_unit(plane)
        unit[:] = 472 + 80 * (np.indices(unit.shape).sum(0) % 2)
    found = np.zeros(SAMPLES, np.float32)
    total = unit_cosines(tuple(source), tuple(planes), 2, 2, np.float32(CHROMA_WEIGHT), found)
    assert total == pytest.approx(1600 * (1024 + 2 * 256 * CHROMA_WEIGHT**2), rel=1e-5)
    assert (found.astype(float) ** 2).sum() < 0.01 * total


# --- planes


def test_residuals_are_gathered_and_added_in_the_same_order(weights: Weights) -> None:
    random = np.random.default_rng(3)
    shapes = ((48, 32), (24, 16), (24, 16))
    picture = [random.integers(0, 1024, shape).astype(np.uint16) for shape in shapes]
    predicted = [random.integers(0, 1024, shape).astype(np.uint16) for shape in shapes]
    blocks = np.array([(r, c) for r in range(3) for c in range(2)])
    residuals = np.zeros((6, SAMPLES), np.float32)
    gather_residuals(*picture, *predicted, blocks, residuals)
    for (r, c), residual in zip(blocks, residuals, strict=True):
        add_block(*predicted, r, c, residual.astype(np.int32))
    assert all(np.array_equal(a, b) for a, b in zip(predicted, picture, strict=True))


@pytest.mark.parametrize("scale", SCALES)
def test_only_coded_inter_blocks_change_and_in_the_inter_class(weights: Weights, scale: int) -> None:
    """Of 5 x 5 blocks, among them units that are transformed as a whole: inter, intra and not coded."""
    random = np.random.default_rng(4)
    shapes = ((80, 80), (40, 40), (40, 40))
    planes = [random.integers(240, 760, shape).astype(np.uint16) for shape in shapes]
    pred, coded, fine = (random.integers(0, high, (5, 5)).astype(np.uint8) for high in (4, 2, 2))
    pred[4, 0], coded[4, 0], pred[4, 1], coded[4, 1] = 0, 1, 3, 1
    tiny, large = random.integers(0, 2, (10, 10)).astype(np.uint8), np.full((5, 5), ALONE, np.uint8)
    for r, c, kind, is_coded in ((0, 0, 2, 1), (0, 2, 0, 1), (2, 0, 1, 0), (2, 2, 3, 1)):
        unit = np.s_[r : r + 2, c : c + 2]
        pred[unit], coded[unit], large[unit], fine[unit] = kind, is_coded, WHOLE, 0
    large[2:4, 2:4] = SHARED  # one motion, blocks on their own
    symbols = random.integers(-3, 4, (5, 5, SAMPLES)).astype(np.int16)
    pictures = weights.bases.pictures
    found, wanted = [plane.copy() for plane in planes], [plane.copy() for plane in planes]
    steps = np.ascontiguousarray(random.integers(50, 200, (3, 3)).astype(np.int32).repeat(2, 0).repeat(2, 1)[:5, :5])
    for rows in ((0, 2), (2, 5)):
        add_inter_residuals(*found, pred, coded, fine, tiny, large, symbols, steps, scale, pictures, *rows)
    out, unit = np.zeros(SAMPLES, np.int32), np.zeros((3, 32, 32), np.int32)
    for r in range(5):
        for c in range(5):
            if not pred[r, c] or not coded[r, c]:
                continue
            size, parts = 1, np.split(out, [256, 320])
            if large[r, c] == WHOLE:
                if (r, c) != (0, 0):
                    continue
                size, parts = 2, parts_of(unit)
                synthesise_large(symbols[r, c], steps[r, c], scale, True, 0, pictures, unit)
            else:
                quarters = tiny[2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
                synthesise(symbols[r, c], steps[r, c], scale, True, fine[r, c], quarters, all_of(0), pictures, out)
            for plane, part, n in zip(wanted, parts, (16, 8, 8), strict=True):
                at = np.s_[n * r : n * (r + size), n * c : n * (c + size)]
                plane[at] = (plane[at].astype(int) + part.reshape(n * size, -1)).clip(0, 1023)
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    for a, b in zip(found, planes, strict=True):
        n = len(a) // 5
        changed = (a != b).reshape(5, n, 5, n).any((1, 3))
        assert np.array_equal(changed, (pred > 0) & (coded > 0))


def best_of_those_considered(
    coefficients: np.ndarray, symbols: np.ndarray, rates: np.ndarray, price: float
) -> tuple[bool, float]:
    """Whether each symbol is the cheapest of 0, the nearest magnitude and the one below it, by rates (n, 3) of one
    class; and what all of them cost."""
    total, all_best = 0.0, True
    for value, symbol, (zero, one, more) in zip(coefficients, symbols, rates.astype(np.float64), strict=True):
        size = abs(float(value))
        near = int(size + 0.5)
        options = {0, *(q for q in (near - 1, near) if q > 0)} if size > 0.4 else {0}
        bits = {q: zero if q == 0 else one if q == 1 else more + 2 * np.log2(q - 1) for q in options}
        costs = {q: (size - q) ** 2 + price * bits[q] for q in options}
        best, found = min(costs.values()), costs.get(abs(int(symbol)))
        if found is None or found > best + 1e-4 * max(1, best):
            all_best, found = False, np.inf
        total += found
    return all_best, total


@pytest.mark.parametrize("price", [0.01, 0.1155, 1.0])
def test_every_symbol_is_the_best_of_those_considered(weights: Weights, price: float) -> None:
    """By the rates of one class, which is that of as many symbols as were found, unless that does not settle."""
    random, settled = np.random.default_rng(5), []
    tables = [weights.bases.rates[0][0], random.random((RATE_CLASSES, SAMPLES, 3)).astype(np.float32) * 9]
    for spread, rates, _ in itertools.product((0.2, 0.7, 3.0, 40.0), tables, range(3)):
        coefficients = (random.normal(size=SAMPLES) * spread).astype(np.float32)
        symbols = np.full(SAMPLES, 99, np.int16)
        cost = quantise(coefficients, summed(rates), np.float32(price), symbols)
        assert (coefficients[symbols != 0] * symbols[symbols != 0] > 0).all()
        fitting = []
        for of_class in range(RATE_CLASSES):
            best, total = best_of_those_considered(coefficients, symbols, rates[of_class], price)
            if best and cost == pytest.approx(total, rel=1e-3):
                fitting.append(of_class)
        assert fitting
        settled.append(rate_class(np.count_nonzero(symbols)) in fitting)
    assert np.mean(settled) > 0.75


def one_price_for_all(ones: dict[int, float]) -> np.ndarray:
    """Rates of 16 coefficients in which zeros are free: bits of all others by class, 1 where nothing is said."""
    rates = np.zeros((RATE_CLASSES, 16, 3), np.float32)
    rates[:, :, 1:] = 1
    for of_class, bits in ones.items():
        rates[of_class, :, 1:] = bits
    return rates


def test_rates_are_those_of_as_many_symbols_as_are_found() -> None:
    """Not of as many as there seemed to be at first, which are 16 here, of the fifth class."""
    coefficients, symbols = np.full(16, 0.7, np.float32), np.full(16, 99, np.int16)
    error = float(np.sum(coefficients**2))
    rates = one_price_for_all({4: 9, 0: 9})
    rates[0, :, 0] = 0.25  # by which nothing costs four bits, and not none
    assert quantise(coefficients, summed(rates), np.float32(1), symbols) == pytest.approx(error + 4)
    assert not symbols.any()
    rates = one_price_for_all({4: 0.1, 3: 0.2})
    rates[3:5, 5:, 1:] = 9  # five of them are worth it, which is the fourth class
    assert quantise(coefficients, summed(rates), np.float32(1), symbols) == pytest.approx(5 * 0.29 + 11 * 0.49)
    assert symbols.tolist() == [1] * 5 + [0] * 11


def test_rates_that_never_settle_give_symbols_and_what_they_cost() -> None:
    """Many symbols make them dear, and few make them cheap: which they are does not matter, but cost must be theirs."""
    coefficients, symbols = np.full(16, -0.7, np.float32), np.full(16, 99, np.int16)
    rates = one_price_for_all({4: 9, 0: 0.01})
    rates[4, :, 0] = 0.5
    cost = quantise(coefficients, summed(rates), np.float32(1), symbols)
    assert set(symbols.tolist()) in ({0}, {-1})
    assert cost == pytest.approx(16 * (0.09 + 0.01) if symbols.any() else 16 * (0.49 + 0.5))


def test_a_higher_price_gives_fewer_symbols() -> None:
    random = np.random.default_rng(6)
    coefficients = random.normal(size=SAMPLES).astype(np.float32)
    rates = np.cumsum(random.uniform(0.2, 4, (RATE_CLASSES, SAMPLES, 3)), -1).astype(np.float32)
    counts = []
    for price in (0.0, 0.05, 0.1155, 0.3, 1.0, 100.0):
        symbols = np.zeros(SAMPLES, np.int16)
        quantise(coefficients, summed(rates), np.float32(price), symbols)
        counts.append(int(np.abs(symbols).sum()))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == np.abs(np.rint(coefficients)).sum()
    assert counts[-1] == 0


def test_energies_are_classes_of_counts() -> None:
    ends = (1, 2, 4, 8, 16, 32, 64, 112, 176, 384)  # the most symbols of each class
    counts = np.arange(SAMPLES + 1)
    wanted = np.searchsorted(ends, counts)
    assert [rate_class(int(n)) for n in counts] == wanted.tolist()
    assert len(ends) == RATE_CLASSES
    symbols = np.zeros((1, SAMPLES + 1, SAMPLES), np.int16)
    for n in counts:
        symbols[0, n, np.random.default_rng(n).permutation(SAMPLES)[:n]] = -7
    coded = np.ones((1, SAMPLES + 1), np.uint8)
    coded[0, ::5] = 0
    out = np.full(coded.shape, 99, np.uint8)
    energies(coded, np.zeros_like(coded), symbols, out)
    assert np.array_equal(out[0], wanted * coded[0])


def test_energies_of_units_are_those_of_their_first_blocks() -> None:
    symbols, coded = np.zeros((3, 4, SAMPLES), np.int16), np.ones((3, 4), np.uint8)
    symbols[0, 0, :200], symbols[0, 2, :10], symbols[0, 3, :3], symbols[2, 1, :100] = 1, -1, 2, 5
    large, out = np.zeros((3, 4), np.uint8), np.full((3, 4), 99, np.uint8)
    large[:2, :2], large[:2, 2:] = WHOLE, SHARED
    energies(coded, large, symbols, out)
    assert out.tolist() == [[9, 9, 4, 2], [9, 9, 0, 0], [0, 7, 0, 0]]
