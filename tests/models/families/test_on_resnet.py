"""Families on a ResNet against float64 figures of the real MMSegmentation 1.2.2; for PSPNet see test_pspnet.py."""

import numpy as np
import pytest
import torch

from glomseg.errors import InvalidInputError
from glomseg.models.build import build_model

from ..goldens import all_figures, figures, fill, hashed_images, layout, listed_layout

NARROW = {"base_channels": 16, "stem_channels": 16, "head_channels": 24, "auxiliary_channels": 16}

# Entries, parameters and hash of the shipped models with 19 classes.
LAYOUTS = {
    "fcn_r18": (160, 12_822_342, "c71b4a67be1d5873"),
    "fcn_r50": (358, 49_497_734, "06c3edcd4d7c6b5b"),
    "fcn_r101": (664, 68_489_862, "3051fddccd770c12"),
    "pspnet_r18": (172, 12_790_086, "72f359b0085a3c5b"),
    "pspnet_r50": (370, 48_975_494, "edf939268bd218e8"),
    "pspnet_r101": (676, 67_967_622, "eac874a99e39be53"),
    "deeplabv3_r18": (178, 13_986_374, "0a186de859890c7f"),
    "deeplabv3_r50": (376, 68_113_030, "78ce289598347991"),
    "deeplabv3_r101": (682, 87_105_158, "c04e189e1acd9480"),
    "deeplabv3plus_r18": (226, 12_468_962, "079fce756035ddbd"),
    "deeplabv3plus_r50": (424, 43_589_878, "607e7facbfcb0126"),
    "deeplabv3plus_r101": (730, 62_582_006, "feb0ea433939b291"),
}
LAYOUTS_OF_VARIANTS = {
    "v1": (358, 48_956_262, "7ff05f4dc5f19c96"),
    "v1d": (370, 48_975_494, "5a0f110bae13755c"),
}

# Architecture, options beside NARROW, and the figures of the main and the auxiliary logits for 97x113 pixels.
GOLDEN = [
    (
        "fcn_r50",
        {},
        [
            [
                0.9171041246691417,
                1.8980616053101085,
                -1.1137137584847072,
                0.9480804403432561,
                0.7447231012197054,
                0.09002501702233057,
            ],
            [
                -0.8596408087221371,
                1.659108783859009,
                1.5845308795209379,
                -0.14785324782496737,
                -1.780279515033264,
                -0.29084531816039755,
            ],
        ],
    ),
    (
        "fcn_r18",
        {"variant": "v1", "output_stride": 32},
        [
            [
                8.629535081246468,
                24.770652108377984,
                10.223622058946598,
                -0.5812996725264016,
                17.213154178856982,
                -30.131076849947384,
            ],
            [
                0.5769784702948818,
                24.036861929278867,
                -8.455998358504422,
                -13.460005688822793,
                -8.679645201834239,
                24.828069699643898,
            ],
        ],
    ),
    (
        "fcn_r18",
        {"depth": 34, "variant": "v1d", "output_stride": 16},
        [
            [
                250.13450770717103,
                805.0896001602013,
                -334.80251892279614,
                -58.85368582373449,
                417.5058020673509,
                317.9364929517763,
            ],
            [
                -83.37621090105014,
                323.34346779125565,
                -67.08117853205272,
                -69.26894627438195,
                -72.31550742272138,
                -6.88996474221905,
            ],
        ],
    ),
    (
        "pspnet_r101",
        {"variant": "v1d"},
        [
            [
                -0.07173733775909148,
                6.084097030915716,
                -1.7337471087258622,
                -3.604739425128504,
                0.30027817228173453,
                1.5047907471298576,
            ],
            [
                -2.0597862628486716,
                6.062473017476914,
                -0.3113530521961822,
                -5.281168320289022,
                -2.192445395193743,
                -3.993288726677028,
            ],
        ],
    ),
    (
        "deeplabv3_r50",
        {},
        [
            [
                0.21592582349331874,
                1.572702621866919,
                0.19798925149839072,
                2.076567256813848,
                1.3383686605171594,
                0.656396491753547,
            ],
            [
                -0.20332020887469282,
                2.5917741788485946,
                1.4692207365805223,
                1.0084885063180142,
                -0.09707048517393572,
                0.15417647520182629,
            ],
        ],
    ),
    (
        "deeplabv3_r18",
        {"variant": "v1", "output_stride": 16},
        [
            [
                12.432848198569758,
                42.95621099571061,
                14.849771556497597,
                -32.539021128596715,
                -3.9949433699678676,
                -28.683721691386054,
            ],
            [
                3.507411987379697,
                24.07456410027408,
                -6.2883095917956515,
                2.198899259725561,
                -3.5663982647642944,
                12.773288632215017,
            ],
        ],
    ),
    (
        "deeplabv3plus_r18",
        {"c1_channels": 8},
        [
            [
                -0.5030776200628659,
                3.491575217008945,
                0.922266851455245,
                2.2005868165743108,
                -2.6370632642045644,
                -3.0000827342536134,
            ],
            [
                -2.3219666048972125,
                22.372114767161847,
                10.17620144890674,
                -5.156531124192457,
                4.388606335703635,
                -11.139873287572557,
            ],
        ],
    ),
    (
        "deeplabv3plus_r50",
        {"variant": "v1d", "output_stride": 16, "c1_channels": 8},
        [
            [
                0.03347551863229354,
                0.24249594013331954,
                0.06825331749413563,
                -0.17445905798636563,
                0.1314089575401174,
                0.04684950087793202,
            ],
            [
                0.6566623961954798,
                2.002683433235988,
                2.3033022510990295,
                2.0190132705472847,
                -1.2885034179894077,
                1.1556598307418282,
            ],
        ],
    ),
]


def meta_model(architecture, **options):
    with torch.device("meta"):
        return build_model(architecture, n_classes=19, **options)


@pytest.mark.parametrize("architecture", LAYOUTS)
def test_entries_are_openmmlabs(architecture):
    assert layout(meta_model(architecture)) == LAYOUTS[architecture]


@pytest.mark.parametrize("variant", LAYOUTS_OF_VARIANTS)
def test_entries_of_other_forms_are_openmmlabs(variant):
    assert layout(meta_model("pspnet_r50", variant=variant)) == LAYOUTS_OF_VARIANTS[variant]


@pytest.mark.real
def test_entries_of_deeplabv3plus_are_those_listed(shared_data):
    path = shared_data.parent / "openmmlab" / "deeplabv3plus_r50-d8_keys.txt"
    own = meta_model("deeplabv3plus_r50").state_dict()
    assert [(name, tuple(value.shape)) for name, value in own.items()] == listed_layout(path)


@pytest.mark.parametrize(("architecture", "options", "expected"), GOLDEN)
def test_logits_are_openmmlabs_to_1e_9(architecture, options, expected):
    model = build_model(architecture, n_classes=19, **{**NARROW, **options}).double().eval()
    fill(model)
    with torch.no_grad():
        found = all_figures(model, hashed_images(97, 113))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_deeplabv3plus_at_full_width_gives_openmmlabs_logits_to_1e_9():
    model = build_model("deeplabv3plus_r50", n_classes=19).double().eval()
    fill(model)
    with torch.no_grad():
        logits = model(hashed_images(64, 64)).main
    assert tuple(logits.shape) == (1, 19, 16, 16)
    expected = [
        0.8984069027876643,
        3.1182675719995956,
        1.5717965004744785,
        -0.07684905801206335,
        1.3904432614283864,
        0.5587555571579609,
    ]
    np.testing.assert_allclose(figures(logits), expected, rtol=0, atol=1e-9)
    last = [2.799999810695022, 3.5989399886277043, 0.604991056997027, 0.5891509895574221]
    np.testing.assert_allclose(logits[0, -4:, -1, -1].numpy(), last, rtol=0, atol=1e-9)


@pytest.mark.parametrize("family", ["fcn", "deeplabv3", "deeplabv3plus"])
@pytest.mark.parametrize("size", [(1, 1), (33, 70)])
def test_images_of_any_size_give_logits(family, size):
    model = build_model(f"{family}_r18", n_classes=3, base_channels=4, stem_channels=4, head_channels=4).eval()
    logits = model(torch.randn(1, 3, *size)).main
    stride = 4 if family == "deeplabv3plus" else 8
    assert logits.shape == (1, 3, -(-size[0] // stride), -(-size[1] // stride))


@pytest.mark.parametrize("family", ["fcn", "deeplabv3", "deeplabv3plus"])
def test_training_reaches_every_parameter(family):
    torch.manual_seed(0)
    options = {**NARROW, "zero_init_residual": False}
    model = build_model(f"{family}_r18", n_classes=2, **options).train()
    logits = model(torch.randn(2, 3, 64, 64))
    sum(part.square().sum() for part in (logits.main, *logits.auxiliary)).backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())


@pytest.mark.parametrize(
    ("options", "reason"), [({"variant": "v2"}, "variant"), ({"output_stride": 4}, "output_stride")]
)
def test_options_that_are_none_are_refused(options, reason):
    with pytest.raises(InvalidInputError, match=reason):
        build_model("fcn_r18", n_classes=2, **options)
