# SPDX-License-Identifier: Apache-2.0
"""Layers in floating point give, element for element, what 64-bit integers give."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nvcodec.models.exact import (
    ACTIVATION_LIMIT,
    ExactConv2d,
    check_exact,
    freeze_grids,
    grid_step,
    relu_activation,
    round_bias,
    thaw_grids,
    to_activation,
    weight_grid,
)
from nvcodec.models.implicit.pyramid.synthesis import WIDTHS, Synthesis

LAYOUTS = (torch.contiguous_format, torch.channels_last)


@pytest.fixture(scope="module", params=WIDTHS)
def network(request: pytest.FixtureRequest) -> Synthesis:
    """The networks that travel in pyramid streams, with weights as large as they get, on their grids."""
    torch.manual_seed(request.param)
    network = Synthesis(request.param)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, ExactConv2d):
                layer.weight.add_(torch.randn_like(layer.weight) * 0.3)
                layer.bias.normal_()
                layer.weight.copy_(weight_grid(layer.weight))
                layer.bias.copy_(round_bias(layer.bias))
    network.eval().requires_grad_(False)
    freeze_grids(network)
    return network


def exact_layers(network: Synthesis) -> Iterator[tuple[str, ExactConv2d]]:
    for name, layer in network.named_modules():
        if isinstance(layer, ExactConv2d):
            yield name, layer


def integer_weights(layer: ExactConv2d) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights and biases as integers, and the step of each output channel."""
    step = grid_step(layer.weight).double().numpy()
    on_grid = weight_grid(layer.weight.detach()).double().numpy() / step[:, None, None, None]
    bias = round_bias(layer.bias.detach()).double().numpy() * 16 / step
    assert np.array_equal(on_grid, np.rint(on_grid))
    assert np.array_equal(bias, np.rint(bias))
    return on_grid.astype(np.int64), bias.astype(np.int64), step


def integer_convolution(layer: ExactConv2d, activation: np.ndarray) -> np.ndarray:
    """activation (B, C, H, W) int64; result int64 in units of step / 16."""
    weight, bias, _ = integer_weights(layer)
    batch, _, height, width = activation.shape
    size = layer.kernel_size[0]
    if size == 1:
        sums = np.einsum("oc,bchw->bohw", weight[:, :, 0, 0], activation)
    else:
        around = ((0, 0), (0, 0), (size // 2,) * 2, (size // 2,) * 2)
        padded = np.pad(activation, around)
        sums = np.zeros((batch, layer.out_channels, height, width), np.int64)
        for dy in range(size):
            for dx in range(size):
                moved = padded[:, :, dy : dy + height, dx : dx + width]
                sums += weight[:, 0, dy, dx][None, :, None, None] * moved
    return sums + bias[None, :, None, None]


def activations(layer: ExactConv2d) -> Iterator[np.ndarray]:
    """Noise, and the inputs that drive the sums of some outputs as far as they go."""
    rng = np.random.default_rng(layer.in_channels)
    yield rng.integers(-ACTIVATION_LIMIT, ACTIVATION_LIMIT + 1, (1, layer.in_channels, 5, 7))
    weight, _, _ = integer_weights(layer)
    if layer.groups == 1:
        worst = np.resize(np.argsort(np.abs(weight).sum((1, 2, 3)))[::-1], 6)
        signs = np.where(weight[worst, :, 0, 0] >= 0, 1, -1)  # (6, C)
        yield ACTIVATION_LIMIT * signs.T.reshape(1, -1, 2, 3)
    else:
        pattern = np.where(weight[:, 0] >= 0, ACTIVATION_LIMIT, -ACTIVATION_LIMIT)
        yield pattern[None]


def test_every_layer_equals_integers(network: Synthesis) -> None:
    largest = 0
    for name, layer in exact_layers(network):
        _, _, step = integer_weights(layer)
        for given in activations(layer):
            expected = integer_convolution(layer, given)
            largest = max(largest, int(np.abs(expected).max()))
            for layout, decoding in product(LAYOUTS, (True, False)):  # training may take another kernel
                x = torch.from_numpy(given).float().div(16).contiguous(memory_format=layout)
                with torch.inference_mode(decoding):
                    found = layer(x).double().numpy() * 16 / step[None, :, None, None]
                assert np.array_equal(found, expected), (name, layout, decoding)
    assert 2**16 < largest < 2**24  # the inputs above do stress the layers


def test_weights_on_their_grid_stay_there(network: Synthesis) -> None:
    """What a stream holds in 8 significant bits is what decoders compute with; rounding it again changes nothing."""
    for name, layer in exact_layers(network):
        assert layer._grid_weight is not None
        assert torch.equal(layer._grid_weight, layer.weight), name
        assert torch.equal(layer.weight.bfloat16().float(), layer.weight), name
        assert torch.equal(weight_grid(layer.weight), layer.weight), name
        assert torch.equal(round_bias(layer.bias), layer.bias), name
        integers, _, _ = integer_weights(layer)
        assert np.abs(integers).max() <= 127, name


def test_such_networks_are_proved_exact(network: Synthesis) -> None:
    assert sum(1 for _ in exact_layers(network)) == 5
    check_exact(network)


def test_bfloat16_products_with_exact_sums_give_the_same(network: Synthesis) -> None:
    """Weights and activations fit into 8 bits of mantissa: engines that multiply in bfloat16 lose nothing."""
    layer = network.enter
    x = to_activation(torch.randn(1, layer.in_channels, 4, 4, generator=torch.Generator().manual_seed(0)) * 4)
    assert torch.equal(x.bfloat16().float(), x)
    wide = torch.einsum("oc,bchw->bohw", layer.weight[:, :, 0, 0].double(), x.double())
    narrow = torch.einsum("oc,bchw->bohw", layer.weight[:, :, 0, 0].bfloat16().double(), x.bfloat16().double())
    assert torch.equal(wide, narrow)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("in_channels", "out_channels", "size", "depthwise"),
    [(1024, 8, 1, False), (1000, 33, 1, False), (1, 1, 1, False), (40, 40, 3, True), (7, 7, 5, True)],
)
def test_other_shapes_equal_integers(
    layout: torch.memory_format, in_channels: int, out_channels: int, size: int, depthwise: bool
) -> None:
    torch.manual_seed(in_channels)
    layer = ExactConv2d(in_channels, out_channels, size, depthwise)
    with torch.no_grad():
        layer.weight.mul_(torch.exp(torch.randn(out_channels, 1, 1, 1)))  # channels with different steps
        layer.bias.normal_()
    check_exact(layer)
    layer.freeze_grid()
    _, _, step = integer_weights(layer)
    for given in activations(layer):
        x = torch.from_numpy(given).float().div(16).contiguous(memory_format=layout)
        with torch.no_grad():
            found = layer(x).double().numpy() * 16 / step[None, :, None, None]
        assert np.array_equal(found, integer_convolution(layer, given))


def test_the_step_is_the_finest_that_holds_the_weights() -> None:
    weight = torch.exp(4 * torch.randn(4000, 1, generator=torch.Generator().manual_seed(0)))
    edges = torch.tensor([2.0**-n for n in range(-3, 20)])
    edges = torch.cat(
        [edges * part for part in (1.0, 127 / 128, 63.5 / 64, np.nextafter(127 / 128, 1, dtype=np.float32))]
    )
    weight = torch.cat([weight, -edges[:, None]])
    step = grid_step(weight).double()[:, None]
    inner = (step > 2.0**-16) & (step < 2.0**-4)
    held = weight.double().abs()
    assert (held <= 127 * step)[inner].all()
    assert (held > 127 * step / 2)[inner].all()
    assert bool(((step == 2.0**-16) == (held <= 127 * 2.0**-16)).all())
    on_grid = weight_grid(weight[held <= 127 / 16][:, None])
    assert torch.equal(weight_grid(on_grid), on_grid)  # loading what was exported rounds nothing
    assert torch.equal(grid_step(on_grid), grid_step(weight[held <= 127 / 16][:, None]))


def test_a_layer_that_could_overflow_is_refused() -> None:
    layer = ExactConv2d(1024, 2)
    with torch.no_grad():
        layer.weight.fill_(127 / 2**10)
        check_exact(layer)  # 1024 * 127 * 127 is below 2^24
        layer.bias[1] = 1024 * 127 * 127 / 2**14
    network = nn.Sequential(nn.Identity(), layer)
    with pytest.raises(ValueError, match="layer 1: sums may reach"):
        check_exact(network)


@pytest.mark.parametrize(("in_channels", "size", "depthwise"), [(1025, 1, False), (8, 3, False), (4, 33, True)])
def test_shapes_whose_sums_might_not_be_exact_are_refused(in_channels: int, size: int, depthwise: bool) -> None:
    with pytest.raises(ValueError, match="fan-in"):
        ExactConv2d(in_channels, in_channels, size, depthwise)


def test_activations_round_half_to_even_and_stop_at_their_limits() -> None:
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, 3.4999, 126.5, 127.5, 1e9, -1e9, 0.0]) / 16
    rounded = torch.tensor([0, 2, 2, 0, -2, 3, 126, 127, 127, -127, 0]) / 16
    assert torch.equal(to_activation(x), rounded)
    assert torch.equal(relu_activation(x), rounded.clamp_min(0))


def test_fitting_computes_what_decoding_computes(network: Synthesis) -> None:
    """Rounding with gradients on, held or not, gives the same numbers."""
    random, copied = torch.Generator().manual_seed(1), copy.deepcopy(network)
    past, future = to_activation(2 * torch.randn(2, 1, 24, 4, 6, generator=random))
    level = torch.tensor([3])
    with torch.inference_mode():
        decoded = copied(past, future, level)
    thaw_grids(copied)
    copied.requires_grad_(True)
    fitted: Tensor = copied(past, future, level)
    assert fitted.requires_grad
    assert torch.equal(fitted, decoded)
    freeze_grids(copied)
    assert torch.equal(copied(past, future, level), decoded)
