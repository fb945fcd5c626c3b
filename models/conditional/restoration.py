# SPDX-License-Identifier: Apache-2.0
"""Restoration of a deblocked frame, by banks of filters and by the network, and the encoder's choice between them."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from nvcodec.models.conditional.frame import Blocks, Planes
from nvcodec.models.conditional.threads import by_rows
from nvcodec.models.depth import STEP_SCALE
from nvcodec.models.kernels import compensation, network, residual_planes, restore
from nvcodec.models.kernels.compensation import PAD
from nvcodec.models.network import Network, apply_layers
from nvcodec.models.quality import CHROMA_SCALES, QUALITIES, STEPS, bit_price, quality_of
from nvcodec.models.transform import BlockBases, chroma_weight

BANK_BITS = 2.0  # more of a unit that is filtered
NETWORK_UNITS = 2  # rows of units that the network works on at a time, at most
DEVICE_UNITS = 1024  # that a device works on at a time, at most: 64 MiB for all numbers of a layer
DEVICE_BANDS = 4  # of a frame, at least: what they see is put together by several threads


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


def restore_units(
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


def choose_banks(
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
            *picture, *planes, classes, *taps, clip, weight, asked, begin, end, costs
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
