# SPDX-License-Identifier: Apache-2.0
"""Encoding to a size, a bitrate or a quality in decibels: the quality setting that reaches it is found by trying.

A stream's size and its PSNR rise with the quality setting, which has 64 steps of some 5% and 0.2 dB. So a few trials,
each guessed from those before, say which step is the last that fits (or the first that is good enough).
"""

from __future__ import annotations

import math
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from typing import BinaryIO

from nvcodec.codec.protocol import Codec, EncodeSettings
from nvcodec.errors import NvcError, UsageError
from nvcodec.media.failure import reported
from nvcodec.media.types import FrameSource
from nvcodec.metrics.psnr import frame_psnr_yuv_db
from nvcodec.pipeline.decode import RecordDecoder
from nvcodec.pipeline.encode import encode_stream
from nvcodec.pipeline.output import Target, checked_write, open_output, target_name
from nvcodec.pipeline.report import EncodeReport, ProgressCallback
from nvcodec.stream import MAX_RECORD_FRAMES, StreamReader

LOWEST_QUALITY, HIGHEST_QUALITY = 0, 63
_SIZE_SLOPE, _PSNR_SLOPE = 0.055, 0.2  # for each quality: of the logarithm of the size, of decibels
_GUESSES = 5  # trials after which halves of what is left are tried
_COPIED_NBYTES = 1 << 20


@dataclass(frozen=True)
class Goal:
    """What a stream is to reach, exactly one of these.

    nbytes, bpp, kbps: size of the whole stream in bytes, bits per luma sample or kilobits per second of video, at most;
    psnr_db: mean over frames of (6 Y + U + V) / 8 of what a decoder shows, at least. All above zero; else UsageError.
    """

    nbytes: int | None = None
    bpp: float | None = None
    kbps: float | None = None
    psnr_db: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if value is not None}
        if len(given) != 1:
            names = ", ".join(part.name for part in fields(self))
            raise UsageError(f"a goal of {' and '.join(given) or 'nothing'}; exactly one of {names} is allowed")
        ((name, value),) = given.items()
        if not 0 < value < math.inf:
            raise UsageError(f"a goal of {name} {value}; a number above 0 is allowed")

    def reached(self, report: EncodeReport) -> tuple[float, float, str]:
        """What a trial reached, what is wanted, and the unit. Raises UsageError for a rate of a video of unknown
        duration."""
        if self.psnr_db is not None:
            assert report.psnr_db is not None
            return report.psnr_db, self.psnr_db, "dB"
        if self.kbps is not None:
            if report.kbps is None:
                raise UsageError("a bitrate needs a video whose duration is known; give a size (or bpp) instead")
            return report.kbps, self.kbps, "kbit/s"
        if self.bpp is not None:
            return report.bpp, self.bpp, "bpp"
        assert self.nbytes is not None
        return report.nbytes, self.nbytes, "bytes"


@dataclass
class QualitySearch:
    """Which quality to try next.

    wanted: value to stay at or below (or, with ``least``, to reach), in units in which it rises by about ``slope`` for
    each quality; values found need not rise everywhere.
    """

    wanted: float
    slope: float
    least: bool = False
    found: dict[int, float] = field(default_factory=dict)
    _low: int = LOWEST_QUALITY - 1  # the highest known to be below (or at) what is wanted
    _high: int = HIGHEST_QUALITY + 1  # the lowest known to be beyond it

    def add(self, quality: int, value: float) -> None:
        """The outcome of a trial."""
        self.found[quality] = value
        if value < self.wanted or (value == self.wanted and not self.least):
            self._low = max(self._low, quality)
        else:
            self._high = min(self._high, quality)

    @property
    def best(self) -> int | None:
        """The quality that was asked for, as far as is known; None: none of the 64, or none tried yet, is."""
        best = self._high if self.least else self._low
        return best if best in self.found else None

    def next(self) -> int | None:
        """The quality to try; None when it is found, or surely none is left that is better."""
        if self._high - self._low <= 1:
            return None
        if len(self.found) >= _GUESSES:
            return (self._low + self._high) // 2
        ideal = self._ideal()
        guess = math.ceil(ideal - 1e-9) if self.least else math.floor(ideal + 1e-9)
        if guess == self.best:
            return None
        return min(max(guess, self._low + 1), self._high - 1)

    def _ideal(self) -> float:
        """Where the value would be as wanted, by a line through the two trials nearest to it."""
        near = sorted(self.found, key=lambda quality: abs(self.found[quality] - self.wanted))[:2]
        slope = self.slope
        if len(near) == 2:
            measured = (self.found[near[1]] - self.found[near[0]]) / (near[1] - near[0])
            slope = min(max(measured, self.slope / 4), 4 * self.slope)
        return near[0] + (self.wanted - self.found[near[0]]) / slope


def encode_to_goal(
    open_input: Callable[[], FrameSource],
    out: Target,
    codec: Codec,
    settings: EncodeSettings,
    goal: Goal,
    *,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    frames_per_record: int = MAX_RECORD_FRAMES,
) -> EncodeReport:
    """Encode a source with the highest quality that fits a size or rate, or the lowest that reaches a PSNR.

    open_input: opens the source anew for each trial, of which there are three or four as a rule; settings.quality: of
    the first. The rest as for `encode_stream`, whose report of the last trial kept is returned; its ``notes`` say what
    was reached, and for a PSNR its ``psnr_db``. Raises UsageError when no quality reaches the goal.
    """
    output, name = open_output(out, overwrite), target_name(out)
    try:
        with _Trials(open_input, codec, settings, goal, progress, frames_per_record) as trials:
            report, stream = trials.run()
            write = checked_write(output, name)
            stream.seek(0)
            while piece := stream.read(_COPIED_NBYTES):
                write(piece)
        with reported(name, "cannot be written"):
            output.commit()
    except BaseException:
        output.discard()
        raise
    return report


@dataclass
class _Trials:
    """Streams of one source at several qualities, the best of which is kept (in a temporary file)."""

    open_input: Callable[[], FrameSource]
    codec: Codec
    settings: EncodeSettings
    goal: Goal
    progress: ProgressCallback | None
    frames_per_record: int
    _kept: tuple[int, EncodeReport, BinaryIO] | None = None

    def __enter__(self) -> _Trials:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._kept is not None:
            self._kept[2].close()

    def run(self) -> tuple[EncodeReport, BinaryIO]:
        """The best trial's report and stream."""
        search: QualitySearch | None = None
        quality: int | None = self.settings.quality
        while quality is not None:
            report, stream = self._trial(quality)
            reached, wanted, unit = self.goal.reached(report)
            if search is None:
                search = self._search(wanted)
            search.add(quality, reached if search.least else math.log(reached))
            if search.best == quality:
                if self._kept is not None:
                    self._kept[2].close()
                self._kept = quality, report, stream
            else:
                stream.close()
            quality = search.next()
        assert search is not None
        if search.best is None:
            raise UsageError(self._out_of_reach(reached, wanted, unit, search.least))
        assert self._kept is not None
        quality, report, stream = self._kept
        reached, wanted, unit = self.goal.reached(report)
        bound = "at least" if search.least else "at most"
        note = (
            f"quality {quality} reaches {_text(reached)} of {bound} {_text(wanted)} {unit} ({len(search.found)} trials)"
        )
        return replace(report, notes=[*report.notes, note]), stream

    def _search(self, wanted: float) -> QualitySearch:
        if self.goal.psnr_db is not None:
            return QualitySearch(wanted, _PSNR_SLOPE, least=True)
        return QualitySearch(math.log(wanted), _SIZE_SLOPE)

    def _trial(self, quality: int) -> tuple[EncodeReport, BinaryIO]:
        stream = tempfile.TemporaryFile(prefix="nvc-")  # noqa: SIM115 (kept while it is the best)
        try:
            report = encode_stream(
                self.open_input(),
                stream,
                self.codec,
                replace(self.settings, quality=quality),
                progress=self.progress,
                frames_per_record=self.frames_per_record,
            )
            if self.goal.psnr_db is not None:
                report = replace(report, psnr_db=self._psnr_db(stream))
            self.goal.reached(report)  # raises where a video has no such measure
        except BaseException:
            stream.close()
            raise
        return report, stream

    def _psnr_db(self, stream: BinaryIO) -> float:
        """Of what a decoder makes of it, mean of frames."""
        stream.seek(0)
        reader, total, count = StreamReader(stream), 0.0, 0
        decoder = RecordDecoder(reader.header, threads=self.settings.threads, device=self.settings.device)
        with closing(self.open_input()) as source:
            originals = iter(source)
            for record in reader.records():
                for decoded, original in zip(decoder.frames(record), originals, strict=False):
                    total += frame_psnr_yuv_db(original.planes, decoded.planes)
                    count += 1
        if not count:
            raise NvcError("no frame to compare with the source")
        return total / count

    def _out_of_reach(self, reached: float, wanted: float, unit: str, least: bool) -> str:
        end, word = (HIGHEST_QUALITY, "at most") if least else (LOWEST_QUALITY, "at least")
        return (
            f"goal of {_text(wanted)} {unit} is out of reach: quality {end}, the {'best' if least else 'smallest'}, "
            f"gives {_text(reached)} {unit}; ask for {word} that"
        )


def read_once(path: str | os.PathLike[str]) -> bool:
    """Whether a source can be read one time only: standard input, or a named pipe."""
    try:
        return os.fspath(path) == "-" or stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return False


def _text(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:.4g}" if number < 1000 else f"{number:,.1f}"
