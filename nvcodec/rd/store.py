# SPDX-License-Identifier: Apache-2.0
"""A results folder: one JSON file per point, written whole or not at all, read with every check."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvcodec.errors import NvcError, UsageError
from nvcodec.rd.schema import (
    FAILURES_KIND,
    FOLDER_KIND,
    POINT_KIND,
    SCHEMA_VERSION,
    Clip,
    CodecRecord,
    Conditions,
    Failure,
    Point,
    open_document,
    point_from_json,
    point_to_json,
    read_text,
)

fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None

FOLDER_FILE = "results.json"
FAILURES_FILE = "failures.json"
POINTS_FOLDER = "points"


@dataclass(frozen=True)
class Curve:
    """Points of one clip, one codec identity and one set of conditions, sorted by rate (nbytes).

    label: the codec's name, with its identity appended where the folder holds several under one name.
    """

    clip: Clip
    codec: CodecRecord
    conditions: Conditions
    points: list[Point]
    label: str

    def kbps(self) -> list[float]:
        """1000 bit/s of each point, ascending."""
        return [p.rate.kbps for p in self.points]

    def bpp(self) -> list[float]:
        """Bits per luma sample of each point, ascending."""
        return [p.rate.bpp for p in self.points]

    def values(self, metric: str) -> list[float]:
        """``metric`` of each point; NvcError names the point that lacks it."""
        for p in self.points:
            if metric not in p.metrics:
                have = ", ".join(sorted(p.metrics))
                raise NvcError(
                    f"{self.label} on {self.clip.name}: metric {metric!r} was not measured (there is: {have})"
                )
        return [p.metrics[metric] for p in self.points]


class ResultsFolder:
    """The points of one folder, loaded and checked; ``add`` writes another."""

    def __init__(self, path: Path, points: dict[str, Point]) -> None:
        self.path = path
        self.points = points

    @classmethod
    def create(cls, path: str | Path) -> ResultsFolder:
        """Open the folder, making it first where there is none; UsageError if something else lives there."""
        path = Path(path)
        marker = path / FOLDER_FILE
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path}: is a file, a results folder is needed")
        if not marker.exists():
            if path.is_dir() and any(path.iterdir()):
                raise UsageError(f"{path}: holds files but no {FOLDER_FILE}; name an empty, new or results folder")
            body = {"schema": FOLDER_KIND, "schema_version": SCHEMA_VERSION}
            write_atomic(marker, json.dumps(body, indent=1) + "\n")
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> ResultsFolder:
        """Read every point.

        Raises UsageError where there is no results folder, UnsupportedError for another schema version, NvcError for
        a damaged file, for two files that disagree under one key, and for one clip name with two contents.
        """
        path = Path(path)
        marker = path / FOLDER_FILE
        if not marker.is_file():
            raise UsageError(f"{path}: not a results folder ({FOLDER_FILE} is missing)")
        open_document(read_text(marker), FOLDER_KIND, str(marker))
        points: dict[str, Point] = {}
        files: dict[str, Path] = {}
        for file in sorted((path / POINTS_FOLDER).glob("**/*.json")):
            if file.name.startswith("."):
                continue
            point = point_from_json(read_text(file), str(file))
            if point.key in points:
                _require_agreement(points[point.key], point, f"{files[point.key]} and {file}")
            else:
                points[point.key], files[point.key] = point, file
        _require_one_content_per_name(points.values())
        return cls(path, points)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from measuring into this folder meanwhile, where the system can; NvcError if one is at
        it."""
        if fcntl is None:
            yield
            return
        with (self.path / FOLDER_FILE).open("rb") as marker:
            try:
                fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise NvcError(
                    f"{self.path}: another process is measuring into this folder; wait for it, or name another folder"
                ) from None
            except OSError:  # a file system without locks
                pass
            yield

    def add(self, point: Point) -> Path:
        """Write one point atomically; NvcError if another result is there for its key or its clip's name."""
        if point.key in self.points:
            _require_agreement(self.points[point.key], point, f"{self.path}: the stored and the new result")
        _require_one_content_per_name([*self.points.values(), point])
        target = self.path / POINTS_FOLDER / point_file(point)
        write_atomic(target, point_to_json(point))
        self.points[point.key] = point
        return target

    def write_failures(self, failures: Iterable[Failure]) -> None:
        """Replace the list of what failed in the last run; the file goes away when nothing did."""
        rows = [dataclasses.asdict(f) for f in failures]
        target = self.path / FAILURES_FILE
        if not rows:
            target.unlink(missing_ok=True)
            return
        body = {"schema": FAILURES_KIND, "schema_version": SCHEMA_VERSION, "failures": rows}
        write_atomic(target, json.dumps(body, indent=1) + "\n")

    def curves(self, conditions: Conditions | None = None) -> list[Curve]:
        """Points grouped into curves, sorted by clip, then codec; ``conditions`` keeps only those measured so."""
        groups: dict[tuple[str, str, str, str], list[Point]] = {}
        for p in self.points.values():
            if conditions is None or p.conditions.identity == conditions.identity:
                key = (p.clip.name, p.codec.name, p.conditions.identity, p.codec.identity)
                groups.setdefault(key, []).append(p)
        identities: dict[str, set[str]] = {}
        for _, name, _, identity in groups:
            identities.setdefault(name, set()).add(identity)
        return [_curve(groups[key], len(identities[key[1]]) > 1) for key in sorted(groups)]

    def all_conditions(self) -> list[Conditions]:
        """The different conditions found in the folder, sorted by name."""
        found = {p.conditions.identity: p.conditions for p in self.points.values()}
        return sorted(found.values(), key=lambda c: (c.name, c.identity))

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points.values())


def read_failures(path: Path) -> list[Failure]:
    """What failed in the last run of the folder at ``path``; empty where nothing did."""
    file = path / FAILURES_FILE
    if not file.exists():
        return []
    body = open_document(read_text(file), FAILURES_KIND, str(file))
    try:
        return [Failure(**row) for row in body["failures"]]
    except (KeyError, TypeError):
        raise NvcError(f"{file}: not a list of failures") from None


def point_file(point: Point) -> Path:
    """Where a point lies below ``points/``: CLIP/CODEC/PARAMETER_VALUE-KEY.json."""
    value = f"{point.quality.parameter}{point.quality.value:g}"
    return Path(safe_name(point.clip.name)) / safe_name(point.codec.name) / f"{value}-{point.key[:12]}.json"


def safe_name(text: str) -> str:
    """``text`` with everything but letters, digits, dot, plus and minus turned into underscores."""
    return re.sub(r"[^A-Za-z0-9.+-]", "_", text).lstrip(".") or "_"


def write_atomic(target: Path, text: str) -> None:
    """Write beside ``target`` under a temporary name, then rename; nothing is left behind on failure."""
    temporary: str | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise NvcError(f"{target}: cannot be written ({error.strerror or error})") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _curve(points: list[Point], ambiguous: bool) -> Curve:
    points = sorted(points, key=lambda p: (p.rate.nbytes, p.quality.value))
    first = points[0]
    label = f"{first.codec.name}@{first.codec.identity[:6]}" if ambiguous else first.codec.name
    return Curve(first.clip, first.codec, first.conditions, points, label)


def _require_agreement(old: Point, new: Point, where: str) -> None:
    if old.rate.nbytes != new.rate.nbytes:
        raise NvcError(
            f"{where} disagree for key {old.key[:12]} ({old.codec.name} on {old.clip.name}): "
            f"{old.rate.nbytes} and {new.rate.nbytes} bytes; remove one"
        )
    for name in sorted(set(old.metrics) | set(new.metrics)):
        a, b = old.metrics.get(name), new.metrics.get(name)
        if a is None or b is None or abs(a - b) > 1e-4 * max(1.0, abs(a)):
            raise NvcError(
                f"{where} disagree for key {old.key[:12]} ({old.codec.name} on {old.clip.name}): "
                f"{name} is {a} and {b}; remove one"
            )


def _require_one_content_per_name(points: Iterable[Point]) -> None:
    seen: dict[tuple[str, str], Clip] = {}
    for p in points:
        first = seen.setdefault((p.clip.name, p.conditions.identity), p.clip)
        if (first.width, first.height, first.frames) != (p.clip.width, p.clip.height, p.clip.frames):
            raise NvcError(
                f"clip {p.clip.name!r} appears as {first.width}x{first.height} with {first.frames} frames and as "
                f"{p.clip.width}x{p.clip.height} with {p.clip.frames}; one name stands for one clip"
            )
        if first.frames_sha256 != p.clip.frames_sha256:
            raise NvcError(f"clip {p.clip.name!r} appears with two different contents; one name stands for one clip")


__all__ = ["POINT_KIND", "Curve", "ResultsFolder", "point_file", "read_failures", "safe_name", "write_atomic"]
