"""Input normalization inside the model, so that attacks work on the original inputs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minnorm.errors import InputError


class Normalized(nn.Module):
    """A model that first normalizes its inputs `[b c *d]`: `(inputs - mean) / std`.

    A new instance is in the mode of `model`, training or evaluation.

    Args:
        model: The model that takes normalized inputs.
        mean: One number per channel, or a single number for all channels.
        std: As many numbers, each above 0.

    Raises:
        InputError: If `mean` or `std` is not such a list.
    """

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        given = [tuple(part) if isinstance(part, list | tuple) else () for part in (mean, std)]
        numbers = all(isinstance(number, int | float) for part in given for number in part)
        if not numbers or len(given[0]) != len(given[1]) or not given[1] or min(given[1]) <= 0:
            raise InputError(
                f"mean={mean!r}, std={std!r}: expected two lists with one number per channel, "
                "all of std above 0, for example mean=[0.13], std=[0.31]."
            )
        self.model = model
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.train(model.training)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits of inputs that are not normalized.

        Raises:
            InputError: If the number of channels differs from that of `mean`.
        """
        channels = inputs.shape[1] if inputs.ndim > 1 else 1
        if len(self.mean) not in (1, channels):
            raise InputError(
                f"inputs have shape {list(inputs.shape)}; expected {len(self.mean)} channels in "
                "the second dimension, one per number in mean."
            )
        shape = (1, -1, *(1,) * (inputs.ndim - 2))
        logits: Tensor = self.model((inputs - self.mean.view(shape)) / self.std.view(shape))
        return logits
