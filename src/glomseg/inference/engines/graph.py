"""From a network to an ONNX graph that is right for images of every size."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from glomseg.errors import InvalidInputError
from glomseg.inference.engines.packages import import_package
from glomseg.inference.runtime import fold_batchnorm
from glomseg.models.heads.ham import Hamburger
from glomseg.models.heads.psp import PSPHead, SplitPSPHead
from glomseg.models.segmentor import Segmentor

OPSET = 20

# Primes: no stride, patch or window divides them, so what is recorded is what holds for every size.
_TRACED_SIZE = (229, 167)
_MAX_BYTES = 2**31 - 2**24  # of a protocol buffer, which an ONNX file is, with room for the graph itself


def onnx_graph(network: Segmentor) -> bytes:
    """Return an ONNX model, weights and all, that gives a network's logits in evaluation mode.

    Its input ``images`` is (B, 3, H, W) float32, its output ``logits`` (B, C, h, w) float32, at the resolution of the
    network's own; B, H and W are free. Batch normalisation is folded.

    Parameters
    ----------
    network
        Stays as it is.

    Raises
    ------
    InvalidInputError
        If packages are missing, or the network is too large for one file or cannot be written as a graph.

    Notes
    -----
    Adaptive pooling to a grid whose cells do not divide the map is exported by converters for the one size that they
    saw. Here it becomes two matrix products, whose weights the graph makes from the size of the map.
    """
    import_package("onnxscript", purpose="writing a network as an ONNX graph")
    n_bytes = sum(value.nbytes for value in network.state_dict().values())
    if n_bytes > _MAX_BYTES:
        raise InvalidInputError(
            f"the network has {n_bytes / 2**30:.1f} GB of weights, and an ONNX file holds at most 2 GB: use "
            "--engine torch"
        )
    module = _LogitsAlone(exportable(network))
    free = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    with _quietly(), torch.no_grad():
        try:
            program = torch.onnx.export(
                module.eval(),
                (torch.zeros(2, 3, *_TRACED_SIZE),),
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=(free,),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
            raise InvalidInputError(
                f"this network cannot be written as an ONNX graph ({_first_line(error)}): use --engine torch"
            ) from error
    assert program is not None
    data: bytes = program.model_proto.SerializeToString()
    return data


def exportable(network: Segmentor) -> Segmentor:
    """Return a copy of a network in which everything can be written as a graph that is right for every size.

    The logits are the same up to rounding.
    """
    copy = fold_batchnorm(network)
    assert isinstance(copy, Segmentor)
    copy.auxiliary_head = None
    if isinstance(copy.decode_head, PSPHead):
        copy.decode_head = SplitPSPHead(copy.decode_head)
    for module in copy.modules():
        if type(module) is nn.AdaptiveAvgPool2d:
            module.__class__ = GridAverage
        elif isinstance(module, Hamburger):
            module.ham.keep_bases(module.channels)
    return copy.float().cpu().requires_grad_(False)


class GridAverage(nn.AdaptiveAvgPool2d):
    """An AdaptiveAvgPool2d to a square grid, as two matrix products."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the (B, C, k, k) means of the cells of a map (B, C, h, w)."""
        n_cells = self.output_size
        assert isinstance(n_cells, int)
        height, width = input.shape[-2:]
        return _averages(height, n_cells).to(input) @ (input @ _averages(width, n_cells).to(input).T)


def _averages(n_px: int, n_cells: int) -> Tensor:
    """Return (n_cells, n_px): how much each pixel counts in each cell, whose first and last it may share."""
    cells, pixels = torch.arange(n_cells)[:, None], torch.arange(n_px)
    starts, ends = cells * n_px // n_cells, ((cells + 1) * n_px + n_cells - 1) // n_cells
    inside = (pixels >= starts) & (pixels < ends)
    return inside.float() / (ends - starts).float()


class _LogitsAlone(nn.Module):
    def __init__(self, network: Segmentor) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images).main
        return logits


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep to itself what the exporter says of its own insides and of packages that are not needed."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _first_line(error: Exception) -> str:
    cause = error.__cause__ or error
    return next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)[:200]
