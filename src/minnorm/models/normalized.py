"""Normalisation as a part of the model, so that attacks see the inputs as they are."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalized(nn.Module):
    """A model whose inputs `[b c *d]` are first normalised: `(inputs - mean) / std`.

    It is in evaluation mode if the model is.

    Args:
        model: The model that expects normalised inputs.
        mean: One number for each channel, or one for all of them.
        std: The same, above 0.

    Raises:
        ValueError: If the numbers are not as above.
    """

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        given = [tuple(part) if isinstance(part, list | tuple) else () for part in (mean, std)]
        numbers = all(isinstance(number, int | float) for part in given for number in part)
        if not numbers or len(given[0]) != len(given[1]) or not given[1] or min(given[1]) <= 0:
            raise ValueError(
                f"mean={mean!r}, std={std!r}: expected a list with one number for each channel, "
                "of each, every std above 0, for example mean=[0.13], std=[0.31]."
            )
        self.model = model
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.train(model.training)

    def forward(self, inputs: Tensor) -> Tensor:
        """Gives the logits of inputs that are not normalised.

        Raises:
            ValueError: If the inputs have another number of channels.
        """
        channels = inputs.shape[1] if inputs.ndim > 1 else 1
        if len(self.mean) not in (1, channels):
            raise ValueError(
                f"inputs have shape {list(inputs.shape)}; expected {len(self.mean)} channels in "
                "the second dimension, one for each number of the mean."
            )
        shape = (1, -1, *(1,) * (inputs.ndim - 2))
        logits: Tensor = self.model((inputs - self.mean.view(shape)) / self.std.view(shape))
        return logits
