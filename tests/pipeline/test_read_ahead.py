# SPDX-License-Identifier: Apache-2.0
"""Decoding that reads units ahead of their pictures: in order, not too far, and no further than the damage."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import nvcodec
from nvcodec.errors import DamagedStreamError
from nvcodec.media.test_pattern import moving_pattern, pattern_format
from nvcodec.media.types import Frame
from nvcodec.pipeline import decode
from nvcodec.stream import StreamReader, VideoRecord

WIDTH, HEIGHT, UNITS = 32, 16, 12


@pytest.fixture(scope="module")
def reader() -> StreamReader:
    """Low delay: a unit for each frame, all in one record."""
    encoder = nvcodec.Encoder(pattern_format(WIDTH, HEIGHT), threads=1, options={"profile": "ld"})
    stream = b"".join([encoder.encode(*frame.planes) for frame in moving_pattern(WIDTH, HEIGHT, UNITS)])
    return StreamReader(io.BytesIO(stream + encoder.finish()), "a stream")


@pytest.fixture(scope="module")
def record(reader: StreamReader) -> VideoRecord:
    (record,) = reader.records()
    assert len(record.units) == UNITS
    return record


class Ahead:
    """A decoder in two parts that notes what it is asked; unit ``bad`` is damaged, for `read` or for `rebuild`."""

    def __init__(self, bad: int = -1, bad_part: str = "read", slow: str = "rebuild") -> None:
        self.bad, self.bad_part, self.slow = bad, bad_part, slow
        self.read_units, self.rebuilt, self.furthest = 0, 0, 0
        self.threads: set[int] = set()

    def _damaged(self, number: int, part: str) -> None:
        if part == self.slow:
            time.sleep(0.005)
        if number == self.bad and part == self.bad_part:
            raise DamagedStreamError(f"unit {number} is damaged")

    def read(self, payload: bytes, keyframe: bool) -> int:
        number = self.read_units
        self.read_units += 1
        self.furthest = max(self.furthest, number - self.rebuilt)
        self.threads.add(threading.get_ident())
        assert keyframe == (number == 0)
        self._damaged(number, "read")
        return number

    def rebuild(self, number: Any) -> list[Frame]:
        assert number == self.rebuilt  # in order
        self._damaged(number, "rebuild")
        self.rebuilt += 1
        half = np.full((HEIGHT // 2, WIDTH // 2), number, np.uint8)
        return [Frame(np.full((HEIGHT, WIDTH), number, np.uint8), half, half)]

    def decode(self, payload: bytes, keyframe: bool) -> list[Frame]:
        return self.rebuild(self.read(payload, keyframe))


def frames_of(reader: StreamReader, record: VideoRecord, ahead: Ahead) -> Iterator[Frame]:
    decoder = decode.RecordDecoder(reader.header, threads=1)
    decoder._decoder = ahead
    return decoder.frames(record)


@pytest.mark.parametrize("slow", ["read", "rebuild"])
def test_units_are_read_in_order_by_one_other_thread_a_few_ahead(
    reader: StreamReader, record: VideoRecord, slow: str
) -> None:
    ahead = Ahead(slow=slow)
    numbers = [int(frame.y[0, 0]) for frame in frames_of(reader, record, ahead)]
    assert numbers == list(range(UNITS))
    assert len(ahead.threads) == 1
    assert threading.get_ident() not in ahead.threads
    assert ahead.furthest <= decode._UNITS_AHEAD
    if slow == "rebuild":
        assert ahead.furthest > 0  # it does run ahead


@pytest.mark.parametrize("part", ["read", "rebuild"])
@pytest.mark.parametrize("bad", [0, 1, 5, UNITS - 1])
def test_what_comes_before_the_damage_is_shown(reader: StreamReader, record: VideoRecord, bad: int, part: str) -> None:
    frames = frames_of(reader, record, Ahead(bad, part))
    assert [int(next(frames).y[0, 0]) for _ in range(bad)] == list(range(bad))
    with pytest.raises(DamagedStreamError, match=f"unit {bad} is damaged"):
        next(frames)


def test_it_may_be_left_in_the_middle(reader: StreamReader, record: VideoRecord) -> None:
    ahead = Ahead()
    frames = frames_of(reader, record, ahead)
    for _ in range(3):
        next(frames)
    frames.close()  # type: ignore[attr-defined]
    time.sleep(0.05)
    assert ahead.read_units <= 3 + decode._UNITS_AHEAD
