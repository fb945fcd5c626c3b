# SPDX-License-Identifier: Apache-2.0
"""Resume files: where a fit stands after a pass, in one safetensors file, its facts as JSON in the file's metadata."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nvcodec.errors import NvcError, UsageError
from nvcodec.models.implicit.pyramid.passes import CodedFrames, Pass
from nvcodec.models.implicit.pyramid.wish import Measured

_FORMAT = "nvcodec-pyramid-fit/1"
MAX_NBYTES = 4 << 30


@dataclass
class FitState:
    """facts: what must agree before a fit goes on (picture, source, settings); quality and filters: of the next pass;
    passes: what those made came to; best: to be kept; seconds: spent."""

    facts: dict[str, Any]
    quality: float
    filters: bytes = b""
    passes: list[Measured] = field(default_factory=list)
    best: Pass | None = None
    seconds: float = 0.0


def save_state(path: Path, state: FitState) -> None:
    """Write a resume file, whole or not at all."""
    from safetensors.numpy import save_file

    units = state.best.units if state.best is not None else []
    tensors = {f"unit.{n}": np.frombuffer(unit.payload, np.uint8) for n, unit in enumerate(units)}
    stored = {
        "format": _FORMAT,
        "facts": state.facts,
        "next": [state.quality, state.filters.hex()],
        "passes": [_listed(done) for done in state.passes],
        "best": _listed(state.best.measured) if state.best is not None else None,
        "units": [[unit.keyframe, unit.frames, unit.planes_crc32] for unit in units],
        "seconds": state.seconds,
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, str(temporary), {"json": json.dumps(stored)})
        os.replace(temporary, path)
    except OSError as error:
        raise NvcError(f"{path}: resume file cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def load_state(path: Path, expected: dict[str, Any]) -> FitState:
    """Read a resume file; UsageError when it belongs to another video or other settings, NvcError when it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        if path.stat().st_size > MAX_NBYTES:
            raise NvcError(f"{path}: {path.stat().st_size} bytes, a resume file has at most {MAX_NBYTES}")
        with safe_open(str(path), "np") as file:
            stored = json.loads((file.metadata() or {})["json"])
            payloads = [file.get_tensor(f"unit.{n}").tobytes() for n in range(len(stored["units"]))]
        if stored["format"] != _FORMAT:
            raise NvcError(f"{path}: resume file of format {stored['format']}; this build reads {_FORMAT}")
        for name, value in expected.items():
            if stored["facts"].get(name) != value:
                raise UsageError(f"{path}: resumes {name} {stored['facts'].get(name)}; {name} is {value} here")
        units = [
            CodedFrames(payload, bool(keyframe), int(frames), int(crc))
            for payload, (keyframe, frames, crc) in zip(payloads, stored["units"], strict=True)
        ]
        best = None
        if stored["best"] is not None:
            measured = _measured(stored["best"])
            best = Pass(measured.quality, measured.filters, units, [measured.psnr_db])
        quality, filters = stored["next"]
        passes = [_measured(done) for done in stored["passes"]]
        return FitState(expected, float(quality), bytes.fromhex(filters), passes, best, float(stored["seconds"]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise NvcError(f"{path}: not a resume file of this codec ({type(error).__name__})") from error


def _listed(done: Measured) -> list[Any]:
    return [value.hex() if isinstance(value, bytes) else value for value in dataclasses.astuple(done)]


def _measured(listed: list[Any]) -> Measured:
    quality, filters, nbytes, psnr_db = listed
    return Measured(float(quality), bytes.fromhex(filters), int(nbytes), float(psnr_db))
