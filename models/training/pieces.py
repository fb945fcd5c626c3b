# SPDX-License-Identifier: Apache-2.0
"""Pieces of the training clips, each with a random quality and profile, and their way through the encoder.

A piece depends on its kind, its number and the seed only, not on who codes it or when.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nvcodec.datasets.samples import Planes, cut_still, cut_video, hold_out, pick
from nvcodec.datasets.training_cache import CachedFile, cached_files, cached_paths, load_clip
from nvcodec.models.conditional.analyser import VideoAnalyser
from nvcodec.models.conditional.picture import Statistics
from nvcodec.models.conditional.plans import LOW_DELAY, RANDOM_ACCESS
from nvcodec.models.conditional.shot import DecidedUnit
from nvcodec.models.quality import QUALITIES
from nvcodec.models.training.records import CLIPS, HELD_OUT, KINDS, STILLS
from nvcodec.models.transform import BlockBases

RANDOM_ACCESS_SHARE = 0.45


@dataclass
class Piece:
    """What is coded, planes (T, H, W), and how."""

    planes: Planes
    quality: int
    profile: str


class Pieces:
    """All pieces of a training cache. Different ``purpose`` numbers give different ones."""

    def __init__(self, cache: Path, seed: int, purpose: int = 0):
        self._seed = [seed, purpose]
        train = Path(cache) / "train"
        clips, held_out = hold_out(cached_files(train if train.is_dir() else Path(cache)))
        stills = Path(cache) / "stills"
        self._files: dict[str, list[CachedFile]] = {
            CLIPS: clips,
            STILLS: cached_files(stills) if cached_paths(stills) else [],
            HELD_OUT: held_out,
        }

    def has(self, kind: str) -> bool:
        """Whether there are pieces of a kind."""
        return bool(self._files[kind])

    def draw(self, kind: str, number: int, frames: int) -> Piece:
        """A piece; frames: of a video."""
        seed = [*self._seed, KINDS.index(kind)]
        clip = load_clip(pick(self._files[kind], number, seed))
        random = np.random.default_rng([*seed, 0, number])
        planes = cut_still(clip, random) if kind == STILLS else cut_video(clip, frames, random)
        quality = int(random.integers(QUALITIES))
        profile = RANDOM_ACCESS if random.random() < RANDOM_ACCESS_SHARE else LOW_DELAY
        return Piece(planes, quality, profile)


def decide(
    piece: Piece, bases: BlockBases, pool: Executor, statistics: Statistics | None = None
) -> Iterator[DecidedUnit]:
    """The encoder's decisions on a piece, unit by unit."""
    height, width = piece.planes[0].shape[1:]
    analyser = VideoAnalyser(
        bases, height, width, piece.quality, pool, profile=piece.profile, statistics=statistics
    )  # fmt: skip
    for y, u, v in zip(*piece.planes, strict=True):
        yield from analyser.push((y, u, v))
    yield from analyser.flush()
