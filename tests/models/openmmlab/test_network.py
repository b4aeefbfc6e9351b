"""Descriptions of networks: what is known is translated, what is not is named."""

import pytest

from glomseg.errors import InvalidInputError
from glomseg.models.openmmlab.network import describe_network
from glomseg.models.openmmlab.parts import BACKBONES, HEADS, NECKS

from .small import config


def described(**changes):
    return describe_network(config(**changes)["model"])


def test_options_have_the_names_that_they_have_here():
    network = described(model__decode_head__align_corners=True)
    assert network.n_classes == 2
    assert network.align_corners
    assert network.threshold is None
    assert network.options["backbone"] == {
        "name": "resnet",
        "deep_stem": True,
        "avg_down": False,
        "depth": 18,
        "base_channels": 8,
        "stem_channels": 8,
        "dilations": [1, 1, 2, 4],
        "strides": [1, 2, 1, 1],
        "contract_dilation": True,
    }
    assert network.options["decode_head"] == {
        "name": "psp",
        "in_channels": 64,
        "in_index": 3,
        "channels": 8,
        "pool_scales": [1, 2, 3, 6],
        "dropout": 0.1,
        "align_corners": True,
    }


def test_a_scope_before_a_type_is_no_matter():
    assert described(model__backbone__type="mmseg.ResNetV1c").options == described().options


def test_a_list_of_auxiliary_heads_stays_one():
    head = config()["model"]["auxiliary_head"]
    assert len(described(model__auxiliary_head=[head]).options["auxiliary_head"]) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "has no model"),
        ({"model__type": "CascadeEncoderDecoder"}, "is a CascadeEncoderDecoder"),
        ({"model__backbone__type": "HRNet"}, r"model\.backbone is a HRNet.*it has .*ResNetV1c"),
        ({"model__backbone__style": "caffe"}, "has style='caffe'; glomseg knows it with 'pytorch'"),
        ({"model__backbone__new": 1}, "has the option new=1, which glomseg does not know"),
        ({"model__backbone__norm_cfg": {"type": "GN", "num_groups": 32}}, "normalised by 'GN'"),
        ({"model__backbone__norm_cfg": {"type": "BN", "eps": 1e-3}}, "has eps 0.001"),
        ({"model__decode_head__norm_cfg": None}, "has no norm_cfg"),
        ({"model__decode_head__norm_cfg": "BN"}, "is no dict"),
        ({"model__decode_head": [{}, {}]}, r"model\.decode_head is \[{}, {}\]"),
        ({"model__decode_head__num_classes": None}, "does not say num_classes"),
        ({"model__decode_head__num_classes": 2_000_000_000}, "more than the 255 that a mask can hold"),
        ({"model__decode_head__num_classes": 1, "model__decode_head__out_channels": 2}, "do not fit each other"),
        ({"model__decode_head__num_classes": 3}, "auxiliary_head.* has another number of classes"),
        ({"model__neck": {"type": "FPN"}}, r"model\.neck is a FPN"),
    ],
)
def test_what_is_not_known_is_named(changes, message):
    with pytest.raises(InvalidInputError, match=message):
        described(**changes)


@pytest.mark.parametrize("table", [BACKBONES, NECKS, HEADS])
def test_every_option_has_one_meaning(table):
    for kind, translation in table.items():
        names = [*translation.kept, *translation.renamed, *translation.more_reads]
        assert len(set(names)) == len(names), kind
