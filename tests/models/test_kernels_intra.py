# SPDX-License-Identifier: Apache-2.0
"""Intra prediction against the texts of H.265 (8.4.4.2) and H.266 (8.4.5.2), written out sample by sample, with the
deviations we state."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.models.kernels import intra
from nvcodec.models.kernels.frame_intra import predict_chroma, predict_luma, ready_map
from nvcodec.models.kernels.intra import (
    HORIZONTAL,
    MEAN,
    MODES,
    PLANAR,
    VERTICAL,
    border,
    predict,
    predict_luma_from,
    smooth,
    wants_smooth,
)

Samples = dict[tuple[int, int], int]
SIZES = (4, 8, 16, 32)
ROOM = 129  # samples around the largest block
# table 8-5 of H.265: intraPredAngle of modes 2 to 34
ANGLES = (
    *(32, 26, 21, 17, 13, 9, 5, 2, 0, -2, -5, -9, -13, -17, -21, -26),
    *(-32, -26, -21, -17, -13, -9, -5, -2, 0, 2, 5, 9, 13, 17, 21, 26, 32),
)
# table 25 of H.266: fC of positions in 32nds of a sample
FC = [
    [0, 64, 0, 0], [-1, 63, 2, 0], [-2, 62, 4, 0], [-2, 60, 7, -1],
    [-2, 58, 10, -2], [-3, 57, 12, -2], [-4, 56, 14, -2], [-4, 55, 15, -2],
    [-4, 54, 16, -2], [-5, 53, 18, -2], [-6, 52, 20, -2], [-6, 49, 24, -3],
    [-6, 46, 28, -4], [-5, 44, 29, -4], [-4, 42, 30, -4], [-4, 39, 33, -4],
    [-4, 36, 36, -4], [-4, 33, 39, -4], [-4, 30, 42, -4], [-4, 29, 44, -5],
    [-4, 28, 46, -6], [-3, 24, 49, -6], [-2, 20, 52, -6], [-2, 18, 53, -5],
    [-2, 16, 54, -4], [-2, 15, 55, -4], [-2, 14, 56, -4], [-2, 12, 57, -3],
    [-2, 10, 58, -2], [-1, 7, 60, -2], [0, 4, 62, -2], [0, 2, 63, -1],
]  # fmt: skip
# and its fG, every two positions alike: a triangle of four taps that moves on by a sample
FG = [[16 - n // 2, 32 - n // 2, 16 + n // 2, n // 2] for n in range(32)]


def around(samples: np.ndarray, size: int) -> Samples:
    """p[x][y] of the standard: the corner p[-1][-1], p[x][-1] above, p[-1][y] on the left."""
    n = 2 * size
    p = {(-1, -1): int(samples[0])}
    p |= {(x, -1): int(samples[1 + x]) for x in range(n)}
    p |= {(-1, y): int(samples[1 + n + y]) for y in range(n)}
    return p


def clip1(value: int) -> int:
    return max(0, min(1023, value))


def standard(p: Samples, size: int, mode: int, sharp: bool) -> np.ndarray:
    """predSamples[x][y] as [y, x]; planar, mean and angles of H.265's 35 modes, interpolated as in 8.4.5.2.13 of H.266
    (what falls on a sample is that sample), and mixed as in its 8.4.5.2.15 if 4x4 or larger."""
    out = np.zeros((size, size), np.int64)
    for y in range(size):
        for x in range(size):
            if mode == 0:
                across = (size - 1 - x) * p[-1, y] + (x + 1) * p[size, -1]
                down = (size - 1 - y) * p[x, -1] + (y + 1) * p[-1, size]
                out[y, x] = (across + down + size) // (2 * size)
            elif mode == 1:
                out[y, x] = (sum(p[i, -1] + p[-1, i] for i in range(size)) + size) // (2 * size)
            else:
                out[y, x] = angular(p, size, mode, sharp, x, y)
    if size == 2:
        return out
    return np.array([[mixed(p, size, mode, x, y, int(out[y, x])) for x in range(size)] for y in range(size)])


def angular(p: Samples, size: int, mode: int, sharp: bool, x: int, y: int) -> int:
    """A line of references along one side, continued along the other."""
    upright, angle = mode >= 18, ANGLES[mode - 2]
    along, across = (x, y) if upright else (y, x)

    def reference(i: int) -> int:
        """ref[i]: 0 is the corner."""
        if i >= 0:
            i = min(i, 2 * size) - 1
            return p[i, -1] if upright else p[-1, i]
        at = -1 + min((i * inverse_angle(angle) + 256) >> 9, size)
        return p[-1, at] if upright else p[at, -1]

    whole, part = divmod((across + 1) * angle, 32)
    if part == 0:
        return reference(along + whole + 1)
    taps = FC[part] if sharp else FG[part]
    return clip1((sum(taps[i] * reference(along + whole + i) for i in range(4)) + 32) >> 6)


def inverse_angle(angle: int) -> int:
    """invAngle (8-1)."""
    return int(np.floor(512 * 32 / angle + 0.5))


def mixed(p: Samples, size: int, mode: int, x: int, y: int, value: int) -> int:
    """8.4.5.2.15: refL, refT, wL, wT."""
    log2 = int(np.log2(size))
    scale = (2 * log2 - 2) >> 2
    left = top = weight_left = weight_top = 0
    if mode in (0, 1):
        left, top = p[-1, y], p[x, -1]
        weight_left, weight_top = 32 >> ((2 * x) >> scale), 32 >> ((2 * y) >> scale)
    elif mode == 26:
        left, weight_left = p[-1, y] - p[-1, -1] + value, 32 >> ((2 * x) >> scale)
    elif mode == 10:
        top, weight_top = p[x, -1] - p[-1, -1] + value, 32 >> ((2 * y) >> scale)
    elif mode < 10 or mode > 26:
        inverse = inverse_angle(ANGLES[mode - 2])
        scale = min(2, log2 - int(np.floor(np.log2(3 * inverse - 2))) + 8)
        if scale >= 0 and mode < 10 and y < 3 << scale:
            top = p[x + (((y + 1) * inverse + 256) >> 9), -1]
            weight_top = 32 >> ((2 * y) >> scale)
        if scale >= 0 and mode > 26 and x < 3 << scale:
            left = p[-1, y + (((x + 1) * inverse + 256) >> 9)]
            weight_left = 32 >> ((2 * x) >> scale)
    total = left * weight_left + top * weight_top + (64 - weight_left - weight_top) * value
    return clip1((total + 32) >> 6)


def standard_filter(p: Samples, size: int) -> Samples:
    """8.4.4.2.3 of H.265, without strong intra smoothing."""
    n, out = 2 * size, dict(p)
    out[-1, -1] = (p[-1, 0] + 2 * p[-1, -1] + p[0, -1] + 2) >> 2
    for i in range(n - 1):
        out[-1, i] = (p[-1, i + 1] + 2 * p[-1, i] + p[-1, i - 1] + 2) >> 2
        out[i, -1] = (p[i + 1, -1] + 2 * p[i, -1] + p[i - 1, -1] + 2) >> 2
    return out


def standard_wants_filter(mode: int, size: int) -> bool:
    """filterFlag of 8.4.4.2.3 for luma."""
    if mode == 1 or size == 4:
        return False
    distance = min(abs(mode - 26), abs(mode - 10))
    return mode == 0 or distance > {8: 7, 16: 1, 32: 0}[size]


def standard_luma(p: Samples, size: int, mode: int) -> np.ndarray:
    """Where smoothing is wanted the border is smoothed for planar and the three diagonals, which need no samples in
    between; the filter in between smooths for all other angles."""
    wanted = standard_wants_filter(mode, size)
    if wanted and mode in (0, 2, 18, 34):
        p = standard_filter(p, size)
    return standard(p, size, mode, not wanted)


def borders(size: int, seed: int) -> np.ndarray:
    """Samples around, every other seed black and white only; those that a block of this size must not look at are
    impossible."""
    random = np.random.default_rng(seed)
    samples, count = np.full(ROOM, -(10**6), np.int32), 4 * size + 1
    samples[:count] = random.choice([0, 1023], count) if seed % 2 else random.integers(0, 1024, count)
    return samples


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", range(MODES))
def test_every_mode_and_size(size: int, mode: int) -> None:
    for seed in range(2 if size == 32 else 4):
        for sharp in (True, False):
            samples, out = borders(size, seed), np.full((32, 32), -5, np.int32)
            predict(samples, size, mode, sharp, out)
            assert np.array_equal(out[:size, :size], standard(around(samples, size), size, mode, sharp)), (seed, sharp)
            out[:size, :size] = -5
            assert (out == -5).all()


def test_filters_are_those_of_the_standard() -> None:
    assert np.array_equal(intra.CUBIC, FC)
    assert np.array_equal(intra.SMOOTHING, FG)
    assert (intra.CUBIC.sum(1) == 64).all()
    assert (intra.SMOOTHING.sum(1) == 64).all()


@pytest.mark.parametrize("size", [4, 8, 16, 32])
def test_smoothing(size: int) -> None:
    samples, out = borders(size, 10), np.zeros(ROOM, np.int32)
    smooth(samples, size, out)
    assert around(out, size) == standard_filter(around(samples, size), size)
    for mode in range(MODES):
        assert wants_smooth(mode, size) == standard_wants_filter(mode, size), mode


@pytest.mark.parametrize("size", [4, 8, 16, 32])
def test_luma_is_smoothed_by_the_border_or_in_between(size: int) -> None:
    both, out = np.zeros((2, ROOM), np.int32), np.zeros((32, 32), np.int32)
    for seed in range(2):
        both[0] = borders(size, seed)
        smooth(both[0], size, both[1])
        for mode in range(MODES):
            predict_luma_from(both, size, mode, out)
            assert np.array_equal(out[:size, :size], standard_luma(around(both[0], size), size, mode)), mode


def test_what_the_modes_are_called() -> None:
    samples, out = borders(8, 2), np.zeros((32, 32), np.int32)
    samples[:17] = 99  # with nothing to see above, rows are what is on their left
    predict(samples, 8, HORIZONTAL, True, out)
    assert (out[:8, :8] == samples[17:25, None]).all()
    samples = borders(8, 2)
    samples[0], samples[17:33] = 99, 99
    predict(samples, 8, VERTICAL, True, out)
    assert (out[:8, :8] == samples[None, 1:9]).all()
    assert (PLANAR, MEAN, intra.MODES) == (0, 1, 35)


@pytest.mark.parametrize("size", SIZES)
def test_flat_borders_give_flat_blocks(size: int) -> None:
    out = np.zeros((32, 32), np.int32)
    for value in (0, 1, 512, 1023):
        samples = np.full(ROOM, value, np.int32)
        for mode in range(MODES):
            for sharp in (True, False):
                predict(samples, size, mode, sharp, out)
                assert (out[:size, :size] == value).all(), (mode, sharp)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sharp", [True, False])
def test_upright_and_lying_modes_are_each_others_transposition(size: int, sharp: bool) -> None:
    samples, n = borders(size, 4), 2 * size
    turned = samples.copy()
    turned[1 : n + 1], turned[n + 1 : 2 * n + 1] = samples[n + 1 : 2 * n + 1], samples[1 : n + 1]
    for mode in range(MODES):
        a, b = np.zeros((32, 32), np.int32), np.zeros((32, 32), np.int32)
        predict(samples, size, mode, sharp, a)
        predict(turned, size, mode if mode < 2 else 36 - mode, sharp, b)
        assert np.array_equal(a, b.T), mode


# --- the border of a square, by what is reconstructed


def standard_border(plane: np.ndarray, ready: np.ndarray, unit: int, row: int, column: int, units: int) -> np.ndarray:
    """8.4.4.2.2 but for two things: each side is used up to its first square that is not ready, and what is missing
    repeats the sample before it on its own side."""
    size = unit * units
    top, left = unit * row, unit * column

    def there(y: int, x: int) -> bool:
        return 0 <= y < plane.shape[0] and 0 <= x < plane.shape[1] and bool(ready[y // unit, x // unit])

    above, before = [], []
    for i in range(2 * size):
        if not there(top - 1, left + i):
            break
        above.append(int(plane[top - 1, left + i]))
    for i in range(2 * size):
        if not there(top + i, left - 1):
            break
        before.append(int(plane[top + i, left - 1]))
    if not above and not before:
        return np.full(4 * size + 1, 512)
    if above and before:
        corner = int(plane[top - 1, left - 1])
    else:
        corner = (above or before)[0]
    sides = [side + [(side or [corner])[-1]] * (2 * size - len(side)) for side in (above, before)]
    return np.array([corner, *sides[0], *sides[1]])


@pytest.mark.parametrize("unit", [4, 2])
@pytest.mark.parametrize("seed", range(6))
def test_borders_use_what_is_ready(unit: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, columns = 16, 24
    plane = random.integers(0, 1024, (rows * unit, columns * unit)).astype(np.uint16)
    ready = (random.random((rows, columns)) < (0, 0.3, 0.6, 0.8, 0.95, 1)[seed]).astype(np.uint8)
    for units in (1, 2, 4, 8):
        for row in range(0, rows, units):
            for column in range(0, columns, units):
                out = np.full(ROOM, -1, np.int32)
                border(plane, ready, unit, row, column, units, out)
                n = 4 * unit * units + 1
                assert np.array_equal(out[:n], standard_border(plane, ready, unit, row, column, units))
                assert (out[n:] == -1).all()


def test_the_first_block_is_predicted_grey() -> None:
    y, ready = np.zeros((32, 32), np.uint16), np.zeros((8, 8), np.uint8)
    for units in (4, 8):
        for mode in range(MODES):
            y[:] = 0
            predict_luma(y, ready, 0, 0, units, mode)
            assert (y[: 4 * units, : 4 * units] == 512).all()
            assert not y[4 * units :].any()


@pytest.mark.parametrize("units", [1, 2, 4, 8])
def test_squares_of_planes_are_predicted_from_what_is_around_them(units: int) -> None:
    """Luma smoothed as its size wants it, chroma, of half the size (4 at least), never."""
    random = np.random.default_rng(2)
    plane, ready = random.integers(0, 1024, (96, 96)).astype(np.uint16), np.ones((24, 24), np.uint8)
    for mode in range(MODES):
        for luma in (True, False)[: min(units, 2)]:
            unit, write = (4, predict_luma) if luma else (2, predict_chroma)
            size, at, found = unit * units, unit * 8, plane.copy()
            seen = plane if luma else plane[:48, :48]
            p = around(standard_border(seen, ready, unit, 8, 8, units), size)
            write(found[: len(seen), : len(seen)], ready, 8, 8, units, mode)
            wanted = plane.copy()
            wanted[at : at + size, at : at + size] = (
                standard_luma(p, size, mode) if luma else standard(p, size, mode, True)
            )
            assert np.array_equal(found, wanted), (mode, luma)


def test_inter_blocks_are_ready_before_intra_ones() -> None:
    pred = np.array([[0, 1, 2], [3, 0, 0]], np.uint8)
    assert np.array_equal(ready_map(pred), (pred > 0).repeat(4, 0).repeat(4, 1))
