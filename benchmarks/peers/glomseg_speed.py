"""glomseg's side of compare.py; prints one line of JSON."""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from glomseg.devices import choose_precision
from glomseg.inference.predictor import Predictor
from glomseg.inference.runtime import prepare_for_inference
from glomseg.memory import keep_freed_memory
from glomseg.models.build import build_model
from glomseg.models.segmentor import Segmentor
from glomseg.types import GLOMERULUS, ModelCard
from pspnet import CPU, training_step


def build(folder: Path) -> Segmentor:
    network = build_model("pspnet_r50", n_classes=2, dropout=0.0)
    network.load_state_dict(torch.load(folder / "weights.pth", weights_only=True), strict=True)
    return network


def predict(folder: Path, inputs: dict[str, Tensor], *, n_times: int) -> dict[str, list[float]]:
    """Return the seconds of predictions as `load_predictor` prepares them; writes the logits."""
    card = ModelCard(architecture="pspnet_r50", classes=GLOMERULUS)
    precision = choose_precision("auto", CPU)
    network = prepare_for_inference(build(folder), device=CPU, precision=precision)
    predictor = Predictor(network, card, device=str(CPU), precision=precision)
    image = inputs["image"].contiguous(memory_format=torch.channels_last)  # as `Predictor.prepare` gives it
    size = (image.shape[-2], image.shape[-1])
    seconds = []
    for _ in range(1 + n_times):
        start = time.perf_counter()
        logits = predictor.enlarged_logits(image, image_size=size)
        logits.argmax(dim=1)
        seconds.append(time.perf_counter() - start)
    np.save(folder / "glomseg_logits.npy", logits.numpy())
    return {"seconds": seconds[1:]}


def train(folder: Path, inputs: dict[str, Tensor], *, n_times: int) -> dict[str, list[float]]:
    """Return the seconds of training steps, and the losses of the steps; dropout is off so that they compare."""
    step = training_step(build(folder), inputs["images"], inputs["masks"], fast=True)
    seconds, losses = [], []
    for _ in range(1 + n_times):
        start = time.perf_counter()
        losses.append(step())
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds[1:], "losses": losses}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--what", choices=["predict", "train"], required=True)
    parser.add_argument("--times", type=int, required=True)
    options = parser.parse_args()
    keep_freed_memory()  # as the command line does
    loaded = torch.load(options.folder / "inputs.pth", weights_only=True)
    side = predict if options.what == "predict" else train
    print(json.dumps(side(options.folder, loaded, n_times=options.times)))
