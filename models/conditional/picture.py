# SPDX-License-Identifier: Apache-2.0
"""One frame's signal path in integers: decisions and symbols to planes, and the encoder's search for them.

    references ─ vectors ─► prediction ──► + residuals of inter blocks ──► intra blocks in turn ──► deblocking ─► planes

`rebuild` is the only way planes are made, at the encoder as at the decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nvcodec.models.kernels import choice, compensation, deblock, frame_intra, inter, residual, restore, search
from nvcodec.models.kernels.compensation import PAD
from nvcodec.models.kernels.syntax import SHARED, WHOLE
from nvcodec.models.quality import CHROMA_SCALES, LEVELS, QUALITIES, STEPS, bit_price, deblocking_qp, quality_of
from nvcodec.models.transform import CLASSES, BlockBases, chroma_weight

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass
class Reference:
    """A decoded frame as later ones see it: planes with borders, and its decisions."""

    planes: Planes
    blocks: Blocks
    level: int
    number: int = 0  # of the frame, in display order
    distances: tuple[int, ...] = ()  # to its own references

    @cached_property
    def quarter(self) -> np.ndarray:
        """Luma at a quarter of its size, for the search."""
        return search.quarter_size(self.planes[0], PAD)

    def picture(self) -> Planes:
        """The planes without borders (views)."""
        y, u, v = self.planes
        half = PAD // 2
        return y[PAD:-PAD, PAD:-PAD], u[half:-half, half:-half], v[half:-half, half:-half]


@dataclass
class Blocks:
    """Decisions of a frame of R x C blocks of 16x16 (see `nvcodec.models.kernels.syntax.code_blocks`)."""

    rows: int
    columns: int
    pred: np.ndarray = field(init=False)
    merged: np.ndarray = field(init=False)
    coded: np.ndarray = field(init=False)
    fine: np.ndarray = field(init=False)
    banks: np.ndarray = field(init=False)
    finer: np.ndarray = field(init=False)
    tiny: np.ndarray = field(init=False)
    energy: np.ndarray = field(init=False)
    large: np.ndarray = field(init=False)
    modes: np.ndarray = field(init=False)
    shapes: np.ndarray = field(init=False)
    kinds: np.ndarray = field(init=False)
    parts: np.ndarray = field(init=False)
    vectors: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.rows, self.columns)
        self.pred, self.merged, self.coded, self.fine, self.energy, self.large, self.shapes = (
            np.zeros(shape, np.uint8) for _ in range(7)
        )
        self.banks = np.zeros(((self.rows + 1) // 2, (self.columns + 1) // 2), np.uint8)
        self.finer = np.zeros_like(self.banks, np.int8)
        self.tiny, self.kinds, self.parts = (np.zeros((2 * self.rows, 2 * self.columns), np.uint8) for _ in range(3))
        self.modes = np.full((4 * self.rows, 4 * self.columns), 1, np.uint8)
        self.vectors = np.zeros((2, 2 * self.rows, 2 * self.columns, 2), np.int32)


def rebuild(
    blocks: Blocks,
    symbols: np.ndarray,
    level: int,
    chroma: int,
    references: list[Reference],
    midway: bool,
    bases: BlockBases,
    pool: Executor,
) -> Planes:
    """Planes with borders of a frame from its decisions and symbols (R, C, 384) int16; chroma: 0..15, how its residual
    is scaled; midway: whether it lies in the middle between its references."""
    planes = empty_planes(blocks.rows, blocks.columns)
    inside = without_borders(planes)
    steps = _steps(level, blocks)
    if references:
        _predict(blocks, references, midway, inside, pool)
        _add_residuals(blocks, symbols, steps, chroma, inside, bases, pool)
    frame_intra.rebuild_intra(
        *inside, blocks.pred, blocks.coded, blocks.fine, blocks.tiny, blocks.large, blocks.modes, symbols, steps,
        CHROMA_SCALES[chroma], bases.pictures,
    )  # fmt: skip
    _deblock(planes, blocks, level)
    return _restore(planes, blocks, level, bases, pool)


def _steps(level: int, blocks: Blocks) -> np.ndarray:
    """(R, C) int32 quantisation step of each block, sixteenths."""
    levels = np.clip(level + blocks.finer.astype(np.int64), 0, LEVELS - 1)
    return np.ascontiguousarray(
        np.repeat(np.repeat(STEPS[levels], 2, 0), 2, 1)[: blocks.rows, : blocks.columns], np.int32
    )


def _predict(blocks: Blocks, references: list[Reference], midway: bool, inside: Planes, pool: Executor) -> None:
    first, second = references[0].planes, references[-1].planes
    _by_rows(
        pool,
        blocks.rows,
        lambda begin, end: compensation.compensate(
            first, second, blocks.kinds, blocks.vectors, midway, begin, end, *inside
        ),
    )


def _add_residuals(
    blocks: Blocks,
    symbols: np.ndarray,
    steps: np.ndarray,
    chroma: int,
    inside: Planes,
    bases: BlockBases,
    pool: Executor,
) -> None:
    _by_rows(
        pool,
        blocks.rows,
        lambda begin, end: residual.add_inter_residuals(
            *inside,
            blocks.pred,
            blocks.coded,
            blocks.fine,
            blocks.tiny,
            blocks.large,
            symbols,
            steps,
            CHROMA_SCALES[chroma],
            bases.pictures,
            begin,
            end,
        ),
    )


def _by_rows(pool: Executor, rows: int, work: Callable[[int, int], None], unit: int = 2) -> None:
    """Do independent work on both halves of a frame's rows at once; ``unit`` rows stay together."""
    half = rows // (2 * unit) * unit
    jobs = [pool.submit(work, begin, end) for begin, end in ((0, half), (half, rows))]
    for job in jobs:
        job.result()


def empty_planes(rows: int, columns: int) -> Planes:
    """Room for planes with borders."""
    size = np.array([16 * rows, 16 * columns])
    return (
        np.empty(size + 2 * PAD, np.uint8),
        np.empty(size // 2 + PAD, np.uint8),
        np.empty(size // 2 + PAD, np.uint8),
    )


def without_borders(planes: Planes) -> Planes:
    half = PAD // 2
    return planes[0][PAD:-PAD, PAD:-PAD], planes[1][half:-half, half:-half], planes[2][half:-half, half:-half]


def _deblock(planes: Planes, blocks: Blocks, level: int) -> None:
    y, u, v = without_borders(planes)
    deblock.deblock(
        y, u, v, blocks.kinds, blocks.coded, blocks.fine, blocks.large, blocks.vectors, deblocking_qp(level)
    )
    for plane, pad in zip(planes, (PAD, PAD // 2, PAD // 2), strict=True):
        compensation.extend_edges(plane, pad)


def _restore(
    planes: Planes, blocks: Blocks, level: int, bases: BlockBases, pool: Executor, classes: np.ndarray | None = None
) -> Planes:
    """Planes filtered by the banks that the blocks say, with borders; classes: of `_classify`, where they are known."""
    if not blocks.banks.any():
        return planes
    restored = empty_planes(blocks.rows, blocks.columns)
    taps, clip = _filters(bases, level)
    if classes is None:
        classes = _classify(planes, blocks, level, pool)
    _by_rows(
        pool,
        len(blocks.banks),
        lambda begin, end: restore.restore(*planes, classes, blocks.banks, *taps, clip, begin, end, *restored),
        1,
    )
    for plane, pad in zip(restored, (PAD, PAD // 2, PAD // 2), strict=True):
        compensation.extend_edges(plane, pad)
    return restored


def _filters(bases: BlockBases, level: int) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """Taps of luma and chroma at a level, and the bound of differences."""
    quality_range = quality_of(level) * restore.RANGES // QUALITIES
    taps = bases.filters.luma[quality_range], bases.filters.chroma[quality_range]
    return taps, restore.clip_of(int(STEPS[level]))


def _classify(planes: Planes, blocks: Blocks, level: int, pool: Executor) -> np.ndarray:
    """Class of each 4x4 square."""
    classes = np.empty((4 * blocks.rows, 4 * blocks.columns), np.uint8)
    step = int(STEPS[level])
    _by_rows(pool, blocks.rows, lambda begin, end: restore.classify(planes[0], step, begin, end, classes))
    return classes


def _choose_banks(
    picture: Planes,
    planes: Planes,
    classes: np.ndarray,
    blocks: Blocks,
    level: int,
    chroma: int,
    bases: BlockBases,
    pool: Executor,
) -> None:
    """For each unit the bank after which error and price of bits are least."""
    step = float(STEPS[level]) / residual.STEP_SCALE
    costs = np.zeros((*blocks.banks.shape, 1 + restore.BANKS))
    taps, clip = _filters(bases, level)
    trial = empty_planes(blocks.rows, blocks.columns)
    weight = float(chroma_weight(chroma) ** 2)
    # what is predicted and nothing else has been filtered already, where it comes from
    changed = np.zeros((2 * blocks.banks.shape[0], 2 * blocks.banks.shape[1]), bool)
    changed[: blocks.rows, : blocks.columns] = (blocks.coded > 0) | (blocks.pred == 0)
    asked = changed.reshape(blocks.banks.shape[0], 2, -1, 2).any((1, 3))
    _by_rows(
        pool,
        len(blocks.banks),
        lambda begin, end: restore.trial_errors(
            *picture, *planes, classes, *taps, clip, weight, asked, begin, end, *trial, costs
        ),
        1,
    )
    costs[:, :, 1:] += bit_price(level) * step * step * BANK_BITS
    blocks.banks[:] = costs.argmin(2)


@dataclass(frozen=True)
class Effort:
    """What the encoder tries."""

    modes: int = 3  # intra modes tried in full
    split: bool = True  # vectors of 8x8 quarters
    refine: bool = True  # vectors into two references together
    exact: int = 1  # of the predictions that seem best, how many are tried with their transforms


@dataclass
class Statistics:
    """What is kept for `nvc train`: frames before restoration (level, picture, planes), and residuals, weighted, with
    the class of each (+ CLASSES x the transform: coarse, fine, tiny, tiny chroma, large)."""

    keep_residuals: bool = True
    keep_frames: bool = False
    frames: list[tuple[int, Planes, Planes]] = field(default_factory=list)
    residuals: list[np.ndarray] = field(default_factory=list)
    classes: list[np.ndarray] = field(default_factory=list)

    def add(self, residuals: np.ndarray, which: int) -> None:
        """Keep (M, n) residuals of one class."""
        padded = np.zeros((len(residuals), residual.SAMPLES), np.float32)
        padded[:, : residuals.shape[1]] = residuals
        self.residuals.append(padded)
        self.classes.append(np.full(len(residuals), which, np.uint8))


CODED_BITS = (6.5, 2.1)  # of a coefficient of one step in rough estimates, and for each quadrupling more
MOTION_PRICE = 0.3  # absolute difference that a bit is worth, in steps
BANK_BITS = 2.0  # more of a unit that is filtered
LEAST_BITS = 4.0  # of a block with latents


def choose(
    picture: Planes,
    level: int,
    chroma: int,
    references: list[Reference],
    midway: bool,
    newest: Reference | None,
    scale: np.ndarray,
    bases: BlockBases,
    effort: Effort,
    pool: Executor,
    statistics: Statistics | None = None,
    finer: np.ndarray | None = None,
) -> tuple[Blocks, np.ndarray, Planes]:
    """Encode one frame: its decisions, its symbols (R, C, 384) int16 and the planes that `rebuild` makes of them.

    picture: uint8 planes, sides multiples of 16 (8 for chroma); references: none, one or two; midway: as in `rebuild`;
    newest: the one coded last, whose vectors are candidates, stretched by scale (2,) 256ths; chroma: 0..15, how much it
    counts (`chroma_weight`); finer: levels by which units are finer.
    """
    y = picture[0]
    rows, columns = y.shape[0] // 16, y.shape[1] // 16
    blocks, symbols = Blocks(rows, columns), np.zeros((rows, columns, residual.SAMPLES), np.int16)
    if finer is not None:
        blocks.finer[:] = finer
    steps, weight, price = _steps(level, blocks), chroma_weight(chroma), bit_price(level)
    planes = empty_planes(rows, columns)
    inside = without_borders(planes)
    residuals = statistics if statistics is not None and statistics.keep_residuals else None
    if references:
        _choose_motion(
            picture, level, chroma, references, midway, newest, scale, blocks, steps, bases, effort, inside, pool
        )
        _predict(blocks, references, midway, inside, pool)
        _settle_inter(picture, inside, steps, price, weight, bases, blocks, symbols, residuals)
        _add_residuals(blocks, symbols, steps, chroma, inside, bases, pool)
    prices = frame_intra.price_curve(float(STEPS[level]) / residual.STEP_SCALE, price, *CODED_BITS)
    before = tuple(plane.copy() for plane in inside) if residuals is not None else None
    frame_intra.encode_intra(
        picture, inside, blocks.pred, blocks.coded, blocks.fine, blocks.tiny, blocks.large, blocks.modes, symbols,
        steps, CHROMA_SCALES[chroma], price, bases.pictures, bases.analysis, bases.rates, prices, weight,
        effort.modes,
    )  # fmt: skip
    if residuals is not None:
        room = 20 * rows * columns
        samples, classes = np.zeros((room, residual.SAMPLES), np.float32), np.zeros(room, np.uint8)
        kept = frame_intra.collect_residuals(
            picture, before, blocks.pred, blocks.coded, blocks.fine, blocks.tiny, blocks.large, blocks.modes, symbols,
            steps, CHROMA_SCALES[chroma], bases.pictures, weight, samples, classes,
        )  # fmt: skip
        residuals.residuals.append(samples[:kept])
        residuals.classes.append(classes[:kept])
    residual.energies(blocks.coded, blocks.large, symbols, blocks.energy)
    _deblock(planes, blocks, level)
    if statistics is not None and statistics.keep_frames:
        statistics.frames.append((level, picture, planes))
    classes = _classify(planes, blocks, level, pool)
    _choose_banks(picture, planes, classes, blocks, level, chroma, bases, pool)
    return blocks, symbols, _restore(planes, blocks, level, bases, pool, classes)


def _choose_motion(
    picture: Planes,
    level: int,
    chroma: int,
    references: list[Reference],
    midway: bool,
    newest: Reference | None,
    scale: np.ndarray,
    blocks: Blocks,
    steps: np.ndarray,
    bases: BlockBases,
    effort: Effort,
    trial: Planes,
    pool: Executor,
) -> None:
    """Search and choose; trial: planes that are overwritten."""
    y = picture[0]
    rows, columns = blocks.rows, blocks.columns
    step, price = float(STEPS[level]) / residual.STEP_SCALE, bit_price(level)
    sad_price = MOTION_PRICE * step
    prices = frame_intra.price_curve(step, price, *CODED_BITS)
    small = search.quarter_size(y, 0)
    whole, quarters = np.zeros((2, rows, columns, 3)), np.zeros((2, 2 * rows, 2 * columns, 3))
    empty = Blocks(rows, columns)
    before = newest.blocks if newest else empty

    def towards(number: int) -> None:
        reference = references[number]
        coarse = np.zeros((rows, columns, 2), np.int32)
        search.coarse_search(small, reference.quarter, sad_price / 8, coarse)
        field_before = before.vectors[number]
        search.search(
            y,
            reference.planes[0],
            coarse,
            field_before,
            sad_price,
            price,
            prices,
            effort.split,
            whole[number],
            quarters[number],
        )

    for job in [pool.submit(towards, n) for n in range(len(references))]:
        job.result()
    choice.choose_blocks(
        picture, references[0].planes, references[-1].planes, len(references), midway, whole, quarters, effort.split,
        effort.refine, effort.exact, price, prices, steps, chroma_weight(chroma), bases.rates,
        before.kinds, before.vectors, scale, blocks.pred, blocks.merged, blocks.large, blocks.shapes, blocks.kinds,
        blocks.parts, blocks.vectors, trial,
    )  # fmt: skip


def _settle_inter(
    picture: Planes,
    predicted: Planes,
    steps: np.ndarray,
    price: float,
    weight: np.float32,
    bases: BlockBases,
    blocks: Blocks,
    symbols: np.ndarray,
    statistics: Statistics | None,
) -> None:
    places = np.argwhere(blocks.pred > 0)
    if not len(places):
        return
    samples = np.empty((len(places), residual.SAMPLES), np.float32)
    residual.gather_residuals(*picture, *predicted, places, samples)
    samples[:, 256:] *= weight
    scale = steps[places[:, 0], places[:, 1], None].astype(np.float32) / residual.STEP_SCALE
    samples /= scale
    errors = (samples * samples).sum(1)
    # where even nothing costs next to nothing, nothing it is
    worth = errors > price * LEAST_BITS
    costs = np.zeros((blocks.rows, blocks.columns), np.float32)
    costs[places[:, 0], places[:, 1]] = errors
    places, samples, errors = places[worth], samples[worth], errors[worth]
    parts = (samples, samples[:, inter.QUARTERS], samples[:, inter.TINY], samples[:, inter.TINY_CHROMA])
    coefficients = tuple(
        (p.reshape(-1, p.shape[-1]) @ a[0].T).reshape(p.shape) for p, a in zip(parts, bases.analysis[:4], strict=True)
    )
    inter.settle_inter(
        coefficients, errors, bases.rates, price, places, blocks.merged, blocks.coded, blocks.fine, blocks.tiny,
        symbols, costs,
    )  # fmt: skip
    _settle_units(picture, predicted, costs, steps, price, weight, bases, blocks, symbols, statistics)
    if statistics is not None:
        whole = blocks.large[places[:, 0], places[:, 1]] == WHOLE
        places, samples = places[~whole], (samples * scale[worth])[~whole]
        parts = samples, samples[:, inter.QUARTERS], samples[:, inter.TINY], samples[:, inter.TINY_CHROMA]
        coded, fine = (a[places[:, 0], places[:, 1]] > 0 for a in (blocks.coded, blocks.fine))
        statistics.add(samples[coded & ~fine], 0)
        tiny = blocks.tiny.reshape(blocks.rows, 2, blocks.columns, 2).transpose(0, 2, 1, 3)
        tiny = tiny[places[:, 0], places[:, 1]].reshape(-1, 4) > 0
        statistics.add(parts[1][(coded & fine)[:, None] & ~tiny], CLASSES)
        statistics.add(parts[2][tiny].reshape(-1, 16), 2 * CLASSES)
        statistics.add(parts[3][tiny], 3 * CLASSES)


def _settle_units(
    picture: Planes,
    predicted: Planes,
    costs: np.ndarray,
    steps: np.ndarray,
    price: float,
    weight: np.float32,
    bases: BlockBases,
    blocks: Blocks,
    symbols: np.ndarray,
    statistics: Statistics | None,
) -> None:
    """The large transform for units with one motion, where it is cheaper."""
    units = np.argwhere((blocks.large[::2, ::2] == SHARED) & (blocks.pred[::2, ::2] > 0)) * 2
    r, c = units[:, 0], units[:, 1]
    errors = costs[r, c] + costs[r, c + 1] + costs[r + 1, c] + costs[r + 1, c + 1]
    units = units[errors > price * LEAST_BITS]
    if not len(units):
        return
    cosines, errors = np.empty((len(units), residual.SAMPLES), np.float32), np.empty(len(units), np.float32)
    frame_intra.all_unit_cosines(picture, predicted, units, weight, cosines, errors)
    inverse = residual.STEP_SCALE / steps[units[:, 0], units[:, 1]].astype(np.float32)
    lost = np.maximum(errors - (cosines * cosines).sum(1), 0) * inverse * inverse
    inter.settle_units(
        (cosines @ bases.analysis[4][0].T) * inverse[:, None], lost, costs, bases.rates[4][0], price, units,
        blocks.large, blocks.coded, blocks.fine, blocks.tiny, symbols,
    )  # fmt: skip
    if statistics is not None:
        statistics.add(cosines[blocks.large[units[:, 0], units[:, 1]] == WHOLE], 4 * CLASSES)
