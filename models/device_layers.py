# SPDX-License-Identifier: Apache-2.0
"""The layers of the network in the loop in PyTorch, on a device that has it, to the same whole numbers."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import torch

from nvcodec.errors import UnsupportedError
from nvcodec.models.kernels.network import LARGEST_INPUT, SEEN, TAPS, paired
from nvcodec.models.network import KINDS, Layer, Network, apply_layers, bounds_of
from nvcodec.models.quality import LEVELS

_SIDE = 3  # of what is tried at first, beyond what the layers look at


class DeviceLayers:
    """See `apply_layers`. Weights and samples are whole numbers in 32-bit floating point.

    A layer is nine products of matrices, one for each tap, added up: no routine for convolutions, which might take
    them by transforms that round. `check_layers` bounds sums by 2^24, parts of them as well, so that each is exact
    and no order of adding them up gives another. A device that rounds products nevertheless is refused.
    """

    def __init__(self, network: Network, device: str):
        """Raises UnsupportedError for a device that is not there, or whose products are rounded."""
        try:
            self._device = torch.device(device)
            self._layers = [self._to_device(layer) for layer in network.layers]
            self._bounds = [tuple(float(bound) for bound in bounds_of(network, n)) for n in range(network.halo)]
            same = self._is_exact(network)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise UnsupportedError(f"device {device!r}: {str(error).splitlines()[0]}") from error
        if not same:
            raise UnsupportedError(f"device {device!r}: it rounds products of whole numbers, which must be exact")

    def _to_device(self, layer: Layer) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Weights (TAPS, outputs, inputs), bias (KINDS, LEVELS, outputs, 1) and what sums are multiplied with."""
        weights = layer.weights.transpose(2, 0, 1).astype(np.float32)
        parts = np.exp2(-layer.parts.astype(np.float32))[:, None]
        arrays = np.ascontiguousarray(weights), layer.bias[..., None].astype(np.float32), parts
        weights, bias, parts = (torch.from_numpy(array).to(self._device) for array in arrays)
        return weights, bias, parts

    def _is_exact(self, network: Network) -> bool:
        """Whether numbers that need all of their bits are multiplied right, and inputs near zero and up to their bounds
        become what compiled loops make of them."""
        random, side = np.random.default_rng(1), 2 * network.halo + _SIDE
        odd = 2 * random.integers(-(1 << 11), 1 << 11, (64, 4)) + 1  # of 12 bits: any shorter mantissa rounds them
        largest = random.choice([-LARGEST_INPUT, LARGEST_INPUT], (4, 64))
        factors = (torch.from_numpy(array.astype(np.float32)).to(self._device) for array in (odd, largest))
        sums = torch.zeros(64, 64, device=self._device).addmm_(*factors)
        if (sums.cpu().numpy() != odd @ largest).any():
            return False
        for kind, most in itertools.product(range(KINDS), (LARGEST_INPUT >> 4, LARGEST_INPUT)):
            x = paired(random.integers(-most, most, (SEEN, side, side), np.int32, endpoint=True))
            if (self(x, kind, LEVELS // 2) != apply_layers(network, x, kind, LEVELS // 2)).any():
                return False
        return True

    @torch.inference_mode()
    def __call__(self, x: np.ndarray, kind: int, level: int) -> np.ndarray:
        """As `apply_layers`."""
        pairs = torch.from_numpy(x).to(self._device)
        samples = torch.stack([(pairs << 16) >> 16, pairs >> 16], 1).reshape(-1, *pairs.shape[1:]).to(torch.float32)
        for (weights, bias, parts), (low, high) in zip(self._layers, self._bounds, strict=True):
            inputs, rows, columns = samples.shape[0], samples.shape[1] - 2, samples.shape[2] - 2
            sums = bias[kind, level].repeat(1, rows * columns)
            for tap in range(TAPS):
                moved = samples[:, tap // 3 : tap // 3 + rows, tap % 3 : tap % 3 + columns]
                sums.addmm_(weights[tap], moved.reshape(inputs, -1))
            samples = sums.mul_(parts).floor_().clamp_(low, high).reshape(-1, rows, columns)
        made: np.ndarray = samples.to(torch.int32).cpu().numpy()
        return made


def on_device(network: Network, device: str) -> Network:
    """A network whose layers are computed there. Raises UnsupportedError as `DeviceLayers`."""
    return replace(network, device=DeviceLayers(network, device))
