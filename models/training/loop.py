# SPDX-License-Identifier: Apache-2.0
"""The training loop: sequences of frames, rate + lambda x distortion at random quality, always resumable."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch import distributed as dist

from nvcodec.datasets.samples import Sample, Sampler, hold_out
from nvcodec.datasets.training_cache import load_clips
from nvcodec.errors import UsageError
from nvcodec.models import zoo
from nvcodec.models.conditional.network import ConditionalNetwork, NetworkConfig, State
from nvcodec.models.exact import freeze_grids
from nvcodec.models.quality import LEVELS, quantisation_step, rate_distortion_lambda
from nvcodec.models.training.recipe import Recipe
from nvcodec.models.training.statistics import block_covariance, fine_covariance, principal_components
from nvcodec.models.transform import planes_to_blocks

CHECKPOINT_SECONDS = 120
REPORT_STEPS = 50
WARM_UP_STEPS = 300
HYPER_SHARE = 0.5  # of inter frames in training that carry hyperlatents


def collate(samples: list[Sample], device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
    """Per frame: blocks (B, 96, S/8, S/8) and vectors (B, S/8, S/8, 2)."""
    y, u, v = (
        torch.from_numpy(np.stack([getattr(s, name) for s in samples], 1)).to(device, non_blocking=True)
        for name in "yuv"
    )
    vectors = torch.from_numpy(np.stack([s.vectors for s in samples], 1)).to(device, non_blocking=True)
    return [planes_to_blocks(*planes) for planes in zip(y, u, v, strict=True)], list(vectors)


def draw_qualities(batch: int, frames: int, random: np.random.Generator) -> Tensor:
    """(T, B) quality of each frame: uniform, finer for the intra frame, varied along the sequence as encoders do."""
    base = random.uniform(0, LEVELS - 1, batch)
    swing = random.choice([0, 3, 6, 9], batch)
    quality = base - np.rint(random.uniform(0, 1, (frames, batch)) * swing) + random.integers(-1, 2, (frames, batch))
    quality[0] = base + random.uniform(4, 22, batch)
    return torch.from_numpy(np.clip(np.rint(quality), 0, LEVELS - 1).astype(np.float32))


def weighted_mse(picture: Tensor, reconstruction: Tensor) -> Tensor:
    """(B,) squared error on the 8-bit scale, weights 6:4:4 of 8.

    In PSNR-YUV 6:1:1 a plane counts by its weight over its error, and chroma's error is about a quarter of luma's.
    """
    error = ((picture - reconstruction) * 16) ** 2
    return (6 * error[:, :64].mean((1, 2, 3)) + 8 * error[:, 64:].mean((1, 2, 3))) / 8


def sequence_loss(
    network: ConditionalNetwork, pictures: list[Tensor], vectors: list[Tensor], qualities: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Loss of a batch of sequences and figures for the progress line (bpp and PSNR of inter frames)."""
    pixels = pictures[0].shape[2] * pictures[0].shape[3] * 64
    state: State | None = None
    loss = torch.zeros((), device=pictures[0].device)
    sums = {"bpp_intra": 0.0, "bpp": 0.0, "bpp_hyper": 0.0, "psnr_db": 0.0, "psnr_intra_db": 0.0}
    inter = max(1, len(pictures) - 1)
    for t, picture in enumerate(pictures):
        quality = qualities[t].to(picture.device)
        hyper_present = (torch.rand(len(quality), device=picture.device) < HYPER_SHARE).to(picture.dtype)
        state, bits, hyper_bits = network(picture, state, vectors[t] if t else None, quality, hyper_present)
        mse = weighted_mse(picture, state.blocks)
        bpp = (bits + hyper_bits) / pixels
        # without this, fine levels (fifty times the bits) would drown the coarse ones
        balance = (quantisation_step(quality) / 16) ** 1.1
        loss = loss + (balance * (bpp + rate_distortion_lambda(quality) * mse)).mean()
        psnr = float(10 * torch.log10(255**2 / mse.detach().clamp_min(1e-3)).mean())
        if t == 0:
            sums["bpp_intra"], sums["psnr_intra_db"] = float(bpp.detach().mean()), psnr
        else:
            sums["bpp"] += float(bpp.detach().mean()) / inter
            sums["bpp_hyper"] += float(hyper_bits.detach().mean()) / pixels / inter
            sums["psnr_db"] += psnr / inter
    return loss / len(pictures), sums


# learning rates in proportion to what a step does: transform matrices have small entries, and one unit of the layers
# that write pictures or latents is 16 sample values
RATE_FACTORS = (
    ("transform.synthesis", 0.001),
    ("transform.fine_synthesis", 0.001),
    ("transform.analysis", 0.1),
    ("transform.fine_analysis", 0.1),
    ("spatial_out.", 0.5),
    ("prior_out.", 0.5),
    ("hyper_density.", 5.0),
)


def parameter_groups(network: ConditionalNetwork) -> list[dict]:
    """Parameters grouped by the factor on their learning rate."""
    groups: dict[float, list] = {}
    for name, parameter in network.named_parameters():
        factor = next((f for prefix, f in RATE_FACTORS if name.startswith(prefix)), 1.0)
        groups.setdefault(factor, []).append(parameter)
    return [{"params": params, "factor": factor} for factor, params in groups.items()]


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


class Training:
    """One run in one folder: ``state.pt`` (resume), ``weights.safetensors``-ready EMA, ``log.jsonl``."""

    def __init__(
        self, recipe: Recipe, cache: Path, run: Path, device: str = "cpu", say: Callable[[str], None] | None = None
    ):
        self.recipe, self.run, self.device = recipe, Path(run), torch.device(device)
        self.say = say or (lambda line: print(line, file=sys.stderr, flush=True))
        self.run.mkdir(parents=True, exist_ok=True)
        clips = load_clips(Path(cache) / "train") if (Path(cache) / "train").is_dir() else load_clips(cache)
        stills = load_clips(Path(cache) / "stills") if (Path(cache) / "stills").is_dir() else []
        train, self.held_out = hold_out(clips)
        torch.manual_seed(recipe.seed)
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.sampler = Sampler(train, stills, recipe.crop, [recipe.seed, self.rank], recipe.still_share)
        self.network = ConditionalNetwork(NetworkConfig(**recipe.network)).to(
            self.device, memory_format=torch.channels_last
        )
        self.optimizer = torch.optim.Adam(parameter_groups(self.network), lr=1e-3, betas=(0.9, 0.99))
        self.step, self.seconds = 0, 0.0
        self._stop_asked = self._stopping = False
        if not self._resume():
            self._start(Sampler(train, [], recipe.crop, recipe.seed))
            torch.manual_seed(recipe.seed + self.rank)  # same weights so far, different noise from here
            self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def _start(self, sampler: Sampler) -> None:
        if self.recipe.start_from:
            self._start_from(zoo.find(self.recipe.start_from).path)
            return
        self.say("principal components of blocks ...")
        covariance = block_covariance(sampler)
        self.network.start(principal_components(covariance), principal_components(fine_covariance(covariance)))

    def _start_from(self, path: Path) -> None:
        """Begin with the parameters of a weight file (the density of hyperlatents, not stored there, begins anew)."""
        try:
            stored = {k: v.float() for k, v in load_file(path).items() if k.startswith("network.")}
            parameters = {k.removeprefix("network."): v for k, v in stored.items()}
            missing, unexpected = self.network.load_state_dict(parameters, strict=False)
        except (SafetensorError, RuntimeError) as error:
            raise UsageError(f"start_from {path}: does not fit the network ({str(error).splitlines()[0]})") from error
        if unexpected or any(not key.startswith("hyper_density.") for key in missing):
            raise UsageError(f"start_from {path}: holds other parameters than the network")

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
        self.sampler.random = np.random.default_rng([self.recipe.seed, self.rank, self.step])
        torch.manual_seed(self.recipe.seed + self.rank + 1000 * self.step)
        self.say(f"resumed at step {self.step}")
        return True

    def save(self) -> None:
        """Write the state to resume from (whole or not at all)."""
        if self.rank:
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
        steps, sums = 0, dict[str, float]()
        try:
            while self.step < self.recipe.steps and not self._stopping:
                self._stop_asked = stop() or time.monotonic() - begin >= seconds
                if self._stop_asked and self.world == 1:
                    break
                figures = self._one_step()
                steps += 1
                for key, value in figures.items():
                    sums[key] = sums.get(key, 0.0) + value
                self.seconds = before + time.monotonic() - begin
                if self.step % REPORT_STEPS == 0 or self.step == self.recipe.steps:
                    if self.rank == 0:
                        self._report({key: value / steps for key, value in sums.items()})
                    steps, sums = 0, {}
                if time.monotonic() - last_save > CHECKPOINT_SECONDS:
                    self.save()
                    last_save = time.monotonic()
        finally:
            self.save()

    def _one_step(self) -> dict[str, float]:
        stage, through = self.recipe.stage_at(self.step)
        rate = stage.lr_end + (stage.lr - stage.lr_end) * 0.5 * (1 + math.cos(math.pi * through))
        rate *= min(1.0, (self.step + 1) / WARM_UP_STEPS)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        pictures, vectors = collate([self.sampler.draw(stage.frames) for _ in range(stage.batch)], self.device)
        qualities = draw_qualities(stage.batch, stage.frames, self.sampler.random)
        freeze_grids(self.network, getattr(torch, self.recipe.precision))
        loss, figures = sequence_loss(self.network, pictures, vectors, qualities)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._average_gradients()
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm))
        if math.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        decay = min(self.recipe.ema, self.step / (self.step + 10))
        with torch.no_grad():
            for key, value in self.network.state_dict().items():
                self.average[key].lerp_(value, 1 - decay) if value.is_floating_point() else self.average[key].copy_(
                    value
                )
        return figures | {"loss": float(loss.detach()), "gradient": norm}

    def _average_gradients(self) -> None:
        """Mean over the processes of a distributed run, in one message, with the wish to stop as its last number."""
        if self.world == 1:
            return
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        stop = torch.full((1,), float(self._stop_asked), device=self.device)
        flat = torch.cat([*(g.flatten() for g in gradients), stop])
        dist.all_reduce(flat)
        flat /= self.world
        self._stopping = bool(flat[-1] > 0)
        for gradient, mean in zip(gradients, flat[:-1].split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def _report(self, sums: dict[str, float]) -> None:
        rate = self.step / self.seconds
        left = (self.recipe.steps - self.step) / rate
        self.say(
            f"step {self.step}/{self.recipe.steps}  loss {sums['loss']:.3f}  inter {sums['bpp']:.4f} bpp "
            f"(hyper {sums['bpp_hyper']:.4f}) {sums['psnr_db']:.2f} dB  intra {sums['bpp_intra']:.3f} bpp "
            f"{sums['psnr_intra_db']:.2f} dB  |g| {sums['gradient']:.2f}  {rate:.2f} steps/s  left {left / 60:.0f} min"
        )
        with open(self.run / "log.jsonl", "a") as log:
            log.write(json.dumps({"step": self.step, "seconds": round(self.seconds, 1), **sums}) + "\n")

    def averaged_network(self) -> ConditionalNetwork:
        """A copy of the network with the averaged weights."""
        network = ConditionalNetwork(self.network.config).to(self.device, memory_format=torch.channels_last)
        network.load_state_dict(self.average)
        return network
