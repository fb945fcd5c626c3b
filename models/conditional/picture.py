# SPDX-License-Identifier: Apache-2.0
"""One frame's signal path in integers: decisions and symbols to planes, and the encoder's search for them.

    references ─ vectors ─► prediction ──► + residuals of inter blocks ──► intra blocks in turn ──► deblocking ─► planes

`rebuild` is the only way planes are made, at the encoder as at the decoder.
"""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from nvcodec.models.conditional.threads import by_rows, in_waves
from nvcodec.models.depth import STEP_SCALE
from nvcodec.models.kernels import (
    choice,
    compensation,
    deblock,
    frame_intra,
    inter,
    intra_search,
    network,
    refine,
    residual,
    residual_planes,
    restore,
    rough_cost,
    search,
    syntax,
)
from nvcodec.models.kernels.compensation import PAD
from nvcodec.models.kernels.density import no_densities
from nvcodec.models.kernels.syntax import WHOLE
from nvcodec.models.network import Network, apply_layers
from nvcodec.models.quality import CHROMA_SCALES, LEVELS, QUALITIES, STEPS, bit_price, deblocking_qp, quality_of
from nvcodec.models.transform import CLASSES, BlockBases, chroma_weight

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]  # uint16, see nvcodec.models.depth


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
    quad: np.ndarray = field(init=False)
    modes: np.ndarray = field(init=False)
    from_luma: np.ndarray = field(init=False)
    shapes: np.ndarray = field(init=False)
    kinds: np.ndarray = field(init=False)
    parts: np.ndarray = field(init=False)
    vectors: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.rows, self.columns)
        self.pred, self.merged, self.coded, self.fine, self.energy, self.large, self.quad, self.shapes = (
            np.zeros(shape, np.uint8) for _ in range(8)
        )
        self.banks = np.zeros(((self.rows + 1) // 2, (self.columns + 1) // 2), np.uint8)
        self.finer = np.zeros_like(self.banks, np.int8)
        self.tiny, self.from_luma, self.kinds, self.parts = (
            np.zeros((2 * self.rows, 2 * self.columns), np.uint8) for _ in range(4)
        )
        self.modes = np.full((4 * self.rows, 4 * self.columns), 1, np.uint8)
        self.vectors = np.zeros((2, 2 * self.rows, 2 * self.columns, 2), np.int32)

    @property
    def quads(self) -> tuple[int, int]:
        """How many quads, of 4 x 4 blocks, there are down and across."""
        return -(-self.rows // 4), -(-self.columns // 4)


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
        *inside, frame_intra.ready_map(blocks.pred), blocks.pred, blocks.coded, blocks.fine, blocks.tiny, blocks.large,
        blocks.modes, blocks.from_luma, symbols, steps, CHROMA_SCALES[chroma], bases.pictures,
    )  # fmt: skip
    _deblock(planes, blocks, level)
    made = None
    if (blocks.banks == restore.NETWORK).any():
        coded = what_was_coded(blocks, symbols, steps, chroma, bases, pool)
        asked = blocks.banks == restore.NETWORK
        made = apply_network(planes, coded, level, not references, asked, bases.network, pool)
    return _restore(planes, blocks, level, bases, pool, made)


def _steps(level: int, blocks: Blocks) -> np.ndarray:
    """(R, C) int32 quantisation step of each block, sixteenths."""
    levels = np.clip(level + blocks.finer.astype(np.int64), 0, LEVELS - 1)
    return np.ascontiguousarray(
        np.repeat(np.repeat(STEPS[levels], 2, 0), 2, 1)[: blocks.rows, : blocks.columns], np.int32
    )


def _predict(blocks: Blocks, references: list[Reference], midway: bool, inside: Planes, pool: Executor) -> None:
    first, second = references[0].planes, references[-1].planes
    by_rows(
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
    by_rows(
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


@dataclass
class Coded:
    """What was coded of a frame, as its network sees it: residual planes, int16, without borders; by how many levels
    units are finer; which blocks are predicted from other frames."""

    planes: Planes
    finer: np.ndarray
    pred: np.ndarray


def what_was_coded(
    blocks: Blocks, symbols: np.ndarray, steps: np.ndarray, chroma: int, bases: BlockBases, pool: Executor
) -> Coded:
    """Of a frame with decisions and symbols (R, C, 384); steps: of its blocks."""
    rows, columns = blocks.rows, blocks.columns
    y, u, v = (np.zeros((n * rows, n * columns), np.int16) for n in (16, 8, 8))
    by_rows(
        pool,
        rows,
        lambda begin, end: residual_planes.fill_residuals(
            y, u, v, blocks.pred, blocks.coded, blocks.fine, blocks.tiny, blocks.large, blocks.modes, symbols, steps,
            CHROMA_SCALES[chroma], bases.pictures, begin, end,
        ),
    )  # fmt: skip
    return Coded((y, u, v), blocks.finer, blocks.pred)


def empty_planes(rows: int, columns: int) -> Planes:
    """Room for planes with borders."""
    size = np.array([16 * rows, 16 * columns])
    return (
        np.empty(size + 2 * PAD, np.uint16),
        np.empty(size // 2 + PAD, np.uint16),
        np.empty(size // 2 + PAD, np.uint16),
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
    planes: Planes,
    blocks: Blocks,
    level: int,
    bases: BlockBases,
    pool: Executor,
    made: Planes | None,
    classes: np.ndarray | None = None,
) -> Planes:
    """Planes restored as the blocks say, with borders. made: what the network makes of them; classes: of squares, if
    they are known."""
    if not blocks.banks.any():
        return planes
    restored = planes[0].copy(), planes[1].copy(), planes[2].copy()
    taps, clip = _filters(bases, level)
    of_network = blocks.banks == restore.NETWORK
    if made is not None:
        network.copy_units(blocks.banks, restore.NETWORK, *made, *restored)
    if classes is None:
        classes = _classify(planes, blocks, level, (blocks.banks > 0) & ~of_network, pool)
    by_rows(
        pool,
        len(blocks.banks),
        lambda begin, end: restore.restore(*planes, classes, blocks.banks, *taps, clip, begin, end, *restored),
        1,
    )
    for plane, pad in zip(restored, (PAD, PAD // 2, PAD // 2), strict=True):
        compensation.extend_edges(plane, pad)
    return restored


def apply_network(
    planes: Planes, coded: Coded, level: int, intra: bool, asked: np.ndarray, weights: Network, pool: Executor
) -> Planes:
    """What the network makes of a frame, at least in the units that are asked for: planes with borders that are not
    filled in."""
    made = planes[0].copy(), planes[1].copy(), planes[2].copy()
    rows, columns = (planes[0].shape[0] - 2 * PAD) // 2, (planes[0].shape[1] - 2 * PAD) // 2
    step, kind, unit, halo = int(STEPS[level]), int(intra), restore.UNIT // 2, weights.halo

    def piece(begin: int, end: int, left: int, right: int) -> None:
        x = np.empty((network.SEEN // network.PAIR, end - begin + 2 * halo, right - left + 2 * halo), np.int32)
        sums = np.empty((3, x.shape[2] + 2 * network.AROUND), np.int32)
        network.fill_inputs(*planes, *coded.planes, coded.finer, coded.pred, step, begin, end, left, halo, sums, x)
        network.add_outputs(apply_layers(weights, x, kind, level), step, begin, left, *made)

    jobs = [
        pool.submit(piece, top * unit, min(bottom * unit, rows), left * unit, min(right * unit, columns))
        for top, bottom, left, right in (_pieces(asked) if weights.device is None else _bands(asked))
    ]
    for job in jobs:
        job.result()
    return made


def _pieces(asked: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Units that the network works on at a time, first and last + 1 of rows and of columns: all that are asked for, and
    no others. (What it looks at around a piece is reckoned for each: the larger, the better.)"""
    pieces, left_over = [], asked.copy()
    for top, left in np.argwhere(asked).tolist():
        if not left_over[top, left]:
            continue
        right = left + int(np.argmin(np.append(left_over[top, left:], False)))
        bottom = top + 1
        while bottom < min(top + NETWORK_UNITS, len(asked)) and left_over[bottom, left:right].all():
            bottom += 1
        left_over[top:bottom, left:right] = False
        pieces.append((top, bottom, left, right))
    return pieces


def _bands(asked: np.ndarray) -> list[tuple[int, int, int, int]]:
    """The same for a device that does best with much at once: units that are not asked for, too, but few pieces."""
    rows = np.flatnonzero(asked.any(1))
    if not len(rows):
        return []
    first, last = int(rows[0]), int(rows[-1]) + 1
    height = max(1, min(-(-(last - first) // DEVICE_BANDS), DEVICE_UNITS // asked.shape[1]))
    bands = []
    for begin in range(first, last, height):
        places = np.argwhere(asked[begin : begin + height])
        if len(places):
            (top, left), (bottom, right) = places.min(0).tolist(), (places.max(0) + 1).tolist()
            bands.append((begin + top, begin + bottom, left, right))
    return bands


def _filters(bases: BlockBases, level: int) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """Taps of luma and chroma at a level, and the bound of differences."""
    quality_range = quality_of(level) * restore.RANGES // QUALITIES
    taps = bases.filters.luma[quality_range], bases.filters.chroma[quality_range]
    return taps, restore.clip_of(int(STEPS[level]))


def _classify(planes: Planes, blocks: Blocks, level: int, asked: np.ndarray, pool: Executor) -> np.ndarray:
    """Class of each 4x4 square of the units that are asked for (as `restore.classify`)."""
    classes = np.empty((4 * blocks.rows, 4 * blocks.columns), np.uint8)
    step = int(STEPS[level])
    by_rows(pool, blocks.rows, lambda begin, end: restore.classify(planes[0], step, asked, begin, end, classes))
    return classes


def _choose_banks(
    picture: Planes,
    planes: Planes,
    blocks: Blocks,
    level: int,
    chroma: int,
    intra: bool,
    bases: BlockBases,
    coded: Coded | None,
    network_from: float,
    pool: Executor,
) -> tuple[Planes | None, np.ndarray]:
    """For each unit the bank, or the network if what it sees of the frame is given, after which error and price of bits
    are least; network_from: see `Effort`. Returns what the network makes of the frame, and the classes of squares."""
    step = float(STEPS[level]) / STEP_SCALE
    costs = np.zeros((*blocks.banks.shape, 1 + restore.BANKS + int(coded is not None)))
    taps, clip = _filters(bases, level)
    trial = empty_planes(blocks.rows, blocks.columns)
    weight = float(chroma_weight(chroma) ** 2)
    # what is predicted and nothing else has been filtered already, where it comes from
    changed = np.zeros((2 * blocks.banks.shape[0], 2 * blocks.banks.shape[1]), bool)
    changed[: blocks.rows, : blocks.columns] = (blocks.coded > 0) | (blocks.pred == 0)
    asked = changed.reshape(blocks.banks.shape[0], 2, -1, 2).any((1, 3))
    classes = _classify(planes, blocks, level, asked, pool)
    by_rows(
        pool,
        len(blocks.banks),
        lambda begin, end: restore.trial_errors(
            *picture, *planes, classes, *taps, clip, weight, asked, begin, end, *trial, costs
        ),
        1,
    )
    made, bit = None, bit_price(level) * step * step
    if coded is not None:
        asked &= costs[:, :, : 1 + restore.BANKS].min(2) > network_from * bit
        made = apply_network(planes, coded, level, intra, asked, bases.network, pool)
        by_rows(
            pool,
            len(blocks.banks),
            lambda begin, end: restore.errors_left(*picture, *made, weight, asked, begin, end, restore.NETWORK, costs),
            1,
        )
        costs[~asked, -1] = np.inf
    costs[:, :, 1:] += bit * BANK_BITS
    blocks.banks[:] = costs.argmin(2)
    return made, classes


ALL_DEPTHS = 99


@dataclass(frozen=True)
class Effort:
    """What the encoder tries."""

    modes: int = 3  # intra modes tried in full, at most
    finalists: int = 0  # of them, in keyframes, how many are compared by what they cost in their contexts
    parts_from: float = 8.0  # bits of a prediction, at least, for its block to be tried in parts
    together_to: float = math.inf  # times the best prediction's cost: new vectors that are moved together (0: none)
    exact: int = 1  # of the predictions that seem best, how many are tried with their transforms
    rounds: int = compensation.FLOW_ROUNDS  # in which two predictions are moved before that
    others: int = 4  # frames on each side that a picture is filtered with
    filters: bool = True  # of restoration
    filters_last: bool = True  # in frames that no other is predicted from, too
    network: bool = False  # in restoration
    modes_to: float = math.inf  # times the rough cost of the best intra mode, up to which others are tried in full
    deepest: int = ALL_DEPTHS  # of a group's frames that it is tried in, where a decoder has it for few
    network_from: float = 50.0  # bits that a unit's error is worth at least for the network to be tried


class KeptFrame(NamedTuple):
    """A frame before restoration, planes with borders, and what was coded of it."""

    level: int
    intra: bool
    picture: Planes
    planes: Planes
    coded: Coded


@dataclass
class Statistics:
    """What is kept for `nvc train`: frames before restoration, and residuals, weighted, with the class of each (+
    CLASSES x the transform: coarse, fine, tiny, tiny chroma, large)."""

    keep_residuals: bool = True
    keep_frames: bool = False
    frames: list[KeptFrame] = field(default_factory=list)
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
NETWORK_UNITS = 2  # rows of units that the network works on at a time, at most
DEVICE_UNITS = 1024  # that a device works on at a time, at most: 64 MiB for all numbers of a layer
DEVICE_BANDS = 4  # of a frame, at least: what they see is put together by several threads
UNLIKE, ALONE_BITS = 0.9, 6.0  # share of the cost of a block alone, and bits of its mode


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

    picture: planes, sides multiples of 16 (8 for chroma); references: none, one or two; midway: as in `rebuild`;
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
        _settle_inter(picture, inside, steps, price, weight, bases, blocks, symbols, level, pool, residuals)
        _add_residuals(blocks, symbols, steps, chroma, inside, bases, pool)
    before = tuple(plane.copy() for plane in inside) if residuals is not None else None
    finalists = 0 if references or not len(bases.odds.stretched) else effort.finalists
    _choose_intra(
        picture, level, chroma, inside, blocks, symbols, steps, bases, effort.modes, effort.modes_to, finalists, pool
    )
    if residuals is not None:
        room = 20 * rows * columns
        samples, classes = np.zeros((room, residual.SAMPLES), np.float32), np.zeros(room, np.uint8)
        kept = frame_intra.collect_residuals(
            picture, before, frame_intra.ready_map(blocks.pred), blocks.pred, blocks.coded, blocks.fine, blocks.tiny,
            blocks.large, blocks.modes, blocks.from_luma, symbols, steps, CHROMA_SCALES[chroma], bases.pictures, weight,
            samples, classes,
        )  # fmt: skip
        residuals.residuals.append(samples[:kept])
        residuals.classes.append(classes[:kept])
    residual.energies(blocks.coded, blocks.large, symbols, blocks.energy)
    syntax.settle_finer(blocks.coded, blocks.finer)
    _deblock(planes, blocks, level)
    if statistics is not None and statistics.keep_frames:
        coded = what_was_coded(blocks, symbols, steps, chroma, bases, pool)
        statistics.frames.append(KeptFrame(level, not references, picture, planes, coded))
    if not effort.filters:
        return blocks, symbols, planes
    coded = what_was_coded(blocks, symbols, steps, chroma, bases, pool) if effort.network else None
    made, classes = _choose_banks(
        picture, planes, blocks, level, chroma, not references, bases, coded, effort.network_from, pool
    )
    return blocks, symbols, _restore(planes, blocks, level, bases, pool, made, classes)


def _choose_intra(
    picture: Planes,
    level: int,
    chroma: int,
    planes: Planes,
    blocks: Blocks,
    symbols: np.ndarray,
    steps: np.ndarray,
    bases: BlockBases,
    modes: int,
    modes_to: float,
    finalists: int,
    pool: Executor,
    rows: slice = slice(None),
) -> None:
    """Choose intra blocks and reconstruct them; modes (``tried``), modes_to (``share``), finalists: see
    `intra_search.encode_intra`; rows: of quads, all or such as have no neighbours among them."""
    price, ready = bit_price(level), frame_intra.ready_map(blocks.pred)
    density = no_densities(blocks.rows, blocks.columns)
    prices = rough_cost.price_curve(float(STEPS[level]) / STEP_SCALE, price, *CODED_BITS)
    some = np.add.reduceat((blocks.pred == 0).any(1), range(0, blocks.rows, 4)) > 0
    quads = blocks.quads

    def work(row: int, begin: int, end: int) -> None:
        if some[row]:
            intra_search.encode_intra(
                picture, planes, ready, blocks.pred, blocks.coded, blocks.fine, blocks.tiny, blocks.large, blocks.modes,
                blocks.from_luma, symbols, steps, CHROMA_SCALES[chroma], price, bases.pictures, bases.analysis,
                bases.summed_rates, prices, chroma_weight(chroma), modes, modes_to, bases.odds, finalists, level,
                density, row, begin, end,
            )  # fmt: skip

    if rows == slice(None):
        in_waves(pool, *quads, work)
        return
    for job in [pool.submit(work, row, 0, quads[1]) for row in range(quads[0])[rows]]:
        job.result()


def sample_keyframe(
    picture: Planes, level: int, chroma: int, finer: np.ndarray, bases: BlockBases, pool: Executor
) -> tuple[Planes, np.ndarray]:
    """Planes of a keyframe that is coded quickly in every third row of quads and nowhere else, before any filter, and
    which rows of luma that is."""
    blocks = Blocks(picture[0].shape[0] // 16, picture[0].shape[1] // 16)
    blocks.finer[:] = finer
    symbols = np.zeros((blocks.rows, blocks.columns, residual.SAMPLES), np.int16)
    planes = without_borders(empty_planes(blocks.rows, blocks.columns))  # laid out as those of `choose`
    rows = slice(0, None, 3)
    _choose_intra(picture, level, chroma, planes, blocks, symbols, _steps(level, blocks), bases, 1, 1.0, 0, pool, rows)
    done = np.zeros(blocks.quads[0], bool)
    done[rows] = True
    return planes, done.repeat(64)[: picture[0].shape[0]]


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
    step, price = float(STEPS[level]) / STEP_SCALE, bit_price(level)
    prices = rough_cost.price_curve(step, price, *CODED_BITS)
    small = search.quarter_size(y, 0)
    whole, quarters = np.zeros((2, rows, columns, 3)), np.zeros((2, 2 * rows, 2 * columns, 3))
    before = newest.blocks if newest else Blocks(rows, columns)

    def towards(n: int) -> None:
        there = references[n]
        search_motion(
            y, small, there.planes[0], there.quarter, before.vectors[n], level, effort.parts_from, whole[n], quarters[n]
        )

    for job in [pool.submit(towards, n) for n in range(len(references))]:
        job.result()
    ready = np.ones_like(blocks.modes)
    in_waves(
        pool,
        *blocks.quads,
        lambda row, begin, end: choice.choose_blocks(
            picture, references[0].planes, references[-1].planes, len(references), midway, whole, quarters,
            effort.parts_from, effort.together_to, effort.exact, effort.rounds, price, prices, steps,
            chroma_weight(chroma), bases.summed_rates, before.kinds, before.vectors, scale, ready, blocks.pred,
            blocks.merged, blocks.large, blocks.quad, blocks.shapes, blocks.kinds, blocks.parts, blocks.vectors, trial,
            row, begin, end,
        ),
    )  # fmt: skip


def search_motion(
    y: np.ndarray,
    small: np.ndarray,
    reference: np.ndarray,
    reference_small: np.ndarray,
    before: np.ndarray,
    level: int,
    split_from: float,
    whole: np.ndarray,
    quarters: np.ndarray,
) -> None:
    """Vectors of the blocks, of luma y towards a reference with borders; small,
    reference_small: the same at a quarter of their size; before, split_from, whole, quarters: as `search.search`."""
    step, price = float(STEPS[level]) / STEP_SCALE, bit_price(level)
    sad_price, rows = MOTION_PRICE * step, len(whole)
    coarse = np.zeros((*whole.shape[:2], 2), np.int32)
    search.coarse_search(small, reference_small, sad_price / 8, 0, rows, coarse)
    prices = rough_cost.price_curve(step, price, *CODED_BITS)
    search.search(y, reference, coarse, before, sad_price, price, prices, split_from, whole, quarters)


def prediction_costs(y: np.ndarray, references: list[Reference], level: int, pool: Executor) -> np.ndarray:
    """Roughly what each 16x16 block of luma y costs, squared steps, predicted from each reference: (N, R, C)."""
    rows, columns = y.shape[0] // 16, y.shape[1] // 16
    small, nothing = search.quarter_size(y, 0), np.zeros((2 * rows, 2 * columns, 2), np.int32)
    costs = np.zeros((len(references), rows, columns, 3))

    def towards(n: int) -> None:
        there, quarters = references[n], np.zeros((2 * rows, 2 * columns, 3))
        search_motion(y, small, there.planes[0], there.quarter, nothing, level, math.inf, costs[n], quarters)

    for job in [pool.submit(towards, n) for n in range(len(references))]:
        job.result()
    return costs[..., 2]


def share_unlike(y: np.ndarray, other: np.ndarray, level: int) -> float:
    """Share of the 16x16 blocks of luma y that are no easier to predict from another picture's luma than from their own
    surroundings."""
    rows, columns = y.shape[0] // 16, y.shape[1] // 16
    small, other_small = search.quarter_size(y, 0), search.quarter_size(other, 0)
    whole, quarters = np.zeros((rows, columns, 3)), np.zeros((2 * rows, 2 * columns, 3))
    nothing = np.zeros((2 * rows, 2 * columns, 2), np.int32)
    search_motion(y, small, compensation.padded(other, PAD), other_small, nothing, level, math.inf, whole, quarters)
    alone, price = np.zeros((rows, columns)), bit_price(level)
    search.costs_alone(y, rough_cost.price_curve(float(STEPS[level]) / STEP_SCALE, price, *CODED_BITS), alone)
    return float(np.mean(whole[:, :, 2] > UNLIKE * (alone + price * ALONE_BITS)))


def _settle_inter(
    picture: Planes,
    predicted: Planes,
    steps: np.ndarray,
    price: float,
    weight: np.float32,
    bases: BlockBases,
    blocks: Blocks,
    symbols: np.ndarray,
    level: int,
    pool: Executor,
    statistics: Statistics | None,
) -> None:
    costs = np.zeros((blocks.rows, blocks.columns), np.float32)
    coefficients = np.empty(symbols.shape, np.float32)
    by_rows(
        pool,
        blocks.rows,
        lambda begin, end: inter.settle_inter(
            picture, predicted, steps, weight, bases.analysis, bases.summed_rates, price, blocks.pred, blocks.merged,
            blocks.coded, blocks.fine, blocks.tiny, symbols, coefficients, costs, begin, end,
        ),
    )  # fmt: skip
    inter.settle_units(
        picture, predicted, steps, weight, bases.analysis, bases.summed_rates, price, costs, blocks.large, blocks.pred,
        blocks.coded, blocks.fine, blocks.tiny, symbols, coefficients,
    )  # fmt: skip
    density = no_densities(blocks.rows, blocks.columns)
    in_waves(
        pool,
        *blocks.quads,
        lambda row, begin, end: refine.refine_inter(
            blocks.pred, blocks.coded, blocks.fine, blocks.tiny, blocks.large, symbols, coefficients,
            bases.summed_rates, price, bases.odds, level, density, row, begin, end,
        ),
    )  # fmt: skip
    if statistics is not None:
        _keep_residuals(picture, predicted, weight, blocks, statistics)


def _keep_residuals(
    picture: Planes, predicted: Planes, weight: np.float32, blocks: Blocks, statistics: Statistics
) -> None:
    """What the transforms of coded inter blocks were given, for training."""
    coded = (blocks.pred > 0) & (blocks.coded > 0)
    for is_fine in (False, True):
        places = np.argwhere(coded & (blocks.fine == is_fine) & (blocks.large != WHOLE))
        samples = np.empty((len(places), residual.SAMPLES), np.float32)
        residual.gather_residuals(*picture, *predicted, places, samples)
        samples[:, residual.LUMA_SAMPLES :] *= weight
        if not is_fine:
            statistics.add(samples, 0)
            continue
        tiny = blocks.tiny.reshape(blocks.rows, 2, blocks.columns, 2).transpose(0, 2, 1, 3)
        tiny = tiny[places[:, 0], places[:, 1]].reshape(-1, 4) > 0
        statistics.add(samples[:, inter.QUARTERS][~tiny], CLASSES)
        statistics.add(samples[:, inter.TINY][tiny].reshape(-1, 16), 2 * CLASSES)
        statistics.add(samples[:, inter.TINY_CHROMA][tiny], 3 * CLASSES)
    units = np.argwhere((coded & (blocks.large == WHOLE))[::2, ::2]) * 2
    cosines = np.empty((len(units), residual.SAMPLES), np.float32)
    frame_intra.all_unit_cosines(picture, predicted, units, weight, cosines)
    statistics.add(cosines, 4 * CLASSES)
