# SPDX-License-Identifier: Apache-2.0
"""Our own codecs and those of third parties, run as ``nvc encode`` and ``nvc decode`` in processes of their own."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path

from nvcodec.errors import UsageError
from nvcodec.rd.anchors import LOW_DELAY, RANDOM_ACCESS
from nvcodec.rd.codecs import DECODED, SOURCE, STREAM, LabCodec, Trial
from nvcodec.rd.schema import CodecRecord, Conditions, Quality

STEPS = (2.0, 17.0, 32.0, 46.0, 60.0)
HIGHEST_QUALITY = 63
# Where code that decides the bytes lives: a change in what a codec uses of these makes earlier points another codec's.
CODING_PACKAGES = ("nvcodec.codec", "nvcodec.stream", "nvcodec.models", "nvcodec.entropy", "nvcodec.pipeline")
SHARED = ("nvcodec.stream", "nvcodec.pipeline")  # what every codec's bytes go through
RECIPES = ("nvcodec.models.implicit.recipes", "nvcodec.models.implicit.coding")


def our_codec(name: str, conditions: Conditions, *, threads: int = 1, device: str = "cpu") -> LabCodec:
    """The codec called ``ours:NAME[@MODEL][:PRESET][:PROFILE]``, names as ``nvc models`` lists them.

    PROFILE: ld (the default, as for the anchors) or ra, for codecs that have both. UsageError if unknown.
    """
    parts = name.split(":")
    codec_name, at, model = parts[1].partition("@") if len(parts) > 1 else ("", "", "")
    profile = parts.pop() if len(parts) > 2 and parts[-1] in (LOW_DELAY, RANDOM_ACCESS) else LOW_DELAY
    if not codec_name or len(parts) > 3 or (at and not model):
        raise UsageError(f"codec {name!r}: write ours:NAME, with @MODEL, :PRESET and :ld or :ra where wanted")
    preset = parts[2] if len(parts) > 2 else ""
    version, weights, profiles = _identity(codec_name, model, preset)
    if not profiles and name.endswith(f":{RANDOM_ACCESS}"):
        raise UsageError(f"codec {name!r}: {codec_name} has no profile {RANDOM_ACCESS}")
    settings = {"intra_period": conditions.intra_period, "threads": threads, "device": device}
    record = CodecRecord(name, "ours", profile, version, preset=preset, weights_sha256=weights, settings=dict(settings))

    def make(step: float) -> Trial:
        if step != int(step):
            raise UsageError(f"{name}: quality {step:g}, whole numbers from 0 to {HIGHEST_QUALITY} are allowed")
        program = [sys.executable, "-m", "nvcodec"]
        shared = ["--threads", str(threads), "--device", device, "-y"]
        encode = [*program, "encode", SOURCE, "-o", STREAM, "--codec", codec_name, "-q", str(int(step))]
        encode += [*(["--model", model] if model else []), *(["--preset", preset] if preset else [])]
        encode += ["--profile", profile] if profiles else []
        encode += ["--intra-period", str(conditions.intra_period), *shared]
        decode = [*program, "decode", STREAM, "-o", DECODED, *shared]
        return Trial(record, Quality("quality", step), encode, decode, ".nvc", "nvc")

    return LabCodec(name, "quality", STEPS, 0, HIGHEST_QUALITY, make)


def _identity(codec_name: str, model_name: str, preset: str) -> tuple[str, str | None, tuple[str, ...]]:
    """(version with a hash of the code that decides the bytes, SHA-256 of the weights, profiles), without
    loading torch."""
    from nvcodec.cli.version import package_version
    from nvcodec.codec.protocol import EncodeSettings
    from nvcodec.codec.registry import get_codec

    codec = get_codec(codec_name)
    settings = EncodeSettings(preset=preset) if preset else EncodeSettings()
    model = codec.model_identity(settings)
    if model_name and model_name not in getattr(codec, "sizes", ()):
        models = {m.name: m for m in codec.models()}
        if model_name not in models:
            raise UsageError(
                f"codec {codec_name!r} has no model {model_name!r}; there are {', '.join(models) or 'none'}"
            )
        model = models[model_name]
    return (
        f"nvcodec {package_version('nvcodec')} code {codec_digest(codec)[:12]}",
        model.sha256.hex() if model else None,
        tuple(getattr(codec, "profiles", ())),
    )


def unit_nbytes(stream: Path, frames: int) -> list[int]:
    """Payload bytes of each frame of a .nvc stream; a unit of several frames is shared among them, [] if unreadable."""
    from nvcodec.errors import NvcError
    from nvcodec.stream import StreamReader

    sizes: list[int] = []
    carried = 0
    try:
        with stream.open("rb") as file:
            for record in StreamReader(file, stream.name).records():
                for unit in record.units:
                    carried += len(unit.payload)
                    if unit.frame_count:
                        share, rest = divmod(carried, unit.frame_count)
                        sizes += [share + rest, *[share] * (unit.frame_count - 1)]
                        carried = 0
    except (OSError, NvcError):
        return []
    return sizes if len(sizes) == frames else []


def codec_digest(codec: object) -> str:
    """SHA-256 over the sources that decide a codec's bytes: its module, stream and pipeline, and all that they import
    from `CODING_PACKAGES`, directly or not. Implicit codecs name recipes in strings: all recipes count for each.
    """
    module = type(codec).__module__
    start = [module, *SHARED] if not module.startswith("nvcodec.codec.implicit") else [module, *SHARED, *RECIPES]
    own = inspect.getsourcefile(type(codec))
    return code_digest(start, [Path(own)] if own else [])


def code_digest(modules: Iterable[str], files: Iterable[Path] = ()) -> str:
    """SHA-256 over the Python sources of modules (whole packages), what they import from `CODING_PACKAGES`, and
    further files. Modules that do not exist are left out.
    """
    paths, seen = set(files), set[str]()
    waiting = [path for name in modules for path in _sources(name, whole=True)]
    while waiting:
        path = waiting.pop()
        paths.add(path)
        for name in _imports(path):
            # a module's packages are imported before it
            new = set(accumulate(name.split("."), lambda package, part: f"{package}.{part}")) - seen
            seen |= new
            waiting += [p for module in new if module.startswith(CODING_PACKAGES) for p in _sources(module)]
    contents = sorted(hashlib.sha256(path.read_bytes()).digest() for path in paths)  # in no order of folders
    return hashlib.sha256(b"".join(contents)).hexdigest()


def _sources(name: str, *, whole: bool = False) -> list[Path]:
    """Source files of a module; of a package all, or its own file only. Nothing where it does not exist."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return []
    if spec is None:
        return []
    if whole and spec.submodule_search_locations is not None:
        return [path for folder in spec.submodule_search_locations for path in Path(folder).rglob("*.py")]
    return [Path(spec.origin)] if spec.origin else []


def _imports(path: Path) -> Iterable[str]:
    """Modules that a source file imports anywhere in it; of names that may be modules or not, both."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
