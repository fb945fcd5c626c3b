# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium driven through its DevTools protocol over a pipe, with real mouse and key events."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
# The protocol's ends have to be descriptors 3 and 4 of the browser.
LAUNCHER = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3]]
for end, wanted in zip(ends, (3, 4)):
    os.dup2(end, wanted)
    os.close(end)
os.execv(sys.argv[3], sys.argv[3:])
"""
TIMEOUT_S = 60.0


def find_chromium() -> str | None:
    """Path of a Chromium: $CHROMIUM, that of scripts/get_chromium.py, on PATH, or the one the playwright package keeps;
    None if there is none."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    fetched = Path(sys.prefix) / "chromium" / "chromium"
    if fetched.exists():
        return str(fetched)
    for name in NAMES:
        if found := shutil.which(name):
            return found
    try:
        from playwright.sync_api import sync_playwright  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    with sync_playwright() as player:
        path = player.chromium.executable_path
    return path if Path(path).exists() else None


class Browser:
    """One page in a fresh profile; a context manager."""

    def __init__(self, executable: str, width: int = 1300, height: int = 1000) -> None:
        self.profile = tempfile.mkdtemp(prefix="nvc-chromium-")
        to_read, self._out = os.pipe()
        self._in, to_write = os.pipe()
        command = [
            sys.executable, "-c", LAUNCHER, str(to_read), str(to_write), executable, *FLAGS,
            "--remote-debugging-pipe", f"--user-data-dir={self.profile}", f"--window-size={width},{height}",
            "about:blank",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            command, pass_fds=(to_read, to_write), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self._buffer = b""
        self._number = 0
        self.requests: list[str] = []
        self.console: list[str] = []
        target = next(t for t in self._targets() if t["type"] == "page")
        attached = self.send("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True}, page=False)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.send(f"{domain}.enable")
        self.send("Emulation.setDeviceMetricsOverride",
                  {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})  # fmt: skip

    def _targets(self) -> list[dict[str, Any]]:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            found = self.send("Target.getTargets", page=False)["targetInfos"]
            if any(t["type"] == "page" for t in found):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError("Chromium opened no page")
            time.sleep(0.05)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.send("Browser.close", page=False)
            self.process.wait(10)
        except (OSError, EOFError, TimeoutError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self._out)
        os.close(self._in)
        shutil.rmtree(self.profile, ignore_errors=True)

    def send(self, method: str, params: dict[str, Any] | None = None, *, page: bool = True) -> dict[str, Any]:
        """One command and its answer; events that arrive in between are noted."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params or {}}
        if page:
            message["sessionId"] = self.session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], TIMEOUT_S)[0]:
                raise TimeoutError(f"Chromium said nothing for {TIMEOUT_S:g} s")
            block = os.read(self._in, 1 << 16)
            if not block:
                raise EOFError("Chromium went away")
            self._buffer += block
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event.get("method") == "Runtime.exceptionThrown":
            detail = params["exceptionDetails"]
            self.console.append(detail.get("exception", {}).get("description", detail["text"]))
        elif event.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.console.append(str([a.get("value") for a in params["args"]]))

    def open(self, path: Path) -> None:
        """Open a file and wait until it says it is ready."""
        self.send("Page.navigate", {"url": path.resolve().as_uri()})
        self.wait("document.documentElement?.dataset.ready === 'yes'")

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until a JavaScript condition holds."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self.value(condition):
            if time.monotonic() > deadline:
                raise TimeoutError(condition)
            time.sleep(0.02)

    def centre(self, selector: str) -> tuple[float, float]:
        """Middle of an element in the window, after scrolling there."""
        box = self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            " return [b.left + b.width / 2, b.top + b.height / 2]; })()"
        )
        return box[0], box[1]

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """One mouse event ("mousePressed", "mouseMoved", "mouseReleased", "mouseWheel")."""
        self.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **more})

    def click(self, selector: str) -> None:
        """Press and release the left button on an element."""
        x, y = self.centre(selector)
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", clickCount=1)

    def drag(self, start: tuple[float, float], by: tuple[float, float], steps: int = 5) -> None:
        """Press, move in steps, release."""
        x, y = start
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
        for i in range(1, steps + 1):
            self.mouse("mouseMoved", x + by[0] * i / steps, y + by[1] * i / steps, button="left", buttons=1)
        self.mouse("mouseReleased", x + by[0], y + by[1], button="left", clickCount=1)

    def key(self, key: str, text: str = "") -> None:
        """One key down and up on what has the focus."""
        self.send("Input.dispatchKeyEvent", {"type": "keyDown", "key": key, "text": text})
        self.send("Input.dispatchKeyEvent", {"type": "keyUp", "key": key})

    def choose(self, selector: str, text: str) -> None:
        """Select an option as a keyboard user does: focus the list, type the option's text."""
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        for letter in text:
            self.key(letter, letter)

    def screenshot(self, target: Path) -> None:
        """What the window shows, as PNG."""
        target.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", {"format": "png"})["data"]))
