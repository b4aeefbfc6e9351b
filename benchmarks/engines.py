"""Engines side by side: PyTorch as glomseg makes it quick, ONNX Runtime and OpenVINO, on the processor in float32."""

import statistics
import time
from functools import partial

import torch

from glomseg.inference.engines.building import engine_network, predictor_of
from glomseg.inference.engines.graph import onnx_graph
from glomseg.inference.predictor import Predictor
from glomseg.inference.runtime import prepare_for_inference
from glomseg.models.segmentor import Segmentor
from glomseg.types import GLOMERULUS, ModelCard
from networks import QUICK, network_with_statistics
from timing import parse_quick, print_machine, print_torch, ratio, spread, take_turns

NETWORKS = ("fpn_resnet_small", "pspnet_r18", "segformer_mit_b0")


def sides(network: Segmentor, card: ModelCard) -> dict[str, Predictor]:
    """Return a predictor of the network for each engine."""
    fast = prepare_for_inference(network, device=torch.device("cpu"), precision="32-true")
    start = time.perf_counter()
    graph = onnx_graph(network)
    print(f"  writing the graph: {time.perf_counter() - start:.0f} s, {len(graph) / 1e6:.0f} MB")
    built = {"torch": fast} | {name: engine_network(graph, engine=name, name=name) for name in ("onnx", "openvino")}
    return {name: predictor_of(side, card) for name, side in built.items()}


def main(*, quick: bool) -> None:
    size_px, n_rounds = (64, 2) if quick else (512, 15)
    for name in NETWORKS[:1] if quick else NETWORKS:
        print(
            f"\n{name}, one window of {size_px} x {size_px} pixels to logits of that size, {n_rounds} rounds in turns"
        )
        network = network_with_statistics(name, **(QUICK if quick else {})).eval()
        engines = sides(network, ModelCard(architecture=name, classes=GLOMERULUS))
        images = torch.randn(1, 3, size_px, size_px, generator=torch.Generator().manual_seed(1))
        images = images.contiguous(memory_format=torch.channels_last)
        calls = {
            engine: partial(side.enlarged_logits, images, image_size=(size_px, size_px))
            for engine, side in engines.items()
        }
        results = {engine: call() for engine, call in calls.items()}
        seconds = take_turns(calls, n_rounds=n_rounds, n_warmup=2)
        largest = float(results["torch"].abs().max())
        for engine, times in seconds.items():
            difference = float((results[engine] - results["torch"]).abs().max()) / largest
            print(
                f"  {engine:<10} {spread(times):<30} {ratio(seconds['torch'], times)} as fast as torch; "
                f"logits within {difference:.0e} of the largest"
            )
        fastest = min(seconds, key=lambda engine: statistics.median(seconds[engine]))
        print(f"  fastest: {fastest}")


if __name__ == "__main__":
    quick = parse_quick(__doc__)
    print_machine("torch", "onnx", "onnxruntime", "openvino", "glomseg")
    print_torch()
    main(quick=quick)
