# SPDX-License-Identifier: Apache-2.0
"""Points survive the trip through JSON; folders refuse what would mix or hide results."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvcodec.errors import NvcError, UnsupportedError, UsageError
from nvcodec.rd.schema import (
    Clip,
    CodecRecord,
    Conditions,
    Failure,
    Point,
    Quality,
    Rate,
    Timing,
    digest,
    point_from_json,
    point_to_json,
)
from nvcodec.rd.store import ResultsFolder, read_failures, write_atomic


def make_point(*, clip="bikes", codec="x264:medium:ld", crf=27.0, nbytes=1000, version="1", **changes):
    frames = changes.pop("frames", 2)
    clip = Clip(clip, changes.pop("width", 64), 48, frames, "25/1", f"{clip}.mp4", "s", changes.pop("sha", "f"))
    record = CodecRecord(codec, codec.split(":")[0], "ld", version)
    conditions = changes.pop("conditions", Conditions())
    psnr = changes.pop("psnr", 30.0 + nbytes / 1000)
    point = Point(
        digest([dataclasses.asdict(clip), codec, version, crf, conditions.identity]),
        clip,
        record,
        Quality("crf", crf),
        conditions,
        Rate(nbytes, nbytes / 100, nbytes / 6144, "raw", [nbytes // 2] * frames),
        Timing(0.5, 0.25, 1, 1),
        {"psnr_y": psnr},
        {"psnr_y": [psnr] * frames},
    )
    return dataclasses.replace(point, **changes)


numbers = st.floats(min_value=1e-3, max_value=1e9, allow_nan=False).map(lambda v: float(f"{v:.9g}"))
texts = st.text(max_size=20)


@st.composite
def points(draw):
    frames = draw(st.integers(1, 5))
    series = st.lists(numbers, min_size=frames, max_size=frames)
    crop = draw(st.none() | st.tuples(st.integers(1, 99), st.integers(1, 99)))
    names = st.text("abcdefgh_", min_size=1, max_size=6)
    return Point(
        draw(texts),
        Clip(draw(texts), 64, 48, frames, "30000/1001", draw(texts), "a", "b", notes=draw(st.lists(texts, max_size=2))),
        CodecRecord(
            draw(texts), "ours", "ld", "v", weights_sha256=draw(st.none() | texts), settings={"a": [1, "x", None]}
        ),
        Quality("quality", draw(numbers)),
        Conditions(draw(texts), draw(st.none() | st.integers(1, 9)), 0, "psnr_yuv", "rgb", crop, draw(texts)),
        Rate(draw(st.integers(1, 1 << 40)), draw(numbers), draw(numbers), "nvc"),
        Timing(draw(numbers), draw(numbers), 1, 2),
        draw(st.dictionaries(names, numbers, max_size=4)),
        draw(st.dictionaries(names, series, max_size=4)),
        commands={"encode": draw(st.lists(texts, max_size=3))},
        pictures={"0": "pictures/a.png"},
    )


@settings(max_examples=60, deadline=None)
@given(points())
def test_json_round_trip(point):
    assert point_from_json(point_to_json(point), "x") == point


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_altered_json_is_read_or_refused_in_one_line(data):
    text = point_to_json(make_point())
    start = data.draw(st.integers(0, len(text) - 1))
    stop = data.draw(st.integers(start, min(len(text), start + 40)))
    altered = text[:start] + data.draw(st.text(max_size=5)) + text[stop:]
    said = ""
    try:
        point_from_json(altered, "x")
    except NvcError as error:
        said = str(error)
    assert not said or (said.startswith("x:") and len(said) < 400)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["rate", "nbytes"], 0, "all must be positive"),
        (["rate", "nbytes"], "1", "expected int"),
        (["rate", "nbytes"], True, "expected int"),
        (["rate", "frame_nbytes"], [1], "1 values for 2 frames"),
        (["series", "psnr_y"], [1.0], "1 values for 2 frames"),
        (["series", "psnr_y"], [1.0, "x"], "expected float"),
        (["metrics", "psnr_y"], None, "expected float"),
        (["clip", "frame_rate"], "fast", "positive fraction"),
        (["clip", "frame_rate"], "1/0", "positive fraction"),
        (["clip", "frames"], 0, "positive"),
        (["pictures"], {"0": "../../etc/passwd"}, "inside the results folder"),
        (["pictures"], {"0": "/etc/passwd"}, "inside the results folder"),
        (["surprise"], 1, "unknown field 'surprise'"),
        (["schema"], "other", "not a file of kind"),
    ],
)
def test_wrong_fields_are_named(path, value, message):
    body = json.loads(point_to_json(make_point()))
    inner = body
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    with pytest.raises(NvcError, match=message):
        point_from_json(json.dumps(body), "x")


def test_missing_fields_and_infinities_are_refused():
    body = json.loads(point_to_json(make_point()))
    del body["rate"]
    with pytest.raises(NvcError, match="'rate' of Point is missing"):
        point_from_json(json.dumps(body), "x")
    with pytest.raises(NvcError, match="Infinity is not allowed"):
        point_from_json(point_to_json(make_point()).replace("31.0", "Infinity", 1), "x")


def test_another_schema_version_is_refused(tmp_path):
    body = json.loads(point_to_json(make_point()))
    with pytest.raises(UnsupportedError, match="version 2, this build reads 1"):
        point_from_json(json.dumps(body | {"schema_version": 2}), "x")
    folder = ResultsFolder.create(tmp_path / "r")
    (folder.path / "results.json").write_text('{"schema": "nvcodec.rd.results", "schema_version": 99}')
    with pytest.raises(UnsupportedError, match="version 99"):
        ResultsFolder.create(folder.path)


def test_folder_keeps_points_and_groups_curves(tmp_path):
    folder = ResultsFolder.create(tmp_path / "r")
    for nbytes, crf in ((4000, 22), (1000, 32), (2000, 27)):
        folder.add(make_point(nbytes=nbytes, crf=crf))
    folder.add(make_point(codec="x265:medium:ld"))
    folder.add(make_point(conditions=Conditions("quick", 2)))
    again = ResultsFolder.open(folder.path)
    assert set(again.points) == set(folder.points)
    assert sorted((c.label, c.conditions.name, len(c.points)) for c in again.curves()) == [
        ("x264:medium:ld", "default", 3),
        ("x264:medium:ld", "quick", 1),
        ("x265:medium:ld", "default", 1),
    ]
    default = again.curves(Conditions())
    assert [p.rate.nbytes for p in default[0].points] == [1000, 2000, 4000]
    assert default[0].values("psnr_y") == [31.0, 32.0, 34.0]
    with pytest.raises(NvcError, match="metric 'vmaf' was not measured"):
        default[0].values("vmaf")


def test_two_versions_of_a_codec_are_two_curves(tmp_path):
    folder = ResultsFolder.create(tmp_path / "r")
    folder.add(make_point(version="1"))
    folder.add(make_point(version="2"))
    labels = [c.label for c in folder.curves()]
    assert len(set(labels)) == 2
    assert all(label.startswith("x264:medium:ld@") for label in labels)


def test_disagreement_under_one_key_is_refused(tmp_path):
    folder = ResultsFolder.create(tmp_path / "r")
    point = make_point()
    folder.add(point)
    folder.add(point)
    with pytest.raises(NvcError, match="disagree for key"):
        folder.add(dataclasses.replace(point, rate=dataclasses.replace(point.rate, nbytes=999)))
    with pytest.raises(NvcError, match=r"psnr_y is 31\.0 and 40\.0"):
        folder.add(dataclasses.replace(point, metrics={"psnr_y": 40.0}))
    other = dataclasses.replace(point, rate=dataclasses.replace(point.rate, nbytes=999))
    (folder.path / "points" / "copied.json").write_text(point_to_json(other))
    with pytest.raises(NvcError, match=r"copied.json|disagree"):
        ResultsFolder.open(folder.path)


def test_one_name_stands_for_one_clip(tmp_path):
    folder = ResultsFolder.create(tmp_path / "r")
    folder.add(make_point())
    with pytest.raises(NvcError, match="64x48 with 2 frames and as 32x48"):
        folder.add(make_point(width=32))
    with pytest.raises(NvcError, match="two different contents"):
        folder.add(make_point(sha="g"))


def test_folders_that_are_not_results_are_refused(tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(UsageError, match="holds files"):
        ResultsFolder.create(tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        ResultsFolder.create(tmp_path / "x")
    with pytest.raises(UsageError, match="not a results folder"):
        ResultsFolder.open(tmp_path)


def test_failures_are_kept_until_a_run_has_none(tmp_path):
    folder = ResultsFolder.create(tmp_path / "r")
    failure = Failure("bikes", "x264:medium:ld", "crf 27", "no")
    folder.write_failures([failure])
    assert read_failures(folder.path) == [failure]
    folder.write_failures([])
    assert read_failures(folder.path) == []


def test_a_write_that_does_not_fit_leaves_nothing(tmp_path):
    pytest.importorskip("resource")
    script = (
        "import resource, sys; from pathlib import Path; from nvcodec.rd.store import write_atomic\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_atomic(Path(sys.argv[1]), 'x' * 5000)\n"
        "except Exception as error: print(error); sys.exit(9)"
    )
    target = tmp_path / "point.json"
    target.write_text("old")
    done = subprocess.run([sys.executable, "-c", script, str(target)], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    assert "cannot be written" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["point.json"]
    assert target.read_text() == "old"
    write_atomic(target, "new")
    assert Path(target).read_text() == "new"


def test_a_folder_is_measured_into_by_one_process_at_a_time(tmp_path):
    pytest.importorskip("fcntl")
    first = ResultsFolder.create(tmp_path / "r")
    hold = (
        "import sys; from nvcodec.rd.store import ResultsFolder\nwith ResultsFolder.open(sys.argv[1]).alone(): print()"
    )
    with first.alone():
        done = subprocess.run([sys.executable, "-c", hold, str(first.path)], capture_output=True, text=True)
        assert done.returncode == 1
        assert "another process is measuring into this folder" in done.stderr
    subprocess.run([sys.executable, "-c", hold, str(first.path)], check=True)
