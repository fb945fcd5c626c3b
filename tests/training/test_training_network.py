# SPDX-License-Identifier: Apache-2.0
"""The network in the loop: it learns, goes on where it was interrupted, and is the same in whole numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from synthetic_training import panned, recipe_text, texture

from nvcodec.errors import UsageError
from nvcodec.models.conditional.frame import Planes, empty_planes, without_borders
from nvcodec.models.conditional.plans import GROUP_OFFSETS, LOW_DELAY
from nvcodec.models.conditional.restoration import Coded, apply_network
from nvcodec.models.conditional.threads import INLINE
from nvcodec.models.conditional.weights import load_weights
from nvcodec.models.depth import widen
from nvcodec.models.kernels.compensation import PAD, extend_edges, padded
from nvcodec.models.kernels.network import AROUND, CHANNELS, SEEN
from nvcodec.models.network import Network, network_of, no_network, to_tensors
from nvcodec.models.quality import LEVELS, LOWEST
from nvcodec.models.training import network as module
from nvcodec.models.training.bases import load_bases
from nvcodec.models.training.export import export
from nvcodec.models.training.network import PATCH, Trainer, _turned, gains
from nvcodec.models.training.network_examples import (
    Example,
    at_half_size,
    coded_at_half_size,
    collect,
    examples_of,
    extended,
    load_examples,
    save_examples,
)
from nvcodec.models.training.phases import FILTERED, FRAMES, NETWORK, RECORDS, RESTORED, has_records, missing, train
from nvcodec.models.training.pieces import Piece, Pieces
from nvcodec.models.training.recipe import NetworkCounts, Recipe, load_recipe
from nvcodec.models.training.records import CLIPS
from nvcodec.models.training.workers import Workers

ROWS, COLUMNS = 7, 8  # blocks
PADS = (PAD, PAD // 2, PAD // 2)
Stop = Callable[[], bool]


def counts_of(steps: int, channels: int = 8, layers: int = 2) -> NetworkCounts:
    return NetworkCounts(clips=1, stills=0, held_out=0, frames=2, steps=steps, channels=channels, layers=layers)


COLLECTED = counts_of(2)


def coded(random: np.random.Generator, rows: int = ROWS, columns: int = COLUMNS) -> Coded:
    """Anything that may have been coded."""
    y, u, v = (random.integers(-40, 41, (n * rows, n * columns)).astype(np.int16) for n in (16, 8, 8))
    finer = random.integers(-3, 4, ((rows + 1) // 2, (columns + 1) // 2)).astype(np.int8)
    return Coded((y, u, v), finer, random.integers(0, 3, (rows, columns)).astype(np.uint8))


def example_of(decoded: np.ndarray, picture: np.ndarray, level: int, intra: bool, held_out: bool = False) -> Example:
    """Of which nothing was coded."""
    return Example(decoded, picture, np.zeros((SEEN - CHANNELS, *decoded.shape[1:]), np.int16), level, intra, held_out)


def example(seed: int, level: int, spread: float, held_out: bool = False) -> Example:
    """A smooth picture, decoded with noise; spread: in samples of eight bits."""
    random, (height, width) = np.random.default_rng(seed), (16 * ROWS, 16 * COLUMNS)
    planes = [widen(texture(height // s, width // s, seed + s, 24 // s)) for s in (1, 2, 2)]
    noisy = [(p + random.normal(0, 4 * spread, p.shape)).round().clip(0, 1023).astype(np.uint16) for p in planes]
    picture, decoded = (at_half_size((p[0], p[1], p[2])) for p in (planes, noisy))
    return Example(decoded, picture, coded_at_half_size(coded(random)), level, seed % 2 == 0, held_out)


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return [example(n, LOWEST + 20 + 4 * n, 6.0 - n, n == 4) for n in range(5)]


def trained(
    counts: NetworkCounts, examples: list[Example], keep: Path, stop: Stop = lambda: False, seed: int = 1
) -> Trainer:
    """From the state that is kept, if there is one."""
    trainer = Trainer(counts, seed, 1)
    if keep.exists():
        trainer.load(keep)
    trainer.train(examples, stop, keep, lambda line: None)
    return trainer


@pytest.fixture(scope="module")
def learned(examples: list[Example], tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WARM_STEPS", 10)
        return trained(counts_of(120), examples, tmp_path_factory.mktemp("learned") / "n")


def same(a: Network, b: Network) -> bool:
    mine, theirs = to_tensors(a), to_tensors(b)
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[name], theirs[name]) for name in mine)


# --- frames at half size


def random_planes(seed: int, height: int = 32, width: int = 48) -> Planes:
    random = np.random.default_rng(seed)
    y, u, v = (random.integers(0, 1024, (height // s, width // s)).astype(np.uint16) for s in (1, 2, 2))
    return y, u, v


@pytest.mark.parametrize("turn", range(8))
def test_turned_patches_are_those_of_turned_pictures(turn: int) -> None:
    planes = random_planes(turn)
    whole = list(planes)
    if turn & 1:
        whole = [plane[:, ::-1] for plane in whole]
    if turn & 2:
        whole = [plane[::-1] for plane in whole]
    if turn & 4:
        whole = [plane.T for plane in whole]
    found, wanted = _turned(at_half_size(planes), turn), at_half_size((whole[0], whole[1], whole[2]))
    assert np.array_equal(found, wanted)
    assert found.flags.c_contiguous
    twice = np.concatenate([at_half_size(planes)] * 2 + [at_half_size(planes)[4:]])  # samples, residual, two maps
    assert np.array_equal(_turned(twice, turn), np.concatenate([wanted, wanted, wanted[4:]]))


def test_what_was_coded_lies_beside_samples() -> None:
    random = np.random.default_rng(5)
    more = coded(random, 3, 2)
    found = coded_at_half_size(more)
    assert found.shape == (SEEN - CHANNELS, 24, 16)
    assert np.array_equal(found[:CHANNELS], at_half_size(more.planes))
    for r in range(24):
        for c in range(16):
            assert found[CHANNELS, r, c] == more.finer[r // 16, c // 16]
            assert found[CHANNELS + 1, r, c] == (more.pred[r // 8, c // 8] > 0)


@pytest.mark.parametrize("edge", [1, 4, 14])
def test_extended_frames_are_those_with_borders(edge: int) -> None:
    """As the codec's planes have them."""
    planes = random_planes(edge)
    y, u, v = (
        padded(plane, pad)[pad - n * edge : plane.shape[0] + pad + n * edge, pad - n * edge :][
            :, : plane.shape[1] + 2 * n * edge
        ]
        for plane, pad, n in zip(planes, PADS, (2, 1, 1), strict=True)
    )
    found = extended(at_half_size(planes), edge)
    assert found.shape == (CHANNELS, 16 + 2 * edge, 24 + 2 * edge)
    assert found.dtype == np.uint16
    assert np.array_equal(found, at_half_size((y, u, v)))


def test_errors_are_means_of_squares_by_plane() -> None:
    a, b = random_planes(1), random_planes(2)
    found = example_of(at_half_size(a), at_half_size(b), LOWEST, True).errors
    assert found == pytest.approx([((x.astype(float) - y) ** 2).mean() for x, y in zip(a, b, strict=True)], rel=1e-4)
    assert (example_of(at_half_size(a), at_half_size(a), LOWEST, True).errors > 0).all()


# --- examples


def test_examples_come_back_from_their_file(examples: list[Example], tmp_path: Path) -> None:
    others = [*examples, example_of(at_half_size(random_planes(3)), at_half_size(random_planes(4)), 95, True, True)]
    save_examples(tmp_path / "frames.npz", others, COLLECTED)
    assert [path.name for path in tmp_path.iterdir()] == ["frames.npz"]
    for found, wanted in zip(load_examples(tmp_path / "frames.npz", COLLECTED), others, strict=True):
        assert (found.level, found.intra, found.held_out) == (wanted.level, wanted.intra, wanted.held_out)
        assert np.array_equal(found.decoded, wanted.decoded)
        assert np.array_equal(found.picture, wanted.picture)
        assert np.array_equal(found.coded, wanted.coded)
        assert found.decoded.dtype == found.picture.dtype == np.uint16


@pytest.mark.parametrize("damage", ["absent", "empty", "text", "cut", "short", "less coded", "lacking", "old"])
def test_files_that_are_no_examples(examples: list[Example], tmp_path: Path, damage: str) -> None:
    path = tmp_path / "frames.npz"
    save_examples(path, examples, COLLECTED)
    content, arrays = path.read_bytes(), dict(np.load(path))
    if damage == "absent":
        path.unlink()
    elif damage == "short":
        np.savez(path, **{**arrays, "picture": arrays["picture"][:-1]})
    elif damage == "less coded":
        np.savez(path, **{**arrays, "coded": arrays["coded"][:-1]})
    elif damage == "lacking":
        np.savez(path, **{name: array for name, array in arrays.items() if name != "decoded"})
    elif damage == "old":
        np.savez(path, **{name: array for name, array in arrays.items() if name != "counts"})
    else:
        path.write_bytes({"empty": b"", "text": b"text" * 99, "cut": content[: len(content) // 2]}[damage])
    with pytest.raises(UsageError, match="not the frames of a run") as caught:
        load_examples(path, COLLECTED)
    assert "remove it" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["decoded", "picture", "coded"])
@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.int32, np.float32])
def test_examples_of_samples_of_another_type_are_refused(
    examples: list[Example], tmp_path: Path, name: str, kind: type
) -> None:
    """Such as those of eight bits, whichever of both they are."""
    path = tmp_path / "frames.npz"
    save_examples(path, examples, COLLECTED)
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, name: arrays[name].astype(kind)})
    with pytest.raises(UsageError, match=f"not the frames of a run .*{np.dtype(kind)}.*; remove it") as caught:
        load_examples(path, COLLECTED)
    assert "\n" not in str(caught.value)
    np.savez(path, **arrays)
    assert len(load_examples(path, COLLECTED)) == len(examples)


@pytest.mark.parametrize("name", ["clips", "stills", "held_out", "frames"])
def test_examples_of_other_counts_are_refused(examples: list[Example], tmp_path: Path, name: str) -> None:
    """Those that decide which frames there are; steps and the network's shape do not."""
    path = tmp_path / "frames.npz"
    save_examples(path, examples, COLLECTED)
    other = replace(COLLECTED, **{name: getattr(COLLECTED, name) + 1})
    with pytest.raises(UsageError, match="of other counts than the recipe's; remove it"):
        load_examples(path, other)
    same_frames = replace(COLLECTED, steps=COLLECTED.steps + 1, channels=12, layers=5)
    assert len(load_examples(path, same_frames)) == len(examples)


def test_no_examples_are_none_to_keep(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs frames to learn from"):
        save_examples(tmp_path / "frames.npz", [], COLLECTED)
    assert not list(tmp_path.iterdir())


def test_keyframes_after_cuts_are_intra_examples(encoded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the encoder makes, with groups of their own between them; each finer than what follows."""
    parts = [panned(96, 112, frames, (4, 2), seed) for frames, seed in ((5, 1), (3, 9), (1, 21))]
    planes = tuple(np.concatenate(of_parts) for of_parts in zip(*parts, strict=True))
    pieces = Pieces.__new__(Pieces)
    monkeypatch.setattr(pieces, "draw", lambda kind, number, frames: Piece(planes, 30, LOW_DELAY), raising=False)
    found = examples_of(pieces, CLIPS, 0, 9, load_bases(encoded / FILTERED))
    assert [e.intra for e in found] == [True, *[False] * 4, True, *[False] * 2, True]
    pictures = [at_half_size((widen(y), widen(u), widen(v))).astype(float) for y, u, v in zip(*planes, strict=True)]
    for e, number in zip(found, (0, 4, 2, 1, 3, 5, 7, 6, 8), strict=True):
        depth = 1 if number in (2, 6) else 2 if number in (1, 3) else 0
        assert (e.level > LOWEST + 30) if e.intra else (e.level == LOWEST + 30 + GROUP_OFFSETS[depth])
        assert not e.held_out
        distances = [np.abs(other - e.picture).mean() for other in pictures]
        assert int(np.argmin(distances)) == number
        assert min(distances) < 12  # with less noise


def test_examples_are_keyframes_and_frames_that_others_of_their_group_depend_on(cache: Path, encoded: Path) -> None:
    """Of held-out clips, stills and clips, as decoded before restoration: without filters they are the same."""
    pieces, counts = Pieces(cache, 1, 4), NetworkCounts(clips=2, stills=1, held_out=1, frames=5)
    with Workers(0) as workers:
        found = collect(pieces, counts, load_bases(encoded / FILTERED), workers, lambda: False, lambda line: None)
        calls = iter(range(9))
        stopped = collect(
            pieces, counts, load_bases(encoded / FILTERED), workers, lambda: next(calls) == 2, lambda line: None
        )
    assert found is not None
    assert stopped is None
    intra = [True, *[False] * 4]
    assert [e.intra for e in found] == [*intra, True, *intra, *intra]
    assert [e.held_out for e in found] == [True] * 5 + [False] * 11
    pictures = [pieces.draw(kind, n, 5) for kind, n in (("held-out", 0), ("stills", 0), ("clips", 0), ("clips", 1))]
    levels = [LOWEST + piece.quality for piece in pictures]
    depths = [0, 0, 1, 2, 2]  # keyframe, last, middle, quarters
    depths += [0, *depths, *depths]
    for e, piece, depth in zip(found, [0] * 5 + [1] + [2] * 5 + [3] * 5, depths, strict=True):
        assert e.decoded.shape == e.picture.shape
        assert e.decoded.dtype == e.picture.dtype == np.uint16
        assert (e.level > levels[piece]) if e.intra else (e.level == levels[piece] + GROUP_OFFSETS[depth])
        assert e.coded[CHANNELS + 1].any() != e.intra
        assert 2 * e.decoded.shape[1] >= pictures[piece].planes[0].shape[1]
        assert (e.errors < np.array([np.var(plane) for plane in e.picture[[0, 4, 5]]])).all()


# --- training


def test_noise_is_taken_away(learned: Trainer, examples: list[Example]) -> None:
    """From the frame that it was not trained on, too."""
    assert learned.step == 120
    before = list(gains(Trainer(learned.counts, 1, 1), examples))
    after = list(gains(learned, examples))
    assert all(abs(gain) < 0.7 for gain in before)
    assert min(after) > 0.5, after
    assert min(a - b for a, b in zip(after, before, strict=True)) > 0.3


def test_training_goes_on_where_it_was_interrupted(examples: list[Example], tmp_path: Path) -> None:
    """Before the first step, in between, and after the last: the same parameters to the last bit."""
    counts = counts_of(7)
    whole = trained(counts, examples, tmp_path / "whole")
    for after, step in ((0, 0), (3, 3), (2, 5)):
        calls = iter(range(99))
        part = trained(counts, examples, tmp_path / "parts", lambda calls=calls, after=after: next(calls) == after)
        assert part.step == step
        assert (tmp_path / "parts").exists()
    again = trained(counts, examples, tmp_path / "parts")
    assert again.step == whole.step == 7
    assert all(torch.equal(again.parameters[name], p) for name, p in whole.parameters.items())
    a, b = load_file(tmp_path / "parts"), load_file(tmp_path / "whole")
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert same(again.network(), whole.network())
    trainer = trained(counts, examples, tmp_path / "whole", lambda: pytest.fail("nothing is left to do"))
    assert all(torch.equal(trainer.parameters[name], p) for name, p in whole.parameters.items())
    assert {path.name for path in tmp_path.iterdir()} == {"parts", "whole"}


def test_other_seeds_make_other_networks(examples: list[Example], tmp_path: Path) -> None:
    a, b, other = (trained(counts_of(2), examples, tmp_path / name, seed=len(name)) for name in ("a", "b", "cc"))
    assert same(a.network(), b.network())
    assert not same(a.network(), other.network())


def test_frames_that_are_held_out_or_too_small_teach_nothing(examples: list[Example], tmp_path: Path) -> None:
    odd = example_of(examples[0].decoded[:, :20], examples[0].picture[:, :20], LOWEST, False)
    noise = np.zeros_like(examples[0].decoded)
    held = example_of(noise, noise + 800, LOWEST, True, True)
    found = [
        trained(counts_of(2), some, tmp_path / str(n))
        for n, some in enumerate((examples[:4], [held, *examples[:2], odd, *examples[2:4], examples[4]]))
    ]
    assert same(found[0].network(), found[1].network())


@pytest.mark.parametrize("kind", ["none", "held out", "low", "narrow", "only just"])
def test_training_needs_frames_that_are_large_enough_and_not_held_out(
    examples: list[Example], tmp_path: Path, kind: str
) -> None:
    """Of as many samples as a patch has, with what is around it."""
    side = PATCH + 2 * (2 + AROUND)
    shapes = {"low": (side - 1, 2 * side), "narrow": (2 * side, side - 1), "only just": (side, side)}
    frame = np.zeros((CHANNELS, *shapes.get(kind, (side, side))), np.uint16)
    some = [example_of(frame, frame, LOWEST, True, kind == "held out")]
    keep = tmp_path / "n"
    if kind == "only just":
        assert trained(counts_of(1), some, keep).step == 1
        return
    with pytest.raises(UsageError, match=f"pictures of {2 * side} samples a side: none is there") as caught:
        trained(counts_of(1), [] if kind == "none" else some, keep)
    assert "\n" not in str(caught.value)
    assert not keep.exists()


@pytest.mark.parametrize(
    ("counts", "seed", "words"),
    [
        (counts_of(3), 1, "of 2 steps and seed 1, not as the recipe says"),
        (counts_of(2), 2, "of 2 steps and seed 1, not as the recipe says"),
        (counts_of(2, channels=4), 1, "not the network of a run"),
        (counts_of(2, channels=12), 1, "not the network of a run"),
        (counts_of(2, layers=1), 1, "not the network of a run"),
        (counts_of(2, layers=3), 1, "not the network of a run"),
    ],
)
def test_the_state_of_other_settings_is_refused(
    examples: list[Example], tmp_path: Path, counts: NetworkCounts, seed: int, words: str
) -> None:
    keep = tmp_path / "n"
    trained(counts_of(2), examples, keep)
    with pytest.raises(UsageError, match=words) as caught:
        Trainer(counts, seed, 1).load(keep)
    assert "remove it" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_state_of_another_start_is_refused(learned: Trainer, examples: list[Example], tmp_path: Path) -> None:
    """Such as one that was begun before the weights to start from were replaced."""
    keep, start = tmp_path / "n", learned.network()
    layers = tuple(replace(layer, bias=layer.bias + (n == 1)) for n, layer in enumerate(start.layers))
    trainer = Trainer(counts_of(2), 1, 1, start)
    trainer.train(examples, lambda: False, keep, lambda line: None)
    Trainer(counts_of(2), 1, 1, start).load(keep)
    for other in (None, network_of(layers)):
        with pytest.raises(UsageError, match=r"began with another network .* remove it"):
            Trainer(counts_of(2), 1, 1, other).load(keep)


@pytest.mark.parametrize("damage", ["absent", "empty", "text", "cut", "lacking", "done", "more done"])
def test_files_that_are_no_state(examples: list[Example], tmp_path: Path, damage: str) -> None:
    keep = tmp_path / "n"
    trained(counts_of(2), examples, keep)
    content, tensors = keep.read_bytes(), load_file(keep)
    if damage == "absent":
        keep.unlink()
    elif damage == "lacking":
        save_file({name: tensor for name, tensor in tensors.items() if name != "exp_avg.bias.0"}, keep)
    elif damage == "done":
        save_file({**tensors, "done": tensors["done"][:2].clone()}, keep)
    elif damage == "more done":
        save_file({**tensors, "done": torch.cat([tensors["done"]] * 2)}, keep)
    else:
        keep.write_bytes({"empty": b"", "text": b"text" * 99, "cut": content[: len(content) // 2]}[damage])
    with pytest.raises(UsageError, match="not the network of a run") as caught:
        Trainer(counts_of(2), 1, 1).load(keep)
    assert "\n" not in str(caught.value)


# --- in whole numbers


def planes_of(frame: np.ndarray) -> Planes:
    """Of a frame at half size."""
    rows, columns = frame.shape[1:]
    y = frame[:4].reshape(2, 2, rows, columns).transpose(2, 0, 3, 1).reshape(2 * rows, 2 * columns)
    return y, frame[4], frame[5]


def with_borders(frame: np.ndarray) -> Planes:
    planes = empty_planes(*(side // 8 for side in frame.shape[1:]))
    for plane, inside, pad in zip(planes, planes_of(frame), PADS, strict=True):
        plane[pad:-pad, pad:-pad] = inside
        extend_edges(plane, pad)
    return planes


@pytest.mark.parametrize("level", [LOWEST + 8, LOWEST + 28, LEVELS - 1])
@pytest.mark.parametrize("intra", [True, False])
def test_in_whole_numbers_it_makes_nearly_the_same(
    learned: Trainer, examples: list[Example], level: int, intra: bool
) -> None:
    """With biases of levels and kinds that do something."""
    trainer = Trainer(learned.counts, 1, 1)
    with torch.no_grad():
        for number, (name, parameter) in enumerate(trainer.parameters.items()):
            parameter.copy_(learned.parameters[name])
            if name.startswith("bias"):
                parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    network, edge = trainer.network(), trainer.counts.layers + AROUND
    assert network.halo == trainer.counts.layers
    for seed, e in enumerate(examples[:2]):
        more = coded(np.random.default_rng(seed))
        planes, asked = with_borders(e.decoded), np.ones((-(-ROWS // 2), -(-COLUMNS // 2)), bool)
        made = at_half_size(without_borders(apply_network(planes, more, level, intra, asked, network, INLINE)))
        around = np.pad(coded_at_half_size(more), ((0, 0), (edge, edge), (edge, edge)), mode="edge")
        x = torch.from_numpy(np.concatenate([extended(e.decoded, edge), around])).float()[None]
        with torch.no_grad():
            out, inside = trainer.run(x, torch.tensor([level]), torch.tensor([intra]))
        assert np.array_equal(inside[0].numpy(), e.decoded)
        wanted = out[0].round().clamp(0, 1023).numpy()
        assert np.abs(wanted - e.decoded).mean() > 0.8
        differences = made - wanted
        assert abs(differences.mean()) < 0.05  # rounded neither down nor up
        assert np.abs(differences).mean() < (0.8 if level < LOWEST + 10 else 0.4)  # of whose steps 128ths are large
        assert np.abs(differences).max() <= 5  # where a byte between layers became another


@pytest.mark.parametrize(("channels", "layers"), [(4, 1), (12, 3), (32, 5)])
def test_networks_of_any_size_are_whole_numbers_that_are_exact(channels: int, layers: int) -> None:
    """Which `network_of` sees to; as fine as sums allow."""
    network = Trainer(counts_of(1, channels, layers), 1, 1).network()
    assert network.halo == layers
    assert all(layer.parts.min() >= 6 for layer in network.layers)


# --- a run


def of_run(recipe: Recipe, cache: Path, run: Path, until: str) -> list[str]:
    """What a run says until some words are said."""
    said: list[str] = []
    train(recipe, cache, run, 0, lambda: any(line.startswith(until) for line in said), said.append)
    return said


def test_a_run_goes_on_where_it_was_stopped(cache: Path, run_folder: Path, recipe_path: Path, tmp_path: Path) -> None:
    """Among frames of clips, which are not kept, and while the network learns."""
    recipe = load_recipe(recipe_path)
    (run_folder / RESTORED).unlink()
    shutil.rmtree(run_folder / RECORDS)
    assert missing(recipe, run_folder) == "the network"
    assert of_run(recipe, cache, run_folder, "frames of") == ["frames of clips ..."]
    assert not (run_folder / FRAMES).exists()
    said = of_run(recipe, cache, run_folder, "network from")
    assert said[0] == "frames of clips ..."
    assert said[1].startswith("network from ")
    assert missing(recipe, run_folder) == "the network"
    assert load_file(run_folder / NETWORK)["done"].tolist() == [0, 2, 1]
    said = of_run(recipe, cache, run_folder, "records of")
    assert [line.split()[0] for line in said] == ["network", "network,", "records"]
    assert " dB in " in said[1]
    assert missing(recipe, run_folder) == "records"
    found, before = load_bases(run_folder / RESTORED), load_bases(run_folder / FILTERED)
    examples = load_examples(run_folder / FRAMES, recipe.network)
    assert same(found.network, trained(recipe.network, examples, tmp_path / "n").network())
    assert not same(found.network, no_network())
    assert same(before.network, no_network())
    assert np.array_equal(found.filters.luma, before.filters.luma)
    assert all(np.array_equal(a, b) for a, b in zip(found.pictures, before.pictures, strict=True))


def test_a_run_refuses_frames_of_another_recipe(
    cache: Path, run_folder: Path, recipe_path: Path, examples: list[Example]
) -> None:
    recipe = load_recipe(recipe_path)
    (run_folder / RESTORED).unlink()
    save_examples(run_folder / FRAMES, examples, replace(recipe.network, clips=recipe.network.clips + 1))
    with pytest.raises(UsageError, match=f"{FRAMES}: of other counts than the recipe's; remove it"):
        of_run(recipe, cache, run_folder, "records of")
    assert missing(recipe, run_folder) == "the network"
    save_examples(run_folder / FRAMES, [replace(e, held_out=True) for e in examples], recipe.network)
    with pytest.raises(UsageError, match="the network needs pictures of"):
        of_run(recipe, cache, run_folder, "records of")
    assert missing(recipe, run_folder) == "the network"


def test_without_steps_the_network_is_that_of_other_weights_or_none(
    cache: Path, run_folder: Path, recipe_path: Path, tmp_path: Path
) -> None:
    recipe, other = load_recipe(recipe_path), tmp_path / "other.safetensors"
    train(recipe, cache, run_folder, 0, lambda: False, lambda line: None)
    export(recipe, recipe_path, run_folder, tmp_path, other)
    theirs = load_weights(other).bases.network
    assert not same(theirs, no_network())
    assert same(theirs, load_bases(run_folder / RESTORED).network)
    recipe_path.write_text(recipe_text(start_from=str(other)).replace("steps = 2", "steps = 0"))
    said = of_run(load_recipe(recipe_path), cache, tmp_path / "new", "records of")
    assert said == [f"transforms of {other}", "records of clips ..."]
    assert same(load_bases(tmp_path / "new" / RESTORED).network, theirs)
    recipe_path.write_text(recipe_text().replace("steps = 2", "steps = 0"))
    (run_folder / RESTORED).unlink()
    shutil.rmtree(run_folder / RECORDS)
    assert of_run(load_recipe(recipe_path), cache, run_folder, "records of") == ["records of clips ..."]
    assert same(load_bases(run_folder / RESTORED).network, no_network())


def test_a_network_is_trained_on_and_all_else_is_kept(
    cache: Path, run_folder: Path, recipe_path: Path, tmp_path: Path
) -> None:
    """Of other weights, which may be narrower; what they do is what it does before the first step."""
    recipe, other, new = load_recipe(recipe_path), tmp_path / "other.safetensors", tmp_path / "new.safetensors"
    train(recipe, cache, run_folder, 0, lambda: False, lambda line: None)
    export(recipe, recipe_path, run_folder, tmp_path, other)
    text = recipe_text(start_from=str(other)).replace("channels = 4", "channels = 12")
    recipe_path.write_text(text.replace("clips = 6\nstills = 2\nheld_out = 1", "clips = 0"))
    recipe = load_recipe(recipe_path)
    assert (recipe.records.clips, recipe.network.channels) == (0, 12)
    said = of_run(recipe, cache, tmp_path / "new", "nothing")
    assert [line.split()[0] for line in said] == ["transforms", "frames", "network", "network,"]
    assert missing(recipe, tmp_path / "new") == ""
    assert has_records(recipe, tmp_path / "new")  # so a finished run is exported without a cache
    assert not has_records(recipe, tmp_path / "nothing")
    before, start = load_weights(other), load_weights(other).bases.network
    examples = load_examples(tmp_path / "new" / FRAMES, recipe.network)
    trainer = Trainer(recipe.network, recipe.seed, 1, start)
    for e in examples:
        edge = recipe.network.layers + AROUND
        around = np.pad(e.coded, ((0, 0), (edge, edge), (edge, edge)), mode="edge")
        x = torch.from_numpy(np.concatenate([extended(e.decoded, edge), around])).float()[None]
        with torch.no_grad():
            found = trainer.run(x, torch.tensor([e.level]), torch.tensor([e.intra]))[0][0].numpy()
        planes, asked = with_borders(e.decoded), np.ones([-(-side // 16) for side in e.decoded.shape[1:]], bool)
        more = Coded(planes_of(e.coded), e.coded[CHANNELS, ::16, ::16], e.coded[CHANNELS + 1, ::8, ::8])
        theirs = apply_network(planes, more, e.level, e.intra, asked, start, INLINE)
        assert np.abs(found - at_half_size(without_borders(theirs))).max() < 1.6
    export(recipe, recipe_path, tmp_path / "new", tmp_path, new)
    after = load_weights(new)
    assert not same(after.bases.network, start)
    assert len(after.bases.network.parts[0]) == 12
    for a, b in zip(vars(before.start).values(), vars(after.start).values(), strict=True):
        assert np.array_equal(a, b)
    assert all(np.array_equal(a, b) for a, b in zip(before.bases.rates, after.bases.rates, strict=True))
    rows = [
        [line for line in path.with_suffix(".md").read_text().splitlines() if line.startswith(("| learned", "| held"))]
        for path in (other, new)
    ]
    assert len(rows[0]) == 2
    assert rows[0] == rows[1]


def test_a_network_to_start_from_that_does_not_fit(learned: Trainer) -> None:
    for counts in (counts_of(1, channels=4), counts_of(1, layers=3), counts_of(1, layers=1)):
        with pytest.raises(UsageError, match="to start from has 2 layers and 8 channels: ") as caught:
            Trainer(counts, 1, 1, learned.network())
        assert "\n" not in str(caught.value)
