# SPDX-License-Identifier: Apache-2.0
"""One decision of a block at a time: its contexts, and the odds that a small network mixes from them.

Each decision is asked for in its own context in four ways: by quality level and kind of frame, by what is around, by
what was there before, and by how far its frame's references are. See nvcodec.entropy.mixing for how they are mixed.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, scratch
from nvcodec.entropy.binary import READING, code_plain
from nvcodec.entropy.mixing import code_mixed

# first contexts of each decision
IS_LARGE = 0  # 3: large neighbours
MERGED = IS_LARGE + 3  # 2 sizes x 36: merged neighbours (0-2), coded neighbours (0-2), `before` (0-3)
MERGE_INDEX = MERGED + 72  # 2 sizes x 2 x 8: merged neighbours or not
IS_INTRA = MERGE_INDEX + 32  # 2 sizes x 3: intra neighbours
IS_BOTH = IS_INTRA + 6  # 2 (blocks, parts of blocks) x 3: neighbours with both references
IS_SECOND = IS_BOTH + 6  # 2 x 3: neighbours with the second only
IS_SPLIT = IS_SECOND + 6  # 3: split neighbours
SHAPE = IS_SPLIT + 3  # 2: in four, into columns
PART_MERGED = SHAPE + 2  # 3 shapes x 2: the first part, later ones
PART_INDEX = PART_MERGED + 6  # 8
DIFFERENCE = PART_INDEX + 8  # 2 x 2 components x 8: magnitudes of vector differences
CODED = DIFFERENCE + 32  # 7 kinds (merged, new, intra, the same of large units, in a coded unit) x 3 x 4 `before`
IS_WHOLE = CODED + 84  # transform of a large unit as a whole: 2 (merged or not)
FINE = IS_WHOLE + 2  # 3 kinds (intra, one vector, four) x 3: fine neighbours
IS_TINY = FINE + 9  # 2 kinds (inter, intra) x 3: tiny neighbours
MODE_KNOWN = IS_TINY + 6  # 4: coarse, fine, tiny, large
MODE_INDEX = MODE_KNOWN + 4  # 2
ENERGY = MODE_INDEX + 2  # 2 kinds (inter, intra) x 3 transforms x 11 energies around x 16 nodes of a tree
FILTERED = ENERGY + 1056  # 3 x 3: filtered neighbours, coded blocks in the unit
BANK = FILTERED + 9  # 4 x 2: bank on the left
IS_FINER = BANK + 8  # 1: whether any unit is
FINER = IS_FINER + 1  # 7: magnitudes of differences of levels
SIGN = FINER + 7  # 2 (blocks, parts) x 2 components: of vector differences
MODE_REST = SIGN + 4  # 4 sizes x 32 nodes of a tree: intra modes that are not likely
IS_NETWORK = MODE_REST + 128  # 1: whether the network restores any unit
NETWORK = IS_NETWORK + 1  # 3 x 3: neighbours that it does, coded blocks in the unit
FROM_LUMA = NETWORK + 9  # 4 sizes x 3: neighbours whose chroma is predicted from luma
IS_QUAD = FROM_LUMA + 12  # 3: neighbouring quads
QUAD_INDEX = IS_QUAD + 3  # 2 x 8: as of blocks
IS_QUAD_CODED = QUAD_INDEX + 16  # 3: coded neighbours
QUAD_CODED = IS_QUAD_CODED + 3  # 3 x 4: as of blocks
CONTEXTS = QUAD_CODED + 12

LEVEL_BANDS = 4  # of quality levels
ASPECTS = 64  # different surroundings of a decision, and as many pasts
FRAME_KINDS = 8
INPUTS = 5
_AROUND = 2 * LEVEL_BANDS * CONTEXTS
_BEFORE = _AROUND + CONTEXTS * ASPECTS
_FRAME = _BEFORE + CONTEXTS * ASPECTS
_CONSTANT = _FRAME + CONTEXTS * FRAME_KINDS
DECISION_SLOTS = _CONSTANT + 1
DECISION_ROWS = CONTEXTS + 2 * LEVEL_BANDS
DECISION_SPEED = 6  # of the weights
DECISION_LIMIT = 200  # how often a slot learns before its rate stays
# places in the state of a frame's decisions
BAND, FRAME_KIND, LIMIT, AROUND, BEFORE = range(5)


def new_state(level_band: int, inter: bool, distances: tuple[int, ...], limit: int = DECISION_LIMIT) -> np.ndarray:
    """State with which a frame's decisions begin; distances: of its references, in frames."""
    far = min((abs(d) for d in distances), default=1)
    kind = 0 if not distances else 1 if len(distances) == 1 else 1 + min(far.bit_length(), 4)
    return np.array([2 * level_band + int(inter), kind, limit, 0, 0], np.int64)


@compiled
def decide_by(coder, buffer, learned, context, around, before, bit):
    """Write or read a decision, with what is around and what was before (each 0 to ASPECTS - 1); returns it.

    learned: (slots (DECISION_SLOTS, 2) int32, weights (DECISION_ROWS, INPUTS) int32, state).
    """
    slots, weights, state = learned
    chosen = scratch(INPUTS, np.int64)
    chosen[0] = state[BAND] * CONTEXTS + context
    chosen[1] = _AROUND + context * ASPECTS + around
    chosen[2] = _BEFORE + context * ASPECTS + before
    chosen[3] = _FRAME + context * FRAME_KINDS + state[FRAME_KIND]
    chosen[4] = _CONSTANT
    return code_mixed(
        coder, buffer, slots, chosen, INPUTS, weights, context, CONTEXTS + state[BAND], state[LIMIT], DECISION_SPEED,
        bit,
    )  # fmt: skip


@compiled
def decide(coder, buffer, learned, context, bit):
    """The same with what the state says is around and was before."""
    return decide_by(coder, buffer, learned, context, learned[2][AROUND], learned[2][BEFORE], bit)


@compiled
def decide_magnitude(coder, buffer, learned, first, count, around, before, value):
    """Write or read a whole number of 0 or more: a unary prefix of up to ``count`` decisions (first, first + 1, ...),
    then exponential Golomb with the prefix in the last context; returns it."""
    for i in range(count):
        if decide_by(coder, buffer, learned, first + i, around, before, 1 if value > i else 0) == 0:
            return i
    rest, width = value - count, 0
    if not coder[READING]:
        while (rest + 1) >> (width + 1):
            width += 1
    grown = 0
    while grown < 14 and decide_by(coder, buffer, learned, first + count, around, before, 1 if width > grown else 0):
        grown += 1
    return count + (1 << grown) - 1 + code_plain(coder, buffer, rest + 1 - (1 << grown), grown)
