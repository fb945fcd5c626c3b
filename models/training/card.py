# SPDX-License-Identifier: Apache-2.0
"""Model cards: what a weight file is, where it comes from and what it does, for people (.md) and programs (.json).

``python -m nvcodec.models.training.card WEIGHTS --results results.json`` puts measured results into a card.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from nvcodec.errors import NvcError, UsageError

SCHEMA = "nvcodec-card/1"
LICENCE = "Apache-2.0"
PURPOSE = (
    "Coding 8-bit 4:2:0 video with `nvc encode` and `nvc decode`, random access or low delay, at any of 64 quality "
    "levels and any picture size; and as a reference or a starting point for research on learned video coding."
)
LIMITS = (
    "Trained for squared error (Y, U and V weighted 6:4:4), not for what viewers prefer; it is no generator of detail.",
    "Content unlike its training data (screens, drawings, much larger pictures) is coded correctly but less well.",
    "A stream can be decoded only with exactly this file; streams name it by its SHA-256.",
)
MAX_RESULTS_NBYTES = 8 << 20


def card_facts(
    weights: Path, recipe_text: str, training: dict[str, Any], data: list[dict[str, Any]], parameters: dict[str, int]
) -> dict[str, Any]:
    """Everything a card says of a weight file, without results.

    training: ``records``, ``frames``, ``held_out`` (``records``, ``frames``, ``decisions_bits``, ``latents_bits``),
    ``seed``, ``minutes``, ``sessions``, ``commit``; data: as `nvcodec.datasets.training_files.describe` gives it for
    each folder; parameters: how many there are, by kind.
    """
    content = weights.read_bytes()
    return {
        "schema": SCHEMA,
        "name": weights.stem,
        "file": weights.name,
        "nbytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "parameters": sum(parameters.values()),
        "parameters_by_kind": parameters,
        "licence": LICENCE,
        "purpose": PURPOSE,
        "limits": list(LIMITS),
        "training": training,
        "data": data,
        "recipe": recipe_text,
        "results": [],
    }


def write_card(weights: Path, facts: dict[str, Any], results: list[dict[str, Any]] | None = None) -> tuple[Path, Path]:
    """Write NAME.md and NAME.json beside a weight file; returns their paths.

    results: tables, each with ``title``, optional ``text``, and ``rows`` of columns and values. Raises UsageError for
    results of another shape.
    """
    facts = {**facts, "results": _checked(results if results is not None else facts.get("results", []))}
    paths = weights.with_suffix(".md"), weights.with_suffix(".json")
    for path, text in zip(paths, (markdown(facts), json.dumps(facts, indent=1) + "\n"), strict=True):
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    return paths


def add_results(weights: Path, results: list[dict[str, Any]]) -> None:
    """Put measured results into the card of a weight file. Raises UsageError when the card is that of another file."""
    card = weights.with_suffix(".json")
    facts = _read_json(card)
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        raise UsageError(f"{card}: not a model card of schema {SCHEMA}")
    try:
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{weights}: {error.strerror}") from error
    if facts.get("sha256") != digest:
        raise UsageError(f"{card}: the card of SHA-256 {str(facts.get('sha256'))[:16]}..., which {weights} has not")
    write_card(weights, facts, results)


def markdown(facts: dict[str, Any]) -> str:
    """A card as text."""
    training, mega = facts["training"], facts["nbytes"] / 1e6
    lines = [f"# {facts['name']}", "", facts["purpose"], ""]
    lines += _table(
        [
            {"": "file", " ": f"`{facts['file']}`, {facts['nbytes']} bytes ({mega:.1f} MB)"},
            {"": "SHA-256", " ": f"`{facts['sha256']}`"},
            {"": "parameters", " ": _parameters(facts)},
            {"": "licence", " ": facts["licence"]},
            {"": "learned from", " ": f"{training['records']} records of {training['frames']} frames"},
            {"": "held out", " ": _held_out(training["held_out"])},
            {"": "seed", " ": training["seed"]},
            {"": "training time", " ": f"{training['minutes']:.0f} minutes, {_machines(training['sessions'])}"},
            {"": "source code", " ": _commits(training)},
        ]
    )
    lines += ["", "## Limits", "", *(f"- {limit}" for limit in facts["limits"])]
    lines += ["", "## Results", ""]
    for table in facts["results"]:
        text = [table["text"], ""] if table.get("text") else []
        lines += [f"### {table['title']}", "", *text, *_table(table["rows"]), ""]
    if not facts["results"]:
        lines += ["None measured yet.", ""]
    lines += ["## Training data", ""]
    lines += ["Nothing of it is part of the weight file but what was learned from it.", ""]
    for folder in facts["data"]:
        count = f"{folder['files']} {folder['kind']} from {folder['sources']} sources"
        lines.append(f"- `{folder['folder']}`: {count}, SHA-256 of {folder['hash_of']} `{folder['sha256']}`")
    origins = [{"folder": f["folder"], **origin} for f in facts["data"] for origin in f["origins"]]
    if origins:
        columns = {"folder": "folder", "origin": "origin", "licence": "licence as found", "files": "files"}
        lines += ["", *_table([{columns[k]: v for k, v in row.items()} for row in origins])]
    lines += ["", "## Recipe", "", "```toml", facts["recipe"].strip(), "```", ""]
    return "\n".join(lines)


def commit() -> str | None:
    """The commit of the source tree this package runs from, ``-dirty`` if it was changed; None for an installed one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "pyproject.toml").is_file():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None


def _parameters(facts: dict[str, Any]) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in facts["parameters_by_kind"].items())
    return f"{facts['parameters']:,} ({kinds})"


def _held_out(held: dict[str, int]) -> str:
    if not held["records"]:
        return "no records"
    return (
        f"{held['decisions_bits']:,} bits of decisions and {held['latents_bits']:,} of latents in "
        f"{held['records']} records of {held['frames']} frames"
    )


def _machines(sessions: list[dict[str, Any]]) -> str:
    each = dict.fromkeys((s["processes"], s["cpu"], s["machine"]) for s in sessions)
    texts = [f"{n} process{'es' * (n > 1)} on {cpu} ({machine})" for n, cpu, machine in each]
    return ", ".join(texts) or "machine not recorded"


def _commits(training: dict[str, Any]) -> str:
    seen = [s["commit"] for s in training["sessions"] if s.get("commit")]
    trained = ", ".join(f"`{c}`" for c in dict.fromkeys(seen)) or "not recorded"
    exported = f"`{training['commit']}`" if training["commit"] else "not recorded"
    return f"trained at {trained}; exported at {exported}"


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as a Markdown table; columns in the order they first appear."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = [columns, ["---"] * len(columns), *([row.get(column, "") for column in columns] for row in rows)]
    return ["| " + " | ".join(_cell(value) for value in row) + " |" for row in text]


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(text.split()).replace("|", "\\|")


def _checked(results: object) -> list[dict[str, Any]]:
    fits = isinstance(results, list) and all(
        isinstance(t, dict)
        and isinstance(t.get("title"), str)
        and isinstance(t.get("rows"), list)
        and all(isinstance(row, dict) for row in t["rows"])
        for t in results
    )
    if not fits:
        raise UsageError('results: wanted is a list of {"title": ..., "text": ..., "rows": [{column: value, ...}]}')
    assert isinstance(results, list)
    return results


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_RESULTS_NBYTES:
            raise UsageError(f"{path}: {path.stat().st_size} bytes, at most {MAX_RESULTS_NBYTES}")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path}: not JSON ({error})") from error


def main(argv: list[str] | None = None) -> int:
    """Put results into a card from the command line."""
    parser = argparse.ArgumentParser(prog="python -m nvcodec.models.training.card", description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="weight file with its card beside it")
    parser.add_argument("--results", type=Path, required=True, metavar="JSON", help="list of tables (docs/training.md)")
    args = parser.parse_args(argv)
    try:
        add_results(args.weights, _read_json(args.results))
    except NvcError as error:
        print(f"nvcodec.models.training.card: {error}", file=sys.stderr)
        return error.exit_code
    print(args.weights.with_suffix(".md"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
