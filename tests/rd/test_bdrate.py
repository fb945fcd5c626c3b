# SPDX-License-Identifier: Apache-2.0
"""BD-rate against published numbers, against another implementation, and its refusals."""

import bjontegaard
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvcodec.rd.bdrate import CurveError, bd_compare, bd_over_set, bd_psnr, bd_rate, bd_rate_by_parts, mean_curve

# VCEG-M33's own Excel example, as kept in bjontegaard_etro_standalone_example.xlsm (github.com/tbr/bjontegaard_etro,
# sheet "This sheet was copied from the original M33 Excel example"): cubic polynomial.
M33 = (
    [90.33, 181.03, 332.99, 547.79],
    [27.95, 31.17, 34.44, 38.11],
    [127.1719, 186.14, 307.2924, 481.5588],
    [29.9286, 32.4165, 34.7013, 37.4561],
)
M33_BD_RATE_PERCENT = -13.261772993093556
M33_BD_PSNR_DB = 0.80071318397395785

# JCTVC-E137 (Geneva, 2011), luma points at QP 22, 27, 32, 37 and the BD-rates of its PCHIP spreadsheet, as carried by
# the BD-rate tests of Netflix's VMAF and, citing them, of Android (com.android.media.videoquality.bdrate).
E137_FIRST = (
    [108048.8736, 61279.976, 33905.6656, 18883.6928],
    [43.6471, 40.3953, 37.247, 34.2911],
    [108061.2784, 61299.9936, 33928.7472, 18910.912],
    [43.6768, 40.4232, 37.2761, 34.3147],
)
E137_SECOND = (
    [40433.8848, 7622.7456, 2394.488, 1017.6184],
    [37.5761, 35.3756, 33.8977, 32.0603],
    [40370.12, 7587.0024, 2390.0944, 1017.0984],
    [37.5982, 35.4025, 33.9194, 32.0822],
)


def test_vceg_m33_example():
    assert bd_rate(*M33, method="cubic") == pytest.approx(M33_BD_RATE_PERCENT, abs=1e-6)
    assert bd_psnr(*M33, method="cubic") == pytest.approx(M33_BD_PSNR_DB, abs=1e-6)


@pytest.mark.parametrize(("curves", "percent"), [(E137_FIRST, -0.465215420752807), (E137_SECOND, -1.8779823450567612)])
def test_jctvc_e137_tables(curves, percent):
    assert bd_rate(*curves) == pytest.approx(percent, abs=1e-3)
    assert bd_compare(*curves).bd_rate_percent == pytest.approx(percent, abs=1e-3)


@st.composite
def rd_curves(draw):
    def curve():
        count = draw(st.integers(4, 7))
        steps = st.lists(st.floats(0.05, 0.5), min_size=count, max_size=count)
        rates = 10 ** (draw(st.floats(2.0, 2.3)) + np.cumsum(draw(steps)))
        gains = st.lists(st.floats(0.5, 3.0), min_size=count, max_size=count)
        return rates, draw(st.floats(29, 31)) + np.cumsum(draw(gains))

    return (*curve(), *curve())


@settings(deadline=None, max_examples=60)
@given(rd_curves())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_agrees_with_the_bjontegaard_package(curves):
    try:
        ours = bd_compare(*curves)
    except CurveError:
        assert np.isnan(bjontegaard.bd_rate(*curves, method="pchip", require_matching_points=False))
        return
    options = {"require_matching_points": False, "min_overlap": 0}
    for method, rate in (("pchip", ours.bd_rate_percent), ("akima", ours.bd_rate_akima_percent)):
        assert rate == pytest.approx(bjontegaard.bd_rate(*curves, method=method, **options), rel=1e-6, abs=0.01)
    if ours.bd_quality is not None:
        assert ours.bd_quality == pytest.approx(bjontegaard.bd_psnr(*curves, method="pchip", **options), abs=0.01)


def test_half_the_rate_is_minus_fifty_percent():
    rates, quality = [100.0, 200.0, 400.0, 800.0], [30.0, 33.0, 36.0, 39.0]
    result = bd_compare(rates, quality, [r / 2 for r in rates], quality)
    assert result.bd_rate_percent == pytest.approx(-50.0)
    assert result.bd_rate_akima_percent == pytest.approx(-50.0)
    assert result.bd_quality == pytest.approx(3.0)
    assert result.overlap == pytest.approx(1.0)
    assert not result.flagged


def test_small_overlap_is_flagged():
    result = bd_compare([1, 2, 4, 8], [30, 33, 36, 39], [1, 2, 4, 8], [33, 36, 39, 42])
    assert result.overlap == pytest.approx(0.5)
    assert result.quality_range == (33, 39)
    assert result.flagged


@pytest.mark.parametrize(
    ("anchor", "test", "message"),
    [
        (([1, 2, 3], [30, 29, 31]), ([1, 2, 3], [30, 31, 32]), "anchor curve is not monotone"),
        (([1, 2, 3], [30, 31, 32]), ([1, 1, 3], [30, 31, 32]), "test curve is not monotone"),
        (([1, 2], [30, 31]), ([1, 2], [40, 41]), "do not overlap"),
        (([1], [30]), ([1, 2], [30, 31]), "1 point, at least 2"),
        (([0, 2], [30, 31]), ([1, 2], [30, 31]), "must be positive"),
        (([1, 2], [30, float("nan")]), ([1, 2], [30, 31]), "finite"),
    ],
)
def test_refusals_say_why(anchor, test, message):
    with pytest.raises(CurveError, match=message):
        bd_compare(*anchor, *test)


def test_lower_is_better():
    rates = [100.0, 200.0, 400.0]
    result = bd_compare(rates, [90.0, 60.0, 30.0], [r * 2 for r in rates], [90.0, 60.0, 30.0], lower_is_better=True)
    assert result.bd_rate_percent == pytest.approx(100.0)
    assert result.bd_quality is not None
    assert result.bd_quality > 0  # at equal rate the metric is higher, which here is worse
    assert result.quality_range == (30, 90)


def test_both_set_averages_and_their_names():
    a = [(100.0, 30.0), (200.0, 33.0), (400.0, 36.0)]
    half, third = [(r / 2, q) for r, q in a], [(r / 3, q) for r, q in a]
    result = bd_over_set({"one": a, "two": a}, {"one": half, "two": third})
    assert result.mean_of_clips_percent == pytest.approx((-50 - 200 / 3) / 2)
    assert result.curve_of_means is not None
    assert result.curve_of_means.bd_rate_percent == pytest.approx(((1 / 2 + 1 / 3) / 2 - 1) * 100)
    assert not result.refused


def test_a_refused_clip_is_named_and_not_hidden():
    a = [(100.0, 30.0), (200.0, 33.0), (400.0, 36.0)]
    result = bd_over_set({"one": a, "two": a}, {"one": a, "two": a[:1]})
    assert result.mean_of_clips_percent == pytest.approx(0.0)
    assert "1 point" in result.refused["two"]
    assert result.curve_of_means is None
    assert "same steps" in result.curve_of_means_refused
    with pytest.raises(CurveError, match="no clip"):
        mean_curve([])


def test_parts_of_a_range_make_the_whole():
    qualities, rates = [30, 33, 36, 39, 42], np.array([100.0, 200, 400, 800, 1600])
    fewer = rates * [0.5, 0.5, 0.8, 1, 1]
    assert bd_rate_by_parts(rates, qualities, 0.7 * rates, qualities, 5) == pytest.approx([-30] * 5)
    parts = bd_rate_by_parts(rates, qualities, fewer, qualities, 4)
    assert parts == pytest.approx([-50, -36, -10, 0], abs=5)
    whole = 100 * (np.exp(np.mean(np.log1p(np.array(parts) / 100))) - 1)
    assert whole == pytest.approx(bd_rate(rates, qualities, fewer, qualities))
    with pytest.raises(CurveError, match="do not overlap"):
        bd_rate_by_parts(rates, qualities, rates, np.array(qualities) + 20, 2)
