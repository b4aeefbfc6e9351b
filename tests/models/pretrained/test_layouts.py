"""Published networks under our names give the features that the libraries which publish them give."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from glomseg.models.build import build_model
from glomseg.models.starting_weights import load_starting_weights

from ..goldens import figures, hashed_images
from .published import FIGURES, fitting, published

WHOSE = {"transformers": "transformers'", "timm": "timm's", "torchvision": "torchvision's", "tonylins": "tonylins'"}
SINGLE = {"timm_dinov3", "timm_dinov3_hplus"}
"""Cases whose rotary positions the library works out in single precision."""


def network(case):
    architecture, options = fitting(case)
    return build_model(architecture, n_classes=2, **options).double().eval()


def features(backbone, case):
    """Return all features, before the last normalisation where there is one."""
    for name in ("norm0", "norm1", "norm2", "norm3", "ln1"):
        if hasattr(backbone, name):
            setattr(backbone, name, nn.Identity())
    if hasattr(backbone, "layers"):
        backbone.out_indices = tuple(range(len(backbone.layers)))
    with torch.no_grad():
        return backbone(hashed_images(*FIGURES[case]["size"]))


@pytest.mark.parametrize("case", FIGURES)
def test_features_are_those_of_the_library(tmp_path, case):
    own = network(case)
    save_file(published(case), tmp_path / "model.safetensors")
    report = load_starting_weights(own, str(tmp_path / "model.safetensors"))
    whose = "" if case == "timm_resnet18" else WHOSE[case.partition("_")[0]]  # its names are torchvision's and ours
    assert report.renamed_from.startswith(whose)
    assert not [name for name in report.missing if name.startswith("backbone.") and "norm" not in name]
    found = [figures(feature) for feature in features(own.backbone, case)]
    tolerance = 1e-6 if case in SINGLE else 1e-9
    np.testing.assert_allclose(found, FIGURES[case]["figures"], rtol=0, atol=tolerance)
