# SPDX-License-Identifier: Apache-2.0
"""The weights of the network in the loop (see `nvcodec.models.kernels.network`), and what makes them exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nvcodec.models.kernels.network import (
    EXACT,
    LARGEST_INPUT,
    LARGEST_OUTPUT,
    LARGEST_VALUE,
    MAX_CHANNELS,
    OUTPUTS_TOGETHER,
    QUAD,
    SEEN,
    TAPS,
    convolve,
    convolve_first,
    packed,
    paired,
)
from nvcodec.models.quality import LEVELS
from nvcodec.vectors import TOGETHER

if TYPE_CHECKING:
    from nvcodec.models.device_layers import DeviceLayers

MAX_LAYERS, MAX_PART = 12, 24
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
    """All layers, as compiled code takes them, int32: weights (outputs / 4, N / 4, 16), four in each (of the first
    layer two), and taps (outputs / 4, N, 3), which ones they are (see `convolve_arrays`); bias (KINDS, LEVELS,
    outputs) and parts (outputs,). device: what computes them in place of compiled code, if anything does."""

    layers: tuple[Layer, ...]
    weights: tuple[np.ndarray, ...]
    taps: tuple[np.ndarray, ...]
    bias: tuple[np.ndarray, ...]
    parts: tuple[np.ndarray, ...]
    device: DeviceLayers | None = None

    @property
    def halo(self) -> int:
        """Samples at half size that it looks at on each side, means apart."""
        return len(self.layers)


def network_of(layers: tuple[Layer, ...]) -> Network:
    """Raises ValueError for layers that do not fit together, or whose sums could be rounded."""
    check_layers(layers)
    ordered = [_in_order(layer.weights, packed if n else paired) for n, layer in enumerate(layers)]
    weights, taps = (tuple(pair[n] for pair in ordered) for n in range(2))
    parts = tuple(layer.parts.astype(np.int32) for layer in layers)
    return Network(layers, weights, taps, tuple(layer.bias for layer in layers), parts)


def _in_order(weights: np.ndarray, put_together: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Weights of a layer in the order of compiled code, and which ones they are."""
    numbers = put_together(weights.swapaxes(0, 1)).reshape(-1, len(weights) // OUTPUTS_TOGETHER, OUTPUTS_TOGETHER, TAPS)
    numbers = numbers.transpose(1, 0, 3, 2).reshape(numbers.shape[1], -1, OUTPUTS_TOGETHER)
    if weights.dtype == np.int8:
        order = _share_out(_of_one_sign(weights))
    else:
        order = _share_out(np.zeros((*numbers.shape[:2], 1)))
    there = order >= 0
    ordered, taps = np.zeros((*order.shape, OUTPUTS_TOGETHER), np.int32), np.where(there, order, 0)
    ordered[there] = np.take_along_axis(numbers, taps[..., None], 1)[there]
    by_output = ordered.reshape(len(numbers), -1, TOGETHER, OUTPUTS_TOGETHER).swapaxes(2, 3)
    places = np.stack([taps // TAPS, taps % TAPS // 3, taps % 3], -1).astype(np.int32)
    return np.ascontiguousarray(by_output.reshape(len(numbers), -1, TOGETHER * OUTPUTS_TOGETHER)), places


def _of_one_sign(weights: np.ndarray) -> np.ndarray:
    """(outputs / 4, taps of four inputs, 16) how far from zero neighbours with one sign are together, for all outputs
    of a group."""
    pairs = weights.astype(np.int64).reshape(-1, OUTPUTS_TOGETHER, weights.shape[1] // 4, 2, 2, TAPS)
    sums = np.stack([pairs.clip(0).sum(4), (-pairs).clip(0).sum(4)], -1)  # group, output, inputs, pair, tap, sign
    return sums.transpose(0, 2, 4, 1, 3, 5).reshape(len(sums), -1, 4 * OUTPUTS_TOGETHER)


def _share_out(sizes: np.ndarray) -> np.ndarray:
    """Of each group an order of taps, (groups, M), of sizes (groups, N, K), in which any TOGETHER that begin at a
    multiple of it have sizes of `LARGEST_PAIR` at most, summed up; -1 where none is. The largest first, to where they
    fit."""
    sizes = sizes.astype(np.int16)
    groups, count, _ = sizes.shape
    each = np.arange(groups)
    filled, members = np.zeros_like(sizes), np.zeros((groups, count), np.int64)
    order = np.full((groups, count, TOGETHER), -1)
    for taps in np.argsort(-sizes.max(2), axis=1, kind="stable").T:
        added, some = sizes[each, taps], np.s_[:, : members.any(0).sum() + 1]  # those begun, and one more
        fits = (filled[some] + added[:, None] <= LARGEST_PAIR).all(2) & (members[some] < TOGETHER)
        which = fits.argmax(1)
        order[each, which, members[each, which]] = taps
        filled[each, which] += added
        members[each, which] += 1
    return order[:, : members.any(0).sum()].reshape(groups, -1)


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
        of_groups = len(shape) == 3 and 0 < shape[0] <= MAX_CHANNELS and shape[0] % OUTPUTS_TOGETHER == 0
        if not of_groups or shape[1:] != (inputs, TAPS):
            wanted = f"{inputs} inputs, {TAPS} taps, outputs by {OUTPUTS_TOGETHER}"
            raise ValueError(f"layer {number} of shape {shape}: {wanted}")
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


def apply_layers(network: Network, x: np.ndarray, kind: int, level: int) -> np.ndarray:
    """What all layers make of x (SEEN / 2, rows, columns) int32, which `fill_inputs` filled: (OUTPUTS, rows - 2 halo,
    columns - 2 halo) int32. kind, level: of the frame, which say which biases are added."""
    if network.device is not None:
        return network.device(x, kind, level)
    for n in range(network.halo):
        parts, convolve_n = network.parts[n], convolve if n else convolve_first
        channels = len(parts) if n == network.halo - 1 else len(parts) // QUAD
        out = np.empty((channels, x.shape[1] - 2, x.shape[2] - 2), np.int32)
        convolve_n(
            x, network.weights[n], network.taps[n], network.bias[n][kind, level], parts, *bounds_of(network, n), out
        )
        x = out
    return x


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
