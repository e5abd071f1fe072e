"""Convolutions with few input channels, such as the first one of images, with faster gradients.

Libraries pad channels to blocks of 8 or 16. For the gradient with respect to an image of 1 or 3
channels nearly all of that work is wasted, so it takes as long as the gradient of a far larger
layer. A matrix product, and a sum over the positions in the kernel, avoid the padding.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

_MOST_CHANNELS = 4


def replace_narrow_convolutions(module: nn.Module) -> bool:
    """Replace the convolutions with few input channels in a module; return whether it has any.

    The module changes.
    """
    narrow = [part for part in module.modules() if type(part) is nn.Conv2d and _is_narrow(part)]
    for layer in narrow:
        # Only the class changes: hooks, and other parts that read the weights, still work.
        layer.__class__ = NarrowConvolution
    return bool(narrow)


def _is_narrow(layer: nn.Conv2d) -> bool:
    return (
        layer.in_channels <= _MOST_CHANNELS
        and layer.groups == 1
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )


class NarrowConvolution(nn.Conv2d):
    """A convolution with few input channels and frozen weights."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002 - PyTorch's name
        given = (input, weight, bias, self.stride, self.padding)
        return cast("Tensor", _Convolution.apply(*given))


class _Convolution(torch.autograd.Function):
    """A convolution that is differentiated with respect to its inputs alone."""

    @staticmethod
    def forward(
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        return functional.conv2d(inputs, weight, bias, stride, padding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        images, weight, _, ctx.stride, ctx.padding = inputs
        ctx.save_for_backward(weight)
        ctx.size = images.shape

    @staticmethod
    def vmap(
        info: Any,  # noqa: ARG004 - what PyTorch passes
        in_dims: tuple[int | None, ...],
        inputs: Tensor,
        *others: Any,
    ) -> tuple[Tensor, int]:
        """Convolve the samples of a `torch.func.vmap` as one batch; the weights are shared."""
        images = inputs.movedim(in_dims[0] or 0, 0)
        outputs = cast("Tensor", _Convolution.apply(images.flatten(0, 1), *others))
        return outputs.reshape(*images.shape[:2], *outputs.shape[1:]), 0

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (weight,) = ctx.saved_tensors
        (outputs,) = gradients
        batch, channels, height, width = ctx.size
        (down, across), (above, left) = ctx.stride, ctx.padding
        rows, columns = outputs.shape[2:]
        kernel = weight.permute(2, 3, 1, 0).flatten(0, 2).to(outputs.dtype)
        parts = torch.matmul(kernel, outputs.reshape(batch, outputs.shape[1], rows * columns))
        parts = parts.view(batch, *weight.shape[2:], channels, rows, columns)
        wide = torch.promote_types(outputs.dtype, torch.float32)
        images = torch.zeros(
            batch,
            channels,
            height + 2 * above,
            width + 2 * left,
            dtype=wide,
            device=outputs.device,
        )
        for row in range(weight.shape[2]):
            for column in range(weight.shape[3]):
                place = images[
                    :,
                    :,
                    row : row + down * (rows - 1) + 1 : down,
                    column : column + across * (columns - 1) + 1 : across,
                ]
                place.add_(parts[:, row, column])
        inside = images[:, :, above : above + height, left : left + width]
        return inside.to(outputs.dtype), None, None, None, None
