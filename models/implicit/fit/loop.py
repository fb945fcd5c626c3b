# SPDX-License-Identifier: Apache-2.0
"""The fit of one group of pictures: shows where it stands, ends when told, survives what goes wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nvcodec.errors import NvcError
from nvcodec.models.implicit.fit.losses import picture_loss, psnr_db
from nvcodec.models.implicit.fit.optimisers import make_optimiser, rate_share, set_rate
from nvcodec.models.implicit.fit.progress import FitProgress
from nvcodec.models.implicit.recipe import FitSettings, Recipe
from nvcodec.models.implicit.representation import Representation

MAX_RETREATS = 8  # from numbers that are not finite
_LAMBDA_RANGE = 1e4
_CONTROL_FROM = 0.1  # share of the fit before which a target does not steer
_YUV_WEIGHTS = (6 / 8, 1 / 8, 1 / 8)
Target = Tensor | tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class FitLimits:
    """When a fit ends and what it aims at. epochs and seconds: whichever comes first. target_bits: of the unit;
    target_psnr_db: steers the rate; rate_weight: lambda of bits per pixel."""

    epochs: int | None
    seconds: float | None = None
    rate_weight: float = 0.0
    target_bits: float | None = None
    target_psnr_db: float | None = None
    bf16: bool = False
    seed: int = 0


class Fit:
    """Fits a representation to pictures under a coding scheme; ``run`` once.

    target: (N, 3, H, W) uint8 RGB, or Y, U, V planes (N, 1, ., .) uint8 of a recipe in YUV. mask: (N or 1, 1, H, W) in
    0..1, where samples count. on_epoch: called after each epoch; checkpoint: called with this object after each
    epoch, and with True at the end, before encoders are dropped.
    """

    def __init__(
        self,
        recipe: Recipe,
        representation: Representation,
        scheme: nn.Module,
        target: Target,
        settings: FitSettings,
        limits: FitLimits,
        *,
        mask: Tensor | None = None,
        on_epoch: Callable[[FitProgress], None] | None = None,
        checkpoint: Callable[[Fit, bool], None] | None = None,
    ):
        self.recipe, self.representation, self.scheme = recipe, representation, scheme
        self.target, self.mask, self.settings, self.limits = target, mask, settings, limits
        self.on_epoch, self.checkpoint = on_epoch, checkpoint
        self.frames = representation.geometry.frames
        self.batch = min(settings.batch, self.frames)
        self.steps_per_epoch = max(1, self.frames // self.batch)
        self.device = next(representation.parameters()).device
        self.optimiser = make_optimiser(representation.parameters(), scheme.parameters(), settings)
        self.epoch, self.seconds_before, self.rate_share = 0, 0.0, 1.0
        self.rate_weight = limits.rate_weight
        self.psnr_db, self.bits = 0.0, math.nan
        self.interrupted = False
        self.notes: list[str] = []
        self._retreats = 0
        self._good = self.snapshot()
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time spent fitting, earlier sessions included."""
        return self.seconds_before + time.monotonic() - self._start

    def done(self, step: int = 0) -> float:
        """Share of the fit that is done, by epochs or by time."""
        shares = [0.0]
        if self.limits.epochs is not None:
            shares.append((self.epoch + step / self.steps_per_epoch) / max(self.limits.epochs, 1))
        if self.limits.seconds is not None:
            shares.append(self.seconds / max(self.limits.seconds, 1e-3))
        return max(shares)

    def run(self) -> None:
        """Fit until the limits, or Ctrl-C (then ``interrupted``); the representation is ready to be written after.

        Raises NvcError when memory runs out or the fit never stays finite.
        """
        self._start = time.monotonic()
        self.representation.train()
        try:
            self._epochs()
        except KeyboardInterrupt:
            self.interrupted = True
        except (MemoryError, RuntimeError) as exc:
            if isinstance(exc, MemoryError) or is_out_of_memory(exc):
                raise NvcError(OUT_OF_MEMORY) from exc
            raise
        self.representation.eval()
        if not self._finite():  # stopped in the middle of a bad step
            self.representation.load_state_dict(self._good["representation"])
            self.scheme.load_state_dict(self._good["scheme"])
        if self.checkpoint is not None:
            self.checkpoint(self, True)
        with torch.no_grad():
            self.representation.release()
            if self.scheme.learned:
                self.scheme.detach_encoders()
                self._keep_to_target()

    def _epochs(self) -> None:
        self._good = self.snapshot()
        while self.done() < 1:
            if not self._one_epoch():
                self._retreat(self._good)
                continue
            self.epoch += 1
            self._good = self.snapshot()
            self._steer()
            self._tell()
            if self.checkpoint is not None:
                self.checkpoint(self, False)

    def _one_epoch(self) -> bool:
        order = torch.randperm(self.frames, generator=torch.Generator().manual_seed(self.limits.seed + self.epoch))
        psnr: list[Tensor] = []
        for step in range(self.steps_per_epoch):
            done = self.done(step)
            if done >= 1:
                break
            set_rate(self.optimiser, self.rate_share * rate_share(done, self.settings))
            times = order[step * self.batch : (step + 1) * self.batch]
            loss, scores = self.loss(times)
            if not math.isfinite(float(loss.detach())):
                return False
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if self.settings.clip_norm:
                nn.utils.clip_grad_norm_(self.representation.parameters(), self.settings.clip_norm)
            self.optimiser.step()
            psnr.append(scores)
        if psnr:
            self.psnr_db = float(torch.cat(psnr).mean())
        return self._finite()

    def _finite(self) -> bool:
        return all(bool(torch.isfinite(p).all()) for p in self.representation.parameters())

    def loss(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """(distortion + lambda x bits per pixel, PSNR of each picture) of some frames."""
        replaced: dict[str, Tensor] = {}
        bits: Tensor | float = 0.0
        if self.scheme.learned:
            replaced, bits = self.scheme.quantised()
        on_device = times.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.limits.bf16):
            pictures = functional_call(self.representation, replaced, (on_device,))
        distortion, scores = self._distortion(pictures, times)
        if self.scheme.learned:
            bits = bits + self.scheme.sampled_bits()
            self.bits = float(bits.detach() if isinstance(bits, Tensor) else bits)
            return distortion + self.rate_weight * bits / self.representation.geometry.samples, scores
        self.bits = 8.0 * self.representation.transmitted_count()
        return distortion, scores

    def _distortion(self, pictures: Any, times: Tensor) -> tuple[Tensor, Tensor]:
        mask = None if self.mask is None else self.mask[times if len(self.mask) > 1 else [0]].to(self.device)
        if isinstance(self.target, Tensor):
            target = self.target[times].to(self.device).float() / 255
            pictures = pictures.float()
            loss = picture_loss(self.settings.loss, pictures, target, mask)
            if hasattr(self.representation, "auxiliary_loss"):
                loss = loss + self.representation.auxiliary_loss(
                    lambda made: picture_loss(self.settings.loss, made.float(), target, mask)
                )
            return loss, psnr_db(pictures.detach(), target)
        total, scores = torch.zeros((), device=self.device), torch.zeros(len(times), device=self.device)
        for weight, plane, whole in zip(_YUV_WEIGHTS, pictures, self.target, strict=True):
            target = whole[times].to(self.device).float() / 255
            total = total + weight * picture_loss(self.settings.loss, plane.float(), target)
            scores = scores + weight * psnr_db(plane.detach(), target)
        return total, scores

    def snapshot(self) -> dict[str, Any]:
        """Everything a step changes."""
        return {
            "representation": {k: v.detach().clone() for k, v in self.representation.state_dict().items()},
            "scheme": {k: v.detach().clone() for k, v in self.scheme.state_dict().items()},
        }

    def _retreat(self, good: dict[str, Any]) -> None:
        """Back to the last good state, with half the step and a fresh optimiser."""
        self._retreats += 1
        if self._retreats > MAX_RETREATS:
            raise NvcError(
                f"the fit does not stay finite: {MAX_RETREATS} times back to epoch {self.epoch} and half the step; "
                "lower --lr"
            )
        self.representation.load_state_dict(good["representation"])
        self.scheme.load_state_dict(good["scheme"])
        self.optimiser = make_optimiser(self.representation.parameters(), self.scheme.parameters(), self.settings)
        self.rate_share /= 2
        self._tell(f"not a finite number: back to epoch {self.epoch}, learning rate x {self.rate_share:g}")

    def _steer(self) -> None:
        """Move lambda towards the target, once an epoch."""
        if not self.scheme.learned or self.done() < _CONTROL_FROM:
            return
        factor = 1.0
        if self.limits.target_bits is not None and self.bits > 0:
            factor = min(1.5, max(0.6, self.bits / self.limits.target_bits))
        elif self.limits.target_psnr_db is not None:
            factor = min(1.3, max(0.7, 10 ** ((self.psnr_db - self.limits.target_psnr_db) / 10)))
        start = max(self.limits.rate_weight, 1e-9)
        self.rate_weight = min(start * _LAMBDA_RANGE, max(start / _LAMBDA_RANGE, self.rate_weight * factor))

    def _keep_to_target(self) -> None:
        """Coarser steps where the budget is exceeded at the end."""
        target = self.limits.target_bits
        if target is None:
            return
        for _ in range(48):
            if self.scheme.estimated_bits() <= target:
                return
            self.scheme.scale_steps(1.0)

    def _tell(self, note: str = "") -> None:
        if note:
            self.notes.append(note)
        if self.on_epoch is None:
            return
        done = self.done()
        left = self.seconds / done * (1 - done) if 0 < done < 1 else (0.0 if done >= 1 else None)
        bpp = self.bits / self.representation.geometry.samples
        self.on_epoch(
            FitProgress(self.epoch, self.limits.epochs, self.psnr_db, bpp, self.seconds, left, note),
        )


OUT_OF_MEMORY = "out of memory while fitting: lower --gop, --model-size, --batch or --size"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a RuntimeError of torch means that memory ran out, on any device."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text


def with_limits(settings: FitSettings, **changes: Any) -> FitSettings:
    """Settings with what the user chose in place of the paper's."""
    return replace(settings, **{k: v for k, v in changes.items() if v is not None})
