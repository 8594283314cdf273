"""A headless Chromium, spoken to over its DevTools protocol.

Without a browser on the machine tests are skipped; with CI=true in the environment they fail.
"""

import asyncio
import base64
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"),
)
PATIENCE = 60


def executable() -> str:
    """The path of a browser; skips the test, or fails it on a build server, if there is none."""
    for name in NAMES:
        found = shutil.which(name)
        if found is not None:
            return found
    reason = f"NO BROWSER: none of {', '.join(NAMES)} is installed, so the page was looked at by nobody"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Page:
    """A tab. `complaints` are errors and warnings of the console, `requests` the addresses asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._sent = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.complaints: list[str] = []
        self.requests: list[str] = []

    async def listen(self) -> None:
        """Take in what the browser says until it closes."""
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
                continue
            method, about = said["method"], said["params"]
            if method == "Page.loadEventFired":
                self._loaded.set()
            elif method == "Runtime.exceptionThrown":
                self.complaints.append(str(about["exceptionDetails"]))
            elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(about["args"]))
            elif method == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
                self.complaints.append(str(about["entry"]))
            elif method == "Network.requestWillBeSent":
                self.requests.append(about["request"]["url"])

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._sent += 1
        answer = self._answers[self._sent] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._sent, "method": method, "params": parameters})
        said = await asyncio.wait_for(answer, PATIENCE)
        assert "error" not in said, said
        result: dict[str, Any] = said["result"]
        return result

    async def open(self, path: Path) -> None:
        """Open a file and wait until it is loaded."""
        self._loaded.clear()
        await self.call("Page.navigate", url=path.absolute().as_uri())
        await asyncio.wait_for(self._loaded.wait(), PATIENCE)

    async def run(self, script: str) -> Any:
        """Return the value of an expression; a promise is waited for."""
        done = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    async def picture(self, path: Path, box: tuple[float, float, float, float]) -> None:
        """Save a part of the page, (x, y, width, height), as PNG."""
        clip = dict(zip(("x", "y", "width", "height"), box, strict=True), scale=1)
        done = await self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(done["data"]))


@asynccontextmanager
async def page(scratch: Path, width: int = 1280, height: int = 1000) -> AsyncIterator[Page]:
    """Yield an empty tab of a browser of its own, whose profile lies in `scratch`."""
    profile = Path(tempfile.mkdtemp(prefix="browser-", dir=scratch))
    command = [executable(), *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
    with (scratch / "browser.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as browser:
        try:
            port = await _port(profile / "DevToolsActivePort", browser)
            async with aiohttp.ClientSession() as session:
                async with session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer:
                    address = (await answer.json(content_type=None))["webSocketDebuggerUrl"]
                async with session.ws_connect(address, max_msg_size=0) as socket:
                    tab = Page(socket)
                    listening = asyncio.create_task(tab.listen())
                    for domain in ("Page", "Runtime", "Log", "Network"):
                        await tab.call(f"{domain}.enable")
                    yield tab
                    listening.cancel()
        finally:
            browser.terminate()
            browser.wait(PATIENCE)


async def _port(file: Path, browser: "subprocess.Popen[bytes]") -> int:
    """The port that the browser listens at, once it has written it down."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends and browser.poll() is None:
        if file.exists() and (text := file.read_text()).count("\n"):
            return int(text.split("\n")[0])
        await asyncio.sleep(0.05)
    raise AssertionError(f"the browser did not start: {(file.parent.parent / 'browser.log').read_text()[-2000:]}")
