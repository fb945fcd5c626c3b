# SPDX-License-Identifier: Apache-2.0
"""FFNeRV's last step (arXiv 2212.12294), which CAM builds on: a frame is blended with its warped neighbours."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

NEIGHBOURS = (-2, -1, 1, 2)


def neighbour_times(times: Tensor, frames: int) -> Tensor:
    """(B,) to (B, 4) frame numbers; a neighbour beyond an end is the frame itself."""
    offsets = torch.tensor(NEIGHBOURS, device=times.device, dtype=times.dtype)
    around = times[:, None] + offsets
    return torch.where((around >= 0) & (around <= frames - 1), around, times[:, None])


def warp(pictures: Tensor, flow: Tensor) -> Tensor:
    """Pictures (B, C, H, W) read at places moved by a flow (B, 2, h, w; x then y, in its own samples), enlarged
    bilinearly to the pictures' size."""
    height, width = pictures.shape[2:]
    scale = width / flow.shape[3]
    flow = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False) * scale
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)
    place_x = (x + 0.5 + flow[:, 0]) * 2 / width - 1
    place_y = (y[:, None] + 0.5 + flow[:, 1]) * 2 / height - 1
    return F.grid_sample(
        pictures, torch.stack([place_x, place_y], -1), mode="bilinear", padding_mode="border", align_corners=False
    )


def blend(own: Tensor, shares: Tensor, neighbours: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
    """(final picture, picture made of the neighbours alone), both (B, 3, H, W).

    own: (B, 3, H, W); shares: (B, 2, H, W) logits of own and neighbours; neighbours: (B, 4, 3, H, W); guide:
    (B, 12, h, w): a flow for each neighbour, then a logit for each.
    """
    count = neighbours.shape[1]
    flows, logits = guide[:, : 2 * count], guide[:, 2 * count :]
    warped = warp(neighbours.flatten(0, 1), flows.reshape(-1, 2, *flows.shape[2:])).unflatten(0, (-1, count))
    weights = F.interpolate(logits.softmax(1), own.shape[2:], mode="nearest")
    aggregated = (warped * weights[:, :, None]).sum(1)
    share = shares.softmax(1)
    return share[:, :1] * own + share[:, 1:] * aggregated, aggregated
