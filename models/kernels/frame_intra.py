# SPDX-License-Identifier: Apache-2.0
"""The intra blocks of a frame, one after the other: prediction from reconstructed neighbours plus residual; and what
that leaves of a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nvcodec.compiled import compiled, place, scratch, zeroed
from nvcodec.models.depth import LARGEST
from nvcodec.models.kernels.cosines import large_chroma_cosines, large_cosines
from nvcodec.models.kernels.cross_component import predict_from_luma
from nvcodec.models.kernels.intra import border, predict, predict_luma_from, smooth, wants_smooth
from nvcodec.models.kernels.residual import (
    FINE_SAMPLES,
    SAMPLES,
    TINY,
    TINY_CHROMA,
    add_square,
    squares,
    synthesise,
    synthesise_large,
    transform_class,
)
from nvcodec.models.kernels.syntax import WHOLE, block_at
from nvcodec.models.transform import CLASSES
from nvcodec.vectors import as_float32, as_int32, as_uint16, load, store


def _writing(size: int) -> Callable[..., Any]:
    """`write_square` of one size."""

    @compiled
    def write(plane, top, left, block):  # type: ignore[no-untyped-def]
        for i in range(size):
            store(plane, (top + i, left), as_uint16(load(block, (i, 0), size)))

    return write


_write_4, _write_8, _write_16, _write_32 = (_writing(size) for size in (4, 8, 16, 32))


@compiled
def write_square(plane, top, left, size, block):
    """Copy a square block of int32 into a plane of uint16; size: 4, 8, 16 or 32."""
    if size == 4:
        _write_4(plane, top, left, block)
    elif size == 8:
        _write_8(plane, top, left, block)
    elif size == 16:
        _write_16(plane, top, left, block)
    else:
        _write_32(plane, top, left, block)


@compiled
def mark(squares, row, column, units, value):
    """Set a square of a map of 4x4 units."""
    for i in range(row, row + units):
        for j in range(column, column + units):
            squares[i, j] = value


@compiled
def copy(values, out):
    """Copy one row into another."""
    for i in range(len(out)):
        out[i] = values[i]


@compiled
def predict_luma(y, ready, row, column, units, mode):
    """Write the prediction of a square of 4x4 units into the luma plane."""
    size, borders, out = 4 * units, scratch((2, 129), np.int32), scratch((32, 32), np.int32)
    border(y, ready, 4, row, column, units, borders[0])
    if wants_smooth(mode, size):
        smooth(borders[0], size, borders[1])
    predict_luma_from(borders, size, mode, out)
    write_square(y, 4 * row, 4 * column, size, out)


@compiled
def predict_chroma(plane, ready, row, column, units, mode):
    """Write the prediction of the chroma of a square of 2 x 2 or more 4x4 luma units into a chroma plane."""
    size, samples, out = 2 * units, scratch(65, np.int32), scratch((32, 32), np.int32)
    border(plane, ready, 2, row, column, units, samples)
    predict(samples, size, mode, True, out)
    write_square(plane, 2 * row, 2 * column, size, out)


@compiled
def add_luma(y, row, column, units, residual):
    """Add the luma of a block's residual (384,) within a square of it."""
    low, high = np.int32(0), np.int32(LARGEST)
    first = 16 * (4 * row & 15) + (4 * column & 15)
    for i in range(4 * units):
        for j in range(4 * units):
            r, c = place(4 * row + i), place(4 * column + j)
            y[r, c] = min(max(np.int32(np.int32(y[r, c]) + residual[place(first + 16 * i + j)]), low), high)


@compiled
def _add_chroma(plane, row, column, units, residual, first):
    low, high = np.int32(0), np.int32(LARGEST)
    first += 8 * (2 * row & 7) + (2 * column & 7)
    for i in range(2 * units):
        for j in range(2 * units):
            r, c = place(2 * row + i), place(2 * column + j)
            plane[r, c] = min(max(np.int32(np.int32(plane[r, c]) + residual[place(first + 8 * i + j)]), low), high)


@compiled
def predict_chroma_of(y, u, v, ready, row, column, units, mode, linked):
    """Write the prediction of the chroma of a square of 4x4 units whose luma is reconstructed; linked: from that."""
    if linked:
        predict_from_luma(y, u, v, ready, row, column, units)
    else:
        predict_chroma(u, ready, row, column, units, mode)
        predict_chroma(v, ready, row, column, units, mode)


@compiled
def rebuild_square(y, u, v, ready, row, column, units, tiny, modes, linked, coded, residual):
    """Predict a square (a whole block or a quarter), add its residual and mark it ready; linked: chroma from luma."""
    mode = modes[row, column]
    for part in range(4 if tiny else 1):
        i, j, size = (row + (part >> 1), column + (part & 1), 1) if tiny else (row, column, units)
        predict_luma(y, ready, i, j, size, modes[i, j])
        if coded:
            add_luma(y, i, j, size, residual)
        mark(ready, i, j, size, 1)
    if tiny:
        mark(ready, row, column, units, 0)
    predict_chroma_of(y, u, v, ready, row, column, units, mode, linked)
    if coded:
        _add_chroma(u, row, column, units, residual, 256)
        _add_chroma(v, row, column, units, residual, 320)
    mark(ready, row, column, units, 1)


def ready_map(pred: np.ndarray) -> np.ndarray:
    """Which 4x4 squares, (4R, 4C) uint8, are reconstructed before the intra blocks: those of inter blocks."""
    return (pred > 0).astype(np.uint8).repeat(4, 0).repeat(4, 1)


@compiled
def rebuild_intra(
    y, u, v, ready, pred, coded, fine, tiny, large, modes, from_luma, symbols, steps, scale, bases
):  # fmt: skip
    """Reconstruct all intra blocks of a frame in coding order, in place; ready: `ready_map`, overwritten."""
    residual, unit = scratch(SAMPLES, np.int32), scratch((3, 32, 32), np.int32)
    for number in range(pred.size):
        r, c = block_at(number, *pred.shape)
        if pred[r, c]:
            continue
        if large[r, c] == WHOLE:
            if r % 2 == 0 and c % 2 == 0:
                if coded[r, c]:
                    mode = modes[4 * r, 4 * c]
                    synthesise_large(symbols[r, c], steps[r, c], scale, False, mode, bases, unit)
                rebuild_unit(y, u, v, ready, r, c, modes, from_luma[2 * r, 2 * c], coded[r, c], unit)
            continue
        if coded[r, c]:
            quarters, squares = tiny[2 * r : 2 * r + 2, 2 * c : 2 * c + 2], modes[4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
            synthesise(symbols[r, c], steps[r, c], scale, False, fine[r, c], quarters, squares, bases, residual)
        if not fine[r, c]:
            rebuild_square(y, u, v, ready, 4 * r, 4 * c, 4, 0, modes, from_luma[2 * r, 2 * c], coded[r, c], residual)
            continue
        for q in range(4):
            i, j = 2 * r + (q >> 1), 2 * c + (q & 1)
            rebuild_square(y, u, v, ready, 2 * i, 2 * j, 2, tiny[i, j], modes, from_luma[i, j], coded[r, c], residual)


@compiled
def predict_all(y, u, v, ready, row, column, units, mode):
    """Write the prediction of a square of 4x4 units into all planes."""
    predict_luma(y, ready, row, column, units, mode)
    predict_chroma(u, ready, row, column, units, mode)
    predict_chroma(v, ready, row, column, units, mode)


@compiled
def rebuild_unit(y, u, v, ready, r, c, modes, linked, coded, residual):
    """Predict a large unit, add its residual (3, 32, 32) and mark it ready; linked: its chroma from luma."""
    predict_luma(y, ready, 4 * r, 4 * c, 8, modes[4 * r, 4 * c])
    if coded:
        add_square(y, 16 * r, 16 * c, 32, residual[0])
    predict_chroma_of(y, u, v, ready, 4 * r, 4 * c, 8, modes[4 * r, 4 * c], linked)
    if coded:
        add_square(u, 8 * r, 8 * c, 16, residual[1])
        add_square(v, 8 * r, 8 * c, 16, residual[2])
    mark(ready, 4 * r, 4 * c, 8, 1)


def _weighing(size: int) -> Callable[..., Any]:
    """`weighted_difference` of one size."""

    @compiled
    def weigh(source, plane, top, left, weight, out):  # type: ignore[no-untyped-def]
        for i in range(size):
            row, other = load(source, (top + i, left), size), load(plane, (top + i, left), size)
            store(out, size * i, as_float32(as_int32(row) - as_int32(other)) * weight)

    return weigh


_weigh_4, _weigh_8, _weigh_16, _weigh_32 = (_weighing(size) for size in (4, 8, 16, 32))


@compiled
def weighted_difference(source, plane, top, left, size, weight, out):
    """Weighted differences of source and plane in a square, row by row (size * size,); size: 4, 8, 16 or 32."""
    if size == 4:
        _weigh_4(source, plane, top, left, weight, out)
    elif size == 8:
        _weigh_8(source, plane, top, left, weight, out)
    elif size == 16:
        _weigh_16(source, plane, top, left, weight, out)
    else:
        _weigh_32(source, plane, top, left, weight, out)


@compiled
def all_differences(source, planes, row, column, units, weight, out):
    """Weighted differences of a square of 4x4 luma units in sample order: luma, U, V."""
    size = 4 * units
    weighted_difference(source[0], planes[0], 4 * row, 4 * column, size, np.float32(1), out)
    chroma_differences(source, planes, row, column, units, weight, out[size * size :])


@compiled
def chroma_differences(source, planes, row, column, units, weight, out):
    """The same of chroma alone."""
    half = 2 * units
    for p in range(1, 3):
        weighted_difference(source[p], planes[p], 2 * row, 2 * column, half, weight, out[(p - 1) * half * half :])


@compiled
def unit_cosines(source, planes, r, c, weight, out):
    """Weighted lowest cosines (384,) of what planes leave of a unit; returns the squared error of all of it."""
    total = np.float32(0)
    for part in range(3):
        total += cosines_of(source, planes, part, r, c, weight, out)
    return total


@compiled
def cosines_of(source, planes, part, r, c, weight, out):
    """The same of one plane."""
    samples = scratch(1024, np.float32)
    size, factor = (32, np.float32(1)) if part == 0 else (16, weight)
    top, left = (16 * r, 16 * c) if part == 0 else (8 * r, 8 * c)
    weighted_difference(source[part], planes[part], top, left, size, factor, samples)
    if part == 0:
        large_cosines(samples, 0, 32, out, 0)
    else:
        large_chroma_cosines(samples, 0, 16, out, 192 + 64 * part)
    return squares(samples[: size * size])


@compiled
def all_unit_cosines(source, planes, units, weight, cosines):
    """`unit_cosines` (N, 384) of units (N, 2)."""
    for n in range(len(units)):
        unit_cosines(source, planes, units[n, 0], units[n, 1], weight, cosines[n])


@compiled
def collect_residuals(
    source, planes, ready, pred, coded, fine, tiny, large, modes, from_luma, symbols, steps, scale, bases, weight,
    residuals, classes,
):  # fmt: skip
    """What the transforms of all intra blocks were given, for training; returns how many there are.

    planes, ready: as `encode_intra` got them (they are filled in again); residuals: (M, 384) float32, weighted, and
    classes (M,) uint8 their class of basis (+ CLASSES x the transform), as many as there is room for.
    """
    y, u, v = planes
    residual, samples = zeroed(SAMPLES, np.int32), scratch(SAMPLES, np.float32)
    unit, saved = scratch((3, 32, 32), np.int32), 0
    for number in range(pred.size):
        r, c = block_at(number, *pred.shape)
        if pred[r, c]:
            continue
        if large[r, c] == WHOLE:
            if r % 2 == 0 and c % 2 == 0:
                mode = modes[4 * r, 4 * c]
                predict_luma(y, ready, 4 * r, 4 * c, 8, mode)
                cosines_of(source, planes, 0, r, c, weight, samples)
                synthesise_large(symbols[r, c], steps[r, c], scale, False, mode, bases, unit)
                add_square(y, 16 * r, 16 * c, 32, unit[0])
                predict_chroma_of(y, u, v, ready, 4 * r, 4 * c, 8, mode, from_luma[2 * r, 2 * c])
                for part in range(1, 3):
                    cosines_of(source, planes, part, r, c, weight, samples)
                saved = _keep(residuals, classes, saved, samples, 4 * CLASSES + transform_class(False, mode))
                add_square(u, 8 * r, 8 * c, 16, unit[1])
                add_square(v, 8 * r, 8 * c, 16, unit[2])
                mark(ready, 4 * r, 4 * c, 8, 1)
            continue
        quarters, squares = tiny[2 * r : 2 * r + 2, 2 * c : 2 * c + 2], modes[4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
        synthesise(symbols[r, c], steps[r, c], scale, False, fine[r, c], quarters, squares, bases, residual)
        for q in range(4 if fine[r, c] else 1):
            i, j, units = 4 * r, 4 * c, 4
            if fine[r, c]:
                i, j, units = 4 * r + 2 * (q >> 1), 4 * c + 2 * (q & 1), 2
            small = tiny[i >> 1, j >> 1] == 1
            for part in range(4 if small else 1):
                a, b, size = (i + (part >> 1), j + (part & 1), 1) if small else (i, j, units)
                predict_luma(y, ready, a, b, size, modes[a, b])
                if small:
                    weighted_difference(source[0], y, 4 * a, 4 * b, 4, np.float32(1), samples)
                    which = transform_class(False, modes[a, b])
                    saved = _keep(residuals, classes, saved, samples[:TINY], 2 * CLASSES + which)
                    add_luma(y, a, b, 1, residual)
                    ready[a, b] = 1
            mark(ready, i, j, units, 0)
            if not small:
                weighted_difference(source[0], y, 4 * i, 4 * j, 4 * units, np.float32(1), samples)
                add_luma(y, i, j, units, residual)
            predict_chroma_of(y, u, v, ready, i, j, units, modes[i, j], from_luma[i >> 1, j >> 1])
            which = transform_class(False, modes[i, j])
            if small:
                chroma_differences(source, planes, i, j, units, weight, samples)
                saved = _keep(residuals, classes, saved, samples[:TINY_CHROMA], 3 * CLASSES + which)
            else:
                chroma_differences(source, planes, i, j, units, weight, samples[16 * units * units :])
                n = SAMPLES if units == 4 else FINE_SAMPLES
                saved = _keep(residuals, classes, saved, samples[:n], (0 if units == 4 else CLASSES) + which)
            _add_chroma(u, i, j, units, residual, 256)
            _add_chroma(v, i, j, units, residual, 320)
            mark(ready, i, j, units, 1)
    return saved


@compiled
def _keep(residuals, classes, saved, samples, which):
    """Keep residuals while there is room; returns how many are kept."""
    if saved < len(classes):
        for k in range(len(samples)):
            residuals[saved, k] = samples[k]
        classes[saved] = which
        saved += 1
    return saved
