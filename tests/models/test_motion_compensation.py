# SPDX-License-Identifier: Apache-2.0
"""Motion compensation against a plain reference, sample by sample, with the taps of ITU-T H.265."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nvcodec.models.motion.compensation import BlockMatch, compensate, warp_features

# H.265 tables 8-11 (luma) and 8-12 (chroma): fraction to taps, the first for the sample 3 (1) to the left.
LUMA = {
    0: [0, 0, 0, 64, 0, 0, 0, 0],
    1: [-1, 4, -10, 58, 17, -5, 1, 0],
    2: [-1, 4, -11, 40, 40, -11, 4, -1],
    3: [0, 1, -5, 17, 58, -10, 4, -1],
}
CHROMA = {
    0: [0, 64, 0, 0],
    1: [-2, 58, 10, -2],
    2: [-4, 54, 16, -2],
    3: [-6, 46, 28, -4],
    4: [-4, 36, 36, -4],
    5: [-4, 28, 46, -6],
    6: [-2, 16, 54, -4],
    7: [-2, 10, 58, -2],
}


def predicted_times_4096(plane: np.ndarray, vectors: np.ndarray, block: int) -> np.ndarray:
    """(H, W) int64 before division and rounding."""
    taps, phases, lead = (LUMA, 4, 3) if block == 8 else (CHROMA, 8, 1)
    height, width = plane.shape
    result = np.zeros((height, width), np.int64)
    for i in range(height):
        for j in range(width):
            x, y = (int(v) for v in vectors[i // block, j // block])
            rows = np.clip(i + y // phases - lead + np.arange(len(taps[0])), 0, height - 1)
            columns = np.clip(j + x // phases - lead + np.arange(len(taps[0])), 0, width - 1)
            patch = plane[np.ix_(rows, columns)].astype(np.int64)
            result[i, j] = np.array(taps[y % phases]) @ patch @ np.array(taps[x % phases])
    return result


def reference(plane: np.ndarray, vectors: np.ndarray, block: int) -> np.ndarray:
    return np.clip((predicted_times_4096(plane, vectors, block) + 2048) // 4096, 0, 255)


def vectors_of(kind: str, rows: int, columns: int) -> np.ndarray:
    rng = np.random.default_rng(len(kind) + rows)
    if kind == "every phase":
        vectors = np.arange(rows * columns * 2).reshape(rows, columns, 2) * 3
    elif kind == "far outside":
        vectors = rng.choice([-1023, -517, 511, 1023], (rows, columns, 2))
    else:
        vectors = rng.integers(-60, 61, (rows, columns, 2))
    return vectors.astype(np.int32)


@pytest.mark.parametrize("block", [8, 4])
@pytest.mark.parametrize("kind", ["every phase", "random", "far outside"])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 5), (4, 2)])
def test_both_paths_equal_the_reference(block: int, kind: str, rows: int, columns: int) -> None:
    rng = np.random.default_rng(block)
    planes = rng.integers(0, 2, (2, rows * block, columns * block)) * 255  # extremes, so that clipping is seen
    planes[1] = rng.integers(0, 256, planes[1].shape)
    vectors = np.stack([vectors_of(kind, rows, columns), -vectors_of(kind, rows, columns)])
    expected = np.stack([reference(p, v, block) for p, v in zip(planes, vectors, strict=True)])
    given = torch.from_numpy(planes).float()
    window = compensate(given, torch.from_numpy(vectors), block)
    gather = compensate(given.requires_grad_(), torch.from_numpy(vectors), block)
    assert np.array_equal(window.numpy(), expected)
    assert np.array_equal(gather.detach().numpy(), expected)


def test_whole_vectors_move_and_zero_copies() -> None:
    rng = np.random.default_rng(0)
    plane = torch.from_numpy(rng.integers(0, 256, (1, 32, 40))).float()
    assert torch.equal(compensate(plane, torch.zeros(1, 4, 5, 2, dtype=torch.int32)), plane)
    moved = compensate(plane, torch.tensor([12, -8], dtype=torch.int32).expand(1, 4, 5, 2))  # 3 right, 2 up
    assert torch.equal(moved[:, 2:, :37], plane[:, :30, 3:])


def test_gradient_reaches_the_samples_a_vector_points_at() -> None:
    plane = torch.full((1, 16, 16), 100.0, requires_grad=True)
    compensate(plane, torch.tensor([32, 0], dtype=torch.int32).expand(1, 2, 2, 2)).sum().backward()
    assert plane.grad is not None
    assert plane.grad[0, :, :7].abs().max() == 0  # 8 to the right of every block, and its edge repeated
    assert plane.grad.sum() == 256


def test_block_differences_agree_with_the_reference() -> None:
    rng = np.random.default_rng(1)
    current, before = rng.integers(0, 256, (2, 24, 32))
    vectors = rng.integers(-40, 41, (3, 4, 2))
    predicted = predicted_times_4096(before, vectors, 8) / 4096
    expected = np.abs(predicted - current).reshape(3, 8, 4, 8).sum((1, 3))
    match = BlockMatch(torch.from_numpy(current).float(), torch.from_numpy(before).float())
    found = match.differences(np.arange(12), vectors.reshape(-1, 2))
    np.testing.assert_allclose(found, expected.ravel(), rtol=1e-5)


@pytest.mark.parametrize("reach", [8, 70, 1023])
def test_features_move_bilinearly_in_eighths_of_a_block(reach: int) -> None:
    rng = np.random.default_rng(reach)
    rows, columns = 5, 7
    features = rng.integers(-127, 128, (2, 3, rows, columns))
    vectors = rng.integers(-reach, reach + 1, (2, rows, columns, 2))
    expected = np.zeros(features.shape, np.int64)
    for b, i, j in np.ndindex(2, rows, columns):
        eighths = (vectors[b, i, j] + 2) // 4
        (x, fx), (y, fy) = (divmod(int(e), 8) for e in eighths)
        for dy, wy in ((0, 8 - fy), (1, fy)):
            for dx, wx in ((0, 8 - fx), (1, fx)):
                row, column = np.clip(i + y + dy, 0, rows - 1), np.clip(j + x + dx, 0, columns - 1)
                expected[b, :, i, j] += wy * wx * features[b, :, row, column]
    grid = torch.from_numpy(features).float() / 16
    for layout in (torch.contiguous_format, torch.channels_last):
        moved = warp_features(grid.contiguous(memory_format=layout), torch.from_numpy(vectors))
        assert np.array_equal(moved.numpy() * 1024, expected)  # exact: multiples of 1/16 / 64
