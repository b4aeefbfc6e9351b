"""3x3 convolutions with a quarter of the multiplications, for fp32 on a processor.

Winograd's algorithm F(4x4, 3x3) computes 4 x 4 pixels of the output from 6 x 6 of the input: the patch is
transformed by additions, the channels are mixed at each of the 36 transformed places (one matrix product
each, 36 instead of 144 multiplications for 16 pixels), and the sums are transformed back. It is the same
convolution; in fp32 the results differ by about 1e-5 of the largest value. A dilated convolution is this
on each of its d x d interleaved pictures.

References
----------
Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Below this many channels the transforms take longer than the saved multiplications (measured: at 64 the
# whole is half as fast as a plain convolution, at 128 it is 1.4 times as fast).
_MIN_CHANNELS = 128
# With fewer pixels in a batch, transforming the weights takes longer than the products.
_MIN_PIXELS = 1024
# The patches cover whole multiples of 4 pixels; more padding than this takes the gain away.
_MAX_COVER = 1.6
# What a block of patches may fill, so that it stays in the cache between the two passes of a transform.
_CACHE_BYTES = 4 * 2**20
_FLOATS = (torch.float32, torch.float64)

_WEIGHT_TRANSFORM = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


class WinogradConv2d(nn.Conv2d):
    """A Conv2d with the same parameters and the same result up to rounding, computed with fewer products.

    Where it would not gain (another device or precision, few pixels), it computes as any Conv2d. Like
    the functions below it expects a convolution that `use_winograd` finds suitable.
    """

    transformed: Tensor | None = None
    """(36, I, O) transformed weight, where `freeze_winograd` has put it."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        dilation = self.dilation[0]
        out: Tensor
        if not _gains(input, dilation=dilation):
            out = super()._conv_forward(input, weight, bias)
            return out
        if self.transformed is not None:
            out = _convolve(_to_patches(input, dilation=dilation), self.transformed, like=input, dilation=dilation)
        else:
            out = _WinogradFunction.apply(input, weight, dilation)  # type: ignore[no-untyped-call]
        return out if bias is None else out + bias.view(1, -1, 1, 1)


def use_winograd(network: nn.Module) -> nn.Module:
    """Let every 3x3 convolution that gains by it compute by Winograd's algorithm, in place; return the network."""
    for module in network.modules():
        if type(module) is nn.Conv2d and _is_suitable(module):
            module.__class__ = WinogradConv2d
    return network


def freeze_winograd(network: nn.Module) -> nn.Module:
    """Like `use_winograd`, with the weights transformed once and for all: the network cannot be trained any more."""
    for module in use_winograd(network).modules():
        if isinstance(module, WinogradConv2d):
            module.transformed = _transform_weight(module.weight.detach())
    return network


def _is_suitable(conv: nn.Conv2d) -> bool:
    return (
        conv.kernel_size == (3, 3)
        and conv.stride == (1, 1)
        and conv.groups == 1
        and conv.dilation[0] == conv.dilation[1]
        and conv.padding == conv.dilation
        and conv.padding_mode == "zeros"
        and min(conv.in_channels, conv.out_channels) >= _MIN_CHANNELS
    )


def _gains(images: Tensor, *, dilation: int) -> bool:
    if images.device.type != "cpu" or torch.is_autocast_enabled("cpu") or images.dtype not in _FLOATS:
        return False
    n_images, _, height, width = images.shape
    rows, columns = _n_patches(height, width, dilation=dilation)
    cover = rows * columns * (4 * dilation) ** 2 / (height * width)
    return n_images * height * width >= _MIN_PIXELS and cover <= _MAX_COVER


class _WinogradFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, dilation: int) -> Tensor:
        patches = _to_patches(images, dilation=dilation)
        ctx.save_for_backward(patches, weight)
        ctx.dilation = dilation
        return _convolve(patches, _transform_weight(weight), like=images, dilation=dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        patches, weight = ctx.saved_tensors
        gradient, dilation = gradients[0], ctx.dilation
        for_images = for_weight = None
        if ctx.needs_input_grad[0]:
            # The gradient is convolved with the kernels turned by 180 degrees, inputs and outputs exchanged.
            turned = _transform_weight(weight.flip(2, 3).transpose(0, 1))
            for_images = _convolve(_to_patches(gradient, dilation=dilation), turned, like=gradient, dilation=dilation)
        if ctx.needs_input_grad[1]:
            products = patches.flatten(1, -2).transpose(1, 2) @ _gradient_to_patches(gradient, dilation=dilation)
            taps = _square_transform(weight.dtype).T @ products.flatten(1)  # (9, I O)
            for_weight = taps.view(3, 3, weight.shape[1], weight.shape[0]).permute(3, 2, 0, 1)
        return for_images, for_weight, None


def _transform_weight(weight: Tensor) -> Tensor:
    """Return the (36, I, O) transform of a weight (O, I, 3, 3)."""
    taps = weight.permute(2, 3, 1, 0).reshape(9, -1)
    return (_square_transform(weight.dtype) @ taps).view(36, weight.shape[1], weight.shape[0])


def _square_transform(dtype: torch.dtype) -> Tensor:
    transform = torch.tensor(_WEIGHT_TRANSFORM, dtype=dtype)
    return torch.kron(transform, transform)  # (36, 9)


def _n_patches(height: int, width: int, *, dilation: int) -> tuple[int, int]:
    return -(-height // (4 * dilation)), -(-width // (4 * dilation))


def _to_patches(images: Tensor, *, dilation: int) -> Tensor:
    """Return the transformed 6 x 6 patches (36, B, rows, d, columns, d, C) of images (B, C, H, W)."""
    n_images, channels, height, width = images.shape
    rows, columns = _n_patches(height, width, dilation=dilation)
    below, right = dilation * (4 * rows + 1) - height, dilation * (4 * columns + 1) - width
    padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, dilation, right, dilation, below))
    padded = padded.view(n_images, 4 * rows + 2, dilation, 4 * columns + 2, dilation, channels)
    patches = images.new_empty(6, 6, n_images, rows, dilation, columns, dilation, channels)
    for some, first, last in _blocks(n_images, rows, padded[0, :6].nbytes):
        block = padded[some]
        values = [block[:, 4 * first + start : 4 * last + start - 3 : 4] for start in range(6)]
        half = images.new_empty(6, *values[0].shape)
        _transform_inputs(values, out=half.unbind(0))
        _transform_inputs(
            [half[..., start : start + 4 * columns - 3 : 4, :, :] for start in range(6)],
            out=patches[:, :, some, first:last].unbind(1),
        )
    return patches.flatten(0, 1)


def _blocks(n_images: int, rows: int, n_bytes: int) -> Iterator[tuple[slice, int, int]]:
    """Yield images, first row and last row (exclusive) of blocks of patches whose values stay in the cache.

    `n_bytes` is the size of one image's row of patches.
    """
    rows_at_once = max(1, min(rows, _CACHE_BYTES // n_bytes))
    images_at_once = max(1, min(n_images, _CACHE_BYTES // (n_bytes * rows)))
    for image in range(0, n_images, images_at_once):
        for row in range(0, rows, rows_at_once):
            yield slice(image, image + images_at_once), row, min(row + rows_at_once, rows)


def _convolve(patches: Tensor, transformed: Tensor, *, like: Tensor, dilation: int) -> Tensor:
    """Return the (B, O, H, W) channels-last output for transformed patches and weight (36, I, O)."""
    height, width = like.shape[-2:]
    _, n_images, rows, _, columns, _, _ = patches.shape
    n_outputs = transformed.shape[-1]
    sums = torch.bmm(patches.flatten(1, -2), transformed)
    sums = sums.view(6, 6, n_images, rows, dilation, columns, dilation, n_outputs)
    out = like.new_empty(n_images, rows, 4, dilation, columns, 4, dilation, n_outputs)
    for some, first, last in _blocks(n_images, rows, sums[:, :, 0, 0].nbytes):
        values = sums[:, :, some, first:last]  # (6, 6, images, rows, d, columns, d, O)
        half = like.new_empty(4, *values.shape[1:])
        _transform_outputs(values.unbind(0), out=half.unbind(0))
        block = out[some, first:last]  # (images, rows, 4, d, columns, 4, d, O)
        _transform_outputs(half.unbind(1), out=block.permute(5, 2, 0, 1, 3, 4, 6, 7).unbind(0))
    whole = out.view(n_images, 4 * rows * dilation, 4 * columns * dilation, n_outputs)
    return whole[:, :height, :width].permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _gradient_to_patches(gradient: Tensor, *, dilation: int) -> Tensor:
    """Return the (36, patches, O) transpose of the output transform, for a gradient (B, O, H, W)."""
    n_images, n_outputs, height, width = gradient.shape
    rows, columns = _n_patches(height, width, dilation=dilation)
    below, right = 4 * dilation * rows - height, 4 * dilation * columns - width
    padded = F.pad(gradient.permute(0, 2, 3, 1), (0, 0, 0, right, 0, below))
    padded = padded.view(n_images, rows, 4, dilation, columns, 4, dilation, n_outputs)
    patches = gradient.new_empty(6, 6, n_images, rows, dilation, columns, dilation, n_outputs)
    for some, first, last in _blocks(n_images, rows, patches[:, :, 0, 0].nbytes):
        values = padded[some, first:last].unbind(2)  # four times (images, rows, d, columns, 4, d, O)
        half = gradient.new_empty(6, *values[0].shape)
        _transpose_outputs(values, out=half.unbind(0))
        _transpose_outputs(half.unbind(5), out=patches[:, :, some, first:last].unbind(1))
    return patches.flatten(2, -2).flatten(0, 1)


def _transform_inputs(d: Sequence[Tensor], *, out: Sequence[Tensor]) -> None:
    """Apply B' of Lavin and Gray to six values d."""
    even, odd = torch.add(d[4], d[2], alpha=-4), torch.add(d[3], d[1], alpha=-4)
    torch.add(even, odd, out=out[1])
    torch.sub(even, odd, out=out[2])
    torch.sub(d[4], d[2], out=even)
    torch.sub(d[3], d[1], out=odd)
    torch.add(even, odd, alpha=2, out=out[3])
    torch.sub(even, odd, alpha=2, out=out[4])
    rest = torch.sub(d[0], d[2])
    torch.add(even, rest, alpha=4, out=out[0])
    torch.sub(d[5], d[3], out=rest)
    torch.sub(rest, odd, alpha=4, out=out[5])


def _transform_outputs(m: Sequence[Tensor], *, out: Sequence[Tensor]) -> None:
    """Apply A' of Lavin and Gray to six sums m."""
    even, odd = m[1] + m[2], m[1] - m[2]
    even_2, odd_2 = m[3] + m[4], m[3] - m[4]
    torch.add(odd, odd_2, alpha=2, out=out[1])
    torch.add(even, even_2, alpha=4, out=out[2])
    even += even_2
    torch.add(even, m[0], out=out[0])
    odd.add_(odd_2, alpha=8)
    torch.add(odd, m[5], out=out[3])


def _transpose_outputs(y: Sequence[Tensor], *, out: Sequence[Tensor]) -> None:
    """Apply A of Lavin and Gray to four gradients y."""
    even, odd = y[0] + y[2], y[1] + y[3]
    torch.add(even, odd, out=out[1])
    torch.sub(even, odd, out=out[2])
    torch.add(y[0], y[2], alpha=4, out=even)
    torch.add(y[1], y[3], alpha=4, out=odd)
    torch.add(even, odd, alpha=2, out=out[3])
    torch.sub(even, odd, alpha=2, out=out[4])
    out[0].copy_(y[0])
    out[5].copy_(y[3])
