# SPDX-License-Identifier: Apache-2.0
"""Implicit representations behind the `Codec` protocol: one codec for each recipe, one unit for each group of pictures.

``BUILT_IN`` names a recipe as ``nvcodec.codec.implicit:<recipe>``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvcodec.codec.protocol import CodedUnit, EncodeSettings, ModelIdentity, MomentDecoder, SequenceEncoder
from nvcodec.errors import NvcError, UnsupportedError, UsageError
from nvcodec.media.types import Frame, VideoFormat
from nvcodec.stream.limits import MAX_UNIT_FRAMES

if TYPE_CHECKING:
    from nvcodec.models.implicit.recipe import Recipe

SYNTAX_VERSION = 1
PRESETS = {"veryfast": 10, "fast": 50, "medium": None, "slow": 1200}  # epochs; None: as many as the paper
GROUP_NBYTES = 1 << 31  # of RGB samples held in memory while a group is fitted
_LEAST_GROUP = 2

# option -> what it is
OPTIONS = {
    "model_size": "parameters, as the recipe's paper counts them",
    "bpp": "bits per luma sample the file may take",
    "target_nbytes": "bytes the file may take",
    "psnr_db": "PSNR to steer to (learned weights coding)",
    "seconds": "wall-clock time of the whole fit",
    "epochs": "times every frame is seen",
    "gop": "frames of a group",
    "weights_coding": "learned or paper",
    "rate_weight": "lambda of bits per pixel against squared error",
    "batch": "frames of a step",
    "loss": "l2, l1, fusion6, ... in place of the paper's",
    "lr": "peak learning rate",
    "bf16": "networks in bfloat16 while fitting",
    "seed": "of initial weights and order",
    "strides": "up-sampling of each stage",
    "mask": "pictures of what to fit, white: fit, black: leave out",
    "resume": "file that keeps the state of the fit",
    "preview": "PNG that shows the fit as it runs",
    "join": "file of the same codec whose network this video shares and after which it stands",
}


class ImplicitCodec:
    """A small network fitted to each group of pictures; no weights of ours are needed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._recipe: Recipe | None = None

    @property
    def recipe(self) -> Recipe:
        """The paper's structure; loads torch."""
        if self._recipe is None:
            from nvcodec.models.implicit.recipe import get_recipe

            self._recipe = get_recipe(self.name)
        return self._recipe

    @property
    def codec_id(self) -> int:
        """The frozen number; known without loading the recipe."""
        from nvcodec.codec.registry import BUILT_IN

        return BUILT_IN[self.name][0] if self.name in BUILT_IN else self.recipe.codec_id

    @property
    def pixel_exact(self) -> bool:
        """Whether every machine decodes the same pixels."""
        return self.recipe.pixel_exact

    @property
    def interpolates(self) -> bool:
        """Whether there are pictures between frames."""
        return self.recipe.interpolates

    def models(self) -> Iterator[ModelIdentity]:
        """None: the weights are in the stream."""
        return iter(())

    def model_identity(self, settings: EncodeSettings) -> None:
        """None: the weights are in the stream."""

    def encoder(self, video: VideoFormat, settings: EncodeSettings) -> SequenceEncoder:
        """Encoder of one video. Raises UsageError for settings out of range."""
        unknown = set(settings.options) - set(OPTIONS)
        if unknown:
            raise UsageError(f"codec {self.name} has no option {sorted(unknown)[0]!r} (it has: {', '.join(OPTIONS)})")
        if settings.preset not in PRESETS:
            raise UsageError(f"preset is {settings.preset!r}: {', '.join(PRESETS)}")
        return ImplicitEncoder(self.recipe, video, settings)

    def decoder(
        self, video: VideoFormat, model: ModelIdentity | None, config: bytes, *, threads: int = 0, device: str = "cpu"
    ) -> MomentDecoder:
        """Decoder of one stream. Raises UnsupportedError for a syntax this build does not read."""
        if config != bytes([SYNTAX_VERSION]):
            raise UnsupportedError(
                f"{self.name} syntax {config.hex() or 'none'}: this build reads {SYNTAX_VERSION:02x}"
            )
        return ImplicitDecoder(self.recipe, video, threads, device)

    def unit_parts(self, payload: bytes) -> dict[str, int]:
        """Bytes of a unit by what they hold: tables, weights, latents, metadata."""
        from nvcodec.models.implicit.unit import read_unit

        return read_unit(self.recipe, payload).part_nbytes()


def __getattr__(name: str) -> Callable[[], ImplicitCodec]:
    """The factory of a recipe's codec, for the registry."""
    if name.startswith("_"):
        raise AttributeError(name)
    return partial(ImplicitCodec, name)


class ImplicitEncoder:
    """Frames to units; see `StoppableEncoder`. Holds back up to half a group so that no group is a short rest."""

    def __init__(self, recipe: Recipe, video: VideoFormat, settings: EncodeSettings) -> None:
        import torch

        from nvcodec.models.implicit.fit.session import Session
        from nvcodec.models.memory import keep_freed_memory

        keep_freed_memory()
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.config = bytes([SYNTAX_VERSION])
        previous = joined_network(recipe, video, settings.options["join"]) if settings.options.get("join") else None
        self._follows = previous is not None
        self.interrupted = False
        self.notes: list[str] = []
        self.psnr_db: float | None = None
        self._recipe = recipe
        self._frames: list[Frame] = []
        self._settings, self._video = settings, video
        self._gop = group_length(video, settings, recipe.group_frames)
        # sharing a budget or time among groups needs to know how many frames there are
        self._needs_all = settings.frame_count is None and bool({"seconds", "target_nbytes"} & set(settings.options))
        self._scores: list[tuple[float, int]] = []
        self._make_session: Callable[[int | None], Any] = lambda count: Session(
            recipe, video, session_options(recipe, video, settings, count), settings.on_fit, previous
        )
        self._session = None if self._needs_all else self._make_session(settings.frame_count)

    def encode(self, frame: Frame) -> list[CodedUnit]:
        """One frame in; a unit when a group is full."""
        self._frames.append(frame)
        if self._needs_all or len(self._frames) < self._gop + (self._gop + 1) // 2 or self.interrupted:
            return []
        return [self._fit(self._gop)]

    def flush(self) -> list[CodedUnit]:
        """The units of the frames that were held back."""
        if self._session is None:
            self._session = self._make_session(len(self._frames))
        units: list[CodedUnit] = []
        while self._frames and not self.interrupted:
            left = len(self._frames)
            short = self._gop < left < self._gop + (self._gop + 1) // 2
            units.append(self._fit((left + 1) // 2 if short else min(left, self._gop)))
        return units

    def stop(self) -> bool:
        """Ctrl-C between groups: keep those that are done."""
        self.interrupted = bool(self._scores)
        return self.interrupted

    def _fit(self, count: int) -> CodedUnit:
        assert self._session is not None
        frames, self._frames = self._frames[:count], self._frames[count:]
        first = self._session.group == 0
        group = self._session.fit(frames)
        self.interrupted = self._session.interrupted
        where = "" if first and not self._frames else f"group {self._session.group}: "
        self.notes += [where + note for note in group.notes]
        self._scores.append((group.psnr_db, group.frames))
        self.psnr_db = sum(p * n for p, n in self._scores) / sum(n for _, n in self._scores)
        return CodedUnit(
            group.payload, (first and not self._follows) or not self._recipe.chained, group.frames, group.planes_crc32
        )


class ImplicitDecoder:
    """Units to frames; see `MomentDecoder`. ``timings`` holds seconds by stage."""

    def __init__(self, recipe: Recipe, video: VideoFormat, threads: int, device: str) -> None:
        from nvcodec.models.implicit.decoder import GroupDecoder
        from nvcodec.models.memory import keep_freed_memory

        keep_freed_memory()
        self._group = GroupDecoder(recipe, video, threads, device)
        self.timings = self._group.timings

    def decode(self, payload: bytes, keyframe: bool) -> list[Frame]:
        """One payload in, all its frames out."""
        return list(self._group.frames(payload, keyframe))

    def frames_at(self, payload: bytes, keyframe: bool, moments: Sequence[float] | None = None) -> Iterator[Frame]:
        """Pictures at these moments, all frames by default, as they are made."""
        return self._group.frames(payload, keyframe, moments)


def group_length(video: VideoFormat, settings: EncodeSettings, own: int = 0) -> int:
    """Frames of a group: option ``gop``, the intra period, the recipe's ``own``, or as many as fit in memory."""
    asked = settings.options.get("gop") or settings.intra_period or own
    if asked:
        if not 1 <= asked <= MAX_UNIT_FRAMES:
            raise UsageError(f"group of {asked} frames; 1 to {MAX_UNIT_FRAMES} are allowed")
        return int(asked)
    fitting = GROUP_NBYTES // (3 * video.width * video.height)
    return max(_LEAST_GROUP, min(MAX_UNIT_FRAMES, fitting))


def joined_network(recipe: Recipe, video: VideoFormat, path: str) -> Any:
    """The network that the last video of a file left; UsageError for files and recipes that cannot be joined."""
    from nvcodec.models.implicit.decoder import GroupDecoder
    from nvcodec.pipeline.join import read_beginning

    if not recipe.joins:
        raise UsageError(f"codec {recipe.name} has a network for each video and cannot join a file; pfnr can")
    beginning = read_beginning(path)
    beginning.check(recipe.name, recipe.codec_id, video)
    decoder = GroupDecoder(recipe, video)
    for record, _ in beginning.records:
        for place, unit in enumerate(record.units):
            network = decoder.load(unit.payload, record.keyframe and place == 0)
    return network


def session_options(recipe: Recipe, video: VideoFormat, settings: EncodeSettings, frame_count: int | None) -> Any:
    """The user's options as the fit takes them; UsageError for values out of range or against each other."""
    from nvcodec.models.implicit.fit.budget import Budget
    from nvcodec.models.implicit.fit.session import SessionOptions

    options = settings.options
    sizes = [name for name in ("model_size", "bpp", "target_nbytes") if options.get(name) is not None]
    if len(sizes) > 1:
        raise UsageError(f"{sizes[0]} and {sizes[1]} are both given; choose one size")
    for name in (*sizes, "seconds", "epochs", "batch", "lr", "psnr_db"):
        value = options.get(name)
        if value is not None and not value > 0:
            raise UsageError(f"{name} is {value}; more than 0 is needed")
    coding = options.get("weights_coding") or ("own" if hasattr(recipe, "coding") else "learned")
    if coding == "paper" and options.get("psnr_db") is not None:
        raise UsageError("a PSNR target needs --weights-coding learned: the paper's coding has no rate to steer")
    epochs = options.get("epochs")
    if epochs is None and options.get("seconds") is None:
        epochs = PRESETS[settings.preset]
    budget = Budget(
        quality=settings.quality,
        model_size=options.get("model_size"),
        bpp=options.get("bpp"),
        target_nbytes=options.get("target_nbytes"),
        psnr_db=options.get("psnr_db"),
        rate_weight=options.get("rate_weight"),
        frames=frame_count,
    )
    resume, preview, mask = options.get("resume"), options.get("preview"), options.get("mask")
    return SessionOptions(
        budget=budget,
        weights_coding=coding,
        epochs=epochs,
        seconds=options.get("seconds"),
        bf16=bool(options.get("bf16")),
        batch=options.get("batch"),
        lr=options.get("lr"),
        loss=options.get("loss"),
        seed=int(options.get("seed") or 0),
        resume=Path(resume) if resume else None,
        preview=Path(preview) if preview else None,
        mask=None if mask is None else load_mask(Path(mask), video),
        device=_checked_device(settings.device),
        shape={"strides": options["strides"]} if options.get("strides") else {},
    )


def load_mask(path: Path, video: VideoFormat) -> Any:
    """(1, 1, H, W) float in 0..1 from a picture; UsageError for another size, NvcError for what is no picture."""
    import numpy as np
    import torch
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            size = picture.size
            samples = np.asarray(picture.convert("L"), np.float32) if size == (video.width, video.height) else None
    except (OSError, UnidentifiedImageError, ValueError) as exc:
        raise NvcError(f"{path}: mask cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc
    if samples is None:
        raise UsageError(f"{path}: mask is {size[0]}x{size[1]}; the video is {video.width}x{video.height}")
    return torch.from_numpy((samples >= 128).astype(np.float32))[None, None]


def _checked_device(device: str) -> str:
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as exc:
        raise UnsupportedError(f"device {device!r}: {str(exc).splitlines()[0]}") from exc
    return device
