# SPDX-License-Identifier: Apache-2.0
"""One group of pictures from frames to a unit: budget, fit, coding, and a look at what a decoder will see."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvcodec.errors import NvcError, UsageError
from nvcodec.media.types import Frame, VideoFormat
from nvcodec.models.implicit.coding import scheme_class
from nvcodec.models.implicit.coding.masks import write_masks
from nvcodec.models.implicit.colour import frame_from_rgb, frame_from_samples, plane_frames, rgb_frames
from nvcodec.models.implicit.decoder import pictures_at
from nvcodec.models.implicit.fit.budget import Budget
from nvcodec.models.implicit.fit.loop import OUT_OF_MEMORY, Fit, FitLimits, is_out_of_memory, with_limits
from nvcodec.models.implicit.fit.losses import psnr_db
from nvcodec.models.implicit.fit.progress import FitProgress
from nvcodec.models.implicit.fit.state import FitState, load_state, pack_fit, save_state, source_digest, unpack_fit
from nvcodec.models.implicit.preview import write_pair
from nvcodec.models.implicit.recipe import Recipe
from nvcodec.models.implicit.representation import Geometry, Representation
from nvcodec.models.implicit.unit import decode_unit, read_unit, write_unit

_CHECKPOINT_SECONDS = 30.0
_PREVIEW_SECONDS = 5.0


@dataclass
class SessionOptions:
    """What a user chose for all groups; see `nvcodec.codec.implicit.OPTIONS`."""

    budget: Budget
    weights_coding: str = "learned"
    epochs: int | None = None
    seconds: float | None = None
    bf16: bool = False
    batch: int | None = None
    lr: float | None = None
    loss: str | None = None
    seed: int = 0
    resume: Path | None = None
    preview: Path | None = None
    mask: Tensor | None = None
    device: str = "cpu"
    shape: dict[str, Any] = field(default_factory=dict)  # options of the recipe, such as strides


@dataclass
class FittedGroup:
    """A coded group. psnr_db: mean of the decoded frames' RGB PSNR before 4:2:0 (planes' 6:1:1 of a recipe in YUV)."""

    payload: bytes
    frames: int
    planes_crc32: int
    psnr_db: float
    epochs: int
    notes: list[str]


class Session:
    """Fits group after group of one video; ``interrupted`` after Ctrl-C, when the last group is as far as it came."""

    def __init__(
        self,
        recipe: Recipe,
        video: VideoFormat,
        options: SessionOptions,
        on_progress: Callable[[int, FitProgress], None] | None = None,
        previous: Representation | None = None,
    ):
        self.recipe, self.video, self.options, self.on_progress = recipe, video, options, on_progress
        self.interrupted = False
        self.group = 0
        self._previous = previous
        self._shown = self._saved = time.monotonic()
        facts = {"recipe": recipe.name, "picture": f"{video.width}x{video.height}", "coding": options.weights_coding}
        self._state = FitState(facts)
        self._resumed: FitState | None = None
        if options.resume is not None and options.resume.exists():
            self._resumed = load_state(options.resume, facts)

    def fit(self, frames: Sequence[Frame]) -> FittedGroup:
        """Fit, code and decode one group. Raises UsageError (budget), NvcError (memory, numbers not finite)."""
        try:
            group = self._fit(frames)
        except (MemoryError, RuntimeError) as exc:
            if isinstance(exc, MemoryError) or is_out_of_memory(exc):
                raise NvcError(OUT_OF_MEMORY) from exc
            raise
        self.group += 1
        return group

    def _fit(self, frames: Sequence[Frame]) -> FittedGroup:
        options, recipe = self.options, self.recipe
        geometry = Geometry(self.video.height, self.video.width, len(frames))
        target = rgb_frames(frames, self.video)
        digest = source_digest(target)
        finished = self._finished_before(digest, target, frames)
        if finished is not None:
            return finished
        budget = options.budget.of_group(geometry, recipe, options.weights_coding, options.shape)
        # a chained group has the network of the one before
        shape = getattr(self._previous, "shape", None) or recipe.shape(geometry, budget.parameters, options.shape)
        torch.manual_seed(options.seed)
        representation = recipe.build(geometry, shape, self._previous)
        representation = representation.to(options.device, memory_format=torch.channels_last)
        seen = target if options.mask is None else masked(target, options.mask)
        representation.attach(seen.to(options.device))
        for module in representation.modules():
            if getattr(module, "encoder", None) is not None:
                module.to(options.device, memory_format=torch.channels_last)
        scheme = scheme_class(options.weights_coding, recipe)(representation, recipe)
        settings = with_limits(recipe.fit, batch=options.batch, lr=options.lr, loss=options.loss)
        epochs = options.epochs if options.epochs is not None else (None if options.seconds else settings.epochs)
        limits = FitLimits(
            epochs=epochs,
            seconds=None if options.seconds is None else options.seconds * options.budget.share(geometry.frames),
            rate_weight=budget.rate_weight,
            target_bits=budget.target_bits,
            target_psnr_db=budget.target_psnr_db,
            bf16=options.bf16,
            seed=options.seed,
        )
        pictures = target.to(options.device) if representation.colour == "rgb" else plane_frames(frames)
        fit = Fit(
            recipe,
            representation,
            scheme,
            pictures,
            settings,
            limits,
            mask=options.mask,
            on_epoch=lambda progress: self._progress(progress, representation, target),
            checkpoint=lambda fit, last: self._checkpoint(fit, last, digest),
        )
        self._continue(fit, digest)
        fit.run()
        self.interrupted = fit.interrupted
        if fit.interrupted:
            fit.notes.append(f"stopped after epoch {fit.epoch}; the file holds what was reached")
        parts = {**scheme.write(), "masks": write_masks(representation, explicit=not scheme.learned)}
        payload = write_unit(geometry.frames, options.weights_coding, shape, parts)
        decoded = decode_unit(recipe, read_unit(recipe, payload), geometry.height, geometry.width, self._previous)
        if recipe.chained:
            self._previous = decoded
        crc, psnr = self._look(decoded.to(options.device, memory_format=torch.channels_last), target, pictures)
        group = FittedGroup(payload, len(frames), crc, psnr, fit.epoch, fit.notes)
        self._store(group, digest, complete=not fit.interrupted)
        return group

    def _look(self, decoded: Representation, target: Tensor, pictures: Any) -> tuple[int, float]:
        """(CRC-32 of the planes as a decoder makes them, mean PSNR) of a group."""
        crc, scores = 0, []
        for i in range(decoded.geometry.frames):
            made = pictures_at(decoded, i)
            if isinstance(made, tuple):
                frame = frame_from_samples(*(255 * plane[0, 0] for plane in made))
                errors = [psnr_db(p.cpu(), t[i : i + 1] / 255) for p, t in zip(made, pictures, strict=True)]
                scores.append(float((6 * errors[0] + errors[1] + errors[2]) / 8))
            else:
                frame = frame_from_rgb(made[0], self.video)
                scores.append(float(psnr_db(made.cpu(), target[i : i + 1] / 255)))
            for plane in frame.planes:
                crc = zlib.crc32(np.ascontiguousarray(plane).data, crc)
        return crc, float(np.mean(scores))

    def _progress(self, progress: FitProgress, representation: Representation, target: Tensor) -> None:
        if self.on_progress is not None:
            self.on_progress(self.group, progress)
        if self.options.preview is not None and time.monotonic() - self._shown > _PREVIEW_SECONDS:
            write_preview(self.options.preview, representation, target)
            self._shown = time.monotonic()

    def _checkpoint(self, fit: Fit, last: bool, digest: str) -> None:
        """Save a fit as the next session will take it up, with its encoder."""
        if self.options.resume is None or not (last or time.monotonic() - self._saved > _CHECKPOINT_SECONDS):
            return
        self._state.current, self._state.progress = pack_fit(fit)
        self._state.progress["source"] = digest
        save_state(self.options.resume, self._state)
        self._saved = time.monotonic()

    def _continue(self, fit: Fit, digest: str) -> None:
        """Take up a fit that a resume file holds for this group."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None and resumed.current is not None:
            if resumed.progress.get("source") != digest:
                raise UsageError(f"{self.options.resume}: resume file of another video (its frames differ)")
            unpack_fit(fit, resumed.current, resumed.progress)

    def _finished_before(self, digest: str, target: Tensor, frames: Sequence[Frame]) -> FittedGroup | None:
        """A group that an earlier session finished."""
        resumed = self._resumed
        if resumed is None or self.group >= len(resumed.units):
            return None
        payload, count, _ = resumed.units[self.group]
        if count != len(frames):
            raise UsageError(f"{self.options.resume}: resumes groups of {count} frames; {len(frames)} are given here")
        if resumed.sources[self.group] != digest:
            raise UsageError(f"{self.options.resume}: resume file of another video (its frames differ)")
        unit = read_unit(self.recipe, payload)
        decoded = decode_unit(self.recipe, unit, self.video.height, self.video.width, self._previous)
        if self.recipe.chained:
            self._previous = decoded
        pictures = target if decoded.colour == "rgb" else plane_frames(frames)
        crc, psnr = self._look(decoded.to(self.options.device, memory_format=torch.channels_last), target, pictures)
        self._state.units.append((payload, count, crc))
        self._state.sources.append(digest)
        return FittedGroup(payload, count, crc, psnr, 0, ["taken from the resume file"])

    def _store(self, group: FittedGroup, digest: str, complete: bool) -> None:
        """A finished group goes to the resume file; one that was stopped stays there as a fit in progress."""
        if self.options.resume is None or not complete:
            return
        self._state.units.append((group.payload, group.frames, group.planes_crc32))
        self._state.sources.append(digest)
        self._state.current = None
        save_state(self.options.resume, self._state)


def masked(target: Tensor, mask: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) uint8 without what the mask hides."""
    return (target.float() * mask).round().to(torch.uint8)


def write_preview(path: Path, representation: Representation, target: Tensor) -> None:
    """The middle frame, source above fit, as PNG; appears whole or not at all."""
    middle = representation.geometry.frames // 2
    was_training = representation.training
    representation.eval()
    with torch.no_grad():
        made = representation(torch.tensor([middle], device=next(representation.parameters()).device))
    representation.train(was_training)
    if isinstance(made, tuple):
        grey = (255 * made[0][0].float().clamp(0, 1)).round().to(torch.uint8).cpu()
        made_rgb = grey.expand(3, -1, -1)
    else:
        made_rgb = (255 * made[0].float().clamp(0, 1)).round().to(torch.uint8).cpu()
    write_pair(path, *(rgb.permute(1, 2, 0).cpu().numpy() for rgb in (target[middle], made_rgb)))
