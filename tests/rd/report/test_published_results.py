# SPDX-License-Identifier: Apache-2.0
"""Published results: every entry has its source, matching ones are shown, others are refused with the reason."""

import argparse
import dataclasses
from itertools import pairwise

import pytest
from synthetic_results import clip, point

from nvcodec.datasets import get_dataset
from nvcodec.errors import UsageError
from nvcodec.rd.conditions import condition_names, get_conditions
from nvcodec.rd.published import published_names, select, set_beside
from nvcodec.rd.report import cli
from nvcodec.rd.report.model import gather
from nvcodec.rd.report.plots import set_lines
from nvcodec.rd.schema import Clip, Conditions
from nvcodec.rd.store import ResultsFolder


def uvg_clips(frames: int | None = None) -> list[Clip]:
    return [clip(c.name, c.width, c.height, frames or c.frames) for c in get_dataset("uvg").clips]


@pytest.mark.parametrize("name", published_names())
def test_every_entry_is_complete(name):
    (entry,) = [e for e in select([name]) if e.name == name]
    assert entry.source.startswith("https://")
    assert len(entry.citation) > 10
    assert bool(entry.curves) != bool(entry.bd_rates)
    for dataset in entry.datasets:
        get_dataset(dataset)
    for curve in entry.curves:
        rates, qualities = zip(*curve.points, strict=True)
        assert list(rates) == sorted(set(rates))
        assert list(qualities) == sorted(set(qualities))
        assert rates[0] > 0
    if entry.bd_rates and entry.mean is not None:
        assert sum(entry.bd_rates.values()) / len(entry.bd_rates) == pytest.approx(entry.mean, abs=0.06)


def test_known_figures():
    """arXiv:2304.02633, sizes on Bunny; arXiv:2502.20762 and 2606.04410, BD-rates against VTM-17.0."""
    (hnerv,) = select(["hnerv"])
    assert hnerv.curves[0].points[1] == (0.053, 32.81)
    (rt,) = select(["dcvc-rt"])
    assert rt.bd_rates["uvg"] == -24.0
    assert {e.name for e in select(["dcvc-uf"])} == {"dcvc-uf-ld", "dcvc-uf-ht-s", "dcvc-uf-ht-l"}


def test_rates_in_kbit_per_second_were_converted():
    """results/video/UVG-1080p/VTM-v15.0-lowdelay.json of CompressAI: 17790.914 kbit/s at QP 22 and 38.9326 dB."""
    curve = {quality: bpp for bpp, quality in select(["compressai-vtm"])[0].curves[0].points}
    assert curve[38.9326] == pytest.approx(17790.914e3 / (120 * 1920 * 1080), rel=1e-5)


def test_published_order_of_codecs():
    """On CompressAI's UVG curves VTM beats x265 beats x264 beats ssf2020, all with enough overlap to say so."""
    from nvcodec.rd.bdrate import bd_compare

    names = ["compressai-vtm", "compressai-x265", "compressai-x264", "ssf2020"]
    curves = [select([n])[0].curves[0].points for n in names]
    for better, worse in pairwise(curves):
        result = bd_compare(*zip(*better, strict=True), *zip(*worse, strict=True))
        assert 30 < result.bd_rate_percent < 200


def test_matching_conditions_are_shown():
    entry = select(["dcvc-rt"])[0]
    shown, refused = set_beside(entry, uvg_clips(), get_conditions("dcvc"))
    assert [(s.dataset, s.bd_rate) for s in shown] == [("uvg", -24.0)]
    assert refused == []
    # conditions are what was done, not what they are called
    assert set_beside(entry, uvg_clips(), Conditions(name="mine"))[0]


@pytest.mark.parametrize(
    ("clips", "conditions", "words"),
    [
        (uvg_clips(), Conditions(intra_period=32), "with one intra frame, measured with an intra frame every 32"),
        (uvg_clips(96), Conditions(frames=96), "Beauty: published for 600 frames, measured on 96"),
        (uvg_clips()[:-1], Conditions(), "published as the average of uvg; YachtRide not measured"),
        ([clip("alpha")], Conditions(), "these results hold no clip of it"),
    ],
)  # fmt: skip
def test_other_conditions_are_refused(clips, conditions, words):
    shown, refused = set_beside(select(["vtm"])[0], clips, conditions)
    assert shown == []
    assert any(words in line for line in refused)


def test_the_crop_counts():
    (entry,) = select(["hnerv"])
    cropped = clip("bunny", 1280, 640, 132)
    assert len(set_beside(entry, [cropped], get_conditions("hnerv"))[0]) == 1
    whole = clip("bunny", 1280, 720, 132)
    shown, refused = set_beside(entry, [whole], get_conditions("hnerv"))
    assert shown == []
    assert "published at 1280x640, measured at 1280x720" in refused[0]


def test_unknown_names():
    with pytest.raises(UsageError, match="'hnerb' are not known"):
        select(["hnerb"])
    with pytest.raises(UsageError, match=r"'jvet' are not known; known are default, dcvc"):
        get_conditions("jvet")
    assert all(get_conditions(n).name == n for n in condition_names())


def bunny_results(folder) -> None:
    results = ResultsFolder.create(folder)
    where = clip("bunny", 1280, 640, 132)
    for step in range(5):
        made = point("x265:medium:ld", where, step, conditions=get_conditions("hnerv"))
        rate = dataclasses.replace(made.rate, bpp=0.01 * 2**step)
        metrics = {"psnr_rgb": 30.15 + 2.5 * step, "psnr_yuv": 31.0 + step}
        results.add(dataclasses.replace(made, rate=rate, metrics=metrics))


def test_published_curves_are_dashed_and_labelled(tmp_path, capsys):
    bunny_results(tmp_path / "r")
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    assert cli.run(parser.parse_args([str(tmp_path / "r"), "--with", "hnerv,nerv,dcvc-rt"])) == 0
    assert "dcvc-rt: published for hevc-b" in capsys.readouterr().err
    svg = (tmp_path / "r" / "report" / "clip-bunny.svg").read_text()
    assert "HNeRV (300 epochs) (published)" in svg
    assert "stroke-dasharray" in svg
    text = (tmp_path / "r" / "report" / "report.md").read_text()
    assert "arXiv:2304.02633" in text
    assert "no file was written" in text
    assert "Not shown, because the conditions differ" in text
    # the measured codec against the published points: at 30.15..37.43 dB it needs under half
    row = next(line for line in text.splitlines() if line.startswith("| x265:medium:ld | bunny |") and "HNeRV" in line)
    assert float(row.split("|")[3].strip(" *")) < -50


def test_set_averages_stand_beside_the_mean_curve(tmp_path):
    results = ResultsFolder.create(tmp_path / "r")
    for where in uvg_clips():
        for step in range(4):
            made = point("x265:medium:ld", where, step, conditions=get_conditions("dcvc"))
            results.add(dataclasses.replace(made, series={}, rate=dataclasses.replace(made.rate, frame_nbytes=[])))
    report = gather(tmp_path / "r", published=select(["vtm"]))
    assert [s.name for s in report.sets] == ["uvg"]
    lines, reasons = set_lines(report, report.sets[0], report.metric, "kbps")
    assert [line.published for line in lines] == [False, True]
    assert reasons == []
    # 0.065904 bit per pixel of 1920x1080 at the 30 Hz of the measured clips
    assert lines[1].points[-1][0] == pytest.approx(0.065904 * 1920 * 1080 * 30 / 1000)
