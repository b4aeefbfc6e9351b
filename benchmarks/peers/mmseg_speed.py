"""The real MMSegmentation's side of compare.py; runs in its environment and prints one line of JSON.

Timed as its own tools/analysis_tools/benchmark.py does: the data preprocessor stays outside the clock.
"""

import argparse
import contextlib
import json
import sys
import time
import warnings
from pathlib import Path

import mmseg
import numpy as np
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

CONFIG = Path(mmseg.__file__).parent / ".mim/configs/_base_/models/pspnet_r50-d8.py"


def build(folder: Path) -> nn.Module:
    """Return its PSPNet from its own configuration, with 2 classes and the given weights."""
    init_default_scope("mmseg")
    config = Config.fromfile(CONFIG).model
    config.pretrained = None
    config.data_preprocessor.size = (256, 256)
    for part in (config.backbone, config.decode_head, config.auxiliary_head):
        part.norm_cfg.type = "BN"  # SyncBN needs several GPUs
    config.decode_head.num_classes = config.auxiliary_head.num_classes = 2
    model = MODELS.build(config)
    model.load_state_dict(torch.load(folder / "weights.pth", weights_only=True), strict=True)
    return model


def samples_of(images: torch.Tensor, masks: torch.Tensor | None = None) -> list[SegDataSample]:
    """Return its description of images that need no resizing."""
    size = tuple(images.shape[-2:])
    samples = []
    for index in range(len(images)):
        sample = SegDataSample(metainfo={"ori_shape": size, "img_shape": size, "pad_shape": size})
        if masks is not None:
            sample.gt_sem_seg = PixelData(data=masks[index : index + 1])
        samples.append(sample)
    return samples


def predict(folder: Path, inputs: dict[str, torch.Tensor], *, n_times: int) -> dict[str, list[float]]:
    """Return the seconds of whole-mode predictions; writes the logits."""
    model = build(folder).eval()
    seconds = []
    for _ in range(1 + n_times):
        samples = samples_of(inputs["image"])
        start = time.perf_counter()
        with torch.no_grad():
            results = model(inputs["image"], samples, mode="predict")
        seconds.append(time.perf_counter() - start)
    np.save(folder / "mmseg_logits.npy", results[0].seg_logits.data[None].numpy())
    return {"seconds": seconds[1:]}


def train(folder: Path, inputs: dict[str, torch.Tensor], *, n_times: int) -> dict[str, list[float]]:
    """Return the seconds of training steps, and the losses of the steps; dropout is off so that they compare."""
    model = build(folder).train()
    model.decode_head.dropout = model.auxiliary_head.dropout = None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    wrapper = OptimWrapper(optimizer)
    seconds, losses = [], []
    for _ in range(1 + n_times):
        samples = samples_of(inputs["images"], inputs["masks"])
        start = time.perf_counter()
        # BaseModel.train_step without its first line, the data preprocessor.
        with wrapper.optim_context(model):
            parts = model(inputs["images"], samples, mode="loss")
        loss, _ = model.parse_losses(parts)
        wrapper.update_params(loss)
        seconds.append(time.perf_counter() - start)
        losses.append(float(loss.detach()))
    return {"seconds": seconds[1:], "losses": losses}


if __name__ == "__main__":
    warnings.filterwarnings("ignore")  # its advice on settings, many times over
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--what", choices=["predict", "train"], required=True)
    parser.add_argument("--times", type=int, required=True)
    options = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):  # its logger writes to standard output
        loaded = torch.load(options.folder / "inputs.pth", weights_only=True)
        side = predict if options.what == "predict" else train
        result = side(options.folder, loaded, n_times=options.times)
    print(json.dumps(result))
