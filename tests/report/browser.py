"""A headless browser for tests, driven through chromedriver in the W3C WebDriver protocol: JSON over local HTTP."""

import base64
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "google-chrome", "chromium-browser", "google-chrome-stable")
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's key of an element's name
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
KEYS = {"Left": "\ue012", "Up": "\ue013", "Right": "\ue014", "Down": "\ue015", "Enter": "\ue007", "Escape": "\ue00c"}


def find_browser() -> tuple[str, str] | None:
    """The programs of the browser and of its driver, or None where either is missing."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    """One window. Scripts run in the page; what they return comes back as plain values."""

    def __init__(self, address: str, session: str) -> None:
        self.address = f"{address}/session/{session}"

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return _call(method, f"{self.address}/{path}", body)

    def open(self, path: Path) -> None:
        self.call("POST", "url", {"url": path.resolve().as_uri()})

    def run(self, script: str, *values: Any) -> Any:
        return self.call("POST", "execute/sync", {"script": script, "args": list(values)})

    def wait_for(self, condition: str, *values: Any) -> Any:
        """Wait until an expression is true, and return it; the test's own limit ends a wait that is in vain."""
        script = (
            "const done = arguments[arguments.length - 1], values = [...arguments].slice(0, -1), started = Date.now();"
            f"const look = () => {{ const value = (function () {{ return {condition}; }}).apply(null, values);"
            "if (value || Date.now() - started > 8000) done(value); else setTimeout(look, 20); }; look();"
        )
        value = self.call("POST", "execute/async", {"script": script, "args": list(values)})
        assert value, f"never came true: {condition}"
        return value

    def press(self, key: str) -> None:
        """Press and release one key, wherever the focus is."""
        value = KEYS.get(key, key)
        actions = [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self.call("POST", "actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def click(self, selector: str) -> None:
        """Click the first element of a CSS selector, as a hand would."""
        found = self.call("POST", "element", {"using": "css selector", "value": selector})
        self.call("POST", f"element/{found[_ELEMENT]}/click", {})

    def choose(self, selector: str, value: str) -> None:
        """Put a value into a field and tell the page."""
        self.run(
            "const field = document.querySelector(arguments[0]); field.value = arguments[1];"
            "field.dispatchEvent(new Event('input', {bubbles: true}));",
            selector,
            value,
        )

    def devtools(self, command: str, **values: Any) -> Any:
        return self.call("POST", "goog/cdp/execute", {"cmd": command, "params": values})

    def resize(self, width: int, height: int = 900) -> None:
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def be_dark(self, dark: bool = True) -> None:
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[feature])

    def screenshot(self) -> bytes:
        return base64.b64decode(self.call("GET", "screenshot"))

    def print_pdf(self) -> bytes:
        return base64.b64decode(self.call("POST", "print", {"background": True, "page": {"width": 21, "height": 29.7}}))

    def complaints(self) -> list[str]:
        """What the page wrote to the console since the last call: errors, refused loads, and the like."""
        return [str(entry["message"]) for entry in self.call("POST", "se/log", {"type": "browser"})]


@contextmanager
def start_browser(folder: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile in `folder`, whose downloads go to ``folder/downloads``."""
    found = find_browser()
    assert found is not None
    (folder / "downloads").mkdir(parents=True)
    with subprocess.Popen(
        [found[1], "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as driver:
        try:
            assert driver.stdout is not None
            port = next(
                match[1] for line in driver.stdout if (match := re.search(r"started successfully on port (\d+)", line))
            )
            address = f"http://127.0.0.1:{port}"
            options = {
                "binary": found[0],
                "args": [*_FLAGS, f"--user-data-dir={folder / 'profile'}"],
                "prefs": {"download.default_directory": str(folder / "downloads")},
            }
            wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            session = _call("POST", f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            browser = Browser(address, session)
            try:
                yield browser
            finally:
                browser.call("DELETE", "")
        finally:
            driver.terminate()


def _call(method: str, address: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        address.rstrip("/"), data=data, method=method, headers={"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the driver is on this machine
    try:
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(json.load(error)["value"]["message"]) from error
