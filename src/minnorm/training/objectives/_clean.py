"""The clean objective: no defense."""

from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


def clean(
    model: nn.Module, inputs: Float[Tensor, "b *d"], labels: Int64[Tensor, "b"]
) -> Float[Tensor, ""]:
    """Gives the mean cross-entropy of the model on the inputs as they are, `J(x, y, theta)`."""
    return cross_entropy(model(inputs), labels)
