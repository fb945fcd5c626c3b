# SPDX-License-Identifier: Apache-2.0
"""One frame's signal path in integers: decisions and symbols to planes, and the encoder's search for them.

    references ─ vectors ─► prediction ──► + residuals of inter blocks ──► intra blocks in turn ──► deblocking ─► planes

`rebuild` is the only way planes are made, at the encoder as at the decoder.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from nvcodec.models.conditional.efforts import Effort
from nvcodec.models.conditional.frame import Blocks, Planes, Reference, empty_planes, steps_of, without_borders
from nvcodec.models.conditional.motion_search import choose_motion
from nvcodec.models.conditional.restoration import Coded, apply_network, choose_banks, restore_units, what_was_coded
from nvcodec.models.conditional.threads import by_rows, in_waves
from nvcodec.models.depth import STEP_SCALE
from nvcodec.models.kernels import (
    compensation,
    deblock,
    frame_intra,
    inter,
    intra_search,
    refine,
    residual,
    restore,
    rough_cost,
    syntax,
)
from nvcodec.models.kernels.compensation import PAD
from nvcodec.models.kernels.density import no_densities
from nvcodec.models.kernels.syntax import WHOLE
from nvcodec.models.quality import CHROMA_SCALES, STEPS, bit_price, deblocking_qp
from nvcodec.models.transform import CLASSES, BlockBases, chroma_weight


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
    steps = steps_of(level, blocks)
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
    return restore_units(planes, blocks, level, bases, pool, made)


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


def _deblock(planes: Planes, blocks: Blocks, level: int) -> None:
    y, u, v = without_borders(planes)
    deblock.deblock(
        y, u, v, blocks.kinds, blocks.coded, blocks.fine, blocks.large, blocks.vectors, deblocking_qp(level)
    )
    for plane, pad in zip(planes, (PAD, PAD // 2, PAD // 2), strict=True):
        compensation.extend_edges(plane, pad)


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
    steps, weight, price = steps_of(level, blocks), chroma_weight(chroma), bit_price(level)
    planes = empty_planes(rows, columns)
    inside = without_borders(planes)
    residuals = statistics if statistics is not None and statistics.keep_residuals else None
    if references:
        choose_motion(
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
    made, classes = choose_banks(
        picture, planes, blocks, level, chroma, not references, bases, coded, effort.network_from, pool
    )
    return blocks, symbols, restore_units(planes, blocks, level, bases, pool, made, classes)


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
    prices = rough_cost.price_curve(float(STEPS[level]) / STEP_SCALE, price)
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
    _choose_intra(
        picture, level, chroma, planes, blocks, symbols, steps_of(level, blocks), bases, 1, 1.0, 0, pool, rows
    )
    done = np.zeros(blocks.quads[0], bool)
    done[rows] = True
    return planes, done.repeat(64)[: picture[0].shape[0]]


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
