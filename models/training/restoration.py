# SPDX-License-Identifier: Apache-2.0
"""The filters of restoration: least squares over decoded frames, and banks that divide units among themselves.

Two rounds: frames are coded without filters first, then with those of the first round. In each, units are given to the
banks by how far off they are, a filter for each class is fitted to a bank's units, each unit goes to the bank (or to
none) after which it costs least, and so on, as in Lloyd's algorithm.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from nvcodec.models.conditional.frame import Planes
from nvcodec.models.conditional.picture import Statistics
from nvcodec.models.conditional.restoration import BANK_BITS
from nvcodec.models.depth import STEP_SCALE
from nvcodec.models.kernels import restore
from nvcodec.models.kernels.compensation import PAD
from nvcodec.models.kernels.filters import CHROMA_TAPS, LUMA_TAPS, MAX_TAP, TAP_BITS
from nvcodec.models.kernels.restore import BANKS, CLASSES, RANGES, UNIT
from nvcodec.models.quality import QUALITIES, STEPS, bit_price, quality_of
from nvcodec.models.training.pieces import Pieces, decide
from nvcodec.models.training.recipe import FiltersCounts
from nvcodec.models.training.records import CLIPS, STILLS
from nvcodec.models.training.workers import Workers
from nvcodec.models.transform import CHROMA_WEIGHT, BlockBases, Filters, no_filters

ROUNDS, ITERATIONS = 2, 4
RIDGE = 2000.0  # squared sample values: keeps filters that little is known of near to nothing
INTER_SHARE = 0.4  # of a clip's inter frames that are used, every so many


@dataclass
class Deblocked:
    """A frame before restoration (planes with borders), and the picture it stands for."""

    level: int
    picture: Planes
    planes: Planes


def learn_filters(
    pieces: Pieces,
    counts: FiltersCounts,
    bases: BlockBases,
    workers: Workers,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> BlockBases | None:
    """Bases with filters, after both rounds; None when stopped on the way."""
    for number in range(ROUNDS):
        jobs = [(CLIPS, n) for n in range(counts.clips)]
        jobs += [(STILLS, n) for n in range(counts.stills) if pieces.has(STILLS)]
        by_range: list[list[Deblocked]] = [[] for _ in range(RANGES)]
        done = 0
        for frames in workers.map(code_piece, ((pieces, k, n, counts.frames, bases) for k, n in jobs), stop):
            done += 1
            for frame in frames:
                by_range[quality_of(frame.level) * RANGES // QUALITIES].append(frame)
        if done < len(jobs):
            return None
        fitted = list(workers.map(fit, ((frames,) for frames in by_range), stop))
        if len(fitted) < RANGES:
            return None
        shares = ", ".join(f"{share:.3f}" for _, _, share in fitted)
        say(f"filters, round {number + 1} of {ROUNDS}: {sum(map(len, by_range))} frames, costs left {shares}")
        bases = replace(bases, filters=Filters(np.stack([f[0] for f in fitted]), np.stack([f[1] for f in fitted])))
    return bases


def code_piece(pieces: Pieces, kind: str, number: int, frames: int, bases: BlockBases) -> list[Deblocked]:
    """Some frames of a piece as they are before restoration."""
    piece, statistics = pieces.draw(kind, number, frames), Statistics(keep_residuals=False, keep_frames=True)
    with ThreadPoolExecutor(1) as pool:
        for _ in decide(piece, bases, pool, statistics):
            pass
    coded = [Deblocked(frame.level, frame.picture, frame.planes) for frame in statistics.frames]
    inter = range(number % 2 + 1, len(coded), round(1 / INTER_SHARE))
    return [coded[0], *(coded[n] for n in inter)]


def fit(frames: list[Deblocked]) -> tuple[np.ndarray, np.ndarray, float]:
    """Taps of the banks of one range of levels, luma and chroma, and the share of costs that they leave."""
    filters = no_filters()
    luma, chroma = filters.luma[0], filters.chroma[0]
    if not frames:
        return luma, chroma, 1.0
    classes = [_classes(frame) for frame in frames]
    nothing = [_costs(frame, frame.planes) for frame in frames]
    bounds = np.quantile(np.concatenate([c.ravel() for c in nothing]), np.arange(1, BANKS) / BANKS)
    assigned = [1 + np.digitize(costs, bounds) for costs in nothing]
    share = 1.0
    for _ in range(ITERATIONS):
        luma, chroma = _solve(frames, classes, assigned)
        before = after = 0.0
        for n, frame in enumerate(frames):
            price = bit_price(frame.level) * (float(STEPS[frame.level]) / STEP_SCALE) ** 2
            costs = [_costs(frame, _filtered(frame, classes[n], bank, luma, chroma)) for bank in range(1, BANKS + 1)]
            table = np.stack([nothing[n], *(c + price * BANK_BITS for c in costs)])
            assigned[n] = table.argmin(0)
            before, after = before + nothing[n].sum(), after + table.min(0).sum()
        share = after / before if before else 1.0
    return luma, chroma, share


def _classes(frame: Deblocked) -> np.ndarray:
    rows, columns = (side // 16 for side in frame.picture[0].shape)
    classes = np.empty((4 * rows, 4 * columns), np.uint8)
    everywhere = np.ones((-(-rows // 2), -(-columns // 2)), bool)
    restore.classify(frame.planes[0], int(STEPS[frame.level]), everywhere, 0, rows, classes)
    return classes


def _costs(frame: Deblocked, planes: Planes) -> np.ndarray:
    """Weighted squared errors of each unit."""
    height, width = frame.picture[0].shape
    total = np.zeros((-(-height // UNIT), -(-width // UNIT)))
    for part, (picture, plane) in enumerate(zip(frame.picture, planes, strict=True)):
        errors = np.zeros(total.shape, np.int64)
        scale = 2 if part else 1
        restore.squared_errors(picture, plane, PAD // scale, UNIT // scale, errors)
        total += errors * (CHROMA_WEIGHT**2 if part else 1.0)
    return total


def _filtered(frame: Deblocked, classes: np.ndarray, bank: int, luma: np.ndarray, chroma: np.ndarray) -> Planes:
    height, width = frame.picture[0].shape
    banks = np.full((-(-height // UNIT), -(-width // UNIT)), bank, np.uint8)
    y, u, v = (plane.copy() for plane in frame.planes)
    clip = restore.clip_of(int(STEPS[frame.level]))
    restore.restore(*frame.planes, classes, banks, luma, chroma, clip, 0, len(banks), y, u, v)
    return y, u, v


def _solve(
    frames: list[Deblocked], classes: list[np.ndarray], assigned: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Taps of all banks from the units that are assigned to them."""
    luma_sums = np.zeros((BANKS, CLASSES, LUMA_TAPS + 1, LUMA_TAPS + 1))
    chroma_sums = np.zeros((BANKS, 2, CLASSES, CHROMA_TAPS + 1, CHROMA_TAPS + 1))
    for frame, kinds, banks in zip(frames, classes, assigned, strict=True):
        height, width = frame.picture[0].shape
        clip = restore.clip_of(int(STEPS[frame.level]))
        for r, c in np.argwhere(banks > 0):
            size = min(UNIT, height - UNIT * r), min(UNIT, width - UNIT * c)
            bank = banks[r, c] - 1
            restore.gather(
                *frame.picture, *frame.planes, kinds, clip, UNIT * r, UNIT * c, *size, luma_sums[bank],
                chroma_sums[bank],
            )  # fmt: skip
    return _taps(luma_sums), _taps(chroma_sums)


def _taps(sums: np.ndarray) -> np.ndarray:
    """Taps (..., n) int16 from sums of products (..., n + 1, n + 1), of which the upper triangle is filled in."""
    n = sums.shape[-1] - 1
    whole = np.triu(sums) + np.swapaxes(np.triu(sums, 1), -1, -2)
    taps = np.linalg.solve(whole[..., :n, :n] + RIDGE * np.eye(n), whole[..., :n, n:])[..., 0]
    return np.clip(np.round(taps * (1 << TAP_BITS)), -MAX_TAP, MAX_TAP).astype(np.int16)
