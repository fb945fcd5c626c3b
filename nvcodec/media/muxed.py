# SPDX-License-Identifier: Apache-2.0
"""Outputs through FFmpeg's encoders and muxers: Matroska with FFV1, MP4 with H.264."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import av
import av.error
import numpy as np

from nvcodec.errors import UnsupportedError
from nvcodec.media.failure import reported
from nvcodec.media.files import PendingFile
from nvcodec.media.graph import CHROMA_LOCATIONS, FilterChain
from nvcodec.media.planes import picture_from_frame
from nvcodec.media.planewriter import Sink
from nvcodec.media.types import Frame, VideoFormat

_MILLISECOND = Fraction(1, 1000)


class _MuxedSink(Sink):
    """One video stream through an encoder into a container; frames keep their times to within ``time_base``."""

    container_format = ""
    encoder = ""

    def __init__(
        self,
        file: PendingFile,
        name: str,
        video: VideoFormat,
        *,
        coded: VideoFormat,
        time_base: Fraction,
        options: dict[str, str],
    ) -> None:
        super().__init__(name, video)
        self._file, self._coded, self._time_base = file, coded, time_base
        self._last_pts: int | None = None
        self._rounded = False
        if self.encoder not in av.codecs_available:
            raise UnsupportedError(f"{name}: this PyAV ({av.__version__}) has no {self.encoder} encoder")
        with reported(name, "cannot be written"):
            self._container = av.open(file, mode="w", format=self.container_format)
            self._stream = cast(av.VideoStream, self._container.add_stream(self.encoder, rate=video.frame_rate))
            self._describe(options)

    def _describe(self, options: dict[str, str]) -> None:
        stream, coded = self._stream, self._coded
        context, colour = stream.codec_context, coded.colour
        stream.width, stream.height, stream.pix_fmt = coded.width, coded.height, "yuv420p"
        if coded.frame_rate is None:
            context.framerate = Fraction(0)  # add_stream would have made it 24
        context.time_base = self._time_base
        context.sample_aspect_ratio = coded.sample_aspect_ratio
        context.color_range = 2 if colour.full_range else 1
        context.colorspace, context.color_primaries = colour.matrix, colour.primaries
        context.color_trc = colour.transfer
        if 0 < colour.chroma_location < len(CHROMA_LOCATIONS):
            options = {**options, "chroma_sample_location": CHROMA_LOCATIONS[colour.chroma_location]}
        context.options = options
        context.thread_type = "AUTO"
        if coded.rotation:
            stream.set_display_rotation(-coded.rotation)

    def _write(self, frame: Frame) -> None:
        picture = picture_from_frame(self._prepared(frame), self._coded)
        picture.pts, picture.duration = self._times(frame)
        picture.time_base = self._time_base
        for ready in self._tagged(picture):
            self._mux(self._stream.encode(ready))

    def _times(self, frame: Frame) -> tuple[int, int]:
        """(pts, duration) in the output's time base, pts always above the one before."""
        ratio = self.video.time_base / self._time_base
        start, end = frame.pts * ratio, (frame.pts + frame.duration) * ratio
        pts = round(start)
        if self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + 1
        self._last_pts = pts
        if pts != start and not self._rounded:
            self._rounded = True
            self.notes.append(f"timestamps rounded to {self._time_base} s")
        return pts, max(0, round(end) - pts)

    def _prepared(self, frame: Frame) -> Frame:
        return frame

    def _tagged(self, picture: av.VideoFrame) -> list[av.VideoFrame]:
        return [picture]

    def _mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            self._container.mux(packet)

    def _finish(self) -> None:
        self._mux(self._stream.encode(None))
        self._container.close()
        self._file.commit()

    def _discard(self) -> None:
        try:
            self._container.close()  # writes its trailer into the file that is about to go
        except (av.error.FFmpegError, OSError, ValueError):
            pass
        self._file.discard()


class MatroskaSink(_MuxedSink):
    """Lossless FFV1 (RFC 9043, version 3, a checksum per slice) in Matroska, whose times are milliseconds."""

    container_format = "matroska"
    encoder = "ffv1"

    def __init__(self, file: PendingFile, name: str, video: VideoFormat) -> None:
        options = _ffv1_options(video)
        super().__init__(
            file,
            name,
            video,
            coded=video,
            time_base=_MILLISECOND,
            options=options,
        )
        self._durations: dict[int, int] = {}
        self._aspect: FilterChain | None = None
        if video.colour.chroma_location in (5, 6):  # its element for the vertical place knows top and middle only
            self.notes.append(f"Matroska cannot carry: chroma location {video.colour.chroma_location}")
        if video.sample_aspect_ratio != 1 and options["level"] == "1":
            self.notes.append(f"FFV1 of this size cannot carry: sample aspect ratio {video.sample_aspect_ratio}")
        elif video.sample_aspect_ratio != 1:
            # PyAV cannot set the aspect ratio of a Matroska track; FFV1 carries it in its slices, from the frame.
            aspect = f"{video.sample_aspect_ratio.numerator}/{video.sample_aspect_ratio.denominator}"
            self._aspect = FilterChain(
                video.width, video.height, "yuv420p", _MILLISECOND, [("setsar", f"sar={aspect}:max=65535")]
            )

    def _tagged(self, picture: av.VideoFrame) -> list[av.VideoFrame]:
        assert picture.pts is not None
        self._durations[picture.pts] = picture.duration
        return [picture] if self._aspect is None else self._aspect.push(picture)

    def _mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            if packet.pts is not None and packet.time_base == _MILLISECOND:
                packet.duration = self._durations.pop(packet.pts, 0)
        super()._mux(packets)


def _ffv1_options(video: VideoFormat) -> dict[str, str]:
    """Options under which the encoder accepts the size: its own choice of slices fails on narrow and tiny pictures."""
    checked = {"level": "3", "slicecrc": "1", "g": "1"}
    choices = [checked, *({**checked, "slices": str(slices)} for slices in (1, 2, 4, 6, 9, 12, 16, 24, 30))]
    for options in (*choices, {"level": "1", "g": "1"}):
        trial = av.CodecContext.create("ffv1", "w")
        trial.width, trial.height, trial.pix_fmt = video.width, video.height, "yuv420p"
        trial.time_base, trial.options = _MILLISECOND, options
        try:
            trial.open()
        except av.error.FFmpegError:
            continue
        return options
    raise UnsupportedError(f"FFV1 cannot hold pictures of {video.width}x{video.height}")


class Mp4Sink(_MuxedSink):
    """H.264 that any player shows: lossy, so for watching and never for measuring."""

    container_format = "mp4"
    encoder = "libx264"

    def __init__(self, file: PendingFile, name: str, video: VideoFormat) -> None:
        width, height = video.width + video.width % 2, video.height + video.height % 2
        coded = VideoFormat(**{**video.__dict__, "width": width, "height": height})
        # MP4 counts in whole parts of a second, 32 bits of them.
        exact = video.time_base.numerator == 1 and video.time_base.denominator < 1 << 24
        ticks = video.time_base.denominator if video.time_base.denominator < 1 << 24 else 90_000
        super().__init__(
            file,
            name,
            video,
            coded=coded,
            time_base=video.time_base if exact else Fraction(1, ticks),
            options={"crf": "18", "preset": "fast"},
        )
        self.notes.append("H.264 at crf 18, for watching: lossy")
        if (width, height) != (video.width, video.height):
            self.notes.append(f"H.264 needs even sizes: {video.width}x{video.height} padded to {width}x{height}")

    def _prepared(self, frame: Frame) -> Frame:
        right, bottom = self._coded.width - self.video.width, self._coded.height - self.video.height
        luma = np.pad(frame.y, ((0, bottom), (0, right)), mode="edge") if right or bottom else frame.y
        return Frame(luma, frame.u, frame.v, frame.pts, frame.duration)
