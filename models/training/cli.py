# SPDX-License-Identifier: Apache-2.0
"""``nvc train``: prepares data, makes transforms and records, learns, exports; each only where it is left to do."""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

from nvcodec.cli import EXIT_SIGNAL, say
from nvcodec.cli.values import whole_number
from nvcodec.errors import UsageError

if TYPE_CHECKING:
    from nvcodec.models.training.recipe import Recipe

MAX_NAME = 64  # characters of a model's name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``nvc train``."""
    parser.add_argument(
        "recipe", metavar="RECIPE", help="TOML file, or the name of a recipe that ships, such as conditional-s"
    )
    data = parser.add_argument_group("data")
    data.add_argument("--data", type=Path, metavar="FOLDER", help="videos to train on; cached once (needs PyAV)")
    data.add_argument("--stills", type=Path, metavar="FOLDER", help="photographs to train on")
    data.add_argument("--cache", type=Path, default=Path("cache"), metavar="DIR", help="prepared data (default cache)")
    run = parser.add_argument_group("run")
    run.add_argument("--into", type=Path, metavar="RUN", help="folder of the run, resumed if begun (default runs/NAME)")
    run.add_argument("--seconds", type=_seconds, default=math.inf, metavar="S", help="stop after this time and save")
    run.add_argument(
        "--processes",
        type=whole_number("processes", 1, 1024),
        default=2,
        metavar="N",
        help="processes that encode, with one thread each (default 2)",
    )
    out = parser.add_argument_group("export")
    out.add_argument("--export", type=Path, metavar="OUT", help="then write a .safetensors weight file and its card")
    out.add_argument("-y", "--overwrite", action="store_true", help="replace OUT if it exists")


def run(args: argparse.Namespace) -> int:
    """Do what is left of preparing, training and exporting; 128 + signal when interrupted (the run is saved)."""
    from nvcodec.models.training.phases import missing
    from nvcodec.models.training.recipe import find_recipe, load_recipe

    path = find_recipe(args.recipe)
    recipe = load_recipe(path)
    folder = args.into or Path("runs", recipe.name)
    _check(args, recipe, folder)
    _prepare(args)
    if args.seconds > 0 and missing(recipe, folder):
        received = _train(args, recipe, path, folder)
        if received is not None:
            where = f"at {lacking}" if (lacking := missing(recipe, folder)) else "at the end"
            say(f"interrupted {where}; what is done is kept in {folder}, the same command resumes")
            return EXIT_SIGNAL + received
    if args.export:
        _export(args, recipe, path, folder)
    elif lacking := missing(recipe, folder):
        print(f"{folder}: lacks {lacking}; the same command resumes")
    else:
        print(f"{folder}: trained; --export OUT.safetensors writes the weights")
    return 0


def _train(args: argparse.Namespace, recipe: Recipe, path: Path, folder: Path) -> int | None:
    """Train, and note for the card when, where and for how long; returns the signal that ended it, if one did."""
    from nvcodec.cli.version import cpu_description
    from nvcodec.models.training.card import commit
    from nvcodec.models.training.export import RECIPE, SESSIONS
    from nvcodec.models.training.phases import train
    from nvcodec.models.training.stopping import StopSignals

    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECIPE).write_bytes(path.read_bytes())
    begin = time.monotonic()
    session = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processes": args.processes,
        "cpu": cpu_description()[0],
        "machine": platform.machine(),
        "commit": commit(),
    }
    with StopSignals() as signals:
        try:
            train(
                recipe,
                args.cache,
                folder,
                args.processes,
                lambda: signals.received is not None or time.monotonic() - begin >= args.seconds,
                say,
            )
        finally:
            session["minutes"] = round((time.monotonic() - begin) / 60, 2)
            with open(folder / SESSIONS, "a") as log:
                log.write(json.dumps(session) + "\n")
    return signals.received


def _check(args: argparse.Namespace, recipe: Recipe, folder: Path) -> None:
    """What would otherwise fail only after hours."""
    from nvcodec.datasets.training_cache import cached_paths
    from nvcodec.models import zoo
    from nvcodec.models.conditional.weights import load_weights
    from nvcodec.models.training.phases import BASES, has_records

    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--into {folder}: not a folder")
    cached = any(cached_paths(place) for place in (args.cache / "train", args.cache))
    if args.data is None and not cached and not has_records(recipe, folder):
        raise UsageError(f"--cache {args.cache}: no prepared videos in it; --data FOLDER prepares them")
    if recipe.start_from and not (folder / BASES).exists():
        load_weights(zoo.find(recipe.start_from).path)
    if args.export is None:
        return
    out: Path = args.export
    if out.suffix != ".safetensors" or not 0 < len(out.stem) <= MAX_NAME:
        raise UsageError(f"--export {out}: NAME.safetensors is wanted, with at most {MAX_NAME} characters of name")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"--export {out}: no folder {out.parent}")
    if out.exists() and not args.overwrite:
        raise UsageError(f"--export {out}: exists already; -y replaces it")


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

    from nvcodec.cli.version import cpu_count
    from nvcodec.datasets.prepare import prepare

    say(f"preparing {count} files of {folder} in {cache}")
    with tqdm(total=count, unit=" files", file=sys.stderr, leave=False, disable=not sys.stderr.isatty()) as bar:
        prepare(folder, cache, cpu_count(), suffixes, lambda name: bar.update())


def _export(args: argparse.Namespace, recipe: Recipe, path: Path, folder: Path) -> None:
    from nvcodec.models.training.export import export

    out: Path = args.export
    facts = export(recipe, path, folder, args.cache, out)
    records, card = facts["training"]["records"], out.with_suffix(".md")
    print(f"{out}: learned from {records} records, {facts['nbytes']} bytes, SHA-256 {facts['sha256']}; card {card}")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise ArgumentTypeError(f"'{text}' is not a time: write a number of seconds, 0 or more")
    return value
