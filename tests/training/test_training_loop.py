# SPDX-License-Identifier: Apache-2.0
"""Training learns, stops where it is told, resumes where it stopped, and never runs what a state file holds."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from synthetic_training import recipe_text

from nvcodec.errors import UsageError
from nvcodec.models.conditional.network import ConditionalNetwork
from nvcodec.models.training import loop
from nvcodec.models.training.loop import Training, collate, sequence_loss
from nvcodec.models.training.recipe import load_recipe


def training(folder: Path, cache: Path, steps: int = 3, **keys: object) -> Training:
    """A run of a tiny network that says nothing."""
    path = folder / "recipe.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(recipe_text(steps, **keys))
    return Training(load_recipe(path), cache, folder / "run", say=lambda line: None)


def loss_of(network: ConditionalNetwork, run: Training, samples: list) -> float:
    """Loss of fixed sequences at fixed qualities under fixed noise."""
    qualities = torch.tensor([[10.0, 30.0], [12.0, 32.0], [14.0, 34.0]])
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        loop.freeze_grids(network)
        return float(sequence_loss(network, *collate(samples, run.device), qualities)[0])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_loss_of_a_fixed_batch_falls(
    tmp_path: Path, cache: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "WARM_UP_STEPS", 1)
    run = training(tmp_path, cache, 24, precision=precision)
    batch = [run.sampler.draw(3) for _ in range(2)]
    monkeypatch.setattr(run.sampler, "draw", lambda frames: batch[run.sampler.random.integers(2)])
    before, averaged_before = (loss_of(network, run, batch) for network in (run.network, run.averaged_network()))
    assert before == pytest.approx(averaged_before)
    run.fit()
    after, averaged_after = (loss_of(network, run, batch) for network in (run.network, run.averaged_network()))
    assert after < 0.95 * before
    assert averaged_after < 0.95 * before


def test_stop_and_resume_reach_the_same_step_count(tmp_path: Path, cache: Path) -> None:
    run = training(tmp_path, cache, 5)
    run.fit(stop=lambda: run.step == 2)
    assert run.step == 2
    resumed = training(tmp_path, cache, 5)
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
    assert training(tmp_path, cache, 5).step == 5
    assert [json.loads(line)["step"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()] == [5]


def test_time_limit_stops_a_run_before_its_end(tmp_path: Path, cache: Path) -> None:
    run = training(tmp_path, cache, 10_000)
    run.fit(seconds=0)
    assert run.step == 0
    run.fit(seconds=1)
    assert 0 < run.step < 10_000
    assert training(tmp_path, cache, 10_000).step == run.step


def test_same_recipe_same_weights(tmp_path: Path, cache: Path) -> None:
    runs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        runs.append(training(tmp_path / name, cache, 2, seed=seed))
        runs[-1].fit()
    first, second, other = runs
    assert all(torch.equal(first.average[key], second.average[key]) for key in first.average)
    assert any(not torch.equal(first.average[key], other.average[key]) for key in first.average)


class Trap:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("trap-was-sprung",)


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps({"step": Trap()}, 2), None])
def test_state_files_that_are_none_are_refused_and_never_run(
    tmp_path: Path, cache: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    state = tmp_path / "run" / "state.pt"
    if content is None:
        torch.save({"network": Trap()}, state)
    else:
        state.write_bytes(content)
    with pytest.raises(UsageError, match=r"state\.pt: not the state of a run"):
        training(tmp_path, cache)
    assert not (tmp_path / "trap-was-sprung").exists()


def test_state_of_another_network_is_refused(tmp_path: Path, cache: Path) -> None:
    training(tmp_path, cache).save()
    path = tmp_path / "recipe.toml"
    path.write_text(recipe_text().replace("channels = 16", "channels = 24", 1))
    with pytest.raises(UsageError, match="its network is not that of the recipe"):
        Training(load_recipe(path), cache, tmp_path / "run", say=lambda line: None)


def test_unreadable_cache_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "cache" / "train").mkdir(parents=True)
    with pytest.raises(UsageError, match="no training cache"):
        training(tmp_path, tmp_path / "cache")
    (tmp_path / "cache" / "train" / "bad.npz").write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(UsageError, match=r"bad\.npz: not readable"):
        training(tmp_path, tmp_path / "cache")
    np.savez(tmp_path / "cache" / "train" / "bad.npz", y=np.array([Trap()]), source="x")
    with pytest.raises(UsageError, match=r"bad\.npz: not readable"):
        training(tmp_path, tmp_path / "cache")


def test_start_from_a_weight_file(tmp_path: Path, cache: Path) -> None:
    pytest.importorskip("compressai")
    from nvcodec.models.conditional.choice import ChoiceCounter
    from nvcodec.models.motion.syntax import MotionCounter
    from nvcodec.models.training.export import export

    run = training(tmp_path / "first", cache, 2)
    run.fit()
    weights = tmp_path / "first.safetensors"
    export(run.averaged_network(), MotionCounter().tables(), ChoiceCounter().table_set(), "first", weights)
    second = training(tmp_path / "second", cache, start_from=str(weights))
    stored = load_file(weights)
    assert all(
        torch.equal(value, stored[f"network.{key}"].float())
        for key, value in second.network.state_dict().items()
        if not key.startswith("hyper_density.")
    )
    with pytest.raises(UsageError, match="not installed"):
        training(tmp_path / "third", cache, start_from="no-such-weights")
    path = tmp_path / "wide.toml"
    path.write_text(recipe_text(start_from=str(weights)).replace("channels = 16", "channels = 24", 1))
    with pytest.raises(UsageError, match="does not fit"):
        Training(load_recipe(path), cache, tmp_path / "fourth", say=lambda line: None)
