# SPDX-License-Identifier: Apache-2.0
"""Latents to bytes and back, and what a reader makes of bytes that nobody wrote."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import pytest
from block_samples import hidden_signs, hide_signs, squares_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nvcodec.entropy import binary
from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.conditional.frame_coder import NOT_ASKED
from nvcodec.models.conditional.weights import Learned, Weights, nothing_learned
from nvcodec.models.kernels import latents
from nvcodec.models.kernels.density import BIN, BINS, COARSE, FINE, LARGE, TINY, add_density, no_densities
from nvcodec.models.kernels.latents import COMPONENT, MAX_SYMBOL, NEAR, SAME, band_of, code_latents
from nvcodec.models.kernels.residual import RATE_CLASSES, SAMPLES, energies, rate_class
from nvcodec.models.kernels.syntax import SHARED, WHOLE
from nvcodec.models.quality import LEVELS
from nvcodec.models.transform import SIDES, dct_columns, frequency_order

FIELDS = ("pred", "coded", "fine", "tiny", "energy", "large", "modes")
State = tuple[Blocks, np.ndarray]  # decisions and symbols of a frame


def fresh() -> Learned:
    """A coder that knows nothing."""
    return nothing_learned()


def code(
    state: np.ndarray,
    buffer: np.ndarray,
    learned: Learned,
    level: int,
    blocks: Blocks,
    symbols: np.ndarray,
    last: State,
    spent: np.ndarray = NOT_ASKED,
) -> int:
    """`code_latents`, arguments by name; it must note the densities of what it wrote or read."""
    density = no_densities(blocks.rows, blocks.columns)
    values = {"coder": state, "buffer": buffer, "level": level, "symbols": symbols, "last_symbols": last[1]}
    values |= {"spent": spent, "density": density, "last_density": density_of(*last)}
    values |= {name: getattr(learned, name) for name in ("slots", "weights", "plain")}
    values |= {name: getattr(blocks, name) for name in FIELDS}
    values |= {f"last_{name}": getattr(last[0], name) for name in FIELDS}
    wrong = code_latents(*(values[name] for name in inspect.signature(code_latents).parameters))
    assert np.array_equal(density, density_of(blocks, symbols))
    return wrong


def density_of(blocks: Blocks, symbols: np.ndarray) -> np.ndarray:
    """Of a whole frame."""
    density = no_densities(blocks.rows, blocks.columns)
    for r, c, transform, part in squares_of(blocks):
        add_density(density, (COARSE, FINE, TINY, LARGE)[transform], symbols, r, c, part.start or 0)
    return density


def write(
    learned: Learned, level: int, blocks: Blocks, symbols: np.ndarray, last: State, spent: np.ndarray = NOT_ASKED
) -> bytes:
    buffer = np.zeros(4096 + 2048 * blocks.pred.size, np.uint8)
    state = binary.start_writing(buffer)
    assert code(state, buffer, learned, level, blocks, symbols, last, spent) == 0
    payload = binary.finish_writing(state, buffer)
    assert state[binary.POSITION] < len(buffer)
    return payload


def read(payload: bytes, learned: Learned, level: int, blocks: Blocks, last: State) -> np.ndarray:
    symbols = np.zeros((blocks.rows, blocks.columns, SAMPLES), np.int16)
    state, buffer = binary.start_reading(payload)
    code(state, buffer, learned, level, blocks, symbols, last)
    return symbols


def equal(a: Learned, b: Learned) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("slots", "weights", "plain"))


def random_state(random: np.random.Generator, rows: int, columns: int, size: int) -> State:
    """Decisions and symbols as an encoder may choose them: coded blocks have a symbol that is not zero; those of units
    that are transformed as a whole have theirs in the first block."""
    blocks = Blocks(rows, columns)
    blocks.pred[:] = random.integers(0, 4, blocks.pred.shape)
    blocks.coded[:] = random.random(blocks.coded.shape) < random.random()
    blocks.modes[:] = np.where(
        (blocks.pred > 0).repeat(4, 0).repeat(4, 1), 1, random.integers(0, 35, blocks.modes.shape)
    )
    blocks.fine[:] = random.integers(0, 2, blocks.fine.shape) * (blocks.coded | (blocks.pred == 0))
    for r in range(0, rows - 1, 2):
        for c in range(0, columns - 1, 2):
            unit, large = np.s_[r : r + 2, c : c + 2], int(random.choice([0, SHARED, WHOLE]))
            blocks.large[unit] = large
            blocks.pred[unit] = blocks.pred[r, c] if large else blocks.pred[unit]
            if large == WHOLE:
                blocks.coded[unit], blocks.fine[unit] = blocks.coded[r, c], 0
                blocks.modes[4 * r : 4 * r + 8, 4 * c : 4 * c + 8] = blocks.modes[4 * r, 4 * c]
    blocks.tiny[:] = random.integers(0, 2, blocks.tiny.shape) * blocks.fine.repeat(2, 0).repeat(2, 1)
    symbols = np.zeros((rows, columns, SAMPLES), np.int16)
    for r, c in np.argwhere(blocks.coded):
        if blocks.large[r, c] == WHOLE and (r % 2 or c % 2):
            continue
        count = int(random.choice([1, 2, 3, 4, 5, 8, 16, 17, 32, 33, 64, 65, 112, 113, 176, 177, SAMPLES]))
        places = random.permutation(SAMPLES)[:count]
        symbols[r, c, places] = random.choice([-1, 1], count) * random.integers(1, size + 1, count)
    hide_signs(blocks, symbols)
    energies(blocks.coded, blocks.large, symbols, blocks.energy)
    return blocks, symbols


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 4), st.integers(0, LEVELS - 1),
    st.sampled_from([1, 3, 40, MAX_SYMBOL]),
)  # fmt: skip
@example(0, 3, 4, LEVELS - 1, MAX_SYMBOL)
def test_round_trip(seed: int, rows: int, columns: int, level: int, size: int) -> None:
    """Three frames in turn, each in contexts of the one before it; both sides learn the same."""
    random, writing, reading = np.random.default_rng(seed), fresh(), fresh()
    last: State = Blocks(rows, columns), np.zeros((rows, columns, SAMPLES), np.int16)
    for _ in range(3):
        blocks, symbols = random_state(random, rows, columns, size)
        before = symbols.copy()
        payload = write(writing, level, blocks, symbols, last)
        assert np.array_equal(symbols, before)
        assert np.array_equal(read(payload, reading, level, blocks, last), symbols)
        assert equal(writing, reading)
        last = blocks, symbols


def test_the_largest_symbols_everywhere() -> None:
    blocks = Blocks(2, 4)
    blocks.coded[:], blocks.fine[0, :2], blocks.large[:, 2:] = 1, 1, WHOLE
    symbols = np.full((2, 4, SAMPLES), MAX_SYMBOL, np.int16)
    symbols[..., ::2] = -MAX_SYMBOL
    symbols[:, 3], symbols[1, 2] = 0, 0
    hide_signs(blocks, symbols)
    energies(blocks.coded, blocks.large, symbols, blocks.energy)
    last: State = Blocks(2, 4), np.zeros_like(symbols)
    payload = write(fresh(), LEVELS - 1, blocks, symbols, last)
    assert np.array_equal(read(payload, fresh(), LEVELS - 1, blocks, last), symbols)


def test_magnitudes_at_every_change_of_length() -> None:
    """One, two, unary beyond, and the ends of each length of what is left."""
    ends = 2 + latents.UNARY + (1 << np.arange(15))
    sizes = np.unique(np.concatenate([np.arange(1, 20), ends - 1, ends, ends + 1, [MAX_SYMBOL - 1, MAX_SYMBOL]]))
    sizes = sizes[sizes <= MAX_SYMBOL]
    blocks, symbols = Blocks(1, 2), np.zeros((1, 2, SAMPLES), np.int16)
    blocks.coded[:], blocks.fine[0, 1] = 1, 1
    for c, sign in ((0, 1), (1, -1)):
        symbols[0, c, 3 : 3 + len(sizes)] = sizes * sign
        symbols[0, c, 200 : 200 + len(sizes)] = sizes[::-1] * -sign
    hide_signs(blocks, symbols)
    energies(blocks.coded, blocks.large, symbols, blocks.energy)
    last: State = Blocks(1, 2), np.zeros_like(symbols)
    payload = write(fresh(), 50, blocks, symbols, last)
    assert np.array_equal(read(payload, fresh(), 50, blocks, last), symbols)


@settings(max_examples=100)
@given(st.binary(max_size=600), st.integers(0, 2**32 - 1), st.integers(0, LEVELS - 1))
@example(b"", 0, 0)
@example(b"\xff" * 600, 1, LEVELS - 1)
@example(b"\0\x7f" * 300, 2, 30)
def test_any_bytes_give_symbols_in_bounds(payload: bytes, seed: int, level: int) -> None:
    random, learned = np.random.default_rng(seed), fresh()
    rows, columns = int(random.integers(1, 4)), int(random.integers(1, 4))
    last = random_state(random, rows, columns, MAX_SYMBOL)
    blocks, _ = random_state(random, rows, columns, 1)
    blocks.energy[:] = random.integers(0, RATE_CLASSES, blocks.energy.shape) * blocks.coded  # not what any symbols say
    symbols = read(payload, learned, level, blocks, last)
    assert np.abs(symbols.astype(int)).max() <= MAX_SYMBOL
    assert not symbols[blocks.coded == 0].any()
    rest = (blocks.large == WHOLE) & (np.indices(blocks.large.shape) % 2).any(0)
    assert not symbols[rest].any()
    for energy, block in zip(blocks.energy.ravel(), symbols.reshape(-1, SAMPLES), strict=True):
        if energy < latents.EXACT_CLASSES:
            assert rate_class(int((block != 0).sum())) <= energy
    assert 0 <= learned.slots[:, 0].min() <= learned.slots[:, 0].max() <= 65535
    assert 0 <= learned.slots[:, 1].min() <= learned.slots[:, 1].max() <= latents.SLOT_LIMIT
    assert 0 <= learned.plain.min() <= learned.plain.max() <= 65535


def test_hidden_signs_are_not_written() -> None:
    """Turning over the last one (no context looks at it) changes no byte, and is found; a reader takes what is odd."""
    last: State = Blocks(2, 2), np.zeros((2, 2, SAMPLES), np.int16)
    transforms = set()
    for seed in range(40):
        blocks, symbols = random_state(np.random.default_rng(seed), 2, 2, 3)
        for r, c, n, _ in hidden_signs(blocks, symbols)[-1:]:
            transforms |= {t for *place, t, part in squares_of(blocks) if place == [r, c] and n in range(384)[part]}
            turned, buffer = symbols.copy(), np.zeros(1 << 16, np.uint8)
            turned[r, c, n] *= -1
            state = binary.start_writing(buffer)
            assert code(state, buffer, fresh(), 40, blocks, turned, last) == 1
            payload = binary.finish_writing(state, buffer)
            assert payload == write(fresh(), 40, blocks, symbols, last)
            assert np.array_equal(read(payload, fresh(), 40, blocks, last), symbols)
    assert transforms == {0, 1, 2, 3}


def test_bands_are_where_their_tables_have_room() -> None:
    for transform, count in enumerate((SAMPLES, SAMPLES // 4, SAMPLES // 4, SAMPLES)):
        bands = [band_of(transform, k) for k in range(count)]
        assert 0 <= min(bands) <= max(bands) < latents.BANDS
    for transform in (0, 3):
        assert len({band_of(transform, k) for k in range(SAMPLES)}) == latents.BANDS


# --- what latents are near


def frequencies(kind: int) -> list[tuple[int, int, int]]:
    """Component and frequencies of each latent; of tiny squares in the order in which they are interleaved: four of
    luma, then two of chroma's, which come U and V as their frequencies do."""
    if kind != 2:
        return frequency_order((0, 1, None, 4)[kind])
    luma, chroma = frequency_order(2), frequency_order(3)
    found = []
    for k in range(16):
        found += [(square, *luma[k][1:]) for square in range(4)]
        found += [(3 + c, a, b) for c, a, b in chroma[2 * k : 2 * k + 2]]
    return found


@pytest.mark.parametrize("kind", range(4))
def test_near_latents_are_those_of_lower_frequencies(kind: int) -> None:
    """Nearest first, all of them that there are, and all coded before."""
    places = frequencies(kind)
    assert len(places) == len(set(places)) == (96 if kind in (1, 2) else 384)
    for k, (component, a, b) in enumerate(places):
        wanted = [(a - 1, b), (a, b - 1), (a - 1, b - 1), (a - 2, b), (a, b - 2)]
        for at, (i, j) in zip(NEAR[kind, k].tolist(), wanted, strict=True):
            assert (at >= 0) == (i >= 0 and j >= 0)
            assert at < k
            assert at < 0 or places[at] == (component, i, j)
    assert (NEAR[kind, len(places) :] == -1).all()


@pytest.mark.parametrize("kind", range(4))
def test_same_latents_are_those_of_the_component_before(kind: int) -> None:
    """As far as they are coded before."""
    places = frequencies(kind)
    numbers = {place: k for k, place in enumerate(places)}
    for k, (component, a, b) in enumerate(places):
        wanted = numbers.get((component - 1, a, b), k)
        assert SAME[kind, k] == (wanted if wanted < k else -1)
    assert (SAME[kind, len(places) :] == -1).all()
    assert (SAME[kind] >= 0).sum() > len(places) / 5


@pytest.mark.parametrize("kind", range(4))
def test_components_of_latents(kind: int) -> None:
    """Luma, U and V; of tiny squares the first four are luma."""
    for k, (component, _, _) in enumerate(frequencies(kind)):
        assert COMPONENT[kind, k] == (component if kind != 2 else max(0, component - 3))
    assert set(COMPONENT[kind].tolist()) == {0, 1, 2}


def test_classes_of_sums_rise_to_the_last_one() -> None:
    """Every class is there, one after the other, and none beyond those that tables have room for."""
    for classes, count in ((latents.SUM, latents.SUMS), (latents.SIZE, 8)):
        assert len(classes) == latents.LARGEST_SUM + 1
        assert classes[0] == 0
        assert classes[-1] == count - 1
        assert set(np.diff(classes).tolist()) == {0, 1}
    most = 4 * 15 + 4 * 15 + 12 * 15 * 7  # two before, and of the lower ones two that count twice
    assert most > len(latents.SCALE) - 1 == 1000
    assert (latents.SCALE[0], latents.SCALE[-1]) == (0, latents.SCALES - 1)
    assert set(np.diff(latents.SCALE).tolist()) == {0, 1}


def test_frequencies_are_those_of_the_cosines() -> None:
    """Of each column the sign changes as often down and across as its frequencies say, in its component alone."""
    for transform in range(4):
        sides, columns = SIDES[transform], dct_columns(transform)
        assert np.allclose(columns.T @ columns, np.eye(len(columns)))
        ends = np.cumsum([0, *(n * n for n in sides)])
        for column, (component, a, b) in zip(columns.T, frequency_order(transform), strict=True):
            n = sides[component]
            part = column[ends[component] : ends[component + 1]].reshape(n, n)
            assert np.isclose((part**2).sum(), 1)
            signs = np.sign(part)
            assert (np.diff(signs[:, 0]) != 0).sum() == a
            assert (np.diff(signs[0]) != 0).sum() == b


# --- what latents cost


def test_bits_that_were_spent_add_up_to_the_payload() -> None:
    random, learned = np.random.default_rng(7), fresh()
    last: State = Blocks(4, 4), np.zeros((4, 4, SAMPLES), np.int16)
    for size in (1, 3, 40, MAX_SYMBOL):
        blocks, symbols = random_state(random, 4, 4, size)
        blocks.coded[0, 0], blocks.large[:2, :2], symbols[0, 0, 5] = 1, 0, 1
        hide_signs(blocks, symbols)
        energies(blocks.coded, blocks.large, symbols, blocks.energy)
        spent, other = np.full((4, 4, 4), -1, np.float32), learned.copy()
        payload = write(learned, 30, blocks, symbols, last, spent)
        # asking changes nothing
        assert write(other, 30, blocks, symbols, last) == payload
        assert equal(other, learned)
        begins = (blocks.coded > 0) & ~((blocks.large == WHOLE) & (np.indices(blocks.large.shape) % 2).any(0))
        assert (spent[~begins] == -1).all()
        assert (spent[begins & (blocks.fine == 0)][:, 1:] == -1).all()
        assert (spent[begins & (blocks.fine > 0)] >= 0).all()
        total = float(spent[spent >= 0].sum())
        assert total - 16 < 8 * len(payload) < total + 48  # a byte before and four after what is written
        last = blocks, symbols


def test_bits_are_spent_where_the_latents_are() -> None:
    """In the quarter that has some, and the more the more of them there are."""
    last: State = Blocks(1, 3), np.zeros((1, 3, SAMPLES), np.int16)
    blocks, symbols = Blocks(1, 3), np.zeros((1, 3, SAMPLES), np.int16)
    blocks.pred[:], blocks.coded[:], blocks.fine[:] = 1, 1, 1
    random = np.random.default_rng(0)
    for c, count in enumerate((6, 20, 60)):  # all in the third quarter
        symbols[0, c, 4 * random.permutation(96)[:count] + 2] = random.choice([-1, 1], count)
    hide_signs(blocks, symbols)
    energies(blocks.coded, blocks.large, symbols, blocks.energy)
    spent = np.zeros((1, 3, 4), np.float32)
    write(fresh(), 30, blocks, symbols, last, spent)
    bits = spent[0]
    assert (np.diff(bits[:, 2]) > 0).all()
    assert (bits[:, 2] > bits[:, :2].max(1)).all()
    assert (bits[:, 2] > [5, 17, 57]).all()  # the signs alone, which follow from nothing
    assert (bits[:2, 3] == 0).all()  # of blocks that tell how many latents there are nothing is left to say
    assert bits[2, 3] > 0


def test_what_is_learned_makes_the_next_frame_cheaper(weights: Weights) -> None:
    """Latents that fall off with frequency, by a law the model has never seen."""
    random, learned, blank = np.random.default_rng(0), weights.start.copy(), fresh()
    scale = 3 * np.exp(-np.arange(SAMPLES) / 25)
    nothing: State = Blocks(6, 6), np.zeros((6, 6, SAMPLES), np.int16)
    nbytes, blank_nbytes = [], []
    for _ in range(5):
        blocks = Blocks(6, 6)
        symbols = np.rint(random.laplace(size=(6, 6, SAMPLES)) * scale).astype(np.int16)
        blocks.coded[:] = (symbols != 0).any(-1)
        hide_signs(blocks, symbols)
        energies(blocks.coded, blocks.large, symbols, blocks.energy)
        nbytes.append(len(write(learned, 40, blocks, symbols, nothing)))
        blank_nbytes.append(len(write(blank, 40, blocks, symbols, nothing)))
    assert nbytes[-1] < nbytes[0]
    assert nbytes[0] < blank_nbytes[0]  # training was worth something


@pytest.mark.parametrize("large", [0, WHOLE])
@pytest.mark.parametrize("what", ["like the last frame", "like its neighbours"])
def test_contexts_are_used(what: str, large: int) -> None:
    """Where symbols are told by others the bytes are fewer than those of the same symbols in disorder."""

    def nbytes(ordered: bool) -> int:
        random, learned, total = np.random.default_rng(1), fresh(), 0
        size = 4 if large == 0 else 8
        last: State = Blocks(size, size), np.zeros((size, size, SAMPLES), np.int16)
        for _ in range(12):
            if what == "like the last frame" and ordered and last[0].coded.any():
                symbols = last[1].copy()
            else:
                shape = (4, 4, SAMPLES) if what == "like the last frame" or not ordered else (1, 1, SAMPLES)
                symbols = np.zeros((size, size, SAMPLES), np.int16)
                symbols[:: size // 4, :: size // 4] = random.random(shape) < 0.15
            blocks = Blocks(size, size)
            blocks.coded[:], blocks.large[:] = 1, large
            hide_signs(blocks, symbols)
            energies(blocks.coded, blocks.large, symbols, blocks.energy)
            total += len(write(learned, 30, blocks, symbols, last))
            last = blocks, symbols
        return total

    assert nbytes(True) < 0.8 * nbytes(False)


def coded_nbytes(make: Callable[[np.random.Generator], np.ndarray], large: int = 0) -> int:
    """Bytes of the latents of some frames of 4 x 4 units or blocks, each coded as if none were before it."""
    random, learned, total = np.random.default_rng(2), fresh(), 0
    size = 4 if large == 0 else 8
    nothing: State = Blocks(size, size), np.zeros((size, size, SAMPLES), np.int16)
    for _ in range(12):
        blocks, symbols = Blocks(size, size), np.zeros((size, size, SAMPLES), np.int16)
        symbols[:: size // 4, :: size // 4] = make(random)
        blocks.coded[:], blocks.large[:] = 1, large
        hide_signs(blocks, symbols)
        energies(blocks.coded, blocks.large, symbols, blocks.energy)
        total += len(write(learned, 50, blocks, symbols, nothing))
    return total


BIN_COUNTS = {COARSE: 384, FINE: 96}


def in_bins(bins: np.ndarray, transform: int, random: np.random.Generator) -> np.ndarray:
    """(SAMPLES,) latents of a coarse block, or of the four fine squares of one, most of them where bins say so."""
    count = BIN_COUNTS[transform]
    likely = np.where(bins, 0.7, 0.03)[BIN[transform, :count]].repeat(SAMPLES // count)
    return (random.random(SAMPLES) < likely).astype(np.int16)


@pytest.mark.parametrize("where", ["in the last frame", "around"])
def test_densities_are_told_from_one_transform_to_another(where: str) -> None:
    """Blocks that nothing alike is beside, nor was there before: coarse and fine take turns."""

    def nbytes(told: bool) -> int:
        random, learned, total = np.random.default_rng(3), fresh(), 0
        chosen = random.random((6, 6, BINS)) < 0.4
        last: State = Blocks(6, 6), np.zeros((6, 6, SAMPLES), np.int16)
        for n in range(16):
            blocks, symbols = Blocks(6, 6), np.zeros((6, 6, SAMPLES), np.int16)
            blocks.pred[:], blocks.coded[:] = 1, 1
            if where == "around":
                chosen = (random.random((6, 1, BINS) if told else (6, 6, BINS)) < 0.4) | np.zeros((6, 6, 1), bool)
                blocks.fine[:] = np.indices((6, 6)).sum(0) % 2
                last = Blocks(6, 6), np.zeros((6, 6, SAMPLES), np.int16)
            else:
                blocks.fine[:] = n % 2
                chosen = chosen if told else random.random((6, 6, BINS)) < 0.4
            for r, c in np.ndindex(6, 6):
                symbols[r, c] = in_bins(chosen[r, c], FINE if blocks.fine[r, c] else COARSE, random)
            hide_signs(blocks, symbols)
            energies(blocks.coded, blocks.large, symbols, blocks.energy)
            total += len(write(learned, 40, blocks, symbols, last))
            last = blocks, symbols
        return total

    told, free = nbytes(True), nbytes(False)
    assert told < 0.95 * free


def signs_of_neighbours(signs: np.ndarray) -> np.ndarray:
    """Those of the first block everywhere."""
    return np.broadcast_to(signs[:1, :1], signs.shape)


def signs_of_components(signs: np.ndarray) -> np.ndarray:
    """Of U those of luma, of V the others; of those that have a frequency in common."""
    out = signs.copy()
    for k, at in enumerate(SAME[0].tolist()):
        if at >= 0:
            out[..., k] = out[..., at] * (1 if COMPONENT[0, k] == 1 else -1)
    return out


def signs_of_lower_frequencies(signs: np.ndarray) -> np.ndarray:
    """Those of the next lower frequency in each component, where there is one."""
    out = signs.copy()
    for k, (above, before) in enumerate(NEAR[0, :, :2].tolist()):
        if max(above, before) >= 0:
            out[..., k] = out[..., above if above >= 0 else before]
    return out


@pytest.mark.parametrize("large", [0, WHOLE])
@pytest.mark.parametrize("rule", [signs_of_neighbours, signs_of_components, signs_of_lower_frequencies])
def test_signs_that_follow_from_others_cost_less(rule: Callable[[np.ndarray], np.ndarray], large: int) -> None:
    """Where nearly all latents are there, so that signs are most of what is said."""

    def some(random: np.random.Generator, rule: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        there = random.random((4, 4, SAMPLES)) < 0.98
        return rule(random.choice([-1, 1], (4, 4, SAMPLES))) * there

    free = coded_nbytes(lambda random: some(random, lambda signs: signs), large)
    assert coded_nbytes(lambda random: some(random, rule), large) < 0.75 * free
    assert free > 12 * 16 * SAMPLES / 8 * 0.98  # a bit each


@pytest.mark.parametrize("what", ["those before", "its neighbours", "the place"])
def test_large_latents_cost_less_where_others_tell_how_large_they_are(what: str) -> None:
    """All of them are larger than two."""

    def some(random: np.random.Generator, told: bool) -> np.ndarray:
        shape = {"those before": (4, 4, 1), "its neighbours": (1, 1, SAMPLES), "the place": (1, 1, SAMPLES)}[what]
        lengths = random.integers(0, 8, shape if told else (4, 4, SAMPLES))
        if told and what == "the place":
            lengths = np.arange(SAMPLES) // 48
        return 3 + random.integers(0, 1 << np.broadcast_to(lengths, (4, 4, SAMPLES)))

    told, free = (coded_nbytes(lambda random, told=told: some(random, told)) for told in (True, False))
    assert told < 0.93 * free
