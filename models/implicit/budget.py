# SPDX-License-Identifier: Apache-2.0
"""From a budget to strides and widths, as the papers' own scripts do it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from nvcodec.errors import UsageError

MAX_WIDTH = 8192
MAX_STRIDES = 8
MAX_STRIDE = 16

# Up-sampling stages, most to least; the first is HNeRV's for 640x1280.
LADDERS: tuple[tuple[int, ...], ...] = (
    (5, 4, 4, 2, 2),
    (5, 4, 3, 2, 2),
    (4, 4, 4, 2, 2),
    (5, 3, 3, 2, 2),
    (5, 4, 2, 2, 2),
    (4, 4, 3, 2, 2),
    (4, 3, 3, 2, 2),
    (5, 3, 2, 2, 2),
    (3, 3, 3, 2, 2),
    (4, 3, 2, 2, 2),
    (5, 4, 2, 2),
    (3, 3, 2, 2, 2),
    (4, 4, 2, 2),
    (5, 3, 2, 2),
    (4, 3, 2, 2),
    (3, 3, 2, 2),
    (4, 2, 2, 2),
    (3, 2, 2, 2),
    (2, 2, 2, 2),
    (3, 2, 2),
    (2, 2, 2),
    (2, 2),
)
LEAST_CELLS, MOST_PADDING = 6, 1.25  # of the coarsest grid; of the picture's area


def choose_strides(height: int, width: int, options: dict) -> tuple[int, ...]:
    """Strides for a picture: those asked for (option ``strides``), or the largest that pad little and leave a grid.

    Raises UsageError when the picture is smaller than the strides it was asked to have.
    """
    asked = options.get("strides")
    if asked:
        strides = tuple(int(s) for s in asked)
        total = math.prod(strides)
        if len(strides) > MAX_STRIDES or not all(1 <= s <= MAX_STRIDE for s in strides):
            raise UsageError(f"strides {strides}: at most {MAX_STRIDES}, each 1 to {MAX_STRIDE}")
        if total > min(height, width):
            raise UsageError(
                f"picture {width}x{height} is too small for strides {' '.join(map(str, strides))}, which enlarge "
                f"{total} times; at most {min(height, width)} times is possible"
            )
        return strides
    for strides in LADDERS:
        rows, columns = grid(height, width, strides)
        area = rows * columns * math.prod(strides) ** 2
        if rows * columns >= LEAST_CELLS and area <= MOST_PADDING * height * width:
            return strides
    if min(height, width) < math.prod(LADDERS[-1]):
        raise UsageError(f"picture {width}x{height} is too small: at least {math.prod(LADDERS[-1])} samples a side")
    return LADDERS[-1]


def grid(height: int, width: int, strides: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of the coarsest grid that covers a picture."""
    total = math.prod(strides)
    return -(-height // total), -(-width // total)


def positive_root(a: float, b: float, c: float) -> float:
    """Larger root of a x^2 + b x + c; at most 0 where the budget is spent before the first weight."""
    discriminant = b * b - 4 * a * c
    return (-b + math.sqrt(discriminant)) / (2 * a) if discriminant > 0 else 0.0


def widest(count: Callable[[int], int], budget: int, step: int = 1, limit: int = MAX_WIDTH) -> int:
    """The largest multiple of ``step``, up to ``limit``, whose parameter count keeps to a budget; 0 when none does."""
    low, high = 0, limit // step
    while low < high:
        middle = (low + high + 1) // 2
        if count(middle * step) <= budget:
            low = middle
        else:
            high = middle - 1
    return low * step


class BudgetError(UsageError):
    """A budget holds no network; ``least`` is about what one needs."""

    least = 0


def too_small(recipe: str, parameters: int, least: int) -> BudgetError:
    """The error for a budget that holds no network."""
    error = BudgetError(
        f"model size {parameters} parameters is too small for recipe {recipe} on this video; "
        f"at least about {least} are needed"
    )
    error.least = least
    return error
