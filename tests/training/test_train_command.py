# SPDX-License-Identifier: Apache-2.0
"""``nvc train`` as a user runs it: from two videos to a weight file that codes; stopped and resumed on the way."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from synthetic_training import panned, recipe_text, write_video

from nvcodec.cli import main

SETTINGS = {"stdin": subprocess.DEVNULL, "text": True}


def nvc(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nvcodec", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, timeout=300, **SETTINGS)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with videos in data/ and a recipe of three steps."""
    place = tmp_path_factory.mktemp("place")
    (place / "data").mkdir()
    for name, speed in (("a", (4, 2)), ("b", (-2, 0))):
        write_video(place / "data" / f"{name}.mkv", panned(80, 96, 4, speed))
    (place / "tiny.toml").write_text(recipe_text())
    return place


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    done = nvc("train", "tiny.toml", "--data", "data", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "preparing 2 files" in done.stderr
    assert "step 3/3" in done.stderr
    assert "trained, 3 steps" in done.stdout
    return place


def test_from_videos_to_a_weight_file_that_codes(trained: Path) -> None:
    done = nvc("train", "tiny.toml", "--export", "my.safetensors", cwd=trained)
    assert done.returncode == 0, done.stderr
    assert "preparing" not in done.stderr
    assert "step 3/3" not in done.stderr
    facts = json.loads((trained / "my.json").read_text())
    assert facts["training"]["steps"] == facts["training"]["steps_planned"] == 3
    assert facts["data"][0]["files"] == 2
    assert facts["recipe"] == (trained / "tiny.toml").read_text()
    assert facts["sha256"] in (trained / "my.md").read_text()
    assert nvc("encode", "data/a.mkv", "-o", "a.nvc", "--model", "my.safetensors", cwd=trained).returncode == 0
    decoded = nvc("decode", "a.nvc", "-o", "a.y4m", "--verify", "--model", "my.safetensors", cwd=trained)
    assert decoded.returncode == 0, decoded.stderr
    assert "4 frames 96x80, every frame as the encoder made it" in decoded.stdout
    without = nvc("decode", "a.nvc", "-o", "b.y4m", cwd=trained)
    assert without.returncode == 4
    assert "which is not installed" in without.stderr
    again = nvc("train", "tiny.toml", "--export", "my.safetensors", cwd=trained)
    assert again.returncode == 2
    assert "exists already" in again.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupt_saves_all_processes_and_the_same_command_resumes(trained: Path) -> None:
    (trained / "long.toml").write_text(recipe_text(100_000, name="long", processes=2))
    for name in ("bases.safetensors", "records"):  # go straight to training
        (trained / "runs" / "long").mkdir(exist_ok=True)
        source, target = trained / "runs" / "tiny" / name, trained / "runs" / "long" / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    command = [sys.executable, "-m", "nvcodec", "train", "long.toml"]
    process = subprocess.Popen(command, cwd=trained, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **SETTINGS)
    try:
        deadline = time.monotonic() + 200
        while not (trained / "runs" / "long" / "log.jsonl").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert "saved in runs/long; the same command resumes" in stderr
    assert "Traceback" not in stderr
    done = nvc("train", "long.toml", "--seconds", "0.5", cwd=trained)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("resumed at step") == 1
    sessions = [json.loads(line) for line in (trained / "runs" / "long" / "sessions.jsonl").read_text().splitlines()]
    assert [s["processes"] for s in sessions] == [2, 2]
    assert f"resumed at step {sessions[1]['from_step']}" in done.stderr
    assert f"interrupted at step {sessions[1]['from_step']} of 100000" in stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such-recipe"], "no such file, nor one of those that ship"),
        (["tiny.toml", "--cache", "empty"], "--cache empty: no prepared videos in it"),
        (["tiny.toml", "--data", "tiny.toml"], "tiny.toml: not a folder"),
        (["tiny.toml", "--stills", "data", "--cache", "empty"], "--cache empty: no prepared videos in it"),
        (["tiny.toml", "--data", "data", "--stills", "data"], "data: nothing to train on (files that end in .jpeg"),
        (["tiny.toml", "--device", "cuda:99"], "device cuda:99"),
        (["tiny.toml", "--device", "fast"], "device fast"),
        (["tiny.toml", "--processes", "0"], "processes is '0': allowed is 1 to 1024"),
        (["tiny.toml", "--seconds", "nan"], "'nan' is not a time"),
        (["tiny.toml", "--export", "out.pt"], "NAME.safetensors is wanted"),
        (["tiny.toml", "--export", "none/out.safetensors"], "no folder none"),
        (["tiny.toml", "--into", "tiny.toml"], "not a folder"),
    ],
)
def test_mistakes_cost_one_line_and_no_time(
    trained: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    assert main(["train", *([] if "--into" in arguments else ["--into", "runs/none"]), *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1, said
    assert not (trained / "runs" / "none").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupt_while_recording_keeps_what_is_there(trained: Path) -> None:
    (trained / "early.toml").write_text(recipe_text(name="early").replace("clips = 6", "clips = 6000"))
    command = [sys.executable, "-m", "nvcodec", "train", "early.toml"]
    process = subprocess.Popen(command, cwd=trained, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **SETTINGS)
    records = trained / "runs" / "early" / "records"
    try:
        deadline = time.monotonic() + 200
        while not list(records.glob("clips-*.npz")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        stderr = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM, stderr
    assert "interrupted before training, saved in runs/early; the same command resumes" in stderr
    assert "Traceback" not in stderr
    assert (trained / "runs" / "early" / "bases.safetensors").is_file()
    assert not (trained / "runs" / "early" / "state.pt").exists()
    done = nvc("train", "early.toml", "--export", "early.safetensors", "--seconds", "0", cwd=trained)
    assert done.returncode == 2
    assert "runs/early holds no network yet" in done.stderr


def test_nothing_is_left_in_the_folder_but_what_was_asked_for(trained: Path) -> None:
    assert {p.name for p in (trained / "runs" / "tiny").iterdir()} == {
        "bases.safetensors",
        "log.jsonl",
        "recipe.toml",
        "records",
        "sessions.jsonl",
        "state.pt",
    }
