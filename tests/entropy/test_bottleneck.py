# SPDX-License-Identifier: Apache-2.0
"""The tables of hyperlatents agree with the density that was trained and with CompressAI's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from compressai.entropy_models import EntropyBottleneck

from nvcodec.entropy.bottleneck import bottleneck_tables
from nvcodec.entropy.density import FactorizedDensity
from nvcodec.entropy.tables import TableSet

CHANNELS = 6


@pytest.fixture(scope="module")
def density() -> FactorizedDensity:
    """Channels of various widths and centres, none of them symmetric."""
    torch.manual_seed(0)
    density = FactorizedDensity(CHANNELS)
    with torch.no_grad():
        for parameter in density.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        density.matrices[0] += torch.linspace(-2, 1.5, CHANNELS)[:, None, None]
    return density


@pytest.fixture(scope="module")
def tables(density: FactorizedDensity) -> TableSet:
    return bottleneck_tables(density.matrices, density.biases, density.factors)


def likely_values(tables: TableSet) -> list[tuple[int, np.ndarray]]:
    """For each channel the values that are more likely than 1 in 100."""
    return [(c, np.flatnonzero(cost[:-1] < 6.6) + int(tables.offsets[c])) for c, cost in enumerate(tables.costs)]


def test_tables_are_sound(tables: TableSet) -> None:
    tables.check()
    assert len(tables) == CHANNELS
    assert all(len(values) for _, values in likely_values(tables))


def test_bits_of_the_trained_density(density: FactorizedDensity, tables: TableSet) -> None:
    for channel, values in likely_values(tables):
        z = torch.zeros(1, CHANNELS, 1, len(values))
        z[0, channel] = torch.from_numpy(values).float()
        with torch.no_grad():
            trained = density.bits(z)[0, channel, 0].numpy()
        coded = [tables.bits(values[i : i + 1], np.array([channel])) for i in range(len(values))]
        np.testing.assert_allclose(coded, trained, atol=0.03)


def test_bits_of_compressai(density: FactorizedDensity, tables: TableSet) -> None:
    """The same parameters in its module, through its own forward pass."""
    theirs = EntropyBottleneck(CHANNELS, filters=density.FILTERS).eval()
    names = {name.replace("_matrix", "matrices.").replace("_bias", "biases.").replace("_factor", "factors."): p
             for name, p in theirs.named_parameters()}  # fmt: skip
    with torch.no_grad():
        theirs.quantiles[:, 0, 1] = 0  # its medians: ours are plain integers
        for name, parameter in density.named_parameters():
            names[name].copy_(parameter)
        for channel, values in likely_values(tables):
            z = torch.zeros(1, CHANNELS, 1, len(values))
            z[0, channel] = torch.from_numpy(values).float()
            _, likelihood = theirs(z, training=False)
            bits = -torch.log2(likelihood[0, channel, 0]).numpy()
            coded = [tables.bits(values[i : i + 1], np.array([channel])) for i in range(len(values))]
            np.testing.assert_allclose(coded, bits, atol=0.03)


def test_tables_hold_all_but_a_millionth(density: FactorizedDensity, tables: TableSet) -> None:
    with torch.no_grad():
        for channel, row in enumerate(tables.rows):
            low = int(tables.offsets[channel])
            ends = torch.tensor([low - 0.5, low + len(row) - 2 - 0.5]).expand(CHANNELS, 1, 2)
            mass = torch.sigmoid(density.logits_cumulative(ends))[channel, 0].double()
            assert mass[0] < 2e-6
            assert 1 - mass[1] < 2e-6
