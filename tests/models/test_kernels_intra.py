# SPDX-License-Identifier: Apache-2.0
"""Intra prediction against the text of H.265 (8.4.4.2), written out sample by sample, with the deviations we state."""

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
    smooth,
    wants_smooth,
)

Samples = dict[tuple[int, int], int]
# table 8-5 of H.265: intraPredAngle of modes 2 to 34
ANGLES = (
    *(32, 26, 21, 17, 13, 9, 5, 2, 0, -2, -5, -9, -13, -17, -21, -26),
    *(-32, -26, -21, -17, -13, -9, -5, -2, 0, 2, 5, 9, 13, 17, 21, 26, 32),
)
# table 8-6: invAngle of modes 11 to 25
INVERSE = (-4096, -1638, -910, -630, -482, -390, -315, -256, -315, -390, -482, -630, -910, -1638, -4096)


def around(samples: np.ndarray, size: int) -> Samples:
    """p[x][y] of the standard: the corner p[-1][-1], p[x][-1] above, p[-1][y] on the left."""
    n = 2 * size
    p = {(-1, -1): int(samples[0])}
    p |= {(x, -1): int(samples[1 + x]) for x in range(n)}
    p |= {(-1, y): int(samples[1 + n + y]) for y in range(n)}
    return p


def standard(p: Samples, size: int, mode: int) -> np.ndarray:
    """predSamples[x][y] as [y, x]; 8.4.4.2.4 to 8.4.4.2.6 with disableIntraBoundaryFilter."""
    out = np.zeros((size, size), np.int64)
    shift = int(np.log2(size)) + 1
    if mode == 1:
        total = sum(p[x, -1] + p[-1, x] for x in range(size)) + size
        out[:] = total >> shift
        return out
    for y in range(size):
        for x in range(size):
            if mode == 0:
                value = (
                    (size - 1 - x) * p[-1, y]
                    + (x + 1) * p[size, -1]
                    + (size - 1 - y) * p[x, -1]
                    + (y + 1) * p[-1, size]
                )
                out[y, x] = (value + size) >> shift
                continue
            # the angular modes: a line of references along one side, continued along the other
            upright, angle = mode >= 18, ANGLES[mode - 2]
            along, across = (x, y) if upright else (y, x)

            def reference(i: int, upright: bool = upright) -> int:
                """ref[i]: 0 is the corner."""
                if i >= 0:
                    return p[i - 1, -1] if upright else p[-1, i - 1]
                at = -1 + ((i * INVERSE[mode - 11] + 128) >> 8)
                return p[-1, at] if upright else p[at, -1]

            whole, part = ((across + 1) * angle) >> 5, ((across + 1) * angle) & 31
            value = (32 - part) * reference(along + whole + 1)
            if part:
                value += part * reference(along + whole + 2)
            out[y, x] = (value + 16) >> 5
    return out


def standard_filter(p: Samples, size: int) -> Samples:
    """8.4.4.2.3, without strong intra smoothing."""
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
    return distance > {8: 7, 16: 1, 32: 0}[size]


def borders(size: int, seed: int) -> np.ndarray:
    """65 samples, those that a block of this size must not look at being impossible."""
    random = np.random.default_rng(seed)
    samples = np.full(65, -(10**6), np.int32)
    samples[: 4 * size + 1] = random.integers(0, 256, 4 * size + 1)
    return samples


@pytest.mark.parametrize("size", [2, 4, 8, 16])
@pytest.mark.parametrize("mode", range(MODES))
def test_every_mode_and_size(size: int, mode: int) -> None:
    for seed in range(4):
        samples, out = borders(size, seed), np.full((16, 16), -5, np.int32)
        predict(samples, size, mode, out)
        assert np.array_equal(out[:size, :size], standard(around(samples, size), size, mode))
        out[:size, :size] = -5
        assert (out == -5).all()


@pytest.mark.parametrize("size", [4, 8, 16])
def test_smoothing(size: int) -> None:
    samples, out = borders(size, 9), np.zeros(65, np.int32)
    smooth(samples, size, out)
    assert around(out, size) == standard_filter(around(samples, size), size)
    for mode in range(MODES):
        assert wants_smooth(mode, size) == standard_wants_filter(mode, size), mode


def test_what_the_modes_are_called() -> None:
    samples, out = borders(8, 1), np.zeros((16, 16), np.int32)
    predict(samples, 8, HORIZONTAL, out)
    assert (out[:8, :8] == samples[17:25, None]).all()
    predict(samples, 8, VERTICAL, out)
    assert (out[:8, :8] == samples[None, 1:9]).all()
    assert (PLANAR, MEAN, intra.MODES) == (0, 1, 35)


@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_upright_and_lying_modes_are_each_others_transposition(size: int) -> None:
    samples, n = borders(size, 4), 2 * size
    turned = samples.copy()
    turned[1 : n + 1], turned[n + 1 : 2 * n + 1] = samples[n + 1 : 2 * n + 1], samples[1 : n + 1]
    for mode in range(MODES):
        a, b = np.zeros((16, 16), np.int32), np.zeros((16, 16), np.int32)
        predict(samples, size, mode, a)
        predict(turned, size, mode if mode < 2 else 36 - mode, b)
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
        return np.full(4 * size + 1, 128)
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
    rows, columns = 8, 12
    plane = random.integers(0, 256, (rows * unit, columns * unit)).astype(np.uint8)
    ready = (random.random((rows, columns)) < (0, 0.3, 0.6, 0.8, 0.95, 1)[seed]).astype(np.uint8)
    for units in (1, 2, 4):
        for row in range(0, rows, units):
            for column in range(0, columns, units):
                out = np.full(65, -1, np.int32)
                border(plane, ready, unit, row, column, units, out)
                n = 4 * unit * units + 1
                assert np.array_equal(out[:n], standard_border(plane, ready, unit, row, column, units))
                assert (out[n:] == -1).all()


def test_the_first_block_is_predicted_grey() -> None:
    y, ready = np.zeros((16, 16), np.uint8), np.zeros((4, 4), np.uint8)
    scratch, out = np.zeros((2, 65), np.int32), np.zeros((16, 16), np.int32)
    for mode in range(MODES):
        predict_luma(y, ready, 0, 0, 4, mode, scratch, out)
        assert (y == 128).all()


def test_luma_is_smoothed_and_chroma_is_not() -> None:
    random = np.random.default_rng(2)
    plane, ready = random.integers(0, 256, (48, 48)).astype(np.uint8), np.ones((12, 12), np.uint8)
    scratch, out = np.zeros((2, 65), np.int32), np.zeros((16, 16), np.int32)
    for units in (1, 2, 4):
        for mode in range(MODES):
            for luma in (True, False):
                unit, write = (4, predict_luma) if luma else (2, predict_chroma)
                size, at, found = unit * units, unit * 4, plane.copy()
                p = around(standard_border(plane, ready, unit, 4, 4, units), size)
                if luma and standard_wants_filter(mode, size):
                    p = standard_filter(p, size)
                write(found, ready, 4, 4, units, mode, scratch, out)
                wanted = plane.copy()
                wanted[at : at + size, at : at + size] = standard(p, size, mode)
                assert np.array_equal(found, wanted), (units, mode, luma)


def test_inter_blocks_are_ready_before_intra_ones() -> None:
    pred = np.array([[0, 1, 2], [3, 0, 0]], np.uint8)
    assert np.array_equal(ready_map(pred), (pred > 0).repeat(4, 0).repeat(4, 1))
