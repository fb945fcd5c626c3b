# SPDX-License-Identifier: Apache-2.0
"""``nvc train`` as a user runs it: from videos to a weight file that codes; stopped and resumed on the way."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from synthetic_training import SPEEDS, panned, recipe_text, write_video

from nvcodec.cli import main

SETTINGS = {"stdin": subprocess.DEVNULL, "text": True}


def nvc(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nvcodec", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, timeout=300, **SETTINGS)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with videos in data/ and a recipe of few pieces."""
    place = tmp_path_factory.mktemp("place")
    (place / "data").mkdir()
    for name, speed in SPEEDS.items():
        write_video(place / "data" / f"{name}.mkv", panned(96, 112, 4, speed))
    (place / "tiny.toml").write_text(recipe_text())
    return place


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    done = nvc("train", "tiny.toml", "--data", "data", cwd=place)
    assert done.returncode == 0, done.stderr
    for words in (
        "preparing 8 files",
        "transforms from clips",
        "filters from clips",
        "frames of clips",
        "network from ",
        "network, held out: ",
        "records of clips",
        "contexts, pass 2 of 2",
        "held out: ",
        "rates ...",
    ):
        assert words in done.stderr
    assert "runs/tiny: trained" in done.stdout
    return place


def test_from_videos_to_a_weight_file_that_codes(trained: Path) -> None:
    done = nvc("train", "tiny.toml", "--export", "my.safetensors", cwd=trained)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "learned from 6 records" in done.stdout
    facts = json.loads((trained / "my.json").read_text())
    assert (facts["training"]["records"], facts["training"]["held_out"]["records"]) == (6, 1)
    assert facts["training"]["held_out"]["latents_bits"] > 0
    assert 0 < facts["training"]["minutes"] < 10
    assert [session["processes"] for session in facts["training"]["sessions"]] == [2]
    assert facts["data"][0]["files"] == 8
    assert facts["recipe"] == (trained / "tiny.toml").read_text()
    assert facts["sha256"] in (trained / "my.md").read_text()
    assert nvc("encode", "data/a.mkv", "-o", "a.nvc", "--model", "my.safetensors", cwd=trained).returncode == 0
    decoded = nvc("decode", "a.nvc", "-o", "a.y4m", "--verify", "--model", "my.safetensors", cwd=trained)
    assert decoded.returncode == 0, decoded.stderr
    assert "4 frames 112x96, every frame as the encoder made it" in decoded.stdout
    without = nvc("decode", "a.nvc", "-o", "b.y4m", cwd=trained)
    assert without.returncode == 4
    assert "which is not installed" in without.stderr
    again = nvc("train", "tiny.toml", "--export", "my.safetensors", cwd=trained)
    assert again.returncode == 2
    assert "exists already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such-recipe"], "no such file, nor one of those that ship"),
        (["tiny.toml", "--cache", "empty"], "--cache empty: no prepared videos in it"),
        (["tiny.toml", "--data", "tiny.toml"], "tiny.toml: not a folder"),
        (["tiny.toml", "--stills", "data", "--cache", "empty"], "--cache empty: no prepared videos in it"),
        (["tiny.toml", "--data", "data", "--stills", "data"], "data: nothing to train on (files that end in .jpeg"),
        (["tiny.toml", "--device", "cpu"], "unrecognized arguments: --device"),
        (["lost.toml"], "model 'no-such-weights' is not installed"),
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
    (trained / "lost.toml").write_text(recipe_text(start_from="no-such-weights"))
    assert main(["train", *([] if "--into" in arguments else ["--into", "runs/none"]), *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1, said
    assert not (trained / "runs" / "none").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_keeps_what_is_there_and_the_same_command_resumes(trained: Path, number: signal.Signals) -> None:
    name = f"early{int(number)}"
    recipe, run = trained / f"{name}.toml", trained / "runs" / name
    recipe.write_text(recipe_text(name=name).replace("clips = 6", "clips = 6000"))
    command = [sys.executable, "-m", "nvcodec", "train", recipe.name]
    process = subprocess.Popen(command, cwd=trained, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **SETTINGS)
    try:
        deadline = time.monotonic() + 200
        while not list((run / "records").glob("clips-*.npz")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(number)
        stderr = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 128 + number, stderr
    assert f"interrupted at records; what is done is kept in runs/{name}, the same command resumes" in stderr
    assert "Traceback" not in stderr
    assert not list((run / "records").glob(".*"))
    early = nvc("train", recipe.name, "--export", "early.safetensors", "--seconds", "0", cwd=trained)
    assert early.returncode == 2
    assert f"runs/{name} lacks records" in early.stderr
    before = {path.name: path.stat().st_mtime_ns for path in (run / "records").glob("clips-*.npz")}
    recipe.write_text(recipe_text(name=name).replace("clips = 6", f"clips = {10 * len(before) + 1}"))
    done = nvc("train", recipe.name, cwd=trained)
    assert done.returncode == 0, done.stderr
    assert "transforms from clips" not in done.stderr
    assert "filters from clips" not in done.stderr
    assert "network from" not in done.stderr
    after = {path.name: path.stat().st_mtime_ns for path in (run / "records").glob("clips-*.npz")}
    assert len(after) == len(before) + 1
    assert {name: after[name] for name in before} == before
    assert len((run / "sessions.jsonl").read_text().splitlines()) == 2


def test_seconds_stop_a_run(trained: Path) -> None:
    recipe = trained / "late.toml"
    recipe.write_text(recipe_text(name="late").replace("clips = 6", "clips = 6000"))
    (trained / "runs" / "late").mkdir()
    for name, lacking in (
        ("bases.safetensors", "filters"),
        ("filtered.safetensors", "the network"),
        ("restored.safetensors", "records"),
    ):
        shutil.copy(trained / "runs" / "tiny" / name, trained / "runs" / "late")
        done = nvc("train", "late.toml", "--seconds", "0.5", "--processes", "1", cwd=trained)
        assert done.returncode == 0, done.stderr
        assert f"runs/late: lacks {lacking}; the same command resumes" in done.stdout


def test_nothing_is_left_in_the_folder_but_what_was_asked_for(trained: Path) -> None:
    assert {p.name for p in (trained / "runs" / "tiny").iterdir()} == {
        "bases.safetensors",
        "calibrated.safetensors",
        "filtered.safetensors",
        "frames.npz",
        "learned.safetensors",
        "network.safetensors",
        "recipe.toml",
        "records",
        "restored.safetensors",
        "sessions.jsonl",
    }
