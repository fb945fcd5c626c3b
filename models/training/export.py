# SPDX-License-Identifier: Apache-2.0
"""From a run's folder to a weight file and its card."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nvcodec.errors import UsageError
from nvcodec.models.conditional.weights import Weights, load_weights, save_weights
from nvcodec.models.training.bases import load_bases
from nvcodec.models.training.card import card_facts, commit, write_card
from nvcodec.models.training.phases import CALIBRATED, missing, result
from nvcodec.models.training.recipe import Recipe
from nvcodec.models.transform import LEARNED_CLASSES

SESSIONS, RECIPE = "sessions.jsonl", "recipe.toml"
KINDS = ("train", "stills")  # of data in the cache; KIND.json describes where it came from


def export(recipe: Recipe, recipe_path: Path, run: Path, cache: Path, out: Path) -> dict[str, Any]:
    """Write OUT (whole or not at all) and its card beside it; returns the card's facts. Raises UsageError when the run
    is not finished."""
    found = result(recipe, run)
    lacking = missing(recipe, run)
    if lacking or found is None:
        raise UsageError(f"--export: {run} lacks {lacking}; the same command without --seconds makes them")
    learned, facts = found
    partial = out.with_name(f".{out.name}.partial")
    try:
        save_weights(partial, out.stem, learned, load_bases(run / CALIBRATED))
        weights = load_weights(partial)  # as the codec will
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
    sessions = _lines(run / SESSIONS)
    training = {
        **asdict(facts),
        "seed": recipe.seed,
        "minutes": round(sum(float(s.get("minutes", 0)) for s in sessions), 1),
        "commit": commit(),
        "sessions": sessions,
    }
    data = [json.loads(path.read_text()) for kind in KINDS if (path := cache / f"{kind}.json").is_file()]
    used = run / RECIPE
    text = (used if used.is_file() else recipe_path).read_text(encoding="utf-8")
    about = card_facts(out, text, training, data, count_parameters(weights))
    write_card(out, about)
    return about


def count_parameters(weights: Weights) -> dict[str, int]:
    """Learned numbers of a weight file, by kind."""
    return {
        "slots": len(weights.start.slots) + len(weights.start.decisions),
        "mixing weights": weights.start.weights.size + weights.start.decision_weights.size,
        "basis entries": sum(pictures[:LEARNED_CLASSES].size for pictures in weights.bases.pictures),
        "filter taps": weights.bases.filters.luma.size + weights.bases.filters.chroma.size,
        "network weights": sum(layer.weights.size + layer.bias.size for layer in weights.bases.network.layers),
    }


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
