# SPDX-License-Identifier: Apache-2.0
"""Headers, decisions and latents of frames to bytes and back: no pictures here, so that a decoder can read ahead of
them.

Payload of a unit (see docs/conditional.md): how many frames it has, then each frame's header, decisions and latents,
all in one stream of adaptive binary code. What the contexts have learned is kept from frame to frame and forgotten
at keyframes.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nvcodec.entropy import binary
from nvcodec.errors import DamagedStreamError
from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.conditional.weights import Learned, Weights
from nvcodec.models.kernels.decisions import DECISION_LIMIT, LEVEL_BANDS, new_state
from nvcodec.models.kernels.density import no_densities
from nvcodec.models.kernels.latents import code_latents
from nvcodec.models.kernels.residual import SAMPLES, energies
from nvcodec.models.kernels.syntax import code_banks, code_blocks, code_finer
from nvcodec.models.quality import LEVELS, QUALITIES, quality_of

WINDOW = 14  # frames kept for reference, and the keyframe
LEVEL_MASK, DROPPED_FLAG = 0x7F, 0x80
PLACE_MASK, CHROMA_SHIFT = 0x0F, 4
KEYFRAME_SLOT, NO_REFERENCE = 14, 15
HEADER_NBYTES = 3
MAX_UNIT_FRAMES = 16
MAX_SCALE = 1024  # 256ths by which vectors of the last frame may be stretched
MAX_NBYTES_PER_BLOCK = 2048
NOT_ASKED = np.empty((0, 0, 0), np.float32)
_TIMING = threading.Lock()


@dataclass(frozen=True)
class FrameHeader:
    """What stands before a frame's decisions.

    level: 0..95; chroma: 0..15, how its residual is scaled; kept: later frames may use it; place: among the frames of
    its unit, in display order; references: one or two numbers in the window, 0 the frame kept last, KEYFRAME_SLOT the
    keyframe; none: a keyframe, which forgets everything before it.
    """

    level: int
    chroma: int
    kept: bool
    place: int
    references: tuple[int, ...]

    @property
    def intra(self) -> bool:
        """Whether it is a keyframe."""
        return not self.references

    def to_bytes(self) -> bytes:
        """Three bytes: level and whether it is kept, place and chroma, references."""
        slots = (*self.references, NO_REFERENCE, NO_REFERENCE)
        return bytes(
            [
                self.level | (0 if self.kept else DROPPED_FLAG),
                self.place | self.chroma << CHROMA_SHIFT,
                slots[0] | slots[1] << 4,
            ]
        )

    @staticmethod
    def from_bytes(data: bytes, window: int, frames: int) -> FrameHeader:
        """Read and check it; window: frames kept so far; frames: of the unit. Raises DamagedStreamError."""
        if len(data) < HEADER_NBYTES:
            raise DamagedStreamError(f"a frame of {len(data)} bytes: at least {HEADER_NBYTES}")
        level, place = data[0] & LEVEL_MASK, data[1] & PLACE_MASK
        slots = (data[2] & 15, data[2] >> 4)
        references = tuple(slot for slot in slots if slot != NO_REFERENCE)
        if level >= LEVELS:
            raise DamagedStreamError(f"a frame of level {level}: 0 to {LEVELS - 1}")
        if place >= frames:
            raise DamagedStreamError(f"a frame at place {place} of a unit of {frames}")
        if slots[0] == NO_REFERENCE and slots[1] != NO_REFERENCE:
            raise DamagedStreamError("a frame has a second reference and no first one")
        if any(slot >= window and not (window and slot == KEYFRAME_SLOT) for slot in references):
            raise DamagedStreamError(f"a frame refers to one before the {window} that are there")
        return FrameHeader(level, data[1] >> CHROMA_SHIFT, not data[0] & DROPPED_FLAG, place, references)


@dataclass
class Known:
    """What coding later frames needs of one: its number in display order, decisions, latents, the distances to the
    frames it was predicted from, and where its latents lie in frequency (see `nvcodec.models.kernels.density`)."""

    number: int
    blocks: Blocks
    symbols: np.ndarray
    distances: tuple[int, ...]
    density: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.density = no_densities(self.blocks.rows, self.blocks.columns)


class Window:
    """The frames that later ones may refer to: those kept last, newest first, and the keyframe; and the one coded last.
    Entries are of any kind."""

    def __init__(self) -> None:
        self.kept: list = []
        self.keyframe: Any = None
        self.last: Any = None

    def add(self, entry: object, kept: bool) -> None:
        """After a frame."""
        if self.last is None:
            self.keyframe = entry
        self.last = entry
        if kept:
            self.kept = [entry, *self.kept[: WINDOW - 1]]

    def at(self, slot: int) -> Any:
        """The frame that a header's slot means."""
        return self.keyframe if slot == KEYFRAME_SLOT else self.kept[slot]

    def clear(self) -> None:
        """Before a keyframe."""
        self.kept, self.keyframe, self.last = [], None, None


def stretch(distances: tuple[int, ...], last_distances: tuple[int, ...]) -> np.ndarray:
    """(2,) int64, 256ths by which another frame's vectors fit this frame's distances to its references; 0:
    not at all."""
    scale = np.zeros(2, np.int64)
    for n in range(min(len(distances), len(last_distances))):
        exact = (512 * distances[n] + abs(last_distances[n])) // (2 * abs(last_distances[n]))
        scale[n] = max(-MAX_SCALE, min(MAX_SCALE, exact if last_distances[n] > 0 else -exact))
    return scale


def is_midway(distances: tuple[int, ...]) -> bool:
    """Whether a frame lies in the middle between its two references, by its distances to them."""
    return len(distances) == 2 and distances[0] == -distances[1]


# header, number in display order, decisions, symbols (R, C, 384)
DecidedFrame = tuple[FrameHeader, int, Blocks, np.ndarray]


class FrameCoder:
    """Codes the frames of one video with one model, unit by unit. ``timings`` adds up seconds by stage."""

    def __init__(self, weights: Weights, rows: int, columns: int):
        """rows, columns: 16x16 blocks."""
        self.weights, self.rows, self.columns = weights, rows, columns
        self.window = Window()
        self.timings: defaultdict[str, float] = defaultdict(float)
        self.learned: Learned | None = None
        self._headers: dict[tuple[int, int], bytes] = {}  # last ones, by frames of the unit and place in it
        self._chroma = 0  # of the frame before
        self._contexts = binary.new_contexts(2)
        self._nothing = Known(0, Blocks(rows, columns), np.zeros((rows, columns, SAMPLES), np.int16), ())

    def encode(self, frames: list[DecidedFrame]) -> bytes:
        """The payload of a unit, from its frames in coding order (whose energies are filled in here)."""
        with timed(self.timings, "entropy coding"):
            buffer = np.empty(4096 + MAX_NBYTES_PER_BLOCK * self.rows * self.columns * len(frames), np.uint8)
            coder = binary.start_writing(buffer)
            for n, (header, number, blocks, symbols) in enumerate(frames):
                energies(blocks.coded, blocks.large, symbols, blocks.energy)
                self._code_header(coder, buffer, header.to_bytes(), len(frames), n, header.intra)
                self._code(coder, buffer, header, number, blocks, symbols)
            return bytes([len(frames)]) + binary.finish_writing(coder, buffer)

    def decode(self, payload: bytes, keyframe: bool, first_number: int) -> list[DecidedFrame]:
        """Frames of a payload in coding order.

        keyframe: whether it begins with one; first_number: of its first frame in display order. Raises
        DamagedStreamError for what cannot be right.
        """
        count = payload[0] if payload else 0
        if not 1 <= count <= MAX_UNIT_FRAMES:
            raise DamagedStreamError(f"a unit of {count} frames: 1 to {MAX_UNIT_FRAMES}")
        frames: list[DecidedFrame] = []
        with timed(self.timings, "entropy coding"):
            coder, buffer = binary.start_reading(payload[1:])
            for n in range(count):
                intra = keyframe and n == 0
                found = self._code_header(coder, buffer, bytes(HEADER_NBYTES), count, n, intra)
                header = FrameHeader.from_bytes(found, 0 if intra else len(self.window.kept), count)
                number = first_number + header.place
                if header.intra != intra:
                    raise DamagedStreamError("an intra frame stands where none is due")
                if any(self.window.at(slot).number == number for slot in header.references):
                    raise DamagedStreamError(f"frame {number} refers to a frame of the same time")
                blocks = Blocks(self.rows, self.columns)
                symbols = np.zeros((self.rows, self.columns, SAMPLES), np.int16)
                self._code(coder, buffer, header, number, blocks, symbols)
                frames.append((header, number, blocks, symbols))
        return frames

    def _code_header(
        self, coder: np.ndarray, buffer: np.ndarray, header: bytes, count: int, index: int, intra: bool
    ) -> bytes:
        """Write or read a header: whether it is as that of the same place in the unit before of as many frames, but for
        chroma, and whether chroma is as in the frame before; else what they are. Returns it."""
        if intra:
            self._headers, self._chroma, self._contexts = {}, 0, binary.new_contexts(2)
        chroma, rest = header[1] >> CHROMA_SHIFT, bytes([header[0], header[1] & PLACE_MASK, header[2]])
        before = self._headers.get((count, index))
        if before is None or not binary.code_bit(coder, buffer, self._contexts, 0, int(rest == before)):
            values = zip(rest, (8, 4, 8), strict=True)
            rest = bytes(binary.code_plain(coder, buffer, value, width) for value, width in values)
        else:
            rest = before
        if binary.code_bit(coder, buffer, self._contexts, 1, int(chroma != self._chroma)):
            self._chroma = binary.code_plain(coder, buffer, chroma, 4)
        self._headers[count, index] = rest
        return bytes([rest[0], rest[1] | self._chroma << CHROMA_SHIFT, rest[2]])

    def _code(
        self,
        coder: np.ndarray,
        buffer: np.ndarray,
        header: FrameHeader,
        number: int,
        blocks: Blocks,
        symbols: np.ndarray,
    ) -> None:
        """Write or read a frame: the one walk through its syntax."""
        if header.intra:
            self.window.clear()
            self.learned = self.weights.start.copy()
        learned = self.learned
        assert learned is not None
        last: Known = self.window.last or self._nothing
        distances = tuple(number - self.window.at(slot).number for slot in header.references)
        known = Known(number, blocks, symbols, distances)
        newest = self.window.at(min(header.references)) if header.references else last
        _, wrong = code_frame(coder, buffer, learned, header.level, known, last, newest)
        if wrong and not coder[binary.READING]:
            raise ValueError(f"frame {number}: {wrong} hidden signs of its latents are not what a decoder would take")
        self.window.add(known, header.kept)


def code_frame(
    coder: np.ndarray,
    buffer: np.ndarray,
    learned: Learned,
    level: int,
    frame: Known,
    last: Known,
    newest: Known,
    limit: int = DECISION_LIMIT,
    spent: np.ndarray | None = None,
) -> tuple[int, int]:
    """Write or read a frame's decisions and latents, learning from them; returns the bytes before the latents, and how
    many hidden signs are wrong (see `code_latents`).

    last: the frame coded before; newest: of the references the one that was coded last, whose vectors are candidates;
    limit: how often contexts of decisions learn before their rate stays; spent: see `code_latents`. A frame without
    references is intra.
    """
    now, before, inter = frame.blocks, last.blocks, bool(frame.distances)
    state = new_state(quality_of(level) * LEVEL_BANDS // QUALITIES, inter, frame.distances, limit)
    decisions = (learned.decisions, learned.decision_weights, state)
    code_blocks(
        coder, buffer, decisions, inter, len(frame.distances), now.pred, now.merged, now.coded, now.fine, now.tiny,
        now.energy, now.large, now.quad, now.modes, now.from_luma, now.shapes, now.kinds, now.parts, now.vectors,
        newest.blocks.kinds,
        before.merged, before.coded, before.energy, before.large, newest.blocks.vectors,
        stretch(frame.distances, newest.distances),
    )  # fmt: skip
    code_finer(coder, buffer, decisions, now.coded, now.finer)
    code_banks(coder, buffer, decisions, now.coded, now.energy, before.banks, now.banks)
    position = int(coder[binary.POSITION])
    wrong = code_latents(
        coder, buffer, learned.slots, learned.weights, learned.plain, level, now.pred, now.coded, now.fine, now.tiny,
        now.energy, now.large, now.modes, frame.symbols, before.coded, before.fine, before.tiny, before.large,
        last.symbols, frame.density, last.density, NOT_ASKED if spent is None else spent,
    )  # fmt: skip
    return position, int(wrong)


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Add the seconds spent inside to a stage."""
    start = time.perf_counter()
    try:
        yield
    finally:
        with _TIMING:
            timings[stage] += time.perf_counter() - start
