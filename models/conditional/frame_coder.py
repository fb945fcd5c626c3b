# SPDX-License-Identifier: Apache-2.0
"""One frame to bytes and back: the same walk through network and tables at encoder and decoder.

Payload of a frame: one byte, quality in bits 0-5 and the kind in bits 6-7; then, unless the kind is SKIP, one rANS
stream: motion (inter only), transform choices, hyperlatents (not for PLAIN), latents of the first pass, of the second.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nvcodec.entropy.rans import RansReader, RansWriter
from nvcodec.errors import DamagedStreamError
from nvcodec.models.conditional import density
from nvcodec.models.conditional.choice import code_choices
from nvcodec.models.conditional.density import quantise, scale_index
from nvcodec.models.conditional.network import Prediction, State, checkerboard, hyper_band
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.motion.search import VectorChooser
from nvcodec.models.motion.syntax import SymbolCoder, code_field
from nvcodec.models.quality import quantisation_step
from nvcodec.models.transform import PIXEL_SCALE, blocks_to_planes

QUALITY_MASK, KIND_SHIFT = 0x3F, 6
# INTRA: no frame before is used. SKIP: the picture before stands unchanged. PLAIN: inter, hyperlatents all zero.
KIND_INTER, KIND_SKIP, KIND_INTRA, KIND_PLAIN = range(4)
PLAIN_BELOW = 24  # quality levels at which inter frames do without hyperlatents
REFINE = (1,)  # strides of the motion refinement, quarter pixels
# Mean squared error up to which a block that stands still is copied: coding it (step^2 / 12) would hardly lower it. The
# bound is for coarse steps, where coded blocks are far better than their step and zeros come of themselves.
COPY_SHARE, COPY_MSE = 0.1, 2.0


@dataclass
class CodedState:
    """What coding a frame needs of the one before: the network's state and the vectors of that frame."""

    state: State
    vectors: np.ndarray  # (H/8, W/8, 2) int32


class FrameCoder:
    """Codes frames of one size with one model. ``timings`` adds up seconds by stage."""

    def __init__(self, weights: Weights, rows: int, columns: int, device: str = "cpu"):
        """rows, columns: H/8 and W/8 of the padded picture, both even."""
        self.weights, self.network, self.device = weights, weights.network, torch.device(device)
        self.rows, self.columns = rows, columns
        self.timings: defaultdict[str, float] = defaultdict(float)
        self._mask = checkerboard(torch.zeros(1, self.network.config.latents, rows // 2, columns // 2))[0].numpy()

    def chooser(self, luma: Tensor, before: CodedState, seeds: np.ndarray, quality: int) -> VectorChooser:
        """For `encode`: what decides on the vectors of a frame. luma: (H, W) of the picture; seeds: (rows, columns, 2)
        vectors of a search; quality: about that of the frame."""
        with timed(self.timings, "motion"):
            reference = blocks_to_planes(before.state.blocks)[0][0].cpu().contiguous()
            step = float(quantisation_step(quality))
            return VectorChooser(luma, reference, seeds, step, self.weights.motion, REFINE)

    @torch.inference_mode()
    def encode(
        self, picture: Tensor, before: CodedState | None, chooser: VectorChooser | None, quality: int
    ) -> tuple[bytes, CodedState]:
        """picture: (1, 96, rows, columns) blocks; before, chooser: None for an intra frame; quality 0..63. Returns the
        payload and the state after it."""
        writer = RansWriter()
        vectors = self._no_motion()
        if before is not None:
            with timed(self.timings, "motion"):
                vectors = code_field(self.rows, self.columns, before.vectors, writer, self.weights.motion, chooser)
        prediction, level = self._prepare(before, vectors, quality)
        with timed(self.timings, "analysis"):
            worth = self._worth_coding(picture, prediction, quality)
            latents, fine = self.network.analyse(picture, prediction, level)
            latents, fine = latents * worth, fine * worth
            kind = KIND_INTRA if before is None else KIND_PLAIN if quality < PLAIN_BELOW else KIND_INTER
            z = None if kind == KIND_PLAIN else torch.round(self.network.hyper_analyse(latents))
        state, nonzero = self._latents(writer, prediction, before, level, kind, z, latents, fine, worth)
        if before is not None and not nonzero and not vectors.any():
            return bytes([quality | KIND_SKIP << KIND_SHIFT]), CodedState(before.state, vectors)
        with timed(self.timings, "entropy coding"):
            payload = writer.finish()
        return bytes([quality | kind << KIND_SHIFT]) + payload, CodedState(state, vectors)

    @torch.inference_mode()
    def decode(self, payload: bytes, before: CodedState | None) -> CodedState:
        """The state after a payload. Raises DamagedStreamError for one that cannot be right."""
        if not payload:
            raise DamagedStreamError("a frame has an empty payload: at least 1 byte")
        quality = payload[0] & QUALITY_MASK
        kind = payload[0] >> KIND_SHIFT
        if kind == KIND_INTRA:
            before = None
        elif before is None:
            raise DamagedStreamError("an inter frame stands where a keyframe must")
        if kind == KIND_SKIP:
            if before is None or len(payload) > 1:
                raise DamagedStreamError("a skipped frame carries data or has nothing to repeat")
            return CodedState(before.state, self._no_motion())
        blocks = self.rows * self.columns
        config, hyper_places = self.network.config, -(-self.rows // 8) * -(-self.columns // 8)
        most = 8 * blocks + config.hyperlatents * hyper_places + config.latents * blocks // 4  # a vector is 7 at most
        reader = RansReader(payload[1:], max_symbols=most)
        vectors = self._no_motion()
        if before is not None:
            with timed(self.timings, "entropy coding"):
                vectors = code_field(self.rows, self.columns, before.vectors, reader, self.weights.motion)
        prediction, level = self._prepare(before, vectors, quality)
        state, _ = self._latents(reader, prediction, before, level, kind)
        return CodedState(state, vectors)

    def _no_motion(self) -> np.ndarray:
        return np.zeros((self.rows, self.columns, 2), np.int32)

    def _prepare(self, before: CodedState | None, vectors: np.ndarray, quality: int) -> tuple[Prediction, Tensor]:
        with timed(self.timings, "synthesis"):
            level = torch.tensor([quality], dtype=torch.float32, device=self.device)
            field = torch.from_numpy(vectors)[None].to(self.device) if before is not None else None
            prediction = self.network.predict(before.state if before else None, field, 1, self.rows, self.columns)
        return prediction, level

    def _latents(
        self,
        coder: SymbolCoder,
        prediction: Prediction,
        before: CodedState | None,
        level: Tensor,
        kind: int,
        z: Tensor | None = None,
        latents: Tensor | None = None,
        fine: Tensor | None = None,
        worth: Tensor | None = None,
    ) -> tuple[State, bool]:
        """Write (z, latents given) or read the latents of a frame; reconstruct. Also whether a symbol is non-zero."""
        network = self.network
        with timed(self.timings, "entropy coding"):
            fine = self._choices(coder, prediction.kind, before, fine)
        conditions = network.conditions(level, before.state if before else None, fine)
        shape = (1, network.config.hyperlatents, -(-self.rows // 8), -(-self.columns // 8))
        band = int(hyper_band(level, prediction.kind)[0])
        with timed(self.timings, "entropy coding"):
            channels = np.arange(shape[1]).repeat(shape[2] * shape[3])
            coded = np.zeros(len(channels), np.int64)
            if kind != KIND_PLAIN:
                values = z.cpu().numpy().astype(np.int64).ravel() if z is not None else coded
                coded = coder.code(values, channels + band * shape[1], self.weights.hyper)
            z_coded = torch.from_numpy(coded.reshape(shape).astype(np.float32)).to(self.device)
        with timed(self.timings, "synthesis"):
            log_scale, mean, hidden = network.prior(z_coded, prediction, conditions, fine)
        first = self._pass(coder, log_scale, mean, latents, worth, self._mask)
        mask = torch.from_numpy(self._mask).to(self.device)
        with timed(self.timings, "synthesis"):
            half = (first + mean) * mask
            log_scale2, mean2 = network.spatial(half, hidden, log_scale, mean, prediction, conditions, fine)
        second = self._pass(coder, log_scale2, mean2, latents, worth, ~self._mask)
        with timed(self.timings, "synthesis"):
            symbols = first + second
            rounded = symbols + torch.where(mask, mean, mean2)
            coded_blocks = (symbols != 0).any(1, keepdim=True)
            state = network.reconstruct(rounded, fine, coded_blocks, prediction, conditions, level)
        return state, bool(coded_blocks.any())

    def _choices(self, coder: SymbolCoder, kind: int, before: CodedState | None, fine: Tensor | None) -> Tensor:
        """Write or read which transform each block uses."""
        last = np.zeros((self.rows // 2, self.columns // 2), np.uint8)
        if before is not None:
            last = before.state.fine[0, 0].cpu().numpy().astype(np.uint8)
        wanted = None if fine is None else fine[0, 0].cpu().numpy().astype(np.uint8)
        coded = code_choices(kind, last, coder, self.weights.choices, wanted)
        return torch.from_numpy(coded.astype(np.float32))[None, None].to(self.device)

    def _worth_coding(self, picture: Tensor, prediction: Prediction, quality: int) -> Tensor:
        """(1, 1, H/16, W/16) float, 0 where a block stands still and copying it is as good as coding it would be."""
        if prediction.still is None:
            return torch.ones(1, 1, self.rows // 2, self.columns // 2, device=self.device)
        error = ((picture - prediction.compensated) * PIXEL_SCALE).square().mean(1, keepdim=True)
        limit = min(COPY_SHARE * float(quantisation_step(quality)) ** 2, COPY_MSE)
        copied = prediction.still & (error <= limit)
        return 1 - F.avg_pool2d(copied.float(), 2).floor()

    def _pass(
        self,
        coder: SymbolCoder,
        log_scale: Tensor,
        mean: Tensor,
        latents: Tensor | None,
        worth: Tensor | None,
        mask: np.ndarray,
    ) -> Tensor:
        """Symbols (1, latents, H/16, W/16) of the places in ``mask``, zero elsewhere."""
        with timed(self.timings, "entropy coding"):
            position = scale_index(log_scale)
            index = torch.round(position)[0].to(torch.uint8).cpu().numpy()
            places = np.flatnonzero((mask & (index > density.SURELY_ZERO)).ravel())
            values = np.zeros(0, np.int64)
            if latents is not None and worth is not None:
                symbols = quantise(latents - mean, position) * worth
                values = symbols[0].cpu().numpy().ravel()[places].astype(np.int64)
            coded = coder.code(values, index.ravel()[places], self.weights.gaussian)
            everywhere = np.zeros(index.size, np.float32)
            everywhere[places] = coded
        return torch.from_numpy(everywhere.reshape(index.shape))[None].to(self.device)


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Add the seconds spent inside to a stage."""
    start = time.perf_counter()
    try:
        yield
    finally:
        timings[stage] += time.perf_counter() - start
