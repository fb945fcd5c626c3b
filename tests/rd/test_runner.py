# SPDX-License-Identifier: Apache-2.0
"""``nvc rd`` as users run it: real encoders on tiny clips, in separate processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nvcodec.cli import main
from nvcodec.rd.clips import find_clips
from nvcodec.rd.ffmpeg import find_ffmpeg
from nvcodec.rd.store import ResultsFolder, read_failures

ROOT = Path(__file__).parents[2]


def make_clip(path, frames=6, size="64x48", extra=()):
    source = f"testsrc2=s={size}:r=30000/1001"
    command = [find_ffmpeg().path, "-v", "error", "-y", "-f", "lavfi", "-i", source, "-frames:v", str(frames), *extra]
    codec = [] if path.suffix in (".y4m", ".yuv") else ["-c:v", "ffv1"]
    pixels = [] if "-pix_fmt" in extra else ["-pix_fmt", "yuv420p"]
    subprocess.run([*command, *pixels, *codec, str(path)], check=True)
    return path


def command_line(*arguments):
    return [sys.executable, "-m", "nvcodec", "rd", *map(str, arguments)]


def nvc_rd(*arguments, **options):
    return subprocess.run(command_line(*arguments), capture_output=True, text=True, timeout=120, **options)


QUICK = ("--codec", "x264:medium", "--metrics", "psnr,ssim", "--quality", "x264=22,32,42")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return [make_clip(folder / "one.mkv"), make_clip(folder / "two.mkv", 4, "96x64")]


@pytest.fixture(scope="module")
def measured(clips, tmp_path_factory):
    """A folder with three points for each of two clips."""
    folder = tmp_path_factory.mktemp("rd") / "results"
    done = nvc_rd(*clips, *QUICK, "--jobs", 2, "-o", folder, "--pictures", 2)
    assert done.returncode == 0, done.stderr
    assert "6 points measured, 0 there already, 0 failed" in done.stdout
    return folder


def test_points_hold_what_the_files_say(measured):
    results = ResultsFolder.open(measured)
    curves = {c.clip.name: c for c in results.curves()}
    assert set(curves) == {"one", "two"}
    for curve in curves.values():
        assert curve.codec.name == "x264:medium:ld"
        assert [p.quality.value for p in curve.points] == [42, 32, 22]
        assert curve.values("psnr_yuv") == sorted(curve.values("psnr_yuv"))
    point = curves["one"].points[0]
    assert (point.clip.width, point.clip.height, point.clip.frames) == (64, 48, 6)
    assert point.clip.frame_rate == "30000/1001"
    assert point.rate.bpp == pytest.approx(point.rate.nbytes * 8 / (64 * 48 * 6))
    assert point.rate.kbps == pytest.approx(point.rate.nbytes * 8 / (6 * 1001 / 30000) / 1000)
    assert len(point.rate.frame_nbytes) == 6
    assert point.commands["encode"][0] == "ffmpeg"
    assert "libx264" in point.commands["encode"]
    assert "x264 core" in point.codec.version
    assert point.timing.encode_s > 0
    assert point.environment["ffmpeg"] == find_ffmpeg().version
    assert set(point.series) >= {"psnr_y", "mse_y", "ssim"}
    for picture in [*point.pictures.values(), *point.clip.originals.values()]:
        assert (measured / picture).read_bytes().startswith(b"\x89PNG")
    assert len(point.pictures) == 2


def test_a_run_with_nothing_new_is_quick_and_loads_no_torch(measured, clips):
    before = {p: p.stat().st_mtime_ns for p in measured.rglob("*.json")}
    script = "import sys; from nvcodec.cli import main; print(main(sys.argv[1:]), 'torch' in sys.modules)"
    start = time.monotonic()
    arguments = ["rd", *map(str, clips), *QUICK, "-o", str(measured)]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    assert time.monotonic() - start < 5
    assert done.returncode == 0, done.stderr
    assert "0 points measured, 6 there already" in done.stdout
    assert done.stdout.endswith("0 False\n")
    assert before == {p: p.stat().st_mtime_ns for p in measured.rglob("*.json")}


def test_only_what_is_missing_is_measured_and_comes_out_the_same(measured, clips, tmp_path):
    folder = tmp_path / "results"
    shutil.copytree(measured, folder)
    lost = sorted((folder / "points").rglob("*.json"))[2]
    old = json.loads(lost.read_text())
    lost.unlink()
    done = nvc_rd(*clips, *QUICK, "-o", folder, "--json")
    summary = json.loads(done.stdout)
    assert (summary["measured"], summary["already"], summary["failures"]) == (1, 5, [])
    new = json.loads(lost.read_text())
    for name in ("key", "metrics", "series", "rate"):
        assert new[name] == old[name]


def test_other_conditions_are_other_points(measured, clips, tmp_path):
    folder = tmp_path / "results"
    shutil.copytree(measured, folder)
    done = nvc_rd(clips[0], *QUICK, "--frames", 3, "-o", folder)
    assert "3 points measured, 0 there already" in done.stdout, done.stderr
    results = ResultsFolder.open(folder)
    assert len(results.all_conditions()) == 2
    assert sorted(len(c.points) for c in results.curves()) == [3, 3, 3]
    assert {p.clip.frames for p in results} == {3, 4, 6}


def test_a_failing_codec_does_not_stop_the_others(clips, tmp_path):
    # x265 takes no pictures below its smallest block; x264 does.
    small = make_clip(tmp_path / "small.y4m", 2, "8x8")
    arguments = (clips[0], small, *QUICK, "--codec", "x265:medium", "--quality", "x265=30", "-o", tmp_path / "r")
    done = nvc_rd(*arguments)
    failed = read_failures(tmp_path / "r")
    assert done.returncode == 1
    assert [(f.clip, f.codec, f.quality) for f in failed] == [("small", "x265:medium:ld", "crf 30")]
    assert "Image size is too small (8x8)" in failed[0].error
    assert "failed: x265:medium:ld crf 30 on small" in done.stderr
    assert "7 points measured, 0 there already, 1 failed" in done.stdout
    assert "Traceback" not in done.stderr
    assert len(ResultsFolder.open(tmp_path / "r").points) == 7


def test_a_clip_that_cannot_be_read_does_not_stop_the_others(clips, tmp_path):
    empty = tmp_path / "empty.y4m"
    empty.write_bytes(b"YUV4MPEG2 W64 H48 F25:1 C420mpeg2\n")
    junk = tmp_path / "junk.mkv"
    junk.write_bytes(b"not a video" * 100)
    done = nvc_rd(clips[1], empty, junk, *QUICK, "-o", tmp_path / "r")
    assert done.returncode == 1
    assert "3 points measured, 0 there already, 6 failed" in done.stdout, done.stderr
    errors = {f.clip: f.error for f in read_failures(tmp_path / "r")}
    assert set(errors) == {"empty", "junk"}
    assert "no frames" in errors["empty"]
    assert "cannot be read as video" in errors["junk"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_loses_nothing_and_resumes(number, tmp_path):
    clip = make_clip(tmp_path / "long.mkv", 40, "320x240")
    folder, work = tmp_path / "results", tmp_path / "work"
    work.mkdir()
    arguments = (clip, "--codec", "x264:veryslow", "--metrics", "psnr", "-o", folder, "--temporary", work)
    running = subprocess.Popen(command_line(*arguments), stderr=subprocess.PIPE, text=True, start_new_session=True)
    for line in running.stderr:
        if line.startswith("[1/5]"):
            break
    running.send_signal(number)
    _, rest = running.communicate(timeout=20)
    assert running.returncode == 128 + number
    assert "Traceback" not in rest
    assert list(work.iterdir()) == []
    assert not [p for p in folder.rglob("*") if p.name.endswith(".part")]
    kept = len(ResultsFolder.open(folder).points)
    assert 1 <= kept < 5
    done = nvc_rd(*arguments)
    assert f"{5 - kept} points measured, {kept} there already" in done.stdout, done.stderr


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups")
def test_interrupting_ends_the_encoders(tmp_path):
    clip = make_clip(tmp_path / "long.mkv", 400, "640x480")
    arguments = (clip, "--codec", "vvenc:medium", "--metrics", "psnr", "-o", tmp_path / "r", "--temporary", tmp_path)
    running = subprocess.Popen(command_line(*arguments), stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("nvc-rd-*/*/stream.vvc")) and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=20)
    marks = [str(tmp_path).encode(), b"ffmpeg"]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes()
        except OSError:
            continue
        assert not all(mark in line for mark in marks), line


def test_wrong_usage_is_one_line_and_code_2(clips, tmp_path, capsys):
    results = tmp_path / "r"
    other = tmp_path / "other"
    other.mkdir()
    same_name = make_clip(other / "one.mkv", 3, "32x32")
    raw = make_clip(tmp_path / "raw.yuv", 2)
    for arguments, message in [
        ((clips[0], *QUICK), "no results folder"),
        (("-o", results, *QUICK), "no clips"),
        ((clips[0], "-o", results), "no codec"),
        ((clips[0], "-o", results, "--codec", "x266:fast"), "'x266' is not known"),
        ((clips[0], "-o", results, *QUICK, "--metrics", "psnrr"), "'psnrr' does not exist"),
        ((clips[0], "-o", results, *QUICK, "--quality", "x265=1"), "CODEC among"),
        ((clips[0], "-o", results, *QUICK, "--quality", "x264=a"), "not a list of numbers"),
        ((clips[0], "-o", results, *QUICK, "--quality", "x264=99"), "allowed is 0 to 51"),
        ((clips[0], "-o", results, *QUICK, "--conditions", "mine"), "'mine' are not known"),
        ((clips[0], "-o", results, *QUICK, "--jobs", "0"), "--jobs"),
        ((clips[0], "-o", results, *QUICK, "--pictures", "9:3"), "--pictures"),
        ((clips[0], same_name, "-o", results, *QUICK), "two clips are called 'one'"),
        ((tmp_path / "missing.mkv", "-o", results, *QUICK), "no such file"),
        ((raw, "-o", results, *QUICK), "give --size and --rate"),
        ((clips[0], "-o", clips[1], *QUICK), "is a file"),
    ]:
        code = main(["rd", *map(str, arguments)])
        said = capsys.readouterr().err
        assert code == 2, (arguments, said)
        assert message in said
        assert len(said.splitlines()) == 1


def test_a_folder_of_another_version_is_refused(clips, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "results.json").write_text('{"schema": "nvcodec.rd.results", "schema_version": 2}')
    done = nvc_rd(clips[0], *QUICK, "-o", tmp_path / "r")
    assert done.returncode == 4
    assert "schema version 2, this build reads 1" in done.stderr


def test_raw_ten_bit_and_full_range_clips(tmp_path):
    raw = make_clip(tmp_path / "raw.yuv", 3)
    quick = ("--codec", "x264:medium", "--metrics", "psnr", "--quality", "x264=10", "-o", tmp_path / "r")
    assert nvc_rd(raw, *quick, "--size", "64x48", "--rate", "25").returncode == 0
    wrong = nvc_rd(raw, *quick, "--size", "64x50", "--rate", "25")
    assert "a multiple of 4800 is needed" in wrong.stderr
    ten = make_clip(tmp_path / "ten.mkv", 3, extra=("-pix_fmt", "yuv420p10le"))
    full = tmp_path / "full.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25", "-frames:v", "3", "-vf", "scale=out_range=full"]
    output = ["-pix_fmt", "yuvj420p", "-c:v", "libx264", "-crf", "1", str(full)]
    subprocess.run([find_ffmpeg().path, "-v", "error", *source, *output], check=True)
    done = nvc_rd(ten, full, *quick)
    assert done.returncode == 0, done.stderr
    points = {p.clip.name: p for p in ResultsFolder.open(tmp_path / "r")}
    assert points["full"].clip.full_range
    assert points["ten"].clip.notes
    assert not points["raw"].clip.notes
    for point in points.values():  # nearly lossless: any mix-up of ranges would cost ten decibels
        assert point.metrics["psnr_y"] > 45


def test_a_folder_of_videos_and_a_repeated_file(clips):
    found = find_clips([clips[0].parent, clips[0]])
    assert [c.name for c in found] == ["one", "two"]


def test_commands_can_be_shown_without_a_clip():
    done = nvc_rd("--codec", "x265:slow:ra", "--codec", "svtav1:4", "--show-commands")
    assert done.returncode == 0, done.stderr
    assert "libx265 -preset slow" in done.stdout
    assert "-crf 56" in done.stdout


def test_report_is_reached_by_its_own_arguments(measured, tmp_path, capsys):
    assert main(["rd", "report", str(measured), "-o", str(tmp_path / "report"), "--only", "tables"]) == 0
    assert (tmp_path / "report" / "report.md").is_file()
    assert main(["rd", "report", str(tmp_path / "nowhere")]) == 2
    assert "not a results folder" in capsys.readouterr().err


def test_an_encoder_that_once_wrote_nothing_is_asked_again(clips, tmp_path):
    """As libvvenc in ffmpeg does: no frame, no error. The wrapper stands in for it at the first attempt."""
    wrapper, tried = tmp_path / "bin" / "ffmpeg", tmp_path / "tried"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f'#!/bin/sh\nfor last; do :; done\ncase "$last" in *.h264) if [ ! -e {tried} ]; then echo > {tried}; '
        f': > "$last"; exit 0; fi;; esac\nexec {find_ffmpeg().path} "$@"\n'
    )
    wrapper.chmod(0o755)
    environment = {**os.environ, "PATH": f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"}
    arguments = (clips[0], "--codec", "x264:medium", "--metrics", "psnr", "--quality", "x264=32")
    done = nvc_rd(*arguments, "-o", tmp_path / "results", env=environment)
    assert tried.exists()
    assert "1 points measured, 0 there already, 0 failed" in done.stdout, done.stdout + done.stderr
