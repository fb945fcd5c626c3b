# SPDX-License-Identifier: Apache-2.0
"""NIRVANA's network: the place of a patch in, that patch of every frame of a short group out (arXiv 2212.14593).

Structure and the initial weights of its sine layers (Sitzmann et al. 2020, arXiv 2006.09661) as in the authors' code.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OMEGA = 30.0  # frequency of the sine layers
_FRAME_FREQUENCY = 1.25
_ENLARGE = 2


class SineLayer(nn.Linear):
    """sin(omega (W x + b)), or the linear part alone where ``last``."""

    def __init__(self, inputs: int, outputs: int, *, first: bool = False, last: bool = False):
        super().__init__(inputs, outputs)
        self.last = last
        bound = 1 / inputs if first else math.sqrt(6 / inputs) / OMEGA
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if self.last else torch.sin(OMEGA * y)


def patch_centres(rows: int, columns: int) -> Tensor:
    """Centres of a grid of patches, row by row: (rows * columns, 2), y and x in -1..1."""
    y, x = ((torch.arange(n) + 0.5) * 2 / n - 1 for n in (rows, columns))
    return torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).reshape(-1, 2)


class PatchNetwork(nn.Module):
    """Sine layers make a half-size map for each patch; a sinusoid of the frame is added; convolutions of each frame's
    own finish it.

    hidden: width of the two sine layers; features: channels of the map; patch: samples a side; frames: in the group.
    """

    def __init__(self, hidden: int, features: int, patch: int, frames: int):
        super().__init__()
        self.features, self.patch, self.frames = features, patch, frames
        self.map = patch // _ENLARGE
        self.layers = nn.Sequential(
            SineLayer(2, hidden, first=True),
            SineLayer(hidden, hidden),
            SineLayer(hidden, features * self.map**2, last=True),
        )
        # as many channels for each frame as a patch is wide, divided by the pixel shuffle
        self.enlarge = nn.Conv2d(features * frames, patch * frames, 3, padding=1, groups=frames)
        self.finish = nn.Conv2d(patch * frames // _ENLARGE**2, 3 * frames, 3, padding=1, groups=frames)
        place = torch.arange(features) // 2
        angles = _FRAME_FREQUENCY ** -place.float() * torch.arange(frames)[:, None]
        self.register_buffer("phase", torch.sin(angles + (torch.arange(features) % 2) * math.pi / 2), persistent=False)

    def forward(self, centres: Tensor) -> Tensor:
        """(P, 2) centres to (P, frames, 3, patch, patch)."""
        maps = self.layers(centres).reshape(-1, 1, self.features, self.map, self.map)
        marked = (maps + self.phase[:, :, None, None]).flatten(1, 2)
        enlarged = F.gelu(F.pixel_shuffle(self.enlarge(marked), _ENLARGE))
        return self.finish(enlarged).unflatten(1, (self.frames, 3))


def assemble(patches: Tensor, rows: int, columns: int) -> Tensor:
    """(rows * columns, B, C, patch, patch) to pictures (B, C, rows * patch, columns * patch)."""
    _, batch, channels, height, width = patches.shape
    grid = patches.reshape(rows, columns, batch, channels, height, width)
    return grid.permute(2, 3, 0, 4, 1, 5).reshape(batch, channels, rows * height, columns * width)
