# SPDX-License-Identifier: Apache-2.0
"""Pieces of clips are what they should be, and depend on nothing but kind, number and seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from synthetic_training import cached_clip

from nvcodec.datasets.samples import STILL_EDGE, cut_still, cut_video, hold_out, pick
from nvcodec.datasets.training_cache import CachedFile
from nvcodec.models.training.pieces import Pieces
from nvcodec.models.training.records import CLIPS, HELD_OUT, STILLS


def test_video_pieces_are_stretches_both_ways_and_mirrored() -> None:
    clip = cached_clip("a", frames=7)
    random, seen = np.random.default_rng(1), set()
    for _ in range(60):
        y, u, v = cut_video(clip, 3, random)
        assert y.shape == (3, 96, 112)
        assert u.shape == v.shape == (3, 48, 56)
        found = [
            (start, back, mirror)
            for start in range(5)
            for back in (1, -1)
            for mirror in (1, -1)
            if np.array_equal(y, clip.y[start : start + 3][::back, :, ::mirror])
        ]
        assert len(found) == 1
        start, back, mirror = found[0]
        assert np.array_equal(u, clip.u[start : start + 3][::back, :, ::mirror])
        assert np.array_equal(v, clip.v[start : start + 3][::back, :, ::mirror])
        seen.add(found[0])
    assert len(seen) == 20
    assert len(cut_video(clip, 99, random)[0]) == 7


def test_still_pieces_are_of_one_size_and_planes_belong_together() -> None:
    clip = cached_clip("s", 1, size=(720, 1040), detail=40)
    clip.u[:], clip.v[:] = clip.y[:, ::2, ::2], 255 - clip.y[:, ::2, ::2]
    random, shapes = np.random.default_rng(2), set()
    for _ in range(20):
        y, u, v = cut_still(clip, random)
        shapes.add(y.shape)
        assert u.shape == v.shape == (1, y.shape[1] // 2, y.shape[2] // 2)
        assert np.abs(u.astype(int) + v - 255).max() <= 1
        assert np.abs(u.astype(int) - y[:, ::2, ::2]).mean() < 3
    assert shapes == {(1, STILL_EDGE, STILL_EDGE), (1, 352, STILL_EDGE)}
    small = cut_still(cached_clip("t", 1, size=(80, 96)), random)
    assert [plane.shape for plane in small] == [(1, 80, 96), (1, 40, 48), (1, 40, 48)]


def test_held_out_clips_share_no_source_with_training() -> None:
    files = [CachedFile(Path(f"c{number:02}.npz"), f"video{number // 3:02}") for number in range(60)]
    train, held = hold_out(files)
    assert held
    assert len(train) + len(held) == len(files)
    assert not {f.source for f in train} & {f.source for f in held}
    assert hold_out(files[::-1])[1] == held[::-1]


def test_every_clip_comes_before_one_comes_again() -> None:
    files = [CachedFile(Path(f"{number}.npz"), "") for number in range(5)]
    turns = [[pick(files, 5 * turn + n, [1, 2]) for n in range(5)] for turn in range(3)]
    assert all(sorted(turn, key=str) == sorted(files, key=str) for turn in turns)
    assert turns[0] != turns[1] or turns[1] != turns[2]


def test_same_number_same_piece(cache: Path) -> None:
    pieces, again, other = Pieces(cache, 1, 2), Pieces(cache, 1, 2), Pieces(cache, 1, 1)
    assert all(pieces.has(kind) for kind in (CLIPS, STILLS, HELD_OUT))
    drawn = [pieces.draw(CLIPS, n, 4) for n in range(30)]
    for n in (7, 0, 29):
        piece = again.draw(CLIPS, n, 4)
        assert (piece.quality, piece.profile) == (drawn[n].quality, drawn[n].profile)
        assert all(np.array_equal(a, b) for a, b in zip(piece.planes, drawn[n].planes, strict=True))
    assert [other.draw(CLIPS, n, 4).quality for n in range(30)] != [piece.quality for piece in drawn]
    assert {piece.profile for piece in drawn} == {"ra", "ld"}
    assert len({piece.quality for piece in drawn}) > 10
