# SPDX-License-Identifier: Apache-2.0
"""Bounds of format 1; a reader checks each of them before it allocates anything."""

from __future__ import annotations

FORMAT_VERSION = 1

MAX_SIDE = 16384  # luma samples
MAX_PIXELS = 1 << 26  # luma samples of one picture
MAX_CONFIG_NBYTES = 4096
MAX_MODEL_NAME_NBYTES = 64
SHA256_NBYTES = 32

MAX_RECORD_FRAMES = 32  # of several units
MAX_UNIT_FRAMES = 1024  # of a unit that is alone in its record: a whole group of pictures coded at once
MAX_RECORD_UNITS = 64
MAX_UNIT_NBYTES = 1 << 27
MAX_RECORD_NBYTES = 1 << 28
# Writers close a record that has reached this size: it bounds what a reader must hold to check a CRC.
RECORD_TARGET_NBYTES = 1 << 20

MAX_FRAMES = (1 << 32) - 1
MAX_TICKS = (1 << 62) - 1  # timestamps and durations
MAX_RATIONAL = (1 << 32) - 1  # numerator and denominator
