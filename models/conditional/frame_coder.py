# SPDX-License-Identifier: Apache-2.0
"""One frame's decisions and latents to bytes and back: no pictures here, so that a decoder can read ahead of them.

Payload of a frame (see docs/format.md):

    level and flags, place, references | length | decisions, in adaptive binary code | latents, in rANS

A block is "full" when all its latents are coded; in others those are left out that the network takes to be surely zero.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from nvcodec.entropy import binary
from nvcodec.entropy.rans import RansReader, RansWriter
from nvcodec.errors import DamagedStreamError
from nvcodec.models.conditional.density import SURELY_ZERO, scale_index
from nvcodec.models.conditional.network import LATENTS, Places, describe, places_of
from nvcodec.models.conditional.picture import Blocks
from nvcodec.models.conditional.weights import BANDS, Weights
from nvcodec.models.kernels.residual import energies
from nvcodec.models.kernels.syntax import CONTEXTS, code_blocks
from nvcodec.models.quality import LEVELS

WINDOW = 12  # frames kept for reference
LEVEL_MASK, INTRA_FLAG, DROPPED_FLAG = 0x3F, 0x40, 0x80
NO_REFERENCE = 15
MAX_SCALE = 1024  # 256ths by which vectors of the last frame may be stretched
FULL = CONTEXTS  # 1 context beyond those of the decisions
ALL_CONTEXTS = CONTEXTS + 1


@dataclass(frozen=True)
class FrameHeader:
    """What stands before a frame's decisions.

    level: 0..63; intra: a keyframe, which forgets everything before it; kept: later frames may use it; place: among the
    frames of its unit, in display order; references: none, one or two numbers in the window, 0 the frame kept last.
    """

    level: int
    intra: bool
    kept: bool
    place: int
    references: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """Three bytes."""
        flags = self.level | (INTRA_FLAG if self.intra else 0) | (0 if self.kept else DROPPED_FLAG)
        slots = (*self.references, NO_REFERENCE, NO_REFERENCE)
        return bytes([flags, self.place, slots[0] | slots[1] << 4])

    @staticmethod
    def from_bytes(data: bytes, window: int, frames: int) -> FrameHeader:
        """Read and check it; window: frames kept so far; frames: of the unit. Raises DamagedStreamError."""
        if len(data) < 3:
            raise DamagedStreamError(f"a frame of {len(data)} bytes: at least 3")
        intra, place = bool(data[0] & INTRA_FLAG), data[1]
        slots = (data[2] & 15, data[2] >> 4)
        references = tuple(slot for slot in slots if slot != NO_REFERENCE)
        if place >= frames:
            raise DamagedStreamError(f"a frame at place {place} of a unit of {frames}")
        if slots[0] == NO_REFERENCE and slots[1] != NO_REFERENCE or bool(references) == intra:
            raise DamagedStreamError("a frame's references do not fit its kind")
        if any(slot >= window for slot in references):
            raise DamagedStreamError(f"a frame refers to one before the {window} that are there")
        return FrameHeader(data[0] & LEVEL_MASK, intra, not data[0] & DROPPED_FLAG, place, references)


@dataclass
class Known:
    """What coding later frames needs of one: its level, number in display order, decisions, the numbers of the frames it
    was predicted from, and the network's memory."""

    level: int
    number: int
    blocks: Blocks
    distances: tuple[int, ...]
    memory: torch.Tensor


class Window:
    """The frames that later ones may refer to, newest first, and the one coded last. Entries are of any kind."""

    def __init__(self) -> None:
        self.kept: list = []
        self.last = None

    def add(self, entry: object, kept: bool) -> None:
        """After a frame."""
        self.last = entry
        if kept:
            self.kept = [entry, *self.kept[: WINDOW - 1]]

    def clear(self) -> None:
        """Before a keyframe."""
        self.kept, self.last = [], None


def stretch(distances: tuple[int, ...], last_distances: tuple[int, ...]) -> np.ndarray:
    """(2,) int64, 256ths by which the last frame's vectors fit this frame's distances to its references; 0: not at all."""
    scale = np.zeros(2, np.int64)
    for n in range(min(len(distances), len(last_distances))):
        exact = (512 * distances[n] + abs(last_distances[n])) // (2 * abs(last_distances[n]))
        scale[n] = max(-MAX_SCALE, min(MAX_SCALE, exact if last_distances[n] > 0 else -exact))
    return scale


class FrameCoder:
    """Codes frames of one size with one model. ``timings`` adds up seconds by stage."""

    def __init__(self, weights: Weights, rows: int, columns: int, device: str = "cpu"):
        """rows, columns: 16x16 blocks."""
        self.weights, self.network, self.device = weights, weights.network, torch.device(device)
        self.rows, self.columns = rows, columns
        self.window = Window()
        self.timings: defaultdict[str, float] = defaultdict(float)
        self._contexts: dict[bool, np.ndarray] = {}
        self._empty = Blocks(rows, columns)

    @torch.inference_mode()
    def encode(self, header: FrameHeader, number: int, blocks: Blocks, symbols: np.ndarray) -> bytes:
        """The payload of a frame, from its decisions (whose energies are filled in here) and symbols (R, C, 384)."""
        if header.intra:
            self._begin(header.level)
        energies(blocks.coded, symbols, blocks.energy)
        places = places_of(blocks, blocks.energy)
        latents = symbols.reshape(-1, LATENTS)[places.of.numpy()]
        with timed(self.timings, "entropy coding"):
            buffer = np.zeros(4096 + 1024 * self.rows * self.columns, np.uint8)
            coder = binary.start_writing(buffer)
            contexts = self._decisions(coder, buffer, header, number, blocks)
        indices, memory = self._scales(header, blocks, places, None, latents)
        with timed(self.timings, "entropy coding"):
            surely = indices <= SURELY_ZERO
            full = (surely & (latents != 0)).any(1).astype(np.uint8)
            binary.code_flags(coder, buffer, contexts, FULL, full)
            decisions = binary.finish_writing(coder, buffer)
            writer = RansWriter()
            coded = ~surely | (full[:, None] > 0)
            for half in (places.first.numpy(), ~places.first.numpy()):
                at = half & coded
                writer.code(latents[at].astype(np.int64), indices[at].astype(np.int64), self.weights.latents)
            payload = header.to_bytes() + varint(len(decisions)) + decisions + writer.finish()
        self._add(header, number, blocks, memory)
        return payload

    @torch.inference_mode()
    def decode(self, payload: bytes, frames: int, first_number: int) -> tuple[FrameHeader, int, Blocks, np.ndarray]:
        """Header, number in display order, decisions and symbols (R, C, 384) int16 of a payload.

        frames: of the unit; first_number: of its first frame. Raises DamagedStreamError for what cannot be right.
        """
        header = FrameHeader.from_bytes(payload, len(self.window.kept), frames)
        if header.intra:
            self._begin(header.level)
        number = first_number + header.place
        if any(self.window.kept[slot].number == number for slot in header.references):
            raise DamagedStreamError(f"frame {number} refers to a frame of the same time")
        nbytes, start = read_varint(payload, 3)
        if nbytes > len(payload) - start:
            raise DamagedStreamError(f"{nbytes} bytes of decisions in a frame of {len(payload)}")
        blocks = Blocks(self.rows, self.columns)
        with timed(self.timings, "entropy coding"):
            coder, buffer = binary.start_reading(payload[start : start + nbytes])
            contexts = self._decisions(coder, buffer, header, number, blocks)
            places = places_of(blocks, blocks.energy)
            full = np.zeros(len(places.of), np.uint8)
            binary.code_flags(coder, buffer, contexts, FULL, full)
            reader = RansReader(payload[start + nbytes :], max_symbols=LATENTS * len(places.of))
        _, memory = self._scales(header, blocks, places, (reader, full), latents := np.zeros((len(full), LATENTS), np.int16))
        symbols = np.zeros((self.rows * self.columns, LATENTS), np.int16)
        symbols[places.of.numpy()] = latents
        self._add(header, number, blocks, memory)
        return header, number, blocks, symbols.reshape(self.rows, self.columns, LATENTS)

    def _begin(self, level: int) -> None:
        """Forget everything before a keyframe."""
        self.window.clear()
        band = level * BANDS // LEVELS
        self._contexts = {intra: self.weights.contexts[int(not intra), band].copy() for intra in (True, False)}

    def _decisions(
        self, coder: np.ndarray, buffer: np.ndarray, header: FrameHeader, number: int, blocks: Blocks
    ) -> np.ndarray:
        """Write or read the decisions; returns the contexts in use."""
        contexts = self._contexts[header.intra]
        last: Known | None = self.window.last
        before = last.blocks if last is not None else self._empty
        scale = stretch(self._distances(header, number), last.distances if last is not None else ())
        code_blocks(
            coder, buffer, contexts, not header.intra, len(header.references), blocks.pred, blocks.merged, blocks.coded,
            blocks.fine, blocks.tiny, blocks.energy, blocks.modes, blocks.vectors, before.pred, before.vectors, scale,
        )  # fmt: skip
        return contexts

    def _distances(self, header: FrameHeader, number: int) -> tuple[int, ...]:
        return tuple(number - self.window.kept[slot].number for slot in header.references)

    def _scales(
        self,
        header: FrameHeader,
        blocks: Blocks,
        places: Places,
        reading: tuple[RansReader, np.ndarray] | None,
        latents: np.ndarray,
    ) -> tuple[np.ndarray, torch.Tensor]:
        """Scale index (N, 384) uint8 of every latent and the memory after the frame; ``latents`` (N, 384) int16 are
        filled in when reading."""
        network, references = self.network, [self.window.kept[slot] for slot in header.references]
        with timed(self.timings, "network"):
            levels = tuple(r.level for r in references)
            told = torch.from_numpy(describe(blocks, blocks.energy, header.level, levels))[None].to(self.device)
            context, fetched = network.begin(
                told.contiguous(memory_format=torch.channels_last),
                [r.memory for r in references],
                torch.from_numpy(blocks.vectors)[None].to(self.device),
                torch.from_numpy(blocks.pred.astype(np.int32))[None].to(self.device),
                torch.tensor([header.level], device=self.device),
            )
            there = Places(*(getattr(places, k).to(self.device) for k in ("of", "table", "quarter", "fine", "first")))
            scales, base = network.first_scales(context, there)
            indices = self._indices(scales)
        first = places.first.numpy()
        if reading is not None:
            self._read(reading, indices, first, latents)
        with timed(self.timings, "network"):
            half = torch.from_numpy((latents * first).astype(np.float32)).to(self.device)
            scales, context = network.second_scales(context, there, half, base)
            indices = np.where(first, indices, self._indices(scales))
        if reading is not None:
            self._read(reading, indices, ~first, latents)
        with timed(self.timings, "network"):
            everything = torch.from_numpy(latents.astype(np.float32)).to(self.device)
            memory = network.end(context, there, everything, fetched) if header.kept else fetched
        return indices, memory

    @staticmethod
    def _indices(scales: torch.Tensor) -> np.ndarray:
        return torch.round(scale_index(scales)).to(torch.uint8).cpu().numpy()

    def _read(
        self, reading: tuple[RansReader, np.ndarray], indices: np.ndarray, half: np.ndarray, latents: np.ndarray
    ) -> None:
        with timed(self.timings, "entropy coding"):
            reader, full = reading
            at = half & ((indices > SURELY_ZERO) | (full[:, None] > 0))
            values = reader.code(None, indices[at].astype(np.int64), self.weights.latents)
            latents[at] = values.clip(-(1 << 15), (1 << 15) - 1)

    def _add(self, header: FrameHeader, number: int, blocks: Blocks, memory: torch.Tensor) -> None:
        known = Known(header.level, number, blocks, self._distances(header, number), memory)
        self.window.add(known, header.kept)


def varint(value: int) -> bytes:
    """Seven bits a byte, lowest first, the highest bit set on all but the last."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at a byte, and where it ends. Raises DamagedStreamError when it has more than 28 bits."""
    value = 0
    for n, byte in enumerate(data[at : at + 4]):
        value |= (byte & 127) << 7 * n
        if byte < 128:
            return value, at + n + 1
    raise DamagedStreamError("a length in a frame has no end")


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Add the seconds spent inside to a stage."""
    start = time.perf_counter()
    try:
        yield
    finally:
        timings[stage] += time.perf_counter() - start
