# SPDX-License-Identifier: Apache-2.0
"""The flagship implicit codec behind the `Codec` protocol: the conditional codec, fitted to each video in passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvcodec.codec.protocol import CodedUnit, EncodeSettings, ModelIdentity, SequenceDecoder, SequenceEncoder
from nvcodec.errors import DamagedStreamError, UnsupportedError, UsageError
from nvcodec.media.types import Frame, VideoFormat
from nvcodec.models import zoo

if TYPE_CHECKING:
    from nvcodec.models.implicit.pyramid.decoder import ReadUnit
    from nvcodec.models.implicit.pyramid.encoder import Report
    from nvcodec.models.implicit.pyramid.passes import CodedFrames, Pass, PassSettings
    from nvcodec.models.implicit.pyramid.wish import Wish

SYNTAX_VERSION = 9  # those before were never released
MODEL = "conditional-s"
PRESETS = ("fast", "medium", "slow")
MAX_HELD_NBYTES = 4 << 30  # of frames, which are all held in memory
HEAD_NBYTES_PER_UNIT = 20  # of a stream, besides payloads; counted when a size is wished for
HEAD_NBYTES = 100
GROUP = 8  # frames of a unit, at least: units are counted by it when a size is wished for


@dataclass(frozen=True)
class _Option:
    """low, high: what is allowed; whole: integers only."""

    low: float
    high: float
    whole: bool = False


OPTIONS = {
    "seconds": _Option(0, 1e6),
    "bpp": _Option(1e-5, 10),
    "target_nbytes": _Option(1, 1e12, whole=True),
    "psnr_db": _Option(1, 99),
    "gop": _Option(1, 1 << 20, whole=True),
    "epochs": _Option(1, 24, whole=True),
}
FILES = ("resume", "preview")  # options that name one
GOALS = ("bpp", "target_nbytes", "psnr_db")


class PyramidCodec:
    """Block motion and latents in a pyramid of time, and filters fitted to each video and sent with it."""

    name = "pyramid"
    codec_id = 27
    pixel_exact = True

    def models(self) -> Iterator[ModelIdentity]:
        """The weights it starts from."""
        model = zoo.find(MODEL)
        yield ModelIdentity(model.name, model.sha256)

    def model_identity(self, settings: EncodeSettings) -> ModelIdentity:
        """The weights it starts from."""
        model = zoo.find(MODEL)
        return ModelIdentity(model.name, model.sha256)

    def encoder(self, video: VideoFormat, settings: EncodeSettings) -> SequenceEncoder:
        """Encoder of one video. Raises UsageError for settings out of range."""
        if settings.preset not in PRESETS:
            raise UsageError(f"preset is {settings.preset!r}: {', '.join(PRESETS)}")
        return PyramidEncoder(video, settings, _options(settings.options), self.model_identity(settings))

    def decoder(
        self, video: VideoFormat, model: ModelIdentity | None, config: bytes, *, threads: int = 0, device: str = "cpu"
    ) -> SequenceDecoder:
        """Decoder of one stream, on the CPU. Raises UnsupportedError when its weights or syntax are not here."""
        if config != bytes([SYNTAX_VERSION]):
            raise UnsupportedError(f"pyramid syntax {config.hex() or 'none'}: this build reads {SYNTAX_VERSION:02x}")
        if model is None:
            raise DamagedStreamError("a pyramid stream names no model")
        return PyramidDecoder(video, model, threads)

    def unit_parts(self, payload: bytes) -> dict[str, int]:
        """Bytes of a unit by what they hold: fitted weights, latents (decisions too), metadata."""
        from nvcodec.models.implicit.pyramid.decoder import split_unit

        filters, begin = split_unit(payload)
        metadata = begin - len(filters)
        return {"weights": len(filters), "latents": len(payload) - begin, "metadata": metadata}


def _options(given: dict[str, Any]) -> dict[str, float]:
    """Numbers by name. Raises UsageError for other names and for what is out of range."""
    numbers = {}
    for name, value in given.items():
        option = OPTIONS.get(name)
        if name in FILES:
            continue
        if option is None:
            raise UsageError(f"codec pyramid has no option {name!r} (it has: {', '.join([*OPTIONS, *FILES])})")
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise UsageError(f"option {name} is {value!r}: a number from {option.low:g} to {option.high:g}") from None
        if not option.low <= number <= option.high or (option.whole and number != int(number)):
            raise UsageError(f"option {name} is {value}: {option.low:g} to {option.high:g}")
        numbers[name] = number
    goals = [name for name in GOALS if name in numbers]
    if len(goals) > 1:
        raise UsageError(f"{' and '.join(goals)} are both given; choose one")
    return numbers


class PyramidEncoder:
    """Holds all frames, then fits; see `StoppableEncoder`."""

    def __init__(self, video: VideoFormat, settings: EncodeSettings, options: dict[str, float], model: ModelIdentity):
        from nvcodec.compiled import announce

        announce()
        self.config = bytes([SYNTAX_VERSION])
        self.interrupted = False
        self.notes: list[str] = []
        self.psnr_db: float | None = None
        self._weights = zoo.load(model.name, model.sha256)
        self._video, self._settings, self._options = video, settings, options
        self._frames: list[Frame] = []

    def encode(self, frame: Frame) -> list[CodedUnit]:
        """Nothing comes out before the last frame was seen. Raises UsageError when frames need too much memory."""
        self._frames.append(frame)
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
        """All units; Ctrl-C keeps the best pass, or what there is of the first."""
        from nvcodec.models.implicit.pyramid.encoder import VideoFit
        from nvcodec.models.implicit.pyramid.passes import Video

        colour = self._video.colour
        video = Video([frame.planes for frame in self._frames], colour.matrix, colour.full_range)
        resume, preview = (Path(path) if path else None for path in map(self._settings.options.get, FILES))
        fit = VideoFit(video, self._weights, self._wish(), self._pass_settings(), self._report(), resume, preview)
        best = fit.run()
        self.interrupted, self.notes = fit.interrupted, fit.notes
        self.psnr_db = fit.psnr_db(best)
        return [_coded(unit) for unit in best.units]

    def _pass_settings(self) -> PassSettings:
        from nvcodec.models.implicit.pyramid.passes import PassSettings

        period = int(self._options.get("gop", self._settings.intra_period))
        return PassSettings(self._settings.preset, period, self._settings.threads)

    def _wish(self) -> Wish:
        from nvcodec.models.implicit.pyramid.wish import Wish

        options, count = self._options, len(self._frames)
        nbytes = options.get("target_nbytes")
        if "bpp" in options:
            nbytes = options["bpp"] * self._video.width * self._video.height * count / 8
        if nbytes is not None:
            units = 1 + -(-(count - 1) // GROUP)
            nbytes = max(1, nbytes - HEAD_NBYTES - HEAD_NBYTES_PER_UNIT * units)
        return Wish(
            quality=self._settings.quality,
            nbytes=None if nbytes is None else int(nbytes),
            psnr_db=options.get("psnr_db"),
            seconds=options.get("seconds", Wish.seconds),
            passes=int(options.get("epochs", 0)),
        )

    def _report(self) -> Report:
        from nvcodec.models.implicit.fit.progress import FitProgress

        samples = self._video.height * self._video.width * len(self._frames)

        def report(number: int, done: Pass, seconds: float, seconds_left: float, note: str) -> None:
            if self._settings.on_fit is not None:
                bpp = 8 * done.nbytes / samples
                self._settings.on_fit(0, FitProgress(number, None, done.psnr_db, bpp, seconds, seconds_left, note))

        return report


def _coded(unit: CodedFrames) -> CodedUnit:
    return CodedUnit(unit.payload, unit.keyframe, unit.frames, unit.planes_crc32)


class PyramidDecoder:
    """Units to frames; see `SequenceDecoder` and `AheadDecoder`."""

    def __init__(self, video: VideoFormat, model: ModelIdentity, threads: int):
        from nvcodec.compiled import announce
        from nvcodec.models.implicit.pyramid.decoder import GopDecoder

        announce()
        self._decoder = GopDecoder(zoo.load(model.name, model.sha256), video.height, video.width, threads)

    def read(self, payload: bytes, keyframe: bool) -> ReadUnit:
        """The part of decoding that needs no pictures."""
        return self._decoder.read(payload, keyframe)

    def rebuild(self, read: ReadUnit) -> list[Frame]:
        """Frames of what `read` returned."""
        return [Frame(*planes) for planes in self._decoder.rebuild(read)]

    def decode(self, payload: bytes, keyframe: bool) -> list[Frame]:
        """One payload in, its frames out."""
        return self.rebuild(self.read(payload, keyframe))
