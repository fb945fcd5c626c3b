# SPDX-License-Identifier: Apache-2.0
"""Resume files: a fit and the groups before it in one safetensors file, its facts as JSON in the file's metadata."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvcodec.errors import NvcError, UsageError
from nvcodec.models.implicit.fit.loop import Fit

_FORMAT = "nvcodec-fit/1"


@dataclass
class FitState:
    """facts: what must agree before a fit goes on (recipe, picture, source); units: payloads of finished groups, with
    the number of their frames and the CRC-32 of their planes; current: the fit in progress, None between groups."""

    facts: dict[str, Any]
    units: list[tuple[bytes, int, int]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)  # SHA-256 of the frames of each finished group
    current: dict[str, Tensor] | None = None
    progress: dict[str, Any] = field(default_factory=dict)


def source_digest(target: Tensor | tuple[Tensor, ...]) -> str:
    """SHA-256 of the pictures a group is fitted to."""
    digest = hashlib.sha256()
    for part in target if isinstance(target, tuple) else (target,):
        digest.update(str(tuple(part.shape)).encode())
        digest.update(np.ascontiguousarray(part.cpu().numpy()).data)
    return digest.hexdigest()


def save_state(path: Path, state: FitState) -> None:
    """Write a resume file, whole or not at all."""
    from safetensors.torch import save_file

    tensors = dict(state.current or {})
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    for i, (payload, _, _) in enumerate(state.units):
        tensors[f"unit.{i}"] = torch.frombuffer(bytearray(payload), dtype=torch.uint8)
    facts = {
        "format": _FORMAT,
        "facts": state.facts,
        "units": [[frames, crc] for _, frames, crc in state.units],
        "sources": state.sources,
        "fitting": state.current is not None,
        "progress": state.progress,
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, str(temporary), {"json": json.dumps(facts)})
        os.replace(temporary, path)
    except OSError as exc:
        raise NvcError(f"{path}: resume file cannot be written: {exc.strerror or exc}") from exc
    finally:
        temporary.unlink(missing_ok=True)


def load_state(path: Path, expected: dict[str, Any]) -> FitState:
    """Read a resume file; UsageError when it belongs to other settings, NvcError when it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            stored = json.loads((file.metadata() or {})["json"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if stored["format"] != _FORMAT:
            raise NvcError(f"{path}: resume file of format {stored['format']}; this build reads {_FORMAT}")
        units = [
            (bytes(tensors.pop(f"unit.{i}").numpy()), int(frames), int(crc))
            for i, (frames, crc) in enumerate(stored["units"])
        ]
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as exc:
        raise NvcError(f"{path}: not a resume file of nvc ({type(exc).__name__})") from exc
    for name, value in expected.items():
        if stored["facts"].get(name) != value:
            raise UsageError(f"{path}: resumes {name} {stored['facts'].get(name)}; {name} is {value} here")
    current = tensors if stored["fitting"] else None
    return FitState(stored["facts"], units, stored["sources"], current, stored["progress"])


def pack_fit(fit: Fit) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, progress) of a fit as it stands."""
    tensors = {f"representation.{k}": v for k, v in fit.representation.state_dict().items()}
    tensors |= {f"scheme.{k}": v for k, v in fit.scheme.state_dict().items()}
    steps: dict[str, float] = {}
    for index, entry in fit.optimiser.state_dict()["state"].items():
        for name, value in entry.items():
            if isinstance(value, Tensor):
                tensors[f"optimiser.{index}.{name}"] = value
            else:
                steps[f"{index}.{name}"] = value
    progress = {
        "epoch": fit.epoch,
        "seconds": fit.seconds,
        "rate_share": fit.rate_share,
        "rate_weight": fit.rate_weight,
        "psnr_db": fit.psnr_db,
        "optimiser": steps,
    }
    return tensors, progress


def unpack_fit(fit: Fit, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
    """Continue a fit from what ``pack_fit`` gave; NvcError when it belongs to another network."""
    try:
        fit.representation.load_state_dict(_under(tensors, "representation."))
        fit.scheme.load_state_dict(_under(tensors, "scheme."))
        state: dict[int, dict[str, Any]] = {}
        for name, value in _under(tensors, "optimiser.").items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = value
        for name, number in progress["optimiser"].items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = number
        whole = fit.optimiser.state_dict()
        fit.optimiser.load_state_dict({**whole, "state": state})
        fit.epoch, fit.seconds_before = int(progress["epoch"]), float(progress["seconds"])
        fit.rate_share, fit.rate_weight = float(progress["rate_share"]), float(progress["rate_weight"])
        fit.psnr_db = float(progress["psnr_db"])
    except (RuntimeError, KeyError, ValueError, TypeError) as exc:
        raise NvcError(f"resume file is of another network: {str(exc).splitlines()[0]}") from exc
    for coder in getattr(fit.scheme, "coders", []):
        coder.started = True


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
