"""glomseg models."""

from typing import TYPE_CHECKING, Any

from glomseg.box import BOX, box_model
from glomseg.cli.console import progress_bar, say, say_json, show_table
from glomseg.errors import InvalidInputError

if TYPE_CHECKING:
    from glomseg.models.known_weights import KnownWeights
    from glomseg.types import ModelCard, Publication

PURPOSES = {
    "fpn_resnet_small": "small and quick, for processors: the default",
    "fpn_mobilenet_v2": "small, for processors, to start from ImageNet's weights (--weights mobilenet_v2_imagenet)",
    "fcn_r18": "the lightest FCN, for a small GPU",
    "fcn_r50": "the plainest head on ResNet-50, for a GPU",
    "fcn_r101": "the same on ResNet-101, for a GPU with much memory",
    "pspnet_r18": "the lightest PSPNet, for a small GPU",
    "pspnet_r50": "the usual PSPNet of MMSegmentation, for a GPU",
    "pspnet_r101": "the largest PSPNet, for a GPU with much memory",
    "deeplabv3_r18": "the lightest DeepLabV3, for a small GPU",
    "deeplabv3_r50": "the usual DeepLabV3, dearer than PSPNet, for a GPU",
    "deeplabv3_r101": "the largest DeepLabV3, for a GPU with much memory",
    "deeplabv3plus_r18": "the lightest DeepLabV3+, with outlines at stride 4, for a small GPU",
    "deeplabv3plus_r50": "the usual DeepLabV3+, for a GPU",
    "deeplabv3plus_r101": "the largest DeepLabV3+, for a GPU with much memory",
    "fcn_unet": "the usual U-Net, with logits as large as the image, for a GPU with much memory",
    "pspnet_unet": "U-Net with pyramid pooling at full resolution",
    "deeplabv3_unet": "U-Net with dilated convolutions at full resolution",
    "fast_scnn": "the smallest network with the least work, also for processors",
    "fcn_mobilenet_v2": "the plainest head on MobileNetV2 at stride 8",
    "pspnet_mobilenet_v2": "PSPNet on MobileNetV2, for a small GPU",
    "deeplabv3_mobilenet_v2": "DeepLabV3 on MobileNetV2, for a small GPU",
    "deeplabv3plus_mobilenet_v2": "DeepLabV3+ on MobileNetV2, with outlines at stride 4, for a small GPU",
    "segformer_mit_b0": "the smallest SegFormer, light enough for a processor",
    "segformer_mit_b1": "the same with wider stages, for a small GPU",
    "segformer_mit_b2": "SegFormer with about the parameters of ResNet-50, for a GPU",
    "segformer_mit_b3": "a deeper SegFormer, for a GPU",
    "segformer_mit_b4": "a still deeper SegFormer, for a GPU with much memory",
    "segformer_mit_b5": "the largest SegFormer, for a GPU with much memory",
    "upernet_r50": "a feature pyramid on ResNet-50, for a GPU",
    "upernet_r101": "the same on ResNet-101, for a GPU with much memory",
    "upernet_swin_t": "UPerNet on the smallest Swin Transformer, for a GPU",
    "upernet_swin_s": "the same with a deeper third stage, for a GPU with much memory",
    "upernet_swin_b": "the same with wider stages, for a GPU with much memory",
    "upernet_swin_l": "the largest Swin, for the largest GPUs",
    "upernet_convnext_t": "UPerNet on the smallest ConvNeXt, for a GPU",
    "upernet_convnext_s": "a deeper ConvNeXt, for a GPU with much memory",
    "upernet_convnext_b": "a wider ConvNeXt, for a GPU with much memory",
    "upernet_convnext_l": "a still wider ConvNeXt, for the largest GPUs",
    "upernet_convnext_xl": "the largest ConvNeXt, for the largest GPUs",
    "upernet_vit_b16": "UPerNet on a plain Vision Transformer (ViT or DeiT), for a GPU with much memory",
    "upernet_dinov2_s": "UPerNet on the smallest DINOv2, to start from its weights (--weights), for a GPU",
    "upernet_dinov2_b": "the same on a wider DINOv2, for a GPU with much memory",
    "upernet_dinov2_l": "the same on a deeper DINOv2, for the largest GPUs",
    "upernet_dinov2_g": "the same on the largest DINOv2, for several of the largest GPUs",
    "upernet_dinov3_s": "UPerNet on the smallest DINOv3, to start from its weights, for a GPU",
    "upernet_dinov3_b": "the same on a wider DINOv3, for a GPU with much memory",
    "upernet_dinov3_l": "the same on a deeper DINOv3, for the largest GPUs",
    "upernet_uni": "UPerNet on the ViT-L of UNI, which was trained on slides, for the largest GPUs",
    "upernet_uni2_h": "UPerNet on the ViT-H of UNI2, trained on slides, for several of the largest GPUs",
    "upernet_h_optimus": "UPerNet on the ViT-g of H-optimus, trained on slides, for several of the largest GPUs",
    "upernet_virchow2": "UPerNet on the ViT-H of Virchow2, trained on slides, for the largest GPUs",
    "segmenter_vit_t": "the smallest Segmenter, with logits at stride 16",
    "segmenter_vit_s": "the usual small Segmenter, for a GPU",
    "segmenter_vit_b": "a wider Segmenter, for a GPU with much memory",
    "segmenter_vit_l": "the largest Segmenter, for the largest GPUs",
    "segmenter_dinov2_s": "Segmenter on the smallest DINOv2, to start from its weights, for a GPU",
    "segmenter_dinov2_b": "the same on a wider DINOv2, for a GPU with much memory",
    "segmenter_dinov2_l": "the same on a deeper DINOv2, for the largest GPUs",
    "segnext_mscan_t": "the smallest SegNeXt, convolutions only, for a small GPU",
    "segnext_mscan_s": "SegNeXt with wider stages, for a small GPU",
    "segnext_mscan_b": "a deeper SegNeXt, for a GPU",
    "segnext_mscan_l": "the largest SegNeXt, for a GPU with much memory",
    "mask2former_r50": "the usual Mask2Former, which finds masks and names them, for a GPU",
    "mask2former_r101": "the same on ResNet-101, for a GPU with much memory",
    "mask2former_swin_t": "Mask2Former on the smallest Swin Transformer, for a GPU",
    "mask2former_swin_s": "Mask2Former on a Swin that is twice as deep, for a GPU with much memory",
    "mask2former_swin_b": "Mask2Former on a wider Swin with larger windows, for a GPU with much memory",
    "mask2former_swin_l": "the largest Mask2Former, for the largest GPUs",
}


def models(model: str | None = None, /, *, size: int | None = None, json: bool = False) -> None:
    """List the models and the known weights, or show the card of one model.

    Parameters
    ----------
    model
        Show the card of this model: box, a model file, or a run folder.
    size
        Also count the parameters of each model, and its work on a square image of this many pixels a side, as the
        network sees it; takes about half a minute.
    json
        Print the lists as JSON.
    """
    if model is not None:
        if size is not None:
            raise InvalidInputError(
                "--size counts the work of all architectures, not of one model: leave one of them out"
            )
        show_card(model, json=json)
        return
    from glomseg.models.known_weights import KNOWN_WEIGHTS, cache_folder

    architectures = _architectures(size)
    weights = [_describe(item) for item in KNOWN_WEIGHTS.values()]
    if json:
        cache = str(cache_folder())
        say_json({"size_px": size, "box": BOX, "architectures": architectures, "weights": weights, "cache": cache})
        return
    if size is not None:
        show_table(
            f"architectures, on an image of {size} x {size} working pixels",
            ["name", "parameters", "GMACs"],
            [[item["name"], f"{item['n_parameters']:,}", f"{item['n_macs'] / 1e9:,.1f}"] for item in architectures],
        )
    say(*(f"{item['name']}: {item['purpose']}" for item in architectures), "")
    if size is None:
        say("their parameters and work on an image of 1024 x 1024 pixels: glomseg models --size 1024", "")
    say(
        f"{BOX}: the model in the box, to predict with and to start a training from; its card: glomseg models {BOX}", ""
    )
    show_table(
        "known weights",
        ["name", "for", "MB", "licence", "cached"],
        [
            [
                item["name"],
                item["architecture"] + (" (backbone)" if item["part"] == "backbone" else ""),
                f"{item['n_bytes'] / 1e6:.0f}",
                item["licence"],
                "yes" if item["cached_path"] else "no",
            ]
            for item in weights
        ],
    )
    for item in weights:
        say(f"{item['name']}: trained on {item['trained_on']}; {item['data_terms']}")
        if item["cached_path"]:
            say(f"    {item['cached_path']}")
    say(f"downloaded on first use, for example by: glomseg train DATA --recipe homework --weights {weights[0]['name']}")
    say(f"cache folder: {cache_folder()}")


def show_card(model: str, *, json: bool) -> None:
    """Print the card of a model."""
    from dataclasses import asdict

    from glomseg.models.model_files import read_card
    from glomseg.runs import model_path

    path = model_path(model)
    card = read_card(path)
    if json:
        say_json({"file": str(path), **asdict(card)})
        return
    say(f"{path}", f"network: {card.architecture}, classes {', '.join(card.classes.names)}", _scale(card))
    if card.publication is not None:
        say(*_publication(card.publication))
        return
    say(*(f"{key}: {value}" for key, value in card.trained_on.items() if not isinstance(value, (list, tuple))))
    say(*(f"{key}: {value}" for key, value in card.metrics.items()))
    say(*(f"{key}: {value}" for key, value in card.provenance.items()))


def say_published(model: str) -> None:
    """Say in a line which model it is, where it was published."""
    from glomseg.models.model_files import SUFFIX, read_card
    from glomseg.runs import model_path

    path = model_path(model)
    about = read_card(path).publication if path.suffix == SUFFIX else None
    if about is not None:
        name = BOX if path == box_model() else path
        say(
            f"model: {about.name}, for {about.purpose}, trained on {about.trained_on}; "
            f"what it must not be used for: glomseg models {name}"
        )


def _scale(card: "ModelCard") -> str:
    scaling = card.scaling
    if scaling.mpp is not None:
        return f"works at {scaling.mpp:g} um per pixel"
    if scaling.fit_px is not None:
        return f"works on images fitted into {max(scaling.fit_px)} x {min(scaling.fit_px)} pixels"
    return f"works at {scaling.factor:.3g} of the images' size, whatever their um per pixel"


def _publication(about: "Publication") -> list[str]:
    """Return what a published model says of itself, a line each."""
    lines = [f"name: {about.name}", f"for: {about.purpose}", f"trained on: {about.trained_on}"]
    for source in about.sources:
        terms = [text for text in (source.citation, source.licence) if text]
        lines.append(f"  - {source.what}" + (f" ({'; '.join(terms)})" if terms else ""))
    if about.figures:
        lines.append(f"measured {about.measured}")
        for name, (value, low, high) in about.figures.items():
            lines.append(f"  {name} {100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]")
    else:
        lines.append("measured: nothing is said of how good it is")
    lines += ["must not be used for, and not known of it:", *(f"  - {text}" for text in about.not_for)]
    return [*lines, f"licence: {about.licence}", f"the whole card: {about.page}"]


def _architectures(size_px: int | None) -> list[dict[str, Any]]:
    """Return what is known of each architecture; its figures, which need torch and time, only for a size."""
    rows: list[dict[str, Any]] = [
        {"name": name, "purpose": purpose, "n_parameters": None, "n_macs": None} for name, purpose in PURPOSES.items()
    ]
    if size_px is None:
        return rows
    import torch

    from glomseg.models.build import build_model
    from glomseg.models.profile import count_macs, count_parameters

    with progress_bar("following networks", unit="network") as bar:
        for done, row in enumerate(rows, start=1):
            with torch.device("meta"):  # shapes without memory
                network = build_model(row["name"], n_classes=2)
            row["n_parameters"] = count_parameters(network)
            row["n_macs"] = count_macs(network, height=size_px, width=size_px)
            bar(done, len(rows))
    return rows


def _describe(weights: "KnownWeights") -> dict[str, Any]:
    from dataclasses import asdict

    from glomseg.models.known_weights import cached_path

    path = cached_path(weights.name)
    return {**asdict(weights), "cached_path": None if path is None else str(path)}
