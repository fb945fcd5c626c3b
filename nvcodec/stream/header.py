# SPDX-License-Identifier: Apache-2.0
"""The stream header: what a decoder must know before the first frame.

    magic | version | body length | body (the fields of StreamHeader) | CRC-32 of all before it

Magic, version, length and CRC stay where they are in every later version, so that damage and novelty can be told apart.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from fractions import Fraction

from nvcodec.errors import DamagedStreamError, UnsupportedError, UsageError
from nvcodec.stream.fields import Blob, Cursor, Rational, Text, Uint, Varint, read_fields, wire, write_fields
from nvcodec.stream.limits import (
    FORMAT_VERSION,
    MAX_CONFIG_NBYTES,
    MAX_MODEL_NAME_NBYTES,
    MAX_PIXELS,
    MAX_SIDE,
    SHA256_NBYTES,
)

MAGIC = b"\xf5NVC"
CHROMA_420 = 1
_BODY_LENGTH = Uint(2)
_CRC = Uint(4)
_VERSION_OFFSET = len(MAGIC)
PREFIX_NBYTES = len(MAGIC) + 1 + _BODY_LENGTH.nbytes
CRC_NBYTES = _CRC.nbytes
_RATIO, _RATIO_OR_NONE = Rational(), Rational(optional=True)
_ANY_SIZE = (1 << 32) - 1  # read as it stands, so that the refusal can name it


@dataclass(frozen=True)
class StreamHeader:
    """Codec, model, geometry, colour and timing of one stream.

    ``width``, ``height``: luma samples, 1 to 16384, together at most 2^26. Colour codes are those of ITU-T H.273
    (``chroma_location``: code + 1, 0 = unspecified). ``quarter_turns``: clockwise quarter turns a player applies.
    ``time_base``: seconds per tick. ``frame_rate``: nominal frames per second, None when unknown. ``model_name`` and
    ``model_sha256`` (32 bytes) are both empty where the codec needs no model. ``config``: at most 4096 bytes, the
    codec's own.

    Raises UnsupportedError for a size, chroma format or bit depth this build cannot decode, UsageError for a model
    name without its hash or the reverse.
    """

    codec_id: int = wire(Uint(2))
    width: int = wire(Varint(1, _ANY_SIZE))
    height: int = wire(Varint(1, _ANY_SIZE))
    chroma_format: int = wire(Uint(1), default=CHROMA_420)
    bit_depth: int = wire(Uint(1), default=8)
    full_range: bool = wire(Uint(1, 0, 1), default=False)
    matrix: int = wire(Uint(1), default=2)
    primaries: int = wire(Uint(1), default=2)
    transfer: int = wire(Uint(1), default=2)
    chroma_location: int = wire(Uint(1), default=0)
    quarter_turns: int = wire(Uint(1, 0, 3), default=0)
    sample_aspect_ratio: Fraction = wire(_RATIO, default=Fraction(1))  # noqa: RUF009
    time_base: Fraction = wire(_RATIO, default=Fraction(1, 25))  # noqa: RUF009
    frame_rate: Fraction | None = wire(_RATIO_OR_NONE, default=None)  # noqa: RUF009
    model_name: str = wire(Text(MAX_MODEL_NAME_NBYTES), default="")
    model_sha256: bytes = wire(Blob(SHA256_NBYTES), default=b"")
    config: bytes = wire(Blob(MAX_CONFIG_NBYTES), default=b"")

    def __post_init__(self) -> None:
        if max(self.width, self.height) > MAX_SIDE or self.width * self.height > MAX_PIXELS:
            raise UnsupportedError(
                f"picture size {self.width}x{self.height}; at most {MAX_SIDE} a side and {MAX_PIXELS} samples in all"
            )
        if self.chroma_format != CHROMA_420 or self.bit_depth != 8:
            raise UnsupportedError(
                f"chroma format {self.chroma_format} with {self.bit_depth} bits; only {CHROMA_420} (4:2:0) with 8 bits"
            )
        if len(self.model_sha256) != (SHA256_NBYTES if self.model_name else 0):
            raise UsageError(
                f"model {self.model_name!r} with a hash of {len(self.model_sha256)} bytes; a name needs a SHA-256"
            )
        object.__setattr__(self, "full_range", bool(self.full_range))

    @property
    def ticks_per_frame(self) -> Fraction | None:
        """Time from frame to frame in units of time_base at the nominal frame rate; None when that is unknown."""
        return None if self.frame_rate is None else 1 / (self.frame_rate * self.time_base)


def write_header(header: StreamHeader) -> bytes:
    """The header as it stands at the start of a stream; UsageError for a value that cannot be stored."""
    body = write_fields(header)
    start = MAGIC + bytes([FORMAT_VERSION]) + _BODY_LENGTH.write(len(body), "header length") + body
    return start + _CRC.write(zlib.crc32(start), "header CRC")


def header_nbytes(prefix: bytes) -> int:
    """Length of the whole header from its first PREFIX_NBYTES bytes; DamagedStreamError for another kind of file."""
    if not prefix.startswith(MAGIC):
        raise DamagedStreamError("not an .nvc stream (it does not begin with the magic bytes)")
    cursor = Cursor(prefix[_VERSION_OFFSET + 1 :], "header")
    return PREFIX_NBYTES + _BODY_LENGTH.read(cursor, "length") + CRC_NBYTES


def read_header(whole: bytes) -> StreamHeader:
    """A header from its bytes, all of them.

    Raises DamagedStreamError when they were altered or claim what cannot be true, UnsupportedError for a version,
    size, chroma format or bit depth this build cannot decode.
    """
    start, crc = whole[:-CRC_NBYTES], int.from_bytes(whole[-CRC_NBYTES:], "little")
    if zlib.crc32(start) != crc:
        raise DamagedStreamError("header: CRC-32 does not match")
    version = whole[_VERSION_OFFSET]
    if version != FORMAT_VERSION:
        raise UnsupportedError(f"stream format {version}; this build reads format {FORMAT_VERSION}")
    cursor = Cursor(start[PREFIX_NBYTES:], "header")
    try:
        header = read_fields(StreamHeader, cursor)
    except UsageError as exc:
        raise DamagedStreamError(f"header: {exc}") from exc
    cursor.finish()
    return header
