"""An evaluation with hostile names to make a page of, and a browser to read it with.

The browser is driven through chromedriver in the W3C WebDriver protocol: JSON over local HTTP.
"""

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

import numpy as np
import pytest

from glomseg.data.predictions import KeptPrediction, write_predictions
from glomseg.files import write_json, write_text
from glomseg.images import write_png
from glomseg.metrics.evaluation import TileCounts, evaluate_counts, named_figures, named_intervals
from glomseg.metrics.pixels import count_pixels, pixel_metrics
from glomseg.report.embedding import tile_picture
from glomseg.report.evaluation import EvaluationContents, write_evaluation_page
from glomseg.types import GLOMERULUS, Dataset, Sample

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

    def __init__(self, address: str, session: str, *, downloads: Path) -> None:
        self.address = f"{address}/session/{session}"
        self.downloads = downloads

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

    def prefer(self, colors: str) -> None:
        """Ask for "light" or "dark" pages, and none that move: a button must not slide away from a click."""
        wanted = {"prefers-color-scheme": colors, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wanted.items()]
        self.devtools("Emulation.setEmulatedMedia", features=features)

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
            browser = Browser(address, session, downloads=folder / "downloads")
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


HOSTILE = (
    "</script><script>document.title='taken'<!--",
    '"><img src=x onerror="document.title=1">',
    "=HYPERLINK(1),'quoted' & \"double\"",
    "肾小球 🫘 {{ 7 * 7 }} \\u003c",
)


def disc(row: int, column: int, radius: int, *, size: int = 64) -> np.ndarray:
    rows, columns = np.ogrid[:size, :size]
    return ((rows - row) ** 2 + (columns - column) ** 2 < radius**2).astype(np.uint8)


def masks_of_tiles() -> list[tuple[np.ndarray, np.ndarray]]:
    """Truth and prediction of: a found, a missed, and an invented object, an empty tile, and two merged objects."""
    empty, one = np.zeros((64, 64), np.uint8), disc(30, 30, 15)
    two = disc(20, 20, 9) | disc(44, 44, 9)
    whole = np.zeros((64, 64), np.uint8)
    whole[10:55, 10:55] = 1
    return [(one, disc(32, 30, 15)), (one, empty), (empty, disc(30, 30, 8)), (empty, empty), (two, whole)]


def counts_of_objects(n: int) -> dict[str, int]:
    """What an evaluation says of the objects of tile n of `masks_of_tiles`."""
    numbers = [(1, 1, 1, 0, 0), (1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (0, 0, 0, 0, 0), (2, 1, 0, 1, 0)][n]
    names = ("n_targets", "n_predictions", "n_found", "n_merges", "n_splits")
    counts = dict(zip(names, numbers, strict=True))
    return {
        **counts,
        "n_missed": counts["n_targets"] - counts["n_found"],
        "n_invented": counts["n_predictions"] - counts["n_found"],
    }


def write_evaluation(root: Path, *, names: tuple[str, ...], with_objects: bool) -> Path:
    """Write a data set of 64 x 64 tiles and the files of its evaluation; return the evaluation's folder."""
    rng = np.random.default_rng(0)
    data, folder = root / "data", root / "evaluation"
    samples = []
    for index, (name, (target, _)) in enumerate(zip(names, masks_of_tiles(), strict=True)):
        image = np.clip(rng.normal(150, 20, (64, 64, 3)) + 40 * target[..., None], 0, 255).astype(np.uint8)
        image_path, mask_path = data / f"image{index}.png", data / f"mask{index}.png"
        write_png(image_path, image)
        write_png(mask_path, target)
        samples.append(Sample(name=name, image_path=image_path, mask_path=mask_path, group=f"case {index % 2}"))
    dataset = Dataset(root=data, samples=tuple(samples), classes=GLOMERULUS)
    tiles, kept, objects = [], [], {}
    for index, name in enumerate(names):
        target, prediction = masks_of_tiles()[index]
        group = f"case {index % 2}"
        counts = count_pixels(target=target, prediction=prediction, n_classes=2)
        tiles.append(TileCounts(name=name, group=group, counts=counts))
        write_png(folder / "predictions" / f"{index}.png", prediction)
        kept.append(KeptPrediction(name=name, file=f"predictions/{index}.png", doubt=(0.1, 0.5, 0.3, 0.0, 0.2)[index]))
        objects[name] = {"objects": {"glomerulus": counts_of_objects(index)}} if with_objects else {}
    write_predictions(folder, dataset, kept)
    evaluation = evaluate_counts(tiles, GLOMERULUS)
    total = {key: sum(counts_of_objects(n)[key] for n in range(5)) for key in counts_of_objects(0)}
    of_class = {"counts": total, "figures": {"f1": 2 / 7, "hausdorff_95": 4.5}, "intervals": {"f1": [0.1, 0.6]}}
    group_objects = {"glomerulus": {"counts": total, "figures": {"f1": 2 / 7}}}
    write_json(
        folder / "evaluation.json",
        {
            "glomseg": "0.1.0",
            "model": {"file": "best.safetensors", "sha256": "ab" * 32},
            "data": "data",
            "mpp": None,
            "part": "test",
            "split": None,
            "notes": ["2 groups <b>bear</b> these figures"],
            "failed": {},
            "classes": {"names": GLOMERULUS.names, "colors": GLOMERULUS.colors},
            "n_tiles": 5,
            "n_groups": 2,
            "figures": named_figures(evaluation.metrics, GLOMERULUS.names),
            "interval_level": 0.95,
            "intervals": named_intervals(evaluation.intervals, GLOMERULUS.names),
            "confusion_matrix": evaluation.counts.matrix,
            "groups": {
                name: {
                    "figures": named_figures(pixel_metrics(counts), GLOMERULUS.names),
                    "confusion_matrix": counts.matrix,
                    **({"objects": group_objects} if with_objects else {}),
                }
                for name, counts in sorted(evaluation.groups.items())
            },
            "tiles": {
                tile.name: {"group": tile.group, "confusion_matrix": tile.counts.matrix, **objects[tile.name]}
                for tile in tiles
            },
            **(
                {"objects": {"unit": "px", "match_iou": 0.5, "classes": {"glomerulus": of_class}}}
                if with_objects
                else {}
            ),
        },
    )
    if with_objects:
        head = "tile,group,class,outcome,iou,true_area_px,predicted_area_px,touches_border\n"
        rows = "a,case 0,glomerulus,found,0.9,700,690,False\nb,case 0,glomerulus,found,0.8,400,500,False\n"
        write_text(folder / "objects.csv", head + rows)
    return folder


@pytest.fixture(scope="module")
def evaluation_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of five tiles with hostile names and object figures, in two groups."""
    return write_evaluation(tmp_path_factory.mktemp("page"), names=(*HOSTILE, "plain"), with_objects=True)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory):
    """A headless browser; a test that asks for it is skipped where there is none."""
    if find_browser() is None:
        pytest.skip("no Chromium or Chrome with its chromedriver was found")
    folder = tmp_path_factory.mktemp("browser") / "window"
    with start_browser(folder) as window:
        yield window


@pytest.fixture
def window(browser: Browser):
    """The browser in a window of 1200 x 900 and light colours; the page must not have complained."""
    browser.resize(1200)
    browser.prefer("light")
    browser.complaints()
    yield browser
    assert browser.complaints() == []


@pytest.fixture(scope="session")
def download_folder(browser: Browser) -> Path:
    """Where the browser puts what is saved."""
    return browser.downloads


@pytest.fixture(scope="session")
def hostile_names() -> tuple[str, ...]:
    """Names of the first four tiles of `evaluation_folder`: found, missed, invented, empty."""
    return HOSTILE


@pytest.fixture(scope="module")
def many_tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 400 tiles."""
    target, prediction = masks_of_tiles()[0]
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    picture = tile_picture(image, [target, prediction], side_px=64)
    names = [f"tile {number:03}" for number in range(400)]
    folder = write_evaluation(tmp_path_factory.mktemp("many"), names=(*HOSTILE, "plain"), with_objects=False)
    record = json.loads((folder / "evaluation.json").read_text())
    record["tiles"] = dict.fromkeys(names, record["tiles"]["plain"])
    path = folder / "many.html"
    write_evaluation_page(path, EvaluationContents(record=record, pictures=dict.fromkeys(names, picture)), key="many")
    return path
