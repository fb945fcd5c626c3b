# SPDX-License-Identifier: Apache-2.0
"""From a trained factorised density to integer tables, through CompressAI's EntropyBottleneck."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from nvcodec.entropy.tables import TableSet

SEARCH_HALF_WIDTH = 512
TAIL_MASS = 1e-6


def bottleneck_tables(matrices: nn.ParameterList, biases: nn.ParameterList, factors: nn.ParameterList) -> TableSet:
    """One table for each channel of a density with CompressAI's parameters (Balle et al. 2018, appendix 6.1).

    The density is loaded into `compressai.entropy_models.EntropyBottleneck`, which evaluates it; values are plain
    integers (median 0), cut where less than 1e-6 of the mass is left on a side.
    """
    from compressai.entropy_models import EntropyBottleneck

    channels = matrices[0].shape[0]
    bottleneck = EntropyBottleneck(channels, filters=tuple(b.shape[1] for b in biases)[:-1]).eval()
    with torch.no_grad():
        for ours, theirs in ((matrices, "matrices"), (biases, "biases"), (factors, "factors")):
            for i, parameter in enumerate(ours):
                _parameter(bottleneck, theirs, i).copy_(parameter)
        values = torch.arange(-SEARCH_HALF_WIDTH, SEARCH_HALF_WIDTH + 1, dtype=torch.float32)
        likelihood = bottleneck._likelihood(values.expand(channels, 1, -1))
        likelihood = (likelihood[0] if isinstance(likelihood, tuple) else likelihood)[:, 0].double().numpy()
    pmfs, offsets, escapes = [], [], []
    for row in likelihood:
        row = np.maximum(row, 0)
        row = row / row.sum()
        low = min(SEARCH_HALF_WIDTH, int(np.searchsorted(np.cumsum(row), TAIL_MASS)))
        high = max(SEARCH_HALF_WIDTH, len(row) - 1 - int(np.searchsorted(np.cumsum(row[::-1]), TAIL_MASS)))
        pmfs.append(row[low : high + 1])
        offsets.append(low - SEARCH_HALF_WIDTH)
        escapes.append(max(1e-7, 1 - float(row[low : high + 1].sum())))
    return TableSet.from_pmfs(pmfs, offsets, escapes)


def _parameter(bottleneck: nn.Module, kind: str, index: int) -> torch.Tensor:
    """CompressAI has named these both as lists and as numbered attributes."""
    listed = getattr(bottleneck, kind, None)
    if isinstance(listed, nn.ParameterList):
        return listed[index]
    return getattr(bottleneck, f"_{ {'matrices': 'matrix', 'biases': 'bias', 'factors': 'factor'}[kind] }{index}")
