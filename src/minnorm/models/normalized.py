"""Normalisation as a part of the model, so that attacks see the inputs as they are."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalized(nn.Module):
    """A model whose inputs `[b c *d]` are first normalised: `(inputs - mean) / std`.

    Args:
        model: The model that expects normalised inputs.
        mean: One number for each channel.
        std: The same, above 0.

    Raises:
        ValueError: If the numbers are not as above.
    """

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or len(mean) == 0 or min(std) <= 0:
            raise ValueError(
                f"mean={list(mean)}, std={list(std)}: expected one number of each for each "
                "channel, every std above 0."
            )
        self.model = model
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Gives the logits of inputs that are not normalised."""
        shape = (1, -1, *(1,) * (inputs.ndim - 2))
        logits: Tensor = self.model((inputs - self.mean.view(shape)) / self.std.view(shape))
        return logits
