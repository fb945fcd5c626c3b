# SPDX-License-Identifier: Apache-2.0
"""What the standard video sets are: their clips, geometry, rates and counts, and where their makers offer them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from nvcodec.errors import UsageError

CATALOGUE = Path(__file__).with_name("catalogue.json")


@dataclass(frozen=True)
class Crop:
    """A window of a picture: size and upper left corner in luma samples."""

    width: int
    height: int
    left: int
    top: int


@dataclass(frozen=True)
class ClipDescriptor:
    """One clip as its makers distribute it.

    stems: file names it goes by, without extension. width, height: luma samples. frame_rate: Hz, None for clips of
    single pictures. frames: None where no certain count is published. nbytes, sha256: of the file, where published.
    entries: lines of a list file (training sets).
    """

    name: str
    stems: tuple[str, ...]
    width: int
    height: int
    frame_rate: Fraction | None
    frames: int | None
    bit_depth: int = 8
    chroma: str = "420"
    nbytes: int | None = None
    sha256: str | None = None
    entries: int | None = None

    @property
    def frame_nbytes(self) -> int:
        """Bytes of one frame as raw planar YUV (4:2:0)."""
        chroma = ((self.width + 1) // 2) * ((self.height + 1) // 2)
        return (self.width * self.height + 2 * chroma) * (2 if self.bit_depth > 8 else 1)


@dataclass(frozen=True)
class Dataset:
    """A named set of clips. offered: where its makers give it out. crop: the window papers measure, or None."""

    name: str
    title: str
    makers: str
    homepage: str
    licence: str
    offered: str
    note: str
    sources: tuple[str, ...]
    clips: tuple[ClipDescriptor, ...]
    crop: Crop | None = None

    def clip(self, name: str) -> ClipDescriptor | None:
        """The clip called ``name`` or known under that file stem; letter case and ``-`` against ``_`` do not matter."""
        wanted = normalise(name)
        for clip in self.clips:
            if wanted == normalise(clip.name) or wanted in map(normalise, clip.stems):
                return clip
        return None


def normalise(name: str) -> str:
    """A clip's name in the form names are compared in."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def dataset_names() -> list[str]:
    """Names of all described sets, sorted."""
    return sorted(_catalogue())


def get_dataset(name: str) -> Dataset:
    """The set called ``name``; UsageError names those there are."""
    wanted = name.strip().lower().replace("_", "-")
    try:
        return _catalogue()[wanted]
    except KeyError:
        raise UsageError(f"data set {name!r} is not known; known are {', '.join(dataset_names())}") from None


def find_clip(name: str, width: int, height: int) -> tuple[Dataset, ClipDescriptor] | None:
    """The set and clip a measured clip belongs to, by name and size (the set's crop counts too); None if unknown."""
    for dataset in _catalogue().values():
        clip = dataset.clip(name)
        if clip is None:
            continue
        sizes = {(clip.width, clip.height)}
        if dataset.crop:
            sizes.add((dataset.crop.width, dataset.crop.height))
        if (width, height) in sizes:
            return dataset, clip
    return None


@cache
def _catalogue() -> dict[str, Dataset]:
    body = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    return {name: _dataset(name, entry) for name, entry in body["sets"].items()}


def _dataset(name: str, entry: dict[str, Any]) -> Dataset:
    return Dataset(
        name=name,
        title=entry["title"],
        makers=entry["makers"],
        homepage=entry["homepage"],
        licence=entry["licence"],
        offered=entry["offered"],
        note=entry["note"],
        sources=tuple(entry["sources"]),
        clips=tuple(_clip({**entry, **clip}) for clip in entry["clips"]),
        crop=Crop(**entry["crop"]) if "crop" in entry else None,
    )


def _clip(entry: dict[str, Any]) -> ClipDescriptor:
    rate = entry.get("frame_rate")
    return ClipDescriptor(
        name=entry["name"],
        stems=tuple(entry["files"]),
        width=entry["width"],
        height=entry["height"],
        frame_rate=Fraction(rate) if rate else None,
        frames=entry.get("frames"),
        bit_depth=entry["bit_depth"],
        chroma=entry["chroma"],
        nbytes=entry.get("nbytes"),
        sha256=entry.get("sha256"),
        entries=entry.get("entries"),
    )
