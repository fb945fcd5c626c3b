# SPDX-License-Identifier: Apache-2.0
"""Hands payloads that nobody wrote to the decoder, in a process that may die of it; prints what came of them as JSON.

    python fuzz_payloads.py SEED STREAM...

The streams are sound, 64x64, and the payloads are made from theirs. Only decoding is compiled here, so that a process
that looks at bounds (NUMBA_BOUNDSCHECK) is ready soon.
"""

from __future__ import annotations

import copy
import hashlib
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nvcodec.entropy import binary
from nvcodec.errors import DamagedStreamError
from nvcodec.models import zoo
from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.conditional.frame_coder import (
    CHROMA_SHIFT,
    DROPPED_FLAG,
    KEYFRAME_SLOT,
    LEVEL_MASK,
    MAX_UNIT_FRAMES,
    FrameCoder,
    FrameHeader,
)
from nvcodec.models.conditional.sequence import VideoDecoder
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.kernels.residual import SAMPLES
from nvcodec.models.quality import LEVELS, LOWEST
from nvcodec.stream import StreamReader

WIDTH, HEIGHT = 64, 64  # a whole quad of blocks
ROWS, COLUMNS = HEIGHT // 16, WIDTH // 16
SHAPES = [(HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2)]
INTRA = 0xFF
# none, one or two references, the keyframe among them, and what cannot be
SLOTS = (INTRA, 0xF0, 0xFE, 0x00, 0xE0, 0xEE, 0x10, 0xF1, 0x0F)
# of what a byte at the beginning may say
EDGES = (0, 1, 2, 9, 15, 16, 17, 63, 64, 65, LEVELS - 1, LEVELS, 127, 128, 192, 240, 255)
FIRST_NBYTES = 6  # which say how many frames there are and what the first header is
Units = list[tuple[bytes, bool]]  # payload, keyframe
Try = tuple[int, bytes, bool]  # after so many sound units, payload, whether it is said to be a keyframe's


class Writer:
    """Writes units as they may come after a keyframe."""

    def __init__(self, weights: Weights, keyframe: bytes):
        self.weights, self.keyframe = weights, keyframe
        self.known = self.coder()

    def coder(self) -> FrameCoder:
        """One that knows what a decoder knows then."""
        coder = FrameCoder(self.weights, ROWS, COLUMNS)
        coder.decode(self.keyframe, True, 0)
        return coder

    def begun(self, frames: int, header: bytes, more: bytes = b"") -> bytes:
        """A unit of so many frames, of which there is only the first header, and bits that are read as they are where
        nothing is expected."""
        buffer, known = np.zeros(100 + len(more), np.uint8), copy.deepcopy((self.known._headers, self.known._contexts))
        coder = binary.start_writing(buffer)
        self.known._code_header(coder, buffer, header, frames, 0, header[2] == INTRA)
        self.known._headers, self.known._contexts = known
        for byte in more:
            binary.code_plain(coder, buffer, byte, 8)
        return bytes([frames]) + binary.finish_writing(coder, buffer)

    def empty(self, random: np.random.Generator, flags: int) -> bytes:
        """A sound unit of as many frames as there may be, with nothing in them, from any references."""
        coder, frames, kept = self.coder(), [], 1
        for place in random.permutation(MAX_UNIT_FRAMES).tolist():
            slots = [KEYFRAME_SLOT, *range(min(kept, KEYFRAME_SLOT))]
            references = tuple(random.choice(slots, random.integers(1, 3)).tolist())
            header = FrameHeader(int(random.integers(LEVELS)), int(random.integers(16)), not flags, place, references)
            symbols = np.zeros((ROWS, COLUMNS, SAMPLES), np.int16)
            frames.append((header, 1 + place, Blocks(ROWS, COLUMNS), symbols))
            kept += header.kept
        return coder.encode(frames)


def unwritten(units: Units, weights: Weights, random: np.random.Generator) -> Iterator[Try]:
    """Noise, extremes, and sound payloads that were cut, lengthened, mixed and flipped."""

    def noise(nbytes: int) -> bytes:
        return random.integers(0, 256, nbytes, np.uint8).tobytes()

    for payload in (b"", b"\0", b"\1", b"\xff", b"\x41" * 3, bytes([16]) + b"\0" * 15, bytes([2, 0x80, 0x80, 0x80])):
        yield from ((1, payload, keyframe) for keyframe in (False, True))
    writer = Writer(weights, units[0][0])
    for kind in range(4):  # with references or without, kept or not, chroma from least to most
        flags, chroma, one = DROPPED_FLAG * (kind >> 1), 5 * kind << CHROMA_SHIFT, 0xFE if kind & 1 else 0xF0
        for slots in SLOTS:
            intra, header = slots == INTRA, bytes([flags | int(random.integers(LEVELS)), chroma, slots])
            for frames in (1, MAX_UNIT_FRAMES):
                for nbytes in (0, 1, 7, 40, 400):
                    yield 1, writer.begun(frames, header, noise(min(nbytes, 8))) + noise(nbytes), intra
                    yield 1, writer.begun(frames, header) + b"\0" + noise(nbytes), intra
        for level in (0, LOWEST + 30, LEVELS - 1, LEVELS, LEVEL_MASK):  # levels beyond the last are refused
            for slots in (INTRA, one):
                header = bytes([flags | level, chroma, slots])
                yield 1, writer.begun(1, header, noise(8)) + noise(400), slots == INTRA
        for slots in (INTRA, one):
            head, intra = bytes([flags | (LOWEST + 30), chroma, slots]), slots == INTRA
            for fill in (b"\0", b"\xff", b"\0\xff\xff\xff\xff", b"\x0f\xf0\xff\xff"):
                yield 1, writer.begun(1, head, 2 * fill) + fill * 4000, intra
                yield 1, writer.begun(1, head) + fill * 400 + noise(4000), intra
            yield 1, writer.begun(1, head, noise(8)) + noise(1 << 20), intra
        for _ in range(10):
            payload = writer.empty(random, flags)
            yield 1, payload, False
            yield 1, payload[: int(random.integers(len(payload)))] + noise(200), False
    sound = [payload for payload, _ in units]
    for n, (payload, keyframe) in enumerate(units):
        before = n or 1
        for _ in range(10):
            place, cut = int(random.integers(len(payload) * 8)), int(random.integers(len(payload)))
            flipped = bytearray(payload)
            flipped[place // 8] ^= 1 << place % 8
            yield before, bytes(flipped), keyframe
            yield before, payload[:cut], keyframe
            yield before, payload[:cut] + noise(int(random.integers(160))), keyframe
            yield before, payload[:FIRST_NBYTES] + payload[FIRST_NBYTES + cut :], keyframe
            other = sound[int(random.integers(len(sound)))]
            yield before, payload[:cut] + other[cut:], keyframe
        for place in range(min(FIRST_NBYTES, len(payload))):
            for value in EDGES:
                yield before, payload[:place] + bytes([value]) + payload[place + 1 :], keyframe


class Decoder:
    """A decoder whose every answer is looked at."""

    def __init__(self, weights: Weights) -> None:
        self.decoder = VideoDecoder(weights, HEIGHT, WIDTH, threads=1)
        self.results: Counter[str] = Counter()
        self.slowest_s = 0.0

    def decode(self, payload: bytes, keyframe: bool) -> None:
        """Count what comes of it; anything but frames or a word of damage ends the process."""
        start = time.perf_counter()
        try:
            frames = self.decoder.decode(payload, keyframe)
        except DamagedStreamError as error:
            # no part of the decoder stumbles: what is wrong is seen before
            stumbled = "cannot be decoded" in str(error) or "\n" in str(error)
            self.results[f"stumbled: {error}" if stumbled else "refused"] += 1
        else:
            self.results["decoded"] += 1
            assert len(frames) == payload[0]
            for planes in frames:
                assert [(plane.shape, plane.dtype) for plane in planes] == [(shape, np.uint8) for shape in SHAPES]
        self.slowest_s = max(self.slowest_s, time.perf_counter() - start)

    def planes_sha256(self, units: Units) -> str:
        """Of units that are sound."""
        digest = hashlib.sha256()
        for payload, keyframe in units:
            for planes in self.decoder.decode(payload, keyframe):
                for plane in planes:
                    digest.update(plane.tobytes())
        return digest.hexdigest()


def units_of(path: Path) -> Units:
    with path.open("rb") as file:
        reader = StreamReader(file, path.name)
        return [
            (u.payload, record.keyframe and n == 0) for record in reader.records() for n, u in enumerate(record.units)
        ]


def main(seed: int, paths: list[Path]) -> dict[str, object]:
    random = np.random.default_rng(seed)
    with paths[0].open("rb") as file:
        weights = zoo.load("", StreamReader(file, paths[0].name).header.model_sha256)
    decoder = Decoder(weights)
    before_kib = 0
    for path in paths:
        units = units_of(path)
        expected = decoder.planes_sha256(units)
        before_kib = before_kib or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for before, payload, keyframe in unwritten(units, weights, random):
            decoder.planes_sha256(units[:before])
            # now and then the stream says of a keyframe that it is none, or the other way round
            decoder.decode(payload, keyframe != (random.random() < 0.05))
        # damage upon damage, with frames that are kept or not, and no keyframe in between
        for _ in range(300):
            payload = bytearray(units[int(random.integers(1, len(units)))][0])
            for _ in range(int(random.integers(3))):
                payload[int(random.integers(len(payload)))] ^= 1 << int(random.integers(8))
            if len(payload) > 1:  # after how many frames there are, the first of whose headers begins
                payload[1] ^= DROPPED_FLAG * int(random.integers(2))
            decoder.decode(bytes(payload), False)
            if not random.integers(12):
                decoder.planes_sha256(units[:1])
        assert decoder.planes_sha256(units) == expected  # a keyframe sets everything right again
    growth_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    return {"results": decoder.results, "growth_mib": growth_kib / 1024, "slowest_s": decoder.slowest_s}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])))
