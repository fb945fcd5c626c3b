# SPDX-License-Identifier: Apache-2.0
"""The weights of the network in the loop (see `nvcodec.models.kernels.network`), and what makes them exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nvcodec.models.kernels.network import (
    EXACT,
    LARGEST_INPUT,
    LARGEST_OUTPUT,
    LARGEST_VALUE,
    SEEN,
    TAPS,
    TOGETHER,
    packed,
    paired,
)
from nvcodec.models.quality import LEVELS

MAX_LAYERS, MAX_CHANNELS, MAX_PART = 12, 128, 24
LARGEST_PAIR = 128  # times 255 is what 16 bits hold
KINDS = 2  # of frames, that have biases of their own: inter, intra
OUTPUTS = 8  # of the last layer: the frame's channels, and as many as make a multiple of four


@dataclass(frozen=True)
class Layer:
    """One layer of whole numbers, as stored.

    weights: (outputs, inputs, TAPS) int16 of the first layer, int8 of others; bias: (KINDS, LEVELS, outputs) int32;
    parts: (outputs,) uint8, sums are divided by 2^parts, rounded down, and bounded.
    """

    weights: np.ndarray
    bias: np.ndarray
    parts: np.ndarray


@dataclass(frozen=True)
class Network:
    """All layers, as compiled code takes them, int32: weights (outputs / 4, inputs / 4, TAPS, 4), four in each (of the
    first layer inputs / 2, in pairs), bias (KINDS, LEVELS, outputs) and parts (outputs,)."""

    layers: tuple[Layer, ...]
    weights: tuple[np.ndarray, ...]
    bias: tuple[np.ndarray, ...]
    parts: tuple[np.ndarray, ...]

    @property
    def halo(self) -> int:
        """Samples at half size that it looks at on each side, means apart."""
        return len(self.layers)


def network_of(layers: tuple[Layer, ...]) -> Network:
    """Raises ValueError for layers that do not fit together, or whose sums could be rounded."""
    check_layers(layers)
    weights = tuple(_in_order(layer.weights, packed if n else paired) for n, layer in enumerate(layers))
    parts = tuple(layer.parts.astype(np.int32) for layer in layers)
    return Network(layers, weights, tuple(layer.bias for layer in layers), parts)


def _in_order(weights: np.ndarray, put_together: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Weights of a layer in the order of compiled code."""
    numbers = put_together(weights.swapaxes(0, 1)).reshape(-1, len(weights) // TOGETHER, TOGETHER, TAPS)
    return np.ascontiguousarray(numbers.transpose(1, 0, 3, 2))


def no_network() -> Network:
    """One that changes nothing."""
    return network_of(
        (
            Layer(
                np.zeros((OUTPUTS, SEEN, TAPS), np.int16),
                np.zeros((KINDS, LEVELS, OUTPUTS), np.int32),
                np.zeros(OUTPUTS, np.uint8),
            ),
        )
    )


def check_layers(layers: tuple[Layer, ...]) -> None:
    """Raises ValueError for shapes and types that compiled code must not be given, for sums beyond `EXACT`, all inputs
    at their largest, with the sign of their weights, and the largest bias, and for neighbouring weights whose products
    some processors could not add in 16 bits."""
    if not 1 <= len(layers) <= MAX_LAYERS:
        raise ValueError(f"a network of {len(layers)} layers: 1 to {MAX_LAYERS}")
    inputs, largest = SEEN, LARGEST_INPUT
    for number, layer in enumerate(layers):
        shape = layer.weights.shape
        if len(shape) != 3 or shape[1:] != (inputs, TAPS) or shape[0] % TOGETHER or not 0 < shape[0] <= MAX_CHANNELS:
            raise ValueError(f"layer {number} of shape {shape}: {inputs} inputs, {TAPS} taps, outputs by {TOGETHER}")
        outputs = shape[0]
        for array, expected, kind in (
            (layer.weights, shape, np.int8 if number else np.int16),
            (layer.bias, (KINDS, LEVELS, outputs), np.int32),
            (layer.parts, (outputs,), np.uint8),
        ):
            if array.shape != expected or array.dtype != kind:
                wanted = f"{np.dtype(kind)} {expected} wanted"
                raise ValueError(f"layer {number}: {array.dtype} of shape {array.shape}, {wanted}")
        if layer.parts.max() > MAX_PART:
            raise ValueError(f"layer {number} divides by more than 2^{MAX_PART}")
        most = largest_pairs(layer.weights).max()
        if number and most > LARGEST_PAIR:
            raise ValueError(f"layer {number}: two weights together {most:.0f} from zero, {LARGEST_PAIR} allowed")
        sums = np.abs(layer.weights.astype(np.int64)).sum((1, 2)) * largest
        sums += np.abs(layer.bias.astype(np.int64)).max((0, 1))
        if sums.max() > EXACT:
            raise ValueError(f"layer {number}: sums of up to {sums.max()}, exact to {EXACT}")
        inputs, largest = outputs, LARGEST_VALUE
    if inputs != OUTPUTS:
        raise ValueError(f"the last layer has {inputs} outputs: {OUTPUTS} wanted")


def largest_pairs(weights: np.ndarray) -> np.ndarray:
    """(outputs,) how far from zero two inputs' weights of one tap and sign are together, at most, where processors add
    up their products first: the first and second input, the third and fourth, ..."""
    pairs = weights.astype(np.float64).reshape(len(weights), -1, 2, TAPS)
    return np.maximum(pairs.clip(0).sum(2), (-pairs).clip(0).sum(2)).max((1, 2))


def bounds_of(network: Network, layer: int) -> tuple[np.int32, np.int32]:
    """Lowest and highest of what a layer's outputs are bounded to."""
    if layer == len(network.layers) - 1:
        return np.int32(-LARGEST_OUTPUT), np.int32(LARGEST_OUTPUT)
    return np.int32(0), np.int32(LARGEST_VALUE)


_PARTS = ("weights", "bias", "parts")


def to_tensors(network: Network) -> dict[str, np.ndarray]:
    """Arrays for a file, by name."""
    return {
        f"network.{n}.{name}": np.ascontiguousarray(array)
        for n, layer in enumerate(network.layers)
        for name, array in vars(layer).items()
    }


def from_tensors(tensors: Mapping[str, np.ndarray]) -> Network:
    """The network that a file holds. Raises ValueError for one that must not be used, KeyError for parts of one."""
    names = [name for name in tensors if name.startswith("network.")]
    count = len(names) // len(_PARTS)
    if set(names) != {f"network.{n}.{part}" for n in range(count) for part in _PARTS}:
        raise ValueError("a network with parts of layers missing, or others")
    return network_of(tuple(Layer(*(tensors[f"network.{n}.{name}"] for name in _PARTS)) for n in range(count)))
