# SPDX-License-Identifier: Apache-2.0
"""The network of the conditional codec, one model for intra and inter frames and all quality levels.

Everything happens at 1/8 of the luma resolution and below. One inter frame:

    previous frame ─ block vectors ─► prediction ─┐
    memory ───────── block vectors ─► warped ─────┴► context ─► refined prediction ─┐
                                                      │                            │
    frame ──────────────────────────────────────────  │ ──────────► residual ◄─────┘
                                                      ▼                │
    hyperlatents z ◄─ hyper analysis ◄── latents y ◄─ analysis ◄───────┘
          └─► prior (z, context, last latents) ─► scales, means ─► two checkerboard passes ─► rounded latents
                                                                                                 │
    next state ◄─ memory ◄─ feature ◄─ synthesis (latents, context) ◄────────────────────────────┤
    next frame ◄───────────── refined prediction + linear synthesis + learned correction ◄───────┘

An intra frame is the same with an empty prediction and a learned constant memory. All layers on the decoding side are
exact (see nvcodec.models.exact); analysis and hyper analysis need not be.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nvcodec.models.blocks import Block, Down, Project, Up, blocks, scale_init
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
HYPER_BANDS = 4  # hyperlatents have a density for each kind of frame and quarter of the quality range


@dataclass(frozen=True)
class NetworkConfig:
    """Widths of the network."""

    channels: int = 96  # feature maps at 1/8
    latents: int = 288  # at 1/16
    hyperlatents: int = 32  # at 1/64
    prior_channels: int = 192  # at 1/16
    spatial_means: int = 64  # leading latents whose means are also predicted in units of their own deviation

    def to_dict(self) -> dict[str, int]:
        """As plain numbers, for the weight file's metadata."""
        return asdict(self)


@dataclass
class State:
    """What one frame hands to the next: ``blocks`` (B, 96, H/8, W/8) the reconstruction on whole sample values,
    ``memory`` (B, C, H/8, W/8) on the activation grid, ``latents`` (B, latents, H/16, W/16) rounded, in steps, and
    ``quality`` (B,) the level it was coded at."""

    blocks: Tensor
    memory: Tensor
    latents: Tensor
    quality: Tensor


@dataclass
class Prediction:
    """What encoder and decoder both know before a frame's latents are coded."""

    kind: int
    compensated: Tensor
    refined: Tensor
    context: Tensor
    latents_before: Tensor
    still: Tensor | None  # (B, 1, H/8, W/8) bool: blocks that did not move (None for intra)


@dataclass
class Conditions:
    """Per-level vectors of one frame's quality, each (B, n, 1, 1)."""

    gain: Tensor
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
        self.context_blocks = blocks(2, c)
        self.refine = Project(c, BLOCK_CHANNELS, 0.002)

        self.analysis = nn.Sequential(Project(2 * BLOCK_CHANNELS + c, c), blocks(2, c))
        self.analysis_out = Down(c, n)
        scale_init(self.analysis_out.project.conv, 0.005)

        self.hyper_analysis = nn.Sequential(Project(n, 96), Block(96), Down(96, z), Block(z), Down(z, z))
        self.hyper_synthesis = nn.Sequential(Up(z, z), Block(z), Up(z, 96), Block(96))
        self.hyper_density = FactorizedDensity(2 * HYPER_BANDS * z)

        self.temporal_prior = Down(c, 96)
        self.prior_in = Project(96 + 96 + n, hidden)
        self.prior_blocks = blocks(2, hidden)
        self.prior_out = Project(hidden, 2 * n, 0.05)
        self.spatial_in = Project(n + config.spatial_means + hidden, hidden)
        self.spatial_block = Block(hidden)
        self.spatial_out = Project(hidden, 2 * n + config.spatial_means, 0.05)

        self.synthesis_in = Up(n, c)
        self.synthesis = nn.Sequential(Project(2 * c, c), blocks(3, c))
        self.correct = nn.Sequential(Block(c), Project(c, BLOCK_CHANNELS, 0.002))
        self.remember = nn.Sequential(Project(2 * c, c), Block(c))

        zeros = torch.zeros(NODES, 1)
        self.log_gain = QualityTable(-log_steps(n), exponential=True)
        self.log_step = QualityTable(log_steps(n), exponential=True)
        self.log_scale = nn.ModuleList(QualityTable(zeros.repeat(1, n)) for _ in range(2))
        self.log_deviation = QualityTable(zeros.repeat(1, config.spatial_means), exponential=True)
        self.feature_gain = nn.ModuleList(QualityTable(zeros.repeat(1, c), exponential=True) for _ in range(2))
        self.prior_bias = nn.ModuleList(QualityTable(zeros.repeat(1, hidden)) for _ in range(2))
        # by how much finer or coarser than this frame the one before it was coded
        self.reference_scale = QualityTable(zeros.repeat(1, n))
        self.reference_bias = QualityTable(zeros.repeat(1, hidden))

    def start(self, basis: Tensor, deviations: Tensor) -> None:
        """Begin as a classical codec: basis (384, >= latents), deviations (2, latents) of intra and inter
        coefficients in sample values."""
        self.transform.start(basis)
        steps = log_steps(self.config.latents)
        with torch.no_grad():
            for kind in (INTRA, INTER):
                deviation = torch.sqrt(deviations[kind] ** 2 + kind * 0.08 * steps.exp() ** 2)
                self.log_scale[kind].nodes.copy_(deviation.log() - steps)
            leading = self.config.spatial_means
            self.log_deviation.nodes.copy_(deviations[INTRA, :leading].log() - steps[:, :leading])

    # ---- both sides -------------------------------------------------------------------------------------------------

    def conditions(self, quality: Tensor, state: State | None) -> Conditions:
        """quality: (B,) level 0..63 of this frame; state: of the frame before, None for an intra frame."""
        kind = INTRA if state is None else INTER
        tables = (self.log_gain, self.log_step, self.log_scale[kind], self.log_deviation, self.feature_gain[kind],
                  self.prior_bias[kind])  # fmt: skip
        conditions = Conditions(*(table(quality)[:, :, None, None] for table in tables))
        if state is not None:
            difference = ((state.quality - quality) + LEVELS // 2).clamp(0, LEVELS - 1)
            conditions.log_scale = conditions.log_scale + self.reference_scale(difference)[:, :, None, None]
            conditions.prior = conditions.prior + self.reference_bias(difference)[:, :, None, None]
        return conditions

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
        refined = compensated + self.refine(context).float()
        return Prediction(kind, compensated, refined, context, before, still)

    def prior(self, z: Tensor, prediction: Prediction, conditions: Conditions) -> tuple[Tensor, Tensor, Tensor]:
        """First-pass position in the scale table and mean of every latent, and the prior's feature, at 1/16."""
        rows, columns = prediction.latents_before.shape[2:]
        hyper = self.hyper_synthesis(z)[:, :, :rows, :columns]
        temporal = self.temporal_prior(prediction.context * conditions.feature.to(prediction.context.dtype))
        features = torch.cat([hyper, temporal.to(hyper.dtype), prediction.latents_before.abs().to(hyper.dtype)], 1)
        hidden = self.prior_blocks(self.prior_in(features) + conditions.prior.to(hyper.dtype))
        log_scale, mean = self.prior_out(hidden).float().chunk(2, 1)
        return log_scale + conditions.log_scale, mean, hidden

    def spatial(
        self,
        half: Tensor,
        hidden: Tensor,
        log_scale: Tensor,
        mean: Tensor,
        prediction: Prediction,
        conditions: Conditions,
    ) -> tuple[Tensor, Tensor]:
        """Second-pass scale and mean from the latents of the first (``half``, zero elsewhere)."""
        leading = self.config.spatial_means
        normalised = half[:, :leading] / conditions.deviation
        features = torch.cat([half.to(hidden.dtype), normalised.to(hidden.dtype), hidden], 1)
        out = self.spatial_out(self.spatial_block(self.spatial_in(features))).float()
        more_scale, more_mean, wide_mean = out.split([mean.shape[1], mean.shape[1], leading], 1)
        mean = mean + more_mean
        if prediction.kind == INTRA:
            mean = torch.cat([mean[:, :leading] + wide_mean * conditions.deviation, mean[:, leading:]], 1)
        return log_scale + more_scale, mean

    def reconstruct(
        self, latents: Tensor, coded: Tensor, prediction: Prediction, conditions: Conditions, quality: Tensor
    ) -> State:
        """The next state from a frame's rounded latents.

        coded: (B, 1, H/16, W/16) bool, blocks with a non-zero symbol. A block that neither moved nor was coded is
        copied, so that what stands still stays exactly as it is.
        """
        coefficients = latents * conditions.step
        context = prediction.context
        feature = self.synthesis(torch.cat([self.synthesis_in(coefficients * (1 / 16)).to(context.dtype), context], 1))
        feature = feature * conditions.feature.to(feature.dtype)
        change = self.correct(feature).float() + self.transform.synthesise(coefficients)
        picture = prediction.refined + change
        if prediction.still is not None:
            copied = prediction.still & ~F.interpolate(coded.float(), scale_factor=2, mode="nearest").bool()
            picture = torch.where(copied, prediction.compensated, picture)
        picture = round_straight_through(picture * 16).clamp(-128, 127) * (1 / 16)
        memory = to_activation(self.remember(torch.cat([context, feature], 1)).float())
        return State(picture, memory, latents, quality)

    # ---- encoder ----------------------------------------------------------------------------------------------------

    def analyse(self, picture: Tensor, prediction: Prediction, conditions: Conditions) -> Tensor:
        """Latents in steps, before rounding: (B, latents, H/16, W/16) float32."""
        residual = picture - prediction.refined
        context = prediction.context
        inputs = torch.cat([residual.to(context.dtype), prediction.refined.to(context.dtype), context], 1)
        learned = self.analysis_out(self.analysis(inputs) * conditions.feature.to(context.dtype)).float()
        return (self.transform.analyse(residual) + 16 * learned) * conditions.gain

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
        conditions = self.conditions(quality, state)
        y = self.analyse(picture, prediction, conditions)
        z = self.hyper_analyse(y)
        z_rounded = round_straight_through(z)
        z_bits = self._hyper_bits(z, z_rounded, hyper_band(quality, prediction.kind))
        if hyper_present is not None and prediction.kind == INTER:
            z_rounded, z_bits = z_rounded * hyper_present[:, None, None, None], z_bits * hyper_present
        log_scale, mean, hidden = self.prior(z_rounded, prediction, conditions)
        mask = checkerboard(y)
        half = (self._symbols(y - mean, scale_index(log_scale)) + mean) * mask
        log_scale2, mean2 = self.spatial(half, hidden, log_scale, mean, prediction, conditions)
        mean = torch.where(mask, mean, mean2)
        index = scale_index(torch.where(mask, log_scale, log_scale2))
        scale = scale_of_index(index)
        residual = y - mean
        symbols = self._symbols(residual, index)
        bits = gaussian_bits(symbols.detach(), scale)
        noisy = gaussian_bits(residual + torch.rand_like(y) - 0.5, scale.detach())
        bits = bits + noisy - noisy.detach()
        coded = (symbols.detach() != 0).any(1, keepdim=True)
        next_state = self.reconstruct(symbols + mean, coded, prediction, conditions, quality)
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
