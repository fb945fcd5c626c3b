# SPDX-License-Identifier: Apache-2.0
"""A picture of the report's page, as the README shows it; needs Chromium or Chrome.

python scripts/report_screenshot.py RESULTS/report/report.html -o docs/report.png [--size 1400x1500]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def main() -> int:
    """Exit codes: 0 fine, 1 the browser failed, 2 no page or no browser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="report.html that 'nvc rd report' wrote")
    parser.add_argument("-o", "--output", type=Path, required=True, help="PNG to write")
    parser.add_argument("--size", default="1400x1500", help="window in pixels (default: 1400x1500)")
    args = parser.parse_args()
    browser = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    width, cross, height = args.size.partition("x")
    if not (cross and width.isdigit() and height.isdigit()):
        parser.error(f"--size {args.size!r}: write WIDTHxHEIGHT")
    if not args.page.is_file() or browser is None:
        what = "no Chromium on PATH nor in $CHROMIUM" if browser is None else f"{args.page}: no such file"
        print(f"report_screenshot: {what}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        # Charts are drawn when the layout is known: give the page a moment of its own (virtual) time.
        more = [f"--user-data-dir={folder}/profile", f"--window-size={width},{height}", "--virtual-time-budget=5000"]
        command = [browser, *FLAGS, *more, f"--screenshot={shot}", args.page.resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode or not shot.is_file():
            print(f"report_screenshot: {browser} failed with code {done.returncode}", file=sys.stderr)
            return 1
        args.output.parent.mkdir(parents=True, exist_ok=True)
        part = args.output.with_name(f".{args.output.name}.part")
        shutil.copyfile(shot, part)
        os.replace(part, args.output)
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
