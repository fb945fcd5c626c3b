# SPDX-License-Identifier: Apache-2.0
"""A picture of the report's page, as the README shows it; needs Chromium (see `chromium.find_chromium`).

python scripts/report_screenshot.py RESULTS/report/report.html -o docs/report.png [--size 1400x1500]
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from chromium import Browser, find_chromium


def main() -> int:
    """Exit codes: 0 fine, 1 the browser failed, 2 no page or no browser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="report.html that 'nvc rd report' wrote")
    parser.add_argument("-o", "--output", type=Path, required=True, help="PNG to write")
    parser.add_argument("--size", default="1400x1500", help="window in pixels (default: 1400x1500)")
    args = parser.parse_args()
    width, cross, height = args.size.partition("x")
    if not (cross and width.isdigit() and height.isdigit()):
        parser.error(f"--size {args.size!r}: write WIDTHxHEIGHT")
    browser = find_chromium()
    if not args.page.is_file() or browser is None:
        what = "no Chromium: run scripts/get_chromium.py" if browser is None else f"{args.page}: no such file"
        print(f"report_screenshot: {what}", file=sys.stderr)
        return 2
    args.output.parent.mkdir(parents=True, exist_ok=True)
    part = args.output.with_name(f".{args.output.name}.part")
    try:
        with Browser(browser, int(width), int(height)) as page:
            page.open(args.page)
            page.screenshot(part)
        os.replace(part, args.output)
    except (OSError, EOFError, TimeoutError, RuntimeError) as error:
        print(f"report_screenshot: {browser} failed ({error})", file=sys.stderr)
        return 1
    finally:
        part.unlink(missing_ok=True)
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
