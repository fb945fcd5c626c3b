# SPDX-License-Identifier: Apache-2.0
"""From a cache of clips to a trained network: transforms, records, training. Each keeps its result in the run's folder,
and what is there is not done again.

    CACHE ─► bases.safetensors ─► records/*.npz ─► state.pt
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from nvcodec.errors import UsageError
from nvcodec.models import zoo
from nvcodec.models.conditional.network import NetworkConfig
from nvcodec.models.conditional.weights import Weights, load_weights
from nvcodec.models.training.bases import load_bases, save_bases
from nvcodec.models.training.group import Group
from nvcodec.models.training.loop import Training
from nvcodec.models.training.recipe import Recipe
from nvcodec.models.training.records import complete
from nvcodec.models.transform import BlockBases

BASES = "bases.safetensors"
RECORDS = "records"
_FOR_BASES, _FOR_RECORDS = 1, 2  # purposes of pieces


def train(
    recipe: Recipe,
    cache: Path,
    run: Path,
    device: str,
    group: Group,
    threads: int,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> None:
    """Do what is left in a run's folder, until ``stop()`` is true. Threads: of the encoder, in this process.

    The cache is only looked into, and the encoder only imported, while there is something to encode.
    """
    run.mkdir(parents=True, exist_ok=True)
    start = _start(recipe) if recipe.start_from and not (run / "state.pt").exists() else None
    with ThreadPoolExecutor(max(1, min(2, threads)), "pictures") as pool:
        bases = _bases(recipe, cache, run, start, group, pool, stop, say)
        if bases is None:
            return
        if not complete(recipe.records, run / RECORDS):
            from nvcodec.models.training.pieces import Pieces
            from nvcodec.models.training.recording import record

            say("records of clips ...")
            pieces = Pieces(cache, recipe.seed, _FOR_RECORDS)
            if not record(pieces, bases, recipe.records, run / RECORDS, group, pool, stop, say):
                return
    network = start.network if start is not None else None
    Training(recipe, run, device, say, group, network).fit(stop=stop)


def _start(recipe: Recipe) -> Weights:
    weights = load_weights(zoo.find(recipe.start_from).path)
    wanted = NetworkConfig(**recipe.network)
    if weights.network.config != wanted:
        there = ", ".join(f"{key} {value}" for key, value in weights.network.config.to_dict().items())
        asked = ", ".join(f"{key} {value}" for key, value in asdict(wanted).items())
        raise UsageError(f"start_from {recipe.start_from}: its network ({there}) does not fit the recipe's ({asked})")
    return weights


def _bases(
    recipe: Recipe,
    cache: Path,
    run: Path,
    start: Weights | None,
    group: Group,
    pool: ThreadPoolExecutor,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> BlockBases | None:
    """The transforms of a run, learned or taken from other weights; None when stopped on the way."""
    path = run / BASES
    if path.exists():
        return load_bases(path)
    if start is not None:
        bases: BlockBases | None = start.bases
    else:
        from nvcodec.models.training.components import learn_bases
        from nvcodec.models.training.pieces import Pieces

        say("transforms from clips ...")
        bases = learn_bases(Pieces(cache, recipe.seed, _FOR_BASES), recipe.bases, group, pool, stop, say)
    if bases is not None and group.rank == 0:
        save_bases(path, bases)
    return bases
