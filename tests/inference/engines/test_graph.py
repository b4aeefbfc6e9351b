"""The graph gives what the network gives, at sizes that it was not recorded at."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from glomseg.errors import InvalidInputError
from glomseg.inference.engines import graph, packages
from glomseg.inference.engines.building import engine_network
from glomseg.inference.engines.graph import GridAverage, exportable, onnx_graph
from glomseg.models.build import build_model
from glomseg.models.model_files import load_model

from ...models.openmmlab.test_exporting import SMALLEST

TOKENS = {"embed_dims": 64, "num_layers": 4, "image_side_px": 56, "head_channels": 8, "auxiliary_channels": 8}
OWN = [
    ("upernet_dinov2_s", TOKENS),  # patches of 14, images padded to multiples
    ("upernet_dinov3_s", {**TOKENS, "image_side_px": 64}),  # tokens turned by their place
    ("upernet_uni2_h", {**TOKENS, "hidden_dims": 128}),  # registers, gated layers
]
"""A network of each family that OpenMMLab does not have, narrowed; the small one is tested on its own."""

SIZES = ((1, 64, 96), (2, 131, 77), (1, 250, 191), (3, 224, 288))


def largest_difference(network, engine):
    """Of the logits at the images' size, as a share of the largest."""
    differences = []
    for batch, height, width in SIZES:
        images = torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(height))
        with torch.inference_mode():
            found, true = (
                F.interpolate(side(images).main, size=(height, width), mode="bilinear") for side in (engine, network)
            )
        differences.append(float((found - true).abs().max() / true.abs().max()))
    return max(differences)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_an_engine_gives_the_logits_of_the_network(fpn_model, fpn_graph, engine):
    network, _ = load_model(fpn_model)
    assert largest_difference(network, engine_network(fpn_graph, engine=engine, name="it")) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "options"), [*OWN, *SMALLEST])
def test_every_family_is_exported_exactly(architecture, options):
    torch.manual_seed(0)
    network = build_model(architecture, n_classes=2, **options).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
    data = onnx_graph(network)
    for engine in ("onnx", "openvino"):
        assert largest_difference(network, engine_network(data, engine=engine, name=architecture)) < 2e-4, engine


@pytest.mark.parametrize(("height", "width"), [(7, 9), (6, 12), (5, 1), (1, 1), (3, 4)])
@pytest.mark.parametrize("n_cells", [1, 2, 3, 6])
def test_averages_over_a_grid_are_those_of_adaptive_pooling(height, width, n_cells):
    features = torch.randn(2, 3, height, width)
    ours = GridAverage(n_cells)(features)
    np.testing.assert_allclose(ours, F.adaptive_avg_pool2d(features, n_cells), atol=1e-6)


def test_the_exportable_form_gives_the_same_and_the_network_stays(tiny_model):
    network, _ = load_model(tiny_model)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.randn(1, 3, 71, 53)
    with torch.inference_mode():
        np.testing.assert_allclose(exportable(network)(images).main, network(images).main, atol=1e-6)
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_networks_beyond_the_size_of_a_file_are_refused(fpn_model, monkeypatch):
    monkeypatch.setattr(graph, "_MAX_BYTES", 1000)
    with pytest.raises(InvalidInputError, match=r"at most 2 GB: use --engine torch"):
        onnx_graph(load_model(fpn_model)[0])


def test_what_cannot_be_a_graph_is_said(fpn_model, monkeypatch):
    def refuse(*args, **kwargs):
        raise torch.onnx.errors.OnnxExporterError("no such operator\nand a long advice")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(InvalidInputError, match=r"cannot be written as an ONNX graph \(no such operator\)"):
        onnx_graph(load_model(fpn_model)[0])


def test_a_missing_package_says_how_to_install_it(fpn_model, monkeypatch):
    def absent(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(packages, "import_module", absent)
    with pytest.raises(InvalidInputError, match=r"needs the package 'onnxscript'.*pip install 'glomseg\[engines\]'"):
        onnx_graph(load_model(fpn_model)[0])
