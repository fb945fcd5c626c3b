# SPDX-License-Identifier: Apache-2.0
"""The ffmpeg that runs the anchors and some metrics: found once, asked what it has, never silently replaced."""

from __future__ import annotations

import functools
import hashlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nvcodec.errors import NvcError, UnsupportedError

NEEDED_ENCODERS = ("libx264", "libx265", "libsvtav1", "libvvenc")
NEEDED_FILTERS = ("libvmaf", "xpsnr")
NEEDED_MUXERS = ("h264", "hevc", "obu", "vvc")

# Encoders that meet an option they do not know print one of these and go on without it.
_REJECTED = re.compile(
    r"unknown option|unknown vvenc option|error parsing option|error setting option|error setting preset|"
    r"invalid value for|failed to parse|bad value for|has not been used for any stream|option not found|"
    r"unrecognized option|not supported, ignoring|parameter check error",
    re.IGNORECASE,
)
_CAUSE = re.compile(
    r"error|invalid|unknown|cannot|could not|no space|not divisible|must be|failed|too (small|large)", re.I
)
_FRAMEWORK = re.compile(r"terminating thread|task finished|error sending frames|nothing was written|conversion failed")


@dataclass(frozen=True)
class FFmpeg:
    """One ffmpeg executable. ``version``: its version line's word and a hash of how it was configured."""

    path: str
    version: str
    encoders: frozenset[str]
    filters: frozenset[str]
    muxers: frozenset[str]

    @property
    def missing(self) -> list[str]:
        """What the lab needs and this build lacks, for messages."""
        lacking = [f"encoder {n}" for n in NEEDED_ENCODERS if n not in self.encoders]
        lacking += [f"filter {n}" for n in NEEDED_FILTERS if n not in self.filters]
        return lacking + [f"muxer {n}" for n in NEEDED_MUXERS if n not in self.muxers]

    def require(self, encoder: str | None = None, filter_name: str | None = None) -> None:
        """UnsupportedError unless this build has the encoder and the filter named."""
        if encoder is not None and encoder not in self.encoders:
            raise UnsupportedError(f"ffmpeg {self.version} at {self.path} has no encoder {encoder}")
        if filter_name is not None and filter_name not in self.filters:
            raise UnsupportedError(f"ffmpeg {self.version} at {self.path} has no filter {filter_name}")


@dataclass(frozen=True)
class Finished:
    """A command that ended well: ``seconds`` of wall time and what it printed."""

    seconds: float
    stdout: bytes
    stderr: str


@functools.cache
def find_ffmpeg() -> FFmpeg:
    """The ffmpeg on PATH if it has everything the lab uses, else the one that imageio-ffmpeg brings.

    Raises UnsupportedError if there is none at all.
    """
    on_path = shutil.which("ffmpeg")
    first = inspect(on_path) if on_path else None
    if first is not None and not first.missing:
        return first
    try:
        import imageio_ffmpeg

        bundled = inspect(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        bundled = None
    found = min((f for f in (first, bundled) if f is not None), key=lambda f: len(f.missing), default=None)
    if found is None:
        raise UnsupportedError("no ffmpeg on PATH and none from imageio-ffmpeg; install one of the two")
    return found


def inspect(path: str) -> FFmpeg | None:
    """Ask an executable what it is and has; None if it does not answer like ffmpeg."""
    about = _ask(path, "-version")
    word = re.match(r"ffmpeg version (\S+)", about)
    if word is None:
        return None
    build = hashlib.sha256("\n".join(about.splitlines()[:3]).encode()).hexdigest()[:8]
    return FFmpeg(
        path,
        f"{word.group(1)} build {build}",
        _names(_ask(path, "-encoders")),
        _names(_ask(path, "-filters")),
        _names(_ask(path, "-muxers")),
    )


def run_command(
    command: Sequence[str],
    what: str,
    *,
    cwd: Path | None = None,
    check_options: bool = False,
    explain: Callable[[str], str] | None = None,
) -> Finished:
    """Run a command to its end; NvcError in one line if it fails.

    what: names the command in errors. check_options: also fail where an encoder warned that it did not take an option.
    explain: finds the line to show in what the command printed on stderr.
    """
    start = time.perf_counter()
    try:
        done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise NvcError(f"{what}: {command[0]} cannot be started ({error.strerror or error})") from None
    seconds = time.perf_counter() - start
    stderr = done.stderr.decode("utf-8", "replace")
    if done.returncode != 0:
        line = (explain or first_cause)(stderr)
        if done.returncode < 0:
            line = f"ended by signal {-done.returncode}" + (f"; {line}" if line else "")
        raise NvcError(f"{what} failed: {line or f'exit code {done.returncode}'}")
    if check_options and (rejected := _rejected_line(stderr)):
        raise NvcError(f"{what}: an option was not taken: {rejected}")
    return Finished(seconds, done.stdout, stderr)


def first_cause(stderr: str) -> str:
    """The line of ffmpeg's output that most likely says why it stopped; empty if it printed nothing."""
    lines = [_without_address(line) for line in stderr.splitlines() if line.strip()]
    if rejected := _rejected_line(stderr):
        return rejected
    causes = [line for line in lines if _CAUSE.search(line) and not _FRAMEWORK.search(line.lower())]
    return (causes or lines[-1:] or [""])[0]


def _rejected_line(stderr: str) -> str:
    return next((_without_address(line) for line in stderr.splitlines() if _REJECTED.search(line)), "")


def _without_address(line: str) -> str:
    return re.sub(r" @ 0x[0-9a-f]+", "", line.strip())[:300]


def _ask(path: str, question: str) -> str:
    try:
        done = subprocess.run(
            [path, "-hide_banner", question], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _names(listing: str) -> frozenset[str]:
    """Second column of ffmpeg's lists; names may be joined by commas."""
    rows = (line.split() for line in listing.splitlines())
    return frozenset(name for row in rows if len(row) >= 2 for name in row[1].split(","))
