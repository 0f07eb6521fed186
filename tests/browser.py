"""A headless Chromium for tests of pages, over its debugging pipe: no driver, no port, no package. One process, one page.

It keeps what a test must ask for: errors and messages on the console, and every request that leaves for anything but the page itself.
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless_shell")
_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-default-apps",
)


def executable() -> str | None:
    """Where a Chromium is, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """A page to look at. `with Browser() as browser: browser.open(path); browser.run("document.title")`."""

    def __init__(self, seconds: float = 60) -> None:
        self.seconds = seconds
        self.console: list[str] = []
        self.requests: list[str] = []
        self._buffer = b""
        self._number = 0
        self._loaded = False

    def __enter__(self) -> "Browser":
        found = executable()
        assert found is not None, "there is no Chromium"
        self._profile = tempfile.mkdtemp(prefix="browser-")
        down, up = _pipe(), _pipe()  # to the browser, and from it: its descriptors 3 and 4
        self._out, self._in = down[1], up[0]
        null = os.open(os.devnull, os.O_RDWR)
        actions = [(os.POSIX_SPAWN_DUP2, end, number) for end, number in ((null, 1), (null, 2), (down[0], 3), (up[1], 4))]
        self._process = os.posix_spawn(
            found, [found, *_FLAGS, f"--user-data-dir={self._profile}", "about:blank"], os.environ, file_actions=actions, setpgroup=0
        )
        for end in (null, down[0], up[1]):
            os.close(end)
        page = next(t for t in self._send("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session: str | None = self._send("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")
        self._send("Emulation.setFocusEmulationEnabled", enabled=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._out)
        os.close(self._in)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)  # a process group of its own
        os.waitpid(self._process, 0)
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, path: Path, width: int = 1400, height: int = 1000, dark: bool = False) -> None:
        """Load a file in a window of a size, as a phone would where it is narrow."""
        self.console.clear()
        self.requests.clear()
        self.window(width, height, dark)
        self._loaded = False
        self._send("Page.navigate", url=path.resolve().as_uri())
        until = time.monotonic() + self.seconds
        while not self._loaded:
            self._receive(until)

    def window(self, width: int, height: int = 1000, dark: bool = False) -> None:
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700)
        self._send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression. It runs beside the page's policy, as a person at the console would."""
        found = self._send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"].get("exception", {}).get("description", found["exceptionDetails"]))
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """A key, where the focus is."""
        codes = {"ArrowLeft": 37, "ArrowRight": 39, "Tab": 9, "Enter": 13, " ": 32, "Home": 36, "End": 35}
        for kind in ("keyDown", "keyUp"):
            self._send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=codes[key],
                **({"text": "\r"} if key == "Enter" and kind == "keyDown" else {}),
            )

    def picture(self, path: Path, whole: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        shot: dict[str, Any] = {}
        if whole:
            size = self._send("Page.getLayoutMetrics")["cssContentSize"]
            shot = {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}
        path.write_bytes(base64.b64decode(self._send("Page.captureScreenshot", format="png", **shot)["data"]))

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if getattr(self, "_session", None) is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        until = time.monotonic() + self.seconds
        while True:
            answer = self._receive(until)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])

    def _receive(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._in], [], [], max(0, until - time.monotonic()))[0], "the browser does not answer"
            data = os.read(self._in, 1 << 20)
            assert data, "the browser has ended"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.console.append(str(told["exceptionDetails"].get("exception", {}).get("description", told["exceptionDetails"]["text"])))
        elif method == "Runtime.consoleAPICalled":
            self.console.append(f"{told['type']}: {[a.get('value') for a in told['args']]}")
        elif method == "Log.entryAdded":
            self.console.append(f"{told['entry']['level']}: {told['entry']['text']}")
        elif method == "Network.requestWillBeSent" and told.get("type") != "Document":
            self.requests.append(told["request"]["url"])


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are no low numbers, so that giving them the numbers 3 and 4 in the child overwrites neither."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]
