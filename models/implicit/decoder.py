# SPDX-License-Identifier: Apache-2.0
"""Units to frames: any frames of a group, or moments between them, without their neighbours."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nvcodec.errors import UnsupportedError
from nvcodec.media.types import Frame, VideoFormat
from nvcodec.models.implicit.colour import frame_from_rgb, frame_from_samples
from nvcodec.models.implicit.recipe import Recipe
from nvcodec.models.implicit.representation import Representation
from nvcodec.models.implicit.unit import decode_unit, read_unit


def pictures_at(representation: Representation, moment: float) -> Tensor | tuple[Tensor, ...]:
    """What the network says of one moment (frame number in the group): (1, 3, H, W) RGB, or planes; 0..1.

    One picture at a time: a batch may round differently.
    """
    whole = float(moment).is_integer()
    device = next(representation.parameters()).device
    times = torch.tensor([int(moment)] if whole else [moment], device=device)
    with torch.inference_mode():
        return representation(times)


def frame_at(representation: Representation, moment: float, video: VideoFormat) -> Frame:
    """One 8-bit frame of the stream."""
    pictures = pictures_at(representation, moment)
    if isinstance(pictures, tuple):
        return frame_from_samples(*(255 * plane[0, 0] for plane in pictures))
    return frame_from_rgb(pictures[0], video)


class GroupDecoder:
    """Decodes the units of one stream in order; ``timings`` holds seconds by stage."""

    def __init__(self, recipe: Recipe, video: VideoFormat, threads: int = 0, device: str = "cpu"):
        self.recipe, self.video, self.device = recipe, video, device
        self.timings: dict[str, float] = {"entropy": 0.0, "synthesis": 0.0}
        self._previous: Representation | None = None
        if threads:
            torch.set_num_threads(threads)

    def load(self, payload: bytes, keyframe: bool) -> Representation:
        """The representation of a unit; a chained one builds on that of the unit before."""
        start = time.perf_counter()
        unit = read_unit(self.recipe, payload)
        previous = None if keyframe or not self.recipe.chained else self._previous
        representation = decode_unit(self.recipe, unit, self.video.height, self.video.width, previous)
        if self.recipe.chained:
            self._previous = representation
        try:
            representation = representation.to(self.device, memory_format=torch.channels_last)
        except RuntimeError as exc:
            raise UnsupportedError(f"device {self.device!r}: {str(exc).splitlines()[0]}") from exc
        self.timings["entropy"] += time.perf_counter() - start
        return representation

    def frames(self, payload: bytes, keyframe: bool, moments: Sequence[float] | None = None) -> Iterator[Frame]:
        """Frames at these moments of the group (frame numbers, from 0), all of them by default, as they are made."""
        representation = self.load(payload, keyframe)
        for moment in range(representation.geometry.frames) if moments is None else moments:
            start = time.perf_counter()
            frame = frame_at(representation, moment, self.video)
            self.timings["synthesis"] += time.perf_counter() - start
            yield frame
