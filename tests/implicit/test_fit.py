# SPDX-License-Identifier: Apache-2.0
"""A fit gets better, can be stopped, taken up again, and survives numbers that are not finite."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from implicit_clips import HEIGHT, WIDTH, moving

from nvcodec.codec.implicit import ImplicitEncoder
from nvcodec.codec.protocol import CodedUnit, EncodeSettings
from nvcodec.codec.registry import get_codec
from nvcodec.errors import NvcError, UsageError
from nvcodec.media.types import VideoFormat
from nvcodec.models.implicit.fit import loop
from nvcodec.models.implicit.fit.losses import psnr_db, ssim

VIDEO = VideoFormat(WIDTH, HEIGHT)


def fitted(
    name: str = "hnerv", on_fit: Any = None, count: int = 4, phase: float = 0.0, **options: Any
) -> tuple[list[CodedUnit], ImplicitEncoder]:
    options = {"model_size": 6000, "epochs": 3, **options}
    encoder = get_codec(name).encoder(VIDEO, EncodeSettings(options=options, frame_count=count, on_fit=on_fit))
    units: list[CodedUnit] = []
    for frame in moving(count, phase=phase):
        units += encoder.encode(frame)
    return units + encoder.flush(), encoder


def test_psnr_rises_and_progress_is_told() -> None:
    told: list[Any] = []
    _, encoder = fitted(on_fit=lambda group, state: told.append(state), epochs=25, lr=5e-3)
    assert [state.epoch for state in told] == list(range(1, 26))
    assert told[-1].psnr_db > told[0].psnr_db + 2
    assert told[-1].seconds_left == 0
    assert all(state.bpp > 0 for state in told)
    assert encoder.psnr_db is not None
    assert abs(encoder.psnr_db - told[-1].psnr_db) < 1.5


def test_time_limit_ends_the_fit() -> None:
    told: list[Any] = []
    fitted(on_fit=lambda group, state: told.append(state), epochs=100_000, seconds=0.5)
    assert 1 <= told[-1].epoch < 1000
    assert told[-1].seconds < 5


def test_bit_budget_is_kept() -> None:
    samples = 4 * WIDTH * HEIGHT
    (unit,), _ = fitted(bpp=6.0, model_size=None, epochs=4)
    assert 0.3 * 6.0 * samples / 8 < len(unit.payload) <= 6.0 * samples / 8


def test_two_runs_make_the_same_bytes() -> None:
    assert fitted(seed=3)[0][0].payload == fitted(seed=3)[0][0].payload


def test_ctrl_c_keeps_what_was_reached() -> None:
    def stop(group: int, state: Any) -> None:
        if state.epoch == 2:
            raise KeyboardInterrupt

    units, encoder = fitted(on_fit=stop, epochs=50)
    assert encoder.interrupted
    assert "stopped after epoch 2" in encoder.notes[0]
    decoder = get_codec("hnerv").decoder(VIDEO, None, encoder.config)
    assert len(decoder.decode(units[0].payload, True)) == 4


def test_not_a_number_goes_back_with_half_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls, told = loop.Fit.loss, [0], []

    def poisoned(self: loop.Fit, times: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls[0] += 1
        value, scores = original(self, times)
        return (value * math.nan if calls[0] == 4 else value), scores

    monkeypatch.setattr(loop.Fit, "loss", poisoned)
    _, encoder = fitted(on_fit=lambda group, state: told.append(state), epochs=4)
    assert any("back to epoch 1, learning rate x 0.5" in note for note in encoder.notes)
    assert told[-1].epoch == 4


def test_a_fit_that_never_stays_finite_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    original = loop.Fit.loss
    monkeypatch.setattr(
        loop.Fit, "loss", lambda self, times: (original(self, times)[0] * math.nan, original(self, times)[1])
    )
    with pytest.raises(NvcError, match="does not stay finite"):
        fitted()


def test_out_of_memory_says_what_to_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: loop.Fit, times: torch.Tensor) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr(loop.Fit, "loss", full)
    with pytest.raises(NvcError, match=r"out of memory.*--gop, --model-size, --batch or --size"):
        fitted()


def test_resumed_fit_is_the_same_as_one_in_a_go(tmp_path: Path) -> None:
    whole = fitted(epochs=6, weights_coding="paper")[0][0].payload

    def stop(group: int, state: Any) -> None:
        if state.epoch == 3:
            raise KeyboardInterrupt

    file = tmp_path / "fit.state"
    fitted(on_fit=stop, epochs=6, weights_coding="paper", resume=file)
    told: list[Any] = []
    (unit,), _ = fitted(on_fit=lambda group, state: told.append(state), epochs=6, weights_coding="paper", resume=file)
    assert told[0].epoch == 4
    assert unit.payload == whole


def test_finished_groups_are_not_fitted_again(tmp_path: Path) -> None:
    file = tmp_path / "fit.state"
    first, _ = fitted(count=6, gop=3, resume=file)
    told: list[Any] = []
    again, encoder = fitted(count=6, gop=3, resume=file, on_fit=lambda group, state: told.append(group))
    assert [u.payload for u in again] == [u.payload for u in first]
    assert not told
    assert "taken from the resume file" in encoder.notes[0]


def test_resume_file_of_another_video_or_setting_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "fit.state"
    fitted(resume=file)
    with pytest.raises(UsageError, match="resume file of another video"):
        fitted(resume=file, phase=1.0)
    with pytest.raises(UsageError, match="resumes recipe hnerv; recipe is nerv here"):
        fitted("nerv", resume=file, model_size=40_000)
    file.write_bytes(b"something else")
    with pytest.raises(NvcError, match="not a resume file of nvc"):
        fitted(resume=file)


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    from PIL import Image

    place = tmp_path / "mask.png"
    Image.new("L", (10, 10)).save(place)
    with pytest.raises(UsageError, match=r"mask is 10x10; the video is 48x32"):
        fitted(mask=place)
    Image.new("L", (WIDTH, HEIGHT), 255).save(place)
    fitted(mask=place, epochs=1)
    place.write_bytes(b"no picture")
    with pytest.raises(NvcError, match="mask cannot be read"):
        fitted(mask=place)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_nbytes": 150, "model_size": None}, "too small for recipe hnerv"),
        ({"bpp": 1.0}, "choose one size"),
        ({"epochs": 0}, "epochs is 0"),
        ({"gop": 2000}, "group of 2000 frames"),
        ({"psnr_db": 30.0, "weights_coding": "paper"}, "needs --weights-coding learned"),
        ({"nonsense": 1}, "no option 'nonsense'"),
        ({"loss": "l7"}, "loss 'l7' is not known"),
    ],
)
def test_settings_that_cannot_be_are_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fitted(**options)


def test_ssim_of_equal_pictures_is_one_and_psnr_is_that_of_the_mean_error() -> None:
    a = torch.rand(2, 3, 24, 24)
    assert float(ssim(a, a)) == pytest.approx(1)
    assert float(ssim(a, 1 - a)) < 0.2
    assert psnr_db(a, a + 0.1).tolist() == pytest.approx([20, 20], abs=1e-3)
