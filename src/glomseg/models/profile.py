"""How large a network is and how much it computes, found without running it."""

import copy

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from glomseg.errors import InvalidInputError


def count_parameters(model: nn.Module) -> int:
    """Return how many numbers training adjusts in `model`; a tensor that two layers share counts once.

    Running means and variances of batch normalisation are not parameters. Frozen parameters count.
    """
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, *, height: int, width: int) -> int:
    """Return the multiply-accumulate operations for predicting one image of `height` x `width` pixels.

    The network is followed on shapes alone, so the largest one needs neither time nor memory, and `model`
    is left as it is. It is counted in evaluation mode, so without an auxiliary head.

    Parameters
    ----------
    model
        Takes (B, 3, H, W) images.
    height, width
        Pixels of the image as the network sees it, at its working size.

    Raises
    ------
    InvalidInputError
        If `height` or `width` is not positive.

    Notes
    -----
    Convolutions, matrix products and attention are counted. Normalisation, activations, pooling and resizing,
    a few per cent of a convolutional network, are not, as is the custom in published tables. One
    multiply-accumulate is two floating-point operations; papers call either of them FLOPs.
    """
    if height < 1 or width < 1:
        raise InvalidInputError(f"cannot count the work on an image of {width} x {height} pixels: give a positive size")
    twin = _twin_without_values(model).eval()
    dtype = next((parameter.dtype for parameter in twin.parameters()), torch.float32)
    images = torch.empty(1, 3, height, width, dtype=dtype, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        twin(images)
    return int(counter.get_total_flops()) // 2


def training_bytes(model: nn.Module, *, height: int, width: int, batch_size: int) -> int:
    """Return about how many bytes one training step holds for a network at once, in float32.

    That is the weights four times (themselves, their gradients and AdamW's two moments), and every tensor that the way
    back needs, found on shapes alone. What operations need while they work, and the tiles, come on top.

    Parameters
    ----------
    model
        Takes (B, 3, H, W) images; it is left as it is.
    height, width, batch_size
        Of the windows.
    """
    twin = _twin_without_values(model).train()
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    n_parameters = sum(parameter.requires_grad_().numel() for parameter in twin.parameters())
    n_followed = max(batch_size, 2)  # where one value a channel is left, batch normalisation refuses a single window
    own = {tensor.untyped_storage()._cdata for tensor in (*twin.parameters(), *twin.buffers())}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = twin(torch.empty(n_followed, 3, height, width, device="meta"))
    n_bytes = sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own)
    del outputs
    return n_bytes * batch_size // n_followed + 4 * 4 * n_parameters


def _twin_without_values(model: nn.Module) -> nn.Module:
    """Return a copy of `model` with tensors on the meta device, where they have shapes but no memory."""
    values: dict[int, Tensor] = {}
    for parameter in model.parameters():
        values[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), requires_grad=False)
    for buffer in model.buffers():
        values[id(buffer)] = buffer.to("meta")
    # What is in the memo counts as copied already.
    return copy.deepcopy(model, values)
