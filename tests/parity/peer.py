"""The real MMSegmentation's side of the comparison; runs in an environment of its own.

``peer.py make FOLDER [CASE ...]`` builds networks with random weights from the configs that MMSegmentation ships and
writes checkpoints, images and float64 logits. ``peer.py check FOLDER`` loads what glomseg exported and writes
the logits of that. ``peer.py tta FOLDER`` writes checkpoints, pictures, and what ``tools/test.py --tta`` makes of them.
"""

import json
import sys
import types
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import torch

CASES = {
    "pspnet_r18": "pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py",
    "pspnet_r50": "pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py",
    "pspnet_r50_v1": "pspnet/pspnet_r50b-d8_4xb2-80k_cityscapes-512x1024.py",
    "pspnet_r50_corners": "pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-769x769.py",
    "fcn_r50": "fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py",
    "fcn_d6_r50": "fcn/fcn-d6_r50-d16_4xb2-40k_cityscapes-512x1024.py",
    "deeplabv3_r50": "deeplabv3/deeplabv3_r50-d8_4xb2-40k_cityscapes-512x1024.py",
    "deeplabv3plus_r18": "deeplabv3plus/deeplabv3plus_r18-d8_4xb2-80k_cityscapes-512x1024.py",
    "deeplabv3plus_r50": "deeplabv3plus/deeplabv3plus_r50-d8_4xb2-40k_cityscapes-512x1024.py",
    "unet_fcn": "unet/unet-s5-d16_fcn_4xb4-40k_hrf-256x256.py",
    "unet_pspnet": "unet/unet-s5-d16_pspnet_4xb4-40k_hrf-256x256.py",
    "unet_deeplabv3": "unet/unet-s5-d16_deeplabv3_4xb4-40k_hrf-256x256.py",
    "fast_scnn": "fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py",
    "pspnet_mobilenet_v2": "mobilenet_v2/mobilenet-v2-d8_pspnet_4xb2-80k_cityscapes-512x1024.py",
    "upernet_r50": "upernet/upernet_r50_4xb2-40k_cityscapes-512x1024.py",
    "upernet_swin_t": "swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py",
    "upernet_convnext_t": "convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512.py",
    "upernet_vit_mln": "vit/vit_deit-s16_mln_upernet_8xb2-160k_ade20k-512x512.py",
    "upernet_vit": "vit/vit_deit-s16_upernet_8xb2-80k_ade20k-512x512.py",
    "segformer_b0": "segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py",
    "segformer_b5": "segformer/segformer_mit-b5_8xb2-160k_ade20k-512x512.py",
    "segmenter_mask": "segmenter/segmenter_vit-t_mask_8xb1-160k_ade20k-512x512.py",
    "segmenter_linear": "segmenter/segmenter_vit-s_fcn_8xb1-160k_ade20k-512x512.py",
    "segnext_t": "segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py",
    "mask2former_r50": "mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024.py",
    "mask2former_swin_t": "mask2former/mask2former_swin-t_8xb2-90k_cityscapes-512x1024.py",
}
SIZE = (64, 96)

TTA_CASES = {
    "pspnet_r18": {},
    "pspnet_r50_corners": {"mode": "slide", "crop_size": (64, 64), "stride": (43, 43)},
    "segformer_b0": {},
    "mask2former_r50": {},
}
"""The network, and the test mode in place of the config's where that takes only large images."""

TTA_SIZE = (83, 138)
"""Chosen so that ``Resize(scale_factor, keep_ratio=True)`` is a pixel off plain rounding at some of the scales."""


class _Absent(types.ModuleType):
    """A module whose every name is a class that does nothing: mmpretrain imports torchvision for metrics."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _AbsentModules:
    """Finds torchvision where it is not installed."""

    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] == "torchvision" else None

    def create_module(self, spec):
        return _Absent(spec.name)

    def exec_module(self, module):
        pass


def plain(value):
    """Return a config with the norms of one process, and without weights to download."""
    if isinstance(value, dict):
        changed = {key: plain(item) for key, item in value.items() if key not in ("init_cfg", "pretrained")}
        if changed.get("type") == "SyncBN":
            changed["type"] = "BN"
        return changed
    return type(value)(plain(item) for item in value) if isinstance(value, (list, tuple)) else value


def randomize(model):
    """Fill every entry with random numbers that keep the size of the features."""
    generator = torch.Generator().manual_seed(0)
    for value in model.state_dict().values():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator)
        value.copy_(noise * (2 / value[0].numel()) ** 0.5 if value.ndim > 1 else 1 + 0.1 * noise)


def logits_of(model, images):
    meta = {"img_shape": SIZE, "pad_shape": SIZE, "ori_shape": SIZE}
    torch.manual_seed(0)  # SegNeXt's head draws the bases that it begins with, in float32
    draw = torch.rand
    torch.rand = lambda *size, **how: draw(*size, **how).double()
    try:
        with torch.no_grad():
            return model.double().eval().encode_decode(images, [meta]).numpy()
    finally:
        torch.rand = draw


def make(folder: Path, cases: list[str]) -> None:
    import mmseg
    from mmengine.config import Config
    from mmseg.registry import MODELS

    configs = Path(mmseg.__file__).parent / ".mim" / "configs"
    for name in cases or CASES:
        config = Config.fromfile(configs / CASES[name], import_custom_modules=False)
        config.model = plain(config.model.to_dict())
        model = MODELS.build(config.model)
        randomize(model)
        meta = {"cfg": config.pretty_text, "dataset_meta": {}}
        torch.save({"meta": meta, "state_dict": model.state_dict()}, folder / f"{name}.pth")
        images = torch.randn(1, 3, *SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        np.savez(folder / f"{name}.npz", images=images.numpy(), logits=logits_of(model, images))
        print(name, flush=True)


def check(folder: Path) -> None:
    from mmengine.config import Config
    from mmengine.runner import load_checkpoint
    from mmseg.registry import MODELS

    for path in sorted((folder / "exported").glob("*.py")):
        model = MODELS.build(Config.fromfile(path).model)
        load_checkpoint(model, str(path.with_suffix(".pth")), map_location="cpu", strict=True, logger="silent")
        images = torch.from_numpy(np.load(folder / f"{path.stem}.npz")["images"])
        np.savez(folder / "exported" / f"{path.stem}.npz", logits=logits_of(model, images))


def tta(folder: Path) -> None:
    import cv2
    import mmseg
    from mmengine.config import Config
    from mmengine.dataset import Compose, pseudo_collate
    from mmseg.registry import MODELS

    configs = Path(mmseg.__file__).parent / ".mim" / "configs"
    random = np.random.default_rng(0)
    picture = cv2.resize(random.integers(0, 256, (9, 12, 3), dtype=np.uint8), TTA_SIZE[::-1])
    cv2.imwrite(str(folder / "picture.png"), picture)
    cv2.imwrite(str(folder / "truth.png"), np.zeros(TTA_SIZE, np.uint8))
    for name, test_cfg in TTA_CASES.items():
        config = Config.fromfile(configs / CASES[name], import_custom_modules=False)
        config.model = plain(config.model.to_dict())
        config.model.test_cfg.update(test_cfg)
        module = MODELS.build(config.model)
        randomize(module)
        meta = {"cfg": config.pretty_text, "dataset_meta": {}}
        torch.save({"meta": meta, "state_dict": module.state_dict()}, folder / f"{name}.pth")
        model = MODELS.build({**config.tta_model, "module": module}).eval()
        # The merged sample keeps the mask only, so the views that it is made of are kept on the way.
        merge, views = model.merge_preds, []
        model.merge_preds = lambda samples, merge=merge, views=views: views.extend(samples[0]) or merge(samples)
        files = {"img_path": str(folder / "picture.png"), "seg_map_path": str(folder / "truth.png")}
        data = Compose(config.tta_pipeline)({**files, "reduce_zero_label": False, "seg_fields": []})
        with torch.no_grad():
            (merged,) = model.test_step(pseudo_collate([data]))
        mean = torch.stack([view.seg_logits.data.softmax(dim=0) for view in views]).mean(dim=0)
        mask = merged.pred_sem_seg.data.squeeze().numpy()
        np.savez(folder / f"{name}.npz", mask=mask, probabilities=mean.numpy(), n_views=len(views))
        print(name, len(views), "views", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.meta_path.append(_AbsentModules())
    import mmpretrain.models  # noqa: F401
    from mmseg.utils import register_all_modules

    register_all_modules()
    action, place, *chosen = sys.argv[1:]
    Path(place).mkdir(parents=True, exist_ok=True)
    if action == "make":
        make(Path(place), chosen)
    elif action == "tta":
        tta(Path(place))
    else:
        check(Path(place))
    print(json.dumps({"done": action}))
