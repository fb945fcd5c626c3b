# SPDX-License-Identifier: Apache-2.0
"""What the codec starts from: principal components of blocks and the spread of their coefficients."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nvcodec.datasets.samples import Sampler
from nvcodec.models.motion.compensation import compensate
from nvcodec.models.transform import PIXEL_SCALE, component_weights, planes_to_blocks

INTRA_SHARE = 0.3


def principal_components(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Basis (n, n), columns by falling importance, and deviations (2, n) of intra and inter coefficients, in the domain
    in which errors count alike (`component_weights`).

    covariance: (2, n, n) from `block_covariance` or `fine_covariance`.
    """
    weights = component_weights()[:: 384 // covariance.shape[1]].double()
    covariance = covariance * weights[:, None] * weights
    share = torch.tensor([INTRA_SHARE, 1 - INTRA_SHARE], dtype=torch.float64)
    mixed = sum(w * c / c.trace() for w, c in zip(share, covariance, strict=True))
    basis = torch.linalg.eigh(mixed)[1].flip(1)
    deviations = torch.stack([(basis.T @ c @ basis).diagonal().clamp_min(1e-6).sqrt() for c in covariance])
    return basis.float(), deviations.float()


def fine_covariance(covariance: Tensor) -> Tensor:
    """(2, 96, 96) of the 8x8 blocks in the 16x16 blocks of `block_covariance`."""
    return torch.stack([covariance[:, place::4, place::4] for place in range(4)]).mean(0)


def block_covariance(sampler: Sampler, samples: int = 600) -> Tensor:
    """(2, 384, 384) float64 covariance of intra and inter blocks, in sample values.

    Inter blocks are motion-compensated original frames; each sample counts by its energy, damped so that a few noisy
    ones do not decide.
    """
    covariance = torch.zeros(2, 384, 384, dtype=torch.float64)
    count = torch.zeros(2, dtype=torch.float64)
    for _ in range(samples):
        sample = sampler.draw(2)
        y, u, v = (torch.from_numpy(p.copy()) for p in (sample.y, sample.u, sample.v))
        vectors = torch.from_numpy(sample.vectors[1:])
        predicted = planes_to_blocks(
            compensate(y[:1], vectors), compensate(u[:1], vectors, 4), compensate(v[:1], vectors, 4)
        )
        picture = planes_to_blocks(y[1:], u[1:], v[1:])
        for kind, blocks in enumerate((picture, picture - predicted)):
            rows = F.pixel_unshuffle(blocks, 2).permute(0, 2, 3, 1).reshape(-1, 384) * PIXEL_SCALE
            weight = 1.0 if kind == 0 else 1 / float(rows.square().mean() + 5)
            covariance[kind] += weight * (rows.double().T @ rows.double())
            count[kind] += weight * len(rows)
    return covariance / count[:, None, None]
