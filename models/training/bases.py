# SPDX-License-Identifier: Apache-2.0
"""Transforms as a run keeps them, and those that nothing was learned for yet."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from nvcodec.errors import UsageError
from nvcodec.models.kernels.residual import RATE_CLASSES
from nvcodec.models.network import from_tensors, to_tensors
from nvcodec.models.transform import LEARNED_CLASSES, BlockBases, Filters, bases_of, check_filters, integer_basis

COARSE, FINE, TINY, TINY_CHROMA, LARGE = range(5)  # the transforms
SIZES = (384, 96, 16, 32, 384)  # their coefficients
_TYPICAL_NONZERO = (1, 2, 4, 7, 12, 24, 46, 86, 140, 230)  # in blocks of each rate class


def typical_rates(n: int) -> np.ndarray:
    """(2, RATE_CLASSES, n, 3) float32 rates before anything was counted: the later a coefficient the rarer."""
    k = np.arange(n)
    rates = np.zeros((RATE_CLASSES, n, 3), np.float32)
    for number, nonzero in enumerate(_TYPICAL_NONZERO):
        falling = np.exp(-k / (2 * nonzero + 4))
        share = np.clip(falling / falling.sum() * nonzero, 0.002, 0.8)
        rates[number] = np.stack([-np.log2(1 - share), -np.log2(share) + 1.4, -np.log2(share) + 2.8], -1)
    return np.stack([rates, rates])


def make_bases(columns: list[np.ndarray], rates: list[np.ndarray]) -> BlockBases:
    """Transforms as the codec uses them from orthonormal columns (LEARNED_CLASSES, n, n)."""
    pictures = tuple(
        np.ascontiguousarray(np.stack([integer_basis(c, t) for c in columns[t]])) for t in range(len(SIZES))
    )
    return bases_of(pictures, tuple(rates))


def save_bases(path: Path, bases: BlockBases) -> None:
    """Keep transforms in a file (whole or not at all)."""
    tensors = {f"bases.{t}": pictures[:LEARNED_CLASSES] for t, pictures in enumerate(bases.pictures)}
    tensors |= {f"rates.{t}": rates for t, rates in enumerate(bases.rates)}
    tensors |= {"filters.luma": bases.filters.luma, "filters.chroma": bases.filters.chroma}
    tensors |= to_tensors(bases.network)
    partial = path.with_name(f".{path.name}.partial")
    # safetensors writes memory as it lies: rows first, or matrices come back transposed
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, partial)
    os.replace(partial, path)


def load_bases(path: Path) -> BlockBases:
    """What `save_bases` wrote. Raises UsageError for anything else."""
    try:
        tensors = load_file(path)
        pictures, rates = (tuple(tensors[f"{kind}.{t}"] for t in range(len(SIZES))) for kind in ("bases", "rates"))
        filters = Filters(tensors["filters.luma"], tensors["filters.chroma"])
        check_filters(filters)
        network = from_tensors(tensors)
    except (SafetensorError, KeyError, OSError, ValueError) as error:
        raise UsageError(f"{path}: not the transforms of a run ({str(error).splitlines()[0]}); remove it") from error
    for n, p, r in zip(SIZES, pictures, rates, strict=True):
        if (p.shape, p.dtype) != ((LEARNED_CLASSES, n, n), np.int16) or (r.shape, r.dtype) != (
            (2, RATE_CLASSES, n, 3),
            np.float32,
        ):
            raise UsageError(f"{path}: transforms of shape {p.shape} and rates of shape {r.shape}; remove it")
    return bases_of(pictures, rates, filters, network)
