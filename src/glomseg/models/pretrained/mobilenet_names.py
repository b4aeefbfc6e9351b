"""Names of a MobileNetV2: torchvision's, those of the repository that torchvision's weights come from, and timm's."""

import re

from glomseg.errors import InvalidInputError
from glomseg.models.backbones.mobilenet_v2 import STAGES
from glomseg.models.pretrained.layout import Entries, Layout

_FIRST_STAGE = (
    ("conv_stem.*", "conv1.conv.*"),
    ("bn1.*", "conv1.bn.*"),
    ("blocks.0.#.conv_dw.*", "stage0.#.conv.0.conv.*"),
    ("blocks.0.#.bn1.*", "stage0.#.conv.0.bn.*"),
    ("blocks.0.#.conv_pw.*", "stage0.#.conv.1.conv.*"),
    ("blocks.0.#.bn2.*", "stage0.#.conv.1.bn.*"),
)
_TIMM_NAMES = (
    *_FIRST_STAGE,
    ("blocks.#.#.conv_pw.*", "stage#.#.conv.0.conv.*"),
    ("blocks.#.#.bn1.*", "stage#.#.conv.0.bn.*"),
    ("blocks.#.#.conv_dw.*", "stage#.#.conv.1.conv.*"),
    ("blocks.#.#.bn2.*", "stage#.#.conv.1.bn.*"),
    ("blocks.#.#.conv_pwl.*", "stage#.#.conv.2.conv.*"),
    ("blocks.#.#.bn3.*", "stage#.#.conv.2.bn.*"),
)
_STEM = (("features.0.0.*", "conv1.conv.*"), ("features.0.1.*", "conv1.bn.*"))
_TORCHVISION_NAMES = (
    *_STEM,
    ("features.#.conv.#.#.*", "block#.#.#.*"),
    ("features.#.conv.#.*", "block#.#.*"),
)
_FLAT_NAMES = (*_STEM, ("features.#.conv.#.*", "block#.#.*"))

_N_BLOCKS = sum(n_blocks for *_, n_blocks in STAGES)
_HEADS = rf"features\.{_N_BLOCKS + 1}\..*|classifier\..*"


def _by_stage(entries: Entries) -> Entries:
    """Return the entries of blocks counted through, each a row of layers, as those of stages.

    In a block convolutions and their normalisations take turns; the activations between them, which have no entries,
    are counted or not.
    """
    layers: dict[int, set[tuple[int, ...]]] = {}
    found = {name: re.fullmatch(r"block(\d+)\.([\d.]+)\.(\w+)", name) for name in entries}
    for match in found.values():
        if match is not None:
            layers.setdefault(int(match[1]), set()).add(_numbers(match[2]))
    places = [(stage, block) for stage, (*_, n_blocks) in enumerate(STAGES, start=1) for block in range(n_blocks)]
    ours: Entries = {}
    for name, match in found.items():
        if match is None:
            ours[name] = entries[name]
            continue
        number = int(match[1])
        if not 1 <= number <= len(places):
            raise InvalidInputError(f"it has a block {number}, and a MobileNetV2 has {len(places)}")
        stage, block = places[number - 1]
        rank = sorted(layers[number]).index(_numbers(match[2]))
        part = "bn" if rank % 2 else "conv"
        ours[f"layer{stage}.{block}.conv.{rank // 2}.{part}.{match[3]}"] = entries[name]
    return ours


def _numbers(place: str) -> tuple[int, ...]:
    return tuple(map(int, place.split(".")))


def _counted_from_1(entries: Entries) -> Entries:
    """Return the entries of stages under the numbers that they have here."""
    return {
        re.sub(r"^stage(\d+)\.", lambda found: f"layer{int(found[1]) + 1}.", name): value
        for name, value in entries.items()
    }


LAYOUTS = (
    Layout(
        whose="torchvision's MobileNetV2",
        backbone="mobilenet_v2",
        signature="features.1.conv.0.0.weight",
        names=_TORCHVISION_NAMES,
        heads=_HEADS,
        finish=_by_stage,
    ),
    Layout(
        whose="tonylins' MobileNetV2",
        backbone="mobilenet_v2",
        signature="features.1.conv.3.weight",
        names=_FLAT_NAMES,
        heads=_HEADS,
        finish=_by_stage,
    ),
    Layout(
        whose="timm's MobileNetV2",
        backbone="mobilenet_v2",
        signature="blocks.1.0.conv_pwl.weight",
        names=_TIMM_NAMES,
        heads=r"(conv_head|bn2|classifier)\..*",
        finish=_counted_from_1,
    ),
)
"""Every layout of a MobileNetV2 that is not OpenMMLab's."""
