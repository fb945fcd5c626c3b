# SPDX-License-Identifier: Apache-2.0
"""What a codec must offer so that the pipeline, the command line and the evaluator can use it.

The pipeline owns files, timestamps, records and checksums; a codec turns frames into units of bytes and back:

    frames ──► SequenceEncoder.encode ──► CodedUnit ──► records in the .nvc stream
    frames ◄── SequenceDecoder.decode ◄── payload   ◄──┘
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from nvcodec.media.types import Frame, VideoFormat


@dataclass(frozen=True)
class ModelIdentity:
    """Which weights a stream needs: ``name`` (ASCII, at most 64 bytes) and the SHA-256 of their file (32 bytes)."""

    name: str
    sha256: bytes


@dataclass
class EncodeSettings:
    """What a user may ask of any codec; a codec refuses with UsageError what it does not have.

    quality: 0 (smallest) to 63 (best). intra_period: frames from one keyframe to the next, 0 = only the first.
    threads: CPU threads, 0 = all. device: torch device name. options: codec's own, by name. frame_count: frames to
    come, None when unknown. on_fit: told (group, FitProgress) by codecs that fit, after each epoch.
    """

    quality: int = 32
    intra_period: int = 0
    preset: str = "medium"
    threads: int = 0
    device: str = "cpu"
    options: dict[str, Any] = field(default_factory=dict)
    frame_count: int | None = None
    on_fit: Callable[[int, Any], None] | None = None


@dataclass
class CodedUnit:
    """What the decoder is handed in one call.

    payload: bytes; keyframe: decoding may start here; frame_count: frames the decoder returns for this unit;
    planes_crc32: zlib.crc32 over Y, U, V of each of those frames in display order, as the encoder reconstructed them.
    """

    payload: bytes
    keyframe: bool
    frame_count: int
    planes_crc32: int


class SequenceEncoder(Protocol):
    """Takes frames in display order; units come out when they are ready, in decoding order."""

    config: bytes  # at most 4096 bytes the decoder needs besides the header; complete before the first frame

    def encode(self, frame: Frame) -> list[CodedUnit]: ...

    def flush(self) -> list[CodedUnit]: ...


class ThreadedEncoder(SequenceEncoder, Protocol):
    """An encoder that works in threads of its own. ``abandon()``: no more is wanted of it, it need not wait for
    them."""

    def abandon(self) -> None: ...


class StoppableEncoder(SequenceEncoder, Protocol):
    """An encoder whose work may be cut short by Ctrl-C without being lost.

    ``interrupted``: it was; what it has returned is a valid beginning of the video, and no more frames are wanted.
    ``stop()``: Ctrl-C came while it was not at work; False when there is nothing to keep. ``notes``: one line for each
    thing a user should know; ``psnr_db``: mean over the frames coded, None when unknown.
    """

    interrupted: bool
    notes: list[str]
    psnr_db: float | None

    def stop(self) -> bool: ...


class SequenceDecoder(Protocol):
    """Takes unit payloads in the order written (after a seek: from a keyframe on); returns frames in display order.

    Raises DamagedStreamError for a payload that cannot be right. The pts of the frames returned are filled in by the
    pipeline.
    """

    def decode(self, payload: bytes, keyframe: bool) -> list[Frame]: ...


class AheadDecoder(SequenceDecoder, Protocol):
    """A decoder whose work comes in two parts: ``read`` (in order, from any one thread) may run ahead of
    ``rebuild``."""

    def read(self, payload: bytes, keyframe: bool) -> Any: ...

    def rebuild(self, read: Any) -> list[Frame]: ...


class MomentDecoder(SequenceDecoder, Protocol):
    """A decoder that makes any frame of a unit without the others, and pictures between frames."""

    def frames_at(self, payload: bytes, keyframe: bool, moments: Sequence[float] | None = None) -> Iterator[Frame]:
        """Pictures at these moments, in frame numbers of the unit; all its frames by default."""
        ...


class UnitParts(Protocol):
    """A codec that can say where the bytes of a unit go."""

    pixel_exact: bool  # every machine decodes the same pixels

    def unit_parts(self, payload: bytes) -> dict[str, int]: ...


class Codec(Protocol):
    """A family of models; instances are cheap until an encoder or decoder is made (import torch only then)."""

    name: str
    codec_id: int  # frozen: see nvcodec.codec.registry

    def models(self) -> Iterator[ModelIdentity]: ...

    def encoder(self, video: VideoFormat, settings: EncodeSettings) -> SequenceEncoder: ...

    def model_identity(self, settings: EncodeSettings) -> ModelIdentity | None: ...

    def decoder(
        self, video: VideoFormat, model: ModelIdentity | None, config: bytes, *, threads: int = 0, device: str = "cpu"
    ) -> SequenceDecoder: ...
