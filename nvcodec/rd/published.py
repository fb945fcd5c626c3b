# SPDX-License-Identifier: Apache-2.0
"""Curves and tables from papers, each with its source, and whether they may be set beside measured results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from nvcodec.datasets import ClipDescriptor, Dataset, find_clip, get_dataset
from nvcodec.errors import UsageError
from nvcodec.rd.conditions import get_conditions
from nvcodec.rd.schema import Clip, Conditions

COLLECTION = Path(__file__).with_name("published.json")


@dataclass(frozen=True)
class PublishedCurve:
    """RD points from a paper. points: (bpp, quality), ascending. clip: None for the average over a whole data set."""

    dataset: str
    points: tuple[tuple[float, float], ...]
    clip: str | None = None
    average: str = ""


@dataclass(frozen=True)
class Entry:
    """What one paper says of one codec: ``curves`` of RD points, or ``bd_rates`` in % against ``anchor`` per data set.

    conditions: the preset it was measured under. metric: the name in ``Point.metrics`` it corresponds to.
    """

    name: str
    label: str
    conditions: Conditions
    metric: str
    citation: str
    source: str
    note: str = ""
    curves: tuple[PublishedCurve, ...] = ()
    anchor: str = ""
    bd_rates: dict[str, float] = field(default_factory=dict)
    mean: float | None = None
    complexity: dict[str, float] = field(default_factory=dict)

    @property
    def datasets(self) -> list[str]:
        """Names of the data sets it speaks of."""
        return sorted({c.dataset for c in self.curves} | set(self.bd_rates))


@dataclass(frozen=True)
class Shown:
    """A published item that may be shown: ``curve`` where it has RD points, else ``bd_rate`` in %, for ``dataset``."""

    entry: Entry
    dataset: str
    curve: PublishedCurve | None = None
    bd_rate: float | None = None


def published_names() -> list[str]:
    """Names ``select`` knows, sorted."""
    return sorted(_collection())


def select(names: Iterable[str]) -> list[Entry]:
    """Entries by name, or by the first words of their names ("dcvc-uf", "dcvc"); UsageError lists what there is."""
    chosen: dict[str, Entry] = {}
    for name in names:
        wanted = name.strip().lower()
        exact = {wanted} if wanted in _collection() else {n for n in _collection() if n.startswith(wanted + "-")}
        if not exact or not wanted:
            raise UsageError(f"published results {name!r} are not known; known are {', '.join(published_names())}")
        chosen.update((n, _collection()[n]) for n in sorted(exact))
    return list(chosen.values())


def set_beside(entry: Entry, clips: Sequence[Clip], conditions: Conditions) -> tuple[list[Shown], list[str]]:
    """What of ``entry`` may be shown beside results on ``clips`` under ``conditions``, and one line for each refusal.

    A curve or value is refused unless intra period, crop, size and number of frames are those of the paper and, for an
    average over a data set, every clip of the set is there.
    """
    shown, refused = [], []
    for curve in entry.curves:
        reason = _refusal(entry, curve.dataset, curve.clip, clips, conditions)
        if reason:
            refused.append(f"{entry.name}: {reason}")
        else:
            shown.append(Shown(entry, curve.dataset, curve=curve))
    for dataset, value in entry.bd_rates.items():
        reason = _refusal(entry, dataset, None, clips, conditions)
        if reason:
            refused.append(f"{entry.name}: {reason}")
        else:
            shown.append(Shown(entry, dataset, bd_rate=value))
    if not shown and all("no clip of" in line for line in refused):
        titles = ", ".join(entry.datasets)
        return [], [f"{entry.name}: published for {titles}; these results hold no clip of it"]
    return shown, [line for line in refused if "no clip of" not in line]


def _refusal(
    entry: Entry, dataset_name: str, clip_name: str | None, clips: Sequence[Clip], conditions: Conditions
) -> str | None:
    dataset = get_dataset(dataset_name)
    wanted = [c for c in dataset.clips if clip_name in (None, c.name)]
    here: dict[str, Clip] = {}
    for clip in clips:
        known = find_clip(clip.name, clip.width, clip.height)
        if known and known[0].name == dataset.name and known[1] in wanted:
            here[known[1].name] = clip
    if not here:
        return f"no clip of {dataset_name}"
    if missing := [c.name for c in wanted if c.name not in here]:
        return f"published as the average of {dataset_name}; {', '.join(missing)} not measured"
    theirs = entry.conditions
    if theirs.intra_period != conditions.intra_period:
        return f"published with {_period(theirs)}, measured with {_period(conditions)}"
    for descriptor in wanted:
        if reason := _clip_refusal(here[descriptor.name], descriptor, dataset, theirs):
            return reason
    return None


def _clip_refusal(clip: Clip, descriptor: ClipDescriptor, dataset: Dataset, theirs: Conditions) -> str | None:
    size = theirs.crop or (descriptor.width, descriptor.height)
    if (clip.width, clip.height) != size:
        return f"{clip.name}: published at {size[0]}x{size[1]}, measured at {clip.width}x{clip.height}"
    frames = theirs.frames or descriptor.frames
    if frames is None:
        return f"{clip.name}: the number of frames of {dataset.name} is not certain"
    if clip.frames != frames:
        return f"{clip.name}: published for {frames} frames, measured on {clip.frames}"
    return None


def _period(conditions: Conditions) -> str:
    return "one intra frame" if conditions.intra_period == 0 else f"an intra frame every {conditions.intra_period}"


@cache
def _collection() -> dict[str, Entry]:
    body = json.loads(COLLECTION.read_text(encoding="utf-8"))
    return {item["name"]: _entry(item) for item in body["entries"]}


def _entry(item: dict[str, Any]) -> Entry:
    curves = tuple(
        PublishedCurve(
            dataset=c["dataset"],
            clip=c.get("clip"),
            average=c.get("average", ""),
            points=tuple((float(bpp), float(quality)) for bpp, quality in sorted(c["points"])),
        )
        for c in item.get("curves", ())
    )
    return Entry(
        name=item["name"],
        label=item["label"],
        conditions=get_conditions(item["conditions"]),
        metric=item["metric"],
        citation=item["citation"],
        source=item["source"],
        note=item.get("note", ""),
        curves=curves,
        anchor=item.get("anchor", ""),
        bd_rates=dict(item.get("values", {})),
        mean=item.get("mean"),
        complexity=dict(item.get("complexity", {})),
    )
