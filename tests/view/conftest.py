"""A real browser, driven over the WebDriver protocol, and music to show in it."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perceiver_music.music.performance import PEDAL_DTYPE, Performance, note_array
from perceiver_music.view.roll import Roll

SECOND = 1_000_000
_DRIVERS = ("chromedriver", "/usr/lib/chromium/chromedriver")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--autoplay-policy=no-user-gesture-required",
)


class Browser:
    """As much of WebDriver (W3C) as a test of one page needs."""

    def __init__(self, port: int, binary: str, profile: Path) -> None:
        self._root = f"http://127.0.0.1:{port}"
        options = {"binary": binary, "args": [*_FLAGS, f"--user-data-dir={profile}"]}
        wanted = {
            "alwaysMatch": {
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
            }
        }
        answer = self._call("POST", "/session", {"capabilities": wanted})
        self._session = f"/session/{answer['sessionId']}"

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._root + path,
            data=data,
            method=method,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["value"]

    def open(self, page: Path) -> None:
        self._call("POST", f"{self._session}/url", {"url": page.resolve().as_uri()})

    def run(self, script: str) -> Any:
        """What a function body returns."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def wait_for(self, expression: str) -> None:
        """Until an expression holds; half a minute at most."""
        for _ in range(300):
            if self.run(f"return !!({expression})"):
                return
            time.sleep(0.1)
        raise AssertionError(f"never: {expression}")

    def press(self, keys: str) -> None:
        """Strikes keys, one after the other, wherever the focus is."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": strokes}]
        self._call("POST", f"{self._session}/actions", {"actions": actions})

    def click(self, selector: str) -> None:
        found = self._call(
            "POST", f"{self._session}/element", {"using": "css selector", "value": selector}
        )
        [element] = found.values()
        self._call("POST", f"{self._session}/element/{element}/click", {})

    def devtools(self, command: str, **parameters: Any) -> None:
        self._call(
            "POST",
            f"{self._session}/goog/cdp/execute",
            {"cmd": command, "params": parameters},
        )

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What was logged since the last call: `performance` or `browser`."""
        return list(self._call("POST", f"{self._session}/se/log", {"type": kind}))

    def screenshot(self) -> bytes:
        return base64.b64decode(self._call("GET", f"{self._session}/screenshot"))

    def close(self) -> None:
        self._call("DELETE", self._session)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Headless Chromium; skips where there is none."""
    driver = next(filter(None, map(shutil.which, _DRIVERS)), None)
    binary = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if driver is None or binary is None:
        pytest.skip("no Chromium with its driver is installed (apt: chromium chromium-driver)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        browser = _session(port, binary, tmp_path_factory.mktemp("profile"))
        yield browser
        browser.close()
    finally:
        process.terminate()
        process.wait()


def _session(port: int, binary: str, profile: Path) -> Browser:
    for _ in range(200):
        try:
            return Browser(port, binary, profile)
        except (ConnectionError, urllib.error.URLError):
            time.sleep(0.1)
    raise AssertionError("the browser's driver does not answer")


@pytest.fixture(scope="session")
def performance() -> Performance:
    """Twelve seconds: a scale with chords under it, and a pedal."""
    step = np.arange(48)
    start = step * SECOND // 4
    pitch = 48 + (step * 5) % 30
    pedal = np.array(
        [(0, 127), (3 * SECOND, 0), (3 * SECOND + 1, 64), (6 * SECOND, 0)], dtype=PEDAL_DTYPE
    )
    notes = note_array(start, start + SECOND // 4, pitch, 20 + 2 * step)
    return Performance(notes=notes, pedal=pedal)


@pytest.fixture(scope="session")
def duet(performance: Performance) -> Roll:
    """The same twelve seconds of two: answers from the third to the fifth and from the ninth on.

    The last key that the player strikes before the first answer is held into it.
    """
    start = performance.notes["start_us"]
    is_answer = ((start >= 3 * SECOND) & (start < 5 * SECOND)) | (start >= 9 * SECOND)
    is_answer[-4:] = False
    notes = performance.notes.copy()
    notes["end_us"][11] = 4 * SECOND
    held = Performance(notes=notes, pedal=performance.pedal)
    return Roll.of(held, title="x, as a duet", facts=("48 notes",), is_answer=is_answer)
