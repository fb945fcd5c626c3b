# SPDX-License-Identifier: Apache-2.0
"""The ``nvc`` command: arguments in, one call of the library, results on stdout, everything else on stderr.

Nothing here imports torch, PyAV or CompressAI before a command needs them: ``nvc --help`` must answer at once.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType

from nvcodec.cli.parser import parse
from nvcodec.errors import NvcError

EXIT_FAILURE = 1
EXIT_SIGNAL = 128  # plus the signal's number, as shells do


class Interrupted(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived; unwinds like Ctrl-C, so that temporary files go."""


class _Signals:
    """Remembers which signal asked us to stop.

    Ctrl-C in the middle of an import or of a C extension can surface as any exception; what counts is that it was
    asked for.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    def install(self) -> None:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is None:
                continue
            try:
                # A shell's background jobs and nohup ignore some signals on purpose: leave those alone.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, self._handle)
            except (ValueError, OSError):  # not in the main thread: the host program owns the signals
                return

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        raise KeyboardInterrupt if number == signal.SIGINT else Interrupted


def main(argv: Sequence[str] | None = None) -> int:
    """Run one ``nvc`` command and return its exit code.

    argv: arguments without the program's name; None takes those of the process. Codes: 0 fine, 1 failure, 2 usage,
    3 damaged stream, 4 unsupported, 128 + n stopped by signal n (130 for Ctrl-C).
    """
    # OpenMP threads that spin for long before they sleep stall each other at every layer when cores are shared; must
    # be set before torch is loaded
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # pictures are coded in threads of their own: more of them inside products of small matrices wait for each other
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    arguments = list(sys.argv[1:] if argv is None else argv)
    signals = _Signals()
    if argv is None:
        signals.install()
        if not sys.warnoptions:  # python -W shows them: they are for those who maintain the libraries
            warnings.simplefilter("ignore")
    traceback_wanted = "--traceback" in arguments
    try:
        # Accepted anywhere on the line, also after the commands of a command.
        args = parse([a for a in arguments if a != "--traceback"])
        if not getattr(args, "quiet", False):
            _show_notices()
        code = int(args.run(args))
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse: --help, --version, usage errors
        return _flush_quietly(stop.code if isinstance(stop.code, int) else EXIT_FAILURE)
    except BaseException as error:
        if signals.received is not None or isinstance(error, KeyboardInterrupt):
            return _interrupted(signals.received or signal.SIGINT, traceback_wanted)
        if _is_broken_pipe(error):
            return _broken_pipe()
        if traceback_wanted:
            import traceback

            traceback.print_exc()
        code, message = describe(error, traceback_wanted)
        say(message)
        return _flush_quietly(code)


def _show_notices() -> None:
    """What the library has to say while it works goes to standard error."""
    import logging

    logger = logging.getLogger("nvcodec")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("nvc: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


def describe(error: BaseException, traceback_shown: bool = False) -> tuple[int, str]:
    """(exit code, one line of text) for an exception that ended a command."""
    if isinstance(error, NvcError):
        return error.exit_code, str(error)
    if isinstance(error, MemoryError):
        return EXIT_FAILURE, "out of memory"
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return EXIT_FAILURE, where + error.strerror
    if isinstance(error, ModuleNotFoundError):
        return EXIT_FAILURE, f"{error.name} is not installed"
    hint = "" if traceback_shown else " (--traceback shows where)"
    return EXIT_FAILURE, f"unexpected {type(error).__name__}: {error}{hint}"


def say(message: str) -> None:
    """Print one line on stderr, whatever the message holds, and never fail for it."""
    line = " ".join(message.splitlines()) if message else ""
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
    try:
        print(f"nvc: {printable}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass


def _interrupted(number: int, traceback_wanted: bool) -> int:
    for name in ("SIGINT", "SIGTERM"):  # we are on the way out already
        try:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        except (ValueError, OSError):
            break
    if traceback_wanted:
        import traceback

        traceback.print_exc()
    say("interrupted" if number == signal.SIGINT else "terminated")
    return _flush_quietly(EXIT_SIGNAL + number)


def _is_broken_pipe(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, BrokenPipeError):
        error = error.__cause__
    return error is not None


def _broken_pipe() -> int:
    """The reader of our output has gone (``nvc ... | head``): nothing to tell anyone."""
    _flush_quietly(0)
    return EXIT_SIGNAL + getattr(signal, "SIGPIPE", 13)


def _flush_quietly(code: int) -> int:
    """Flush stdout now; if that fails, point it at the null device so that the interpreter's own flush is silent."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
        except (OSError, ValueError):
            pass
    return code
