# SPDX-License-Identifier: Apache-2.0
"""Deblocking of edges on the 8x8 grid, after H.265 (ITU-T H.265, 8.7.2): normal and strong luma filters by local
curvature, chroma at intra edges on a 16x16 luma grid. The quantisation step takes the place of QP."""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, scratch
from nvcodec.models.depth import EXTRA_BITS, LARGEST
from nvcodec.models.kernels.syntax import WHOLE

# tables 8-12 of H.265: beta and tc by QP (tc also by 2 more at intra edges)
BETA = np.array([0] * 16 + list(range(6, 19)) + list(range(20, 66, 2)), np.int32)
TC = np.array(
    [0] * 18 + [1] * 9 + [2] * 4 + [3] * 4 + [4] * 3 + [5, 5, 6, 6, 7, 8, 9, 10, 11, 13, 14, 16, 18, 20, 22, 24],
    np.int32,
)


@compiled
def edge_strength(kinds, coded, fine, large, vectors, vertical, r, c):
    """Strength 0 to 2 of the edge before 8x8 block (r, c); vertical: between columns."""
    r2, c2 = (r, c - 1) if vertical else (r - 1, c)
    if r2 < 0 or c2 < 0:
        return 0
    if large[r >> 1, c >> 1] == WHOLE and r >> 2 == r2 >> 2 and c >> 2 == c2 >> 2:
        return 0
    br, bc, br2, bc2 = r >> 1, c >> 1, r2 >> 1, c2 >> 1
    inside = br == br2 and bc == bc2
    a, b = kinds[r, c], kinds[r2, c2]
    if a == 0 or b == 0:
        return 2 if not inside or (fine[br, bc] and coded[br, bc]) else 0
    if (coded[br, bc] or coded[br2, bc2]) and (not inside or fine[br, bc]):
        return 1
    if a != b:
        return 1
    for ref in range(2):
        if a & (1 << ref):
            dx = abs(vectors[ref, r, c, 0] - vectors[ref, r2, c2, 0])
            dy = abs(vectors[ref, r, c, 1] - vectors[ref, r2, c2, 1])
            if dx >= 4 or dy >= 4:
                return 1
    return 0


@compiled
def _luma_edge(p, beta, tc):
    """Filter four lines across one edge; p: (4, 8) int32, samples p3 p2 p1 p0 q0 q1 q2 q3 of each line, in place."""
    dp0, dp3 = abs(p[0, 1] - 2 * p[0, 2] + p[0, 3]), abs(p[3, 1] - 2 * p[3, 2] + p[3, 3])
    dq0, dq3 = abs(p[0, 6] - 2 * p[0, 5] + p[0, 4]), abs(p[3, 6] - 2 * p[3, 5] + p[3, 4])
    if dp0 + dp3 + dq0 + dq3 >= beta:
        return
    strong = True
    for k in range(0, 4, 3):
        d = 2 * ((dp0 + dq0) if k == 0 else (dp3 + dq3))
        flat = abs(p[k, 0] - p[k, 3]) + abs(p[k, 7] - p[k, 4])
        if d >= beta >> 2 or flat >= beta >> 3 or abs(p[k, 3] - p[k, 4]) >= (5 * tc + 1) >> 1:
            strong = False
    side = (beta + (beta >> 1)) >> 3
    more_p, more_q = dp0 + dp3 < side, dq0 + dq3 < side
    for k in range(4):
        p3, p2, p1, p0 = p[k, 0], p[k, 1], p[k, 2], p[k, 3]
        q0, q1, q2, q3 = p[k, 4], p[k, 5], p[k, 6], p[k, 7]
        if strong:
            c = 2 * tc
            p[k, 3] = min(max((p2 + 2 * p1 + 2 * p0 + 2 * q0 + q1 + 4) >> 3, p0 - c), p0 + c)
            p[k, 2] = min(max((p2 + p1 + p0 + q0 + 2) >> 2, p1 - c), p1 + c)
            p[k, 1] = min(max((2 * p3 + 3 * p2 + p1 + p0 + q0 + 4) >> 3, p2 - c), p2 + c)
            p[k, 4] = min(max((p1 + 2 * p0 + 2 * q0 + 2 * q1 + q2 + 4) >> 3, q0 - c), q0 + c)
            p[k, 5] = min(max((p0 + q0 + q1 + q2 + 2) >> 2, q1 - c), q1 + c)
            p[k, 6] = min(max((p0 + q0 + q1 + 3 * q2 + 2 * q3 + 4) >> 3, q2 - c), q2 + c)
            continue
        delta = (9 * (q0 - p0) - 3 * (q1 - p1) + 8) >> 4
        if abs(delta) >= 10 * tc:
            continue
        delta = min(max(delta, -tc), tc)
        p[k, 3], p[k, 4] = min(max(p0 + delta, 0), LARGEST), min(max(q0 - delta, 0), LARGEST)
        half = tc >> 1
        if more_p:
            d = min(max((((p2 + p0 + 1) >> 1) - p1 + delta) >> 1, -half), half)
            p[k, 2] = min(max(p1 + d, 0), LARGEST)
        if more_q:
            d = min(max((((q2 + q0 + 1) >> 1) - q1 - delta) >> 1, -half), half)
            p[k, 5] = min(max(q1 + d, 0), LARGEST)


@compiled
def deblock(y, u, v, kinds, coded, fine, large, vectors, qp):
    """Filter a frame's planes in place; qp: that of H.265 for the frame's step."""
    rows, columns = kinds.shape
    lines = scratch((4, 8), np.int32)
    beta = BETA[min(qp, 51)] << EXTRA_BITS
    for vertical in (True, False):
        for r in range(rows):
            for c in range(columns):
                strength = edge_strength(kinds, coded, fine, large, vectors, vertical, r, c)
                if strength == 0:
                    continue
                tc = TC[min(qp + 2 * (strength - 1), 53)] << EXTRA_BITS
                if tc == 0:
                    continue
                for half in range(2):
                    if vertical:
                        top, left = 8 * r + 4 * half, 8 * c - 4
                        for k in range(4):
                            for i in range(8):
                                lines[k, i] = y[top + k, left + i]
                        _luma_edge(lines, beta, tc)
                        for k in range(4):
                            for i in range(1, 7):
                                y[top + k, left + i] = lines[k, i]
                    else:
                        top, left = 8 * r - 4, 8 * c + 4 * half
                        for k in range(4):
                            for i in range(8):
                                lines[k, i] = y[top + i, left + k]
                        _luma_edge(lines, beta, tc)
                        for k in range(4):
                            for i in range(1, 7):
                                y[top + i, left + k] = lines[k, i]
                if strength == 2 and (c if vertical else r) % 2 == 0:
                    _chroma_edge(u, 4 * r, 4 * c, vertical, tc)
                    _chroma_edge(v, 4 * r, 4 * c, vertical, tc)


@compiled
def _chroma_edge(plane, top, left, vertical, tc):
    for k in range(4):
        if vertical:
            p1, p0, q0, q1 = (
                np.int32(plane[top + k, left - 2]),
                np.int32(plane[top + k, left - 1]),
                np.int32(plane[top + k, left]),
                np.int32(plane[top + k, left + 1]),
            )
        else:
            p1, p0, q0, q1 = (
                np.int32(plane[top - 2, left + k]),
                np.int32(plane[top - 1, left + k]),
                np.int32(plane[top, left + k]),
                np.int32(plane[top + 1, left + k]),
            )
        delta = min(max((((q0 - p0) << 2) + p1 - q1 + 4) >> 3, -tc), tc)
        p0, q0 = min(max(p0 + delta, 0), LARGEST), min(max(q0 - delta, 0), LARGEST)
        if vertical:
            plane[top + k, left - 1], plane[top + k, left] = p0, q0
        else:
            plane[top - 1, left + k], plane[top, left + k] = p0, q0
