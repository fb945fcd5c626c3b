# SPDX-License-Identifier: Apache-2.0
"""How fast neural video codecs are on this machine's processor: ours as it is, others as networks of their shapes.

    python scripts/peer_speed.py [--size 640x360] [--threads 2] [--seconds 10]

Speed does not depend on what weights are, so the others have random ones. DCVC-RT (Jia et al. 2025), DCVC-UF LD (Li et
al. 2026) and MLVC-S (Microsoft 2026) are written here as plain PyTorch in single precision, with the layers and widths
of the published code, one inter frame at a time, networks only: their own speeds need CUDA kernels in half precision,
and entropy coding comes on top. CompressAI's ssf2020 is the model of its zoo, entropy coding included. Ours is the
whole command, `nvc bench`. MACs are multiplications of convolutions, for each luma sample.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nvcodec.cli.values import picture_size, positive_number, whole_number

SHUFFLE = 8  # all work at an eighth of the resolution
COLOURS = 3 * SHUFFLE**2
STRIDE = 64  # of hyperlatents


@dataclass(frozen=True)
class BlockKind:
    """Widths inside a block, relative to its own: of the depthwise part, of the second part before and after chunks are
    brought together (by a sum, or the first gating the second)."""

    depthwise: float
    wide: float
    narrow: float
    gated: bool = False


RT, UF, MLVC = BlockKind(1, 4, 2), BlockKind(0.5, 2, 0.5), BlockKind(1, 4, 2, gated=True)


class Block(nn.Module):
    """1x1, depthwise 3x3, 1x1 and a shortcut; 1x1, chunks, 1x1 and a shortcut; first a 1x1 where widths differ."""

    def __init__(self, kind: BlockKind, before: int, width: int):
        super().__init__()
        self.adapt = nn.Conv2d(before, width, 1) if before != width else nn.Identity()
        inside, wide, narrow = (int(share * width) for share in (kind.depthwise, kind.wide, kind.narrow))
        self.first, self.across = nn.Conv2d(width, inside, 1), nn.Conv2d(inside, inside, 3, padding=1, groups=inside)
        self.last, self.wide, self.narrow = (
            nn.Conv2d(inside, width, 1),
            nn.Conv2d(width, wide, 1),
            nn.Conv2d(narrow, width, 1),
        )
        self.gated, self.chunks = kind.gated, wide // narrow

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, H, W) to (N, width, H, W)."""
        x = self.adapt(x)
        x = x + self.last(self.across(F.silu(self.first(x))))
        parts = self.wide(x).chunk(self.chunks, 1)
        mixed = parts[0].clamp(0, 1) * parts[1] if self.gated else sum(F.silu(part) for part in parts)
        return x + self.narrow(mixed)


def blocks(kind: BlockKind, *widths: int) -> nn.Sequential:
    """Blocks from each width to the next."""
    return nn.Sequential(*(Block(kind, a, b) for a, b in pairwise(widths)))


def up(before: int, after: int, kernel: int = 1) -> nn.Sequential:
    """To twice the resolution."""
    return nn.Sequential(nn.Conv2d(before, 4 * after, kernel, padding=kernel // 2), nn.PixelShuffle(2))


def down(before: int, after: int, kind: BlockKind) -> nn.Sequential:
    """To half the resolution, and a block."""
    return nn.Sequential(nn.Conv2d(before, after, 2, stride=2), Block(kind, after, after))


class Conditional(nn.Module):
    """What these codecs have in common: a context from the features of the frame before, a conditional analysis and
    synthesis transform, a hyperprior with a temporal and a two-step spatial prior, and a network that makes the frame.

    context: from kept features to what is known of the frame (H/8); hyper_down, hyper_up: between latents (H/16) and
    hyperlatents (H/64).
    """

    def __init__(
        self, kind: BlockKind, context: nn.Sequential, kept: int, width: int, latents: int, recon: nn.Sequential,
        hyper_down: nn.Sequential, hyper_up: nn.Sequential, fusion: tuple[int, ...], spatial: tuple[int, ...],
        synthesis_out: int, kernel: int = 3,
    ):  # fmt: skip
        super().__init__()
        self.kept, self.latents = kept, latents
        self.context, self.recon = context, recon
        self.analysis_in = nn.Conv2d(COLOURS, width, 1)
        self.analysis = blocks(kind, 2 * width, width, width, width)
        self.analysis_down = nn.Conv2d(width, latents, 3, stride=2, padding=1)
        self.hyper_down, self.hyper_up = hyper_down, hyper_up
        self.temporal = down(width, 2 * latents, kind)
        self.fusion = nn.Sequential(blocks(kind, *fusion[:-1]), nn.Conv2d(fusion[-2], fusion[-1], 1))
        self.spatial = nn.Sequential(blocks(kind, *spatial[:-1]), nn.Conv2d(spatial[-2], spatial[-1], 1))
        self.synthesis_up = up(latents, width, kernel)
        self.synthesis = blocks(kind, 2 * width, width, width, width)
        self.synthesis_out = nn.Conv2d(width, synthesis_out, 1)

    def encode(self, x: Tensor, features: Tensor) -> Tensor:
        """All that an encoder runs, its own reconstruction with it."""
        context = self.context(features)
        y = self.analysis(torch.cat([self.analysis_in(F.pixel_unshuffle(x, SHUFFLE)), context], 1))
        y = self.analysis_down(y)
        return self._rest(self.hyper_down(y), y, context)

    def decode(self, z: Tensor, y: Tensor, features: Tensor) -> Tensor:
        """All that a decoder runs; y: latents, as the entropy coder brought them."""
        return self._rest(z, y, self.context(features))

    def _rest(self, z: Tensor, y: Tensor, context: Tensor) -> Tensor:
        prior = self.fusion(torch.cat([self.hyper_up(z), self.temporal(context)], 1))
        self.spatial(torch.cat([prior, y], 1))
        made = self.synthesis_out(self.synthesis(torch.cat([self.synthesis_up(y), context], 1)))
        return F.pixel_shuffle(self.recon(made[:, : self.kept]), SHUFFLE)


def dcvc_rt() -> Conditional:
    """DCVC-RT's inter model."""
    recon = nn.Sequential(blocks(RT, 256, 320, 320, 320, 320), nn.Conv2d(320, COLOURS, 1))
    context = nn.Sequential(nn.Conv2d(256, 256, 1), blocks(RT, *[256] * 7))
    hyper_down = nn.Sequential(Block(RT, 128, 128), down(128, 128, RT), down(128, 128, RT))
    hyper_up = nn.Sequential(up(128, 128), Block(RT, 128, 128), up(128, 128), blocks(RT, 128, 128, 128))
    return Conditional(
        RT, context, 256, 256, 128, recon, hyper_down, hyper_up, (384, 384, 384, 384, 384), (512, 384, 384, 256), 256
    )


def dcvc_uf_ld() -> Conditional:
    """DCVC-UF's low-delay model: memory and features in, 4 + 5 blocks to the context."""
    recon = nn.Sequential(blocks(UF, 256, 256, 256, 256), nn.Conv2d(256, COLOURS, 1))
    context = blocks(UF, 512, *[256] * 9)
    hyper_down = nn.Sequential(Block(UF, 128, 128), down(128, 128, UF), down(128, 128, UF))
    hyper_up = nn.Sequential(up(128, 128), Block(UF, 128, 128), up(128, 128), blocks(UF, 128, 128, 128))
    return Conditional(
        UF,
        context,
        256,
        256,
        128,
        recon,
        hyper_down,
        hyper_up,
        (384, 384, 384, 384, 384),
        (512, 256, 256, 128),
        256,
        kernel=1,
    )


def mlvc_s() -> Conditional:
    """MLVC-S: 48 features kept, gates for a memory."""
    recon = nn.Sequential(blocks(MLVC, 48, 192, 192, 192, 192), nn.Conv2d(192, COLOURS, 1))
    context = nn.Sequential(nn.Conv2d(48, 48, 1), blocks(MLVC, 48, 192, 192))
    hyper_down = nn.Sequential(nn.Conv2d(48, 48, 2, stride=2), nn.Conv2d(48, 48, 2, stride=2))
    return Conditional(
        MLVC, context, 48, 192, 48, recon, hyper_down, nn.Sequential(up(48, 48), up(48, 48)),
        (144, 144, 144, 144, 96), (144, 128, 128, 48), 144,
    )  # fmt: skip


KEPT_AND_MEMORY = {"DCVC-UF LD": 512}
NETWORKS: dict[str, Callable[[], Conditional]] = {
    "DCVC-RT": dcvc_rt,
    "DCVC-UF LD": dcvc_uf_ld,
    "MLVC-S": mlvc_s,
}


@dataclass(frozen=True)
class Row:
    """One line of the table; kmacs: thousands for each sample of luma."""

    name: str
    parameters: int | None
    kmacs: tuple[float, float] | None
    encode_fps: float
    decode_fps: float


def seconds_of(work: Callable[[], object], budget: float) -> float:
    """Of one run, the least of as many as there is time for, two at least; one run before them does not count."""
    work()
    times, end = [], time.monotonic() + budget
    while len(times) < 2 or time.monotonic() < end:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def macs_of(model: nn.Module, work: Callable[[], object]) -> int:
    """Multiplications of convolutions in one run."""
    total = 0

    def count(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        positions = given[0] if isinstance(layer, nn.ConvTranspose2d) else out
        total += layer.weight.numel() * positions.shape[-1] * positions.shape[-2]

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    work()
    for hook in hooks:
        hook.remove()
    return total


def network_row(name: str, width: int, height: int, budget: float) -> Row:
    """A network of a published shape."""
    model = NETWORKS[name]().eval()
    wide, high = (-(-side // STRIDE) * STRIDE for side in (width, height))
    x = torch.rand(1, 3, high, wide)
    features = torch.randn(1, KEPT_AND_MEMORY.get(name, model.kept), high // 8, wide // 8)
    y = torch.randn(1, model.latents, high // 16, wide // 16)
    z = model.hyper_down(y)
    encode, decode = lambda: model.encode(x, features), lambda: model.decode(z, y, features)
    assert encode().shape == x.shape == decode().shape
    kmacs = tuple(macs_of(model, work) / (1000 * width * height) for work in (encode, decode))
    fps = [1 / seconds_of(work, budget) for work in (encode, decode)]
    return Row(name, sum(p.numel() for p in model.parameters()), (kmacs[0], kmacs[1]), *fps)


def ssf2020_row(width: int, height: int, budget: float) -> Row:
    """CompressAI's scale-space flow, with its entropy coding."""
    from compressai.models.video import ScaleSpaceFlow

    model = ScaleSpaceFlow().eval()
    model.update(force=True)
    wide, high = (-(-side // 128) * 128 for side in (width, height))
    before, x = torch.rand(1, 3, high, wide), torch.rand(1, 3, high, wide)
    _, coded = model.encode_inter(x, before)
    encode, decode = (
        lambda: model.encode_inter(x, before),
        lambda: model.decode_inter(before, coded["strings"], coded["shape"]),
    )
    kmacs = tuple(macs_of(model, work) / (1000 * width * height) for work in (encode, decode))
    fps = [1 / seconds_of(work, budget) for work in (encode, decode)]
    return Row("ssf2020", sum(p.numel() for p in model.parameters()), (kmacs[0], kmacs[1]), *fps)


def our_row(width: int, height: int, threads: int, preset: str) -> Row:
    """Ours, from frames to a file and back."""
    command = [sys.executable, "-m", "nvcodec", "bench", "--size", f"{width}x{height}", "-q", "24", "--json"]
    command += ["--threads", str(threads), "--preset", preset]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    (size,) = json.loads(done.stdout)["results"]
    return Row(f"nvc conditional, {preset}", None, None, size["encode"]["fps"], size["decode"]["fps"])


def markdown(rows: list[Row]) -> str:
    """The table."""
    lines = [
        "| codec | parameters | kMAC/pixel, encode | decode | encode fps | decode fps |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        size = "" if row.parameters is None else f"{row.parameters / 1e6:.1f}M"
        macs = ["", ""] if row.kmacs is None else [f"{value:.0f}" for value in row.kmacs]
        lines.append(f"| {row.name} | {size} | {macs[0]} | {macs[1]} | {row.encode_fps:.2f} | {row.decode_fps:.2f} |")
    return "\n".join(lines)


def main() -> int:
    """Time one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=picture_size, default=(640, 360), metavar="WxH")
    parser.add_argument("--threads", type=whole_number("threads", 1), default=2, metavar="N")
    parser.add_argument("--seconds", type=positive_number("seconds"), default=10.0, metavar="S", help="for each figure")
    args = parser.parse_args()
    (width, height), threads = args.size, args.threads
    torch.set_num_threads(threads)
    rows = [our_row(width, height, threads, preset) for preset in ("medium", "fast")]
    with torch.inference_mode():
        rows += [network_row(name, width, height, args.seconds) for name in NETWORKS]
        rows.append(ssf2020_row(width, height, args.seconds))
    print(f"{width}x{height}, {threads} thread(s)\n")
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
