# SPDX-License-Identifier: Apache-2.0
"""Transforms: residuals that are kept, counts of symbols, and the file that keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from nvcodec.errors import UsageError
from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.conditional.picture import Statistics
from nvcodec.models.depth import STEP_SCALE
from nvcodec.models.kernels.residual import RATE_CLASSES, rate_class
from nvcodec.models.kernels.syntax import SHARED, WHOLE
from nvcodec.models.quality import LOWEST, STEPS
from nvcodec.models.training import components
from nvcodec.models.training.bases import SIZES, load_bases, make_bases, save_bases, typical_rates
from nvcodec.models.training.components import Tally, learn_bases, rates_of
from nvcodec.models.training.phases import BASES, FILTERED, RESTORED
from nvcodec.models.training.pieces import Pieces
from nvcodec.models.training.recipe import BasesCounts
from nvcodec.models.training.workers import Workers
from nvcodec.models.transform import CLASSES, LEARNED_CLASSES, dct_columns, sample_weights, turned


def naive_counts(blocks: Blocks, symbols: np.ndarray) -> list[np.ndarray]:
    """One block after the other, one quarter after the other."""
    counts = [np.zeros((2, RATE_CLASSES, n, 3)) for n in SIZES]

    def count(transform: int, intra: int, values: np.ndarray) -> None:
        for k, value in enumerate(values):
            counts[transform][intra, rate_class(np.count_nonzero(values)), k, min(abs(value), 2)] += 1

    for r, c in np.argwhere(blocks.coded):
        intra, block = int(blocks.pred[r, c] == 0), symbols[r, c]
        if not blocks.fine[r, c]:
            if blocks.large[r, c] != WHOLE:
                count(0, intra, block)
            elif r % 2 == 0 and c % 2 == 0:
                count(4, intra, block)
            continue
        for q in range(4):
            quarter = block[q::4]
            if not blocks.tiny[2 * r + (q >> 1), 2 * c + (q & 1)]:
                count(1, intra, quarter)
                continue
            for square in range(4):
                count(2, intra, quarter[square::6])
            count(3, intra, np.stack([quarter[4::6], quarter[5::6]], 1).ravel())
    return counts


def test_symbols_are_counted_by_transform_kind_and_class() -> None:
    random = np.random.default_rng(3)
    blocks = Blocks(5, 7)
    for name in ("pred", "coded", "fine"):
        getattr(blocks, name)[:] = random.integers(0, 2, (5, 7))
    for r, c in ((0, 0), (0, 4), (2, 2)):
        unit = np.s_[r : r + 2, c : c + 2]
        blocks.large[unit], blocks.fine[unit], blocks.pred[unit], blocks.coded[unit] = WHOLE, 0, r % 4 // 2, 1
    blocks.large[2:4, 4:6] = SHARED
    blocks.tiny[:] = random.integers(0, 2, (10, 14)) * blocks.fine.repeat(2, 0).repeat(2, 1)
    busy = random.random((5, 7, 1)) ** 3
    symbols = (random.integers(-3, 4, (5, 7, 384)) * (random.random((5, 7, 384)) < busy)).astype(np.int16)
    symbols[(blocks.large == WHOLE) & (np.indices((5, 7)) % 2).any(0)] = 0
    tally = Tally()
    tally.add_symbols(blocks, symbols)
    for counted, expected in zip(tally.symbols, naive_counts(blocks, symbols), strict=True):
        assert np.array_equal(counted, expected)
        assert expected[0].any()
        assert expected[1].any()


def test_typical_rates_are_there_for_each_class() -> None:
    """The more there are, the cheaper one is."""
    for n in SIZES:
        rates = typical_rates(n)
        assert rates.shape == (2, RATE_CLASSES, n, 3)
        assert (np.diff(rates[..., 1].mean(-1), axis=1) <= 0).all()
        assert rates[:, -1, :, 1].mean() < rates[:, 0, :, 1].mean()


def test_every_class_of_blocks_is_counted_on_its_own() -> None:
    """Of blocks of one symbol more each, from none to all."""
    blocks, symbols = Blocks(1, 385), np.zeros((1, 385, 384), np.int16)
    blocks.coded[:] = 1
    for count in range(385):
        symbols[0, count, :count] = 1
    tally = Tally()
    tally.add_symbols(blocks, symbols)
    wanted = np.bincount([rate_class(count) for count in range(385)], minlength=RATE_CLASSES)
    assert tally.symbols[0][1].sum((1, 2)).tolist() == (wanted * 384).tolist()


def test_rates_say_what_is_rare_and_never_run_away() -> None:
    counts = np.zeros((2, RATE_CLASSES, 16, 3))
    counts[:, :, :, 0], counts[:, :, :4, 1] = 1000, 3000
    rates = rates_of(counts, 0.5)
    assert rates.dtype == np.float32
    assert (rates > 0).all()
    assert (rates <= 14).all()
    assert (rates[:, :, :3, 1] < rates[:, :, 8:11, 1]).all()
    assert np.isfinite(rates_of(np.zeros((2, RATE_CLASSES, 32, 3)), 0.7)).all()


def test_residuals_of_classes_on_their_side_are_kept_upright() -> None:
    """In steps, each in the class and transform that learns from it."""
    random, tally, statistics = np.random.default_rng(5), Tally(), Statistics()
    expected: dict[tuple[int, int], list[np.ndarray]] = {}
    for transform, n in enumerate(SIZES):
        for kind in range(CLASSES):
            rows = random.integers(-9, 10, (2, n)).astype(np.float32)
            statistics.add(rows, CLASSES * transform + kind)
            known = kind
            if kind >= LEARNED_CLASSES:
                known, rows = kind - 5, rows[:, turned(transform)]
            expected.setdefault((transform, known), []).append(rows * STEP_SCALE / int(STEPS[LOWEST + 20]))
    tally.add_residuals(statistics, 20)
    assert set(tally.residuals) == set(expected)
    assert len(expected) == len(SIZES) * LEARNED_CLASSES
    for key, wanted in expected.items():
        assert np.allclose(np.concatenate(tally.residuals[key]), np.concatenate(wanted), rtol=1e-3)
    assert not statistics.residuals
    assert not statistics.classes


def test_residuals_of_a_piece_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one piece no more than its share, from all of it; of all pieces no more than there is room for."""
    monkeypatch.setattr(components, "ROWS_OF_PIECE", 10)
    monkeypatch.setattr(components, "MOST_ROWS", 25)
    together = Tally()
    for piece in range(4):
        tally = Tally()
        for count in (7, 30, 4):  # as frames leave them
            tally.residuals[1, 2].append(np.full((count, 96), piece, np.float16))
        tally.residuals[0, 0].append(np.full((3, 384), piece, np.float16))
        tally.residuals[1, 2][-1][:] = 50 + piece
        tally.thin()
        kept = np.concatenate(tally.residuals[1, 2])
        assert 8 <= len(kept) <= 10
        assert set(kept[:, 0].tolist()) == {piece, 50 + piece}
        assert len(np.concatenate(tally.residuals[0, 0])) == 3
        together.add(tally)
    assert sum(map(len, together.residuals[1, 2])) == 25
    assert sum(map(len, together.residuals[0, 0])) == 12
    assert np.concatenate(together.residuals[1, 2])[0, 0] == 0  # the first pieces stay


def test_classes_without_samples_keep_their_columns() -> None:
    before = [np.stack([dct_columns(t)[:, ::-1]] * LEARNED_CLASSES) for t in range(len(SIZES))]
    tally = Tally()
    assert all(np.array_equal(a, b) for a, b in zip(tally.columns(before), before, strict=True))
    tally.residuals[2, 3].append(np.random.default_rng(0).normal(0, 9, (500, 16)).astype(np.float16))
    for transform, (after, was) in enumerate(zip(tally.columns(before), before, strict=True)):
        changed = [not np.array_equal(a, b) for a, b in zip(after, was, strict=True)]
        assert changed == [(transform, kind) == (2, 3) for kind in range(LEARNED_CLASSES)]


def test_learned_transforms_are_nearly_orthonormal_and_survive_their_file(encoded: Path, tmp_path: Path) -> None:
    bases = load_bases(encoded / BASES)
    for kind, (pictures, n) in enumerate(zip(bases.pictures, SIZES, strict=True)):
        assert pictures.shape == (CLASSES, n, n)
        columns = pictures * (sample_weights(kind) / (1 << 14))
        product = columns @ columns.transpose(0, 2, 1)
        assert np.abs(product - np.eye(n)).max() < 0.01
    cosines = make_bases(
        [np.stack([dct_columns(t)] * LEARNED_CLASSES) for t in range(len(SIZES))], [typical_rates(n) for n in SIZES]
    )
    assert any(not np.array_equal(a, b) for a, b in zip(bases.pictures, cosines.pictures, strict=True))
    assert all(not np.array_equal(a, b) for a, b in zip(bases.rates, cosines.rates, strict=True))
    strided = make_bases([np.stack([np.eye(n)[:, ::-1]] * LEARNED_CLASSES) for n in SIZES], list(bases.rates))
    save_bases(tmp_path / "strided", strided)
    assert all(
        np.array_equal(a, b) for a, b in zip(load_bases(tmp_path / "strided").pictures, strided.pictures, strict=True)
    )
    for name in (BASES, FILTERED, RESTORED):
        bases = load_bases(encoded / name)
        save_bases(tmp_path / "again", bases)
        again = load_bases(tmp_path / "again")
        for kind in ("pictures", "analysis", "rates"):
            assert all(np.array_equal(a, b) for a, b in zip(getattr(again, kind), getattr(bases, kind), strict=True))
        for kind in ("luma", "chroma"):
            assert np.array_equal(getattr(again.filters, kind), getattr(bases.filters, kind))
            assert getattr(bases.filters, kind).any() == (name != BASES)
        for layer, other in zip(bases.network.layers, again.network.layers, strict=True):
            assert all(np.array_equal(array, getattr(other, kind)) for kind, array in vars(layer).items())
        assert any(layer.weights.any() for layer in bases.network.layers) == (name == RESTORED)


def test_files_that_are_no_transforms(encoded: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    for content in (b"", b"text" * 100, (encoded / BASES).read_bytes()[:5000]):
        bad.write_bytes(content)
        with pytest.raises(UsageError, match="not the transforms of a run"):
            load_bases(bad)
    good = load_file(encoded / RESTORED)
    for name in good:
        save_file({other: tensor for other, tensor in good.items() if other != name}, bad)
        with pytest.raises(UsageError, match="not the transforms of a run"):
            load_bases(bad)
        for change in (good[name][1:], good[name].astype(np.float64)):
            save_file({**good, name: change}, bad)
            with pytest.raises(UsageError, match="remove it"):
                load_bases(bad)


def test_a_stop_leaves_nothing(cache: Path) -> None:
    with Workers(0) as workers:
        pieces, calls = Pieces(cache, 1), iter(range(99))
        for stop in (lambda: True, lambda: next(calls) == 2):
            assert learn_bases(pieces, BasesCounts(2, 0, 2), workers, stop, lambda line: None) is None


def test_transforms_do_not_depend_on_how_many_processes_encode(cache: Path) -> None:
    made = []
    for processes in (1, 2):
        with Workers(processes) as workers:
            found = learn_bases(Pieces(cache, 1), BasesCounts(3, 1, 2), workers, lambda: False, lambda line: None)
            assert found is not None
            made.append(found)
    for kind in ("pictures", "rates"):
        assert all(np.array_equal(a, b) for a, b in zip(*(getattr(bases, kind) for bases in made), strict=True))
