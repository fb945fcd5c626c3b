# SPDX-License-Identifier: Apache-2.0
"""From a cache of clips to what a weight file holds: transforms, filters, network, records, contexts. Each keeps its
result in the run's folder, and what is there is not done again.

    CACHE ─► bases.safetensors ─► filtered.safetensors (both) ─► frames.npz ─► network.safetensors (as training left
      it) ─► restored.safetensors (all three) ─► records/*.npz ─► learned.safetensors
      ─► calibrated.safetensors (transforms, filters and network with the rates that were learned)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nvcodec.models import zoo
from nvcodec.models.conditional.weights import Learned, Weights, load_weights
from nvcodec.models.training.bases import load_bases, save_bases
from nvcodec.models.training.learned import (
    Held,
    LearnedFacts,
    digest_of,
    facts_of_card,
    frames_of,
    load_learned,
    save_learned,
)
from nvcodec.models.training.recipe import Recipe
from nvcodec.models.training.records import CLIPS, HELD_OUT, STILLS, complete, load_records, recorded
from nvcodec.models.training.workers import Workers
from nvcodec.models.transform import BlockBases

if TYPE_CHECKING:
    from nvcodec.models.training.pieces import Pieces

BASES, FILTERED, RECORDS, LEARNED = "bases.safetensors", "filtered.safetensors", "records", "learned.safetensors"
FRAMES, NETWORK, RESTORED = "frames.npz", "network.safetensors", "restored.safetensors"
CALIBRATED = "calibrated.safetensors"
CALIBRATION_SHARE = 3  # one record in so many
_FOR_BASES, _FOR_RECORDS, _FOR_FILTERS, _FOR_NETWORK = 1, 2, 3, 4  # purposes of pieces


def missing(recipe: Recipe, run: Path) -> str:
    """What a run's folder lacks next; empty when it is all there."""
    if not (run / BASES).exists():
        return "transforms"
    if not (run / FILTERED).exists():
        return "filters"
    if not (run / RESTORED).exists():
        return "the network"
    if not has_records(recipe, run):
        return "records"
    if not result(recipe, run):
        return "contexts"
    return "" if (run / CALIBRATED).exists() else "rates"


def has_records(recipe: Recipe, run: Path) -> bool:
    """Whether nothing is left to encode: all records are there, or, where none are wanted, what goes before them."""
    return complete(recipe.records, run / RECORDS) if recipe.records.clips else (run / RESTORED).exists()


def result(recipe: Recipe, run: Path) -> tuple[Learned, LearnedFacts] | None:
    """What was learned from the records that are in a run's folder; None when nothing was yet. Of a recipe without
    records, what the weights it starts from know."""
    if not recipe.records.clips:
        return _start(recipe).start, facts_of_card(zoo.find(recipe.start_from).card.with_suffix(".json"))
    return load_learned(run / LEARNED, digest_of(recorded(recipe.records, run / RECORDS)))


def train(
    recipe: Recipe, cache: Path, run: Path, processes: int, stop: Callable[[], bool], say: Callable[[str], None]
) -> None:
    """Do what is left in a run's folder, until ``stop()`` is true. processes: that encode; 0: in this one.

    The cache is only looked into while there is something to encode.
    """
    run.mkdir(parents=True, exist_ok=True)
    with Workers(processes) as workers:
        job = _Job(recipe, cache, run, workers, max(1, processes), stop, say)
        bases = _bases(job)
        if bases is not None:
            bases = _filters(job, bases)
        if bases is not None:
            bases = _network(job, bases)
        if bases is None or (recipe.records.clips and not _record(job, bases)):
            return
    if not recipe.records.clips:
        save_bases(run / CALIBRATED, bases)
        return
    if result(recipe, run) is None:
        _learn(recipe, run, stop, say)
    _calibrate(recipe, run, stop, say)


@dataclass(frozen=True)
class _Job:
    """What the phases that encode share."""

    recipe: Recipe
    cache: Path
    run: Path
    workers: Workers
    threads: int
    stop: Callable[[], bool]
    say: Callable[[str], None]

    def pieces(self, purpose: int) -> Pieces:
        """Pieces of the cache; it is looked into now."""
        from nvcodec.models.training.pieces import Pieces

        return Pieces(self.cache, self.recipe.seed, purpose)


def _start(recipe: Recipe) -> Weights:
    """The weights that a recipe starts from."""
    return load_weights(zoo.find(recipe.start_from).path)


def _bases(job: _Job) -> BlockBases | None:
    """The transforms of a run, learned or taken from other weights; None when stopped on the way."""
    path = job.run / BASES
    if path.exists():
        return load_bases(path)
    if job.recipe.start_from:
        job.say(f"transforms of {job.recipe.start_from}")
        bases: BlockBases | None = _start(job.recipe).bases
    else:
        from nvcodec.models.training.components import learn_bases

        job.say("transforms from clips ...")
        bases = learn_bases(job.pieces(_FOR_BASES), job.recipe.bases, job.workers, job.stop, job.say)
    if bases is not None:
        save_bases(path, bases)
    return bases


def _filters(job: _Job, bases: BlockBases) -> BlockBases | None:
    """The same with filters; None when stopped on the way."""
    path = job.run / FILTERED
    if path.exists():
        return load_bases(path)
    filtered: BlockBases | None = bases
    if not job.recipe.start_from:
        from nvcodec.models.training.restoration import learn_filters

        job.say("filters from clips ...")
        filtered = learn_filters(job.pieces(_FOR_FILTERS), job.recipe.filters, bases, job.workers, job.stop, job.say)
    if filtered is not None:
        save_bases(path, filtered)
    return filtered


def _network(job: _Job, bases: BlockBases) -> BlockBases | None:
    """The same with a network; None when stopped on the way."""
    path, counts = job.run / RESTORED, job.recipe.network
    if path.exists():
        return load_bases(path)
    if not counts.steps and job.recipe.start_from:
        network = _start(job.recipe).bases.network
    elif not counts.steps:
        network = bases.network
    else:
        from nvcodec.models.training.network import Trainer, gains
        from nvcodec.models.training.network_examples import collect, load_examples, save_examples

        if not (job.run / FRAMES).exists():
            job.say("frames of clips ...")
            examples = collect(job.pieces(_FOR_NETWORK), counts, bases, job.workers, job.stop, job.say)
            if examples is None:
                return None
            save_examples(job.run / FRAMES, examples, counts)
        start = _start(job.recipe).bases.network if job.recipe.start_from else None
        examples = load_examples(job.run / FRAMES, counts)
        trainer = Trainer(counts, job.recipe.seed, job.threads, start)
        if (job.run / NETWORK).exists():
            trainer.load(job.run / NETWORK)
        job.say(f"network from {len(examples)} frames ...")
        if not trainer.train(examples, job.stop, job.run / NETWORK, job.say):
            return None
        network, held = trainer.network(), [e for e in examples if e.held_out]
        if held:
            job.say(f"network, held out: {np.mean(list(gains(trainer, held))):+.3f} dB in {len(held)} frames")
    bases = replace(bases, network=network)
    save_bases(path, bases)
    return bases


def _record(job: _Job, bases: BlockBases) -> bool:
    """Records of clips; False when stopped on the way."""
    if complete(job.recipe.records, job.run / RECORDS):
        return True
    from nvcodec.models.training.recording import record

    job.say("records of clips ...")
    pieces = job.pieces(_FOR_RECORDS)
    return record(pieces, bases, job.recipe.records, job.run / RECORDS, job.workers, job.stop, job.say)


def _learn(recipe: Recipe, run: Path, stop: Callable[[], bool], say: Callable[[str], None]) -> None:
    """Code all records, in random order: the last videos must not all be of one kind."""
    from nvcodec.models.training.learn import learn, validate

    folder = run / RECORDS
    digest = digest_of(recorded(recipe.records, folder))
    sequences, held = (
        [sequence for path in recorded(recipe.records, folder, kinds) for sequence in load_records(path)]
        for kinds in ((CLIPS, STILLS), (HELD_OUT,))
    )
    order = np.random.default_rng(recipe.seed).permutation(len(sequences))
    say(f"contexts from {len(sequences)} records ...")
    (run / CALIBRATED).unlink(missing_ok=True)
    learned = learn([sequences[int(n)] for n in order], say, stop)
    if learned is None:
        return
    facts = LearnedFacts(
        len(sequences), frames_of(sequences), Held(len(held), frames_of(held), *validate(held, learned))
    )
    save_learned(run / LEARNED, learned, facts, digest)
    say(f"held out: {facts.held_out}")


def _calibrate(recipe: Recipe, run: Path, stop: Callable[[], bool], say: Callable[[str], None]) -> None:
    """The transforms again, with rates as the entropy coder knows them."""
    from nvcodec.models.training.calibration import calibrated

    found = result(recipe, run)
    if found is None or (run / CALIBRATED).exists():
        return
    say("rates ...")
    paths = recorded(recipe.records, run / RECORDS, (CLIPS, STILLS))
    sequences = [sequence for path in paths for sequence in load_records(path)][::CALIBRATION_SHARE]
    bases = load_bases(run / RESTORED)
    rates = calibrated(bases.rates, sequences, found[0], stop)
    if rates is not None:
        save_bases(run / CALIBRATED, replace(bases, rates=rates))
