# SPDX-License-Identifier: Apache-2.0
"""The argument parser: every command is listed, only the one asked for is loaded."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import NoReturn

# name -> (module, line in the overview). A module offers add_arguments(parser) and run(args) -> exit code, and may
# offer DESCRIPTION and EPILOG.
COMMANDS: dict[str, tuple[str, str]] = {
    "encode": ("nvcodec.cli.encode", "compress a video to a .nvc stream"),
    "decode": ("nvcodec.cli.decode", "decode a .nvc stream to a video, pictures or raw frames"),
    "info": ("nvcodec.cli.info", "show what a .nvc stream holds"),
    "models": ("nvcodec.cli.models", "list the codecs and weights that are installed"),
    "rd": ("nvcodec.cli.rd", "measure rate and distortion against other codecs"),
    "bench": ("nvcodec.cli.bench", "time analysis, entropy coding, synthesis and input/output"),
    "train": ("nvcodec.cli.train", "train a model from a recipe"),
}


class Parser(argparse.ArgumentParser):
    """argparse that reports a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        from nvcodec.cli import say

        say(f"{message} (see '{self.prog} --help')")
        raise SystemExit(2)


class _Version(argparse.Action):
    """Prints the versions that matter; gathering them takes a moment, so only when asked."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *unused: object) -> NoReturn:
        from nvcodec.cli.version import version_text

        print(version_text())
        parser.exit(0)


def build_parser(command: str | None) -> Parser:
    """The parser for ``nvc``, with the arguments of ``command`` filled in (None: the overview only)."""
    parser = Parser(
        prog="nvc",
        description="A neural video codec: real video in, a compact stream, the same video out.",
        epilog="'nvc COMMAND --help' explains a command. Exit codes: 0 fine, 1 failure, 2 usage, 3 damaged stream, "
        "4 unsupported.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, help="show the versions of nvcodec and of what it stands on")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    for name, (module_name, summary) in COMMANDS.items():
        if name != command:
            commands.add_parser(name, help=summary, add_help=False)
            continue
        module = importlib.import_module(module_name)
        subparser = commands.add_parser(
            name,
            help=summary,
            description=getattr(module, "DESCRIPTION", None),
            epilog=getattr(module, "EPILOG", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(subparser)
        if "--traceback" not in subparser._option_string_actions:
            debugging = subparser.add_argument_group("debugging")
            debugging.add_argument("--traceback", action="store_true", help="show where an error came from")
        subparser.set_defaults(run=module.run)
    return parser


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; the result's ``run`` attribute is the function that carries it out."""
    command = next((a for a in arguments if not a.startswith("-")), None)
    parser = build_parser(command)
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.error("no command given: choose one of " + ", ".join(COMMANDS))
    return args
