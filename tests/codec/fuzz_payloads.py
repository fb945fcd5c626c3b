# SPDX-License-Identifier: Apache-2.0
"""Hands payloads that nobody wrote to the decoder, in a process that may die of it; prints what came of them as JSON.

python fuzz_payloads.py SEED
"""

from __future__ import annotations

import json
import resource
import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np

from nvcodec.codec.conditional import DEFAULT_MODEL
from nvcodec.entropy.rans import RansReader
from nvcodec.errors import DamagedStreamError
from nvcodec.media.test_pattern import moving_pattern
from nvcodec.models import zoo
from nvcodec.models.conditional.frame_coder import KIND_INTRA, KIND_SHIFT
from nvcodec.models.conditional.sequence import SequenceCoder
from nvcodec.models.conditional.weights import Weights, load_weights

WIDTH, HEIGHT = 64, 48
SHAPES = [(HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2)]


def written(weights: Weights) -> list[bytes]:
    """Three payloads as the encoder makes them: a keyframe and two inter frames."""
    coder = SequenceCoder(weights, HEIGHT, WIDTH, 1)
    return [coder.encode(frame.planes, 30, False)[0] for frame in moving_pattern(WIDTH, HEIGHT, 3)]


def sound_state(payload: bytes) -> bytes:
    """The same bytes with a beginning that passes the reader's first look (behind the byte of kind and level)."""
    payload += bytes(max(0, 9 - len(payload)))
    return payload[:8] + bytes([payload[8] & 0x7F | 1]) + payload[9:]


def unwritten(sound: list[bytes], random: np.random.Generator) -> Iterator[bytes]:
    """Noise, extremes, and sound payloads that were cut, lengthened, mixed and flipped."""

    def noise(nbytes: int) -> bytes:
        return random.integers(0, 256, nbytes, np.uint8).tobytes()

    yield from (b"", b"\0", b"\xff", b"\x40", b"\x80", b"\xc0")
    for kind in range(4):
        first = bytes([kind << KIND_SHIFT | 30])
        for nbytes in (1, 7, 8, 12, 40, 400, 4000):
            yield first + noise(nbytes)
            yield sound_state(first + noise(nbytes))
        for fill in (b"\0", b"\xff", b"\x0f\xf0\xff\xff"):
            yield sound_state(first + fill * 100)
            yield sound_state(first + fill * 4000)
        yield sound_state(first + noise(1 << 22))
    for payload in sound:
        for _ in range(8):
            place, cut = int(random.integers(len(payload) * 8)), 4 * int(random.integers(len(payload) // 4))
            flipped = bytearray(payload)
            flipped[place // 8] ^= 1 << place % 8
            yield bytes(flipped)
            yield payload[: 1 + cut]
            yield payload[: 9 + cut] + noise(4 * int(random.integers(40)))
            yield sound_state(payload[:1] + payload[1 + cut :])
        yield from (bytes([kind << KIND_SHIFT | payload[0] & 0x3F]) + payload[1:] for kind in range(4))


def decode(coder: SequenceCoder, payload: bytes, keyframe: bool) -> str:
    try:
        planes = coder.decode(payload, keyframe)
    except DamagedStreamError as error:
        return "refused" if "\n" not in str(error) else "refused in several lines"
    assert [(plane.shape, plane.dtype) for plane in planes] == [(shape, np.uint8) for shape in SHAPES]
    return "decoded"


def fuzz_reader(weights: Weights, random: np.random.Generator) -> Counter[str]:
    """The symbol reader on its own, with the tables that ship."""
    results: Counter[str] = Counter()
    for tables in (weights.gaussian, weights.hyper, weights.motion.choice, weights.motion.classes):
        for _ in range(25):
            payload = sound_state(b"\0" + random.integers(0, 256, 4 * random.integers(2, 200), np.uint8).tobytes())[1:]
            count = int(random.integers(1, 20_000))
            try:
                symbols = RansReader(payload, count).code(None, random.integers(0, len(tables), count), tables)
            except DamagedStreamError:
                results["refused"] += 1
            else:
                assert len(symbols) == count
                results["decoded"] += 1
    return results


def main(seed: int) -> dict[str, object]:
    random = np.random.default_rng(seed)
    weights = load_weights(zoo.find(DEFAULT_MODEL).path)
    sound = written(weights)
    coder = SequenceCoder(weights, HEIGHT, WIDTH, 1)
    expected = coder.decode(sound[0], True)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = fuzz_reader(weights, random)
    for payload in unwritten(sound, random):
        keyframe = bool(payload) and payload[0] >> KIND_SHIFT == KIND_INTRA
        results[decode(coder, payload, keyframe)] += 1
        if coder._state is None:
            coder.decode(sound[0], True)
    # A keyframe sets everything right again.
    assert all(np.array_equal(a, b) for a, b in zip(coder.decode(sound[0], True), expected, strict=True))
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    return {"results": results, "growth_mib": growth / 1024}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
