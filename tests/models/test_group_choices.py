# SPDX-License-Identifier: Apache-2.0
"""How alike pictures are: whether a group is long or short, and what its last frame is predicted from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nvcodec.media.test_pattern import moving_pattern
from nvcodec.models.conditional.analyser import VideoAnalyser
from nvcodec.models.conditional.frame import Blocks, Planes, Reference
from nvcodec.models.conditional.frame_coder import KEYFRAME_SLOT, Window
from nvcodec.models.conditional.motion_search import ALONE_BITS, UNLIKE, prediction_costs, share_unlike
from nvcodec.models.conditional.plans import GROUP, SHORT_GROUP, Plan
from nvcodec.models.conditional.shot import DecidedUnit, ShotAnalyser
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.depth import STEP_SCALE
from nvcodec.models.kernels.compensation import PAD, padded
from nvcodec.models.kernels.rough_cost import price_curve
from nvcodec.models.kernels.samples import narrow
from nvcodec.models.kernels.search import costs_alone
from nvcodec.models.quality import LOWEST, QUALITIES, STEPS, bit_price

ROWS, COLUMNS = 5, 6
LEVELS_TRIED = (LOWEST, LOWEST + 30, LOWEST + QUALITIES - 1)


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def texture(seed: int, height: int = 16 * ROWS, width: int = 16 * COLUMNS) -> np.ndarray:
    """(H, W) luma whose every part can be told from every other."""
    random = np.random.default_rng(seed)
    plane = random.normal(0, 480, (height, width))
    for axis in (0, 1, 0, 1):
        plane = sum(np.roll(plane, n, axis) for n in (-1, 0, 1)) / 3**0.75
    return (plane + 512).clip(0, 1023).astype(np.uint16)


def curve(level: int) -> np.ndarray:
    return price_curve(float(STEPS[level]) / STEP_SCALE, bit_price(level))


# --- what blocks cost alone


def hadamard_cost(difference: np.ndarray, prices: np.ndarray) -> float:
    """Of a square of differences, by its 8x8 squares."""
    two = np.array([[1, 1], [1, -1]])
    hadamard = np.kron(two, np.kron(two, two))
    squares = difference.reshape(len(difference) // 8, 8, -1, 8).swapaxes(1, 2)
    sizes = np.abs(hadamard @ squares @ hadamard.T) * float(prices[0])
    return float(np.minimum(sizes**2, prices[1] + prices[2] * np.sqrt(sizes)).sum())


@pytest.mark.parametrize("level", LEVELS_TRIED)
def test_blocks_alone_cost_what_is_left_beside_mean_row_or_column(level: int) -> None:
    """The least of them; the first row has none above it, the first column none on its left."""
    y = texture(1)
    y[16:32], y[:, 32:48] = y[15], y[:, 31:32]  # some that a row or a column predicts without a fault
    y[48:64, 64:80] = 77
    found, prices = np.full((ROWS, COLUMNS), -1.0), curve(level)
    costs_alone(y, prices, found)
    best = np.zeros((ROWS, COLUMNS), int)
    for r, c in np.ndindex(ROWS, COLUMNS):
        block = y[16 * r : 16 * r + 16, 16 * c : 16 * c + 16].astype(int)
        costs = [hadamard_cost(block - (block.sum() + 128) // 256, prices)]
        costs.append(hadamard_cost(block - y[16 * r - 1, 16 * c : 16 * c + 16], prices) if r else np.inf)
        costs.append(hadamard_cost(block - y[16 * r : 16 * r + 16, 16 * c - 1 : 16 * c], prices) if c else np.inf)
        assert found[r, c] == pytest.approx(min(costs), rel=1e-5)
        best[r, c] = int(np.argmin(costs))
    assert set(best.ravel().tolist()) == {0, 1, 2}
    assert not found[1, [0, 1, 3, 4, 5]].any()
    assert not found[2:, 2].any()
    assert found[3, 4] == 0


# --- how alike two pictures are


@pytest.mark.parametrize("level", LEVELS_TRIED)
def test_pictures_are_like_themselves_and_unlike_others(level: int) -> None:
    y, other = texture(1), texture(2)
    assert share_unlike(y, y, level) == 0
    assert share_unlike(y, other, level) > 0.9
    flat = np.full_like(y, 90)
    assert share_unlike(flat, flat, level) == 0


@pytest.mark.parametrize(("down", "across"), [(0, 5), (-6, 0), (9, -14), (-20, 24)])
def test_moved_pictures_are_alike(down: int, across: int) -> None:
    """But for what came in at their edges; at fractions of samples, too."""
    whole = texture(3, 16 * ROWS + 64, 16 * COLUMNS + 64).astype(float)
    fractions = whole * 0.5 + np.roll(whole, 1, 1) * 0.5
    views = [
        moved[32 + y : 32 + y + 16 * ROWS, 32 + x : 32 + x + 16 * COLUMNS].astype(np.uint16)
        for moved, y, x in ((whole, 0, 0), (whole, down, across), (fractions, down, across))
    ]
    edges = 1 - (1 - -(-abs(down) // 16) / ROWS) * (1 - -(-abs(across) // 16) / COLUMNS)
    assert share_unlike(views[1], views[0], LOWEST + 30) <= edges + 1e-9
    assert share_unlike(views[2], views[0], LOWEST + 30) <= edges + 0.1


def test_what_is_unlike_is_a_share_of_the_blocks() -> None:
    """Block by block, each beside what it would cost alone."""
    y, other = texture(1), texture(2)
    shares = []
    for rows in range(ROWS + 1):
        mixed = y.copy()
        mixed[: 16 * rows] = other[: 16 * rows]
        shares.append(share_unlike(y, mixed, LOWEST + 30))
        assert shares[-1] == pytest.approx(rows / ROWS, abs=0.07)
    assert shares == sorted(shares)


@pytest.mark.parametrize("level", LEVELS_TRIED)
def test_blocks_are_unlike_that_cost_almost_as_much_as_alone(level: int, pool: ThreadPoolExecutor) -> None:
    random, price = np.random.default_rng(5), bit_price(level)
    y, alone = texture(1), np.zeros((ROWS, COLUMNS))
    noise = random.normal(0, 1, y.shape) * np.linspace(0, 480, 16 * COLUMNS)
    other = (y + noise).clip(0, 1023).astype(np.uint16)
    costs_alone(y, curve(level), alone)
    (costs,) = prediction_costs(y, [reference(other)], level, pool)
    unlike = costs > UNLIKE * (alone + price * ALONE_BITS)
    assert share_unlike(y, other, level) == pytest.approx(unlike.mean())
    assert 0 < unlike.mean() < 1


# --- what predictions cost


def reference(y: np.ndarray, number: int = 0) -> Reference:
    chroma = np.full((len(y) // 2, y.shape[1] // 2), 512, np.uint16)
    planes = padded(y, PAD), padded(chroma, PAD // 2), padded(chroma, PAD // 2)
    return Reference(planes, Blocks(len(y) // 16, y.shape[1] // 16), 40, number)


@pytest.mark.parametrize("level", LEVELS_TRIED)
def test_predictions_cost_the_less_the_more_alike_they_are(level: int, pool: ThreadPoolExecutor) -> None:
    """One of the same picture costs next to nothing, and what a reference costs does not depend on the others."""
    y, noise = texture(1), np.random.default_rng(0).normal(0, 1, (16 * ROWS, 16 * COLUMNS))
    references = [reference((y + size * noise).clip(0, 1023).astype(np.uint16)) for size in (0, 40, 120)]
    references.append(reference(texture(2)))
    costs = prediction_costs(y, references, level, pool)
    assert costs.shape == (4, ROWS, COLUMNS)
    assert (costs[0] <= 8 * bit_price(level)).all()
    assert (np.diff(costs, axis=0).mean((1, 2)) > 0).all()
    for n, one in enumerate(references):
        assert np.array_equal(prediction_costs(y, [one], level, pool)[0], costs[n])


def analyser(weights: Weights, pool: ThreadPoolExecutor, height: int, width: int) -> ShotAnalyser:
    settings = VideoAnalyser(weights.bases, height, width, 30, pool, preset="fast")._settings
    chroma = np.full((height // 2, width // 2), 512, np.uint16)
    return ShotAnalyser(settings, (np.full((height, width), 512, np.uint16), chroma, chroma))


def with_second(known: ShotAnalyser, pool: ThreadPoolExecutor, y: np.ndarray, seconds: tuple[int, ...]) -> int | None:
    """The second reference of a frame whose first one is frame 16."""
    chroma = np.full((len(y) // 2, y.shape[1] // 2), 512, np.uint16)
    found = known._with_second(Plan(32, LOWEST + 30, (16,), True, seconds), (y, chroma, chroma), pool)
    assert (found.number, found.level, found.kept, found.seconds) == (32, LOWEST + 30, True, ())
    first, *second = found.references
    assert first == 16
    assert len(second) <= 1
    return second[0] if second else None


def test_the_second_reference_is_the_one_that_is_like_the_picture(weights: Weights, pool: ThreadPoolExecutor) -> None:
    known = analyser(weights, pool, 16 * ROWS, 16 * COLUMNS)
    pictures = {0: texture(1), 8: texture(2), 16: texture(3)}
    known._known = {n: reference(y, n) for n, y in pictures.items()}
    noise = np.random.default_rng(1).normal(0, 12, pictures[0].shape)
    for seconds in ((8, 0), (0, 8)):
        for number in seconds:
            for moved in (0, 7):
                seen = (np.roll(pictures[number], moved, 1) + noise).clip(0, 1023).astype(np.uint16)
                assert with_second(known, pool, seen, seconds) == number
    for seconds in ((0,), (8,)):  # without looking
        assert with_second(known, pool, pictures[8 - seconds[0]], seconds) == seconds[0]
    assert with_second(known, pool, pictures[0], ()) is None


def test_the_second_reference_is_the_one_that_has_what_the_first_one_lacks(
    weights: Weights, pool: ThreadPoolExecutor
) -> None:
    """And not the one that by itself would be the better."""
    known = analyser(weights, pool, 16 * ROWS, 16 * COLUMNS)
    y, other = texture(1), texture(2)
    rows = np.arange(16 * ROWS)[:, None]
    upper, more, lower = np.where(rows < 48, y, other), np.where(rows < 64, y, other), np.where(rows < 48, other, y)
    known._known = {16: reference(upper, 16), 8: reference(more, 8), 0: reference(lower, 0)}
    costs = prediction_costs(y, [known._known[8], known._known[0]], LOWEST + 30, pool).sum((1, 2))
    assert costs[0] < costs[1]
    for seconds in ((8, 0), (0, 8)):
        assert with_second(known, pool, y, seconds) == 0


# --- groups


def through_a_window(texture: Planes, places: list[tuple[int, int]], height: int, width: int) -> list[Planes]:
    """Parts of planes, whose upper left corners are there."""
    y, u, v = texture
    return [
        (
            np.ascontiguousarray(y[r : r + height, c : c + width]),
            np.ascontiguousarray(u[r // 2 :, c // 2 :][: height // 2, : width // 2]),
            np.ascontiguousarray(v[r // 2 :, c // 2 :][: height // 2, : width // 2]),
        )
        for r, c in places
    ]


def decided(weights: Weights, frames: list[Planes], quality: int = 30) -> list[DecidedUnit]:
    height, width = frames[0][0].shape
    with ThreadPoolExecutor(1) as pool:
        made = VideoAnalyser(weights.bases, height, width, quality, pool, preset="fast")
        units = [unit for frame in frames for unit in made.push(frame)] + made.flush()
    assert [unit.frames[0][0].intra for unit in units] == [True] + [False] * (len(units) - 1)
    return units


def pattern(height: int, width: int) -> Planes:
    return next(iter(moving_pattern(width, height, 1, seed=2))).planes


@pytest.mark.parametrize("quality", [0, 30, 63])
def test_groups_are_short_where_much_moves(weights: Weights, quality: int) -> None:
    """Long where nothing does, or slowly; by what the whole of a long one would see."""
    large = pattern(100, 700)
    count = 1 + 2 * GROUP + 4
    for speed, sizes in ((0, [GROUP, GROUP, 4]), (1, [GROUP, GROUP, 4]), (9, [*[SHORT_GROUP] * 4, 4])):
        frames = through_a_window(large, [(10, 300 + speed * n) for n in range(count)], 64, 96)
        assert [len(unit.planes) for unit in decided(weights, frames, quality)] == [1, *sizes]


@pytest.mark.parametrize("rest", range(1, GROUP + 5))
def test_last_groups_are_short_where_much_moves_too(weights: Weights, rest: int) -> None:
    """Of so many frames as are left; what fits into a short group is one."""
    large = pattern(64, 400)
    for speed in (0, 9):
        frames = through_a_window(large, [(0, speed * n) for n in range(1 + rest)], 64, 96)
        sizes = [len(unit.planes) for unit in decided(weights, frames)]
        size = GROUP if speed == 0 else SHORT_GROUP
        assert sizes == [1, *[size] * (rest // size), *([rest % size] if rest % size else [])]


def test_groups_are_as_long_as_their_own_pictures_allow(weights: Weights) -> None:
    """Where slow and fast motion follow one another: each of its own length, and all frames in order."""
    steps = [*[0] * GROUP, *[9] * 2 * SHORT_GROUP, *[0] * (GROUP + 4)]
    columns = np.cumsum([0, *steps]).tolist()
    frames = through_a_window(pattern(64, 400), [(0, column) for column in columns], 64, 96)
    units = decided(weights, frames)
    sizes = [len(unit.planes) for unit in units]
    assert sizes == [1, GROUP, SHORT_GROUP, SHORT_GROUP, GROUP, 4]
    numbers = [number for unit in units for _, number, *_ in unit.frames]
    ends = np.cumsum(sizes).tolist()
    for begin, end in zip([0, *ends], ends, strict=False):
        assert sorted(numbers[begin:end]) == list(range(begin, end))


def faded(ends: list[np.ndarray], count: int) -> list[Planes]:
    """Each picture turns into the next one within so many frames."""
    chroma = np.full((ends[0].shape[0] // 2, ends[0].shape[1] // 2), 128, np.uint8)
    shares = [(a, b, n / count) for a, b in itertools.pairwise(ends) for n in range(count)]
    lumas = [((1 - share) * a + share * b).astype(np.uint8) for a, b, share in shares]
    return [(y, chroma, chroma) for y in (*lumas, ends[-1])]


@pytest.mark.parametrize("returns", [0, 1])
def test_last_frames_refer_to_what_comes_back(weights: Weights, returns: int) -> None:
    """The keyframe or where the group before began, but for two rows of blocks, which make groups short; both beside
    the frame before the group."""
    pictures = [narrow(texture(n)) for n in range(4)]
    pictures[3][32:] = pictures[returns][32:]
    units = decided(weights, faded(pictures, SHORT_GROUP))
    assert [len(unit.planes) for unit in units] == [1, *[SHORT_GROUP] * 3]
    window, referred = Window(), {}
    for header, number, *_ in (frame for unit in units for frame in unit.frames):
        referred[number] = tuple(window.at(slot) for slot in header.references)
        window.add(number, header.kept)
    ends = [SHORT_GROUP * n for n in range(4)]
    assert [referred[end] for end in ends] == [(), (0,), (ends[1], 0), (ends[2], ends[returns])]


def test_long_groups_refer_to_the_keyframe_that_is_no_longer_among_those_kept(weights: Weights) -> None:
    """By a number of its own."""
    units = decided(weights, through_a_window(pattern(64, 96), [(0, 0)] * (1 + 3 * GROUP), 64, 96))
    headers = [unit.frames[0][0] for unit in units]
    assert [len(unit.planes) for unit in units] == [1, GROUP, GROUP, GROUP]
    assert [header.references for header in headers[2:]] == [(7, 8), (7, KEYFRAME_SLOT)]
