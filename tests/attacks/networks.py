"""Small classifiers for the tests of attacks; each is made from a seed."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """Logits that are linear in the flattened input."""

    def __init__(self, features: int, classes: int, *, seed: int = 0, scale: float = 4.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        weight = scale * torch.randn(classes, features, generator=generator) / features**0.5
        # The boundaries meet in the middle of the box, so that every class occurs.
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(-weight.sum(1) / 2)

    def forward(self, inputs: Tensor) -> Tensor:
        flat = inputs.flatten(1) if inputs.ndim > 1 else inputs.unsqueeze(1)
        return flat @ self.weight.T + self.bias


class Curved(Linear):
    """Logits with slightly curved boundaries; more would make attacks amplify rounding."""

    def forward(self, inputs: Tensor) -> Tensor:
        logits = super().forward(inputs)
        return logits + 0.5 * torch.sin(logits.roll(1, dims=1))


def any_shape(inputs: Tensor) -> Tensor:
    """Return logits of 100 classes for inputs of any shape and scale: a surrogate of anything."""
    features = inputs[0].numel() if len(inputs) > 0 else 1
    values = inputs.reshape(len(inputs), features)
    values = values - values.mean(1, keepdim=True).detach()
    sizes = values.abs().mean(1, keepdim=True).detach()
    logits: Tensor = Linear(features, 100, seed=5).to(inputs.dtype)(values / sizes.clamp_min(1e-9))
    return logits


class Recorded:
    """A model that keeps every batch that it is called with."""

    def __init__(self, model: Callable[[Tensor], Tensor]) -> None:
        self.model = model
        self.batches: list[Tensor] = []

    def __call__(self, inputs: Tensor, /) -> Tensor:
        self.batches.append(inputs.detach().clone())
        return self.model(inputs)


def problem(
    shape: tuple[int, ...],
    *,
    batch: int = 8,
    classes: int = 5,
    dtype: torch.dtype = torch.float32,
    network: Callable[..., Linear] = Curved,
    scale: float = 4.0,
    seed: int = 0,
) -> tuple[Linear, Tensor, Tensor]:
    """Return a classifier in evaluation mode, inputs in 0..1, and their predictions."""
    features = int(torch.tensor(shape).prod()) if shape else 1
    model = network(features, classes, seed=seed, scale=scale).to(dtype).eval()
    generator = torch.Generator().manual_seed(seed + 1)
    inputs = torch.rand(batch, *shape, generator=generator).to(dtype)
    with torch.no_grad():
        return model, inputs, model(inputs).argmax(1)
