# SPDX-License-Identifier: Apache-2.0
"""Hands payloads that nobody wrote to the decoder, in a process that may die of it; prints what came of them as JSON.

    python fuzz_payloads.py SEED STREAM...

The streams are sound, 64x48, and the payloads are made from theirs. Only decoding is compiled here, so that a process
that looks at bounds (NUMBA_BOUNDSCHECK) is ready soon.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nvcodec.errors import DamagedStreamError
from nvcodec.models import zoo
from nvcodec.models.conditional.frame_coder import CHROMA_SHIFT, DROPPED_FLAG, LEVEL_MASK, read_varint, varint
from nvcodec.models.conditional.sequence import VideoDecoder
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.quality import LEVELS, LOWEST
from nvcodec.stream import StreamReader

WIDTH, HEIGHT = 64, 48
SHAPES = [(HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2)]
SLOTS = (0xFF, 0xF0, 0x10, 0x00, 0xF1, 0x0F)  # none, one or two references, and what cannot be
# of what a byte of a header may say
EDGES = (0, 1, 9, 15, 16, 17, 63, 64, 65, LEVELS - 1, LEVELS, 127, 128, 192, 240, 255)
Units = list[tuple[bytes, bool]]  # payload, keyframe


def unwritten(sound: list[bytes], random: np.random.Generator) -> Iterator[bytes]:
    """Noise, extremes, and sound payloads that were cut, lengthened, mixed and flipped."""

    def noise(nbytes: int) -> bytes:
        return random.integers(0, 256, nbytes, np.uint8).tobytes()

    yield from (b"", b"\0", b"\1", b"\xff", b"\x41" * 3, bytes([16]) + b"\0" * 15, bytes([2, 0x80, 0x80, 0x80, 0x80]))
    for kind in range(4):  # with references or without, kept or not, chroma from least to most
        flags, chroma, one = DROPPED_FLAG * (kind >> 1), 5 * kind << CHROMA_SHIFT, 0xFF if kind & 1 else 0xF0
        for slots in SLOTS:
            head = bytes([1, flags | int(random.integers(LEVELS)), chroma, slots])
            for nbytes in (0, 1, 7, 40, 400):
                yield head + noise(nbytes)
                yield head + b"\0" + noise(nbytes)
        for level in (0, LOWEST + 30, LEVELS - 1, LEVELS, LEVEL_MASK):  # levels beyond the last are refused
            yield bytes([1, flags | level, chroma, one]) + noise(400)
        head = bytes([1, flags | (LOWEST + 30), chroma, one])
        for fill in (b"\0", b"\xff", b"\0\xff\xff\xff\xff", b"\x0f\xf0\xff\xff"):
            yield head + fill * 4000
            yield head + b"\0" + fill * 400 + noise(4000)
        yield head + noise(1 << 20)
        # a unit of 16 frames, each of whatever comes of a few bytes, from any references
        frames = [bytes([flags | (LOWEST + 30), chroma | place, one]) + noise(6) for place in range(16)]
        yield bytes([16]) + b"".join(varint(len(frame)) + frame for frame in frames[:-1]) + frames[-1]
    for payload in sound:
        for _ in range(10):
            place, cut = int(random.integers(len(payload) * 8)), int(random.integers(len(payload)))
            flipped = bytearray(payload)
            flipped[place // 8] ^= 1 << place % 8
            yield bytes(flipped)
            yield payload[:cut]
            yield payload[:cut] + noise(int(random.integers(160)))
            yield payload[:4] + payload[4 + cut :]
            other = sound[int(random.integers(len(sound)))]
            yield payload[:cut] + other[cut:]
        for place in range(min(4, len(payload))):
            yield from (payload[:place] + bytes([value]) + payload[place + 1 :] for value in EDGES)


def begins_anew(payload: bytes) -> bool:
    """Whether the first frame of a unit refers to no other."""
    try:
        at = read_varint(payload, 1)[1] if payload[:1] != b"\1" else 1
    except DamagedStreamError:
        return False
    return payload[at + 2 : at + 3] == b"\xff"


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
        decoder = Decoder(zoo.load("", StreamReader(file, paths[0].name).header.model_sha256))
    before_kib = 0
    for path in paths:
        units = units_of(path)
        expected = decoder.planes_sha256(units)
        before_kib = before_kib or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for payload in unwritten([payload for payload, _ in units], random):
            # now and then the stream says of a keyframe that it is none, or the other way round
            decoder.decode(payload, begins_anew(payload) != (random.random() < 0.05))
            decoder.planes_sha256(units[:1])
        # damage upon damage, with frames that are kept or not, and no keyframe in between
        for _ in range(300):
            payload = bytearray(units[int(random.integers(1, len(units)))][0])
            for _ in range(int(random.integers(3))):
                payload[int(random.integers(len(payload)))] ^= 1 << int(random.integers(8))
            payload[1] ^= DROPPED_FLAG * int(random.integers(2))
            decoder.decode(bytes(payload), False)
            if not random.integers(12):
                decoder.planes_sha256(units[:1])
        assert decoder.planes_sha256(units) == expected  # a keyframe sets everything right again
    growth_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    return {"results": decoder.results, "growth_mib": growth_kib / 1024, "slowest_s": decoder.slowest_s}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])))
