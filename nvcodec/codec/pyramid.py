# SPDX-License-Identifier: Apache-2.0
"""The flagship implicit codec behind the `Codec` protocol: a network and latents fitted to each video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nvcodec.codec.checksum import planes_crc32
from nvcodec.codec.protocol import CodedUnit, EncodeSettings, ModelIdentity, SequenceDecoder, SequenceEncoder
from nvcodec.errors import DamagedStreamError, UnsupportedError, UsageError
from nvcodec.media.types import Frame, VideoFormat

if TYPE_CHECKING:
    from nvcodec.models.implicit.pyramid.decoder import Arrays
    from nvcodec.models.implicit.pyramid.encoder import Pass, Progress, PyramidSettings

SYNTAX_VERSION = 1
PRESETS = ("medium",)
MAX_HELD_NBYTES = 4 << 30  # of frames, which are all held in memory
TYPICAL_STEP, TYPICAL_BPP = 33.0, 0.0226  # where a first pass for a wished size begins (Big Buck Bunny, 640x1280)
HEAD_NBYTES_PER_UNIT = 24  # of a stream, besides payloads; counted when a size is wished for
HEAD_NBYTES = 64


@dataclass(frozen=True)
class _Option:
    """low, high: what is allowed; whole: integers only."""

    low: float
    high: float
    whole: bool = False


OPTIONS = {
    "seconds": _Option(0, 1e6),
    "bpp": _Option(1e-4, 10),
    "target_nbytes": _Option(1, 1e12, whole=True),
    "gop": _Option(1, 1024, whole=True),
    "epochs": _Option(1, 12, whole=True),
    "chroma": _Option(1, 64, whole=True),
    "width": _Option(0, 48, whole=True),
    "span": _Option(0, 32, whole=True),
}


class PyramidCodec:
    """Block motion, a pyramid of latents and a small network, fitted to each video and sent with it."""

    name = "pyramid"
    codec_id = 27
    pixel_exact = True

    def models(self) -> Iterator[ModelIdentity]:
        """None: everything a decoder needs is in the stream."""
        return iter(())

    def model_identity(self, settings: EncodeSettings) -> ModelIdentity | None:
        """None."""
        return None

    def encoder(self, video: VideoFormat, settings: EncodeSettings) -> SequenceEncoder:
        """Encoder of one video. Raises UsageError for settings out of range."""
        if settings.preset not in PRESETS:
            raise UsageError(f"preset is {settings.preset!r}: {', '.join(PRESETS)}")
        return PyramidEncoder(video, settings, _options(settings.options))

    def decoder(
        self, video: VideoFormat, model: ModelIdentity | None, config: bytes, *, threads: int = 0, device: str = "cpu"
    ) -> SequenceDecoder:
        """Decoder of one stream, on the CPU. Raises UnsupportedError for a syntax that is not known here."""
        if config != bytes([SYNTAX_VERSION]):
            raise UnsupportedError(f"pyramid syntax {config.hex() or 'none'}: this build reads {SYNTAX_VERSION:02x}")
        return PyramidDecoder(video, threads)

    def unit_parts(self, payload: bytes) -> dict[str, int]:
        """Bytes of a unit by what they hold: weights of the network, latents (motion too), metadata."""
        from nvcodec.models.implicit.pyramid.units import unit_parts

        return unit_parts(payload)


def _options(given: dict[str, Any]) -> dict[str, float]:
    """Numbers by name. Raises UsageError for other names and for what is out of range."""
    numbers = {}
    for name, value in given.items():
        option = OPTIONS.get(name)
        if option is None:
            raise UsageError(f"codec pyramid has no option {name!r} (it has: {', '.join(OPTIONS)})")
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise UsageError(f"option {name} is {value!r}: a number from {option.low:g} to {option.high:g}") from None
        if not option.low <= number <= option.high or (option.whole and number != int(number)):
            raise UsageError(f"option {name} is {value}: {option.low:g} to {option.high:g}")
        numbers[name] = number
    return numbers


class PyramidEncoder:
    """Holds all frames, then fits; see `StoppableEncoder`."""

    def __init__(self, video: VideoFormat, settings: EncodeSettings, options: dict[str, float]):
        if "bpp" in options and "target_nbytes" in options:
            raise UsageError("bpp and target_nbytes are both given; choose one size")
        self.config = bytes([SYNTAX_VERSION])
        self.interrupted = False
        self.notes: list[str] = []
        self.psnr_db: float | None = None
        self._video, self._settings, self._options = video, settings, options
        self._frames: list[Arrays] = []
        self._fit_settings(1)  # refuses bad options before the first frame

    def encode(self, frame: Frame) -> list[CodedUnit]:
        """Nothing comes out before the last frame was seen. Raises UsageError when frames need too much memory."""
        self._frames.append(frame.planes)
        held = sum(plane.nbytes for plane in frame.planes) * len(self._frames)
        if held > MAX_HELD_NBYTES:
            raise UsageError(
                f"pyramid holds all frames in memory: {len(self._frames)} are {held} bytes, at most {MAX_HELD_NBYTES}; "
                "encode a part with --frames, or a smaller --size"
            )
        return []

    def stop(self) -> bool:
        """Nothing is worth keeping before all frames are here."""
        return False

    def flush(self) -> list[CodedUnit]:
        """All units, GOP by GOP; Ctrl-C keeps what has been coded completely."""
        from nvcodec.models.implicit.pyramid.encoder import GopEncoder

        period = int(self._options.get("gop", self._settings.intra_period or len(self._frames)))
        coded: list[CodedUnit] = []
        scores: list[float] = []
        for number, start in enumerate(range(0, len(self._frames), period)):
            frames = self._frames[start : start + period]
            encoder = GopEncoder(frames, self._fit_settings(len(frames)), self._report(number, len(frames)))
            try:
                result = encoder.encode()
            except KeyboardInterrupt:
                if not coded:
                    raise
                self.interrupted = True
                return coded
            for place, (payload, pictures) in enumerate(result.units):
                crc = planes_crc32(Frame(*planes) for planes in pictures)
                coded.append(CodedUnit(payload, place == 0, len(pictures), crc))
            decoded = [planes for _, pictures in result.units for planes in pictures]
            scores += self._scores(frames, decoded)
            self.notes += encoder.notes
            self.psnr_db = sum(scores) / len(scores)
            if encoder.interrupted:
                self.interrupted = True
                break
        return coded

    def _scores(self, frames: list[Arrays], decoded: list[Arrays]) -> list[float]:
        """PSNR of each frame in RGB."""
        import numpy as np

        from nvcodec.metrics.rgb import rgb_from_planes

        colour, scores = self._video.colour, []
        for pair in zip(frames, decoded, strict=True):
            a, b = (rgb_from_planes(*p, matrix=colour.matrix, full_range=colour.full_range) for p in pair)
            error = float(np.mean((a.astype(np.float32) - b) ** 2))
            scores.append(10 * float(np.log10(255**2 / max(error, 1e-9))))
        return scores

    def _report(self, group: int, frames: int) -> Progress:
        samples = self._video.height * self._video.width * frames

        def report(number: int, done: Pass, seconds: float, seconds_left: float, note: str) -> None:
            if self._settings.on_fit is not None:
                bpp = 8 * done.nbytes / samples
                state = FitProgress(number, None, done.psnr_db, bpp, seconds, max(0.0, seconds_left), note)
                self._settings.on_fit(group, state)

        from nvcodec.models.implicit.fit.loop import FitProgress

        return report

    def _fit_settings(self, frames: int) -> PyramidSettings:
        import os

        from nvcodec.models.implicit.pyramid.encoder import PyramidSettings
        from nvcodec.models.quality import quantisation_step

        options, defaults = self._options, PyramidSettings()
        span = int(options.get("span", defaults.span))
        share = frames / max(1, len(self._frames))
        nbytes: float | None = None
        if "bpp" in options:
            nbytes = options["bpp"] * self._video.width * self._video.height * frames / 8
        elif "target_nbytes" in options:
            nbytes = options["target_nbytes"] * share
        if nbytes is not None:
            units = 1 + -(-(frames - 1) // (span or 4))
            nbytes = max(1, nbytes - HEAD_NBYTES - HEAD_NBYTES_PER_UNIT * units)
        step = float(quantisation_step(self._settings.quality))
        if nbytes is not None:
            bpp = 8 * nbytes / (self._video.width * self._video.height * frames)
            step = float(min(100.0, max(4.0, TYPICAL_STEP * (TYPICAL_BPP / bpp) ** 0.87)))
        return PyramidSettings(
            step=step,
            chroma_ratio=int(options.get("chroma", defaults.chroma_ratio)),
            nbytes=None if nbytes is None else int(nbytes),
            seconds=options.get("seconds", defaults.seconds) * share,
            width=_width(options.get("width", defaults.width)),
            span=span,
            threads=self._settings.threads or os.cpu_count() or 1,
            passes=int(options.get("epochs", defaults.passes)),
        )


def _width(wanted: float) -> int:
    from nvcodec.models.implicit.pyramid.synthesis import WIDTHS

    if wanted and int(wanted) not in WIDTHS:
        raise UsageError(f"option width is {wanted:g}: 0, {', '.join(map(str, WIDTHS))}")
    return int(wanted)


class PyramidDecoder:
    """Units to frames; see `SequenceDecoder`."""

    def __init__(self, video: VideoFormat, threads: int):
        import os

        import torch

        from nvcodec.models.implicit.pyramid.decoder import GopDecoder

        torch.set_num_threads(threads or os.cpu_count() or 1)
        self._decoder = GopDecoder(video.height, video.width)
        self._started = False

    def decode(self, payload: bytes, keyframe: bool) -> list[Frame]:
        """The frames of one unit."""
        if not keyframe and not self._started:
            raise DamagedStreamError("a span of frames stands where a keyframe must")
        frames = [Frame(*planes) for planes in self._decoder.decode(payload, keyframe)]
        self._started = True
        return frames
