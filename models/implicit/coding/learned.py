# SPDX-License-Identifier: Apache-2.0
"""Learned steps and a learned prior: the fit minimises distortion + lambda x the bits of everything that travels.

Each tensor has one learned step. While fitting, the representation computes with rounded values (straight-through
gradients) and the rate is that of values with uniform noise; what is written is the rounded values under the same
prior.
Temporal tensors (embeddings) are predicted from the frame before, by one coefficient for each channel in sixteenths.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from nvcodec.entropy.ladder import FAMILIES, LEVELS, ladder_tables
from nvcodec.entropy.rans import RansReader, RansWriter
from nvcodec.errors import DamagedStreamError, NvcError
from nvcodec.models.implicit.coding.prior import (
    Prior,
    as_matrix,
    fit_prior,
    from_matrix,
    matrix_shape,
    prior_bits,
    scale_counts,
)
from nvcodec.models.implicit.recipe import Recipe
from nvcodec.models.implicit.representation import Representation, Transmitted
from nvcodec.models.implicit.sources import EncoderEmbeddings
from nvcodec.stream.fields import Cursor, SignedVarint, Uint

STEPS_PER_OCTAVE = 8
STEP_LIMIT = 8 * 40  # 2^-40 to 2^40
PREDICTION_STEP = 1 / 16
SYMBOL_LIMIT = 1 << 20
_INITIAL_SYMBOL = 10.0  # mean magnitude of a symbol at the start
_MANTISSAS = [2.0 ** (k / STEPS_PER_OCTAVE) for k in range(STEPS_PER_OCTAVE)]
_MEAN_LEVEL, _SPREAD_LEVEL = Uint(1, 0, LEVELS - 1), Uint(1, 0, LEVELS - 1)
_LAPLACE = FAMILIES.index("laplace") * LEVELS
_REFRESH_EVERY = 20  # steps of the fit


def step_size(index: int) -> float:
    """2^(index / 8), the same on every machine: a constant times a power of two."""
    return math.ldexp(_MANTISSAS[index % STEPS_PER_OCTAVE], index // STEPS_PER_OCTAVE)


class TensorCoder(nn.Module):
    """Step and prior of one tensor."""

    def __init__(self, tensor: Transmitted, value: Tensor):
        super().__init__()
        self.tensor, self.shape = tensor, tuple(value.shape)
        self.counts = scale_counts(self.shape, tensor.temporal)
        self.step_index = nn.Parameter(torch.zeros((), device=value.device))  # in eighths of an octave
        self.prior: Prior | None = None
        self.prediction: Tensor | None = None  # (channels,) of a temporal tensor
        self.started = False

    def start(self, value: Tensor) -> None:
        """Choose a first step from the values."""
        magnitude = float(value.detach().abs().mean())
        if magnitude > 0 and math.isfinite(magnitude):
            with torch.no_grad():
                self.step_index.fill_(round(STEPS_PER_OCTAVE * math.log2(magnitude / _INITIAL_SYMBOL)))
            self.started = True

    @property
    def index(self) -> int:
        """The step as it is written."""
        return max(-STEP_LIMIT, min(STEP_LIMIT, round(float(self.step_index.detach()))))

    def refresh(self, value: Tensor) -> None:
        """Fit prediction and prior to the values as they are now."""
        with torch.no_grad():
            symbols = (value.detach().float() / step_size(self.index)).round_().clamp_(-SYMBOL_LIMIT, SYMBOL_LIMIT)
            if self.tensor.temporal and len(symbols) > 1:
                now, before = symbols[1:].transpose(0, 1).flatten(1), symbols[:-1].transpose(0, 1).flatten(1)
                share = (now * before).sum(1) / before.square().sum(1).clamp_min(1e-6)
                self.prediction = (share / PREDICTION_STEP).round().clamp(0, 1 / PREDICTION_STEP) * PREDICTION_STEP
            residual = predicted_residual(symbols, self.prediction)
            self.prior = fit_prior(as_matrix(residual, self.tensor.temporal), self.counts)

    def quantised(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """(value as decoded, bits), both with gradients to value and step."""
        assert self.prior is not None
        scale = torch.exp2(self.step_index / STEPS_PER_OCTAVE)
        scaled = value.float() / scale
        rounded = scaled + (scaled.round() - scaled).detach()
        noisy = scaled + torch.rand_like(scaled) - 0.5
        residual = predicted_residual(noisy, self.prediction, straight=True)
        return rounded * scale, prior_bits(as_matrix(residual, self.tensor.temporal), self.prior)


def predicted_residual(symbols: Tensor, prediction: Tensor | None, straight: bool = False) -> Tensor:
    """Symbols (time, channel, ...) minus the rounded share of those one frame earlier."""
    if prediction is None:
        return symbols
    share = prediction.reshape(-1, *[1] * (symbols.dim() - 2)).to(symbols)
    before = torch.cat([torch.zeros_like(symbols[:1]), symbols[:-1] * share])
    return symbols - (before if straight else torch.floor(before + 0.5))


class LearnedScheme(nn.Module):
    """Coders of all tensors of a representation, in the order of the stream."""

    learned = True

    def __init__(self, representation: Representation, recipe: Recipe):
        super().__init__()
        self._representation = [representation]  # in a list: not a submodule
        parameters = dict(representation.named_parameters())
        self.coders = nn.ModuleList(TensorCoder(t, parameters[t.name]) for t in representation.transmitted())
        self._steps = 0
        self.side_bits = 0.0
        self._sampled_bits: list[Tensor] = []
        self._encoded: set[str] = set()  # tensors that an encoder makes anew in every step
        for name, source in representation.named_modules():
            if isinstance(source, EncoderEmbeddings) and source.encoder is not None:
                table = f"{name}.table"
                coder = next(c for c in self.coders if c.tensor.name == table)
                self._encoded.add(table)
                source.fill()
                source.quantise = _EmbeddingQuantiser(coder, source, self._sampled_bits)

    def _values(self) -> list[Tensor]:
        parameters = dict(self._representation[0].named_parameters())
        values = []
        for coder in self.coders:
            value = parameters[coder.tensor.name]
            values.append(value if coder.tensor.reference is None else value - coder.tensor.reference.to(value))
        return values

    def refresh(self) -> None:
        """Fit every prior to the values as they are, starting steps that have not begun."""
        self.side_bits = 0.0
        for coder, value in zip(self.coders, self._values(), strict=True):
            if not coder.started:
                coder.start(value)
            coder.refresh(value)
            self.side_bits += 8 * len(_write_side(coder)[0]) + _scale_bits(coder)

    def quantised(self) -> tuple[dict[str, Tensor], Tensor]:
        """(parameters by name as the decoder will have them, estimated bits of the unit), differentiable."""
        if self._steps % _REFRESH_EVERY == 0:
            self.refresh()
        self._steps += 1
        replaced, bits = {}, torch.tensor(float(self.side_bits))
        for coder, value in zip(self.coders, self._values(), strict=True):
            if coder.tensor.name in self._encoded:
                continue
            decoded, cost = coder.quantised(value)
            if coder.tensor.reference is not None:
                decoded = decoded + coder.tensor.reference.to(decoded)
            replaced[coder.tensor.name] = decoded
            bits = bits.to(cost.device) + cost
        return replaced, bits

    def sampled_bits(self) -> Tensor | float:
        """Bits of the tensors that an encoder made in this step, extended to all frames; forgets them."""
        total = sum(self._sampled_bits) if self._sampled_bits else 0.0
        self._sampled_bits.clear()
        return total

    def detach_encoders(self) -> None:
        """The encoders are gone: their tensors are parameters like others."""
        self._encoded.clear()

    def scale_steps(self, eighths_of_octave: float) -> None:
        """Make every step coarser (or finer, below zero), to meet a budget."""
        with torch.no_grad():
            for coder in self.coders:
                coder.step_index += eighths_of_octave

    def estimated_bits(self) -> float:
        """Bits of what ``write`` would write now, by the integer tables."""
        self.refresh()
        total, tables = self.side_bits, ladder_tables()
        for coder, value in zip(self.coders, self._values(), strict=True):
            symbols, indices = _coded(coder, value)
            total += tables.bits(symbols, indices)
        return total

    def write(self) -> dict[str, bytes]:
        """Parts of the unit."""
        for coder, value in zip(self.coders, self._values(), strict=True):
            if not torch.isfinite(value).all():
                raise NvcError(f"tensor {coder.tensor.name} holds a number that is not finite; the fit has failed")
        self.refresh()
        sides, scales, writers = [], RansWriter(), {"weights": RansWriter(), "latents": RansWriter()}
        for coder, value in zip(self.coders, self._values(), strict=True):
            side, differences, index = _write_side(coder)
            sides.append(side)
            scales.code(differences, np.full(len(differences), index), ladder_tables())
            writers[coder.tensor.role].code(*_coded(coder, value), ladder_tables())
        tables = b"".join(sides) + scales.finish()
        return {"tables": tables, **{role: writer.finish() for role, writer in writers.items()}}

    @classmethod
    def read(cls, representation: Representation, recipe: Recipe, parts: dict[str, bytes]) -> None:
        """Fill the parameters of a representation; DamagedStreamError for parts that cannot be right."""
        parameters = dict(representation.named_parameters())
        transmitted = representation.transmitted()
        cursor = Cursor(parts["tables"], "tables of a network")
        heads = [_SideHead.read(cursor, t, tuple(parameters[t.name].shape)) for t in transmitted]
        scales = RansReader(cursor.take(cursor.remaining, "scales"), sum(h.scale_count for h in heads))
        readers = {
            role: RansReader(parts[role], sum(parameters[t.name].numel() for t in transmitted if t.role == role))
            for role in ("weights", "latents")
        }
        with torch.no_grad():
            for tensor, head in zip(transmitted, heads, strict=True):
                prior = head.prior(scales)
                shape = tuple(parameters[tensor.name].shape)
                indices = _indices(prior, shape, tensor.temporal)
                symbols = readers[tensor.role].code(None, indices, ladder_tables())
                if np.abs(symbols).max(initial=0) > 2 * SYMBOL_LIMIT:
                    raise DamagedStreamError(f"tensor {tensor.name}: a symbol is beyond {2 * SYMBOL_LIMIT}")
                residual = from_matrix(torch.from_numpy(symbols), shape, tensor.temporal)
                value = _add_prediction(residual, head.prediction).float() * step_size(head.step)
                reference = tensor.reference
                parameters[tensor.name].copy_(value if reference is None else reference.cpu() + value)


class _EmbeddingQuantiser:
    """Stands in a source: what coding does to the embeddings of some frames, and what all frames' would cost."""

    def __init__(self, coder: TensorCoder, source: EncoderEmbeddings, bits: list[Tensor]):
        self.coder, self.source, self.bits = coder, source, bits

    def __call__(self, embeddings: Tensor, times: Tensor) -> Tensor:
        table, coder = self.source.table, self.coder
        times = times.to(table.device).long()
        embeddings = embeddings.float()
        with torch.no_grad():
            table[times] = embeddings.detach()
        if coder.prior is None:
            coder.refresh(table)
        assert coder.prior is not None
        scale = torch.exp2(coder.step_index / STEPS_PER_OCTAVE)
        scaled = embeddings / scale
        residual = scaled + torch.rand_like(scaled) - 0.5
        if coder.prediction is not None:
            share = coder.prediction.reshape(-1, *[1] * (table.dim() - 2)).to(scaled)
            before = table.detach()[(times - 1).clamp_min(0)] / scale.detach() * share
            residual = residual - before * (times > 0).reshape(-1, *[1] * (table.dim() - 1))
        cost = prior_bits(as_matrix(residual, True), coder.prior)
        self.bits.append(cost * (len(table) / len(times)))
        return (scaled + (scaled.round() - scaled).detach()) * scale


def _coded(coder: TensorCoder, value: Tensor) -> tuple[np.ndarray, np.ndarray]:
    symbols = (value.detach().float() / step_size(coder.index)).round().clamp(-SYMBOL_LIMIT, SYMBOL_LIMIT)
    residual = predicted_residual(symbols, coder.prediction)
    matrix = as_matrix(residual, coder.tensor.temporal)
    assert coder.prior is not None
    return matrix.flatten().cpu().numpy().astype(np.int64), _indices(coder.prior, coder.shape, coder.tensor.temporal)


def _indices(prior: Prior, shape: tuple[int, ...], temporal: bool) -> np.ndarray:
    rows, columns, rest = matrix_shape(shape, temporal)
    levels = np.broadcast_to(prior.levels(shape), (rows, columns))
    return np.repeat(levels.ravel() + prior.family * LEVELS, rest)


def _add_prediction(residual: Tensor, prediction: np.ndarray | None) -> Tensor:
    if prediction is None:
        return residual
    share = torch.from_numpy(prediction).reshape(-1, *[1] * (residual.dim() - 2))
    frames = [residual[0]]
    for later in residual[1:]:
        # sixteenths in integers: floor(share x / 16 + 1 / 2)
        frames.append(later + torch.div(2 * share * frames[-1] + 16, 32, rounding_mode="floor"))
    return torch.stack(frames)


def _write_side(coder: TensorCoder) -> tuple[bytes, np.ndarray, int]:
    """(step, family, means and spread of the levels, predictions; the levels as differences; their table)."""
    prior = coder.prior
    assert prior is not None
    mean = int(np.rint(prior.rows.mean()).clip(0, LEVELS - 1))
    listed = [scales for scales in (prior.rows - mean, prior.columns) if len(scales) > 1]
    differences = np.concatenate(listed) if listed else np.zeros(0, np.int64)
    magnitude = float(np.abs(differences).mean()) if len(differences) else 0.0
    spread = int(np.clip(round(4 * math.log2(max(magnitude, 0.1))) + 16, 0, LEVELS - 1))
    head = SignedVarint(STEP_LIMIT).write(coder.index, "step") + bytes([prior.family])
    head += _MEAN_LEVEL.write(mean, "mean level")
    if len(differences):
        head += _SPREAD_LEVEL.write(spread, "spread of levels")
    if _has_prediction(coder.shape, coder.tensor.temporal):
        assert coder.prediction is not None
        sixteenths = (coder.prediction / PREDICTION_STEP).round().long().cpu().tolist()
        head += bytes(sixteenths)
    return head, differences, _LAPLACE + spread


def _scale_bits(coder: TensorCoder) -> float:
    _, differences, index = _write_side(coder)
    return ladder_tables().bits(differences, np.full(len(differences), index)) if len(differences) else 0.0


def _has_prediction(shape: tuple[int, ...], temporal: bool) -> bool:
    return temporal and len(shape) > 1 and shape[0] > 1


class _SideHead:
    """What stands before the scales of one tensor."""

    def __init__(self, step: int, family: int, mean: int, spread: int, prediction: np.ndarray | None, counts: tuple):
        self.step, self.family, self.mean, self.spread = step, family, mean, spread
        self.prediction, self.counts = prediction, counts

    @classmethod
    def read(cls, cursor: Cursor, tensor: Transmitted, shape: tuple[int, ...]) -> _SideHead:
        name = tensor.name
        step = SignedVarint(STEP_LIMIT).read(cursor, f"step of {name}")
        family = Uint(1, 0, len(FAMILIES) - 1).read(cursor, f"family of {name}")
        mean = _MEAN_LEVEL.read(cursor, f"mean level of {name}")
        counts = scale_counts(shape, tensor.temporal)
        spread = _SPREAD_LEVEL.read(cursor, f"spread of levels of {name}") if max(counts) > 1 else 0
        prediction = None
        if _has_prediction(shape, tensor.temporal):
            prediction = np.frombuffer(cursor.take(shape[1], f"predictions of {name}"), np.uint8).astype(np.int64)
            if prediction.max(initial=0) > 1 / PREDICTION_STEP:
                raise cursor.damaged(f"prediction of {name} is {prediction.max()}; 0 to 16 allowed")
        return cls(step, family, mean, spread, prediction, counts)

    @property
    def scale_count(self) -> int:
        return sum(n for n in self.counts if n > 1)

    def prior(self, scales: RansReader) -> Prior:
        levels = scales.code(None, np.full(self.scale_count, _LAPLACE + self.spread), ladder_tables())
        levels = np.clip(levels, -LEVELS, LEVELS)
        rows, columns = np.array([self.mean]), np.zeros(1, np.int64)
        if self.counts[0] > 1:
            rows, levels = levels[: self.counts[0]] + self.mean, levels[self.counts[0] :]
        if self.counts[1] > 1:
            columns = levels
        return Prior(self.family, rows, columns)
