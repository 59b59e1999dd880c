"""Chromium without a window, spoken to over its own protocol; no driver and no further package is needed."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Browser:
    """One page of a running Chromium."""

    def __init__(self, connection: Any, loop: asyncio.AbstractEventLoop):
        self._connection, self._loop = connection, loop
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; what else arrives meanwhile is kept in `events`."""
        self._number += 1
        message = json.dumps({"id": self._number, "method": method, "params": parameters})
        return self._loop.run_until_complete(asyncio.wait_for(self._answer(message, self._number), 60))

    async def _answer(self, message: str, number: int) -> dict[str, Any]:
        await self._connection.write_message(message)
        while True:
            content = json.loads(await self._connection.read_message())
            if content.get("id") == number:
                assert "error" not in content, content
                return content["result"]
            self.events.append(content)

    def open(self, url: str, width: int = 1400, height: int = 1000) -> None:
        """Go to an address and wait until it is loaded."""
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def evaluate(self, script: str) -> Any:
        """Give the value of an expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 30.0) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(script):
            assert time.monotonic() < end, f"{script} is not true after {seconds} s"
            time.sleep(0.1)

    def requests(self) -> list[str]:
        """Give the addresses that were asked for so far."""
        self.evaluate("1")
        return [
            e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"
        ]

    def screenshot(self, file: Path, *, whole: bool = True) -> Path:
        """Take a picture of the page."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=whole, format="png")
        file.write_bytes(base64.b64decode(answer["data"]))
        return file

    def pdf(self) -> bytes:
        """Print the page."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])


@contextmanager
def chromium(folder: Path, *further: str) -> Iterator[Browser]:
    """Start Chromium with a profile in a folder and further options; skips the test where there is none."""
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("needs Chromium: make browser")
    from tornado.websocket import websocket_connect

    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]
    process = subprocess.Popen(
        [
            program,
            *options,
            *further,
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    loop = asyncio.new_event_loop()
    try:
        port = _port(folder / "DevToolsActivePort", process)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            target = next(t for t in json.load(answer) if t["type"] == "page")

        async def connect() -> Any:
            return await websocket_connect(target["webSocketDebuggerUrl"], max_message_size=2**28)

        async def close(connection: Any) -> None:
            # In the loop: what runs before in this thread may have left it without one.
            connection.close()

        connection = loop.run_until_complete(connect())
        yield Browser(connection, loop)
        loop.run_until_complete(close(connection))
    finally:
        process.terminate()
        process.wait(30)
        loop.close()


def _port(file: Path, process: subprocess.Popen) -> int:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.skip(f"Chromium does not start here (exit code {process.returncode})")
        if file.is_file() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.1)
    raise AssertionError("Chromium does not say its port after a minute")
