# SPDX-License-Identifier: Apache-2.0
"""Frames from decisions that nobody would make: intra blocks step by step, and the same planes from any thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from block_samples import Frame, order_of, random_blocks, random_scale
from test_kernels_cross_component import standard_chroma
from test_kernels_intra import around, standard, standard_border, standard_luma

from nvcodec.models.conditional import picture, restoration
from nvcodec.models.conditional.frame import Blocks, Planes, Reference, empty_planes
from nvcodec.models.conditional.picture import rebuild
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.kernels.compensation import PAD, extend_edges
from nvcodec.models.kernels.cross_component import predict_from_luma
from nvcodec.models.kernels.frame_intra import collect_residuals, ready_map, rebuild_intra
from nvcodec.models.kernels.residual import SAMPLES, synthesise, synthesise_large
from nvcodec.models.kernels.restore import NETWORK
from nvcodec.models.kernels.syntax import ALONE, SHARED, WHOLE
from nvcodec.models.quality import CHROMA_SCALES, LEVELS, LOWEST
from nvcodec.models.transform import CLASSES, Filters, chroma_weight, no_filters

STEP = 120


def decisions(random: np.random.Generator, rows: int, columns: int, references: int) -> Blocks:
    last = Blocks(rows, columns)
    return random_blocks(random, rows, columns, Frame(references, last, random_scale(random, references)), 30)


def random_symbols(random: np.random.Generator, blocks: Blocks) -> np.ndarray:
    shape = (blocks.rows, blocks.columns, SAMPLES)
    return (random.integers(-3, 4, shape) * (random.random(shape) < 0.1)).astype(np.int16)


def residual_of(
    blocks: Blocks, symbols: np.ndarray, scale: int, r: int, c: int, bases: tuple[np.ndarray, ...]
) -> list[np.ndarray]:
    """Of an intra block, or of the unit that begins with it: luma, U, V; scale: of chroma."""
    out, unit = np.zeros(SAMPLES, np.int32), np.zeros((3, 32, 32), np.int32)
    if blocks.large[r, c] == WHOLE:
        if blocks.coded[r, c]:
            mode = blocks.modes[4 * r, 4 * c]
            synthesise_large(symbols[r, c], STEP, scale, False, mode, bases, unit)
        return [unit[0], unit[1, :16, :16], unit[2, :16, :16]]
    if blocks.coded[r, c]:
        quarters = blocks.tiny[2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
        modes = blocks.modes[4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
        synthesise(symbols[r, c], STEP, scale, False, blocks.fine[r, c], quarters, modes, bases, out)
    return [part.reshape(n, n) for part, n in zip(np.split(out, [256, 320]), (16, 8, 8), strict=True)]


def squares_of(blocks: Blocks, r: int, c: int) -> list[tuple[int, int, int, bool]]:
    """Row, column and size, in 4x4 squares, of what is predicted on its own in turn; whether luma of 4x4 squares comes
    before the chroma of all four."""
    if blocks.large[r, c] == WHOLE:
        return [(4 * r, 4 * c, 8, False)]
    if not blocks.fine[r, c]:
        return [(4 * r, 4 * c, 4, False)]
    places = [(2 * r + i, 2 * c + j) for i in range(2) for j in range(2)]
    return [(2 * i, 2 * j, 2, bool(blocks.tiny[i, j])) for i, j in places]


def reference_intra(
    planes: list[np.ndarray], blocks: Blocks, symbols: np.ndarray, scale: int, bases: tuple[np.ndarray, ...]
) -> None:
    """Predict from what is there, add the residual, go on; inter blocks are there to begin with."""
    y, u, v = planes
    ready = (blocks.pred > 0).repeat(4, 0).repeat(4, 1)

    def predicted(plane: np.ndarray, unit: int, row: int, column: int, units: int) -> np.ndarray:
        size, mode = unit * units, int(blocks.modes[row, column])
        p = around(standard_border(plane, ready, unit, row, column, units), size)
        return standard_luma(p, size, mode) if unit == 4 else standard(p, size, mode, True)

    def add(
        plane: np.ndarray,
        unit: int,
        row: int,
        column: int,
        units: int,
        part: np.ndarray,
        of: tuple[int, int],
        linked: np.ndarray | None = None,
    ) -> None:
        square, size = predicted(plane, unit, row, column, units) if linked is None else linked, unit * units
        top, left = unit * row - unit * 4 * of[0], unit * column - unit * 4 * of[1]
        here = np.s_[unit * row : unit * row + size, unit * column : unit * column + size]
        plane[here] = (square + part[top : top + size, left : left + size]).clip(0, 1023)

    for r, c in order_of(blocks.rows, blocks.columns):
        if blocks.pred[r, c] or (blocks.large[r, c] == WHOLE and (r % 2 or c % 2)):
            continue
        parts = residual_of(blocks, symbols, scale, r, c, bases)
        for row, column, units, tiny in squares_of(blocks, r, c):
            own = np.s_[row : row + units, column : column + units]
            if tiny:
                for i, j in ((row, column), (row, column + 1), (row + 1, column), (row + 1, column + 1)):
                    add(y, 4, i, j, 1, parts[0], (r, c))
                    ready[i, j] = True
                ready[own] = False  # as chroma of all four has it
            else:
                add(y, 4, row, column, units, parts[0], (r, c))
            linked: list[np.ndarray | None] = [None, None]
            if blocks.from_luma[row // 2, column // 2]:
                linked[:] = standard_chroma(planes, ready, row, column, units)
            for plane, part, square in zip((u, v), parts[1:], linked, strict=True):
                add(plane, 2, row, column, units, part, (r, c), square)
            ready[own] = True


def rebuilt(
    planes: list[np.ndarray], blocks: Blocks, symbols: np.ndarray, scale: int, bases: tuple[np.ndarray, ...]
) -> list[np.ndarray]:
    """`rebuild_intra` on copies."""
    found = [plane.copy() for plane in planes]
    rebuild_intra(
        *found,
        ready_map(blocks.pred),
        blocks.pred,
        blocks.coded,
        blocks.fine,
        blocks.tiny,
        blocks.large,
        blocks.modes,
        blocks.from_luma,
        symbols,
        np.full((blocks.rows, blocks.columns), STEP, np.int32),
        scale,
        bases,
    )
    return found


def random_planes(random: np.random.Generator, rows: int, columns: int) -> list[np.ndarray]:
    return [random.integers(0, 1024, (16 * rows // s, 16 * columns // s)).astype(np.uint16) for s in (1, 2, 2)]


@pytest.mark.parametrize("references", [0, 1])
@pytest.mark.parametrize("seed", range(6))
def test_intra_blocks_are_rebuilt_in_turn(weights: Weights, seed: int, references: int) -> None:
    random = np.random.default_rng(seed)
    rows, columns = ((2, 2), (3, 4), (4, 5), (5, 3), (6, 9), (5, 5))[seed]
    blocks = decisions(random, rows, columns, references)
    if seed == 0:
        blocks.large[:], blocks.fine[:], blocks.tiny[:], blocks.pred[:] = WHOLE, 0, 0, 0
        blocks.kinds[:], blocks.shapes[:], blocks.parts[:] = 0, 0, 0
        blocks.coded[:], blocks.modes[:], blocks.from_luma[:] = 1, 7, references
    symbols, pictures, scale = random_symbols(random, blocks), weights.bases.pictures, int(CHROMA_SCALES[seed])
    planes = random_planes(random, rows, columns)
    wanted = [plane.copy() for plane in planes]
    reference_intra(wanted, blocks, symbols, scale, pictures)
    found = rebuilt(planes, blocks, symbols, scale, pictures)
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("coded", [0, 1])
@pytest.mark.parametrize("kind", ["unit", "block", "quarters", "tiny"])
def test_chroma_from_luma_is_predicted_from_what_luma_became(weights: Weights, kind: str, coded: int) -> None:
    """Luma with its residual; that of chroma comes on top. Luma itself is the same either way."""
    random = np.random.default_rng(coded)
    blocks, planes, scale = Blocks(4, 4), random_planes(random, 4, 4), int(CHROMA_SCALES[10])
    size = 2 if kind == "unit" else 1
    own, quarters = np.s_[2 : 2 + size, 2 : 2 + size], np.s_[4 : 4 + 2 * size, 4 : 4 + 2 * size]
    blocks.pred[:] = 1
    blocks.pred[own], blocks.coded[own], blocks.large[own] = 0, coded, WHOLE if size == 2 else ALONE
    blocks.fine[own], blocks.tiny[quarters] = kind in ("quarters", "tiny"), kind == "tiny"
    blocks.modes[8 : 8 + 4 * size, 8 : 8 + 4 * size] = 5
    symbols = random_symbols(random, blocks) * 4
    without = rebuilt(planes, blocks, symbols, scale, weights.bases.pictures)
    blocks.from_luma[quarters] = 1
    found = rebuilt(planes, blocks, symbols, scale, weights.bases.pictures)
    assert np.array_equal(found[0], without[0])
    parts = residual_of(blocks, symbols, scale, 2, 2, weights.bases.pictures)
    assert all(part.any() == bool(coded) for part in parts)
    # once more on top of finished luma: from one square to the next, all around it is what it was at its time
    again, ready = [found[0], *(plane.copy() for plane in planes[1:])], ready_map(blocks.pred)
    for row, column, units, _ in squares_of(blocks, 2, 2):
        predict_from_luma(*again, ready, row, column, units)
        here = np.s_[2 * row : 2 * (row + units), 2 * column : 2 * (column + units)]
        inside = np.s_[2 * row - 16 : 2 * (row + units) - 16, 2 * column - 16 : 2 * (column + units) - 16]
        for plane, part in zip(again[1:], parts[1:], strict=True):
            plane[here] = (plane[here] + part[inside]).clip(0, 1023)
        ready[row : row + units, column : column + units] = 1
    for plane, wanted, other in zip(found[1:], again[1:], without[1:], strict=True):
        assert np.array_equal(plane, wanted)
        assert not np.array_equal(plane, other)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_kept_for_training_is_what_predictions_leave(weights: Weights, seed: int) -> None:
    """Of each square, in turn: with the prediction that it belongs to, its residual makes the planes that are shown;
    chroma from luma among them."""
    random = np.random.default_rng(seed)
    rows, columns = ((3, 4), (5, 6), (6, 9), (4, 4))[seed]
    blocks, links = decisions(random, rows, columns, seed % 2), set()
    scale, weight, pictures = int(CHROMA_SCALES[5]), chroma_weight(5), weights.bases.pictures
    source, planes, symbols = *(random_planes(random, rows, columns) for _ in "ab"), random_symbols(random, blocks)
    samples, classes = np.zeros((20 * rows * columns, SAMPLES), np.float32), np.zeros(20 * rows * columns, np.uint8)
    found = [plane.copy() for plane in planes]
    steps = np.full((rows, columns), STEP, np.int32)
    kept = collect_residuals(
        tuple(source), tuple(found), ready_map(blocks.pred), blocks.pred, blocks.coded, blocks.fine, blocks.tiny,
        blocks.large, blocks.modes, blocks.from_luma, symbols * (blocks.coded[..., None] > 0), steps, scale, pictures,
        weight, samples, classes,
    )  # fmt: skip
    wanted = rebuilt(planes, blocks, symbols, scale, pictures)
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    left = iter(zip(samples[:kept], classes[:kept] // CLASSES, strict=True))

    def check(p: int, of: tuple[int, int], row: int, column: int, units: int, residual: np.ndarray) -> None:
        """A square of a plane, given the difference between source and prediction."""
        unit = 2 if p else 4
        here = np.s_[unit * row : unit * (row + units), unit * column : unit * (column + units)]
        top, side = unit * (row - 4 * of[0]), unit * (column - 4 * of[1])
        predicted = source[p][here] - residual.reshape(unit * units, -1) / (weight if p else 1)
        added = predicted + parts[p][top : top + unit * units, side : side + unit * units]
        assert added.round().clip(0, 1023) == pytest.approx(found[p][here], abs=0.01)

    for r, c in order_of(rows, columns):
        if blocks.pred[r, c] or (blocks.large[r, c] == WHOLE and (r % 2 or c % 2)):
            continue
        parts = residual_of(blocks, symbols, scale, r, c, pictures)
        for row, column, units, tiny in squares_of(blocks, r, c):
            links.add((units, tiny, int(blocks.from_luma[row // 2, column // 2])))
            if units == 8:
                assert next(left)[1] == 4  # cosines
                continue
            if tiny:
                for i, j in ((row, column), (row, column + 1), (row + 1, column), (row + 1, column + 1)):
                    residual, transform = next(left)
                    assert transform == 2
                    check(0, (r, c), i, j, 1, residual[:16])
            residual, transform = next(left)
            assert transform == (3 if tiny else 1 if units == 2 else 0)
            if not tiny:
                check(0, (r, c), row, column, units, residual[: 16 * units * units])
                residual = residual[16 * units * units :]
            for p in (1, 2):
                check(p, (r, c), row, column, units, residual[(p - 1) * 4 * units * units :][: 4 * units * units])
    assert not [*left]
    assert {link for *_, link in links} == {0, 1}


def noise(random: np.random.Generator, rows: int, columns: int) -> Planes:
    planes = empty_planes(rows, columns)
    for plane, pad in zip(planes, (PAD, PAD // 2, PAD // 2), strict=True):
        inside = plane[pad:-pad, pad:-pad]
        inside[:] = random.integers(0, 1024, inside.shape)
        extend_edges(plane, pad)
    return planes


def random_filters(random: np.random.Generator) -> Filters:
    luma, chroma = no_filters().luma, no_filters().chroma
    return Filters(*(random.integers(-60, 61, taps.shape).astype(np.int16) for taps in (luma, chroma)))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 5), (2, 2), (3, 4), (5, 2), (7, 3), (9, 8)])
def test_threads_do_not_change_the_planes(
    weights: Weights, rows: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole units stay in one half, and filters of one half see what was deblocked in the other."""
    kinds = set()
    for seed in range(4):
        random = np.random.default_rng(seed)
        bases, blocks = replace(weights.bases, filters=random_filters(random)), decisions(random, rows, columns, 2)
        blocks.banks[:] = random.integers(0, NETWORK + 1, blocks.banks.shape)
        kinds |= set(blocks.large.ravel().tolist())
        references = [Reference(noise(random, rows, columns), blocks, 30, n) for n in range(2)]
        arguments = (blocks, random_symbols(random, blocks), 5 + 30 * seed, seed, references, seed % 2 == 0, bases)
        results = []
        for threads in (1, 2, 3):
            with ThreadPoolExecutor(threads) as pool:
                results.append([plane.tobytes() for plane in rebuild(*arguments, pool)])
        with ThreadPoolExecutor(1) as pool, monkeypatch.context() as patch:
            for module in (picture, restoration):  # all rows at once
                patch.setattr(module, "by_rows", lambda pool, rows, work, unit=2: work(0, rows))
            results.append([plane.tobytes() for plane in rebuild(*arguments, pool)])
        assert all(result == results[0] for result in results)
    assert kinds == {ALONE, SHARED, WHOLE} or rows < 8


@pytest.mark.parametrize("count", [0, 2])
def test_how_chroma_counts_changes_chroma_alone(weights: Weights, count: int) -> None:
    """In each of the ways it is another one."""
    random = np.random.default_rng(count)
    bases, blocks = replace(weights.bases, filters=random_filters(random)), decisions(random, 4, 5, count)
    blocks.banks[:], blocks.coded[0, 4], blocks.large[0, 4] = 1, 1, ALONE
    symbols = random_symbols(random, blocks)
    references = [Reference(noise(random, 4, 5), blocks, 30, n) for n in range(count)]
    with ThreadPoolExecutor(1) as pool:
        made = [
            rebuild(blocks, symbols, LOWEST + 20, chroma, references, True, bases, pool)
            for chroma in range(len(CHROMA_SCALES))
        ]
    assert len({y.tobytes() for y, _, _ in made}) == 1
    assert len({u.tobytes() for _, u, _ in made}) == len({v.tobytes() for *_, v in made}) == len(CHROMA_SCALES)


@pytest.mark.parametrize("count", [0, 2])
def test_finer_units_stay_within_the_levels(weights: Weights, count: int) -> None:
    random = np.random.default_rng(count)
    blocks = decisions(random, 4, 5, count)
    blocks.coded[0, 4], blocks.large[0, 4] = 1, ALONE
    symbols = random_symbols(random, blocks)
    references = [Reference(noise(random, 4, 5), blocks, 30, n) for n in range(count)]
    with ThreadPoolExecutor(1) as pool:
        for level, finer, same in ((0, -5, True), (LEVELS - 1, 7, True), (50, 7, False), (LEVELS - 1, -5, False)):
            made = []
            for by in (0, finer):
                blocks.finer[:] = by
                made.append(
                    [p.tobytes() for p in rebuild(blocks, symbols, level, 2, references, False, weights.bases, pool)]
                )
            assert (made[0] == made[1]) == same
