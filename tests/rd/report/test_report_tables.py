# SPDX-License-Identifier: Apache-2.0
"""Tables against values worked out by hand; reasons in place of values that cannot be had."""

import csv
import io
import json
from pathlib import Path

import pytest
import readme_table
from synthetic_results import CODECS, clip, make_results, point

from nvcodec.errors import UsageError
from nvcodec.rd.report import tables
from nvcodec.rd.report.differences import DifferenceTable
from nvcodec.rd.report.model import gather
from nvcodec.rd.store import ResultsFolder


def rows_of(markdown: str, heading: str) -> dict[str, list[str]]:
    """First column -> other cells of the first table below a heading."""
    below = markdown.split(heading, 1)[1].splitlines()
    table = []
    for line in below:
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip("|").split("|")])
        elif table:
            break
    return {row[0]: row[1:] for row in table if not row[0].startswith("---")}


def csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_constant_factors_are_the_bd_rates(tmp_path):
    make_results(tmp_path / "r")
    report = gather(tmp_path / "r")
    assert report.anchor == "x265:medium:ld"
    text = tables.markdown(report, DifferenceTable(report))
    against = rows_of(text, "## BD-rate, all 2 clips, PSNR-YUV 6:1:1")
    # 0.80, 1.25 and 0.64 times the anchor's rate at every quality
    assert against["ours:conditional"] == ["-20.0", "-20.0", "-20.0", "-20.0"]
    assert against["x264:medium:ld"] == ["+25.0"] * 4
    assert against["x265:veryslow:ra"] == ["-36.0"] * 4
    assert "x265:medium:ld" not in against


def test_every_codec_can_be_the_anchor(tmp_path):
    make_results(tmp_path / "r", clips=("alpha",))
    report = gather(tmp_path / "r", anchor="ours:conditional")
    rows = csv_rows(tables.bd_csv(report, DifferenceTable(report)))
    rows = [r for r in rows if r["scope"] == "alpha" and r["metric"] == "psnr_yuv"]
    found = {(r["anchor"], r["codec"]): float(r["bd_rate_percent"]) for r in rows}
    assert len(found) == 12
    for (anchor, codec), value in found.items():
        expected = (CODECS[codec][2] / CODECS[anchor][2] - 1) * 100
        assert value == pytest.approx(expected, abs=0.01)


def test_bd_quality_and_overlap(tmp_path):
    make_results(tmp_path / "r", clips=("alpha",))
    report = gather(tmp_path / "r")
    rows = csv_rows(tables.bd_csv(report, DifferenceTable(report)))
    ours = next(
        r for r in rows if (r["anchor"], r["codec"], r["metric"]) == ("x265:medium:ld", "ours:conditional", "psnr_yuv")
    )
    # 3 dB for each doubling: 20 % fewer bits are worth 3 * log2(1 / 0.8) dB
    assert float(ours["bd_quality"]) == pytest.approx(0.9658, abs=1e-3)
    assert float(ours["overlap"]) == 1.0
    assert ours["flagged"] == "0"
    back = next(
        r for r in rows if (r["anchor"], r["codec"], r["metric"]) == ("ours:conditional", "x265:medium:ld", "psnr_yuv")
    )
    assert float(back["bd_quality"]) == pytest.approx(-float(ours["bd_quality"]), abs=1e-4)


def test_exchanged_pairs_equal_direct_ones(tmp_path):
    results = ResultsFolder.create(tmp_path / "r")
    shapes = {"ours:conditional": [30.0, 33.1, 36.4, 38.2, 41.0], "x265:medium:ld": [29.0, 33.0, 35.9, 38.5, 40.2]}
    for codec, qualities in shapes.items():
        for step, quality in enumerate(qualities):
            results.add(point(codec, clip("alpha"), step, quality=quality))
    report = gather(tmp_path / "r")
    table = DifferenceTable(report)
    from nvcodec.rd.bdrate import bd_compare

    a, b = ([(p.rate.kbps, p.metrics["psnr_yuv"]) for p in c.curves["alpha"].points] for c in report.codecs)
    direct = bd_compare([r for r, _ in b], [q for _, q in b], [r for r, _ in a], [q for _, q in a])
    swapped = table.between(report.codecs[1].label, report.codecs[0].label, report.sets[0], report.metric)
    assert swapped.per_clip["alpha"].bd_rate_percent == pytest.approx(direct.bd_rate_percent, abs=1e-9)
    assert swapped.per_clip["alpha"].bd_rate_akima_percent == pytest.approx(direct.bd_rate_akima_percent, abs=1e-9)
    assert swapped.per_clip["alpha"].bd_quality == pytest.approx(direct.bd_quality, abs=1e-9)


def two_unequal_clips(folder: Path) -> None:
    """On "small" ours needs half the bits, on "large" (ten times the rate) four fifths."""
    results = ResultsFolder.create(folder)
    for name, scale, ours in (("small", 1.0, 0.5), ("large", 10.0, 0.8)):
        for step in range(5):
            results.add(point("x265:medium:ld", clip(name), step, factor=scale))
            results.add(point("ours:conditional", clip(name), step, factor=scale * ours))


def test_both_averages_are_there_and_named(tmp_path):
    two_unequal_clips(tmp_path / "r")
    report = gather(tmp_path / "r")
    text = tables.markdown(report, DifferenceTable(report))
    table = rows_of(text, "## BD-rate, all 2 clips")
    assert table["against x265:medium:ld"] == [
        "large",
        "small",
        "mean of the clips' BD-rates",
        "BD-rate of the mean curves",
    ]
    # mean of -20 and -50; and (10 * 0.8 + 0.5) / 11 - 1 = -22.7 %
    assert table["ours:conditional"] == ["-20.0", "-50.0", "-35.0", "-22.7"]


def test_little_overlap_is_flagged(tmp_path):
    results = ResultsFolder.create(tmp_path / "r")
    for step in range(5):
        results.add(point("x265:medium:ld", clip("alpha"), step))
        # 6 dB higher: 30..42 and 36..48 share 6 of 18 dB
        results.add(point("ours:conditional", clip("alpha"), step, quality=36.0 + 3.0 * step))
    report = gather(tmp_path / "r")
    text = tables.markdown(report, DifferenceTable(report))
    assert all(cell.endswith("*") for cell in rows_of(text, "## BD-rate")["ours:conditional"])
    assert "overlap by less than 75%" in text
    row = csv_rows(tables.bd_csv(report, DifferenceTable(report)))[0]
    assert float(row["overlap"]) == pytest.approx(6 / 18, abs=1e-4)
    assert row["flagged"] == "1"


def test_refusals_are_reasons_not_numbers(tmp_path):
    results = ResultsFolder.create(tmp_path / "r")
    for step in range(5):
        results.add(point("x265:medium:ld", clip("alpha"), step))
        results.add(point("x264:medium:ld", clip("alpha"), step, quality=60.0 + step))
        results.add(point("x265:veryslow:ra", clip("alpha"), step, quality=[30.0, 34.0, 33.0, 38.0, 40.0][step]))
    results.add(point("ours:conditional", clip("alpha"), 2))
    report = gather(tmp_path / "r")
    text = tables.markdown(report, DifferenceTable(report))
    rows = rows_of(text, "## BD-rate, all 1 clip")
    assert all(cell.startswith("[") for codec in rows if codec in CODECS for cell in rows[codec])
    assert "ours:conditional curve has 1 point" in text
    assert "x265:veryslow:ra curve is not monotone" in text
    assert "quality ranges do not overlap: x264:medium:ld 60..64, x265:medium:ld 30..42" in text


def test_a_missing_clip_is_named_beside_the_mean(tmp_path):
    make_results(tmp_path / "r")
    results = ResultsFolder.open(tmp_path / "r")
    for step in range(5):
        results.add(point("x265:medium:ld", clip("gamma"), step))
    report = gather(tmp_path / "r")
    text = tables.markdown(report, DifferenceTable(report))
    cells = rows_of(text, "## BD-rate, all 3 clips")["ours:conditional"]
    assert cells[0] == cells[1] == "-20.0"
    assert cells[3].startswith("-20.0 (2 clips) [")
    assert cells[4].startswith("[")
    assert "left out: gamma: measured only for x265:medium:ld" in text


def test_points_csv_holds_every_point(tmp_path):
    made = make_results(tmp_path / "r")
    rows = csv_rows(tables.points_csv(gather(tmp_path / "r")))
    assert len(rows) == len(made.points) == 40
    assert {float(r["psnr_yuv"]) for r in rows} == {30.0, 33.0, 36.0, 39.0, 42.0}
    assert all(float(r["encode_s"]) > 0 for r in rows)


def test_speed_counts_frames_over_seconds(tmp_path):
    make_results(tmp_path / "r")
    report = gather(tmp_path / "r")
    assert report.codec("ours:conditional").fps(["alpha", "beta"], "encode") == pytest.approx(20.0)
    assert rows_of(tables.markdown(report, DifferenceTable(report)), "## Speed")["x264:medium:ld"] == ["250", "1e+03"]


def test_cells_cannot_break_the_table():
    assert "a\\|b" in tables.grid(["x"], [["a|b"]])


def test_steps_chosen_per_clip_have_no_mean_curve(tmp_path):
    results = ResultsFolder.create(tmp_path / "r")
    for name, shift in (("alpha", 0), ("beta", 1)):
        for step in range(5):
            results.add(point("x265:medium:ld", clip(name), step, steps=5 + shift))
            results.add(point("x264:medium:ld", clip(name), step))
    report = gather(tmp_path / "r")
    result = DifferenceTable(report).between("x265:medium:ld", "x264:medium:ld", report.sets[0], report.metric)
    assert result.mean_of_clips_percent == pytest.approx(25.0)
    assert result.curve_of_means is None
    assert "other quality steps" in result.curve_of_means_refused


def test_the_readme_shows_codecs_against_each_of_the_others(tmp_path, monkeypatch, capsys):
    make_results(tmp_path / "r")
    monkeypatch.setattr("sys.argv", [
        "readme_table.py", str(tmp_path / "r"), "--columns", "ours:conditional", "x265:veryslow:ra",
        "--json", str(tmp_path / "rows.json"),
    ])  # fmt: skip
    assert readme_table.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| against | ours:conditional | x265:veryslow:ra |"
    # 0.80 and 0.64 times the rate of the one, and of the other, which takes 1.25 times as much
    assert sorted(lines[2:]) == [
        "| x264:medium:ld | -36.0% / -36.0% | -48.8% / -48.8% |",
        "| x265:medium:ld | -20.0% / -20.0% | -36.0% / -36.0% |",
    ]
    assert {row["against"] for row in json.loads((tmp_path / "rows.json").read_text())} == {
        "x264:medium:ld", "x265:medium:ld",
    }  # fmt: skip
    monkeypatch.setattr("sys.argv", ["readme_table.py", str(tmp_path / "r"), "--columns", "ours:none"])
    assert readme_table.main() == UsageError.exit_code
    assert "--columns ours:none: not measured" in capsys.readouterr().err
