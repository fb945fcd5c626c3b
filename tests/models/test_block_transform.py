# SPDX-License-Identifier: Apache-2.0
"""Pictures as blocks and back; the linear synthesis in integers, close to its float form and equal in every layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nvcodec.models.conditional.weights import Weights
from nvcodec.models.quality import LEVELS, QualityTable, log_steps, quantisation_step
from nvcodec.models.transform import (
    COEFFICIENT_GRID,
    PIXEL_SCALE,
    BlockTransform,
    blocks_to_planes,
    component_weights,
    planes_to_blocks,
)


@pytest.fixture(scope="module")
def orthonormal() -> BlockTransform:
    """Transforms of random orthonormal blocks, as training starts with."""
    random = torch.Generator().manual_seed(0)
    bases = [torch.linalg.qr(torch.randn(size, size, generator=random))[0] for size in (384, 96)]
    transform = BlockTransform(100)
    transform.start(*bases)
    return transform.requires_grad_(False)


@pytest.fixture(params=["coarse", "fine"])
def fine(request: pytest.FixtureRequest) -> bool:
    """Which of the two transforms."""
    return bool(request.param == "fine")


def matrix(transform: BlockTransform, fine: bool) -> torch.Tensor:
    """(samples, latents) of a 16x16 block: that of the fine transform holds its own at each of the four places."""
    if not fine:
        return transform.synthesis
    return torch.kron(transform.fine_synthesis, torch.eye(4))


def grid_scale(transform: BlockTransform, fine: bool) -> torch.Tensor:
    """What a coefficient is multiplied by to come onto the integer grid, (latents, 1, 1)."""
    largest = matrix(transform, fine).abs().amax(0)
    return (largest.clamp_min(1e-6) * (1 / 127) * COEFFICIENT_GRID)[:, None, None]


def choice(fine: bool, rows: int, columns: int) -> torch.Tensor:
    return torch.full((1, 1, rows, columns), float(fine))


def test_planes_and_blocks_are_each_others_inverse() -> None:
    rng = np.random.default_rng(0)
    shapes = ((2, 48, 80), (2, 24, 40), (2, 24, 40))
    planes = [torch.from_numpy(rng.integers(0, 256, shape)).float() for shape in shapes]
    blocks = planes_to_blocks(*planes)
    assert blocks.shape == (2, 96, 6, 10)
    assert torch.equal(blocks * 16, torch.round(blocks * 16))  # samples are the activation grid
    for plane, back in zip(planes, blocks_to_planes(blocks), strict=True):
        assert torch.equal(plane, back)


def test_analysis_and_synthesis_start_as_an_orthonormal_pair(orthonormal: BlockTransform, fine: bool) -> None:
    coefficients = torch.randn(1, 100, 3, 2, generator=torch.Generator().manual_seed(1)) * 50
    back = orthonormal.analyse(orthonormal.synthesise(coefficients, choice(fine, 3, 2)))[fine]
    assert (back - coefficients).abs().max() < 8  # weights have 8 bits
    assert (back - coefficients).square().mean().sqrt() < 1
    assert component_weights().shape == (384,)


@pytest.fixture(params=["orthonormal", "shipped"])
def transform(request: pytest.FixtureRequest, orthonormal: BlockTransform, weights: Weights) -> BlockTransform:
    chosen: BlockTransform = orthonormal if request.param == "orthonormal" else weights.network.transform
    return chosen


def test_each_block_has_its_own_transform(transform: BlockTransform) -> None:
    random = torch.Generator().manual_seed(5)
    coefficients = torch.randn(1, transform.synthesis.shape[1], 3, 4, generator=random) * 50
    fine = (torch.rand(1, 1, 3, 4, generator=random) < 0.5).float()
    with torch.no_grad():
        mixed, coarse_only, fine_only = (
            transform.synthesise(coefficients, which) for which in (fine, fine * 0, fine * 0 + 1)
        )
    places = torch.nn.functional.interpolate(fine, scale_factor=2).bool()
    assert torch.equal(mixed, torch.where(places, fine_only, coarse_only))
    assert not torch.equal(fine_only, coarse_only)


def test_integer_synthesis_is_close_to_float(transform: BlockTransform, fine: bool) -> None:
    """Inside the 16-bit range the two differ by the rounding of coefficients only."""
    scale, synthesis, which = grid_scale(transform, fine), matrix(transform, fine), choice(fine, 4, 6)
    random = torch.Generator().manual_seed(2)
    shape = (1, transform.synthesis.shape[1], 4, 6)
    inside = (torch.randn(shape, generator=random) * 4000).clamp(-32000, 32000) / scale
    with torch.no_grad():
        exact = transform.synthesise(inside, which)
    with torch.enable_grad():
        floating = transform.synthesise(inside.requires_grad_(), which).detach()
    error = (exact - floating).abs() * PIXEL_SCALE  # sample values
    kernel = torch.round(synthesis * COEFFICIENT_GRID / scale[:, 0, 0])
    bound = 0.5 * kernel.abs().sum(1).max() / COEFFICIENT_GRID * PIXEL_SCALE
    assert error.max() < bound * 1.01 + 0.01
    assert error.square().mean().sqrt() < 0.1


def test_integer_synthesis_equals_integers_in_every_layout(transform: BlockTransform, fine: bool) -> None:
    """Coefficients up to and beyond the ends of their 16 bits."""
    scale, synthesis = grid_scale(transform, fine), matrix(transform, fine)
    latents = synthesis.shape[1]
    wanted = torch.randint(-40000, 40001, (1, latents, 4, 6), generator=torch.Generator().manual_seed(3)).float()
    wanted[0, :, 0, 0], wanted[0, :, 0, 1] = 40000, -40000
    coefficients = wanted / scale
    fixed = torch.round(coefficients * scale).clamp(-32767, 32767).numpy().astype(np.int64)[0]
    kernel = torch.round(synthesis * COEFFICIENT_GRID / scale[:, 0, 0]).numpy().astype(np.int64)
    assert np.abs(kernel).max() == 127
    high = np.rint(fixed / 256).astype(np.int64)
    low = fixed - 256 * high
    sums = [np.einsum("oc,chw->ohw", kernel, part) for part in (high, low)]
    assert max(np.abs(s).max() for s in sums) < 2**24
    expected = np.float32(sums[0] * 256) + np.float32(sums[1])  # the only sum that is rounded, and once
    with torch.no_grad():
        for layout in (torch.contiguous_format, torch.channels_last):
            found = transform.synthesise(coefficients.contiguous(memory_format=layout), choice(fine, 4, 6))
            unshuffled = torch.nn.functional.pixel_unshuffle(found, 2)[0].numpy() * np.float32(COEFFICIENT_GRID)
            assert np.array_equal(unshuffled, expected)


def test_quality_curves_become_tables() -> None:
    table = QualityTable(
        -log_steps(3) + torch.randn(9, 3, generator=torch.Generator().manual_seed(4)), exponential=True
    )
    levels = torch.arange(LEVELS)
    with torch.no_grad():
        curve = table(levels)
        table.bake()
        table.use_baked = True
        assert torch.equal(table(levels), curve)
        table.nodes.zero_()
        assert torch.equal(table(levels), curve)  # decoders look it up: no exponential is left
    steps = quantisation_step(levels)
    assert (steps[1:] < steps[:-1]).all()


def test_decoders_look_all_curves_up(weights: Weights) -> None:
    tables = [table for table in weights.network.modules() if isinstance(table, QualityTable)]
    assert len(tables) >= 9
    assert all(table.use_baked for table in tables)
    for table in weights.network.log_step:
        steps = table(torch.arange(LEVELS))
        assert (steps > 0).all()
        assert torch.isfinite(steps).all()
