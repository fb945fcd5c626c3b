# SPDX-License-Identifier: Apache-2.0
"""Bytes of the units of a GOP: a keyframe with the fitted network, then spans of frames.

keyframe   head (KeyHead) | rANS: network, frame
span       head (SpanHead) | a byte for each frame in coding order: quantiser, bit 7 refined | rANS: frames
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nvcodec.entropy.rans import RansReader, RansWriter
from nvcodec.errors import DamagedStreamError
from nvcodec.models.implicit.pyramid.frame_coder import STEPS, FrameSymbols, FrameSyntax, Reconstruction
from nvcodec.models.implicit.pyramid.structure import Step, coding_order
from nvcodec.models.implicit.pyramid.synthesis import WIDTHS, Synthesis, code_network
from nvcodec.stream.fields import Cursor, Uint, Varint, read_fields, wire, write_fields

MAX_SPAN = 32
MAX_SYMBOLS_PER_SAMPLE = 4  # of luma; far more than any frame needs
MAX_NETWORK_NBYTES, NETWORK_SYMBOLS = 1 << 18, 1 << 15
_REFINED = 0x80


@dataclass(frozen=True)
class KeyHead:
    """kind: 0, where a span has its frames; network: 0 for none, else one more than the place of its width in WIDTHS;
    network_nbytes: of its coded weights; chroma_ratio: sixteenths of the luma step; quantiser: index into STEPS;
    symbols: entropy-coded in the frame."""

    kind: int = wire(Varint(0, 0))
    network: int = wire(Varint(0, len(WIDTHS)))
    network_nbytes: int = wire(Varint(0, MAX_NETWORK_NBYTES))
    chroma_ratio: int = wire(Varint(1, 64))
    quantiser: int = wire(Uint(1, 0, len(STEPS) - 1))
    symbols: int = wire(Varint(0, 1 << 40))


@dataclass(frozen=True)
class SpanHead:
    """frames: of the span; symbols: entropy-coded in this unit."""

    frames: int = wire(Varint(1, MAX_SPAN))
    symbols: int = wire(Varint(0, 1 << 40))


KEY_STEP = Step(0, None, None, -1)


def write_key(network: Synthesis | None, chroma_ratio: int, quantiser: int, symbols: int, coded: bytes) -> bytes:
    """The payload of a keyframe's unit; a network is put on its grid and frozen by that."""
    number, weights = 0, b""
    if network is not None:
        weights, number = write_network(network), 1 + WIDTHS.index(network.width)
    return write_fields(KeyHead(0, number, len(weights), chroma_ratio, quantiser, symbols)) + weights + coded


def write_network(network: Synthesis) -> bytes:
    """The coded weights of a network, which is left on their grid and frozen."""
    writer = RansWriter()
    code_network(network, writer, write=True)
    return writer.finish()


def write_span(frames: list[FrameSymbols], symbols: int, coded: bytes) -> bytes:
    """The payload of a span's unit; frames in coding order."""
    flags = bytes(f.quantiser | (_REFINED if f.refined else 0) for f in frames)
    return write_fields(SpanHead(len(frames), symbols)) + flags + coded


class UnitReader:
    """Reads the units of a GOP of (height, width), multiples of 32; a keyframe's unit begins anew."""

    def __init__(self, height: int, width: int):
        self.height, self.width = height, width
        self._syntax: FrameSyntax | None = None
        self._last = 0

    def key(self, payload: bytes) -> tuple[Reconstruction, FrameSymbols]:
        """The keyframe, and the decoder of this GOP's pictures with its network."""
        cursor = Cursor(payload, "keyframe")
        head = read_fields(KeyHead, cursor)
        network = None
        weights = cursor.take(head.network_nbytes, "network")
        if head.network:
            network = Synthesis(WIDTHS[head.network - 1])
            code_network(network, RansReader(weights, NETWORK_SYMBOLS), write=False)
        coder = self._coder(cursor, head.symbols, 1)
        self._syntax, self._last = FrameSyntax(self.height, self.width), 0
        frame = self._syntax.read(KEY_STEP, head.quantiser, False, coder)
        return Reconstruction(self.height, self.width, head.chroma_ratio, network), frame

    def span(self, payload: bytes) -> tuple[int, Iterator[FrameSymbols]]:
        """The number of the span's first frame in the GOP, and its frames in coding order as they are read."""
        if self._syntax is None:
            raise DamagedStreamError("a span of frames stands where a keyframe must")
        cursor = Cursor(payload, f"frames after {self._last}")
        head = read_fields(SpanHead, cursor)
        flags = cursor.take(head.frames, "quantisers")
        coder = self._coder(cursor, head.symbols, head.frames)
        return self._last + 1, self._frames(self._syntax, flags, coder)

    def _frames(self, syntax: FrameSyntax, flags: bytes, coder: RansReader) -> Iterator[FrameSymbols]:
        start = self._last
        self._last += len(flags)
        for step, flag in zip(coding_order(start, self._last), flags, strict=True):
            yield syntax.read(step, flag & ~_REFINED, bool(flag & _REFINED), coder)
        syntax.forget(self._last)

    def _coder(self, cursor: Cursor, symbols: int, frames: int) -> RansReader:
        most = frames * MAX_SYMBOLS_PER_SAMPLE * self.height * self.width
        if symbols > most:
            raise cursor.damaged(f"{symbols} symbols announced; at most {most}")
        return RansReader(cursor.take(cursor.remaining, "symbols"), symbols)


def unit_parts(payload: bytes) -> dict[str, int]:
    """Bytes of a unit by what they hold."""
    cursor = Cursor(payload, "unit")
    if payload[:1] == b"\0":
        head = read_fields(KeyHead, cursor)
        weights, metadata = head.network_nbytes, cursor.position
    else:
        weights, metadata = 0, read_fields(SpanHead, cursor).frames + cursor.position
    return {"weights": weights, "latents": len(payload) - weights - metadata, "metadata": metadata}
