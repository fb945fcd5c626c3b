# SPDX-License-Identifier: Apache-2.0
"""``nvc rd report``: files, notes, and every bad input in one line with its exit code."""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from synthetic_results import clip, make_results, point

from nvcodec.errors import NvcError, UnsupportedError, UsageError
from nvcodec.rd.report import cli
from nvcodec.rd.schema import Conditions
from nvcodec.rd.store import ResultsFolder


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return cli.run(parser.parse_args([str(a) for a in arguments]))


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "r"
    make_results(folder, pictures=True)
    return folder


def test_everything_is_written(results, tmp_path, capsys):
    assert run(results, "-o", tmp_path / "out") == 0
    written = {p.name for p in (tmp_path / "out").iterdir()}
    plots = {
        f"{stem}.{kind}" for stem in ("clip-alpha", "clip-beta", "set-all", "speed-all") for kind in ("png", "svg")
    }
    assert written == plots | {"report.html", "report.md", "points.csv", "bd.csv"}
    out, err = capsys.readouterr()
    assert out.strip() == str(tmp_path / "out" / "report.html")
    assert "12 files" in err
    with Image.open(tmp_path / "out" / "clip-alpha.png") as picture:
        assert picture.size[0] > 800
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 10


def test_drawing_again_gives_the_same_bytes(tmp_path):
    make_results(tmp_path / "r", clips=("alpha",), pictures=True)
    run(tmp_path / "r", "-o", tmp_path / "a", "--log", "--rate", "kbps")
    run(tmp_path / "r", "-o", tmp_path / "b", "--log", "--rate", "kbps")
    for first in (tmp_path / "a").iterdir():
        assert first.read_bytes() == (tmp_path / "b" / first.name).read_bytes(), first.name


def test_axes_follow_the_options(results, tmp_path):
    run(results, "-o", tmp_path / "out", "--only", "plots", "--rate", "kbps", "--metric", "ssim")
    svg = (tmp_path / "out" / "clip-alpha.svg").read_text()
    assert "rate (kbit/s)" in svg
    assert "SSIM" in svg
    assert not (tmp_path / "out" / "report.html").exists()


def test_results_are_only_read(results, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    run(copy, "--only", "page")
    for path, content in before.items():
        assert path.read_bytes() == content
    assert (copy / "report" / "report.html").exists()
    assert len(ResultsFolder.open(copy).points) == 40  # the report inside does not disturb


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--anchor", "x266"], "anchor 'x266' has no results here; there are ours:conditional, x264"),
        (["--metric", "vmaf"], "metric 'vmaf' was not measured; there is psnr_yuv"),
        (["--conditions", "dcvc"], "conditions 'dcvc' are not in"),
        (["--with", "dcvc-9000"], "published results 'dcvc-9000' are not known; known are"),
        (["--with", ""], "published results '' are not known"),
        (["--pictures", "-1"], "--pictures is -1, allowed are 0 to 1000"),
    ],
)
def test_names_that_are_not_there(results, tmp_path, arguments, words):
    with pytest.raises(UsageError) as caught:
        run(results, "-o", tmp_path / "out", *arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_no_results_folder(tmp_path):
    with pytest.raises(UsageError, match="not a results folder"):
        run(tmp_path)


def test_a_folder_without_points(tmp_path):
    ResultsFolder.create(tmp_path / "r")
    with pytest.raises(NvcError, match="holds no measured point") as caught:
        run(tmp_path / "r")
    assert caught.value.exit_code == 1


def test_one_point_only_is_drawn_with_the_reason(tmp_path, capsys):
    results = ResultsFolder.create(tmp_path / "r")
    results.add(point("x264:medium:ld", clip("alpha"), 2))
    results.add(point("x265:medium:ld", clip("alpha"), 2))
    assert run(tmp_path / "r", "--only", "tables", "--only", "page") == 0
    text = (tmp_path / "r" / "report" / "report.md").read_text()
    assert "curve has 1 point, at least 2 are needed" in text


def test_another_schema_version(tmp_path):
    make_results(tmp_path / "r", clips=("alpha",))
    file = next((tmp_path / "r" / "points").rglob("*.json"))
    body = json.loads(file.read_text())
    body["schema_version"] = 99
    file.write_text(json.dumps(body))
    with pytest.raises(UnsupportedError, match="schema version 99") as caught:
        run(tmp_path / "r")
    assert caught.value.exit_code == 4


def test_two_conditions_need_a_choice(tmp_path):
    results = ResultsFolder.create(tmp_path / "r")
    for conditions in (Conditions(), Conditions(name="short", frames=6)):
        for step in range(3):
            results.add(point("x264:medium:ld", clip("alpha"), step, conditions=conditions))
    with pytest.raises(UsageError, match=r"2 conditions: default .*, short .*--conditions"):
        run(tmp_path / "r")
    assert run(tmp_path / "r", "--conditions", "short", "--only", "tables") == 0
    assert "Conditions `short`" in (tmp_path / "r" / "report" / "report.md").read_text()


def test_output_that_cannot_be_written(results, tmp_path):
    (tmp_path / "out").write_text("a file in the way")
    with pytest.raises(NvcError, match="cannot be written"):
        run(results, "-o", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "a file in the way"


def test_failures_are_repeated(results, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    from nvcodec.rd.schema import Failure

    ResultsFolder.open(copy).write_failures([Failure("beta", "vvenc:fast:ld", "qp 32", "no encoder libvvenc")])
    assert run(copy, "--only", "tables") == 0
    assert "vvenc:fast:ld on beta: no encoder libvvenc" in capsys.readouterr().err
    assert "no encoder libvvenc" in (copy / "report" / "report.md").read_text()


def test_an_unreadable_picture_is_a_note(results, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    for path in (copy / "pictures").rglob("*.png"):
        path.write_bytes(path.read_bytes()[:60])
    assert run(copy, "--only", "page") == 0
    assert "not a readable picture" in capsys.readouterr().err
    page = (copy / "report" / "report.html").read_text()
    assert "data:image/webp" not in page


def test_pictures_are_bounded(results, tmp_path, capsys):
    assert run(results, "-o", tmp_path / "none", "--only", "page", "--picture-mib", "0") == 0
    assert "data:image" not in (tmp_path / "none" / "report.html").read_text().replace("data:,", "")
    assert "pictures are limited to 0 MiB" in capsys.readouterr().err
    run(results, "-o", tmp_path / "one", "--only", "page", "--pictures", "1")
    run(results, "-o", tmp_path / "three", "--only", "page", "--pictures", "3")
    count = [(tmp_path / n / "report.html").read_text().count("data:image/webp") for n in ("one", "three")]
    assert count[1] == 3 * count[0] > 0


def test_published_names_are_listed(results, capsys):
    assert run(results, "--with", "list") == 0
    assert {"dcvc-rt", "hnerv", "vtm"} <= set(capsys.readouterr().out.split())


def test_tables_need_no_matplotlib(results, tmp_path):
    code = (
        "import argparse, sys\n"
        "from nvcodec.rd.report import cli\n"
        "p = argparse.ArgumentParser(); cli.add_arguments(p)\n"
        "arguments = [*sys.argv[1:], '--only', 'tables', '--only', 'page']\n"
        "cli.run(p.parse_args(arguments))\n"
        "print([m for m in ('matplotlib', 'torch', 'av', 'compressai') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(results), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
