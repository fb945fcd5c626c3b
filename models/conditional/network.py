# SPDX-License-Identifier: Apache-2.0
"""The network of the conditional codec: how wide the distribution of every latent is, for all frames and qualities.

It sees no pixels: only decisions and latents that are already decoded, so a decoder can run it ahead of the pictures.
Everything lives on the grid of 16x16 blocks; the wide layers run on blocks that carry latents only.

    decisions of the frame ─┐
    memories of references ─┴ vectors ─► context ─► first half of the latents' scales
                                           │                   │ (first half is coded)
                                           ├◄── what was in it ┘
                                           ├─► second half of the scales
                                           │                   │ (second half is coded)
    memory of this frame ◄─────────────────┴◄── all latents ───┘

A block's hyperlatent is one whole number, its energy: how many latents are not zero, in eight classes. It is coded with
the decisions. All layers are exact (see nvcodec.models.exact).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nvcodec.models.blocks import Block, blocks, scale_init
from nvcodec.models.conditional.picture import Blocks
from nvcodec.models.exact import ExactConv2d, to_activation
from nvcodec.models.quality import QualityTable

LATENTS = 384
ENERGIES = 8
_DECISIONS = 32  # channels of `describe`


@dataclass(frozen=True)
class NetworkConfig:
    """Widths of the network."""

    hidden: int = 128
    memory: int = 48
    blocks: int = 2

    def to_dict(self) -> dict[str, int]:
        """As plain numbers, for the weight file's metadata."""
        return asdict(self)


def describe(decisions: Blocks, energy: np.ndarray, level: int, reference_levels: tuple[int, ...]) -> np.ndarray:
    """(32, R, C) float32 on the activation grid: what the network is told of each block.

    energy: (R, C) uint8 class of each coded block; level: of this frame; reference_levels: of its references, if any.
    """
    rows, columns = decisions.rows, decisions.columns
    out = np.zeros((_DECISIONS, rows, columns), np.float32)
    pred, coded = decisions.pred, decisions.coded > 0
    for kind in range(4):
        out[kind] = pred == kind
    out[4], out[5], out[6] = decisions.merged > 0, coded, decisions.fine
    out[7] = decisions.tiny.reshape(rows, 2, columns, 2).sum((1, 3)) / 4
    mode = decisions.modes[::4, ::4]
    out[8], out[9] = (pred == 0) & (mode >= 2) & (mode < 18), (pred == 0) & (mode >= 18)
    for number in range(ENERGIES):
        out[10 + number] = coded & (energy == number)
    vectors = decisions.vectors.reshape(2, rows, 2, columns, 2, 2)
    out[18:22] = vectors[:, :, 0, :, 0].transpose(0, 3, 1, 2).reshape(4, rows, columns).clip(-2032, 2032) // 16 / 16
    spread = np.abs(vectors[:, :, 1, :, 1] - vectors[:, :, 0, :, 0]).sum(-1)
    out[22:24] = np.minimum(spread, 127) / 16
    out[24] = level // 4 / 8
    for number, reference_level in enumerate(reference_levels):
        out[25 + number] = np.clip(level - reference_level, -63, 63) / 16
    out[27] = not reference_levels
    out[28] = (pred != 0) & (np.abs(decisions.vectors).reshape(2, rows, 2, columns, 2, 2).sum((0, 2, 4, 5)) == 0)
    return out


@dataclass
class Places:
    """Where the latents of a batch of frames are: ``of`` (N,) block numbers in (batch, row, column) order; ``table`` (N,)
    and ``quarter`` (N, 4) rows of the coarse and fine tables of base scales; ``fine`` (N, 1) bool; ``first`` (N, 384)
    bool, the first half."""

    of: Tensor
    table: Tensor
    quarter: Tensor
    fine: Tensor
    first: Tensor


def places_of(decisions: Blocks, energy: np.ndarray) -> Places:
    """Places of one frame's coded blocks."""
    of = np.flatnonzero(decisions.coded)
    kind = (decisions.pred.ravel()[of] == 0).astype(np.int64)
    level = energy.ravel()[of].astype(np.int64)
    tiny = decisions.tiny.reshape(decisions.rows, 2, decisions.columns, 2).transpose(0, 2, 1, 3).reshape(-1, 4)[of]
    row, column = np.divmod(of, decisions.columns)
    parity = (row + column)[:, None] % 2
    return Places(
        torch.from_numpy(of),
        torch.from_numpy(kind * ENERGIES + level),
        torch.from_numpy((kind[:, None] * 2 + tiny) * ENERGIES + level[:, None]),
        torch.from_numpy(decisions.fine.ravel()[of][:, None] > 0),
        torch.from_numpy((_HALVES[None] + parity) % 2 == 0),
    )


def _halves() -> np.ndarray:
    """(384,) 0 or 1: alternate coefficients, and alternate quarters of the same coefficient."""
    n = np.arange(LATENTS)
    return ((n >> 2) + (n & 1) + ((n >> 1) & 1)) % 2


_HALVES = _halves()


class ExactLinear(ExactConv2d):
    """A 1x1 convolution of rows (N, in) to (N, out)."""

    def __init__(self, in_channels: int, out_channels: int, weight_scale: float | None = None):
        super().__init__(in_channels, out_channels)
        if weight_scale is not None:
            scale_init(self, weight_scale)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(to_activation(x)[:, :, None, None])[:, :, 0, 0]


class ConditionalNetwork(nn.Module):
    """See the module's drawing."""

    def __init__(self, config: NetworkConfig = NetworkConfig()):
        super().__init__()
        self.config = config
        hidden, memory = config.hidden, config.memory
        self.start = ExactConv2d(_DECISIONS + memory, hidden)
        self.quality = nn.ModuleList(QualityTable(torch.zeros(9, hidden)) for _ in range(2))
        self.context = blocks(config.blocks, hidden)
        self.first = ExactLinear(hidden, LATENTS, 0.05)
        self.halves = ExactLinear(LATENTS, hidden, 0.5)
        self.between = Block(hidden)
        self.second = ExactLinear(hidden, LATENTS, 0.05)
        self.latents = ExactLinear(LATENTS, memory, 0.5)
        self.remember = ExactConv2d(hidden + memory, memory)
        # logarithms of scales to begin with: for coarse blocks, and for quarters as a whole and tiny
        self.coarse_scales = nn.Parameter(torch.full((2 * ENERGIES, LATENTS), -1.0))
        self.quarter_scales = nn.Parameter(torch.full((4 * ENERGIES, LATENTS // 4), -1.0))

    def begin(
        self, decisions: Tensor, memories: list[Tensor], vectors: Tensor, pred: Tensor, level: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The context (B, hidden, R, C) before any latent is known, and the memory that reached it.

        decisions: (B, 32, R, C) of `describe`; memories: of the references, (B, memory, R, C), none for an intra frame;
        vectors: (B, 2, 2R, 2C, 2) int; pred: (B, R, C) int; level: (B,) of the frame.
        """
        batch, _, rows, columns = decisions.shape
        fetched = decisions.new_zeros(batch, self.config.memory, rows, columns)
        if memories:
            use = [((pred >> n) & 1)[:, None].to(fetched.dtype) for n in range(2)]
            moved = [fetch(memories[min(n, len(memories) - 1)], vectors[:, n]) for n in range(2)]
            fetched = (moved[0] * use[0] + moved[1] * use[1]) * torch.where(use[0] + use[1] > 1, 0.5, 1.0)
        fetched = to_activation(fetched)
        start = self.start(torch.cat([decisions, fetched], 1).contiguous(memory_format=torch.channels_last))
        bias = self.quality[1 if memories else 0](level)[:, :, None, None]
        return self.context(start + bias.to(start.dtype)), fetched

    def base(self, places: Places) -> Tensor:
        """(N, 384) logarithms of scales by transform, kind of prediction and energy alone."""
        quarter = self.quarter_scales[places.quarter]  # (N, 4, 96)
        return torch.where(places.fine, quarter.transpose(1, 2).flatten(1), self.coarse_scales[places.table])

    def first_scales(self, context: Tensor, places: Places) -> tuple[Tensor, Tensor]:
        """(N, 384) logarithms of scales for the first half, and the base they start from."""
        base = self.base(places)
        return base + self.first(at(context, places.of)).float(), base

    def second_scales(
        self, context: Tensor, places: Places, half: Tensor, base: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(N, 384) logarithms of scales for the second half, and the context with the first half (N, 384, else 0)."""
        known = spread(self.halves(half.abs().clamp_max(7.9)), places.of, context)
        context = self.between(context + known)
        return base + self.second(at(context, places.of)).float(), context

    def end(self, context: Tensor, places: Places, latents: Tensor, fetched: Tensor) -> Tensor:
        """The memory (B, memory, R, C) after a frame, on the activation grid; latents: (N, 384)."""
        seen = spread(self.latents(latents.abs().clamp_max(7.9)), places.of, fetched)
        kept = self.remember(torch.cat([to_activation(context), fetched.to(context.dtype)], 1))
        return to_activation((kept + seen.to(kept.dtype)).float())

    def bake(self) -> None:
        """Freeze all quality curves into tables (before export)."""
        for table in self.quality:
            table.bake()

    def use_baked_tables(self, on: bool = True) -> None:
        """Look quality vectors up instead of computing them: what every decoder does."""
        for table in self.quality:
            table.use_baked = on


def at(features: Tensor, of: Tensor) -> Tensor:
    """Rows (N, C) of features (B, C, R, C') at block numbers."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])[of]


def spread(rows: Tensor, of: Tensor, like: Tensor) -> Tensor:
    """Rows (N, C) put at their block numbers of a map like (B, ?, R, C'), zero elsewhere."""
    batch, _, height, width = like.shape
    table = rows.new_zeros(batch * height * width, rows.shape[1]).index_copy(0, of, rows)
    return table.reshape(batch, height, width, -1).permute(0, 3, 1, 2)


def fetch(memory: Tensor, vectors: Tensor) -> Tensor:
    """A memory (B, C, R, C') moved by whole blocks along the vector of each block's first quarter (B, 2R, 2C', 2)."""
    batch, channels, rows, columns = memory.shape
    whole = (vectors[:, ::2, ::2].long() + 32) >> 6
    x = (torch.arange(columns, device=memory.device)[None] + whole[..., 0]).clamp(0, columns - 1)
    y = (torch.arange(rows, device=memory.device)[:, None] + whole[..., 1]).clamp(0, rows - 1)
    of = torch.arange(batch, device=memory.device)[:, None, None] * (rows * columns) + y * columns + x
    table = memory.permute(0, 2, 3, 1).reshape(-1, channels)
    return table[of.reshape(-1)].reshape(batch, rows, columns, channels).permute(0, 3, 1, 2)


