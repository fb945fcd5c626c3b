# SPDX-License-Identifier: Apache-2.0
"""One pass of the fit: the whole video through the conditional encoder, at a quality and with filters of its own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nvcodec.codec.checksum import planes_crc32
from nvcodec.media.types import Frame
from nvcodec.metrics.rgb import rgb_from_planes
from nvcodec.models.conditional.frame import Planes
from nvcodec.models.conditional.picture import Statistics
from nvcodec.models.conditional.plans import GROUP
from nvcodec.models.conditional.sequence import Unit, VideoEncoder
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.implicit.pyramid.decoder import FITTED, GopDecoder
from nvcodec.models.implicit.pyramid.fitting import FilterSums
from nvcodec.models.implicit.pyramid.taps import read_filters
from nvcodec.models.implicit.pyramid.wish import Measured
from nvcodec.stream.fields import write_varint


@dataclass(frozen=True)
class Video:
    """Frames in display order, and how their planes become RGB."""

    frames: list[Planes]
    matrix: int
    full_range: bool

    @property
    def height(self) -> int:
        """Of luma."""
        return self.frames[0][0].shape[0]

    @property
    def width(self) -> int:
        """Of luma."""
        return self.frames[0][0].shape[1]

    def facts(self) -> dict[str, Any]:
        """What tells it from other videos."""
        digest = hashlib.sha256()
        for plane in (plane for planes in self.frames for plane in planes):
            digest.update(np.ascontiguousarray(plane).data)
        size = f"{self.width}x{self.height}"
        return {"picture": size, "frames": len(self.frames), "source": digest.hexdigest()}


@dataclass(frozen=True)
class PassSettings:
    """What all passes over a video have in common. intra_period: 0 for keyframes at cuts only."""

    preset: str
    intra_period: int
    threads: int

    def facts(self) -> dict[str, Any]:
        """What decides what passes make."""
        return {"preset": self.preset, "intra period": self.intra_period}


@dataclass(frozen=True)
class CodedFrames:
    """A unit as it stands in the stream."""

    payload: bytes
    keyframe: bool
    frames: int
    planes_crc32: int


@dataclass
class Pass:
    """What a pass made: the quality and filters (as bytes) it was made with, units, PSNR in RGB of frames looked at,
    and the middle frame."""

    quality: float
    filters: bytes
    units: list[CodedFrames] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    middle: Planes | None = None

    @property
    def nbytes(self) -> int:
        """Of all payloads."""
        return sum(len(unit.payload) for unit in self.units)

    @property
    def frames(self) -> int:
        """How many came out."""
        return sum(unit.frames for unit in self.units)

    @property
    def keyframes(self) -> int:
        """How many there are."""
        return sum(unit.keyframe for unit in self.units)

    @property
    def psnr_db(self) -> float:
        """Mean of the frames that were looked at."""
        return float(np.mean(self.scores)) if self.scores else math.nan

    @property
    def measured(self) -> Measured:
        """In four numbers."""
        return Measured(self.quality, self.filters, self.nbytes, self.psnr_db)


class _Encoder(VideoEncoder):
    """The conditional encoder, of which groups may differ by a level, and which lets `FilterSums` look on."""

    def __init__(self, weights: Weights, video: Video, quality: int, settings: PassSettings, sums: FilterSums | None):
        super().__init__(
            weights, video.height, video.width, quality, intra_period=settings.intra_period, preset=settings.preset,
            threads=settings.threads,
        )  # fmt: skip
        if sums is not None:
            self._analyser.statistics = Statistics(keep_residuals=False, keep_frames=True, frames=sums)  # type: ignore[arg-type]

    def ask(self, quality: int) -> None:
        """The quality of frames that are looked at from now on."""
        self._analyser.quality = quality


def run_pass(
    video: Video, weights: Weights, settings: PassSettings, sums: FilterSums | None, every: int, result: Pass
) -> None:
    """Code all frames into ``result``, whose quality and filters are set already, and which holds what came out when
    Ctrl-C ends it early.

    Of a quality between whole ones groups take those on both sides in turn. sums: sees each frame before restoration;
    every: how many frames there are to one that PSNR looks at.
    """
    bases = replace(weights.bases, filters=read_filters(result.filters, weights.bases.filters))
    whole, part = math.floor(result.quality), result.quality - math.floor(result.quality)
    encoder = _Encoder(replace(weights, bases=bases), video, whole, settings, sums)
    try:
        for number, planes in enumerate(video.frames):
            group = number // GROUP
            encoder.ask(whole + math.floor((group + 1) * part) - math.floor(group * part))
            _take(encoder.push(planes), video, every, result)
        _take(encoder.flush(), video, every, result)
    except BaseException:
        encoder.abandon()
        raise


def _take(units: list[Unit], video: Video, every: int, result: Pass) -> None:
    """Keep what came out, but for its planes."""
    filters = result.filters
    for unit in units:
        head = bytes([FITTED]) + write_varint(len(filters)) + filters if unit.keyframe and filters else b""
        crc = planes_crc32(Frame(*planes) for planes in unit.planes)
        for number, planes in enumerate(unit.planes, result.frames):
            if number % every == 0:
                result.scores.append(rgb_psnr_db(video, number, planes))
            if number == len(video.frames) // 2:
                result.middle = planes
        result.units.append(CodedFrames(head + unit.payload, unit.keyframe, len(unit.planes), crc))


def rgb_psnr_db(video: Video, number: int, planes: Planes) -> float:
    """PSNR of a decoded frame in 8-bit RGB."""
    a, b = (
        rgb_from_planes(*p, matrix=video.matrix, full_range=video.full_range) for p in (video.frames[number], planes)
    )
    difference = a.astype(np.int16) - b
    error = float(np.mean(np.square(difference, dtype=np.int32)))
    return 10 * math.log10(255**2 / max(error, 1e-9))


def decoded(units: list[CodedFrames], weights: Weights, video: Video, threads: int) -> Iterator[Planes]:
    """Planes of units, as a decoder makes them."""
    decoder = GopDecoder(weights, video.height, video.width, threads)
    for unit in units:
        yield from decoder.rebuild(decoder.read(unit.payload, unit.keyframe))
