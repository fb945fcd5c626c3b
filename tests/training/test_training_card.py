# SPDX-License-Identifier: Apache-2.0
"""Model cards say what the file is, and take results only for the file they belong to."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from nvcodec.errors import UsageError
from nvcodec.models.training.card import add_results, card_facts, main, write_card

SESSION = {"processes": 2, "cpu": "Some CPU", "machine": "x86_64", "commit": "abc123", "minutes": 40.7}
PARAMETERS = {"slots": 1000, "mixing weights": 234000, "basis entries": 999567}
TRAINING = {
    "records": 380,
    "frames": 3240,
    "held_out": {"records": 16, "frames": 192, "decisions_bits": 617312, "latents_bits": 3247064},
    "seed": 7,
    "minutes": 81.4,
    "commit": None,
    "sessions": [SESSION, SESSION],
}
DATA = [
    {
        "kind": "videos",
        "folder": "films",
        "files": 12,
        "sources": 4,
        "hash_of": "manifest.csv",
        "sha256": "f00d",
        "origins": [{"origin": "me/mine", "licence": "CC0 | or so", "files": 12}],
    }
]
RESULTS = [
    {"title": "Public clips", "text": "PSNR-YUV.", "rows": [{"clip": "a", "dB": 31.25}, {"clip": "b", "fps": 10}]}
]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file with a card that has no results yet."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights" * 100)
    write_card(path, card_facts(path, 'name = "model"\n', TRAINING, DATA, PARAMETERS))
    return path


def test_card_holds_the_facts(weights: Path) -> None:
    text = weights.with_suffix(".md").read_text()
    facts = json.loads(weights.with_suffix(".json").read_text())
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert facts["sha256"] == digest
    assert facts["nbytes"] == 700
    for words in (
        digest,
        "700 bytes",
        "1,234,567 (1,000 slots, 234,000 mixing weights, 999,567 basis entries)",
        "Apache-2.0",
        "380 records of 3240 frames",
        "617,312 bits of decisions and 3,247,064 of latents in 16 records of 192 frames",
        "| seed | 7 |",
        "81 minutes",
        "`abc123`",
    ):
        assert words in text
    for words in (
        "2 processes on Some CPU",
        "12 videos from 4 sources",
        "f00d",
        "me/mine",
        'name = "model"',
        "## Limits",
    ):
        assert words in text
    assert text.count("2 processes on Some CPU") == 1
    assert "None measured yet" in text


def test_card_without_records_held_out(weights: Path) -> None:
    nothing = {"records": 0, "frames": 0, "decisions_bits": 0, "latents_bits": 0}
    write_card(weights, card_facts(weights, "", {**TRAINING, "held_out": nothing}, DATA, PARAMETERS))
    assert "| held out | no records |" in weights.with_suffix(".md").read_text()


def test_results_are_added_and_replaced(weights: Path, tmp_path: Path) -> None:
    add_results(weights, RESULTS)
    text = weights.with_suffix(".md").read_text()
    assert (
        "### Public clips\n\nPSNR-YUV.\n\n| clip | dB | fps |\n| --- | --- | --- |\n| a | 31.25 |  |\n| b |  | 10 |"
        in text
    )
    assert "None measured yet" not in text
    assert "CC0 \\| or so" in text
    (tmp_path / "results.json").write_text(json.dumps([{"title": "Other", "rows": []}]))
    assert main([str(weights), "--results", str(tmp_path / "results.json")]) == 0
    assert "Public clips" not in weights.with_suffix(".md").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "model.md", "model.safetensors", "results.json"]


def test_results_for_another_file_are_refused(weights: Path) -> None:
    before = weights.with_suffix(".md").read_bytes()
    weights.write_bytes(b"other weights")
    with pytest.raises(UsageError, match="the card of SHA-256"):
        add_results(weights, RESULTS)
    assert weights.with_suffix(".md").read_bytes() == before


@pytest.mark.parametrize("content", ["{", "[1]", '{"a": 1}', '[{"title": "x"}]', '[{"title": "x", "rows": [3]}]'])
def test_results_of_another_shape(
    weights: Path, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    assert main([str(weights), "--results", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
