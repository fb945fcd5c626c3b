# SPDX-License-Identifier: Apache-2.0
"""Plots, tables and one self-contained page, drawn from a results folder's JSON alone and again at will."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nvcodec.rd.report.model import Report
    from nvcodec.rd.report.pictures import PictureLimits

PARTS = ("tables", "plots", "page")


@dataclass(frozen=True)
class Written:
    """files: what was written, in order. notes: one line for each thing that could not be shown, and why."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write_report(
    report: Report,
    folder: str | Path,
    *,
    rate: str = "bpp",
    log: bool = False,
    parts: tuple[str, ...] = PARTS,
    limits: PictureLimits | None = None,
) -> Written:
    """Write the chosen ``parts`` of a gathered report into ``folder``.

    Files: report.md, points.csv, bd.csv; clip-*.png/.svg, set-*, speed-*; report.html. rate: "bpp" or "kbps" for the
    plots, log: their rate axis. Raises NvcError where a file cannot be written; nothing is ever half written.
    """
    from nvcodec.rd.report import tables
    from nvcodec.rd.report.differences import DifferenceTable
    from nvcodec.rd.store import write_atomic

    folder = Path(folder)
    table = DifferenceTable(report)
    files: list[Path] = []
    notes = list(report.refused)

    def put(name: str, text: str) -> None:
        write_atomic(folder / name, text)
        files.append(folder / name)

    if "tables" in parts:
        put("report.md", tables.markdown(report, table))
        put("points.csv", tables.points_csv(report))
        put("bd.csv", tables.bd_csv(report, table))
    if "plots" in parts:
        from nvcodec.rd.report.plots import write_plots

        drawn, left_out = write_plots(report, table, folder, rate=rate, log=log)
        files += drawn
        notes += left_out
    if "page" in parts:
        from nvcodec.rd.report.page import build_page
        from nvcodec.rd.report.pictures import PictureLimits, collect

        pictures, left_out = collect(report, limits or PictureLimits())
        notes += left_out
        put("report.html", build_page(report, table, pictures, left_out))
    return Written(files, notes)
