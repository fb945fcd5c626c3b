# SPDX-License-Identifier: Apache-2.0
"""What of a standard set lies on this disk, whether it is what it should be, and where the rest is offered."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from nvcodec.datasets.descriptors import ClipDescriptor, Dataset, get_dataset, normalise
from nvcodec.errors import UsageError

VIDEO_SUFFIXES = (".yuv", ".y4m", ".mp4", ".mkv", ".mov", ".webm", ".avi")
PICTURE_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".webp")
MAX_DEPTH = 3  # folders below the one given
MAX_ENTRIES = 100_000  # directory entries looked at before giving up
Y4M_HEADER_NBYTES = 512


@dataclass(frozen=True)
class ClipStatus:
    """One clip of a set: ``state`` is "found", "missing" or "wrong"; ``detail`` says in one line what was seen."""

    clip: str
    state: str
    path: Path | None
    detail: str


def check(name: str, folder: str | Path, *, checksums: bool = False) -> list[ClipStatus]:
    """Look for every clip of the set ``name`` in ``folder`` and up to three folders below it.

    Raw files are measured by their size, Y4M by header and size, picture folders by their count; other containers are
    taken as they are. ``checksums`` reads whole files where a checksum is published. UsageError if there is no such
    set or folder. Nothing is downloaded: a missing clip's ``detail`` says where its makers offer it.
    """
    dataset = get_dataset(name)
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"{root}: not a folder; name the one that holds the files of {dataset.name}")
    index = _index(root)
    return [_status(dataset, clip, index, checksums) for clip in dataset.clips]


def locate(name: str, folder: str | Path) -> dict[str, Path]:
    """Clip name -> path of all clips of a set; UsageError names what is missing or wrong and where it is offered."""
    statuses = check(name, folder)
    bad = [s for s in statuses if s.state != "found"]
    if bad:
        listed = ", ".join(f"{s.clip} ({s.detail})" if s.state == "wrong" else s.clip for s in bad[:8])
        more = f" and {len(bad) - 8} more" if len(bad) > 8 else ""
        dataset = get_dataset(name)
        raise UsageError(
            f"{dataset.name} in {folder}: {len(bad)} of {len(statuses)} clips missing or wrong: {listed}{more}; "
            f"offered at {dataset.offered}"
        )
    return {s.clip: s.path for s in statuses if s.path is not None}


def describe(name: str, folder: str | Path) -> str:
    """``check`` as text, one line per clip and a summary, ready to print."""
    dataset, statuses = get_dataset(name), check(name, folder)
    width = max(len(s.clip) for s in statuses)
    lines = [f"{s.clip:<{width}}  {s.state:<7}  {s.detail}" for s in statuses]
    found = sum(s.state == "found" for s in statuses)
    lines.append(f"{dataset.name}: {found} of {len(statuses)} clips found in {folder}")
    if found < len(statuses):
        lines.append(f"offered by {dataset.makers}: {dataset.offered}")
    return "\n".join(lines)


def _index(root: Path) -> dict[str, list[Path]]:
    """Normalised stem -> the video files and picture folders of that name below ``root``."""
    found: dict[str, list[Path]] = {}
    for path in _walk(root):
        found.setdefault(normalise(path.name if path.is_dir() or path.suffix == ".txt" else path.stem), []).append(path)
    return found


def _walk(root: Path) -> Iterator[Path]:
    seen = 0
    for parent, folders, files in os.walk(root):
        here = Path(parent)
        if len(here.relative_to(root).parts) >= MAX_DEPTH:
            folders.clear()
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(files):
            seen += 1
            if seen > MAX_ENTRIES:
                raise UsageError(f"{root}: more than {MAX_ENTRIES} files; name the folder that holds the clips")
            if name.lower().endswith((*VIDEO_SUFFIXES, ".txt")):
                yield here / name
        if any(name.lower().endswith(PICTURE_SUFFIXES) for name in files[:16]):
            yield here


def _status(dataset: Dataset, clip: ClipDescriptor, index: dict[str, list[Path]], checksums: bool) -> ClipStatus:
    candidates = [path for stem in clip.stems for path in index.get(normalise(stem), [])]
    if clip.entries is None:
        candidates = [path for path in candidates if path.suffix != ".txt"]
    if not candidates:
        return ClipStatus(clip.name, "missing", None, f"offered at {dataset.offered}")
    wrong = None
    for path in dict.fromkeys(candidates):
        fault, seen = _inspect(clip, path, checksums)
        if fault is None:
            return ClipStatus(clip.name, "found", path, seen)
        wrong = wrong or ClipStatus(clip.name, "wrong", path, f"{path.name}: {fault}")
    assert wrong is not None
    return wrong


def _inspect(clip: ClipDescriptor, path: Path, checksums: bool) -> tuple[str | None, str]:
    """(what is wrong or None, what was seen)."""
    try:
        if path.is_dir():
            return _inspect_pictures(clip, path)
        nbytes = path.stat().st_size
        if clip.entries is not None:
            return _inspect_list(clip, path)
        suffix = path.suffix.lower()
        if suffix == ".yuv":
            return _inspect_raw(clip, nbytes, path)
        if suffix == ".y4m":
            return _inspect_y4m(clip, path, nbytes)
        if clip.sha256 and clip.nbytes is not None:
            if nbytes != clip.nbytes:
                return f"{nbytes} bytes, published are {clip.nbytes}", ""
            if checksums and (digest := _sha256(path)) != clip.sha256:
                return f"SHA-256 {digest[:16]}..., published is {clip.sha256[:16]}...", ""
    except OSError as error:
        return f"cannot be read ({error.strerror or error})", ""
    return None, f"{path.name}, {nbytes} bytes"


def _inspect_raw(clip: ClipDescriptor, nbytes: int, path: Path) -> tuple[str | None, str]:
    frames, rest = divmod(nbytes, clip.frame_nbytes)
    if rest:
        return f"{nbytes} bytes are no whole number of {clip.width}x{clip.height} 4:2:0 frames", ""
    return _count(clip, frames, path)


def _inspect_y4m(clip: ClipDescriptor, path: Path, nbytes: int) -> tuple[str | None, str]:
    with path.open("rb") as file:
        header, newline, rest = file.read(Y4M_HEADER_NBYTES).partition(b"\n")
    words = header.decode("ascii", "replace").split(" ")
    if words[0] != "YUV4MPEG2" or not newline:
        return "not a YUV4MPEG2 file", ""
    tags = {word[0]: word[1:] for word in words[1:] if word}
    if (tags.get("W"), tags.get("H")) != (str(clip.width), str(clip.height)):
        return f"is {tags.get('W')}x{tags.get('H')}, published is {clip.width}x{clip.height}", ""
    if not tags.get("C", "420").startswith("420") or "p1" in tags.get("C", ""):
        return f"is chroma format {tags['C']}, published is 8-bit 4:2:0", ""
    if clip.frame_rate is not None and (rate := _rate(tags.get("F", ""))) not in (None, clip.frame_rate):
        return f"is at {rate} Hz, published is {clip.frame_rate}", ""
    marker = rest.partition(b"\n")[0]
    frame_nbytes = clip.frame_nbytes + len(marker if marker.startswith(b"FRAME") else b"FRAME") + 1
    frames, left = divmod(nbytes - len(header) - 1, frame_nbytes)
    return (f"ends inside frame {frames}", "") if left else _count(clip, frames, path)


def _rate(text: str) -> Fraction | None:
    try:
        return Fraction(text.replace(":", "/"))
    except (ValueError, ZeroDivisionError):
        return None


def _inspect_pictures(clip: ClipDescriptor, path: Path) -> tuple[str | None, str]:
    return _count(clip, sum(entry.suffix.lower() in PICTURE_SUFFIXES for entry in path.iterdir()), path)


def _inspect_list(clip: ClipDescriptor, path: Path) -> tuple[str | None, str]:
    with path.open("rb") as file:
        lines = sum(bool(line.strip()) for line in file)
    sequences = path.parent / "sequences"
    if lines != clip.entries:
        return f"{lines} entries, published are {clip.entries}", ""
    if not sequences.is_dir():
        return "the folder sequences/ is not beside it", ""
    return None, f"{path.name}, {lines} entries"


def _count(clip: ClipDescriptor, frames: int, path: Path) -> tuple[str | None, str]:
    # A frame more than published is common (some distributions keep one extra) and harmless: readers take the first.
    if frames == 0 or (clip.frames is not None and frames < clip.frames):
        return f"{frames} frames, published are {clip.frames if clip.frames is not None else 'more'}", ""
    return None, f"{path.name}, {clip.width}x{clip.height}, {frames} frames"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
