# SPDX-License-Identifier: Apache-2.0
"""A folder of videos and pictures becomes a training cache, once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthetic_training import panned, write_video

from nvcodec.datasets import prepare as module
from nvcodec.datasets.prepare import prepare
from nvcodec.datasets.training_cache import CachedClip, cached_files, load_clip
from nvcodec.datasets.training_files import STILL_SUFFIXES, VIDEO_SUFFIXES, describe, not_cached, training_files
from nvcodec.errors import UsageError

SPEED = (4, -2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good videos (one in a subfolder), a still, and files that cannot be used."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "sub").mkdir()
    write_video(folder / "first.mkv", panned(100, 116, 6, SPEED))
    write_video(folder / "sub" / "second.mkv", panned(96, 112, 3, (0, 0)))
    write_video(folder / "small.mkv", panned(48, 48, 2, (0, 0)))
    (folder / "broken.mp4").write_bytes(b"no video " * 50)
    (folder / ".hidden.mp4").write_bytes(b"")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8)).save(folder / "still.png")
    (folder / "manifest.csv").write_text("clip,source_repo,source_path,licence\nfirst.mkv,me/mine,film.mp4,CC0 | url\n")
    return folder


@pytest.fixture(scope="module")
def cached(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, CachedClip]]:
    cache = tmp_path_factory.mktemp("cache")
    assert prepare(folder, cache) == 3
    return cache, {clip.name: clip for clip in map(load_clip, cached_files(cache))}


def test_files_become_clips_named_by_their_place(cached: tuple[Path, dict[str, CachedClip]]) -> None:
    clips = cached[1]
    assert set(clips) == {"first", "sub__second", "still"}
    assert {clip.name: clip.source for clip in clips.values()} == {
        "first": "film.mp4",
        "sub__second": "sub__second",
        "still": "still",
    }
    assert [len(clips[name].y) for name in ("first", "sub__second", "still")] == [6, 3, 1]


def test_planes_are_those_of_the_video_cut_to_whole_blocks(cached: tuple[Path, dict[str, CachedClip]]) -> None:
    clip = cached[1]["first"]
    y, u, v = panned(100, 116, 6, SPEED)
    assert np.array_equal(clip.y, y[:, :96, :112])
    assert np.array_equal(clip.u, u[:, :48, :56])
    assert np.array_equal(clip.v, v[:, :48, :56])


def test_what_cannot_be_used_is_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []
    prepare(folder, tmp_path, suffixes=VIDEO_SUFFIXES, progress=done.append)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert any("broken.mp4: left out" in line for line in said)
    assert any("small.mkv: left out: pictures smaller than 64x64" in line for line in said)
    assert sorted(done) == ["broken", "first", "small", "sub__second"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["first.npz", "sub__second.npz"]


def test_second_time_only_what_is_missing(cached: tuple[Path, dict[str, CachedClip]], folder: Path) -> None:
    cache = cached[0]
    before = {path.name: path.stat().st_mtime_ns for path in cache.glob("*.npz")}
    (cache / "still.npz").unlink()
    missing = not_cached(training_files(folder, VIDEO_SUFFIXES | STILL_SUFFIXES), cache)
    assert sorted(file.name for file in missing) == ["broken", "small", "still"]
    prepare(folder, cache)
    after = {path.name: path.stat().st_mtime_ns for path in cache.glob("*.npz")}
    assert {name for name in before if before[name] == after[name]} == {"first.npz", "sub__second.npz"}
    assert set(after) == set(before)


def test_long_videos_give_stretches_and_large_ones_are_made_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"MAX_FRAMES": 3, "STRETCH_EVERY": 5, "MAX_STRETCHES": 3, "MAX_VIDEO_EDGE": 96}.items():
        monkeypatch.setattr(module, name, value)
    (tmp_path / "data").mkdir()
    write_video(tmp_path / "data" / "long.mkv", panned(128, 192, 17, (0, 2)))
    prepare(tmp_path / "data", tmp_path / "cache")
    clips = [load_clip(file) for file in cached_files(tmp_path / "cache")]
    assert [(clip.name, clip.y.shape, clip.source) for clip in clips] == [
        (name, (3, 64, 96), "long") for name in ("long", "long@1", "long@2")
    ]
    assert not np.array_equal(clips[0].y, clips[1].y)


def test_folders_without_anything_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        prepare(tmp_path / "none", tmp_path / "cache")
    with pytest.raises(UsageError, match="nothing to train on"):
        prepare(tmp_path, tmp_path / "cache")
    (tmp_path / "a.mkv").write_bytes(b"x")
    with pytest.raises(UsageError, match="none of its 1 files"):
        prepare(tmp_path, tmp_path / "cache")


def test_equal_names_with_other_endings_stay_apart(tmp_path: Path) -> None:
    for name in ("a.mkv", "a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"x")
    assert [file.name for file in training_files(tmp_path, VIDEO_SUFFIXES)] == ["a.mkv", "a.mp4", "b"]


def test_description_for_the_model_card(folder: Path) -> None:
    about = describe(folder, training_files(folder, VIDEO_SUFFIXES))
    assert about["folder"] == folder.name
    assert about["files"] == about["sources"] == 4
    assert about["sha256"] == hashlib.sha256((folder / "manifest.csv").read_bytes()).hexdigest()
    assert about["origins"] == [{"origin": "me/mine", "licence": "CC0", "files": 1}]


def test_manifest_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"x")
    (tmp_path / "manifest.csv").write_bytes(b"clip\n\xff\xfe\n")
    with pytest.raises(UsageError, match="not a readable table"):
        training_files(tmp_path, VIDEO_SUFFIXES)
