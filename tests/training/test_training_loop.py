# SPDX-License-Identifier: Apache-2.0
"""Training learns, stops where it is told, resumes where it stopped, and never runs what a state file holds."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic_training import recipe_text

from nvcodec.datasets.training_cache import cached_files, load_clip
from nvcodec.errors import UsageError
from nvcodec.models.conditional.density import SCALES_PER_E, gaussian_bits, scale_of_index
from nvcodec.models.conditional.network import ConditionalNetwork
from nvcodec.models.exact import freeze_grids
from nvcodec.models.training import loop
from nvcodec.models.training.likelihood import TableBits, bits_of, bits_table, groups_of
from nvcodec.models.training.loop import Training
from nvcodec.models.training.recipe import load_recipe
from nvcodec.models.training.records import load_records


def training(run: Path, steps: int = 3, **keys: object) -> Training:
    """A run of a tiny network that says nothing."""
    path = run / "recipe.toml"
    path.write_text(recipe_text(steps, **keys))
    return Training(load_recipe(path), run, say=lambda line: None)


def test_table_of_bits_is_near_a_gaussian_and_its_gradient_is_the_slope() -> None:
    table = bits_table()
    assert table.shape == (64, 128)
    for index in (10, 20, 30):
        scale = scale_of_index(torch.tensor(float(index), dtype=torch.float64))
        magnitudes = torch.arange(int(2 * scale) + 1, dtype=torch.float64)
        assert torch.allclose(table[index, : len(magnitudes)].double(), gaussian_bits(magnitudes, scale), atol=0.01)
    assert (table.diff(dim=1)[:, :32] >= 0).all()
    assert table.max() < 10_000
    positions = torch.tensor([[3.25, 17.5, -2.0, 70.0]], requires_grad=True)
    magnitudes = torch.tensor([[1, 0, 0, 2]], dtype=torch.int32)
    bits = TableBits.apply(positions, magnitudes, table)
    assert float(bits.detach()[0, 0]) == pytest.approx(float(0.75 * table[3, 1] + 0.25 * table[4, 1]))
    bits.sum().backward()
    assert float(positions.grad[0, 0]) == pytest.approx(float(table[4, 1] - table[3, 1]))
    assert float(positions.grad[0, 1]) == pytest.approx(float(table[18, 0] - table[17, 0]))
    assert float(positions.grad[0, 2]) == 0  # a smaller scale would be better, but there is none
    rounded = bits_of(torch.tensor([[10.4 / SCALES_PER_E - 2.2]]), torch.tensor([[-3.0]]), table, rounded=True)
    assert float(rounded) in table[:, 3].tolist()


def bits_of_records(network: ConditionalNetwork, run: Training) -> float:
    """Bits of all records under a network."""
    run.network, kept = network, run.network
    with torch.no_grad():
        freeze_grids(network)
        bits = sum(float(run._bits([sequence])[0].sum()) for group in run.groups for sequence in group)
    run.network = kept
    return bits


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_bits_of_the_records_fall(run_folder: Path, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "WARM_UP_STEPS", 1)
    run = training(run_folder, 30, precision=precision)
    before, averaged_before = (bits_of_records(network, run) for network in (run.network, run.averaged_network()))
    assert before == pytest.approx(averaged_before)
    run.fit()
    after, averaged_after = (bits_of_records(network, run) for network in (run.network, run.averaged_network()))
    assert after < 0.97 * before
    assert averaged_after < 0.98 * before


def test_tables_alone_begin_where_the_share_of_zeros_says(run_folder: Path) -> None:
    run = training(run_folder)
    started = bits_of_records(run.network, run)
    for table in (run.network.coarse_scales, run.network.quarter_scales):
        table.data.fill_(-1.0)
    assert started < 0.9 * bits_of_records(run.network, run)


def test_batches_are_of_one_shape_and_larger_where_sequences_are_short(run_folder: Path) -> None:
    run = training(run_folder)
    assert sum(len(group) for group in run.groups) == 8
    for _ in range(30):
        drawn = run._draw(1)
        assert len({(s[0].shape, tuple(f.references for f in s)) for s in drawn}) == 1
        assert len(drawn) <= (1 if len(drawn[0]) > 1 else 2)
        assert len({id(s) for s in drawn}) == len(drawn)


def test_stop_and_resume_reach_the_same_step_count(run_folder: Path) -> None:
    run = training(run_folder, 5)
    run.fit(stop=lambda: run.step == 2)
    assert run.step == 2
    resumed = training(run_folder, 5)
    assert resumed.step == 2
    assert resumed.seconds == run.seconds > 0
    for key, value in run.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[key], value), key
        assert torch.equal(resumed.average[key], run.average[key]), key
    kept, restored = (r.optimizer.state_dict()["state"] for r in (run, resumed))
    assert all(torch.equal(kept[i]["exp_avg"], restored[i]["exp_avg"]) for i in kept)
    resumed.fit()
    assert resumed.step == 5
    assert any(not torch.equal(run.average[key], resumed.average[key]) for key in run.average)
    assert training(run_folder, 5).step == 5
    assert [json.loads(line)["step"] for line in (run_folder / "log.jsonl").read_text().splitlines()] == [5]


def test_held_out_records_are_reported(run_folder: Path) -> None:
    shutil.copy(run_folder / "records" / "clips-0000.npz", run_folder / "records" / "held-out-0000.npz")
    run = training(run_folder, 2)
    assert len(run.held_out) == 6
    run.fit()
    figures = json.loads((run_folder / "log.jsonl").read_text())
    assert figures["held_out_bits_per_block"] > 0
    assert abs(figures["held_out_percent"]) < 20


def test_time_limit_stops_a_run_before_its_end(run_folder: Path) -> None:
    run = training(run_folder, 10_000)
    run.fit(seconds=0)
    assert run.step == 0
    run.fit(seconds=1)
    assert 0 < run.step < 10_000
    assert training(run_folder, 10_000).step == run.step


def test_same_recipe_same_weights(run_folder: Path, tmp_path: Path) -> None:
    runs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        shutil.copytree(run_folder, tmp_path / name)
        runs.append(training(tmp_path / name, 2, seed=seed))
        runs[-1].fit()
    first, second, other = runs
    assert all(torch.equal(first.average[key], second.average[key]) for key in first.average)
    assert any(not torch.equal(first.average[key], other.average[key]) for key in first.average)


class Trap:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("trap-was-sprung",)


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps({"step": Trap()}, 2), None])
def test_state_files_that_are_none_are_refused_and_never_run(
    run_folder: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run_folder)
    state = run_folder / "state.pt"
    if content is None:
        torch.save({"network": Trap()}, state)
    else:
        state.write_bytes(content)
    with pytest.raises(UsageError, match=r"state\.pt: not the state of a run"):
        training(run_folder)
    assert not (run_folder / "trap-was-sprung").exists()


def test_state_of_another_network_is_refused(run_folder: Path) -> None:
    training(run_folder).save()
    path = run_folder / "recipe.toml"
    path.write_text(recipe_text().replace("hidden = 16", "hidden = 24", 1))
    with pytest.raises(UsageError, match="its network is not that of the recipe"):
        Training(load_recipe(path), run_folder, say=lambda line: None)


def test_records_are_needed(run_folder: Path) -> None:
    shutil.rmtree(run_folder / "records")
    with pytest.raises(UsageError, match="no records to train on"):
        training(run_folder)


def test_sequences_without_symbols_are_left_out(run_folder: Path) -> None:
    sequences = load_records(run_folder / "records" / "clips-0000.npz")
    for frame in sequences[0]:
        frame.symbols = frame.symbols[:0]
    assert sum(len(group) for group in groups_of(sequences)) == len(sequences) - 1


def test_unreadable_cache_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no training cache"):
        cached_files(tmp_path)
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(UsageError, match=r"bad\.npz: not readable"):
        cached_files(tmp_path)
    plane = np.zeros((2, 32, 32), np.uint8)
    for y, u in ((np.array([Trap()]), plane), (plane, plane), (plane[0], plane)):
        np.savez(bad, y=y, u=u, v=u, source="x")
        with pytest.raises(UsageError, match=r"bad\.npz: not readable"):
            load_clip(cached_files(tmp_path)[0])
