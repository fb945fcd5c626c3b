# SPDX-License-Identifier: Apache-2.0
"""The network in the loop: trained on frames before restoration to raise PSNR-YUV, then rounded to whole numbers.

While it trains, each layer is a product of two linear ones, one wide and 3x3, one narrow and 1x1, added to the
identity, as in SESR (Bhardwaj et al., 2022, section 3): the same layer in the end, but it learns several times as fast.
Deviations: no layer beside the last is residual in what ships, since the identity is part of its weights; biases are
polynomials of the level. Where training starts from a network, its layers take the place of the identity.

Beyond the first layer weights, and what layers see, are rounded to bytes while it trains, as they will be; gradients
pass through as if they were not.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numba.core.codegen import get_host_cpu_features
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from nvcodec.errors import UsageError
from nvcodec.models.depth import LARGEST, STEP_SCALE
from nvcodec.models.kernels.network import (
    AROUND,
    CHANNELS,
    EXACT,
    INPUT_BITS,
    LARGEST_INPUT,
    LARGEST_VALUE,
    LEVEL_UNIT,
    OUTPUT_BITS,
    SEEN,
    TAPS,
    VALUE_BITS,
)
from nvcodec.models.network import KINDS, LARGEST_PAIR, OUTPUTS, Layer, Network, largest_pairs, network_of, to_tensors
from nvcodec.models.quality import LEVELS, LUMA_SHARE, STEPS
from nvcodec.models.training.network_examples import Example, errors_of, extended
from nvcodec.models.training.recipe import NetworkCounts

BATCH, PATCH = 20, 40  # patches of a step, samples of their sides at half size
WIDE = 96  # channels between the two linear layers of one
RATE, RATE_FROM_START, WARM_STEPS, DECAY = 2e-3, 1.2e-3, 300, (0.9, 0.98)
POWERS = 3  # of the level, in biases
LEVEL_MIDDLE, LEVEL_SPAN = 60, 30
LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS = 3, 12  # weights are in units of 2^-3 to 2^-12
FIRST_SHARE = 0.75  # of the largest sum, for the first layer's products; the rest is its bias'
QUARTERS = 2  # bits: what the last layer is trained to say is in quarters of a step
REPORT_SECONDS, KEEP_SECONDS = 60, 60
_HALF = "+avx512bf16" in get_host_cpu_features()  # convolutions of 16-bit floating point while it trains
SHARES = np.array([LUMA_SHARE / 4] * 4 + [(1 - LUMA_SHARE) / 2] * 2)  # of each channel


class Trainer:
    """Training of one network; with the same seed the same batches, wherever it was interrupted."""

    def __init__(self, counts: NetworkCounts, seed: int, threads: int, start: Network | None = None):
        """start: a network to go on from, which may see less and be narrower. Raises UsageError for one of more layers
        or channels, or of fewer layers."""
        import torch

        torch.set_num_threads(max(1, threads))
        self.counts, self.seed, self.step = counts, seed, 0
        self._start = _digest(start)
        self._rate = RATE_FROM_START if start else RATE
        random = torch.Generator().manual_seed(seed)
        sides = [SEEN] + [counts.channels] * (counts.layers - 1) + [CHANNELS]
        self.parameters: dict[str, torch.Tensor] = {}
        self._identities = []
        for n, (inputs, outputs) in enumerate(pairwise(sides)):
            last = n == counts.layers - 1
            wide = torch.randn((WIDE, inputs, 3, 3), generator=random) * (2 / (TAPS * inputs)) ** 0.5
            narrow = torch.randn((outputs, WIDE), generator=random) * WIDE**-0.5 * (0.1 if last else 0.7)
            bias = torch.zeros(POWERS + 1, outputs)
            if not last:
                bias[0] = torch.rand(outputs, generator=random) * 0.2 - 0.1
            self.parameters |= {f"wide.{n}": wide, f"narrow.{n}": narrow, f"bias.{n}": bias}
            identity = torch.zeros(outputs, inputs, 3, 3)
            for k in range(0 if last else outputs):  # inputs and their opposites in turn, since layers keep one sign
                identity[k, k % inputs, 1, 1] = -1.0 if (k // inputs) % 2 else 1.0
            self._identities.append(identity)
        if start is not None:
            self._begin_with(start)
        for parameter in self.parameters.values():
            parameter.requires_grad_()
        self._optimiser = torch.optim.Adam(self.parameters.values(), lr=RATE, betas=DECAY)

    def _begin_with(self, start: Network) -> None:
        """Let another network be what layers are added to; what they add is nothing to begin with."""
        import torch

        if len(start.layers) != self.counts.layers or len(start.parts[0]) > self.counts.channels:
            raise UsageError(
                f"the network to start from has {len(start.layers)} layers and {len(start.parts[0])} channels: "
                f"{self.counts.layers}, and up to {self.counts.channels}, wanted"
            )
        random = torch.Generator().manual_seed(self.seed + 7)
        terms = _terms().reshape(-1, POWERS + 1)
        for n, layer in enumerate(start.layers):
            outputs, inputs = self._identities[n].shape[:2]
            before, after = _bits(n, self.counts.layers)
            scale = np.ldexp(1.0, layer.parts.astype(np.int64) + after - before)
            found = (layer.weights / scale[:, None, None])[:outputs]
            bias = ((layer.bias - np.ldexp(0.5, layer.parts)) / (scale * (1 << before)))[:, :, :outputs]
            weights = np.zeros((outputs, inputs, TAPS))
            weights[: len(found), : found.shape[1]] = found
            if outputs > len(found):
                more = torch.randn((outputs - len(found), inputs, TAPS), generator=random)
                weights[len(found) :] = more.numpy() * (TAPS * inputs) ** -0.5
            self._identities[n] = torch.from_numpy(weights).float().reshape(outputs, inputs, 3, 3)
            self.parameters[f"narrow.{n}"].zero_()
            self.parameters[f"bias.{n}"].zero_()
            fitted = np.linalg.lstsq(terms, bias.reshape(len(terms), -1), rcond=None)[0]
            self.parameters[f"bias.{n}"][:, : len(found)] = torch.from_numpy(fitted).float()

    def train(self, examples: list[Example], stop: Callable[[], bool], keep: Path, say: Callable[[str], None]) -> bool:
        """All steps that are left, kept every so often; False when stopped on the way."""
        import torch

        examples = [e for e in examples if not e.held_out and min(e.decoded.shape[1:]) >= self._side]
        if not examples:
            raise UsageError(f"the network needs pictures of {2 * self._side} samples a side: none is there")
        areas = np.array([e.decoded[0].size for e in examples], float)
        errors = [e.errors for e in examples]
        kept = said = time.monotonic()
        before = after = 0.0
        while self.step < self.counts.steps:
            if stop():
                self.save(keep)
                return False
            random = np.random.default_rng([self.seed, self.step])
            batch = [int(n) for n in random.choice(len(examples), BATCH, p=areas / areas.sum())]
            pairs = [self._patch(examples[n], random) for n in batch]
            x, wanted = (torch.from_numpy(np.stack(part)).float() for part in zip(*pairs, strict=True))
            x = x.contiguous(memory_format=torch.channels_last)
            weights = torch.from_numpy(np.stack([SHARES / errors[n][[0, 0, 0, 0, 1, 2]] for n in batch])).float()
            levels = torch.tensor([examples[n].level for n in batch])
            out, inside = self.run(x, levels, torch.tensor([examples[n].intra for n in batch]))
            weights = weights[:, :, None, None]
            loss = ((out - wanted) ** 2 * weights).sum((1, 2, 3)).mean() / PATCH**2
            with torch.no_grad():
                before += float(((inside - wanted) ** 2 * weights).sum((1, 2, 3)).mean() / PATCH**2)
                after += float(loss)
            share = min(self.step / self.counts.steps, 1)
            rate = self._rate * 0.5 * (1 + np.cos(np.pi * share)) * min(1, (self.step + 1) / WARM_STEPS) + 1e-5
            for group in self._optimiser.param_groups:
                group["lr"] = rate
            self._optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
            self._optimiser.step()
            self.step += 1
            if time.monotonic() - kept > KEEP_SECONDS:
                self.save(keep)
                kept = time.monotonic()
            if time.monotonic() - said > REPORT_SECONDS:
                say(f"network: {self.step} of {self.counts.steps} steps, errors left {after / before:.4f}")
                said, before, after = time.monotonic(), 0.0, 0.0
        self.save(keep)
        return True

    @property
    def _side(self) -> int:
        """Of a patch, with what is around it."""
        return PATCH + 2 * (self.counts.layers + AROUND)

    def _patch(self, example: Example, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A random patch, turned at random: with what is around it, and what it should be."""
        side, edge = self._side, self.counts.layers + AROUND
        row, column = (int(random.integers(n - side + 1)) for n in example.decoded.shape[1:])
        here = np.s_[:, row : row + side, column : column + side]
        x = np.concatenate([example.decoded[here], example.coded[here]], dtype=np.float32)
        wanted = example.picture[:, row + edge : row + side - edge, column + edge : column + side - edge]
        turn = int(random.integers(8))
        return _turned(x, turn), _turned(wanted, turn)

    def _layer(self, n: int) -> Any:
        """Weights (outputs, inputs, 3, 3) of a layer."""
        import torch

        p = self.parameters
        return torch.einsum("on,nihw->oihw", p[f"narrow.{n}"], p[f"wide.{n}"]) + self._identities[n]

    def run(self, x: Any, levels: Any, intra: Any) -> tuple[Any, Any]:
        """Frames (N, CHANNELS, rows, columns) restored and as they were, without what was around them, of what is known
        of them, x: (N, SEEN, rows, columns), see `Example`."""
        import torch
        from torch.nn import functional

        t = (levels.float() - LEVEL_MIDDLE) / LEVEL_SPAN
        terms = torch.stack([*(t**n for n in range(POWERS)), intra.float()], 1)
        step = torch.from_numpy(STEPS / np.float32(STEP_SCALE)).float()[levels][:, None, None, None]
        size = 2 * AROUND + 1
        mean = functional.avg_pool2d(x[:, :4].mean(1, keepdim=True), size, 1)
        mean_chroma = functional.avg_pool2d(x[:, 4:CHANNELS], size, 1)
        x = x[:, :, AROUND:-AROUND, AROUND:-AROUND]
        differences = torch.cat([x[:, :4] - mean, x[:, 4:CHANNELS] - mean_chroma, x[:, CHANNELS:-2]], 1) / step
        unit = float(1 << INPUT_BITS)
        differences = (differences * unit).round().clamp(-LARGEST_INPUT, LARGEST_INPUT) / unit
        h = torch.cat([differences, x[:, -2:-1] * (LEVEL_UNIT / unit), x[:, -1:]], 1)
        with torch.autocast("cpu", torch.bfloat16, enabled=_HALF and torch.is_grad_enabled()):
            for n in range(self.counts.layers):
                weights, bias = self._layer(n), terms @ self.parameters[f"bias.{n}"]
                if n:
                    whole, scale = _rounded(weights.detach().numpy(), False)
                    weights = weights + (torch.from_numpy(whole / scale) - weights).detach()
                h = functional.conv2d(h, weights) + bias[:, :, None, None]
                if n < self.counts.layers - 1:
                    h = _in_bytes(h)
        edge = self.counts.layers
        x = x[:, :CHANNELS, edge:-edge, edge:-edge]
        return x + h.float() * step / (1 << QUARTERS), x

    def network(self) -> Network:
        """It in whole numbers."""
        weights = [self._layer(n).detach().numpy() for n in range(self.counts.layers)]
        biases = [self.parameters[f"bias.{n}"].detach().numpy().astype(np.float64) for n in range(self.counts.layers)]
        return in_whole_numbers(weights, [_terms() @ bias for bias in biases])

    def save(self, path: Path) -> None:
        """Keep where training stands."""
        import torch

        tensors = {f"parameter.{name}": p.detach() for name, p in self.parameters.items()}
        for (name, _), state in zip(self.parameters.items(), self._optimiser.state.values(), strict=False):
            tensors |= {f"{kind}.{name}": state[kind] for kind in ("exp_avg", "exp_avg_sq", "step")}
        partial = path.with_name(f".{path.name}.partial")
        tensors["done"] = torch.tensor([self.step, self.counts.steps, self.seed])
        tensors["start"] = torch.from_numpy(self._start)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial)
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        """Go on from there. Raises UsageError for the state of other settings."""
        import torch

        try:
            tensors = load_file(path)
            step, steps, seed = tensors["done"].tolist()
            if (steps, seed) != (self.counts.steps, self.seed):
                raise UsageError(f"{path}: of {steps} steps and seed {seed}, not as the recipe says; remove it")
            if not np.array_equal(tensors["start"].numpy(), self._start):
                raise UsageError(f"{path}: it began with another network than the recipe's start_from now; remove it")
            with torch.no_grad():
                for name, parameter in self.parameters.items():
                    parameter.copy_(tensors[f"parameter.{name}"])
                    if step:
                        self._optimiser.state[parameter] = {
                            kind: tensors[f"{kind}.{name}"] for kind in ("exp_avg", "exp_avg_sq", "step")
                        }
        except (SafetensorError, KeyError, OSError, RuntimeError, ValueError) as error:
            raise UsageError(f"{path}: not the network of a run ({str(error).splitlines()[0]}); remove it") from error
        self.step = step


def in_whole_numbers(weights: list[np.ndarray], biases: list[np.ndarray]) -> Network:
    """The network of layers (outputs, inputs, 3, 3) float32 and their biases (KINDS, LEVELS, outputs)."""
    layers = []
    for n, (floats, bias) in enumerate(zip(weights, biases, strict=True)):
        before, after = _bits(n, len(weights))
        room = OUTPUTS - len(floats) if n == len(weights) - 1 else 0
        whole, scale = _rounded(np.pad(floats, ((0, room), (0, 0), (0, 0), (0, 0))), n == 0)
        scale = scale.ravel().astype(np.float64)
        parts = np.log2(scale).astype(np.int64) + before - after
        # sums are rounded down: half a unit more rounds them to the nearest
        offset = np.pad(bias, ((0, 0), (0, 0), (0, room))) * (1 << before) * scale + np.ldexp(0.5, parts)
        whole = whole.astype(np.int8 if n else np.int16).reshape(len(whole), -1, TAPS)
        layers.append(Layer(whole, np.round(offset).astype(np.int32), parts.astype(np.uint8)))
    return network_of(tuple(layers))


def _bits(n: int, layers: int) -> tuple[int, int]:
    """In how many parts, as powers of two, numbers before and after the n-th layer are."""
    return VALUE_BITS if n else INPUT_BITS, OUTPUT_BITS - QUARTERS if n == layers - 1 else VALUE_BITS


def _rounded(weights: np.ndarray, first: bool) -> tuple[np.ndarray, np.ndarray]:
    """Weights (outputs, inputs, 3, 3) as whole numbers, and what they were multiplied with, (outputs, 1, 1, 1) powers
    of two, as large as sums (of the first layer) or neighbours (`largest_pairs`) allow; both float32."""
    if first:
        most, allowed = np.abs(weights).sum((1, 2, 3)) * LARGEST_INPUT, FIRST_SHARE * EXACT
    else:
        most, allowed = largest_pairs(weights.reshape(*weights.shape[:2], TAPS)), LARGEST_PAIR - 1
    bits = np.floor(np.log2(allowed / np.maximum(most, 1e-9))).clip(LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS)
    scale = np.exp2(bits).astype(np.float32)[:, None, None, None]
    return np.round(weights * scale), scale


def _in_bytes(values: Any) -> Any:
    """Values between layers as they will be."""
    import torch

    unit = float(1 << VALUE_BITS)
    with torch.no_grad():
        rounded = ((values.float() * unit).round().clamp(0, LARGEST_VALUE) / unit).to(values.dtype)
    values = values.clamp(0, LARGEST_VALUE / unit)
    return values + (rounded - values).detach()


def _digest(network: Network | None) -> np.ndarray:
    """(32,) uint8 of what training begins with, zeros for nothing."""
    total = hashlib.sha256()
    for array in to_tensors(network).values() if network else ():
        total.update(array.tobytes())
    return np.frombuffer(total.digest() if network else bytes(32), np.uint8).copy()


def _terms() -> np.ndarray:
    """(KINDS, LEVELS, POWERS + 1) of which biases are sums: powers of the level, and whether a frame is intra."""
    t = (np.arange(LEVELS) - LEVEL_MIDDLE) / LEVEL_SPAN
    return np.stack([np.stack([*(t**n for n in range(POWERS)), np.full(LEVELS, k)], 1) for k in range(KINDS)])


def _turned(x: np.ndarray, turn: int) -> np.ndarray:
    """One of the eight ways to turn a patch over; luma's four channels change places, those of its residual, too."""
    if turn & 1:
        x = x[_places((1, 0, 3, 2), len(x)), :, ::-1]
    if turn & 2:
        x = x[_places((2, 3, 0, 1), len(x)), ::-1]
    if turn & 4:
        x = x[_places((0, 2, 1, 3), len(x))].transpose(0, 2, 1)
    return np.ascontiguousarray(x)


def _places(luma: tuple[int, ...], channels: int) -> list[int]:
    """Of all channels, where those of luma change places like this."""
    places = list(range(channels))
    for first in range(0, channels - CHANNELS + 1, CHANNELS):
        places[first : first + 4] = [first + n for n in luma]
    return places


def gains(trainer: Trainer, examples: list[Example]) -> Iterator[float]:
    """PSNR-YUV that each frame gains (dB), by the network before it is rounded."""
    import torch

    edge = trainer.counts.layers + AROUND
    for e in examples:
        around = np.pad(e.coded, ((0, 0), (edge, edge), (edge, edge)), mode="edge")
        x = torch.from_numpy(np.concatenate([extended(e.decoded, edge), around], dtype=np.float32))[None]
        with torch.no_grad():
            out, _ = trainer.run(x, torch.tensor([e.level]), torch.tensor([e.intra]))
        found = 10 * np.log10(e.errors / errors_of(out[0].round().clamp(0, LARGEST).numpy(), e.picture))
        yield float(LUMA_SHARE * found[0] + (1 - LUMA_SHARE) / 2 * (found[1] + found[2]))
