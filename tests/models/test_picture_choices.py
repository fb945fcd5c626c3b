# SPDX-License-Identifier: Apache-2.0
"""The encoder's choices of a frame: what it writes is what it saw, in the canonical form that the syntax keeps."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import block_samples as syntax
import numpy as np
import pytest

from nvcodec.models.conditional import restoration as module
from nvcodec.models.conditional.efforts import EFFORTS, KEYFRAME_EFFORTS
from nvcodec.models.conditional.frame import Blocks, Planes, Reference, empty_planes
from nvcodec.models.conditional.frame_coder import FrameCoder, FrameHeader
from nvcodec.models.conditional.picture import Statistics, choose, rebuild
from nvcodec.models.conditional.restoration import BANK_BITS
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.depth import STEP_SCALE
from nvcodec.models.kernels.choice import choose_blocks
from nvcodec.models.kernels.compensation import BOTH, FIRST, PAD, extend_edges, padded
from nvcodec.models.kernels.motion import FOUR_PARTS, MAX_VECTOR, TWO_COLUMNS, TWO_ROWS
from nvcodec.models.kernels.network import CHANNELS, TAPS
from nvcodec.models.kernels.restore import BANKS, NETWORK, RANGES
from nvcodec.models.kernels.rough_cost import price_curve
from nvcodec.models.kernels.syntax import ALONE, WHOLE
from nvcodec.models.network import Network, network_of, no_network
from nvcodec.models.quality import CHROMA_SCALES, LEVELS, LOWEST, QUALITIES, STEPS, bit_price
from nvcodec.models.transform import CLASSES, Filters, chroma_weight, no_filters

ROWS, COLUMNS = 3, 4
CHROMA = 2  # its residual as it is
FIELDS = (*syntax.FIELDS, "banks")


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def texture(seed: int, roughness: float = 1.0, rows: int = ROWS, columns: int = COLUMNS) -> Planes:
    """A picture with smooth and rough parts and hard edges."""
    random = np.random.default_rng(seed)
    planes = []
    for s in (1, 2, 2):
        height, width = 16 * rows // s, 16 * columns // s
        coarse = random.integers(0, 1024, (height // 8, width // 8)).repeat(8, 0).repeat(8, 1)
        noise = random.normal(0, 120 * roughness, (height, width)) * (random.random((1, width)) < 0.5)
        planes.append((0.6 * coarse + 200 + noise).clip(0, 1023).astype(np.uint16))
    return planes[0], planes[1], planes[2]


def reference(planes: Planes, number: int, distances: tuple[int, ...] = ()) -> Reference:
    rows, columns = (side // 16 for side in planes[0].shape)
    whole = empty_planes(rows, columns)
    for inside, plane, pad in zip(whole, planes, (PAD, PAD // 2, PAD // 2), strict=True):
        inside[pad:-pad, pad:-pad] = plane
        extend_edges(inside, pad)
    return Reference(whole, Blocks(rows, columns), 40, number, distances)


def mixed(a: Planes, b: Planes, shift: int) -> Planes:
    """Between two pictures, moved, with a part of its own."""
    own = texture(99, 1.0, *(side // 16 for side in a[0].shape))
    planes = []
    for x, y, z, s in zip(a, b, own, (1, 2, 2), strict=True):
        plane = (x.astype(int) + np.roll(y, shift // s, 1)) // 2
        plane[: 16 // s] = x[: 16 // s]
        plane[-16 // s :, : 16 // s] = z[-16 // s :, : 16 // s]
        planes.append(plane.astype(np.uint16))
    return planes[0], planes[1], planes[2]


def written_unchanged(blocks: Blocks, references: int, last: Blocks, scale: np.ndarray, symbols: np.ndarray) -> None:
    """Writing puts decisions into canonical form: they must be there already, or the decoder gets others."""
    before = {name: getattr(blocks, name).copy() for name in FIELDS}
    frame = syntax.Frame(references, last, scale)
    payload = syntax.write(blocks, frame, syntax.new_decisions())
    for name in FIELDS:
        assert np.array_equal(getattr(blocks, name), before[name]), name
    found = syntax.read(payload, blocks.rows, blocks.columns, frame, syntax.new_decisions())
    assert syntax.same(found, blocks)
    syntax.check_bounds(blocks, frame)
    rest = (blocks.large == WHOLE) & (np.indices(blocks.large.shape) % 2).any(0)  # of units that are one
    assert np.array_equal(symbols.any(-1), (blocks.coded > 0) & ~rest)


def smoothing(banks: int = BANKS, only_range: int | None = None) -> Filters:
    """Filters that mix a sample with its neighbours, each bank twice as much as the one before; luma and chroma."""
    filters = no_filters()
    for bank in range(banks):
        for taps in (filters.luma[:, bank, :, :2], filters.chroma[:, bank, :, :, :2]):
            taps[:] = 10 << bank
    for quality_range in range(RANGES):
        if only_range not in (None, quality_range):
            filters.luma[quality_range], filters.chroma[quality_range] = 0, 0
    return filters


def waves(seed: int) -> Planes:
    """A picture without anything sharp."""
    y, x = np.mgrid[: 16 * ROWS, : 16 * COLUMNS]
    luma = (512 + 240 * np.sin((x + 0.7 * y + 9 * seed) / 7)).astype(np.uint16)
    chroma = np.ascontiguousarray(luma[::2, ::2])
    return luma, chroma, 1023 - chroma


def towards_means() -> Network:
    """One that moves all samples a little towards the mean around them."""
    layer = no_network().layers[0]
    weights = np.zeros_like(layer.weights)
    weights[range(CHANNELS), range(CHANNELS), TAPS // 2] = -1
    return network_of((replace(layer, weights=weights),))


@pytest.mark.parametrize("preset", EFFORTS)
@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("level", [0, LOWEST, LOWEST + 30, LEVELS - 1])
def test_what_is_chosen_is_what_is_written_and_rebuilt(
    weights: Weights, pool: ThreadPoolExecutor, preset: str, count: int, level: int
) -> None:
    for seed, chroma in enumerate((10, 0, 5, 15)):
        midway = count == 2 and seed % 2 == 0
        a, b = texture(seed), texture(seed, 1.2)
        references = [reference(a, 0), reference(b, 8)][:count]
        last = reference(b, 8, (8,)) if count else None
        if last is not None:
            last.blocks.kinds[:] = FIRST
            last.blocks.vectors[0] = np.random.default_rng(seed).integers(-20, 21, last.blocks.vectors[0].shape)
        scale = np.array([128, 0])
        blocks, symbols, planes = choose(
            mixed(a, b, 2 * seed), level, chroma, references, midway, last, scale, weights.bases, EFFORTS[preset],
            pool,
        )  # fmt: skip
        if not count:
            assert not blocks.pred.any()
        assert blocks.pred.max() <= (BOTH if count == 2 else count)
        written_unchanged(blocks, count, last.blocks if last else Blocks(ROWS, COLUMNS), scale, symbols)
        again = rebuild(blocks, symbols, level, chroma, references, midway, weights.bases, pool)
        assert all(np.array_equal(x, y) for x, y in zip(again, planes, strict=True))


@pytest.mark.parametrize("preset", EFFORTS)
@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (5, 9), (9, 6)])
def test_pictures_of_whole_quads_and_others(
    weights: Weights, pool: ThreadPoolExecutor, preset: str, count: int, rows: int, columns: int
) -> None:
    """The same from one thread and from two, which have one quad on the right between them; written and rebuilt."""
    a, b = texture(1, 0.2, rows, columns), texture(2, 0.2, rows, columns)
    references, last, scale = [reference(a, 0), reference(b, 8)][:count], Blocks(rows, columns), np.zeros(2, np.int64)
    picture = mixed(a, a if count < 2 else b, 2)
    effort = (EFFORTS if count else KEYFRAME_EFFORTS)[preset]
    rest = (picture, LOWEST + 30, CHROMA, references, count == 2, None, scale, weights.bases, effort)
    blocks, symbols, planes = choose(*rest, pool)
    written_unchanged(blocks, count, last, scale, symbols)
    again = rebuild(blocks, symbols, LOWEST + 30, CHROMA, references, count == 2, weights.bases, pool)
    assert all(np.array_equal(x, y) for x, y in zip(again, planes, strict=True))
    with ThreadPoolExecutor(1) as alone:
        other, other_symbols, other_planes = choose(*rest, alone)
    assert all(np.array_equal(getattr(blocks, name), getattr(other, name)) for name in FIELDS)
    assert np.array_equal(symbols, other_symbols)
    assert all(np.array_equal(x, y) for x, y in zip(other_planes, planes, strict=True))


@pytest.mark.parametrize("preset", EFFORTS)
@pytest.mark.parametrize("size", [MAX_VECTOR - 3, MAX_VECTOR - 1, MAX_VECTOR])
@pytest.mark.parametrize("sign", [(1, 1), (-1, 1), (1, -1)])
def test_vectors_at_their_limit(
    weights: Weights, pool: ThreadPoolExecutor, preset: str, size: int, sign: tuple[int, int]
) -> None:
    """A picture that the corner of the reference explains best, to which the search comes by the last frame's field."""
    for seed in range(4):
        a, b = texture(seed), texture(seed + 50)
        corner = []
        for x, y, s in zip(a, b, (1, 2, 2), strict=True):
            row, column = (-1 if sign[1] > 0 else 0), (-1 if sign[0] > 0 else 0)
            value = (int(x[row, column]) + int(y[row, column])) // 2
            corner.append(np.full((16 * ROWS // s, 16 * COLUMNS // s), value, np.uint16))
        references, last = [reference(a, 0), reference(b, 1)], reference(b, 1, (1, 1))
        last.blocks.kinds[:] = BOTH
        last.blocks.vectors[:] = np.array(sign) * size
        scale = np.zeros(2, np.int64)
        blocks, symbols, _ = choose(
            (corner[0], corner[1], corner[2]), LOWEST + 30, CHROMA, references, True, last, scale, weights.bases,
            EFFORTS[preset], pool,
        )  # fmt: skip
        assert np.abs(blocks.vectors).max() <= MAX_VECTOR
        written_unchanged(blocks, 2, last.blocks, scale, symbols)


def test_a_frame_coder_reads_what_it_wrote(weights: Weights, pool: ThreadPoolExecutor) -> None:
    writer, reader = FrameCoder(weights, ROWS, COLUMNS), FrameCoder(weights, ROWS, COLUMNS)
    kept: list[Reference] = []
    for number in range(3):
        references = kept[::-1][:2]
        picture = mixed(texture(1), texture(2), 2 * number)
        blocks, symbols, planes = choose(
            picture, LOWEST + 36, number, references, False, None, np.zeros(2, np.int64), weights.bases,
            EFFORTS["medium"], pool,
        )  # fmt: skip
        header = FrameHeader(LOWEST + 36, number, True, 0, tuple(range(len(references))))
        # the encoder here knows no last frame, the coder does: merged blocks would differ
        blocks.merged[:], blocks.parts[:] = 0, 0
        payload = writer.encode([(header, number, blocks, symbols)])
        ((found_header, found_number, found, found_symbols),) = reader.decode(payload, number == 0, number)
        assert (found_header, found_number) == (header, number)
        assert np.array_equal(found_symbols, symbols)
        for name in FIELDS:
            assert np.array_equal(getattr(found, name), getattr(blocks, name)), name
        kept.append(Reference(planes, blocks, LOWEST + 36, number))


def test_refined_vectors_stay_within_the_limit(weights: Weights) -> None:
    """In a wide picture whose first block lies 1024 samples to the right in both references: one step too far."""
    columns = 70
    random = np.random.default_rng(0)
    first, second, picture = (
        tuple(random.integers(0, 1024, (16 // s, 16 * columns // s)).astype(np.uint16) for s in (1, 2, 2))
        for _ in range(3)
    )
    first, second = (
        tuple(padded(plane, PAD // s) for plane, s in zip(planes, (1, 2, 2), strict=True)) for planes in (first, second)
    )
    there = np.s_[PAD : PAD + 16, PAD + 1024 : PAD + 1040]
    picture[0][:, :16] = (first[0][there].astype(int) + second[0][there] + 1) // 2
    blocks, last = Blocks(1, columns), Blocks(1, columns)
    whole = np.zeros((2, 1, columns, 3))
    whole[:, 0, 0, 0] = MAX_VECTOR
    price = bit_price(LOWEST + 35)
    prices = price_curve(64.0, price)
    values = {
        "picture": picture, "planes": picture, "exact": 1, "steps": np.full((1, columns), 256, np.int32),
        "weight": np.float32(1), "rates": weights.bases.summed_rates,
        "ready": np.ones_like(blocks.modes), "quad_row": 0, "begin": 0, "end": (columns + 3) // 4,
        "first": first, "second": second, "references": 2, "midway": False, "whole": whole,
        "quarters": np.zeros((2, 2, 2 * columns, 3)), "parts_from": np.inf, "together_to": np.inf, "rounds": 3,
        "settled_to": 0.0,
        "price": price, "prices": prices, "last_kinds": last.kinds, "last_vectors": last.vectors,
        "scale": np.zeros(2, np.int64), "pred": blocks.pred, "merged": blocks.merged, "vectors": blocks.vectors,
        "large": blocks.large, "quad": blocks.quad, "shapes": blocks.shapes, "kinds": blocks.kinds,
        "parts": blocks.parts,
    }  # fmt: skip
    choose_blocks(*(values[name] for name in inspect.signature(choose_blocks).parameters))
    assert blocks.pred[0, 0] == BOTH
    assert np.abs(blocks.vectors).max() <= MAX_VECTOR


def test_a_unit_with_one_motion_is_large(weights: Weights, pool: ThreadPoolExecutor) -> None:
    """A picture that moved as a whole; where two parts moved apart, blocks are alone."""
    wide = texture(1, 0.3), texture(2, 0.3)
    first = reference(wide[0], 0)
    for shifts, large in (((6, 6), True), ((6, -10), False)):
        moved = []
        for plane, s in zip(wide[0], (1, 2, 2), strict=True):
            upper, lower = (np.roll(plane, shift // s, 1) for shift in shifts)
            half = np.arange(len(plane))[:, None] // (16 // s) % 2 == 0  # every other row of blocks
            moved.append(np.where(half, upper, lower))
        blocks, symbols, _ = choose(
            (moved[0], moved[1], moved[2]), LOWEST + 30, CHROMA, [first], False, None, np.zeros(2, np.int64),
            weights.bases, EFFORTS["medium"], pool,
        )  # fmt: skip
        assert (blocks.large[:2] != ALONE).any() == large
        assert not blocks.large[2:].any()  # half units
        written_unchanged(blocks, 1, Blocks(ROWS, COLUMNS), np.zeros(2, np.int64), symbols)


@pytest.mark.parametrize("preset", EFFORTS)
def test_units_are_settled_where_a_candidate_leaves_next_to_nothing(
    weights: Weights, pool: ThreadPoolExecutor, preset: str
) -> None:
    """What stood still has the motion that it has anyway; what did not is looked at as ever."""
    first, level, moved = reference(texture(1, 0.3), 0), LOWEST + 30, 6
    planes = [
        np.ascontiguousarray(p[PAD // s : -PAD // s, PAD // s : -PAD // s])
        for p, s in zip(first.planes, (1, 2, 2), strict=True)
    ]
    for plane, s in zip(planes, (1, 2, 2), strict=True):  # the second column of units
        plane[:, 32 // s : 64 // s] = np.roll(plane, moved // s, 1)[:, 32 // s : 64 // s]
    found = []
    for bits in (0.0, 8.0, np.inf):
        effort = replace(EFFORTS[preset], settled_to=bits, filters=False)
        blocks, symbols, _ = choose(
            (planes[0], planes[1], planes[2]), level, CHROMA, [first], False, None, np.zeros(2, np.int64),
            weights.bases, effort, pool,
        )  # fmt: skip
        written_unchanged(blocks, 1, Blocks(ROWS, COLUMNS), np.zeros(2, np.int64), symbols)
        found.append(blocks)
    looked, settled, blindly = found
    assert np.array_equal(looked.vectors, settled.vectors)
    assert settled.vectors[0, :4, 4:, 0].any()
    assert settled.large[:2, :2].all()
    assert not blindly.vectors[:, :4].any()  # the first candidate


@pytest.mark.parametrize("preset", EFFORTS)
def test_quads_take_the_motion_of_a_candidate(weights: Weights, pool: ThreadPoolExecutor, preset: str) -> None:
    """What stood still, all of it; what moved as a whole, where a neighbour or the last frame knows how: the first quad
    has none. Not where half of the rows moved in another way."""
    first = reference(texture(1, 0.3, 5, 9), 0)
    last = reference(texture(1, 0.3, 5, 9), 0, (1,))
    last.blocks.kinds[:], last.blocks.vectors[0] = FIRST, (-24, 0)
    nothing, known = np.zeros(2, np.int64), np.array([256, 0])
    for shifts, newest, wanted in (
        ((0, 0), None, (True, True)),
        ((6, 6), None, (False, True)),
        ((6, 6), last, (True, True)),
        ((6, -10), last, (False, False)),
    ):
        moved = []
        for plane, s in zip(first.planes, (1, 2, 2), strict=True):
            pad = PAD // s
            upper, lower = (np.roll(plane, shift // s, 1)[pad:-pad, pad:-pad] for shift in shifts)
            half = np.arange(len(upper))[:, None] // (16 // s) % 2 == 0  # every other row of blocks
            moved.append(np.ascontiguousarray(np.where(half, upper, lower)))
        scale = nothing if newest is None else known
        blocks, symbols, _ = choose(
            (moved[0], moved[1], moved[2]), LOWEST + 30, CHROMA, [first], False, newest, scale, weights.bases,
            EFFORTS[preset], pool,
        )  # fmt: skip
        before = Blocks(5, 9) if newest is None else newest.blocks
        written_unchanged(blocks, 1, before, scale, symbols)
        assert (bool(blocks.quad[0, 0]), bool(blocks.quad[0, 4])) == wanted
        assert not blocks.quad[4].any()
        assert not blocks.quad[:, 8].any()
        if wanted[1]:
            assert (blocks.vectors[0, :8, 8:16] == (-4 * shifts[0], 0)).all()


@pytest.mark.parametrize("preset", EFFORTS)
def test_chroma_that_follows_luma_comes_from_it(weights: Weights, pool: ThreadPoolExecutor, preset: str) -> None:
    """In intra blocks of several sizes; grey chroma hardly ever does."""
    luma, seen = texture(3, 0.2, 5, 6)[0], set()
    means = luma.reshape(40, 2, 48, 2).mean((1, 3))
    linked = luma, (0.6 * means + 200).astype(np.uint16), (880 - 0.7 * means).astype(np.uint16)
    grey = luma, *(np.full((40, 48), 512, np.uint16) for _ in "uv")
    for picture, level, wanted in ((linked, 40, True), (linked, 10, True), (grey, 40, False), (grey, 10, False)):
        rest = (LOWEST + level, 10, [], False, None, np.zeros(2, np.int64), weights.bases, EFFORTS[preset], pool)
        blocks, symbols, planes = choose(picture, *rest)
        written_unchanged(blocks, 0, Blocks(5, 6), np.zeros(2, np.int64), symbols)
        again = rebuild(blocks, symbols, LOWEST + level, 10, [], False, weights.bases, pool)
        assert all(np.array_equal(x, y) for x, y in zip(again, planes, strict=True))
        assert blocks.from_luma.mean() > 0.8 if wanted else blocks.from_luma.mean() < 0.15
        sizes = np.where(blocks.large == WHOLE, 3, np.where(blocks.fine == 0, 2, 0)).repeat(2, 0).repeat(2, 1)
        seen |= set((sizes + blocks.tiny)[blocks.from_luma > 0].tolist())
    assert len(seen) > 2


def smooth_noise(seed: int) -> Planes:
    """A picture whose every part can be told from every other."""
    random, planes = np.random.default_rng(seed), []
    for s in (1, 2, 2):
        plane = random.normal(0, 640 / s, (16 * ROWS // s, 16 * COLUMNS // s))
        for axis in (0, 1, 0, 1):
            plane = sum(np.roll(plane, n, axis) for n in (-2, -1, 0, 1, 2)) / 5**0.75
        planes.append((plane + 512).clip(0, 1023).astype(np.uint16))
    return planes[0], planes[1], planes[2]


def moved_in_parts(planes: Planes, across: bool, down: bool) -> Planes:
    """Every other column of 8x8 blocks moved in one way, the rest in another, or every other row, or both."""
    found = []
    for plane, s in zip(planes, (1, 2, 2), strict=True):
        y, x = np.indices(plane.shape) // (8 // s)
        part = (x % 2 if across else 0) + 2 * (y % 2 if down else 0)
        moves = ((0, 4), (2, -4), (-4, 2), (4, 0))
        shifted = [np.roll(plane, (rows // s, columns // s), (0, 1)) for rows, columns in moves]
        found.append(np.choose(part, shifted).astype(np.uint16))
    return found[0], found[1], found[2]


@pytest.mark.parametrize("preset", EFFORTS)
@pytest.mark.parametrize(("across", "down", "shape"), [(0, 1, TWO_ROWS), (1, 0, TWO_COLUMNS), (1, 1, FOUR_PARTS)])
def test_parts_that_moved_apart_are_parts(
    weights: Weights, pool: ThreadPoolExecutor, preset: str, across: bool, down: bool, shape: int
) -> None:
    """A picture in which each block's parts moved in ways of their own is cut there, quarters being cut there, too."""
    planes = smooth_noise(1)
    picture = moved_in_parts(planes, across, down)
    for count in (1, 2):
        references = [reference(planes, 0), reference(smooth_noise(7), 8)][:count]
        rest = (
            LOWEST + 40,
            CHROMA,
            references,
            False,
            None,
            np.zeros(2, np.int64),
            weights.bases,
            EFFORTS[preset],
            pool,
        )
        blocks, symbols, _ = choose(picture, *rest)
        written_unchanged(blocks, count, Blocks(ROWS, COLUMNS), np.zeros(2, np.int64), symbols)
        assert (blocks.shapes > 0).mean() > 0.6
        assert (blocks.shapes == shape).mean() > 0.25
        if shape != FOUR_PARTS:
            assert np.isin(blocks.shapes[blocks.shapes > 0], (shape, FOUR_PARTS)).all()


def test_an_effort_says_whether_parts_are_looked_at(weights: Weights, pool: ThreadPoolExecutor) -> None:
    planes = smooth_noise(1)
    references = [reference(planes, 0)]
    none = replace(EFFORTS["medium"], parts_from=np.inf)
    rest = (LOWEST + 40, CHROMA, references, False, None, np.zeros(2, np.int64), weights.bases, none, pool)
    assert not choose(moved_in_parts(planes, True, True), *rest)[0].shapes.any()


def test_smooth_pictures_are_coded_in_large_units(weights: Weights, pool: ThreadPoolExecutor) -> None:
    y, x = np.mgrid[: 16 * ROWS, : 16 * COLUMNS]
    luma = (240 + 6 * x + 80 * np.sin(y / 15)).astype(np.uint16)
    picture = luma, luma[::2, ::2].copy(), luma[1::2, ::2].copy()
    rough = texture(4)
    for planes, wanted in ((picture, True), (rough, False)):
        blocks, symbols, shown = choose(
            planes, LOWEST + 10, CHROMA, [], False, None, np.zeros(2, np.int64), weights.bases, EFFORTS["medium"], pool
        )
        assert (blocks.large[:2] == WHOLE).all() == wanted
        written_unchanged(blocks, 0, Blocks(ROWS, COLUMNS), np.zeros(2, np.int64), symbols)
        assert np.abs(shown[0][PAD:-PAD, PAD:-PAD].astype(int) - planes[0]).mean() < STEPS[LOWEST + 10] / STEP_SCALE


# --- how much chroma counts


def lost(picture: Planes, shown: Planes) -> list[float]:
    """Mean squared error of each plane; shown: with borders."""
    pads = (PAD, PAD // 2, PAD // 2)
    return [
        float(((a.astype(float) - b[pad:-pad, pad:-pad]) ** 2).mean())
        for a, b, pad in zip(picture, shown, pads, strict=True)
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_where_chroma_counts_more_less_of_it_is_lost(weights: Weights, pool: ThreadPoolExecutor, count: int) -> None:
    """And more of its symbols are there, but luma stays next to what it is."""
    picture = mixed(texture(1, 0.4), texture(2, 0.4), 6)
    references = [reference(texture(1, 0.4), 0)][:count]
    errors, sizes = [], []
    for chroma in range(0, len(CHROMA_SCALES), 5):
        _, symbols, planes = choose(
            picture, LOWEST + 35, chroma, references, False, None, np.zeros(2, np.int64), weights.bases,
            EFFORTS["medium"], pool,
        )  # fmt: skip
        errors.append(lost(picture, planes))
        sizes.append(int(np.abs(symbols.astype(int)).sum()))
    luma, u, v = np.array(errors).T
    assert (np.diff(u) < 0).all()
    assert (np.diff(v) < 0).all()
    assert u[0] > 4 * u[-1]
    assert luma.max() < 1.3 * luma.min()
    assert sizes == sorted(sizes)


# --- banks


def weighted_error(picture: Planes, planes: Planes, chroma: int, r: int, c: int) -> float:
    """Of a unit, by the upper of each two rows of 4x4 squares, as the encoder judges it; planes with borders."""
    total, weights = 0.0, (1, *[float(chroma_weight(chroma)) ** 2] * 2)
    for a, b, pad, weight in zip(picture, planes, (PAD, PAD // 2, PAD // 2), weights, strict=True):
        side = 32 if pad == PAD else 16
        at = np.s_[side * r : side * (r + 1), side * c : side * (c + 1)]
        squares = (a.astype(float) - b[pad:-pad, pad:-pad])[at] ** 2
        looked_at = np.arange(len(squares)) % (side // 4) < side // 8
        total += weight * 2 * float(squares[looked_at].sum())
    return total


@pytest.mark.parametrize("by_network", [False, True])
@pytest.mark.parametrize("level", [LOWEST + 5, LOWEST + 40])
@pytest.mark.parametrize(("seed", "chroma"), [(0, 10), (1, 0), (2, 15), (3, 5)])
def test_the_bank_of_each_unit_is_the_cheapest(
    weights: Weights, pool: ThreadPoolExecutor, level: int, seed: int, chroma: int, by_network: bool
) -> None:
    """Or the network, where it may be."""
    filters = smoothing(1 if by_network else BANKS)
    bases = replace(weights.bases, filters=filters, network=towards_means())
    picture = waves(seed) if by_network else texture(seed, 0.2 + seed)
    effort = replace(EFFORTS["fast"], network=by_network, network_from=0.0)
    arguments = (level, chroma, [], False, None, np.zeros(2, np.int64), bases, effort, pool)
    blocks, symbols, planes = choose(picture, *arguments)
    shape = blocks.banks.shape
    assert shape == ((ROWS + 1) // 2, (COLUMNS + 1) // 2)
    price = bit_price(level) * (float(STEPS[level]) / STEP_SCALE) ** 2
    chosen, costs = blocks.banks.copy(), np.zeros((BANKS + 1 + by_network, *shape))
    for bank in range(len(costs)):
        blocks.banks[:] = bank
        tried = rebuild(blocks, symbols, level, chroma, [], False, bases, pool)
        for r, c in np.ndindex(*shape):
            costs[bank, r, c] = weighted_error(picture, tried, chroma, r, c) + (price * BANK_BITS if bank else 0)
    assert np.array_equal(chosen, costs.argmin(0))
    assert (NETWORK in chosen) or not by_network or level > LOWEST + 5
    blocks.banks[:] = chosen
    again = rebuild(blocks, symbols, level, chroma, [], False, bases, pool)
    assert all(np.array_equal(a, b) for a, b in zip(again, planes, strict=True))


def test_the_network_is_asked_where_the_error_of_a_unit_is_worth_some_bits(
    weights: Weights, pool: ThreadPoolExecutor
) -> None:
    """In no more units the more bits it has to be worth, of those that ask for it where it need be worth none."""
    level, chroma = LOWEST, CHROMA
    bases = replace(weights.bases, filters=smoothing(1), network=towards_means())
    price = bit_price(level) * (float(STEPS[level]) / STEP_SCALE) ** 2
    found = []
    for least in (0.0, 100.0, 200.0, 400.0, 1e9):
        effort = replace(EFFORTS["fast"], network=True, network_from=least)
        arguments = (level, chroma, [], False, None, np.zeros(2, np.int64), bases, effort, pool)
        blocks, symbols, _ = choose(waves(3), *arguments)
        found.append(blocks.banks == NETWORK)
        asked = blocks.banks.copy()
        for bank in range(2):  # what is left without the network, of the units that ask for it
            blocks.banks[:] = bank
            tried = rebuild(blocks, symbols, level, chroma, [], False, bases, pool)
            for r, c in np.argwhere(asked == NETWORK):
                assert weighted_error(waves(3), tried, chroma, r, c) > 0.9 * least * price  # of half of its lines there
    counts = [int(units.sum()) for units in found]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] == 0
    assert all((less <= more).all() for more, less in itertools.pairwise(found))


def test_what_is_only_predicted_is_not_filtered_again(weights: Weights, pool: ThreadPoolExecutor) -> None:
    """Though smoothing would bring it nearer to the picture, which is smoother than what it is predicted from; a unit
    with something coded may be filtered."""
    rough = texture(3, 0.5)
    smooth = tuple(
        np.clip(p + np.random.default_rng(1).normal(0, 8, p.shape), 0, 1023).astype(np.uint16) for p in rough
    )
    for plane, s in zip(smooth, (1, 2, 2), strict=True):
        plane[: 32 // s, : 32 // s] = 1023 - plane[: 32 // s, : 32 // s]
    bases = replace(weights.bases, filters=smoothing())
    blocks, *_ = choose(
        (smooth[0], smooth[1], smooth[2]), LOWEST, CHROMA, [reference(rough, 0)], False, None, np.zeros(2, np.int64),
        bases, EFFORTS["medium"], pool,
    )  # fmt: skip
    touched = (blocks.coded > 0) | (blocks.pred == 0)
    down, across = blocks.banks.shape
    units = np.zeros((2 * down, 2 * across), bool)
    units[: touched.shape[0], : touched.shape[1]] = touched
    units = units.reshape(down, 2, across, 2).any((1, 3))
    assert units[0, 0]
    assert not units.all()
    assert not blocks.banks[~units].any()


@pytest.mark.parametrize("count", [0, 1])
def test_the_network_restores_some_units_and_filters_others(
    weights: Weights, pool: ThreadPoolExecutor, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where neither is asked for none does; what is chosen comes back from any number of threads."""
    monkeypatch.setattr(module, "BANK_BITS", 0.0)
    a, seen = texture(5, 0.5), set()
    for seed in range(4):
        filters = smoothing(1) if seed % 2 else no_filters()
        bases = replace(weights.bases, filters=filters, network=towards_means())
        picture, references = waves(seed), [reference(a, 0)][:count]
        rest = (LOWEST + 4 * seed, CHROMA, references, False, None, np.zeros(2, np.int64), bases)
        for network in (False, True):
            blocks, symbols, planes = choose(picture, *rest, replace(EFFORTS["fast"], network=network), pool)
            assert network or blocks.banks.max() <= BANKS
            seen |= set(blocks.banks.ravel().tolist())
            for threads in (1, 2):
                with ThreadPoolExecutor(threads) as other:
                    again = rebuild(blocks, symbols, rest[0], CHROMA, references, False, bases, other)
                assert all(np.array_equal(x, y) for x, y in zip(again, planes, strict=True))
        none = replace(EFFORTS["fast"], network=True, filters=False)
        assert not choose(picture, *rest, none, pool)[0].banks.any()
    assert NETWORK in seen
    assert len(seen) > 1


def test_planes_of_the_network_have_borders_of_their_own(weights: Weights, pool: ThreadPoolExecutor) -> None:
    bases = replace(weights.bases, network=towards_means())
    blocks, symbols = Blocks(ROWS, COLUMNS), np.zeros((ROWS, COLUMNS, 384), np.int16)
    blocks.coded[:], blocks.banks[:] = 1, NETWORK
    symbols[..., :50] = np.random.default_rng(1).integers(-2, 3, (ROWS, COLUMNS, 50))
    planes = rebuild(blocks, symbols, LOWEST + 5, CHROMA, [], False, bases, pool)
    for plane, pad in zip(planes, (PAD, PAD // 2, PAD // 2), strict=True):
        assert np.array_equal(plane, padded(np.ascontiguousarray(plane[pad:-pad, pad:-pad]), pad))
    blocks.banks[:] = 0
    assert not np.array_equal(rebuild(blocks, symbols, LOWEST + 5, CHROMA, [], False, bases, pool)[0], planes[0])


def test_banks_are_those_of_the_range_of_the_level(weights: Weights, pool: ThreadPoolExecutor) -> None:
    """With filters for one quarter of the qualities, only they change anything; levels beyond those of any quality are
    in the first quarter and in the last."""
    random = np.random.default_rng(0)
    blocks, symbols = Blocks(ROWS, COLUMNS), np.zeros((ROWS, COLUMNS, 384), np.int16)
    blocks.coded[:] = 1
    symbols[..., :120] = random.integers(-2, 3, (ROWS, COLUMNS, 120))  # luma and chroma
    changed = []
    quarter, half = LOWEST + QUALITIES // 4, LOWEST + QUALITIES // 2
    for level in (0, LOWEST, quarter - 1, quarter, half - 1, half, LOWEST + QUALITIES - 1, LEVELS - 1):
        results = []
        for bank in (0, 2):
            blocks.banks[:] = bank
            bases = replace(weights.bases, filters=smoothing(only_range=1))
            results.append(rebuild(blocks, symbols, level, CHROMA, [], False, bases, pool))
        same = [np.array_equal(a, b) for a, b in zip(*results, strict=True)]
        assert len(set(same)) == 1
        changed.append(not same[0])
    assert changed == [False, False, False, True, True, False, False, False]
    for level, which in ((0, 0), (LOWEST - 1, 0), (LEVELS - 1, RANGES - 1)):
        plain, *others = (
            rebuild(blocks, symbols, level, CHROMA, [], False, replace(weights.bases, filters=filters), pool)
            for filters in (no_filters(), smoothing(only_range=which), smoothing())
        )
        for planes in others:
            assert not any(np.array_equal(a, b) for a, b in zip(planes, plain, strict=True))
            assert all(np.array_equal(a, b) for a, b in zip(planes, others[0], strict=True))


def test_filtered_planes_have_borders_of_their_own(weights: Weights, pool: ThreadPoolExecutor) -> None:
    """What later frames are predicted from beyond the edge repeats what was filtered, not what was there before."""
    bases = replace(weights.bases, filters=smoothing(1))
    blocks, symbols = Blocks(ROWS, COLUMNS), np.zeros((ROWS, COLUMNS, 384), np.int16)
    blocks.coded[:], blocks.banks[:] = 1, 1
    symbols[..., :50] = np.random.default_rng(1).integers(-2, 3, (ROWS, COLUMNS, 50))
    planes = rebuild(blocks, symbols, LOWEST + 5, CHROMA, [], False, bases, pool)
    for plane, pad in zip(planes, (PAD, PAD // 2, PAD // 2), strict=True):
        assert np.array_equal(plane, padded(np.ascontiguousarray(plane[pad:-pad, pad:-pad]), pad))
    blocks.banks[:] = 0
    assert not np.array_equal(rebuild(blocks, symbols, LOWEST + 5, CHROMA, [], False, bases, pool)[0], planes[0])


# --- what is kept for training


@pytest.mark.parametrize("count", [0, 1])
def test_frames_are_kept_as_they_are_before_restoration(weights: Weights, pool: ThreadPoolExecutor, count: int) -> None:
    bases = replace(weights.bases, filters=smoothing())
    a, statistics = texture(1), Statistics(keep_residuals=False, keep_frames=True)
    picture, references = mixed(a, texture(2), 4), [reference(a, 0)][:count]
    rest = (LOWEST + 20, CHROMA, references, False, None, np.zeros(2, np.int64), bases, EFFORTS["medium"], pool)
    _, symbols, planes = choose(picture, *rest, statistics)
    without, _, expected = choose(picture, *rest)
    assert all(np.array_equal(x, y) for x, y in zip(planes, expected, strict=True))
    assert not statistics.residuals
    ((level, intra, kept, before, coded),) = statistics.frames
    assert (level, intra) == (LOWEST + 20, count == 0)
    assert all(np.array_equal(x, y) for x, y in zip(kept, picture, strict=True))
    assert np.array_equal(coded.pred, without.pred)
    assert np.array_equal(coded.planes[0].any(), symbols.any())
    without.banks[:] = 0
    plain = rebuild(without, symbols, LOWEST + 20, CHROMA, references, False, bases, pool)
    assert all(np.array_equal(x, y) for x, y in zip(before, plain, strict=True))


@pytest.mark.parametrize(("count", "chroma"), [(0, 10), (1, 10), (2, 10), (0, 0), (2, 15)])
def test_residuals_are_kept_without_changing_anything(
    weights: Weights, pool: ThreadPoolExecutor, count: int, chroma: int
) -> None:
    """By transform and class; those of intra blocks once for each of their samples."""
    a, b = texture(3), texture(4)
    picture, references = mixed(a, b, 6), [reference(a, 0), reference(b, 1)][:count]
    rest = (LOWEST + 20, chroma, references, False, None, np.zeros(2, np.int64), weights.bases, EFFORTS["medium"], pool)
    statistics = Statistics()
    blocks, symbols, planes = choose(picture, *rest, statistics)
    found = choose(picture, *rest)
    assert all(np.array_equal(x, y) for x, y in zip(planes, found[2], strict=True))
    assert np.array_equal(symbols, found[1])
    assert not statistics.frames
    transform, kind = np.divmod(np.concatenate(statistics.classes), CLASSES)
    assert [len(kept) for kept in statistics.residuals] == [len(which) for which in statistics.classes]
    whole = blocks.large == WHOLE
    fine, tiny = blocks.fine > 0, blocks.tiny > 0
    quarters = np.ones_like(tiny) & fine.repeat(2, 0).repeat(2, 1)
    for intra in (True, False):
        of = (blocks.pred == 0) & ~whole if intra else (blocks.pred > 0) & (blocks.coded > 0) & ~whole
        units = whole & ((blocks.pred == 0) == intra)
        parts = of.repeat(2, 0).repeat(2, 1)
        counts = [(of & ~fine).sum(), (parts & quarters & ~tiny).sum(), 4 * (parts & tiny).sum(), (parts & tiny).sum()]
        counts.append(units.sum() // 4)
        mine = (kind > 0) == intra
        assert [int((transform[mine] == t).sum()) for t in range(5)] == [int(n) for n in counts]
    assert all(kept.any() for kept in statistics.residuals if len(kept))
