# SPDX-License-Identifier: Apache-2.0
"""What is written is what was estimated, and what is read is what was written; damage is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nvcodec.entropy.ladder import FAMILIES, LEVELS, ladder_pmf, ladder_tables, level_scale, make_ladder
from nvcodec.errors import DamagedStreamError, NvcError
from nvcodec.models.implicit.coding import scheme_class
from nvcodec.models.implicit.coding.learned import LearnedScheme
from nvcodec.models.implicit.coding.paper import PaperScheme
from nvcodec.models.implicit.recipe import get_recipe
from nvcodec.models.implicit.representation import Geometry, Representation, Transmitted
from nvcodec.models.implicit.unit import decode_unit, read_unit, write_unit

GEOMETRY = Geometry(32, 48, 5)
RECIPE = get_recipe("hnerv")
SHAPE = RECIPE.shape(GEOMETRY, 12_000, {})


def network(seed: int = 0) -> Representation:
    """HNeRV with weights of many sizes, and embeddings that drift."""
    torch.manual_seed(seed)
    made = RECIPE.build(GEOMETRY, SHAPE)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.mul_(torch.exp(torch.randn(len(parameter)).reshape(-1, *[1] * (parameter.dim() - 1))))
        made.source.table.copy_(torch.cumsum(torch.randn_like(made.source.table), 0))
    return made


def read_back(scheme: type, parts: dict[str, bytes]) -> Representation:
    made = RECIPE.build(GEOMETRY, SHAPE)
    scheme.read(made, RECIPE, parts)
    return made


def test_committed_tables_are_those_of_their_definition() -> None:
    stored = ladder_tables()
    stored.check()
    assert len(stored) == len(FAMILIES) * LEVELS
    made = make_ladder()
    # another libm may round a count differently; the committed integers are what counts
    assert np.abs(stored.cdf.astype(np.int64) - made.cdf).max() <= 2
    for family in FAMILIES:
        assert abs(ladder_pmf(family, level_scale(20)).sum() - 1) < 1e-3


def test_learned_bytes_are_the_bits_estimated() -> None:
    scheme = LearnedScheme(network(), RECIPE)
    parts = scheme.write()
    nbytes = sum(map(len, parts.values()))
    estimated = scheme.estimated_bits() / 8
    assert estimated <= nbytes + 1
    assert nbytes <= estimated + 3 * 12 + 0.01 * estimated  # three coders end with some eight bytes each


def test_training_estimate_agrees_with_the_file() -> None:
    scheme = LearnedScheme(network(), RECIPE)
    with torch.no_grad():
        bits = float(np.mean([float(scheme.quantised()[1]) for _ in range(4)]))
    nbytes = sum(map(len, scheme.write().values()))
    assert abs(bits / 8 - nbytes) < 0.05 * nbytes


def test_learned_weights_come_back_rounded_to_their_steps() -> None:
    original = network()
    scheme = LearnedScheme(original, RECIPE)
    decoded = read_back(LearnedScheme, scheme.write())
    replaced, _ = scheme.quantised()
    for name, parameter in decoded.named_parameters():
        assert torch.allclose(parameter, replaced[name].float(), rtol=1e-5, atol=1e-6), name


def test_prediction_from_the_frame_before_saves_bits() -> None:
    scheme = LearnedScheme(network(), RECIPE)
    predicted = len(scheme.write()["latents"])
    still = network()
    with torch.no_grad():
        table = still.source.table
        table.copy_(table[torch.randperm(len(table))] * torch.sign(torch.randn(len(table), 1, 1, 1)))
    shuffled = len(LearnedScheme(still, RECIPE).write()["latents"])
    assert predicted < shuffled


def test_rate_term_pulls_weights_to_fewer_bits() -> None:
    made = network()
    scheme = LearnedScheme(made, RECIPE)
    scheme.refresh()
    before = scheme.estimated_bits()
    optimiser = torch.optim.Adam([*made.parameters(), *scheme.parameters()], lr=0.02)
    for _ in range(30):
        optimiser.zero_grad()
        scheme.quantised()[1].backward()
        optimiser.step()
    assert scheme.estimated_bits() < 0.8 * before


def test_coarser_steps_take_fewer_bytes() -> None:
    scheme = LearnedScheme(network(), RECIPE)
    fine = len(scheme.write()["weights"])
    scheme.scale_steps(8)  # an octave: one bit less for each number
    coarse = len(scheme.write()["weights"])
    assert coarse < 0.85 * fine


def test_paper_coding_errs_by_half_a_step_at_most() -> None:
    original = network()
    parts = PaperScheme(original, RECIPE).write()
    decoded = dict(read_back(PaperScheme, parts).named_parameters())
    for name, parameter in original.named_parameters():
        bits = 6 if name.endswith("table") else 8
        step = float((parameter.max() - parameter.min()).detach()) / (2**bits - 1)
        assert float((decoded[name] - parameter).detach().abs().max()) < 0.55 * step + 2e-3, name
    assert len(parts["tables"]) > 256  # the static code's table is counted


def test_a_reference_costs_only_the_difference() -> None:
    class Chained(nn.Module):
        def __init__(self, value: torch.Tensor, reference: torch.Tensor | None):
            super().__init__()
            self.weight = nn.Parameter(value.clone())
            self.reference = reference

        def transmitted(self) -> list[Transmitted]:
            return [Transmitted("weight", reference=self.reference)]

    torch.manual_seed(0)
    base = torch.randn(40, 40)
    near = base + 0.01 * torch.randn(40, 40)
    alone: Any = LearnedScheme(Chained(near, None), RECIPE)
    chained: Any = LearnedScheme(Chained(near, base), RECIPE)
    alone.refresh(), chained.refresh()
    with torch.no_grad():
        chained.coders[0].step_index.copy_(alone.coders[0].step_index)
    parts = chained.write()
    assert len(parts["weights"]) < 0.3 * len(alone.write()["weights"])
    decoded = Chained(torch.zeros(40, 40), base)
    LearnedScheme.read(decoded, RECIPE, parts)
    assert torch.allclose(decoded.weight, near, atol=0.1)


@pytest.mark.parametrize("name", ["paper", "learned"])
def test_not_a_number_is_never_written(name: str) -> None:
    made = network()
    with torch.no_grad():
        made.head.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(NvcError, match="finite"):
        scheme_class(name, RECIPE)(made, RECIPE).write()


@pytest.mark.parametrize("name", ["paper", "learned"])
def test_damaged_units_raise_one_error(name: str) -> None:
    payload = write_unit(5, name, SHAPE, scheme_class(name, RECIPE)(network(), RECIPE).write())
    decode_unit(RECIPE, read_unit(RECIPE, payload), 32, 48)
    generator = np.random.default_rng(1)
    for _ in range(40):
        damaged = bytearray(payload)
        for place in generator.integers(0, min(len(payload), 900), 3):
            damaged[place] = generator.integers(256)
        try:  # a changed symbol may still be a symbol; anything but a clean error is a fault
            decode_unit(RECIPE, read_unit(RECIPE, bytes(damaged)), 32, 48)
        except DamagedStreamError:
            pass
    for length in range(0, len(payload), max(1, len(payload) // 25)):
        with pytest.raises(DamagedStreamError):
            decode_unit(RECIPE, read_unit(RECIPE, payload[:length]), 32, 48)


def test_a_huge_network_in_few_bytes_is_refused_before_it_is_built() -> None:
    shape = type(SHAPE)((16, 16, 16), 1024, 8000)
    payload = write_unit(1024, "learned", shape, {"tables": b"\0" * 50})
    with pytest.raises(DamagedStreamError, match="numbers in"):
        decode_unit(RECIPE, read_unit(RECIPE, payload), 16384, 4096)
