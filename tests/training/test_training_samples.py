# SPDX-License-Identifier: Apache-2.0
"""Vectors of training samples point at what they should, whatever the sampler does to the pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic_training import cached_clip

from nvcodec.datasets.samples import Sample, Sampler, hold_out
from nvcodec.errors import UsageError
from nvcodec.models.motion.compensation import compensate

CROP = 64


def luma_errors(sample: Sample, t: int) -> np.ndarray:
    """Frame t less its prediction from the frame before, where that lies inside the crop."""
    return _errors(sample.y, sample.vectors, t, 8)


def chroma_errors(sample: Sample, t: int) -> np.ndarray:
    return np.concatenate([_errors(plane, sample.vectors, t, 4) for plane in (sample.u, sample.v)])


def _errors(planes: np.ndarray, vectors: np.ndarray, t: int, block: int) -> np.ndarray:
    field = torch.from_numpy(vectors[t : t + 1])
    predicted = compensate(torch.from_numpy(planes[t - 1 : t].copy()), field, block)[0].numpy()
    size = planes.shape[1]
    reach = int(np.abs(vectors[t]).max()) * block // 32 + 1
    inside = np.s_[reach : size - reach, reach : size - reach]
    return (predicted - planes[t])[inside]


def flips(samples: list[Sample]) -> set[tuple[bool, bool]]:
    """Signs of (x, y) of the vectors seen."""
    return {tuple(bool(part > 0) for part in sample.vectors[1, 0, 0]) for sample in samples}


def test_clip_vectors_find_the_frame_before_forwards_backwards_and_flipped() -> None:
    sampler = Sampler([cached_clip("a", speed=(4, 2), detail=4)], [], CROP, 1)
    samples = [sampler.draw(5) for _ in range(60)]
    for sample in samples:
        for t in range(1, 5):
            assert not luma_errors(sample, t).any()
            assert not chroma_errors(sample, t).any()
    assert len(flips(samples)) == 4


def test_still_vectors_find_the_frame_before() -> None:
    sampler = Sampler([cached_clip("a")], [cached_clip("s", 1, size=(208, 240), detail=8)], CROP, 2, still_share=1.0)
    exact = moving = chroma_checked = 0
    for _ in range(200):
        sample = sampler.draw(3)
        errors = np.concatenate([luma_errors(sample, t).ravel() for t in (1, 2)])
        exact += not errors.any()
        moving += bool(sample.vectors.any())
        # with noise or a fade frames differ, but by no more than these; a wrong vector misses the texture by far
        assert np.abs(errors).mean() < 12
        for t in (1, 2):
            if not errors.any() and not (sample.vectors[t] % 8).any():  # whole chroma samples
                assert not chroma_errors(sample, t).any()
                chroma_checked += bool(sample.vectors[t].any())
    assert exact > 80
    assert moving > 60
    assert chroma_checked > 5


def test_wrong_vectors_would_be_seen() -> None:
    sample = Sampler([cached_clip("a", speed=(4, 2), detail=4)], [], CROP, 1).draw(2)
    sample.vectors = sample.vectors[..., ::-1].copy()
    assert np.abs(luma_errors(sample, 1)).mean() > 12


def test_planes_belong_together() -> None:
    clip = cached_clip("a", speed=(0, 0))
    clip.u[:], clip.v[:] = clip.y[:, ::2, ::2], 255 - clip.y[:, ::2, ::2]
    sampler = Sampler([clip], [], CROP, 3)
    for _ in range(20):
        sample = sampler.draw(2)
        assert sample.y.shape == (2, CROP, CROP)
        assert np.array_equal(sample.u + sample.v, np.full((2, CROP // 2, CROP // 2), 255, np.float32))
        # a flip reverses the order within each pair of luma samples
        assert any(np.array_equal(sample.u, sample.y[:, i::2, j::2]) for i in (0, 1) for j in (0, 1))


def test_same_seed_same_samples() -> None:
    first, second = (Sampler([cached_clip("a"), cached_clip("b")], [], CROP, [5, 0]).draw(4) for _ in range(2))
    other = Sampler([cached_clip("a"), cached_clip("b")], [], CROP, [5, 1])
    assert np.array_equal(first.y, second.y)
    assert any(not np.array_equal(other.draw(4).y, first.y) for _ in range(3))


def test_held_out_clips_share_no_source_with_training() -> None:
    clips = []
    for number in range(60):
        clip = cached_clip(f"c{number:02}", 2)
        clip.source = f"video{number // 3:02}"
        clips.append(clip)
    train, held = hold_out(clips)
    assert held
    assert len(train) + len(held) == len(clips)
    assert not {c.source for c in train} & {c.source for c in held}
    assert [c.name for c in hold_out(clips[::-1])[1]] == [c.name for c in held][::-1]


def test_clips_that_no_crop_fits_are_refused() -> None:
    with pytest.raises(UsageError, match="1 training clips"):
        Sampler([cached_clip("a")], [], 128, 1)
