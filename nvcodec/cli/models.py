# SPDX-License-Identifier: Apache-2.0
"""``nvc models``: codecs and weights that are installed."""

from __future__ import annotations

import argparse
from typing import Any

from nvcodec.cli import common
from nvcodec.errors import NvcError

DESCRIPTION = "List the codecs that are installed, the package's own and third parties', and the weights they have."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``nvc models``."""
    debugging = parser.add_argument_group("debugging")
    debugging.add_argument("--json", action="store_true", help="print one JSON object")
    common.add_traceback_argument(debugging)


def run(args: argparse.Namespace) -> int:
    """Print the list; a codec that does not load is named with the reason, and the exit code is 1."""
    codecs = installed()
    if args.json:
        common.print_json("models", {"codecs": codecs})
    else:
        print("\n".join(line for codec in codecs for line in _lines(codec)))
    return 1 if any(codec["error"] for codec in codecs) else 0


def installed() -> list[dict[str, Any]]:
    """name, codec_id, models (name, sha256) and error (None, or why it does not load) of each codec."""
    from nvcodec.codec.registry import codec_names, get_codec

    found = []
    for name in codec_names():
        entry: dict[str, Any] = {"name": name, "codec_id": None, "models": [], "error": None}
        try:
            codec = get_codec(name)
            entry["codec_id"] = codec.codec_id
            entry["models"] = [common.model_facts(model) for model in codec.models()]
        except NvcError as error:
            entry["error"] = str(error)
        found.append(entry)
    return found


def _lines(codec: dict[str, Any]) -> list[str]:
    if codec["error"]:
        return [f"{codec['name']}: {codec['error']}"]
    lines = [f"{codec['name']} (number {codec['codec_id']})"]
    lines += [f"  {model['name']}  SHA-256 {model['sha256']}" for model in codec["models"]]
    return lines if codec["models"] else [*lines, "  no weights"]
