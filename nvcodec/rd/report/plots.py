# SPDX-License-Identifier: Apache-2.0
"""PNG and SVG plots: one of each clip, one of each set, and speed against BD-rate."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvcodec.errors import NvcError
from nvcodec.rd.bdrate import CurveError
from nvcodec.rd.report.beside import members_of
from nvcodec.rd.report.differences import DifferenceTable, average_curve, steps
from nvcodec.rd.report.metrics import Metric
from nvcodec.rd.report.model import ClipSet, Report, hertz
from nvcodec.rd.store import safe_name

RATE_LABELS = {"bpp": "rate (bit per pixel)", "kbps": "rate (kbit/s)"}
PUBLISHED_COLOURS = ("#666666", "#999933", "#882255", "#44aa99", "#aa4499", "#117733", "#332288", "#ddcc77")


@dataclass(frozen=True)
class Line:
    """One line of a plot: points (rate, quality) ascending by rate."""

    label: str
    colour: str
    points: list[tuple[float, float]]
    published: bool = False


def write_plots(
    report: Report, table: DifferenceTable, folder: Path, *, rate: str = "bpp", log: bool = False
) -> tuple[list[Path], list[str]]:
    """Draw everything into ``folder`` as PNG and SVG; returns the files and one line for each curve left out."""
    written: list[Path] = []
    left_out: list[str] = []
    for metric in report.metrics[:1]:
        for clip in sorted(report.clips):
            lines = clip_lines(report, clip, metric, rate)
            written += _draw_lines(lines, clip, metric, rate, log, folder / f"clip-{safe_name(clip)}")
        for clips in report.sets:
            lines, reasons = set_lines(report, clips, metric, rate)
            left_out += [f"{clips.title}: {reason}" for reason in reasons]
            title = f"{clips.title}, curve of means"
            written += _draw_lines(lines, title, metric, rate, log, folder / f"set-{safe_name(clips.name)}")
            written += draw_speed(report, table, clips, metric, "decode", folder / f"speed-{safe_name(clips.name)}")
    return written, left_out


def clip_lines(report: Report, clip: str, metric: Metric, rate: str) -> list[Line]:
    """The measured lines of one clip, and the published ones for it."""
    lines = [
        Line(c.label, c.colour, sorted(steps(c, clip, metric.name, rate)))
        for c in report.codecs
        if c.has(clip, metric.name)
    ]
    return [*lines, *_published(report, [clip], metric, rate, single=True)]


def set_lines(report: Report, clips: ClipSet, metric: Metric, rate: str) -> tuple[list[Line], list[str]]:
    """The lines of mean rate and mean quality over a set, and why a codec has none."""
    lines, reasons = [], []
    for codec in report.codecs:
        try:
            lines.append(Line(codec.label, codec.colour, average_curve(codec, clips, metric.name, rate)))
        except CurveError as error:
            reasons.append(str(error))
    return [*lines, *_published(report, clips.clips, metric, rate, single=False)], reasons


def _published(report: Report, clips: Sequence[str], metric: Metric, rate: str, *, single: bool) -> Iterator[Line]:
    number = 0
    for shown in report.shown:
        curve = shown.curve
        if curve is None or shown.entry.metric != metric.name or (curve.clip is not None) != single:
            continue
        members = members_of(report, shown)
        colour = PUBLISHED_COLOURS[number % len(PUBLISHED_COLOURS)]
        number += 1
        if sorted(members) == sorted(clips):
            scale = 1.0
            if rate == "kbps":
                geometry = [report.clips[name] for name in members]
                scale = sum(c.width * c.height * hertz(c) for c in geometry) / len(geometry) / 1000.0
            points = [(bpp * scale, quality) for bpp, quality in curve.points]
            yield Line(f"{shown.entry.label} (published)", colour, points, published=True)


def _draw_lines(lines: Sequence[Line], title: str, metric: Metric, rate: str, log: bool, stem: Path) -> list[Path]:
    if not lines:
        return []
    figure = _figure()
    axes = figure.add_subplot()
    for line in lines:
        style: dict[str, Any] = {"linestyle": "--", "marker": None} if line.published else {"marker": "o"}
        axes.plot(*zip(*line.points, strict=True), label=line.label, color=line.colour, markersize=4, **style)
    if log:
        _log_axis(axes)
    axes.set_xlabel(RATE_LABELS[rate])
    axes.set_ylabel(metric.title)
    axes.set_title(title)
    axes.grid(alpha=0.3, which="both" if log else "major")
    axes.legend(fontsize=8)
    return save(figure, stem)


def draw_speed(
    report: Report,
    table: DifferenceTable,
    clips: ClipSet,
    metric: Metric,
    direction: str,
    stem: Path,
    given: dict[str, float] | None = None,
) -> list[Path]:
    """Frames per second ("encode" or "decode") against the mean of BD-rates over ``clips``; nothing if none is had.

    given: frames per second measured otherwise, by codec; then only those codecs are drawn.
    """
    figure = _figure()
    axes = figure.add_subplot()
    points: list[tuple[str, float, float]] = []
    for codec in report.codecs:
        fps = codec.fps(clips.clips, direction) if given is None else given.get(codec.label)
        value: float | None = 0.0
        if codec.label != report.anchor:
            value = table.between(report.anchor, codec.label, clips, metric).mean_of_clips_percent
        if fps is None or value is None:
            continue
        axes.plot([fps], [value], "o", color=codec.colour)
        points.append((codec.label, fps, value))
    if not points:
        return []
    speeds = [fps for _, fps, _ in points]
    axes.set_xlim(min(speeds) / 2, max(speeds) * 4)  # room for the names to the right
    _log_axis(axes)
    _name(axes, points)
    axes.set_xlabel(f"frames per second, {direction}, " + ("whole command" if given is None else "as given"))
    axes.set_ylabel(f"BD-rate against {report.anchor} (%), {metric.label}")
    axes.set_title(f"{clips.title}, mean of the clips' BD-rates")
    axes.grid(alpha=0.3, which="both")
    return save(figure, stem)


_NAME_PLACES = ((6, 4), (6, -10), (6, 14), (6, -20))  # beside a point, the first of which is free


def _name(axes: Any, points: list[tuple[str, float, float]]) -> None:
    """Write the names of points (name, x, y) beside them, none over another where there is room."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(axes.figure).get_renderer()
    taken: list[Any] = []
    for name, x, y in points:
        for place in _NAME_PLACES:
            note = axes.annotate(name, (x, y), textcoords="offset points", xytext=place, fontsize=8)
            box = note.get_window_extent(renderer)
            if not any(box.overlaps(other) for other in taken):
                break
            if place != _NAME_PLACES[-1]:
                note.remove()
        taken.append(box)


def _log_axis(axes: Any) -> None:
    """A logarithmic rate or speed axis with plain numbers on it."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


def _figure() -> Any:
    from matplotlib.figure import Figure  # the object interface: no window system, no global state

    return Figure(figsize=(7.2, 4.8), dpi=150, layout="constrained")


def save(figure: Any, stem: Path) -> list[Path]:
    """Write ``stem``.png and ``stem``.svg, each whole or not at all; the same figure gives the same bytes."""
    import matplotlib

    written = []
    with matplotlib.rc_context({"svg.hashsalt": "nvcodec", "svg.fonttype": "none"}):
        for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None, "Creator": None})):
            target = stem.with_name(stem.name + suffix)
            write_file(target, lambda path, m=metadata, s=suffix: figure.savefig(path, format=s[1:], metadata=m))
            written.append(target)
    return written


def write_file(target: Path, write: Any) -> None:
    """Let ``write(path)`` fill a temporary file beside ``target``, then rename it."""
    temporary: str | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
        os.close(descriptor)
        write(temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise NvcError(f"{target}: cannot be written ({error.strerror or error})") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def names_of(paths: Iterable[Path]) -> str:
    """File names for a message, comma separated."""
    return ", ".join(path.name for path in paths)
