# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder become training data, and what a model card says about them; reads no picture."""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvcodec.errors import UsageError

VIDEO_SUFFIXES = frozenset({".mkv", ".mp4", ".webm", ".mov", ".avi", ".y4m"})
STILL_SUFFIXES = frozenset({".webp", ".png", ".jpg", ".jpeg"})
MAX_FILES = 200_000
MAX_LICENCE_CHARACTERS = 160


@dataclass(frozen=True)
class TrainingFile:
    """A video or still: its path, its name in the cache, and the source it was cut from."""

    path: Path
    name: str
    source: str


def training_files(folder: Path, suffixes: frozenset[str]) -> list[TrainingFile]:
    """Files with one of the suffixes in a folder and below it, by path.

    Sources are told apart by the ``source_path`` column of ``manifest.csv`` where there is one, else by name. Raises
    UsageError when there is no such folder or nothing in it.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: not a folder")
    paths = []
    for seen, path in enumerate(sorted(_walk(folder))):
        if seen >= MAX_FILES:
            raise UsageError(f"{folder}: more than {MAX_FILES} files")
        if path.suffix.lower() in suffixes:
            paths.append(path)
    if not paths:
        raise UsageError(f"{folder}: nothing to train on (files that end in {', '.join(sorted(suffixes))})")
    stems = Counter(path.relative_to(folder).with_suffix("") for path in paths)
    rows = _manifest(folder)
    files = []
    for path in paths:
        place = path.relative_to(folder)
        unique = place.with_suffix("") if stems[place.with_suffix("")] == 1 else place
        name = "__".join(unique.parts)
        files.append(TrainingFile(path, name, rows.get(path.name, {}).get("source_path") or name))
    return files


def not_cached(files: list[TrainingFile], cache: Path) -> list[TrainingFile]:
    """Those of the files that the cache lacks."""
    return [file for file in files if not (cache / f"{file.name}.npz").exists()]


def describe(folder: Path, files: list[TrainingFile]) -> dict[str, Any]:
    """What a model card says of a folder: its name, counts, hash of its manifest, and sources with their licences.

    Without a ``manifest.csv`` the hash is that of the list of names and sizes.
    """
    manifest = folder / "manifest.csv"
    listing = "".join(f"{file.name} {file.path.stat().st_size}\n" for file in files).encode()
    rows = _manifest(folder)
    known = [rows[file.path.name] for file in files if file.path.name in rows]
    counts = Counter((row.get("source_repo") or "", _licence(row)) for row in known)
    return {
        "folder": folder.resolve().name,
        "files": len(files),
        "sources": len({file.source for file in files}),
        "hash_of": "manifest.csv" if manifest.is_file() else "names and sizes",
        "sha256": hashlib.sha256(manifest.read_bytes() if manifest.is_file() else listing).hexdigest(),
        "origins": [{"origin": o, "licence": text, "files": n} for (o, text), n in counts.most_common()],
    }


def _walk(folder: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    return found


def _manifest(folder: Path) -> dict[str, dict[str, str]]:
    """Rows of ``manifest.csv`` by file name (column ``clip`` or ``file``); empty without one."""
    try:
        with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
            rows = [{k: v or "" for k, v in row.items() if isinstance(k, str)} for row in csv.DictReader(file)]
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{folder / 'manifest.csv'}: not a readable table ({error})") from error
    return {row.get("clip") or row.get("file") or "": row for row in rows}


def _licence(row: dict[str, str]) -> str:
    text = row.get("licence", "").split(" | ")[0].strip()  # addresses of single files follow the bar
    return text[:MAX_LICENCE_CHARACTERS]
