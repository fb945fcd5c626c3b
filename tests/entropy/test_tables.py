# SPDX-License-Identifier: Apache-2.0
"""Integer tables: sums, strict rise, refusals, and the price of symbols."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvcodec.entropy.gaussian import gaussian_tables
from nvcodec.entropy.tables import TOTAL, TableSet, quantise_pmf

WEIGHTS = hnp.arrays(
    np.float64,
    st.integers(1, 400),
    elements=st.floats(0, 1e6, allow_nan=False, allow_infinity=False, allow_subnormal=False),
).filter(lambda pmf: pmf.sum() > 1e-3)


@given(WEIGHTS)
def test_quantised_tables_rise_from_zero_to_two_to_the_sixteen(pmf: np.ndarray) -> None:
    cdf = quantise_pmf(pmf)
    assert cdf.dtype == np.int32
    assert (cdf[0], cdf[-1]) == (0, TOTAL)
    assert (np.diff(cdf) >= 1).all()
    # Each count is the one that all symbols get plus a share of the rest, rounded up or down.
    share = pmf / pmf.sum() * (TOTAL - len(pmf))
    assert (np.abs(np.diff(cdf) - 1 - share) < 1 + 1e-6).all()


@given(st.integers(1, TOTAL // 2))
def test_uniform_tables_differ_by_one_count_at_most(size: int) -> None:
    counts = np.diff(quantise_pmf(np.ones(size)))
    assert counts.sum() == TOTAL
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("pmf", [np.ones(0), np.ones((2, 2)), np.ones(TOTAL // 2 + 1)])
def test_shapes_that_cannot_be_tables(pmf: np.ndarray) -> None:
    with pytest.raises(ValueError, match="table of shape"):
        quantise_pmf(pmf)


@given(st.lists(WEIGHTS, min_size=1, max_size=6))
def test_sets_of_tables_pass_their_check_and_split_into_rows(pmfs: list[np.ndarray]) -> None:
    tables = TableSet.from_pmfs(pmfs, list(range(len(pmfs))))
    tables.check()
    assert len(tables) == len(pmfs)
    assert [len(row) for row in tables.rows] == [len(pmf) + 2 for pmf in pmfs]  # zero, symbols, escape
    assert np.array_equal(np.concatenate(tables.rows), tables.cdf)


SOUND = ([0, 5, TOTAL, 0, 1, 2, TOTAL], [3, 4], [0, -1])


@pytest.mark.parametrize(
    ("cdf", "sizes", "offsets"),
    [
        ([1, 5, TOTAL, 0, 1, 2, TOTAL], SOUND[1], SOUND[2]),  # does not begin at 0
        ([0, 5, TOTAL - 1, 0, 1, 2, TOTAL], SOUND[1], SOUND[2]),  # does not end at 2^16
        ([0, 5, TOTAL, 0, 2, 2, TOTAL], SOUND[1], SOUND[2]),  # a symbol without a count
        ([0, 5, TOTAL, 0, 3, 2, TOTAL], SOUND[1], SOUND[2]),  # falls
        (SOUND[0], [3, 3], SOUND[2]),  # sizes do not add up
        (SOUND[0], [5, 2], SOUND[2]),  # a table without room for a symbol beside the escape
        (SOUND[0], SOUND[1], [0]),  # an offset is missing
    ],
)
def test_check_refuses_what_is_no_set_of_tables(cdf: list[int], sizes: list[int], offsets: list[int]) -> None:
    TableSet(*(np.array(part, np.int32) for part in SOUND)).check()
    with pytest.raises(ValueError, match="table"):
        TableSet(*(np.array(part, np.int32) for part in (cdf, sizes, offsets))).check()


def test_the_price_of_a_symbol_is_its_logarithm() -> None:
    tables = TableSet.from_pmfs([np.array([1.0, 2.0, 1.0]) / 4], [-1], [1e-9])
    values = np.array([-1, 0, 0, 1])
    assert tables.bits(values, np.zeros(4, np.int64)) == pytest.approx(2 + 1 + 1 + 2, abs=0.01)


def test_gaussian_tables_agree_with_the_normal_distribution() -> None:
    scales = np.array([0.11, 0.5, 3.0, 40.0])
    tables = gaussian_tables(scales)
    tables.check()
    rng = np.random.default_rng(0)
    for index, scale in enumerate(scales):
        values = np.rint(rng.normal(0, scale, 20_000)).astype(np.int64)
        bits = tables.bits(values, np.full(len(values), index)) / len(values)
        share = np.bincount(values - values.min()) / len(values)
        entropy = -float((share[share > 0] * np.log2(share[share > 0])).sum())
        assert entropy - 0.01 < bits < entropy * 1.02 + 0.01
