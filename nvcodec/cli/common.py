# SPDX-License-Identifier: Apache-2.0
"""What several commands share: groups of options, the progress line, results on stdout."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvcodec.cli.values import whole_number
from nvcodec.codec.registry import DEFAULT_CODEC

if TYPE_CHECKING:
    from nvcodec.pipeline import Progress

JSON_SCHEMA = "nvcodec-cli/1"
_HASH_CHUNK_NBYTES = 1 << 20


def add_codec_arguments(group: argparse._ActionsContainer) -> None:
    """--codec, --model, --quality and --preset."""
    group.add_argument("--codec", default=DEFAULT_CODEC, help=f"codec, see 'nvc models' (default {DEFAULT_CODEC})")
    group.add_argument("--model", metavar="NAME", help="weights, see 'nvc models' (default: the codec's own choice)")
    group.add_argument(
        "-q",
        "--quality",
        type=whole_number("quality", 0, 63),
        default=32,
        metavar="0..63",
        help="0 is the smallest file, 63 the best picture (default 32)",
    )
    group.add_argument("--preset", default="medium", help="effort of the encoder (default medium)")


def codec_options(args: argparse.Namespace) -> dict[str, Any]:
    """The codec's own settings."""
    return {} if args.model is None else {"model": args.model}


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """--threads and --device."""
    group = parser.add_argument_group("threading and device")
    group.add_argument(
        "--threads",
        type=whole_number("threads", 0, 1024),
        default=0,
        metavar="N",
        help="CPU threads of the networks; 0 = all (default)",
    )
    group.add_argument("--device", default="cpu", help="where the networks run: cpu (default), cuda, cuda:1, mps")


def add_progress_arguments(parser: argparse.ArgumentParser) -> None:
    """--json, --progress, --quiet and --traceback."""
    group = parser.add_argument_group("debugging")
    group.add_argument("--json", action="store_true", help="print the result as one JSON object")
    shown = group.add_mutually_exclusive_group()
    shown.add_argument(
        "--progress", action="store_true", help="show progress even where standard error is not a terminal"
    )
    shown.add_argument("--quiet", action="store_true", help="no progress and no notes on standard error")
    add_traceback_argument(group)


def add_traceback_argument(group: argparse._ActionsContainer) -> None:
    """--traceback; taken off the line before parsing, here so that the help shows it."""
    group.add_argument("--traceback", action="store_true", help="show where an error came from")


@contextmanager
def progress_line(args: argparse.Namespace, what: str) -> Iterator[Callable[[Progress], None] | None]:
    """A callback that draws frames done, frames per second and bits on standard error; None where not wanted."""
    if args.quiet or not (args.progress or sys.stderr.isatty()):
        yield None
        return
    from tqdm import tqdm

    with tqdm(desc=what, unit=" frames", file=sys.stderr, dynamic_ncols=True, leave=False) as bar:

        def show(state: Progress) -> None:
            if state.frame_count is not None:
                bar.total = state.frame_count
            bar.set_postfix_str(f"{state.nbytes / 1000:,.1f} kB", refresh=False)
            bar.update(state.frames_done - bar.n)

        yield show
        bar.refresh()  # a short run ends before the bar is due to be drawn again


def show_notes(args: argparse.Namespace, notes: list[str]) -> None:
    """What was done to the input or output, one line each, on standard error."""
    from nvcodec.cli import say

    if not args.quiet:
        for note in notes:
            say(note)


def result_stream(output: str | None) -> Any:
    """Where results go: stdout, or stderr when the output itself is the pipe."""
    return sys.stderr if output == "-" else sys.stdout


def print_json(command: str, fields: dict[str, Any], output: str | None = None) -> None:
    """One JSON object: schema version, command line, versions and processor, then ``fields``."""
    from nvcodec.cli.version import environment

    document = {"schema": JSON_SCHEMA, "command": command, "arguments": sys.argv[1:], **environment(), **fields}
    print(json.dumps(document, indent=1, default=_plain), file=result_stream(output))


def file_facts(path: str) -> dict[str, Any]:
    """Name, size and SHA-256 of a file; the name alone for pipes and folders."""
    place = Path(path)
    if path == "-" or not place.is_file():
        return {"path": path}
    digest = hashlib.sha256()
    with place.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK_NBYTES):
            digest.update(chunk)
    return {"path": path, "nbytes": os.stat(path).st_size, "sha256": digest.hexdigest()}


def model_facts(model: Any) -> dict[str, str] | None:
    """A ModelIdentity as JSON; None stays None."""
    return None if model is None else {"name": model.name, "sha256": model.sha256.hex()}


def seconds_text(seconds: float | None) -> str:
    """Seconds for people: 9.64 s, 10 min 12 s."""
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min {rest} s"


def _plain(value: object) -> object:
    """JSON for what results hold besides numbers and text."""
    return value.hex() if isinstance(value, bytes) else str(value)
