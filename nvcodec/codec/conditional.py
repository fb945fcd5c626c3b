# SPDX-License-Identifier: Apache-2.0
"""The conditional codec behind the `Codec` protocol: frames in and out, one unit for each frame, low delay."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nvcodec.codec.checksum import planes_crc32
from nvcodec.codec.protocol import CodedUnit, EncodeSettings, ModelIdentity, SequenceDecoder, SequenceEncoder
from nvcodec.errors import DamagedStreamError, UnsupportedError, UsageError
from nvcodec.media.types import Frame, VideoFormat
from nvcodec.models import zoo

if TYPE_CHECKING:
    from nvcodec.models.conditional.sequence import SequenceCoder

SYNTAX_VERSION = 2
DEFAULT_MODEL = "conditional-s"
PRESETS = ("medium",)  # more when the encoder has choices worth offering


class ConditionalCodec:
    """Learned motion-compensated codec; weights ship with the package."""

    name = "conditional"
    codec_id = 1
    pixel_exact = True

    def models(self) -> Iterator[ModelIdentity]:
        """Weights that are installed."""
        for model in zoo.installed():
            yield ModelIdentity(model.name, model.sha256)

    def model_identity(self, settings: EncodeSettings) -> ModelIdentity:
        """The weights that these settings ask for (option ``model``, default conditional-s)."""
        model = zoo.find(str(settings.options.get("model", DEFAULT_MODEL)))
        return ModelIdentity(model.name, model.sha256)

    def encoder(self, video: VideoFormat, settings: EncodeSettings) -> SequenceEncoder:
        """Encoder of one video. Raises UsageError for settings out of range."""
        unknown = set(settings.options) - {"model"}
        if unknown:
            raise UsageError(f"codec conditional has no option {sorted(unknown)[0]!r} (it has: model)")
        if not 0 <= settings.quality <= 63:
            raise UsageError(f"quality is {settings.quality}: 0 to 63")
        if settings.intra_period < 0:
            raise UsageError(f"intra period is {settings.intra_period}: 0 (first frame only) or more")
        if settings.preset not in PRESETS:
            raise UsageError(f"preset is {settings.preset!r}: {', '.join(PRESETS)}")
        return ConditionalEncoder(video, settings, self.model_identity(settings))

    def decoder(
        self, video: VideoFormat, model: ModelIdentity | None, config: bytes, *, threads: int = 0, device: str = "cpu"
    ) -> SequenceDecoder:
        """Decoder of one stream. Raises UnsupportedError when its weights or syntax are not here."""
        if config != bytes([SYNTAX_VERSION]):
            raise UnsupportedError(
                f"conditional syntax {config.hex() or 'none'}: this build reads {SYNTAX_VERSION:02x}"
            )
        if model is None:
            raise DamagedStreamError("a conditional stream names no model")
        return ConditionalDecoder(video, model, threads, device)


def _sequence_coder(video: VideoFormat, model: ModelIdentity, threads: int, device: str) -> SequenceCoder:
    from nvcodec.models.conditional.sequence import SequenceCoder

    return SequenceCoder(zoo.load(model.name, model.sha256, device), video.height, video.width, threads, device)


class ConditionalEncoder:
    """Frames to units, one frame behind; see `SequenceEncoder`. ``timings`` holds seconds by stage.

    The motion search of a frame runs in its own thread while the frame before it is coded.
    """

    def __init__(self, video: VideoFormat, settings: EncodeSettings, model: ModelIdentity):
        self.config = bytes([SYNTAX_VERSION])
        self._coder = _sequence_coder(video, model, settings.threads, settings.device)
        self._settings = settings
        self._since_keyframe = 0
        self._searcher = ThreadPoolExecutor(1, "motion-search")
        self._waiting: tuple[Frame, Future[NDArray[np.int16]]] | None = None
        self.timings = self._coder.timings

    def encode(self, frame: Frame) -> list[CodedUnit]:
        """One frame in, the unit of the frame before it out."""
        search = self._searcher.submit(self._coder.search, frame.y, self._settings.quality)
        ready, self._waiting = self._waiting, (frame, search)
        return [self._code(*ready)] if ready else []

    def flush(self) -> list[CodedUnit]:
        """The unit of the last frame."""
        ready, self._waiting = self._waiting, None
        units = [self._code(*ready)] if ready else []
        self._searcher.shutdown(cancel_futures=True)
        return units

    def _code(self, frame: Frame, search: Future[NDArray[np.int16]]) -> CodedUnit:
        period = self._settings.intra_period
        refresh = bool(period) and self._since_keyframe >= period
        payload, keyframe, planes = self._coder.encode(frame.planes, self._settings.quality, refresh, search.result())
        self._since_keyframe = 1 if keyframe else self._since_keyframe + 1
        return CodedUnit(payload, keyframe, 1, planes_crc32([Frame(*planes)]))


class ConditionalDecoder:
    """Units to frames; see `SequenceDecoder`. ``timings`` holds seconds by stage."""

    def __init__(self, video: VideoFormat, model: ModelIdentity, threads: int, device: str):
        self._coder = _sequence_coder(video, model, threads, device)
        self.timings = self._coder.timings

    def decode(self, payload: bytes, keyframe: bool) -> list[Frame]:
        """One payload in, its frame out."""
        return [Frame(*self._coder.decode(payload, keyframe))]
