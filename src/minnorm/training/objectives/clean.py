"""The clean objective: no defense."""

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn


def clean(
    model: nn.Module, inputs: Float[Tensor, "b *d"], labels: Int64[Tensor, "b"]
) -> Float[Tensor, ""]:
    """Gives the mean cross-entropy of the model on the inputs as they are, `J(x, y, theta)`."""
    return F.cross_entropy(model(inputs), labels)
