# SPDX-License-Identifier: Apache-2.0
"""The conditional codec behind the `Codec` protocol: a unit is one frame (low delay) or a group of up to
16 (random access)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nvcodec.codec.checksum import planes_crc32
from nvcodec.codec.protocol import CodedUnit, EncodeSettings, ModelIdentity, SequenceDecoder, SequenceEncoder
from nvcodec.errors import DamagedStreamError, UnsupportedError, UsageError
from nvcodec.media.types import Frame, VideoFormat
from nvcodec.models import zoo

if TYPE_CHECKING:
    from nvcodec.models.conditional.efforts import Tools
    from nvcodec.models.conditional.sequence import Unit
    from nvcodec.models.conditional.weights import Weights

SYNTAX_VERSION = 15
DEFAULT_MODEL = "conditional-s"
# what a decoder does with the weights: the least; restoration by filters, too; flow and the network for frames that
# many are predicted from, too; the network for all
SIZES = ("xs", "s", "m", "l")
DEFAULT_SIZE = "m"
PRESETS = ("fast", "medium", "slow", "placebo")
PROFILES = ("ra", "ld")
_OPTIONS = ("model", "profile")


class ConditionalCodec:
    """Block-based prediction with a learned entropy model; weights ship with the package."""

    name = "conditional"
    codec_id = 1
    pixel_exact = True
    profiles = PROFILES
    sizes = SIZES

    def models(self) -> Iterator[ModelIdentity]:
        """Weights that are installed."""
        for model in zoo.installed():
            yield ModelIdentity(model.name, model.sha256)

    def model_identity(self, settings: EncodeSettings) -> ModelIdentity:
        """The weights that these settings ask for (option ``model``: weights, or a size of what ships)."""
        asked = str(settings.options.get("model", DEFAULT_MODEL))
        model = zoo.find(DEFAULT_MODEL if asked in SIZES else asked)
        return ModelIdentity(model.name, model.sha256)

    def encoder(self, video: VideoFormat, settings: EncodeSettings) -> SequenceEncoder:
        """Encoder of one video. Raises UsageError for settings out of range."""
        unknown = set(settings.options) - set(_OPTIONS)
        if unknown:
            raise UsageError(f"codec conditional has no option {sorted(unknown)[0]!r} (it has: {', '.join(_OPTIONS)})")
        if not 0 <= settings.quality <= 63:
            raise UsageError(f"quality is {settings.quality}: 0 to 63")
        if settings.intra_period < 0:
            raise UsageError(f"intra period is {settings.intra_period}: 0 (first frame only) or more")
        if settings.preset not in PRESETS:
            raise UsageError(f"preset is {settings.preset!r}: {', '.join(PRESETS)}")
        profile = settings.options.get("profile", PROFILES[0])
        if profile not in PROFILES:
            raise UsageError(f"profile is {profile!r}: {', '.join(PROFILES)}")
        asked = str(settings.options.get("model", DEFAULT_SIZE))
        size = asked if asked in SIZES else DEFAULT_SIZE
        return ConditionalEncoder(video, settings, str(profile), self.model_identity(settings), size)

    def decoder(
        self, video: VideoFormat, model: ModelIdentity | None, config: bytes, *, threads: int = 0, device: str = "cpu"
    ) -> SequenceDecoder:
        """Decoder of one stream. Raises UnsupportedError when its weights or syntax are not here."""
        if config[:1] != bytes([SYNTAX_VERSION]) or len(config) != 2 or config[1] >= len(SIZES):
            raise UnsupportedError(
                f"conditional syntax {config.hex() or 'none'}: this build reads {SYNTAX_VERSION:02x} with a size of "
                f"00 to {len(SIZES) - 1:02x}"
            )
        if model is None:
            raise DamagedStreamError("a conditional stream names no model")
        return ConditionalDecoder(video, model, SIZES[config[1]], threads, device)


class ConditionalEncoder:
    """Frames to units, which come later than they could; see `ThreadedEncoder`. ``timings`` holds seconds by stage."""

    def __init__(self, video: VideoFormat, settings: EncodeSettings, profile: str, model: ModelIdentity, size: str):
        from nvcodec.compiled import announce
        from nvcodec.models.conditional.sequence import VideoEncoder
        from nvcodec.models.conditional.trials import TRIALS, TrialEncoder

        announce()
        self.config = bytes([SYNTAX_VERSION, SIZES.index(size)])
        encoder = TrialEncoder if settings.preset in TRIALS else VideoEncoder
        self._encoder = encoder(
            _weights(model, settings.device),
            video.height,
            video.width,
            settings.quality,
            profile=profile,
            intra_period=settings.intra_period,
            preset=settings.preset,
            tools=tools_of(size),
            threads=settings.threads,
        )
        self.timings = self._encoder.timings

    def encode(self, frame: Frame) -> list[CodedUnit]:
        """One frame in, units that are ready out."""
        return [_coded(unit) for unit in self._encoder.push(frame.planes)]

    def flush(self) -> list[CodedUnit]:
        """The units that are left."""
        return [_coded(unit) for unit in self._encoder.flush()]

    def abandon(self) -> None:
        """Begin nothing new in the threads behind."""
        self._encoder.abandon()


def _weights(model: ModelIdentity, device: str) -> Weights:
    """A model; on any device but "cpu" PyTorch computes its network there. UnsupportedError for what is not here."""
    weights = zoo.load(model.name, model.sha256)
    if device == "cpu":
        return weights
    from nvcodec.models.device_layers import on_device

    return replace(weights, bases=replace(weights.bases, network=on_device(weights.bases.network, device)))


def tools_of(size: str) -> Tools:
    """What a decoder of a size does."""
    from nvcodec.models.conditional.efforts import ALL_DEPTHS, Tools

    return Tools(flow=size in ("m", "l"), filters=size != "xs", network={"m": 3, "l": ALL_DEPTHS}.get(size, -1))


def _coded(unit: Unit) -> CodedUnit:
    crc = planes_crc32([Frame(*planes) for planes in unit.planes])
    return CodedUnit(unit.payload, unit.keyframe, len(unit.planes), crc)


class ConditionalDecoder:
    """Units to frames; see `SequenceDecoder` and `AheadDecoder`. ``timings`` holds seconds by stage."""

    def __init__(self, video: VideoFormat, model: ModelIdentity, size: str, threads: int, device: str):
        from nvcodec.compiled import announce
        from nvcodec.models.conditional.sequence import VideoDecoder

        announce()
        weights = _weights(model, device)
        self._decoder = VideoDecoder(weights, video.height, video.width, tools=tools_of(size), threads=threads)
        self.timings = self._decoder.timings

    def read(self, payload: bytes, keyframe: bool) -> Any:
        """The part of decoding that needs no pictures."""
        return self._decoder.read(payload, keyframe)

    def rebuild(self, read: Any) -> list[Frame]:
        """Frames of what `read` returned."""
        return [Frame(*planes) for planes in self._decoder.rebuild(read)]

    def decode(self, payload: bytes, keyframe: bool) -> list[Frame]:
        """One payload in, its frames out."""
        return self.rebuild(self.read(payload, keyframe))
