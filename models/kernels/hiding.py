# SPDX-License-Identifier: Apache-2.0
"""Signs that are not written, but hidden in whether magnitudes add up to an odd number (Clare, Henry, Jung, "Sign data
hiding", JCTVC-G271; ITU-T H.265, 9.3.4.3).

The latents of a square fall into groups. Where a group has enough that are not zero, the sign of one of them follows
from whether all of their magnitudes add up to an odd number; the encoder changes the latent for which that costs least
where it does not. Deviations: groups are as long as the bands of latents that they lie in; what counts is how many
latents are not zero, not how far the last is from the first; and the sign is not that of the first one, which later
signs look at.
"""

from __future__ import annotations

import numpy as np

from nvcodec.compiled import compiled, scratch
from nvcodec.models.kernels.residual import MORE_BITS, SAMPLES, non_zero, rate_class

HIDDEN = 5  # which of a group's latents that are not zero has no sign of its own: negative if the sum is odd
GROUPS = 5  # of a square, at most
BOUNDS = np.array([0, 32, 64, 128, 256, 384], np.int64)  # where they begin in the order of a square's latents
IMPOSSIBLE = np.float32(1e30)
LEAST = np.float32(0.3)  # coefficients that are smaller stay zero
_TINY = 2


def _groups() -> np.ndarray:
    """(4, 384) group of each latent of each transform (coarse, fine, tiny, large); of a quarter in 4x4 squares, each
    square of luma, and chroma, is one."""
    order = np.arange(BOUNDS[-1])
    groups = np.stack([np.searchsorted(BOUNDS, order, side="right") - 1] * 4)
    groups[_TINY] = np.minimum(order % 6, 4)
    return groups


GROUP = _groups()


@compiled
def _bits(rates, which, k, magnitude):
    """Of a latent by rates as in `quantise`."""
    bits = rates[which, k, min(magnitude, 2)]
    return bits + MORE_BITS[min(magnitude, len(MORE_BITS) - 1)] if magnitude > 2 else bits


@compiled
def hide(coefficients, rates, price, symbols):
    """Change symbols (n,) of a square, or of a part of one that is a group, so that hidden signs are right; returns
    what that costs, less what they save: error and price of bits, squared steps. coefficients, rates, price: as in
    `quantise`."""
    less, more = scratch(SAMPLES, np.float32), scratch(SAMPLES, np.float32)
    reckon_changes(coefficients, rates, price, symbols, less, more)
    return hide_by(coefficients, less, more, price, symbols)


@compiled
def reckon_changes(coefficients, rates, price, symbols, less, more):
    """What each symbol costs, by rates, if its magnitude is one less or more than it is: (n,) float32, IMPOSSIBLE
    where that is not to be done; nothing where too few are not zero for any sign to be hidden."""
    count = non_zero(symbols)
    if count < HIDDEN:
        return
    which = rate_class(count)
    for k in range(len(symbols)):
        wanted, now = abs(coefficients[k]), abs(np.int64(symbols[k]))
        less[k] = more[k] = IMPOSSIBLE
        if now == 0 and wanted < LEAST:
            continue
        start = (wanted - now) * (wanted - now) + price * _bits(rates, which, k, now)
        if now:
            error = (wanted - now + 1) * (wanted - now + 1)
            less[k] = error + price * _bits(rates, which, k, now - 1) - start
        error = (wanted - now - 1) * (wanted - now - 1)
        more[k] = error + price * _bits(rates, which, k, now + 1) - start


@compiled
def hide_by(coefficients, less, more, price, symbols):
    """The same, by what changes cost (see `reckon_changes`)."""
    cost = np.float32(0)
    for group in range(GROUPS):
        if BOUNDS[group] >= len(symbols):
            break
        end = min(BOUNDS[group + 1], len(symbols))
        cost += _hide_in_group(coefficients, less, more, price, symbols, BOUNDS[group], end)
    return cost


@compiled
def _hide_in_group(coefficients, less, more, price, symbols, begin, end):
    """The same for latents begin..end-1."""
    count, total = np.int64(0), np.int64(0)
    before = hidden = after = np.int64(-1)  # the one that is hidden in, and those beside it that are not zero
    for k in range(begin, end):
        if symbols[k] == 0:
            continue
        count, total = count + 1, total + abs(np.int64(symbols[k]))
        if count == HIDDEN - 1:
            before = k
        elif count == HIDDEN:
            hidden = k
        elif count == HIDDEN + 1:
            after = k
    if count < HIDDEN:
        return np.float32(0)
    negative = total & 1 == 1
    if (symbols[hidden] < 0) == negative:
        return -price
    least, at, change = IMPOSSIBLE, hidden, np.int64(1)
    for k in range(begin, end):
        cost = less[k]
        if k <= hidden and abs(symbols[k]) == 1:  # the next one is hidden in then
            if after < 0:
                cost += price  # or none, and its sign is written
            elif (symbols[after] < 0) == negative:
                cost = IMPOSSIBLE
        if cost < least:
            least, at, change = cost, k, np.int64(-1)
        cost = more[k]
        if symbols[k] == 0 and k < hidden:
            other = coefficients[k] < 0 if k > before else symbols[before] < 0
            if other == negative:
                cost = IMPOSSIBLE
        if cost < least:
            least, at, change = cost, k, np.int64(1)
    if least >= IMPOSSIBLE:
        at, change = hidden, np.int64(1)  # which is always right
    size = abs(np.int64(symbols[at])) + change
    symbols[at] = -size if coefficients[at] < 0 else size
    return least - price
