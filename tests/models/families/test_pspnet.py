"""PSPNet against float64 figures of the real MMSegmentation 1.2.2 under a fixed rule of filling weights."""

import numpy as np
import pytest
import torch

from glomseg.models.build import build_model

from ..goldens import fill, hashed_images

# Figures from MMSegmentation 1.2.2 for pspnet_r50-d8 with 19 classes.
GOLDEN = {
    (64, 64): {
        "feature_shapes": [(1, 256, 16, 16), (1, 512, 8, 8), (1, 1024, 8, 8), (1, 2048, 8, 8)],
        "feature_means": [1.3515141794886063, 1.400783687407586, 1.6397811243928366, 1.6344915198413679],
        "main": {
            "shape": (1, 19, 8, 8),
            "mean": 1.3521584389093466,
            "std": 3.3622949804874764,
            "first": [2.6003113738605275, -0.10597220881622446, 2.0353128587609564, -0.02193762416003076],
            "last": [0.7659261187297748, 0.7510099264815068, 2.889985409818632, -0.8348762528794775],
        },
        "auxiliary": {
            "shape": (1, 19, 8, 8),
            "mean": -0.2366906667480638,
            "std": 2.9297344239570577,
            "first": [-1.0570648759566892, -0.10927939538617669, -1.2930090757669988, -0.4777428381596402],
        },
    },
    (97, 113): {
        "feature_shapes": [(1, 256, 25, 29), (1, 512, 13, 15), (1, 1024, 13, 15), (1, 2048, 13, 15)],
        "feature_means": [1.3601408061352454, 1.405947184694498, 1.69262436161103, 1.7361928660495796],
        "main": {
            "shape": (1, 19, 13, 15),
            "mean": 1.5492726703990307,
            "std": 3.4861570010534755,
            "first": [2.4470873788094596, -0.10664956345572267, 2.4338511696318452, 0.21120100591326546],
            "last": [1.4994770445366283, 0.9466179291472824, 2.5276216701928256, 0.130019664830142],
        },
        "auxiliary": {
            "shape": (1, 19, 13, 15),
            "mean": -0.33364675725124154,
            "std": 3.1431273858535183,
            "first": [-1.506904145401608, 0.4369776297478022, -1.850726561241143, -1.177676691396507],
        },
    },
}


@pytest.fixture(scope="module")
def filled():
    model = build_model("pspnet_r50", n_classes=19).double().eval()
    fill(model)
    return model


@pytest.mark.parametrize("size", GOLDEN)
def test_outputs_are_openmmlabs_to_1e_9(filled, size):
    golden = GOLDEN[size]
    images = hashed_images(*size)
    with torch.no_grad():
        features = filled.backbone(images)
        outputs = {"main": filled.decode_head(features), "auxiliary": filled.auxiliary_head(features)}
        assert torch.equal(filled(images).main, outputs["main"])
    assert [tuple(feature.shape) for feature in features] == golden["feature_shapes"]
    np.testing.assert_allclose([float(f.mean()) for f in features], golden["feature_means"], rtol=0, atol=1e-9)
    for name, logits in outputs.items():
        expected = golden[name]
        assert tuple(logits.shape) == expected["shape"]
        np.testing.assert_allclose(float(logits.mean()), expected["mean"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(float(logits.std()), expected["std"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(logits[0, :4, 0, 0].numpy(), expected["first"], rtol=0, atol=1e-9)
        if "last" in expected:
            np.testing.assert_allclose(logits[0, -4:, -1, -1].numpy(), expected["last"], rtol=0, atol=1e-9)
