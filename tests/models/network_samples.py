# SPDX-License-Identifier: Apache-2.0
"""Frames and networks of random numbers, for tests of the network in the loop."""

from __future__ import annotations

import numpy as np

from nvcodec.models.conditional.frame import Planes, empty_planes
from nvcodec.models.conditional.restoration import Coded
from nvcodec.models.kernels.compensation import PAD, extend_edges
from nvcodec.models.kernels.network import EXACT, LARGEST_INPUT, LARGEST_VALUE, SEEN, TAPS
from nvcodec.models.network import KINDS, OUTPUTS, Layer, Network, network_of
from nvcodec.models.quality import LEVELS

ROWS, COLUMNS = 9, 5  # blocks: more rows than the network works on at a time, units that are not whole
UNITS = ((ROWS + 1) // 2, (COLUMNS + 1) // 2)
PADS = (PAD, PAD // 2, PAD // 2)


def noise(random: np.random.Generator, rows: int = ROWS, columns: int = COLUMNS, kind: str = "noise") -> Planes:
    """Planes with borders: any samples, some of them, or only the least and the largest."""
    planes = empty_planes(rows, columns)
    for plane, pad in zip(planes, PADS, strict=True):
        inside = plane[pad:-pad, pad:-pad]
        inside[:] = (
            random.integers(400, 564, inside.shape) if kind == "noise" else random.integers(0, 1024, inside.shape)
        )
        if kind == "extremes":
            inside[:] = np.where(inside < 400, 0, 1023)
        extend_edges(plane, pad)
    return planes


def coded(random: np.random.Generator, rows: int = ROWS, columns: int = COLUMNS, largest: int = 400) -> Coded:
    """What may have been coded of a frame."""
    y, u, v = (random.integers(-largest, largest, (n * rows, n * columns)).astype(np.int16) for n in (16, 8, 8))
    finer = random.integers(-20, 100, ((rows + 1) // 2, (columns + 1) // 2)).astype(np.int8)
    return Coded((y, u, v), finer, random.integers(0, 4, (rows, columns)).astype(np.uint8))


def random_layer(random: np.random.Generator, inputs: int, outputs: int, first: bool) -> Layer:
    """Of weights whose sums come close to the limit, now and then, and some as far from zero as neighbours allow."""
    largest = LARGEST_INPUT if first else LARGEST_VALUE
    weights = random.integers(-64, 65, (outputs, inputs, TAPS)).astype(np.int16 if first else np.int8)
    weights[:, 0, 0], weights[:, 1, 0] = 127, 1
    weights[:, 0, 1], weights[:, 1, 1] = -128, 0
    weights[:, 0, 2], weights[:, 1, 2] = 127, -128
    room = EXACT - largest * int(np.abs(weights.astype(int)).sum((1, 2)).max())
    bias = random.integers(-min(room, 1 << 20), min(room, 1 << 20) + 1, (KINDS, LEVELS, outputs)).astype(np.int32)
    return Layer(weights, bias, random.integers(8, 13, outputs).astype(np.uint8))


def random_network(seed: int, *channels: int) -> Network:
    """Of layers with so many channels between them."""
    random, sides = np.random.default_rng(seed), (SEEN, *channels, OUTPUTS)
    return network_of(tuple(random_layer(random, inputs, sides[n + 1], n == 0) for n, inputs in enumerate(sides[:-1])))
