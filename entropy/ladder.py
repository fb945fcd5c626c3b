# SPDX-License-Identifier: Apache-2.0
"""Zero-mean distributions of weights and latents: families of shapes, each on a ladder of scales, as integer tables.

    index = family * LEVELS + level        scale in symbol units = 2^(level / 4 - 4)

The tables are committed beside this file; `python -m nvcodec.entropy.ladder` made them. Decoders use them as they
stand.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from nvcodec.entropy.tables import TableSet

FAMILIES = ("gaussian", "laplace", "mixed")  # mixed: Laplacian of this scale and of four times it, in equal parts
LEVELS = 45
LEVELS_PER_OCTAVE = 4
LOWEST_OCTAVE = -4
MIXED_SPREAD = 4.0
MAX_HALF_WIDTH = 512
TAIL_SCALES = {"gaussian": 5.0, "laplace": 10.0, "mixed": 40.0}
_FILE = Path(__file__).with_name("ladder.safetensors")


def level_scale(level: float) -> float:
    """Scale in symbol units of a ladder step: deviation of a Gaussian, mean magnitude of a Laplacian."""
    return 2.0 ** (level / LEVELS_PER_OCTAVE + LOWEST_OCTAVE)


@functools.cache
def ladder_tables() -> TableSet:
    """The committed tables, FAMILIES x LEVELS of them."""
    from safetensors.numpy import load_file

    stored = load_file(str(_FILE))
    tables = TableSet(np.cumsum(stored["steps"], dtype=np.int64), stored["sizes"].astype(np.int32), stored["offsets"])
    starts = np.cumsum(tables.sizes) - tables.sizes
    base = np.repeat(tables.cdf[starts], tables.sizes)  # each table starts again at zero
    return TableSet((tables.cdf - base).astype(np.int32), tables.sizes, tables.offsets.astype(np.int32))


def ladder_pmf(family: str, scale: float) -> np.ndarray:
    """Probabilities of the integers -half .. half under a family at a scale."""
    from scipy.special import ndtr

    half = int(min(MAX_HALF_WIDTH, max(1, np.ceil(scale * TAIL_SCALES[family]))))
    edges = np.arange(-half, half + 2) - 0.5
    if family == "gaussian":
        cumulative = ndtr(edges / scale)
    elif family == "laplace":
        cumulative = _laplace(edges, scale)
    else:
        cumulative = 0.5 * (_laplace(edges, scale) + _laplace(edges, MIXED_SPREAD * scale))
    return np.diff(cumulative)


def make_ladder() -> TableSet:
    """The tables from their definition, in floating point: only to make the file."""
    pmfs, offsets, escapes = [], [], []
    for family in FAMILIES:
        for level in range(LEVELS):
            pmf = ladder_pmf(family, level_scale(level))
            pmfs.append(pmf)
            offsets.append(-(len(pmf) // 2))
            escapes.append(max(1e-9, 1 - float(pmf.sum())))
    return TableSet.from_pmfs(pmfs, offsets, escapes)


def _laplace(x: np.ndarray, scale: float) -> np.ndarray:
    tail = 0.5 * np.exp(-np.abs(x) / scale)
    return np.where(x < 0, tail, 1 - tail)


def main() -> None:
    """Write the file."""
    from safetensors.numpy import save_file

    tables = make_ladder()
    steps = np.concatenate([np.diff(np.array(row), prepend=0) for row in tables.rows]).astype(np.uint16)
    save_file(
        {"steps": steps, "sizes": tables.sizes.astype(np.uint16), "offsets": tables.offsets.astype(np.int16)}, _FILE
    )


if __name__ == "__main__":
    main()
