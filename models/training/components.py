# SPDX-License-Identifier: Apache-2.0
"""The transforms, learned from what the encoder leaves of the training clips, and the rates of coefficients.

Two rounds: the encoder works with cosines first, then with what was learned from what it left in the first round.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.ndimage import gaussian_filter1d

from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.conditional.picture import Statistics
from nvcodec.models.depth import STEP_SCALE
from nvcodec.models.kernels.residual import RATE_CLASSES
from nvcodec.models.kernels.syntax import WHOLE
from nvcodec.models.quality import LOWEST, STEPS
from nvcodec.models.training.bases import COARSE, FINE, LARGE, SIZES, TINY, TINY_CHROMA, make_bases, typical_rates
from nvcodec.models.training.pieces import Pieces, decide
from nvcodec.models.training.recipe import BasesCounts
from nvcodec.models.training.records import CLIPS, STILLS
from nvcodec.models.training.sparse import sparse_columns
from nvcodec.models.training.workers import Workers
from nvcodec.models.transform import ANGLES, CLASSES, LEARNED_CLASSES, BlockBases, dct_columns, turned

ROUNDS = 2
REPORT_SECONDS = 30
ROWS_OF_PIECE, MOST_ROWS = 160, 24000  # residuals of a class that are kept, of one piece and of all
LARGEST_SYMBOL = 2  # told apart in the rates: 0, 1, more
MOST_BITS = 14
_NONZERO_LIMITS = (2, 3, 5, 9, 17, 33, 65, 113, 177)  # see `nvcodec.models.kernels.residual.rate_class`
_SMOOTHING = (3.0, 1.5, 0.5, 0.7, 3.0)  # of rates, along the coefficients of each transform


class Tally:
    """Of coded pieces: some residuals of each class, and how often coefficients take which symbol."""

    def __init__(self) -> None:
        self.residuals: dict[tuple[int, int], list[np.ndarray]] = defaultdict(list)
        self.symbols = [np.zeros((2, RATE_CLASSES, n, LARGEST_SYMBOL + 1)) for n in SIZES]

    def add(self, other: Tally) -> None:
        """Take what another holds."""
        for key, rows in other.residuals.items():
            room = MOST_ROWS - sum(map(len, self.residuals[key]))
            self.residuals[key] += [r[:room] for r in rows if room > 0]
        for mine, theirs in zip(self.symbols, other.symbols, strict=True):
            mine += theirs

    def thin(self) -> None:
        """Keep at most ROWS_OF_PIECE residuals of each class."""
        for key, rows in self.residuals.items():
            together = np.concatenate(rows)
            self.residuals[key] = [together[:: -(-len(together) // ROWS_OF_PIECE)]]

    def add_residuals(self, statistics: Statistics, quality: int) -> None:
        """Take the residuals of frames coded at a quality; they count in its quantisation steps."""
        step = float(STEPS[LOWEST + quality]) / STEP_SCALE
        for residuals, classes in zip(statistics.residuals, statistics.classes, strict=True):
            for which in np.unique(classes):
                transform, kind = divmod(int(which), CLASSES)
                rows = residuals[classes == which][:, : SIZES[transform]] / step
                if kind >= LEARNED_CLASSES:
                    kind, rows = kind - ANGLES, rows[:, turned(transform)]
                self.residuals[transform, kind].append(rows.astype(np.float16))
        statistics.residuals.clear()
        statistics.classes.clear()

    def add_symbols(self, blocks: Blocks, symbols: np.ndarray) -> None:
        """Take the symbols (R, C, 384) of a frame's coded blocks."""
        coded = blocks.coded > 0
        values = np.minimum(np.abs(symbols[coded]), LARGEST_SYMBOL)
        intra, fine = (blocks.pred[coded] == 0).astype(np.int64), blocks.fine[coded] > 0
        whole = blocks.large[coded] == WHOLE
        self._count(COARSE, intra[~fine & ~whole], values[~fine & ~whole])
        first = np.zeros((blocks.rows, blocks.columns), bool)
        first[::2, ::2] = True
        whole &= first[coded]
        self._count(LARGE, intra[whole], values[whole])
        tiny = blocks.tiny.reshape(blocks.rows, 2, blocks.columns, 2).transpose(0, 2, 1, 3)[coded].reshape(-1, 4) > 0
        quarters = values.reshape(-1, 96, 4).transpose(0, 2, 1)  # (N, 4, 96)
        intra = np.repeat(intra[:, None], 4, 1)
        whole, small = fine[:, None] & ~tiny, fine[:, None] & tiny
        self._count(FINE, intra[whole], quarters[whole])
        squares = quarters[small].reshape(-1, 16, 6)
        self._count(TINY, np.repeat(intra[small], 4), squares[:, :, :4].transpose(0, 2, 1).reshape(-1, 16))
        self._count(TINY_CHROMA, intra[small], squares[:, :, 4:].reshape(-1, 32))

    def _count(self, transform: int, intra: np.ndarray, values: np.ndarray) -> None:
        rate_class = np.digitize((values > 0).sum(1), _NONZERO_LIMITS)
        for symbol in range(LARGEST_SYMBOL + 1):
            np.add.at(self.symbols[transform][..., symbol], (intra, rate_class), values == symbol)

    def columns(self, before: list[np.ndarray]) -> list[np.ndarray]:
        """Columns (LEARNED_CLASSES, n, n) of each transform, in the order of the cosines that they come from."""
        return [
            np.stack(
                [
                    sparse_columns(np.concatenate(self.residuals[t, kind]), start) if self.residuals[t, kind] else old
                    for kind, old in enumerate(before[t])
                ]
            )
            for t, start in enumerate(map(dct_columns, range(len(SIZES))))
        ]

    def rates(self) -> list[np.ndarray]:
        """(2, RATE_CLASSES, n, 3) float32 bits of symbols: smoothed shares, and what signs and larger ones take."""
        return [rates_of(counts, width) for counts, width in zip(self.symbols, _SMOOTHING, strict=True)]


def rates_of(counts: np.ndarray, smoothing: float) -> np.ndarray:
    """Bits of symbols from how often they came, (2, RATE_CLASSES, n, 3)."""
    smooth = gaussian_filter1d(counts, smoothing, axis=2, mode="nearest")
    prior = smooth.sum(1, keepdims=True) + 0.01  # of all classes together
    smooth = smooth + 0.5 * prior / prior.sum(-1, keepdims=True) + np.array([0.1, 0.01, 0.004])
    bits = -np.log2(smooth / smooth.sum(-1, keepdims=True))
    bits[..., 1] += 1  # the sign
    bits[..., 2] += 2  # and how much more
    return np.minimum(bits, MOST_BITS).astype(np.float32)


def learn_bases(
    pieces: Pieces,
    counts: BasesCounts,
    workers: Workers,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> BlockBases | None:
    """Both rounds; None when stopped on the way. Sums are made in the order of the pieces, whoever encodes them."""
    columns = [np.stack([dct_columns(t)] * LEARNED_CLASSES) for t in range(len(SIZES))]
    rates = [typical_rates(n) for n in SIZES]
    for number in range(ROUNDS):
        part = ROUNDS - number
        jobs = [(CLIPS, n) for n in range(-(-counts.clips // part))]
        jobs += [(STILLS, n) for n in range(-(-counts.stills // part)) if pieces.has(STILLS)]
        tally, bases, last, done = Tally(), make_bases(columns, rates), time.monotonic(), 0
        arguments = ((pieces, kind, n, counts.frames, bases) for kind, n in jobs)
        for one in workers.map(tally_piece, arguments, stop):
            tally.add(one)
            done += 1
            if time.monotonic() - last > REPORT_SECONDS:
                say(f"transforms, round {number + 1} of {ROUNDS}: {done} of {len(jobs)} pieces")
                last = time.monotonic()
        learned = list(workers.map(Tally.columns, [(tally, columns)], stop)) if done == len(jobs) else []
        if not learned:
            return None
        columns, rates = learned[0], tally.rates()
    return make_bases(columns, rates)


def tally_piece(pieces: Pieces, kind: str, number: int, frames: int, bases: BlockBases) -> Tally:
    """What one piece adds, encoded with one thread."""
    tally, piece, statistics = Tally(), pieces.draw(kind, number, frames), Statistics()
    with ThreadPoolExecutor(1) as pool:
        for unit in decide(piece, bases, pool, statistics):
            tally.add_residuals(statistics, piece.quality)
            for _, _, blocks, symbols in unit.frames:
                tally.add_symbols(blocks, symbols)
    tally.thin()
    return tally
