"""Fixtures that every test may use."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glomseg.images import write_png
from glomseg.types import GLOMERULUS, ModelCard

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real tissue beside the repository; a test that asks for it is skipped where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"real tissue is not there: {folder}")
    return folder


def draw_tile(rng: np.random.Generator, *, with_object: bool, size_px: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A noisy tile, and, if wanted, a bright disc on it that is its foreground."""
    image = rng.normal(120, 20, (size_px, size_px, 3))
    mask = np.zeros((size_px, size_px), np.uint8)
    if with_object:
        rows, columns = np.ogrid[:size_px, :size_px]
        row, column = rng.uniform(0.3, 0.7, 2) * size_px
        mask[(rows - row) ** 2 + (columns - column) ** 2 < (0.2 * size_px) ** 2] = 1
        image[mask == 1] += (90, -40, 40)
    return np.clip(image, 0, 255).astype(np.uint8), mask


@pytest.fixture(scope="session")
def draw_tiny_dataset() -> Callable[[Path], Path]:
    """Draws twelve 64 x 64 tiles of six slides into a folder; every second tile holds a disc."""

    def draw(root: Path) -> Path:
        rng = np.random.default_rng(0)
        for slide in range(1, 7):
            for tile in (1, 2):
                image, mask = draw_tile(rng, with_object=tile == 1)
                write_png(root / "images" / f"SITE_S{slide:02}_T{tile:02}.png", image)
                write_png(root / "masks" / f"SITE_S{slide:02}_T{tile:02}.png", mask)
        return root

    return draw


@pytest.fixture
def tiny_dataset(tmp_path: Path, draw_tiny_dataset: Callable[[Path], Path]) -> Path:
    """A folder of twelve 64 x 64 tiles of six slides; every second tile holds a disc."""
    return draw_tiny_dataset(tmp_path / "tiny")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of a narrow PSPNet with random weights."""
    import torch

    from glomseg.models.build import build_model
    from glomseg.models.model_files import save_model

    options = {"base_channels": 8, "stem_channels": 8, "head_channels": 8, "auxiliary_channels": 8}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model("pspnet_r18", n_classes=2, **options)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(path, model, ModelCard(architecture="pspnet_r18", classes=GLOMERULUS, options=options))
    return path


@pytest.fixture(scope="session")
def fpn_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of the small network, narrowed, whose logits differ from place to place."""
    import torch

    from glomseg.models.build import build_model
    from glomseg.models.model_files import save_model

    options = {"channels": (8, 8, 8, 8), "n_blocks": (1, 1, 1, 1), "head_channels": 8}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model("fpn_resnet_small", n_classes=2, **options)
        with torch.no_grad():
            model.decode_head.conv_seg.weight.normal_()
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_model(path, model, ModelCard(architecture="fpn_resnet_small", classes=GLOMERULUS, options=options))
    return path


@pytest.fixture(scope="session")
def fpn_graph(fpn_model: Path) -> bytes:
    """The ONNX graph of that model, which takes seconds to make: once for all tests."""
    from glomseg.inference.engines.graph import onnx_graph
    from glomseg.models.model_files import load_model

    return onnx_graph(load_model(fpn_model)[0])


@pytest.fixture
def graph_at_hand(fpn_graph: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Makes every network's graph that one, in an empty cache, and notes each time that one is asked for."""
    from glomseg.inference.engines import building
    from glomseg.steps import export_model

    asked: list[str] = []
    for module in (building, export_model):
        monkeypatch.setattr(module, "onnx_graph", lambda network: asked.append("graph") or fpn_graph)
    monkeypatch.setenv("GLOMSEG_CACHE", str(tmp_path / "cache"))
    return asked


@pytest.fixture(scope="session")
def png_claiming() -> Callable[[int, int], bytes]:
    """Makes a tiny PNG whose header declares a picture of this width and height: a decompression bomb."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def claiming(width: int, height: int) -> bytes:
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")

    return claiming


@pytest.fixture
def glomseg(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line with these words and gives its exit code, what it said, and what it complained of."""
    from glomseg.cli.main import main

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run
