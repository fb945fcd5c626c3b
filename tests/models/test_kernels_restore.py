# SPDX-License-Identifier: Apache-2.0
"""Restoration against sums written out sample by sample: classes of squares, filters, what is switched and what not."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.kernels.compensation import PAD, padded
from nvcodec.models.kernels.filters import (
    ACROSS,
    CHROMA,
    CHROMA_TAPS,
    LUMA,
    LUMA_TAPS,
    MAX_TAP,
    filter_chroma,
    filter_luma,
)
from nvcodec.models.kernels.restore import (
    ACTIVITIES,
    ACTIVITY_BOUNDS,
    BANKS,
    CLASSES,
    DIRECTIONS,
    NETWORK,
    UNIT,
    classify,
    clip_of,
    gather,
    restore,
    squared_errors,
    trial_errors,
)
from nvcodec.models.quality import LOWEST, STEPS

ROWS, COLUMNS = 3, 5  # blocks: units at the right and lower edge are not whole
UNITS = ((ROWS + 1) // 2, (COLUMNS + 1) // 2)
EVERYWHERE = np.ones(UNITS, bool)
PADS = (PAD, PAD // 2, PAD // 2)
Planes = list[np.ndarray]


def pictures(seed: int) -> Planes:
    """Flat, sloping, striped and noisy parts, without borders."""
    random = np.random.default_rng(seed)
    planes = []
    for s in (1, 2, 2):
        height, width = 16 * ROWS // s, 16 * COLUMNS // s
        y, x = np.mgrid[:height, :width]
        plane = 512 + 160 * np.sin((x * random.normal() + y * random.normal()) / 2) * (x > width // 3)
        plane += random.normal(0, 240, (height, width)) * (y > height // 2) * (random.random((1, width)) < 0.7)
        plane[: height // 3, : width // 3] = random.integers(0, 1024)
        planes.append(plane.clip(0, 1023).astype(np.uint16))
    return planes


def extremes(seed: int) -> Planes:
    """The least and the largest samples: noise, and stripes of one or two samples."""
    random, planes = np.random.default_rng(seed), []
    for s in (1, 2, 2):
        y, x = np.mgrid[: 16 * ROWS // s, : 16 * COLUMNS // s]
        white = random.random(y.shape) < 0.5
        for n, part in enumerate((y % 2, x % 2, (x + y) % 4 // 2, (x - y) % 4 // 2)):
            white = np.where(x * 6 * s // (16 * COLUMNS) == n + seed % 2, part, white)
        planes.append(np.where(white, 1023, 0).astype(np.uint16))
    return planes


def with_borders(planes: Planes) -> Planes:
    return [padded(plane, pad) for plane, pad in zip(planes, PADS, strict=True)]


def random_taps(random: np.random.Generator, largest: int = 60) -> tuple[np.ndarray, np.ndarray]:
    luma = random.integers(-largest, largest + 1, (BANKS, CLASSES, LUMA_TAPS)).astype(np.int16)
    chroma = random.integers(-largest, largest + 1, (BANKS, 2, CLASSES, CHROMA_TAPS)).astype(np.int16)
    return luma, chroma


# --- classes


def second_differences(y: np.ndarray, a: int, b: int) -> np.ndarray:
    """Sizes of second differences along (rows, columns), of every other sample, as on the black squares of a board."""
    wide = y.astype(int)
    out = np.abs(2 * wide - np.roll(wide, (a, b), (0, 1)) - np.roll(wide, (-a, -b), (0, 1)))
    return out * (np.indices(y.shape).sum(0) % 2 == 0)


def reference_classes(y: np.ndarray, step: int) -> np.ndarray:
    """(4R, 4C) by ITU-T H.266, 8.8.5.3, but for activity: the mean of differences down and across, in 64ths of the
    step. y: with borders."""
    differences = [second_differences(y, a, b) for a, b in ((1, 0), (0, 1), (1, 1), (1, -1))]
    out = np.zeros((4 * ROWS, 4 * COLUMNS), np.uint8)
    for (row, column), _ in np.ndenumerate(out):
        top, left = PAD + 4 * row - 2, PAD + 4 * column - 2  # of 8x8 samples around
        vertical, horizontal, falling, rising = (int(d[top : top + 8, left : left + 8].sum()) for d in differences)
        mean = (vertical + horizontal) / 64
        activity = sum(mean >= int(bound) / 64 * step / 4 for bound in ACTIVITY_BOUNDS)
        straight = max(vertical, horizontal), min(vertical, horizontal)
        slanted = max(falling, rising), min(falling, rising)
        if straight[0] * slanted[1] > slanted[0] * straight[1]:
            (most, least), first = straight, 1 if vertical > horizontal else 3
        else:
            (most, least), first = slanted, 5 if falling > rising else 7
        direction = 0 if most <= 2 * least else first + (most > 4.5 * least)
        out[row, column] = 9 * activity + direction
    return out


def checked_classes(y: np.ndarray, step: int) -> set[int]:
    """Which there are in luma, found to be those of the reference."""
    found = np.full((4 * ROWS, 4 * COLUMNS), 255, np.uint8)
    classify(y, step, EVERYWHERE, 0, ROWS, found)
    assert np.array_equal(found, reference_classes(y, step))
    return set(found.ravel().tolist())


@pytest.mark.parametrize("step", [int(STEPS[0]), int(STEPS[LOWEST]), 300, int(STEPS[-1])])
def test_classes_are_those_of_second_differences(step: int) -> None:
    seen = set()
    for seed in range(6):
        y = with_borders(pictures(seed))[0]
        seen |= checked_classes(y, step)
    assert len(seen) > CLASSES // (3 if step <= STEPS[LOWEST] else 5)  # there is less to tell apart in large steps


@pytest.mark.parametrize("step", [1, int(STEPS[-1]), int(STEPS[0]), 1 << 14])
def test_classes_of_the_least_and_the_largest_samples(step: int) -> None:
    seen = set()
    for seed in range(2):
        y = with_borders(extremes(seed))[0]
        seen |= checked_classes(y, step)
    assert len(seen) > 4


def test_classes_of_textures() -> None:
    """Flat is 0; stripes are told from each other, and from a checkerboard, which has no direction."""
    y, x = np.mgrid[: 16 * ROWS, : 16 * COLUMNS]
    found = {}
    for name, picture in {
        "flat": 0 * x,
        "lying": 160 * (y % 2),
        "upright": 160 * (x % 2),
        "falling": 160 * ((x - y) % 4 < 2),
        "rising": 160 * ((x + y) % 4 < 2),
        "noise": np.random.default_rng(0).integers(0, 161, x.shape),
    }.items():
        out = np.zeros((4 * ROWS, 4 * COLUMNS), np.uint8)
        classify(padded((400 + picture).astype(np.uint16), PAD), 64, EVERYWHERE, 0, ROWS, out)
        (found[name],) = set(out[2:-2, 2:-2].ravel().tolist()) if name != "noise" else [int(np.median(out))]
    most = (ACTIVITIES - 1) * DIRECTIONS
    assert found["flat"] == 0
    assert [found[name] - most for name in ("lying", "upright")] == [2, 4]
    assert {found[name] - most for name in ("falling", "rising")} <= {5, 6, 7, 8}
    assert (found["falling"] - most > 6) != (found["rising"] - most > 6)
    assert found["noise"] >= most


def test_activity_is_relative_to_the_step() -> None:
    """A picture of twice the contrast is in the same classes at twice the step."""
    y = with_borders(pictures(3))[0] // 2
    a, b = np.zeros((4 * ROWS, 4 * COLUMNS), np.uint8), np.zeros((4 * ROWS, 4 * COLUMNS), np.uint8)
    classify(y, 200, EVERYWHERE, 0, ROWS, a)
    classify((2 * y).astype(np.uint16), 400, EVERYWHERE, 0, ROWS, b)
    assert np.array_equal(a, b)
    classify(y, 400, EVERYWHERE, 0, ROWS, b)
    assert (b <= a).all()
    assert (b < a).any()


def test_classes_do_not_depend_on_how_rows_are_shared_out() -> None:
    y = with_borders(pictures(1))[0]
    whole, parts = (np.full((4 * ROWS, 4 * COLUMNS), 99, np.uint8) for _ in range(2))
    classify(y, 150, EVERYWHERE, 0, ROWS, whole)
    classify(y, 150, EVERYWHERE, 1, ROWS, parts)
    assert (parts[:4] == 99).all()
    classify(y, 150, EVERYWHERE, 0, 1, parts)
    assert np.array_equal(parts, whole)


# --- filters


def clipped(value: int, clip: int) -> int:
    return max(-clip, min(clip, value))


def luma_features(y: np.ndarray, i: int, j: int, clip: int) -> list[int]:
    """Clipped differences to pairs of neighbours; y: with borders."""
    r, c = PAD + i, PAD + j
    centre = int(y[r, c])
    return [
        clipped(int(y[r - a, c - b]) - centre, clip) + clipped(int(y[r + a, c + b]) - centre, clip) for a, b in LUMA
    ]


def chroma_features(plane: np.ndarray, y: np.ndarray, i: int, j: int, clip: int) -> list[int]:
    """The same of chroma, then clipped differences of luma at its place."""
    r, c = PAD // 2 + i, PAD // 2 + j
    centre, here = int(plane[r, c]), int(y[PAD + 2 * i, PAD + 2 * j])
    pairs = [
        clipped(int(plane[r - a, c - b]) - centre, clip) + clipped(int(plane[r + a, c + b]) - centre, clip)
        for a, b in CHROMA
    ]
    return pairs + [clipped(int(y[PAD + 2 * i + a, PAD + 2 * j + b]) - here, clip) for a, b in ACROSS]


def filtered(centre: int, features: list[int], taps: np.ndarray) -> int:
    """Weighed in 256ths, rounded, within 0 and 1023."""
    total = sum(int(tap) * feature for tap, feature in zip(taps, features, strict=True))
    return max(0, min(1023, centre + (total + 128) // 256))


def test_neighbours_are_diamonds() -> None:
    """All pairs of a diamond of 7x7, and of 5x5, once; of luma, around the place of a chroma sample."""
    for taps, radius in ((LUMA, 3), (CHROMA, 2)):
        both = [tuple(place) for place in np.concatenate([taps, -taps]).tolist()]
        reach = range(-radius, radius + 1)
        assert sorted(both) == [(a, b) for a in reach for b in reach if 0 < abs(a) + abs(b) <= radius]
    assert len({tuple(place) for place in ACROSS.tolist()}) == len(ACROSS)
    assert (0, 0) not in {tuple(place) for place in ACROSS.tolist()}


@pytest.mark.parametrize("largest", [60, MAX_TAP])
@pytest.mark.parametrize("clip", [8, 64])
def test_filters_are_sums_of_clipped_differences(clip: int, largest: int) -> None:
    """Of squares of any place and size, and nothing beyond them changes."""
    random = np.random.default_rng(clip)
    planes = with_borders(pictures(2))
    classes = random.integers(0, CLASSES, (4 * ROWS, 4 * COLUMNS)).astype(np.uint8)
    luma, chroma = random_taps(random, largest)
    for top, left, height, width in ((0, 0, 16, 32), (32, 48, 16, 16), (16, 64, 32, 16)):
        wanted = np.full_like(planes[0], 7)
        found = wanted.copy()
        filter_luma(planes[0], classes, luma[0], clip, top, left, height, width, found)
        for i in range(top, top + height):
            for j in range(left, left + width):
                taps, features = luma[0, classes[i // 4, j // 4]], luma_features(planes[0], i, j, clip)
                wanted[PAD + i, PAD + j] = filtered(int(planes[0][PAD + i, PAD + j]), features, taps)
        assert np.array_equal(found, wanted)
        at = (top // 2, left // 2, height // 2, width // 2)
        both = [np.full_like(plane, 7) for plane in planes[1:]]
        filter_chroma(*planes[1:], planes[0], classes, chroma[0], clip, *at, *both)
        for part, found in enumerate(both):
            plane, half = planes[1 + part], PAD // 2
            wanted = np.full_like(plane, 7)
            for i in range(at[0], at[0] + at[2]):
                for j in range(at[1], at[1] + at[3]):
                    features = chroma_features(plane, planes[0], i, j, clip)
                    taps = chroma[0, part, classes[i // 2, j // 2]]
                    wanted[half + i, half + j] = filtered(int(plane[half + i, half + j]), features, taps)
            assert np.array_equal(found, wanted)


@pytest.mark.parametrize("clip", [8, int(clip_of(int(STEPS[0]))), 1023])
@pytest.mark.parametrize("sign", [-1, 0, 1])
def test_the_largest_taps_of_the_least_and_the_largest_samples(clip: int, sign: int) -> None:
    """All of one sign, or any: sums are what they would be without end, samples stay within their range."""
    random = np.random.default_rng(clip)
    planes, (luma, chroma) = with_borders(extremes(1 + sign)), random_taps(random, MAX_TAP)
    if sign:
        luma[:], chroma[:] = sign * MAX_TAP, sign * MAX_TAP
    classes = random.integers(0, CLASSES, (4 * ROWS, 4 * COLUMNS)).astype(np.uint8)
    out = [plane.copy() for plane in planes]
    filter_luma(planes[0], classes, luma[1], clip, 0, 0, 16, 32, out[0])
    for i, j in np.ndindex(16, 32):
        features = luma_features(planes[0], i, j, clip)
        wanted = filtered(int(planes[0][PAD + i, PAD + j]), features, luma[1, classes[i // 4, j // 4]])
        assert out[0][PAD + i, PAD + j] == wanted
    half = PAD // 2
    filter_chroma(*planes[1:], planes[0], classes, chroma[1], clip, 0, 0, 8, 16, *out[1:])
    for part in (0, 1):
        plane = planes[1 + part]
        for i, j in np.ndindex(8, 16):
            features = chroma_features(plane, planes[0], i, j, clip)
            wanted = filtered(int(plane[half + i, half + j]), features, chroma[1, part, classes[i // 2, j // 2]])
            assert out[1 + part][half + i, half + j] == wanted


def test_differences_are_clipped_at_a_quarter_of_a_step() -> None:
    assert all(clip_of(int(step)) == max(8, int(step) // 4 // 4) for step in STEPS)


def restored(planes: Planes, banks: np.ndarray, luma: np.ndarray, chroma: np.ndarray, *rows: tuple[int, int]) -> Planes:
    """By a class for each square as it is found at a middle step."""
    classes = np.zeros((4 * ROWS, 4 * COLUMNS), np.uint8)
    classify(planes[0], 300, EVERYWHERE, 0, ROWS, classes)
    out = [plane.copy() for plane in planes]
    for begin, end in rows or ((0, UNITS[0]),):
        restore(*planes, classes, banks, luma, chroma, clip_of(300), begin, end, *out)
    return out


def inside(planes: Planes) -> Planes:
    return [plane[pad:-pad, pad:-pad] for plane, pad in zip(planes, PADS, strict=True)]


def of_units(differs: np.ndarray) -> np.ndarray:
    """(units down, units across) whether anything is true in each, of a plane without borders."""
    side = UNIT if len(differs) == 16 * ROWS else UNIT // 2
    return np.array(
        [[differs[side * r :, side * c :][:side, :side].any() for c in range(UNITS[1])] for r in range(UNITS[0])]
    )


def test_taps_of_zero_change_nothing() -> None:
    planes = with_borders(pictures(4))
    nothing = np.zeros((BANKS, CLASSES, LUMA_TAPS), np.int16), np.zeros((BANKS, 2, CLASSES, CHROMA_TAPS), np.int16)
    for bank in range(BANKS + 1):
        out = restored(planes, np.full(UNITS, bank, np.uint8), *nothing)
        assert all(np.array_equal(a, b) for a, b in zip(inside(out), inside(planes), strict=True))


def test_flat_planes_stay_flat() -> None:
    luma, chroma = random_taps(np.random.default_rng(0), MAX_TAP)
    for value in (0, 100, 1023):
        planes = with_borders([np.full((16 * ROWS // s, 16 * COLUMNS // s), value, np.uint16) for s in (1, 2, 2)])
        out = restored(planes, np.ones(UNITS, np.uint8), luma, chroma)
        assert all((plane == value).all() for plane in inside(out))


def test_classes_of_other_units_stay_as_they_are() -> None:
    y = with_borders(pictures(2))[0]
    whole, some = (np.full((4 * ROWS, 4 * COLUMNS), 99, np.uint8) for _ in range(2))
    asked = np.random.default_rng(2).random(UNITS) < 0.5
    classify(y, 150, EVERYWHERE, 0, ROWS, whole)
    classify(y, 150, asked, 0, ROWS, some)
    of_asked = asked.repeat(8, 0).repeat(8, 1)[: 4 * ROWS, : 4 * COLUMNS]
    assert asked.any()
    assert not asked.all()
    assert np.array_equal(some, np.where(of_asked, whole, 99))


@pytest.mark.parametrize("seed", range(4))
def test_each_unit_is_filtered_by_its_bank_or_left_as_it_is(seed: int) -> None:
    """From planes that others were not yet filtered in."""
    random = np.random.default_rng(seed)
    planes, taps = with_borders(pictures(seed)), random_taps(random)
    banks = random.integers(0, BANKS + 1, UNITS).astype(np.uint8)
    banks[seed % UNITS[0], 0], banks[1, 2] = 0, 1 + seed % BANKS
    found = inside(restored(planes, banks, *taps))
    by_bank = [inside(restored(planes, np.full(UNITS, bank, np.uint8), *taps)) for bank in range(BANKS + 1)]
    for part, plane in enumerate(found):
        assert np.array_equal(by_bank[0][part], inside(planes)[part])
        for bank in range(BANKS + 1):
            differs = of_units(plane != by_bank[bank][part])
            assert not differs[banks == bank].any()
            assert differs[banks != bank].any()


def test_units_of_the_network_are_left_as_they_are() -> None:
    random = np.random.default_rng(11)
    planes, taps = with_borders(pictures(1)), random_taps(random)
    banks = random.integers(0, BANKS + 1, UNITS).astype(np.uint8)
    banks[0, 0], banks[1, 1], banks[0, 1] = 0, 0, 1
    wanted = restored(planes, banks, *taps)
    banks[banks == 0] = NETWORK
    assert all(np.array_equal(a, b) for a, b in zip(restored(planes, banks, *taps), wanted, strict=True))


def test_planes_do_not_depend_on_how_rows_are_shared_out() -> None:
    random = np.random.default_rng(9)
    planes, taps = with_borders(pictures(5)), random_taps(random)
    banks = random.integers(0, BANKS + 1, UNITS).astype(np.uint8)
    whole = restored(planes, banks, *taps)
    for rows in (((0, 1), (1, 2)), ((1, 2), (0, 1)), ((0, 0), (0, 2))):
        assert all(np.array_equal(a, b) for a, b in zip(restored(planes, banks, *taps, *rows), whole, strict=True))
    # the second half alone leaves the room of the first as it was
    (y, _, _) = inside(restored(planes, banks, *taps, (1, 2)))
    assert np.array_equal(y[:UNIT], inside(planes)[0][:UNIT])
    assert np.array_equal(y[UNIT:], inside(whole)[0][UNIT:])


# --- at the encoder and in training


def test_squared_errors_of_units_are_added_up() -> None:
    picture, planes = pictures(6), with_borders(pictures(7))
    for part in range(3):
        side = UNIT if part == 0 else UNIT // 2
        found = np.full(UNITS, 1000, np.int64)
        squared_errors(picture[part], planes[part], PADS[part], side, found)
        squares = (picture[part].astype(int) - inside(planes)[part]) ** 2
        for (r, c), total in np.ndenumerate(found):
            assert total == 1000 + squares[side * r :, side * c :][:side, :side].sum()


@pytest.mark.parametrize("white", [False, True])
def test_the_largest_squared_errors_fit(white: bool) -> None:
    """Of whole units whose samples are all as wrong as they can be, by themselves and beside trials of filters."""
    of = [np.full((16 * ROWS // s, 16 * COLUMNS // s), 1023 * white, np.uint16) for s in (1, 2, 2)]
    picture, planes = [1023 - plane for plane in of], with_borders(of)
    for part, side in enumerate((UNIT, UNIT // 2, UNIT // 2)):
        found = np.zeros(UNITS, np.int64)
        squared_errors(picture[part], planes[part], PADS[part], side, found)
        for (r, c), total in np.ndenumerate(found):
            assert total == picture[part][side * r :, side * c :][:side, :side].size * 1023**2
    errors, classes = np.zeros((*UNITS, BANKS + 1)), np.zeros((4 * ROWS, 4 * COLUMNS), np.uint8)
    luma, chroma = random_taps(np.random.default_rng(0), MAX_TAP)
    trial_errors(*picture, *planes, classes, luma, chroma, 8, 0.5, EVERYWHERE, 0, UNITS[0], errors)
    for (r, c, _), total in np.ndenumerate(errors):
        # flat planes stay flat; U and V have a quarter of the samples each and count half
        assert total == 1.25 * picture[0][UNIT * r :, UNIT * c :][:UNIT, :UNIT].size * 1023**2


def test_sums_for_least_squares_are_products_of_features() -> None:
    """Of two units, one of them not whole, added up by class; last comes the error."""
    random, clip = np.random.default_rng(8), 20
    picture, planes = pictures(8), with_borders(pictures(9))
    classes = random.integers(0, CLASSES, (4 * ROWS, 4 * COLUMNS)).astype(np.uint8)
    luma = np.zeros((CLASSES, LUMA_TAPS + 1, LUMA_TAPS + 1))
    chroma = np.zeros((2, CLASSES, CHROMA_TAPS + 1, CHROMA_TAPS + 1))
    wanted_luma, wanted_chroma = luma.copy(), chroma.copy()
    for top, left, height, width in ((0, 32, 32, 32), (32, 64, 16, 16)):
        gather(*picture, *planes, classes, clip, top, left, height, width, luma, chroma)
        for i in range(top, top + height):
            for j in range(left, left + width):
                error = int(picture[0][i, j]) - int(planes[0][PAD + i, PAD + j])
                x = np.array([*luma_features(planes[0], i, j, clip), error])
                wanted_luma[classes[i // 4, j // 4]] += np.outer(x, x)
        for i in range(top // 2, (top + height) // 2):
            for j in range(left // 2, (left + width) // 2):
                for part in range(2):
                    plane = planes[1 + part]
                    error = int(picture[1 + part][i, j]) - int(plane[PAD // 2 + i, PAD // 2 + j])
                    x = np.array([*chroma_features(plane, planes[0], i, j, clip), error])
                    wanted_chroma[part, classes[i // 2, j // 2]] += np.outer(x, x)
    assert np.array_equal(np.triu(luma), np.triu(wanted_luma))
    assert np.array_equal(np.triu(chroma), np.triu(wanted_chroma))
