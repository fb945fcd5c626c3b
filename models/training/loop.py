# SPDX-License-Identifier: Apache-2.0
"""The network's training: maximum likelihood of recorded symbols, always resumable. No pictures, no encoder."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvcodec.errors import UsageError
from nvcodec.models.conditional.network import ConditionalNetwork, NetworkConfig
from nvcodec.models.exact import freeze_grids
from nvcodec.models.training.group import Group
from nvcodec.models.training.likelihood import bits_of, bits_table, groups_of, predict, start_scales
from nvcodec.models.training.recipe import Recipe
from nvcodec.models.training.records import CLIPS, HELD_OUT, STILLS, Sequence, load_records, recorded

CHECKPOINT_SECONDS = 120
REPORT_STEPS = 50
VALIDATION_STEPS = 500
WARM_UP_STEPS = 100
SCALES_FACTOR = 3.0  # of the learning rate of the tables of base scales
SOFTENING_BITS = 3000  # sequences of fewer bits do not count for more


def read_state(run: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `Training.save` wrote, read without unpickling. Raises UsageError for anything else."""
    path = Path(run) / "state.pt"
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except Exception as error:  # what garbage raises depends on where it goes wrong
        raise UsageError(f"{path}: not the state of a run ({(str(error).splitlines() or [''])[0]})") from error
    if not isinstance(saved, dict) or not {"network", "optimizer", "average", "step", "seconds"} <= set(saved):
        raise UsageError(f"{path}: not the state of a run")
    return saved


def steps_done(run: Path) -> int:
    """Steps of a run so far; 0 for one that has not begun. Raises UsageError when its state cannot be read."""
    return int(read_state(run)["step"]) if (Path(run) / "state.pt").exists() else 0


def load_own_records(recipe: Recipe, folder: Path, group: Group) -> list[Sequence]:
    """This process's share of the training records. Raises UsageError when there are none."""
    paths = recorded(recipe.records, folder, (CLIPS, STILLS))
    paths = paths[group.rank :: group.world] or paths
    sequences = [sequence for path in paths for sequence in load_records(path)]
    if not groups_of(sequences):
        raise UsageError(f"no records to train on in {folder}")
    return sequences


class Training:
    """One run in one folder: ``state.pt`` (resume), averaged weights in it, ``log.jsonl``."""

    def __init__(
        self,
        recipe: Recipe,
        run: Path,
        device: str = "cpu",
        say: Callable[[str], None] | None = None,
        group: Group | None = None,
        start: ConditionalNetwork | None = None,
    ):
        """start: a network to begin with; without it scales begin at what tables alone can tell."""
        self.recipe, self.run, self.device = recipe, Path(run), torch.device(device)
        self.say = say or (lambda line: print(line, file=sys.stderr, flush=True))
        self.group = group or Group(self.device)
        sequences = load_own_records(recipe, self.run / "records", self.group)
        self.groups = groups_of(sequences)
        held_out = recorded(recipe.records, self.run / "records", (HELD_OUT,)) if self.group.rank == 0 else []
        self.held_out = [s for g in groups_of([s for p in held_out for s in load_records(p)]) for s in g]
        torch.manual_seed(recipe.seed)
        self.network = ConditionalNetwork(NetworkConfig(**recipe.network)).to(self.device)
        self.network.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(parameter_groups(self.network), lr=1e-3, betas=(0.9, 0.99))
        self.table = bits_table().to(self.device)
        self.step, self.seconds = 0, 0.0
        self._stop_asked = self._stopping = False
        if not self._resume():
            self._start(start, sequences)
        self.random = np.random.default_rng([recipe.seed, self.group.rank, self.step])

    def _start(self, start: ConditionalNetwork | None, sequences: list[Sequence]) -> None:
        if start is None:
            start_scales(self.network, sequences)
        else:
            try:
                self.network.load_state_dict(start.state_dict())
            except RuntimeError as error:
                reason = str(error).splitlines()[-1].strip()
                raise UsageError(
                    f"start_from {self.recipe.start_from}: does not fit the network of the recipe ({reason})"
                ) from error
        self.group.follow(list(self.network.state_dict().values()))
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def _resume(self) -> bool:
        if not (self.run / "state.pt").exists():
            return False
        saved = read_state(self.run, self.device)
        try:
            self.network.load_state_dict(saved["network"])
            self.optimizer.load_state_dict(saved["optimizer"])
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"run {self.run}: its network is not that of the recipe ({reason})") from error
        self.average, self.step, self.seconds = saved["average"], saved["step"], saved["seconds"]
        self.say(f"resumed at step {self.step}")
        return True

    def save(self) -> None:
        """Write the state to resume from (whole or not at all)."""
        if self.group.rank:
            return
        saved = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "step": self.step,
            "seconds": self.seconds,
        }
        partial = self.run / "state.partial"
        torch.save(saved, partial)
        os.replace(partial, self.run / "state.pt")

    def fit(self, seconds: float = math.inf, stop: Callable[[], bool] = lambda: False) -> None:
        """Train to the recipe's end, for ``seconds`` or until ``stop()`` is true, and save.

        The processes of a distributed run agree on the last step: whichever wants to stop says so with its gradients.
        """
        begin = last_save = time.monotonic()
        before = self.seconds
        sums: dict[str, float] = defaultdict(float)
        try:
            while self.step < self.recipe.steps and not self._stopping:
                self._stop_asked = stop() or time.monotonic() - begin >= seconds
                if self._stop_asked and self.group.world == 1:
                    break
                for key, value in self._one_step().items():
                    sums[key] += value
                self.seconds = before + time.monotonic() - begin
                at_end = self.step == self.recipe.steps
                if self.group.rank == 0 and (self.step % REPORT_STEPS == 0 or at_end):
                    self._report(sums, self.step % VALIDATION_STEPS == 0 or at_end)
                    sums.clear()
                if time.monotonic() - last_save > CHECKPOINT_SECONDS:
                    self.save()
                    last_save = time.monotonic()
        finally:
            self.save()

    def _one_step(self) -> dict[str, float]:
        stage, through = self.recipe.stage_at(self.step)
        rate = stage.lr_end + (stage.lr - stage.lr_end) * 0.5 * (1 + math.cos(math.pi * through))
        rate *= min(1.0, (self.step + 1) / WARM_UP_STEPS)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate * parameters["factor"]
        sequences = self._draw(stage.batch)
        freeze_grids(self.network, getattr(torch, self.recipe.precision))
        bits, alone, blocks = self._bits(sequences)
        # every sequence counts by the share that it could save, damped: fine levels have a hundred times the bits
        weight = (bits.detach() + SOFTENING_BITS) ** -0.5
        loss = (bits * weight).sum() / (1 / weight).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._average_gradients()
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm))
        if math.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        self._average_weights()
        return {"bits": float(bits.detach().sum()), "alone": alone, "blocks": blocks, "gradient": norm, "steps": 1}

    def _draw(self, batch: int) -> list[Sequence]:
        """Sequences of one group; more of short ones."""
        sizes = np.array([len(group) for group in self.groups])
        group = self.groups[int(self.random.choice(len(sizes), p=sizes / sizes.sum()))]
        count = batch * max(1, self.recipe.records.frames // (2 * len(group[0])))
        chosen = self.random.choice(len(group), min(count, len(group)), replace=False)
        return [group[int(n)] for n in chosen]

    def _bits(self, sequences: list[Sequence]) -> tuple[Tensor, float, int]:
        """Bits of each sequence, of all by the tables alone, and blocks that carry them."""
        total, alone = torch.zeros(len(sequences), device=self.device), torch.zeros((), device=self.device)
        blocks = 0
        for batch, scales, base in predict(self.network, sequences, self.device):
            total = total.index_add(0, batch.sequence, bits_of(scales, batch.symbols, self.table).sum(1))
            with torch.no_grad():
                alone = alone + bits_of(base, batch.symbols, self.table).sum()
            blocks += len(batch.symbols)
        return total, float(alone), blocks

    def _average_gradients(self) -> None:
        """Mean over the processes of a distributed run, in one message, with the wish to stop as its last number."""
        if self.group.world == 1:
            return
        parameters = list(self.network.parameters())
        for parameter in parameters:
            if parameter.grad is None:  # what single frames do not use
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in parameters if p.grad is not None]
        stop = torch.full((1,), float(self._stop_asked), device=self.device)
        flat = self.group.mean(torch.cat([*(g.flatten() for g in gradients), stop]))
        self._stopping = bool(flat[-1] > 0)
        for gradient, mean in zip(gradients, flat[:-1].split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def _average_weights(self) -> None:
        decay = min(self.recipe.ema, self.step / (self.step + 10))
        with torch.no_grad():
            for key, value in self.network.state_dict().items():
                self.average[key].lerp_(value, 1 - decay)

    def _report(self, sums: dict[str, float], validate: bool) -> None:
        rate = self.step / max(self.seconds, 1e-9)
        left = (self.recipe.steps - self.step) / rate
        figures = {
            "bits_per_block": sums["bits"] / max(1, sums["blocks"]),
            "percent": 100 * (sums["bits"] / max(1.0, sums["alone"]) - 1),
            "gradient": sums["gradient"] / sums["steps"],
        }
        held_out = ""
        if validate and self.held_out:
            bits, percent = self.validate()
            figures |= {"held_out_bits_per_block": bits, "held_out_percent": percent}
            held_out = f"held out {bits:.2f} ({percent:+.2f}%)  "
        self.say(
            f"step {self.step}/{self.recipe.steps}  {figures['bits_per_block']:.2f} bits per coded block "
            f"({figures['percent']:+.2f}% of tables alone)  {held_out}|g| {figures['gradient']:.3f}  "
            f"{rate:.2f} steps/s  left {left / 60:.0f} min"
        )
        with open(self.run / "log.jsonl", "a") as log:
            log.write(json.dumps({"step": self.step, "seconds": round(self.seconds, 1), **figures}) + "\n")

    @torch.no_grad()
    def validate(self) -> tuple[float, float]:
        """Averaged weights on sequences held out: bits per coded block, and percent by which their bits differ from
        those of the tables alone (mean of logarithms)."""
        network = self.averaged_network().eval()
        freeze_grids(network)
        bits = blocks = 0.0
        logarithms = []
        for sequence in self.held_out:
            here = alone = 0.0
            for batch, scales, base in predict(network, [sequence], self.device):
                here += float(bits_of(scales, batch.symbols, self.table, rounded=True).sum())
                alone += float(bits_of(base, batch.symbols, self.table, rounded=True).sum())
                blocks += len(batch.symbols)
            bits += here
            logarithms.append(math.log(max(here, 1.0) / max(alone, 1.0)))
        return bits / max(1.0, blocks), 100 * (math.exp(float(np.mean(logarithms))) - 1)

    def averaged_network(self) -> ConditionalNetwork:
        """A copy of the network with the averaged weights."""
        network = ConditionalNetwork(self.network.config).to(self.device)
        network.load_state_dict(self.average)
        return network.to(memory_format=torch.channels_last)


def parameter_groups(network: ConditionalNetwork) -> list[dict[str, Any]]:
    """Parameters grouped by the factor on their learning rate."""
    tables = [network.coarse_scales, network.quarter_scales]
    rest = [p for p in network.parameters() if not any(p is table for table in tables)]
    return [{"params": rest, "factor": 1.0}, {"params": tables, "factor": SCALES_FACTOR}]
