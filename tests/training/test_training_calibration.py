# SPDX-License-Identifier: Apache-2.0
"""Rates as the entropy coder knows them: counted as the encoder counts them, and stretched to what was written."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.conditional.weights import nothing_learned
from nvcodec.models.kernels.residual import RATE_CLASSES, energies, rate_class
from nvcodec.models.kernels.syntax import WHOLE
from nvcodec.models.training import calibration
from nvcodec.models.training.bases import SIZES, typical_rates
from nvcodec.models.training.calibration import COARSE, FINE, LARGE, TINY, TINY_CHROMA, calibrated, rated_bits
from nvcodec.models.training.learn import code_sequence, learn, symbols_of
from nvcodec.models.training.records import ARRAYS, OF_UNITS, RecordedFrame, Sequence

ROWS, COLUMNS, LEVEL = 6, 8, 50
Squares = dict[tuple[int, int], list[tuple[float, float]]]  # rated and written bits by inter and transform


def bits_of(rates: np.ndarray, square: np.ndarray) -> float:
    """One latent after the other; rates: (RATE_CLASSES, n, 3)."""
    which, total = rate_class(int(np.count_nonzero(square))), 0.0
    for k, value in enumerate(np.abs(square).tolist()):
        total += float(rates[which, k, min(value, 2)])
        if value > 1:
            total += 2 * np.log2(value - 1)
    return total


def test_rated_bits_are_those_of_a_plain_sum() -> None:
    random = np.random.default_rng(0)
    for n in SIZES:
        rates = random.uniform(0.1, 9, (RATE_CLASSES, n, 3)).astype(np.float32)
        magnitudes = np.abs(random.integers(-5, 6, (60, n))) * (random.random((60, n)) < random.random((60, 1)) ** 2)
        magnitudes[0], magnitudes[1] = 0, 127
        found = rated_bits(rates, magnitudes)
        assert found.shape == (60, RATE_CLASSES)
        for row, square in zip(found, magnitudes, strict=True):
            which = rate_class(int(np.count_nonzero(square)))
            assert row[which] == pytest.approx(bits_of(rates, square), rel=1e-5)
            assert not np.delete(row, which).any()


def recorded(random: np.random.Generator, number: int) -> RecordedFrame:
    """A frame with every kind of block, large units at the right, latents that fall off with frequency."""
    blocks = Blocks(ROWS, COLUMNS)
    inter = number > 0
    if inter:
        blocks.kinds[:] = random.integers(0, 2, (ROWS // 2, COLUMNS // 2)).repeat(4, 0).repeat(4, 1)
    blocks.pred[:] = blocks.kinds[::2, ::2]
    blocks.coded[:] = random.random((ROWS, COLUMNS)) < 0.8
    blocks.large[:, COLUMNS // 2 :] = WHOLE
    for name in ("coded", "fine"):
        field = getattr(blocks, name)
        field[:, COLUMNS // 2 :] = field[::2, COLUMNS // 2 :: 2].repeat(2, 0).repeat(2, 1)
    blocks.coded[:, COLUMNS // 2 :] |= blocks.pred[:, COLUMNS // 2 :]  # those of one transform are coded, if not intra
    blocks.fine[:, : COLUMNS // 2] = random.integers(0, 2, (ROWS, COLUMNS // 2)) * blocks.coded[:, : COLUMNS // 2]
    blocks.tiny[:] = random.integers(0, 2, blocks.tiny.shape) * blocks.fine.repeat(2, 0).repeat(2, 1)
    scale = random.choice([0.3, 1.0, 3.0], (ROWS, COLUMNS, 1)) * np.exp(-np.arange(384) / 40)
    symbols = np.rint(random.laplace(size=(ROWS, COLUMNS, 384)) * scale).astype(np.int16)
    symbols[..., 0] |= 1
    first = (np.indices((ROWS, COLUMNS)) % 2 == 0).all(0)
    symbols[(blocks.coded == 0) | ((blocks.large == WHOLE) & ~first)] = 0
    energies(blocks.coded, blocks.large, symbols, blocks.energy)
    arrays = {name: getattr(blocks, name).astype(kind) for name, (_, kind) in ARRAYS.items()}
    for name in OF_UNITS:
        arrays[name] = arrays[name].repeat(2, 0).repeat(2, 1)[:ROWS, :COLUMNS]
    kept = symbols[blocks.coded > 0].astype(np.int8)
    return RecordedFrame(number, LEVEL, True, (number - 1,) if inter else (), arrays, kept)


@pytest.fixture(scope="module")
def sequences() -> list[Sequence]:
    random = np.random.default_rng(1)
    return [[recorded(random, number) for number in range(4)] for _ in range(3)]


def squares_of(rates: tuple[np.ndarray, ...], frame: RecordedFrame, spent: np.ndarray) -> Squares:
    """Block after block; tiny squares of a quarter and its chroma together."""
    found: Squares = {}
    blocks, symbols = frame.blocks(), symbols_of(frame)
    for r, c in np.argwhere(blocks.coded):
        inter, block = int(blocks.pred[r, c] > 0), symbols[r, c]
        whole = blocks.large[r, c] == WHOLE
        if whole and (r % 2 or c % 2):
            continue
        if not blocks.fine[r, c]:
            transform = LARGE if whole else COARSE
            pair = bits_of(rates[transform][1 - inter], block), float(spent[r, c, 0])
            found.setdefault((inter, transform), []).append(pair)
            continue
        for q in range(4):
            quarter, transform = block[q::4], FINE
            bits = bits_of(rates[FINE][1 - inter], quarter)
            if blocks.tiny[2 * r + (q >> 1), 2 * c + (q & 1)]:
                transform = TINY
                bits = sum(bits_of(rates[TINY][1 - inter], quarter[n::6]) for n in range(4))
                chroma = np.stack([quarter[4::6], quarter[5::6]], 1).ravel()
                bits += bits_of(rates[TINY_CHROMA][1 - inter], chroma)
            found.setdefault((inter, transform), []).append((bits, float(spent[r, c, q])))
    return found


def all_squares(rates: tuple[np.ndarray, ...], sequences: list[Sequence]) -> Squares:
    learned, found = nothing_learned(), {}
    for sequence in sequences:
        spent = [np.zeros((ROWS, COLUMNS, 4), np.float32) for _ in sequence]
        code_sequence(sequence, learned.copy(), spent=spent)
        for frame, bits in zip(sequence, spent, strict=True):
            for key, pairs in squares_of(rates, frame, bits).items():
                found.setdefault(key, []).extend(pairs)
    return found


def typical() -> tuple[np.ndarray, ...]:
    return tuple(typical_rates(n) for n in SIZES)


def test_bits_of_calibrated_rates_are_those_that_were_written(sequences: list[Sequence]) -> None:
    """Whatever rates they come from: transform by transform, inter and intra."""
    wrong = tuple(r * factor for r, factor in zip(typical(), (0.6, 1.7, 0.8, 1.4, 2.0), strict=True))
    before = tuple(r.copy() for r in wrong)
    rates = calibrated(wrong, sequences, nothing_learned(), lambda: False)
    assert rates is not None
    assert all(np.array_equal(a, b) for a, b in zip(wrong, before, strict=True))
    assert all(r.dtype == np.float32 and r.shape == b.shape for r, b in zip(rates, before, strict=True))
    found, were = all_squares(rates, sequences), all_squares(wrong, sequences)
    assert set(found) == {(inter, t) for inter in range(2) for t in (COARSE, FINE, TINY, LARGE)}
    for key, pairs in found.items():
        rated, written = np.array(pairs).T
        first = np.array(were[key])[:, 0]
        assert rated.sum() == pytest.approx(written.sum(), rel=0.08), key
        assert np.abs(rated - written).sum() < 1.02 * np.abs(first - written).sum(), key


def test_rates_by_a_wrong_factor_come_back(sequences: list[Sequence], monkeypatch: pytest.MonkeyPatch) -> None:
    """With bits that are exactly those of some rates, rates that are wrong by factors become those rates again; of
    symbols up to two, since what larger ones take beyond that is no rate."""
    right = typical()
    small = [[replace(frame, symbols=frame.symbols.clip(-2, 2)) for frame in sequence] for sequence in sequences]

    def spend(sequence: Sequence, learned: object, spent: list[np.ndarray]) -> None:
        for frame, bits in zip(sequence, spent, strict=True):
            blocks, symbols = frame.blocks(), symbols_of(frame)
            for r, c in np.argwhere(blocks.coded):
                bits[r, c] = exact_bits(right, blocks, symbols, int(r), int(c))

    monkeypatch.setattr(calibration, "code_sequence", spend)
    factors = (0.5, 1.6, 0.9, 0.9, 2.5)
    wrong = tuple(r * np.float32(factor) for r, factor in zip(right, factors, strict=True))
    rates = calibrated(wrong, small, nothing_learned(), lambda: False)
    assert rates is not None
    for found, wanted in zip(rates, right, strict=True):
        assert np.allclose(found, wanted, rtol=1e-3)


def exact_bits(rates: tuple[np.ndarray, ...], blocks: Blocks, symbols: np.ndarray, r: int, c: int) -> list[float]:
    """What the rates say of each quarter of a block, or of the block in the first."""
    intra, block, bits = int(blocks.pred[r, c] == 0), symbols[r, c], [0.0] * 4
    if not blocks.fine[r, c]:
        bits[0] = bits_of(rates[LARGE if blocks.large[r, c] == WHOLE else COARSE][intra], block)
        return bits
    for q in range(4):
        quarter = block[q::4]
        if not blocks.tiny[2 * r + (q >> 1), 2 * c + (q & 1)]:
            bits[q] = bits_of(rates[FINE][intra], quarter)
            continue
        bits[q] = sum(bits_of(rates[TINY][intra], quarter[n::6]) for n in range(4))
        bits[q] += bits_of(rates[TINY_CHROMA][intra], np.stack([quarter[4::6], quarter[5::6]], 1).ravel())
    return bits


def test_rates_of_what_was_not_seen_stay(sequences: list[Sequence]) -> None:
    """Without inter frames those of inter blocks do; a factor is never beyond its bounds."""
    rates = calibrated(typical(), [sequence[:1] for sequence in sequences], nothing_learned(), lambda: False)
    assert rates is not None
    for found, before in zip(rates, typical(), strict=True):
        assert np.array_equal(found[0], before[0])
        assert not np.array_equal(found[1], before[1])
    for factor, bound in ((1e-3, 3.0), (1e3, 0.3)):
        wrong = tuple(r * np.float32(factor) for r in typical())
        found = calibrated(wrong, sequences[:1], nothing_learned(), lambda: False)
        assert found is not None
        for stretched, was in zip(found, wrong, strict=True):
            assert np.allclose(stretched, was * bound, rtol=1e-5)


def test_calibration_stops(sequences: list[Sequence]) -> None:
    calls = iter(range(9))
    assert calibrated(typical(), sequences, nothing_learned(), lambda: next(calls) == 1) is None


def test_calibration_teaches_nothing(sequences: list[Sequence]) -> None:
    """What was learned is as it was, and the order of sequences does not matter."""
    learned = learn(sequences[:1], lambda line: None, lambda: False)
    assert learned is not None
    kept = learned.copy()
    made = [calibrated(typical(), order, learned, lambda: False) for order in (sequences, sequences[::-1])]
    for name, array in vars(learned).items():
        assert np.array_equal(array, getattr(kept, name)), name
    for one, other in pairwise(made):
        assert one is not None
        assert other is not None
        assert all(np.allclose(a, b, rtol=1e-5) for a, b in zip(one, other, strict=True))
