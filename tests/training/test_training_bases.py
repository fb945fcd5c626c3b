# SPDX-License-Identifier: Apache-2.0
"""Transforms: principal components, counts of symbols, and the file that keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from nvcodec.errors import UsageError
from nvcodec.models.conditional.picture import Blocks
from nvcodec.models.kernels.residual import rate_class
from nvcodec.models.training.bases import SIZES, load_bases, make_bases, save_bases, typical_rates
from nvcodec.models.training.components import Tally, learn_bases, principal_components, rates_of
from nvcodec.models.training.phases import BASES
from nvcodec.models.training.pieces import Pieces
from nvcodec.models.training.recipe import BasesCounts
from nvcodec.models.training.workers import Workers
from nvcodec.models.transform import CLASSES, dct_columns


def test_principal_components_are_orthonormal_and_sorted() -> None:
    random = np.random.default_rng(0)
    mixing = random.normal(size=(16, 16)) * np.linspace(3, 0.1, 16)
    covariance = mixing @ mixing.T
    columns = principal_components(covariance)
    assert np.allclose(columns.T @ columns, np.eye(16))
    variances = (columns.T @ covariance @ columns).diagonal()
    assert (np.diff(variances) < 1e-6).all()
    assert (columns[np.abs(columns).argmax(0), np.arange(16)] > 0).all()


def naive_counts(blocks: Blocks, symbols: np.ndarray) -> list[np.ndarray]:
    """One block after the other, one quarter after the other."""
    counts = [np.zeros((2, 8, n, 3)) for n in SIZES]

    def count(transform: int, intra: int, values: np.ndarray) -> None:
        for k, value in enumerate(values):
            counts[transform][intra, rate_class(np.count_nonzero(values)), k, min(abs(value), 2)] += 1

    for r, c in np.argwhere(blocks.coded):
        intra, block = int(blocks.pred[r, c] == 0), symbols[r, c]
        if not blocks.fine[r, c]:
            count(0, intra, block)
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
    blocks.tiny[:] = random.integers(0, 2, (10, 14))
    busy = random.random((5, 7, 1)) ** 3
    symbols = (random.integers(-3, 4, (5, 7, 384)) * (random.random((5, 7, 384)) < busy)).astype(np.int16)
    tally = Tally()
    tally.add_symbols(blocks, symbols)
    for counted, expected in zip(tally.symbols, naive_counts(blocks, symbols), strict=True):
        assert np.array_equal(counted, expected)
        assert expected.any()


def test_rates_say_what_is_rare_and_never_run_away() -> None:
    counts = np.zeros((2, 8, 16, 3))
    counts[:, :, :, 0], counts[:, :, :4, 1] = 1000, 3000
    rates = rates_of(counts, 0.5)
    assert rates.dtype == np.float32
    assert (rates > 0).all()
    assert (rates <= 14).all()
    assert (rates[:, :, :3, 1] < rates[:, :, 8:11, 1]).all()
    assert np.isfinite(rates_of(np.zeros((2, 8, 32, 3)), 0.7)).all()


def test_classes_without_samples_keep_their_components() -> None:
    before = [np.stack([dct_columns(t)] * CLASSES) for t in range(len(SIZES))]
    assert all(np.array_equal(a, b) for a, b in zip(Tally().columns(before), before, strict=True))


def test_learned_transforms_are_nearly_orthonormal_and_survive_their_file(encoded: Path, tmp_path: Path) -> None:
    bases = load_bases(encoded / BASES)
    for pictures, analysis, n in zip(bases.pictures, bases.analysis, SIZES, strict=True):
        assert pictures.shape == (CLASSES, n, n)
        product = analysis @ analysis.transpose(0, 2, 1)
        assert np.abs(product - np.eye(n)).max() < 0.01
    cosines = make_bases(
        [np.stack([dct_columns(t)] * CLASSES) for t in range(len(SIZES))], [typical_rates(n) for n in SIZES]
    )
    assert any(not np.array_equal(a, b) for a, b in zip(bases.pictures, cosines.pictures, strict=True))
    assert all(not np.array_equal(a, b) for a, b in zip(bases.rates, cosines.rates, strict=True))
    turned = make_bases(
        [np.stack([principal_components(np.diag(np.arange(n) + 1.0))] * CLASSES) for n in SIZES], list(bases.rates)
    )
    save_bases(tmp_path / "turned", turned)
    assert all(
        np.array_equal(a, b) for a, b in zip(load_bases(tmp_path / "turned").pictures, turned.pictures, strict=True)
    )
    save_bases(tmp_path / "again", bases)
    again = load_bases(tmp_path / "again")
    for kind in ("pictures", "analysis", "rates"):
        assert all(np.array_equal(a, b) for a, b in zip(getattr(again, kind), getattr(bases, kind), strict=True))


def test_files_that_are_no_transforms(encoded: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    for content in (b"", b"text" * 100, (encoded / BASES).read_bytes()[:5000]):
        bad.write_bytes(content)
        with pytest.raises(UsageError, match="not the transforms of a run"):
            load_bases(bad)
    tensors = {f"{kind}.{t}": np.zeros((2, 2), np.int16) for kind in ("bases", "rates") for t in range(4)}
    save_file(tensors, bad)
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
