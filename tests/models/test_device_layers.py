# SPDX-License-Identifier: Apache-2.0
"""The network in the loop by PyTorch, on the processor and on a GPU where there is one: the same numbers as by compiled
loops."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from network_samples import UNITS, coded, noise, random_network

from nvcodec.errors import UnsupportedError
from nvcodec.models import zoo
from nvcodec.models.conditional import restoration as module
from nvcodec.models.conditional.restoration import apply_network
from nvcodec.models.device_layers import on_device
from nvcodec.models.kernels.compensation import PAD
from nvcodec.models.kernels.network import LARGEST_INPUT, SEEN, paired
from nvcodec.models.network import KINDS, Network, apply_layers, no_network
from nvcodec.models.quality import LEVELS, LOWEST

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
DEVICES = ["cpu", pytest.param("cuda", marks=GPU)]


def shipped() -> Network:
    model = zoo.find("conditional-s")
    return zoo.load(model.name, model.sha256).bases.network


NETWORKS = {"one layer": (), "narrow": (4,), "three": (12, 8), "as wide as any": (128, 128), "shipped": None}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("which", NETWORKS)
def test_layers_make_the_same_numbers(which: str, device: str) -> None:
    channels = NETWORKS[which]
    network = shipped() if channels is None else random_network(len(channels), *channels)
    there, random = on_device(network, device), np.random.default_rng(3)
    for rows, columns, most in ((1, 1, 1023), (5, 3, 1023), (2, 70, 90), (9, 40, 1)):
        shape = (SEEN, rows + 2 * network.halo, columns + 2 * network.halo)
        x = random.integers(-most, most, shape, np.int32, endpoint=True)
        if columns == 3:  # at the bounds
            x = np.where(x < 0, -LARGEST_INPUT, LARGEST_INPUT)
        for kind in range(KINDS):
            level = int(random.integers(LEVELS))
            wanted = apply_layers(network, paired(x), kind, level)
            found = apply_layers(there, paired(x), kind, level)
            assert found.dtype == wanted.dtype == np.int32
            assert found.shape == wanted.shape == (len(wanted), rows, columns)
            assert np.array_equal(found, wanted)
            assert which not in ("one layer", "shipped") or columns < 40 or len(set(wanted.ravel())) > 4


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [1, 4, 1024])
def test_frames_are_the_same_in_pieces_of_any_size(size: int, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEVICE_UNITS", size)
    network, random = random_network(5, 12, 8), np.random.default_rng(7)
    there, planes, more = on_device(network, device), noise(random), coded(random, largest=40)
    some = np.zeros(UNITS, bool)
    some[1, 1:], some[3, 2] = True, True
    with ThreadPoolExecutor(2) as pool:
        for intra, asked in ((True, np.ones(UNITS, bool)), (False, some), (False, np.zeros(UNITS, bool))):
            wanted = apply_network(planes, more, LOWEST + 30, intra, asked, network, pool)
            found = apply_network(planes, more, LOWEST + 30, intra, asked, there, pool)
            for a, b, side, pad in zip(found, wanted, (32, 16, 16), (PAD, PAD // 2, PAD // 2), strict=True):
                for r, c in np.argwhere(asked):
                    unit = np.s_[pad + side * r :, pad + side * c :]
                    assert np.array_equal(a[unit][:side, :side], b[unit][:side, :side])
            changed = any((a != b).any() for a, b in zip(found, planes, strict=True))
            assert changed == asked.any()


def test_bands_cover_what_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    for size in (1, 3, 7, 100):
        monkeypatch.setattr(module, "DEVICE_UNITS", size)
        for shape in ((1, 1), (5, 3), (9, 16)):
            asked = random.random(shape) < 0.2
            covered = np.zeros(shape, int)
            for top, bottom, left, right in module._bands(asked):
                assert (bottom - top) * (right - left) <= max(size, shape[1])
                covered[top:bottom, left:right] += 1
            assert covered.max(initial=0) <= 1
            assert covered[asked].all()


def test_a_device_that_is_not_there_is_said_so() -> None:
    for device in ("nonsense", "meta", "cuda:99"):
        with pytest.raises(UnsupportedError, match=f"^device '{device}': .+"):
            on_device(no_network(), device)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_device_that_rounds_is_refused(kind: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    def rounded(self: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.add_((a @ b).to(kind).to(torch.float32))

    on_device(shipped(), "cpu")
    monkeypatch.setattr(torch.Tensor, "addmm_", rounded)
    with pytest.raises(UnsupportedError, match="device 'cpu': it rounds products"):
        on_device(shipped(), "cpu")


@pytest.mark.parametrize("bits", [13, 16])
def test_a_device_with_shorter_mantissas_is_refused(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Factors lose so many of 23 bits, as TF32's lose 13; sums are right."""

    def shorter(x: torch.Tensor) -> torch.Tensor:
        whole = x.contiguous().view(torch.int32)
        return ((whole + (1 << (bits - 1))) & -(1 << bits)).view(torch.float32)

    exact = torch.Tensor.addmm_
    monkeypatch.setattr(torch.Tensor, "addmm_", lambda self, a, b: exact(self, shorter(a), shorter(b)))
    with pytest.raises(UnsupportedError, match="device 'cpu': it rounds products"):
        on_device(no_network(), "cpu")
