# SPDX-License-Identifier: Apache-2.0
"""Where in frequency latents are: the same bins for every transform, and what lies around a square and was there."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nvcodec.models.kernels.density import (
    BIN,
    BINS,
    COARSE,
    DENSITIES,
    FINE,
    LARGE,
    TINY,
    add_density,
    classes_around,
    classes_here,
    no_densities,
    width_of,
)
from nvcodec.models.kernels.latents import MAX_SYMBOL
from nvcodec.models.kernels.residual import SAMPLES
from nvcodec.models.transform import frequency_order

KINDS = (COARSE, FINE, TINY, LARGE)
COUNTS = {COARSE: 384, FINE: 96, TINY: 96, LARGE: 384}
WIDTHS = {COARSE: 2, FINE: 1, TINY: 1, LARGE: 4}  # in quarters
MOST_OF_LUMA, MOST_OF_CHROMA = 4, 2  # bins in each direction
FIRSTS = (0, 1, 9, 17, 33, 49, 73, 97, 145, 193, 289, 385, 577, 865, 1300, 1900)  # of each class
every_kind = pytest.mark.parametrize("kind", KINDS)


def cosines(kind: int) -> list[tuple[int, float, float]]:
    """Luma, U or V of each latent, and how near its cosine is to changing sign at every sample, down and across."""
    if kind == TINY:  # in turn four squares of luma, then two latents of chroma
        found = []
        for k, (_, a, b) in enumerate(frequency_order(2)):
            found += [(0, a / 4, b / 4)] * 4
            found += [(component, c / 4, d / 4) for component, c, d in frequency_order(3)[2 * k : 2 * k + 2]]
        return found
    order = frequency_order({COARSE: 0, FINE: 1, LARGE: 4}[kind])
    luma = {COARSE: 16, FINE: 8, LARGE: 32}[kind]  # samples across, of chroma half of it
    return [(c, a / (luma / 2 if c else luma), b / (luma / 2 if c else luma)) for c, a, b in order]


@every_kind
def test_bins_are_where_the_cosines_lie_in_frequency(kind: int) -> None:
    """Sixteen bins of luma, from low to high downwards and across, then four of U and four of V."""
    found = cosines(kind)
    assert len(found) == COUNTS[kind]
    for k, (component, down, across) in enumerate(found):
        side = MOST_OF_CHROMA if component else MOST_OF_LUMA
        first = (0, 16, 20)[component]
        row, column = divmod(int(BIN[kind, k]) - first, side)
        assert 0 <= row < side
        assert row / side <= down < (row + 1) / side
        assert column / side <= across < (column + 1) / side
    assert (BIN[kind, COUNTS[kind] :] == 0).all()
    assert (BIN[kind] >= 0).all()
    assert (BIN[kind] < BINS).all()


@every_kind
def test_every_bin_is_there_as_far_as_a_transform_reaches(kind: int) -> None:
    """All that a transform tells of a bin are as many as samples make it: of a large one, the lower half."""
    counts = np.bincount(BIN[kind, : COUNTS[kind]], minlength=BINS)
    if kind == LARGE:
        assert np.flatnonzero(counts).tolist() == [0, 1, 4, 5, 16, 20]
        assert set(counts[counts > 0].tolist()) == {64}
    else:
        assert set(counts.tolist()) == {16 if kind == COARSE else 4}


# --- what is noted of a square


def samples(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Symbols of all sizes."""
    size = random.choice([2, 4, 9, MAX_SYMBOL + 1], (rows, columns, 1))
    some = random.random((rows, columns, SAMPLES)) < random.random((rows, columns, 1))
    return (random.integers(-size + 1, size, (rows, columns, SAMPLES)) * some).astype(np.int16)


def expected_sums(kind: int, latents: np.ndarray) -> list[int]:
    """Of each bin the mean magnitude, none counted beyond seven, in 64ths."""
    counts = np.bincount(BIN[kind, : COUNTS[kind]], minlength=BINS)
    sums = np.zeros(BINS, int)
    np.add.at(sums, BIN[kind, : len(latents)], np.minimum(np.abs(latents.astype(int)), 7))
    return (64 * sums // np.maximum(counts, 1)).tolist()


@every_kind
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
@example(1, 1, 0)
@example(3, 5, 1)
def test_noted_are_mean_magnitudes_of_bins_in_all_quarters_of_a_square(
    kind: int, rows: int, columns: int, seed: int
) -> None:
    """Those of whole units also where the picture ends within one; what was noted there before is gone, and nothing is
    noted anywhere else."""
    random = np.random.default_rng(seed)
    symbols = samples(random, rows, columns)
    density = no_densities(rows, columns)
    assert (density.shape, density.dtype) == ((2 * rows, 2 * columns, BINS), np.int16)
    assert not density.any()
    density[:] = random.integers(0, 449, density.shape)
    wanted = density.copy()
    r, c, q = (int(random.integers(n)) for n in (rows, columns, 4))
    if WIDTHS[kind] == 1:
        latents = symbols[r, c].reshape(96, 4)[:, q]
        wanted[2 * r + q // 2, 2 * c + q % 2] = expected_sums(kind, latents)
    else:
        r, c, q = (r & ~1, c & ~1, 0) if kind == LARGE else (r, c, 0)
        width = WIDTHS[kind]
        wanted[2 * r : 2 * r + width, 2 * c : 2 * c + width] = expected_sums(kind, symbols[r, c])
    before = symbols.copy()
    add_density(density, kind, symbols, r, c, q)
    assert np.array_equal(density, wanted)
    assert np.array_equal(symbols, before)


@every_kind
def test_the_largest_latents_are_noted_alike_by_all_transforms(kind: int) -> None:
    """And fit: as much as seven everywhere, in each bin that the transform reaches."""
    assert width_of(kind) == WIDTHS[kind]
    noted = []
    for symbol in (MAX_SYMBOL, -MAX_SYMBOL, -MAX_SYMBOL - 1, 7):
        density = no_densities(2, 2)
        add_density(density, kind, np.full((2, 2, SAMPLES), symbol, np.int16), 0, 0, 0)
        noted.append(density)
        assert set(density.ravel().tolist()) == {0, 7 * 64}
    assert all(np.array_equal(one, noted[0]) for one in noted)
    assert (noted[0][0, 0] > 0).sum() == (6 if kind == LARGE else BINS)


def test_squares_of_all_sizes_note_the_same_of_the_same_texture() -> None:
    """Latents whose magnitude depends on frequency alone: bins of all transforms are about as full."""

    def noted(kind: int) -> np.ndarray:
        places = cosines(kind)
        steps = [min(down for c, down, _ in places if c == component and down) for component in range(3)]
        falls = [7 * np.exp(-(down + across + steps[component])) for component, down, across in places]
        symbols = np.zeros((2, 2, SAMPLES), np.int16)
        if WIDTHS[kind] == 1:
            symbols[0, 0] = np.rint(np.repeat(falls, 4))
        else:
            symbols[0, 0] = np.rint(falls)
        density = no_densities(2, 2)
        add_density(density, kind, symbols, 0, 0, 0)
        return density[0, 0].astype(float)

    coarse = noted(COARSE)
    assert coarse.max() > 3 * coarse.min()
    for kind in (FINE, TINY, LARGE):
        found = noted(kind)
        reached = found > 0
        assert np.abs(found - coarse)[reached].max() < 0.1 * coarse.max()


# --- classes of what is around and was there


def class_of(amount: int) -> int:
    return max(n for n, first in enumerate(FIRSTS) if first <= amount)


def expected_around(density: np.ndarray, top: int, left: int, width: int) -> list[int]:
    """Means of the quarters on the left and above, twice, and the two corners above; beyond the picture's left and
    upper end nothing, beyond the others what is at the end, but no corner."""
    rows, columns, _ = density.shape
    nothing = np.zeros((width, BINS), int)
    inside_rows = np.minimum(np.arange(top, top + width), rows - 1)
    inside_columns = np.minimum(np.arange(left, left + width), columns - 1)
    beside = density[inside_rows, left - 1].astype(int) if left else nothing
    above = density[top - 1, inside_columns].astype(int) if top else nothing
    amounts = 2 * (beside.sum(0) + above.sum(0)) // width
    for column in (left - 1, left + width):
        if top and 0 <= column < columns:
            amounts = amounts + density[top - 1, column]
    return [class_of(min(int(amount), FIRSTS[-1])) for amount in amounts]


def expected_here(density: np.ndarray, top: int, left: int, width: int) -> list[int]:
    """As if around it were six times what is there."""
    rows, columns, _ = density.shape
    at = np.ix_(
        np.minimum(np.arange(top, top + width), rows - 1), np.minimum(np.arange(left, left + width), columns - 1)
    )
    return [class_of(min(6 * int(total) // width**2, FIRSTS[-1])) for total in density[at].astype(int).sum((0, 1))]


def some_density(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """From nothing to the most, by place and bin."""
    density = no_densities(rows, columns)
    most = random.choice([0, 2, 20, 100, 448], (*density.shape[:2], 1)) + random.choice([0, 1], BINS)
    density[:] = random.integers(0, np.minimum(most, 448) + 1)
    return density


@every_kind
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
@example(1, 1, 0)
@example(3, 3, 1)
@example(5, 2, 2)
def test_classes_around_and_here(kind: int, rows: int, columns: int, seed: int) -> None:
    """Of squares everywhere, at every border; of whole units also of those that a picture cuts off."""
    random, width = np.random.default_rng(seed), WIDTHS[kind]
    density = some_density(random, rows, columns)
    before, out = density.copy(), np.full(BINS, -1, np.int64)
    for top in range(0, 2 * rows, width):
        for left in range(0, 2 * columns, width):
            classes_around(density, top, left, width, out)
            assert out.tolist() == expected_around(density, top, left, width)
            classes_here(density, top, left, width, out)
            assert out.tolist() == expected_here(density, top, left, width)
    assert np.array_equal(density, before)


def test_corners_and_sides_count_as_they_should() -> None:
    """One quarter at a time is full: a side's counts twice, and as a part of the side."""
    for width in (1, 2, 4):
        top = left = 4
        found = np.zeros((12, 12), int)
        out = np.zeros(BINS, np.int64)
        for i, j in np.ndindex(12, 12):
            density = no_densities(6, 6)
            density[i, j] = 100
            classes_around(density, top, left, width, out)
            assert len(set(out.tolist())) == 1
            found[i, j] = out[0]
        wanted = np.zeros((12, 12), int)
        wanted[top : top + width, left - 1] = class_of(200 // width)
        wanted[top - 1, left : left + width] = class_of(200 // width)
        wanted[top - 1, [left - 1, left + width]] = class_of(100)
        assert np.array_equal(found, wanted)


def test_every_class_is_met_from_nothing_to_the_most() -> None:
    """One after the other, and those of a square as those around it where all are alike."""
    out, seen, last = np.zeros(BINS, np.int64), [], 0
    for amount in range(449):
        density = no_densities(3, 3)
        density[:] = amount
        classes_here(density, 2, 2, 2, out)
        here = int(out[0])
        classes_around(density, 2, 2, 2, out)
        assert here == out[0] == class_of(min(6 * amount, FIRSTS[-1]))
        assert here >= last
        last = here
        seen.append(here)
    assert (seen[0], seen[-1]) == (0, DENSITIES - 1)
    assert len(FIRSTS) == DENSITIES
    assert set(seen) >= set(range(DENSITIES)) - {2}  # six times anything jumps over some


def observed() -> str:
    """SHA-256 of what all functions make of some densities, at every place of pictures of several sizes."""
    digest, random = hashlib.sha256(), np.random.default_rng(11)
    out = np.zeros(BINS, np.int64)
    for rows, columns in ((1, 1), (1, 3), (3, 2)):
        density, other = no_densities(rows, columns), some_density(random, rows, columns)
        symbols = samples(random, rows, columns)
        for kind in KINDS:
            width = WIDTHS[kind]
            for top in range(0, 2 * rows, width):
                for left in range(0, 2 * columns, width):
                    for function, where in ((classes_around, density), (classes_around, other), (classes_here, other)):
                        function(where, top, left, width, out)
                        digest.update(out.tobytes())
                    quarter = 2 * (top % 2) + left % 2
                    add_density(density, kind, symbols, top // 2, left // 2, quarter)
                    digest.update(density.tobytes())
    return digest.hexdigest()


def test_plain_python_finds_the_same_and_no_index_out_of_bounds() -> None:
    command = [sys.executable, "-W", "ignore", "-c", "import test_kernels_density as t; print(t.observed())"]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == observed()
