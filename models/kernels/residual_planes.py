# SPDX-License-Identifier: Apache-2.0
"""What was coded of a frame, as planes: the network in the loop sees where its prediction was changed, and how."""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, place, scratch
from nvcodec.models.kernels.residual import LUMA_SAMPLES, SAMPLES, synthesise, synthesise_large
from nvcodec.models.kernels.syntax import WHOLE


@compiled
def _paste(plane, top, left, size, block):
    """Copy a square block into a plane."""
    for i in range(size):
        for j in range(size):
            plane[place(top + i), place(left + j)] = block[i, j]


@compiled
def _put_block(plane, top, left, size, residual, first):
    """Write a square of a block's residual."""
    for i in range(size):
        for j in range(size):
            plane[place(top + i), place(left + j)] = residual[place(first + size * i + j)]


@compiled
def fill_residuals(y, u, v, pred, coded, fine, tiny, large, modes, symbols, steps, scale, bases, begin, end):
    """Write the residuals of block rows begin..end-1 (begin is even), int16, into planes of zeros; the rest as
    `add_inter_residuals`; modes: of intra squares."""
    residual, unit = scratch(SAMPLES, np.int32), scratch((3, 32, 32), np.int32)
    for r in range(begin, end):
        for c in range(pred.shape[1]):
            if not coded[r, c]:
                continue
            if large[r, c] == WHOLE:
                if r % 2 == 0 and c % 2 == 0:
                    synthesise_large(
                        symbols[r, c], steps[r, c], scale, pred[r, c] > 0, modes[4 * r, 4 * c], bases, unit
                    )
                    _paste(y, 16 * r, 16 * c, 32, unit[0])
                    _paste(u, 8 * r, 8 * c, 16, unit[1])
                    _paste(v, 8 * r, 8 * c, 16, unit[2])
                continue
            quarters, squares = tiny[2 * r : 2 * r + 2, 2 * c : 2 * c + 2], modes[4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
            synthesise(
                symbols[r, c], steps[r, c], scale, pred[r, c] > 0, fine[r, c], quarters, squares, bases, residual
            )
            _put_block(y, 16 * r, 16 * c, 16, residual, 0)
            _put_block(u, 8 * r, 8 * c, 8, residual, LUMA_SAMPLES)
            _put_block(v, 8 * r, 8 * c, 8, residual, LUMA_SAMPLES + 64)
