# SPDX-License-Identifier: Apache-2.0
"""The network of the conditional codec, one model for intra and inter frames and all quality levels.

The picture itself goes through linear steps only, prediction by block vectors and a block transform; what is learned
decides what each latent costs. Everything happens at 1/8 of the luma resolution and below. One inter frame:

    previous frame ─ block vectors ─► prediction ─┬───────────────────┐
    memory ───────── block vectors ─► warped ─────┴► context          │
                                                      │               │
    frame ──────────────────────────────────────────  │ ───────► residual
                                                      ▼               ▼
    hyperlatents z ◄──── hyper analysis ◄──────────── │ ◄─── latents y (block transform)
          └─► prior (z, context, last latents) ─► scales, means ─► two checkerboard passes ─► rounded latents
                                                      │                                            │
    next frame ◄──────────────── prediction + linear synthesis ◄───────────────────────────────────┘
    next memory ◄── remember (context, next frame)

An intra frame is the same with an empty prediction and a learned constant memory. All layers on the decoding side are
exact (see nvcodec.models.exact); hyper analysis need not be. Learned corrections of prediction, residual and
reconstruction were tried at this size: all three together were worth less than 1% of rate (docs/experiments.md).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nvcodec.models.blocks import Block, Down, Project, Up, blocks
from nvcodec.models.conditional import density
from nvcodec.models.conditional.density import (
    FactorizedDensity,
    gaussian_bits,
    quantise,
    scale_index,
    scale_of_index,
)
from nvcodec.models.exact import round_straight_through, to_activation
from nvcodec.models.motion.compensation import compensate, warp_features
from nvcodec.models.quality import LEVELS, NODES, QualityTable, log_steps
from nvcodec.models.transform import BLOCK_CHANNELS, BlockTransform, blocks_to_planes, planes_to_blocks

INTRA, INTER = 0, 1
BIT_PRICE = 0.1155  # squared steps that a bit is worth at the rate-distortion optimum
FINE_COST = 0.1  # of choosing the fine transform, in squared steps
HYPER_BANDS = 4  # hyperlatents have a density for each kind of frame and quarter of the quality range


@dataclass(frozen=True)
class NetworkConfig:
    """Widths of the network."""

    channels: int = 96  # feature maps at 1/8
    latents: int = 384  # at 1/16: as many as samples, or fine chroma is lost at any quality
    means: int = 192  # leading latents whose means are predicted; of the others they are zero
    hyperlatents: int = 32  # at 1/64
    prior_channels: int = 192  # at 1/16
    spatial_means: int = 64  # leading latents whose means are also predicted in units of their own deviation

    def to_dict(self) -> dict[str, int]:
        """As plain numbers, for the weight file's metadata."""
        return asdict(self)


@dataclass
class State:
    """What one frame hands to the next: ``blocks`` (B, 96, H/8, W/8) the reconstruction on whole sample values,
    ``memory`` (B, C, H/8, W/8) on the activation grid, ``latents`` (B, latents, H/16, W/16) rounded, in steps, ``fine``
    (B, 1, H/16, W/16) 1 for blocks with the fine transform, else 0, and ``quality`` (B,) the level it was coded at."""

    blocks: Tensor
    memory: Tensor
    latents: Tensor
    fine: Tensor
    quality: Tensor


@dataclass
class Prediction:
    """What encoder and decoder both know before a frame's latents are coded."""

    kind: int
    compensated: Tensor
    context: Tensor
    latents_before: Tensor
    still: Tensor | None  # (B, 1, H/8, W/8) bool: blocks that did not move (None for intra)


@dataclass
class Conditions:
    """What follows from one frame's quality: (B, n, 1, 1), or (B, n, H/16, W/16) where the transform matters."""

    step: Tensor
    log_scale: Tensor
    deviation: Tensor  # of the leading latents, in steps
    feature: Tensor
    prior: Tensor


class ConditionalNetwork(nn.Module):
    """See the module's drawing. Raises nothing of its own; shapes: H and W multiples of 16."""

    def __init__(self, config: NetworkConfig = NetworkConfig()):
        super().__init__()
        self.config = config
        c, n, hidden, z = config.channels, config.latents, config.prior_channels, config.hyperlatents
        self.transform = BlockTransform(n)
        self.memory_start = nn.Parameter(torch.zeros(1, c, 1, 1))
        self.context_in = Project(BLOCK_CHANNELS + c + 2, c)
        self.context_blocks = blocks(1, c)
        self.remember = Project(c + BLOCK_CHANNELS, c)

        self.hyper_analysis = nn.Sequential(Project(n, 96), Block(96), Down(96, z), Block(z), Down(z, z))
        self.hyper_synthesis = nn.Sequential(Up(z, z), Block(z), Up(z, 96), Block(96))
        self.hyper_density = FactorizedDensity(2 * HYPER_BANDS * z)

        self.temporal_prior = Down(c, 96)
        self.prior_in = Project(96 + 96 + n + 1, hidden)
        self.prior_blocks = blocks(2, hidden)
        self.prior_out = Project(hidden, n + config.means, 0.05)
        self.spatial_in = Project(n + config.spatial_means + hidden + 1, hidden)
        self.spatial_block = Block(hidden)
        self.spatial_out = Project(hidden, n + config.means + config.spatial_means, 0.05)

        zeros = torch.zeros(NODES, 1)
        # for the coarse and the fine transform; scales for each kind of frame too
        self.log_gain = nn.ModuleList(QualityTable(-log_steps(n), exponential=True) for _ in range(2))
        self.log_step = nn.ModuleList(QualityTable(log_steps(n), exponential=True) for _ in range(2))
        self.log_scale = nn.ModuleList(QualityTable(zeros.repeat(1, n)) for _ in range(4))
        self.log_deviation = nn.ModuleList(
            QualityTable(zeros.repeat(1, config.spatial_means), exponential=True) for _ in range(2)
        )
        self.feature_gain = nn.ModuleList(QualityTable(zeros.repeat(1, c), exponential=True) for _ in range(2))
        self.prior_bias = nn.ModuleList(QualityTable(zeros.repeat(1, hidden)) for _ in range(2))
        # by how much finer or coarser than this frame the one before it was coded
        self.reference_scale = QualityTable(zeros.repeat(1, n))
        self.reference_bias = QualityTable(zeros.repeat(1, hidden))

    def start(self, coarse: tuple[Tensor, Tensor], fine: tuple[Tensor, Tensor]) -> None:
        """Begin as a classical codec: basis (384, 384) and deviations (2, 384) of the coefficients of intra and inter
        blocks in sample values, by principal components; the same of 8x8 blocks, 96 in place of 384."""
        self.transform.start(coarse[0], fine[0])
        n, leading = self.config.latents, self.config.spatial_means
        steps = log_steps(n)
        with torch.no_grad():
            for which, deviations in enumerate((coarse[1][:, :n], fine[1].repeat_interleave(4, 1)[:, :n])):
                for kind in (INTRA, INTER):
                    deviation = torch.sqrt(deviations[kind] ** 2 + kind * 0.08 * steps.exp() ** 2)
                    self.log_scale[2 * which + kind].nodes.copy_(deviation.log() - steps)
                self.log_deviation[which].nodes.copy_(deviations[INTRA, :leading].log() - steps[:, :leading])

    # ---- both sides -------------------------------------------------------------------------------------------------

    def conditions(self, quality: Tensor, state: State | None, fine: Tensor) -> Conditions:
        """quality: (B,) level 0..63 of this frame; state: of the frame before, None for an intra frame; fine:
        (B, 1, H/16, W/16) 1 for blocks with the fine transform, else 0."""
        kind = INTRA if state is None else INTER

        def of(table: nn.Module) -> Tensor:
            return table(quality)[:, :, None, None]

        def of_block(tables: list[nn.Module]) -> Tensor:
            return torch.where(fine > 0, of(tables[1]), of(tables[0]))

        log_scale = of_block([self.log_scale[kind], self.log_scale[2 + kind]])
        prior = of(self.prior_bias[kind])
        if state is not None:
            difference = ((state.quality - quality) + LEVELS // 2).clamp(0, LEVELS - 1)
            log_scale = log_scale + self.reference_scale(difference)[:, :, None, None]
            prior = prior + self.reference_bias(difference)[:, :, None, None]
        step, deviation = of_block(list(self.log_step)), of_block(list(self.log_deviation))
        return Conditions(step, log_scale, deviation, of(self.feature_gain[kind]), prior)

    def predict(self, state: State | None, vectors: Tensor | None, batch: int, rows: int, columns: int) -> Prediction:
        """What is known before coding: rows, columns = H/8, W/8; vectors (B, rows, columns, 2) int or None (intra)."""
        device = self.memory_start.device
        if state is None or vectors is None:
            kind, still = INTRA, None
            compensated = torch.zeros(batch, BLOCK_CHANNELS, rows, columns, device=device)
            memory = self.memory_start.expand(batch, -1, rows, columns)
            motion = torch.zeros(batch, 2, rows, columns, device=device)
            before = torch.zeros(batch, self.config.latents, rows // 2, columns // 2, device=device)
        else:
            kind = INTER
            y, u, v = blocks_to_planes(state.blocks)
            compensated = planes_to_blocks(
                compensate(y.contiguous(), vectors),
                compensate(u.contiguous(), vectors, 4),
                compensate(v.contiguous(), vectors, 4),
            )
            memory, before = warp_features(state.memory, vectors), state.latents
            still = (vectors == 0).all(-1)[:, None]
            motion = vectors.permute(0, 3, 1, 2).to(compensated.dtype) * (1 / 16)
        context = self.context_blocks(self.context_in(torch.cat([compensated, memory, motion], 1)))
        return Prediction(kind, compensated, context, before, still)

    def prior(
        self, z: Tensor, prediction: Prediction, conditions: Conditions, fine: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """First-pass position in the scale table and mean of every latent, and the prior's feature, at 1/16."""
        rows, columns = prediction.latents_before.shape[2:]
        hyper = self.hyper_synthesis(z)[:, :, :rows, :columns]
        temporal = self.temporal_prior(prediction.context * conditions.feature.to(prediction.context.dtype))
        known = [hyper, temporal.to(hyper.dtype), prediction.latents_before.abs().to(hyper.dtype), fine.to(hyper.dtype)]
        features = torch.cat(known, 1)
        hidden = self.prior_blocks(self.prior_in(features) + conditions.prior.to(hyper.dtype))
        log_scale, mean = self.prior_out(hidden).float().split([self.config.latents, self.config.means], 1)
        return log_scale + conditions.log_scale, self._all_means(mean), hidden

    def spatial(
        self,
        half: Tensor,
        hidden: Tensor,
        log_scale: Tensor,
        mean: Tensor,
        prediction: Prediction,
        conditions: Conditions,
        fine: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Second-pass scale and mean from the latents of the first (``half``, zero elsewhere)."""
        leading = self.config.spatial_means
        normalised = half[:, :leading] / conditions.deviation
        known = [half.to(hidden.dtype), normalised.to(hidden.dtype), hidden, fine.to(hidden.dtype)]
        features = torch.cat(known, 1)
        out = self.spatial_out(self.spatial_block(self.spatial_in(features))).float()
        more_scale, more_mean, wide_mean = out.split([self.config.latents, self.config.means, leading], 1)
        mean = mean[:, : self.config.means] + more_mean
        if prediction.kind == INTRA:
            mean = torch.cat([mean[:, :leading] + wide_mean * conditions.deviation, mean[:, leading:]], 1)
        return log_scale + more_scale, self._all_means(mean)

    def _all_means(self, leading: Tensor) -> Tensor:
        """Means of all latents from those of the leading ones."""
        return F.pad(leading, (0, 0, 0, 0, 0, self.config.latents - self.config.means))

    def reconstruct(
        self,
        latents: Tensor,
        fine: Tensor,
        coded: Tensor,
        prediction: Prediction,
        conditions: Conditions,
        quality: Tensor,
    ) -> State:
        """The next state from a frame's rounded latents.

        coded: (B, 1, H/16, W/16) bool, blocks with a non-zero symbol. A block that neither moved nor was coded is
        copied, so that what stands still stays exactly as it is.
        """
        picture = prediction.compensated + self.transform.synthesise(latents * conditions.step, fine)
        if prediction.still is not None:
            copied = prediction.still & ~F.interpolate(coded.float(), scale_factor=2, mode="nearest").bool()
            picture = torch.where(copied, prediction.compensated, picture)
        picture = round_straight_through(picture * 16).clamp(-128, 127) * (1 / 16)
        context = prediction.context
        memory = to_activation(self.remember(torch.cat([context, picture.to(context.dtype)], 1)).float())
        return State(picture, memory, latents, fine, quality)

    # ---- encoder ----------------------------------------------------------------------------------------------------

    def analyse(self, picture: Tensor, prediction: Prediction, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Latents in steps, before rounding, (B, latents, H/16, W/16) float32, and which transform each block is better
        off with: (B, 1, H/16, W/16), 1 for the fine one, else 0."""
        both = self.transform.analyse(picture - prediction.compensated)
        coarse, fine = (y * gain(quality)[:, :, None, None] for y, gain in zip(both, self.log_gain, strict=True))
        with torch.no_grad():
            choice = coding_cost(fine) + FINE_COST < coding_cost(coarse)
        return torch.where(choice, fine, coarse), choice.to(coarse.dtype)

    def hyper_analyse(self, latents: Tensor) -> Tensor:
        """Hyperlatents before rounding: (B, hyperlatents, ceil(H/64), ceil(W/64))."""
        rows, columns = latents.shape[2:]
        padded = F.pad(torch.log1p(latents.abs()), (0, -columns % 4, 0, -rows % 4))
        return self.hyper_analysis(padded).float()

    def forward(
        self,
        picture: Tensor,
        state: State | None,
        vectors: Tensor | None,
        quality: Tensor,
        hyper_present: Tensor | None = None,
    ) -> tuple[State, Tensor, Tensor]:
        """One frame in training: next state, bits of latents (B,), bits of hyperlatents (B,).

        picture: (B, 96, H/8, W/8) from `planes_to_blocks`; hyper_present: (B,) 0 where an inter frame goes without
        hyperlatents (they are zero then and cost nothing). Bits are those of rounded symbols; their gradient reaches
        latents and means through additive uniform noise (Balle et al. 2017), scales through the rounded symbols.
        """
        batch, _, rows, columns = picture.shape
        prediction = self.predict(state, vectors, batch, rows, columns)
        y, fine = self.analyse(picture, prediction, quality)
        conditions = self.conditions(quality, state, fine)
        z = self.hyper_analyse(y)
        z_rounded = round_straight_through(z)
        z_bits = self._hyper_bits(z, z_rounded, hyper_band(quality, prediction.kind))
        if hyper_present is not None and prediction.kind == INTER:
            z_rounded, z_bits = z_rounded * hyper_present[:, None, None, None], z_bits * hyper_present
        log_scale, mean, hidden = self.prior(z_rounded, prediction, conditions, fine)
        mask = checkerboard(y)
        half = (self._symbols(y - mean, scale_index(log_scale)) + mean) * mask
        log_scale2, mean2 = self.spatial(half, hidden, log_scale, mean, prediction, conditions, fine)
        mean = torch.where(mask, mean, mean2)
        index = scale_index(torch.where(mask, log_scale, log_scale2))
        scale = scale_of_index(index)
        residual = y - mean
        symbols = self._symbols(residual, index)
        bits = gaussian_bits(symbols.detach(), scale)
        noisy = gaussian_bits(residual + torch.rand_like(y) - 0.5, scale.detach())
        bits = bits + noisy - noisy.detach()
        if not self.training:
            bits = bits * (torch.round(index) > density.SURELY_ZERO)
        coded = (symbols.detach() != 0).any(1, keepdim=True)
        next_state = self.reconstruct(symbols + mean, fine, coded, prediction, conditions, quality)
        return next_state, bits.sum((1, 2, 3)), z_bits

    def _symbols(self, residual: Tensor, index: Tensor) -> Tensor:
        """Symbols as they are coded; training also lets those be non-zero that coding leaves out, so that their scales
        can grow again."""
        symbols = quantise(residual, index)
        return symbols if self.training else symbols * (torch.round(index) > density.SURELY_ZERO)

    def _hyper_bits(self, z: Tensor, z_rounded: Tensor, band: Tensor) -> Tensor:
        batch, sets = torch.arange(len(z), device=z.device), 2 * HYPER_BANDS

        def bits(values: Tensor) -> Tensor:
            everywhere = self.hyper_density.bits(values.repeat(1, sets, 1, 1))
            return everywhere.unflatten(1, (sets, -1)).sum((2, 3, 4))[batch, band]

        noisy = bits(z + torch.rand_like(z) - 0.5)
        return bits(z_rounded.detach()) + noisy - noisy.detach()

    def bake(self) -> None:
        """Freeze all quality curves into tables (before export)."""
        for table in self.modules():
            if isinstance(table, QualityTable):
                table.bake()

    def use_baked_tables(self, on: bool = True) -> None:
        """Look quality vectors up instead of computing them: what every decoder does."""
        for table in self.modules():
            if isinstance(table, QualityTable):
                table.use_baked = on


def coding_cost(latents: Tensor) -> Tensor:
    """(B, 1, R, C) rough price of each block in squared steps: error and bits of rounding its latents (B, n, R, C)."""
    magnitude = latents.abs()
    symbols = torch.floor(magnitude + 0.35)
    bits = (symbols > 0) * 3.5 + 1.5 * torch.log2(1 + symbols)
    return ((magnitude - symbols) ** 2 + BIT_PRICE * bits).sum(1, keepdim=True)


def hyper_band(quality: Tensor, kind: int) -> Tensor:
    """(B,) which set of hyperlatent densities a frame uses."""
    return kind * HYPER_BANDS + (quality.long() * HYPER_BANDS // LEVELS)


def checkerboard(y: Tensor) -> Tensor:
    """(1, C, H, W) bool: the latents of the first pass; halves of the channels take opposite squares."""
    _, channels, rows, columns = y.shape
    row, column = torch.arange(rows, device=y.device)[:, None], torch.arange(columns, device=y.device)[None]
    even = (row + column) % 2 == 0
    first = torch.arange(channels, device=y.device)[:, None, None] % 2 == 0
    return (even == first)[None]
