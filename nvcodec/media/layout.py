# SPDX-License-Identifier: Apache-2.0
"""How raw pixel formats lie in memory: planes one after the other, rows without padding."""

from __future__ import annotations

from nvcodec.errors import UsageError

# Name -> planes as (horizontal divisor, vertical divisor, bytes per position); sizes round up.
LAYOUTS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "yuv420p": ((1, 1, 1), (2, 2, 1), (2, 2, 1)),
    "yuvj420p": ((1, 1, 1), (2, 2, 1), (2, 2, 1)),
    "nv12": ((1, 1, 1), (2, 2, 2)),
    "nv21": ((1, 1, 1), (2, 2, 2)),
    "yuv422p": ((1, 1, 1), (2, 1, 1), (2, 1, 1)),
    "yuv444p": ((1, 1, 1), (1, 1, 1), (1, 1, 1)),
    "yuv411p": ((1, 1, 1), (4, 1, 1), (4, 1, 1)),
    "gray": ((1, 1, 1),),
    "yuva444p": ((1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
    **{f"yuv420p{n}le": ((1, 1, 2), (2, 2, 2), (2, 2, 2)) for n in (9, 10, 12, 14, 16)},
    **{f"yuv422p{n}le": ((1, 1, 2), (2, 1, 2), (2, 1, 2)) for n in (9, 10, 12, 14, 16)},
    **{f"yuv444p{n}le": ((1, 1, 2), (1, 1, 2), (1, 1, 2)) for n in (9, 10, 12, 14, 16)},
    **{f"gray{n}le": ((1, 1, 2),) for n in (9, 10, 12, 14, 16)},
    "p010le": ((1, 1, 2), (2, 2, 4)),
    "rgb24": ((1, 1, 3),),
    "bgr24": ((1, 1, 3),),
    "rgba": ((1, 1, 4),),
    "bgra": ((1, 1, 4),),
}

MAX_SIDE = 32768  # far beyond any picture a codec here takes; keeps sizes from outside bounded


def check_size(width: int, height: int, what: str) -> None:
    """Raise UsageError unless 1 <= width, height <= MAX_SIDE; ``what`` names the thing in the message."""
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise UsageError(f"{what} is {width}x{height}; each side must be 1 to {MAX_SIDE}")


def plane_shapes(pixel_format: str, width: int, height: int) -> list[tuple[int, int]]:
    """(rows, bytes per row) of each plane of one picture; UsageError for a pixel format not in LAYOUTS."""
    if pixel_format not in LAYOUTS:
        raise UsageError(f"pixel format {pixel_format!r} is not known for raw video; known: {', '.join(LAYOUTS)}")
    return [(-(-height // v), -(-width // h) * nbytes) for h, v, nbytes in LAYOUTS[pixel_format]]


def picture_nbytes(pixel_format: str, width: int, height: int) -> int:
    """Bytes of one picture."""
    return sum(rows * row_nbytes for rows, row_nbytes in plane_shapes(pixel_format, width, height))
