# SPDX-License-Identifier: Apache-2.0
"""Random training sequences: crops of clips walked back and forth, and still pictures set in motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nvcodec.datasets.training_cache import CachedClip
from nvcodec.errors import UsageError


@dataclass
class Sample:
    """T frames of one crop: ``y`` (T, S, S), ``u``/``v`` (T, S/2, S/2) float32 0..255; ``vectors`` (T, S/8, S/8, 2)
    int64 quarter pixels towards the frame before (the first entry is unused)."""

    y: np.ndarray
    u: np.ndarray
    v: np.ndarray
    vectors: np.ndarray


def hold_out(clips: list[CachedClip], one_in: int = 12) -> tuple[list[CachedClip], list[CachedClip]]:
    """Split into training and validation by source video, the same way every time."""
    sources = sorted({clip.source for clip in clips})
    held = set(sources[one_in // 2 :: one_in])
    return [c for c in clips if c.source not in held], [c for c in clips if c.source in held]


class Sampler:
    """Draws samples from clips and stills with its own random state."""

    def __init__(
        self,
        clips: list[CachedClip],
        stills: list[CachedClip],
        crop: int,
        seed: int | list[int],
        still_share: float = 0.25,
    ):
        self.clips = [c for c in clips if min(c.y.shape[1:]) >= crop and c.frames > 1]
        self.stills = [s for s in stills if min(s.y.shape[1:]) >= 2 * crop]
        self.crop, self.still_share = crop, still_share if self.stills else 0.0
        self.random = np.random.default_rng(seed)
        if not self.clips:
            raise UsageError(f"none of {len(clips)} training clips has two frames of at least {crop}x{crop} samples")
        # long clips are cut from more varied video than short ones, but not in proportion to their frames
        weights = np.sqrt([c.frames * c.y.shape[1] * c.y.shape[2] for c in self.clips])
        self.weights = weights / weights.sum()

    def draw(self, frames: int) -> Sample:
        """One sequence of ``frames`` frames."""
        if self.random.random() < self.still_share:
            sample = self._from_still(frames)
        else:
            sample = self._from_clip(frames)
        return self._flip(sample)

    def _from_clip(self, frames: int) -> Sample:
        random, crop = self.random, self.crop
        clip = self.clips[random.choice(len(self.clips), p=self.weights)]
        search = random.integers(clip.forward.shape[0])
        top = int(random.integers(0, (clip.y.shape[1] - crop) // 16 + 1)) * 16
        left = int(random.integers(0, (clip.y.shape[2] - crop) // 16 + 1)) * 16
        position, direction = int(random.integers(clip.frames)), int(random.choice((-1, 1)))
        order, vectors = [position], [np.zeros((crop // 8, crop // 8, 2), np.int64)]
        for _ in range(frames - 1):
            if not 0 <= position + direction < clip.frames:
                direction = -direction
            position += direction
            field = clip.forward if direction > 0 else clip.backward
            order.append(position)
            vectors.append(
                field[search, position, top // 8 : (top + crop) // 8, left // 8 : (left + crop) // 8].astype(np.int64)
            )
        half = crop // 2
        chroma = np.s_[:, top // 2 : top // 2 + half, left // 2 : left // 2 + half]
        y = clip.y[order][:, top : top + crop, left : left + crop].astype(np.float32)
        return Sample(
            y, clip.u[order][chroma].astype(np.float32), clip.v[order][chroma].astype(np.float32), np.stack(vectors)
        )

    def _from_still(self, frames: int) -> Sample:
        """A photograph at half size, standing still or panned by whole pixels, perhaps with noise or a fade."""
        random, crop = self.random, self.crop
        still = self.stills[int(random.integers(len(self.stills)))]
        height, width = still.y.shape[1:]
        speed = np.zeros(2, int) if random.random() < 0.4 else random.integers(-6, 7, 2)
        path = np.cumsum(
            [np.zeros(2, int)] + [speed + random.integers(-1, 2, 2) * (speed != 0) for _ in range(frames - 1)], 0
        )
        room = np.array([height // 2 - crop, width // 2 - crop])
        path = path - path.min(0)
        path = np.minimum(path, room)
        start = [int(random.integers(0, room[axis] - path[:, axis].max() + 1)) for axis in (0, 1)]
        noise = float(random.choice([0, 0, 0, 1.5]))
        fade = float(random.choice([0, 0, 0, 0, random.normal(0, 3)]))
        planes: list[np.ndarray] = []
        for plane, scale in ((still.y[0], 1), (still.u[0], 2), (still.v[0], 2)):
            size, out = crop // scale, []
            for t in range(frames):
                top, left = (2 * (start[axis] + int(path[t, axis])) // scale for axis in (0, 1))
                patch = plane[top : top + 2 * size, left : left + 2 * size].astype(np.float32)
                out.append(patch.reshape(size, 2, size, 2).mean((1, 3)))
            moving = np.stack(out)
            if scale == 1:
                moving += fade * np.arange(frames, dtype=np.float32)[:, None, None]
                if noise:
                    moving += random.normal(0, noise, moving.shape).astype(np.float32)
            planes.append(np.clip(np.rint(moving), 0, 255))
        vectors = np.zeros((frames, crop // 8, crop // 8, 2), np.int64)
        steps = np.diff(path, axis=0)
        vectors[1:, ..., 0], vectors[1:, ..., 1] = 4 * steps[:, 1, None, None], 4 * steps[:, 0, None, None]
        return Sample(*planes, vectors)

    def _flip(self, sample: Sample) -> Sample:
        for axis, component in ((2, 0), (1, 1)):
            if self.random.random() < 0.5:
                sample.y, sample.u, sample.v = (np.flip(p, axis) for p in (sample.y, sample.u, sample.v))
                sample.vectors = np.flip(sample.vectors, axis).copy()
                sample.vectors[..., component] *= -1
        return sample
