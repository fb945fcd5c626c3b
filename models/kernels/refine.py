# SPDX-License-Identifier: Apache-2.0
"""The latents of inter blocks chosen once more, by what they cost in the contexts that will code them, and signs hidden
in them: encoder only.

`nvcodec.models.kernels.inter` chooses transforms and latents by rates that know no neighbours. What the frame coded
last holds is not known here, since frames are decided on side by side: contexts take it to hold nothing.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, scratch
from nvcodec.models.kernels.density import COARSE, FINE, LARGE, TINY, add_density
from nvcodec.models.kernels.exact import Frame, count_bits, square_cost
from nvcodec.models.kernels.frame_intra import copy
from nvcodec.models.kernels.hiding import GROUPS, hide_by, reckon_changes
from nvcodec.models.kernels.inter import CODED_BITS, NOTHING_BITS, TINY_BITS
from nvcodec.models.kernels.motion import fill
from nvcodec.models.kernels.residual import FINE_SAMPLES, SAMPLES, non_zero, squares
from nvcodec.models.kernels.residual import TINY as TINY_SAMPLES
from nvcodec.models.kernels.residual import TINY_CHROMA as TINY_CHROMA_SAMPLES
from nvcodec.models.kernels.syntax import SHARED, WHOLE, block_of_row

_NO_LIMIT = np.float32(1e30)


@compiled
def refine_inter(
    pred, coded, fine, tiny, large, symbols, coefficients, rates, price, odds, level, density, quad_row, begin, end
):  # fmt: skip
    """Choose the latents of the coded inter blocks of quads begin..end-1 of a row of quads, or none where that is
    cheaper.

    pred, coded, fine, large: (R, C), tiny: (2R, 2C) uint8; symbols: (R, C, 384) int16 as they were chosen by rates;
    coefficients: (R, C, 384) float32 in the same places, in steps; rates: `BlockBases.summed_rates`; price: squared
    steps of a bit; odds: see there (without any, latents stay as they are, but for hidden signs); level: of the frame;
    density: `no_densities`, filled in.
    """
    frame = Frame(level, coded, fine, large, symbols, density)
    less, more = scratch(SAMPLES, np.float32), scratch(SAMPLES, np.float32)
    for number in range(16 * begin, 16 * end):
        r, c = block_of_row(number, quad_row)
        if r >= pred.shape[0] or c >= pred.shape[1] or not pred[r, c] or not coded[r, c]:
            continue
        whole = large[r, c] == WHOLE
        if whole and (r % 2 or c % 2):
            continue
        if fine[r, c]:
            saved = _refine_quarters(frame, tiny, r, c, coefficients[r, c], rates, price, odds, less, more)
        else:
            kind = LARGE if whole else COARSE
            saved = _refine_square(frame, kind, r, c, coefficients[r, c], rates, price, odds, less, more)
        if saved <= 0:
            for k in range(SAMPLES):
                symbols[r, c, k] = 0
            add_density(density, LARGE if whole else COARSE, symbols, r, c, 0)
            fill(coded, r, c, 2 if whole else 1, 2 if whole else 1, 0)
            if whole:
                fill(large, r, c, 2, 2, SHARED)


@compiled
def _refine_square(frame, transform, r, c, coefficients, rates, price, odds, less, more):
    """Choose the latents of a block, or unit, that is transformed as a whole; returns what is saved by having them,
    squared steps (0: there are none). less, more: (384,), room."""
    own, count = scratch(SAMPLES, np.int16), non_zero(frame.symbols[r, c])
    copy(frame.symbols[r, c], own)
    if len(odds.stretched):
        cost = square_cost(
            odds, frame, own, r, c, 0, transform, True, 0, count, 0, coefficients, True, price, _NO_LIMIT, less, more
        )  # fmt: skip
    else:
        cost = np.float32(-_NO_LIMIT)
        reckon_changes(coefficients, rates[4 if transform == LARGE else 0][0], price, own, less, more)
    cost += hide_by(coefficients, less, more, price, own) + price * (count_bits(count) + CODED_BITS - NOTHING_BITS)
    copy(own, frame.symbols[r, c])
    add_density(frame.density, transform, frame.symbols, r, c, 0)
    return squares(coefficients) - cost if non_zero(own) else np.float32(0)


@compiled
def _refine_quarters(frame, tiny, r, c, coefficients, rates, price, odds, less, more):
    """The same of a block whose quarters have transforms of their own."""
    own, quarter = scratch(SAMPLES, np.int16), scratch(FINE_SAMPLES, np.float32)
    latents, by_odds = scratch(FINE_SAMPLES, np.int16), len(odds.stretched) > 0
    copy(frame.symbols[r, c], own)
    total, before = non_zero(own), np.int64(0)
    cost = price * (count_bits(total) + CODED_BITS + 4 * TINY_BITS - NOTHING_BITS)
    for q in range(4):
        transform, rest = TINY if tiny[2 * r + (q >> 1), 2 * c + (q & 1)] else FINE, np.int64(0)
        for n in range(SAMPLES):
            if own[n] and n % 4 >= q:
                rest += 1
        for k in range(FINE_SAMPLES):
            quarter[k] = coefficients[4 * k + q]
        if by_odds:
            cost += square_cost(
                odds, frame, own, r, c, q, transform, True, 0, before + rest, before, quarter, True, price, _NO_LIMIT,
                less, more,
            )  # fmt: skip
        for k in range(FINE_SAMPLES):
            latents[k] = own[4 * k + q]
        if transform == TINY:
            cost += _hide_in_tiny(quarter, rates, price, latents, by_odds, less, more)
        else:
            if not by_odds:
                reckon_changes(quarter, rates[1][0], price, latents, less, more)
            cost += hide_by(quarter, less, more, price, latents)
        for k in range(FINE_SAMPLES):
            own[4 * k + q] = frame.symbols[r, c, 4 * k + q] = latents[k]
        before += non_zero(latents)
        add_density(frame.density, transform, frame.symbols, r, c, q)
    if not by_odds:
        cost = np.float32(-_NO_LIMIT)
    return squares(coefficients) - cost if before else np.float32(0)


@compiled
def _hide_in_tiny(quarter, rates, price, latents, known, less, more):
    """`hide_by` for a quarter in 4x4 squares, whose latents, and chroma's, are interleaved; known: whether changes
    are."""
    some, part = scratch(TINY_CHROMA_SAMPLES, np.float32), scratch(TINY_CHROMA_SAMPLES, np.int16)
    fewer, further = scratch(TINY_CHROMA_SAMPLES, np.float32), scratch(TINY_CHROMA_SAMPLES, np.float32)
    cost = np.float32(0)
    for group in range(GROUPS):
        chroma = group == GROUPS - 1
        size = TINY_CHROMA_SAMPLES if chroma else TINY_SAMPLES
        for k in range(size):
            at = 6 * (k >> 1) + 4 + (k & 1) if chroma else 6 * k + group
            some[k], fewer[k], further[k], part[k] = quarter[at], less[at], more[at], latents[at]
        if not known:
            reckon_changes(some[:size], rates[3 if chroma else 2][0], price, part[:size], fewer, further)
        cost += hide_by(some[:size], fewer, further, price, part[:size])
        for k in range(size):
            latents[6 * (k >> 1) + 4 + (k & 1) if chroma else 6 * k + group] = part[k]
    return cost
