# SPDX-License-Identifier: Apache-2.0
"""``nvc train``: prepares data, learns transforms, records, trains, exports; each only where it is still to be done."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvcodec.cli import EXIT_SIGNAL, say
from nvcodec.cli.values import whole_number
from nvcodec.errors import UsageError

if TYPE_CHECKING:
    from nvcodec.models.training.recipe import Recipe

MAX_NAME = 64  # characters of a model's name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``nvc train``."""
    parser.add_argument("recipe", metavar="RECIPE", help="TOML file, or the name of a recipe that ships: conditional-s")
    data = parser.add_argument_group("data")
    data.add_argument("--data", type=Path, metavar="FOLDER", help="videos to train on; cached once (needs PyAV)")
    data.add_argument("--stills", type=Path, metavar="FOLDER", help="photographs to train on")
    data.add_argument("--cache", type=Path, default=Path("cache"), metavar="DIR", help="prepared data (default cache)")
    run = parser.add_argument_group("run")
    run.add_argument("--into", type=Path, metavar="RUN", help="folder of the run, resumed if begun (default runs/NAME)")
    run.add_argument("--seconds", type=_seconds, default=math.inf, metavar="S", help="stop after this time and save")
    run.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, mps")
    run.add_argument(
        "--processes",
        type=whole_number("processes", 1, 1024),
        metavar="N",
        help="processes, each with a batch of its own and its share of the cores (default: the recipe's)",
    )
    out = parser.add_argument_group("export")
    out.add_argument("--export", type=Path, metavar="OUT", help="then write a .safetensors weight file and its card")
    out.add_argument("-y", "--overwrite", action="store_true", help="replace OUT if it exists")


def run(args: argparse.Namespace) -> int:
    """Do what is left of preparing, training and exporting; 130 when interrupted (the run is saved)."""
    from nvcodec.models.training.launch import launch
    from nvcodec.models.training.loop import steps_done
    from nvcodec.models.training.recipe import find_recipe, load_recipe

    path = find_recipe(args.recipe)
    recipe = load_recipe(path)
    folder = args.into or Path("runs", recipe.name)
    processes = args.processes or recipe.processes
    _check(args, recipe, folder)
    _prepare(args)
    done = steps_done(folder)
    if done < recipe.steps and args.seconds > 0:
        _device(args.device)
        code = launch(path, args.cache, folder, args.device, processes, args.seconds, "--traceback" in sys.argv)
        done = steps_done(folder)
        if code > EXIT_SIGNAL:
            where = f"at step {done} of {recipe.steps}" if (folder / "state.pt").exists() else "before training"
            say(f"interrupted {where}, saved in {folder}; the same command resumes")
        if code:
            return code
    if done < recipe.steps and not args.export:
        print(f"{folder}: step {done} of {recipe.steps}; the same command resumes")
    elif not args.export:
        print(f"{folder}: trained, {done} steps; --export OUT.safetensors writes the weights")
    else:
        _export(args, recipe, folder)
    return 0


def _check(args: argparse.Namespace, recipe: Recipe, folder: Path) -> None:
    """What would otherwise fail only after hours."""
    from nvcodec.datasets.training_cache import cached_paths
    from nvcodec.models.training.phases import RECORDS
    from nvcodec.models.training.records import complete

    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--into {folder}: not a folder")
    cached = any(cached_paths(place) for place in (args.cache / "train", args.cache))
    if args.data is None and not cached and not complete(recipe.records, folder / RECORDS):
        raise UsageError(f"--cache {args.cache}: no prepared videos in it; --data FOLDER prepares them")
    if args.export is None:
        return
    out: Path = args.export
    if out.suffix != ".safetensors" or not 0 < len(out.stem) <= MAX_NAME:
        raise UsageError(f"--export {out}: NAME.safetensors is wanted, with at most {MAX_NAME} characters of name")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"--export {out}: no folder {out.parent}")
    if out.exists() and not args.overwrite:
        raise UsageError(f"--export {out}: exists already; -y replaces it")


def _device(name: str) -> None:
    import torch

    try:
        torch.empty(1, device=torch.device(name))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"device {name}: {(str(error).splitlines() or ['not available'])[0]}") from error


def _prepare(args: argparse.Namespace) -> None:
    """Cache what the cache lacks, and keep what a model card says of the folders."""
    from nvcodec.datasets.training_files import STILL_SUFFIXES, VIDEO_SUFFIXES, describe, not_cached, training_files

    for folder, kind, suffixes in ((args.data, "train", VIDEO_SUFFIXES), (args.stills, "stills", STILL_SUFFIXES)):
        if folder is None:
            continue
        files, cache = training_files(folder, suffixes), args.cache / kind
        missing = not_cached(files, cache)
        if missing:
            _prepare_folder(folder, cache, suffixes, len(missing))
        files = [file for file in files if file not in not_cached(files, cache)]
        about = {"kind": "videos" if kind == "train" else "stills", **describe(folder, files)}
        (args.cache / f"{kind}.json").write_text(json.dumps(about, indent=1) + "\n")


def _prepare_folder(folder: Path, cache: Path, suffixes: frozenset[str], count: int) -> None:
    from tqdm import tqdm

    from nvcodec.datasets.prepare import prepare
    from nvcodec.models.training.launch import cores

    say(f"preparing {count} files of {folder} in {cache}")
    with tqdm(total=count, unit=" files", file=sys.stderr, leave=False, disable=not sys.stderr.isatty()) as bar:
        prepare(folder, cache, cores(), suffixes, lambda name: bar.update())


def _export(args: argparse.Namespace, recipe: Recipe, folder: Path) -> None:
    """Averaged weights, tables and the card."""
    from nvcodec.models.conditional.network import ConditionalNetwork, NetworkConfig
    from nvcodec.models.training.bases import load_bases
    from nvcodec.models.training.card import card_facts, commit, write_card
    from nvcodec.models.training.export import export
    from nvcodec.models.training.group import Group
    from nvcodec.models.training.loop import load_own_records, read_state
    from nvcodec.models.training.phases import BASES, RECORDS

    if not (folder / "state.pt").exists():
        raise UsageError(f"--export: {folder} holds no network yet; without --seconds the same command trains it")
    state = read_state(folder)
    network = ConditionalNetwork(NetworkConfig(**recipe.network))
    try:
        network.load_state_dict(state["average"])
    except RuntimeError as error:
        raise UsageError(f"{folder}: trained with another network than that of recipe {recipe.name}") from error
    bases, records = load_bases(folder / BASES), load_own_records(recipe, folder / RECORDS, Group())
    say("counting latents and decisions for their tables ...")
    out: Path = args.export
    partial = out.with_name(f".{out.name}.partial")
    try:
        export(network, bases, records, out.stem, partial)
        os.replace(partial, out)
    except ValueError as error:
        raise UsageError(f"--export: these weights cannot be stored exactly: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    sessions = _lines(folder / "sessions.jsonl")
    training = {
        "steps": int(state["step"]),
        "steps_planned": recipe.steps,
        "seed": recipe.seed,
        "minutes": round(float(state["seconds"]) / 60, 1),
        "commit": commit(),
        "sessions": sessions,
    }
    data = [json.loads(p.read_text()) for kind in ("train", "stills") if (p := args.cache / f"{kind}.json").is_file()]
    used = folder / "recipe.toml"
    text = (used if used.is_file() else _recipe_path(args)).read_text(encoding="utf-8")
    facts = card_facts(out, text, training, data, sum(p.numel() for p in network.parameters()))
    card, _ = write_card(out, facts)
    print(f"{out}: step {training['steps']}, {facts['nbytes']} bytes, SHA-256 {facts['sha256']}; card {card}")


def _recipe_path(args: argparse.Namespace) -> Path:
    from nvcodec.models.training.recipe import find_recipe

    return find_recipe(args.recipe)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise ArgumentTypeError(f"'{text}' is not a time: write a number of seconds, 0 or more")
    return value
