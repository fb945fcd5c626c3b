# SPDX-License-Identifier: Apache-2.0
"""Bits whose probability a small network mixes from several contexts, and which goes on learning from every bit.

Each context predicts on its own from what it has seen; the network's inputs are those predictions in the logistic
domain, its output their weighted sum, and its weights follow the gradient of the coding cost after each bit (logistic
mixing, as in the PAQ family of compressors; see Mahoney, "Adaptive weighing of context models", 2005). Encoder and
decoder do the same integer arithmetic, so they learn the same.

    slot     (2,) int32: probability of a one in 65536ths, and how often it has learned
    weights  int32 rows in 65536ths; several rows, chosen by different circumstances, each give an opinion of their own
             and the mean of them is used. Before its weights each row has a curve: what came of the bits that were
             given a probability, at POINTS probabilities evenly spaced in the logistic domain. Half of what is used
             comes from the curves (adaptive probability maps, as in the same compressors)
"""

from __future__ import annotations

import math

import numpy as np

from nvcodec.compiled import compiled, scratch
from nvcodec.entropy.binary import CODE, LOW, RANGE, READING, _shift_low, next_byte

ONE = 1 << 16
PER_NAT = 256  # logistic domain: 256 for a factor of e
LIMIT = 12 * PER_NAT - 1
MOST_INPUTS = 16
POINTS = 33  # of a row's curve, before its weights
BETWEEN = (2 * (LIMIT + 1)) // (POINTS - 1)
_CURVE_SHIFT = 6  # of what a curve learns
STRETCH_SHIFT = 2
_TOP = 1 << 24


def _squash_table() -> np.ndarray:
    """Probability in 65536ths of -LIMIT .. LIMIT. (No entry is nearer to a half than 1e-6: rounding is the same
    wherever exp is right to 1e-12, and a test pins the sum.)"""
    values = [round(ONE / (1 + math.exp(-x / PER_NAT))) for x in range(-LIMIT, LIMIT + 1)]
    return np.clip(np.array(values, np.int32), 2, ONE - 2)


def _stretch_table() -> np.ndarray:
    """Logistic value of each quarter of a probability in 65536ths."""
    count = ONE >> STRETCH_SHIFT
    values = [round(PER_NAT * math.log((i + 0.5) / (count - i - 0.5))) for i in range(count)]
    return np.array(values, np.int32)


SQUASH, STRETCH = _squash_table(), _stretch_table()
_STRAIGHT = SQUASH[np.clip(np.arange(POINTS) * BETWEEN - 1, 0, 2 * LIMIT)]  # a curve that changes nothing
RATES = np.array([round(ONE / (n + 1.6)) for n in range(1024)], np.int64)  # of a slot that has learned n times


def new_weights(rows: int, inputs: int) -> np.ndarray:
    """(rows, POINTS + inputs) int32 that have learned nothing: straight curves, and inputs that count alike."""
    weights = np.full((rows, POINTS + inputs), int(0.3 * ONE), np.int32)
    weights[:, :POINTS] = _STRAIGHT
    return weights


@compiled
def code_mixed(coder, buffer, slots, chosen, count, weights, first, second, limit, speed, bit):
    """Write or read one bit and learn from it; returns it.

    slots: (S, 2) int32; chosen: the ``count`` (up to MOST_INPUTS) slots to ask; weights: (W, >= POINTS + count) int32,
    of which rows ``first`` and ``second`` mix; limit: how often a slot learns before its rate stays; speed: of the
    weights.
    """
    inputs = scratch(MOST_INPUTS, np.int64)
    a, b = np.int64(0), np.int64(0)
    for i in range(count):
        x = STRETCH[slots[chosen[i], 0] >> STRETCH_SHIFT]
        inputs[i] = x
        a += np.int64(weights[first, POINTS + i]) * x
        b += np.int64(weights[second, POINTS + i]) * x
    xa = min(max(a >> 16, -LIMIT), LIMIT)
    xb = min(max(b >> 16, -LIMIT), LIMIT)
    x = (xa + xb) >> 1
    at, part = (x + LIMIT + 1) // BETWEEN, (x + LIMIT + 1) % BETWEEN
    low = np.int64(weights[first, at]) + weights[second, at]
    high = np.int64(weights[first, at + 1]) + weights[second, at + 1]
    learned = (low * (BETWEEN - part) + high * part) // BETWEEN
    p = min(max((2 * np.int64(SQUASH[x + LIMIT]) + learned) >> 2, 2), ONE - 2)
    bound = (coder[RANGE] >> 16) * (ONE - p)
    if coder[READING]:
        bit = 0 if coder[CODE] < bound else 1
    if bit == 0:
        coder[RANGE] = bound
    else:
        coder[RANGE] -= bound
        if coder[READING]:
            coder[CODE] -= bound
        else:
            coder[LOW] += bound
    while coder[RANGE] < _TOP:
        coder[RANGE] = (coder[RANGE] << 8) & 0xFFFFFFFF
        if coder[READING]:
            coder[CODE] = ((coder[CODE] << 8) | next_byte(coder, buffer)) & 0xFFFFFFFF
        else:
            _shift_low(coder, buffer)
    target = (ONE - 1) if bit else 0
    ea = (target - SQUASH[xa + LIMIT]) * speed
    eb = (target - SQUASH[xb + LIMIT]) * speed
    at += 1 if 2 * part > BETWEEN else 0
    weights[first, at] += (target - weights[first, at]) >> _CURVE_SHIFT
    weights[second, at] += (target - weights[second, at]) >> _CURVE_SHIFT
    for i in range(count):
        weights[first, POINTS + i] += (inputs[i] * ea + (1 << 19)) >> 20
        weights[second, POINTS + i] += (inputs[i] * eb + (1 << 19)) >> 20
        slot = chosen[i]
        n = slots[slot, 1]
        slots[slot, 0] += ((target - slots[slot, 0]) * RATES[n]) >> 16
        if n < limit:
            slots[slot, 1] = n + 1
    return bit
