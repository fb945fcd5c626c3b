# SPDX-License-Identifier: Apache-2.0
"""Weight files: what is written is read, and what compiled code could stumble over is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save_file

from nvcodec.codec.conditional import DEFAULT_MODEL
from nvcodec.entropy.mixing import ONE, POINTS, new_weights
from nvcodec.errors import UnsupportedError
from nvcodec.models import zoo
from nvcodec.models.conditional.weights import (
    FORMAT,
    START_COUNT,
    Learned,
    Weights,
    load_weights,
    nothing_learned,
    save_weights,
)
from nvcodec.models.kernels.decisions import DECISION_SLOTS
from nvcodec.models.kernels.filters import MAX_TAP
from nvcodec.models.kernels.latents import SLOTS
from nvcodec.models.kernels.network import EXACT
from nvcodec.models.kernels.residual import RATE_CLASSES
from nvcodec.models.network import MAX_PART
from nvcodec.models.transform import CLASSES, LEARNED_CLASSES, Filters, check_filters, no_filters

Tensors = dict[str, np.ndarray]
LEARNED = tuple(field.name for field in fields(Learned))


@pytest.fixture(scope="module")
def installed() -> tuple[Tensors, dict[str, str]]:
    """Tensors and metadata of the model that ships."""
    content = zoo.find(DEFAULT_MODEL).path.read_bytes()
    return load(content), json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]


def test_equal_weights_are_equal_files_and_come_back(weights: Weights, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_weights(tmp_path / name, "again", weights.start, weights.bases)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    again = load_weights(tmp_path / "a")
    assert again.name == "again"
    assert all(np.array_equal(getattr(again.start, name), getattr(weights.start, name)) for name in LEARNED)
    for part in ("pictures", "analysis", "rates"):
        for a, b in zip(getattr(again.bases, part), getattr(weights.bases, part), strict=True):
            assert np.array_equal(a, b)
    for part in ("luma", "chroma"):
        assert np.array_equal(getattr(again.bases.filters, part), getattr(weights.bases.filters, part))
    for mine, theirs in zip(again.bases.network.layers, weights.bases.network.layers, strict=True):
        assert all(np.array_equal(array, getattr(theirs, name)) for name, array in vars(mine).items())


def test_classes_that_lie_on_their_side_are_not_stored(installed: tuple[Tensors, dict[str, str]]) -> None:
    tensors, metadata = installed
    pictures = [tensors[f"bases.{kind}"] for kind in ("coarse", "fine", "tiny", "tiny_chroma", "large")]
    assert [len(p) for p in pictures] == [LEARNED_CLASSES] * 5
    assert [len(p) for p in load_weights(zoo.find(DEFAULT_MODEL).path).bases.pictures] == [CLASSES] * 5
    assert metadata["format"] == FORMAT == "nvc-conditional-12"


@pytest.mark.parametrize("name", ["weights", "decision_weights"])
def test_rows_of_weights_begin_with_curves(weights: Weights, name: str) -> None:
    """Of probabilities, straight where nothing was learned; what was learned bends them."""
    rows, nothing = getattr(weights.start, name), getattr(nothing_learned(), name)
    assert np.array_equal(nothing, new_weights(len(nothing), nothing.shape[1] - POINTS))
    curves, straight = rows[:, :POINTS], nothing[:, :POINTS]
    assert 0 <= curves.min() <= curves.max() < ONE
    bent = (curves != straight).any(1)
    assert bent.mean() > 0.5
    assert np.array_equal(curves[~bent], straight[~bent])


def test_coding_leaves_the_model_as_it_was(weights: Weights) -> None:
    copy = weights.start.copy()
    for name in LEARNED:
        assert not np.shares_memory(getattr(copy, name), getattr(weights.start, name))
        assert np.array_equal(getattr(copy, name), getattr(weights.start, name))


def test_what_was_learned_often_counts_as_learned_sometimes(weights: Weights, tmp_path: Path) -> None:
    start = nothing_learned()
    for slots in (start.decisions, start.slots):
        slots[:4, 1] = 0, 1, START_COUNT, 200
    save_weights(tmp_path / "often", "often", start, weights.bases)
    again = load_weights(tmp_path / "often").start
    for slots in (again.decisions, again.slots):
        assert slots[:4, 1].tolist() == [0, 1, START_COUNT, START_COUNT]
        assert (slots[:, 0] == 1 << 15).all()


def _of(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tensors], None]:
    def apply(tensors: Tensors) -> None:
        tensors[name] = np.ascontiguousarray(change(tensors[name]))

    return apply


def _first(value: int) -> Callable[[np.ndarray], np.ndarray]:
    """Wider numbers, the first of them out of range."""

    def change(a: np.ndarray) -> np.ndarray:
        wide = a.astype(np.int32)
        wide.flat[0] = value
        return wide

    return change


def _last(tensors: Tensors) -> int:
    """The number of the network's last layer."""
    return sum(name.startswith("network.") for name in tensors) // 3 - 1


CHANGES = {
    "nothing but metadata": lambda tensors: tensors.clear(),
    "no bases": lambda tensors: tensors.pop("bases.fine"),
    "fewer slots": _of("start.slots", lambda a: a[: SLOTS - 1]),
    "fewer counts": _of("start.counts", lambda a: a[: SLOTS - 1]),
    "fewer decisions": _of("start.decisions", lambda a: a[: DECISION_SLOTS - 1]),
    "fewer counts of decisions": _of("start.decision_counts", lambda a: a[: DECISION_SLOTS - 1]),
    "fewer slots and counts": lambda tensors: [
        _of(f"start.{n}", lambda a: a[:-1])(tensors) for n in ("slots", "counts")
    ],
    "fewer decisions and counts": lambda tensors: [
        _of(f"start.{n}", lambda a: a[:-1])(tensors) for n in ("decisions", "decision_counts")
    ],
    "no decisions": lambda tensors: tensors.pop("start.decisions"),
    "no weights of decisions": lambda tensors: tensors.pop("start.decision_weights"),
    "fewer weights": _of("start.weights", lambda a: a[:-1]),
    "fewer weights of decisions": _of("start.decision_weights", lambda a: a[:-1]),
    "weights of decisions of fewer inputs": _of("start.decision_weights", lambda a: a[:, :-1]),
    "weights without curves": _of("start.weights", lambda a: a[:, POINTS:]),
    "weights of decisions without curves": _of("start.decision_weights", lambda a: a[:, POINTS:]),
    "curves of fewer points": _of("start.weights", lambda a: a[:, 1:]),
    "huge points of curves": _of("start.weights", lambda a: np.where(np.arange(a.shape[1]) == 2, np.int32(1 << 25), a)),
    "points of curves far below 0": _of(
        "start.decision_weights", lambda a: np.where(np.arange(a.shape[1]) == 0, np.int32(-(1 << 25)), a)
    ),
    "fewer plain contexts": _of("start.plain", lambda a: a[:-1]),
    "weights of another type": _of("start.weights", lambda a: a.astype(np.float32)),
    "weights of decisions of another type": _of("start.decision_weights", lambda a: a.astype(np.int64)),
    "huge weights": _of("start.weights", lambda a: a | (1 << 30)),
    "huge weights of decisions": _of("start.decision_weights", lambda a: a | (1 << 30)),
    "high counts": _of("start.counts", lambda a: np.full_like(a, 255)),
    "high counts of decisions": _of("start.decision_counts", lambda a: np.full_like(a, START_COUNT + 1)),
    "counts below 0": _of("start.counts", _first(-300)),
    "slots below 0": _of("start.slots", _first(-(1 << 20))),
    "slots beyond 65535": _of("start.slots", _first(1 << 20)),
    "decisions below 0": _of("start.decisions", _first(-1)),
    "decisions beyond 65535": _of("start.decisions", _first(1 << 20)),
    "counts of decisions below 0": _of("start.decision_counts", _first(-300)),
    "plain contexts beyond 65535": _of("start.plain", _first(1 << 20)),
    "smaller bases": _of("bases.coarse", lambda a: a[:, :-1]),
    "bases of another type": _of("bases.tiny", lambda a: a.astype(np.int32)),
    "fewer rates": _of("rates.tiny", lambda a: a[:, :-1]),
    "rates of another type": _of("rates.coarse", lambda a: a.astype(np.float64)),
    "rates of no kind": _of("rates.fine", lambda a: a[0]),
    "rates of fewer classes": _of("rates.coarse", lambda a: a[:, : RATE_CLASSES - 2]),
    "rates of two quantisers": _of("rates.large", lambda a: np.stack([a, a, a], 1)),
    "no large bases": lambda tensors: tensors.pop("bases.large"),
    "no large rates": lambda tensors: tensors.pop("rates.large"),
    "smaller large bases": _of("bases.large", lambda a: a[..., :-1]),
    "fewer classes": _of("bases.large", lambda a: a[:-1]),
    "more classes": _of("bases.tiny_chroma", lambda a: np.concatenate([a, a[2:]])),
    "no filters": lambda tensors: tensors.pop("filters.luma"),
    "no chroma filters": lambda tensors: tensors.pop("filters.chroma"),
    "filters of another type": _of("filters.luma", lambda a: a.astype(np.int8)),
    "wider filters": _of("filters.chroma", lambda a: a.astype(np.int32)),
    "filters of fewer banks": _of("filters.luma", lambda a: a[:, 1:]),
    "filters of fewer classes": _of("filters.chroma", lambda a: a[..., 1:, :]),
    "fewer taps": _of("filters.luma", lambda a: a[..., 1:]),
    "large taps": _of("filters.luma", lambda a: np.where(np.arange(a.shape[-1]) == 3, MAX_TAP + 1, a).astype(a.dtype)),
    "the least taps": _of("filters.chroma", lambda a: np.full_like(a, -(1 << 15))),
    "no network": lambda tensors: [tensors.pop(name) for name in list(tensors) if name.startswith("network.")],
    "a network without its first layer": lambda tensors: [
        tensors.pop(f"network.0.{n}") for n in ("weights", "bias", "parts")
    ],
    "a network without its last layer": lambda tensors: [
        tensors.pop(f"network.{_last(tensors)}.{n}") for n in ("weights", "bias", "parts")
    ],
    "a network without its last weights": lambda tensors: tensors.pop(f"network.{_last(tensors)}.weights"),
    "a layer without bias": lambda tensors: tensors.pop("network.0.bias"),
    "a layer without parts": lambda tensors: tensors.pop("network.1.parts"),
    "a network that sees less": _of("network.0.weights", lambda a: a[:, 1:]),
    "a network that sees more": _of("network.0.weights", lambda a: np.concatenate([a, a], 1)),
    "layers of fewer outputs": _of("network.0.weights", lambda a: a[4:]),
    "layers of fewer inputs": _of("network.1.weights", lambda a: a[:, 1:]),
    "layers of fewer taps": _of("network.1.weights", lambda a: a[..., 1:]),
    "layers of one channel more": _of("network.1.weights", lambda a: np.concatenate([a, a[:1]])),
    "weights of layers of another type": _of("network.1.weights", lambda a: a.astype(np.int32)),
    "weights of layers of floating point": _of("network.0.weights", lambda a: a.astype(np.float32)),
    "bias of layers of another type": _of("network.0.bias", lambda a: a.astype(np.int64)),
    "bias of layers of one kind": _of("network.0.bias", lambda a: a[:1]),
    "bias of layers of fewer levels": _of("network.0.bias", lambda a: a[:, 1:]),
    "bias of layers of fewer channels": _of("network.1.bias", lambda a: a[..., 1:]),
    "parts of layers of another type": _of("network.0.parts", lambda a: a.astype(np.int8)),
    "fewer parts of layers": _of("network.1.parts", lambda a: a[1:]),
    "large parts of layers": _of("network.0.parts", lambda a: np.full_like(a, MAX_PART + 1)),
    "the least weights of layers": _of("network.0.weights", lambda a: np.full_like(a, -(1 << 15))),
    "large weights of one layer's channel": _of(
        "network.1.weights", lambda a: np.where(np.arange(len(a))[:, None, None] == 3, 100, a).astype(a.dtype)
    ),
    "a large bias of layers": _of("network.0.bias", lambda a: np.full_like(a, EXACT)),
    "the least bias of layers": _of("network.1.bias", lambda a: np.full_like(a, -(1 << 31))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_kernels_index_with_is_checked(
    installed: tuple[Tensors, dict[str, str]], tmp_path: Path, change: str
) -> None:
    """Compiled code does not look at bounds, so a file must not be able to lead it beyond them."""
    tensors, metadata = dict(installed[0]), installed[1]
    CHANGES[change](tensors)
    path = tmp_path / "changed.safetensors"
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(UnsupportedError) as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(installed: tuple[Tensors, dict[str, str]], tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    content = zoo.find(DEFAULT_MODEL).path.read_bytes()
    for wrong in (b"", b"\0" * 8, b"\xff" * 100, content[:-1], content[: len(content) // 2]):
        path.write_bytes(wrong)
        with pytest.raises(UnsupportedError):
            load_weights(path)
    with pytest.raises(UnsupportedError):
        load_weights(tmp_path / "absent.safetensors")
    save_file(installed[0], path, metadata={**installed[1], "format": "nvc-conditional-9"})
    with pytest.raises(UnsupportedError, match="layout 'nvc-conditional-9'"):
        load_weights(path)


def test_filters_are_checked_one_by_one() -> None:
    """As large as they may be, and one more, at either end."""
    good = no_filters()
    check_filters(good)
    assert not good.luma.any()
    assert not good.chroma.any()
    for part in ("luma", "chroma"):
        for value, fine in ((MAX_TAP, True), (-MAX_TAP, True), (MAX_TAP + 1, False), (-MAX_TAP - 1, False)):
            taps = np.zeros_like(getattr(good, part))
            taps.flat[-1] = value
            changed = Filters(**{"luma": good.luma, "chroma": good.chroma, part: taps})
            if fine:
                check_filters(changed)
            else:
                with pytest.raises(ValueError, match="256ths"):
                    check_filters(changed)
        with pytest.raises(ValueError, match="shape"):
            check_filters(Filters(**{"luma": good.luma, "chroma": good.chroma, part: taps[:-1]}))


def test_arrays_that_lie_differently_in_memory_are_written_right(weights: Weights, tmp_path: Path) -> None:
    pictures = tuple(np.ascontiguousarray(p.transpose(0, 2, 1)).transpose(0, 2, 1) for p in weights.bases.pictures)
    path = tmp_path / "strided.safetensors"
    save_weights(path, "strided", weights.start, replace(weights.bases, pictures=pictures))
    for found, wanted in zip(load_weights(path).bases.pictures, weights.bases.pictures, strict=True):
        assert np.array_equal(found, wanted)
