# SPDX-License-Identifier: Apache-2.0
"""Records are what the encoder decided, survive their files, and are not made twice."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from synthetic_training import panned

from nvcodec.errors import UsageError
from nvcodec.models.conditional import shot as conditional
from nvcodec.models.conditional.frame import Blocks, Reference
from nvcodec.models.conditional.frame_coder import is_midway
from nvcodec.models.conditional.picture import rebuild
from nvcodec.models.kernels.syntax import ALONE, SHARED, WHOLE
from nvcodec.models.training import records as module
from nvcodec.models.training.bases import load_bases
from nvcodec.models.training.phases import RECORDS, RESTORED
from nvcodec.models.training.pieces import Piece, Pieces, decide
from nvcodec.models.training.recipe import RecordCounts
from nvcodec.models.training.recording import record, record_piece
from nvcodec.models.training.records import (
    CLIPS,
    LARGEST,
    Sequence,
    bounded,
    complete,
    load_records,
    recorded,
    save_records,
)
from nvcodec.models.training.workers import Workers

QUIET = (lambda: False, lambda line: None)


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def sequences(encoded: Path, pool: ThreadPoolExecutor) -> list[Sequence]:
    """Both profiles, and one with a cut; groups that are short since much moves, and long ones, after which the
    keyframe is no longer among the frames that are kept."""
    bases, video = load_bases(encoded / RESTORED), panned(96, 112, 11, (4, 2))
    other = panned(96, 112, 3, (0, 2), seed=5, detail=4)
    cut = tuple(np.concatenate([a[:3], b]) for a, b in zip(video, other, strict=True))
    still = panned(96, 112, 34, (0, 0))
    pieces = [Piece(video, 30, "ra"), Piece(video, 20, "ld"), Piece(cut, 50, "ld"), Piece(still, 30, "ra")]
    return [sequence for piece in pieces for sequence in record_piece(piece, bases, pool)]


def test_sequences_begin_with_keyframes_and_refer_to_kept_frames(sequences: list[Sequence]) -> None:
    assert [len(sequence) for sequence in sequences] == [11, 11, 3, 3, 34]
    for sequence in sequences:
        assert [bool(frame.references) for frame in sequence] == [False] + [True] * (len(sequence) - 1)
        assert sorted(frame.number for frame in sequence) == list(range(len(sequence)))
        for place, frame in enumerate(sequence):
            assert all(r < place and sequence[r].kept for r in frame.references)
            assert frame.symbols.shape == (np.count_nonzero(frame.arrays["coded"]), 384)
    group, low_delay, *_, long = sequences
    assert [frame.number for frame in group] == [0, 8, 4, 2, 6, 1, 3, 5, 7, 10, 9]
    assert [group[r].number for r in group[5].references] == [0, 2]
    assert not group[5].kept
    assert all(frame.kept for frame in low_delay)
    order = [16, 8, 4, 12, 2, 6, 1, 3, 5, 7, 10, 14, 9, 11, 13, 15]
    assert [frame.number for frame in long] == [0, *order, *(16 + number for number in order), 33]
    assert [[long[r].number for r in long[place].references] for place in (1, 17, 33)] == [[0], [16, 0], [32, 0]]


def test_records_hold_all_that_rebuilds_the_pictures(
    encoded: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for how much chroma counts, which takes no bits; as they are before they are rounded to eight bits."""
    monkeypatch.setattr(conditional, "cut", lambda planes, height, width: planes)
    bases, piece = load_bases(encoded / RESTORED), Piece(panned(96, 112, 9, (4, 2)), 8, "ra")
    units = list(decide(piece, bases, pool))
    shown = [planes for unit in units for planes in unit.planes]
    chroma = {number: header.chroma for unit in units for header, number, *_ in unit.frames}
    (sequence,) = record_piece(piece, bases, pool)
    made: list[Reference] = []
    for frame in sequence:
        blocks, symbols = frame.blocks(), np.zeros((6, 7, 384), np.int16)
        symbols[blocks.coded > 0] = frame.symbols
        assert np.abs(symbols).max() < LARGEST  # or it may have been more
        references = [made[r] for r in frame.references]
        midway = is_midway(tuple(frame.number - entry.number for entry in references))
        planes = rebuild(blocks, symbols, frame.level, chroma[frame.number], references, midway, bases, pool)
        made.append(Reference(planes, blocks, frame.level, frame.number))
        for mine, theirs in zip(made[-1].picture(), shown[frame.number], strict=True):
            assert mine.dtype == theirs.dtype == np.uint16
            assert np.array_equal(mine, theirs)


def test_files_give_back_what_was_saved(sequences: list[Sequence], tmp_path: Path) -> None:
    save_records(tmp_path / "r.npz", sequences)
    assert [path.name for path in tmp_path.iterdir()] == ["r.npz"]
    again = load_records(tmp_path / "r.npz")
    assert [len(sequence) for sequence in again] == [len(sequence) for sequence in sequences]
    pairs = [pair for two in zip(again, sequences, strict=True) for pair in zip(*two, strict=True)]
    for mine, theirs in pairs:
        for name in ("number", "level", "kept", "references"):
            assert getattr(mine, name) == getattr(theirs, name)
        assert np.array_equal(mine.symbols, theirs.symbols)
        for name, array in theirs.arrays.items():
            assert np.array_equal(mine.arrays[name], array)
            assert mine.arrays[name].dtype == array.dtype


def test_blocks_come_back_as_they_were_decided(encoded: Path, pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    """All of their decisions, those of units among them; of 7 x 7 blocks, so that some units are not whole. Only very
    large symbols are made smaller."""
    bases, piece = load_bases(encoded / RESTORED), Piece(panned(112, 112, 5, (4, 2), detail=30), 12, "ld")
    save_records(tmp_path / "r.npz", record_piece(piece, bases, pool))
    (sequence,) = load_records(tmp_path / "r.npz")
    decided = [frame for unit in decide(piece, bases, pool) for frame in unit.frames]
    large, banks = set(), set()
    for frame, (_, number, blocks, symbols) in zip(sequence, decided, strict=True):
        again = frame.blocks()
        assert frame.number == number
        coded = symbols[blocks.coded > 0]
        assert np.array_equal(frame.symbols, np.where(np.abs(coded) <= LARGEST, coded, bounded(coded)))
        assert np.array_equal(frame.symbols % 2, coded % 2)
        assert (again.rows, again.columns) == (7, 7)
        for field in fields(Blocks)[2:]:
            mine, theirs = getattr(again, field.name), getattr(blocks, field.name)
            assert np.array_equal(mine, theirs), field.name
            assert (mine.dtype, mine.flags.c_contiguous) == (theirs.dtype, True)
        large |= set(blocks.large.ravel().tolist())
        banks |= set(blocks.banks.ravel().tolist())
    assert large == {ALONE, SHARED, WHOLE}
    assert len(banks) > 1


class Trap:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("trap-was-sprung",)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "short", "types", "banks", "large", "pickle"])
def test_files_that_are_no_records(
    sequences: list[Sequence], tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "r.npz"
    save_records(path, sequences)
    content, arrays = path.read_bytes(), dict(np.load(path))
    if damage in ("empty", "text", "cut"):
        path.write_bytes({"empty": b"", "text": b"text" * 99, "cut": content[: len(content) // 2]}[damage])
    else:
        change = {"short": ("symbols", arrays["symbols"][:-1]), "types": ("modes", arrays["modes"].astype(np.int64))}
        change |= {"banks": ("banks", arrays["banks"][:-1]), "large": ("large", arrays["large"].astype(np.int32))}
        name, array = change.get(damage, ("pred", np.array([Trap()])))
        np.savez(path, **{**arrays, name: array})
    with pytest.raises(UsageError, match=r"r\.npz: not readable"):
        load_records(path)
    assert not (tmp_path / "trap-was-sprung").exists()


def test_recording_stops_and_goes_on_where_it_was(
    cache: Path, encoded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARD", 2)
    bases, pieces, counts = load_bases(encoded / RESTORED), Pieces(cache, 1), RecordCounts(5, 0, 0, 2)
    calls = iter(range(99))
    here = Workers(0)
    assert not record(pieces, bases, counts, tmp_path / "r", here, lambda: next(calls) == 3, lambda line: None)
    assert [path.name for path in recorded(counts, tmp_path / "r")] == ["clips-0000.npz"]
    assert not complete(counts, tmp_path / "r")
    before = (tmp_path / "r" / "clips-0000.npz").stat().st_mtime_ns
    assert record(pieces, bases, counts, tmp_path / "r", here, *QUIET)
    assert complete(counts, tmp_path / "r")
    assert (tmp_path / "r" / "clips-0000.npz").stat().st_mtime_ns == before
    paths = recorded(counts, tmp_path / "r", (CLIPS,))
    assert [len(load_records(path)) for path in paths] == [2, 2, 1]
    assert not complete(RecordCounts(6, 0, 0, 2), tmp_path / "r")


def test_processes_record_what_one_records(cache: Path, encoded: Path, tmp_path: Path) -> None:
    bases, pieces, counts = load_bases(encoded / RESTORED), Pieces(cache, 1, 2), RecordCounts(6, 2, 1, 4)
    with Workers(2) as workers:
        assert record(pieces, bases, counts, tmp_path / "r", workers, *QUIET)
    for path in recorded(counts, tmp_path / "r"):
        with np.load(path) as mine, np.load(encoded / RECORDS / path.name) as theirs:
            assert mine.files == theirs.files
            assert all(np.array_equal(mine[name], theirs[name]) for name in mine.files), path.name


def test_records_of_a_run_are_in_its_folder(encoded: Path) -> None:
    assert complete(RecordCounts(6, 2, 1, 4), encoded / RECORDS)
    assert {path.name for path in (encoded / RECORDS).iterdir()} == {
        "clips-0000.npz",
        "complete.json",
        "held-out-0000.npz",
        "stills-0000.npz",
    }
