# SPDX-License-Identifier: Apache-2.0
"""A synthetic clip with what matters to a codec: smooth texture, smooth motion, occlusion, a little noise."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from nvcodec.media.types import Frame, VideoFormat

SPEED = 1.7  # pixels a frame; the background goes along a slow ellipse, the disc against it


def moving_pattern(width: int, height: int, frame_count: int, seed: int = 0) -> Iterator[Frame]:
    """Frames of a moving test picture, the same for the same arguments.

    width, height: luma samples, at least 1. Yields Frame, 8-bit 4:2:0, limited range, pts 0, 1, 2, ...
    """
    generator = np.random.default_rng(seed)
    chroma = (height + 1) // 2, (width + 1) // 2
    layers = [_Layer(generator, (height, width), 125, 28), *(_Layer(generator, chroma, 128, 9) for _ in "uv")]
    discs = [_Layer(generator, (height, width), 150, 36), *(_Layer(generator, chroma, 128, 16) for _ in "uv")]
    for pts in range(frame_count):
        planes = []
        for channel, (layer, disc) in enumerate(zip(layers, discs, strict=True)):
            scale = 1.0 if channel == 0 else 0.5
            dx, dy = scale * SPEED * pts, scale * 12 * np.sin(pts / 20)
            picture = np.where(_disc(layer.shape, pts), disc.at(-dx, dy), layer.at(dx, dy))
            picture += generator.normal(0, 1.0, layer.shape)
            planes.append(np.clip(np.rint(picture), 16, 235 if channel == 0 else 240).astype(np.uint8))
        y, u, v = planes
        yield Frame(y, u, v, pts=pts, duration=1)


def pattern_format(width: int, height: int) -> VideoFormat:
    """The format of `moving_pattern`: 25 frames a second."""
    return VideoFormat(width, height, time_base=Fraction(1, 25), frame_rate=Fraction(25))


class _Layer:
    """An endless texture with a falling spectrum, moved by any fraction of a pixel by turning the phases."""

    def __init__(self, generator: np.random.Generator, shape: tuple[int, int], mean: float, deviation: float) -> None:
        self.shape = shape
        self.fy = np.fft.fftfreq(shape[0])[:, None]
        self.fx = np.fft.rfftfreq(shape[1])[None, :]
        # Nothing above a third of the sampling rate, which would flicker.
        radius = np.hypot(self.fx, self.fy)
        envelope = np.where(radius < 1 / 3, (radius + 0.004) ** -1.4, 0.0)
        self.spectrum = np.fft.rfft2(generator.normal(size=shape)) * envelope
        self.spectrum[0, 0] = 0
        spread = float(np.fft.irfft2(self.spectrum, s=shape).std()) or 1.0
        self.spectrum *= deviation / spread
        self.mean = mean

    def at(self, dx: float, dy: float) -> np.ndarray:
        """The texture moved right by dx and down by dy, float64, of the picture's shape."""
        turn = np.exp(-2j * np.pi * (self.fx * dx + self.fy * dy))
        return np.asarray(self.mean + np.fft.irfft2(self.spectrum * turn, s=self.shape))


def _disc(shape: tuple[int, int], pts: int) -> np.ndarray:
    """Where the foreground is: a disc that wanders over the picture."""
    height, width = shape
    y, x = np.ogrid[:height, :width]
    centre_y, centre_x = height * (0.5 + 0.2 * np.sin(pts / 30)), width * (0.5 + 0.3 * np.cos(pts / 40))
    return np.asarray((y - centre_y) ** 2 + (x - centre_x) ** 2 < (0.22 * min(height, width)) ** 2)
