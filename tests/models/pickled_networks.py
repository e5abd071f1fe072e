"""A network that tests pickle as a whole: pickle finds its class by the name of this module."""

from torch import Tensor, nn


class Linear(nn.Module):
    """A linear classifier of 12 features into 3 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.layer(inputs.flatten(1))
        return logits
