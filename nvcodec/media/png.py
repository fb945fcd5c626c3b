# SPDX-License-Identifier: Apache-2.0
"""Frames as PNG pictures: one file, a numbered pattern, or a folder."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import av

from nvcodec.errors import NvcError, UsageError
from nvcodec.media.convert import RgbConverter, effective_matrix, matrix_name
from nvcodec.media.failure import reported
from nvcodec.media.files import check_target, temporary_beside
from nvcodec.media.planes import write_plane
from nvcodec.media.planewriter import Sink
from nvcodec.media.types import Frame, VideoFormat

_NUMBER = re.compile(r"%(?:0\d+)?d")


class PngSink(Sink):
    """Pictures gather in a temporary folder beside the target and take their names on ``close``."""

    def __init__(self, text: str, video: VideoFormat, overwrite: bool, frame_count_hint: int | None) -> None:
        super().__init__(text, video)
        place = Path(text)
        self._overwrite = overwrite
        self._numbered = place.suffix.lower() != ".png" or place.is_dir() or bool(_NUMBER.search(place.name))
        self._folder, self._pattern = place.parent, place.name
        self._new_folder = False
        if place.is_dir() or place.suffix.lower() != ".png":
            self._folder, self._pattern = place, "%06d.png"
            self._new_folder = not place.is_dir()
        if not self._numbered and frame_count_hint is not None and frame_count_hint > 1:
            self._refuse_several()
        self._rgb = RgbConverter(video)
        if self._new_folder:
            if not place.parent.is_dir():
                raise NvcError(f"{text}: cannot be written: no folder {place.parent}")
        else:
            check_target(self._target(1), overwrite)
        self._temporary = temporary_beside(self._folder if self._new_folder else self._target(1))
        with reported(text, "cannot be written"):
            self._temporary.mkdir()
        kind = matrix_name(effective_matrix(video))
        self.notes.append(f"PNG: converted to RGB ({kind}, {'full' if video.colour.full_range else 'limited'} range)")
        if video.rotation:
            self.notes.append(f"PNG cannot carry: rotation {video.rotation}")
        if video.sample_aspect_ratio != 1:
            self.notes.append(f"PNG cannot carry: sample aspect ratio {video.sample_aspect_ratio}")

    def _target(self, number: int) -> Path:
        name = self._pattern % number if self._numbered else self._pattern
        return self._folder / name

    def _refuse_several(self) -> None:
        stem = Path(self.name)
        pattern = stem.with_name(f"{stem.stem}_%06d.png")
        raise UsageError(
            f"{self.name}: one picture file for several frames; use a pattern such as {pattern} or a folder"
        )

    def _write(self, frame: Frame) -> None:
        if self.count and not self._numbered:
            self._refuse_several()
        picture = av.VideoFrame(self.video.width, self.video.height, "rgb24")
        write_plane(picture.planes[0], self._rgb.to_rgb(frame).reshape(self.video.height, -1))
        picture.pts = 0
        encoder = av.CodecContext.create("png", "w")
        encoder.width, encoder.height, encoder.pix_fmt = self.video.width, self.video.height, "rgb24"
        encoder.time_base = self.video.time_base
        packets = encoder.encode(picture) + encoder.encode(None)
        with (self._temporary / f"{self.count + 1}").open("xb") as file:
            for packet in packets:
                file.write(packet)

    def _finish(self) -> None:
        targets = [self._target(number) for number in range(1, self.count + 1)]
        if self._new_folder:
            for number, target in enumerate(targets, start=1):
                os.replace(self._temporary / f"{number}", self._temporary / target.name)
            os.rename(self._temporary, self._folder)
            return
        for target in targets:
            check_target(target, self._overwrite)
        for number, target in enumerate(targets, start=1):
            os.replace(self._temporary / f"{number}", target)
        self._temporary.rmdir()

    def _discard(self) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)
