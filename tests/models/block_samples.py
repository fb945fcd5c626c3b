# SPDX-License-Identifier: Apache-2.0
"""Decisions of blocks as an encoder may make them, and their way to bytes and back."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nvcodec.entropy import binary
from nvcodec.models.conditional.frame import Blocks
from nvcodec.models.conditional.frame_coder import MAX_SCALE
from nvcodec.models.conditional.weights import nothing_learned
from nvcodec.models.kernels.compensation import BOTH, FIRST, INTRA
from nvcodec.models.kernels.decisions import DECISION_LIMIT, LEVEL_BANDS, new_state
from nvcodec.models.kernels.hiding import GROUP, GROUPS, HIDDEN
from nvcodec.models.kernels.motion import MAX_VECTOR, MERGE, ONE_PART, PART_COUNT, PARTS, merge_candidates
from nvcodec.models.kernels.residual import SAMPLES
from nvcodec.models.kernels.syntax import SHARED, WHOLE, code_blocks

MODES, ENERGIES = 35, 10
FIELDS = (
    "pred", "merged", "coded", "fine", "tiny", "energy", "large", "quad", "modes", "from_luma", "shapes", "kinds",
    "parts", "vectors",
)  # fmt: skip
Decisions = tuple[np.ndarray, ...]  # slots, weights, state, and two to work in: what `code_blocks` learns from
Motion = tuple[int, ...]  # kind, x0, y0, x1, y1


# --- what decisions are coded with


def new_decisions(level_band: int = 2, inter: bool = True, distances: tuple[int, ...] = (1, -1)) -> Decisions:
    """A coder that knows nothing, in one frame."""
    start = nothing_learned()
    return start.decisions, start.decision_weights, new_state(level_band, inter, distances)


def next_frame(decisions: Decisions, level_band: int, inter: bool, distances: tuple[int, ...]) -> Decisions:
    """The same coder in another frame."""
    return *decisions[:2], new_state(level_band, inter, distances)


def confused(random: np.random.Generator) -> Decisions:
    """A coder that believes anything, as far as a file or a stream may lead it."""
    band, inter = int(random.integers(LEVEL_BANDS)), bool(random.integers(2))
    distances = tuple(int(d) for d in random.integers(1, 40, random.integers(3)))
    decisions = new_decisions(band, inter, distances)
    slots, weights = decisions[:2]
    slots[:, 0] = random.integers(0, 65536, len(slots))
    slots[:, 1] = random.integers(0, DECISION_LIMIT + 1, len(slots))
    weights[:] = random.integers(-(1 << 18), 1 << 18, weights.shape)
    return decisions


def know_the_same(a: Decisions, b: Decisions) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a[:2], b[:2], strict=True))


def check_knowledge(decisions: Decisions) -> None:
    slots, weights = decisions[:2]
    assert 0 <= slots[:, 0].min() <= slots[:, 0].max() <= 65535
    assert 0 <= slots[:, 1].min() <= slots[:, 1].max() <= DECISION_LIMIT
    assert np.abs(weights.astype(np.int64)).max() < 1 << 25


# --- decisions to bytes and back


@dataclass
class Frame:
    """What is known before a frame's decisions. ``scale``: int64 (2,), as `stretch` makes it."""

    references: int
    last: Blocks
    scale: np.ndarray


def first_frame(rows: int, columns: int) -> Frame:
    return Frame(0, Blocks(rows, columns), np.zeros(2, np.int64))


def code(coder: np.ndarray, buffer: np.ndarray, decisions: Decisions, blocks: Blocks, frame: Frame) -> None:
    """`code_blocks`, arguments by name."""
    values = {"coder": coder, "buffer": buffer, "learned": decisions, "inter": frame.references > 0}
    values |= {"references": frame.references, "scale": frame.scale}
    values |= {name: getattr(blocks, name) for name in FIELDS}
    values |= {f"last_{name}": getattr(frame.last, name) for name in FIELDS}
    code_blocks(*(values[name] for name in inspect.signature(code_blocks).parameters))


def write(blocks: Blocks, frame: Frame, decisions: Decisions) -> bytes:
    buffer = np.zeros(4096 + 1024 * blocks.pred.size, np.uint8)
    coder = binary.start_writing(buffer)
    code(coder, buffer, decisions, blocks, frame)
    payload = binary.finish_writing(coder, buffer)
    assert coder[binary.POSITION] < len(buffer)
    return payload


def read(payload: bytes, rows: int, columns: int, frame: Frame, decisions: Decisions, seed: int = 0) -> Blocks:
    blocks, random = Blocks(rows, columns), np.random.default_rng(seed)
    for name in FIELDS:  # whatever lay there before must not matter
        field = getattr(blocks, name)
        limit = 2**31 if name == "vectors" else 256
        field[:] = random.integers(-limit if name == "vectors" else 0, limit, field.shape)
    coder, buffer = binary.start_reading(payload)
    code(coder, buffer, decisions, blocks, frame)
    return blocks


def same(a: Blocks, b: Blocks) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in FIELDS)


def copy_of(blocks: Blocks) -> Blocks:
    copy = Blocks(blocks.rows, blocks.columns)
    for name in FIELDS:
        getattr(copy, name)[:] = getattr(blocks, name)
    return copy


# --- decisions as an encoder may make them


def order_of(rows: int, columns: int) -> list[tuple[int, int]]:
    """Quads of 4 x 4 from left to right and from top to bottom, in the same way the units of 2 x 2 within each, and the
    blocks within those."""
    everywhere = [(r, c) for r in range(rows) for c in range(columns)]
    return sorted(everywhere, key=lambda place: (place[0] // 4, place[1] // 4, place[0] // 2, place[1] // 2, place))


def whole_squares(rows: int, columns: int, size: int) -> list[tuple[int, int]]:
    """First blocks of all whole quads (size 4) or units (2), in order."""
    return [
        (r, c)
        for r, c in order_of(rows, columns)
        if r % size == 0 and c % size == 0 and r + size <= rows and c + size <= columns
    ]


def parts_of(shape: int) -> list[tuple[int, int, int, int]]:
    """Row, column, height and width of a block's parts, in 8x8 blocks."""
    return [tuple(int(n) for n in part) for part in PARTS[shape, : PART_COUNT[shape]]]


def candidates(blocks: Blocks, vr: int, vc: int, height: int, width: int, frame: Frame) -> list[Motion]:
    """Of 8x8 blocks, `merge_candidates`."""
    which, found, last = np.zeros(MERGE, np.int32), np.zeros((MERGE, 4), np.int32), frame.last
    count = merge_candidates(
        blocks.kinds, blocks.vectors, vr, vc, height, width, last.kinds, last.vectors, frame.scale, which, found
    )
    return [(int(which[k]), *(int(v) for v in found[k])) for k in range(count)]


def move(blocks: Blocks, vr: int, vc: int, height: int, width: int, motion: Motion) -> None:
    """Give 8x8 blocks a motion."""
    at = np.s_[vr : vr + height, vc : vc + width]
    blocks.kinds[at] = motion[0]
    for ref in range(2):
        blocks.vectors[ref][at] = motion[1 + 2 * ref : 3 + 2 * ref]


def random_candidate(
    random: np.random.Generator, blocks: Blocks, place: tuple[int, int, int, int], frame: Frame
) -> tuple[int, Motion]:
    """Number and motion of one that an encoder may choose."""
    found = candidates(blocks, *place, frame)
    usable = [k for k, candidate in enumerate(found) if frame.references > 1 or candidate[0] == FIRST]
    which = int(random.choice(usable))
    return which, found[which]


def random_motion(random: np.random.Generator, references: int, reach: int) -> Motion:
    """Vectors of its own, some of them as long as they may be."""
    kind = int(random.integers(1, 4)) if references > 1 else FIRST
    vectors = np.zeros((2, 2), np.int64)
    for ref in range(2):
        if kind & (1 << ref):
            vectors[ref] = random.integers(-reach, reach + 1, 2)
            if random.random() < 0.3:
                vectors[ref] = random.choice([-MAX_VECTOR, MAX_VECTOR], 2)
    return kind, *(int(v) for v in vectors.ravel())


def random_parts(random: np.random.Generator, blocks: Blocks, frame: Frame, r: int, c: int, reach: int) -> None:
    """Choose a shape of several parts and the motion of each; later ones may take that of earlier ones."""
    shape, share = int(random.integers(ONE_PART + 1, 4)), random.random()
    blocks.shapes[r, c] = shape
    for i, j, height, width in parts_of(shape):
        place = 2 * r + i, 2 * c + j, height, width
        if random.random() < share:
            which, motion = random_candidate(random, blocks, place, frame)
            blocks.parts[place[0] : place[0] + height, place[1] : place[1] + width] = 1 + which
        else:
            motion = random_motion(random, frame.references, reach)
        move(blocks, *place, motion)


def coded_motion(
    random: np.random.Generator, blocks: Blocks, frame: Frame, r: int, c: int, size: int, shares: np.ndarray, reach: int
) -> int:
    """Choose what a square of blocks is predicted from and fill it in: a candidate, or motion of its own (in parts only
    in a block by itself), or nothing; returns what from."""
    place = 2 * r, 2 * c, 2 * size, 2 * size
    if frame.references and random.random() < shares[0]:
        which, motion = random_candidate(random, blocks, place, frame)
        blocks.merged[r : r + size, c : c + size] = 1 + which
        move(blocks, *place, motion)
    elif frame.references and random.random() < shares[1]:
        if size == 1 and random.random() < 0.6:
            random_parts(random, blocks, frame, r, c, reach)
        else:
            move(blocks, *place, random_motion(random, frame.references, reach))
    kind = int(blocks.kinds[2 * r, 2 * c])
    blocks.pred[r : r + size, c : c + size] = kind
    return kind


def intra_modes(random: np.random.Generator, fine: int, tiny: np.ndarray) -> np.ndarray:
    """(4, 4) modes, one for each square that is predicted on its own."""
    modes = random.integers(0, MODES, (4, 4))
    if random.random() < 0.5:
        modes = modes % 3
    if not fine:
        modes[:] = modes[0, 0]
    for q in range(4):
        square = np.s_[2 * (q >> 1) : 2 * (q >> 1) + 2, 2 * (q & 1) : 2 * (q & 1) + 2]
        if fine and not tiny[q >> 1, q & 1]:
            modes[square] = modes[square][0, 0]
    return modes


def coded_residual(random: np.random.Generator, blocks: Blocks, r: int, c: int, shares: np.ndarray) -> None:
    """Choose how a block by itself is transformed, and its modes."""
    own, intra = np.s_[2 * r : 2 * r + 2, 2 * c : 2 * c + 2], blocks.pred[r, c] == INTRA
    blocks.coded[r, c] = random.random() < shares[2]
    if blocks.coded[r, c]:
        blocks.energy[r, c] = random.integers(0, ENERGIES)
    if blocks.coded[r, c] or intra:
        blocks.fine[r, c] = random.random() < shares[3]
    if blocks.fine[r, c]:
        blocks.tiny[own] = random.random((2, 2)) < shares[4]
    if intra:
        modes = intra_modes(random, int(blocks.fine[r, c]), blocks.tiny[own])
        blocks.modes[4 * r : 4 * r + 4, 4 * c : 4 * c + 4] = modes
        blocks.from_luma[own] = random.random((2, 2) if blocks.fine[r, c] else (1, 1)) < shares[7]


def coded_unit(random: np.random.Generator, blocks: Blocks, r: int, c: int, shares: np.ndarray) -> None:
    """Choose how a large unit is transformed, and its mode."""
    unit, intra, is_coded = np.s_[r : r + 2, c : c + 2], blocks.pred[r, c] == INTRA, random.random() < shares[2]
    blocks.large[unit] = WHOLE if intra or (is_coded and random.random() < 0.5) else SHARED
    if intra:
        blocks.modes[4 * r : 4 * r + 8, 4 * c : 4 * c + 8] = random.integers(0, random.choice([3, MODES]))
        blocks.from_luma[2 * r : 2 * r + 4, 2 * c : 2 * c + 4] = random.random() < shares[7]
    if blocks.large[r, c] == WHOLE:
        blocks.coded[unit] = is_coded
        blocks.energy[unit] = random.integers(0, ENERGIES) if is_coded else 0
    elif is_coded:
        for k in range(4):
            coded_residual(random, blocks, r + (k >> 1), c + (k & 1), shares)


def coded_quad(random: np.random.Generator, blocks: Blocks, frame: Frame, r: int, c: int, shares: np.ndarray) -> None:
    """Choose a candidate for the blocks of a quad, and how they are transformed; in some quads none is."""
    place, quad = (2 * r, 2 * c, 8, 8), np.s_[r : r + 4, c : c + 4]
    which, motion = random_candidate(random, blocks, place, frame)
    move(blocks, *place, motion)
    blocks.quad[quad], blocks.merged[quad], blocks.pred[quad], blocks.large[quad] = 1, 1 + which, motion[0], SHARED
    if random.random() < shares[2]:
        for unit in range(4):
            coded_unit(random, blocks, r + 2 * (unit >> 1), c + 2 * (unit & 1), shares)


def random_blocks(random: np.random.Generator, rows: int, columns: int, frame: Frame, reach: int) -> Blocks:
    """Any decisions in canonical form: merged blocks and parts have their candidate's motion; vectors of references
    that are not used are zero; a block is fine only if coded or intra, a quarter tiny only if its block is fine;
    energies of blocks that are not coded are 0; modes of inter blocks are MEAN and their chroma does not come from
    luma; large units have one motion or mode, and intra ones, and some of those that are coded, one transform; quads
    have one candidate; only blocks alone are in parts."""
    blocks = Blocks(rows, columns)
    shares, units, quads = random.random(8), whole_squares(rows, columns, 2), whole_squares(rows, columns, 4)
    for r, c in order_of(rows, columns):
        if (r, c) in quads and frame.references and random.random() < shares[6]:
            coded_quad(random, blocks, frame, r, c, shares)
        if blocks.large[r, c]:
            continue  # filled in with its unit or quad
        if (r, c) in units and random.random() < shares[5]:
            coded_motion(random, blocks, frame, r, c, 2, shares, reach)
            coded_unit(random, blocks, r, c, shares)
        else:
            coded_motion(random, blocks, frame, r, c, 1, shares, reach)
            coded_residual(random, blocks, r, c, shares)
    return blocks


def random_last(random: np.random.Generator, rows: int, columns: int) -> Blocks:
    """What a frame before may have left: of each 8x8 block another motion."""
    last = Blocks(rows, columns)
    last.kinds[:] = random.integers(0, 4, last.kinds.shape)
    for flags in (last.merged, last.coded):
        flags[:] = random.integers(0, 2, flags.shape)
    last.large[:] = random.integers(0, 3, last.large.shape)
    last.energy[:] = random.integers(0, ENERGIES, last.energy.shape)
    last.vectors[:] = random.integers(-MAX_VECTOR, MAX_VECTOR + 1, last.vectors.shape)
    return last


def random_scale(random: np.random.Generator, references: int) -> np.ndarray:
    scale = random.integers(-MAX_SCALE, MAX_SCALE + 1, 2)
    scale[random.random(2) < 0.3] = 0
    scale[references:] = 0
    return scale


# --- what must be true of any decisions


def check_bounds(blocks: Blocks, frame: Frame) -> None:
    assert blocks.kinds.max() <= (BOTH if frame.references > 1 else frame.references)
    assert blocks.merged.max() <= MERGE
    for flags in (blocks.coded, blocks.fine, blocks.tiny, blocks.quad, blocks.from_luma):
        assert flags.max() <= 1
    assert frame.references or not blocks.quad.any()
    check_units(blocks)
    check_quads(blocks)
    check_links(blocks)
    check_parts(blocks)
    assert blocks.energy.max() < ENERGIES
    assert blocks.modes.max() < MODES
    assert not blocks.energy[blocks.coded == 0].any()
    assert not blocks.fine[(blocks.coded == 0) & (blocks.pred > 0)].any()
    assert not blocks.tiny[blocks.fine.repeat(2, 0).repeat(2, 1) == 0].any()
    assert (blocks.modes[(blocks.pred > 0).repeat(4, 0).repeat(4, 1)] == 1).all()
    for ref in range(2):
        assert not blocks.vectors[ref][blocks.kinds & (1 << ref) == 0].any()


def check_units(blocks: Blocks) -> None:
    """What large units have in common; where there is no whole unit there is no large one."""
    rows, columns = blocks.rows, blocks.columns
    assert not blocks.large[rows & ~1 :].any()
    assert not blocks.large[:, columns & ~1 :].any()
    for r, c in np.argwhere(blocks.large[: rows & ~1, : columns & ~1] > 0):
        unit = np.s_[r & ~1 : (r & ~1) + 2, c & ~1 : (c & ~1) + 2]
        own = np.s_[unit[0].start * 2 : unit[0].stop * 2, unit[1].start * 2 : unit[1].stop * 2]
        squares = np.s_[unit[0].start * 4 : unit[0].stop * 4, unit[1].start * 4 : unit[1].stop * 4]
        same_of = [blocks.large[unit], blocks.pred[unit], blocks.merged[unit], blocks.kinds[own]]
        same_of += [blocks.vectors[ref][own][..., k] for ref in range(2) for k in range(2)]
        intra, whole = blocks.pred[r, c] == INTRA, blocks.large[r, c] == WHOLE
        assert blocks.large[r, c] in (SHARED, WHOLE)
        assert blocks.shapes[r, c] == ONE_PART
        if whole:
            same_of += [blocks.coded[unit], blocks.energy[unit], blocks.modes[squares], blocks.from_luma[own]]
            assert intra or blocks.coded[r, c]
            assert not blocks.fine[unit].any()
            assert not blocks.tiny[own].any()
        assert whole or not intra
        assert all(len(np.unique(values)) == 1 for values in same_of)


def check_quads(blocks: Blocks) -> None:
    """What the blocks of a quad have in common; only whole quads are any."""
    quads = np.zeros_like(blocks.quad)
    for r, c in whole_squares(blocks.rows, blocks.columns, 4):
        quad, own = np.s_[r : r + 4, c : c + 4], np.s_[2 * r : 2 * r + 8, 2 * c : 2 * c + 8]
        quads[quad] = blocks.quad[r, c]
        if not blocks.quad[r, c]:
            continue
        same_of = [blocks.merged[quad], blocks.pred[quad], blocks.kinds[own]]
        same_of += [blocks.vectors[ref][own][..., k] for ref in range(2) for k in range(2)]
        assert all(len(np.unique(values)) == 1 for values in same_of)
        assert blocks.merged[r, c]
        assert blocks.pred[r, c] != INTRA
        assert blocks.large[quad].all()
    assert np.array_equal(blocks.quad, quads)


def check_links(blocks: Blocks) -> None:
    """Whether chroma comes from luma is one answer for each square that is transformed on its own, all of them intra
    (check_units looks at whole units)."""
    assert not blocks.from_luma[(blocks.pred > 0).repeat(2, 0).repeat(2, 1)].any()
    for r, c in np.argwhere(blocks.fine == 0):
        assert len(np.unique(blocks.from_luma[2 * r : 2 * r + 2, 2 * c : 2 * c + 2])) == 1


def check_parts(blocks: Blocks) -> None:
    """Each part of a block has one motion, and only blocks alone that are not merged have several."""
    assert blocks.shapes.max() <= len(PART_COUNT) - 1
    assert np.array_equal(blocks.pred, blocks.kinds[::2, ::2])
    split = blocks.shapes != ONE_PART
    assert not (split & ((blocks.merged > 0) | (blocks.pred == INTRA))).any()
    assert not blocks.parts[~split.repeat(2, 0).repeat(2, 1)].any()
    assert blocks.parts.max() <= MERGE
    for (r, c), shape in np.ndenumerate(blocks.shapes):
        own = np.s_[2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
        assert (blocks.kinds[own] == INTRA).all() == (blocks.pred[r, c] == INTRA)
        assert (blocks.kinds[own] != INTRA).all() == (blocks.pred[r, c] != INTRA)
        for i, j, height, width in parts_of(int(shape)):
            part = np.s_[2 * r + i : 2 * r + i + height, 2 * c + j : 2 * c + j + width]
            same_of = [blocks.kinds[part], blocks.parts[part]]
            same_of += [blocks.vectors[ref][part][..., k] for ref in range(2) for k in range(2)]
            assert all(len(np.unique(values)) == 1 for values in same_of)


# --- latents as an encoder may choose them


def squares_of(blocks: Blocks) -> Iterator[tuple[int, int, int, slice]]:
    """Row, column, transform and latents of each square that is coded."""
    for r, c in np.argwhere(blocks.coded).tolist():
        if blocks.large[r, c] == WHOLE:
            if not (r % 2 or c % 2):
                yield r, c, 3, slice(None)
        elif not blocks.fine[r, c]:
            yield r, c, 0, slice(None)
        else:
            for q in range(4):
                yield r, c, 2 if blocks.tiny[2 * r + (q >> 1), 2 * c + (q & 1)] else 1, slice(q, None, 4)


def hidden_signs(blocks: Blocks, symbols: np.ndarray) -> list[tuple[int, int, int, bool]]:
    """Row, column and number of each latent whose sign is hidden, and whether it is to be negative."""
    found = []
    for r, c, transform, part in squares_of(blocks):
        numbers = np.arange(SAMPLES)[part]
        own = symbols[r, c, part].astype(int)
        for group in range(GROUPS):
            places = np.flatnonzero((GROUP[transform, : len(own)] == group) & (own != 0))
            if len(places) >= HIDDEN:
                found.append((r, c, int(numbers[places[HIDDEN - 1]]), bool(np.abs(own[places]).sum() % 2)))
    return found


def hide_signs(blocks: Blocks, symbols: np.ndarray) -> None:
    """Turn hidden signs to what magnitudes say."""
    for r, c, n, negative in hidden_signs(blocks, symbols):
        symbols[r, c, n] = abs(int(symbols[r, c, n])) * (-1 if negative else 1)
