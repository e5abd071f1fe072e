"""The memory layout of images and of the weights of convolutions."""

import torch
from torch import Tensor, nn

from minnorm.logits import Model


def channels_last(module: nn.Module) -> Model:
    """Return a classifier that stores images, and the weights of convolutions, channels last.

    The module changes.
    """
    laid_out = module.to(memory_format=torch.channels_last)

    def classify(inputs: Tensor) -> Tensor:
        logits: Tensor = laid_out(inputs.contiguous(memory_format=torch.channels_last))
        return logits

    return classify
