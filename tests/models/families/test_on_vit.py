"""UPerNet and Segmenter on ViT against float64 figures of the real MMSegmentation 1.2.2.

Figures are of narrow networks, for 70x90 pixels (the position embedding is for 64x64) and with normalisations and
biases stirred: those of the main logits, then those of the auxiliary ones. The entries are compared at full width.
"""

import numpy as np
import pytest
import torch

from glomseg.models.build import build_model

from ..goldens import all_figures, fill, hashed_images, layout, stir

LAYOUTS = [
    ("upernet_vit_b16", {}, (245, 144_071_974, "bcc0bc30899b6660")),
    ("upernet_vit_b16", {"final_norm": True}, (247, 144_073_510, "4b676771ec729699")),
    ("upernet_vit_b16", {"final_norm": True, "embed_dims": 384}, (247, 57_894_694, "2ff3f2b87dc686ed")),
    ("upernet_vit_b16", {"multilevel_neck": False}, (229, 120_472_870, "f665c1c5c18e657e")),
    ("segmenter_vit_t", {}, (182, 6_687_782, "744d41046de2ba6e")),
    ("segmenter_vit_s", {}, (182, 25_983_014, "05b26eee23df0782")),
    ("segmenter_vit_b", {}, (182, 102_395_942, "b5aaee6aa7d42d36")),
    ("segmenter_vit_l", {}, (326, 333_099_046, "46a69bf8842698d4")),
]
HEADS = {"head_channels": 32, "auxiliary_channels": 16}
UPERNET = {"embed_dims": 64, "image_side_px": 64, **HEADS}
SEGMENTER = {"embed_dims": 128, "image_side_px": 64, "num_layers": 3}
NARROW = {
    "upernet": ("upernet_vit_b16", UPERNET),
    "upernet, one stride": (
        "upernet_vit_b16",
        {**UPERNET, "multilevel_neck": False, "final_norm": True, "patch_bias": True},
    ),
    "segmenter": ("segmenter_vit_t", SEGMENTER),
    "segmenter, linear": ("segmenter_vit_t", {**SEGMENTER, "head": "linear"}),
}
GOLDEN = {
    "upernet": [
        [
            3.162417906150371,
            25.619619513827775,
            -24.047943960006915,
            12.202933291319072,
            -8.040307397002913,
            12.4355405297027,
        ],
        [
            3.261513553004427,
            8.61476755149887,
            0.26379521660297245,
            9.81999522281304,
            20.788515835870253,
            6.19882898885304,
        ],
    ],
    "upernet, one stride": [
        [
            8.421336036884176,
            21.31584306187017,
            31.089626623169924,
            -7.533888654335189,
            -4.38894059019275,
            24.974186398173014,
        ],
        [
            -0.12307863708029072,
            2.1880775054952446,
            -0.6540361271979378,
            1.5188303766922526,
            1.0542464079944835,
            -1.4106111684329894,
        ],
    ],
    "segmenter": [
        [
            0.0080505336041692,
            0.9240207855218662,
            -0.28727264010614156,
            -1.2196080883158846,
            1.0029152083909618,
            0.28908102908474376,
        ]
    ],
    "segmenter, linear": [
        [
            0.08213377213819792,
            1.5846489301734936,
            -0.4307660431413852,
            -0.3270156319087911,
            1.906840090116773,
            2.4457485443573317,
        ]
    ],
}


@pytest.mark.parametrize(("architecture", "options", "expected"), LAYOUTS)
def test_entries_are_openmmlabs(architecture, options, expected):
    with torch.device("meta"):
        model = build_model(architecture, n_classes=19, **options)
    assert layout(model) == expected


@pytest.mark.parametrize("name", NARROW)
def test_logits_are_openmmlabs_to_1e_9(name):
    architecture, options = NARROW[name]
    model = build_model(architecture, n_classes=19, **options).double().eval()
    fill(model)
    stir(model)
    with torch.no_grad():
        np.testing.assert_allclose(all_figures(model, hashed_images(70, 90)), GOLDEN[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (33, 70)])
def test_images_of_any_size_give_logits_of_the_patches(name, height, width):
    architecture, options = NARROW[name]
    model = build_model(architecture, n_classes=3, **options).eval()
    enlarged = 4 if name == "upernet" else 1
    logits = model(torch.randn(1, 3, height, width)).main
    assert logits.shape == (1, 3, -(-height // 16) * enlarged, -(-width // 16) * enlarged)


@pytest.mark.parametrize("name", NARROW)
def test_training_reaches_every_parameter(name):
    torch.manual_seed(0)
    architecture, options = NARROW[name]
    model = build_model(architecture, n_classes=3, **options).train()
    logits = model(torch.randn(2, 3, 64, 64))
    sum(part.square().mul(torch.rand_like(part)).sum() for part in (logits.main, *logits.auxiliary)).backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())
