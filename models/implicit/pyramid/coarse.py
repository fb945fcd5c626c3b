# SPDX-License-Identifier: Apache-2.0
"""The tip of the pyramid: block means of a keyframe, coded coarse to fine, interpolated to a first prediction."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nvcodec.models.implicit.pyramid.adaptive import AdaptiveTables
from nvcodec.models.motion.syntax import LEVELS, SymbolCoder, coding_passes

MEAN_STEP = 4  # sample values
CONTEXTS = 3 * LEVELS
SYMBOLS = 32


def code_means(
    means: np.ndarray | None, rows: int, columns: int, plane: int, coder: SymbolCoder, tables: AdaptiveTables
) -> np.ndarray:
    """Write (means given, (R, C) in units of MEAN_STEP) or read one plane's means; plane: 0 luma, 1 U, 2 V."""
    result = np.zeros((rows, columns), np.int64)
    for blocks in coding_passes(rows, columns):
        around = result[blocks.neighbour_rows, blocks.neighbour_columns] * blocks.present
        count = blocks.present.sum(1)
        predicted = np.where(count > 0, (2 * around.sum(1) + count) // np.maximum(2 * count, 1), 128 // MEAN_STEP)
        contexts = np.full(len(count), plane * LEVELS + blocks.level)
        difference = contexts
        if means is not None:
            signed = means[blocks.rows, blocks.columns] - predicted
            difference = np.where(signed > 0, 2 * signed - 1, -2 * signed)
        coded = coder.code(difference, contexts, tables)
        signed = np.where(coded % 2 == 1, (coded + 1) // 2, -(coded // 2))
        result[blocks.rows, blocks.columns] = (predicted + signed).clip(0, 255 // MEAN_STEP)
    return result


def measure(plane: Tensor, size: int) -> np.ndarray:
    """Means of (size, size) blocks of a plane in units of MEAN_STEP, at the encoder."""
    height, width = plane.shape
    average = plane.reshape(height // size, size, width // size, size).mean((1, 3))
    means = torch.round((average - MEAN_STEP / 2) / MEAN_STEP).clamp(0, 255 // MEAN_STEP)
    return means.long().numpy()


def interpolate(means: np.ndarray, size: int) -> Tensor:
    """(R, C) means to (R * size, C * size) float32 integers, bilinear: exact (weights are whole)."""
    values = torch.from_numpy((means * MEAN_STEP + MEAN_STEP // 2).astype(np.float32))
    vertical, horizontal = (_weights(n, size) for n in means.shape)
    return torch.floor(vertical @ values @ horizontal.t() / (4 * size * size) + 0.5).clamp_(0, 255)


def _weights(count: int, size: int) -> Tensor:
    """(count * size, count) integer weights, 2 size in all for each row."""
    position = 2 * np.arange(count * size) + 1 - size  # from the first centre, in half samples
    left, right_share = np.divmod(position, 2 * size)
    table = np.zeros((count * size, count), np.float32)
    rows = np.arange(count * size)
    np.add.at(table, (rows, left.clip(0, count - 1)), 2 * size - right_share)
    np.add.at(table, (rows, (left + 1).clip(0, count - 1)), right_share)
    return torch.from_numpy(table)
