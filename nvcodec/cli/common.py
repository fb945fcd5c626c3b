# SPDX-License-Identifier: Apache-2.0
"""What several commands share: groups of options, the progress line, results on stdout."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvcodec.cli.values import (
    bit_rate,
    byte_count,
    duration,
    parameter_count,
    positive_number,
    stride_list,
    whole_number,
)
from nvcodec.codec.registry import DEFAULT_CODEC
from nvcodec.errors import UsageError

if TYPE_CHECKING:
    from nvcodec.pipeline import Progress
    from nvcodec.pipeline.goal import Goal

JSON_SCHEMA = "nvcodec-cli/1"
_HASH_CHUNK_NBYTES = 1 << 20


def add_codec_arguments(group: argparse._ActionsContainer) -> None:
    """--codec, --model, --quality, --preset and --profile."""
    group.add_argument(
        "--codec", type=codec_name, default=DEFAULT_CODEC, help=f"codec, see 'nvc models' (default {DEFAULT_CODEC})"
    )
    group.add_argument(
        "--model",
        metavar="NAME",
        help="weights, see 'nvc models', or the conditional codec's size: xs, s, m, l (default: the codec's choice)",
    )
    group.add_argument(
        "-q",
        "--quality",
        type=whole_number("quality", 0, 63),
        default=32,
        metavar="0..63",
        help="0 is the smallest file, 63 the best picture (default 32)",
    )
    group.add_argument("--preset", default="medium", help="effort of the encoder (default medium)")
    group.add_argument(
        "--profile",
        choices=("ra", "ld"),
        help="conditional codec: ra, frames may be coded out of order in groups of 16 or 8 (default), or ld, low delay",
    )


# As the papers write them, where that is not a name the registry takes.
_SPELLINGS = {"nerv++": "nervpp", "boost": "boost-hnerv"}


def codec_name(text: str) -> str:
    """The registry's name of a codec."""
    return _SPELLINGS.get(text.lower(), text)


def codec_options(args: argparse.Namespace) -> dict[str, Any]:
    """The codec's own settings."""
    return {name: getattr(args, name) for name in ("model", "profile") if getattr(args, name) is not None}


def add_goal_arguments(parser: argparse.ArgumentParser) -> None:
    """What a stream is to reach."""
    group = parser.add_argument_group(
        "goals", "the quality that reaches one is found by encoding a few times; implicit codecs fit themselves to it"
    )
    group.add_argument(
        "--target-size", type=byte_count, metavar="BYTES", help="size of the file, at most, such as 240k or 1.5M"
    )
    group.add_argument(
        "--bitrate", type=bit_rate, metavar="BIT/S", help="bits per second of video, at most, such as 800k or 2.5M"
    )
    group.add_argument("--bpp", type=positive_number("bpp"), metavar="B", help="bits per pixel of the file, at most")
    group.add_argument(
        "--psnr",
        type=positive_number("psnr"),
        metavar="DB",
        help="PSNR-YUV, (6 Y + U + V) / 8, at least (implicit codecs: RGB, to steer to while fitting)",
    )


_GOALS = {"target_size": "nbytes", "bitrate": "kbps", "bpp": "bpp", "psnr": "psnr_db"}


def _flags(names: Iterable[str]) -> str:
    """Options as they are written."""
    return " and ".join("--" + name.replace("_", "-") for name in names)


def goal(args: argparse.Namespace) -> Goal | None:
    """What was asked for of a codec that does not fit itself."""
    from nvcodec.pipeline.goal import Goal

    given = {name: getattr(args, name) for name in _GOALS if getattr(args, name) is not None}
    if not given:
        return None
    if len(given) > 1:
        raise UsageError(f"{_flags(given)}: one goal at a time is allowed")
    ((name, value),) = given.items()
    return Goal(**{_GOALS[name]: value / 1000 if name == "bitrate" else value})


def add_fit_arguments(parser: argparse.ArgumentParser) -> None:
    """What implicit codecs take: size, time and training of the fit."""
    group = parser.add_argument_group("implicit codecs (hnerv, nerv, e-nerv, ...)")
    group.add_argument("--model-size", type=parameter_count, metavar="N", help="parameters of a group, such as 0.75M")
    group.add_argument("--time", type=duration, metavar="T", help="time of the whole fit, such as 90s, 10m or 2h")
    group.add_argument("--epochs", type=whole_number("epochs", 1), metavar="N", help="times every frame is seen")
    group.add_argument("--gop", type=whole_number("gop", 1, 1024), metavar="N", help="frames that share a network")
    group.add_argument(
        "--weights-coding", choices=("learned", "paper"), help="learned steps and prior (default), or as in the paper"
    )
    group.add_argument(
        "--lambda", dest="rate_weight", type=positive_number("lambda"), metavar="L", help=argparse.SUPPRESS
    )
    group.add_argument("--batch", type=whole_number("batch", 1, 1024), metavar="N", help="frames of a step")
    group.add_argument("--lr", type=positive_number("lr"), metavar="R", help="peak learning rate")
    losses = ("l2", "l1", "fusion6", "fusion10_freq", "hinerv")
    group.add_argument("--loss", choices=losses, help="in place of the paper's")
    group.add_argument("--strides", type=stride_list, metavar="A,B,..", help="up-sampling of each stage")
    group.add_argument("--bf16", action="store_true", help="fit in bfloat16 (faster where the processor has it)")
    group.add_argument("--seed", type=whole_number("seed", 0), metavar="N", help="of initial weights and order (0)")
    group.add_argument("--mask", metavar="PNG", help="fit only where this picture is white")
    group.add_argument("--resume", metavar="FILE", help="keep the state of the fit here, and go on where it stands")
    group.add_argument("--join", metavar="FILE", help="share the network of this file's video and follow it (pfnr)")
    group.add_argument("--preview", metavar="PNG", help="show source above fit here, as it runs")


_FIT_OPTIONS = {
    "model_size": "model_size",
    "bpp": "bpp",
    "target_size": "target_nbytes",
    "psnr": "psnr_db",
    "time": "seconds",
    **{n: n for n in ("epochs", "gop", "weights_coding", "rate_weight", "batch", "lr", "loss", "strides", "seed")},
    **{n: n for n in ("mask", "resume", "preview", "join")},
}


def fit_options(args: argparse.Namespace, fits: bool) -> dict[str, Any]:
    """Those of `add_fit_arguments` that were given, by the codec's names, and goals if it fits itself."""
    if fits:
        sizes = [name for name in ("model_size", "target_size", "bpp") if getattr(args, name) is not None]
        if len(sizes) > 1:
            raise UsageError(f"{_flags(sizes)}: one of them is allowed")
        if args.bitrate is not None:
            raise UsageError(f"--bitrate: codec {args.codec} takes --bpp or --target-size")
    names = {name: option for name, option in _FIT_OPTIONS.items() if fits or name not in _GOALS}
    given = {option: getattr(args, name) for name, option in names.items() if getattr(args, name) is not None}
    return given | ({"bf16": True} if args.bf16 else {})


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
    group.add_argument(
        "--device",
        default="cpu",
        help="where networks run: cpu (default), cuda, cuda:1, mps; pixels of exact codecs do not depend on it",
    )


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


@contextmanager
def fit_line(args: argparse.Namespace) -> Iterator[Callable[[int, Any], None] | None]:
    """A callback that shows a fit on standard error: epoch, PSNR, bits per pixel, time left; None where not wanted."""
    if args.quiet or not (args.progress or sys.stderr.isatty()):
        yield None
        return
    on_terminal = sys.stderr.isatty()
    last = [-math.inf]

    def show(group: int, state: Any) -> None:
        now = time.monotonic()
        ended = state.seconds_left == 0.0
        if not ended and not state.note and now - last[0] < (0.2 if on_terminal else 5.0):
            return
        last[0] = now
        epochs = "" if state.epochs is None else f"/{state.epochs}"
        left = "" if state.seconds_left is None else f", {seconds_text(state.seconds_left)} left"
        text = f"group {group}: epoch {state.epoch}{epochs}, {state.psnr_db:.2f} dB, ~{state.bpp:.4f} bpp{left}"
        text += f" ({state.note})" if state.note else ""
        end = "\r" if on_terminal and not ended and not state.note else "\n"
        print(f"{text:<78}", end=end, file=sys.stderr, flush=True)

    yield show
    if on_terminal:
        print(file=sys.stderr)


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
