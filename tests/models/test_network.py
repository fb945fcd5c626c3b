# SPDX-License-Identifier: Apache-2.0
"""The network in the loop against sums of whole numbers written out: what it sees, its layers, what is added, and that
nothing depends on how a frame is shared out."""

from __future__ import annotations

import itertools
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from network_samples import COLUMNS, PADS, ROWS, UNITS, coded, noise, random_layer, random_network

from nvcodec.models.conditional import restoration as module
from nvcodec.models.conditional.frame import Planes, without_borders
from nvcodec.models.conditional.restoration import Coded, apply_network
from nvcodec.models.conditional.threads import INLINE
from nvcodec.models.kernels.compensation import PAD, padded
from nvcodec.models.kernels.network import (
    AROUND,
    CHANNELS,
    EXACT,
    LANES,
    LARGEST_INPUT,
    LARGEST_OUTPUT,
    LARGEST_VALUE,
    LEVEL_UNIT,
    MAX_CHANNELS,
    OUTPUTS_TOGETHER,
    PAIR,
    QUAD,
    SEEN,
    TAPS,
    add_outputs,
    convolve,
    convolve_arrays,
    convolve_first,
    copy_units,
    fill_inputs,
    packed,
    paired,
    scale_of,
    unpacked,
    unpaired,
)
from nvcodec.models.kernels.restore import NETWORK, UNIT, errors_left, trial_errors
from nvcodec.models.network import (
    KINDS,
    LARGEST_PAIR,
    MAX_LAYERS,
    MAX_PART,
    OUTPUTS,
    Layer,
    Network,
    bounds_of,
    check_layers,
    from_tensors,
    largest_pairs,
    network_of,
    no_network,
    to_tensors,
)
from nvcodec.models.quality import LEVELS, LOWEST, STEPS
from nvcodec.models.transform import no_filters
from nvcodec.vectors import TOGETHER

# --- one layer


def reference_layer(x: np.ndarray, layer: Layer, bias: np.ndarray, low: int, high: int) -> np.ndarray:
    """In whole numbers of 64 bits; x: (inputs, rows + 2, columns + 2)."""
    rows, columns = x.shape[1] - 2, x.shape[2] - 2
    x, weights = x.astype(np.int64), layer.weights.astype(np.int64)
    total = np.repeat(bias.astype(np.int64), rows * columns).reshape(-1, rows, columns)
    for k in range(TAPS):
        total += np.einsum("oi,irc->orc", weights[:, :, k], x[:, k // 3 :, k % 3 :][:, :rows, :columns])
    assert np.abs(total).max() <= EXACT
    return (total >> layer.parts.astype(np.int64)[:, None, None]).clip(low, high)


def outputs_of(network: Network, n: int, x: np.ndarray, kind: int, level: int) -> np.ndarray:
    """Of one layer: both ways to reckon it, and to write it, which must agree."""
    layer = network.weights[n], network.taps[n], network.bias[n][kind, level], network.parts[n]
    arguments = (*layer, *bounds_of(network, n))
    outputs, results, seen = len(network.parts[n]), [], packed(x) if n else paired(x)
    for way in (convolve, convolve_arrays) if n else (convolve_first, partial(convolve_arrays, first=True)):
        out = np.full((outputs, x.shape[1] - 2, x.shape[2] - 2), 77777, np.int32)
        way(seen, *arguments, out)
        results.append(out)
        if n < len(network.layers) - 1:
            out = np.full((outputs // QUAD, *out.shape[1:]), 77777, np.int32)
            way(seen, *arguments, out)
            results.append(unpacked(out, False))
    assert all(np.array_equal(result, results[0]) for result in results)
    return results[0]


@pytest.mark.parametrize("channels", [(), (4,), (12, 8), (16, 16)])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 17), (2, 2 * LANES + 5), (2, 3 * LANES), (4, 100)])
def test_layers_are_sums_of_whole_numbers(channels: tuple[int, ...], rows: int, columns: int) -> None:
    network, random = random_network(rows + len(channels), *channels), np.random.default_rng(columns)
    for n, layer in enumerate(network.layers):
        low, high = (int(bound) for bound in bounds_of(network, n))
        last = n == len(channels)
        assert (low, high) == ((-LARGEST_OUTPUT, LARGEST_OUTPUT) if last else (0, LARGEST_VALUE))
        least, largest = (0, LARGEST_VALUE) if n else (-LARGEST_INPUT, LARGEST_INPUT)
        for k in range(3):
            x = random.integers(least, largest + 1, (layer.weights.shape[1], rows + 2, columns + 2))
            if k == 1:  # at the bounds
                x = np.where(x < (least + largest) / 2, least, largest)
            kind, level = int(random.integers(KINDS)), int(random.integers(LEVELS))
            wanted = reference_layer(x, layer, layer.bias[kind, level], low, high)
            assert np.array_equal(outputs_of(network, n, x, kind, level), wanted)


def test_pairs_of_channels_come_apart_again() -> None:
    values = np.random.default_rng(1).integers(-(1 << 15), 1 << 15, (6, 3, 5))
    values[:, 0, 0], values[:, 0, 1] = -(1 << 15), (1 << 15) - 1
    assert paired(values).shape == (3, 3, 5)
    assert np.array_equal(unpaired(paired(values)), values)


def test_bytes_of_channels_come_apart_again() -> None:
    random = np.random.default_rng(1)
    for signed, least, most in ((True, -128, 127), (False, 0, 255)):
        values = random.integers(least, most + 1, (8, 3, 5))
        values[:, 0, 0], values[:, 0, 1] = least, most
        assert packed(values).shape == (2, 3, 5)
        assert packed(values).dtype == np.int32
        assert np.array_equal(unpacked(packed(values), signed), values)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_sums_are_exact(sign: int) -> None:
    """Of inputs that are all as large as they can be, and neighbours whose products fill 16 bits."""
    first = random_layer(np.random.default_rng(0), SEEN, MAX_CHANNELS, True)
    weights = np.zeros((OUTPUTS, MAX_CHANNELS, TAPS), np.int64)
    weights[:, :96] = LARGEST_PAIR // 2
    weights[:, 96:98] = [[127], [1]]
    rest = EXACT - int(weights[0].sum()) * LARGEST_VALUE
    assert 0 < rest < EXACT // 5
    bias = np.tile((sign * (rest - np.arange(OUTPUTS))).astype(np.int32), (KINDS, LEVELS, 1))
    second = Layer((sign * weights).astype(np.int8), bias, np.arange(10, 10 + OUTPUTS).astype(np.uint8))
    network = network_of((first, second))
    for columns in (1, LANES, 3 * LANES + 1):
        found = outputs_of(network, 1, np.full((MAX_CHANNELS, 3, columns + 2), LARGEST_VALUE), 0, 0)
        totals = [sign * (EXACT - k) >> 10 + k for k in range(OUTPUTS)]
        assert (found[:, 0] == np.array(totals).clip(-LARGEST_OUTPUT, LARGEST_OUTPUT)[:, None]).all()


@pytest.mark.parametrize("channels", [(4,), (12, 8), (16, 16)])
def test_weights_in_the_order_of_compiled_code_are_those_of_the_layers(channels: tuple[int, ...]) -> None:
    """And of those of later layers that are added up in 16 bits at a time, times the largest value, all fit."""
    network = random_network(3, *channels)
    for n, (layer, numbers, taps) in enumerate(zip(network.layers, network.weights, network.taps, strict=True)):
        groups, steps = numbers.shape[:2]
        together = numbers.reshape(groups, steps, OUTPUTS_TOGETHER, TOGETHER)
        size = QUAD if n else PAIR
        apart = (unpacked(together.reshape(1, -1), True) if n else unpaired(together.reshape(1, -1))).T
        apart = apart.reshape(groups, steps, OUTPUTS_TOGETHER, TOGETHER, size)
        found = np.zeros(layer.weights.shape, np.int64)
        for (group, step, output, which, part), value in np.ndenumerate(apart):
            at, row, column = taps[group, TOGETHER * step + which]
            found[OUTPUTS_TOGETHER * group + output, size * at + part, 3 * row + column] += value
        assert np.array_equal(found, layer.weights)
        if n:
            pairs = apart.reshape(groups, steps, OUTPUTS_TOGETHER, TOGETHER, 2, 2)
            for signed in (pairs, -pairs):
                assert signed.clip(0).sum((3, 5)).max() <= LARGEST_PAIR


def test_weights_that_fit_are_taken_together() -> None:
    """Of small weights none waits for company; of large ones each stands alone."""
    random = np.random.default_rng(0)
    for largest, steps in ((8, 2 * TAPS // TOGETHER + 1), (LARGEST_PAIR // 2, 2 * TAPS)):
        layers = list(random_network(1, 8).layers)
        signs = random.choice((-1, 1), (OUTPUTS, 2, 1, TAPS)) * np.ones((1, 1, 4, 1))
        layers[1] = replace(layers[1], weights=(largest * signs).reshape(OUTPUTS, 8, TAPS).astype(np.int8))
        assert network_of(tuple(layers)).weights[1].shape[1] == pytest.approx(steps, abs=0 if largest == 8 else 6)


# --- what it sees, and what is added


def reference_inputs(planes: Planes, more: Coded, step: int, begin: int, end: int, halo: int) -> np.ndarray:
    """Each sample less the mean of 5x5 cells around it, in steps of 128 (cells of luma: 2x2 samples); the residual
    there, in steps, too; 16 for each level by which its unit is finer; 128 in blocks predicted from other frames.
    Beyond the frame all of these are as at its border."""
    size, first = 2 * AROUND + 1, PAD // 2 - halo
    height, width = end - begin + 2 * halo, planes[1].shape[1] - 2 * first
    out, last = np.zeros((SEEN, height, width), np.int64), np.array(more.planes[1].shape) - 1
    for (n, i, j), _ in np.ndenumerate(out):
        row, column = PAD // 2 + begin - halo + i, first + j
        top, left = row - AROUND, column - AROUND
        r, c = np.array((row - PAD // 2, column - PAD // 2)).clip(0, last)
        if n >= CHANNELS:
            if n == SEEN - 1:
                out[n, i, j] = 128 * int(more.pred[r // 8, c // 8] > 0)
            elif n == SEEN - 2:
                out[n, i, j] = LEVEL_UNIT * int(more.finer[r // 16, c // 16])
            else:
                at = (2 * r + (n - 6 >> 1), 2 * c + (n & 1)) if n < 10 else (r, c)
                value = int(more.planes[max(0, n - 9)][at].clip(-1023, 1023))
                out[n, i, j] = (100 * value * int(scale_of(step)) + (1 << 15)) >> 16
            continue
        if n < 4:
            around = planes[0][2 * top : 2 * (top + size), 2 * left : 2 * (left + size)]
            sample = int(planes[0][2 * row + (n >> 1), 2 * column + (n & 1)])
        else:
            around = planes[n - 3][top : top + size, left : left + size]
            sample = int(planes[n - 3][row, column])
        difference = (sample * around.size - int(around.sum())) * (100 // around.size)  # of 100 samples
        out[n, i, j] = (difference * int(scale_of(step)) + (1 << 15)) >> 16
    return out.clip(-LARGEST_INPUT, LARGEST_INPUT)


def inputs_of(
    planes: Planes, more: Coded, step: int, begin: int, end: int, halo: int, left: int = 0, right: int = 0
) -> np.ndarray:
    """right: 0 for the last column."""
    columns = (right or planes[1].shape[1] - PAD) - left
    out = np.full((SEEN // 2, end - begin + 2 * halo, columns + 2 * halo), 77777, np.int32)
    sums = np.full((3, columns + 2 * (halo + AROUND)), 99, np.int32)
    fill_inputs(*planes, *more.planes, more.finer, more.pred, step, begin, end, left, halo, sums, out)
    return unpaired(out)


def test_it_sees_the_same_in_parts() -> None:
    random = np.random.default_rng(6)
    planes, more = noise(random, 2, 3), coded(random, 2, 3)
    whole = inputs_of(planes, more, 300, 0, 16, 3)
    for left, right in ((0, 5), (7, 19), (23, 24)):
        found = inputs_of(planes, more, 300, 4, 9, 3, left, right)
        assert np.array_equal(found, whole[:, 4 : 9 + 6, left : right + 6])


@pytest.mark.parametrize("kind", ["noise", "all", "extremes"])
@pytest.mark.parametrize("level", [0, LOWEST + 20, LEVELS - 1])
def test_it_sees_differences_to_means_around(level: int, kind: str) -> None:
    """At borders, too, as far as the deepest network looks."""
    random, step = np.random.default_rng(level), int(STEPS[level])
    planes, more = noise(random, 2, 3, kind), coded(random, 2, 3, 1 << 15 if kind == "extremes" else 60)
    kinds: set[int] = set()
    for begin, end, halo in ((0, 16, 1), (0, 16, MAX_LAYERS), (3, 9, 2), (15, 16, 0)):
        found = inputs_of(planes, more, step, begin, end, halo)
        kinds |= set(found[SEEN - 1].ravel().tolist())
        assert np.array_equal(found, reference_inputs(planes, more, step, begin, end, halo))
    assert (np.abs(found[:CHANNELS]).max() == LARGEST_INPUT) == (level == LEVELS - 1)
    assert kinds == {0, 128}


@pytest.mark.parametrize("white", [False, True])
@pytest.mark.parametrize("level", [0, LOWEST, LEVELS - 1])
def test_the_largest_contrast_fits(level: int, white: bool) -> None:
    """One sample among the opposite of it: a hundred times 1023, less what it has itself of the mean, at any step. It
    is far from the end of 32 bits, and what comes out has its sign."""
    step = int(STEPS[level])
    assert 100 * 1023 * int(scale_of(step)) + (1 << 15) < 1 << 31
    planes = tuple(padded(np.full((32 // s, 32 // s), 1023 * (not white), np.uint16), PAD // s) for s in (1, 2, 2))
    for plane, pad in zip(planes, PADS, strict=True):
        plane[pad + 8, pad + 8] = 1023 * white
    more = coded(np.random.default_rng(0), 2, 2)
    found = inputs_of((planes[0], planes[1], planes[2]), more, step, 0, 16, 2)
    assert np.array_equal(found, reference_inputs((planes[0], planes[1], planes[2]), more, step, 0, 16, 2))
    for part, at in ((0, 6), (4, 10), (5, 10)):
        assert np.sign(found[part, at, at]) == (1 if white else -1)
        assert np.abs(found[part, at, at]) == LARGEST_INPUT or level < LEVELS - 1


def test_a_step_is_128() -> None:
    """And the sample itself is a small part of the mean around it."""
    for level, step in enumerate(STEPS.tolist()):
        assert scale_of(step) == pytest.approx((1 << 16) * 128 * 4 / (100 * step), abs=0.51)
        planes = tuple(padded(np.full((32 // s, 32 // s), 400, np.uint16), PAD // s) for s in (1, 2, 2))
        for plane, pad in zip(planes, PADS, strict=True):
            plane[pad + 8, pad + 8] += 80
        more = coded(np.random.default_rng(0), 2, 2)
        more.planes[0][:], more.finer[:] = 8, 3
        found = inputs_of((planes[0], planes[1], planes[2]), more, step, 0, 16, 0)
        assert found[CHANNELS, 5, 5] == pytest.approx(min(8 * 4 / step * 128, LARGEST_INPUT), abs=0.51 + 8 / 3)
        assert set(found[SEEN - 2].ravel()) == {3 * LEVEL_UNIT}
        for part, share, at in ((0, 100, 4), (4, 25, 8), (5, 25, 8)):
            wanted = 80 * (1 - 1 / share) * 4 / step * 128
            near = 0.51 * (1 + wanted / scale_of(step))  # both are rounded
            assert found[part, at, at] == pytest.approx(min(wanted, LARGEST_INPUT), rel=0, abs=near), level


def test_outputs_are_added_in_steps_rounded_and_within_samples() -> None:
    random = np.random.default_rng(0)
    for step, kind in itertools.product((int(STEPS[0]), 300, int(STEPS[-1])), ("all", "extremes")):
        planes = noise(random, 2, 3, kind)
        begin, left, change = 5, 6, random.integers(-2000, 2001, (OUTPUTS, 7, 17))
        change[:, 0, :4], change[:, 1] = [-LARGEST_OUTPUT, LARGEST_OUTPUT, 0, 1], change[:, 1] * 16
        found = [plane.copy() for plane in planes]
        add_outputs(change.astype(np.int32), step, begin, left, *found)
        wanted = [plane.astype(np.int64) for plane in planes]
        for (n, i, j), moved in np.ndenumerate(change[:CHANNELS]):
            row, column = PAD // 2 + begin + i, PAD // 2 + left + j
            at = (2 * row + (n >> 1), 2 * column + (n & 1)) if n < 4 else (row, column)
            of = 0 if n < 4 else n - 3
            wanted[of][at] += np.floor(int(moved) * step / 4 / 1024 + 0.5)
        assert all(np.array_equal(a, b.clip(0, 1023)) for a, b in zip(found, wanted, strict=True))
        assert any((b < 0).any() and (b > 1023).any() for b in wanted)


def test_units_of_one_bank_are_copied() -> None:
    random = np.random.default_rng(4)
    source, to = noise(random, kind="all"), noise(random, kind="all")
    found, banks = [plane.copy() for plane in to], random.integers(0, NETWORK + 1, UNITS).astype(np.uint8)
    banks[0, 0], banks[-1, -1], banks[1, 1] = NETWORK, NETWORK, 0
    copy_units(banks, NETWORK, *source, *found)
    for a, b, out, pad in zip(source, to, found, PADS, strict=True):
        mask = (banks == NETWORK).repeat(UNIT * pad // PAD, 0).repeat(UNIT * pad // PAD, 1)
        wanted, inside = b.copy(), np.s_[pad:-pad, pad:-pad]
        height, width = b[inside].shape
        wanted[inside] = np.where(mask[:height, :width], a[inside], b[inside])
        assert np.array_equal(out, wanted)


# --- what is no network


def changed(network: Network, n: int, **arrays: np.ndarray) -> tuple[Layer, ...]:
    """Its layers, one of them with other arrays."""
    return *network.layers[:n], replace(network.layers[n], **arrays), *network.layers[n + 1 :]


GOOD = random_network(3, 8, 12)


def neighbours(*values: int) -> np.ndarray:
    """Weights of the second layer that are zero but for two beside each other."""
    weights = np.zeros_like(GOOD.layers[1].weights)
    weights[5, 2:4, 7] = values
    return weights


WRONG = {
    "none": ((), "of 0 layers"),
    "too many": (random_network(1, *[4] * (MAX_LAYERS - 1)).layers[:-1] * 2, "layers: 1 to"),
    "the first alone": (GOOD.layers[1:], "layer 0 of shape"),
    "without one between": (GOOD.layers[::2], "layer 1 of shape"),
    "without the last": (GOOD.layers[:-1], "the last layer has 12 outputs"),
    "channels not by four": (changed(GOOD, 0, weights=GOOD.layers[0].weights[:6]), "outputs by 4"),
    "no channels": (changed(GOOD, 0, weights=GOOD.layers[0].weights[:0]), "outputs by 4"),
    "too many channels": (
        changed(GOOD, 0, weights=np.zeros((MAX_CHANNELS + 4, SEEN, TAPS), np.int16)),
        "outputs by 4",
    ),
    "fewer taps": (changed(GOOD, 1, weights=GOOD.layers[1].weights[..., 1:]), "9 taps"),
    "flat weights": (changed(GOOD, 1, weights=GOOD.layers[1].weights[..., 0]), "9 taps"),
    "weights of another type": (changed(GOOD, 1, weights=GOOD.layers[1].weights.astype(np.int16)), "int8 .* wanted"),
    "weights of floating point": (changed(GOOD, 2, weights=GOOD.layers[2].weights.astype(np.float32)), "int8"),
    "bias of another type": (changed(GOOD, 1, bias=GOOD.layers[1].bias.astype(np.float32)), "int32 .* wanted"),
    "bias of one kind": (changed(GOOD, 1, bias=GOOD.layers[1].bias[:1]), "wanted"),
    "bias of fewer levels": (changed(GOOD, 1, bias=GOOD.layers[1].bias[:, 1:]), "wanted"),
    "bias of fewer channels": (changed(GOOD, 1, bias=GOOD.layers[1].bias[..., 1:]), "wanted"),
    "parts of another type": (changed(GOOD, 0, parts=GOOD.layers[0].parts.astype(np.int64)), "uint8 .* wanted"),
    "fewer parts": (changed(GOOD, 0, parts=GOOD.layers[0].parts[1:]), "wanted"),
    "large parts": (changed(GOOD, 2, parts=np.full(OUTPUTS, MAX_PART + 1, np.uint8)), "more than 2\\^24"),
    "one large part": (changed(GOOD, 0, parts=np.where(np.arange(8) == 5, 255, 1).astype(np.uint8)), "more than 2"),
    "large bias": (changed(GOOD, 1, bias=np.full_like(GOOD.layers[1].bias, 1 << 30)), "layer 1: sums of up to"),
    "the least bias": (changed(GOOD, 2, bias=np.full_like(GOOD.layers[2].bias, -(1 << 31))), "layer 2: sums of up"),
    "the least weights": (changed(GOOD, 1, weights=np.full_like(GOOD.layers[1].weights, -128)), "together 256 from"),
    "two weights": (changed(GOOD, 1, weights=neighbours(64, 65)), "layer 1: two weights together 129 from zero, 128"),
    "two more": (changed(GOOD, 1, weights=neighbours(-128, -1)), "together 129 from zero, 128 allowed"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_layers_that_do_not_fit_are_refused(wrong: str) -> None:
    layers, words = WRONG[wrong]
    with pytest.raises(ValueError, match=words) as caught:
        network_of(layers)
    assert "\n" not in str(caught.value)


def test_as_many_layers_and_channels_and_parts_as_there_may_be() -> None:
    check_layers(GOOD.layers)
    assert GOOD.halo == 3
    assert random_network(1, *[4] * (MAX_LAYERS - 1)).halo == MAX_LAYERS
    network = no_network()
    wide = Layer(
        np.zeros((MAX_CHANNELS, SEEN, TAPS), np.int16),
        np.zeros((KINDS, LEVELS, MAX_CHANNELS), np.int32),
        np.full(MAX_CHANNELS, MAX_PART, np.uint8),
    )
    last = replace(network.layers[0], weights=np.zeros((OUTPUTS, MAX_CHANNELS, TAPS), np.int8))
    assert network_of((wide, last)).parts[0].tolist() == [MAX_PART] * MAX_CHANNELS


@pytest.mark.parametrize("values", [(64, 64), (127, 1), (-128, 0), (0, -128), (127, -128), (-64, -64)])
def test_neighbours_are_allowed_what_16_bits_hold(values: tuple[int, int]) -> None:
    check_layers(changed(GOOD, 1, weights=neighbours(*values)))
    assert LARGEST_PAIR * LARGEST_VALUE < 1 << 15
    pairs = largest_pairs(neighbours(*values))
    assert pairs.max() == max(max(values[0], 0) + max(values[1], 0), max(-values[0], 0) + max(-values[1], 0))


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("sign", [-1, 1])
def test_sums_are_allowed_to_the_last_whole_number_that_is_exact(n: int, sign: int) -> None:
    """One channel's weights and its bias at one level of one kind; one more is too much."""
    network = random_network(5, 8)
    layer = network.layers[n]
    weights, bias = np.zeros_like(layer.weights), np.zeros_like(layer.bias)
    weights[3, 1, 4], weights[3, 2] = sign * 50, -sign * 10
    rest = EXACT - (50 + 9 * 10) * (LARGEST_VALUE if n else LARGEST_INPUT)
    bias[1, LEVELS - 1, 3] = sign * rest
    check_layers(changed(network, n, weights=weights, bias=bias))
    bias[1, LEVELS - 1, 3] = sign * (rest + 1)
    with pytest.raises(ValueError, match=f"layer {n}: sums of up to {EXACT + 1}, exact to {EXACT}"):
        check_layers(changed(network, n, weights=weights, bias=bias))


# --- as tensors


def same(a: Network, b: Network) -> bool:
    parts = [(getattr(x, name), getattr(y, name)) for x, y in zip(a.layers, b.layers, strict=True) for name in vars(x)]
    for name in ("weights", "bias", "parts"):
        parts += zip(getattr(a, name), getattr(b, name), strict=True)
    return all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in parts)


@pytest.mark.parametrize("channels", [(), (4,), (8, 12, 4), (4,) * (MAX_LAYERS - 1)])
def test_networks_come_back_from_tensors(channels: tuple[int, ...]) -> None:
    network = random_network(7, *channels)
    tensors = to_tensors(network)
    assert len(tensors) == 3 * (len(channels) + 1)
    assert all(tensor.flags.c_contiguous for tensor in tensors.values())
    others = {"bases.fine": np.zeros(3), "start.weights": np.zeros(3), "rates.network": np.zeros(1)}
    assert same(from_tensors({**others, **tensors}), network)


def test_tensors_that_are_no_network() -> None:
    with pytest.raises(ValueError, match="of 0 layers"):
        from_tensors({"bases.fine": np.zeros(3)})
    tensors = to_tensors(GOOD)
    for name in tensors:
        with pytest.raises((KeyError, ValueError)):
            from_tensors({other: tensor for other, tensor in tensors.items() if other != name})
        with pytest.raises(ValueError):
            from_tensors({**tensors, name: tensors[name][1:]})


@pytest.mark.parametrize(
    "more",
    [
        ("network.3.weights",),
        ("network.3.weights", "network.3.bias"),
        ("network.4.weights", "network.4.bias", "network.4.parts"),
        ("network.0.more", "network.1.more", "network.2.more"),
        ("network.00.weights",),
        ("network.x.weights",),
        ("network.weights",),
    ],
)
def test_tensors_that_are_a_network_and_more(more: tuple[str, ...]) -> None:
    """Parts of layers, or of what are no layers, beside a sound network."""
    tensors = to_tensors(GOOD)
    assert same(from_tensors(tensors), GOOD)
    with pytest.raises(ValueError, match="parts of layers missing"):
        from_tensors({**tensors, **{name: np.zeros(3, np.int16) for name in more}})


# --- a frame


def reference_frame(planes: Planes, more: Coded, level: int, intra: bool, weights: Network) -> list[np.ndarray]:
    """All of it at once, without borders."""
    rows, columns, halo = planes[1].shape[0] - PAD, planes[1].shape[1] - PAD, weights.halo
    x = inputs_of(planes, more, int(STEPS[level]), 0, rows, halo).astype(np.int64)
    for n, layer in enumerate(weights.layers):
        low, high = (int(bound) for bound in bounds_of(weights, n))
        x = reference_layer(x, layer, layer.bias[int(intra), level], low, high)
    assert x.shape == (OUTPUTS, rows, columns)
    y, u, v = (plane.astype(np.int64) for plane in without_borders(planes))
    x = (x * int(STEPS[level]) + (1 << 11)) >> 12
    for n in range(4):
        y[n >> 1 :: 2, n & 1 :: 2] += x[n]
    return [y.clip(0, 1023), (u + x[4]).clip(0, 1023), (v + x[5]).clip(0, 1023)]


def of_units(differs: np.ndarray) -> np.ndarray:
    """(units down, units across) whether anything is true in each, of a plane without borders."""
    side = UNIT if len(differs) == 16 * ROWS else UNIT // 2
    return np.array(
        [[differs[side * r :, side * c :][:side, :side].any() for c in range(UNITS[1])] for r in range(UNITS[0])]
    )


@pytest.mark.parametrize("channels", [(), (8,), (4, 12, 8)])
@pytest.mark.parametrize("units", [None, 1, 3, 1000])
def test_frames_do_not_depend_on_how_they_are_shared_out(
    channels: tuple[int, ...], units: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on how many rows are worked on at a time, nor on threads; only what is asked for need be right."""
    if units is not None:
        monkeypatch.setattr(module, "NETWORK_UNITS", units)
    weights, random = random_network(11, *channels), np.random.default_rng(2)
    planes, more = noise(random), coded(random, largest=40)
    before = [plane.copy() for plane in planes]
    everywhere, some = np.ones(UNITS, bool), random.random(UNITS) < 0.3
    some[:2], some[-1, -1] = False, True
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(2) as two:
        pools: tuple[Executor, ...] = (one, two, INLINE)
        for intra, level in ((True, LOWEST + 10), (False, LOWEST + 50)):
            wanted = reference_frame(planes, more, level, intra, weights)
            assert not any(np.array_equal(a, b) for a, b in zip(wanted, without_borders(planes), strict=True))
            for pool in pools:
                found = without_borders(apply_network(planes, more, level, intra, everywhere, weights, pool))
                assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
                found = without_borders(apply_network(planes, more, level, intra, some, weights, pool))
                for a, b in zip(found, wanted, strict=True):
                    assert not of_units(a != b)[some].any()
    assert all(np.array_equal(a, b) for a, b in zip(planes, before, strict=True))


def test_a_frame_without_units_that_are_asked_for_stays_as_it_is() -> None:
    planes, more = noise(np.random.default_rng(3)), coded(np.random.default_rng(3))
    made = apply_network(planes, more, LOWEST, True, np.zeros(UNITS, bool), random_network(1, 4), INLINE)
    assert all(np.array_equal(a, b) for a, b in zip(made, planes, strict=True))


def test_intra_frames_and_levels_have_biases_of_their_own() -> None:
    network = no_network()
    bias = np.zeros_like(network.layers[0].bias)
    bias[1, LOWEST, 0], bias[0, LOWEST, 5] = 1024, -512
    weights, planes, asked = (
        network_of(changed(network, 0, bias=bias)),
        noise(np.random.default_rng(5)),
        np.ones(UNITS, bool),
    )
    step = int(STEPS[LOWEST]) / 4
    for intra, level in ((True, LOWEST), (False, LOWEST), (True, LOWEST + 1)):
        more = coded(np.random.default_rng(level))
        made = apply_network(planes, more, level, intra, asked, weights, INLINE)
        moved = [a.astype(int) - b for a, b in zip(without_borders(made), without_borders(planes), strict=True)]
        assert set(moved[0][::2, ::2].ravel()) == {round(step) if intra and level == LOWEST else 0}
        assert not moved[0][1::2].any()
        assert not moved[0][:, 1::2].any()
        assert not moved[1].any()
        assert set(moved[2].ravel()) == {0 if intra else round(-step / 2)}


def test_no_network_changes_nothing() -> None:
    weights, asked = no_network(), np.ones(UNITS, bool)
    assert weights.halo == 1
    for level in (0, LOWEST, LEVELS - 1):
        planes = noise(np.random.default_rng(level), kind="all")
        for intra in (True, False):
            made = apply_network(planes, coded(np.random.default_rng(1)), level, intra, asked, weights, INLINE)
            assert all(np.array_equal(a, b) for a, b in zip(made, planes, strict=True))


# --- at the encoder


@pytest.mark.parametrize("weight", [1.0, 0.37])
def test_errors_left_are_those_of_half_of_the_rows_of_units(weight: float) -> None:
    """Of units that are asked for; those of others are zero, and nothing else is written."""
    random = np.random.default_rng(8)
    picture, planes = without_borders(noise(random, kind="all")), noise(random, kind="all")
    picture = tuple(np.ascontiguousarray(plane) for plane in picture)
    asked = random.random(UNITS) < 0.6
    found = np.full((*UNITS, 6), 7.0)
    for begin, end in ((0, 2), (2, UNITS[0])):
        errors_left(*picture, *planes, weight, asked, begin, end, NETWORK, found)
    assert (np.delete(found, NETWORK, 2) == 7).all()
    for (r, c), error in np.ndenumerate(found[:, :, NETWORK]):
        total = 0.0
        for part, (a, b) in enumerate(zip(picture, without_borders(planes), strict=True)):
            side = UNIT // 2 if part else UNIT
            squares = (a.astype(np.int64) - b)[side * r :, side * c :][:side, :side] ** 2
            looked_at = np.arange(len(squares)) % (side // 4) < side // 8
            total += 2 * (weight if part else 1) * float(squares[looked_at].sum())
        assert error == pytest.approx(total if asked[r, c] else 0.0)


def test_errors_left_are_comparable_with_those_of_filters() -> None:
    """Of planes as they are, which filters without taps leave."""
    random = np.random.default_rng(9)
    picture, planes = without_borders(noise(random)), noise(random)
    picture, asked = tuple(np.ascontiguousarray(plane) for plane in picture), np.ones(UNITS, bool)
    errors, filters = np.zeros((*UNITS, NETWORK + 1)), no_filters()
    taps = filters.luma[0], filters.chroma[0]
    classes = np.zeros((4 * ROWS, 4 * COLUMNS), np.uint8)
    trial_errors(*picture, *planes, classes, *taps, 32, 0.5, asked, 0, UNITS[0], errors)
    errors_left(*picture, *planes, 0.5, asked, 0, UNITS[0], NETWORK, errors)
    assert (errors[:, :, NETWORK] > 0).all()
    assert np.allclose(errors[:, :, NETWORK], errors[:, :, 0])


@pytest.mark.parametrize(
    ("asked", "pieces"),
    [
        ("...", []),
        ("###", [(0, 1, 0, 3)]),
        ("#.##", [(0, 1, 0, 1), (0, 1, 2, 4)]),
        ("## ## ##", [(0, 2, 0, 2), (2, 3, 0, 2)]),  # at most so many rows
        (".## ##. .#.", [(0, 1, 1, 3), (1, 2, 0, 2), (2, 3, 1, 2)]),
        ("##.# ####", [(0, 2, 0, 2), (0, 2, 3, 4), (1, 2, 2, 3)]),
    ],
)
def test_pieces_are_what_is_asked_for(asked: str, pieces: list[tuple[int, int, int, int]]) -> None:
    assert module.NETWORK_UNITS == 2
    assert module._pieces(np.array([[unit == "#" for unit in row] for row in asked.split()])) == pieces


def test_pieces_cover_all_that_is_asked_for_once() -> None:
    random = np.random.default_rng(4)
    for density in (0.1, 0.5, 0.9, 1.0):
        asked, found = random.random((7, 9)) < density, np.zeros((7, 9), int)
        for top, bottom, left, right in module._pieces(asked):
            found[top:bottom, left:right] += 1
        assert np.array_equal(found, asked.astype(int))
